"""What a compiled dialect reads: paths of the stay, each with the places that may tell it, whatever the standard."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Source = TypeVar("Source")


@dataclass(frozen=True, slots=True)
class Rule(Generic[Source]):
    """A path of the stay, or a member of a group, and the places it may stand at, in order."""

    path: str
    sources: tuple[Source, ...]


def rules(pairs: Iterable[tuple[str, Source]]) -> tuple[Rule[Source], ...]:
    """Neighbouring or not, sources of one path become one rule, in order."""
    collected: dict[str, list[Source]] = {}
    for path, source in pairs:
        collected.setdefault(path, []).append(source)
    return tuple(Rule(path, tuple(sources)) for path, sources in collected.items())
