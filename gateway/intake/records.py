"""Records read back: the current resources of one patient at one source, with the organisations, practitioners and drugs they refer to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import bindparam, delete, or_, tuple_
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from adapters.fhir import json_text
from adapters.fhir.record import Record
from adapters.fhir.resource import Resource
from gateway.intake.resources import Stored, opened, pieces
from gateway.store.ledger import upsert
from gateway.store.tables import FhirAwaited, FhirDue, FhirResource
from gateway.store.vault import Vault

_FURTHEST = 3
"""How many references away from the patient's own resources others are fetched (role of a practitioner of an organisation)."""

_OTHERS = ("Patient",)
"""Kinds that may be looked at in another patient's record: those that say who is who."""

# Put together once, see `gateway.intake.storing`.
_ROWS = sql_select(
    col(FhirResource.id),
    col(FhirResource.message_id),
    col(FhirResource.source),
    col(FhirResource.record),
    col(FhirResource.kind),
    col(FhirResource.deleted),
    col(FhirResource.sealed_body),
).order_by(col(FhirResource.id))
_OF_RECORD = _ROWS.where(col(FhirResource.record) == bindparam("record"))
_OF_OTHERS = _ROWS.where(
    col(FhirResource.index).in_(bindparam("indexes", expanding=True)),
    col(FhirResource.deleted).is_(False),
    or_(col(FhirResource.record) == "", col(FhirResource.kind).in_(_OTHERS)),
)
_DUE = (
    select(FhirDue.message_id, FhirDue.record)
    .where(col(FhirDue.message_id).in_(bindparam("messages", expanding=True)))
    .order_by(col(FhirDue.message_id), col(FhirDue.record))
)
_AWAITED_NO_MORE = (
    delete(FhirAwaited).where(col(FhirAwaited.record) == bindparam("record")).execution_options(synchronize_session=False)
)


class _Row(NamedTuple):
    """A resource as it is read from the ledger."""

    id: int
    message_id: int
    source: str
    record: str
    kind: str
    deleted: bool
    sealed_body: bytes


@dataclass
class Kept:
    """A record as the repository has it. ``rows`` gives the number of each of its resources by key; ``numbers`` are all that were ever its
    own, deleted ones too; ``gone`` are the keys of its deleted encounters, ``shared`` those of resources that are not its own."""

    index: str
    source: str = ""
    patient: str = ""
    resources: dict[str, Resource] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)

    def record(self) -> Record:
        """What readers read."""
        return Record(self.patient, self.resources, self.gone)

    def part(self, anchor: str) -> int:
        """The number that stands for the stay of an anchor; one of the patient as such where the anchor itself has not come yet."""
        return self.rows.get(anchor) or -min(self.numbers)

    @property
    def parts(self) -> list[int]:
        """All numbers that may ever have stood for stays of the record."""
        return [*self.numbers, *(-number for number in self.numbers)]


class Records:
    """The records of one transaction."""

    def __init__(self, session: Session, vault: Vault) -> None:
        self._session = session
        self._vault = vault

    def due(self, messages: Iterable[int]) -> dict[int, list[str]]:
        """The records that messages made due, by message."""
        found: dict[int, list[str]] = {}
        for piece in pieces(messages):
            for message, index in self._session.exec(_DUE, params={"messages": piece}):
                found.setdefault(message, []).append(index)
        return found

    def settled(self, due: Iterable[tuple[int, str]]) -> None:
        """These records were read for these messages."""
        for piece in pieces(due):
            self._session.execute(delete(FhirDue).where(tuple_(col(FhirDue.message_id), col(FhirDue.record)).in_(piece)))

    def read(self, index: str) -> Kept:
        """One record as it is now."""
        kept = Kept(index)
        wanted: dict[str, None] = {}
        for row in map(_Row._make, self._session.execute(_OF_RECORD, {"record": index})):
            kept.source = row.source
            kept.numbers.append(row.id)
            stored = opened(self._vault, row.sealed_body)
            kept.patient = stored.record if row.kind == "Patient" or not kept.patient else kept.patient
            if not row.deleted:
                self._take(kept, row, stored, wanted)
            elif row.kind == "Encounter":
                kept.gone.add(stored.key)
        for _ in range(_FURTHEST):
            missing = [key for key in wanted if key not in kept.resources]
            if not missing or not kept.source:
                break
            wanted = self._fetch(kept, missing)
        return kept

    def depends_on(self, kept: Kept, keys: Iterable[str]) -> None:
        """Note what a record refers to in vain or shares with others: when it comes or changes, the record is due again."""
        self._session.execute(_AWAITED_NO_MORE, {"record": kept.index})
        rows = [
            {"index": self._vault.index("fhir", kept.source, key), "record": kept.index} for key in sorted({*keys, *kept.shared})
        ]
        if rows:
            self._session.execute(upsert(self._session, FhirAwaited).on_conflict_do_nothing(), rows)

    def _fetch(self, kept: Kept, keys: Sequence[str]) -> dict[str, None]:
        """Resources of nobody in particular; what they refer to."""
        wanted: dict[str, None] = {}
        for piece in pieces(self._vault.index("fhir", kept.source, key) for key in keys):
            for row in map(_Row._make, self._session.execute(_OF_OTHERS, {"indexes": piece})):
                stored = opened(self._vault, row.sealed_body)
                kept.shared.add(stored.key)
                self._take(kept, row, stored, wanted)
        return wanted

    def _take(self, kept: Kept, row: _Row, stored: Stored, wanted: dict[str, None]) -> None:
        kept.resources[stored.key] = Resource(
            stored.key,
            json_text.decode(stored.raw),
            f"fhir:{row.message_id}",
            stored.occurred,
            stored.release,
            stored.links,
            stored.place,
        )
        if row.record == kept.index:
            kept.rows[stored.key] = row.id
        wanted.update(dict.fromkeys(stored.references))
