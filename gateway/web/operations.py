"""For those who run it: health, metrics, the audit log's export, the platforms' profiles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col, func, select

from gateway.audit.log import Event, export, record
from gateway.reporting.tally import tally
from gateway.runtime import Gateway
from gateway.store.ledger import now
from gateway.store.tables import AuditEntry, InboundMessage, SourceFile
from gateway.web.requests import LARGEST, Actor, InGateway
from gateway.web.sources import OPEN, Standing, counts, standings
from mappings.profile import profile

router = APIRouter(tags=["operations 运行"])

SICK_AFTER = 60.0
"""Seconds without success after which a loop makes the gateway unhealthy."""


@router.get("/healthz", summary="健康状态 / health")
def healthz(gateway: InGateway) -> JSONResponse:
    """200 when the ledger answers and every loop works, 503 otherwise; the body says what is wrong. ``warnings`` are what a person should
    look at although the gateway itself works: a source that is silent, messages that are parked."""
    warnings: list[str] = []
    faults = [f"{loop.name}: failing for {loop.failing_for:.0f} s" for loop in gateway.loops if loop.failing_for > SICK_AFTER]
    try:
        with gateway.ledger.read() as session:
            session.exec(select(AuditEntry.seq).limit(1)).first()
            warnings = [warning for standing in standings(session, gateway) for warning in _warnings(standing)]
    except SQLAlchemyError as error:
        faults.append(f"ledger: {type(error).__name__}")
    if gateway.importer.journal.free_bytes < gateway.importer.free_disk_bytes:
        faults.append("disk: nearly full, no files are taken")
    if gateway.mailroom.crowded:
        faults.append(f"mailroom: {gateway.mailroom.waiting} messages wait to be assembled, no more are taken")
    body: dict[str, Any] = {"status": "ok" if not faults else "faulty", "faults": faults}
    if warnings:
        body["warnings"] = warnings
    return JSONResponse(body, status_code=503 if faults else 200)


def _warnings(standing: Standing) -> Iterator[str]:
    if standing.silence is None:
        yield f"source {standing.id}: no message yet"
    elif standing.silent:
        yield f"source {standing.id}: no message for {standing.silence.total_seconds() / 60:.0f} min"
    if parked := standing.open["parked"]:
        yield f"source {standing.id}: {parked} messages parked"


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
    messages = Gauge("zhibao_messages", "Messages by state (HL7 v2, FHIR)", ("source", "state"), registry=registry)
    age = Gauge("zhibao_messages_oldest_seconds", "Age of the oldest message in an open state", ("state",), registry=registry)
    last = Gauge("zhibao_source_last_message_timestamp_seconds", "When the last message came", ("source",), registry=registry)
    silent = Gauge("zhibao_source_silent", "1 for a source of which nothing was heard for too long", ("source",), registry=registry)
    connections = Gauge("zhibao_connections_open", "MLLP connections", ("source",), registry=registry)
    registry.register(_Counted(gateway))
    with gateway.ledger.read() as session:
        for item in tally(session):
            submissions.labels(item.platform, item.ours, item.theirs).inc(item.count)
        for state, count in session.execute(select(SourceFile.state, func.count()).group_by(col(SourceFile.state))):
            files.labels(state).set(count)
        for outcome, count in row_counts(session).items():
            rows.labels(outcome).set(count)
        entries.set(session.execute(select(func.max(AuditEntry.seq))).scalar() or 0)
        for (source, state), count in counts(session).items():
            messages.labels(source, state).set(count)
        for standing in standings(session, gateway):
            silent.labels(standing.id).set(standing.silent)
            if standing.last is not None:
                last.labels(standing.id).set(standing.last.timestamp())
        for state in OPEN:
            oldest = (
                select(InboundMessage.received_at).where(InboundMessage.state == state).order_by(col(InboundMessage.id)).limit(1)
            )
            came = session.exec(oldest).first()
            age.labels(state).set((now() - came).total_seconds() if came is not None else 0)
    for id, counted in gateway.listening.counters.items():
        connections.labels(id).set(counted.open)
    for loop in gateway.loops:
        late.labels(loop.name).set(loop.failing_for)
    free.set(gateway.importer.journal.free_bytes)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Counted(Collector):
    """What the listeners have counted since the start."""

    def __init__(self, gateway: Gateway) -> None:
        self._listeners = gateway.listening.counters

    def collect(self) -> Iterable[Metric]:
        """The counters as Prometheus wants them."""
        for name, counter, help in (
            ("connections", "connections", "Connections taken"),
            ("messages_received", "received", "Messages that came over MLLP"),
            ("messages_received_bytes", "received_bytes", "Bytes of messages that came over MLLP"),
            ("messages_repeated", "repeated", "Messages that came again over MLLP"),
        ):
            whole = CounterMetricFamily(f"zhibao_{name}", help, labels=("source",))
            for source, counters in self._listeners.items():
                whole.add_metric((source,), getattr(counters, counter))
            yield whole
        for name, counter, label, help in (
            ("messages_answered", "answered", "code", "Acknowledgements sent over MLLP"),
            ("messages_refused", "refused", "reason", "Messages refused over MLLP"),
            ("connections_turned_away", "turned_away", "reason", "Connections not taken"),
            ("connections_closed", "closed", "reason", "Connections ended"),
        ):
            parts = CounterMetricFamily(f"zhibao_{name}", help, labels=("source", label))
            for source, counters in self._listeners.items():
                for word, count in dict(getattr(counters, counter)).items():
                    parts.add_metric((source, word), count)
            yield parts


def row_counts(session: Session) -> dict[str, int]:
    """Rows of all files by outcome."""
    sums = (func.sum(SourceFile.rows_read), func.sum(SourceFile.rows_unchanged), func.sum(SourceFile.rows_refused))
    read, unchanged, refused = session.execute(select(*sums)).one()
    return {"read": read or 0, "unchanged": unchanged or 0, "refused": refused or 0}


@router.get("/api/audit/export", summary="导出审计日志（可离线校验）/ export the audit log", response_class=StreamingResponse)
def audit_export(gateway: InGateway, actor: Actor, after: Annotated[int, Query(ge=0, le=LARGEST)] = 0) -> StreamingResponse:
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
