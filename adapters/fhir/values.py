"""Content of elements by its type: how what stands in a resource becomes a value of the model.

A converter gets a `Spot` (what stands where, in which resource) and returns the value, or None when it says nothing usable, and remarks what
a person should know. Unlike in HL7 v2 a code names its system, so a map is asked by system first (``system|code``), and codes of
international systems are never taken for a hospital's own numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.fhir.elements import (
    birth_day,
    codings,
    concept_and_reference,
    extension,
    human_name,
    identifier,
    identifiers,
    label,
    moment,
    number,
    one,
    text,
    value_of,
)
from adapters.fhir.record import Record, logical
from adapters.fhir.remarks import remarked
from adapters.fhir.resource import Resource
from adapters.fhir.said import Said
from gateway.model.names import is_chinese
from gateway.model.values import Coded
from mappings.code_map import CodeMap, value_set
from mappings.identifier_systems import identifier_system

Value = Coded | int | str

_INTERNATIONAL: Final = ("http://terminology.hl7.org/", "http://hl7.org/", "https://www.nubc.org/", "urn:ietf:", "urn:iso:")
_NAMED: Final = frozenset(("ICD-10", "ICD-10-CM", "ICD-O-3", "SNOMED-CT", "LOINC", "NCIT", "RxNorm", "UCUM"))
PHONES: Final = frozenset(("", "phone", "sms", "other"))
"""ContactPoint.system of what may be a telephone number"""


@dataclass(slots=True)
class Spot:
    """What stands at an element: its content, the element's name, the map that its codes go through. What is remarked goes to
    ``said``."""

    record: Record
    resource: Resource
    element: str
    content: Any
    said: list[Said]
    codes: CodeMap | None = None

    def remark(self, rule: str) -> None:
        """Remark something about this element."""
        self.said.append(remarked(rule, self.resource, self.element))


Converter = Callable[[Spot], Value | None]


def target_of(codes: CodeMap, content: object) -> tuple[str | None, bool]:
    """(target, whether code and words disagree) of a CodeableConcept, Coding, CodeableReference, several of them, a code or plain text.
    The target is None when no map knows it, empty when it says nothing. As in HL7 v2 the words count where they disagree."""
    if isinstance(content, str):
        return codes.find(content.strip())
    words = label(content)
    found: str | None = None
    for coding in codings(content):
        known = _known(codes, coding)
        if known is not None and (found is None or not found):
            found = known
        if found:
            break
    named, _ = codes.find("", words) if words else (None, False)
    if named is None:
        return found, False
    return named, bool(found) and found != named


def without_system(codes: CodeMap, concept: object) -> str | None:
    """The target of a concept in a map whose codes stand without their system (LOINC, v2-0074, a laboratory's own), else of its words;
    empty where it says nothing, None where the map does not know it."""
    for coding in codings(concept):
        if (target := codes.codes.get(coding.code or "")) is not None:
            return target
    words = label(concept)
    return codes.find("", words)[0] if words else None


def _known(codes: CodeMap, coding: Coded) -> str | None:
    code, system = coding.code or "", coding.system
    if system:
        if (known := codes.codes.get(f"{system}|{code}")) is not None:
            return known
        if system == codes.value_set:
            return code if code in value_set(system) else None
        if system in _NAMED or system.startswith(_INTERNATIONAL):
            return codes.find("", coding.display or "")[0]
    return codes.find(code, coding.display or "")[0]


def mapped(spot: Spot) -> Coded | None:
    """A coded element through its map. What no map knows is kept as the sender coded it, and remarked."""
    codes = spot.codes
    if codes is None:
        return None
    target, disagree = target_of(codes, spot.content)
    if disagree:
        spot.remark("code-label-disagree")
    if target:
        return codes.coded(target) if codes.value_set else Coded("", target)
    if target == "":
        return None
    return _as_sent(spot, codes)


def detail(record: Record, resource: Resource, urls: Sequence[str], codes: CodeMap, said: list[Said]) -> Coded | None:
    """`mapped` of what the first extension with one of these addresses holds; None without one."""
    content = value_of(extension(resource.body, *urls))
    return mapped(Spot(record, resource, "extension", content, said, codes)) if content is not None else None


def _as_sent(spot: Spot, codes: CodeMap) -> Coded | None:
    content = spot.content
    if isinstance(content, str):
        words, listed = content.strip(), []
    else:
        words, listed = label(content), codings(content)
    if not (words or listed):
        return None
    if codes.value_set:
        spot.remark("unmapped-code")
    if not listed:
        return Coded(codes.own_system, *((None, words) if is_chinese(words) or not isinstance(content, str) else (words, None)))
    first = listed[0]
    return Coded(first.system or codes.own_system, first.code, first.display or words or None)


def word(spot: Spot) -> str | None:
    """A coded element as one of our own words (``inpatient``). An unknown one is remarked and left out."""
    if spot.codes is None:
        return None
    target, disagree = target_of(spot.codes, spot.content)
    if disagree:
        spot.remark("code-label-disagree")
    if target is None and (codings(spot.content) or label(spot.content) or text(spot.content)):
        spot.remark("unknown-word")
    return target or None


def words(spot: Spot) -> str | None:
    """A coded element or text as its words: what the map makes of the code, else the text."""
    if spot.codes is not None:
        target, _ = target_of(spot.codes, spot.content)
        if target is not None:
            return target or None
    if isinstance(spot.content, str):
        return spot.content.strip() or None
    found = label(spot.content)
    if found:
        return found
    return next((coding.code for coding in codings(spot.content) if coding.code), None)


def province(spot: Spot) -> Coded | None:
    """The province that a native place begins with (``广东省深圳市``)."""
    codes = spot.codes
    if codes is None:
        return None
    target, _ = target_of(codes, spot.content)
    if target:
        return codes.coded(target)
    written = text(spot.content) or label(spot.content) or address_text(spot.content)
    best = max((name for name in codes.labels if name and written.startswith(name)), key=len, default="")
    if best:
        return codes.coded(codes.labels[best])
    if not written:
        return None
    spot.remark("unmapped-code")
    return Coded(codes.own_system, None, written)


def person_name(spot: Spot) -> str | None:
    """HumanName: one string; of several the official or usual Chinese one."""
    return text(spot.content) or human_name(spot.content)[0] or None


def phone(spot: Spot) -> str | None:
    """ContactPoint: the first number of a telephone."""
    for item in spot.content if isinstance(spot.content, list) else [spot.content]:
        point = one(item)
        if text(point.get("system")) in PHONES and (found := number(point.get("value"))):
            return found
    return None


def place(spot: Spot) -> str | None:
    """An Address, or text, as one text."""
    return text(spot.content) or address_text(spot.content) or label(spot.content) or None


def address_text(content: object) -> str:
    """An address as printed: its text, else province, city, district, street. What the street line already holds is not said twice."""
    address = one(content)
    if written := text(address.get("text")):
        return written
    lines = address.get("line")
    street = "".join(text(line) for line in (lines if isinstance(lines, list) else [lines]))
    before = ""
    for name in ("state", "city", "district"):
        piece = text(address.get(name))
        if is_chinese(piece) and piece not in street and piece not in before:
            before += piece
    if not before and not is_chinese(street):
        return ", ".join(part for part in (street, text(address.get("city")), text(address.get("state"))) if part)
    return before + street


def date(spot: Spot) -> str | None:
    """A date with its precision. A date has no zone: only a time has."""
    written = text(spot.content)
    found = moment(written)[:10] if "T" in written else birth_day(written)
    if not found and written:
        spot.remark("not-a-time")
    return found or None


def datetime(spot: Spot) -> str | None:
    """A time with its precision, in China time."""
    found = moment(spot.content)
    if not found and text(spot.content):
        spot.remark("not-a-time")
    return found or None


def integer(spot: Spot) -> int | None:
    """A whole number of at most six digits."""
    written = number(spot.content)
    if written.isascii() and written.isdigit() and len(written) <= 6:
        return int(written)
    if written:
        spot.remark("not-a-number")
    return None


def deceased(spot: Spot) -> Coded | None:
    """Patient.deceased[x]: a boolean, or a time that says so."""
    if spot.content is False:
        return Coded("vital-status", "alive")
    return Coded("vital-status", "deceased") if spot.content is True or moment(spot.content) else None


def named(spot: Spot) -> str:
    """The name of what a Reference (or a CodeableReference) leads to: of a person, a place, an organisation; else its display."""
    concept, reference = concept_and_reference(spot.content)
    if concept:
        return label(concept)
    if not reference:
        return ""
    if not (text(reference.get("reference")) or logical(reference)):
        return text(reference.get("display"))
    found = spot.record.resolve_through_role(spot.resource, reference, spot.element)
    if found is None:
        return text(reference.get("display"))
    name = found.body.get("name")
    return text(name) or human_name(name)[0] or text(reference.get("display"))


def reference_name(spot: Spot) -> str | None:
    """`named` as a value."""
    return named(spot) or None


def institution_code(spot: Spot) -> str | None:
    """The code of an institution that a Reference leads to or names: its 机构代码 first, else the first identifier it has."""
    reference = one(spot.content)
    found = spot.record.resolve(spot.resource, reference, spot.element) if text(reference.get("reference")) else None
    listed = [identifier(reference.get("identifier"))]
    if found is not None:
        listed = [one_of for _, one_of in identifiers(found.body.get("identifier"))]
    numbers = [known for known in listed if known is not None]
    best = next((known for known in numbers if known.system == identifier_system("institution")), numbers[0] if numbers else None)
    return best.value if best is not None else None


def department(spot: Spot) -> Coded | None:
    """A department by a concept, by the words of a reference, or by R5's CodeableReference to a service."""
    codes = spot.codes
    if codes is None:
        return None
    for item in spot.content if isinstance(spot.content, list) else [spot.content]:
        concept, reference = concept_and_reference(item)
        inner = Spot(spot.record, spot.resource, spot.element, concept or item, spot.said, codes)
        if concept:
            return mapped(inner)
        if reference and (name := named(inner)):
            inner.content = {"text": name}
            return mapped(inner)
    return None


CONVERTERS: Final[dict[str, Converter]] = {
    "code": mapped,
    "word": word,
    "label": words,
    "province": province,
    "name": person_name,
    "phone": phone,
    "place": place,
    "date": date,
    "datetime": datetime,
    "int": integer,
    "deceased": deceased,
    "institution": reference_name,
    "organisation": reference_name,
    "organisation-code": institution_code,
    "department": department,
}
"""By the ``type`` of the base table. Other types are read as a whole by readers of their own."""
