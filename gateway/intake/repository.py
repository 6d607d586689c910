"""Where FHIR content becomes durable: the message as it came, and the resources that it states, in one commit.

FHIR transfers state. So beside the raw message the ledger holds every resource as its source states it now; what is read of a patient is
always read from all current resources of the record (`gateway.intake.records`), and what a source takes back is simply not there any more.
A message makes records due; reading them is `gateway.assembling`'s part.

A repeated bundle (same Bundle.identifier, or none, and the same bytes) changes nothing and gets the same answer. A resource that states
an older time (meta.lastUpdated, Bundle.timestamp) than the one that is there does not replace it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import BindParameter, bindparam, delete, insert, update
from sqlalchemy import select as sql_select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlmodel import Session, col, select

from adapters.fhir import json_text
from adapters.fhir.bundle import Change, Lookup, changes, logical_key, lookups
from adapters.fhir.fhir_file import stated_at
from adapters.fhir.refusal import FhirRefused, refused
from adapters.fhir.resource import USED, Body, Release
from adapters.fhir.wire import LINES, Document
from gateway.audit.log import Event, record
from gateway.intake.mailroom import RAW_PLACE
from gateway.model.errors import Overloaded
from gateway.store.ledger import Ledger, now
from gateway.store.tables import FhirAwaited, FhirDue, FhirIdentifier, FhirResource, InboundMessage

RESOURCE_PLACE = "fhir_resource.body"
LONGEST_PARAMETERS = 500
"""Values in one ``IN`` clause."""

# What every message asks of the ledger is put together once: that takes SQLAlchemy longer than SQLite takes to answer.
_GIVEN: BindParameter[Any] = bindparam("indexes", expanding=True)
_DIGESTS = select(InboundMessage.digest).where(
    InboundMessage.source == bindparam("source"),
    InboundMessage.control_id == bindparam("control_id"),
    InboundMessage.state != "refused",
)
_KNOWN = sql_select(
    col(FhirResource.index),
    col(FhirResource.id),
    col(FhirResource.version),
    col(FhirResource.digest),
    col(FhirResource.record),
    col(FhirResource.deleted),
    col(FhirResource.sealed_body),
).where(col(FhirResource.index).in_(_GIVEN))
_IDS = select(FhirResource.index, FhirResource.id).where(col(FhirResource.index).in_(_GIVEN))
_MOVED = (
    update(FhirResource)
    .where(col(FhirResource.record).in_(_GIVEN))
    .values(record=bindparam("own"))
    .execution_options(synchronize_session=False)
)
_AWAITING = select(FhirAwaited.record).where(col(FhirAwaited.index).in_(_GIVEN))


class Stored(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is sealed of a resource: its JSON as received and what the message told of it. ``record`` is the key of its patient's record,
    ``stated_at`` the time that the source gave (empty when none), ``occurred`` that time or when it came."""

    key: str
    raw: bytes
    occurred: str
    record: str = ""
    stated_at: str = ""
    release: Release = "R4"
    place: str = ""
    links: dict[str, str] = {}
    references: list[str] = []


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one entry. ``status`` as in an HTTP answer; ``version`` 0 where there is no resource; ``stale`` when the one that is
    there is newer."""

    change: Change
    status: int
    version: int
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that is durable. ``message`` is its number, 0 for one that was there already."""

    message: int
    repeated: bool
    entries: tuple[Answered, ...]


@dataclass(frozen=True, slots=True)
class Current:
    """A resource as its source states it now, with the id and version that it has here."""

    body: dict[str, Any]
    release: Release
    version: int
    deleted: bool


@dataclass(slots=True)
class _Known:
    """The row of a resource as it was looked up."""

    id: int
    version: int
    digest: str
    record: str
    deleted: bool
    sealed: bytes


