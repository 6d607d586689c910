"""An MLLP listener on asyncio: one port, one source.

A `Keeper` makes each message durable; the listener answers only after it has. Every message is answered within a bound, whatever
happens behind: what is not stored in time is never acknowledged AA or CA. The messages of one connection are given to the keeper in
the order of their arrival, a bounded number at a time, and are answered in that order. When that number is reached, or too many bytes
wait in the whole listener, no more is read from the connection, so that the sender feels it.

A fault of one message never stops the next one. Where the frames themselves are lost (no MLLP, a frame that does not end in time) the
connection is closed. Logs name connections and reasons, never a byte of a message.
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import logging
from collections.abc import Iterator
from typing import Final

from adapters.hl7v2.connection import PIECE, Connection, Shared
from adapters.hl7v2.counters import Counters
from adapters.hl7v2.keeper import Keeper, Peer
from adapters.hl7v2.room import Room
from adapters.hl7v2.terms import Terms
from gateway.model.errors import ConfigurationError

SHUTDOWN_WITHIN: Final = 5.0
"""Seconds that a peer may take to end TLS properly."""

_log = logging.getLogger(__name__)


class Listener:
    """Listens for one source. `start`, `stop`, and `address` in between; ``counters`` at any time."""

    def __init__(self, terms: Terms, keeper: Keeper) -> None:
        self.terms: Final = terms
        self.keeper: Final = keeper
        self.counters: Final = Counters()
        self._shared = Shared(self.counters, Room(terms.held, self.counters))
        self._connections: set[Connection] = set()
        self._numbers = itertools.count(1)
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it really listens on. Only while it is started."""
        assert self._server is not None
        host, port, *_ = self._server.sockets[0].getsockname()
        return host, port

    async def start(self) -> None:
        """Begin to listen. Raises `ConfigurationError` when the port cannot be had."""
        terms = self.terms
        handshake = terms.handshake_within if terms.tls else None
        try:
            self._server = await asyncio.start_server(
                self._take,
                terms.host,
                terms.port,
                ssl=terms.tls,
                ssl_handshake_timeout=handshake,
                ssl_shutdown_timeout=SHUTDOWN_WITHIN if terms.tls else None,
                limit=PIECE,
                backlog=512,
            )
        except OSError as error:
            raise ConfigurationError(
                f"来源“{terms.source}”无法在 {terms.host}:{terms.port} 监听",
                action="请检查地址是否正确、端口是否被占用",
                english=f"cannot listen on {terms.host}:{terms.port}: {error.strerror}",
            ) from None
        _log.info("source %s listens on %s:%d", terms.source, *self.address)

    async def stop(self, grace: float = 30) -> None:
        """Take no more, answer what was received already for at most ``grace`` seconds, then close everything."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for connection in self._connections:
            connection.stop()
        tasks = {connection.task for connection in self._connections}
        if tasks:
            _, unfinished = await asyncio.wait(tasks, timeout=grace)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
        await server.wait_closed()
        if self._shared.late:
            await asyncio.wait(self._shared.late, timeout=grace)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection from beginning to end."""
        peer = _peer(writer)
        reason = self._objection(peer)
        if reason:
            self.counters.turned_away[reason] += 1
            _log.warning("source %s: connection from %s turned away: %s", self.terms.source, peer.address, reason)
            writer.transport.abort()
            return
        connection = Connection(self.terms, self.keeper, self._shared, next(self._numbers), peer, reader, writer)
        self._connections.add(connection)
        self.counters.connections += 1
        self.counters.open += 1
        try:
            await connection.serve()
        finally:
            self.counters.open -= 1
            self._connections.discard(connection)

    def _objection(self, peer: Peer) -> str:
        try:
            address = ipaddress.ip_address(peer.address.partition("%")[0])
        except ValueError:
            return "not-allowed"
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if not any(address in network for network in self.terms.networks):
            return "not-allowed"
        if self._server is None:
            return "stopping"
        return "too-many" if self.counters.open >= self.terms.connections else ""


def _peer(writer: asyncio.StreamWriter) -> Peer:
    name = writer.get_extra_info("peername") or ("", 0)
    certificate = writer.get_extra_info("peercert") or {}
    return Peer(str(name[0]), int(name[1]), next(_common_names(certificate.get("subject", ())), ""))


def _common_names(subject: tuple[tuple[tuple[str, str], ...], ...]) -> Iterator[str]:
    return (value for part in subject for key, value in part if key == "commonName")
