"""SOAP transport: one operation that takes a text and returns one. Knows nothing of oncology.

zeep reads the WSDL, writes the envelopes and reads the answers; the bytes travel by `adapters.transports.rest`, which knows whether they may
have arrived. XML from outside is read without document types, entities and foreign documents. Whatever goes wrong after the bytes have left
(a SOAP fault, an answer that cannot be read) leaves the outcome open: a service may fail after it took what it was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import zeep
import zeep.exceptions
from lxml import etree

from adapters.transports.rest import Answer, RestTransport
from gateway.model.errors import AmbiguousFailure, DeliveryError, TransientFailure

_SETTINGS = zeep.Settings(strict=True, forbid_dtd=True, forbid_entities=True, forbid_external=False, xml_huge_tree=False)
"""What a WSDL imports is loaded by `_Line`, which goes to no other host."""


class SoapTransport:
    """Calls to one SOAP service. Thread-safe. Its description is read at the first call, so a service that is down does not keep anybody from
    starting; calls go to ``url``, whatever address the description states. ``wsdl`` is the address or path of the description, where it is not
    ``url?wsdl``."""

    def __init__(self, url: str, *, wsdl: str = "", timeout: float = 30.0) -> None:
        self._url = url
        self._wsdl = wsdl or f"{url}?wsdl"
        parts = urlsplit(url)
        self._rest = RestTransport(f"{parts.scheme}://{parts.netloc}", timeout=timeout)
        self._lock = Lock()
        self._service: Any = None

    def call(self, operation: str, text: str) -> str:
        """The answer to a text. Raises `TransientFailure` when nothing can have been taken, `AmbiguousFailure` when it may have been."""
        function = self._function(operation)
        try:
            answer = function(text)
        except DeliveryError:
            raise
        except zeep.exceptions.Fault:  # its text may repeat what was sent
            raise _open("SOAP fault") from None
        except Exception as error:  # whatever zeep stumbles over in an answer: the bytes have left
            raise _open(f"unreadable SOAP answer: {type(error).__name__}") from None
        if not isinstance(answer, str):
            raise _open("SOAP answer holds no text")
        return answer

    def close(self) -> None:
        """Close all connections."""
        self._rest.close()

    def _function(self, operation: str) -> Callable[[str], Any]:
        with self._lock:
            if self._service is None:
                self._service = self._connected()
        try:
            function: Callable[[str], Any] = self._service[operation]
        except AttributeError:
            raise _not_described(f"no operation {operation}") from None
        return function

    def _connected(self) -> Any:
        try:
            client: Any = zeep.Client(self._wsdl, transport=_Line(self._rest, self._url), settings=_SETTINGS)  # type: ignore[no-untyped-call]
            return client.create_service(client.service._binding.name, self._url)
        except DeliveryError:
            raise
        except Exception as error:  # a description is foreign input: zeep and lxml stumble over it in many ways
            raise _not_described(type(error).__name__) from None


@dataclass(frozen=True, slots=True)
class _Reply:
    """An answer as zeep wants to see it."""

    status_code: int
    content: bytes
    headers: Mapping[str, str]
    encoding: str = "utf-8"


class _Line:
    """zeep's transport, over ours."""

    def __init__(self, rest: RestTransport, url: str) -> None:
        self._rest = rest
        self._host = urlsplit(url)[:2]

    def load(self, location: str) -> bytes:
        """A description or what it imports: a file, or an address at the host of the service."""
        parts = urlsplit(location)
        if parts.scheme not in ("http", "https"):
            return Path(location.removeprefix("file://")).read_bytes()
        if parts[:2] != self._host:
            raise _not_described("it refers to another host")
        try:
            answer = self._rest.exchange("GET", parts.path + (f"?{parts.query}" if parts.query else ""))
        except AmbiguousFailure as failure:  # a description that was asked for changes nothing
            raise TransientFailure(failure.message, action=failure.action, english=failure.english) from None
        if answer.status != 200:
            raise TransientFailure(
                "平台的接口说明（WSDL）暂时不能读取",
                action="请核对接口地址，系统会自动重试",
                english=f"WSDL: HTTP {answer.status}",
                retry_after=answer.retry_after,
            )
        return answer.body

    def post_xml(self, address: str, envelope: etree._Element, headers: Mapping[str, str]) -> _Reply:
        """Post an envelope. Raises `TransientFailure` or `AmbiguousFailure` for what is no SOAP answer."""
        parts = urlsplit(address)
        content = etree.tostring(envelope, xml_declaration=True, encoding="utf-8")
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        answer = self._rest.exchange("POST", path, content=content, headers=dict(headers))
        _may_be_soap(answer)
        return _Reply(answer.status, answer.body, {"Content-Type": "text/xml"})


def _may_be_soap(answer: Answer) -> None:
    """A success, or 500, the status of SOAP faults (SOAP 1.1 §6.2)."""
    status, english = answer.status, f"HTTP {answer.status}"
    if status in (200, 500):
        return
    if status in (401, 403):
        raise TransientFailure("平台拒绝了接口访问", action="请核对平台账号、密钥和访问白名单，改正后系统会继续", english=english)
    if status in (408, 425, 429, 503):
        raise TransientFailure("平台暂时不能接收", action="系统会自动重试", english=english, retry_after=answer.retry_after)
    if 300 <= status < 500:
        raise TransientFailure("接口地址上没有这项服务", action="请核对平台接口地址，改正后系统会继续", english=english)
    raise _open(english)


def _open(english: str) -> AmbiguousFailure:
    return AmbiguousFailure("平台的答复不能说明是否已接收", action="系统会先向平台查询，再决定是否重发", english=english)


def _not_described(english: str) -> TransientFailure:
    return TransientFailure(
        "平台的接口说明（WSDL）不能使用", action="请核对接口地址和接口版本，改正后系统会继续", english=f"WSDL: {english}"
    )
