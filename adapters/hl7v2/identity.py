"""Who the message is about and which visit: numbers from the places that the dialect names, the resident ID checked by its check digit.

Rules (decisions, `gateway.model.resident_id`, and observed dialects): the configured place first; a resident ID there that fails its check
is kept as sent, remarked, never repaired and never used as a key; only when no number stands there, one of the right shape and check digit
is looked for in PID-3, PID-4, PID-19 and PID-2. Birth date and sex that were not sent are derived from a number whose check digit is right
and marked so; those that were sent are compared, and neither overwrites the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from adapters.hl7v2.datatypes import component, components
from adapters.hl7v2.dialect import Dialect, Slot
from adapters.hl7v2.message import NULL, Segment, Segments
from adapters.hl7v2.remarks import remark
from gateway.model import resident_id
from gateway.model.facts import VISIT_KINDS, Fact, PatientKey, Remark, VisitKey, VisitKind
from gateway.model.values import Coded

_SHAPES_STAND_IN: Final = (3, 4, 19, 2)
_RESIDENT_ID_CARD: Final = Coded("RC038", "1")
_KEYS: Final = frozenset(("record_number", "resident_id", "visit_number", "admission_number", "health_card"))
_PRIOR: Final = {("PID", 3): 1, ("PID", 2): 4}
"""Where MRG repeats a field of PID."""


@dataclass(slots=True)
class Identity:
    """The keys of a message, and what they assert."""

    patient: PatientKey
    visit: VisitKey
    facts: list[Fact] = field(default_factory=list)
    trusted_id: str = ""
    """a resident ID with the right check digit"""
    trusted_at: str = ""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as found, and where."""

    text: str
    place: str


def identify(dialect: Dialect, segments: Segments, remarks: list[Remark]) -> Identity:
    """The patient and the visit of a message."""
    kind = visit_kind(dialect, segments, remarks)
    numbers = _Numbers(segments, kind)
    slots = dialect.identifiers
    facts: list[Fact] = []

    person = _resident_id(dialect, numbers, remarks)
    sort = resident_id.verdict(person.text) if person else "other"
    if person:
        facts.append(Fact("patient.identity.number", person.text, person.place))
        if sort != "other":
            facts.append(Fact("patient.identity.kind", _RESIDENT_ID_CARD, person.place, derived=True))

    record = next((one for one in numbers.at(slots.get("record_number", ())) if resident_id.is_record_number(one.text)), None)
    if record:
        facts.append(Fact("record_number", record.text, record.place))
    card = numbers.first(slots.get("health_card", ()))
    if card:
        facts.append(Fact("patient.health_card", card.text, card.place))
    times = _admission_number(numbers.at(slots.get("admission_number", ())), remarks)
    if times:
        facts.append(Fact("admission_number", int(times.text), times.place))
    visit = numbers.first(slots.get("visit_number", ()))

    others = {
        name: found.text for name, places in slots.items() if name not in _KEYS and (found := numbers.first(places)) is not None
    }
    trusted = person is not None and sort in ("right", "unchecked")
    return Identity(
        PatientKey(record.text if record else "", person.text if person and trusted else "", others),
        VisitKey(visit.text if visit else "", int(times.text) if times else None, kind),
        facts,
        person.text if person and sort == "right" else "",
        person.place if person and sort == "right" else "",
    )


def visit_kind(dialect: Dialect, segments: Segments, remarks: list[Remark]) -> Literal["", VisitKind]:
    """``inpatient`` and so on from the patient class, empty when it is not said or has no mapping."""
    for rule in dialect.members.get(("VisitKey", "PV1"), ()):
        for source in rule.sources:
            segment = segments.first(source.spot.segment)
            raw = segment.at(source.spot) if segment is not None else None
            if segment is None or not raw or raw == NULL or source.codes is None:
                continue
            parts = components(segment, raw)
            target, _ = source.codes.find(component(segment, parts, 1), component(segment, parts, 2))
            if target is None:
                remarks.append(remark("unmapped-code", source.place))
            return VISIT_KINDS.get(target or "", "")
    return ""


