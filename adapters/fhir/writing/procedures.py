"""Operations and procedures as Procedures, with the people who did them contained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from adapters.fhir.writing.element import (
    UNKNOWN,
    Element,
    coded_extension,
    concept,
    element,
    extension,
    listed,
    person,
    text,
    time,
)
from adapters.fhir.writing.names import Names
from adapters.fhir.writing.strict import Resource
from gateway.model.stay import Procedure, Stay
from gateway.model.values import Coded

_FUNCTIONS: Final = {
    "operator": Coded("SNOMED-CT", "304292004", "Surgeon"),
    "first_assistant": None,
    "second_assistant": None,
    "anaesthetist": Coded("SNOMED-CT", "88189002", "Anaesthetist"),
}
"""Codes of the v2-to-FHIR guide; assistants have a code of ours only"""

_NOTHING: Final = Procedure()


def procedures(stay: Stay, names: Names) -> Iterator[Resource]:
    """The Procedures, the main one first; ``rank`` keeps the positions of the others, empty ones included."""
    slots = [("principal", stay.procedures.principal, 1)]
    slots += [(f"other-{position}", other, position) for position, other in enumerate(stay.procedures.other, start=2)]
    for word, operation, rank in slots:
        if operation != _NOTHING:
            yield _procedure(operation, names, names.id("procedure", word), rank)


def _procedure(operation: Procedure, names: Names, id: str, rank: int) -> Resource:
    people = [(role, doctor) for role in _FUNCTIONS if (doctor := person(getattr(operation, role), role))]
    when = time("performedDateTime", operation.started_at)
    return {
        "resourceType": "Procedure",
        "id": id,
        "meta": names.meta,
        **element(
            contained=[doctor for _, doctor in people],
            extension=listed(
                extension("rank", valuePositiveInt=rank),
                coded_extension("operation-level", operation.level),
                extension("duration-hours", valueDecimal=operation.duration_hours),
                coded_extension("incision-healing", operation.incision_healing),
                coded_extension("anaesthesia", operation.anaesthesia),
                coded_extension("asa-grade", operation.asa_grade),
            ),
        ),
        "status": "completed",
        **element(code=concept(operation.operation), subject=names.subject, encounter=names.encounter),
        **(when or {"_performedDateTime": UNKNOWN}),
        **element(performer=[_performer(role, getattr(operation, role)) for role, _ in people]),
    }


def _performer(role: str, name: str | None) -> Element:
    actor = element(reference="#" + role.replace("_", "-"), display=text(name))
    function = _FUNCTIONS[role]
    return {"function": concept(*([function] if function else []), Coded("procedure-role", role)), "actor": actor}
