"""What is handed in to the FHIR side: for which source, from where, and the bytes, within the limits of `gateway.web.bodies`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from gateway.model.errors import Forbidden
from gateway.runtime import Gateway
from gateway.web.bodies import Work, chunks
from gateway.web.outcomes import JSON, PREFIX, XML, request_refused

LONGEST_KEPT: Final = 1 << 30
"""Bytes of a body that is too long to be read and is kept all the same."""

_MEDIA = ("", JSON, XML, "application/json", "application/xml", "text/json", "text/xml")


@dataclass(frozen=True, slots=True)
class HandedIn:
    """What came with a request: for which source, from where, as what."""

    source: str
    peer: str
    base: str
    content_type: str
    raw: bytes


@asynccontextmanager
async def handed_in(request: Request, gateway: Gateway, named: str) -> AsyncIterator[HandedIn]:
    """The body of a request, to be worked on in the block. ``named`` is the source of the caller.

    Raises `Forbidden`, `Overloaded`, `TooManyRequests`, `TooSlow`, and `FhirRefused` for a content type that is not read (415) and for what is
    too long (413), which is kept."""
    source = source_of(gateway, named)
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() not in _MEDIA:
        raise request_refused(
            "media-type", "not-supported", "请用 application/fhir+json 或 application/fhir+xml", "unknown media type", 415
        )
    gateway.repository.demand_room()
    work: Work = request.app.state.work
    raw = await _body(request, gateway, source, work)
    with work.on(source, len(raw)):
        yield HandedIn(source, peer_of(request), base_of(request), content_type, raw)


async def _body(request: Request, gateway: Gateway, source: str, work: Work) -> bytes:
    longest = gateway.settings.sources[source].longest_mb << 20
    body, stream, taken = bytearray(), chunks(request), 0
    try:
        async for chunk in stream:
            work.coming_in.take(source, len(chunk))
            taken += len(chunk)
            body += chunk
            if len(body) > longest:
                await _keep_too_long(gateway, source, bytes(body), stream, peer_of(request))
        return bytes(body)
    finally:
        work.coming_in.give_back(source, taken)


async def _keep_too_long(gateway: Gateway, source: str, begun: bytes, stream: AsyncIterator[bytes], peer: str) -> None:
    """Keep a body that is too long to be read, block by block, then raise `FhirRefused`."""
    refusal = request_refused(
        "too-long", "too-long", "内容超过长度上限；请拆分后再发送，或由管理员调高上限", "over the size limit", 413
    )
    with gateway.importer.journal.incoming() as incoming:
        await run_in_threadpool(incoming.write, begun)
        async for chunk in stream:
            if incoming.size + len(chunk) > LONGEST_KEPT:
                raise refusal
            await run_in_threadpool(incoming.write, chunk)
        digest, _ = await run_in_threadpool(incoming.commit)
    await run_in_threadpool(lambda: gateway.repository.refuse(source, b"", refusal, peer=peer, kept_as=digest))
    raise refusal


def source_of(gateway: Gateway, named: str) -> str:
    """The source that a caller sends for: its own, else the only FHIR source there is. Raises `Forbidden`."""
    sources = [id for id, source in gateway.settings.sources.items() if source.kind == "fhir"]
    if named in sources:
        return named
    if not named and len(sources) == 1:
        return sources[0]
    raise Forbidden(
        "没有可用的 FHIR 来源" if not sources else "该账号没有对应的 FHIR 来源",
        action='请在配置中添加 [sources.…] kind = "fhir"，并用 zhibao client add --source 指定客户端的来源',
        english="no FHIR source for this caller",
    )


def base_of(request: Request) -> str:
    """The address of the FHIR side as clients know it."""
    public: str = request.app.state.public_url
    return (public or str(request.base_url)).rstrip("/") + PREFIX


def peer_of(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client is not None else ""
