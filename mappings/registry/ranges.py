"""Ranges of codes as the tables print them: ``C01 C02``, ``8010-8015 8050``, ``C44.1-C44.4``, ``D35.2-D35.4``."""

from __future__ import annotations

from functools import cache


class CodeRanges:
    """A set of codes written as single codes and ranges. A shorter code stands for all that begin with it (``C44`` holds ``C44.3``), at the
    borders of a range too (``C00-C76`` holds ``C76.8``)."""

    __slots__ = ("_spans",)

    def __init__(self, text: str) -> None:
        spans = [item.partition("-") for item in text.split()]
        self._spans = tuple((low, high or low) for low, _, high in spans)

    def __contains__(self, code: str) -> bool:
        return any(low <= code[: len(low)] and code[: len(high)] <= high and len(code) >= len(low) for low, high in self._spans)

    def __bool__(self) -> bool:
        return bool(self._spans)


@cache
def ranges(text: str) -> CodeRanges:
    """The codes of a cell; an empty cell holds none."""
    return CodeRanges(text)
