"""How one sender fills HL7 v2: its dialect, compiled once so that reading a message is a walk over plans.

The base table (`fields`) says what a field means, the dialect file (`dialect_file`) where this sender does otherwise. Five dialects of
Chinese senders and the standard come with the package (``dialects/*.toml``); a hospital's own file extends one of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path as FilePath
from typing import Final

from adapters.hl7v2 import dialect_file
from adapters.hl7v2.datatypes import CONVERTERS, Source
from adapters.hl7v2.dialect_file import BUILT_IN, DialectFile
from adapters.hl7v2.fields import Row, base_table
from adapters.hl7v2.message import Message, Path, path
from gateway.model.errors import ConfigurationError
from mappings.code_map import CodeMap, base_codes
from mappings.dialect_codes import dialect_codes
from mappings.dialect_files import faulty
from mappings.dialect_rules import Rule, rules

__all__ = ["BUILT_IN", "Dialect", "Slot", "dialect", "recognised"]

_OWN_READERS = ("identifier", "address")
_OWN_SEGMENTS = ("AL1", "OBX")


@dataclass(frozen=True, slots=True)
class Slot:
    """A place of a number: see `dialect_file.Place`. ``types`` are compared without regard to case. ``repetition`` is 0 where the
    place names none, so that every repetition is looked at."""

    spot: Path
    place: str
    types: frozenset[str]
    types_in: int
    visits: frozenset[str]
    repetition: int


class Dialect:
    """A compiled dialect; get one with `dialect`."""

    def __init__(self, file: DialectFile, origin: str) -> None:
        self.id: Final = file.id
        self.name: Final = file.name
        self.file: Final = file
        self._origin = origin
        self.maps: Final = self._code_maps()
        self.identifiers: Final = {kind: self._slots(kind) for kind in file.identifiers}
        self.recognise: Final = self._patterns()
        self.systems: Final = file.systems
        self.address_kind: Final = file.address_kind
        self.pathology_number: Final = self._number_pattern()
        self.drug_kind_at: Final = self._spot("medications.kind_at", file.medications.kind_at, "RXO")
        self.drug_kinds: Final = frozenset(file.medications.drug_kinds)
        self._rows = self._placed_rows()
        self.members: Final = self._group_members()
        self.results: Final = {name: source for name, source, row in self._rows if source.spot.segment == "OBX" and not row.group}
        self._plans: dict[frozenset[str], tuple[Rule[Source], ...]] = {}

    def __repr__(self) -> str:
        return f"<Dialect {self.id}>"

    def plan(self, occasions: frozenset[str]) -> tuple[Rule[Source], ...]:
        """The rules for paths of the stay on these occasions (the ``when`` of the base table)."""
        plan = self._plans.get(occasions)
        if plan is None:
            plan = self._plans[occasions] = rules(
                (p, s) for p, s, row in self._rows if not row.group and (not row.when or row.when in occasions) and _flat(row, s)
            )
        return plan

    def recognises(self, message: Message) -> bool:
        """Whether every pattern of the dialect matches the message. A dialect without patterns recognises none."""
        return bool(self.recognise) and all(
            pattern.fullmatch(message.value(place).strip()) is not None for place, pattern in self.recognise
        )

    def _code_maps(self) -> dict[str, CodeMap]:
        """Base maps with the dialect's own codes over them."""
        known: dict[str, str] = {}
        for row in base_table():
            if row.map:
                known.setdefault(row.map, row.value_set)
        return dialect_codes(self._origin, self.id, known, base_codes(), self.file.codes, self.file.own_codes)

    def _slots(self, kind: str) -> tuple[Slot, ...]:
        slots = []
        for number, one in enumerate(self.file.identifiers[kind]):
            spot = self._spot(f"identifiers.{kind}[{number}].at", one.at, "")
            assert spot is not None
            if not spot.segment:
                raise faulty(self._origin, f"identifiers.{kind}[{number}].at", "应写明段名，如 PID-3", "name the segment")
            types = frozenset(word.casefold() for word in one.types)
            slots.append(Slot(spot, one.at, types, one.types_in, frozenset(one.visits), spot.repetition if "[" in one.at else 0))
        return tuple(slots)

    def _patterns(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        patterns = []
        for place, pattern in self.file.recognise.items():
            self._spot(f"recognise.{place}", place, "")
            patterns.append((place, self._pattern(f"recognise.{place}", pattern)))
        return tuple(patterns)

    def _number_pattern(self) -> re.Pattern[str] | None:
        if not self.file.pathology.number:
            return None
        pattern = self._pattern("pathology.number", self.file.pathology.number)
        if "number" not in pattern.groupindex:
            raise faulty(self._origin, "pathology.number", "缺少名为 number 的分组", "needs a group named number")
        return pattern

    def _pattern(self, key: str, text: str) -> re.Pattern[str]:
        try:
            return re.compile(text)
        except re.error as error:
            raise faulty(self._origin, key, f"正则表达式不正确：{error}", f"not a regular expression: {error}") from error

    def _spot(self, key: str, text: str, segment: str) -> Path | None:
        """A path, of ``segment`` when that is given. None for an empty text."""
        if not text:
            return None
        try:
            spot = path(text)
        except ConfigurationError as error:
            raise faulty(self._origin, key, f"路径“{text}”写法不对，应如 PID-3[2].1", f"not an HL7 path: {text!r}") from error
        if segment and spot.segment != segment:
            raise faulty(self._origin, key, f"应为 {segment} 段中的位置", f"should be a place in {segment}")
        return spot

    def _placed_rows(self) -> list[tuple[str, Source, Row]]:
        """Rows of the base table with their sources: those of the dialect where it names its own places."""
        rows = [row for row in base_table() if row.path]
        known: dict[str, Row] = {}
        for row in rows:
            known.setdefault(row.path, row)
        for name in self.file.fields:
            if name not in known or known[name].type in _OWN_READERS:
                raise faulty(self._origin, f"fields.{name}", "基础表中没有这一项，或应写在 identifiers 中", "not in the base table")
        placed = []
        own: set[str] = set()
        for row in rows:
            if row.path not in self.file.fields:
                if row.field and row.type not in _OWN_READERS and (source := self._source(row, row.field)) is not None:
                    placed.append((row.path, source, row))
            elif row.path not in own:
                own.add(row.path)
                for place in self.file.fields[row.path]:
                    spot = self._spot(f"fields.{row.path}", place, "")
                    if spot is None or not spot.segment:
                        raise faulty(self._origin, f"fields.{row.path}", "应写明段名，如 PID-5.2", "name the segment")
                    type = "code" if row.type == "department" else row.type
                    placed.append((row.path, Source(place, spot, CONVERTERS[type], self.maps.get(row.map)), row))
        return placed

    def _source(self, row: Row, place: str) -> Source | None:
        location = self.file.location
        codes = self.maps.get(row.map)
        if row.type == "department":
            if not (location.department or location.department_name):
                return None
            return Source(place, path(place), CONVERTERS["department"], codes, location.department, location.department_name)
        if row.type == "ward":
            return Source(place, path(f"{place}.{location.ward}"), CONVERTERS["ward"]) if location.ward else None
        return Source(place, path(place), CONVERTERS[row.type], codes)

    def _group_members(self) -> dict[tuple[str, str], tuple[Rule[Source], ...]]:
        """Members of groups by (group, segment): the part of a group that one segment carries."""
        collected: dict[tuple[str, str], list[tuple[str, Source]]] = {}
        for name, source, row in self._rows:
            if row.group:
                collected.setdefault((row.group, source.spot.segment), []).append((name.partition(".")[2], source))
        return {key: rules(members) for key, members in collected.items()}


def _flat(row: Row, source: Source) -> bool:
    return row.type not in _OWN_READERS and source.spot.segment not in _OWN_SEGMENTS


def dialect(name_or_path: str | FilePath) -> Dialect:
    """The built-in dialect of that name, or the one in a ``.toml`` file. Raises `ConfigurationError` that names the key at fault."""
    name = str(name_or_path)
    return _built_in(name) if name in BUILT_IN else Dialect(dialect_file.read(name), name)


@cache
def _built_in(name: str) -> Dialect:
    return Dialect(dialect_file.read(name), name)


def recognised(message: Message) -> Dialect | None:
    """The only built-in dialect that recognises the message by its header; None when none or several do."""
    found = [one for one in map(_built_in, BUILT_IN) if one.recognises(message)]
    return found[0] if len(found) == 1 else None
