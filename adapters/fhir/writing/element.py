"""FHIR data types out of canonical values: the small builders that all resources are made with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Final
from urllib.parse import quote

from adapters.fhir.tables import rows
from gateway.model.values import Coded
from mappings.code_map import value_set
from mappings.code_systems import OURS, uri_of

Element = dict[str, Any]

UNKNOWN: Final[Element] = {
    "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]
}
"""An element that is demanded and not known (FHIR, data-absent-reason)."""

_ABSENT: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_ZONE: Final = "+08:00"
_CODE: Final = re.compile(r"[^\s]+(\s[^\s]+)*")
_BLANK: Final = re.compile(r"\s")
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_LENGTHS: Final = {13: ("hour", ":00:00"), 16: ("minute", ":00")}


def element(**members: Any) -> Element:
    """An object of the members that say something: None and empty text, lists and objects are left out, as FHIR demands. A name that
    Python keeps for itself is written with an underscore behind it (``class_``)."""
    return {name.rstrip("_"): value for name, value in members.items() if value is not None and value not in ("", [], {})}


def listed(*items: Any) -> list[Any]:
    """The items that say something."""
    return [item for item in items if item]


def text(value: str | None) -> str | None:
    """Text as FHIR allows it (no control characters), or None where nothing is left of it."""
    cleaned = _CONTROL.sub("", value) if value else ""
    return cleaned if cleaned.strip() else None


# --- codes ---------------------------------------------------------------------------------------------------------------------------


def coding(value: Coded | None) -> Element:
    """A Coding; what FHIR does not take as code (blanks at its ends) is no code but a name."""
    if value is None:
        return {}
    code = value.code if value.code and _CODE.fullmatch(value.code) else None
    system = _BLANK.sub(lambda blank: quote(blank[0]), uri_of(value.system))
    return element(system=system, code=code, display=text(value.display if code else value.display or value.code))


def concept(*values: Coded | None) -> Element:
    """A CodeableConcept of several codings of the same thing; its text is what the first of them is called."""
    first = next((value for value in values if value is not None), None)
    if first is None:
        return {}
    codings = [coding(value) for value in values if value is not None and value.code]
    named = first.display or value_set(first.system).get(first.code or "")
    return element(coding=listed(*codings), text=text(named))


def absent(code: str, display: str = "") -> Element:
    """A CodeableConcept that says why there is nothing (FHIR, data-absent-reason: ``unknown``, ``not-applicable``)."""
    return concept(Coded(_ABSENT, code, display or None))


def translated(value: Coded | None, at: str) -> Coded | None:
    """The code of FHIR's own system for a code of ours where an element is bound to one (``Patient.gender``): of
    ``mappings/sources/fhir/written_codes.csv``; None where it has none."""
    return _written().get((at, value.system, value.code or "")) if value is not None else None


@cache
def _written() -> Mapping[tuple[str, str, str], Coded]:
    return {
        (row["element"], row["value_set"], row["code"]): Coded(row["system"], row["fhir_code"], row["display"])
        for row in rows("written_codes")
    }


# --- extensions and identifiers ------------------------------------------------------------------------------------------------------


def extension(word: str, **value: Any) -> Element:
    """One of our extensions (``mappings/sources/fhir/extensions.csv``), or of others by its full address; nothing where its value says
    nothing."""
    content = element(**value)
    return {"url": word if ":" in word else OURS + word, **content} if content else {}


def part(name: str, **value: Any) -> Element:
    """A part of a complex extension, which has a plain name."""
    content = element(**value)
    return {"url": name, **content} if content else {}


def coded_extension(word: str, value: Coded | None) -> Element:
    """An extension with a Coding."""
    return extension(word, valueCoding=coding(value))


def identifier(system: str, value: str | None, kind: Element | None = None) -> Element:
    """An Identifier, nothing where it has no value."""
    content = text(value)
    return element(type=kind, system=system, value=content) if content else {}


def type_of_identifier(code: str) -> Element:
    """The type of an identifier, of HL7 table 0203 (``MR``)."""
    return {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": code}]}


# --- times and amounts ---------------------------------------------------------------------------------------------------------------


def time(name: str, value: str | None) -> Element:
    """A dateTime member ``name`` with its precision. FHIR wants seconds with every time: zeros stand in for those that were not stated, and
    our extension ``precision`` says so."""
    if not _is_time(value):
        return {}
    assert value is not None
    word, rest = _LENGTHS.get(len(value), ("", ""))
    if len(value) <= 10:
        return {name: value}
    stated = extension("precision", valueCode=word)
    return {name: value + rest + _ZONE, **({f"_{name}": {"extension": [stated]}} if stated else {})}


def date(name: str, value: str | None) -> Element:
    """A date member ``name`` with its precision."""
    return {name: value[:10]} if value is not None and _is_time(value) else {}


def period(start: str | None, end: str | None) -> Element:
    """A Period."""
    return {**time("start", start), **time("end", end)}


def _is_time(value: str | None) -> bool:
    """Whether there is such a day and time. FHIR's years have four digits and are not 0000."""
    if not value or not value.isascii():
        return False
    try:
        datetime.fromisoformat(value if len(value) > 7 else (value + "-01-01")[:10])
    except ValueError:
        return False
    return True


def decimal(value: str | None) -> Decimal | None:
    """Text that is a plain number, as one; None for ranges and words."""
    try:
        return Decimal(value) if value and _NUMBER.fullmatch(value) else None
    except InvalidOperation:
        return None


def quantity(value: Decimal | int | None, unit: str | None = None, system: str = "", code: str = "") -> Element:
    """A Quantity; nothing without a value."""
    return element(value=value, unit=text(unit), system=system, code=code) if value is not None else {}


def person(name: str | None, role: str, *identifiers: Element) -> Element:
    """A contained Practitioner known by name only; ``role`` is its id in the container."""
    named = text(name)
    if not named and not any(identifiers):
        return {}
    return element(
        resourceType="Practitioner",
        id=role.replace("_", "-"),
        identifier=listed(*identifiers),
        name=[{"text": named}] if named else None,
    )
