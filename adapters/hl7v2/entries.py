"""Entries of a group as segments carry them: the members that the base table and the dialect find in one segment, and what an action code
asks for (DG1-21, PR1-20)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from adapters.hl7v2.datatypes import Element, Source, Value, component, components
from adapters.hl7v2.dialect import Dialect
from adapters.hl7v2.message import NULL, Segment
from gateway.model.facts import Action, Remark
from gateway.model.values import Coded

ACTIONS: Final[Mapping[object, Action]] = {"add": "add", "update": "update", "delete": "delete"}


def members(
    dialect: Dialect, group: str, segment: Segment, where: str, remarks: list[Remark], leave: Iterable[str] = ()
) -> dict[str, Value]:
    """What a segment says of a group: member to value. ``where`` names the segment in remarks (``DG1[2]``)."""
    found: dict[str, Value] = {}
    for rule in dialect.members.get((group, segment.name), ()):
        if rule.path in leave:
            continue
        for source in rule.sources:
            raw = segment.at(source.spot)
            if not raw or raw == NULL:
                continue
            value = source.convert(Element(segment, raw, source, where + source.place[3:], remarks))
            if value is not None:
                found[rule.path] = value
                break
    return found


def source_of(dialect: Dialect, group: str, segment: Segment, member: str) -> Source | None:
    """The first place of a member of a group in this kind of segment."""
    for rule in dialect.members.get((group, segment.name), ()):
        if rule.path == member:
            return rule.sources[0]
    return None


def coded_element(segment: Segment, source: Source | None) -> list[str]:
    """The components at a source, escapes resolved; an empty list when nothing stands there."""
    if source is None:
        return []
    raw = segment.at(source.spot)
    if not raw or raw == NULL:
        return []
    parts = components(segment, raw)
    return [component(segment, parts, number) for number in range(1, len(parts) + 1)]


def classified(code: str, name: str, shape: re.Pattern[str], system: str, own_system: str) -> Coded:
    """A code of a classification that is told by its shape. Other codes are the sender's own; a name alone is not coded yet."""
    if not code:
        return Coded("", None, name or None)
    return Coded(system if shape.match(code) else own_system, code, name or None)


def text_of(value: Value | None) -> str | None:
    """A member that is text."""
    return value if isinstance(value, str) else None


def number_of(value: Value | None) -> int | None:
    """A member that is a number; 0 says that the entry is not ranked."""
    return value if isinstance(value, int) and value > 0 else None


def coded_of(value: Value | None) -> Coded | None:
    """A member that is a coded value."""
    return value if isinstance(value, Coded) else None


def states_no_entry(segment: Segment) -> bool:
    """A segment that holds an explicit null where its entry would stand: the group is stated to be empty."""
    return NULL in (segment.field(1), segment.field(3))
