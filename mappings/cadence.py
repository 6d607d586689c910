"""When a report is due: reporting windows by month, in China time.

A window carries the stays discharged in one month. It opens when the month is over and closes on the profile's day of the
following month (``day = 0``: at the end of that month). A closed window that is still within the profile's history is a
*backfill*: it may be sent at any time, and is late.

Report cards of the cancer registry are asked for as they are made (``period = "continuous"``): their windows, named by the month in which
a card was first drafted, are open at any time and close never.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Literal

from gateway.model.stay import Stay
from gateway.model.values import day_of

CHINA = timezone(timedelta(hours=8), "Asia/Shanghai")

WindowState = Literal["waiting", "open", "backfill", "outside"]


_LAST_MONTH = date.max.year * 12 + date.max.month - 1
_LONG_AGO = datetime(1970, 1, 2, tzinfo=CHINA)


def _month_after(month: date, count: int = 1) -> date:
    index = min(month.year * 12 + month.month - 1 + count, _LAST_MONTH)
    return date(index // 12, index % 12 + 1, 1)


@dataclass(frozen=True, slots=True)
class Window:
    """``id`` is the month (``2026-10``); it opens at ``opens`` and should be done by the end of the day ``closes``."""

    id: str
    opens: datetime
    closes: date
    in_history: bool

    @property
    def endless(self) -> bool:
        """Whether it never closes."""
        return self.closes == date.max

    def state(self, now: datetime) -> WindowState:
        """Where this window stands at ``now`` (an aware time)."""
        if not self.in_history:
            return "outside"
        local = now.astimezone(CHINA)
        if local < self.opens:
            return "waiting"
        return "open" if local.date() <= self.closes else "backfill"


@dataclass(frozen=True, slots=True)
class Cadence:
    """Monthly cadence of a profile: closing ``day`` of the following month, ``history_from`` as ``yyyy-MM``; or ``continuous``."""

    day: int = 0
    history_from: str = ""
    continuous: bool = False

    def window(self, stay: Stay) -> Window | None:
        """The window of a stay, or None while it has no discharge day."""
        discharged = day_of(stay.discharge.time)
        return self.window_of(f"{discharged:%Y-%m}") if discharged is not None else None

    def window_of(self, month: str) -> Window:
        """The window of a month written ``yyyy-MM``; of a continuous cadence, of any name."""
        if self.continuous:
            return Window(month, _LONG_AGO, date.max, True)
        first = date(int(month[:4]), int(month[5:7]), 1)
        following = _month_after(first)
        closes = following.replace(day=self.day) if self.day else _month_after(first, 2) - timedelta(days=1)
        opens = datetime(following.year, following.month, 1, tzinfo=CHINA)
        return Window(month, opens, closes, month >= self.history_from)
