"""What one FHIR message changes: a transaction of `gateway.intake.repository`.

The rows of all resources that the message speaks of are looked up at once and changed in memory, entry by entry, so that an entry finds what
an earlier one left; then they are written. Statements that every message needs are put together once: that takes SQLAlchemy longer than
SQLite takes to answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, bindparam, delete, insert, update
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from adapters.fhir.bundle import Change, Lookup, changes, logical_key, lookups, referring
from adapters.fhir.fhir_file import stated_at
from adapters.fhir.refusal import refused
from adapters.fhir.resource import USED
from adapters.fhir.wire import Document
from gateway.audit.log import Event, record
from gateway.intake.mailroom import RAW_PLACE
from gateway.intake.resources import Accepted, Answered, Stored, opened, pieces, sealed
from gateway.model.times import china_text
from gateway.store.ledger import now
from gateway.store.tables import FhirAwaited, FhirDue, FhirIdentifier, FhirResource, InboundMessage
from gateway.store.vault import Vault

_GIVEN: BindParameter[Any] = bindparam("indexes", expanding=True)
_DIGESTS = select(InboundMessage.digest).where(
    InboundMessage.source == bindparam("source"),
    InboundMessage.control_id == bindparam("control_id"),
    InboundMessage.state != "refused",
)
_ROWS = sql_select(
    col(FhirResource.index),
    col(FhirResource.kind),
    col(FhirResource.id),
    col(FhirResource.version),
    col(FhirResource.digest),
    col(FhirResource.record),
    col(FhirResource.deleted),
    col(FhirResource.sealed_body),
    col(FhirResource.updated_at),
).where(col(FhirResource.index).in_(_GIVEN))
_IDS = select(FhirResource.index, FhirResource.id).where(col(FhirResource.index).in_(_GIVEN))
_FOUND = (
    select(FhirIdentifier.index, FhirResource.sealed_body)
    .join(FhirResource, col(FhirResource.id) == FhirIdentifier.resource_id)
    .where(col(FhirIdentifier.index).in_(_GIVEN), col(FhirResource.deleted).is_(False))
    .order_by(col(FhirResource.id))
)
_MOVED = (
    update(FhirResource)
    .where(col(FhirResource.record).in_(_GIVEN))
    .values(record=bindparam("own"))
    .execution_options(synchronize_session=False)
)
_DEPENDING = select(FhirAwaited.record).where(col(FhirAwaited.index).in_(_GIVEN))
_DEPENDS_NO_MORE = delete(FhirAwaited).where(col(FhirAwaited.record).in_(_GIVEN)).execution_options(synchronize_session=False)

CLOCKS_APART = timedelta(minutes=10)
"""How far a sender's clock may run ahead before the times that it states are passed over."""


@dataclass(slots=True)
class _Row:
    """The row of a resource, as it is or is to be. ``id`` is 0 while there is none, ``version`` 0 while there is nothing."""

    index: str
    kind: str
    id: int = 0
    version: int = 0
    digest: str = ""
    record: str = ""
    deleted: bool = False
    sealed_body: bytes = b""
    updated_at: datetime | None = None
    changed: bool = False

    @property
    def there(self) -> bool:
        """Whether the resource can be read now."""
        return self.version > 0 and not self.deleted

    def written(self, message: int, at: object) -> dict[str, Any]:
        """Its columns, as a message leaves them."""
        names = ("version", "digest", "record", "deleted", "sealed_body")
        return {**{name: getattr(self, name) for name in names}, "message_id": message, "updated_at": at}


