"""Bodies of requests: how slowly they may come, and how much of them is in hand at the same time.

Whoever sends slowly, or nothing at all, must not keep others out: a body has to come at some pace, it counts as work only once it is there,
and no source takes more than half of what there is room for. A body in work takes about ten times its length in memory.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from fastapi import Request

from gateway.model.errors import TooManyRequests, TooSlow

AT_ONCE: Final = 64
"""Requests that are worked on at the same time."""

WORKED_ON: Final = 32 << 20
"""Bytes of long bodies that are worked on at the same time; the last one let in may go beyond."""

COMING_IN: Final = 256 << 20
"""Bytes of bodies that have come in so far and are not complete."""

SHORT: Final = 256 << 10
"""Bodies up to this many bytes wait for no long ones: `AT_ONCE` of them are not much."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How slowly a body may come: so many seconds of ``silence``, and on the average not fewer than ``rate`` bytes a second after the first
    of those."""

    silence: float
    rate: int


USUAL: Final = Pace(silence=60, rate=8192)
"""Slower than any line that a hospital has."""


async def chunks(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes. Raises `TooSlow` at the pace that the application's state says, and Starlette's ``ClientDisconnect`` when the
    sender hangs up."""
    pace: Pace = request.app.state.pace
    clock = asyncio.get_running_loop().time
    stream, begun, size = request.stream(), clock(), 0
    while True:
        try:
            async with asyncio.timeout_at(min(clock(), begun + size / pace.rate) + pace.silence):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise TooSlow(
                "内容传得太慢或中途停止，没有接收", action="请检查网络后重发", english="the body came too slowly or not at all"
            ) from None
        if chunk is None:
            return
        if chunk:  # the end of a stream is an empty one
            size += len(chunk)
            yield chunk


class Share:
    """Something of which so much is in hand at the same time, and half of it of one source. It is let in until there is that much: what
    comes last may go beyond, or a body that is longer than the whole would never be let in."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._of_source: Counter[str] = Counter()

    def take(self, source: str, amount: int) -> None:
        """Raises `TooManyRequests`; then nothing is taken."""
        with self._lock:
            if self._of_source.total() >= self._most or self._of_source[source] >= self._most // 2:
                raise TooManyRequests("同时的请求太多", action="请稍后重发", english="too many requests at once")
            self._of_source[source] += amount

    def give_back(self, source: str, amount: int) -> None:
        """What was taken is free again."""
        with self._lock:
            self._of_source[source] -= amount
            if not self._of_source[source]:
                del self._of_source[source]

    @contextmanager
    def held(self, source: str, amount: int) -> Iterator[None]:
        """Take it for the time of the block."""
        self.take(source, amount)
        try:
            yield
        finally:
            self.give_back(source, amount)


class Work:
    """What is in hand of all sources."""

    def __init__(self) -> None:
        self.coming_in = Share(COMING_IN)
        self._requests = Share(AT_ONCE)
        self._bytes = Share(WORKED_ON)

    @contextmanager
    def on(self, source: str, size: int) -> Iterator[None]:
        """Work on a body of so many bytes. Raises `TooManyRequests`."""
        with self._requests.held(source, 1):
            if size <= SHORT:
                yield
            else:
                with self._bytes.held(source, size):
                    yield
