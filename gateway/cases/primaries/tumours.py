"""Primary tumours in the ledger: which tumour each piece of evidence belongs to, worked out anew for persons of whom something changed.

`grouping.group` says which evidence of a person is one tumour. A tumour keeps its row while its founding evidence stands
(`gateway.cases.primaries.claiming`): merging, splitting and taking either back give the same rows again, and a diagnosis that is coded anew
corrects a tumour and does not make another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from sqlalchemy import delete, insert, update
from sqlmodel import Session, col, select

from gateway.audit.log import Event
from gateway.cases.primaries import acts
from gateway.cases.primaries.choices import RegistryChoices
from gateway.cases.primaries.claiming import claim
from gateway.cases.primaries.evidence import Seen
from gateway.cases.primaries.grouping import Group, Grouped, group
from gateway.cases.primaries.people import Linked
from gateway.cases.primaries.questions import Asked, Questions
from gateway.intake.resources import pieces
from gateway.store.ledger import now
from gateway.store.tables import TumourEvidence, TumourRow
from gateway.store.vault import Vault


@dataclass(slots=True)
class Standing:
    """A tumour of a person: its row, what belongs to it, its place among the tumours of the person, and whether it stood before."""

    row: TumourRow
    group: Group
    seen: Sequence[Seen]
    number: int
    of: int
    returned: bool


@dataclass(frozen=True, slots=True)
class Regrouped:
    """``standing`` are the tumours of the persons concerned, ``ended`` those that were merged into others or of which nothing is left."""

    standing: list[Standing]
    ended: list[TumourRow]
    events: list[Event] = field(default_factory=list)


def regroup(session: Session, vault: Vault, choices: RegistryChoices, linked: Linked) -> Regrouped:
    """Group the evidence of everybody of whom something changed."""
    evidence = {one.key: one.sighting for seen in linked.people.values() for each in seen for one in each.evidence}
    sightings = {each.sighting.key for seen in linked.people.values() for each in seen} | linked.withdrawn
    before = _belonging(session, sightings)
    decided = acts.decisions(session, "tumour", evidence)
    grouped = {person: group(seen, decided, choices) for person, seen in linked.people.items()}
    groups = [(person, made, one) for person, made in grouped.items() for one in made.tumours]
    rows = _rows(session, {*linked.people, *linked.emptied}, evidence, before)
    keys = [tuple(one.key for one in made.evidence) for _, _, made in groups]
    former = {key: row.tumour_id for key, row in before.items() if row.tumour_id is not None}
    claimed = claim(keys, {id: row.founding for id, row in rows.items()}, former, (_coded_anew, _of_one_sighting))
    standing: list[Standing] = []
    events: list[Event] = []
    at = now()
    for (person, made, one), claim_ in zip(groups, claimed, strict=True):
        row = rows.get(claim_.row or 0)
        if row is None:
            row = TumourRow(founding=claim_.founding, person_id=person, created_at=at, updated_at=at, state="new")
        number = made.tumours.index(one) + 1
        standing.append(Standing(row, one, linked.people[person], number, len(made.tumours), row.state != "standing"))
        if (row.founding, row.person_id, row.state) != (claim_.founding, person, "standing"):
            row.founding, row.person_id, row.state, row.merged_into, row.updated_at = claim_.founding, person, "standing", None, at
            session.add(row)
    session.flush()
    belongs = {key: one.row.id or 0 for one, group_keys in zip(standing, keys, strict=True) for key in group_keys}
    ended = _end(session, [row for id, row in rows.items() if id not in {*belongs.values()}], belongs, former, events)
    notes = {one.evidence.key: one.note for made in grouped.values() for one in made.loose}
    _write(session, before, evidence, belongs, notes)
    asked = [one for made in grouped.values() for one in _asked(made)]
    events += Questions(session, vault).settle({*evidence, *before}, asked, {"tumour", "history"})
    return Regrouped(standing, ended, events)


def _belonging(session: Session, sightings: Iterable[str]) -> dict[str, TumourEvidence]:
    """What the ledger says of the evidence of some sightings, by key."""
    found: dict[str, TumourEvidence] = {}
    for piece in pieces(sightings):
        found |= {row.key: row for row in session.exec(select(TumourEvidence).where(col(TumourEvidence.sighting).in_(piece)))}
    return found


def _rows(
    session: Session, persons: Set[int], evidence: Iterable[str], before: Mapping[str, TumourEvidence]
) -> dict[int, TumourRow]:
    """Every tumour that may be one of theirs."""
    belonged = {row.tumour_id for row in before.values() if row.tumour_id is not None}
    return {
        row.id or 0: row
        for column, wanted in ((TumourRow.person_id, persons), (TumourRow.founding, {*evidence}), (TumourRow.id, belonged))
        for piece in pieces(wanted)
        for row in session.exec(select(TumourRow).where(col(column).in_(piece)))
    }


def _coded_anew(founding: str, key: str) -> bool:
    """Whether the same sighting now states another code of the same category."""
    return _of_one_sighting(founding, key) and founding.partition("/")[2][:3] == key.partition("/")[2][:3]


def _of_one_sighting(founding: str, key: str) -> bool:
    return founding.partition("/")[0] == key.partition("/")[0]


def _end(
    session: Session, rows: Iterable[TumourRow], belongs: Mapping[str, int], former: Mapping[str, int], events: list[Event]
) -> list[TumourRow]:
    """The tumours that are none any more by themselves: where their founding evidence is now, or most of what they had, they are merged."""
    ended = []
    for row in rows:
        had = [key for key, tumour in former.items() if tumour == row.id]
        into = belongs.get(row.founding) or next((belongs[key] for key in sorted(had) if key in belongs), None)
        state = "merged" if into is not None else "gone"
        if (row.state, row.merged_into) == (state, into):
            continue
        row.state, row.merged_into, row.updated_at = state, into, now()
        session.add(row)
        events.append(Event(f"tumour.{state}", f"tumour:{row.id}", {"into": into} if into is not None else None))
        ended.append(row)
    return ended


def _write(
    session: Session,
    before: Mapping[str, TumourEvidence],
    evidence: Mapping[str, str],
    belongs: Mapping[str, int],
    notes: Mapping[str, str],
) -> None:
    """Note where every piece of evidence belongs."""
    wanted = {key: (belongs.get(key), notes.get(key, "")) for key in evidence}
    for piece in pieces(before.keys() - wanted.keys()):
        session.execute(delete(TumourEvidence).where(col(TumourEvidence.key).in_(piece)))
    new = [
        {"key": key, "sighting": evidence[key], "tumour_id": tumour, "note": note}
        for key, (tumour, note) in wanted.items()
        if key not in before
    ]
    moved = [
        {"key": key, "tumour_id": tumour, "note": note}
        for key, (tumour, note) in wanted.items()
        if key in before and (before[key].tumour_id, before[key].note) != (tumour, note)
    ]
    for row in before.values():
        session.expunge(row)
    if new:
        session.execute(insert(TumourEvidence), new)
    if moved:
        session.execute(update(TumourEvidence), moved)


def _asked(made: Grouped) -> list[Asked]:
    """What a person must tell about somebody's tumours."""
    asked = [Asked("tumour", one.left, one.right, one.rule, 0, one.steps) for one in made.questions]
    spoken_of = {key for one in made.questions for key in (one.left, one.right)}
    for one in made.loose:
        if one.evidence.key not in spoken_of:
            subject = "history" if one.note == "look" else "tumour"
            asked.append(Asked(subject, one.evidence.key, "", one.note, 0, one.steps))
    return asked
