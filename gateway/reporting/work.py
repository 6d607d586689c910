"""What a person must do: submissions that cannot go on by themselves, with the reason on the field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sqlmodel import Session, col, select

from gateway.reporting.states import Ours, Theirs
from gateway.reporting.submissions import findings_of
from gateway.reporting.unit import Unit
from gateway.store.tables import Attempt, Submission, SubmissionVersion

Kind = Literal["blocked", "review", "returned", "rejected", "uncertain", "failed"]


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of work: the version it is about, the kind, and what to look at: (field code, what is wrong, in Chinese)."""

    version_id: str
    unit: Unit
    platform: str
    kind: Kind
    reasons: tuple[tuple[str, str], ...]


_OURS: dict[str, Kind] = {
    Ours.BLOCKED: "blocked",
    Ours.AWAITING_REVIEW: "review",
    Ours.UNCERTAIN: "uncertain",
    Ours.FAILED: "failed",
}
_THEIRS: dict[str, Kind] = {Theirs.RETURNED: "returned", Theirs.REJECTED: "rejected"}


def items(session: Session, *, limit: int = 200, after: str = "") -> Iterator[tuple[Item, SubmissionVersion]]:
    """Open work on current versions, oldest first; ``after`` continues behind a version id. The platform's own words about a
    returned version stand in its receipts, those with which it refused one for good in the last attempt."""
    statement = (
        select(SubmissionVersion, Submission)
        .join(Submission, col(Submission.id) == col(SubmissionVersion.submission_id))
        .where(
            SubmissionVersion.number == Submission.current,
            col(SubmissionVersion.our_state).in_(list(_OURS)) | col(SubmissionVersion.platform_state).in_(list(_THEIRS)),
            SubmissionVersion.id > after,
        )
        .order_by(col(SubmissionVersion.id))
        .limit(limit)
    )
    for row, submission in session.exec(statement):
        kind = _THEIRS.get(row.platform_state) or _OURS[row.our_state]
        reasons: tuple[tuple[str, str], ...] = ()
        if kind == "blocked":
            reasons = tuple((",".join(f.fields), f.message) for f in findings_of(row) if f.blocks)
        elif kind == "review":
            asked = [(",".join(f.fields), f.message) for f in findings_of(row) if f.asks]
            reasons = (*([("", row.reason)] if row.reason or not asked else []), *asked)
        elif kind == "failed":
            last = select(Attempt.note).where(Attempt.version_id == row.id).order_by(col(Attempt.number).desc()).limit(1)
            reasons = tuple(("", note) for note in session.exec(last) if note)
        yield Item(row.id, Unit.of(submission), row.platform, kind, reasons), row
