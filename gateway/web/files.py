"""Front-sheet files over HTTP: hand one in, see what became of it and of each row."""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePath
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from sqlmodel import Session, col, select
from starlette.concurrency import run_in_threadpool

from adapters.hqms.tables import Limits
from gateway.model.errors import FileRefused, NotFound
from gateway.store.tables import Message, SourceFile
from gateway.web.bodies import chunks
from gateway.web.requests import LARGEST, Actor, InGateway

router = APIRouter(prefix="/api/files", tags=["files 来源文件"])


class FileView(BaseModel):
    """A file taken in. ``state``: received, reading, done, refused; ``repeated`` when the same bytes were there already."""

    id: str
    name: str
    size: int
    sha256: str
    source: str
    state: str
    layout: str
    encoding: str
    received_at: datetime
    finished_at: datetime | None
    rows_read: int
    rows_unchanged: int
    rows_refused: int
    reason: str
    message: str
    repeated: bool = False


class RowView(BaseModel):
    """One row of a file. ``outcome``: read, unchanged, refused."""

    row: int
    outcome: str
    reason: str
    field: str
    note: str
    stay: int | None


def view(file: SourceFile, *, repeated: bool = False) -> FileView:
    """A file as the API shows it."""
    return FileView(**file.model_dump(exclude={"digest", "rows_done"}), sha256=file.digest, repeated=repeated)


@router.post("", status_code=202, summary="上传病案首页文件（请求体即文件内容）/ hand in a file (the body is the file)")
async def receive(
    request: Request,
    gateway: InGateway,
    actor: Actor,
    response: Response,
    name: Annotated[str, Query(max_length=200, description="文件名，扩展名须与内容一致 / file name")],
) -> FileView:
    """The bytes are durable before the answer. The same bytes again answer 200 and change nothing."""
    importer, largest = gateway.importer, Limits().file_bytes
    await run_in_threadpool(importer.admit)
    with importer.journal.incoming() as incoming:
        async for chunk in chunks(request):
            if incoming.size + len(chunk) > largest:
                raise FileRefused("over-limit", f"文件超过 {largest >> 20} MiB", action="请按月拆分后分别上传", english="too large")
            await run_in_threadpool(incoming.write, chunk)
        if not incoming.size:
            raise FileRefused("empty", "没有收到文件内容", action="请把文件内容作为请求体上传", english="empty body")
        digest, size = await run_in_threadpool(incoming.commit)
    known_as = PurePath(name.replace("\\", "/")).name
    file, fresh = await run_in_threadpool(importer.note, digest, size, known_as, origin="api", actor=actor)
    if not fresh:
        response.status_code = 200
    return view(file, repeated=not fresh)


@router.get("", summary="来源文件列表，新的在前 / files, newest first")
def files(gateway: InGateway, actor: Actor, before: str = "", limit: Annotated[int, Query(ge=1, le=500)] = 50) -> list[FileView]:  # noqa: ARG001 - signed in
    with gateway.ledger.read() as session:
        statement = select(SourceFile).order_by(col(SourceFile.id).desc()).limit(limit)
        if before:
            statement = statement.where(SourceFile.id < before)
        return [view(file) for file in session.exec(statement)]


@router.get("/{file_id}", summary="一个来源文件 / one file")
def file(file_id: str, gateway: InGateway, actor: Actor) -> FileView:  # noqa: ARG001 - signed in
    with gateway.ledger.read() as session:
        return view(_file(session, file_id))


@router.get("/{file_id}/rows", summary="文件各行的结果 / outcomes of the rows")
def rows(
    file_id: str,
    gateway: InGateway,
    actor: Actor,  # noqa: ARG001 - signed in
    outcome: Literal["read", "unchanged", "refused"] | None = None,
    after: Annotated[int, Query(ge=0, le=LARGEST)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> list[RowView]:
    with gateway.ledger.read() as session:
        _file(session, file_id)
        statement = select(Message).where(Message.file_id == file_id, Message.row > after)
        if outcome is not None:
            statement = statement.where(Message.outcome == outcome)
        found = session.exec(statement.order_by(col(Message.row)).limit(limit))
        return [RowView(**m.model_dump(include=set(RowView.model_fields)), stay=m.stay_id) for m in found]


def _file(session: Session, file_id: str) -> SourceFile:
    file = session.get(SourceFile, file_id)
    if file is None:
        raise NotFound(f"没有编号为 {file_id} 的文件", english=f"no file {file_id}")
    return file
