"""A Chinese pathology report as text to search: written alike, with its sections, and with what each place in it is worth.

Full-width and half-width signs, upper and lower case and blanks are made alike (`Report.plain`), and every place in that text knows where it
stands in the report as it came, so that the words can be shown as they were written. What is said under a heading for the diagnosis counts
most; what is denied, doubted or history counts less. The words are data: ``text_words.csv``, our reading of how reports are written, from no
standard.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

_CLAUSE: Final = ",;。\n!"
_SENTENCE: Final = ";。\n!"
_BLANKS: Final = re.compile(r"(?<![!-~])[ \t\r\f\v]+|[ \t\r\f\v]+(?![!-~])")
_REACH: Final = 24
"""Characters before a name in which a word still speaks of it."""


class Word(NamedTuple):
    """A row of ``text_words.csv``: a pattern over `Report.plain`, what it says and how much, 0 to 100."""

    pattern: re.Pattern[str]
    code: str
    score: int


class Standing(NamedTuple):
    """What is said about a place: ``weight`` 1 for plainly stated down to 0 for denied, and the words that lower it."""

    weight: float
    words: tuple[str, ...]


class Report:
    """One report. ``plain`` is the text to search; places are offsets in it."""

    __slots__ = ("_origin", "_raw", "_sections", "plain")

    def __init__(self, raw: str) -> None:
        self._raw: Final = raw
        self.plain, self._origin = rewrite(*_alike(raw), _BLANKS, lambda _: "")
        self._sections: Final = [(found.start(), _sections()[found["name"]]) for found in _heading().finditer(self.plain)]

    def words(self, start: int, end: int) -> str:
        """What the report says from ``start`` to ``end``, as it was written."""
        return self._raw[self._origin[start] : self._origin[end - 1] + 1]

    def clause(self, start: int, end: int) -> tuple[int, int]:
        """The clause around a place: a sentence, or what commas part of it."""
        return self._around(start, end, _CLAUSE)

    def sentence(self, start: int, end: int) -> tuple[int, int]:
        """The sentence around a place: from one full stop, semicolon or line end to the next."""
        return self._around(start, end, _SENTENCE)

    def standing(self, start: int, end: int) -> Standing:
        """What a statement at a place is worth, by its section and by what its clause says before and behind it."""
        left, right = self.clause(start, end)
        before, after = self.plain[max(left, start - _REACH) : start], self.plain[end:right]
        weight = self._section(start)
        words: list[str] = []
        for kind, text, offset in (("before", before, start - len(before)), ("after", after, end)):
            for what in ("uncertain", "negated", "history"):
                found, score = _first(f"{what}-{kind}", text)
                if found is not None:
                    weight *= score / 100
                    words.append(self.words(offset + found.start(), offset + found.end()))
        return Standing(weight, tuple(words))

    def _section(self, start: int) -> float:
        index = bisect_right(self._sections, start, key=lambda section: section[0])
        return self._sections[index - 1][1] / 100 if index else 1.0

    def _around(self, start: int, end: int, bounds: str) -> tuple[int, int]:
        left = max(self.plain.rfind(sign, 0, start) for sign in bounds) + 1
        right = min((at for sign in bounds if (at := self.plain.find(sign, end)) >= 0), default=len(self.plain))
        return left, right


def rewrite(
    text: str, origin: Sequence[int], pattern: re.Pattern[str], instead: Callable[[re.Match[str]], str]
) -> tuple[str, list[int]]:
    """``text`` with each match replaced, and for every character of it where it came from (``origin`` is that of ``text``)."""
    parts: list[str] = []
    came: list[int] = []
    done = 0
    for found in pattern.finditer(text):
        start, end = found.span()
        new = instead(found)
        parts += (text[done:start], new)
        came += origin[done:start]
        if new:
            came += [origin[min(start + index, end - 1)] for index in range(len(new) - 1)]
            came.append(origin[end - 1])
        done = end
    parts.append(text[done:])
    came += origin[done:]
    return "".join(parts), came


@cache
def table(kind: str) -> tuple[Word, ...]:
    """The words of a kind, in the order of the table."""
    return tuple(Word(re.compile(row["pattern"]), row["code"], int(row["score"] or 0)) for row in rows(kind))


@cache
def rows(kind: str) -> tuple[dict[str, str], ...]:
    """The rows of a kind as they stand in ``text_words.csv``."""
    with files("mappings.registry").joinpath("text_words.csv").open(encoding="utf-8") as handle:
        return tuple(row for row in csv.DictReader(handle) if row["kind"] == kind)


def _first(kind: str, text: str) -> tuple[re.Match[str] | None, int]:
    """The first word of a kind that a text has, with its score."""
    for word in table(kind) if text else ():
        if (found := word.pattern.search(text)) is not None:
            return found, word.score
    return None, 0


def _alike(raw: str) -> tuple[str, list[int]]:
    signs: list[str] = []
    origin: list[int] = []
    for index, sign in enumerate(raw):
        written = sign.lower() if sign.isascii() else unicodedata.normalize("NFKC", sign).lower()
        signs.append(written)
        origin += [index] * len(written)
    return "".join(signs), origin


@cache
def _sections() -> dict[str, int]:
    return {name: int(row["score"]) for row in rows("section") for name in row["pattern"].split("|")}


@cache
def _heading() -> re.Pattern[str]:
    names = "|".join(sorted(map(re.escape, _sections()), key=len, reverse=True))
    return re.compile(rf"[【\[(]?(?P<name>{names})(?:\([^)\n]{{0,12}}\))?(?:[】\])]:?|:)")
