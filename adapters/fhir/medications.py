"""Drugs ordered and given: MedicationRequest, MedicationAdministration, MedicationStatement.

Plans, proposals and drafts are no treatment, a dose that was not given is none, and doNotPerform forbids one. An order that was stopped was an
order. Drug codes stay as they were sent: whether a drug is an anti-tumour one is decided by a drug dictionary, not here. What was given
names its order, so that the order itself is not listed beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from adapters.fhir.dialect import FhirDialect
from adapters.fhir.elements import (
    NOTHING,
    Element,
    codings,
    concept_and_reference,
    each,
    extension,
    identifier,
    number,
    one,
    text,
    unit_of,
    value_of,
    when,
)
from adapters.fhir.oncology import stated
from adapters.fhir.record import Record
from adapters.fhir.remarks import remarked
from adapters.fhir.resource import Resource
from adapters.fhir.said import Said
from gateway.model.facts import MedicationFact
from gateway.model.values import Coded

_ORDERED: Final = frozenset(("active", "completed", "stopped", "on-hold", "ended"))
_ORDERS: Final = frozenset(("order", "original-order", "reflex-order", "filler-order", "instance-order"))
_GIVEN: Final = frozenset(("completed", "in-progress", "stopped"))
_TAKEN: Final = frozenset(("active", "completed", "recorded"))


class _Kind(NamedTuple):
    """How a resource of one kind says what was ordered or given. ``order`` refers to the order, ``times`` are choice elements."""

    state: Literal["ordered", "given"]
    dosage: str
    times: tuple[str, ...]
    order: tuple[str, ...] = ()


_KINDS: Final = {
    "MedicationRequest": _Kind("ordered", "dosageInstruction", ("authoredOn",)),
    "MedicationAdministration": _Kind("given", "dosage", ("effective", "occurence", "occurrence"), ("request",)),
    "MedicationStatement": _Kind("given", "dosage", ("effective",), ("basedOn", "derivedFrom")),
}
"""R5 spells ``occurence`` so."""


def read(record: Record, dialect: FhirDialect) -> Iterator[Said]:
    """The drugs of a record."""
    for name, kind in _KINDS.items():
        for resource in record.of(name):
            if _counts(resource):
                yield _drug(record, dialect, resource, kind)


def _counts(resource: Resource) -> bool:
    body, status = resource.body, text(resource.body.get("status"))
    if resource.kind == "MedicationRequest":
        return status in _ORDERED and text(body.get("intent")) in _ORDERS and body.get("doNotPerform") is not True
    if resource.kind == "MedicationAdministration":
        return status in _GIVEN
    adherence = codings(one(body.get("adherence")).get("code"))
    return status in _TAKEN and (not adherence or any((coding.code or "").startswith("taking") for coding in adherence))


def _drug(record: Record, dialect: FhirDialect, resource: Resource, kind: _Kind) -> Said:
    body = resource.body
    drug, element = _named(record, dialect, resource)
    if drug is None:
        return remarked("drug-unnamed", resource, element)
    dosage = next(iter(each(body.get(kind.dosage))), NOTHING)
    dose, unit = _dose(dosage)
    route = stated(dosage.get("route"))
    if route is not None and route.code and not route.system:
        route = Coded(dialect.maps["drug-route"].own_system, route.code, route.display)
    return Said(
        resource,
        MedicationFact(
            drug,
            resource.source(element),
            _order(record, resource, kind),
            kind.state,
            dose or None,
            unit or None,
            route,
            _group(dialect, body),
            when(body, *kind.times).text or None,
        ),
    )


def _named(record: Record, dialect: FhirDialect, resource: Resource) -> tuple[Coded | None, str]:
    """(drug, element): a concept, or what a reference to a Medication (contained or not) calls itself."""
    body = resource.body
    element = next(
        (name for name in ("medicationCodeableConcept", "medicationReference", "medication") if body.get(name)), "medication"
    )
    concept, reference = concept_and_reference(body.get(element))
    if not concept and reference:
        medication = record.resolve(resource, reference, element)
        if medication is not None and medication.kind == "Medication":
            concept = one(medication.body.get("code"))
        if not concept:
            concept = {"text": text(reference.get("display"))}
    drug = stated(concept)
    if drug is not None and drug.code and not drug.system:
        drug = Coded(dialect.maps["drug"].own_system, drug.code, drug.display)
    return drug, element


def _order(record: Record, resource: Resource, kind: _Kind) -> str:
    """The key of the order that this is, or carries out."""
    for element in kind.order:
        for reference in each(resource.body.get(element)):
            key = record.key_of(resource, reference)
            found = record.resources.get(key)
            if "MedicationRequest/" in key or (found is not None and found.kind == "MedicationRequest"):
                return key
    return resource.key


def _dose(dosage: Element) -> tuple[str, str]:
    """(dose, unit): a quantity, a range, or the words of the dosage."""
    holders = [*each(dosage.get("doseAndRate")), dosage]
    for holder in holders:
        for name in ("doseQuantity", "dose"):
            quantity = one(holder.get(name))
            if written := number(quantity.get("value")):
                return written, unit_of(quantity)
        span = one(holder.get("doseRange"))
        low, high = one(span.get("low")), one(span.get("high"))
        if (first := number(low.get("value"))) and (last := number(high.get("value"))):
            return f"{first}-{last}", unit_of(low) or unit_of(high)
    units = (unit_of(one(holder.get(name))) for holder in holders for name in ("doseQuantity", "dose"))
    return text(dosage.get("text")), next((unit for unit in units if unit), "")


def _group(dialect: FhirDialect, body: Element) -> str:
    """What ties the drugs of one infusion together (组号)."""
    found = identifier(body.get("groupIdentifier"))
    return found.value if found is not None else text(value_of(extension(body, *dialect.urls("medication_group"))))
