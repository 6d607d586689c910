"""DG1: diagnoses with their use, rank and action.

Rules (decisions): DG1-6 tells the use, W is working and never reported, what is not said or unmapped is kept as working. Rank only from
DG1-15, a stated use (主要诊断) or the dialect; the first DG1 is not the main diagnosis. A code shaped like morphology is pathology,
or nothing yet where it is a working one.
"""

from __future__ import annotations

import re
from typing import Final

from adapters.hl7v2.dialect import Dialect
from adapters.hl7v2.entries import (
    ACTIONS,
    classified,
    coded_element,
    coded_of,
    members,
    number_of,
    source_of,
    states_no_entry,
    text_of,
)
from adapters.hl7v2.message import Segment, Segments
from adapters.hl7v2.remarks import remark
from gateway.model.facts import DiagnosisFact, DiagnosisUse, Remark
from gateway.model.morphology import morphology_code
from gateway.model.values import Coded
from mappings.diagnosis_uses import USES

_GROUP: Final = "DiagnosisFact"
_ICD10: Final = re.compile(r"[A-Z]\d\d")


def diagnoses(
    dialect: Dialect, segments: Segments, unsaid: DiagnosisUse | None, remarks: list[Remark]
) -> tuple[list[DiagnosisFact], bool]:
    """(diagnoses, whether they are stated as a whole and not one by one). ``unsaid`` is the use where DG1-6 is empty, if the event
    tells one."""
    found: list[DiagnosisFact] = []
    whole = True
    for number, segment in enumerate(segments.all("DG1"), 1):
        where = f"DG1[{number}]"
        entries = _entries(dialect, segment, where, unsaid, remarks)
        if not entries and not states_no_entry(segment):
            remarks.append(remark("diagnosis-empty", f"{where}-3"))
        found.extend(entries)
    if any(entry.action for entry in found):
        whole = False
    return found, whole


def _entries(
    dialect: Dialect, segment: Segment, where: str, unsaid: DiagnosisUse | None, remarks: list[Remark]
) -> list[DiagnosisFact]:
    source = source_of(dialect, _GROUP, segment, "condition")
    parts = coded_element(segment, source)
    place = where + source.place[3:] if source is not None else where
    said = members(dialect, _GROUP, segment, where, remarks, ("condition", "use"))
    name = text_of(said.get("condition.display")) or ""
    if dialect.file.diagnoses.packed and len(parts) > 2:
        pairs = [(parts[i], parts[i + 1] if i + 1 < len(parts) else "") for i in range(0, len(parts), 2)]
        said = {member: value for member, value in said.items() if member not in ("key", "rank")}
    else:
        pairs = [(parts[0] if parts else "", (parts[1] if len(parts) > 1 else "") or name)]
    pairs = [(code, label) for code, label in pairs if code or label]
    if not pairs and said.get("key") and said.get("action"):
        pairs = [("", "")]  # an entry changed or taken back by its identifier alone
    if not pairs:
        return []
    use, rank = _use(dialect, segment, unsaid)
    if use is None and said.get("action") != "delete" and not all(morphology_code(code) for code, _ in pairs):
        remarks.append(remark("diagnosis-use", f"{where}-6"))
    rank = number_of(said.get("rank")) or rank
    return [_diagnosis(dialect, code, label, place, use, rank if len(pairs) == 1 else None, said, remarks) for code, label in pairs]


def _diagnosis(
    dialect: Dialect,
    code: str,
    label: str,
    place: str,
    use: DiagnosisUse | None,
    rank: int | None,
    said: dict[str, Coded | int | str],
    remarks: list[Remark],
) -> DiagnosisFact:
    morphology = morphology_code(code)
    if morphology:
        condition = Coded(dialect.systems.morphology, morphology, label or None)
        use, rank = "working" if use == "working" else "pathology", None
    else:
        condition = classified(code, label, _ICD10, dialect.systems.diagnosis, f"{dialect.id}/diagnosis")
        if code and condition.system != dialect.systems.diagnosis:
            remarks.append(remark("unmapped-code", place))
    return DiagnosisFact(
        condition,
        place,
        use or "working",
        rank,
        key=text_of(said.get("key")) or condition.code or condition.display or "",
        action=ACTIONS.get(said.get("action"), ""),
        present_on_admission=coded_of(said.get("present_on_admission")),
        outcome=coded_of(said.get("outcome")),
        confirmed_on=text_of(said.get("confirmed_on")),
    )


def _use(dialect: Dialect, segment: Segment, unsaid: DiagnosisUse | None) -> tuple[DiagnosisUse | None, int | None]:
    """(use, rank that it implies); no use where it is unmapped, or neither said nor told by the event."""
    source = source_of(dialect, _GROUP, segment, "use")
    parts = coded_element(segment, source)
    if source is not None and source.codes is not None and any(parts[:2]):
        target, _ = source.codes.find(parts[0], parts[1] if len(parts) > 1 else "")
        return USES.get(target or "", (None, None))
    return unsaid, None
