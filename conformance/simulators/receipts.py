"""Receipts on their way out: issued, perhaps held back, published in an order that then stays.

A cursor is a place in the published order. It names the outbox it belongs to, so that a cursor of an earlier life of the simulator
(which keeps nothing on disk) starts again from the beginning; receipt numbers never come twice.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from heapq import heappop, heappush

from conformance.simulators.records import Record, Verdict


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the platform says about one record at one time."""

    receipt_id: str
    key: str
    record_id: str
    verdict: Verdict
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """Receipts after a cursor: those asked for, the one before them (if any), and the cursors around them."""

    receipts: tuple[Receipt, ...]
    before: Receipt | None
    start: str
    end: str


class Outbox:
    """The receipts of one account. Not thread-safe."""

    def __init__(self) -> None:
        self._name = secrets.token_hex(4)
        self._waiting: list[tuple[datetime, int, Receipt]] = []
        self._held: list[Receipt] = []
        self._published: list[Receipt] = []
        self.issued = 0

    @property
    def published(self) -> int:
        """How many receipts can be fetched."""
        return len(self._published)

    def issue(self, record: Record, verdict: Verdict, at: datetime, visible_at: datetime) -> None:
        """Issue a receipt that nobody sees before ``visible_at``."""
        self.issued += 1
        receipt = Receipt(f"{self._name}-{self.issued:06d}", record.key, record.record_id, verdict, at)
        heappush(self._waiting, (visible_at, self.issued, receipt))

    def publish(self, now: datetime, reorder: int) -> None:
        """Publish what is due. With ``reorder`` above 1, that many are gathered and then published last first."""
        while self._waiting and self._waiting[0][0] <= now:
            self._held.append(heappop(self._waiting)[2])
        if reorder < 2:
            self._published += self._held
            self._held = []
        while reorder >= 2 and len(self._held) >= reorder:
            self._published += reversed(self._held[:reorder])
            self._held = self._held[reorder:]

    def page(self, after: str, limit: int) -> Page:
        """The page after a cursor; an unknown cursor means from the beginning."""
        name, _, place = after.partition(".")
        known = name == self._name and place.isascii() and place.isdigit()
        start = min(int(place), len(self._published)) if known else 0
        receipts = tuple(self._published[start : start + limit])
        before = self._published[start - 1] if start else None
        return Page(receipts, before, f"{self._name}.{start}", f"{self._name}.{start + len(receipts)}")
