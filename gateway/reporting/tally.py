"""How many submissions stand where: counts by platform, window and the two states, for the overview and the metrics."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlmodel import Session, col

from gateway.store.tables import Submission, SubmissionVersion


@dataclass(frozen=True, slots=True)
class Tally:
    """``count`` current versions of ``platform`` and ``window`` (month of discharge) in this pair of states."""

    platform: str
    window: str
    ours: str
    theirs: str
    count: int


def tally(session: Session) -> list[Tally]:
    """All tallies, by platform and window. Only the current version of a submission counts."""
    keys = [
        col(key) for key in (Submission.platform, Submission.window, SubmissionVersion.our_state, SubmissionVersion.platform_state)
    ]
    statement = (
        select(*keys, func.count())
        .join(SubmissionVersion, col(SubmissionVersion.submission_id) == col(Submission.id))
        .where(col(SubmissionVersion.number) == col(Submission.current))
        .group_by(*keys)
        .order_by(*keys[:2])
    )
    return [Tally(*row) for row in session.execute(statement)]
