"""What the value of a primitive type may look like: ``mappings/sources/fhir/primitives.csv``, and what a pattern cannot say (that a date
exists, that Base64 decodes).

Text of every type has at least one character that is not blank and none of the control characters that FHIR forbids (datatypes.html,
string); all but Base64 and narrative has at most 1,048,576 characters.
"""

from __future__ import annotations

import binascii
import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Final, NamedTuple

from adapters.fhir.tables import rows

LONGEST_TEXT: Final = 1024 * 1024

Test = Callable[[Any], bool]

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]").search
_DATED = frozenset(("date", "dateTime", "instant"))


class Primitive(NamedTuple):
    """A primitive type: the test of a decoded JSON value, the JSON type it has, and what it should be in words."""

    name: str
    test: Test
    json: str
    wanted: str
    english: str

    @property
    def is_text(self) -> bool:
        """Does JSON write it as a string?"""
        return self.json == "string"


def is_text(value: Any) -> bool:
    """Text with something in it, of a permitted length, without control characters."""
    return (
        type(value) is str
        and len(value) <= LONGEST_TEXT
        and bool(value)
        and not value.isspace()
        and (value.isprintable() or _CONTROL(value) is None)
    )


def _is_narrative(value: Any) -> bool:
    return type(value) is str and bool(value) and not value.isspace() and _CONTROL(value) is None


def _is_base64(value: Any) -> bool:
    if type(value) is not str or not value or not value.isascii():
        return False
    try:
        return bool(binascii.a2b_base64("".join(value.split()), strict_mode=True))
    except binascii.Error:
        return False


def _is_decimal(value: Any) -> bool:
    kind = type(value)
    return kind is Decimal or kind is int or kind is float


def _is_boolean(value: Any) -> bool:
    return type(value) is bool


def _integer(least: int, most: int) -> Test:
    def test(value: Any) -> bool:
        return type(value) is int and least <= value <= most

    return test


def _integer_text(pattern: str, least: int, most: int) -> Test:
    matches = re.compile(pattern).fullmatch

    def test(value: Any) -> bool:
        return type(value) is str and len(value) <= len(str(least)) and bool(matches(value)) and least <= int(value) <= most

    return test


def _pattern(pattern: str) -> Test:
    matches = re.compile(pattern, re.ASCII if r"\s" not in pattern.lower() else 0).fullmatch

    def test(value: Any) -> bool:
        return type(value) is str and len(value) <= LONGEST_TEXT and matches(value) is not None

    return test


def _dated(pattern: str) -> Test:
    matches = re.compile(pattern, re.ASCII).fullmatch

    def test(value: Any) -> bool:
        if type(value) is not str or matches(value) is None:
            return False
        day = value[8:10]
        return day <= "28" or int(day) <= monthrange(int(value[:4]), int(value[5:7]))[1]

    return test


_OWN_TESTS: Final[Mapping[str, Test]] = {
    "base64Binary": _is_base64,
    "boolean": _is_boolean,
    "decimal": _is_decimal,
    "markdown": is_text,
    "string": is_text,
    "xhtml": _is_narrative,
}


@cache
def primitives() -> Mapping[str, Primitive]:
    """Every primitive type by its name."""
    return {
        row["type"]: Primitive(row["type"], _test(row), row["json"], row["chinese"], row["english"]) for row in rows("primitives")
    }


def _test(row: Mapping[str, str]) -> Test:
    name, pattern = row["type"], row["pattern"]
    if name in _OWN_TESTS:
        return _OWN_TESTS[name]
    if row["least"]:
        least, most = int(row["least"]), int(row["most"])
        return _integer_text(pattern, least, most) if pattern else _integer(least, most)
    return _dated(pattern) if name in _DATED else _pattern(pattern)
