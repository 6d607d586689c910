"""Waiting after failures: whoever fails again and again must wait before the next try, longer each time.

Counted in memory, under keys that say who failed and from where. What somebody makes up can neither fill the memory nor push out a wait
that is still running.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from time import monotonic

Key = tuple[str, str]
"""Who failed, and the address it came from; no address: everybody who fails under that name."""

FREE = 5
"""Failures that cost nothing."""
MOST_KEPT = 10_000


class Failures:
    """The failures of one kind of door."""

    def __init__(self) -> None:
        self._counts: dict[Key, tuple[int, float]] = {}
        """Key to how many failures, and until when it waits."""
        self._guard = threading.Lock()

    def __len__(self) -> int:
        return len(self._counts)

    def left(self, keys: Iterable[Key]) -> float:
        """Seconds that must pass before the next try under these keys; 0 for none."""
        with self._guard:
            counts = [self._counts[key] for key in keys if key in self._counts]
        return max(0.0, max((until - monotonic() for count, until in counts if count >= FREE), default=0.0))

    def note(self, waits: Mapping[Key, float]) -> None:
        """Count one failure under each key; the wait doubles each time up to the key's longest, in seconds."""
        with self._guard:
            for key, longest in waits.items():
                count = self._counts.get(key, (0, 0.0))[0] + 1
                self._counts[key] = (count, monotonic() + min(2.0 ** min(max(count - FREE, 0), 20), longest))
            while len(self._counts) > MOST_KEPT:
                # what waits longest goes last: names made up in haste cannot push out a wait that is still running
                del self._counts[min(self._counts, key=lambda key: self._counts[key][1])]

    def forget(self, keys: Iterable[Key]) -> None:
        """Start anew after a success."""
        with self._guard:
            for key in keys:
                self._counts.pop(key, None)
