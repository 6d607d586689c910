"""Tumours of a stay, their stagings and markers, out of what messages say of them (FHIR conditions and observations).

Statements about one tumour add to each other, a later one wins leaf by leaf. A staging or marker that is tied to no tumour belongs to the
only one there is; beside several, or where the tumour it is tied to is not known here, it stays with the stay and a person is asked
(source: HL7 notes, rule 5 "Two primaries").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    same = _repeated(known)
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


def _repeated(known: Mapping[str, list[_Stated]]) -> dict[str, str]:
    """Keys that name a tumour which an earlier key names, too. Senders state one cancer once for each role that it plays in a stay (main
    diagnosis, diagnosis on admission); what has the same code and is nowhere said otherwise is one. Two cancers of one code differ in
    side, site, morphology or date, and stay two."""
    firsts: dict[str, dict[str, Any]] = {}
    same: dict[str, str] = {}
    for key, stated in known.items():
        said = {name: claim.value for name, claim in leaves_of(stated, _TUMOUR).items()}
        condition = said.get("condition")
        match = next(
            (first for first, other in firsts.items() if condition is not None and condition.code and _agree(said, other)), None
        )
        if match is None:
            firsts[key] = said
        else:
            same[key] = match
            firsts[match] = said | firsts[match]
    return same


def _agree(said: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two statements can be about one tumour."""
    shared = said.keys() & other.keys() & set(_TELLING)
    return "condition" in shared and all(_identity(said[name]) == _identity(other[name]) for name in shared)


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
