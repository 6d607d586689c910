"""Drugs ordered as MedicationRequest, drugs given as MedicationAdministration."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.fhir.writing.element import UNKNOWN, Element, concept, decimal, element, extension, listed, quantity, text, time
from adapters.fhir.writing.names import Names
from adapters.fhir.writing.strict import Resource
from gateway.model.stay import Medication, Stay


def medications(stay: Stay, names: Names) -> Iterator[Resource]:
    """One resource for each drug of the stay. Orders of a stay that is over are completed."""
    for index, medication in enumerate(stay.medications):
        id = names.id("medication", index)
        if medication.state == "given":
            yield _given(medication, names, id)
        else:
            yield _ordered(medication, names, id, "completed" if stay.discharge.time else "active")


def _ordered(medication: Medication, names: Names, id: str, status: str) -> Resource:
    dose = _dose(medication)
    words = text(medication.dose) if decimal(medication.dose) is None else None
    return {
        "resourceType": "MedicationRequest",
        "id": id,
        "meta": names.meta,
        "status": status,
        "intent": "order",
        "medicationCodeableConcept": _drug(medication),
        "subject": names.subject,
        "encounter": names.encounter,
        **time("authoredOn", medication.at),
        **element(
            groupIdentifier=element(value=text(medication.group)),
            dosageInstruction=listed(
                element(text=words, route=concept(medication.route), doseAndRate=listed(element(doseQuantity=dose)))
            ),
        ),
    }


def _given(medication: Medication, names: Names, id: str) -> Resource:
    words = text(medication.dose) if decimal(medication.dose) is None else None
    when = time("effectiveDateTime", medication.at)
    return {
        "resourceType": "MedicationAdministration",
        "id": id,
        "meta": names.meta,
        **element(extension=listed(extension("medication-group", valueString=text(medication.group)))),
        "status": "completed",
        "medicationCodeableConcept": _drug(medication),
        "subject": names.subject,
        "context": names.encounter,
        **(when or {"_effectiveDateTime": UNKNOWN}),
        **element(dosage=element(text=words, route=concept(medication.route), dose=_dose(medication))),
    }


def _drug(medication: Medication) -> Element:
    """The drug, which FHIR demands."""
    return concept(medication.drug) or UNKNOWN


def _dose(medication: Medication) -> Element:
    """The dose with its unit; where it is a range or words, the unit alone beside the text."""
    return quantity(decimal(medication.dose), medication.unit) or element(unit=text(medication.unit))
