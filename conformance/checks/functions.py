"""The helper functions of check expressions, registered once.

A helper never raises and never logs: the evaluator prints the text of exceptions, and that text could hold patient data. What cannot be
read answers neutrally (NaN, empty text, False). Dates are ``yyyy-MM-dd``, times ``yyyy-MM-dd HH:mm:ss``; lists of codes are text
joined by blanks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from gateway.model.values import completed_years
from mappings.dictionary import Dictionaries, ValueSet, bare

Function = Callable[..., Any]
_DECIMAL = re.compile(r"[+-]?\d+(\.\d+)?").fullmatch
_INTEGER = re.compile(r"[+-]?\d+").fullmatch
_SCIENTIFIC = re.compile(r"[+-]?\d+(\.\d+)?[Ee][+-]?\d+").fullmatch


def filled(value: str) -> bool:
    """Not blank and not the null placeholder."""
    return value not in ("", "-")


def num(value: str) -> float:
    """A decimal number, NaN when it is none."""
    return float(value) if _DECIMAL(value) else math.nan


def num0(value: str) -> float:
    """As `num`, but what is no number counts 0."""
    return float(value) if _DECIMAL(value) else 0.0


def _date(value: str) -> date | None:
    try:
        return date.fromisoformat(value[:10]) if len(value) >= 10 and value[4] == "-" else None
    except ValueError:
        return None


def _time(value: str) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def day(value: str) -> str:
    """The day of a date or time, empty when unreadable; days compare as text."""
    return value[:10] if _date(value) is not None else ""


def time(value: str) -> str:
    """A time that compares as text, a bare day counting from midnight; empty when unreadable."""
    moment = _time(value)
    return moment.strftime("%Y-%m-%d %H:%M:%S") if moment is not None else ""


def days_between(start: str, end: str) -> float:
    """Calendar days from one to the other."""
    first, last = _date(start), _date(end)
    return float((last - first).days) if first is not None and last is not None else math.nan


def hours_between(start: str, end: str) -> float:
    """Hours from one to the other."""
    first, last = _time(start), _time(end)
    return (last - first).total_seconds() / 3600 if first is not None and last is not None else math.nan


def years_between(start: str, end: str) -> float:
    """Completed years from one to the other."""
    first, last = _date(start), _date(end)
    return float(completed_years(first, last)) if first is not None and last is not None else math.nan


def is_date(value: str) -> bool:
    """Exactly ``yyyy-MM-dd`` and a day that exists."""
    return len(value) == 10 and _date(value) is not None


def is_datetime(value: str) -> bool:
    """Exactly ``yyyy-MM-dd HH:mm:ss`` and a time that exists."""
    return len(value) == 19 and value[10] == " " and _time(value) is not None


def is_int(value: str) -> bool:
    """An integer."""
    return _INTEGER(value) is not None


def is_decimal(value: str, scale: int) -> bool:
    """A number with at most ``scale`` decimals."""
    return _DECIMAL(value) is not None and len(value.partition(".")[2]) <= scale


def length_ok(value: str, longest: int) -> bool:
    """At most ``longest`` characters; 0 means no limit."""
    return longest == 0 or len(value) <= longest


def untrimmed(value: str) -> bool:
    """Blanks, TABs or invisible characters at either end."""
    return value.strip("\u200b\u200c\u200d\u2060\ufeff") != value or value.strip() != value


def scientific(value: str) -> bool:
    """Looks like a number that a spreadsheet turned into scientific notation."""
    return _SCIENTIFIC(value) is not None


def has_prefix(code: str, prefixes: list[str]) -> bool:
    """Whether a code starts with one of the prefixes."""
    return code.startswith(tuple(prefixes))


def in_range(code: str, start: str, end: str) -> bool:
    """Whether the first three characters lie between two categories."""
    return start <= code[:3] <= end


@lru_cache(maxsize=256)
def _ranges(text: str) -> tuple[tuple[str, str], ...]:
    parts = [part.strip().partition("-") for part in text.split(",")]
    return tuple((start, end or start) for start, _, end in parts)


def code_in(code: str, ranges: str) -> bool:
    """Whether a code is in a list such as ``A34,B37.3,C51-C58``, compared at the length of each entry."""
    return any(start <= code[: len(start)] and code[: len(end)] <= end for start, end in _ranges(ranges))


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


def full_match(value: str, pattern: str) -> bool:
    """Whether a value matches a regular expression from end to end."""
    return _pattern(pattern).fullmatch(value) is not None


def any_prefix(codes: str, prefixes: list[str]) -> bool:
    """Whether any code of a list starts with one of the prefixes."""
    starts = tuple(prefixes)
    return any(code.startswith(starts) for code in codes.split())


def any_between(codes: str, start: str, end: str) -> bool:
    """Whether any code of a list lies between two codes, compared at their length."""
    return any(start <= code[: len(start)] and code[: len(end)] <= end for code in codes.split())


def count_equal(codes: str, code: str) -> int:
    """How often a code stands in a list."""
    return codes.split().count(code)


def at_least_one_day(days: float) -> float:
    """Days of a stay: within one day counts 1."""
    return max(1.0, days)


def absolute(value: float) -> float:
    """The absolute value."""
    return abs(value)


_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def id18_checksum(number: str) -> bool:
    """Check digit of an 18-character resident ID (GB 11643, ISO 7064 MOD 11-2)."""
    if len(number) != 18 or not (number[:17].isascii() and number[:17].isdigit()):
        return False
    total = sum(int(digit) * weight for digit, weight in zip(number, _WEIGHTS, strict=False))
    return number[17].upper() == "10X98765432"[total % 11]


def id18_birth(number: str) -> str:
    """Birth date in an 18-character resident ID, empty when there is none."""
    return day(f"{number[6:10]}-{number[10:12]}-{number[12:14]}") if len(number) == 18 else ""


def id18_sex(number: str) -> str:
    """Sex in an 18-character resident ID: 1 male (odd sequence digit), 2 female; empty when unreadable."""
    return ("1" if int(number[16]) % 2 else "2") if len(number) == 18 and number[16] in "0123456789" else ""


def hour_of(value: str) -> float:
    """Hour of a time."""
    moment = _time(value)
    return float(moment.hour) if moment is not None else math.nan


FUNCTIONS: dict[str, Function] = {
    f.__name__: f
    for f in (
        filled, num, num0, day, time, days_between, hours_between, years_between, is_date, is_datetime, is_int, is_decimal,
        length_ok, untrimmed, scientific, has_prefix, in_range, code_in, full_match, any_prefix, any_between, count_equal,
        at_least_one_day, absolute, id18_checksum, id18_birth, id18_sex, hour_of,
    )
}  # fmt: skip


def value_set_functions(value_sets: Mapping[str, ValueSet]) -> dict[str, Function]:
    """Functions that need the value sets."""
    provinces = tuple(name for name in value_sets["RC036"].names.values() if name != "外籍")

    def all_in(values: str, domain: str) -> bool:
        """Every comma-separated code is in the value set."""
        codes = value_sets[domain].codes if domain in value_sets else None
        if codes is None:
            return True
        return all(value in codes or (domain == "RC036" and value.lstrip("0") in codes) for value in values.split(","))

    def starts_with_province(text: str) -> bool:
        """Text starts with the name of a province (RC036)."""
        return text.startswith(provinces)

    return {"all_in": all_in, "starts_with_province": starts_with_province}


def dictionary_functions(dictionaries: Dictionaries) -> dict[str, Function]:
    """Functions that need a code list. A list that is not loaded answers False; the checker never asks then."""

    def member(name: str, main: bool = False) -> Function:
        def test(code: str) -> bool:
            system = dictionaries.load(name)
            return system is not None and (system.has_main(code) if main else system.has(code))

        return test

    def icd10_name_ok(code: str, name: str) -> bool:
        """The name is the one printed for the code (an unknown code is another rule's matter)."""
        system = dictionaries.load("icd10:2.0")
        printed = system.name(code) if system is not None else ""
        return not printed or not filled(name) or bare(printed) == bare(name)

    def icd9cm3(code: str, edition: str) -> bool:
        """In the procedure list of an edition."""
        system = dictionaries.load(f"icd9cm3:{edition}")
        return system is not None and system.has(code)

    def optype(code: str) -> str:
        """Category of a procedure code, empty when unknown."""
        system = dictionaries.operations
        return system.category(code) if system is not None else ""

    return {
        "icd10": member("icd10:2.0"),
        "icd10_main": member("icd10:2.0", main=True),
        "icdm": member("icdm:2.0"),
        "icd9cm3_main": member("icd9cm3:2.0", main=True),
        "tcm95": member("tcm95"),
        "icd10_name_ok": icd10_name_ok,
        "icd9cm3": icd9cm3,
        "optype": optype,
    }
