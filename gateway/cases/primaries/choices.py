"""A hospital's choices about cancer registration (``[registry]`` of the configuration); what a choice means stands with each."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class RegistryChoices(Struct, frozen=True):
    """Choices that bear on tumours and their cards; picklable."""

    in_situ: Literal["together", "apart"] = "together"
    """whether an in-situ and a later invasive tumour of one site and histology are one record (IARC: behaviour is not used by the test) or two
    (where the registry asks for it); multiple_primary.csv S0"""
    icd10_edition: Literal["canregtools", "canreg5"] = "canregtools"
    """which of the two live ICD-10 editions codes lymphoma and leukaemia (registry reference §7.3)"""
    pituitary: bool = False
    """whether D35.2-D35.4 and D44.3-D44.5 are reported; sources disagree (reportable_icd10.csv)"""
    certain_score: int = 90
    """from this score (of 100) two sightings without a common number are the same person"""
    doubtful_score: int = 65
    """from this score a person decides"""
    diagnosing_level: str = ""
    """level of this hospital (workflow_codes.csv ``diagnosing_level``), for 最高诊断单位"""
