"""Submissions in the ledger: what each platform is owed of each stay or tumour, in versions.

A version is never changed once it may have left; a later fact makes a new version that amends or withdraws it. A version that has
not left yet is superseded by its successor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import insert
from sqlmodel import Session, col, select

from conformance.checks.finding import Finding
from gateway.audit.log import Event
from gateway.model.errors import NotFound
from gateway.reporting.preparing import RECORD_PLACE, PreparedDraft
from gateway.reporting.states import Ours, Theirs, step_ours, step_theirs
from gateway.reporting.unit import Unit
from gateway.store.ledger import new_id, now
from gateway.store.tables import Submission, SubmissionVersion
from gateway.store.vault import Vault
from mappings.profile import profile

_MAY_BE_KNOWN = frozenset({Ours.SENDING, Ours.UNCERTAIN, Ours.SENT})
_NOT_LEFT = frozenset({Ours.BLOCKED, Ours.AWAITING_REVIEW, Ours.READY, Ours.QUEUED, Ours.FAILED})


def _may_be_known(version: SubmissionVersion) -> bool:
    """Whether the platform may have a version. The file of a closed batch may have been uploaded before anybody confirms it."""
    return version.our_state in _MAY_BE_KNOWN or (version.our_state == Ours.QUEUED and bool(version.batch_id))


@dataclass(frozen=True, slots=True)
class Owed:
    """The drafts of one recorded version of a stay or a tumour. ``part`` is empty for the main report; another one (``first_visit/3``) is
    owed only to platforms that are owed the main report."""

    unit: Unit
    version_id: int
    window: str
    drafts: Iterable[PreparedDraft]
    part: str = ""


_Key = tuple[str, Unit, str]
"""Platform, unit and part."""


def draft(session: Session, owed: Iterable[Owed], reviewed: Mapping[str, bool]) -> list[Event]:
    """Bring submissions up to date with recorded versions; the audit events of what changed. ``reviewed`` tells by platform whether
    a person reviews each report before it goes out."""
    owed = list(owed)
    known = _known(session, {item.unit for item in owed})
    submissions: list[dict[str, object]] = []
    versions: list[dict[str, object]] = []
    events: list[Event] = []
    at = now()
    for item in owed:
        for made in item.drafts:
            submission = known.get((made.platform, item.unit, item.part))
            main = known.get((made.platform, item.unit, "")) if item.part else None
            if submission is None and made.due and (main is not None or not item.part):
                submission = Submission(
                    id=new_id(),
                    platform=made.platform,
                    stay_id=item.unit.of_stay(item.unit.id),
                    tumour_id=item.unit.of_tumour(item.unit.id),
                    part=item.part,
                    parent=main.id if main is not None else "",
                    window=item.window,
                    created_at=at,
                )
                submissions.append(submission.model_dump())
                version = _version(submission, 1, item, made, reviewed, at)
                known[made.platform, item.unit, item.part] = submission
            elif submission is not None:
                session.flush()
                _insert(session, submissions, versions)
                successor = _successor(session, submission, item, made, reviewed, at, events)
                if successor is None:
                    continue
                version = successor
            else:
                continue
            versions.append(version.model_dump())
            events.append(_drafted(version))
    _insert(session, submissions, versions)
    return events


def _known(session: Session, units: Iterable[Unit]) -> dict[_Key, Submission]:
    """The submissions of some units."""
    ids: dict[str, list[int]] = {"stay": [], "tumour": []}
    for unit in units:
        ids[unit.kind].append(unit.id)
    found: dict[_Key, Submission] = {}
    for column, wanted in ((Submission.stay_id, ids["stay"]), (Submission.tumour_id, ids["tumour"])):
        if wanted:
            rows = session.exec(select(Submission).where(col(column).in_(wanted)))
            found |= {(row.platform, Unit.of(row), row.part): row for row in rows}
    return found


def _insert(session: Session, submissions: list[dict[str, object]], versions: list[dict[str, object]]) -> None:
    if submissions:
        session.execute(insert(Submission), submissions)
        submissions.clear()
    if versions:
        session.execute(insert(SubmissionVersion), versions)
        versions.clear()


def _drafted(version: SubmissionVersion) -> Event:
    return Event(
        "submission.drafted",
        version.id,
        {
            "platform": version.platform,
            "operation": version.operation,
            "state": version.our_state,
            "rules": version.rules,
        },
    )


def _version(
    submission: Submission,
    number: int,
    item: Owed,
    made: PreparedDraft,
    reviewed: Mapping[str, bool],
    at: datetime,
    *,
    operation: str = "submit",
    replaces: str = "",
) -> SubmissionVersion:
    window = profile(made.platform).cadence.window_of(submission.window)
    if made.blocked:
        state = Ours.BLOCKED
    elif _to_review(made, reviewed):
        state = Ours.AWAITING_REVIEW
    else:
        state = Ours.READY
    return SubmissionVersion(
        id=f"{submission.id}.{number}",
        submission_id=submission.id,
        platform=made.platform,
        number=number,
        stay_version_id=item.unit.of_stay(item.version_id),
        tumour_version_id=item.unit.of_tumour(item.version_id),
        operation=operation,
        replaces=replaces,
        our_state=step_ours(Ours.DRAFTED, state),
        platform_state=Theirs.UNKNOWN,
        due_from=max(window.opens, at) if window.state(at) == "waiting" else at,
        late=window.state(at) == "backfill",
        rules=made.rules,
        reason=made.reason,
        findings=made.findings,
        digest=made.digest,
        sealed_record=made.sealed_record,
        created_at=at,
        updated_at=at,
    )


def _to_review(made: PreparedDraft, reviewed: Mapping[str, bool]) -> bool:
    return reviewed.get(made.platform, False) or made.review


def _successor(
    session: Session,
    submission: Submission,
    item: Owed,
    made: PreparedDraft,
    reviewed: Mapping[str, bool],
    at: datetime,
    events: list[Event],
) -> SubmissionVersion | None:
    """The next version of an existing submission, or None when nothing changes for the platform."""
    submission = session.merge(submission)
    versions = history(session, submission.id)
    latest = versions[-1]
    blocked_otherwise = latest.our_state == Ours.BLOCKED and (not made.blocked or made.findings != latest.findings)
    if made.due and made.digest == latest.digest and latest.operation != "withdraw" and not blocked_otherwise:
        if latest.our_state == Ours.AWAITING_REVIEW and not made.blocked and not _to_review(made, reviewed):
            move(latest, Ours.READY, events, reason="nothing to review any more")
            session.add(latest)
        return None
    if not made.due and latest.operation == "withdraw":
        return None
    if latest.our_state in _NOT_LEFT and not _may_be_known(latest):
        move(latest, Ours.SUPERSEDED, events, reason="newer version")
        session.add(latest)
    left = [v for v in versions if _may_be_known(v)]
    stands = bool(left) and left[-1].operation != "withdraw" and left[-1].platform_state != Theirs.WITHDRAWN
    replaced = left[-1] if stands else None
    if not made.due:
        if replaced is None:
            return None
        made = msgspec.structs.replace(
            made, due=True, blocked=False, review=False, digest=replaced.digest, sealed_record=replaced.sealed_record
        )
        operation = "withdraw"  # in the window of what it takes back: the stay may have none any more
    else:
        operation = "amend" if replaced is not None else "submit"
        submission.window = item.window
    submission.current = latest.number + 1
    session.add(submission)
    return _version(
        submission,
        submission.current,
        item,
        made,
        reviewed,
        at,
        operation=operation,
        replaces=replaced.id if replaced is not None else "",
    )


def take_over(session: Session, failed: SubmissionVersion, events: list[Event]) -> None:
    """The platform will never know a version that it refused for good. A successor that was drafted meanwhile, as an amendment or
    withdrawal of it, takes its place."""
    successor = history(session, failed.submission_id)[-1]
    if successor.id == failed.id:
        return
    move(failed, Ours.SUPERSEDED, events, reason="newer version")
    successor.replaces = failed.replaces
    if successor.operation != "withdraw":
        successor.operation = "amend" if failed.replaces else "submit"
    elif not failed.replaces:
        move(successor, Ours.SUPERSEDED, events, reason="nothing to withdraw")
    session.add(successor)


def nothing_owed(session: Session, unit: Unit, rule: str, reason: str) -> list[Owed]:
    """What is owed of a unit that is not to be reported any more (by itself): nothing, to every platform that it was due to. What hangs on
    the main report is taken back before it."""
    found = []
    for (platform, _, part), submission in sorted(_known(session, [unit]).items(), key=lambda item: item[0][2], reverse=True):
        latest = version(session, submission.id)
        none = PreparedDraft(platform, False, False, False, rule, reason, "[]", "", b"")
        found.append(Owed(unit, unit.version_of(latest), submission.window, [none], part))
    return found


def known_versions(session: Session, tumours: Iterable[int]) -> dict[int, list[int]]:
    """The versions of tumours that some platform may have, by tumour, oldest first."""
    at_platform = col(SubmissionVersion.our_state).in_(sorted(_MAY_BE_KNOWN)) | (
        (col(SubmissionVersion.our_state) == Ours.QUEUED) & (col(SubmissionVersion.batch_id) != "")
    )
    statement = (
        select(Submission.tumour_id, SubmissionVersion.tumour_version_id)
        .join(SubmissionVersion, col(SubmissionVersion.submission_id) == col(Submission.id))
        .where(
            col(Submission.tumour_id).in_(list(tumours)),
            Submission.part == "",
            SubmissionVersion.operation != "withdraw",
            at_platform,
        )
        .distinct()
        .order_by(col(SubmissionVersion.tumour_version_id))
    )
    found: dict[int, list[int]] = {}
    for tumour, made_from in session.exec(statement):
        if tumour is not None and made_from is not None:
            found.setdefault(tumour, []).append(made_from)
    return found


def history(session: Session, submission_id: str) -> list[SubmissionVersion]:
    """All versions of a submission, oldest first."""
    statement = select(SubmissionVersion).where(SubmissionVersion.submission_id == submission_id)
    return list(session.exec(statement.order_by(col(SubmissionVersion.number))))


def version(session: Session, id: str) -> SubmissionVersion:
    """A version by its id, or the current version of a submission. Raises `NotFound`."""
    row = session.get(SubmissionVersion, id)
    if row is None and (submission := session.get(Submission, id)) is not None:
        row = session.get(SubmissionVersion, f"{submission.id}.{submission.current}")
    if row is None:
        raise NotFound(f"没有编号为 {id} 的上报", english=f"no submission {id}")
    return row


def unit_of(session: Session, row: SubmissionVersion) -> Unit:
    """What a version is about."""
    return Unit.of(session.get_one(Submission, row.submission_id))


def record_of(vault: Vault, row: SubmissionVersion) -> dict[str, str]:
    """The rendered record of a version."""
    return msgspec.json.decode(vault.open(row.sealed_record, RECORD_PLACE), type=dict[str, str])


def findings_of(row: SubmissionVersion) -> list[Finding]:
    """The findings of a version."""
    return msgspec.json.decode(row.findings.encode(), type=list[Finding])


def move(row: SubmissionVersion, to: Ours, events: list[Event], *, actor: str = "zhibao", reason: str = "") -> None:
    """Move our side of a version along the transition table and note it for the audit log. Raises `IllegalTransition`."""
    before = row.our_state
    row.our_state = step_ours(before, to)
    row.updated_at = now()
    detail = {"from": before, "to": str(to)} | ({"reason": reason} if reason else {})
    events.append(Event("submission.ours", row.id, detail, actor))


def move_platform(row: SubmissionVersion, to: Theirs, events: list[Event], *, receipt: str = "") -> None:
    """Move the platform side of a version and note it. Raises `IllegalTransition`."""
    before = row.platform_state
    row.platform_state = step_theirs(before, to)
    row.updated_at = now()
    events.append(Event("submission.platform", row.id, {"from": before, "to": str(to), "receipt": receipt}))
