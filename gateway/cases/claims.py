"""Plain facts folded to claims: who said last what stands at a path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gateway.cases.leaves import place_of
from gateway.cases.timeline import Timeline
from gateway.model.facts import NOTHING, Fact, Facts
from gateway.model.values import Coded

Leaves = dict[str, "Claim"]
"""Claims by path: of the stay, or relative to an entry of a list."""


class Claim(Struct, frozen=True):
    """A value, the source field that says so, and the message it stands in."""

    value: Any
    source: str
    facts: Facts


def newest(timeline: Timeline) -> Leaves:
    """The newest statement for every path; a value of None says that there is nothing (HL7's ``""``). What was computed (a birth date
    out of a resident ID) only fills what nobody stated. A cancelled discharge takes along everything that older messages said of it."""
    claims: Leaves = {}
    computed: Leaves = {}
    undone = False
    for facts in reversed(timeline.messages):
        undone = undone or facts.cancels == "A03"
        for fact in reversed(facts.facts):
            path = fact.path
            if path in claims or (undone and _of_discharge(path)):
                continue
            if fact.derived:
                computed.setdefault(path, _computed(fact, facts))
            else:
                claims[path] = Claim(fact.value, fact.source, facts)
    for path, claim in computed.items():
        claims.setdefault(path, claim)
    return _whole(claims)


def _of_discharge(path: str) -> bool:
    return path.startswith("discharge.") or path == "length_of_stay"


def _computed(fact: Fact, facts: Facts) -> Claim:
    return Claim(fact.value, f"{fact.source} (derived)", facts)


def _whole(claims: Leaves) -> Leaves:
    """Sides of a coded value (``….code``, ``….display``) that were stated one by one become one claim."""
    sides = [
        path
        for path, claim in claims.items()
        if path.endswith((".code", ".display", ".system")) and claim.value != NOTHING and place_of(path).member
    ]
    for path in sides:
        side, place = claims.pop(path), place_of(path)
        whole = claims.get(place.whole)
        value = whole.value if whole is not None and whole.value is not None else Coded()
        value = replace(value, **{place.member: side.value if side.value is not None or place.member != "system" else ""})
        newer = side if whole is None or side.facts.occurred >= whole.facts.occurred else whole
        claims[place.whole] = Claim(value if value.code or value.display else None, newer.source, newer.facts)
    return claims


def leaves_of(statements: Iterable[tuple[Any, Facts]], members: Iterable[str]) -> Leaves:
    """The leaves of one entry out of the statements about it, oldest first: each says what it fills."""
    leaves: Leaves = {}
    members = tuple(members)
    for statement, facts in statements:
        for name in members:
            value = getattr(statement, name)
            if value is not None:
                leaves[name] = Claim(value, statement.source, facts)
    return leaves
