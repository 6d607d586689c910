"""One attempt to send one version, safe to repeat after a crash at any point.

Before bytes leave, the ledger says ``sending``. Whoever finds that word later without an outcome knows that bytes may have left,
asks the platform about that attempt, and only sends again what the platform does not have. The key is an idempotency key too.

No two attempts begin at the same microsecond, so the time at which one began names its request at platforms that want a number for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from gateway.audit.log import Event, record
from gateway.delivery.channel import Channel, Delivered, Parcel, StillProcessing
from gateway.model.errors import AmbiguousFailure, PermanentFailure, TransientFailure
from gateway.reporting.states import Ours, Theirs
from gateway.reporting.submissions import move, move_platform, record_of, take_over, version
from gateway.store.ledger import Ledger, now
from gateway.store.tables import Attempt, Submission, SubmissionVersion

ANSWER_PLACE = "attempt.answer"


@dataclass(frozen=True, slots=True)
class Progress:
    """What an attempt came to: ``done`` (nothing more to do), or go on at once, or after a pause that is no shorter than the platform's wish
    (``retry_after`` seconds). ``failed``: the platform or the line to it did not work."""

    done: bool
    retry_after: float | None = None
    failed: bool = False


_DONE = Progress(done=True)


def attempt(ledger: Ledger, channel: Channel, version_id: str) -> Progress:
    """Bring a version one step further. Never raises for what a platform may do."""
    begun = _begin(ledger, version_id)
    if begun is None:
        return _DONE
    parcel, open_outcome = begun
    try:
        delivered = channel.ask(parcel) if open_outcome else channel.send(parcel)
    except TransientFailure as failure:
        # asking failed: the outcome stays open; sending failed: nothing left
        _settle(ledger, version_id, None if open_outcome else Ours.QUEUED, "transient", note=failure.english)
        return Progress(done=False, retry_after=failure.retry_after, failed=True)
    except AmbiguousFailure as failure:
        # "uncertain" is the word for an attempt that sent: what is asked about later is the last of them
        _settle(ledger, version_id, Ours.UNCERTAIN, "waiting" if open_outcome else "uncertain", note=failure.english)
        return Progress(done=False, retry_after=failure.retry_after or 0.0, failed=not isinstance(failure, StillProcessing))
    except PermanentFailure as failure:
        _settle(ledger, version_id, Ours.FAILED, "refused", note=failure.message)
        return _DONE
    if delivered is None:
        _settle(ledger, version_id, Ours.QUEUED, "not found")
        return Progress(done=False)
    _settle(ledger, version_id, Ours.SENT, "found" if open_outcome else "answered", delivered=delivered)
    return _DONE


def _begin(ledger: Ledger, version_id: str) -> tuple[Parcel, bool] | None:
    """Announce the attempt in the ledger. None when there is nothing to send (any more); the flag says that an earlier attempt's
    outcome is open."""
    with ledger.write() as session:
        row = version(session, version_id)
        events: list[Event] = []
        if row.our_state == Ours.SENDING:
            _close_attempt(session, version_id, "uncertain", note="interrupted")
            move(row, Ours.UNCERTAIN, events, reason="interrupted")
        if row.our_state == Ours.QUEUED:
            move(row, Ours.SENDING, events)
        elif row.our_state != Ours.UNCERTAIN:
            return None
        open_outcome = row.our_state == Ours.UNCERTAIN
        former = list(session.exec(select(Attempt).where(Attempt.version_id == version_id).order_by(col(Attempt.number))))
        begun = Attempt(
            version_id=version_id,
            number=len(former) + 1,
            started_at=_unused_time(session),
            outcome="asking" if open_outcome else "sending",
        )
        session.add(begun)
        session.add(row)
        record(session, *events, Event("attempt.begun", version_id, {"number": begun.number, "asking": open_outcome}))
        sent_at = next((a.started_at for a in reversed(former) if a.outcome == "uncertain"), begun.started_at)
        submission = session.get_one(Submission, row.submission_id)
        parcel = Parcel(
            key=row.id,
            operation=row.operation,
            replaces=row.replaces,
            record=record_of(ledger.vault, row),
            sent_at=sent_at if open_outcome else begun.started_at,
            platform_record=_belongs_to(session, submission, row),
            part=submission.part,
        )
        return parcel, open_outcome


def _unused_time(session: Session) -> datetime:
    """Now, or a microsecond after the attempt begun last where the clock does not run ahead of that. One writer at a time."""
    last = session.exec(select(Attempt.started_at).order_by(col(Attempt.id).desc()).limit(1)).first()
    return now() if last is None else max(now(), last + timedelta(microseconds=1))


def _belongs_to(session: Session, submission: Submission, row: SubmissionVersion) -> str:
    """The platform's number of what a version replaces or, for a part, of the report that it belongs to."""
    if submission.parent:
        statement = (
            select(SubmissionVersion.platform_record)
            .where(SubmissionVersion.submission_id == submission.parent, SubmissionVersion.platform_record != "")
            .order_by(col(SubmissionVersion.number).desc())
        )
        return session.exec(statement.limit(1)).first() or ""
    return session.get_one(SubmissionVersion, row.replaces).platform_record if row.replaces else ""


def _settle(
    ledger: Ledger,
    version_id: str,
    to: Ours | None,
    outcome: str,
    *,
    note: str = "",
    delivered: Delivered | None = None,
) -> None:
    with ledger.write() as session:
        row = version(session, version_id)
        events: list[Event] = []
        status = delivered.status if delivered is not None else 0
        sealed = ledger.vault.seal(delivered.answer, ANSWER_PLACE) if delivered is not None else None
        _close_attempt(session, version_id, outcome, note=note, status=status, sealed=sealed)
        if (
            to is not None and row.our_state in (Ours.SENDING, Ours.UNCERTAIN) and row.our_state != to
        ):  # else a receipt has settled it
            move(row, to, events, reason=note)
            if to == Ours.FAILED:
                take_over(session, row, events)
        if delivered is not None:
            row.platform_record = delivered.platform_record or row.platform_record
            if row.platform_state == Theirs.UNKNOWN:
                move_platform(row, Theirs.RECEIVED, events)
        session.add(row)
        record(session, *events, Event("attempt.ended", version_id, {"outcome": outcome, "status": status}))


def _close_attempt(
    session: Session, version_id: str, outcome: str, *, note: str = "", status: int = 0, sealed: bytes | None = None
) -> None:
    statement = select(Attempt).where(Attempt.version_id == version_id).order_by(col(Attempt.number).desc()).limit(1)
    last = session.exec(statement).first()
    if last is not None and last.ended_at is None:
        last.ended_at, last.outcome, last.note, last.status, last.sealed_answer = now(), outcome, note, status, sealed
        session.add(last)