def merged_from(dialect: Dialect, segments: Segments, remarks: list[Remark]) -> list[str]:
    """Record numbers that now belong to this patient (MRG-1, told apart as in PID-3; without type words its first repetition)."""
    prior: list[str] = []
    for segment in segments.all("MRG"):
        found = ""
        for slot in dialect.identifiers.get("record_number", ()):
            number = _PRIOR.get((slot.spot.segment, slot.spot.field))
            if number is None or found:
                continue
            there = (_number(segment, parts, place, slot) for place, parts in _repetitions(segment, number))
            found = next((text for text in there if text and resident_id.is_record_number(text)), "")
        if not found:
            parts = components(segment, (segment.field(1) or "").partition(segment.delimiters.repetition or "~")[0])
            found = component(segment, parts, 1) if not component(segment, parts, 5) else ""
        if found and found not in prior:
            prior.append(found)
    if not prior:
        remarks.append(remark("merge-without-number", "MRG-1"))
    return prior


def check_against_id(identity: Identity, facts: list[Fact], remarks: list[Remark]) -> None:
    """Compare birth date and sex of ``facts`` with the resident ID, and derive them where they were not sent."""
    if identity.trusted_id:
        derived, disagreeing = resident_id.compared(identity.trusted_id, identity.trusted_at, facts)
        facts += derived
        remarks += [remark(rule, fact.source) for rule, fact in disagreeing]


def _resident_id(dialect: Dialect, numbers: _Numbers, remarks: list[Remark]) -> Number | None:
    """The number in the first configured place that has one, else the only one of the right shape elsewhere."""
    told = ((found.text, found.place) for found in numbers.at(dialect.identifiers.get("resident_id", ())))
    number, place, rules = resident_id.chosen(told, _standing_in(numbers.segments))
    remarks += [remark(rule, where) for rule, where in rules]
    return Number(number, place) if number else None


def _standing_in(segments: Segments) -> Iterator[tuple[str, str]]:
    """(number, place) of all that a resident ID may hide among."""
    person = segments.first("PID")
    if person is not None:
        for field_number in _SHAPES_STAND_IN:
            for place, parts in _repetitions(person, field_number):
                yield component(person, parts, 1), place


def _admission_number(candidates: Iterator[Number], remarks: list[Remark]) -> Number | None:
    for found in candidates:
        if found.text.isascii() and found.text.isdigit() and int(found.text[:6]) > 0 and len(found.text) <= 4:
            return found
        remarks.append(remark("not-a-number", found.place))
    return None


@dataclass(slots=True)
class _Numbers:
    """The numbers that a message carries; each field is cut into repetitions once."""

    segments: Segments
    kind: str
    _cut: dict[tuple[str, int], list[tuple[str, list[str]]]] = field(default_factory=dict)

    def at(self, slots: tuple[Slot, ...]) -> Iterator[Number]:
        """What stands in the slots, in their order; empty repetitions are passed over."""
        for slot in slots:
            if slot.visits and self.kind not in slot.visits:
                continue
            segment = self.segments.first(slot.spot.segment)
            if segment is None:
                continue
            key = (segment.name, slot.spot.field)
            repetitions = self._cut.get(key)
            if repetitions is None:
                repetitions = self._cut[key] = list(_repetitions(segment, slot.spot.field))
            for place, parts in repetitions:
                if text := _number(segment, parts, place, slot):
                    yield Number(text, place)

    def first(self, slots: tuple[Slot, ...]) -> Number | None:
        """The first of them."""
        return next(self.at(slots), None)


def _repetitions(segment: Segment, number: int) -> Iterator[tuple[str, list[str]]]:
    """(place, components) of the repetitions of a field that are not empty."""
    whole = segment.field(number)
    if not whole:
        return
    mark = segment.delimiters.repetition
    if not mark or mark not in whole:
        yield f"{segment.name}-{number}", components(segment, whole)
        return
    for position, raw in enumerate(whole.split(mark), 1):
        if raw:
            yield f"{segment.name}-{number}[{position}]", components(segment, raw)


def _number(segment: Segment, parts: list[str], place: str, slot: Slot) -> str:
    """The number of one repetition, if the slot means it."""
    if slot.types:
        word = parts[slot.types_in - 1] if slot.types_in <= len(parts) else ""
        if word.strip().casefold() not in slot.types:
            return ""
    if slot.repetition and not place.endswith(f"[{slot.repetition}]") and (slot.repetition > 1 or place.endswith("]")):
        return ""
    spot = slot.spot
    if not spot.subcomponent:
        return component(segment, parts, spot.component or 1)
    if spot.component > len(parts):
        return ""
    pieces = parts[spot.component - 1].split(segment.delimiters.subcomponent or "&")
    return segment.plain(pieces[spot.subcomponent - 1]).strip() if spot.subcomponent <= len(pieces) else ""