class Storing:
    """One message of one source in one writing session."""

    def __init__(self, session: Session, vault: Vault, source: str) -> None:
        self._session = session
        self._vault = vault
        self._source = source
        self._indexes: dict[tuple[str, ...], str] = {}
        self._rows: dict[str, _Row] = {}
        self._due: set[str] = set()
        self._identified: dict[str, Sequence[Lookup]] = {}
        self._made: dict[str, Change] = {}
        self._at = now()
        self._received, self._latest = china_text(self._at), china_text(self._at + CLOCKS_APART)

    def accept(self, raw: bytes, document: Document, base: str, peer: str) -> Accepted:
        """See `gateway.intake.repository.Repository.accept`."""
        digest = hashlib.sha256(raw).hexdigest()
        identifier = _identifier(document)
        control_id = self._blind("fhir-bundle", *identifier) if any(identifier) else f"sha256:{digest}"
        before = self._digests(control_id)
        references = referring(document)
        made = changes(document, references, scope=digest, base=base, found=self._found(lookups(document, references)))
        self._look_up(made)
        self._made = {change.key: change for change in made}
        if digest in before and any(identifier):
            return self._repeated(digest, [self._unchanged(change) for change in made])
        answers = [self._answer(change, document) for change in made]
        nothing_new = not any(row.changed for row in self._rows.values())
        if nothing_new and (digest in before or all(change.action == "delete" for change in made)):
            return self._repeated(digest, answers)
        self._due |= self._depending() | self._move_logical(made)
        self._due.discard("")
        row = message_row(
            self._vault, self._source, raw, peer=peer, control_id=control_id, event=_event(document), again=bool(before - {digest})
        )
        if not self._due:
            stale = any(answer.stale for answer in answers)
            row.state, row.note = "ignored", "已有更新的内容，未采用" if stale else "消息中没有属于患者的新内容"
        row.lane = next(iter(self._due)) if len(self._due) == 1 else ""
        self._session.add(row)
        self._session.flush()
        assert row.id is not None, "a stored row has a number"
        self._write(row.id)
        record(self._session, Event("message.received", row.name, {"source": self._source, "resources": len(answers)}))
        return Accepted(row.id, False, tuple(answers))

    def _repeated(self, digest: str, answers: Sequence[Answered]) -> Accepted:
        """The same content again: nothing is stored."""
        record(self._session, Event("message.repeated", f"source:{self._source}", {"digest": digest[:16]}))
        return Accepted(0, True, tuple(answers))

    # -- one entry

    def _answer(self, change: Change, document: Document) -> Answered:
        row = self._rows[change.key]
        _demand_version(change, row)
        if change.action == "delete":
            return self._delete(change, row)
        if change.entry.kind not in USED:
            return Answered(change, 200, 0)
        if change.action == "create" and row.there:
            return Answered(change, 200, row.version)
        return self._put(change, row, document)

    def _delete(self, change: Change, row: _Row) -> Answered:
        if row.there:
            row.version, row.deleted, row.changed = row.version + 1, True, True
            self._due.add(row.record)
        return Answered(change, 204, row.version)

    def _put(self, change: Change, row: _Row, document: Document) -> Answered:
        stated = stated_at(change.entry.body, document)
        if stated > self._latest:
            stated = ""  # a clock that runs ahead says nothing, or it would hold off every correction
        digest = hashlib.sha256(change.entry.raw).hexdigest()
        owner = self._record_index(change.record)
        if row.there and row.digest == digest and row.record == owner:
            return Answered(change, 200, row.version)
        if row.version and self._newer(row, stated):
            return Answered(change, 200, row.version, stale=True)
        self._same_person(change, row)
        body = Stored(
            change.key,
            change.entry.raw,
            stated or self._received,
            change.record,
            stated,
            document.release,
            change.entry.place,
            dict(change.links),
            list(change.references),
        )
        self._due |= {owner, row.record}
        self._identified[row.index] = change.identifiers
        made = not row.version
        row.version, row.digest, row.record, row.deleted, row.changed = row.version + 1, digest, owner, False, True
        row.sealed_body = sealed(self._vault, body)
        return Answered(change, 201 if made else 200, row.version)

    def _unchanged(self, change: Change) -> Answered:
        """The answer to an entry of a message that came before: stale where something else is there by now."""
        row = self._rows[change.key]
        if change.action == "delete":
            return Answered(change, 204, row.version)
        as_then = row.there and row.digest == hashlib.sha256(change.entry.raw).hexdigest()
        return Answered(change, 200, row.version, stale=bool(row.version) and not as_then)

    def _newer(self, row: _Row, stated: str) -> bool:
        """Whether what is there was stated, or was deleted, later; where a put states no time, the later arrival counts."""
        if not stated:
            return False
        if row.deleted:
            return row.updated_at is not None and china_text(row.updated_at) > stated
        there = opened(self._vault, row.sealed_body).stated_at
        return bool(there) and there > stated

    def _same_person(self, change: Change, row: _Row) -> None:
        """A sender that uses one fullUrl for several people would turn one patient into another. Raises `FhirRefused`."""
        if not change.by_uuid or not row.id:
            return
        former = opened(self._vault, row.sealed_body).record
        if change.entry.kind != "Patient" and change.record in ("", former):
            return
        before, after = self._numbers_of(former), self._numbers_of(change.record)
        if former == change.record:
            after = {self._identifier_index(lookup) for lookup in change.identifiers}
        if before and after and before.isdisjoint(after):
            where = f"Bundle.{change.entry.place}.fullUrl"
            message, english = "同一个 fullUrl 先后用于不同的患者，未采用", "one fullUrl for different patients"
            raise refused("identity-conflict", "conflict", where, message, english, severity="error", status=409)

    def _numbers_of(self, patient: str) -> set[str]:
        """The identifiers of a Patient: of this message's, else of the one that is there."""
        change = self._made.get(patient)
        if change is not None and not self._rows[patient].id:
            return {self._identifier_index(lookup) for lookup in change.identifiers}
        of_patient = select(FhirResource.id).where(FhirResource.index == self._index(patient))
        return set(self._session.exec(select(FhirIdentifier.index).where(col(FhirIdentifier.resource_id).in_(of_patient))))

    # -- looking up

    def _look_up(self, made: Sequence[Change]) -> None:
        """The rows of all resources that a message speaks of."""
        by_index = {self._index(change.key): change for change in made}
        found: dict[str, _Row] = {}
        for piece in pieces(by_index):
            for row in self._session.execute(_ROWS, {"indexes": piece}):
                found[row[0]] = _Row(*row)
        for index, change in by_index.items():
            self._rows[change.key] = found.get(index) or _Row(index, change.entry.kind)

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
            for index, kept in self._session.exec(_FOUND, params={"indexes": piece}):
                found.setdefault(by_index[index], []).append(opened(self._vault, kept).key)
        return found

    # -- writing

    def _write(self, message: int) -> None:
        """Carry out what was planned for a stored message."""
        at = self._at
        changed = [row for row in self._rows.values() if row.changed]
        if fresh := [row for row in changed if not row.id]:
            named = ({"source": self._source, "index": row.index, "kind": row.kind} for row in fresh)
            rows = [{**names, **row.written(message, at)} for names, row in zip(named, fresh, strict=True)]
            self._session.execute(insert(FhirResource), rows)
        if former := [row for row in changed if row.id]:
            self._session.execute(update(FhirResource), [{"id": row.id, **row.written(message, at)} for row in former])
        if self._identified:
            self._identify({row.index for row in former})
        if self._due:
            self._session.execute(insert(FhirDue), [{"message_id": message, "record": one} for one in sorted(self._due)])

    def _identify(self, before: set[str]) -> None:
        """Write down the identifiers of resources, in place of those of the ones that were there ``before``."""
        ids = self._ids(index for index, said in self._identified.items() if said or index in before)
        for piece in pieces(ids[index] for index in ids.keys() & before):
            self._session.execute(delete(FhirIdentifier).where(col(FhirIdentifier.resource_id).in_(piece)))
        rows = [
            {"index": self._identifier_index(lookup), "resource_id": ids[index]}
            for index, said in self._identified.items()
            for lookup in dict.fromkeys(said)
        ]
        if rows:
            self._session.execute(insert(FhirIdentifier), rows)

    def _ids(self, indexes: Iterable[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for piece in pieces(indexes):
            found.update((index, id) for index, id in self._session.execute(_IDS, {"indexes": piece}))
        return found

    def _depending(self) -> set[str]:
        """Records that refer to one of the changed resources."""
        found: set[str] = set()
        for piece in pieces(row.index for row in self._rows.values() if row.changed):
            found.update(self._session.exec(_DEPENDING, params={"indexes": piece}))
        return found

    def _move_logical(self, made: Sequence[Change]) -> set[str]:
        """What was known of a patient by an identifier only belongs to the patient's record, now that there is one."""
        moved: set[str] = set()
        for change in made:
            if change.entry.kind != "Patient" or change.action == "delete":
                continue
            own = self._record_index(change.key)
            former = {self._record_index(logical_key(lookup)) for lookup in change.identifiers} - {own}
            for piece in pieces(former):
                result = self._session.execute(_MOVED, {"own": own, "indexes": piece})
                if result.rowcount:  # type: ignore[attr-defined]
                    moved.add(own)
                    self._session.execute(_DEPENDS_NO_MORE, {"indexes": piece})
        return moved


def message_row(vault: Vault, source: str, raw: bytes, **said: Any) -> InboundMessage:
    """The row of a FHIR message."""
    return InboundMessage(
        standard="fhir",
        source=source,
        digest=hashlib.sha256(raw).hexdigest(),
        received_at=now(),
        answer=b"",
        sealed_raw=vault.seal(raw, RAW_PLACE),
        **{"control_id": "", "state": "received", **said},
    )


def _identifier(document: Document) -> tuple[str, str]:
    """Bundle.identifier: system and value; nothing where it has none."""
    identifier = document.envelope.get("identifier")
    value = identifier.get("value") if isinstance(identifier, Mapping) else None
    return (str(identifier.get("system") or ""), str(value)) if isinstance(identifier, Mapping) and value else ("", "")


def _event(document: Document) -> str:
    """What a message is, and in which release: ``Bundle/transaction R4``."""
    return f"Bundle/{document.type} {document.release}" if document.kind == "Bundle" else f"{document.kind} {document.release}"


def _demand_version(change: Change, row: _Row) -> None:
    """``If-Match``: the change is meant for that version only, or (``*``) for a resource that is there. Raises `FhirRefused`."""
    wanted = change.entry.if_match.strip().removeprefix("W/").strip('"')
    if wanted and (not row.there or wanted not in ("*", str(row.version))):
        where = f"Bundle.{change.entry.place}" if change.entry.place else change.entry.kind
        message, english = "资源已是另一版本，请重新读取后再更新", "the version is another one (If-Match)"
        raise refused("version", "conflict", where, message, english, severity="error", status=412)
