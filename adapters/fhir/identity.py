"""Who a record is about: numbers told by the dialect, the resident ID checked by its check digit.

Rules (decisions, `gateway.model.resident_id`, as for HL7 v2): a number that stands where the dialect says counts first; a resident ID that
fails its check is kept as sent, remarked, never repaired and never used as a key; only when none is told, the one of the right shape and
check digit is looked for among all identifiers. Birth date and sex that were not sent are derived from a number whose check digit is right
and marked so; those that were sent are compared, and neither overwrites the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from adapters.fhir.dialect import FhirDialect
from adapters.fhir.elements import Identifier, identifiers
from adapters.fhir.record import logical
from adapters.fhir.remarks import remark, remarked
from adapters.fhir.resource import Resource
from adapters.fhir.said import Said
from gateway.model import resident_id
from gateway.model.facts import Fact, PatientKey
from gateway.model.values import Coded
from mappings.code_map import value_set

_RESIDENT_ID_CARD: Final = Coded("RC038", "1")
_KEYS: Final = frozenset(
    (
        "record_number", "resident_id", "health_card", "identity_number",
        "visit_number", "admission_number", "certificate", "pathology_number",
    )
)  # fmt: skip

Numbers = Sequence[tuple[str, Identifier]]


@dataclass(slots=True)
class Identity:
    """The keys of a patient and what the numbers assert. ``trusted`` is a resident ID with the right check digit, ``trusted_at`` its
    element."""

    patient: PatientKey = field(default_factory=PatientKey)
    said: list[Said] = field(default_factory=list)
    trusted: str = ""
    trusted_at: str = ""


def identify(dialect: FhirDialect, resource: Resource, numbers: Numbers) -> Identity:
    """The patient whom these identifiers of ``resource`` (a Patient, or a resource with a logical reference to one) stand for."""
    identity = Identity()
    said = identity.said
    told = ((found.value, element) for element, found in dialect.identifier("resident_id", numbers))
    person, place, remarks = resident_id.chosen(told, ((found.value, element) for element, found in numbers))
    said += [remarked(rule, resource, element) for rule, element in remarks]
    sort = resident_id.verdict(person) if person else "other"
    if person:
        _fact(identity, resource, "patient.identity.number", person, place)
        if sort != "other":
            said.append(Said(resource, Fact("patient.identity.kind", _RESIDENT_ID_CARD, resource.source(place), derived=True)))
    else:
        _other_document(dialect, resource, numbers, identity)
    record = next(
        (
            (element, one.value)
            for element, one in dialect.identifier("record_number", numbers)
            if resident_id.is_record_number(one.value)
        ),
        None,
    )
    if record:
        _fact(identity, resource, "record_number", record[1], record[0])
    card = next(iter(dialect.identifier("health_card", numbers)), None)
    if card:
        _fact(identity, resource, "patient.health_card", card[1].value, card[0])
    others = {
        kind: found[1].value
        for kind in dialect.identifiers
        if kind not in _KEYS and (found := next(iter(dialect.identifier(kind, numbers)), None)) is not None
    }
    usable = person if sort in ("right", "unchecked") else ""
    identity.patient = PatientKey(record[1] if record else "", usable, others)
    if sort == "right":
        identity.trusted, identity.trusted_at = person, place
    return identity


def numbers_of(resource: Resource) -> Numbers:
    """The identifiers of a resource."""
    return list(identifiers(resource.body.get("identifier")))


def numbers_in(reference: object, element: str) -> Numbers:
    """The identifier of a logical reference."""
    return list(identifiers(logical(reference), f"{element}.identifier"))


def check_against_id(identity: Identity, resource: Resource, said: list[Said]) -> None:
    """Compare birth date and sex that the Patient states with the resident ID, and derive them where they were not sent."""
    if identity.trusted:
        stated = (one.item for one in said if isinstance(one.item, Fact))
        derived, disagreeing = resident_id.compared(identity.trusted, resource.source(identity.trusted_at), stated)
        said += [Said(resource, fact) for fact in derived]
        said += [Said(resource, remark(rule, fact.source)) for rule, fact in disagreeing]


def _other_document(dialect: FhirDialect, resource: Resource, numbers: Numbers, identity: Identity) -> None:
    """An identity document that is no resident ID; its kind (RC038) where the identifier's type says it."""
    for element, found in dialect.identifier("identity_number", numbers):
        _fact(identity, resource, "patient.identity.number", found.value, element)
        kind = next((word for word in found.types if word in value_set("RC038")), "")
        if kind:
            source = resource.source(f"{element}.type")
            identity.said.append(Said(resource, Fact("patient.identity.kind", Coded("RC038", kind), source)))
        return


def _fact(identity: Identity, resource: Resource, path: str, value: str, element: str) -> None:
    identity.said.append(Said(resource, Fact(path, value, resource.source(element))))
