"""Stagings of a tumour as the card has them: T/CHIA codes (tnm_stage.csv), clinical and pathological apart, only where they are stated."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from gateway.model.stay import Stage
from gateway.model.values import Coded

_CATEGORY: Final = re.compile(r"([cpyra]*)([TNM])\s*(IS|X|\d)", re.IGNORECASE)
_CODES: Final[Mapping[str, Mapping[str, str]]] = {
    "T": {"0": "0", "1": "1", "2": "2", "3": "3", "4": "4", "IS": "5", "X": "9"},
    "N": {"0": "0", "1": "1", "2": "2", "3": "3", "X": "9"},
    "M": {"0": "0", "1": "1"},
}
_GROUP: Final = re.compile(r"(?:STAGE|分期)?\s*[:：]?\s*(IV|III|II|I|0)\s*[A-E]?\d*\s*(?:期|STAGE)?", re.IGNORECASE)
_GROUPS: Final = {"0": "1", "I": "2", "II": "3", "III": "4", "IV": "5"}
_OTHER_SCHEMES: Final = ("RAI", "BINET", "ISS", "INSS", "INRG", "CLARK", "EVANS")
"""Schemes whose stages are not 0 to IV of the card."""


def staged(stages: Iterable[Stage]) -> dict[str, str]:
    """Card fields ``tnm_ct`` to ``tnm_pm`` and ``stage_group``. Where nobody says whether a staging is clinical or pathological, its own text
    may (``pT2``); the pathological stage group goes before the clinical one."""
    fields: dict[str, str] = {}
    groups: dict[str, str] = {}
    for stage in stages:
        kind = {"clinical": "c", "pathologic": "p"}.get(stage.kind or "", "")
        for letter, value in (("T", stage.t), ("N", stage.n), ("M", stage.m)):
            prefix, code = _category(letter, value)
            if code and (axis := kind or prefix):
                fields.setdefault(f"tnm_{axis}{letter.lower()}", code)
        if code := _group(stage):
            groups.setdefault(kind, code)
    if group := groups.get("p") or groups.get("c") or groups.get(""):
        fields["stage_group"] = group
    return fields


def _category(letter: str, value: Coded | None) -> tuple[str, str]:
    for text in _texts(value):
        match = _CATEGORY.search(text)
        if match is not None and match[2].upper() == letter:
            prefix = "p" if "p" in match[1].lower() else "c" if "c" in match[1].lower() else ""
            return prefix, _CODES[letter].get(match[3].upper(), "")
    return "", ""


def _group(stage: Stage) -> str:
    scheme = " ".join(_texts(stage.system)).upper()
    if any(other in scheme for other in _OTHER_SCHEMES):
        return ""
    for text in _texts(stage.group):
        if (match := _GROUP.fullmatch(text)) is not None:
            return _GROUPS[match[1].upper()]
    return ""


def _texts(value: Coded | None) -> list[str]:
    """Name and code, Roman numerals as letters."""
    if value is None:
        return []
    return [unicodedata.normalize("NFKC", text).strip() for text in (value.display, value.code) if text]
