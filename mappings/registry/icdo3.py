"""ICD-O-3 as cancer registration in China uses it: topography, morphology, paired organs.

No complete list of ICD-O-3.2 morphology is open. What is known here is the national list (371号文 annex 1), the pairs of the haematopoietic
tables and the codes that the conversion tables name. So a histology that is not known (`is_morphology`) or a pair that is not listed
(`is_listed`) is worth a question, not a refusal.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from mappings.registry.ranges import ranges
from mappings.registry.tables import rows

UNSTORED: Final = frozenset({"6", "9"})
"""behaviours that a report card never has: secondary, and primary or secondary not stated (behaviour.csv)"""


def is_topography(code: str) -> bool:
    """Whether it is one of the 330 topography codes (``C34.1``)."""
    return code in topographies()


def is_morphology(histology4: str) -> bool:
    """Whether the four digits of a histology are known; unknown does not mean wrong, see the module."""
    return histology4 in _histologies()


def is_listed(morphology4: str, behaviour: str) -> bool:
    """Whether the pair of histology and behaviour is listed. Behaviours 6 and 9 of the national list are no pairs of a registry."""
    return behaviour not in UNSTORED and (morphology4, behaviour) in _pairs()


def morphology_name(morphology4: str, behaviour: str) -> str:
    """The Chinese name of a pair, of the national list's first extension where it has several; empty where there is none."""
    return _pairs().get((morphology4, behaviour), "")


def paired(topography: str) -> bool:
    """Whether the organ is one of a pair and needs a laterality (paired_sites.csv: confidence *derived*, T/CHIA lists no organs)."""
    return any(topography in ranges(row["topography"]) for row in rows("paired_sites"))


@cache
def topographies() -> frozenset[str]:
    """All topography codes."""
    return frozenset(row["topography"] for row in rows("icd10_icdo3_topography"))


@cache
def _pairs() -> Mapping[tuple[str, str], str]:
    """Name by (histology, behaviour); behaviours 6 and 9 included, because a pathology report may state them."""
    found: dict[tuple[str, str], str] = {}
    text = files("mappings").joinpath("codes", "icd", "icdo3_morphology_zh.csv").read_text("utf-8")
    # a name that belongs to a disease beside which the code is printed gives way to the name of the morphology itself
    for row in sorted(csv.DictReader(io.StringIO(text)), key=lambda row: (bool(row["disease_code"]), row["code"])):
        found.setdefault((row["histology4"], row["behaviour"]), row["name_zh"])
    for row in rows("icdo3_additions"):
        found.setdefault((row["morphology"], row["behaviour"]), row["name_zh"])
    for name in ("icd10_haematopoietic_morphology", "icd10_to_icdo3_defaults"):
        for row in rows(name):
            found.setdefault((row["morphology"], row["behaviour"]), "")
    return found


@cache
def _histologies() -> frozenset[str]:
    named = (item for row in rows("icd10_conversion_rules") for item in row["morphology"].split() if "-" not in item)
    return frozenset(histology for histology, _ in _pairs()) | frozenset(named)
