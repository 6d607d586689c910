"""The helper functions of check expressions, registered once.

A helper never raises and never logs: the evaluator prints the text of exceptions, and that text could hold patient data. A helper that
reads a number, a date or a time and cannot says so in `Doubts`, for then the rule does not apply (the format rules report the cell);
what it answers meanwhile does not matter. Dates are ``yyyy-MM-dd``, times ``yyyy-MM-dd HH:mm:ss``; a list of codes is text with a line
break before each code, because the evaluator takes over text many times faster than a list.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from gateway.model.resident_id import check_character
from gateway.model.values import completed_years
from mappings.dictionary import Dictionaries, ValueSet

Function = Callable[..., Any]
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?").fullmatch
_INTEGER = re.compile(r"-?[0-9]+").fullmatch
_SCIENTIFIC = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?[Ee][+-]?[0-9]+").fullmatch
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}").fullmatch
_BLANK = ("", "-")
_UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})


@dataclass
class Doubts:
    """What kept helpers from answering since it was last cleared: ``unreadable``, text that is no number, date or time;
    ``unknown``, a procedure code whose category no dictionary tells."""

    unreadable: bool = False
    unknown: bool = False

    def clear(self) -> None:
        self.unreadable = self.unknown = False


# -- facts about text


def filled(value: str) -> bool:
    """Not blank and not the null placeholder."""
    return value not in _BLANK


def chars(value: str) -> int:
    """How many characters a text has (the evaluator's own ``size`` counts bytes)."""
    return len(value)


def is_date(value: str) -> bool:
    """Exactly ``yyyy-MM-dd`` and a day that exists."""
    return _DATE(value) is not None and _day(value) is not None


def is_datetime(value: str) -> bool:
    """Exactly ``yyyy-MM-dd HH:mm:ss`` and a time that exists."""
    return _moment(value) is not None


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
    return any(unicodedata.category(character) in _UNSEEN for character in value[:1] + value[-1:])


def scientific(value: str) -> bool:
    """Looks like a number that a spreadsheet turned into scientific notation."""
    return _SCIENTIFIC(value) is not None


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.ASCII)


def full_match(value: str, pattern: str) -> bool:
    """Whether a value matches a regular expression from end to end."""
    return _pattern(pattern).fullmatch(value) is not None


# -- codes and lists of codes


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


@lru_cache(maxsize=4096)
def code_in(code: str, ranges: str) -> bool:
    """Whether a code is in a list such as ``A34,B37.3,C51-C58``, compared at the length of each entry."""
    return any(start <= code[: len(start)] and code[: len(end)] <= end for start, end in _ranges(ranges))


def any_prefix(codes: str, prefixes: list[str]) -> bool:
    """Whether any code of a list starts with one of the prefixes."""
    starts = tuple(prefixes)
    return any(code.startswith(starts) for code in codes.split("\n"))


def any_between(codes: str, start: str, end: str) -> bool:
    """Whether any code of a list lies between two codes, compared at their length."""
    return any(start <= code[: len(start)] and code[: len(end)] <= end for code in codes.split("\n"))


def count_equal(codes: str, code: str) -> int:
    """How often a code stands in a list."""
    return codes.split("\n").count(code)


# -- numbers and identity documents


def multiple_of(value: float, unit: float) -> bool:
    """Whether a number is a whole multiple of another."""
    return math.fmod(value, unit) == 0


def id18_checksum(number: str) -> bool:
    """Check digit of an 18-character resident ID (GB 11643, ISO 7064 MOD 11-2)."""
    if len(number) != 18 or not (number[:17].isascii() and number[:17].isdigit()):
        return False
    return number[17].upper() == check_character(number[:17])


def id18_birth(number: str) -> str:
    """Birth date in an 18-character resident ID, empty when there is none."""
    birth = f"{number[6:10]}-{number[10:12]}-{number[12:14]}"
    return birth if len(number) == 18 and is_date(birth) else ""


def id18_sex(number: str) -> str:
    """Sex in an 18-character resident ID: 1 male (odd sequence digit), 2 female; empty when unreadable."""
    return ("1" if int(number[16]) % 2 else "2") if len(number) == 18 and number[16] in "0123456789" else ""


FUNCTIONS: dict[str, Function] = {
    f.__name__: f
    for f in (
        filled, chars, is_date, is_datetime, is_int, is_decimal, length_ok, untrimmed, scientific, full_match, has_prefix, in_range,
        code_in, any_prefix, any_between, count_equal, multiple_of, id18_checksum, id18_birth, id18_sex,
    )
}  # fmt: skip


def total(values: list[str]) -> str:
    """The exact sum of amounts as text, what is blank counting 0; ``?`` when one of them is no number."""
    amounts = [value for value in values if value not in _BLANK]
    return str(sum(map(Decimal, amounts), Decimal(0))) if all(map(_DECIMAL, amounts)) else "?"


