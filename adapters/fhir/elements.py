"""Elements of FHIR resources as decoded JSON, R4 and R5 alike: small accessors that never fail.

What has another shape than the standard gives it (a list where an object is due, a number where text is due) says nothing here; that
it is wrong is told by validation. Where R4 has one and R5 a list (Encounter.class), or the other way about, both are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final, NamedTuple

from gateway.model.names import joined
from gateway.model.times import china_date, china_time
from gateway.model.values import Coded
from mappings.code_systems import name_of

Element = Mapping[str, Any]
"""A JSON object."""

NOTHING: Final[Element] = {}

_PRECISIONS: Final = {"hour": 13, "minute": 16}
_CHINA: Final = timezone(timedelta(hours=8))


class Identifier(NamedTuple):
    """An Identifier: ``types`` are the codes of its type and, where it has no coding, its text."""

    system: str
    types: tuple[str, ...]
    value: str
    use: str = ""


class Moment(NamedTuple):
    """A time and the element that holds it. ``text`` is empty where the element holds no readable time."""

    text: str
    element: str


def one(value: object) -> Element:
    """An object: ``value`` itself, or the only member of a list; nothing for anything else."""
    if type(value) is dict:
        return value
    if type(value) is list and len(value) == 1 and type(value[0]) is dict:
        return value[0]
    return NOTHING


def each(value: object) -> list[Element]:
    """The objects of a list, or the single object."""
    if type(value) is dict:
        return [value]
    if type(value) is list:
        return [item for item in value if type(item) is dict]
    return []


def numbered(value: object, name: str) -> Iterator[tuple[str, Element]]:
    """Objects with the names of their elements: ``diagnosis[0]``, or ``diagnosis`` for a single object."""
    if type(value) is list:
        for index, item in enumerate(value):
            if type(item) is dict:
                yield f"{name}[{index}]", item
    elif type(value) is dict:
        yield name, value


def text(value: object) -> str:
    """Text without blanks at the ends; empty for anything that is no text."""
    return value.strip() if isinstance(value, str) else ""


def number(value: object) -> str:
    """A number as text with the digits that were sent (``6.50``); empty for anything else. Numbers that came as text are taken."""
    if isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return str(value) if value.bit_length() < 200 else ""
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() and abs(value.adjusted()) < 40 else ""
    return text(value)


def positive(value: object, digits: int = 3) -> int | None:
    """A whole number from 1 on with at most so many digits (a rank), sent as a number or as text; None for anything else."""
    written = number(value)
    return int(written) or None if written.isascii() and written.isdigit() and len(written) <= digits else None


def unit_of(quantity: Element) -> str:
    """The unit of a Quantity in words, else its code."""
    return text(quantity.get("unit")) or text(quantity.get("code"))


def at(body: Element, path: str) -> Any:
    """What stands at ``hospitalization.admitSource``; None where nothing does. Objects only, no list positions."""
    found: Any = body
    for step in path.split("."):
        if type(found) is not dict:
            return None
        found = found.get(step)
    return found


# --- codes ---------------------------------------------------------------------------------------------------------------------------


def codings(value: object) -> list[Coded]:
    """The codings of a CodeableConcept, of several, of a CodeableReference's concept, or a bare Coding. Systems are named as in
    `mappings.code_systems`."""
    found: list[Coded] = []
    for concept in each(value):
        inner = concept.get("concept")
        if type(inner) is dict:
            concept = inner
        listed = concept.get("coding")
        if listed is None and isinstance(concept.get("code"), str):
            listed = concept
        for coding in each(listed):
            code, display = text(coding.get("code")), text(coding.get("display"))
            if code or display:
                system = text(coding.get("system"))
                found.append(Coded(name_of(system) if system else "", code or None, display or None))
    return found


def label(value: object) -> str:
    """The words of a CodeableConcept: its text, else the first display of a coding."""
    for concept in each(value):
        inner = concept.get("concept")
        if type(inner) is dict:
            concept = inner
        if words := text(concept.get("text")):
            return words
        if words := text(concept.get("display")):
            return words
        for coding in each(concept.get("coding")):
            if words := text(coding.get("display")):
                return words
    return ""


def has_code(value: object, codes: frozenset[str] | set[str]) -> bool:
    """Whether any coding has one of the codes, whatever its system (for FHIR's own statuses and uses)."""
    return any(coding.code in codes for coding in codings(value))


# --- references ----------------------------------------------------------------------------------------------------------------------


def concept_and_reference(value: object) -> tuple[Element, Element]:
    """The two sides of what may be a CodeableConcept, a Reference, or R5's CodeableReference of both."""
    element = one(value)
    inner, reference = element.get("concept"), element.get("reference")
    if type(inner) is dict or type(reference) is dict:
        return one(inner), one(reference)
    if isinstance(reference, str) or (type(element.get("identifier")) is dict and "coding" not in element):
        return NOTHING, element
    if "coding" in element or "text" in element:
        return element, NOTHING
    return NOTHING, element


# --- identifiers ---------------------------------------------------------------------------------------------------------------------


def identifier(value: object) -> Identifier | None:
    """An Identifier that has a value."""
    element = one(value)
    content = number(element.get("value"))
    if not content:
        return None
    kind = element.get("type")
    types = tuple(coding.code for coding in codings(kind) if coding.code)
    if not types and (words := label(kind)):
        types = (words,)
    return Identifier(text(element.get("system")), types, content, text(element.get("use")))


def identifiers(value: object, name: str = "identifier") -> Iterator[tuple[str, Identifier]]:
    """Identifiers with the names of their elements; those no longer in use (``old``) are left out."""
    for element, item in numbered(value, name):
        found = identifier(item)
        if found is not None and found.use != "old":
            yield element, found


# --- times ---------------------------------------------------------------------------------------------------------------------------


def moment(value: object) -> str:
    """A date, dateTime or instant as ISO 8601 China time with the precision it came with; empty where it is none.

    A time with a zone is converted. Midnight in China time counts as a bare date: hospital systems write it where they know no time."""
    written = text(value)
    if not written:
        return ""
    if "T00:00:00" in written and len(written) > 19 and not written.endswith(("+08:00", "+0800")):
        try:
            here = datetime.fromisoformat(written)
        except (ValueError, OverflowError):
            return ""
        if here.tzinfo is not None and 1850 < here.year < 2200:
            return here.astimezone(_CHINA).replace(tzinfo=None).isoformat(timespec="seconds")
    return china_time(written) or ""


def precise(content: Any, shadow: object) -> Any:
    """A time without the parts that FHIR's format demanded and its source did not state: an extension ``precision`` (of ours) on the
    primitive says ``hour`` or ``minute``."""
    length = _PRECISIONS.get(text(value_of(extension(one(shadow), "urn:zhibao:precision"))))
    if length is None or not isinstance(content, str) or len(content) < 19:
        return content
    return content[:length] + content[19:].lstrip(".0123456789")


def day(value: object) -> str:
    """The date of `moment`."""
    return moment(value)[:10]


def birth_day(value: object) -> str:
    """A FHIR date with its precision (a birth date is no moment, it has no zone); empty where it is none."""
    return china_date(text(value)) or ""


def when(body: Element, *names: str) -> Moment:
    """The first of the choice elements that holds a time: ``when(body, "performed", "occurrence")`` looks at ``performedDateTime``,
    ``performedPeriod`` (its start, else its end), ``performedInstant``, ``performedDate``, and at an element of just that name."""
    for name in names:
        for suffix in ("DateTime", "", "Period", "Instant", "Date"):
            value = body.get(name + suffix)
            if value is None:
                continue
            if isinstance(value, str):
                if found := moment(precise(value, body.get(f"_{name}{suffix}"))):
                    return Moment(found, name + suffix)
                continue
            period = one(value)
            for side in ("start", "end"):
                if found := moment(precise(period.get(side), period.get(f"_{side}"))):
                    return Moment(found, f"{name}{suffix}.{side}")
    return Moment("", names[0] if names else "")


# --- choices, extensions, absence ----------------------------------------------------------------------------------------------------


def choice(body: Element, name: str) -> tuple[str, Any]:
    """A choice element, ``value`` as (``valueQuantity``, content); two empty things where there is none."""
    found = body.get(name)
    if found is not None:
        return name, found
    for key, content in body.items():
        if key.startswith(name) and len(key) > len(name) and key[len(name)].isupper():
            return key, content
    return "", None


def extensions(body: Element, *urls: str) -> Iterator[tuple[str, Element]]:
    """Extensions by address, or by the last segment of it, with the names of their elements."""
    listed = body.get("extension")
    if not listed:
        return
    for element, item in numbered(listed, "extension"):
        url = item.get("url")
        if isinstance(url, str) and (url in urls or url.rpartition("/")[2] in urls):
            yield element, item


def extension(body: Element, *urls: str) -> Element:
    """The first of `extensions`."""
    return next((item for _, item in extensions(body, *urls)), NOTHING)


def value_of(item: Element) -> Any:
    """The value of an extension, whatever its type; None where it has none."""
    return choice(item, "value")[1]


def absent_reason(body: Element, name: str = "") -> str:
    """Why an element is missing (code of data-absent-reason): of the object itself, or of its primitive member ``name``."""
    holder = one(body.get(f"_{name}")) if name else body
    return text(value_of(extension(holder, "data-absent-reason")))


def human_name(value: object) -> tuple[str, str]:
    """(name, element) out of a HumanName or several: the official or usual one, a Chinese one before pinyin. Text counts first, else family
    and given are joined, Chinese ones without a blank."""
    best, place, rank = "", "", 9
    for element, item in numbered(value, "name"):
        use = text(item.get("use"))
        if use in ("old", "maiden"):
            continue
        given = item.get("given")
        parts = [text(item.get("family")), *(text(part) for part in (given if type(given) is list else [given]))]
        written = text(item.get("text")) or joined(parts)
        order = (0 if use == "official" else 1) + (0 if not written.isascii() else 3)
        if written and order < rank:
            best, place, rank = written, element, order
    return best, place
