"""An HL7 v2 message read lazily: the bytes are kept, the text is cut into segments at once and into fields only when asked.

>>> message = Message.read(raw)
>>> message.value("PID-3[2].1")

**Paths** count from 1 as HL7 prints them: ``PID-3[2].1.2`` is subcomponent 2 of component 1 of repetition 2 of PID-3,
``OBX[3]-5`` the fifth field of the third OBX. Without a repetition the first is meant, without a component the whole repetition.
Asked of a `Segment`, the name is left out: ``3[2].1.2``.

**Nothing sent is of three kinds**: absent (None), empty (``""``) and the explicit null, two quotation marks, by which a sender says
that the old value is to be deleted. `raw` tells them apart; `value` is an empty string for each. Below an explicit null everything
is null.

Segment and field rules: HL7 v2.x chapter 2. Observed dialects: CR, LF and CRLF end segments, mixed too; free text holds bare line
ends, so that a line which does not begin like a segment continues the one before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, Self, overload

from adapters.hl7v2.charset import Reading, read
from adapters.hl7v2.delimiters import Delimiters, unescape
from adapters.hl7v2.header import Header
from adapters.hl7v2.refusal import refused
from gateway.model.errors import ConfigurationError

NULL: Final = '""'
"""The explicit null: delete what you have."""

LONGEST: Final = 10 << 20
"""The size limit of a message in bytes, unless told otherwise."""

_HEADERS = frozenset(("MSH", "BHS", "FHS"))
_PATH = re.compile(
    r"(?:([A-Z][A-Z0-9]{2})(?:\[([1-9]\d{0,5})\])?-)?([1-9]\d{0,4})(?:\[([1-9]\d{0,5})\])?(?:\.([1-9]\d{0,3})(?:\.([1-9]\d{0,3}))?)?"
)
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_NEWLINES = re.compile(r"\r\n?")


class Path(NamedTuple):
    """A place in a message, everything counted from 1; component and subcomponent 0 mean the whole."""

    segment: str
    occurrence: int
    field: int
    repetition: int
    component: int
    subcomponent: int


@lru_cache(maxsize=4096)
def path(text: str) -> Path:
    """Read a path such as ``PID-3[2].1.1`` or, within a segment, ``3[2].1.1``. Raises `ConfigurationError`: paths come from
    dialect files."""
    match = _PATH.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            f"HL7 路径“{text}”写法不对", action="请按 PID-3[2].1.1 的形式填写", english=f"not an HL7 path: {text!r}"
        )
    return Path(match[1] or "", int(match[2] or 1), int(match[3]), int(match[4] or 1), int(match[5] or 0), int(match[6] or 0))


class Segment:
    """One segment. ``text`` is the segment as sent, line ends within it written as LF."""

    __slots__ = ("_codec", "_fields", "delimiters", "name", "text")

    def __init__(self, text: str, delimiters: Delimiters, codec: str) -> None:
        self.text: Final = text
        self.name: Final = text[:3]
        self.delimiters: Final = delimiters
        self._codec = codec
        self._fields: list[str] | None = None

    def __repr__(self) -> str:
        return f"<Segment {self.name}>"

    def field(self, number: int) -> str | None:
        """A whole field with all repetitions, as sent; None when it is absent."""
        fields = self._fields
        if fields is None:
            fields = self._split()
        return fields[number] if 0 < number < len(fields) else None

    def repeats(self, number: int) -> int:
        """How many repetitions a field has: 0 when it is absent or empty."""
        text = self.field(number)
        return len(self._repetitions(number, text)) if text else 0

    def raw(self, place: str) -> str | None:
        """What stands at a path as sent, escapes included; None when it is absent, `NULL` for the explicit null."""
        return self.at(path(place))

    def value(self, place: str) -> str:
        """The text at a path, escapes resolved; an empty string when it is absent, empty or null."""
        return self.plain(self.at(path(place)))

    def values(self, place: str) -> list[str]:
        """The text at a path in every repetition of its field, so that two of them can be zipped."""
        spot = path(place)
        text = self.field(spot.field)
        return [self.plain(self._within(part, spot)) for part in self._repetitions(spot.field, text)] if text else []

    def at(self, spot: Path) -> str | None:
        """`raw` for a path that is already read."""
        fields = self._fields
        if fields is None:
            fields = self._split()
        _, _, number, repetition, component, _ = spot
        if number >= len(fields):
            return None
        text = fields[number]
        mark = self.delimiters.repetition
        if mark and mark in text and not (number == 2 and self.name in _HEADERS):
            parts = text.split(mark)
            if repetition > len(parts):
                return None
            text = parts[repetition - 1]
        elif repetition > 1:
            return None
        return self._within(text, spot) if component else text

    def plain(self, raw: str | None) -> str:
        """A raw value with its escapes resolved; an empty string for nothing and for the explicit null."""
        if not raw or raw == NULL:
            return ""
        return unescape(raw, self.delimiters, self._codec) if self.delimiters.escape in raw else raw

    def _split(self) -> list[str]:
        fields = self.text.split(self.delimiters.field)
        if self.name in _HEADERS:
            fields.insert(1, self.delimiters.field)
        self._fields = fields
        return fields

    def _repetitions(self, number: int, text: str) -> list[str]:
        mark = self.delimiters.repetition
        return text.split(mark) if mark and not (number == 2 and self.name in _HEADERS) else [text]

    def _within(self, text: str, spot: Path) -> str | None:
        """A component or subcomponent of one repetition."""
        _, _, number, _, component, subcomponent = spot
        if not component or text == NULL or (number < 3 and self.name in _HEADERS):
            return text
        part = _part(text, self.delimiters.component, component)
        if not subcomponent or part is None or part == NULL:
            return part
        return _part(part, self.delimiters.subcomponent, subcomponent)


def _part(text: str, mark: str, number: int) -> str | None:
    """One of the parts that ``mark`` separates; what has no separator is its own first part."""
    if mark and mark in text:
        parts = text.split(mark)
        return parts[number - 1] if number <= len(parts) else None
    return text if number == 1 else None


class Segments(Sequence[Segment]):
    """Segments in the order sent, asked by path. ``self[n]`` counts from 0, as every sequence does; paths count from 1."""

    __slots__ = ("_by_name", "_segments")

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._segments: Final = segments
        self._by_name: dict[str, list[Segment]] | None = None

    def __len__(self) -> int:
        return len(self._segments)

    @overload
    def __getitem__(self, index: int) -> Segment: ...
    @overload
    def __getitem__(self, index: slice) -> Segments: ...
    def __getitem__(self, index: int | slice) -> Segment | Segments:
        return Segments(self._segments[index]) if isinstance(index, slice) else self._segments[index]

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._segments)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {' '.join(segment.name for segment in self._segments[:40])}>"

    def all(self, name: str) -> Sequence[Segment]:
        """Every segment of that name, in order."""
        return self._named().get(name, ())

    def first(self, name: str) -> Segment | None:
        """The first segment of that name."""
        found = self._named().get(name)
        return found[0] if found else None

    def raw(self, place: str) -> str | None:
        """What stands at a path as sent; None when it is absent, `NULL` for the explicit null."""
        spot = path(place)
        found = self._named().get(spot.segment)
        return found[spot.occurrence - 1].at(spot) if found and spot.occurrence <= len(found) else None

    def value(self, place: str) -> str:
        """The text at a path, escapes resolved; an empty string when it is absent, empty or null."""
        spot = path(place)
        found = (self._by_name or self._named()).get(spot.segment)
        if not found or spot.occurrence > len(found):
            return ""
        segment = found[spot.occurrence - 1]
        return segment.plain(segment.at(spot))

    def values(self, place: str) -> list[str]:
        """The text at a path in every repetition of its field, so that two of them can be zipped."""
        spot = path(place)
        found = self._named().get(spot.segment)
        return found[spot.occurrence - 1].values(place) if found and spot.occurrence <= len(found) else []

    def groups(self, *starts: str) -> Iterator[Segments]:
        """Runs of segments that begin with one of ``starts``, which are given in the order they take within a group.

        ``groups("OBX")`` is each OBX with what follows it; ``groups("ORC", "OBR")`` each order whether or not its ORC was sent:
        an OBR right after its ORC stays in that ORC's group. What stands before the first start belongs to no group.
        """
        rank = {name: position for position, name in enumerate(starts)}
        begin, last = -1, -1
        for index, segment in enumerate(self._segments):
            position = rank.get(segment.name)
            if position is None:
                continue
            if begin < 0 or position <= last:
                if begin >= 0:
                    yield Segments(self._segments[begin:index])
                begin = index
            last = position
        if begin >= 0:
            yield Segments(self._segments[begin:])

    def _named(self) -> dict[str, list[Segment]]:
        if self._by_name is None:
            named: dict[str, list[Segment]] = {}
            for segment in self._segments:
                if segment.name in named:
                    named[segment.name].append(segment)
                else:
                    named[segment.name] = [segment]
            self._by_name = named
        return self._by_name


class Message(Segments):
    """A message: ``raw`` bytes as received, ``text`` as decoded, and its segments.

    ``codec``, ``declared``, ``basis`` and ``contradicted`` say how it was decoded, see `adapters.hl7v2.charset.Reading`.
    """

    __slots__ = ("basis", "codec", "contradicted", "declared", "delimiters", "raw_bytes", "text")

    def __init__(self, raw: bytes, delimiters: Delimiters, reading: Reading) -> None:
        super().__init__(_segments(reading.text, delimiters, reading.codec))
        self.raw_bytes: Final = raw
        self.delimiters: Final = delimiters
        self.text: Final = reading.text
        self.codec: Final = reading.codec
        self.declared: Final = reading.declared
        self.basis: Final = reading.basis
        self.contradicted: Final = reading.contradicted

    @classmethod
    def read(cls, raw: bytes, *, charset: str = "", longest: int = LONGEST) -> Self:
        """Read one message. ``charset`` is the setting of its source, ``longest`` the limit in bytes.

        Raises `MessageRefused` (``no-msh``, ``delimiters``, ``undecodable``, ``truncated``, ``too-long``) and nothing else.
        """
        if len(raw) > longest:
            raise refused("too-long")
        header = Header.of(raw)
        return cls(raw, header.delimiters, read(raw, header, charset))

    @property
    def control_id(self) -> str:
        """MSH-10."""
        return self.value("MSH-10")

    @property
    def kind(self) -> str:
        """MSH-9.1, such as ``ORU``."""
        return self.value("MSH-9.1")

    @property
    def event(self) -> str:
        """MSH-9.2, such as ``R01``."""
        return self.value("MSH-9.2")

    @property
    def version(self) -> str:
        """MSH-12.1, such as ``2.4``."""
        return self.value("MSH-12.1").strip()


def _segments(text: str, delimiters: Delimiters, codec: str) -> list[Segment]:
    text = text.lstrip("\ufeff\r\n \t").rstrip("\r\n")
    field = delimiters.field
    if "\n" not in text:  # the usual case, quicker than the pattern
        segments = []
        for line in text.split("\r"):
            if line[3:4] != field or not _is_name(line[:3]):
                break
            segments.append(Segment(line, delimiters, codec))
        else:
            return segments
    lines = _segment_ends(field).split(text)
    return [Segment(_NEWLINES.sub("\n", line), delimiters, codec) for line in lines]


@lru_cache(maxsize=1024)
def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


@lru_cache(maxsize=64)
def _segment_ends(field: str) -> re.Pattern[str]:
    """Line ends before what looks like a segment: a name of three characters and a field separator or the end of the line. Begins
    with a plain character class and never steps back, so it takes linear time."""
    return re.compile(rf"[\r\n](?<![\r\n][\r\n])[\r\n]*+(?=[A-Z][A-Z0-9]{{2}}(?:{re.escape(field)}|[\r\n]|\Z))")