@lru_cache(maxsize=64)  # a rule after the other asks for the same few days of a record
def _day(value: str) -> date | None:
    """The day of a date or a time."""
    try:
        if _DATE(value) is not None:
            return date.fromisoformat(value)
        return datetime.fromisoformat(value).date() if _TIME(value) is not None else None
    except ValueError:
        return None


@lru_cache(maxsize=64)
def _moment(value: str) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if _TIME(value) is not None else None
    except ValueError:
        return None


def reading_functions(doubts: Doubts) -> dict[str, Function]:
    """Functions that read numbers, dates and times, and tell ``doubts`` when they cannot. A blank cell cannot be read either."""

    def num(value: str) -> float:
        """A decimal number."""
        if _DECIMAL(value) is None:
            doubts.unreadable = True
            return 0.0
        return float(value)

    def num0(value: str) -> float:
        """As `num`, but what is blank counts 0."""
        return 0.0 if value in _BLANK else num(value)

    def sum0(values: list[str]) -> float:
        """The sum of amounts, what is blank counting 0; exact, so that 0.1 + 0.2 is 0.3."""
        return num(total(values))

    def difference(first: str, second: str) -> float:
        """How far two amounts are apart, exactly."""
        if _DECIMAL(first) is None or _DECIMAL(second) is None:
            doubts.unreadable = True
            return 0.0
        return float(abs(Decimal(first) - Decimal(second)))

    def read_day(value: str) -> date | None:
        found = _day(value)
        doubts.unreadable |= found is None
        return found

    def read_moment(value: str) -> datetime | None:
        found = _moment(value)
        doubts.unreadable |= found is None
        return found

    def day(value: str) -> str:
        """The day of a date or time; days compare as text."""
        return value[:10] if read_day(value) is not None else ""

    def time(value: str) -> str:
        """A time; times compare as text."""
        return value if read_moment(value) is not None else ""

    def days_between(start: str, end: str) -> float:
        """Calendar days from one to the other."""
        first, last = read_day(start), read_day(end)
        return float((last - first).days) if first is not None and last is not None else 0.0

    def days_of_stay(admitted: str, discharged: str) -> float:
        """Days of a stay: within one day counts 1."""
        return max(1.0, days_between(admitted, discharged))

    def day_within(moment: str, start: str, end: str) -> bool:
        """Whether a day lies between two others, or is one of them."""
        first, asked = read_day(start), read_day(moment)
        if first is None or asked is None or asked < first:
            return False
        last = read_day(end)
        return last is not None and asked <= last

    def hours_between(start: str, end: str) -> float:
        """Hours from one to the other."""
        first, last = read_moment(start), read_moment(end)
        return (last - first).total_seconds() / 3600 if first is not None and last is not None else 0.0

    def years_between(start: str, end: str) -> float:
        """Completed years from one to the other."""
        first, last = read_day(start), read_day(end)
        return float(completed_years(first, last)) if first is not None and last is not None else 0.0

    def hour_of(value: str) -> float:
        """Hour of a time."""
        moment = read_moment(value)
        return float(moment.hour) if moment is not None else 0.0

    functions = (
        num,
        num0,
        sum0,
        difference,
        day,
        time,
        days_between,
        days_of_stay,
        day_within,
        hours_between,
        years_between,
        hour_of,
    )
    return {f.__name__: f for f in functions}


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


def dictionary_functions(dictionaries: Dictionaries, doubts: Doubts) -> dict[str, Function]:
    """Functions that need a code list. A list that is not there answers False; the checker never asks then."""

    diagnoses, operations = dictionaries.load("icd10:2.0"), dictionaries.operations
    editions = {edition: dictionaries.load(f"icd9cm3:{edition}") for edition in ("2.0", "3.0")}

    def member(name: str, main: bool = False) -> Function:
        system = dictionaries.load(name)

        def test(code: str) -> bool:
            return system is not None and (system.has_main(code) if main else system.has(code))

        return test

    def icd10_name_ok(code: str, name: str) -> bool:
        """The name is the one printed for the code (an unknown code or a missing name is another rule's matter)."""
        printed = diagnoses.name(code) if diagnoses is not None else ""
        return not printed or not filled(name) or printed == name.strip()

    def icd9cm3(code: str, edition: str) -> bool:
        """In the procedure list of an edition."""
        system = editions.get(edition)
        return system is not None and system.has(code)

    def optype(code: str) -> str:
        """Category of a procedure code; empty, and a doubt, when no list tells it."""
        category = operations.category(code) if operations is not None else ""
        doubts.unknown |= not category and filled(code)
        return category

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
