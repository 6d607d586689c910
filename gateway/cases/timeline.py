"""The messages of a stay as they count: in order of events, without what was taken back.

Order of arrival plays no part. Messages stand by the time of their event (EVN-2, else MSH-7) and their id; test and training messages
(MSH-11 D, T) and repetitions are left out. What a later message cancels was never said (source: product decisions "order", "MSH-11";
``Retract`` in the HL7 notes).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from gateway.model.facts import Facts

_ADMISSIONS = frozenset({"A01", "A06"})


class Timeline(Struct, frozen=True):
    """Messages that count, oldest event first. ``cancelled``: the admission was taken back (A11, a cancelled encounter) and not made again;
    ``discharge_cancelled``: the discharge was (A13), and no new one followed."""

    messages: Sequence[Facts]
    cancelled: bool = False
    discharge_cancelled: bool = False


def trigger_of(facts: Facts) -> str:
    """The trigger event, ``A01`` of ``ADT^A01``; empty where the event has none."""
    return facts.event.partition("^")[2].partition("^")[0]


def timeline(messages: Iterable[Facts]) -> Timeline:
    """Put the messages of one stay in order and drop what was taken back."""
    standing: list[Facts] = []
    seen: set[tuple[str, int]] = set()
    cancelled = discharge_cancelled = False
    for facts in sorted(messages, key=_order):
        if not facts.live or (facts.message, facts.part) in seen:
            continue
        seen.add((facts.message, facts.part))
        trigger = trigger_of(facts)
        if facts.cancels:
            standing = _without(standing, facts.cancels)
        cancelled = facts.cancels == "A01" or (cancelled and not _admits(facts, trigger))
        discharge_cancelled = facts.cancels == "A03" or (discharge_cancelled and trigger != "A03")
        standing.append(facts)
    return Timeline(_admissions_first(standing), cancelled, discharge_cancelled)


def _order(facts: Facts) -> tuple[str, bool, int, str, bool, int]:
    """Of two events at the same time, the cancelling one is the later; otherwise the ids decide, ``v2:9`` before ``v2:10``. A FHIR message
    that takes back one encounter and states another one has put the stay right."""
    cancels = bool(facts.cancels)
    return facts.occurred, cancels and not facts.part, len(facts.message), facts.message, not cancels, facts.part


def _admits(facts: Facts, trigger: str) -> bool:
    """Whether a message makes an admission (again): by its event, or as an encounter of FHIR that states when it began."""
    return trigger in _ADMISSIONS or (trigger == "Encounter" and any(fact.path == "admission.time" for fact in facts.facts))


def _without(standing: list[Facts], trigger: str) -> list[Facts]:
    """Take back the last occasion of a trigger. There is one admission and one discharge, however often it was sent; transfers are told
    apart by where and when."""
    last = next((facts for facts in reversed(standing) if trigger_of(facts) == trigger), None)
    if last is None:
        return standing
    occasion = _occasion(last)
    return [facts for facts in standing if trigger_of(facts) != trigger or _occasion(facts) != occasion]


def _occasion(facts: Facts) -> object:
    return [(move.department, move.at or facts.occurred) for move in facts.movements] if trigger_of(facts) == "A02" else None


def _admissions_first(standing: list[Facts]) -> list[Facts]:
    """An admission message speaks of the beginning of the stay: one whose clock is later than the discharge (sent again) neither
    reopens nor recodes the closed stay, so it stands before everything else."""
    triggers = [trigger_of(facts) for facts in standing]
    if "A03" not in triggers:
        return standing
    discharge = triggers.index("A03")
    late = [at for at, trigger in enumerate(triggers) if trigger == "A01" and at > discharge]
    if not late:
        return standing
    return [standing[at] for at in late] + [facts for at, facts in enumerate(standing) if at not in late]
