"""Crosswalks between code systems that say the same in other codes.

The Chinese-medicine front sheet swaps codes of the general one (marital status 3/4, admission route 1/2, readmission plan
1/2). The model holds one meaning, so codes are translated when they enter and leave; the table is
``mappings/codes/crosswalks/*.csv`` (``from_system``, ``from_code``, ``to_system``, ``to_code``; an empty ``to_system`` means plain
text). A code without a counterpart keeps its own system: it is carried as it is, never guessed.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import cache
from importlib.resources import files

from gateway.model.values import Coded


class Crosswalk:
    """Translations in both directions; ``forward[(system, code)][target]``."""

    def __init__(self, rows: list[tuple[str, str, str, str]]) -> None:
        self._into: dict[str, dict[tuple[str, str], str]] = {}
        for from_system, from_code, to_system, to_code in rows:
            self._into.setdefault(to_system, {})[(from_system, from_code)] = to_code
            self._into.setdefault(from_system, {})[(to_system, to_code)] = from_code

    @staticmethod
    @cache
    def load(name: str) -> Crosswalk:
        """The packaged crosswalk of that name."""
        path = files("mappings").joinpath("codes", "crosswalks", f"{name}.csv")
        with path.open(encoding="utf-8") as handle:
            rows = list(csv.reader(handle))[1:]
        return Crosswalk([(row[0], row[1], row[2], row[3]) for row in rows])

    def translate(self, system: str, code: str, target: str) -> str | None:
        """``code`` of ``system`` as a code of ``target`` (``""``: plain text), or None when there is no counterpart."""
        return self._into.get(target, {}).get((system, code))

    def knows(self, system: str) -> bool:
        """Whether any code of ``system`` has a counterpart here."""
        return bool(system) and system in self._into

    def writer(self, domain: str) -> Callable[[Coded], str]:
        """How a coded value is printed in a column of ``domain``."""
        table = self._into.get(domain, {})

        def write(value: Coded) -> str:
            code = value.code
            if code is None:
                return value.display or ""
            if value.system != domain and table:
                return table.get((value.system, code), code)
            return code

        return write

    def text_writer(self, domain: str) -> Callable[[str], str]:
        """How plain text is printed in a column of ``domain``."""
        table = self._into.get(domain, {})
        return lambda text: table.get(("", text), text)
