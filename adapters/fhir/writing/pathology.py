"""Pathology diagnoses as DiagnosticReports, with their 病理号 on report and Specimen. The conclusion is the text of the diagnosis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from adapters.fhir.writing.element import concept, element, identifier, listed, text, time, type_of_identifier
from adapters.fhir.writing.names import Names
from adapters.fhir.writing.strict import Resource
from gateway.model.stay import Pathology, Stay
from gateway.model.values import Coded
from mappings.identifier_systems import identifier_system

_CATEGORY: Final = Coded("http://terminology.hl7.org/CodeSystem/v2-0074", "PAT", "Pathology (gross & histopath, not surgical)")
_CODE: Final = Coded("LOINC", "11529-5", "Surgical pathology study")
_NOTHING: Final = Pathology()


def pathology(stay: Stay, names: Names) -> Iterator[Resource]:
    """A report for each pathology diagnosis, followed by its specimen where it has a number."""
    for index, found in enumerate(stay.pathology):
        if found == _NOTHING:
            continue
        number = identifier(identifier_system("specimen-number"), found.specimen_number, type_of_identifier("ACSN"))
        specimen = names.id("specimen", index)
        morphology = concept(found.morphology)
        yield {
            "resourceType": "DiagnosticReport",
            "id": names.id("pathology", index),
            "meta": names.meta,
            **element(identifier=listed(number)),
            "status": "corrected" if found.status == "corrected" else "final",
            "category": [concept(_CATEGORY)],
            "code": concept(_CODE),
            "subject": names.subject,
            "encounter": names.encounter,
            **element(
                **time("effectiveDateTime", found.reported_on),
                specimen=[{"reference": f"Specimen/{specimen}"}] if number else None,
                conclusion=text(found.diagnosis) or (None if morphology.get("coding") else morphology.get("text")),
                conclusionCode=listed(morphology),
            ),
        }
        if number:
            yield {
                "resourceType": "Specimen",
                "id": specimen,
                "meta": names.meta,
                "accessionIdentifier": number,
                "subject": names.subject,
            }
