"""Canonical stays, their provenance and the audit log as FHIR R4 (4.0.1).

Every resource is a plain JSON object that the R4B classes of ``fhir.resources`` have accepted (`adapters.fhir.writing.strict`); it is never
a dump of them, because they turn 6.50 into 6.5. Addresses of ours are listed in ``mappings/sources/fhir/extensions.csv``, what is carried
in which element in ``mappings/sources/fhir/carried.csv``.
"""
