"""Batches over HTTP: close a window's file, fetch it, confirm the upload, enter the platform's results."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Body, Query, Response
from pydantic import BaseModel
from sqlmodel import col, select

from gateway.audit.log import Event, record
from gateway.delivery import batches
from gateway.model.errors import UnusableInput
from gateway.store.tables import Batch
from gateway.web.requests import Actor, InGateway
from gateway.web.requests import Body as Strict

router = APIRouter(prefix="/api", tags=["batches 批次"])


class Window(Strict):
    """Month of discharge, ``yyyy-MM``."""

    window: Annotated[str, Query(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]


class BatchView(BaseModel):
    """A batch. ``withdrawals`` are submissions that no file can carry: a person withdraws them on the platform's page."""

    id: str
    platform: str
    window: str
    state: str
    members: int
    file_name: str
    sha256: str
    closed_at: datetime
    confirmed_at: datetime | None
    confirmed_by: str
    withdrawals: list[str] = []


class Results(BaseModel):
    """What entering results did. ``unmatched``: lines of the table (from 1) that no member of the batch matches."""

    fresh: int
    known: int
    unmatched: list[int]


def _view(batch: Batch, withdrawals: list[str] | None = None) -> BatchView:
    return BatchView(**batch.model_dump(exclude={"digest"}), sha256=batch.digest, withdrawals=withdrawals or [])


@router.post("/platforms/{platform}/batches", status_code=201, summary="封闭一个上报月份的批次并生成文件 / close a batch")
def close(platform: str, body: Window, gateway: InGateway, actor: Actor) -> BatchView:
    batch = gateway.close_batch(platform, body.window, actor=actor)
    return _with_withdrawals(gateway, batch)


@router.get("/batches", summary="批次列表，新的在前 / batches, newest first")
def listing(gateway: InGateway, actor: Actor, limit: Annotated[int, Query(ge=1, le=500)] = 100) -> list[BatchView]:  # noqa: ARG001 - signed in
    with gateway.ledger.read() as session:
        return [_view(batch) for batch in session.exec(select(Batch).order_by(col(Batch.id).desc()).limit(limit))]


@router.get("/batches/{id}/file", summary="下载批次文件 / the batch's file", response_class=Response)
def file(id: str, gateway: InGateway, actor: Actor) -> Response:
    name, content = gateway.batch_file(id)
    with gateway.ledger.write() as session:
        record(session, Event("batch.downloaded", id, actor=actor))
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="text/csv", headers=headers)


@router.post("/batches/{id}/write", summary="重新生成批次文件（内容不变） / write the batch's file again")
def write(id: str, gateway: InGateway, actor: Actor) -> BatchView:  # noqa: ARG001 - signed in
    return _with_withdrawals(gateway, gateway.write_batch(id))


@router.post("/batches/{id}/confirm", summary="确认文件已在平台上传 / confirm the upload")
def confirm(id: str, gateway: InGateway, actor: Actor) -> BatchView:
    return _with_withdrawals(gateway, batches.confirm(gateway.ledger, id, actor=actor))


@router.post("/batches/{id}/results", summary="录入平台审核结果（CSV）/ enter the platform's results")
def enter(id: str, gateway: InGateway, actor: Actor, table: Annotated[bytes, Body(media_type="text/csv")]) -> Results:
    try:
        text = table.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = table.decode("gb18030")
        except UnicodeDecodeError:
            raise UnusableInput("结果表编码无法识别", action="请用 UTF-8 或 GB18030", english="undecodable results") from None
    entered = batches.enter_results(gateway.ledger, id, text, actor=actor)
    return Results(fresh=entered.fresh, known=entered.known, unmatched=list(entered.unmatched))


def _with_withdrawals(gateway: InGateway, batch: Batch) -> BatchView:
    with gateway.ledger.read() as session:
        rows = batches.members(session, batch.id)
        return _view(batch, [row.id for row in rows if row.operation == "withdraw"])
