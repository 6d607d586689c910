"""Until when the exchange of a month must be done, counted in working days of China (make-up workdays included).

Source: registry reference: every county finishes the exchange before the 10th of each month (Kaifeng). The day is configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Literal

import holidays

from mappings.cadence import CHINA

Level = Literal["done", "ok", "soon", "overdue"]


@dataclass(frozen=True, slots=True)
class Deadline:
    """``before`` is the day before which all must be done, ``last_workday`` the last working day before it, ``workdays_left`` the working days
    from today to it, both included."""

    month: str
    before: date
    last_workday: date
    workdays_left: int
    level: Level


def month_of(at: datetime) -> str:
    """The month whose exchange is due at a time: that of the calendar in China."""
    return f"{at.astimezone(CHINA):%Y-%m}"


def deadline(month: str, today: date, *, day: int, warn_workdays: int, finished: bool) -> Deadline:
    """The deadline of a month (``yyyy-MM``) as it stands today. ``soon`` from ``warn_workdays`` working days before its last one on."""
    before = date(int(month[:4]), int(month[5:7]), day)
    last = before - timedelta(days=1)
    while not is_workday(last):
        last -= timedelta(days=1)
    left = sum(is_workday(today + timedelta(days=days)) for days in range((last - today).days + 1))
    level: Level = "ok"
    if finished:
        level = "done"
    elif today >= before:
        level = "overdue"
    elif left <= warn_workdays:
        level = "soon"
    return Deadline(month, before, last, left, level)


def is_workday(day: date) -> bool:
    """Whether offices in China work on a day, as far as the holiday arrangement of its year is known."""
    return _calendar().is_working_day(day)


@cache
def _calendar() -> holidays.HolidayBase:
    return holidays.country_holidays("CN")
