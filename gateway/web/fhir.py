"""The FHIR side of the API: bundles and resources in.

Whatever comes is kept, byte for byte: what can be used becomes durable together with the resources that it states before the answer
leaves, what cannot is kept with the reason. Reading it is the assembler's work, as of every other message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from adapters.fhir import wire
from adapters.fhir.bundle import unknown_method
from adapters.fhir.json_text import join
from adapters.fhir.refusal import MOST_ISSUES, FhirRefused, Issue
from adapters.fhir.resource import USED
from adapters.fhir.structure import document_faults, faults
from adapters.fhir.wire import Document, Entry
from gateway.access.scopes import Action
from gateway.intake.resources import Accepted, Answered, with_version
from gateway.runtime import Gateway
from gateway.store.ledger import now
from gateway.web.clients import Caller, Party
from gateway.web.handed_in import HandedIn, base_of, handed_in, peer_of, source_of
from gateway.web.outcomes import JSON, PREFIX, REFUSED, XML, described, fhir, outcome, request_refused
from gateway.web.requests import InGateway

router = APIRouter(prefix=PREFIX, tags=["FHIR"], responses=REFUSED)

Kind = Annotated[str, Path(json_schema_extra={"enum": sorted(USED)})]
"""A type of resource that is taken in."""

_BODY = {"requestBody": {"content": {JSON: {"schema": {"type": "object"}}, XML: {"schema": {"type": "string"}}}, "required": True}}
_ANSWERED = described("Bundle 或 OperationOutcome / a bundle of responses, or an OperationOutcome", 200)
_STORED = described("保存的资源 / the resource as stored", 200, 201)
_ACTIONS: Final[Mapping[str, tuple[Action, ...]]] = {"POST": ("c",), "PUT": ("u",), "DELETE": ("d",), "GET": (), "HEAD": ()}
"""What an entry's method needs; entries of bundles without requests make resources and replace them."""

_REASONS: Final = {
    200: "200 OK",
    201: "201 Created",
    204: "204 No Content",
    405: "405 Method Not Allowed",
    422: "422 Unprocessable Entity",
}


@router.post("/", include_in_schema=False)
@router.post("", summary="提交 Bundle / hand in a bundle", openapi_extra=_BODY, responses=_ANSWERED, response_class=Response)
async def hand_in_bundle(request: Request, gateway: InGateway, caller: Caller) -> Response:
    """``transaction`` (all or nothing) and ``batch`` (each by itself) answer with a Bundle of responses; ``document``, ``message``,
    ``collection``, ``searchset`` and ``history`` with an OperationOutcome. The message is durable before a 2xx."""
    async with handed_in(request, gateway, caller.source) as handed:
        return await run_in_threadpool(_take_bundle, request, gateway, handed, caller)


@router.post("/{kind}", summary="新建资源 / create a resource", openapi_extra=_BODY, responses=_STORED, response_class=Response)
async def create(kind: Kind, request: Request, gateway: InGateway, caller: Caller) -> Response:
    """With ``If-None-Exist: identifier=system|value`` nothing is made where there is one already."""
    _used(kind)
    caller.demand(kind, "c")
    async with handed_in(request, gateway, caller.source) as handed:
        condition = request.headers.get("if-none-exist", "")
        return await run_in_threadpool(_take_resource, request, gateway, handed, kind, "POST", kind, condition)


@router.put(
    "/{kind}", summary="按标识更新资源 / conditional update", openapi_extra=_BODY, responses=_STORED, response_class=Response
)
async def update_by_identifier(kind: Kind, request: Request, gateway: InGateway, caller: Caller) -> Response:
    """``PUT Patient?identifier=system|value``."""
    _used(kind)
    caller.demand(kind, "u")
    async with handed_in(request, gateway, caller.source) as handed:
        url = f"{kind}?{request.url.query}"
        return await run_in_threadpool(_take_resource, request, gateway, handed, kind, "PUT", url, "")


@router.put("/{kind}/{id}", summary="更新资源 / update a resource", openapi_extra=_BODY, responses=_STORED, response_class=Response)
async def update(kind: Kind, id: str, request: Request, gateway: InGateway, caller: Caller) -> Response:
    """Also makes one under this id."""
    _used(kind)
    caller.demand(kind, "u")
    async with handed_in(request, gateway, caller.source) as handed:
        return await run_in_threadpool(_take_resource, request, gateway, handed, kind, "PUT", f"{kind}/{id}", "")


