"""Sources and their messages over HTTP: hand HL7 v2 in, see how each source stands and what became of each message.

Nothing here shows patient data but ``/raw``, and a look at that is written to the audit log.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlmodel import Session, col, func, select
from starlette.concurrency import run_in_threadpool

from adapters.hl7v2.batch import Fault, messages_of
from adapters.hl7v2.counters import Counters
from adapters.hl7v2.header import Header
from adapters.hl7v2.message import Message
from adapters.hl7v2.refusal import MessageRefused, refused
from gateway.audit.log import Event, record
from gateway.cases.known import FACTS_PLACE
from gateway.intake.mailroom import RAW_PLACE
from gateway.listening import Taken
from gateway.model.errors import NotFound, UnusableInput
from gateway.model.facts import GROUPS, Facts
from gateway.runtime import Gateway
from gateway.settings import Source
from gateway.store.ledger import now
from gateway.store.tables import InboundMessage, StayFacts
from gateway.web.bodies import chunks
from gateway.web.requests import LARGEST, Actor, InGateway, Number
from mappings.cadence import CHINA

router = APIRouter(tags=["sources 来源"])

HL7: Final = "application/hl7-v2"
State = Literal["received", "assembled", "waiting", "ignored", "refused", "parked"]
OPEN: Final = ("received", "waiting", "parked")
"""States in which something is still to happen to a message."""

_TEXT = {"schema": {"type": "string"}}
_ACKNOWLEDGED: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": said, "content": {HL7: _TEXT, "application/json": {"schema": {}}}}
    for status, said in (
        (200, "全部接收 / all accepted"),
        (422, "有消息不能使用 / some cannot be used"),
        (503, "有消息没有保存，请整批重发 / some were not stored: send all again"),
    )
}

_BATCH = re.compile(rb"(?:\A|[\r\n\x0b])BHS([^\r\n]*)")
_CODE = re.compile(rb"\rMSA[^\r]([AC][AER])")


# -- handing in


@router.post(
    "/v2/{source}",
    summary="提交 HL7 v2 消息：一条、多条或一个批次 / hand in HL7 v2 messages",
    response_class=Response,
    responses=_ACKNOWLEDGED,
    openapi_extra={"requestBody": {"content": {HL7: {"schema": {"type": "string", "format": "binary"}}}, "required": True}},
)
async def hand_in(source: str, request: Request, gateway: InGateway, actor: Actor) -> Response:  # noqa: ARG001 - signed in
    """The messages are durable before the answer, which is their acknowledgements: as HL7 v2, or as JSON when ``Accept`` asks for it.

    200: all accepted. 422: some cannot be used (AR, CR). 503: some were not stored (AE, CE); send the whole again after
    ``Retry-After``, what was stored is recognised and gets the same acknowledgement.
    """
    chosen = gateway.settings.sources.get(source)
    if chosen is None or chosen.kind == "fhir":
        raise NotFound("没有这个 HL7 v2 来源", action="请在配置中添加 [sources.…]", english="no such source of HL7 v2")
    body = await _body(request, chosen.longest_mb << 20)
    peer = request.client.host if request.client is not None else ""
    taken = await run_in_threadpool(lambda: gateway.listening.take_all(source, _pieces(body), peer=peer))
    as_json = "application/json" in request.headers.get("accept", "")
    return _in_json(taken) if as_json else _in_hl7(taken, _BATCH.search(body))


async def _body(request: Request, longest: int) -> bytes:
    body = bytearray()
    async for chunk in chunks(request):
        if len(body) + len(chunk) > longest:
            raise refused("too-long")
        body += chunk
    if not body.strip():
        raise UnusableInput("没有收到消息内容", action="请把 HL7 v2 消息作为请求体发送", english="empty body")
    return bytes(body)


def _pieces(body: bytes) -> list[bytes | Fault]:
    """The messages of a body; a single one byte for byte as it came."""
    pieces = list(messages_of(body, longest=len(body)))
    return [body] if pieces == [body.rstrip(b"\r\n")] else pieces


def _in_hl7(taken: Sequence[Taken], batch: re.Match[bytes] | None) -> Response:
    content = b"".join(item.answer for item in taken)
    if batch is not None:
        count = sum(bool(item.answer) for item in taken)
        content = _batch_header(b"MSH" + batch[1]) + content + b"BTS|%d\r" % count
    return _answer(taken, Response(content, media_type=HL7))


def _batch_header(sent: bytes) -> bytes:
    """BHS of the answer, which refers to the sender's batch. Its first fields are those of an MSH."""
    try:
        header = Header.of(sent)
    except MessageRefused:
        return b"BHS|^~\\&\r"
    mark = header.delimiters.field
    at = now().astimezone(CHINA).strftime("%Y%m%d%H%M%S")
    sides = [header.field(number) for number in (5, 6, 3, 4)]
    segment = ["BHS", header.delimiters.encoding, *sides, at, "", "", "", uuid.uuid4().hex[:20], header.field(11)]
    return mark.join(segment).rstrip(mark).encode(header.codec) + b"\r"


