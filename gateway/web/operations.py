"""For those who run it: health, metrics, the audit log's export, the platforms' profiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col, func, select

from gateway.audit.log import Event, export, record
from gateway.reporting.tally import tally
from gateway.store.tables import AuditEntry, SourceFile
from gateway.web.requests import Actor, InGateway
from mappings.profile import profile

router = APIRouter(tags=["operations 运行"])

SICK_AFTER = 60.0
"""Seconds without success after which a loop makes the gateway unhealthy."""


@router.get("/healthz", summary="健康状态 / health")
def healthz(gateway: InGateway) -> JSONResponse:
    """200 when the ledger answers and every loop works, 503 otherwise; the body says what is wrong."""
    faults = [f"{loop.name}: failing for {loop.failing_for:.0f} s" for loop in gateway.loops if loop.failing_for > SICK_AFTER]
    try:
        with gateway.ledger.read() as session:
            session.exec(select(AuditEntry.seq).limit(1)).first()
    except SQLAlchemyError as error:
        faults.append(f"ledger: {type(error).__name__}")
    if gateway.importer.journal.free_bytes < gateway.importer.free_disk_bytes:
        faults.append("disk: nearly full, no files are taken")
    return JSONResponse({"status": "ok" if not faults else "faulty", "faults": faults}, status_code=503 if faults else 200)


@router.get("/metrics", summary="Prometheus 指标 / metrics", response_class=Response)
def metrics(gateway: InGateway) -> Response:
    """Counts only; nothing here can identify a person."""
    registry = CollectorRegistry()
    submissions = Gauge("zhibao_submissions", "Current submissions by state", ("platform", "ours", "theirs"), registry=registry)
    late = Gauge("zhibao_loop_failing_seconds", "Seconds since a loop last succeeded", ("loop",), registry=registry)
    files = Gauge("zhibao_files", "Files taken in by state", ("state",), registry=registry)
    rows = Gauge("zhibao_rows", "Rows of all files by outcome", ("outcome",), registry=registry)
    entries = Gauge("zhibao_audit_entries", "Entries of the audit log", registry=registry)
    free = Gauge("zhibao_disk_free_bytes", "Free space for raw files", registry=registry)
    with gateway.ledger.read() as session:
        for item in tally(session):
            submissions.labels(item.platform, item.ours, item.theirs).inc(item.count)
        for state, count in session.execute(select(SourceFile.state, func.count()).group_by(col(SourceFile.state))):
            files.labels(state).set(count)
        for outcome, count in row_counts(session).items():
            rows.labels(outcome).set(count)
        entries.set(session.execute(select(func.max(AuditEntry.seq))).scalar() or 0)
    for loop in gateway.loops:
        late.labels(loop.name).set(loop.failing_for)
    free.set(gateway.importer.journal.free_bytes)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def row_counts(session: Session) -> dict[str, int]:
    """Rows of all files by outcome."""
    sums = (func.sum(SourceFile.rows_read), func.sum(SourceFile.rows_unchanged), func.sum(SourceFile.rows_refused))
    read, unchanged, refused = session.execute(select(*sums)).one()
    return {"read": read or 0, "unchanged": unchanged or 0, "refused": refused or 0}


@router.get("/api/audit/export", summary="导出审计日志（可离线校验）/ export the audit log", response_class=StreamingResponse)
def audit_export(gateway: InGateway, actor: Actor, after: Annotated[int, Query(ge=0)] = 0) -> StreamingResponse:
    """JSON lines for ``zhibao audit verify``. That it was exported is an entry of the log itself."""
    with gateway.ledger.write() as session:
        record(session, Event("audit.exported", f"after:{after}", actor=actor))

    def lines() -> Iterator[str]:
        with gateway.ledger.read() as session:
            yield from export(session, after=after)

    headers = {"Content-Disposition": 'attachment; filename="zhibao-audit.jsonl"'}
    return StreamingResponse(lines(), media_type="application/x-ndjson", headers=headers)


class FactView(BaseModel):
    """Something known about a platform, with its source and confidence."""

    about: str
    source: str
    confidence: str


class PlatformView(BaseModel):
    """A platform as its profile describes it, and how this hospital has it set."""

    id: str
    name: str
    name_en: str
    version: str
    authority: str
    unit: str
    enabled: bool
    transport: str
    cadence: dict[str, Any]
    facts: list[FactView]


@router.get("/api/platforms", summary="平台与依据（含可信度）/ platforms, with what is known of them")
def platforms(gateway: InGateway, actor: Actor) -> list[PlatformView]:  # noqa: ARG001 - signed in
    found = []
    for id, chosen in gateway.settings.platforms.items():
        described = profile(id)
        found.append(
            PlatformView(
                id=id,
                name=described.name,
                name_en=described.name_en,
                version=described.version,
                authority=described.authority,
                unit=described.unit,
                enabled=chosen.enabled,
                transport=chosen.transport or described.transport,
                cadence={"day": described.cadence.day, "history_from": described.cadence.history_from},
                facts=[FactView(about=f.about, source=f.source, confidence=f.confidence) for f in described.facts],
            )
        )
    return found
