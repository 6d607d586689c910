"""Which cards of the two platforms, and of this gateway, are one tumour of one person.

Persons first (`gateway.cases.primaries.persons`: identity number, else name, sex, birth date and address with a score), then the tumours of each
person by the rules for multiple primaries (`mappings.registry.multiple_primary`). What is not certain is joined with nothing: it stays apart
and is a doubt that a person settles. Source: registry reference, exchange and de-duplication in Henan.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from gateway.cases.primaries import persons
from gateway.cases.primaries.case import Step
from gateway.cases.primaries.choices import RegistryChoices
from gateway.cases.primaries.decisions import Decided, Decision
from gateway.exchange.record import Party, Record, neoplasm, sighting
from mappings.registry import multiple_primary

Likeness = Literal["same", "doubtful", "apart"]


@dataclass(frozen=True, slots=True)
class Doubt:
    """Two records that may be one person (``person``) or one tumour (``tumour``); only a person can tell."""

    subject: Literal["person", "tumour"]
    left: str
    right: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Entry:
    """One tumour of one person with all records of it, oldest first. ``person`` counts the persons of the exchange."""

    person: int
    records: tuple[Record, ...]
    steps: tuple[Step, ...] = ()
    doubts: tuple[Doubt, ...] = ()

    @property
    def key(self) -> str:
        """Names the entry for as long as it has these records."""
        return hashlib.sha256("\x1f".join(sorted(record.key for record in self.records)).encode()).hexdigest()[:24]

    def of(self, party: Party) -> tuple[Record, ...]:
        """The records of one party; more than one are the same card twice."""
        return tuple(record for record in self.records if record.party == party)

    def one(self, party: Party) -> Record | None:
        """The (first) record of a party."""
        return next(iter(self.of(party)), None)


@dataclass(frozen=True)
class Matched:
    """``entries`` in the order of persons; ``persons`` is how many there are."""

    entries: tuple[Entry, ...]
    persons: int


def match(records: Sequence[Record], decisions: Iterable[Decision], choices: RegistryChoices) -> Matched:
    """Match records; keys are unique. ``decisions`` are about pairs of record keys: of persons, and of tumours within a person."""
    decisions = list(decisions)
    by_key = {record.key: record for record in records}
    linked = persons.link((sighting(record) for record in records), decisions, choices)
    doubts: dict[str, list[Doubt]] = defaultdict(list)
    person_of = {key: number for number, keys in enumerate(linked.persons) for key in keys}
    unsure: dict[int, list[Doubt]] = defaultdict(list)
    for left, right, found in linked.questions:
        doubt = Doubt("person", left, right, found.steps)
        unsure[person_of[left]].append(doubt)
        unsure[person_of[right]].append(doubt)
    entries: list[Entry] = []
    for number, keys in enumerate(linked.persons):
        theirs = [by_key[key] for key in keys]
        groups, between = _tumours(theirs, Decided.among(keys, decisions))
        for doubt in between:
            doubts[doubt.left].append(doubt)
            doubts[doubt.right].append(doubt)
        for group, steps in groups:
            own = {id(doubt): doubt for record in group for doubt in doubts[record.key]}
            entries.append(Entry(number, tuple(group), steps, (*own.values(), *unsure[number])))
    return Matched(tuple(entries), len(linked.persons))


def _tumours(records: list[Record], decided: Decided) -> tuple[list[tuple[list[Record], tuple[Step, ...]]], list[Doubt]]:
    """(the tumours of one person with why their records are one, the doubts between them)."""
    said = {pair: _likeness(records[pair[0]], records[pair[1]], decided) for pair in combinations(range(len(records)), 2)}
    group_of = list(range(len(records)))
    reasons: dict[int, list[Step]] = defaultdict(list)

    def members(group: int) -> list[int]:
        return [place for place, its in enumerate(group_of) if its == group]

    sure = sorted((rank, pair) for pair, (likeness, rank, _) in said.items() if likeness == "same")
    for _, (left, right) in sure:
        into, gone = group_of[left], group_of[right]
        if into == gone:
            continue
        across = [said[min(a, b), max(a, b)][0] for a in members(into) for b in members(gone)]
        if "apart" in across:  # a code that fits everything must not join what is certainly two
            continue
        reasons[into] += [*reasons.pop(gone, []), *said[left, right][2]]
        group_of = [into if its == gone else its for its in group_of]
    doubts = [
        Doubt("tumour", records[left].key, records[right].key, steps)
        for (left, right), (likeness, _, steps) in said.items()
        if likeness == "doubtful" and group_of[left] != group_of[right]
    ]
    groups = [
        ([records[place] for place in members(group)], tuple(dict.fromkeys(reasons[group]))) for group in dict.fromkeys(group_of)
    ]
    return groups, doubts


def _likeness(a: Record, b: Record, decided: Decided) -> tuple[Likeness, int, tuple[Step, ...]]:
    """(what two cards of one person are to each other, how sure that is with 0 the surest, why)."""
    pair = (min(a.key, b.key), max(a.key, b.key))
    if pair in decided.apart:
        return "apart", 0, (Step("DECIDED", "人工判定为不同肿瘤", "a person decided that they are two"),)
    if pair in decided.same:
        return "same", 0, (Step("DECIDED", "人工判定为同一肿瘤", "a person decided that they are one"),)
    one, two = neoplasm(a.card), neoplasm(b.card)
    same_category = bool(a.card.icd10) and a.card.icd10[:3] == b.card.icd10[:3]
    verdict = multiple_primary.compare(one, two)
    steps = tuple(Step(*said) for said in verdict.steps)
    if verdict.result == "duplicate":
        rank = 1 if (one, a.card.incidence_date) == (two, b.card.incidence_date) else 2 if one == two else 3
        return "same", rank, steps
    category = Step("ICD3", "ICD-10 三位类目相同", "the same ICD-10 category")
    if verdict.result == "invalid":
        return ("same", 4, (*steps, category)) if same_category else ("doubtful", 9, steps)
    if verdict.result == "unknown-site" or same_category:  # coded differently, or really two
        return "doubtful", 9, (*steps, category) if same_category else steps
    return "apart", 9, steps
