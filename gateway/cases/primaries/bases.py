"""The basis of diagnosis that sources state, or that procedures and markers of a stay bear out, as digits of the old card.

Codes of `gateway.model.stay.Tumour.basis` are the words of the FHIR reader. A word that stands for several digits counts as the lowest of
them. Specific markers are those that registries accept by convention (specific_markers.csv); a marker counts only where the laboratory calls
it positive or raised. Procedures count by their name, imaging and endoscopy as 2, operations not at all: whether there was histology is not
theirs to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Final

from gateway.model.stay import Marker, Procedure
from gateway.model.values import Coded
from mappings.registry.ranges import ranges
from mappings.registry.tables import rows

_STATED: Final = {
    "histology": ("7", "来源系统注明：组织学"),
    "pathology": ("5", "来源系统注明：病理（未区分组织学与细胞学，按细胞学计）"),
    "cytology": ("5", "来源系统注明：细胞学"),
    "tumour-marker": ("4", "来源系统注明：肿瘤标志物"),
    "imaging": ("2", "来源系统注明：影像检查"),
    "clinical": ("1", "来源系统注明：临床检查"),
}
_OF_A_METASTASIS: Final = ("6", "来源系统注明：转移灶组织学")
_LOOKING: Final = re.compile(
    r"内[镜窥]|镜检|[支气管胃肠膀胱腹胸宫阴道喉鼻咽食]镜(?!下.*(切除|剥离|结扎))|CT|MRI|磁共振|断层|超声|造影|扫描|PET"
)
_RAISED: Final = re.compile(r"阳性|升高|增高|偏高|\bpos(itive)?\b|\bhigh\b|^H{1,2}$|^\+{1,4}$|10828004", re.IGNORECASE)


def stated(basis: Coded | None, *, secondary: bool) -> tuple[str, str]:
    """(digit, reason) of a stated basis; empty where it has no digit. Histology of a metastasis is 6."""
    word = (basis.code or "") if basis is not None else ""
    if word == "histology" and secondary:
        return _OF_A_METASTASIS
    return _STATED.get(word, ("", ""))


def card_digit(text: str) -> str:
    """A digit of the old card, empty for anything else."""
    return text if len(text) == 1 and text.isdigit() and text.isascii() else ""


def looked_at(procedures: Iterable[Procedure]) -> tuple[str, str]:
    """Imaging or endoscopy among procedures, by name."""
    for procedure in procedures:
        name = (procedure.operation.display or "") if procedure.operation is not None else ""
        if _LOOKING.search(name):
            return "2", "本次住院做过影像或内镜检查"
    return "", ""


def marked(markers: Iterable[Marker], icd10: str) -> tuple[str, str]:
    """A specific tumour marker of the site that is positive or raised."""
    for marker in markers:
        test = " ".join(text for text in (marker.test.display, marker.test.code) if text) if marker.test is not None else ""
        result = [marker.value or ""]
        if marker.finding is not None:
            result += [marker.finding.display or "", marker.finding.code or ""]
        if test and any(_RAISED.search(text) for text in result) and any(word in test.upper() for word in _specific(icd10)):
            return "4", "特异性肿瘤标志物阳性或升高"
    return "", ""


@cache
def _specific(icd10: str) -> tuple[str, ...]:
    """Names of the markers that are specific for a diagnosis, in capitals."""
    found = [row["names"] for row in rows("specific_markers") if icd10 in ranges(row["icd10"])]
    return tuple(name.upper() for names in found for name in names.split("|"))
