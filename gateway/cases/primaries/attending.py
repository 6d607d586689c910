"""What belongs to a tumour without being one: metastases (C77-C79, behaviour 6), encounters for treatment (Z51, Z08), histories (Z85).

A metastasis belongs to the person's only solid malignant tumour, of the same stay first. Where there is none and its histology is known, it is
a tumour of unknown primary site until the primary is found: C80.9, behaviour 3, histology unchanged (registry reference §7.6, behaviour.csv).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Final

from msgspec.structs import replace

from gateway.cases.primaries.case import Step
from gateway.cases.primaries.evidence import Evidence
from gateway.cases.primaries.placing import Placing, Tumour
from gateway.cases.primaries.units import Unit, fits_histology
from mappings.registry.multiple_primary import UNKNOWN_SITE, histology_group
from mappings.registry.ranges import CodeRanges, ranges
from mappings.registry.tables import rows

_HAEMATOPOIETIC: Final = frozenset({"M8", "M9", "M10", "M11", "M12", "M13", "M14"})
_UNKNOWN_CODE: Final = "C80"


def confirmed(unit: Unit) -> bool:
    """Whether the histology of a metastasis is known."""
    return any(one.morphology for one in unit.leading)


def metastasis(unit: Unit, placing: Placing) -> tuple[list[Tumour], Step | None]:
    """The tumours that a metastasis may be of, those of its own sightings first, and the step that joins it where there is one."""
    histologies = {one.morphology for one in unit.leading if one.morphology}
    fitting = [
        tumour
        for tumour in placing.allowed(unit)
        if _spreads(tumour) and all(fits_histology(tumour.neoplasm.morphology, histology) for histology in histologies)
    ]
    fitting = _here(unit, fitting) or fitting
    if len(fitting) != 1:
        return fitting, None
    return fitting, Step(
        "S0",
        f"{unit.key}：转移灶，归入原发肿瘤，不是新的原发",
        f"{unit.key}: a metastasis, of the primary tumour, no new primary",
    )


def of_unknown_site(unit: Unit, days: Mapping[str, str]) -> Unit:
    """A metastasis with known histology and without a primary, as a tumour of unknown site."""
    return Unit([_unknown_site(one) if one.kind == "secondary" else one for one in unit.evidence], days)


def treatment(unit: Unit, placing: Placing, listed: Mapping[str, int]) -> tuple[Tumour | None, Step]:
    """The tumour that an encounter was for: the first that its own stay names (``listed`` is the place of evidence in its sighting; the tumour
    that is treated is coded first after Z51), else the person's only one."""
    here = _here(unit, placing.allowed(unit))
    if here:
        tumour = min(here, key=lambda one: min(listed[e.key] for e in one.primaries if e.sighting in unit.sightings))
        zh, en = "治疗或随诊，归入本次住院诊断中排在最前的肿瘤", "treatment or follow-up of the tumour that its stay names first"
        return tumour, Step("TREATMENT", f"{unit.key}：{zh}", f"{unit.key}: {en}")
    if len(placing.tumours) == 1 and placing.allowed(unit):
        zh, en = "治疗或随诊，归入患者唯一的肿瘤", "treatment or follow-up of the person's only tumour"
        return placing.tumours[0], Step("TREATMENT", f"{unit.key}：{zh}", f"{unit.key}: {en}")
    zh, en = (
        (
            "患者有多个肿瘤，本次住院没有写明是哪一个，需人工判断",
            "several tumours, and the stay does not say which: a person decides",
        )
        if placing.tumours
        else ("治疗或随诊，但没有找到任何肿瘤，可能漏报", "treatment or follow-up, but no tumour is known: it may have been missed")
    )
    return None, Step("TREATMENT", f"{unit.key}：{zh}", f"{unit.key}: {en}")


def known_history(unit: Unit, tumours: Iterable[Tumour]) -> bool:
    """Whether the tumour that a history speaks of is known here."""
    about = _history(unit.leading[0].icd10)
    return any(about is None or any(code in about for code in tumour.codes) for tumour in tumours)


def _spreads(tumour: Tumour) -> bool:
    """Whether a tumour is solid and malignant."""
    solid = histology_group(tumour.neoplasm.morphology) not in _HAEMATOPOIETIC
    return solid and any(one.behaviour in ("3", "") for one in tumour.primaries)


def _here(unit: Unit, tumours: Sequence[Tumour]) -> list[Tumour]:
    return [tumour for tumour in tumours if not unit.sightings.isdisjoint(tumour.sightings)]


def _unknown_site(one: Evidence) -> Evidence:
    return replace(one, kind="primary", icd10=_UNKNOWN_CODE, topography=UNKNOWN_SITE, topography_origin="derived", behaviour="3")


@cache
def _history(code: str) -> CodeRanges | None:
    """The codes of the tumours that a history may be of; None where it does not say."""
    return next((ranges(row["icd10"]) for row in rows("history_codes") if row["code"] == code), None)