@router.delete("/{kind}/{id}", status_code=204, summary="撤回资源 / withdraw a resource", response_class=Response)
def withdraw(kind: Kind, id: str, request: Request, gateway: InGateway, caller: Caller) -> Response:
    """What was derived from it is taken back. What is not there is as good as withdrawn (http.html#delete): 204, and nothing is stored;
    with ``If-Match`` it is 412."""
    _used(kind)
    caller.demand(kind, "d")
    source = source_of(gateway, caller.source)
    asked = Entry(0, "", "", method="DELETE", url=f"{kind}/{id}", if_match=request.headers.get("if-match", ""))
    raw = f"DELETE {kind}/{id}".encode()
    try:
        document = Document(kind, "R4", True, (asked,))
        (answer,) = gateway.repository.accept(source, raw, document, base=base_of(request), peer=peer_of(request)).entries
    except FhirRefused as refusal:
        gateway.repository.refuse(source, raw, refusal, peer=peer_of(request))
        raise
    return Response(status_code=204, headers={"ETag": f'W/"{answer.version}"'} if answer.version else None)


# -- taking in


def _take_bundle(request: Request, gateway: Gateway, handed: HandedIn, caller: Party) -> Response:
    try:
        document = wire.read(handed.raw, content_type=handed.content_type)
        if document.kind != "Bundle":
            raise request_refused(
                "not-a-bundle", "invalid", "此地址只接收 Bundle；单个资源请发送到 /fhir/类型", "only bundles here", 422
            )
        _demand_each(caller, document)
        document, faulty = _checked(document)
        accepted = gateway.repository.accept(handed.source, handed.raw, document, base=handed.base, peer=handed.peer)
    except FhirRefused as refusal:
        gateway.repository.refuse(handed.source, handed.raw, refusal, peer=handed.peer)
        raise
    if document.type in ("transaction", "batch"):
        return fhir(request, _responses(document.type, accepted, faulty))
    return fhir(request, outcome([_taken_note(accepted)]))


def _take_resource(
    request: Request, gateway: Gateway, handed: HandedIn, kind: str, method: str, url: str, condition: str
) -> Response:
    try:
        document = wire.read(handed.raw, content_type=handed.content_type)
        if document.kind != kind:
            raise request_refused("other-type", "invalid", f"内容不是 {kind} 资源", f"the body is no {kind}", 422)
        (entry,) = document.entries
        asked = replace(entry, method=method, url=url, if_none_exist=condition)
        if_match, if_none_match = request.headers.get("if-match", ""), request.headers.get("if-none-match", "")
        document = document.only([replace(asked, if_match=if_match, if_none_match=if_none_match)])
        document, _ = _checked(document)
        accepted = gateway.repository.accept(handed.source, handed.raw, document, base=handed.base, peer=handed.peer)
    except FhirRefused as refusal:
        gateway.repository.refuse(handed.source, handed.raw, refusal, peer=handed.peer)
        raise
    (answer,) = accepted.entries
    location = f"{handed.base}/{answer.change.key}/_history/{answer.version}"
    headers = {"Location": location, "ETag": f'W/"{answer.version}"'}
    if request.headers.get("prefer", "") == "return=minimal":
        return Response(status_code=answer.status, headers=headers)
    if answer.stale:
        return fhir(request, outcome([_stale_note()]), status=answer.status, headers=headers)
    if answer.status == 200:
        there = gateway.repository.current(handed.source, answer.change.key)
        assert there is not None, "what was answered is there"
        return fhir(request, there.body, headers=headers, release=there.release)
    body = dict(entry.body)
    body["id"] = answer.change.key.rpartition("/")[2]
    return fhir(request, with_version(body, answer.version, now()), status=answer.status, headers=headers)


def _demand_each(caller: Party, document: Document) -> None:
    """The caller needs a right for every entry. Raises `Forbidden`. Types that we only keep with the message need none."""
    for entry in document.entries:
        kind = entry.kind or entry.url.partition("?")[0].rpartition("/")[0].rpartition("/")[2] or entry.url.partition("?")[0]
        for action in _ACTIONS.get(entry.method, ("c", "u")) if kind in USED else ():
            caller.demand(kind, action)


