"""Front-sheet items that FHIR has no element for: an Observation, or a line of an Invoice, coded ``urn:zhibao:hqms|<column of the 2020
layout>`` (``A14``, ``D01``, ``F04``). The convention is ours (confidence: own); its value goes to the column's canonical path.

Columns of lists that have resources of their own (diagnoses, procedures, pathology) are not taken from here. That there is nothing to say
in a column (``-``) is an Observation without value and with ``dataAbsentReason`` not-applicable; that may be said of any column.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final, NamedTuple

from adapters.fhir.dialect import FhirDialect
from adapters.fhir.elements import Element, choice, codings, day, each, label, moment, number, numbered, one, text
from adapters.fhir.oncology import USED
from adapters.fhir.record import Record
from adapters.fhir.remarks import remarked
from adapters.fhir.resource import Resource
from adapters.fhir.said import Said
from gateway.model.facts import NOTHING, Fact
from gateway.model.values import Coded
from mappings.layout import layout

SYSTEM: Final = "hqms"
"""``urn:zhibao:hqms``"""

_NOT_APPLICABLE: Final = "not-applicable"
_LISTED: Final = ("diagnoses.other", "diagnoses.principal", "procedures.", "pathology[")
_ISSUED: Final = frozenset(("issued", "balanced"))


class Column(NamedTuple):
    """A column that may be sent so. ``system`` is its value set, for coded ones."""

    path: str
    type: str
    system: str


def column_of(code: object) -> str:
    """The column that a concept names; empty where it names none."""
    return next((coding.code for coding in codings(code) if coding.system == SYSTEM and coding.code), "")


def read(record: Record, dialect: FhirDialect) -> Iterator[Said]:  # noqa: ARG001
    """The items of a record; the convention is the same in every dialect."""
    for observation in record.of("Observation"):
        body = observation.body
        if text(body.get("status")) in USED:
            yield from _item(observation, "", body)
            for element, part in numbered(body.get("component"), "component"):
                yield from _item(observation, element, part)
    for invoice in record.of("Invoice"):
        if text(invoice.body.get("status")) in _ISSUED:
            for element, line in numbered(invoice.body.get("lineItem"), "lineItem"):
                yield from _line(invoice, element, line)


def _item(observation: Resource, element: str, holder: Element) -> Iterator[Said]:
    code = column_of(holder.get("code"))
    if not code:
        return
    at = f"{element}." if element else ""
    name, content = choice(holder, "value")
    if name:
        yield from _said(observation, code, f"{at}code", f"{at}{name}", content)
    elif any(coding.code == _NOT_APPLICABLE for coding in codings(holder.get("dataAbsentReason"))) and (path := _paths().get(code)):
        yield Said(observation, Fact(path, NOTHING, observation.source(f"{at}dataAbsentReason")))


def _line(invoice: Resource, element: str, line: Element) -> Iterator[Said]:
    code = column_of(line.get("chargeItemCodeableConcept"))
    for place, price in numbered(line.get("priceComponent"), f"{element}.priceComponent") if code else ():
        if price.get("type") in ("base", None):
            yield from _said(invoice, code, f"{element}.chargeItemCodeableConcept", f"{place}.amount", price.get("amount"))
            return


def _said(resource: Resource, code: str, code_at: str, value_at: str, content: Any) -> Iterator[Said]:
    column = _columns().get(code)
    if column is None:
        yield remarked("unknown-column", resource, code_at)
        return
    value = _value(column, content)
    if value is None:
        rule = {"int": "not-a-number", "decimal": "not-a-number", "date": "not-a-time", "datetime": "not-a-time"}
        yield remarked(rule.get(column.type, "unknown-word"), resource, value_at)
        return
    yield Said(resource, Fact(column.path, value, resource.source(value_at)))


def _value(column: Column, content: Any) -> Coded | int | str | None:
    if column.type in ("code", "code_list"):
        return _coded(column, content)
    if column.type == "datetime":
        return moment(_plain(content)) or None
    if column.type == "date":
        return day(_plain(content)) or None
    written = _plain(content)
    if column.type == "int":
        return int(written) if written.isascii() and written.isdigit() and len(written) <= 6 else None
    if column.type == "decimal":
        return written if _is_amount(written) else None
    return written or None


def _coded(column: Column, content: Any) -> Coded | None:
    if isinstance(content, bool):
        return None
    listed = codings(content)
    best = next((coding for coding in listed if coding.system == column.system), listed[0] if listed else None)
    if best is not None:
        return Coded(column.system, best.code, best.display)
    written = _plain(content)
    return Coded(column.system, written, None) if written else None


def _plain(content: Any) -> str:
    """The text of a value of any type; of a Quantity or Money its number."""
    if isinstance(content, bool):
        return "1" if content else "0"
    if isinstance(content, dict):
        inner = one(content)
        return number(inner.get("value")) or text(inner.get("start")) or label(inner)
    return number(content) or text(content) or next((label(item) for item in each(content)), "")


def _is_amount(written: str) -> bool:
    whole, _, fraction = written.removeprefix("-").partition(".")
    return whole.isascii() and whole.isdigit() and (not fraction or (fraction.isascii() and fraction.isdigit()))


@cache
def _columns() -> dict[str, Column]:
    """Columns of the 2020 layout by code. A column for the code of a coded value stands for the value as a whole."""
    columns = {}
    for code, field in layout("2020").by_code.items():
        if field.path and not field.path.startswith(_LISTED):
            path = field.path.removesuffix(".code") if field.type == "code" else field.path
            columns[code] = Column(path, field.type, field.domain if field.type in ("code", "code_list") else "")
    return columns


@cache
def _paths() -> dict[str, str]:
    """The canonical path of every column that has one."""
    return {code: field.path for code, field in layout("2020").by_code.items() if field.path}