def _in_json(taken: Sequence[Taken]) -> Response:
    views = []
    for item in taken:
        code = _CODE.search(item.answer)
        refusal = item.refusal
        views.append(
            {
                "control_id": item.control_id,
                "outcome": item.kept.outcome,
                "code": code[1].decode() if code is not None else "",
                "reason": refusal.reason if refusal is not None else "",
                "error": refusal.message if refusal is not None else "",
                "action": refusal.action if refusal is not None else "",
            }
        )
    return _answer(taken, JSONResponse(views))


def _answer(taken: Sequence[Taken], response: Response) -> Response:
    if any(item.kept.outcome == "refused" for item in taken):
        response.status_code, response.headers["Retry-After"] = 503, "60"
    elif any(item.refusal is not None for item in taken):
        response.status_code = 422
    return response


# -- how the sources stand


@dataclass(frozen=True)
class Standing:
    """How one source stands: where it comes in, its last message, its messages of today (China) and the open ones, by state.
    ``silent``: nothing came for longer than the settings allow, or ever."""

    id: str
    source: Source
    address: str
    last: datetime | None
    silence: timedelta | None
    today: Counter[str] = field(default_factory=Counter)
    open: Counter[str] = field(default_factory=Counter)

    @property
    def silent(self) -> bool:
        """See the class."""
        return self.silence is None or self.silence > timedelta(minutes=self.source.silent_after_minutes)


