"""Times as HL7 senders in China write them, read into ISO 8601 China time with the precision they came with.

Formats (observed dialects): ``yyyyMMdd``, ``yyyyMMddHHmm[ss[.SSS]][±zzzz]`` and shorter ones of HL7 (chapter 2A, DTM), ``yyyy-MM-dd``
and ``yyyy-MM-dd HH:mm:ss`` with ``-``, ``/`` or ``.``, ``2024年3月8日``. ``000000`` after a date means no time. With a zone a time is
converted, without one it is China time.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

_ZONE = r"(Z|[+-]\d{2}:?\d{2})?"
_COMPACT = re.compile(r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.\d{1,9})?)?)?)?)?)?" + _ZONE)
_PRINTED = re.compile(
    r"(\d{4})[-/.年](\d{1,2})(?:[-/.月](\d{1,2})日?(?:[T ] ?(\d{1,2})(?:[:时](\d{1,2})(?:[:分](\d{1,2})(?:\.\d{1,9})?)?)?[分秒]?)?|月)?"
    + _ZONE
)
_CHINA = timedelta(hours=8)
CHINA = timezone(_CHINA)
"""China time, without summer time for all that is reported."""
_EARLIEST, _LATEST = 1850, 2200


def china_time(text: str) -> str | None:
    """``text`` as ISO 8601 China time, or None when it is no time at all.

    Hospital systems write 0001-01-01 or 9999-12-31 for "none": a year far from any patient's life is no time.
    """
    match = _COMPACT.fullmatch(text) or _PRINTED.fullmatch(text)
    if match is None or (not text.isascii() and not _ascii_digits(match)):
        return None
    year, month, day, hour, minute, second, zone = match.groups()
    try:
        moment = datetime(int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0))  # noqa: DTZ001
    except ValueError:
        return None
    if not _EARLIEST < moment.year < _LATEST:
        return None
    if not hour or (second is not None and not int(hour + minute + second)):
        return f"{year}-{moment.month:02d}-{moment.day:02d}" if day else f"{year}-{moment.month:02d}" if month else year
    if zone:
        shift = _offset(zone)
        if shift is None:
            return None
        moment += _CHINA - shift
    return moment.isoformat(timespec="seconds" if second else "minutes" if minute else "hours")


def china_text(at: datetime) -> str:
    """A moment with a zone as the model writes times: China time without an offset."""
    return at.astimezone(CHINA).strftime("%Y-%m-%dT%H:%M:%S")


def china_date(text: str) -> str | None:
    """The date of `china_time`."""
    moment = china_time(text)
    return moment and moment[:10]


def _ascii_digits(match: re.Match[str]) -> bool:
    """``\\d`` also matches full-width digits, which no sender writes on purpose."""
    return all(part is None or part.isascii() for part in match.groups())


def _offset(zone: str) -> timedelta | None:
    if zone == "Z":
        return timedelta()
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 14 or minutes > 59:
        return None
    offset = timedelta(hours=hours, minutes=minutes)
    return -offset if zone[0] == "-" else offset
