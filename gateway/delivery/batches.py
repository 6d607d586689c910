"""Batches: a closed set of submissions that leaves as one file.

Closing a batch is an explicit record of its members, window and file digest; there is no look-back arithmetic. The file is dropped
into the outbox for a person (or a file agent) to upload; only the person's confirmation makes its members *sent*. What cannot
travel in a file (a withdrawal) is a member all the same: the person does it on the platform's page and confirms it with the rest.
The platform's results are entered from its page or result file.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from sqlmodel import Session, col, select

from adapters.hqms.writer import csv_bytes
from adapters.transports.folder import FolderTransport
from gateway.audit.log import Event, record
from gateway.delivery import receipts
from gateway.delivery.channel import IncomingReceipt, Reason
from gateway.model.errors import IllegalTransition, NotFound, UnusableInput
from gateway.reporting.states import Ours, Theirs
from gateway.reporting.submissions import move, record_of
from gateway.store.ledger import Ledger, new_id, now
from gateway.store.tables import Batch, Submission, SubmissionVersion
from mappings.profile import Profile


def folder_of(outbox: Path, batch_id: str) -> Path:
    """Where a batch's file lies: in a folder of its own, for platforms fix the name of the file (one window, one name), and a window
    may need several batches."""
    return outbox / batch_id[-12:]


def close(ledger: Ledger, profile: Profile, window: str, outbox: Path, *, encoding: str = "", actor: str) -> Batch:
    """Close a batch of every ready submission of a window and write its file. Raises `NotFound` when nothing is ready, or the
    transport's failure: then the batch stays closed and `write` may be called again."""
    with ledger.write() as session:
        statement = (
            select(SubmissionVersion)
            .join(Submission, col(Submission.id) == col(SubmissionVersion.submission_id))
            .where(
                SubmissionVersion.platform == profile.id,
                SubmissionVersion.our_state == Ours.READY,
                col(SubmissionVersion.due_from) <= now(),
                Submission.window == window,
            )
            .order_by(col(SubmissionVersion.id))
        )
        rows = list(session.exec(statement))
        if not rows:
            raise NotFound(f"{window} 没有待发送的上报", english=f"nothing ready for {window}")
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
    """Write the file of a closed batch into the outbox; writing it again gives the same bytes. Raises `NotFound` or
    `IllegalTransition`."""
    with ledger.read() as session:
        batch = _batch(session, batch_id, "closed", "written")
        records = [record_of(ledger.vault, row) for row in members(session, batch_id) if row.operation != "withdraw"]
    folder = profile.settings["folder"]
    name = digest = ""
    if records:
        content = csv_bytes(profile.layout, records, encoding=encoding or str(folder["encoding"]))
        name = str(folder["file_name"]).format(window_compact=batch.window.replace("-", "M"), batch=batch.id[-12:])
        digest = hashlib.sha256(content).hexdigest()
        FolderTransport(folder_of(outbox, batch_id)).drop(name, content)
    with ledger.write() as session:
        batch = session.get_one(Batch, batch_id)
        batch.state, batch.file_name, batch.digest = "written", name, digest
        session.add(batch)
        record(session, Event("batch.written", batch_id, {"file": name, "sha256": digest}))
        return batch


def confirm(ledger: Ledger, batch_id: str, *, actor: str) -> Batch:
    """A person confirms that the file was uploaded: its members are sent. Raises `NotFound` or `IllegalTransition`."""
    with ledger.write() as session:
        batch = _batch(session, batch_id, "written")
        events: list[Event] = []
        for row in members(session, batch_id):
            move(row, Ours.SENT, events, actor=actor, reason=f"batch {batch_id}")
            session.add(row)
        batch.state, batch.confirmed_at, batch.confirmed_by = "confirmed", now(), actor
        session.add(batch)
        record(session, Event("batch.confirmed", batch_id, {"members": batch.members}, actor), *events)
        return batch


def members(session: Session, batch_id: str) -> list[SubmissionVersion]:
    """The versions of a batch, in the order of its file."""
    statement = select(SubmissionVersion).where(SubmissionVersion.batch_id == batch_id)
    return list(session.exec(statement.order_by(col(SubmissionVersion.id))))


