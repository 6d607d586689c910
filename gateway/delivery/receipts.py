"""Receipts: fetched, kept raw, matched to the version they speak of, applied once.

A platform may repeat, delay and reorder receipts. Each is kept under the platform's own number; one that comes again changes
nothing, one that the transition table does not allow is kept but not applied, one that matches no version is kept for a person.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from sqlmodel import Session, select

from gateway.audit.log import Event, record
from gateway.delivery.channel import Channel, IncomingReceipt, Reason
from gateway.model.errors import IllegalTransition
from gateway.reporting.states import Ours, Theirs
from gateway.reporting.submissions import move, move_platform
from gateway.store.ledger import Ledger, now
from gateway.store.tables import Cursor, Receipt, SubmissionVersion
from gateway.store.vault import Vault

RECEIPT_PLACE = "receipt.body"


def fetch(ledger: Ledger, platform: str, channel: Channel, words: Mapping[str, str]) -> int:
    """Fetch and apply all receipts that are waiting; how many were new. Raises `TransientFailure` when the platform cannot
    say. The cursor moves in the transaction that applies the page, so a crash repeats a page and loses none."""
    name = f"receipts:{platform}"
    fresh = 0
    while True:
        with ledger.read() as session:
            cursor = session.get(Cursor, name)
            position = cursor.position if cursor is not None else ""
        page, following = channel.receipts(position)
        if page or following != position:
            with ledger.write() as session:
                fresh += apply(session, ledger.vault, platform, page, words)
                cursor = session.get(Cursor, name) or Cursor(name=name, position="")
                cursor.position = following
                session.add(cursor)
        if following == position:  # a platform may show its last page again and again
            return fresh


def apply(
    session: Session,
    vault: Vault,
    platform: str,
    receipts: Iterable[IncomingReceipt],
    words: Mapping[str, str],
) -> int:
    """Apply receipts inside a writing transaction; how many were new."""
    fresh = 0
    for incoming in receipts:
        known = session.exec(
            select(Receipt.id).where(Receipt.platform == platform, Receipt.receipt_key == incoming.receipt_key)
        ).first()
        if known is not None:
            continue
        fresh += 1
        row = session.get(SubmissionVersion, incoming.key)
        row = row if row is not None and row.platform == platform else None
        events: list[Event] = []
        status = words.get(incoming.status, "")
        applied = row is not None and _apply(session, row, status, incoming.receipt_key, events)
        if row is not None:
            _number(row, incoming, events)
        session.add(
            Receipt(
                platform=platform,
                receipt_key=incoming.receipt_key,
                version_id=row.id if row is not None else "",
                status=status or incoming.status,
                applied=applied,
                sealed_body=vault.seal(incoming.body, RECEIPT_PLACE),
                received_at=now(),
            )
        )
        if row is not None:
            session.add(row)
        action = "receipt.applied" if applied else "receipt.kept"
        detail = {
            "platform": platform,
            "status": status or incoming.status,
            "fields": [r.field for r in incoming.reasons],
        }
        record(session, Event(action, row.id if row is not None else incoming.receipt_key, detail), *events)
        session.flush()
    return fresh


def _apply(session: Session, row: SubmissionVersion, status: str, receipt_key: str, events: list[Event]) -> bool:
    """Move the platform side as the receipt says; False when its word is unknown or the step is not allowed. A platform may just accept a
    withdrawal: then it and what it took back are withdrawn."""
    withdrawn = row.operation == "withdraw" and status == Theirs.ACCEPTED
    try:
        move_platform(row, Theirs.WITHDRAWN if withdrawn else Theirs(status), events, receipt=receipt_key)
    except (ValueError, IllegalTransition):
        return False
    if row.our_state == Ours.UNCERTAIN:
        move(row, Ours.SENT, events, reason="receipt")
    taken_back = session.get(SubmissionVersion, row.replaces) if withdrawn else None
    if taken_back is not None and taken_back.platform_state != Theirs.WITHDRAWN:
        move_platform(taken_back, Theirs.WITHDRAWN, events, receipt=receipt_key)
        session.add(taken_back)
    return True


def _number(row: SubmissionVersion, incoming: IncomingReceipt, events: list[Event]) -> None:
    """Keep the platform's number of the report. A known one is not replaced by another: the log says that there was one."""
    if incoming.platform_record in ("", row.platform_record):
        return
    if row.platform_record:
        events.append(Event("receipt.other_number", row.id, {"receipt": incoming.receipt_key}))
    else:
        row.platform_record = incoming.platform_record


def reasons_of(vault: Vault, row: Receipt) -> list[Reason]:
    """The platform's reasons in a receipt, by field."""
    body = json.loads(vault.open(row.sealed_body, RECEIPT_PLACE))
    return [Reason(str(r.get("field", "")), str(r.get("reason", ""))) for r in body.get("reasons", ())]
