"""Sightings linked to persons.

Pairs are compared only where they share a blocking key, never all with all. What is sure is joined, what is doubtful becomes a question, and
what a person decided goes before either:

1. decisions ``same``; 2. equal resident IDs; 3. equal record numbers of one institution; 4. the score

are worked through in this order, each ground at once for all that it connects, so that the order in which sightings arrive does not matter.
Two groups *contradict* each other when a decision keeps a member of one ``apart`` from a member of the other, or when both have resident IDs
and none in common (IDs that a person joined count as one person's). What contradicts is never joined: a sighting that would be the bridge
between two contradicting groups stays by itself and a person is asked; ``apart`` therefore always holds, even against an equal resident ID.

Source: registry reference, multiple-primary rules S0 ("link persons first"); the grounds and their order are product decisions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from msgspec import Struct

from gateway.cases.primaries.case import Step
from gateway.cases.primaries.choices import RegistryChoices
from gateway.cases.primaries.decisions import Decided, Decision
from gateway.cases.primaries.evidence import Sighting
from gateway.cases.primaries.likeness import Likeness, Verdict, Who, likeness
from gateway.cases.primaries.unions import Unions

LARGEST_BLOCK = 60
"""Sightings under one key up to which every pair is compared. Beyond it, what shares a number is compared along a line only (a patient may
come two hundred times for dialysis), and any other key is left out: it is a name or a telephone that says nothing."""

_NUMBERS = ("id", "record")
_FULL_DATE = 10

_BRIDGE = Step(
    "BRIDGE",
    "与两个互相矛盾的人都相符，不自行归入任何一个",
    "fits two persons who contradict each other, and is given to neither",
)


class Match(Struct, frozen=True):
    """What two sightings are to each other; ``score`` of 100."""

    verdict: Verdict
    score: int
    steps: tuple[Step, ...]


class Linked(Struct, frozen=True):
    """``persons``: the keys of their sightings, oldest first, persons in the order of their first sighting. ``questions``: (left key, right key,
    why), one for each two persons who may be one. ``skipped``: by kind of key, how many were left out as too common."""

    persons: tuple[tuple[str, ...], ...]
    questions: tuple[tuple[str, str, Match], ...]
    skipped: dict[str, int] = {}


def blocking_keys(sighting: Sighting) -> tuple[tuple[str, ...], ...]:
    """The keys under which a sighting is found as a candidate: its numbers; name with birth date, year or day of birth; birth date with the
    first or last character of the name (one of which a slip of one character leaves right); telephone. The first element is the kind."""
    return _keys(Who.of(sighting))


def compare(a: Sighting, b: Sighting, choices: RegistryChoices) -> Match:
    """Whether two sightings show one person; symmetric. See `gateway.cases.primaries.likeness`."""
    return _match(likeness(Who.of(a), Who.of(b), choices))


def link(sightings: Iterable[Sighting], decisions: Iterable[Decision], choices: RegistryChoices) -> Linked:
    """Persons out of sightings; see the module. Keys of sightings are unique; decisions about others are passed over."""
    people = sorted((Who.of(sighting) for sighting in sightings), key=lambda who: (who.at, who.key))
    decided = Decided.among((who.key for who in people), decisions)
    at = {who.key: index for index, who in enumerate(people)}
    same, apart = ([(at[left], at[right]) for left, right in decisive] for decisive in (decided.same, decided.apart))
    pairs, skipped = _candidates(people)
    sure: dict[int, list[tuple[int, int]]] = defaultdict(list)
    open_: dict[tuple[int, int], Likeness] = {}
    for left, right in pairs:
        found = likeness(people[left], people[right], choices)
        if found.verdict == "same":
            sure[found.rank].append((left, right))
        elif found.verdict == "doubtful":
            open_[left, right] = found
    unions = Unions([who.resident_id for who in people], apart)
    left_over = unions.join(same, whatever_marks=True)
    for rank in sorted(sure):
        left_over += unions.join(sure[rank])
    for left, right in left_over:
        open_[left, right] = likeness(people[left], people[right], choices)
    return Linked(
        tuple(tuple(people[index].key for index in members) for members in unions.groups()),
        _questions(people, open_, unions),
        skipped,
    )


def _match(found: Likeness) -> Match:
    return Match(found.verdict, found.score, found.steps)


def _keys(who: Who) -> tuple[tuple[str, ...], ...]:
    keys: list[tuple[str, ...]] = []
    if who.resident_id:
        keys.append(("id", who.resident_id))
    if who.record:
        keys.append(("record", who.record))
    if who.phone:
        keys.append(("phone", who.phone))
    name, birth = who.name, who.birth_date
    if name and len(birth) >= 4:
        keys.append(("name-year", name, birth[:4]))
    if name and len(birth) == _FULL_DATE:
        keys += [
            ("name-birth", name, birth),
            ("name-day", name, birth[5:]),
            ("birth-first", birth, name[0]),
            ("birth-last", birth, name[-1]),
        ]
    return tuple(keys)


def _candidates(people: Sequence[Who]) -> tuple[list[tuple[int, int]], dict[str, int]]:
    """Pairs (smaller index first) that share a key, each once and in order, and how many keys of which kind were too common."""
    blocks: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, who in enumerate(people):
        for key in _keys(who):
            blocks[key].append(index)
    size = len(people)
    pairs: set[int] = set()
    skipped: dict[str, int] = defaultdict(int)
    for key, members in blocks.items():
        if len(members) == 1:
            continue
        if len(members) <= LARGEST_BLOCK:
            for place, left in enumerate(members):
                pairs.update(left * size + right for right in members[place + 1 :])
        elif key[0] in _NUMBERS:
            pairs.update(min(pair) * size + max(pair) for pair in _along(people, members))
        else:
            skipped[key[0]] += 1
    return [divmod(pair, size) for pair in sorted(pairs)], dict(sorted(skipped.items()))


def _along(people: Sequence[Who], members: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Neighbours in the order of name, birth date and sex."""
    line = sorted(members, key=lambda index: (people[index].name, people[index].birth_date, people[index].sex, index))
    return pairwise(line)


def _questions(people: Sequence[Who], open_: dict[tuple[int, int], Likeness], unions: Unions) -> tuple[tuple[str, str, Match], ...]:
    """Of what is open between two persons the likeliest pair, unless a person keeps a pair of theirs apart."""
    best: dict[tuple[int, int], tuple[int, int, int]] = {}
    for (left, right), found in open_.items():
        ends = unions.root(left), unions.root(right)
        if ends[0] == ends[1] or unions.kept_apart(*ends):
            continue
        between = (min(ends), max(ends))
        candidate = (-found.score, left, right)
        best[between] = min(best.get(between, candidate), candidate)
    chosen = sorted((left, right) for _, left, right in best.values())
    return tuple((people[left].key, people[right].key, _question(open_[left, right])) for left, right in chosen)


def _question(found: Likeness) -> Match:
    """What is asked; where two are alike enough and yet not joined, it was because of a third."""
    return _match(found) if found.verdict == "doubtful" else Match("doubtful", found.score, (*found.steps, _BRIDGE))
