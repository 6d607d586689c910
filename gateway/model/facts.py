"""What one message says about a stay, before anything is made of it.

A reader (HL7 v2, FHIR) turns a message into `Facts`: flat assertions about canonical paths, each with the source field it came from,
and grouped assertions (diagnoses, procedures, pathology reports, movements, drugs) that come in snapshots or one by one. Facts hold no
decision: which message wins, what is final and what is withdrawn is `gateway.cases.assembly`'s part, a pure function of all facts of a
stay. So messages may arrive in any order, and a late or withdrawn one changes exactly what it said.

Times are ISO 8601, China time without an offset, with the precision they came with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

from msgspec import Struct, field

from gateway.model.values import Coded, Date, DateTime, Text

NOTHING = "-"
"""A sender's answer that there is nothing to say of an item; on the front sheet it is printed so."""

Action = Literal["", "add", "update", "delete"]
"""What an action code asks for (DG1-21, PR1-20, RXA-21, ORC-1); empty for a snapshot entry."""

Severity = Literal["error", "warning", "info"]
"""How grave a remark is."""

VisitKind = Literal["inpatient", "outpatient", "emergency", "check-up"]
"""Kinds of visits, where the sender tells one."""

VISIT_KINDS: Final[Mapping[str, VisitKind]] = {kind: kind for kind in get_args(VisitKind)}

DiagnosisUse = Literal["discharge", "admission", "outpatient", "external_cause", "pathology", "working"]
"""The role of a diagnosis on the front sheet; ``working`` ones are kept and never reported."""

PathologyKind = Literal["routine", "frozen", "supplement"]
"""Kinds of pathology reports."""

PATHOLOGY_KINDS: Final[Mapping[str, PathologyKind]] = {kind: kind for kind in get_args(PathologyKind)}

PathologyStatus = Literal["final", "preliminary", "corrected", "withdrawn"]
"""How far a pathology report has come."""

PATHOLOGY_STATUSES: Final[Mapping[str, PathologyStatus]] = {status: status for status in get_args(PathologyStatus)}

TumourRole = Literal["", "primary", "secondary"]
"""Primary tumour or metastasis; empty where nobody says."""

StageKind = Literal["clinical", "pathologic", "other"]
"""What a staging is based on."""

MedicationState = Literal["ordered", "given", "cancelled"]
"""What became of a drug."""


class Fact(Struct, frozen=True, omit_defaults=True):
    """``path`` of the stay has ``value``, says ``source`` (``PID-5.1``). A value of None deletes (HL7's ``""``). Amounts are text and
    become decimals where the model wants them. ``derived`` marks what was computed (a birth date out of a resident ID)."""

    path: str
    value: Coded | int | str | None
    source: str
    derived: bool = False


class PatientKey(Struct, frozen=True, omit_defaults=True):
    """Numbers under which a source knows the patient: 病案号/住院号 (``record_number``), resident ID, and others by their kind."""

    record_number: Text = ""
    resident_id: Text = ""
    others: dict[str, str] = {}


class VisitKey(Struct, frozen=True, omit_defaults=True):
    """What a source says of the visit: its number (PV1-19), 住院次数, kind (``inpatient``, ``outpatient``, ``emergency``, ``check-up`` or
    empty when not said)."""

    number: Text = ""
    admission_number: int | None = None
    kind: Literal["", VisitKind] = ""


class DiagnosisFact(Struct, frozen=True, omit_defaults=True):
    """A diagnosis. ``use`` is its role on the front sheet; ``working`` ones are kept and never reported. ``rank`` 1 is the main diagnosis
    where the use is ``discharge``; None where the sender does not rank. ``key`` identifies it across messages (DG1-20, else its code)."""

    condition: Coded
    source: str
    use: DiagnosisUse = "discharge"
    rank: int | None = None
    key: Text = ""
    action: Action = ""
    present_on_admission: Coded | None = None
    outcome: Coded | None = None
    confirmed_on: Date | None = None


class ProcedureFact(Struct, frozen=True, omit_defaults=True):
    """An operation or procedure; ``rank`` 1 is the main one (PR1-14)."""

    operation: Coded
    source: str
    started_at: DateTime | None = None
    rank: int | None = None
    key: Text = ""
    action: Action = ""
    level: Coded | None = None
    duration_hours: Text | None = None
    operator: Text | None = None
    first_assistant: Text | None = None
    second_assistant: Text | None = None
    incision_healing: Coded | None = None
    anaesthesia: Coded | None = None
    anaesthetist: Text | None = None
    asa_grade: Coded | None = None


