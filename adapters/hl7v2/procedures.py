"""PR1: operations and procedures. Rank only from PR1-14; PR1-7 counts minutes, the front sheet hours."""

from __future__ import annotations

import re
from typing import Final

from adapters.hl7v2.dialect import Dialect
from adapters.hl7v2.entries import ACTIONS, classified, coded_element, coded_of, members, number_of, source_of, text_of
from adapters.hl7v2.message import Segments
from adapters.hl7v2.remarks import remark
from gateway.model.facts import ProcedureFact, Remark

_GROUP: Final = "ProcedureFact"
_ICD9CM3: Final = re.compile(r"\d\d\.\d")


def procedures(dialect: Dialect, segments: Segments, remarks: list[Remark]) -> tuple[list[ProcedureFact], bool]:
    """(procedures, whether they are stated as a whole and not one by one)."""
    found: list[ProcedureFact] = []
    for number, segment in enumerate(segments.all("PR1"), 1):
        where = f"PR1[{number}]"
        source = source_of(dialect, _GROUP, segment, "operation")
        parts = coded_element(segment, source)
        place = where + source.place[3:] if source is not None else where
        said = members(dialect, _GROUP, segment, where, remarks, ("operation",))
        code, name = parts[0] if parts else "", (parts[1] if len(parts) > 1 else "") or text_of(said.get("operation.display")) or ""
        if not (code or name) and not (said.get("key") and said.get("action")):
            continue
        operation = classified(code, name, _ICD9CM3, dialect.systems.procedure, f"{dialect.id}/procedure")
        if code and operation.system != dialect.systems.procedure:
            remarks.append(remark("unmapped-code", place))
        found.append(
            ProcedureFact(
                operation,
                place,
                text_of(said.get("started_at")),
                number_of(said.get("rank")),
                key=text_of(said.get("key")) or operation.code or operation.display or "",
                action=ACTIONS.get(said.get("action"), ""),
                level=coded_of(said.get("level")),
                duration_hours=text_of(said.get("duration_hours")),
                operator=text_of(said.get("operator")),
                first_assistant=text_of(said.get("first_assistant")),
                second_assistant=text_of(said.get("second_assistant")),
                incision_healing=coded_of(said.get("incision_healing")),
                anaesthesia=coded_of(said.get("anaesthesia")),
                anaesthetist=text_of(said.get("anaesthetist")),
            )
        )
    return found, not any(entry.action for entry in found)