@dataclass(slots=True)
class _Plan:
    """What a message changes. Resources are named by their blind index; ``before`` are those that had a row already."""

    before: frozenset[str]
    answers: list[Answered] = field(default_factory=list)
    due: set[str] = field(default_factory=set)
    fresh: dict[str, dict[str, Any]] = field(default_factory=dict)
    changed: list[dict[str, Any]] = field(default_factory=list)
    identified: dict[str, Sequence[Lookup]] = field(default_factory=dict)


class Repository:
    """The current FHIR resources of all sources. ``has_room`` says whether more may be taken."""

    def __init__(self, ledger: Ledger, has_room: Callable[[], bool] = lambda: True) -> None:
        self._ledger = ledger
        self._has_room = has_room

    def accept(self, source: str, raw: bytes, document: Document, *, base: str = "", peer: str = "") -> Accepted:
        """Make a message and its resources durable. ``base`` is the address at which clients know our server.

        Raises `Overloaded` when there is no room, and `FhirRefused` for what cannot be carried out; then nothing is stored."""
        self.demand_room()
        with self._ledger.write() as session:
            return _Storing(session, self._ledger, source).accept(raw, document, base, peer)

    def refuse(self, source: str, raw: bytes, refusal: FhirRefused, *, peer: str = "", kept_as: str = "") -> int:
        """Keep bytes that cannot be used, with the reason; their number. ``kept_as`` is the name under which the raw store has them where
        they are too long for the ledger."""
        note = f"{refusal}{f'；原文保存在 {kept_as}' if kept_as else ''}"
        with self._ledger.write() as session:
            row = _message(source, raw, self._ledger, peer=peer, state="refused", reason=refusal.reason, note=note)
            session.add(row)
            session.flush()
            record(session, Event("message.refused", row.name, {"reason": refusal.reason, "source": source}))
            assert row.id is not None, "a stored row has a number"
            return row.id

    def current(self, source: str, key: str, *, actor: str = "") -> Current | None:
        """A resource as its source states it now; None where there was none ever. A look of an ``actor`` is written down."""
        with self._ledger.write() as session:
            index = self._ledger.vault.index("fhir", source, key)
            row = session.exec(select(FhirResource).where(FhirResource.index == index)).one_or_none()
            if actor:
                subject = f"fhir-resource:{row.id}" if row is not None else "fhir-resource"
                record(session, Event("fhir.read", subject, {"found": row is not None}, actor))
            if row is None:
                return None
            stored = opened(self._ledger.vault.open(row.sealed_body, RESOURCE_PLACE))
        body = {**json_text.decode(stored.raw), "id": key.rpartition("/")[2]}
        return Current(with_version(body, row.version, row.updated_at), stored.release, row.version, row.deleted)

    def demand_room(self) -> None:
        """Raise `Overloaded` when nothing more can be taken."""
        if not self._has_room():
            raise Overloaded("网关暂时无法接收", action="请稍后重发", english="over capacity, send again later")