def _checked(document: Document) -> tuple[Document, dict[int, list[Issue]]]:
    """The document with its structure checked; of a batch only the entries that are right, and the faults of the others by number.
    Raises `FhirRefused`."""
    asked = {entry.number: issue for entry in document.entries if (issue := _unsupported(document, entry)) is not None}
    if document.type != "batch":
        if issues := [*asked.values(), *document_faults(document)]:
            raise FhirRefused("structure", issues[:MOST_ISSUES])
        return document, {}
    if issues := document_faults(document.only(())):
        raise FhirRefused("structure", issues)
    by_entry = {
        entry.number: [asked[entry.number]] if entry.number in asked else _entry_faults(document, entry)
        for entry in document.entries
    }
    faulty = {number: issues for number, issues in by_entry.items() if issues}
    return document.only([entry for entry in document.entries if entry.number not in faulty]), faulty


def _entry_faults(document: Document, entry: Entry) -> list[Issue]:
    """What is wrong with one entry of a batch: with what it asks for, and with its resource."""
    around = {"resourceType": "Bundle", "type": document.type, "entry": [entry.around]}
    place = f"Bundle.{entry.place}"
    found = [
        replace(issue, expression=issue.expression.replace("Bundle.entry[0]", place)) for issue in faults(around, document.release)
    ]
    return [*found, *(faults(entry.body, document.release, entry.place) if entry.kind else ())]


def _unsupported(document: Document, entry: Entry) -> Issue | None:
    """What an entry asks for and is not done: a sender must not believe that it was."""
    where = f"Bundle.{entry.place}.request" if entry.place else ""
    if document.type in ("transaction", "batch") and entry.method in ("GET", "HEAD", "PATCH"):
        text = f"不支持在 Bundle 中使用 {entry.method}"
        return Issue("error", "not-supported", f"{where}.method", "method", text, "method not supported here")
    if (issue := unknown_method(entry)) is not None:
        return issue
    if entry.if_none_match:
        return Issue("error", "not-supported", join(where, "ifNoneMatch"), "if-none-match", "不支持 If-None-Match", "not supported")
    return None


def _responses(kind: str, accepted: Accepted, faulty: dict[int, list[Issue]]) -> dict[str, Any]:
    made: dict[int, dict[str, Any]] = {answer.change.entry.number: _response(answer) for answer in accepted.entries}
    for number, issues in faulty.items():
        status = _REASONS[405 if issues[0].rule == "method" else 422]
        made[number] = {"response": {"status": status, "outcome": outcome(issues)}}
    return {"resourceType": "Bundle", "type": f"{kind}-response", "entry": [made[number] for number in sorted(made)]}


def _response(answer: Answered) -> dict[str, Any]:
    response: dict[str, Any] = {"status": _REASONS[answer.status]}
    if answer.version:
        response["etag"] = f'W/"{answer.version}"'
        if answer.change.action != "delete":
            response["location"] = f"{answer.change.key}/_history/{answer.version}"
    if answer.stale:
        response["outcome"] = outcome([_stale_note()])
    elif not answer.version and answer.change.action != "delete":
        message = "这类资源上报时用不到：已随原文留存，不单独保存"
        note = Issue("information", "informational", "", "not-used", message, "kept with the message, not stored by itself")
        response["outcome"] = outcome([note])
    return {"response": response}


def _taken_note(accepted: Accepted) -> Issue:
    if accepted.repeated:
        return Issue(
            "information", "informational", "", "repeated", "相同内容以前已经收到，没有重复处理", "taken before, nothing changed"
        )
    count = len(accepted.entries)
    message = f"已保存，编号 {accepted.message}，含 {count} 个资源，稍后读取"
    return Issue("information", "informational", "", "taken", message, f"stored as message {accepted.message}, {count} resources")


def _stale_note() -> Issue:
    return Issue("information", "informational", "", "stale", "已有更新的内容，未采用", "what is there is newer: not used")


def _used(kind: str) -> None:
    if kind not in USED:
        raise request_refused("not-used", "not-supported", "本网关不接收这种资源，见 /fhir/metadata", "see /fhir/metadata", 404)
