"""Work that a process does again and again in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import monotonic

log = logging.getLogger("zhibao")


class Loop:
    """Runs ``work`` again and again, ``seconds`` after it last ended, until `stop`. A failure is logged by kind, never by content
    (it could hold patient data), and does not end the loop; `failing_for` tells how long it has not succeeded."""

    def __init__(self, name: str, seconds: float, work: Callable[[], object]) -> None:
        self.name = name
        self._seconds = seconds
        self._work = work
        self._stopping = threading.Event()
        self._failing_since: float | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> Loop:
        """Begin; returns itself."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End after the work at hand."""
        self._stopping.set()
        self._thread.join(timeout=30)
        if self._thread.is_alive():
            log.error("%s did not end in time", self.name)

    @property
    def failing_for(self) -> float:
        """Seconds since the work last succeeded, 0 when it did at its last try."""
        since = self._failing_since
        return 0.0 if since is None else monotonic() - since

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._work()
                self._failing_since = None
            except Exception as error:
                self._failing_since = self._failing_since or monotonic()
                log.error("%s failed: %s", self.name, type(error).__name__)
            self._stopping.wait(self._seconds)
