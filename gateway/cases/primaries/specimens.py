"""Pathology of a stay brought to the tumours that it speaks of.

A coded histology belongs to the stay's only reportable diagnosis. Beside several it goes to the one that it fits: first by the histology group,
then by what it says itself: the behaviour, a site that the histology has by itself (8500 is of the breast, SR18), an organ that the text names.
Where that leaves several of different sites it stays by itself, and a person links it. Two histologies of different groups at one site are two
tumours (multiple-primary rules, S6). A text without a code gives its name and number, never a histology or a basis.

Basis of diagnosis (basis_of_diagnosis.csv): 7 histology of the primary, 6 of a metastasis (behaviour 6 or 9), 5 cytology, blood and marrow
films, 8 autopsy with histology. What kind of specimen it was is read from the report; leukaemia of which nothing is said counts as a film.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Final

from gateway.cases.primaries.morphology import parsed
from gateway.cases.primaries.telling import Telling
from gateway.model.stay import Pathology
from mappings.registry.icd10 import icd10_of, provisional
from mappings.registry.multiple_primary import UNKNOWN_SITE, Neoplasm, compare, site_group
from mappings.registry.ranges import ranges
from mappings.registry.reportable import of
from mappings.registry.tables import rows

_NOT_A_DIAGNOSIS: Final = "frozen"
_SPEAKING_BY_ITSELF: Final = ("0", "1")
"""Behaviours of tumours that are reported at certain sites only: such a report bears out no malignant diagnosis."""
_METASTASIS: Final = ("6", "9")
_AUTOPSY: Final = re.compile(r"尸检|尸体解剖")
_TREPHINE: Final = re.compile(r"活检|活组织|切除|穿刺组织")
_CYTOLOGY: Final = re.compile(r"细胞学|涂片|TCT|LCT|胸水|腹水|血片|骨髓象|骨髓片|脱落细胞")
_MARROW: Final = "C42"
_BESIDE_ORGAN: Final = re.compile(r"[、，,]|及|的")
_ORGANS: Final = "small (national 59-site list)"


def bring(tellings: list[Telling], reports: Iterable[tuple[str, Pathology]]) -> None:
    """Bring reports (path in the stay, report) to the tumours that they speak of; those that find none are added as tellings of their own."""
    for path, report in reports:
        if report.kind != _NOT_A_DIAGNOSIS:
            _bring(tellings, path, report)


def _bring(tellings: list[Telling], path: str, report: Pathology) -> None:
    code = (report.morphology.code if report.morphology is not None else None) or ""
    histology, behaviour = parsed(code)
    primaries = [telling for telling in tellings if telling.kind == "primary"]
    if not histology:
        if len(primaries) == 1:
            _name(primaries[0], report)
        return
    found = _owner(primaries, histology, behaviour, _text(report))
    if found is None and behaviour in _METASTASIS:
        found = next((telling for telling in tellings if telling.kind == "secondary" and not telling.morphology), None)
    if found is None:
        if not _reported(histology, behaviour):
            return
        found = Telling("secondary" if behaviour in _METASTASIS else "primary", name=_text(report), path=path)
        tellings.append(found)
    elif found.morphology_origin == "stated" and _another(found, histology, behaviour):
        found = _beside(found)
        tellings.append(found)
    found.rests_on(*_basis(found, histology, behaviour, report))
    found.state_histology(histology, behaviour)
    found.confirmed = True
    found.dates.append((report.reported_on or "", "病理报告日期"))
    _name(found, report)


def _owner(primaries: Sequence[Telling], histology: str, behaviour: str, text: str) -> Telling | None:
    """The diagnosis that a histology belongs to."""
    if behaviour in _SPEAKING_BY_ITSELF:
        primaries = [telling for telling in primaries if telling.behaviour in _SPEAKING_BY_ITSELF]
    if len(primaries) == 1:
        return primaries[0]
    fitting = [telling for telling in primaries if _fits(telling, histology, behaviour)]
    site = own_site(histology, behaviour)
    marks: tuple[Callable[[Telling], bool], ...] = (
        lambda telling: telling.behaviour == behaviour,
        lambda telling: bool(site) and site_group(telling.topography) == site,
        lambda telling: any(organ in text for organ in _organs(telling.icd10)),
    )
    for mark in marks:
        fitting = [telling for telling in fitting if mark(telling)] or fitting
    return fitting[0] if fitting and len({site_group(telling.topography) for telling in fitting}) == 1 else None


def _fits(telling: Telling, histology: str, behaviour: str) -> bool:
    site = telling.topography or UNKNOWN_SITE
    return compare(Neoplasm(site, telling.morphology), Neoplasm(site, histology, behaviour)).result == "duplicate"


def _another(telling: Telling, histology: str, behaviour: str) -> bool:
    """Whether a histology is of another tumour than the one that is stated already."""
    site = telling.topography or UNKNOWN_SITE
    return compare(Neoplasm(site, telling.morphology), Neoplasm(site, histology, behaviour)).result == "multiple-primary"


def _beside(telling: Telling) -> Telling:
    """A second tumour under the same diagnosis: what the diagnosis says, without what pathology said of the first."""
    again = Telling("primary", telling.diagnosis, telling.icd10, telling.name, telling.path)
    return replace(
        again,
        topography=telling.topography,
        topography_origin=telling.topography_origin,
        laterality=telling.laterality,
        basis={digit: reason for digit, reason in telling.basis.items() if digit < "5"},
        dates=[entry for entry in telling.dates if entry[1] != "病理报告日期"],
    )


def _basis(telling: Telling, histology: str, behaviour: str, report: Pathology) -> tuple[str, str]:
    text = _text(report)
    if _AUTOPSY.search(text):
        return ("6", "尸检：转移灶组织学") if behaviour in _METASTASIS else ("8", "尸检并有病理")
    if _CYTOLOGY.search(text) and not _TREPHINE.search(text):
        return "5", "病理报告注明细胞学、血片或骨髓涂片"
    if behaviour in _METASTASIS:
        return "6", f"病理编码行为学为{behaviour}：转移灶组织学"
    marrow = telling.topography.startswith(_MARROW) or (not telling.topography and histology >= "9800")
    if marrow and not report.diagnosis and not _TREPHINE.search(text):
        return "5", "白血病等骨髓疾病的诊断，未说明标本种类，按血片、骨髓涂片计"
    return "7", "病理诊断编码：原发灶组织学"


def _name(telling: Telling, report: Pathology) -> None:
    name = (report.morphology.display if report.morphology is not None else None) or report.diagnosis
    telling.pathology_name = telling.pathology_name or name or ""
    telling.pathology_no = telling.pathology_no or report.specimen_number or ""


def _text(report: Pathology) -> str:
    name = report.morphology.display if report.morphology is not None else None
    return "；".join(dict.fromkeys(text for text in (name, report.diagnosis) if text))


def _reported(histology: str, behaviour: str) -> bool:
    """Whether a histology alone tells of a tumour that a registry wants to hear of."""
    return behaviour in ("2", "3", *_METASTASIS) or of(icd10_of(UNKNOWN_SITE, histology, behaviour)).action == "report"


@cache
def own_site(histology: str, behaviour: str) -> str:
    """The group of the only site that a histology has by itself (SR18); empty where it has none."""
    code = icd10_of(UNKNOWN_SITE, histology, "3" if behaviour in _METASTASIS else behaviour)
    default = provisional(code) if code and not code.startswith("C80") else None
    return site_group(default.topography) if default is not None else ""


@cache
def _organs(icd10: str) -> tuple[str, ...]:
    """Names of the organ that a code is about, of the national list of sites."""
    for row in rows("site_groups"):
        if row["list"] == _ORGANS and icd10 in ranges(row["icd10"].replace(";", " ")):
            return tuple(
                word for word in _BESIDE_ORGAN.split(row["name_zh"]) if word and not word.startswith(("其他", "未", "部位"))
            )
    return ()
