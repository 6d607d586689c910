"""Leaf values of the canonical model.

Values keep what the source said and no more:

* a **code** stays together with its code system and, where the source sent one, its printed name (`Coded`);
* a **date** is text in ISO 8601 with the precision it came with: ``2019``, ``2019-03``, ``2019-03-08``;
* a **time** is a date followed by ``T`` and ``hh``, ``hh:mm`` or ``hh:mm:ss``, always China time (UTC+8) without an offset,
  because every platform of this field prints local time;
* **money and amounts** are `decimal.Decimal`, so that 6.50 stays 6.50.

What could not be read as such a value is never dropped: see `gateway.model.stay.Stay.verbatim`.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

Text = str
Date = Annotated[str, Meta(pattern=r"^\d{4}(-\d{2}(-\d{2})?)?$", description="ISO 8601 date, precision kept")]
DateTime = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}(-\d{2}(-\d{2}(T\d{2}(:\d{2}(:\d{2})?)?)?)?)?$",
        description="ISO 8601 date or local date-time (China time), precision kept",
    ),
]
Amount = Decimal


class Coded(Struct, frozen=True, omit_defaults=True):
    """A coded value: ``system`` names the code system (``RC001``, ``ICD10-GB-CLIN-2.0``), ``code`` and ``display`` are as
    received. A display without a code is a name that nobody has coded yet."""

    system: str = ""
    code: str | None = None
    display: str | None = None


_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")


def day_of(value: str | None) -> date | None:
    """The calendar day of a `Date` or `DateTime`, or None when it is missing or less precise than a day."""
    if value is None or (match := _DATE.match(value)) is None:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def moment_of(value: str | None) -> datetime | None:
    """A `DateTime` as a naive China-time `datetime`; a bare day counts from midnight. None when not readable."""
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def completed_years(birth: date, on: date) -> int:
    """Completed years of age on a day. Who was born on 29 February completes a year on 1 March of a common year, which is
    how a calendar comparison of month and day falls out and how the front sheet's 实足年龄 is computed."""
    return on.year - birth.year - ((on.month, on.day) < (birth.month, birth.day))
