"""The case mix as data: disease stories (``stories.toml``) and the printed names of their codes (``codes.csv``).

Names, categories and codes are those of ICD-10 and ICD-9-CM-3 国家临床版 2.0 and of its morphology list; a test compares them. Levels,
incisions, anaesthesia and durations of operations are plausible, not official.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any

CHILD_GROUPS = ("child-tumour", "child-blood", "child-chemo", "child-other", "newborn")
DUE_GROUPS = frozenset({"child-tumour", "child-blood", "child-chemo"})
"""Groups of children whose stays are due for the children's tumour platform (with the default switches of its scope)."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A procedure. ``category`` is the word of the national list; ``-`` where an item does not apply."""

    code: str
    name: str
    category: str
    level: str
    incision: str
    anaesthesia: str
    hours: tuple[int, int]

    @property
    def surgical(self) -> bool:
        """Whether the front sheet wants level, operator and assistants."""
        return self.category in ("手术", "介入治疗")


@dataclass(frozen=True, slots=True)
class Story:
    """What one kind of patient comes for. ``stories.toml`` explains the members."""

    id: str
    group: str
    weight: int
    main: tuple[str, ...]
    dept: str
    days: tuple[int, int]
    daily: int
    age: tuple[int, int] = (0, 0)
    age_days: tuple[int, int] | None = None
    sex: str = ""
    companion: tuple[str, ...] = ()
    morphology: tuple[str, ...] = ()
    pool: tuple[str, ...] = ()
    extra: tuple[int, int] = (0, 0)
    operation: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    chance: float = 1.0
    external: tuple[str, ...] = ()
    emergency: float = 0.05
    blood: float = 0.0
    icu: float = 0.0
    death: float = 0.0
    coma: float = 0.0
    next: str = ""
    again: float = 0.0
    gap: tuple[int, int] = (0, 0)

    @property
    def tumour(self) -> bool:
        """Whether the main diagnosis is a neoplasm, for which the standard demands pathology."""
        return self.main[0][0] == "C" or "D00" <= self.main[0][:3] <= "D48"


@dataclass(frozen=True)
class CaseMix:
    """All stories with the names of their codes."""

    diagnoses: dict[str, str]
    morphologies: dict[str, str]
    operations: dict[str, Operation]
    filler_diagnoses: tuple[str, ...]
    filler_operations: tuple[Operation, ...]
    departments: dict[str, str]
    stories: dict[str, Story]
    shares: tuple[tuple[float, tuple[Story, ...]], ...]
    """Cumulative share of each group and its stories, each repeated as often as its weight says."""
    codes: tuple[tuple[str, str, str, str], ...] = field(repr=False)
    """Kind, code, name and category of every code that a sample record can hold."""


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _read_codes() -> list[dict[str, str]]:
    with files("conformance.sample").joinpath("codes.csv").open(encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def _operation(row: dict[str, str]) -> Operation:
    hours = (int(row["min_hours"] or 1), int(row["max_hours"] or 1))
    return Operation(row["code"], row["name"], row["category"], row["level"], row["incision"], row["anaesthesia"], hours)


def _cumulative(shares: dict[str, float], stories: Sequence[Story]) -> tuple[tuple[float, tuple[Story, ...]], ...]:
    total, upto, result = sum(shares.values()), 0.0, []
    for group, share in shares.items():
        upto += share / total
        result.append((upto, tuple(s for s in stories if s.group == group for _ in range(s.weight))))
    result[-1] = (1.0, result[-1][1])
    return tuple(result)


@lru_cache(maxsize=1)
def case_mix() -> CaseMix:
    """The case mix, read once."""
    rows = _read_codes()
    text = files("conformance.sample").joinpath("stories.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    stories = []
    for raw in table["stories"]:
        members = {name: _tuple(value) for name, value in raw.items()}
        members["pool"] = tuple(table["pools"][raw["pool"]]) if "pool" in raw else ()
        stories.append(Story(**members))
    operations = {row["code"]: _operation(row) for row in rows if row["kind"] == "operation"}
    return CaseMix(
        diagnoses={row["code"]: row["name"] for row in rows if row["kind"] == "diagnosis"},
        morphologies={row["code"]: row["name"] for row in rows if row["kind"] == "morphology"},
        operations=operations,
        filler_diagnoses=tuple(r["code"] for r in rows if r["kind"] == "diagnosis" and r["use"] == "filler"),
        filler_operations=tuple(operations[r["code"]] for r in rows if r["kind"] == "operation" and r["use"] == "filler"),
        departments=table["departments"],
        stories={story.id: story for story in stories},
        shares=_cumulative(table["groups"], stories),
        codes=tuple((row["kind"], row["code"], row["name"], row["category"]) for row in rows),
    )
