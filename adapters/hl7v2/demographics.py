"""What several repetitions or segments say together of the person: addresses by their kind (PID-11, XAD.7) and allergies (AL1)."""

from __future__ import annotations

from typing import Final

from adapters.hl7v2.datatypes import address_text, component, components, is_null
from adapters.hl7v2.dialect import Dialect
from adapters.hl7v2.message import Segment, Segments
from adapters.hl7v2.remarks import remark
from gateway.model.facts import Fact, Remark

_KINDS: Final = {
    "C": "present", "H": "present", "M": "present",
    "L": "registered", "P": "registered",
    "B": "employer", "O": "employer",
    "N": "birthplace", "BR": "birthplace", "F": "birthplace",
}  # fmt: skip
"""HL7 table 0190 as Chinese senders use it: present (现住址), registered (户口), employer, birthplace."""

_TEXT: Final = {
    "present": "patient.address.text",
    "registered": "patient.registered_address.text",
    "employer": "patient.employer.text",
    "birthplace": "patient.birthplace",
}


def addresses(dialect: Dialect, person: Segment, facts: list[Fact], remarks: list[Remark]) -> None:
    """Add the addresses of PID-11 to ``facts``; the first of a kind counts, and a birthplace only where none is stated."""
    whole = person.field(11)
    if not whole:
        return
    seen = {fact.path for fact in facts if fact.path == "patient.birthplace"}
    mark = person.delimiters.repetition
    for position, raw in enumerate(whole.split(mark) if mark else [whole], 1):
        place = f"PID-11[{position}]" if mark and mark in whole else "PID-11"
        if not raw or is_null(person, raw):
            continue
        parts = components(person, raw)
        text = address_text(person, parts)
        postcode = component(person, parts, 5)
        if not (text or postcode):
            continue
        kind = _KINDS.get(component(person, parts, 7).upper(), "") or dialect.address_kind
        if not kind:
            remarks.append(remark("address-kind", place))
            continue
        path = _TEXT[kind]
        if path in seen:
            continue
        seen.add(path)
        if text:
            facts.append(Fact(path, text, place))
        if postcode and kind != "birthplace":
            facts.append(Fact(path.removesuffix("text") + "postcode", postcode, place))


def allergies(dialect: Dialect, segments: Segments, facts: list[Fact], remarks: list[Remark]) -> None:
    """Add allergy to drugs: present with the drugs' names when an AL1 of a drug names one, absent when a word for none is all there is."""
    allergens, types = dialect.maps["allergen"], dialect.maps["allergy-type"]
    drugs: list[str] = []
    first = none = ""
    for number, segment in enumerate(segments.all("AL1"), 1):
        place = f"AL1[{number}]-3"
        parts = components(segment, segment.field(3) or "")
        code, label = component(segment, parts, 1), component(segment, parts, 2)
        type_parts = components(segment, segment.field(2) or "")
        said, _ = allergens.find(code, label)
        if said == "1":
            none = none or place
            continue
        kind, _ = types.find(component(segment, type_parts, 1), component(segment, type_parts, 2))
        if kind == "2" and (label or code):
            first = first or place
            if (label or code) not in drugs:
                drugs.append(label or code)
        elif kind is None and (label or code):
            remarks.append(remark("unknown-word", f"AL1[{number}]-2"))
    if drugs:
        facts.append(Fact("allergy.present", allergens.coded("2"), first))
        facts.append(Fact("allergy.drugs", "、".join(drugs), first))
    elif none:
        facts.append(Fact("allergy.present", allergens.coded("1"), none))
