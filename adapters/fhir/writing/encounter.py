"""The stay itself as Encounter, with its doctors and places contained: the model knows them by name only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from adapters.fhir.writing.element import (
    Element,
    coded_extension,
    concept,
    element,
    extension,
    identifier,
    listed,
    period,
    person,
    text,
    translated,
)
from adapters.fhir.writing.names import Names
from adapters.fhir.writing.strict import Resource
from gateway.model.stay import Organisation, Stay
from gateway.model.values import Coded
from mappings.code_systems import OURS
from mappings.identifier_systems import identifier_system

_INPATIENT: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
    "code": "IMP",
    "display": "inpatient encounter",
}
_PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_STAFF: Final = {
    "department_director": "科主任",
    "chief_physician": "主任（副主任）医师",
    "attending_physician": "主治医师",
    "resident_physician": "住院医师",
    "responsible_nurse": "责任护士",
    "visiting_physician": "进修医师",
    "intern_physician": "实习医师",
    "coder": "编码员",
}


def encounter(stay: Stay, names: Names, diagnoses: Sequence[Element], *, withdrawn: bool) -> Resource:
    """The Encounter. ``diagnoses`` are its diagnosis elements; a stay that was ``withdrawn`` (a cancelled admission) is cancelled."""
    staff = list(_staff(stay))
    places = list(_places(stay))
    return {
        "resourceType": "Encounter",
        "id": names.id(),
        "meta": names.meta,
        **element(
            contained=[*(doctor for _, doctor in staff), *(place for _, place in places if place)],
            extension=listed(extension("admission-number", valueInteger=stay.admission_number)),
            identifier=[identifier(OURS + "stay", names.stay)],
        ),
        "status": status(stay, withdrawn=withdrawn),
        "class": _INPATIENT,
        **element(
            serviceType=concept(stay.discharge.department or stay.admission.department),
            subject=names.subject,
            participant=[participant for participant, _ in staff],
            period=period(stay.admission.time, stay.discharge.time),
            length=_length(stay),
            diagnosis=list(diagnoses),
            hospitalization=_hospitalization(stay),
            location=[location for location, _ in places],
            serviceProvider=organisation(stay.organisation),
        ),
    }


def status(stay: Stay, *, withdrawn: bool) -> str:
    """Encounter.status: a stay without a discharge goes on."""
    return "cancelled" if withdrawn else "finished" if stay.discharge.time else "in-progress"


def organisation(organisation: Organisation) -> Element:
    """A logical reference to the institution."""
    return element(identifier=identifier(identifier_system("institution"), organisation.code), display=text(organisation.name))


def _length(stay: Stay) -> Element:
    days = stay.length_of_stay
    return element(value=days, unit="天", system="http://unitsofmeasure.org", code="d") if days is not None else {}


def _hospitalization(stay: Stay) -> Element:
    disposition = stay.discharge.disposition
    at = "Encounter.hospitalization."
    return element(
        admitSource=concept(stay.admission.route, translated(stay.admission.route, at + "admitSource")),
        destination=element(display=text(stay.discharge.receiving_institution)),
        dischargeDisposition=concept(disposition, translated(disposition, at + "dischargeDisposition")),
    )


def _staff(stay: Stay) -> Iterator[tuple[Element, Resource]]:
    """(participant, contained Practitioner) of each member of staff."""
    for role, title in _STAFF.items():
        member = getattr(stay.staff, role)
        doctor = person(member.name, role, identifier(OURS + "certificate", member.certificate))
        if doctor:
            kind: list[Element] = [{"system": OURS + "staff-role", "code": role, "display": title}]
            if role == "attending_physician":
                kind.append({"system": _PARTICIPATION, "code": "ATND", "display": "attender"})
            display = element(display=text(member.name))
            yield {"type": [{"coding": kind}], "individual": {"reference": f"#{doctor['id']}", **display}}, doctor


def _places(stay: Stay) -> Iterator[tuple[Element, Resource]]:
    """(Encounter.location, contained Location) of the admission, of each transfer and of the discharge."""
    yield from _place("admission", "admission", stay.admission.department, stay.admission.ward, period(stay.admission.time, None))
    for index, department in enumerate(stay.transfers):
        yield from _place(f"transfer-{index}", "transfer", department, None, {})
    yield from _place("discharge", "discharge", stay.discharge.department, stay.discharge.ward, period(None, stay.discharge.time))


def _place(id: str, role: str, department: Coded | None, ward: str | None, when: Element) -> Iterator[tuple[Element, Resource]]:
    if department is None and not text(ward):
        return
    location = element(resourceType="Location", id=id, name=text(ward), type=listed(concept(department)))
    yield (
        element(
            extension=listed(extension("location-role", valueCode=role), coded_extension("department", department)),
            location=element(reference=f"#{id}", display=text(ward)),
            period=when,
        ),
        location,
    )
