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
import contextlib
import datetime as dt
import ipaddress
import itertools
import logging
import socket
import ssl
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, Self

from adapters.hl7v2.acknowledgement import Acknowledgement, Mode, acknowledgements
from adapters.hl7v2.charset import read, setting
from adapters.hl7v2.framing import Cut, Deframer, Event, Frame, Oversize, Stray, frame
from adapters.hl7v2.header import Header
from adapters.hl7v2.refusal import MessageRefused, refused
from gateway.model.errors import ConfigurationError, Overloaded

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK: Final[tuple[Network, ...]] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))

_PIECE = 1 << 16
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms a source is listened to. Times are in seconds, sizes in bytes.

    ``networks`` may connect, nobody else. ``charset`` and ``mode`` as in `charset` and `acknowledgement`. ``longest`` limits a
    message, ``connections`` how many peers at once, ``in_flight`` the messages of one connection that wait for the keeper,
    ``held`` the bytes of all that do. ``answer_within`` counts from the last byte of a message; ``idle_after`` closes a silent
    connection, ``frame_within`` one whose frame does not end, ``send_within`` one that does not take its answers, and ``stray``
    one that sends so much outside of frames.

    Raises `ConfigurationError` for an unknown ``charset``.
    """

    source: str
    host: str = "127.0.0.1"
    port: int = 0
    networks: tuple[Network, ...] = LOOPBACK
    tls: ssl.SSLContext | None = None
    charset: str = ""
    mode: Mode = "asked"
    longest: int = 10 << 20
    connections: int = 1000
    in_flight: int = 16
    held: int = 64 << 20
    stray: int = 1 << 16
    answer_within: float = 25
    idle_after: float = 3600
    frame_within: float = 60
    send_within: float = 30
    handshake_within: float = 15

    def __post_init__(self) -> None:
        if self.charset:
            setting(self.charset)


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection. ``certificate`` is the common name of its client certificate, if it showed one."""

    address: str
    port: int
    certificate: str


@dataclass(frozen=True, slots=True)
class Received:
    """One message as it arrived.

    ``connection`` numbers the connections of a listener, ``number`` the messages of a connection, both from 1. ``refusal`` is why
    the message cannot be read, if so: keep its bytes all the same, for a person to look at. ``answer`` is what will be sent once
    it is kept, framed; store it beside the message, and give it back in `Kept.again` when the message comes again.
    """

    source: str
    peer: Peer
    connection: int
    number: int
    at: dt.datetime
    raw: bytes = field(repr=False)
    header: Header | None = field(repr=False)
    refusal: MessageRefused | None
    answer: bytes = field(repr=False)

    @property
    def control_id(self) -> str:
        """MSH-10, or an empty string."""
        return self.header.control_id if self.header else ""


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a message: ``kept`` (durable now), ``repeated`` (it was before; ``answer`` is the stored one) or ``refused``."""

    outcome: Literal["kept", "repeated", "refused"] = "kept"
    answer: bytes = field(default=b"", repr=False)
    refusal: MessageRefused | None = None

    @classmethod
    def again(cls, answer: bytes) -> Self:
        """The same control id and the same bytes were kept before; ``answer`` is what was stored then."""
        return cls("repeated", answer)

    @classmethod
    def not_kept(cls, refusal: MessageRefused) -> Self:
        """The message is not stored, for that reason."""
        return cls("refused", refusal=refusal)


class Keeper(Protocol):
    """Makes messages durable."""

    async def keep(self, received: Received) -> Kept:
        """Store ``received`` and return when it will survive a crash.

        Called in the order of arrival for each connection, several at a time: take the message's place in the order before the
        first await. May raise `MessageRefused` or `Overloaded` instead of returning; anything else counts as not stored. It is
        cancelled when it takes longer than the bound; should the message be stored all the same, its repetition finds it.
        """
        ...


@dataclass(slots=True)
class Counters:
    """What happened since the listener was made; ``open`` and ``held`` are the present state."""

    open: int = 0
    held: int = 0
    connections: int = 0
    received: int = 0
    received_bytes: int = 0
    repeated: int = 0
    stray_bytes: int = 0
    answered: Counter[str] = field(default_factory=Counter)
    """Answers by MSA-1; a message whose sender asked for none counts as ``none``, a stored answer only as repeated."""
    refused: Counter[str] = field(default_factory=Counter)
    """Messages by reason."""
    turned_away: Counter[str] = field(default_factory=Counter)
    """Connections not taken: ``not-allowed``, ``too-many``, ``stopping``."""
    closed: Counter[str] = field(default_factory=Counter)
    """Connections by what ended them: ``by-peer``, ``idle``, ``slow-frame``, ``not-mllp``, ``answer-not-taken``, ``lost``, ``stopped``."""
    cut: Counter[str] = field(default_factory=Counter)
    """Frames that never ended: ``new-frame``, ``end-of-stream``."""


class Listener:
    """Listens for one source. `start`, `stop`, and `address` in between; ``counters`` at any time."""

    def __init__(self, terms: Terms, keeper: Keeper) -> None:
        self.terms: Final = terms
        self.keeper: Final = keeper
        self.counters: Final = Counters()
        self.room: Final = _Room(terms.held, self.counters)
        self.late: Final[set[asyncio.Task[Kept]]] = set()
        self._connections: set[_Connection] = set()
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
                limit=_PIECE,
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
        if self.late:
            await asyncio.wait(self.late, timeout=grace)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection from beginning to end."""
        peer = _peer(writer)
        reason = self._objection(peer)
        if reason:
            self.counters.turned_away[reason] += 1
            _log.warning("source %s: connection from %s turned away: %s", self.terms.source, peer.address, reason)
            writer.transport.abort()
            return
        connection = _Connection(self, next(self._numbers), peer, reader, writer)
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


