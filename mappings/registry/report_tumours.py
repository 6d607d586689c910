"""The tumours that a pathology report names, each as a morphology code with what it is worth where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from mappings.registry.morphology_names import Found, find, name_of
from mappings.registry.report_text import Report, Standing, table

PLAIN: Final = 0.7
"""From this weight on a statement counts as plainly made."""
_STATED: Final = Standing(1.0, ())
_LEAST: Final = 0.1
"""Weight up to which a statement is not suggested at all: it is denied, or doubted history."""
_FURTHER: Final = 0.97
"""Factor of each further code that one name stands for."""
_SECONDARY: Final = 0.95
_BEHIND: Final = 0.72
"""Factor of what is benign, borderline or in situ beside what is malignant: a registry codes the highest behaviour."""
_BEHIND_PRIMARY: Final = 0.9
"""Factor of a metastasis beside its primary."""


class Tumour(NamedTuple):
    """A name or code in the report: the morphology (``8500/3``) and its name, its ``score`` up to 100, its weight there and the words that say
    so."""

    code: str
    name: str
    score: float
    weight: float
    start: int
    end: int
    words: tuple[str, ...]

    @property
    def behaviour(self) -> str:
        """The fifth digit."""
        return self.code[-1]

    @property
    def malignant(self) -> bool:
        """Whether it is malignant, primary or secondary."""
        return self.behaviour in "369"

    @property
    def lymphatic(self) -> bool:
        """Whether it is of lymphatic tissue or blood (ICD-O-3 histologies from 9590 on)."""
        return self.code >= "9590"

    @property
    def plain(self) -> bool:
        """Whether the report states it plainly."""
        return self.weight >= PLAIN


def tumours(report: Report) -> list[Tumour]:
    """Every tumour that the report names and does not deny, by place."""
    named = [tumour for found in find(report) for tumour in _meant(report, found)]
    malignant = any(tumour.plain and tumour.malignant for tumour in named)
    primary = any(tumour.plain and tumour.behaviour == "3" for tumour in named)
    return [tumour._replace(score=tumour.score * _factor(tumour, malignant, primary)) for tumour in named]


def behind(behaviour: str) -> float:
    """Factor of a behaviour beside a plainly stated malignant tumour."""
    return 1.0 if behaviour in "369" else _BEHIND


def _factor(tumour: Tumour, malignant: bool, primary: bool) -> float:
    if tumour.score >= 100:
        return 1.0
    if malignant and not tumour.malignant:
        return behind(tumour.behaviour)
    return _BEHIND_PRIMARY if primary and tumour.behaviour == "6" else 1.0


def _meant(report: Report, found: Found) -> Iterator[Tumour]:
    standing = _STATED if found.coded else report.standing(found.start, found.end)
    if standing.weight <= _LEAST:
        return
    start, end = (found.start, found.end) if found.coded else _with_spread(report, found)
    secondary = (start, end) != (found.start, found.end)
    words = (report.words(start, end), *standing.words)
    for index, meaning in enumerate(found.meanings):
        code, name, score = meaning.code, meaning.name, 100.0
        if secondary and code[-1] == "3" and code < "9590":
            code = f"{code[:4]}/6"
            name = name_of(code)
        if not found.coded:
            length = min(found.end - found.start, 8)
            score = meaning.says * found.exactness * _FURTHER**index * standing.weight * (0.9 + length / 100)
            score *= _SECONDARY if code[-1] == "6" else 1.0
        yield Tumour(code, name, score, standing.weight, found.start, found.end, words)


def _with_spread(report: Report, found: Found) -> tuple[int, int]:
    """The place of a name with the words around it that make it a metastasis: 转移性(低分化)腺癌, 腺癌转移; the name alone where none do."""
    left, right = report.clause(found.start, found.end)
    before = next((m for word in table("metastatic-before") if (m := word.pattern.search(report.plain[left : found.start]))), None)
    after = next((m for word in table("metastatic-after") if (m := word.pattern.search(report.plain[found.end : right]))), None)
    return left + before.start() if before else found.start, found.end + after.end() if after else found.end
