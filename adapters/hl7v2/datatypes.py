"""Field content by its type: how the raw text of a place becomes a value of the model.

A `Source` is one place that a value may stand at, compiled from the base table and the dialect; an `Element` is what stands there in one
message. A converter returns the value, or None when the text says nothing usable, and remarks what a person should know.

Components are read leniently: CE, CWE and CX by position, a bare text as their first component (HL7 v2.x chapter 2A).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from adapters.hl7v2.message import NULL, Path, Segment
from adapters.hl7v2.remarks import remark
from gateway.model.facts import Remark
from gateway.model.names import is_chinese, joined
from gateway.model.times import china_date, china_time
from gateway.model.values import Coded
from mappings.code_map import CodeMap

Value = Coded | int | str


@dataclass(frozen=True, slots=True)
class Source:
    """A place and how it is read. ``place`` is the path as a person writes it (``PID-5.2``). ``code`` and ``label`` are the
    components of a coded value that do not stand where CWE has them (department codes within PV1-3)."""

    place: str
    spot: Path
    convert: Converter
    codes: CodeMap | None = None
    code: int = 1
    label: int = 2

    def read(self, segment: Segment, remarks: list[Remark], place: str = "") -> Value | None:
        """The value at this source of ``segment``, or None. ``place`` is what to call it in a remark (``DG1[2]-3``)."""
        raw = segment.at(self.spot)
        if not raw or raw == NULL:
            return None
        return self.convert(Element(segment, raw, self, place or self.place, remarks))


class Element:
    """What stands at a source: the raw text of one repetition or of a part of it, neither empty nor the explicit null."""

    __slots__ = ("_parts", "place", "raw", "remarks", "segment", "source")

    def __init__(self, segment: Segment, raw: str, source: Source, place: str, remarks: list[Remark]) -> None:
        self.segment: Final = segment
        self.raw: Final = raw
        self.source: Final = source
        self.place: Final = place
        self.remarks: Final = remarks
        self._parts: list[str] = components(segment, raw)

    def part(self, number: int) -> str:
        """Component ``number``."""
        return component(self.segment, self._parts, number)

    @property
    def code_and_label(self) -> tuple[str, str]:
        """The two sides of a coded value."""
        return self.part(self.source.code), self.part(self.source.label)

    @property
    def is_part(self) -> bool:
        """Whether the source names a component itself, so that there is nothing to choose from."""
        return self.source.spot.component > 0

    def remark(self, rule: str) -> None:
        """Remark something about this place."""
        self.remarks.append(remark(rule, self.place))


Converter = Callable[[Element], Value | None]


def components(segment: Segment, raw: str) -> list[str]:
    """The components of one repetition, as sent."""
    mark = segment.delimiters.component
    return raw.split(mark) if mark and mark in raw else [raw]


def component(segment: Segment, parts: list[str], number: int) -> str:
    """Component ``number``, escapes resolved, blanks at the ends gone; the first subcomponent where there are several."""
    if not 0 < number <= len(parts):
        return ""
    text = parts[number - 1]
    if not text or text == NULL:
        return ""
    marks = segment.delimiters
    if marks.subcomponent and marks.subcomponent in text:
        text = text.partition(marks.subcomponent)[0]
    if marks.escape and marks.escape in text:
        text = segment.plain(text)
    return text.strip()


def is_null(segment: Segment, raw: str) -> bool:
    """Whether a repetition is the explicit null, alone or as the first of otherwise empty components."""
    return raw.startswith(NULL) and not raw[2:].strip(segment.delimiters.component + '"')


def text(element: Element) -> str | None:
    """The first component as text."""
    return element.part(1) or None


def coded(element: Element) -> Coded | None:
    """A coded element through its map. What the map does not know is kept under the sender's own system and remarked."""
    code, label = element.code_and_label
    codes = element.source.codes
    if not (code or label) or codes is None:
        return None
    target, disagree = codes.find(code, label)
    if disagree:
        element.remark("code-label-disagree")
    if target:
        return codes.coded(target)
    if target == "":
        return None
    if codes.value_set:
        element.remark("unmapped-code")
    if not label and is_chinese(code):
        code, label = "", code
    return Coded(codes.own_system, code or None, label or None)


