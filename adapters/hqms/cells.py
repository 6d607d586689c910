"""One cell of a front sheet as a canonical value, with the tolerance that files from the wild need.

Reading has a fast way for text that is exactly as the standard wants it and a patient way for the rest. The patient way may
repair what is certain (a TAB that forced text, ``4.0`` for ``4``, ``/`` in a date, missing seconds, a lost leading zero that only
one code of the value set can have had, a look-alike of the null placeholder) and says so in a `Repair`; it never guesses:
scientific notation, unknown codes and impossible dates stay as they came, in ``Stay.verbatim``.

Source of the tolerances: front-sheet files of public exporters (``mappings/platforms/hqms/README.md``, "Spreadsheet damage").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from gateway.model.values import Coded
from mappings.crosswalk import Crosswalk
from mappings.layout import Field

DASH = "-"
LOOK_ALIKES = frozenset([*"—－–―−‐‑﹣ー", "——"])
INVISIBLE = "".join(("​", "‌", "‍", "⁠", "﻿"))
_EDGES = " \t\r\n\v\f\u00a0\u3000" + INVISIBLE

_INT = re.compile(r"0|-?[1-9][0-9]{0,17}").fullmatch
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?").fullmatch
_LOOSE_NUMBER = re.compile(r"([+-]?)([0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)?(\.[0-9]+)?").fullmatch
_DOT_ZERO = re.compile(r"(-?[0-9]+)\.0+").fullmatch
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}").fullmatch
_LOOSE_TIME = re.compile(
    r"([0-9]{4})[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})日?(?:[ T]+([0-9]{1,2}):([0-9]{1,2})(?::([0-9]{1,2})(?:\.[0-9]{1,9})?)?)?"
).fullmatch
_PARTIAL_DATE = re.compile(r"(?:19|20)[0-9]{2}(?:-(?:0[1-9]|1[0-2]))?").fullmatch
_LIST_SEPARATOR = re.compile(r"[,，、;；]")
_LONGEST_NUMBER = 30
"""Characters of a number. Longer text is no number of a front sheet, and Python refuses to convert very long ones."""


@dataclass(frozen=True, slots=True)
class Repair:
    """What was put right in a cell: column code, stable word, Chinese sentence (no cell content)."""

    field: str
    kind: str
    message: str


REPAIRS = {
    "trimmed": "值前后有空格、制表符或不可见字符，已去掉；请在导出程序中去除",
    "dash": "用了与“-”相似的符号表示未填，已按“-”处理；请改用半角减号",
    "dot-zero": "数字代码带有“.0”，多为表格软件所致，已还原；请按文本格式导出",
    "leading-zero": "代码缺少前导零，多为表格软件所致，已还原；请按文本格式导出",
    "date-form": "日期时间写法不是 yyyy-MM-dd HH:mm:ss，已按标准写法理解；请修改导出格式",
    "number-form": "数字写法不规范（千分位、前导零或正号），已还原；请修改导出格式",
    "list-separator": "多个代码之间用的不是英文逗号，已按英文逗号理解；请修改导出格式",
}

Fast = Callable[[str], Any]


class CellReader:
    """Reads the cells of one column. ``fast(text)`` is a value or None; on None call `read`."""

    def __init__(self, field: Field, codes: Mapping[str, Coded]) -> None:
        self.field = field
        self.codes = codes
        self.fast: Fast = _FAST.get(field.type, codes.get)
        if field.type == "code_list":
            self.fast = self._code_list
        elif field.type == "code" and not codes:
            self.fast = _no_value_set(field.domain)
        elif field.type == "string" and codes:
            self.fast = lambda text: coded.code if (coded := codes.get(text)) is not None else None

    def read(self, text: str) -> tuple[Any, str, tuple[str, ...]]:
        """The patient way: (value or None, text to keep when there is no value, kinds of repair)."""
        kinds: list[str] = []
        tidy = text.strip(_EDGES)
        if tidy != text:
            kinds.append("trimmed")
        if tidy in LOOK_ALIKES:
            tidy = DASH
            kinds.append("dash")
        if tidy in ("", DASH):
            return None, tidy, tuple(kinds)
        value = self.fast(tidy)
        if value is None and self.field.type == "code_list":
            value, more = self._repaired_list(tidy)
            kinds += more
        elif value is None:
            value, kind = self._repaired(tidy)
            kinds += [kind] if kind else []
        return value, tidy, tuple(kinds)

    def _repaired(self, text: str) -> tuple[Any, str]:
        match self.field.type:
            case "string":
                return text, ""
            case "int":
                return _repaired_int(text)
            case "decimal":
                return _repaired_decimal(text)
            case "date" | "datetime":
                return _repaired_time(text, self.field.type)
            case "code":
                return self._repaired_code(text)
            case _:
                return None, ""

    def _repaired_code(self, text: str) -> tuple[Any, str]:
        if (match := _DOT_ZERO(text)) is not None:
            value = self.codes.get(match[1])
            if value is not None:
                return value, "dot-zero"
            text = match[1]
        if text.isascii() and text.isdigit():
            longer = [code for code in self.codes if len(code) > len(text) and code.lstrip("0") == text.lstrip("0")]
            if len(longer) == 1:
                return self.codes[longer[0]], "leading-zero"
            stripped = text.lstrip("0")
            if stripped != text and stripped in self.codes:
                return self.codes[stripped], "number-form"
        return None, ""

    def _repaired_list(self, text: str) -> tuple[list[Coded] | None, list[str]]:
        values, kinds = [], set()
        parts = [part.strip(_EDGES) for part in _LIST_SEPARATOR.split(text)]
        if ",".join(parts) != text:
            kinds.add("list-separator")
        for part in parts:
            value = self.codes.get(part)
            if value is None:
                value, kind = self._repaired_code(part)
                kinds.add(kind)
            if value is None:
                return None, []
            values.append(value)
        return values, sorted(kinds)

    def _code_list(self, text: str) -> list[Coded] | None:
        values = [self.codes.get(part) for part in text.split(",")]
        return [v for v in values if v is not None] if None not in values else None


def _string(text: str) -> str | None:
    # str.strip returns the very object when there is nothing to strip
    if len(text) < 2 or text.strip() is not text or text[0] in INVISIBLE or text[-1] in INVISIBLE:
        return None
    return text if len(text) > 2 or text not in LOOK_ALIKES else None


def _int(text: str) -> int | None:
    return int(text) if _INT(text) else None


def _decimal(text: str) -> Decimal | None:
    return Decimal(text) if len(text) <= _LONGEST_NUMBER and _DECIMAL(text) else None


def _date(text: str) -> str | None:
    # the shape first: Python also takes week dates, times without colons and offsets for ISO 8601
    return text if _DATE(text) and _exists(text) else None


def _datetime(text: str) -> str | None:
    return text.replace(" ", "T") if _TIME(text) and _exists(text) else None


def _exists(time: str) -> bool:
    try:
        datetime.fromisoformat(time)
    except ValueError:
        return False
    return True


_FAST: dict[str, Fast] = {"string": _string, "int": _int, "decimal": _decimal, "date": _date, "datetime": _datetime}


def _no_value_set(domain: str) -> Fast:
    """A code column whose value set is not enumerated here: any tidy text is its code."""

    def read(text: str) -> Coded | None:
        return Coded(domain, text) if text.strip(_EDGES) == text and text not in LOOK_ALIKES and text != DASH else None

    return read


def _repaired_int(text: str) -> tuple[int | None, str]:
    match = _DOT_ZERO(text)
    value = _int(_plain_number(match[1] if match is not None else text))
    return value, "" if value is None else "dot-zero" if match is not None else "number-form"


def _repaired_decimal(text: str) -> tuple[Decimal | None, str]:
    digits = _plain_number(text)
    return (Decimal(digits), "number-form") if digits else (None, "")


def _plain_number(text: str) -> str:
    """A number without plus sign, leading zeros and thousands separators (only where they part groups of three: ``1,5`` may be
    one and a half). Empty for what is no number."""
    match = _LOOSE_NUMBER(text) if len(text) <= _LONGEST_NUMBER else None
    if match is None or not (match[2] or match[3]):
        return ""
    whole = (match[2] or "").replace(",", "").lstrip("0") or "0"
    return ("-" if match[1] == "-" else "") + whole + (match[3] or "")


def _repaired_time(text: str, type: str) -> tuple[str | None, str]:
    if _PARTIAL_DATE(text):
        return text, ""
    match = _LOOSE_TIME(text)
    if match is None:
        return None, ""
    year, month, day, hour, minute, second = match.groups()
    try:
        moment = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))  # noqa: DTZ001 - local China time by definition
    except ValueError:
        return None, ""
    if type == "date":
        # a spreadsheet shows a date as midnight; any other time of day is not a date
        if (moment.hour, moment.minute, moment.second) != (0, 0, 0):
            return None, ""
        return moment.date().isoformat(), "date-form"
    if hour is None:
        day = moment.date().isoformat()
        return day, "date-form" if day != text else ""
    return moment.isoformat(timespec="seconds" if second is not None else "minutes"), "date-form"


def code_table(domain: str, codes: frozenset[str], crosswalk: Crosswalk, target: str) -> dict[str, Coded]:
    """The coded value for each code of ``domain``, translated to ``target`` (the system the model uses for that path) where a
    counterpart exists and kept in its own system otherwise."""
    table: dict[str, Coded] = {}
    for code in codes:
        other = crosswalk.translate(domain, code, target) if target != domain else code
        table[code] = Coded(target, other) if other is not None else Coded(domain, code)
    return table
