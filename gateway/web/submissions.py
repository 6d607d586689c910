"""Submissions over HTTP: where each stands and why, what a person must do, and what a person can do."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlmodel import Session, col, select

from gateway.audit.log import Event, record
from gateway.correcting import Correction, correct
from gateway.delivery.receipts import reasons_of
from gateway.reporting import submissions, work
from gateway.reporting.states import Ours, Theirs
from gateway.reporting.tally import tally
from gateway.store.tables import Attempt, Receipt, Submission, SubmissionVersion
from gateway.store.vault import Vault
from gateway.tracing import trace
from gateway.web.requests import Actor, Body, InGateway, Number

router = APIRouter(prefix="/api", tags=["submissions 上报"])


class FindingView(BaseModel):
    """A finding or a platform's reason: which field, and what to do about it."""

    rule: str
    fields: list[str]
    severity: str
    message: str


class VersionView(BaseModel):
    """One version of a submission with its two states. It is about a ``stay`` or a ``tumour``; ``part`` is empty for the main report, and
    names another one that hangs on it (``first_visit/3``)."""

    id: str
    platform: str
    window: str
    number: int
    operation: str
    replaces: str
    ours: str
    theirs: str
    due_from: datetime
    late: bool
    rules: list[str]
    reason: str
    platform_record: str
    batch: str
    stay: int | None
    tumour: int | None
    part: str
    updated_at: datetime


class AttemptView(BaseModel):
    """One try to send."""

    number: int
    started_at: datetime
    ended_at: datetime | None
    outcome: str
    status: int
    note: str


class ReceiptView(BaseModel):
    """What the platform answered, with its reasons by field."""

    receipt: str
    status: str
    applied: bool
    received_at: datetime
    reasons: list[FindingView]


class VersionDetail(VersionView):
    """A version with its findings, attempts and receipts."""

    findings: list[FindingView]
    attempts: list[AttemptView]
    receipts: list[ReceiptView]


class WorkView(BaseModel):
    """Something a person must do. ``kind``: blocked, review, returned, rejected, uncertain, failed."""

    kind: str
    version: VersionView
    reasons: list[FindingView]


class CorrectionBody(Body):
    """One field as a person wants it; an empty value clears it."""

    field: str
    value: str


class CorrectionsBody(Body):
    """Corrections of one stay, with the reason that goes into the audit log."""

    corrections: list[CorrectionBody]
    reason: str


class ReasonBody(Body):
    """Why a person does this."""

    reason: str


class Corrected(BaseModel):
    """The stay's version after a correction, and whether anything changed."""

    stay: int
    version: int
    changed: bool


def view(row: SubmissionVersion, submission: Submission) -> VersionView:
    """A version as it is shown."""
    return VersionView(
        id=row.id,
        platform=row.platform,
        window=submission.window,
        number=row.number,
        operation=row.operation,
        replaces=row.replaces,
        ours=row.our_state,
        theirs=row.platform_state,
        due_from=row.due_from,
        late=row.late,
        rules=row.rules.split(),
        reason=row.reason,
        platform_record=row.platform_record,
        batch=row.batch_id,
        stay=submission.stay_id,
        tumour=submission.tumour_id,
        part=submission.part,
        updated_at=row.updated_at,
    )


def _receipts(session: Session, vault: Vault, version_id: str) -> list[ReceiptView]:
    rows = session.exec(select(Receipt).where(Receipt.version_id == version_id).order_by(col(Receipt.id)))
    return [
        ReceiptView(
            receipt=row.receipt_key,
            status=row.status,
            applied=row.applied,
            received_at=row.received_at,
            reasons=[
                FindingView(rule="platform", fields=[reason.field] if reason.field else [], severity="error", message=reason.reason)
                for reason in reasons_of(vault, row)
            ],
        )
        for row in rows
    ]


def _findings(row: SubmissionVersion) -> list[FindingView]:
    return [
        FindingView(rule=f.rule, fields=list(f.fields), severity=f.severity, message=f.message)
        for f in submissions.findings_of(row)
    ]


