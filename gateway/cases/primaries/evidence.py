"""What one source says of who a person is, and of the person's tumours.

A *sighting* is one stay, one handed-in report card or one death certificate: it shows a person at one moment. *Evidence* is what a sighting says
of one tumour. Sightings are linked to persons (`persons`), the evidence of a person falls into primary tumours (`grouping`).

Keys are stable: they name the sighting and what is said in it, not its position, so that a person's decision about them outlives new versions.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

EvidenceKind = Literal["primary", "secondary", "treatment", "history", "screening"]
"""``primary``: a reportable tumour. ``secondary``: C77-C79 or behaviour 6, calls for the primary. ``treatment``: an encounter for treatment
or follow-up of a tumour that it does not name by itself (Z51, Z08). ``history``: Z85, Z86.0, Z92.6: a person should look. ``screening``: Z12,
Z40.0: only the result counts."""

Origin = Literal["stated", "derived", ""]
"""Whether a source states a code itself, or it follows from the diagnosis by a table; empty where there is none."""


class Sighting(Struct, frozen=True, omit_defaults=True):
    """Who was seen. ``key`` is ``stay:17``, ``card:5`` or ``death:9``. ``sex`` is 1, 2 or empty, ``birth_date`` and ``at`` (the day that the
    sighting speaks of: admission, report, death) ISO dates; ``name``, ``address`` and ``phone`` are as written."""

    key: str
    at: str = ""
    resident_id: str = ""
    """the number, valid by its check digit (`gateway.model.resident_id`); others are not used for linking"""
    name: str = ""
    sex: str = ""
    birth_date: str = ""
    address: str = ""
    phone: str = ""
    organisation: str = ""
    record_number: str = ""
    """病案号: one number per patient of one institution, across stays"""


class Evidence(Struct, frozen=True, omit_defaults=True):
    """What a sighting says of one tumour. ``key`` is the sighting's key with what is said (``stay:17/C50.9``, ``stay:17/C50.9/2`` for a second
    one). ``diagnosis`` is the code as received, ``icd10`` its registry form (``C50.9``). ``morphology`` has four digits."""

    key: str
    sighting: str
    kind: EvidenceKind
    diagnosis: str = ""
    icd10: str = ""
    name: str = ""
    topography: str = ""
    topography_origin: Origin = ""
    morphology: str = ""
    behaviour: str = ""
    morphology_origin: Origin = ""
    """of ``morphology`` and ``behaviour``"""
    laterality: str = ""
    grade: str = ""
    basis: tuple[str, ...] = ()
    """digits of the old report card (0 to 9) that apply, ascending"""
    basis_reasons: dict[str, str] = {}
    """by digit, in Chinese, what it rests on"""
    diagnosed_on: str = ""
    diagnosed_from: str = ""
    """in Chinese, what the date is: 确诊日期, 病理报告日期, 入院日期 …"""
    pathology_name: str = ""
    pathology_no: str = ""
    stages: dict[str, str] = {}
    """card fields ``tnm_pt`` … ``stage_group`` in T/CHIA codes"""
    recurrence: bool = False
    """the source says that it is a recurrence or progression"""
    path: str = ""
    """where it stands in the stay (``diagnoses.principal.condition``), for provenance"""


class Seen(Struct, frozen=True):
    """A sighting with its evidence."""

    sighting: Sighting
    evidence: tuple[Evidence, ...] = ()
