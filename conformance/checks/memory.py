"""Answers remembered by what they depend on.

A question depends on nothing but the values of the names in its condition. Where these are codes and their printed names, or where it only
matters whether an item is filled, the same values come again and again, and so do the answers. Times, amounts, numbers of persons and
whole lists of codes hardly repeat; what depends on them is asked anew each time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from mappings.layout import Layout

Answer = TypeVar("Answer")

_REMEMBER = 8192
_TRIAL = 2048
_NAMED = re.compile(r"[.](condition|operation|morphology)[.]display$")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} (?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]").fullmatch
Columns = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""What the names, filled names and days of a memory mean."""

ALIKE = frozenset({"layout", "report_month", "DX_TWICE"})
"""Names that stand for the same value in nearly every record."""


def repeating(name: str, column: str, condition: str, layout: Layout) -> str:
    """How a name's part in a condition repeats: ``filled`` when only that matters, ``day`` when only the day of a time within a repeated
    group does, ``value`` when its values come again, else empty."""
    if not re.search(rf"\b{name}\b", re.sub(rf"\bfilled\({name}\)", "", condition)):
        return "filled"
    if name in ALIKE:
        return "value"
    field = layout.by_code.get(column)
    if field is None:
        return ""
    if field.type == "datetime" and "kk" in condition:
        only_days = re.sub(rf"\bday_within\([\w, ]*\b{name}\b[\w, ]*\)", "", condition)
        return "" if re.search(rf"\b{name}\b", re.sub(rf"\bfilled\({name}\)", "", only_days)) else "day"
    comes_again = field.type == "code" or bool(field.domain) or (field.repeat and field.type in ("decimal", "int"))
    return "value" if comes_again or _NAMED.search(field.path) else ""


def _day(text: str) -> str:
    """The day of a well-formed time; anything else is not shortened."""
    return text[:10] if _TIME(text) else text


class Memory(Generic[Answer]):
    """Remembers answers by the values of ``names``, the days of ``days`` and whether ``filled`` names are filled. One that is hardly
    ever asked the same twice stops remembering."""

    def __init__(self, names: Iterable[str], filled: Iterable[str], days: Iterable[str] = ()) -> None:
        self.names = tuple(sorted(names))
        self.filled = tuple(sorted(filled))
        self.days = tuple(sorted(days))
        self._answers: dict[tuple[object, ...], Answer] = {}
        self._asked = self._known = 0
        self._useful = True

    def answer(self, columns: Columns, values: Mapping[str, str], there: frozenset[str], ask: Callable[[], Answer]) -> Answer:
        """The answer for these values; ``columns`` are what the memory's names mean, ``there`` the columns that are filled."""
        if not self._useful:
            return ask()
        get = values.get
        names, filled, days = columns
        key = (*[get(name, "") for name in names], *[name in there for name in filled], *[_day(get(name, "")) for name in days])
        found = self._answers.get(key)
        self._asked += 1
        if found is not None:
            self._known += 1
            return found
        if self._asked > _TRIAL and self._known * 2 < self._asked:
            self._useful, self._answers = False, {}
            return ask()
        if len(self._answers) >= _REMEMBER:
            self._answers.clear()
        found = self._answers[key] = ask()
        return found
