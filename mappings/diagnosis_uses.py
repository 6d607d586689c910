"""Words of the map ``diagnosis-use`` (``mappings/sources/codes.csv``): what a stated kind of diagnosis means on the front sheet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.model.facts import DiagnosisUse

USES: Final[Mapping[str, tuple[DiagnosisUse, int | None]]] = {
    "discharge": ("discharge", None),
    "principal": ("discharge", 1),
    "other": ("discharge", 2),
    "admission": ("admission", None),
    "outpatient": ("outpatient", None),
    "external_cause": ("external_cause", None),
    "pathology": ("pathology", None),
    "working": ("working", None),
}
"""(use, the rank that the word implies); others (其他诊断) stand behind the main one."""
