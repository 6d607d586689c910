"""Coding help: what the text of a Chinese pathology report suggests for a report card.

**A suggestion never becomes a value without a rule or a person.** Nothing here decides: what the words of a report may mean is ranked, and every
suggestion carries those words as they were written.

Ranking, 0 to 100 (no probability): a morphology code in the text is 100; a name counts by what it says (*carcinoma* says little), how exactly
it is written, the section it stands in (diagnosis before microscopy before gross), and whether it is doubted or history. What is denied is
not suggested. Beside a plainly stated malignant tumour what is benign, borderline or in situ comes second.

Codes are those of T/CHIA 18-2021 (``mappings/codes/registry``). Of the basis of diagnosis only what a microscope can give is suggested: 5
cytology, 6 histology of a metastasis, 7 of the primary; these digits mean the same on the old card and with IARC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

from msgspec import Struct

from mappings.registry import report_hints
from mappings.registry.report_hints import Hint
from mappings.registry.report_text import Report
from mappings.registry.report_tumours import tumours
from mappings.registry.tables import names as value_set
from mappings.registry.tables import rows

LONGEST: Final = 10_000
"""Characters that are read; a report has some hundred to a few thousand."""
_LEAST: Final = 10
"""Score below which nothing is suggested."""
_WORDS: Final = 4
"""Words shown for one suggestion."""


class Suggestion(Struct, frozen=True):
    """A code with its Chinese name, how much speaks for it (0 to 100), and the words of the report that do."""

    code: str
    name: str
    score: int
    words: tuple[str, ...]


class Suggestions(Struct, frozen=True):
    """Suggestions for each item of the card, best first. ``morphology`` is ``8500/3``; ``grade`` is the differentiation of a solid tumour or the
    lineage of lymphoma and leukaemia; the others are the card's digits."""

    morphology: list[Suggestion]
    behaviour: list[Suggestion]
    grade: list[Suggestion]
    laterality: list[Suggestion]
    basis: list[Suggestion]


def suggest(text: str, *, limit: int = 5) -> Suggestions:
    """What a report suggests, at most ``limit`` codes for each item, of a text longer than `LONGEST` what comes first. A text that says nothing
    suggests nothing."""
    report = Report(text[:LONGEST])
    found = tumours(report)
    named = (Hint(tumour.code, tumour.score, tumour.words, tumour.start) for tumour in found)
    return Suggestions(
        _ranked(named, {tumour.code: tumour.name for tumour in sorted(found, key=lambda one: one.score)}, limit),
        _ranked(report_hints.behaviours(report, found), value_set("behaviour"), limit),
        _ranked(report_hints.grades(report, found), value_set("grade"), limit),
        _ranked(report_hints.sides(report, found), value_set("laterality"), limit),
        _ranked(report_hints.bases(report, found), _bases(), limit),
    )


def _ranked(hints: Iterable[Hint], names: Mapping[str, str], limit: int) -> list[Suggestion]:
    """One suggestion a code: its best score, the words of all that speak for it; at equal scores what the report says first."""
    by_code: dict[str, list[Hint]] = {}
    for hint in sorted(hints, key=lambda hint: (-hint.score, hint.start)):
        by_code.setdefault(hint.code, []).append(hint)
    found = []
    for code, said in by_code.items():
        words = tuple(dict.fromkeys(word for hint in said for word in hint.words))
        found.append(Suggestion(code, names[code], min(100, round(said[0].score)), words[:_WORDS]))
    return [one for one in found if one.score >= _LEAST][:limit]


@cache
def _bases() -> Mapping[str, str]:
    return {row["card"]: row["card_zh"] for row in rows("basis_of_diagnosis")}
