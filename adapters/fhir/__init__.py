"""FHIR R4, R4B and R5: bundles and resources in, canonical stays and audit entries out."""
