"""What the columns of a rule say about age, sex, site, histology, behaviour, grade and basis, read once.

The columns are those of the registry reference, as printed: ``<20``, ``<15 or >45``, ``6-14``; ``C18 C33 C34``, ``allowed: C07-C08``, ``not
allowed: C42``, ``all except C56``; ``8010-8576``, ``9084``, ``9506/1 9470/3``, ``not 8240-8249``, ``<9590``, ``9590 and above``, ``8963 9364
at C64.9``, ``8311 any site``; ``0,1,2``; ``grade 5-8``, ``grade not 1 or 9``, ``blank``, ``basis 5-7``. A pattern fires where all of them
hold; what is blank on the card holds in none (but for ``blank``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from mappings.registry.ranges import CodeRanges

_SITE: Final = re.compile(r"[CD]\d\d(?:\.\d)?(?:-[CD]\d\d(?:\.\d)?)?")
_HISTOLOGY: Final = re.compile(r"\d{4}(?:/\d)?(?:-\d{4})?")
_AGE: Final = re.compile(r"(<=|>=|<|>)(\d+)|(\d+)-(\d+)")
_DIGITS: Final = re.compile(r"(\d)(?:-(\d))?")
_REMARK: Final = re.compile(r"\([^)]*\)")

_CARCINOMAS: Final = "8010-8576"
"""*carcinoma morphologies*, as far as the reference says what they are"""

_OLDEST: Final = 999


class Sites(Struct, frozen=True):
    """Codes of sites, and whether a site must be ``outside`` them."""

    codes: CodeRanges
    outside: bool = False

    def hold(self, site: str) -> bool:
        return site != "" and (site in self.codes) is not self.outside


class Histologies(Struct, frozen=True):
    """One clause of the morphology column: codes (or all but them), at sites of its own or at those of the rule; no ``sites``: at any."""

    codes: CodeRanges
    outside: bool
    sites: Sites | None

    def hold(self, morphology: str, behaviour: str, site: str) -> bool:
        if not morphology or (f"{morphology}/{behaviour}" in self.codes) is self.outside:
            return False
        return self.sites is None or self.sites.hold(site)


class Digits(Struct, frozen=True):
    """One-digit codes, or all but them; ``blank``: no code at all."""

    codes: frozenset[str]
    outside: bool = False
    blank: bool = False

    def hold(self, digit: str) -> bool:
        return self.blank if digit == "" else not self.blank and (digit in self.codes) is not self.outside


class Pattern(Struct, frozen=True):
    """The condition of a rule. ``ages`` are completed years, both ends included."""

    ages: tuple[tuple[int, int], ...] = ()
    sex: str = ""
    sites: Sites | None = None
    histologies: tuple[Histologies, ...] = ()
    behaviour: Digits | None = None
    grade: Digits | None = None
    basis: Digits | None = None

    def placed(self, site: str, morphology: str, behaviour: str) -> bool:
        """Whether it holds as far as the codes of the tumour tell."""
        if self.behaviour is not None and not self.behaviour.hold(behaviour):
            return False
        if self.histologies:
            return any(clause.hold(morphology, behaviour, site) for clause in self.histologies)
        return self.sites is None or self.sites.hold(site)

    def holds(self, age: int, sex: str, grade: str, basis: str) -> bool:
        """Whether the rest of it holds too. ``age`` is -1 where it is not known."""
        return (
            (not self.ages or any(low <= age <= high for low, high in self.ages))
            and self.sex in ("", sex)
            and (self.grade is None or self.grade.hold(grade))
            and (self.basis is None or self.basis.hold(basis))
        )


def read(row: Mapping[str, str]) -> Pattern:
    """The pattern of a row of the table. A row without any condition gives an empty pattern."""
    sites = _sites(row["topography"])
    graded = row["basis_or_grade"]
    return Pattern(
        ages=tuple(_span(match) for match in _AGE.finditer(row["age"])),
        sex=row["sex"],
        sites=sites,
        histologies=tuple(_clause(text, sites) for text in _REMARK.sub("", row["morphology"]).split(";") if text.strip()),
        behaviour=_digits(row["behaviour"]),
        grade=None if graded.startswith("basis") else _digits(graded.removeprefix("grade ")),
        basis=_digits(graded.removeprefix("basis ")) if graded.startswith("basis") else None,
    )


def _span(match: re.Match[str]) -> tuple[int, int]:
    sign, bound, first, last = match.groups()
    match sign:
        case "<":
            return 0, int(bound) - 1
        case "<=":
            return 0, int(bound)
        case ">":
            return int(bound) + 1, _OLDEST
        case ">=":
            return int(bound), _OLDEST
        case _:
            return int(first), int(last)


def _sites(text: str) -> Sites | None:
    codes = _SITE.findall(text)
    return Sites(CodeRanges(" ".join(codes)), text.startswith(("allowed:", "all except"))) if codes else None


def _clause(text: str, sites: Sites | None) -> Histologies:
    codes, at, own = text.strip().partition(" at ")
    where = _sites(own) if at else None if codes.endswith("any site") else sites
    outside = codes.startswith("not ")
    if codes.startswith(("<", "below ")):
        spans = [f"0000-{int(codes[-4:]) - 1}"]
    elif codes.endswith(" and above"):
        spans = [f"{codes[:4]}-9999"]
    else:
        spans = _HISTOLOGY.findall(codes) or [_CARCINOMAS]
    return Histologies(CodeRanges(" ".join(spans)), outside, where)


def _digits(text: str) -> Digits | None:
    if not text:
        return None
    if text == "blank":
        return Digits(frozenset(), blank=True)
    spans = ((first, last or first) for first, last in _DIGITS.findall(text))
    codes = frozenset(str(digit) for first, last in spans for digit in range(int(first), int(last) + 1))
    return Digits(codes, outside=text.startswith("not "))
