"""HL7 v2 as the standard defines it, version by version: the structure of a message and the fields of a segment.

The tables are those of hl7apy (2.1 to 2.8.2), which are the standard's own; only its tables are used. Its parser builds an object for
every field and raises on what real messages hold (local events, shifted fields), and the texts of its errors hold the message. Field
numbers are taken from the tables' names, because the tables leave out withdrawn fields. Chinese names are ours (``field_names.toml``).

What the tables do not say is which events share a structure (HL7 table 0354, for events without a structure of their own).
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

from hl7apy import SUPPORTED_LIBRARIES, load_library

VERSIONS: Final = tuple(sorted(SUPPORTED_LIBRARIES))

_SHARED: Final = {
    "ADT_A01": "ADT_A04 ADT_A05 ADT_A08 ADT_A13 ADT_A14 ADT_A28 ADT_A31",
    "ADT_A05": "ADT_A14 ADT_A28 ADT_A31",
    "ADT_A06": "ADT_A07",
    "ADT_A09": "ADT_A10 ADT_A11 ADT_A12",
    "ADT_A21": "ADT_A22 ADT_A23 ADT_A25 ADT_A26 ADT_A27 ADT_A29 ADT_A32 ADT_A33",
    "ADT_A30": "ADT_A34 ADT_A35 ADT_A36 ADT_A46 ADT_A47 ADT_A48 ADT_A49",
    "ADT_A39": "ADT_A40 ADT_A41 ADT_A42",
    "ADT_A43": "ADT_A44",
    "ADT_A50": "ADT_A51",
    "ADT_A52": "ADT_A53 ADT_A55",
    "ADT_A61": "ADT_A62",
    "MDM_T01": "MDM_T03 MDM_T05 MDM_T07 MDM_T09 MDM_T11",
    "MDM_T02": "MDM_T04 MDM_T06 MDM_T08 MDM_T10",
    "RDE_O11": "RDE_O25",
    "SIU_S12": " ".join(f"SIU_S{number}" for number in range(13, 27)),
    "SRM_S01": " ".join(f"SRM_S{number:02d}" for number in range(2, 12)),
    "SRR_S01": " ".join(f"SRR_S{number:02d}" for number in range(2, 12)),
}
"""Structure to the events that use it. Where two structures name an event, the later one is the newer and is tried first."""


_OPEN: Final = re.compile(r"\.\.\.|…| _$|<")
"""How a table says "and so on" or "nothing"."""


class FieldRule(NamedTuple):
    """A field by the standard: English name, data type, HL7 table (empty for none) and cardinality; ``most`` is -1 for any number."""

    english: str
    type: str
    table: str
    least: int
    most: int


@dataclass(frozen=True)
class Node:
    """A segment or a group of segments at its place in a structure. ``children`` is empty for a segment; of a ``choice`` one stands."""

    name: str
    least: int
    most: int
    children: tuple[Node, ...] = ()
    choice: bool = False

    @cached_property
    def members(self) -> frozenset[str]:
        """Every segment that can stand in it."""
        return frozenset().union(*(child.members for child in self.children)) if self.children else frozenset((self.name,))

    @cached_property
    def first(self) -> frozenset[str]:
        """The segments that it can begin with."""
        found: set[str] = set() if self.children else {self.name}
        for child in self.children:
            found |= child.first
            if not (self.choice or child.may_lack):
                break
        return frozenset(found)

    @property
    def may_lack(self) -> bool:
        """Whether nothing of it needs to be sent."""
        return self.least == 0 or (bool(self.children) and all(child.may_lack for child in self.children))


class Standard:
    """One version; get it with `standard`."""

    def __init__(self, version: str) -> None:
        self.version: Final = version
        self._library: Any = load_library(version)

    def structure(self, kind: str, event: str, declared: str) -> Node | None:
        """The structure of a message: the one it declares (MSH-9.3) where the version has it, else that of its event (MSH-9.1, 9.2). None
        for an event of the sender's own."""
        own = f"{kind}_{event}" if event else kind
        shared = [name for name, events in reversed(_SHARED.items()) if own in events.split()]
        for name in (declared, own, *shared):
            if name in self._library.MESSAGES:
                return _node(name, self._library.MESSAGES[name], (1, 1))
        return None

    def knows_structure(self, name: str) -> bool:
        """Whether the version has a structure of that name."""
        return name in self._library.MESSAGES

    def fields(self, segment: str) -> dict[int, FieldRule] | None:
        """The fields of a segment by number; None for a segment that the version does not have."""
        return _fields(self.version, segment)

    def table(self, name: str) -> frozenset[str]:
        """The codes of an HL7 table; empty where the version does not list them all (``2 ...``)."""
        found = getattr(self._library, "TABLES", {}).get(name)
        codes = found[1] if found else ()
        return frozenset() if any(_OPEN.search(code) for code in codes) else frozenset(codes)


@cache
def standard(version: str) -> Standard | None:
    """A version of HL7 v2 such as ``2.4``; None for one that there is not."""
    return Standard(version) if version in VERSIONS else None


@lru_cache(maxsize=4096)
def _fields(version: str, segment: str) -> dict[int, FieldRule] | None:
    entry = load_library(version).SEGMENTS.get(segment)
    if entry is None:
        return None
    rules = {}
    for child in entry[1] if len(entry) > 1 else ():
        if len(child) != 4 or not child[1] or not child[0].startswith(f"{segment}_"):
            continue
        _, _, type, english, table, _ = child[1]
        rules[int(child[0].rpartition("_")[2])] = FieldRule(english.replace("_", " "), type or "", table or "", *child[2])
    return rules


def _node(name: str, entry: Any, cardinality: tuple[int, int], *, segment: bool = False) -> Node:
    if segment or len(entry) < 2:
        return Node(name, *cardinality)
    children = tuple(_node(child[0], child[1], child[2], segment=child[3] == "SEG") for child in entry[1])
    return Node(name, *cardinality, children, entry[0] == "choice")


def chinese_name(segment: str, field: int = 0) -> str:
    """The Chinese name of a segment or one of its fields; empty where we have none."""
    return _chinese_names().get(segment, {}).get(str(field) if field else "name", "")


@cache
def _chinese_names() -> dict[str, dict[str, str]]:
    return tomllib.loads(files("adapters.hl7v2").joinpath("field_names.toml").read_text(encoding="utf-8"))