class PathologyFact(Struct, frozen=True, omit_defaults=True):
    """One pathology report as it stood in one message. Reports with one ``specimen_number`` (病理号) are one case: a frozen section is
    never the diagnosis, a supplement adds, a correction replaces, a withdrawal empties.

    ``final`` tells whether the laboratory calls it final (OBR-25, OBX-11). ``texts`` by section: gross, diagnosis, microscopy,
    supplement, frozen, special."""

    specimen_number: Text
    source: str
    kind: PathologyKind = "routine"
    status: PathologyStatus = "final"
    texts: dict[str, str] = {}
    morphology: Coded | None = None
    reported_at: DateTime | None = None


class TumourFact(Struct, frozen=True, omit_defaults=True):
    """What is said of one tumour. ``key`` identifies it across messages of one source; several statements with one key add to each other.
    ``recorded``: ``diagnosed_on`` is only the day on which it was written down. Members as in `gateway.model.stay.Tumour`."""

    key: Text
    source: str
    condition: Coded | None = None
    role: TumourRole = ""
    topography: Coded | None = None
    laterality: Coded | None = None
    morphology: Coded | None = None
    grade: Coded | None = None
    basis: Coded | None = None
    course: Coded | None = None
    diagnosed_on: Date | None = None
    size_mm: Text | None = None
    recorded: bool = False


class StageFact(Struct, frozen=True, omit_defaults=True):
    """A staging, whole or in part (a T category by itself). ``tumour`` is the key of the tumour, empty where the source does not say;
    statements with the same ``tumour`` and ``key`` are one staging. Members as in `gateway.model.stay.Stage`."""

    tumour: Text
    key: Text
    source: str
    kind: StageKind = "other"
    system: Coded | None = None
    t: Coded | None = None
    n: Coded | None = None
    m: Coded | None = None
    group: Coded | None = None
    staged_on: Date | None = None


class MarkerFact(Struct, frozen=True, omit_defaults=True):
    """A tumour marker or receptor status of ``tumour`` (empty where the source does not say); ``key`` identifies the result. Members as
    in `gateway.model.stay.Marker`."""

    tumour: Text
    key: Text
    source: str
    test: Coded
    value: Text | None = None
    unit: Text | None = None
    finding: Coded | None = None
    tested_on: Date | None = None


class MedicationFact(Struct, frozen=True, omit_defaults=True):
    """A drug ordered or given. ``key`` is the order's number (ORC-2/3); ``state`` follows ORC-1 and RXA-20/21."""

    drug: Coded
    source: str
    key: Text = ""
    state: MedicationState = "ordered"
    dose: Text | None = None
    unit: Text | None = None
    route: Coded | None = None
    group: Text = ""
    at: DateTime | None = None


class MovementFact(Struct, frozen=True, omit_defaults=True):
    """A transfer (A02): where to, and when."""

    department: Coded
    source: str
    ward: Text | None = None
    at: DateTime | None = None


class Remark(Struct, frozen=True, omit_defaults=True):
    """Something about the message that a person should know: a check digit that is wrong, a code that no map has. ``rule`` is a stable
    word, ``source`` the field; never the value."""

    rule: str
    source: str
    message: str
    english: str = ""
    severity: Severity = "warning"


class Facts(Struct, omit_defaults=True):
    """All that one message says. ``message`` identifies it for provenance, ``mapping`` names the dialect it was read by.

    ``event`` is MSH-9 (``ADT^A01``), ``occurred`` the time of the event (EVN-2, else MSH-7), ``cancels`` the trigger that this message
    takes back (``A01`` for A11). ``snapshot`` names the groups that the message states completely (diagnoses, procedures): what it
    does not repeat is gone. ``merged_from`` are record numbers that now belong to this patient (A40). ``live`` is False for test and
    training messages (MSH-11 D, T), which never become a stay. ``part`` tells apart what one message says of several stays.
    """

    message: str
    mapping: str
    event: str
    occurred: DateTime
    patient: PatientKey = PatientKey()
    visit: VisitKey = VisitKey()
    live: bool = True
    cancels: str = ""
    merged_from: list[str] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    snapshot: list[str] = field(default_factory=list)
    diagnoses: list[DiagnosisFact] = field(default_factory=list)
    procedures: list[ProcedureFact] = field(default_factory=list)
    pathology: list[PathologyFact] = field(default_factory=list)
    medications: list[MedicationFact] = field(default_factory=list)
    movements: list[MovementFact] = field(default_factory=list)
    tumours: list[TumourFact] = field(default_factory=list)
    stages: list[StageFact] = field(default_factory=list)
    markers: list[MarkerFact] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    part: int = 0


GROUPS: tuple[str, ...] = ("diagnoses", "procedures", "pathology", "medications", "movements", "tumours", "stages", "markers")
"""The grouped assertions of `Facts`."""


def says_something(facts: Facts) -> bool:
    """Whether a message states anything at all about a stay."""
    return bool(facts.facts or facts.cancels or facts.merged_from or facts.snapshot) or any(getattr(facts, name) for name in GROUPS)
