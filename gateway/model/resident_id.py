"""The resident identity number (居民身份证号) recognised by its shape: 18 characters, the last a check character (GB 11643-1999, ISO
7064 MOD 11-2), or the 15 digits used before 1999, which have none."""

from __future__ import annotations

import re
from typing import Literal

from gateway.model.times import china_time

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHARACTERS = "10X98765432"

Verdict = Literal["right", "unchecked", "wrong", "other"]
"""``right``: 18 characters with the right check character; ``unchecked``: 15 digits with a possible birth date; ``wrong``: the shape
of 18 characters with a wrong check character or an impossible birth date; ``other``: anything else."""

_EIGHTEEN = re.compile(r"[1-9][0-9]{16}[0-9X]")
_FIFTEEN = re.compile(r"[1-9][0-9]{14}")


def normalised(text: str) -> str:
    """Without blanks at the ends, a trailing x in upper case."""
    return text.strip().upper()


def verdict(number: str) -> Verdict:
    """What `normalised` text is by its shape."""
    if _EIGHTEEN.fullmatch(number):
        return "right" if check_character(number[:17]) == number[17] and birth_date(number) else "wrong"
    if _FIFTEEN.fullmatch(number) and china_time("19" + number[6:12]):
        return "unchecked"
    return "other"


def birth_date(number: str) -> str | None:
    """Characters 7-14 of an 18-character number as an ISO date."""
    return china_time(number[6:14])


def sex(number: str) -> str:
    """The sex (RC001) that character 17 of an 18-character number tells: odd is male."""
    return "1" if int(number[16]) % 2 else "2"


def check_character(first17: str) -> str:
    """The 18th character for the 17 digits before it."""
    return _CHARACTERS[sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, first17, strict=True)) % 11]
