"""Points in time as whole minutes, and how the front sheet prints them.

A stay does a lot of arithmetic with times and prints a dozen of them. Minutes since 0001-01-01 in one integer keep that simple, and
an order of magnitude cheaper than ``datetime`` objects.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache

HOUR = 60
DAY = 24 * HOUR
_CLOCK = tuple(f" {minute // HOUR:02d}:{minute % HOUR:02d}:00" for minute in range(DAY))


def day_of(minute: int) -> date:
    """The day that a minute lies in."""
    return date.fromordinal(minute // DAY)


@lru_cache(maxsize=4096)
def _printed(ordinal: int) -> str:
    return date.fromordinal(ordinal).isoformat()


def day_text(minute: int) -> str:
    """``yyyy-MM-dd``."""
    return _printed(minute // DAY)


def time_text(minute: int) -> str:
    """``yyyy-MM-dd HH:mm:ss``; nobody writes down seconds, so they are zero."""
    ordinal, rest = divmod(minute, DAY)
    return _printed(ordinal) + _CLOCK[rest]
