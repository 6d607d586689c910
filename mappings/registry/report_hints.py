"""What the words of a pathology report say of grade, lineage, side, behaviour and basis of diagnosis. The words are data
(``text_words.csv``); here is where they count."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from mappings.registry.report_text import Report, table
from mappings.registry.report_tumours import Tumour, behind

_LEVELS: Final[Mapping[str, str]] = {"i": "1", "ii": "2", "iii": "3", "iv": "4", "一": "1", "二": "2", "三": "3", "四": "4"}
_AWAY: Final = 0.6
"""Factor of a lineage that stands apart from the name of the tumour."""
_UNSAID: Final = 50.0
"""Score of a basis that no word says: a histology is named, so somebody saw tissue."""
_BESIDE_PRIMARY: Final = 45.0
"""Score of histology of a metastasis where that of the primary is there too."""
_OF_ANOTHER: Final = 0.55
"""Factor of the side of something benign beside a malignant tumour."""
_APART: Final = 0.85
"""Factor of a side in a sentence that names no tumour, as the heading of a specimen does."""
_DENIED: Final = 0.3
"""Factor of a side of which only what is not there is said."""
_NEAR_BEFORE: Final = 12
"""Characters before a level (Ⅱ级) in which it is said of what it is one."""


class Hint(NamedTuple):
    """A code, how much speaks for it (0 to 100), the words, and where they stand."""

    code: str
    score: float
    words: tuple[str, ...]
    start: int


def behaviours(report: Report, tumours: Sequence[Tumour]) -> Iterator[Hint]:
    """Behaviour by the tumours named and by words such as 恶性, 交界性, 原位."""
    malignant = any(tumour.plain and tumour.malignant for tumour in tumours)
    for tumour in tumours:
        yield Hint(tumour.behaviour, tumour.score, tumour.words, tumour.start)
    for hint in _said(report, "behaviour"):
        yield hint._replace(score=hint.score * behind(hint.code)) if malignant else hint


def grades(report: Report, tumours: Sequence[Tumour]) -> Iterator[Hint]:
    """Differentiation of solid tumours, lineage of lymphoma and leukaemia; nothing where no malignant tumour is named."""
    solid = [tumour for tumour in tumours if tumour.malignant and not tumour.lymphatic]
    lymphatic = [tumour for tumour in tumours if tumour.malignant and tumour.lymphatic]
    if lymphatic:
        for hint in _said(report, "lineage"):
            beside = any(tumour.start - 2 <= hint.start < tumour.end + 2 for tumour in lymphatic)
            yield hint if beside else hint._replace(score=hint.score * _AWAY)
    if solid:
        yield from _said(report, "grade")
        yield from _levels(report, solid)
        yield from _gleason(report)


def sides(report: Report, tumours: Sequence[Tumour]) -> Iterator[Hint]:
    """The side of the tumour: a side in a sentence that names a malignant tumour counts most, that of a node or margin or of something else
    little."""
    if not tumours:
        return
    for hint, found in _matches(report, "laterality"):
        if any(word.pattern.search(report.plain[max(0, found.start() - 3) : found.start()]) for word in table("laterality-not")):
            continue
        score = hint.score
        for word in table("laterality-elsewhere"):
            if word.pattern.search(report.plain[found.end() : found.end() + 8]):
                score *= word.score / 100
        yield hint._replace(score=score * _bearing(report, tumours, found))


def bases(report: Report, tumours: Sequence[Tumour]) -> Iterator[Hint]:
    """Cytology, histology of a metastasis, histology of the primary: how the material was taken, and whether what it holds is a metastasis
    (said to be one, or carcinoma in a lymph node and nothing else). Nothing where no tumour is named."""
    if not tumours:
        return
    weight = max(tumour.weight for tumour in tumours)
    malignant = [tumour for tumour in tumours if tumour.malignant and tumour.weight == weight]
    secondary = [tumour for tumour in malignant if tumour.behaviour == "6" or _in_node(report, tumour)]
    only = bool(secondary) and len(secondary) == len(malignant)
    hints = [hint._replace(score=hint.score * weight) for hint, _ in _matches(report, "basis")]
    smear = max((hint.score for hint in hints if hint.code == "5"), default=0.0)
    tissue = max((hint.score for hint in hints if hint.code == "7"), default=0.0)
    for hint in hints:
        yield hint._replace(score=hint.score / 2) if only and hint.code == "7" else hint
    words = tuple(dict.fromkeys(word for tumour in secondary for word in tumour.words))
    if only:
        yield Hint("6", 0.7 * smear if smear > tissue else max(tissue, 80.0 * weight), words, secondary[0].start)
    elif secondary:
        yield Hint("6", _BESIDE_PRIMARY * weight, words, secondary[0].start)
    if not hints and malignant and not only:
        yield Hint("7", _UNSAID * weight, malignant[0].words, malignant[0].start)


def _matches(report: Report, kind: str) -> Iterator[tuple[Hint, re.Match[str]]]:
    """The words of a kind wherever they stand, at their full score."""
    for word in table(kind):
        for found in word.pattern.finditer(report.plain):
            code = word.code or found[1]
            yield Hint(_LEVELS.get(code, code), word.score, (report.words(*found.span()),), found.start()), found


def _said(report: Report, kind: str) -> Iterator[Hint]:
    """The words of a kind that are not denied, counting what is said about them."""
    for hint, found in _matches(report, kind):
        standing = report.standing(*found.span())
        if standing.weight:
            yield hint._replace(score=hint.score * standing.weight, words=hint.words + standing.words)


def _levels(report: Report, solid: Sequence[Tumour]) -> Iterator[Hint]:
    """Ⅱ级 and G2, where they are levels of differentiation: in a sentence that names the tumour, or with a word for it, and not of anything
    else that has levels (WHO, CIN, stages)."""
    for hint, found in _matches(report, "grade-level"):
        left, right = report.sentence(*found.span())
        before = report.plain[max(left, found.start() - _NEAR_BEFORE) : found.start()]
        if any(word.pattern.search(before) for word in table("grade-level-not")):
            continue
        named = any(left <= tumour.start < right for tumour in solid)
        if named or any(word.pattern.search(before) for word in table("grade-level-for")):
            yield hint._replace(score=hint.score * report.standing(*found.span()).weight)


def _gleason(report: Report) -> Iterator[Hint]:
    for word in table("gleason"):
        for found in word.pattern.finditer(report.plain):
            total = int(found[1]) + int(found[2])
            yield Hint("1" if total <= 6 else "2" if total == 7 else "3", word.score, (report.words(*found.span()),), found.start())


def _bearing(report: Report, tumours: Sequence[Tumour], found: re.Match[str]) -> float:
    """How much a side at a place bears on the tumour, by what its clause or else its sentence says."""
    for left, right in (report.clause(*found.span()), report.sentence(*found.span())):
        here = [tumour for tumour in tumours if left <= tumour.start < right]
        if any(tumour.malignant for tumour in here):
            return max(tumour.weight for tumour in here if tumour.malignant)
        if here:
            return max(tumour.weight for tumour in here) * (_OF_ANOTHER if any(tumour.malignant for tumour in tumours) else 1.0)
    denied = any(word.pattern.search(report.plain, left, right) for word in table("negated-before"))
    return (_DENIED if denied else _APART) * report.standing(*found.span()).weight


def _in_node(report: Report, tumour: Tumour) -> bool:
    """Whether a tumour that is not lymphatic stands behind the name of a lymph node in its sentence."""
    left, _ = report.sentence(tumour.start, tumour.end)
    return not tumour.lymphatic and any(word.pattern.search(report.plain, left, tumour.start) for word in table("node"))
