"""Persons in the ledger: who is whom, worked out anew where a sighting came, changed or went, or a person decided.

`persons.link` says which sightings show one person. Here it is asked about everybody concerned: the persons of the sightings that changed,
everybody found under one of their keys, and everybody that a person's decision names together with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from sqlalchemy import update
from sqlmodel import Session, col, select

from gateway.audit.log import Event
from gateway.cases.primaries import acts
from gateway.cases.primaries.choices import RegistryChoices
from gateway.cases.primaries.claiming import claim
from gateway.cases.primaries.evidence import Seen
from gateway.cases.primaries.known import Known, KnownSightings
from gateway.cases.primaries.persons import link
from gateway.cases.primaries.questions import Asked, Questions
from gateway.intake.resources import pieces
from gateway.store.ledger import now
from gateway.store.tables import Person
from gateway.store.vault import Vault


@dataclass(frozen=True, slots=True)
class Linked:
    """``people`` are the persons of whom something changed, with all their sightings, oldest first; ``emptied`` those that have none any
    more, ``withdrawn`` the sightings that nobody states any more."""

    people: Mapping[int, list[Seen]]
    emptied: Set[int]
    withdrawn: Set[str]
    events: list[Event] = field(default_factory=list)


def relink(
    session: Session,
    vault: Vault,
    choices: RegistryChoices,
    changed: Mapping[str, Seen | None],
    persons: Iterable[int] = (),
) -> Linked:
    """Link what changed (a sighting as it is now, None where it was taken back) and whatever of ``persons`` may have changed because of a
    decision."""
    known = KnownSightings(session, vault)
    before = known.find(changed)
    withdrawn = {key for key, seen in changed.items() if seen is None and key in before}
    stated = {key: seen for key, seen in changed.items() if seen is not None}
    named = known.find(acts.named_with(session, "person", changed))
    concerned = {*persons, *(one.person for one in (*before.values(), *named.values())), *known.persons_like(stated.values())}
    there = known.of_persons(concerned)
    seen = {key: one.seen for key, one in there.items() if key not in withdrawn} | stated
    made = link([one.sighting for one in seen.values()], acts.decisions(session, "person", seen), choices)
    rows = _rows(session, made.persons, there)
    known.write(
        {key: (one, rows[key]) for key, one in stated.items()},
        before,
        {key: row for key, row in rows.items() if key in there and there[key].person != row},
    )
    known.forget(withdrawn)
    asked = [Asked("person", left, right, "ID", match.score, match.steps) for left, right, match in made.questions]
    events = Questions(session, vault).settle({*seen, *withdrawn}, asked, {"person"})
    events += [
        Event(
            "person.linked", f"person:{row}", {"sighting": key, "before": there[key].person} if key in there else {"sighting": key}
        )
        for key, row in sorted(rows.items())
        if key not in there or there[key].person != row
    ]
    people = {}
    for keys in made.persons:
        row = rows[keys[0]]
        if row in persons or _differs(keys, row, changed, there, withdrawn):
            people[row] = [seen[key] for key in keys]
    return Linked(people, concerned - {*rows.values()}, withdrawn, events)


def _differs(keys: tuple[str, ...], row: int, changed: Mapping[str, object], there: Mapping[str, Known], gone: Set[str]) -> bool:
    """Whether a person has a sighting that changed, came from somebody else, or went."""
    if any(key in changed or there[key].person != row for key in keys):
        return True
    return sum(1 for one in there.values() if one.person == row) != len(keys) or any(there[key].person == row for key in gone)


def _rows(session: Session, groups: Iterable[tuple[str, ...]], there: Mapping[str, Known]) -> dict[str, int]:
    """The person of every sighting; rows are made where nobody is one yet."""
    groups = list(groups)
    keys = [key for group in groups for key in group]
    founding: dict[int, str] = {}
    former = {key: one.person for key, one in there.items()}
    for column, wanted in ((Person.founding, set(keys)), (Person.id, set(former.values()))):
        for piece in pieces(wanted):
            founding |= {row.id or 0: row.founding for row in session.exec(select(Person).where(col(column).in_(piece)))}
    claimed = claim(groups, founding, former)
    found: dict[str, int] = {}
    at = now()
    made = []
    for group, one in zip(groups, claimed, strict=True):
        if one.row is None:
            made.append((group, Person(founding=one.founding, created_at=at)))
            continue
        if founding[one.row] != one.founding:
            session.execute(update(Person).where(col(Person.id) == one.row).values(founding=one.founding))
        found |= dict.fromkeys(group, one.row)
    session.add_all(person for _, person in made)
    session.flush()
    for group, person in made:
        found |= dict.fromkeys(group, person.id or 0)
    return found