def standings(session: Session, gateway: Gateway) -> list[Standing]:
    """How each configured source stands. Looks only at the newest, today's and the open messages, so that it is quick however long the
    gateway has run."""
    at = now()
    midnight = at.astimezone(CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
    opened: dict[str, Counter[str]] = {}
    statement = select(InboundMessage.source, InboundMessage.state, func.count()).where(col(InboundMessage.state).in_(OPEN))
    for source, state, count in session.exec(statement.group_by(InboundMessage.source, InboundMessage.state)):
        opened.setdefault(source, Counter())[state] = count
    found = []
    for id, chosen in gateway.settings.sources.items():
        of_source = InboundMessage.source == id
        last: datetime | None = session.exec(select(func.max(InboundMessage.received_at)).where(of_source)).one()
        today = select(InboundMessage.state, func.count()).where(of_source, InboundMessage.received_at >= midnight)
        found.append(
            Standing(
                id=id,
                source=chosen,
                address=_address(gateway, id, chosen),
                last=last,
                silence=max(at - last, timedelta()) if last is not None else None,
                today=Counter(dict(session.exec(today.group_by(InboundMessage.state)).all())),
                open=opened.get(id, Counter()),
            )
        )
    return found


def counts(session: Session) -> dict[tuple[str, str], int]:
    """All messages ever, by source and state."""
    statement = select(InboundMessage.source, InboundMessage.state, func.count())
    rows = session.exec(statement.group_by(InboundMessage.source, InboundMessage.state))
    return {(source, state): count for source, state, count in rows}


def _address(gateway: Gateway, id: str, source: Source) -> str:
    if source.kind == "mllp":
        host, port = gateway.listening.addresses.get(id, (source.host, source.port))
        return f"{host}:{port}"
    if source.folder is not None and source.kind == "folder":
        return source.folder.name
    return "/fhir" if source.kind == "fhir" else f"/v2/{id}"


class SourceView(BaseModel):
    """One source. ``messages`` counts by state, ``listener`` what its listener counted since the start. ``silent``: no message for longer
    than ``silent_after_minutes`` (``silent_since`` is the last one), or never."""

    id: str
    kind: str
    dialect: str
    organisation: str
    address: str
    last_message_at: datetime | None
    silent: bool
    silent_since: datetime | None
    silent_after_minutes: float
    messages: dict[State, int]
    messages_today: int
    listener: dict[str, int | dict[str, int]] | None


@router.get("/api/sources", summary="来源及其现状 / sources and how they stand")
def sources(gateway: InGateway, actor: Actor) -> list[SourceView]:  # noqa: ARG001 - signed in
    with gateway.ledger.read() as session:
        counted, found = counts(session), standings(session, gateway)
    states: tuple[State, ...] = ("received", "assembled", "waiting", "ignored", "refused", "parked")
    counters = gateway.listening.counters
    return [
        SourceView(
            id=one.id,
            kind=one.source.kind,
            dialect=one.source.dialect,
            organisation=one.source.organisation,
            address=one.address,
            last_message_at=one.last,
            silent=one.silent,
            silent_since=one.last if one.silent else None,
            silent_after_minutes=one.source.silent_after_minutes,
            messages={state: counted.get((one.id, state), 0) for state in states},
            messages_today=one.today.total(),
            listener=_counted(counters[one.id]) if one.id in counters else None,
        )
        for one in found
    ]


def _counted(counters: Counters) -> dict[str, int | dict[str, int]]:
    values = ((one.name, getattr(counters, one.name)) for one in fields(counters))
    return {name: dict(value) if isinstance(value, Counter) else value for name, value in values}


# -- messages


class MessageView(BaseModel):
    """What became of one message. ``again``: its control id came before with other bytes."""

    id: int
    source: str
    control_id: str
    event: str
    received_at: datetime
    state: str
    reason: str
    note: str
    stay: int | None
    again: bool


class StatementView(BaseModel, frozen=True):
    """What a message speaks of and in which field; never the value. ``path`` is of the stay, or names a list (``diagnoses``)."""

    path: str
    field: str
    derived: bool = False


class RemarkView(BaseModel):
    """Something about the message that a person should know."""

    rule: str
    field: str
    severity: str
    message: str


class MessageDetail(MessageView):
    """A message with what it speaks of."""

    facts: list[StatementView]
    remarks: list[RemarkView]


class Retried(BaseModel):
    """How many messages are tried again: the parked one and those of its patient behind it."""

    messages: int


def _view(row: InboundMessage) -> dict[str, Any]:
    return {**row.model_dump(include=set(MessageView.model_fields)), "stay": row.stay_id}


@router.get("/api/messages", summary="消息列表，按到达顺序 / messages in the order of arrival")
def messages(
    gateway: InGateway,
    actor: Actor,  # noqa: ARG001 - signed in
    source: str = "",
    state: State | None = None,
    after: Annotated[int, Query(ge=0, le=LARGEST, description="上一页最后一条的编号 / id of the last one seen")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[MessageView]:
    statement = select(InboundMessage).where(col(InboundMessage.id) > after)
    if source:
        statement = statement.where(InboundMessage.source == source)
    if state is not None:
        statement = statement.where(InboundMessage.state == state)
    with gateway.ledger.read() as session:
        return [MessageView(**_view(row)) for row in session.exec(statement.order_by(col(InboundMessage.id)).limit(limit))]


@router.get("/api/messages/{id}", summary="一条消息及其所述项目（不含值）/ one message and what it speaks of")
def message(id: Number, gateway: InGateway, actor: Actor) -> MessageDetail:  # noqa: ARG001 - signed in
    with gateway.ledger.read() as session:
        row = _message(session, id)
        kept = session.exec(select(StayFacts.sealed_facts).where(StayFacts.message_id == id).order_by(col(StayFacts.part))).all()
    said = [msgspec.json.decode(gateway.vault.open(sealed, FACTS_PLACE), type=Facts) for sealed in kept]
    remarks = dict.fromkeys(remark for facts in said for remark in facts.remarks)
    return MessageDetail(
        **_view(row),
        facts=list(dict.fromkeys(statement for facts in said for statement in _statements(facts))),
        remarks=[RemarkView(rule=r.rule, field=r.source, severity=r.severity, message=r.message) for r in remarks],
    )


def _statements(facts: Facts) -> Iterator[StatementView]:
    for fact in facts.facts:
        yield StatementView(path=fact.path, field=fact.source, derived=fact.derived)
    for group in GROUPS:
        for entry in getattr(facts, group):
            yield StatementView(path=group, field=entry.source)


@router.get(
    "/api/messages/{id}/raw", summary="消息原文（含患者信息，查看记入审计日志）/ the message as sent", response_class=Response
)
def raw(id: Number, gateway: InGateway, actor: Actor) -> Response:
    """HL7 v2 as it was decoded, or the bytes themselves where no character set fits; FHIR as it came."""
    with gateway.ledger.write() as session:
        row = _message(session, id)
        record(session, Event("message.viewed", row.name, actor=actor))
    sent = gateway.vault.open(row.sealed_raw, RAW_PLACE)
    source = gateway.settings.sources.get(row.source)
    if row.standard == "fhir":
        return Response(sent, media_type="text/plain; charset=utf-8")
    try:
        text = Message.read(sent, charset=source.charset if source is not None else "", longest=len(sent)).text
    except MessageRefused:
        return Response(sent, media_type="application/octet-stream")
    return Response(text, media_type="text/plain; charset=utf-8")


@router.post("/api/messages/{id}/retry", summary="重新处理暂停的消息及同一患者的后续消息 / try a parked message again")
def retry(id: Number, gateway: InGateway, actor: Actor) -> Retried:
    return Retried(messages=gateway.assembler.retry(id, actor=actor))


def _message(session: Session, id: int) -> InboundMessage:
    row = session.get(InboundMessage, id)
    if row is None:
        raise NotFound("没有这条消息", english=f"no message {id}")
    return row
