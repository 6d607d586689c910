"""Whom a TLS connection proved to come from. Uvicorn keeps the peer's certificate to itself; here its fingerprint reaches the application as
the extension ``zhibao.tls`` of the ASGI scope, which no request can forge."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any, Final

from fastapi import Request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_EXTENSION: Final = "zhibao.tls"


class CertifiedProtocol(HttpToolsProtocol):
    """HTTP over connections that may bring a client certificate. The TLS context has verified it, or there would be no connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn declares it
        """Learn the connection's certificate before its first request."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        if certificate:
            self.app = _certified(self.app, hashlib.sha256(certificate).hexdigest())


def certificate_of(request: Request) -> str:
    """The SHA-256 of the certificate (DER, hex) that the request's connection proved to hold, or nothing."""
    fingerprint: str = request.scope.get("extensions", {}).get(_EXTENSION, "")
    return fingerprint


def _certified(app: Any, fingerprint: str) -> Any:
    async def with_certificate(scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("extensions", {})[_EXTENSION] = fingerprint
        await app(scope, receive, send)

    return with_certificate
