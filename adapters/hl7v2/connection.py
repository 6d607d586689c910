"""One MLLP connection, from its first byte to its last. Its rules are told in `adapters.hl7v2.listener`."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import socket
from dataclasses import dataclass, field
from typing import Final

from adapters.hl7v2.acknowledgement import Acknowledgement, acknowledgements
from adapters.hl7v2.counters import Counters
from adapters.hl7v2.framing import Cut, Deframer, Event, Frame, Oversize, Stray
from adapters.hl7v2.header import Header
from adapters.hl7v2.keeper import Keeper, Kept, Peer, Received
from adapters.hl7v2.receiving import examined, framed, header_of
from adapters.hl7v2.refusal import MessageRefused, refused
from adapters.hl7v2.room import Room
from adapters.hl7v2.terms import Terms
from gateway.model.errors import Overloaded

PIECE: Final = 1 << 16
"""How many bytes are read at a time."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shared:
    """What the connections of one listener have in common. ``late`` holds what went on after its message was answered."""

    counters: Counters
    room: Room
    late: set[asyncio.Task[Kept]] = field(default_factory=set)


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


class Connection:
    """One peer. Two tasks: `_receive` cuts frames and hands them to the keeper, `_answer` answers them in order."""

    def __init__(
        self,
        terms: Terms,
        keeper: Keeper,
        shared: Shared,
        number: int,
        peer: Peer,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task: Final = task
        self._terms = terms
        self._keeper = keeper
        self._shared = shared
        self._counters = shared.counters
        self._number = number
        self._peer = peer
        self._reader = reader
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._deframer = Deframer(terms.longest)
        self._pending: asyncio.Queue[_Pending | None] = asyncio.Queue()
        self._slots = asyncio.Semaphore(terms.in_flight)
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
                    data = await self._reader.read(PIECE)
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
        header, refusal = examined(raw, self._terms.charset)
        answers = acknowledgements(header, refusal, mode=self._terms.mode, at=at)
        pending = _Pending(self._messages, header, arrived + self._terms.answer_within, answers=answers, refusal=refusal)
        await self._slots.acquire()
        if await self._shared.room.take(len(raw), pending.deadline):
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
                answer=framed(answers),
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
        header, _ = header_of(head)
        self._expect(_Pending(number, header, arrived, refusal=refused("too-long")))

    def _expect(self, pending: _Pending) -> None:
        self._unanswered += 1
        self._pending.put_nowait(pending)

    async def _keep(self, received: Received) -> Kept:
        try:
            return await self._keeper.keep(received)
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
                self._shared.room.give_back(pending.size)
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
        return framed(answers)

    async def _in_time(self, task: asyncio.Task[Kept], deadline: float) -> Kept:
        if not task.done():
            await asyncio.wait({task}, timeout=max(deadline - self._loop.time(), 0))
        if not task.done():
            # not awaited: it may take its time to be cancelled, the sender must not
            task.cancel()
            self._shared.late.add(task)
            task.add_done_callback(self._shared.late.discard)
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
