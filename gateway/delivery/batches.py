"""Batches: a closed set of submissions that leaves as one file.

Closing a batch is an explicit record of its members, window and file digest; there is no look-back arithmetic. The file is dropped
into the outbox for a person (or a file agent) to upload; only the person's confirmation makes its members *sent*. Receipts of a
manual upload are entered from the platform's page or file.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

from sqlmodel import Session, col, select

from adapters.hqms.writer import csv_bytes
from adapters.transports.folder import FolderTransport
from gateway.audit.log import Event, record
from gateway.model.errors import UnusableInput, ZhibaoError
from gateway.reporting.states import Ours
from gateway.reporting.submissions import move, record_of
from gateway.store.ledger import Ledger, new_id, now
from gateway.store.tables import Batch, SubmissionVersion
from mappings.profile import Profile


class NothingToSend(ZhibaoError):
    """No submission of the window is ready."""


class NoSuchBatch(ZhibaoError):
    """The ledger has no such batch, or it is not in the state for this step."""


def close(ledger: Ledger, profile: Profile, window: str, outbox: Path, *, encoding: str = "", actor: str) -> Batch:
    """Close a batch of every ready submission of a window and write its file. Raises `NothingToSend`, or the transport's failure:
    then the batch stays closed and `write` may be called again."""
    with ledger.write() as session:
        statement = select(SubmissionVersion).where(
            SubmissionVersion.platform == profile.id,
            SubmissionVersion.our_state == Ours.READY,
            col(SubmissionVersion.due_from) <= now(),
        )
        rows = [
            row
            for row in session.exec(statement.order_by(col(SubmissionVersion.id)))
            if _window(session, row) == window and row.operation != "withdraw"
        ]
        if not rows:
            raise NothingToSend(f"{window} 没有待发送的上报", english=f"nothing ready for {window}")
        batch = Batch(id=new_id(), platform=profile.id, window=window, state="closed", members=len(rows), closed_at=now())
        events: list[Event] = []
        for row in rows:
            move(row, Ours.QUEUED, events, actor=actor, reason=f"batch {batch.id}")
            row.batch_id = batch.id
            session.add(row)
        session.add(batch)
        detail = {"platform": profile.id, "window": window, "members": len(rows)}
        record(session, Event("batch.closed", batch.id, detail, actor), *events)
    return write(ledger, profile, batch.id, outbox, encoding=encoding)


def write(ledger: Ledger, profile: Profile, batch_id: str, outbox: Path, *, encoding: str = "") -> Batch:
    """Write the file of a closed batch into the outbox; writing it again gives the same bytes. Raises `NoSuchBatch`."""
    with ledger.read() as session:
        batch = _batch(session, batch_id, "closed", "written")
        records = [record_of(ledger.vault, row) for row in members(session, batch_id)]
    folder = profile.settings["folder"]
    content = csv_bytes(profile.layout, records, encoding=encoding or str(folder["encoding"]))
    name = str(folder["file_name"]).format(window_compact=batch.window.replace("-", "M"), batch=batch.id[-12:])
    FolderTransport(outbox).drop(name, content)
    with ledger.write() as session:
        batch = session.get_one(Batch, batch_id)
        batch.state, batch.file_name, batch.digest = "written", name, hashlib.sha256(content).hexdigest()
        session.add(batch)
        record(session, Event("batch.written", batch_id, {"file": name, "sha256": batch.digest}))
        session.flush()
        session.refresh(batch)
        session.expunge(batch)
        return batch


def confirm(ledger: Ledger, batch_id: str, *, actor: str) -> Batch:
    """A person confirms that the file was uploaded: its members are sent. Raises `NoSuchBatch`."""
    with ledger.write() as session:
        batch = _batch(session, batch_id, "written")
        events: list[Event] = []
        for row in members(session, batch_id):
            move(row, Ours.SENT, events, actor=actor, reason=f"batch {batch_id}")
            session.add(row)
        batch.state, batch.confirmed_at, batch.confirmed_by = "confirmed", now(), actor
        session.add(batch)
        record(session, Event("batch.confirmed", batch_id, {"members": batch.members}, actor), *events)
        session.flush()
        session.refresh(batch)
        session.expunge(batch)
        return batch


def members(session: Session, batch_id: str) -> list[SubmissionVersion]:
    """The versions of a batch, in the order of its file."""
    statement = select(SubmissionVersion).where(SubmissionVersion.batch_id == batch_id)
    return list(session.exec(statement.order_by(col(SubmissionVersion.id))))


def _window(session: Session, row: SubmissionVersion) -> str:
    from gateway.store.tables import Submission

    return session.get_one(Submission, row.submission_id).window


def _batch(session: Session, batch_id: str, *states: str) -> Batch:
    batch = session.get(Batch, batch_id)
    if batch is None or batch.state not in states:
        raise NoSuchBatch("没有这个批次，或批次状态不允许此操作", english=f"no batch {batch_id} in {states}")
    return batch


def entered_receipts(text: str) -> Iterable[dict[str, str]]:
    """Receipts of a manual upload, entered as CSV with the columns 病案号, 住院次数, 结果, 字段, 原因 (or ``A48,A49,status,field,
    reason``). Raises `UnusableInput`."""
    names = {"病案号": "A48", "住院次数": "A49", "结果": "status", "字段": "field", "原因": "reason"}
    words = {"通过": "accepted", "不通过": "rejected", "退回": "returned"}
    reader = csv.DictReader(io.StringIO(text))
    header = [names.get(name.strip(), name.strip()) for name in reader.fieldnames or ()]
    if not {"A48", "A49", "status"} <= set(header):
        raise UnusableInput("回执表缺少列", action="至少需要：病案号、住院次数、结果", english="receipt columns missing")
    reader.fieldnames = header
    for line in reader:
        status = line.get("status", "").strip()
        yield {key: (value or "").strip() for key, value in line.items() if key} | {"status": words.get(status, status)}