def word(element: Element) -> str | None:
    """A coded element as one of our own words (``inpatient``, ``final``). An unknown one is remarked and left out."""
    code, label = element.code_and_label
    if not (code or label) or element.source.codes is None:
        return None
    target, disagree = element.source.codes.find(code, label)
    if disagree:
        element.remark("code-label-disagree")
    if target is None:
        element.remark("unknown-word")
    return target or None


def label(element: Element) -> str | None:
    """A coded element or text as its words: the label, or what the map makes of the code. A bare area code is no words."""
    code, words = element.code_and_label
    if words:
        return words
    if element.source.codes is not None:
        target, _ = element.source.codes.find(code)
        if target is not None:
            return target or None
    if code.isdigit() and len(code) in (6, 9, 12):
        element.remark("area-code")
        return None
    return code or None


def province(element: Element) -> Coded | None:
    """The province that a native place begins with (``广东省深圳市``)."""
    code, words = element.code_and_label
    words = words or code
    codes = element.source.codes
    if not words or codes is None:
        return None
    best = max((name for name in codes.labels if name and words.startswith(name)), key=len, default="")
    if best:
        return codes.coded(codes.labels[best])
    element.remark("unmapped-code")
    return Coded(codes.own_system, code if code != words else None, words)


def name(element: Element) -> str | None:
    """XPN: one name. Of several repetitions the Chinese one (XPN.8 I, or by its characters)."""
    if element.is_part:
        return element.part(1) or None
    segment = element.segment
    mark = segment.delimiters.repetition
    whole = segment.field(element.source.spot.field) or ""
    candidates = whole.split(mark) if mark and mark in whole else [element.raw]
    names = [_person(segment, candidate) for candidate in candidates]
    return next((one for one in names if is_chinese(one)), next((one for one in names if one), None))


def _person(segment: Segment, raw: str) -> str:
    parts = components(segment, raw)
    return joined([component(segment, parts, number) for number in (1, 2, 3)])


def staff(element: Element) -> str | None:
    """XCN: the name of a member of staff. The first component is a staff number, unless it holds the Chinese name itself."""
    if element.is_part:
        return element.part(1) or None
    number = element.part(1)
    others = joined([element.part(2), element.part(3)])
    if others and (is_chinese(others) or not is_chinese(number)):
        return others
    return number if is_chinese(number) else None


def phone(element: Element) -> str | None:
    """XTN: the number in its first component, else the unformatted one (12), else area and number (6, 7)."""
    return element.part(1) or element.part(12) or (element.part(6) + element.part(7)) or None


def place_name(element: Element) -> str | None:
    """XAD as one text."""
    return address_text(element.segment, components(element.segment, element.raw)) or None


def address_text(segment: Segment, parts: list[str]) -> str:
    """An address as printed: province, city, district, street. What the street line already holds is not said twice."""
    street = component(segment, parts, 1)
    before = ""
    for number in (4, 3, 9):
        piece = component(segment, parts, number)
        if is_chinese(piece) and piece not in street and piece not in before:
            before += piece
    return before + street + component(segment, parts, 2)


def date(element: Element) -> str | None:
    """A date; a time of day is left out."""
    found = element.part(1)
    day = china_date(found)
    if day is None and found:
        element.remark("birth-date-not-a-date" if element.segment.name == "PID" else "not-a-time")
    return day


def datetime(element: Element) -> str | None:
    """A time with the precision it came with."""
    found = element.part(1)
    moment = china_time(found)
    if moment is None and found:
        element.remark("not-a-time")
    return moment


def integer(element: Element) -> int | None:
    """A whole number of at most six digits, decimal zeros allowed."""
    found = element.part(1)
    digits = found.removesuffix(".00").removesuffix(".0")
    if digits.isascii() and digits.isdigit() and len(digits) <= 6:
        return int(digits)
    if found:
        element.remark("not-a-number")
    return None


def hours(element: Element) -> str | None:
    """Minutes as hours with two decimals, which is how the front sheet prints durations."""
    minutes = integer(element)
    return None if minutes is None else str((Decimal(minutes) / 60).quantize(Decimal("0.01")))


CONVERTERS: Final[dict[str, Converter]] = {
    "text": text,
    "code": coded,
    "department": coded,
    "word": word,
    "label": label,
    "province": province,
    "name": name,
    "staff": staff,
    "phone": phone,
    "place": place_name,
    "date": date,
    "datetime": datetime,
    "int": integer,
    "minutes": hours,
    "ward": text,
}
"""By the ``type`` of the base table. ``identifier`` and ``address`` are read as a whole, by `identity` and `demographics`."""
