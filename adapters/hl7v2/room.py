"""How many bytes may wait for the keeper in a whole listener."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from adapters.hl7v2.counters import Counters


class Room:
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
