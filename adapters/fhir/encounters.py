"""Encounter: the stay itself, its places and its doctors.

R4 says ``finished`` of an encounter that is over, R5 ``discharged`` or ``completed``; only then its end is a discharge. One that is planned
is no stay, one that was cancelled or entered in error takes back what it said. Places are read in the order of their periods (or as our own
extension says): the first is where the patient was admitted, a change of department is a transfer, the last of a finished encounter is
where the patient left from. Doctors count only for roles that tell their grade.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from adapters.fhir.dialect import FhirDialect
from adapters.fhir.elements import (
    Element,
    concept_and_reference,
    each,
    extension,
    has_code,
    identifiers,
    moment,
    number,
    numbered,
    one,
    positive,
    text,
    value_of,
)
from adapters.fhir.identity import Numbers
from adapters.fhir.plans import walk
from adapters.fhir.record import Record
from adapters.fhir.remarks import remarked
from adapters.fhir.resource import Resource
from adapters.fhir.said import Said
from adapters.fhir.values import Spot, mapped, named, target_of
from gateway.model.facts import VISIT_KINDS, Fact, MovementFact, VisitKey
from gateway.model.values import Coded
from mappings.code_map import CodeMap

_OVER: Final = frozenset(("finished", "discharged", "completed"))
_PLANNED: Final = frozenset(("planned", "preadmit"))
_WITHDRAWN: Final = frozenset(("cancelled", "discontinued", "entered-in-error"))
_WITHIN_WARD: Final = frozenset(("bd", "ro"))
"""Bed and room (location-physical-type): the ward is what they are part of."""


class _Place(NamedTuple):
    """One entry of Encounter.location."""

    element: str
    begins: str
    role: str
    department: Coded | None
    department_at: str
    ward: str


def is_over(encounter: Resource) -> bool:
    """Whether the patient was discharged."""
    return text(encounter.body.get("status")) in _OVER


def is_planned(encounter: Resource) -> bool:
    """Whether the encounter has not begun."""
    return text(encounter.body.get("status")) in _PLANNED


def is_withdrawn(encounter: Resource) -> bool:
    """Whether the encounter was taken back."""
    return text(encounter.body.get("status")) in _WITHDRAWN


def visit(dialect: FhirDialect, encounter: Resource, said: list[Said]) -> VisitKey:
    """What the encounter says of the visit; 住院次数 is added to ``said`` as well."""
    body = encounter.body
    kind, _ = target_of(dialect.maps["patient-class"], body.get("class"))
    if kind is None:
        said.append(remarked("visit-kind", encounter, "class"))
    numbers = list(identifiers(body.get("identifier")))
    visit_number = next((found.value for _, found in dialect.identifier("visit_number", numbers)), "")
    times = _admission_number(dialect, encounter, numbers, said)
    return VisitKey(visit_number, times, VISIT_KINDS.get(kind or "", ""))


def encounter_says(record: Record, dialect: FhirDialect, encounter: Resource) -> list[Said]:
    """Everything an encounter says by itself; its diagnoses are read by `adapters.fhir.diagnoses`."""
    said: list[Said] = []
    over = is_over(encounter)
    walk(record, dialect, encounter, said, finished=over)
    _locations(record, dialect, encounter, over, said)
    _participants(record, dialect, encounter, said)
    return said


def _admission_number(dialect: FhirDialect, encounter: Resource, numbers: Numbers, said: list[Said]) -> int | None:
    """住院次数 by the extension, else by an identifier."""
    stated = number(value_of(extension(encounter.body, *dialect.urls("admission_number"))))
    found = [("extension", stated)] if stated else []
    found += [(element, one_number.value) for element, one_number in dialect.identifier("admission_number", numbers)]
    for element, written in found:
        if (times := positive(written, 4)) is not None:
            said.append(Said(encounter, Fact("admission_number", times, encounter.source(element))))
            return times
        said.append(remarked("not-a-number", encounter, element))
    return None


def _locations(record: Record, dialect: FhirDialect, encounter: Resource, over: bool, said: list[Said]) -> None:
    listed = [_place(record, dialect, encounter, element, entry, said) for element, entry in _used(encounter)]
    if len(listed) > 1:
        _forget(said, "admission.department")  # Encounter.serviceType tells the department of now
    if all(place.begins for place in listed):
        listed.sort(key=lambda place: place.begins)
    elif len(listed) > 1 and not any(place.role for place in listed):
        return  # without periods nobody knows which one came first
    first = next((place for place in listed if place.role in ("", "admission")), None)
    last = next((place for place in reversed(listed) if place.role in ("", "discharge")), None)
    if first is not None:
        _stands(encounter, "admission", first, said)
    department = first.department if first is not None else None
    for place in listed:
        if place.department is None:
            continue
        if place.role == "transfer" or (not place.role and department is not None and place.department != department):
            source = encounter.source(place.department_at)
            said.append(Said(encounter, MovementFact(place.department, source, place.ward or None, place.begins or None)))
        department = place.department
    if last is not None and over:
        _stands(encounter, "discharge", last, said)


def _used(encounter: Resource) -> list[tuple[str, Element]]:
    return [
        (element, entry)
        for element, entry in numbered(encounter.body.get("location"), "location")
        if text(entry.get("status")) not in ("planned", "reserved")
    ]


def _stands(encounter: Resource, part: str, place: _Place, said: list[Said]) -> None:
    """The department and ward that a place tells count before Encounter.serviceType."""
    if place.department is not None:
        path = f"{part}.department"
        _forget(said, path)
        said.append(Said(encounter, Fact(path, place.department, encounter.source(place.department_at))))
    if place.ward:
        said.append(Said(encounter, Fact(f"{part}.ward", place.ward, encounter.source(f"{place.element}.location"))))


def _forget(said: list[Said], path: str) -> None:
    said[:] = [one_said for one_said in said if not (isinstance(one_said.item, Fact) and one_said.item.path == path)]


def _place(record: Record, dialect: FhirDialect, encounter: Resource, element: str, entry: Element, said: list[Said]) -> _Place:
    begins = moment(one(entry.get("period")).get("start"))
    role = text(value_of(extension(entry, *dialect.urls("location_role"))))
    codes = dialect.maps["department"]
    at = f"{element}.location"
    stated = value_of(extension(entry, *dialect.urls("department")))
    department = None
    if stated is not None:
        department = mapped(Spot(record, encounter, f"{element}.extension", stated, said, codes))
        at = f"{element}.extension" if department is not None else at
    spot = Spot(record, encounter, f"{element}.location", entry.get("location"), said, codes)
    ward, owner = _ward(record, spot)
    if department is None and owner:
        department = mapped(Spot(record, encounter, f"{element}.location", {"text": owner}, said, codes))
    if department is None and ward and (target := codes.find("", ward)[0]):
        department = codes.coded(target)
    return _Place(element, begins, role, department, at, ward)


def _ward(record: Record, spot: Spot) -> tuple[str, str]:
    """(name of the ward, name of the department that owns it): beds and rooms lead to what they are part of."""
    _, reference = concept_and_reference(spot.content)
    place = record.resolve(spot.resource, reference, spot.element) if reference else None
    if place is None or place.kind != "Location":
        return text(reference.get("display")), ""
    seen: set[str] = set()
    owner, ward = "", ""
    while place is not None and place.key not in seen:
        seen.add(place.key)
        body = place.body
        owner = owner or (named(Spot(record, place, "managingOrganization", body.get("managingOrganization"), spot.said)))
        ward = text(body.get("name")) or ward
        form = body.get("physicalType") or body.get("form")
        if not has_code(form, _WITHIN_WARD) or not body.get("partOf"):
            break
        outer = record.resolve(place, body.get("partOf"), "partOf")
        place = outer if outer is not None and outer.kind == "Location" else None
    return ward or text(reference.get("display")), owner


def _participants(record: Record, dialect: FhirDialect, encounter: Resource, said: list[Said]) -> None:
    """Staff by the role of the participant, with the certificate where the practitioner has one. The first of a role counts."""
    roles = dialect.maps["staff-role"]
    seen: set[str] = set()
    for element, entry in numbered(encounter.body.get("participant"), "participant"):
        role = _role(roles, entry)
        if not role or role in seen:
            continue
        key = "actor" if "actor" in entry else "individual"
        spot = Spot(record, encounter, f"{element}.{key}", entry.get(key), said)
        seen.add(role)
        if name := named(spot):
            said.append(Said(encounter, Fact(f"staff.{role}.name", name, encounter.source(spot.element))))
        who = record.resolve_through_role(encounter, entry.get(key), spot.element)
        numbers = list(identifiers(who.body.get("identifier"))) if who is not None and who.kind == "Practitioner" else []
        for _, found in dialect.identifier("certificate", numbers):
            said.append(Said(encounter, Fact(f"staff.{role}.certificate", found.value, encounter.source(spot.element))))
            break


def _role(roles: CodeMap, entry: Element) -> str:
    """The member of `gateway.model.stay.Staff` that a participant's types mean; a type that says nothing leaves it to the others."""
    for kind in each(entry.get("type")):
        target, _ = target_of(roles, kind)
        if target:
            return target
    return ""
