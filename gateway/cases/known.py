"""The ledger as joining and assembling see it: stays by key, what is known of each, what waits.

Keys are blind indexes, everything else is sealed; outlines are read off the current versions and remembered while those stand.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import delete, exists, insert, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlmodel import Session, col, select

from gateway.cases.corrections import Correction
from gateway.cases.joining import Key, StayOutline
from gateway.cases.stays import STAY_PLACE
from gateway.model.facts import Facts
from gateway.model.stay import Stay
from gateway.store.ledger import now
from gateway.store.tables import FiledStay, MergedNumber, StayCorrection, StayFacts, StayKey, StayRow, StayVersion, WaitingKey
from gateway.store.vault import Vault
from mappings.cadence import CHINA

FACTS_PLACE = "stay_facts.facts"
CORRECTION_PLACE = "stay_correction.body"
FILED_PLACE = "filed_stay.body"
NUMBER_PLACE = "merged_number.number"
_REMEMBERED = 4096

Outlines = OrderedDict[int, tuple[datetime, StayOutline]]
"""Outlines by stay, each with the time of the stay's last change: one that was read before another desk changed the stay, or within a
transaction that was rolled back, is not used."""


def china_text(at: datetime) -> str:
    """A UTC time as the model writes times: China time without an offset."""
    return at.astimezone(CHINA).strftime("%Y-%m-%dT%H:%M:%S")


def add_keys(session: Session, keys: Iterable[tuple[str, int]]) -> None:
    """Make many stays known under blind indexes at once; what is there already stays."""
    rows = [{"index": index, "stay_id": stay} for index, stay in keys]
    if rows:
        upsert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgresql_insert
        session.execute(upsert(StayKey).on_conflict_do_nothing(), rows)


def shared_keys(session: Session, keys: Iterable[str]) -> set[str]:
    """Of some blind indexes, those of stays that messages or persons have a say in, and those that a message waits for."""
    wanted = sorted(set(keys))
    found = set(session.exec(select(WaitingKey.index).where(col(WaitingKey.index).in_(wanted))))
    for table in (StayFacts, StayCorrection):
        statement = select(StayKey.index).where(
            col(StayKey.index).in_(wanted), exists().where(col(table.stay_id) == col(StayKey.stay_id))
        )
        found.update(session.exec(statement))
    return found


class KnownInLedger:
    """`KnownStays` over one session. ``outlines`` is a memory that outlives it."""

    def __init__(self, session: Session, vault: Vault, outlines: Outlines | None = None) -> None:
        self._session = session
        self._vault = vault
        self._outlines: Outlines = outlines if outlines is not None else OrderedDict()

    # -- what joining asks

    def surviving(self, organisation: str, record_number: str) -> str:
        """See `KnownStays.surviving`."""
        seen = {record_number}
        while (row := self._session.get(MergedNumber, self._vault.index("merged", organisation, record_number))) is not None:
            record_number = self._vault.open(row.sealed_number, NUMBER_PLACE).decode()
            if record_number in seen:
                return record_number
            seen.add(record_number)
        return record_number

    def stays(self, key: Key) -> Sequence[StayOutline]:
        """See `KnownStays.stays`."""
        statement = (
            select(StayRow)
            .join(StayKey, col(StayKey.stay_id) == col(StayRow.id))
            .where(StayKey.index == self.index(key))
            .order_by(col(StayRow.id))
        )
        return [self._outline(row) for row in self._session.exec(statement)]

    def outline(self, stay: int) -> StayOutline:
        """The outline of one stay."""
        return self._outline(self._session.get_one(StayRow, stay))

    def forget(self, stay: int) -> None:
        """Something about a stay has changed: its outline is read anew."""
        self._outlines.pop(stay, None)

    def facts_of(self, stay: int) -> Sequence[Facts]:
        """See `KnownStays.facts_of`."""
        statement = select(StayFacts.sealed_facts).where(StayFacts.stay_id == stay).order_by(col(StayFacts.message_id))
        return [self._facts(sealed) for sealed in self._session.exec(statement)]

    def waiting(self, keys: Iterable[Key]) -> Sequence[Facts]:
        """See `KnownStays.waiting`."""
        wanted = sorted({self.index(key) for key in keys})
        ids = select(WaitingKey.message_id).where(col(WaitingKey.index).in_(wanted)).distinct()
        statement = select(StayFacts.sealed_facts).where(col(StayFacts.message_id).in_(ids))
        return [self._facts(sealed) for sealed in self._session.exec(statement.order_by(col(StayFacts.message_id)))]

    # -- what assembling asks

    def filed(self, stay: int) -> tuple[Stay, str] | None:
        """The archived front sheet of a stay and when it was filed (China time), if there is one. While neither messages nor persons had
        a say, the current version is it."""
        row = self._session.get(FiledStay, stay)
        if row is not None:
            return self._stay(row.sealed_body, FILED_PLACE), china_text(row.filed_at)
        version = self._current(stay)
        if version is None or "#" not in version.made_by:
            return None
        return self._stay(version.sealed_body, STAY_PLACE), china_text(version.created_at)

    def body(self, version: StayVersion) -> Stay:
        """The stay as one version recorded it."""
        return self._stay(version.sealed_body, STAY_PLACE)

    def corrections(self, stay: int) -> list[Correction]:
        """What persons put right, oldest first."""
        statement = select(StayCorrection.sealed_body).where(StayCorrection.stay_id == stay).order_by(col(StayCorrection.id))
        return [
            msgspec.json.decode(self._vault.open(sealed, CORRECTION_PLACE), type=Correction)
            for sealed in self._session.exec(statement)
        ]

    def is_plain(self, stay: int) -> bool:
        """Whether neither messages nor persons had a say in a stay."""
        for table in (StayFacts, StayCorrection):
            if self._session.exec(select(table.stay_id).where(table.stay_id == stay).limit(1)).first() is not None:
                return False
        return True

    # -- what is written

    def add_keys(self, stay: int, keys: Iterable[Key]) -> list[Key]:
        """Make a stay known under keys; those that are new to it."""
        known = set(self._session.exec(select(StayKey.index).where(StayKey.stay_id == stay)))
        fresh = {self.index(key): key for key in keys}
        rows = [{"index": index, "stay_id": stay} for index in fresh if index not in known]
        if rows:
            self._session.execute(insert(StayKey), rows)
        return [key for index, key in fresh.items() if index not in known]

    def join(self, message_id: int, facts: Facts, stay: int | None, waiting_for: Iterable[Key] = ()) -> None:
        """Note what a message says, of a stay or waiting for one."""
        if stay is not None:
            self.forget(stay)
        sealed = self._vault.seal(msgspec.json.encode(facts), FACTS_PLACE)
        self._session.merge(StayFacts(message_id=message_id, stay_id=stay, sealed_facts=sealed))
        self._session.execute(delete(WaitingKey).where(col(WaitingKey.message_id) == message_id))
        indexes = {self.index(key) for key in waiting_for}
        if stay is None and indexes:
            self._session.execute(insert(WaitingKey), [{"index": index, "message_id": message_id} for index in sorted(indexes)])

    def file(self, stay: int, message: str, body: Stay) -> None:
        """Keep a front sheet beside what messages and persons say."""
        sealed = self._vault.seal(msgspec.json.encode(body), FILED_PLACE)
        self._session.merge(FiledStay(stay_id=stay, message=message, filed_at=now(), sealed_body=sealed))

    def keep_filed(self, stay: int) -> None:
        """Before messages or persons have a say for the first time: the current version, where it is a front sheet, becomes the one that
        `filed` gives from now on."""
        version = self._current(stay)
        if self._session.get(FiledStay, stay) is None and version is not None and "#" in version.made_by:
            body = self._vault.seal(self._vault.open(version.sealed_body, STAY_PLACE), FILED_PLACE)
            row = FiledStay(stay_id=stay, message=version.made_by, filed_at=version.created_at, sealed_body=body)
            self._session.add(row)

    def add_correction(self, stay: int, correction: Correction) -> None:
        """Keep one act of a person."""
        sealed = self._vault.seal(msgspec.json.encode(correction), CORRECTION_PLACE)
        self._session.add(StayCorrection(stay_id=stay, at=now(), sealed_body=sealed))

    def merged(self, organisation: str, old: str, surviving: str) -> None:
        """From now on ``surviving`` counts for ``old``."""
        index = self._vault.index("merged", organisation, old)
        self._session.merge(MergedNumber(index=index, sealed_number=self._vault.seal(surviving.encode(), NUMBER_PLACE)))

    def absorb(self, stay: int, into: int) -> None:
        """``stay`` is the same as ``into``: everything known of it moves along, and it is found no more."""
        self.keep_filed(stay)
        self.keep_filed(into)
        for table in (StayFacts, StayCorrection):
            self._session.execute(update(table).where(col(table.stay_id) == stay).values(stay_id=into))
        moving = self._session.get(FiledStay, stay)
        if moving is not None:
            if self._session.get(FiledStay, into) is None:
                self._session.add(
                    FiledStay(stay_id=into, message=moving.message, filed_at=moving.filed_at, sealed_body=moving.sealed_body)
                )
            self._session.delete(moving)
        indexes = list(self._session.exec(select(StayKey.index).where(StayKey.stay_id == stay)))
        self._session.execute(delete(StayKey).where(col(StayKey.stay_id) == stay))
        for index in indexes:
            self._session.merge(StayKey(index=index, stay_id=into))
        self.forget(stay)
        self.forget(into)
        row = self._session.get_one(StayRow, stay)
        row.absorbed_into = into
        row.identity = self._vault.index("absorbed", str(stay))
        self._session.add(row)
        self._session.flush()

    def index(self, key: Key) -> str:
        """The blind index of a key."""
        return self._vault.index(*key.index)

    # -- inside

    def _current(self, stay: int) -> StayVersion | None:
        row = self._session.get(StayRow, stay)
        if row is None:
            return None
        statement = select(StayVersion).where(StayVersion.stay_id == stay, StayVersion.number == row.current)
        return self._session.exec(statement).one_or_none()

    def _outline(self, row: StayRow) -> StayOutline:
        assert row.id is not None, "a stored row has an id"
        changed, known = self._outlines.get(row.id, (None, None))
        if known is None or changed != row.updated_at:
            version = self._current(row.id)
            stay = self._stay(version.sealed_body, STAY_PLACE) if version is not None else Stay()
            visits = frozenset(facts.visit.number for facts in self.facts_of(row.id) if facts.visit.number)
            known = StayOutline(
                id=row.id,
                record_number=stay.record_number or "",
                admission_number=stay.admission_number,
                resident_id=stay.patient.identity.number or "",
                visits=visits,
                admitted_at=stay.admission.time or "",
                discharged_at=stay.discharge.time or "",
            )
            self._outlines[row.id] = row.updated_at, known
            if len(self._outlines) > _REMEMBERED:
                self._outlines.popitem(last=False)
        return known

    def _facts(self, sealed: bytes) -> Facts:
        return msgspec.json.decode(self._vault.open(sealed, FACTS_PLACE), type=Facts)

    def _stay(self, sealed: bytes, place: str) -> Stay:
        return msgspec.json.decode(self._vault.open(sealed, place), type=Stay)
