"""The listening side of a running gateway: one MLLP listener a source, on an event loop of their own thread.

What arrives goes to the mailroom and is answered after it is durable. Messages over HTTP and from folders take the same way: `take` makes
of bare bytes what a listener would make of a frame, so that a message is recognised when it comes again by another way.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from adapters.hl7v2.acknowledgement import acknowledgements
from adapters.hl7v2.batch import Fault
from adapters.hl7v2.counters import Counters
from adapters.hl7v2.framing import Deframer, Frame
from adapters.hl7v2.keeper import Kept, Peer, Received
from adapters.hl7v2.listener import Listener
from adapters.hl7v2.receiving import examined, framed
from adapters.hl7v2.refusal import MessageRefused, refused
from adapters.hl7v2.terms import LOOPBACK, Network, Terms
from gateway.intake.mailroom import Mailroom
from gateway.model.errors import ConfigurationError, NotFound
from gateway.settings import Settings, Source


class Taken(NamedTuple):
    """What became of one message that came without a frame, the unframed answer (empty where the sender asks for none), why the message is
    refused, if it is (it may be kept all the same), and its MSH-10."""

    kept: Kept
    answer: bytes
    refusal: MessageRefused | None
    control_id: str


class Listening:
    """All listeners of one gateway. `start`, `stop`; ``addresses`` in between."""

    def __init__(self, settings: Settings, mailroom: Mailroom) -> None:
        self._settings = settings
        self._mailroom = mailroom
        self._listeners = {
            id: Listener(_terms(id, source, settings), mailroom) for id, source in settings.sources.items() if source.kind == "mllp"
        }
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="listening", daemon=True)

    @property
    def addresses(self) -> Mapping[str, tuple[str, int]]:
        """Where each source is listened for; nowhere before `start` and after `stop`."""
        return {id: listener.address for id, listener in self._listeners.items()} if self._thread.is_alive() else {}

    @property
    def counters(self) -> Mapping[str, Counters]:
        """What each listener has counted."""
        return {id: listener.counters for id, listener in self._listeners.items()}

    def start(self) -> None:
        """Begin to listen on every port. Raises `ConfigurationError` when one cannot be had; then none is listened on."""
        self._thread.start()
        try:
            for listener in self._listeners.values():
                self._run(listener.start())
        except ConfigurationError:
            self.stop()
            raise

    def stop(self) -> None:
        """Take no more, answer what was received, close."""
        if self._thread.is_alive():
            for listener in self._listeners.values():
                self._run(listener.stop(grace=10))
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=30)
        self._loop.close()

    def take(self, source: str, piece: bytes | Fault, *, peer: str) -> Taken:
        """Take one message that came without a frame, or what stands in the place of one. Returns when it is durable or refused; raises
        `NotFound` for an unknown source."""
        return self.take_all(source, (piece,), peer=peer)[0]

    def take_all(self, source: str, pieces: Iterable[bytes | Fault], *, peer: str) -> list[Taken]:
        """Take many, in their order: as `take` one by one, and durable together."""
        chosen = self._settings.sources.get(source)
        if chosen is None:
            raise NotFound("没有这个来源", action="请在配置中添加 [sources.…]", english="no such source")
        received = [_received(source, chosen, piece, Peer(peer, 0, "")) for piece in pieces]
        posted = [self._mailroom.post(item) for item in received]
        return [_taken(chosen, item, future.result()) for item, future in zip(received, posted, strict=True)]

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)


def _received(id: str, source: Source, piece: bytes | Fault, peer: Peer) -> Received:
    at = dt.datetime.now(dt.UTC)
    raw = piece.data if isinstance(piece, Fault) else piece
    header, refusal = examined(raw, source.charset)
    if isinstance(piece, Fault):
        refusal = piece.refusal
    answer = framed(acknowledgements(header, refusal, mode=source.acknowledgement, at=at))
    return Received(id, peer, 0, 0, at, raw, header, refusal, answer)


def _taken(source: Source, item: Received, kept: Kept) -> Taken:
    """The answer follows what really became of the message: nothing that is not stored is acknowledged. Where enhanced mode asks for two,
    it is the first."""
    refusal, answer = item.refusal, item.answer
    if kept.outcome == "refused":
        refusal = kept.refusal or refused("not-stored")
        answer = framed(acknowledgements(item.header, refusal, mode=source.acknowledgement))
    elif kept.outcome == "repeated":
        answer = kept.answer
    frames = (event.data for event in Deframer().feed(answer) if isinstance(event, Frame))
    return Taken(kept, next(frames, b""), refusal, item.control_id)


def _terms(id: str, source: Source, settings: Settings) -> Terms:
    tls = _tls(id, source, settings)
    loopback = ipaddress.ip_address(source.host).is_loopback
    if not loopback and tls is None and not source.allow:
        raise ConfigurationError(
            f"来源 {id} 的监听地址 {source.host} 可被其他机器访问，但既没有 TLS 证书，也没有允许的网段",
            action=f"请配置 sources.{id}.allow（如 192.168.1.0/24）或 sources.{id}.tls_certificate",
            english=f"source {id}: a non-loopback address needs TLS or an allow-list",
        )
    return Terms(
        source=id,
        host=source.host,
        port=source.port,
        networks=_networks(id, source),
        tls=tls,
        charset=source.charset,
        mode=source.acknowledgement,
        longest=source.longest_mb << 20,
        connections=source.connections,
        idle_after=source.idle_after_seconds,
    )


def _networks(id: str, source: Source) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(text) for text in source.allow) or LOOPBACK
    except ValueError:
        raise ConfigurationError(
            f"sources.{id}.allow 中有无法识别的网段", action="请写成 192.168.1.0/24 的形式", english=f"source {id}: bad network"
        ) from None


def _tls(id: str, source: Source, settings: Settings) -> ssl.SSLContext | None:
    """Server context; with ``tls_client_ca`` only peers with a certificate of that authority are let in (mutual TLS)."""
    if source.tls_certificate is None or source.tls_key is None:
        return None

    def place(path: Path) -> str:
        return str(settings.path(path))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(place(source.tls_certificate), place(source.tls_key))
        if source.tls_client_ca is not None:
            context.load_verify_locations(place(source.tls_client_ca))
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError):
        raise ConfigurationError(
            f"来源 {id} 的 TLS 证书或密钥无法读取",
            action="请检查文件路径、格式和权限",
            english=f"source {id}: TLS files unreadable",
        ) from None
    return context
