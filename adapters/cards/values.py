"""One cell of a report-card spreadsheet as the text that a card holds.

What is certain is put right (a date in another form, a code without its leading zero, a word instead of its code). What is not understood stays
as it was written and is told, so that nobody loses it and no check passes it. An identity number that a spreadsheet took for a quantity has
lost digits; nobody can put those back, so its row is refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal

from adapters.cards.choices import choices, words
from adapters.cards.columns import Column, key
from gateway.model import resident_id
from mappings.registry import basis, icd10

NOTHING: Final = frozenset(("", "-", "--", "—", "——", "－", "/", "\\", "NULL", "null", "#N/A"))
"""Cells that say nothing."""

Fault = Literal["", "code", "date", "digits", "form"]
"""Why a cell is not understood: no such code, no such date, digits that are lost, not the form that the field has."""


@dataclass(frozen=True, slots=True)
class CellRead:
    """What a cell says, by field; ``repaired`` when it was put right other than by taking a word for its code."""

    fields: dict[str, str]
    fault: Fault = ""
    repaired: bool = False


_DATE = re.compile(
    r"(\d{4})[-/.年](\d{1,2})(?:[-/.月](\d{1,2})日?|月)?(?:[ T]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?)?"
).fullmatch
_COMPACT = re.compile(r"((?:19|20)\d{2})(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2}))?").fullmatch
_AMERICAN = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})").fullmatch
_YEAR = re.compile(r"((?:18|19|20)\d{2})年?").fullmatch
_SERIAL = re.compile(r"([1-9]\d{4})(?:\.\d+)?").fullmatch
_SERIAL_ZERO = date(1899, 12, 30)
_LAST_SERIAL = 73_050
"""31 December 2099"""

_SCIENTIFIC = re.compile(r"\d(?:\.\d+)?[eE]\+?\d{1,2}").fullmatch
_DOT_ZERO = re.compile(r"(\d+)\.0+").fullmatch
_ROUNDED = re.compile(r"\d{15}0{3}").fullmatch
_LIST = re.compile(r"[,，、;；|\s]+")
_CODED_WORD = re.compile(r"([0-9]{1,2})(?:\s*[-.:、]\s*|\s+|(?=\D))(.*[^\W\d_].*)").fullmatch
_TOPOGRAPHY = re.compile(r"C(\d{2})\.?(\d)?").fullmatch
_MORPHOLOGY = re.compile(r"M?-?(\d{4})(?:/?(\d)(\d)?)?").fullmatch
_AGE = re.compile(r"(\d{1,3})(?:\.0+)?(?:岁|周岁)?").fullmatch


def read(column: Column, text: str) -> CellRead:
    """Read a cell of a column."""
    tidy = unicodedata.normalize("NFKC", text).strip() if column.read not in ("text", "address") else text.strip()
    tidy = tidy.removeprefix("'").strip(" \t\r\n\u00a0\u3000")
    if tidy in NOTHING:
        return CellRead({})
    return _READERS[column.read](column, tidy)


def _text(column: Column, text: str) -> CellRead:
    return CellRead({column.field: text})


def _date(column: Column, text: str) -> CellRead:
    found = day(text)
    if not found:
        return CellRead({column.field: text}, "date")
    return CellRead({column.field: found}, repaired=bool(_SERIAL(text)))


def _time(column: Column, text: str) -> CellRead:
    found = day(text, with_time=True)
    return CellRead({column.field: found or text}, "" if found else "date")


def day(text: str, *, with_time: bool = False) -> str:
    """A date as ``yyyy-MM-dd``, shorter where less is said, from any usual form (also a serial number of Excel); empty for what is none or
    may be two. ``with_time`` keeps the time of day where there is one."""
    if (match := _DATE(text)) or (match := _COMPACT(text)):
        year, month, of_month, hour, minute, second = match.groups()
        if of_month is None:
            return f"{year}-{int(month):02d}" if 1 <= int(month) <= 12 else ""
        clock = (int(hour or 0), int(minute or 0), int(second or 0))
        try:
            moment = datetime(int(year), int(month), int(of_month), *clock)  # noqa: DTZ001 - local China time by definition
        except ValueError:
            return ""
        return moment.isoformat() if with_time and hour is not None else moment.date().isoformat()
    if match := _YEAR(text):
        return match[1]
    if (match := _SERIAL(text)) and int(match[1]) <= _LAST_SERIAL:
        return (_SERIAL_ZERO + timedelta(days=int(match[1]))).isoformat()
    if match := _AMERICAN(text):
        return _american(*(int(part) for part in match.groups()))
    return ""


def _american(first: int, second: int, year: int) -> str:
    """``3/14/2024``: only where one of the numbers can be no month is it plain which one is."""
    if first == second or (first <= 12 < second):
        month, of_month = first, second
    elif second <= 12 < first:
        month, of_month = second, first
    else:
        return ""
    try:
        return date(year, month, of_month).isoformat()
    except ValueError:
        return ""


def _code(column: Column, text: str) -> CellRead:
    code, repaired = code_of(column.set, text)
    return CellRead({column.field: code or text}, "" if code else "code", repaired)


def code_of(set_name: str, text: str) -> tuple[str, bool]:
    """(the code that a text stands for, empty if for none; whether it was put right): the code itself, its word, both
    (``1-男性``), without its leading zero or with ``.0``."""
    known = choices(set_name)
    if text in known:
        return text, False
    bare = match[1] if (match := _DOT_ZERO(text)) else text.lstrip("/")
    for form in (bare, bare.zfill(2), bare.lstrip("0")):
        if form in known:
            return form, True
    if word := words(set_name).get(key(text)):
        return word, False
    if match := _CODED_WORD(text):
        code, repaired = code_of(set_name, match[1])
        meant = words(set_name).get(key(match[2]))
        if code and meant in (None, code):
            return code, repaired
    return "", False


def _codes(column: Column, text: str) -> CellRead:
    found = [code_of(column.set, part) for part in _LIST.split(text) if part]
    if not all(code for code, _ in found):
        return CellRead({column.field: text}, "code")
    return CellRead({column.field: ",".join(sorted({code for code, _ in found}))}, repaired=any(repaired for _, repaired in found))


def _basis(column: Column, text: str) -> CellRead:
    whole, _ = code_of(column.set, text)
    digits = [whole] if whole else [code_of(column.set, part)[0] for part in _LIST.split(text) if part]
    if not all(digits):
        return CellRead({column.field: text}, "code")
    digits = sorted(set(digits))
    highest = basis.highest(digits)
    return CellRead({"basis_list": ",".join(digits), "basis_card": highest, "basis_of_diagnosis": basis.iarc(highest)})


def _number(column: Column, text: str) -> CellRead:
    match = _AGE(text)
    return CellRead({column.field: match[1] if match else text}, "" if match else "form")


def _identifier(column: Column, text: str) -> CellRead:
    if _SCIENTIFIC(text):
        return CellRead({}, "digits")
    match = _DOT_ZERO(text)
    return CellRead({column.field: match[1] if match else text}, repaired=match is not None)


def _resident(column: Column, text: str) -> CellRead:
    number = resident_id.normalised("".join(text.split()))
    if _SCIENTIFIC(number) or (_ROUNDED(number) and resident_id.verdict(number) == "wrong"):
        return CellRead({}, "digits")
    return CellRead({column.field: number})


def _icd10(column: Column, text: str) -> CellRead:
    code = icd10.registry_form(text)
    return CellRead({column.field: code or text}, "" if code else "form")


def _topography(column: Column, text: str) -> CellRead:
    match = _TOPOGRAPHY(text.upper())
    if match is None:
        return CellRead({column.field: text}, "form")
    return CellRead({column.field: f"C{match[1]}" + (f".{match[2]}" if match[2] else "")})


def _morphology(column: Column, text: str) -> CellRead:
    match = _MORPHOLOGY(text.upper().replace(" ", ""))
    if match is None:
        return CellRead({column.field: text}, "form")
    names = (column.field, "behaviour", "grade")
    return CellRead({name: part for name, part in zip(names, match.groups(), strict=True) if part})


_READERS: Final[dict[str, Callable[[Column, str], CellRead]]] = {
    "text": _text,
    "address": _text,
    "date": _date,
    "time": _time,
    "code": _code,
    "codes": _codes,
    "basis": _basis,
    "number": _number,
    "id": _identifier,
    "resident": _resident,
    "icd10": _icd10,
    "topography": _topography,
    "morphology": _morphology,
}
