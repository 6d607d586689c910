"""FHIR resources against profiles: cardinalities, types, fixed values, required codes, slices, invariants and references."""
