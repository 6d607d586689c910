"""Tumours of a stay, their stagings and markers, out of what messages say of them (FHIR conditions and observations).

Statements about one tumour add to each other, a later one wins leaf by leaf. A staging or marker that is tied to no tumour belongs to the
only one there is; beside several, or where the tumour it is tied to is not known here, it stays with the stay and a person is asked
(source: HL7 notes, rule 5 "Two primaries").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from msgspec import Struct

from conformance.checks.finding import Finding
from gateway.cases.claims import Leaves, leaves_of
from gateway.model.facts import Facts, TumourFact
from gateway.model.values import Coded

_TUMOUR = ("condition", "topography", "laterality", "morphology", "grade", "basis", "course", "diagnosed_on", "size_mm")
_TELLING = ("condition", "topography", "laterality", "morphology", "diagnosed_on")
"""What tells two tumours apart."""

_STAGE = ("kind", "system", "t", "n", "m", "group", "staged_on")
_CATEGORIES = ("t", "n", "m", "group")
"""What tells two stagings of one kind apart."""

_MARKER = ("test", "value", "unit", "finding", "tested_on")

_Stated = tuple[Any, Facts]


class Tumours(Struct, frozen=True):
    """Claims at their paths in the stay, and what to ask."""

    claims: Leaves
    findings: list[Finding]


def tumours(messages: Sequence[Facts]) -> Tumours:
    """Fold what messages that count say of tumours, oldest first; tumours in the order of first mention."""
    known: dict[str, list[_Stated]] = {}
    stages: dict[str, dict[str, list[_Stated]]] = {}
    markers: dict[str, dict[str, list[_Stated]]] = {}
    for facts in messages:
        for tumour in facts.tumours:
            known.setdefault(tumour.key, []).append((tumour, facts))
        for stage in facts.stages:
            stages.setdefault(stage.tumour, {}).setdefault(stage.key, []).append((stage, facts))
        for marker in facts.markers:
            markers.setdefault(marker.tumour, {}).setdefault(marker.key, []).append((marker, facts))
    same = _repeated(known, stages, messages)
    for key, first in same.items():
        known[first] += known.pop(key)
    primaries = [key for key, stated in known.items() if _role(stated) != "secondary"]
    only = primaries[0] if len(primaries) == 1 else None
    claims: Leaves = {}
    places = {key: f"tumours[{index}]" for index, key in enumerate(known)}
    for key, place in list(places.items()):
        claims |= _under(place, leaves_of(known[key], _TUMOUR))
        claims |= _under(place, leaves_of([stated for stated in known[key] if stated[0].role], ("role",)))
    places |= {key: places[first] for key, first in same.items()}
    left = _place(stages, "stages", _STAGE, places, only, claims) | _place(markers, "markers", _MARKER, places, only, claims)
    findings = [_link_wanted(len(primaries))] if "" in left and len(primaries) > 1 else []
    if left - {""}:
        findings.append(_unknown_tumour())
    return Tumours(claims, findings)


class _Primary:
    """What is known of one tumour that several keys may name: what tells it apart, its stagings, and the encounters (``Facts.part``) that name
    one of its keys as a discharge diagnosis."""

    def __init__(self, stated: Sequence[_Stated], stagings: Iterable[Sequence[_Stated]], discharged: Set[int]) -> None:
        self.said = {name: claim.value for name, claim in leaves_of(stated, _TELLING).items()}
        asserted = leaves_of([(tumour, facts) for tumour, facts in stated if not tumour.recorded], ("diagnosed_on",))
        if not asserted:
            self.said.pop("diagnosed_on", None)
        self.stagings: dict[tuple[str, str, str], set[str]] = {}
        for staging in stagings:
            leaves = leaves_of(staging, _CATEGORIES)
            for name, claim in leaves.items():
                system, code = _identity(claim.value)
                self.stagings.setdefault((staging[-1][0].kind, name, system), set()).add(code)
        self.discharged = set(discharged)

    def is_the_same(self, other: _Primary) -> bool:
        """Whether nothing that is known of both tells them apart."""
        condition = self.said.get("condition")
        return (
            condition is not None
            and bool(condition.code)
            and "condition" in other.said
            and all(_identity(self.said[name]) == _identity(other.said[name]) for name in self.said.keys() & other.said.keys())
            and not any(self.stagings[at].isdisjoint(other.stagings[at]) for at in self.stagings.keys() & other.stagings.keys())
            and self.discharged.isdisjoint(other.discharged)
        )

    def take(self, other: _Primary) -> None:
        """Both are one."""
        self.said = other.said | self.said
        for at, codes in other.stagings.items():
            self.stagings.setdefault(at, set()).update(codes)
        self.discharged |= other.discharged


def _repeated(
    known: Mapping[str, Sequence[_Stated]], stages: Mapping[str, Mapping[str, Sequence[_Stated]]], messages: Iterable[Facts]
) -> dict[str, str]:
    """Keys that name a tumour which an earlier key names, too. Senders state one cancer once for each role that it plays in a stay (main
    diagnosis, diagnosis on admission); what has the same code and is nowhere said otherwise is one. Two cancers of one code differ in
    side, site, morphology, asserted date or staging, or one encounter names both as discharge diagnoses; they stay two."""
    discharged: dict[str, set[int]] = {}
    for facts in messages:
        for diagnosis in facts.diagnoses:
            if diagnosis.use == "discharge":
                discharged.setdefault(diagnosis.key, set()).add(facts.part)
    firsts: dict[str, _Primary] = {}
    same: dict[str, str] = {}
    for key, stated in known.items():
        primary = _Primary(stated, stages.get(key, {}).values(), discharged.get(key, set()))
        match = next((first for first, other in firsts.items() if primary.is_the_same(other)), None)
        if match is None:
            firsts[key] = primary
        else:
            same[key] = match
            firsts[match].take(primary)
    return same


def _identity(value: Any) -> Any:
    return (value.system, value.code or value.display) if isinstance(value, Coded) else value


def _role(stated: Iterable[_Stated]) -> str:
    tumours: list[TumourFact] = [tumour for tumour, _ in stated]
    return next((tumour.role for tumour in reversed(tumours) if tumour.role), "")


def _place(
    said: dict[str, dict[str, list[_Stated]]],
    name: str,
    members: Sequence[str],
    places: dict[str, str],
    only: str | None,
    claims: Leaves,
) -> set[str]:
    """Put stagings or markers under their tumours, or under the stay; the tumours (keys) whose ones are left there."""
    taken: dict[str, int] = {}
    left: set[str] = set()
    for key, entries in said.items():
        owner = places.get(key if key or only is None else only, "")
        if not owner:
            left.add(key)
        path = f"{owner}.{name}" if owner else name
        for stated in entries.values():
            index = taken.get(path, 0)
            taken[path] = index + 1
            claims |= _under(f"{path}[{index}]", leaves_of(stated, members))
    return left


def _under(place: str, leaves: Leaves) -> Leaves:
    return {f"{place}.{name}": claim for name, claim in leaves.items()}


def _link_wanted(count: int) -> Finding:
    return Finding(
        "ZB-TUMOUR-LINK",
        (),
        "warning",
        f"有 {count} 个原发肿瘤，而部分分期或标志物没有说明属于哪一个，系统不会自行归属；请在来源系统注明（Observation.focus），或由人工关联",
        "stagings or markers without a link beside several primary tumours: they stay with the stay",
    )


def _unknown_tumour() -> Finding:
    return Finding(
        "ZB-TUMOUR-UNKNOWN",
        (),
        "warning",
        "部分分期或标志物所指的肿瘤不在本次住院的资料中（未发送、未确诊或已撤销），暂留在住院层面；请核对来源系统",
        "stagings or markers of a tumour that this stay does not know (not sent, not confirmed or withdrawn): they stay with the stay",
    )