@dataclass(frozen=True, slots=True)
class Entered:
    """What entering results did: how many were new, how many were known already, and the lines that match no member."""

    fresh: int
    known: int
    unmatched: tuple[int, ...]


def enter_results(ledger: Ledger, batch_id: str, text: str, *, actor: str) -> Entered:
    """Enter the platform's results of a confirmed batch, as CSV (see `results`). Entering the same results again changes
    nothing. Raises `UnusableInput`, `NotFound` or `IllegalTransition`."""
    lines = list(results(text))
    with ledger.write() as session:
        batch = _batch(session, batch_id, "confirmed")
        version_of: dict[tuple[str, str], str] = {}
        for row in members(session, batch_id):
            sent = record_of(ledger.vault, row)
            version_of[sent.get("A48", ""), sent.get("A49", "")] = row.id
        unmatched = []
        found: dict[tuple[str, str], list[Reason]] = {}
        for line in lines:
            version_id = version_of.get((line.record_number, line.admission_number))
            if version_id is None:
                unmatched.append(line.number)
            else:
                reasons = found.setdefault((version_id, line.status), [])
                if line.field or line.reason:
                    reasons.append(Reason(line.field, line.reason))
        incoming = [_result(version_id, status, tuple(reasons)) for (version_id, status), reasons in found.items()]
        fresh = receipts.apply(session, ledger.vault, batch.platform, incoming, {word: word for word in Theirs})
        detail = {"results": len(lines), "fresh": fresh, "unmatched": len(unmatched)}
        record(session, Event("batch.results", batch_id, detail, actor))
        return Entered(fresh, len(incoming) - fresh, tuple(unmatched))


def _result(version_id: str, status: str, reasons: tuple[Reason, ...]) -> IncomingReceipt:
    body = msgspec.json.encode({"status": status, "reasons": [{"field": r.field, "reason": r.reason} for r in reasons]})
    return IncomingReceipt(f"{version_id}/{hashlib.sha256(body).hexdigest()[:16]}", version_id, status, reasons, body)


@dataclass(frozen=True, slots=True)
class ResultLine:
    """One line of a result table; ``number`` counts data lines from 1."""

    number: int
    record_number: str
    admission_number: str
    status: str
    field: str
    reason: str


_COLUMNS = {"病案号": "A48", "住院次数": "A49", "结果": "status", "字段": "field", "原因": "reason"}
_WORDS = {"已接收": "received", "通过": "accepted", "不通过": "rejected", "退回": "returned", "已撤回": "withdrawn"}


def results(text: str) -> Iterator[ResultLine]:
    """The lines of a result table as CSV with the columns 病案号, 住院次数, 结果 and, where given, 字段, 原因 (or ``A48, A49, status,
    field, reason``); several lines about one stay name several fields. Raises `UnusableInput`."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    header = [_COLUMNS.get(name.strip(), name.strip()) for name in reader.fieldnames or ()]
    if not {"A48", "A49", "status"} <= set(header):
        raise UnusableInput("结果表缺少列", action="至少需要：病案号、住院次数、结果", english="result columns missing")
    reader.fieldnames = header
    for number, line in enumerate(reader, start=1):
        cell = {key: (line.get(key) or "").strip() for key in _COLUMNS.values()}
        status = _WORDS.get(cell["status"], cell["status"])
        if status not in _WORDS.values():
            raise UnusableInput(
                f"结果表第 {number} 行的“结果”无法识别",
                action=f"可用：{'、'.join(_WORDS)}",
                english=f"line {number}: unknown result",
            )
        yield ResultLine(number, cell["A48"], cell["A49"], status, cell["field"], cell["reason"])


def _batch(session: Session, batch_id: str, *states: str) -> Batch:
    batch = session.get(Batch, batch_id)
    if batch is None:
        raise NotFound(f"没有编号为 {batch_id} 的批次", english=f"no batch {batch_id}")
    if batch.state not in states:
        raise IllegalTransition(
            f"批次目前为“{_STATES[batch.state]}”，不能进行这一步", english=f"batch is {batch.state}, wanted {' or '.join(states)}"
        )
    return batch


_STATES = {"closed": "已封闭", "written": "文件已生成，待上传确认", "confirmed": "已确认上传"}