@router.get("/submissions", summary="上报列表（各上报的当前版本）/ current versions")
def listing(
    gateway: InGateway,
    actor: Actor,  # noqa: ARG001 - signed in
    platform: str = "",
    window: str = "",
    ours: Ours | None = None,
    theirs: Theirs | None = None,
    after: str = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[VersionView]:
    statement = (
        select(SubmissionVersion, Submission)
        .join(Submission, col(Submission.id) == col(SubmissionVersion.submission_id))
        .where(SubmissionVersion.number == Submission.current, SubmissionVersion.id > after)
    )
    for column, wanted in (
        (SubmissionVersion.platform, platform),
        (Submission.window, window),
        (SubmissionVersion.our_state, ours),
        (SubmissionVersion.platform_state, theirs),
    ):
        if wanted:
            statement = statement.where(col(column) == wanted)
    with gateway.ledger.read() as session:
        return [view(row, owner) for row, owner in session.exec(statement.order_by(col(SubmissionVersion.id)).limit(limit))]


@router.get("/tallies", summary="各平台、月份、状态的上报数 / how many stand where")
def tallies(gateway: InGateway, actor: Actor) -> list[dict[str, Any]]:  # noqa: ARG001 - signed in
    with gateway.ledger.read() as session:
        return [asdict(item) for item in tally(session)]


@router.get("/submissions/{id}", summary="一条上报的全部版本，新的在前 / all versions, newest first")
def detail(id: str, gateway: InGateway, actor: Actor) -> list[VersionDetail]:  # noqa: ARG001 - signed in
    with gateway.ledger.read() as session:
        row = submissions.version(session, id)
        owner = session.get_one(Submission, row.submission_id)
        found = []
        for version in reversed(submissions.history(session, owner.id)):
            attempts = session.exec(select(Attempt).where(Attempt.version_id == version.id).order_by(col(Attempt.number)))
            found.append(
                VersionDetail(
                    **view(version, owner).model_dump(),
                    findings=_findings(version),
                    attempts=[AttemptView(**a.model_dump(include=set(AttemptView.model_fields))) for a in attempts],
                    receipts=_receipts(session, gateway.vault, version.id),
                )
            )
        return found


@router.get("/submissions/{id}/trace/{field}", summary="一个上报值的来源 / where a submitted value came from")
def trace_value(id: str, field: str, gateway: InGateway, actor: Actor) -> dict[str, Any]:
    """Shows source data, so the look itself is written to the audit log."""
    found = trace(gateway.ledger, gateway.importer.journal, id, field, sources=gateway.settings.sources)
    with gateway.ledger.write() as session:
        record(session, Event("value.traced", found.submission, {"field": field}, actor))
    return asdict(found)


@router.get("/work", summary="待办：需要人处理的上报 / what a person must do")
def open_work(
    gateway: InGateway,
    actor: Actor,  # noqa: ARG001 - signed in
    after: str = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> list[WorkView]:
    with gateway.ledger.read() as session:
        found = []
        for item, row in work.items(session, limit=limit, after=after):
            owner = session.get_one(Submission, row.submission_id)
            if item.kind in ("returned", "rejected"):
                receipts = _receipts(session, gateway.vault, row.id)
                reasons = receipts[-1].reasons if receipts else []
            elif item.kind == "failed":
                reasons = [FindingView(rule="platform", fields=[], severity="error", message=words) for _, words in item.reasons]
            else:
                wanted = ("error",) if item.kind == "blocked" else ("error", "verify", "rare")
                reasons = [finding for finding in _findings(row) if finding.severity in wanted]
            found.append(WorkView(kind=item.kind, version=view(row, owner), reasons=reasons))
        return found


@router.post("/submissions/{id}/approve", status_code=204, summary="审核通过，放行 / a reviewer lets it go")
def approve(id: str, gateway: InGateway, actor: Actor) -> None:
    gateway.approve(id, actor=actor)


@router.post("/submissions/{id}/resend", status_code=204, summary="重新发送失败的上报 / put a failed one back into the queue")
def resend(id: str, body: ReasonBody, gateway: InGateway, actor: Actor) -> None:
    gateway.resend(id, actor=actor, reason=body.reason)


@router.post("/stays/{stay}/corrections", summary="更正病例（按字段编码），生成新版本 / correct a stay")
def correct_stay(stay: Number, body: CorrectionsBody, gateway: InGateway, actor: Actor) -> Corrected:
    wanted = [Correction(item.field, item.value) for item in body.corrections]
    recorded = correct(gateway.importer, stay, wanted, actor=actor, reason=body.reason)
    return Corrected(stay=recorded.stay_id, version=recorded.number, changed=recorded.changed)