@dataclass(slots=True)
class _Pending:
    """A message on its way to its answer: with the task that keeps it, or with a refusal already."""

    number: int
    header: Header | None
    deadline: float
    task: asyncio.Task[Kept] | None = None
    answers: tuple[Acknowledgement, ...] = ()
    refusal: MessageRefused | None = None
    size: int = 0


class _Connection:
    """One peer. Two tasks: `_receive` cuts frames and hands them to the keeper, `_answer` answers them in order."""

    def __init__(
        self, listener: Listener, number: int, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task: Final = task
        self._listener = listener
        self._terms = listener.terms
        self._counters = listener.counters
        self._number = number
        self._peer = peer
        self._reader = reader
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._deframer = Deframer(listener.terms.longest)
        self._pending: asyncio.Queue[_Pending | None] = asyncio.Queue()
        self._slots = asyncio.Semaphore(listener.terms.in_flight)
        self._receiving: asyncio.Task[str] | None = None
        self._stopping = False
        self._taking_answers = True
        self._unanswered = 0
        self._messages = 0

    def stop(self) -> None:
        """Receive nothing more; what was received is still answered."""
        self._stopping = True
        if self._receiving is not None:
            self._receiving.cancel()

    async def serve(self) -> None:
        """Until the connection ends. Raises nothing but cancellation."""
        with contextlib.suppress(OSError, AttributeError):
            self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        answering = asyncio.create_task(self._answer())
        self._receiving = asyncio.create_task(self._receive())
        if self._stopping:
            self._receiving.cancel()
        try:
            await asyncio.wait({self._receiving, answering}, return_when=asyncio.FIRST_COMPLETED)
            reason = self._ended()
            self._pending.put_nowait(None)
            await answering
            self._note_end(reason if self._taking_answers else "answer-not-taken")
            self._writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(self._terms.send_within):
                    await self._writer.wait_closed()
        finally:
            self._writer.transport.abort()
            for task in (self._receiving, answering):
                task.cancel()

    def _ended(self) -> str:
        """What ended the receiving."""
        assert self._receiving is not None
        if not self._receiving.done() or self._receiving.cancelled():
            return "stopped"
        if error := self._receiving.exception():
            self._warn("receiving failed: %s", type(error).__name__, level=logging.ERROR)
            return "lost"
        return self._receiving.result()

    def _note_end(self, reason: str) -> None:
        self._counters.closed[reason] += 1
        level = logging.INFO if reason in ("by-peer", "stopped", "idle") else logging.WARNING
        _log.log(
            level,
            "source %s: connection %d from %s ended: %s, %d messages",
            self._terms.source,
            self._number,
            self._peer.address,
            reason,
            self._messages,
        )

    # -- receiving

    async def _receive(self) -> str:
        """Read until the connection ends; what ended it."""
        deframer, terms = self._deframer, self._terms
        begun, frame_ends_by = 0, 0.0
        while True:
            allowed = frame_ends_by - self._loop.time() if deframer.inside else terms.idle_after
            try:
                async with asyncio.timeout(max(allowed, 0)):
                    data = await self._reader.read(_PIECE)
            except TimeoutError:
                if deframer.inside:
                    return "slow-frame"
                if self._unanswered:
                    continue
                return "idle"
            except OSError:
                data, ended = b"", "lost"
            else:
                ended = "" if data else "by-peer"
            arrived = self._loop.time()
            for event in deframer.feed(data) if data else deframer.close():
                await self._handle(event, arrived)
            if ended:
                return ended
            now = self._loop.time()
            if deframer.begun != begun:
                begun, frame_ends_by = deframer.begun, now + terms.frame_within
            else:
                frame_ends_by += now - arrived  # that long we did not listen
            if deframer.inside and now > frame_ends_by:
                return "slow-frame"
            if deframer.stray > terms.stray:
                self._counters.stray_bytes += deframer.stray
                return "not-mllp"

    async def _handle(self, event: Event, arrived: float) -> None:
        match event:
            case Frame(data=raw):
                if raw.strip(b"\r\n \t"):  # else: an empty frame, by which some peers see whether we live
                    await self._accept(raw, arrived)
            case Oversize(head=head):
                await self._refuse(head, arrived)
            case Cut(by=by):
                self._counters.cut[by] += 1
                self._warn("a frame of %d bytes never ended: %s", event.size, by)
            case Stray(size=size):
                self._counters.stray_bytes += size
                self._warn("%d stray bytes between frames", size)

    async def _accept(self, raw: bytes, arrived: float) -> None:
        """Hand a message to the keeper as soon as there is room."""
        at = dt.datetime.now(dt.UTC)
        self._messages += 1
        self._counters.received += 1
        self._counters.received_bytes += len(raw)
        header, refusal = _examined(raw, self._terms.charset)
        answers = acknowledgements(header, refusal, mode=self._terms.mode, at=at)
        pending = _Pending(self._messages, header, arrived + self._terms.answer_within, answers=answers, refusal=refusal)
        await self._slots.acquire()
        if await self._listener.room.take(len(raw), pending.deadline):
            pending.size = len(raw)
            received = Received(
                source=self._terms.source,
                peer=self._peer,
                connection=self._number,
                number=self._messages,
                at=at,
                raw=raw,
                header=header,
                refusal=refusal,
                answer=_framed(answers),
            )
            pending.task = asyncio.create_task(self._keep(received))
        else:
            pending.refusal = refused("over-capacity")
        self._expect(pending)

    async def _refuse(self, head: bytes, arrived: float) -> None:
        """A message over the limit, of which only the head is known."""
        self._messages += 1
        self._counters.received += 1
        number = self._messages
        await self._slots.acquire()
        header, _ = _header(head)
        self._expect(_Pending(number, header, arrived, refusal=refused("too-long")))

    def _expect(self, pending: _Pending) -> None:
        self._unanswered += 1
        self._pending.put_nowait(pending)

    async def _keep(self, received: Received) -> Kept:
        try:
            return await self._listener.keeper.keep(received)
        except MessageRefused as refusal:
            return Kept.not_kept(refusal)
        except Overloaded:
            return Kept.not_kept(refused("over-capacity"))
        except Exception as error:  # whatever happens behind, the sender gets its answer; the error's text may hold the message
            self._warn("message %d not stored: %s", received.number, type(error).__name__, level=logging.ERROR)
            return Kept.not_kept(refused("not-stored"))

    # -- answering

    async def _answer(self) -> None:
        while (pending := await self._pending.get()) is not None:
            try:
                answer = await self._decided(pending)
            finally:
                self._listener.room.give_back(pending.size)
            if answer and self._taking_answers:
                await self._send(answer)
            self._unanswered -= 1
            self._slots.release()

    async def _decided(self, pending: _Pending) -> bytes:
        """The framed answer to a message, once it is known what became of it."""
        answers, refusal = pending.answers, pending.refusal
        if pending.task is not None:
            kept = await self._in_time(pending.task, pending.deadline)
            if kept.outcome == "repeated":
                self._counters.repeated += 1
                return kept.answer
            if kept.outcome == "refused":
                refusal, answers = kept.refusal or refused("not-stored"), ()
        else:
            answers = ()
        if refusal is not None:
            self._counters.refused[refusal.reason] += 1
            self._warn("message %d refused: %s", pending.number, refusal.reason)
            answers = answers or acknowledgements(pending.header, refusal, mode=self._terms.mode)
        self._counters.answered.update([answer.code for answer in answers] or ["none"])
        return _framed(answers)

    async def _in_time(self, task: asyncio.Task[Kept], deadline: float) -> Kept:
        if not task.done():
            await asyncio.wait({task}, timeout=max(deadline - self._loop.time(), 0))
        if not task.done():
            # not awaited: it may take its time to be cancelled, the sender must not
            task.cancel()
            self._listener.late.add(task)
            task.add_done_callback(self._listener.late.discard)
            return Kept.not_kept(refused("not-in-time"))
        return Kept.not_kept(refused("not-stored")) if task.cancelled() else task.result()

    async def _send(self, answer: bytes) -> None:
        try:
            async with asyncio.timeout(self._terms.send_within):
                self._writer.write(answer)
                await self._writer.drain()
        except (OSError, TimeoutError):
            # the peer is gone or does not read; what it sent is kept, and it will ask again
            self._taking_answers = False
            self._writer.transport.abort()

    def _warn(self, text: str, *values: object, level: int = logging.WARNING) -> None:
        _log.log(level, "source %s: connection %d: " + text, self._terms.source, self._number, *values)


class _Room:
    """The bytes that may wait for the keeper in a whole listener. Asked in vain, a connection waits its turn."""

    def __init__(self, limit: int, counters: Counters) -> None:
        self._limit = limit
        self._counters = counters
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int, deadline: float) -> bool:
        """Wait for room until ``deadline`` (loop time); whether there was any. A single message always has room."""
        if not self._queue and self._fits(size):
            self._counters.held += size
            return True
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._queue.append((size, turn))
        try:
            async with asyncio.timeout_at(deadline):
                await turn
        except TimeoutError:
            return self._give_up(size, turn)
        except asyncio.CancelledError:
            if self._give_up(size, turn):
                self.give_back(size)
            raise
        return True

    def give_back(self, size: int) -> None:
        """A message needs its room no longer."""
        self._counters.held -= size
        self._admit()

    def _give_up(self, size: int, turn: asyncio.Future[None]) -> bool:
        """Leave the queue; True when the turn had come in the same moment."""
        if turn.done() and not turn.cancelled():
            return True
        with contextlib.suppress(ValueError):
            self._queue.remove((size, turn))
        self._admit()
        return False

    def _admit(self) -> None:
        while self._queue and self._fits(self._queue[0][0]):
            size, turn = self._queue.popleft()
            if not turn.done():
                self._counters.held += size
                turn.set_result(None)

    def _fits(self, size: int) -> bool:
        return not self._counters.held or self._counters.held + size <= self._limit


def _examined(raw: bytes, charset: str) -> tuple[Header | None, MessageRefused | None]:
    """The header of a message, read in the character set of the whole of it, and why the message cannot be read, if so."""
    header, refusal = _header(raw)
    if header is not None:
        try:
            reading = read(raw, header, charset)
        except MessageRefused as undecodable:
            return header, undecodable
        header = Header.of(raw, reading.codec)
    return header, refusal


def _header(raw: bytes) -> tuple[Header | None, MessageRefused | None]:
    try:
        return Header.of(raw), None
    except MessageRefused as refusal:
        return None, refusal


def _framed(answers: tuple[Acknowledgement, ...]) -> bytes:
    return b"".join(frame(answer.message) for answer in answers)


def _peer(writer: asyncio.StreamWriter) -> Peer:
    name = writer.get_extra_info("peername") or ("", 0)
    certificate = writer.get_extra_info("peercert") or {}
    return Peer(str(name[0]), int(name[1]), next(_common_names(certificate.get("subject", ())), ""))


def _common_names(subject: tuple[tuple[tuple[str, str], ...], ...]) -> Iterator[str]:
    return (value for part in subject for key, value in part if key == "commonName")
