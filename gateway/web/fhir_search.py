"""The FHIR side of the API: what can be read and searched. Every look is written to the audit log, without what was looked for.

Two kinds of resources share the addresses: those that a source handed in, which only that source's callers read, as they were sent; and
those that the gateway makes of its canonical stays and of its audit log (ids beginning ``zb-``), which searches find, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Request, Response

from adapters.fhir.resource import USED
from adapters.fhir.writing.names import RESERVED
from adapters.fhir.writing.strict import Resource
from gateway.audit.log import Event, record
from gateway.model.errors import Forbidden, NotFound
from gateway.published import Cursor, Page, Published, stay_of
from gateway.runtime import Gateway
from gateway.web.capability import capability_statement
from gateway.web.clients import Caller, Party
from gateway.web.handed_in import base_of, source_of
from gateway.web.outcomes import PREFIX, REFUSED, described, fhir, request_refused
from gateway.web.requests import InGateway
from gateway.web.searches import LARGEST_PAGE, PAGE, SEARCHES
from mappings.cadence import CHINA

router = APIRouter(prefix=PREFIX, tags=["FHIR"], responses=REFUSED)

_CURSOR: Final = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ALWAYS: Final = ("_count", "_format", "_after")

Readable = Annotated[str, Path(json_schema_extra={"enum": sorted(USED | SEARCHES.keys())})]
Searchable = Annotated[str, Path(json_schema_extra={"enum": sorted(SEARCHES)})]
"""Types of resources that can be read, and searched for."""

_STATED = described("能力声明 / the statement", 200, kind="CapabilityStatement")
_READ = described("资源 / the resource", 200)
_FOUND = described("检索结果，分页 / a page of what was found", 200, kind="Bundle")


@router.get("/metadata", summary="能力声明 / CapabilityStatement", responses=_STATED, response_class=Response)
def metadata(request: Request) -> Response:
    """What this server does; nobody has to sign in to read it."""
    return fhir(request, capability_statement(base_of(request)))


@router.get("/{kind}/{id}", summary="读取资源 / read a resource", responses=_READ, response_class=Response)
def read(kind: Readable, id: str, request: Request, gateway: InGateway, caller: Caller) -> Response:
    """A resource as its source sent it, or one of ours (``zb-…``)."""
    if kind not in USED and kind not in SEARCHES:
        raise request_refused("not-used", "not-supported", "本网关没有这种资源，见 /fhir/metadata", "see /fhir/metadata", 404)
    caller.demand(kind, "r")
    _demand_oversight(kind, caller)
    if id.startswith(RESERVED):
        with gateway.ledger.read() as session:
            found = _published(gateway, session, request, caller).read(kind, id)
        _write_down(
            gateway, Event("fhir.read", f"{kind}/{id}" if found is not None else kind, {"found": found is not None}, caller.name)
        )
        if found is None:
            raise NotFound("没有这个资源", english="no such resource")
        return fhir(request, found, headers={"ETag": f'W/"{found["meta"]["versionId"]}"'})
    handed_in = gateway.repository.current(source_of(gateway, caller.source), f"{kind}/{id}", actor=caller.name)
    if handed_in is None:
        raise NotFound("没有这个资源", english="no such resource")
    if handed_in.deleted:
        raise request_refused("deleted", "deleted", "资源已撤回", "the resource was deleted", 410)
    headers = {"ETag": f'W/"{handed_in.version}"'}
    return fhir(request, handed_in.body, headers=headers, release=handed_in.release)


@router.get("/{kind}", summary="检索 / search", responses=_FOUND, response_class=Response)
def search(kind: Searchable, request: Request, gateway: InGateway, caller: Caller) -> Response:
    """Patient, Encounter, Condition and Provenance of canonical stays, AuditEvent of the audit log; page by page, in R4."""
    if kind not in SEARCHES:
        raise request_refused("not-searched", "not-supported", "这种资源不能检索，见 /fhir/metadata", "see /fhir/metadata", 404)
    caller.demand(kind, "s")
    _demand_oversight(kind, caller)
    asked = _asked(kind, request)
    with gateway.ledger.read() as session:
        page = _page(kind, asked, _published(gateway, session, request, caller))
    by = sorted(asked.keys() - set(_ALWAYS))
    _write_down(gateway, Event("fhir.searched", kind, {"by": by, "found": len(page.resources)}, caller.name))
    return fhir(request, _searchset(kind, asked, page, base_of(request)))


def _write_down(gateway: Gateway, event: Event) -> None:
    """The look is in the audit log before anything is shown."""
    with gateway.ledger.write() as session:
        record(session, event)


def _page(kind: str, asked: Mapping[str, str], published: Published) -> Page:
    count, after = _count(asked.get("_count", "")), _cursor(asked.get("_after", ""))
    if "_id" in asked:
        found = published.read(kind, asked["_id"])
        return Page([found] if found is not None else [], None)
    if kind == "AuditEvent":
        since, until = _between(asked.get("date", ""))
        return published.of_audit(
            count, after, since=since, until=until, actor=asked.get("agent-name", ""), subject=asked.get("entity-name", "")
        )
    stay = None
    for name in ("encounter", "target"):
        if name in asked:
            stay = stay_of(asked[name])
            if stay is None:
                return Page([], None)
    patient = asked.get("patient", "").removeprefix("Patient/")
    return published.of_stays(kind, count, after, patient=patient, identifier=asked.get("identifier", ""), stay=stay)


def _searchset(kind: str, asked: Mapping[str, str], page: Page, base: str) -> dict[str, Any]:
    def link(relation: str, query: Mapping[str, str]) -> dict[str, str]:
        return {"relation": relation, "url": f"{base}/{kind}" + (f"?{urlencode(query)}" if query else "")}

    links = [link("self", asked)]
    if page.next is not None:
        links.append(link("next", {**asked, "_after": f"{page.next.number}.{page.next.part}"}))
    entries = [{"fullUrl": f"{base}/{kind}/{one['id']}", "resource": one, "search": {"mode": "match"}} for one in page.resources]
    bundle: Resource = {"resourceType": "Bundle", "type": "searchset", "link": links}
    return {**bundle, "entry": entries} if entries else bundle


def _asked(kind: str, request: Request) -> dict[str, str]:
    """The parameters of a search. Raises `FhirRefused` for one that we do not have: ignoring it would find too much."""
    asked: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in asked and (name, kind) == ("date", "AuditEvent"):
            value = f"{asked[name]},{value}"
        elif name in asked or (name not in SEARCHES[kind] and name not in _ALWAYS):
            raise request_refused(
                "parameter", "not-supported", "有不支持的检索参数，见 /fhir/metadata", "a search parameter we do not have", 400
            )
        asked[name] = value
    return asked


def _count(text: str) -> int:
    if not text:
        return PAGE
    if not text.isascii() or not text.isdigit() or int(text[:9]) < 1:
        raise request_refused("count", "value", "_count 应为正整数", "_count must be a positive integer", 400)
    return min(int(text[:9]), LARGEST_PAGE)


def _cursor(text: str) -> Cursor:
    if not text:
        return Cursor()
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise request_refused("cursor", "value", "翻页参数不正确，请使用答复中的 next 链接", "use the next link of the answer", 400)
    return Cursor(int(match[1]), int(match[2]))


def _between(text: str) -> tuple[datetime | None, datetime | None]:
    """(from, before) of ``ge2026-11-01,lt2026-12-01``; a bare day is that day. Days are those of China."""
    since: datetime | None = None
    until: datetime | None = None
    for piece in filter(None, text.split(",")):
        prefix, day = (piece[:2], piece[2:]) if piece[:2].isalpha() else ("eq", piece)
        start, end = _moments(day)
        if prefix not in ("eq", "ge", "gt", "le", "lt"):
            raise request_refused("date", "value", "日期前缀只支持 eq、ge、gt、le、lt", "prefixes eq, ge, gt, le, lt only", 400)
        if prefix in ("eq", "ge"):
            since = start
        elif prefix == "gt":
            since = end
        if prefix in ("eq", "le"):
            until = end
        elif prefix == "lt":
            until = start
    return since, until


def _moments(text: str) -> tuple[datetime, datetime]:
    """The beginning of a day or second, and that of the next. Raises `FhirRefused`, also at the ends of the calendar, where there is no
    next one."""
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
        start = (moment if moment.tzinfo is not None else moment.replace(tzinfo=CHINA)).astimezone(UTC)
        return start, start + (timedelta(days=1) if _DAY.fullmatch(text) else timedelta(seconds=1))
    except (ValueError, OverflowError):
        raise request_refused(
            "date", "value", "date 应为日期或带时区的时间", "date must be a date or a time with zone", 400
        ) from None


def _published(gateway: Gateway, session: Any, request: Request, caller: Party) -> Published:
    """What a caller may look at: a client that sends for a source sees the stays of its institution only."""
    organisations = (source.organisation for source in gateway.settings.sources.values())
    within = gateway.settings.sources[source_of(gateway, caller.source)].organisation if caller.source else ""
    return Published(session, gateway.vault, base_of(request), organisations, within=within)


def _demand_oversight(kind: str, caller: Party) -> None:
    """The audit log speaks of all sources. Raises `Forbidden` for a client that sends for one."""
    if kind == "AuditEvent" and caller.source:
        raise Forbidden(
            "审计日志只供没有绑定来源的客户端查看",
            action="请管理员登记一个不带 --source 的客户端",
            english="the audit log is not for clients of a single source",
        )