class _Storing:
    """One transaction of a repository."""

    def __init__(self, session: Session, ledger: Ledger, source: str) -> None:
        self._session = session
        self._ledger = ledger
        self._vault = ledger.vault
        self._source = source
        self._indexes: dict[tuple[str, ...], str] = {}

    def accept(self, raw: bytes, document: Document, base: str, peer: str) -> Accepted:
        digest = hashlib.sha256(raw).hexdigest()
        control_id = _control_id(document, digest)
        before = self._digests(control_id)
        made = changes(document, scope=digest, base=base, found=self._found(lookups(document)))
        known = self._known({change.key for change in made})
        if digest in before:
            record(self._session, Event("message.repeated", f"source:{self._source}", {"digest": digest[:16]}))
            return Accepted(0, True, tuple(_unchanged(change, known.get(self._index(change.key))) for change in made))
        plan = self._plan(made, document, known)
        due = (plan.due | self._awaiting(plan.identified) | self._move_logical(made)) - {""}
        row = _message(
            self._source, raw, self._ledger, peer=peer, control_id=control_id, event=_event(document), again=bool(before)
        )
        if not due:
            row.state, row.note = "ignored", "消息中没有属于患者的新内容"
        row.lane = next(iter(due)) if len(due) == 1 else ""
        self._session.add(row)
        self._session.flush()
        assert row.id is not None, "a stored row has a number"
        self._write(row.id, plan)
        if due:
            self._session.execute(insert(FhirDue), [{"message_id": row.id, "record": one} for one in sorted(due)])
        record(self._session, Event("message.received", row.name, {"source": self._source, "resources": len(plan.answers)}))
        return Accepted(row.id, False, tuple(plan.answers))

    def _plan(self, made: Sequence[Change], document: Document, known: dict[str, _Known]) -> _Plan:
        """What becomes of each change: what is put and deleted, and the records that are due."""
        plan = _Plan(frozenset(known))
        answers, due = plan.answers, plan.due
        at, received = now(), _china_now()
        for change in made:
            index = self._index(change.key)
            row = known.get(index)
            _demand_version(change, row)
            if change.action == "delete":
                if row is None or row.deleted:
                    answers.append(Answered(change, 204, row.version if row is not None else 0))
                    continue
                row.version, row.deleted = row.version + 1, True
                plan.changed.append(_update(row, at))
                due.add(row.record)
                answers.append(Answered(change, 204, row.version))
                continue
            if change.entry.kind not in USED:
                answers.append(Answered(change, 200, 0))
                continue
            if change.action == "create" and row is not None and not row.deleted:
                answers.append(Answered(change, 200, row.version))
                continue
            stated = stated_at(change.entry.body, document)
            body = Stored(
                change.key,
                change.entry.raw,
                stated or received,
                change.record,
                stated,
                document.release,
                change.entry.place,
                dict(change.links),
                list(change.references),
            )
            digest = hashlib.sha256(body.raw).hexdigest()
            owner = self._record_index(change.record)
            if row is not None and not row.deleted and row.digest == digest and row.record == owner:
                answers.append(Answered(change, 200, row.version))
                continue
            if row is not None and self._newer(row, stated):
                answers.append(Answered(change, 200, row.version, stale=True))
                continue
            sealed = self._vault.seal(msgspec.msgpack.encode(body), RESOURCE_PLACE)
            plan.identified[index] = change.identifiers
            due.add(owner)
            if row is None:
                answers.append(Answered(change, 201, 1))
                plan.fresh[index] = {
                    "source": self._source,
                    "index": index,
                    "record": owner,
                    "kind": change.entry.kind,
                    "version": 1,
                    "deleted": False,
                    "digest": digest,
                    "updated_at": at,
                    "sealed_body": sealed,
                }
                known[index] = _Known(0, 1, digest, owner, False, sealed)
                continue
            self._same_person(change, row)
            due.add(row.record)
            row.version, row.digest, row.record, row.deleted, row.sealed = row.version + 1, digest, owner, False, sealed
            answers.append(Answered(change, 200, row.version))
            if row.id:
                plan.changed.append(_update(row, at))
            else:  # the same resource twice in one message: the last one counts
                plan.fresh[index] |= {"digest": digest, "sealed_body": sealed}
        return plan

    # -- looking up

    def _blind(self, *parts: str) -> str:
        """A blind index; those of a bundle are asked for again and again."""
        found = self._indexes.get(parts)
        if found is None:
            found = self._indexes[parts] = self._vault.index(parts[0], self._source, *parts[1:])
        return found

    def _index(self, key: str) -> str:
        return self._blind("fhir", key)

    def _record_index(self, key: str) -> str:
        return self._blind("fhir-record", key) if key else ""

    def _identifier_index(self, lookup: Lookup) -> str:
        return self._blind("fhir-identifier", *lookup)

    def _digests(self, control_id: str) -> set[str]:
        if not control_id:
            return set()
        return set(self._session.exec(_DIGESTS, params={"source": self._source, "control_id": control_id}))

    def _found(self, wanted: Iterable[Lookup]) -> dict[Lookup, list[str]]:
        """The keys of the current resources that have these identifiers."""
        by_index = {self._identifier_index(lookup): lookup for lookup in wanted}
        found: dict[Lookup, list[str]] = {}
        for piece in pieces(by_index):
            statement = (
                select(FhirIdentifier.index, FhirResource.sealed_body)
                .join(FhirResource, col(FhirResource.id) == FhirIdentifier.resource_id)
                .where(col(FhirIdentifier.index).in_(piece), col(FhirResource.deleted).is_(False))
            )
            for index, sealed in self._session.exec(statement.order_by(col(FhirResource.id))):
                found.setdefault(by_index[index], []).append(opened(self._vault.open(sealed, RESOURCE_PLACE)).key)
        return found

    def _known(self, keys: Iterable[str]) -> dict[str, _Known]:
        found: dict[str, _Known] = {}
        for piece in pieces({self._index(key) for key in keys}):
            for index, *row in self._session.execute(_KNOWN, {"indexes": piece}):
                found[index] = _Known(*row)
        return found

    def _newer(self, row: _Known, stated: str) -> bool:
        """Whether what is there was stated for a later time; where either side states none, the later arrival counts."""
        if not stated:
            return False
        there = opened(self._vault.open(row.sealed, RESOURCE_PLACE)).stated_at
        return bool(there) and there > stated

    def _same_person(self, change: Change, row: _Known) -> None:
        """A sender that uses one fullUrl for several people would turn one patient into another. Raises `FhirRefused`."""
        if not change.by_uuid or change.entry.kind != "Patient" or not change.identifiers or not row.id:
            return
        before = set(self._session.exec(select(FhirIdentifier.index).where(FhirIdentifier.resource_id == row.id)))
        if before and before.isdisjoint(self._identifier_index(lookup) for lookup in change.identifiers):
            where = f"Bundle.{change.entry.place}.fullUrl"
            message, english = "同一个 fullUrl 先后用于不同的患者，未采用", "one fullUrl for different patients"
            raise refused("identity-conflict", "conflict", where, message, english, severity="error", status=409)

    # -- writing

    def _write(self, message: int, plan: _Plan) -> None:
        """Carry out a plan for a stored message."""
        if plan.fresh:
            self._session.execute(insert(FhirResource), [{**row, "message_id": message} for row in plan.fresh.values()])
        if plan.changed:
            self._session.execute(update(FhirResource), [{**row, "message_id": message} for row in plan.changed])
        if plan.identified:
            self._identify(plan.identified, plan.before)

    def _identify(self, identified: Mapping[str, Sequence[Lookup]], before: Set[str]) -> None:
        """Write down the identifiers of resources, in place of those of the ones that were there ``before``."""
        ids = self._ids(index for index, said in identified.items() if said or index in before)
        for piece in pieces(ids[index] for index in ids.keys() & before):
            self._session.execute(delete(FhirIdentifier).where(col(FhirIdentifier.resource_id).in_(piece)))
        rows = [
            {"index": self._identifier_index(lookup), "resource_id": ids[index]}
            for index, said in identified.items()
            for lookup in dict.fromkeys(said)
        ]
        if rows:
            self._session.execute(insert(FhirIdentifier), rows)

    def _ids(self, indexes: Iterable[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for piece in pieces(indexes):
            found.update((index, id) for index, id in self._session.execute(_IDS, {"indexes": piece}))
        return found

    def _awaiting(self, indexes: Iterable[str]) -> set[str]:
        """Records that referred to one of these resources before it was there."""
        found: set[str] = set()
        for piece in pieces(indexes):
            records = set(self._session.exec(_AWAITING, params={"indexes": piece}))
            if records:
                self._session.execute(delete(FhirAwaited).where(col(FhirAwaited.index).in_(piece)))
                found |= records
        return found

    def _move_logical(self, made: Sequence[Change]) -> set[str]:
        """What was known of a patient by an identifier only belongs to the patient's record, now that there is one."""
        moved: set[str] = set()
        for change in made:
            if change.entry.kind != "Patient" or change.action == "delete":
                continue
            own = self._record_index(change.key)
            former = [self._record_index(logical_key(lookup)) for lookup in change.identifiers]
            result = self._session.execute(_MOVED, {"own": own, "indexes": [index for index in former if index != own]})
            if result.rowcount:  # type: ignore[attr-defined]
                moved.add(own)
        return moved


def pieces(values: Iterable[Any]) -> Iterable[list[Any]]:
    """Values in lists that fit into a statement."""
    source = iter(sorted(values))
    while piece := list(islice(source, LONGEST_PARAMETERS)):
        yield piece


def with_version(body: Body, version: int, updated: dt.datetime) -> dict[str, Any]:
    """A resource with the version that it has here."""
    meta = body.get("meta")
    told = {"versionId": str(version), "lastUpdated": updated.isoformat(timespec="milliseconds")}
    return {**body, "meta": {**(meta if isinstance(meta, Mapping) else {}), **told}}


def opened(data: bytes) -> Stored:
    """A resource as it was kept."""
    return msgspec.msgpack.decode(data, type=Stored)


def upsert_awaited(session: Session, rows: Sequence[Mapping[str, str]]) -> None:
    """Note what records wait for; what is noted already stays."""
    if rows:
        made = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgresql_insert
        session.execute(made(FhirAwaited).on_conflict_do_nothing(), list(rows))


def _message(source: str, raw: bytes, ledger: Ledger, **said: Any) -> InboundMessage:
    return InboundMessage(
        standard="fhir",
        source=source,
        digest=hashlib.sha256(raw).hexdigest(),
        received_at=now(),
        answer=b"",
        sealed_raw=ledger.vault.seal(raw, RAW_PLACE),
        **{"control_id": "", "state": "received", **said},
    )


def _control_id(document: Document, digest: str) -> str:
    """What makes a bundle the same one when it comes again; single resources are told apart by what they change."""
    if document.kind not in ("Bundle", LINES):
        return ""
    identifier = document.envelope.get("identifier")
    value = identifier.get("value") if isinstance(identifier, Mapping) else None
    return f"{identifier.get('system') or ''}|{value}" if isinstance(identifier, Mapping) and value else f"sha256:{digest}"


def _event(document: Document) -> str:
    """What a message is, and in which release: ``Bundle/transaction R4``."""
    return f"Bundle/{document.type} {document.release}" if document.kind == "Bundle" else f"{document.kind} {document.release}"


def _china_now() -> str:
    return (dt.datetime.now(dt.UTC) + dt.timedelta(hours=8)).strftime("%Y-%m-%dT%H:%M:%S")


def _demand_version(change: Change, row: _Known | None) -> None:
    """``If-Match``: the change is meant for that version only. Raises `FhirRefused`."""
    wanted = change.entry.if_match.strip().removeprefix("W/").strip('"')
    if wanted and (row is None or row.deleted or wanted != str(row.version)):
        where = f"Bundle.{change.entry.place}" if change.entry.place else change.entry.kind
        message, english = "资源已是另一版本，请重新读取后再更新", "the version is another one (If-Match)"
        raise refused("version", "conflict", where, message, english, severity="error", status=412)


def _unchanged(change: Change, row: _Known | None) -> Answered:
    return Answered(change, 204 if change.action == "delete" else 200, row.version if row is not None else 0)


def _update(row: _Known, at: dt.datetime) -> dict[str, Any]:
    return {
        "id": row.id,
        "version": row.version,
        "digest": row.digest,
        "record": row.record,
        "deleted": row.deleted,
        "sealed_body": row.sealed,
        "updated_at": at,
    }
