"""What the gateway knows, shown as FHIR R4: canonical stays, their provenance and the audit log, found page by page.

Resources are made anew from the ledger whenever somebody asks; nothing is stored as FHIR. All ids begin with ``zb-``, so they never meet
those that sources send.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import and_
from sqlmodel import Session, col, func, select

from adapters.fhir.writing.audit_event import audit_event
from adapters.fhir.writing.names import RESERVED, Names
from adapters.fhir.writing.provenance import provenance
from adapters.fhir.writing.stay import resources_of
from adapters.fhir.writing.strict import Resource
from gateway.cases import stays
from gateway.cases.joining import Key
from gateway.cases.known import KnownInLedger
from gateway.cases.timeline import timeline
from gateway.intake.batches import batched
from gateway.model.stay import Stay
from gateway.store.tables import AuditEntry, StayKey, StayRow, StayVersion
from gateway.store.vault import Vault
from mappings.identifier_systems import identifier_system

PATIENT_ID: Final = 40
"""Characters of a patient's blind index that make an id (FHIR allows 64, the prefix included)."""

_TOGETHER: Final = 25
"""Stays that are looked up at once."""

# Numbers of 18 digits fit into a column of any ledger.
_PLACE: Final = re.compile(r"zb-([0-9]{1,18})(?:-.+)?")
_PATIENT: Final = re.compile(r"zb-([0-9a-f]{40})")
_PERSON_OF_STAY: Final = re.compile(r"zb-stay([0-9]{1,18})")
_AUDIT: Final = re.compile(r"zb-audit-([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins: behind resource ``part`` (from 1) of stay ``number``, or behind entry ``number`` of the audit log, which is paged
    up to entry ``part``; (0, 0) is the beginning."""

    number: int = 0
    part: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Resources, and where the next page begins; None after the last one."""

    resources: list[Resource]
    next: Cursor | None


class Published:
    """Looks things up in one session. ``organisations`` are the codes of the institutions whose 病案号 may be searched for; ``within`` is
    the one whose stays are shown, empty for those of all."""

    def __init__(self, session: Session, vault: Vault, base: str, organisations: Iterable[str] = (), *, within: str = "") -> None:
        self._session = session
        self._vault = vault
        self._base = base
        self._organisations = set(organisations)
        self._within = within
        self._known = KnownInLedger(session, vault)

    # -- one resource

    def read(self, kind: str, id: str) -> Resource | None:
        """One resource by its id; None where there is none."""
        if kind == "AuditEvent":
            match = _AUDIT.fullmatch(id)
            entry = self._session.get(AuditEntry, int(match[1])) if match is not None else None
            return _event(entry) if entry is not None else None
        if kind == "Patient":
            stay = self._newest_of(id)
        else:
            match = _PLACE.fullmatch(id)
            stay = int(match[1]) if match is not None else None
        if stay is None:
            return None
        made = next((made for _, made in self._made([stay], kind)), [])
        return next((one for one in made if one["id"] == id), None)

    def _made(self, numbers: Sequence[int], kind: str) -> Iterator[tuple[int, list[Resource]]]:
        """The resources of a kind that are made of the current versions of stays, stay by stay; of none that was absorbed."""
        statement = (
            select(StayRow.id, StayVersion.number, StayVersion.created_at, StayVersion.sealed_body)
            .join(StayVersion, and_(col(StayVersion.stay_id) == StayRow.id, col(StayVersion.number) == StayRow.current))
            .where(col(StayRow.id).in_(numbers), col(StayRow.absorbed_into).is_(None))
        )
        self._known.gather(numbers)
        for id, version, made_at, sealed in self._session.exec(statement.order_by(col(StayRow.id))).all():
            number = id or 0
            body = msgspec.json.decode(self._vault.open(sealed, stays.STAY_PLACE), type=Stay)
            if self._within and body.organisation.code != self._within:
                continue
            names = Names(str(number), self._patient(body, number), version, made_at, self._base)
            withdrawn = self._withdrawn(number)
            if kind == "Provenance":
                yield number, [provenance(body, names, resources_of(body, names, withdrawn=withdrawn))]
            else:
                yield number, resources_of(body, names, withdrawn=withdrawn, kinds=(kind,))

    # -- pages

    def of_stays(
        self, kind: str, count: int, after: Cursor, *, patient: str = "", identifier: str = "", stay: int | None = None
    ) -> Page:
        """Resources of a kind, stay by stay. ``patient`` is the id of a Patient, ``identifier`` a 病案号 (``system|value``), ``stay`` the
        number of one stay."""
        found: list[Resource] = []
        seen: set[str] = set()
        for numbers in batched(self._stays(after, patient, identifier, stay), _TOGETHER):
            for number, made in self._made(numbers, kind):
                if kind == "Patient" and made and self._newest_of(made[0]["id"]) != number:
                    continue  # shown with the newest stay
                for part, one in enumerate(made, start=1):
                    if (number, part) <= (after.number, after.part) or one["id"] in seen:
                        continue
                    if len(found) == count:
                        return Page(found, Cursor(number, part - 1))
                    seen.add(one["id"])
                    found.append(one)
        return Page(found, None)

    def of_audit(
        self, count: int, after: Cursor, *, since: datetime | None, until: datetime | None, actor: str, subject: str
    ) -> Page:
        """Entries of the audit log, oldest first, up to the one that was the last when the first page was asked for: every page that is
        looked at adds one."""
        last = after.part or self._session.exec(select(func.max(AuditEntry.seq))).one() or 0
        statement = select(AuditEntry).where(col(AuditEntry.seq) > after.number, col(AuditEntry.seq) <= last)
        if since is not None:
            statement = statement.where(col(AuditEntry.at) >= since)
        if until is not None:
            statement = statement.where(col(AuditEntry.at) < until)
        if actor:
            statement = statement.where(AuditEntry.actor == actor)
        if subject:
            statement = statement.where(AuditEntry.subject == subject)
        entries = list(self._session.exec(statement.order_by(col(AuditEntry.seq)).limit(count + 1)))
        more = len(entries) > count
        return Page([_event(entry) for entry in entries[:count]], Cursor(entries[count - 1].seq, last) if more else None)

    # -- inside

    def _stays(self, after: Cursor, patient: str, identifier: str, stay: int | None) -> Iterator[int]:
        """Numbers of stays, ascending, from the one that a page begins in."""
        first = after.number
        if stay is not None:
            yield from (stay,) if stay >= first else ()
        elif patient or identifier:
            chosen = self._of_patient(patient) if patient else None
            if identifier:
                of_number = self._of_number(identifier)
                chosen = of_number if chosen is None else chosen & of_number
            yield from (number for number in sorted(chosen or ()) if number >= first)
        else:
            while True:
                statement = select(StayRow.id).where(col(StayRow.id) >= first, col(StayRow.absorbed_into).is_(None))
                numbers = [id or 0 for id in self._session.exec(statement.order_by(col(StayRow.id)).limit(200))]
                yield from numbers
                if len(numbers) < 200:
                    return
                first = numbers[-1] + 1

    def _of_patient(self, id: str) -> set[int]:
        """The stays of a Patient."""
        if (match := _PERSON_OF_STAY.fullmatch(id)) is not None:
            return {int(match[1])}
        match = _PATIENT.fullmatch(id)
        if match is None:
            return set()
        prefix = match[1]
        statement = select(StayKey.stay_id).where(col(StayKey.index) >= prefix, col(StayKey.index) < prefix + "g")
        return set(self._session.exec(statement))

    def _of_number(self, identifier: str) -> set[int]:
        """The stays under a 病案号."""
        system, bar, value = identifier.rpartition("|")
        if (bar and system != identifier_system("record-number")) or not value:
            return set()
        keys = [self._known.index(Key("patient", (organisation, value))) for organisation in self._institutions()]
        return set(self._session.exec(select(StayKey.stay_id).where(col(StayKey.index).in_(keys))))

    def _institutions(self) -> set[str]:
        """The institutions of the configured sources, and that of the newest stay, for a hospital that hands in files only."""
        newest = self._session.exec(select(StayVersion.id).order_by(col(StayVersion.id).desc()).limit(1)).first()
        if newest is None:
            return self._organisations
        return self._organisations | {stays.body(self._session, self._vault, newest).organisation.code or ""}

    def _newest_of(self, patient: str) -> int | None:
        found = self._of_patient(patient)
        statement = select(func.max(StayRow.id)).where(col(StayRow.id).in_(found), col(StayRow.absorbed_into).is_(None))
        return self._session.exec(statement).one() if found else None

    def _patient(self, stay: Stay, number: int) -> str:
        """The id of a stay's Patient without its prefix: the same for all stays under one 病案号."""
        organisation, record, _ = stay.identity
        if not record:
            return f"stay{number}"
        return self._known.index(Key("patient", (organisation, record)))[:PATIENT_ID]

    def _withdrawn(self, stay: int) -> bool:
        said = self._known.facts_of(stay)
        return bool(said) and timeline(said).cancelled


def stay_of(encounter: str) -> int | None:
    """The number of the stay that an id of an Encounter is about."""
    number = encounter.removeprefix("Encounter/").removeprefix(RESERVED)
    return int(number) if number.isascii() and number.isdigit() and len(number) < 19 else None


def _event(entry: AuditEntry) -> Resource:
    return audit_event(
        seq=entry.seq,
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        subject=entry.subject,
        detail=json.loads(entry.detail),
        previous=entry.previous,
        hash=entry.hash,
    )
