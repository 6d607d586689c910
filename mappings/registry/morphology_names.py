"""Names of histologies in a pathology report, and the morphology codes that they stand for.

The names are those of the national list (371号文 annex 1: 1,437 names with morphology codes) and of ``icdo3_additions.csv``; the list is an
older translation, so ``morphology_synonyms.csv`` adds what pathologists write today (胶质母细胞瘤 for 成神经胶质细胞瘤), our reading and from no
standard, some of it only for an organ or beside another word. One name may stand for several codes; all of them are found.

Names and report are brought to one spelling before they are compared (`spelled`): 明细胞 and 透明细胞 are one, 性 and 型 are left out. A second
reading skips words of grade between the parts of a name (浸润性低分化导管癌). Only where neither finds a name that says more than *carcinoma*
are near spellings looked for: a wrong character, or the parts of a name in another order.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

import ahocorasick
from rapidfuzz import fuzz

from mappings.registry.report_text import Report, rewrite, rows
from mappings.registry.tables import rows as table_rows

_CODE: Final = re.compile(
    r"(?:(?P<mark>icd-?o(?:-?[23])?(?:编码)?[:\s-]*m?|(?<![a-z])m[\s-]?)|(?<![a-z\d./-]))"
    r"(?P<histology>[89]\d{3})(?P<filler>\d?) ?/ ?(?P<behaviour>[012369])(?!\d)"
)
_LATIN: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_BRACKETED: Final = re.compile(r"\\?[(\[].*?\\?[)\]]")
_LONGEST: Final = 14
"""Characters of a phrase that are compared."""
_PHRASE: Final = re.compile(rf"[一-鿿a-z0-9/-]{{1,{_LONGEST}}}$")
_NEAR: Final = 80.0
"""Least similarity, of 100, of a near spelling (rapidfuzz ``ratio``: edits against the length of both)."""
_REORDERED: Final = 88.0
"""Similarity of a name whose characters all stand there, in another order."""
_VAGUE: Final = 90
"""Names that say less than this are vague."""
_SHORTEST: Final = 4
"""Characters of the shortest name for which near spellings are looked for; shorter ones are near to too much."""


class Meaning(NamedTuple):
    """A code that a name stands for (``8500/3``), with the name of the list; where set, ``site`` must be in the report and ``beside`` in the
    sentence."""

    code: str
    name: str
    site: re.Pattern[str] | None = None
    beside: re.Pattern[str] | None = None

    @property
    def says(self) -> int:
        """How much the name says, of 100: what is meant for an organ or beside another word says it all, *carcinoma* little."""
        return 100 if self.site or self.beside else _generic().get(self.code[:4], 100)


class Found(NamedTuple):
    """A name at a place of `Report.plain`: what it may mean, best first, and how exactly it is written (1 = as in the list). ``coded``: it is no
    name but a code."""

    start: int
    end: int
    meanings: tuple[Meaning, ...]
    exactness: float = 1.0
    coded: bool = False


def find(report: Report) -> list[Found]:
    """All names in a report by place; of names within names only the longest."""
    exact = [*_coded(report), *_longest([*_exact(report, skip=False), *_exact(report, skip=True)])]
    said = {report.sentence(found.start, found.end) for found in exact if not _is_vague(found)}
    for found in list(filter(_is_vague, exact)):
        if report.sentence(found.start, found.end) not in said:
            exact += _near(report, found)
    return sorted(exact, key=lambda found: (found.start, -found.end))


def name_of(code: str) -> str:
    """The name of a code (``8500/3``): of the list, of the malignant primary with 转移性 before it where the list has no secondary one, or
    nothing."""
    histology, _, behaviour = code.partition("/")
    found = _names().get(code, "")
    if not found and behaviour == "6" and (primary := _names().get(f"{histology}/3", "")):
        return "转移性" + primary.removeprefix("恶性")
    return found


def spelled(text: str, origin: Sequence[int]) -> tuple[str, list[int]]:
    """Text of `Report.plain` in the spelling in which names are compared, and where its characters came from."""
    return rewrite(*rewrite(text, origin, _silent(), lambda _: ""), *_spelling())


def _coded(report: Report) -> Iterator[Found]:
    """Codes in every spelling: ``M8500/3``, ``M85000/3``, ``ICD-O:8500/3``, and ``8500/3`` by itself where the list has it."""
    for found in _CODE.finditer(report.plain):
        code = f"{found['histology']}/{found['behaviour']}"
        if name_of(code) or (found["mark"] and not found["filler"]):
            yield Found(found.start(), found.end(), (Meaning(code, name_of(code)),), coded=True)


def _exact(report: Report, *, skip: bool) -> Iterator[Found]:
    text, origin = report.plain, range(len(report.plain))
    if skip:
        text, origin = rewrite(text, origin, _skipped(), lambda _: "")  # type: ignore[assignment]
        if len(text) == len(report.plain):
            return
    text, origin = spelled(text, origin)  # type: ignore[assignment]
    for last, (length, meanings) in _automaton().iter(text):
        start, end = origin[last - length + 1], origin[last] + 1
        if _within_latin(report.plain, start, end):
            continue
        meant = tuple(meaning for meaning in meanings if _fits(meaning, report, start, end))
        if meant:
            yield Found(start, end, meant)


def _within_latin(text: str, start: int, end: int) -> bool:
    """Whether letters or digits go on beyond a name that begins or ends with one: ``mds`` in ``gmds``."""
    before, after = text[start - 1 : start], text[end : end + 1]
    return (text[start] in _LATIN and before in _LATIN) or (text[end - 1] in _LATIN and after in _LATIN)


def _fits(meaning: Meaning, report: Report, start: int, end: int) -> bool:
    if meaning.site is not None and not meaning.site.search(report.plain):
        return False
    return meaning.beside is None or bool(meaning.beside.search(report.plain, *report.sentence(start, end)))


def _longest(found: list[Found]) -> list[Found]:
    """Without what lies within another; of two at one place those that say more."""
    kept: list[Found] = []
    reach = -1
    for one in sorted(found, key=lambda one: (one.start, -one.end)):
        if one.end > reach:
            kept.append(one)
            reach = one.end
    return kept


def _is_vague(found: Found) -> bool:
    """Whether more may be meant than a short name says: 癌 at the end of a name with a wrong character."""
    short = found.end - found.start <= _SHORTEST and not found.coded
    return short and all(meaning.says < _VAGUE for meaning in found.meanings)


def _near(report: Report, vague: Found) -> Iterator[Found]:
    """Names that are nearly what stands before and in a name that says little."""
    first = max(0, vague.start - 2 * _LONGEST)
    text, origin = spelled(report.plain[first : vague.end], range(first, vague.end))
    phrase = _PHRASE.search(text)
    for similarity, key, meanings in _alike(phrase[0]) if phrase else ():
        start = origin[max(len(text) - len(key), 0)]
        meant = tuple(meaning for meaning in meanings if _fits(meaning, report, start, vague.end))
        if meant and len(key) > vague.end - vague.start:
            yield Found(start, vague.end, meant, similarity / 100)


@lru_cache(maxsize=4096)
def _alike(phrase: str) -> tuple[tuple[float, str, tuple[Meaning, ...]], ...]:
    """The three names most like the end of a phrase: similarity, spelling, meanings."""
    near: list[tuple[float, str, tuple[Meaning, ...]]] = []
    there = set(phrase)
    for key, characters, meanings in _by_last_character().get(phrase[-1], ()):
        missing = len(characters - there)
        if missing > (len(key) > _SHORTEST):
            continue
        ends = [phrase[-length:] for length in range(len(key) - 1, len(key) + 2)]
        similarity = max(fuzz.ratio(end, key, score_cutoff=_NEAR) for end in ends)
        if not missing and characters <= set(ends[-1]):
            similarity = max(similarity, _REORDERED)
        if similarity:
            near.append((similarity, key, meanings))
    return tuple(sorted(near, key=lambda one: (-one[0], -len(one[1])))[:3])


@cache
def _keys() -> Mapping[str, tuple[Meaning, ...]]:
    """Every name in its spelling for comparison: synonyms first, because they are what is written today, then those of the list."""
    meanings: dict[str, dict[str, Meaning]] = defaultdict(dict)

    def add(written: str, meaning: Meaning) -> None:
        known = meanings[spelled(written, range(len(written)))[0]]
        known[meaning.code] = known.get(meaning.code, meaning)._replace(name=meaning.name)

    with files("mappings.registry").joinpath("morphology_synonyms.csv").open(encoding="utf-8") as handle:
        synonyms = sorted(csv.DictReader(handle), key=lambda row: (not row["with"], not row["site"]))
    for row in synonyms:
        site, beside = (re.compile(row[column]) if row[column] else None for column in ("site", "with"))
        for code in row["codes"].split():
            for word in row["words"].split("|"):
                add(word, Meaning(code, name_of(code), site, beside))
    for code, name in _listed():
        for written in _ways(Report(name).plain):
            add(written, Meaning(code, name))
    return {key: tuple(found.values()) for key, found in meanings.items()}


def _ways(name: str) -> Iterator[str]:
    """The ways in which a name of the list is written: without remarks in brackets, and with what stands behind a comma also before, behind or
    in brackets."""
    bare = _BRACKETED.sub("", name).removesuffix(",nos").strip()
    whole = name.replace("(", "").replace(")", "")
    for one in dict.fromkeys((bare, whole) if bare else (whole,)):
        head, _, tail = one.partition(",")
        yield one
        if tail:
            yield from (head + tail, tail + head, f"{head}({tail}")


def _listed() -> Iterator[tuple[str, str]]:
    text = files("mappings").joinpath("codes", "icd", "icdo3_morphology_zh.csv").read_text("utf-8")
    for row in csv.DictReader(text.splitlines()):
        yield f"{row['histology4']}/{row['behaviour']}", row["name_zh"].lstrip('"')
    for row in table_rows("icdo3_additions"):
        yield f"{row['morphology']}/{row['behaviour']}", row["name_zh"]


@cache
def _names() -> Mapping[str, str]:
    names: dict[str, str] = {}
    for code, name in _listed():
        names.setdefault(code, name)
    return names


@cache
def _automaton() -> Any:
    automaton = ahocorasick.Automaton()
    for key, meanings in _keys().items():
        automaton.add_word(key, (len(key), meanings))
    automaton.make_automaton()
    return automaton


@cache
def _by_last_character() -> Mapping[str, list[tuple[str, frozenset[str], tuple[Meaning, ...]]]]:
    found = defaultdict(list)
    for key, meanings in _keys().items():
        if len(key) >= _SHORTEST:
            found[key[-1]].append((key, frozenset(key), meanings))
    return found


@cache
def _generic() -> Mapping[str, int]:
    return {row["code"]: int(row["score"]) for row in rows("generic")}


@cache
def _silent() -> re.Pattern[str]:
    return re.compile("|".join(row["pattern"] for row in rows("silent")))


@cache
def _skipped() -> re.Pattern[str]:
    return re.compile("|".join(row["pattern"] for row in rows("skipped")))


@cache
def _spelling() -> tuple[re.Pattern[str], Any]:
    """The pattern of all other spellings and what is written instead of each."""
    instead = {word: row["code"] for row in rows("spelling") for word in row["pattern"].split("|")}
    pattern = re.compile("|".join(sorted(map(re.escape, instead), key=len, reverse=True)))
    return pattern, lambda found: instead[found[0]]
