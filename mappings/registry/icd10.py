"""ICD-10 at the level that a tumour registry keeps, and the conversion to and from ICD-O-3.

A hospital writes the national clinical edition (``C34.900x001``); a registry keeps the international code with its dot (``C34.9``, ``C61`` where
there is no subdivision). From the code alone a *provisional* site and histology follow (icd10_to_icdo3_defaults.csv). The other way, which is
the one that is checked, ICD-10 follows from site, histology and behaviour: icd10_conversion_rules.csv, whose rows are SR01-SR22 of
icd10_icdo3_special_rules.csv in order of precedence, with the columns of icd10_icdo3_topography.csv and icd10_haematopoietic_morphology.csv.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Final, Literal

from msgspec import Struct

from mappings.registry.icdo3 import topographies
from mappings.registry.ranges import ranges
from mappings.registry.tables import rows

Edition = Literal["canregtools", "canreg5"]
"""Which of the two live editions codes lymphoma and leukaemia: before 2010 (canregtools) or since (CanReg5)."""

EDITIONS: Final[tuple[Edition, ...]] = ("canregtools", "canreg5")
_KINDS: Final = {"melanoma_3": "8720-8790", "melanoma_in_situ_2": "8720-8790", "mesothelioma_3": "9050-9053", "kaposi_3": "9140"}
"""Columns of icd10_icdo3_topography.csv that are for certain histologies."""
_CODE: Final = re.compile(r"[†*+]?([A-Z]\d\d)(?:\.?([\dX])[\dX]*)?(?:[†*+].*)?", re.DOTALL)


class Provisional(Struct, frozen=True, omit_defaults=True):
    """What follows from an ICD-10 code alone. ``topography`` is empty where the code does not tell the site; ``candidates`` are the sites among
    which the records must decide (codes and ranges, as text). ``rule`` is the rule and the row of the table that said so."""

    topography: str
    morphology: str
    behaviour: str
    rule: str
    candidates: str = ""
    notes: str = ""
    """of the table, English"""


@lru_cache(maxsize=65536)
def registry_form(code: str) -> str:
    """The code as a registry keeps it: ``C34.900x001†`` → ``C34.9``, ``C349`` → ``C34.9``, ``C61.x00`` and ``C61.900`` → ``C61``,
    ``D46`` → ``D46``. Empty when it is no ICD-10 code. It is not looked up: see `is_neoplasm`. Of a dagger and asterisk pair the dagger
    code counts."""
    words = unicodedata.normalize("NFKC", code).upper().split()
    match = _CODE.fullmatch(words[0]) if words else None
    if match is None:
        return ""
    category, fourth = match[1], match[2]
    undivided = fourth is None or fourth == "X" or category in _undivided()
    return category if undivided else f"{category}.{fourth}"


def is_neoplasm(code: str) -> bool:
    """Whether a code in registry form exists among C00-D48: one of the national clinical edition or of the conversion tables (both
    editions), or a category without its subdivision (``C34``)."""
    return code in _existing()


def provisional(code: str) -> Provisional | None:
    """Site, histology and behaviour that an ICD-10 code of any shape stands for by default; None when the table does not have it. B21.0-B21.2
    and B21.9 stand for the neoplasm that they count as (reportable_icd10.csv)."""
    form = registry_form(code)
    counted = counts_as(form)
    row = _default(counted) or (_default(f"{counted}.9") if len(counted) == 3 else None)
    if row is None:
        return None
    topography = row["topography"].replace("*", counted[4:] or "9")
    if topography and topography not in topographies():
        return None
    rule = f"{row['icd10']} {row['rule']}" if counted == form else f"{form} → {row['icd10']} {row['rule']}"
    return Provisional(topography, row["morphology"], row["behaviour"], rule, row["candidates"], row["notes"])


def counts_as(form: str) -> str:
    """The neoplasm code that a code in registry form counts as: itself, but for B21 (B21.0 → C46.9)."""
    return _counted().get(form, form)


@lru_cache(maxsize=65536)
def icd10_of(topography: str, morphology: str, behaviour: str, edition: Edition = "canregtools", sex: str = "") -> str:
    """The ICD-10 code, in registry form, that a site, a four-digit histology and a behaviour convert to; empty when the tables have none.
    ``edition`` decides haematopoietic codes and the few cells in which CanReg5 differs; ``sex`` (1 male) matters to 8930/3 only (SR20)."""
    return conversion(topography, morphology, behaviour, edition, sex)[0]


def conversion(
    topography: str, morphology: str, behaviour: str, edition: Edition = "canregtools", sex: str = ""
) -> tuple[str, str]:
    """(ICD-10, the rule that decided it); as `icd10_of`. The rule is empty when none applies. Without a site only haematopoietic
    tumours convert."""
    if (topography and topography not in topographies()) or not (morphology.isdigit() and len(morphology) == 4):
        return "", ""
    if not topography and morphology < "9590":
        return "", ""
    for row in rows("icd10_conversion_rules"):
        if (
            _holds(row["morphology"], morphology)
            and _holds(row["behaviour"], behaviour)
            and _holds(row["topography"], topography)
            and row["edition"] in ("", edition)
            and row["sex"] in ("", sex)
        ):
            return _result(row["icd10"], topography, morphology, behaviour, edition), row["rule"]
    return "", ""


def accepted(topography: str, morphology: str, behaviour: str) -> frozenset[str]:
    """Every ICD-10 code that a site, a histology and a behaviour may carry without contradiction: the conversions of both editions for either
    sex, and where no haematopoietic rule applies the site's own columns, which other programs use (C70.9 9530/0 converts to D32.0 by SR15,
    D32.9 is no contradiction)."""
    codes = {icd10_of(topography, morphology, behaviour, edition, sex) for edition in EDITIONS for sex in ("1", "2")}
    if (site := _sites().get(topography)) is not None and morphology < "9590":
        columns = ["malignant_3", "in_situ_2", "benign_0", "uncertain_1"] + [
            name for name, row in _KINDS.items() if morphology in ranges(row)
        ]
        codes |= {site[column] for column in columns if column.endswith(f"_{behaviour}")}
    return frozenset(codes - {""})


def _holds(cell: str, code: str) -> bool:
    return not cell or code in ranges(cell)


def _result(cell: str, topography: str, morphology: str, behaviour: str, edition: Edition) -> str:
    """What a cell of the conversion rules stands for: a code, one with the site's fourth digit (``C43.*``), or a column of another
    table (``@``)."""
    if cell == "@haematopoietic":
        return _haematopoietic().get((morphology, behaviour), {}).get(edition, "")
    if not cell.startswith("@"):
        return cell.replace("*", topography[4:])
    site = _sites().get(topography)
    if site is None:
        return ""
    return _canreg5(site["canreg5"]).get(behaviour, site[cell[1:]]) if edition == "canreg5" else site[cell[1:]]


@cache
def _canreg5(cell: str) -> Mapping[str, str]:
    """By behaviour the codes in which CanReg5 differs (``0=D11.7 1=``). Its codes for malignant solid tumours of blood, marrow and nodes (/3 of
    C42 and C77) are not followed: such a tumour has its primary elsewhere."""
    cells = (item.partition("=") for item in cell.split())
    return {behaviour: code for behaviour, _, code in cells if behaviour != "3"}


@cache
def _default(form: str) -> dict[str, str] | None:
    return next((row for row in rows("icd10_to_icdo3_defaults") if form and form in ranges(row["icd10"])), None)


@cache
def _counted() -> Mapping[str, str]:
    return MappingProxyType({row["from"]: row["counts_as"] for row in rows("reportable_icd10") if row["counts_as"]})


@cache
def _existing() -> frozenset[str]:
    codes = {row["code"] for row in rows("icd10_neoplasms")}
    return frozenset(codes | {code[:3] for code in codes})


@cache
def _undivided() -> frozenset[str]:
    """Categories without subdivision (SR23, and C97): the list of neoplasm codes has them with three characters only."""
    codes = {row["code"] for row in rows("icd10_neoplasms")}
    return frozenset(code for code in codes if len(code) == 3)


@cache
def _sites() -> Mapping[str, dict[str, str]]:
    return {row["topography"]: row for row in rows("icd10_icdo3_topography")}


@cache
def _haematopoietic() -> Mapping[tuple[str, str], dict[str, str]]:
    return {(row["morphology"], row["behaviour"]): row for row in rows("icd10_haematopoietic_morphology")}
