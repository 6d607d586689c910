"""Sightings in the ledger: what each source says now, under which keys it is found, and whom it shows.

Keys are blind indexes, what is said is sealed. Nobody but `gateway.cases.primaries.people` decides whom a sighting shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import delete, insert, update
from sqlmodel import Session, col, select

from gateway.cases.primaries.evidence import Seen
from gateway.cases.primaries.persons import LARGEST_BLOCK, blocking_keys
from gateway.intake.resources import pieces
from gateway.store.ledger import now
from gateway.store.tables import SightingKey, SightingRow
from gateway.store.vault import Vault

SEEN_PLACE = "sighting.body"
_OWN_NUMBERS = ("id", "record")
"""The kinds of blocking keys that are numbers of a person."""


@dataclass(frozen=True, slots=True)
class Known:
    """A sighting as the ledger has it."""

    person: int
    seen: Seen


class KnownSightings:
    """The sightings of a ledger in one session."""

    def __init__(self, session: Session, vault: Vault) -> None:
        self._session = session
        self._vault = vault

    def find(self, keys: Iterable[str]) -> dict[str, Known]:
        """Sightings by key; those that are not known are left out."""
        return self._read(col(SightingRow.key), keys)

    def of_persons(self, persons: Iterable[int]) -> dict[str, Known]:
        """All sightings of some persons, by key."""
        return self._read(col(SightingRow.person_id), persons)

    def persons_like(self, seen: Iterable[Seen]) -> set[int]:
        """The persons who have a sighting that shares a blocking key with one of these. A key that more share than `persons.link` compares
        says nothing, unless it is a number of theirs."""
        indexes = {self._index(key): key[0] for one in seen for key in blocking_keys(one.sighting)}
        statement = select(SightingKey.index, SightingRow.person_id).join(
            SightingRow, col(SightingKey.sighting) == col(SightingRow.key)
        )
        persons: dict[str, list[int]] = {}
        for piece in pieces(indexes):
            for index, person in self._session.exec(statement.where(col(SightingKey.index).in_(piece))):
                persons.setdefault(index, []).append(person)
        telling = (who for index, who in persons.items() if len(who) <= LARGEST_BLOCK or indexes[index] in _OWN_NUMBERS)
        return {person for who in telling for person in who}

    def forget(self, keys: Iterable[str]) -> None:
        """What nobody states any more."""
        for piece in pieces(keys):
            self._session.execute(delete(SightingKey).where(col(SightingKey.sighting).in_(piece)))
            self._session.execute(delete(SightingRow).where(col(SightingRow.key).in_(piece)))

    def write(self, stated: Mapping[str, tuple[Seen, int]], known: Mapping[str, Known], moved: Mapping[str, int]) -> None:
        """Write sightings with their persons: those that were ``stated`` now (``known`` are those that were there before), and those that
        ``moved`` to another person."""
        at = now()
        bodies: list[tuple[str, dict[str, Any]]] = []
        for key, (seen, person) in stated.items():
            body = msgspec.json.encode(seen)
            sealed = self._vault.seal(body, SEEN_PLACE)
            digest = hashlib.sha256(body).hexdigest()
            bodies.append((key, {"key": key, "person_id": person, "digest": digest, "sealed_body": sealed, "updated_at": at}))
        if new := [row for key, row in bodies if key not in known]:
            self._session.execute(insert(SightingRow), new)
        if old := [row for key, row in bodies if key in known]:
            self._session.execute(update(SightingRow), old)
        if moves := [{"key": key, "person_id": person} for key, person in moved.items() if key not in stated]:
            self._session.execute(update(SightingRow), moves)
        rekeyed = [key for key, (seen, _) in stated.items() if key in known and known[key].seen.sighting != seen.sighting]
        for piece in pieces(rekeyed):
            self._session.execute(delete(SightingKey).where(col(SightingKey.sighting).in_(piece)))
        fresh = {key for key, _ in bodies if key not in known} | set(rekeyed)
        keys = [{"index": index, "sighting": key} for key in sorted(fresh) for index in sorted(self._indexes(stated[key][0]))]
        if keys:
            self._session.execute(insert(SightingKey), keys)

    def _indexes(self, seen: Seen) -> set[str]:
        return {self._index(key) for key in blocking_keys(seen.sighting)}

    def _index(self, key: tuple[str, ...]) -> str:
        return self._vault.index("sighting", *key)

    def _read(self, column: Any, wanted: Iterable[Any]) -> dict[str, Known]:
        statement = select(SightingRow.key, SightingRow.person_id, SightingRow.sealed_body)
        return {
            key: Known(person, msgspec.json.decode(self._vault.open(sealed, SEEN_PLACE), type=Seen))
            for piece in pieces(set(wanted))
            for key, person, sealed in self._session.exec(statement.where(column.in_(piece)))
        }
