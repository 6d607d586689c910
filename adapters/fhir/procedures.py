"""Procedures: operations that were done.

Only completed ones are said. A procedure is an operation of the front sheet when it is coded in ICD-9-CM-3, or when category or profile call
it surgical; radiotherapy courses, counselling and tests are none. FHIR has no rank of operations: it comes from our own extension or is
unknown. Who did it is told by Procedure.performer.function."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from adapters.fhir.dialect import FhirDialect
from adapters.fhir.elements import codings, each, extension, label, number, numbered, positive, value_of, when
from adapters.fhir.oncology import profile_words, profiles_of, stated
from adapters.fhir.record import Record
from adapters.fhir.remarks import remarked
from adapters.fhir.resource import Resource
from adapters.fhir.said import Said
from adapters.fhir.values import Spot, detail, named, target_of
from gateway.model.facts import ProcedureFact
from gateway.model.values import Coded

_DETAILS: Final = {
    "level": "operation-level",
    "incision_healing": "incision-healing",
    "anaesthesia": "anaesthesia",
    "asa_grade": "asa-grade",
}
"""Members that an extension of the same name holds, and their maps."""


def read(record: Record, dialect: FhirDialect) -> Iterator[Said]:
    """The operations of a record."""
    for procedure in record.of("Procedure"):
        body = procedure.body
        if body.get("status") != "completed":
            continue
        operation = dialect.classified(body.get("code"), dialect.systems.procedure)
        if operation is not None or _is_surgical(procedure, dialect):
            yield from _operation(record, dialect, procedure, operation)


def _is_surgical(procedure: Resource, dialect: FhirDialect) -> bool:
    kinds = dialect.maps["procedure-kind"]
    return any(
        target_of(kinds, category)[0] == "surgical" for category in each(procedure.body.get("category"))
    ) or "surgical" in profile_words(profiles_of(procedure.body), dialect)


def _operation(record: Record, dialect: FhirDialect, procedure: Resource, operation: Coded | None) -> Iterator[Said]:
    body, words = procedure.body, label(procedure.body.get("code"))
    if operation is None:
        operation = stated(body.get("code"))
        if operation is None:
            return
        if operation.code:
            yield remarked("unmapped-code", procedure, "code")
            operation = Coded(operation.system or f"{dialect.id}/procedure", operation.code, operation.display)
    elif not operation.display and words:
        operation = Coded(operation.system, operation.code, words)
    said: list[Said] = []
    people = _people(record, dialect, procedure, said)
    details = {name: detail(record, procedure, dialect.urls(name), dialect.maps[map], said) for name, map in _DETAILS.items()}
    yield Said(
        procedure,
        ProcedureFact(
            operation,
            procedure.source("code"),
            when(body, "performed", "occurrence").text or None,
            positive(value_of(extension(body, *dialect.urls("operation_rank")))),
            key=procedure.key,
            level=details["level"],
            duration_hours=number(value_of(extension(body, *dialect.urls("duration_hours")))) or None,
            operator=people.get("operator"),
            first_assistant=people.get("first_assistant"),
            second_assistant=people.get("second_assistant"),
            incision_healing=details["incision_healing"],
            anaesthesia=details["anaesthesia"],
            anaesthetist=people.get("anaesthetist"),
            asa_grade=details["asa_grade"],
        ),
    )
    yield from said


def _people(record: Record, dialect: FhirDialect, procedure: Resource, said: list[Said]) -> dict[str, str]:
    """Names by role. A role without a map, or none, says nothing."""
    found: dict[str, str] = {}
    for element, performer in numbered(procedure.body.get("performer"), "performer"):
        role = target_of(dialect.maps["procedure-role"], performer.get("function"))[0]
        if role and role not in found:
            name = named(Spot(record, procedure, f"{element}.actor", performer.get("actor"), said))
            if name:
                found[role] = name
        elif role is None and (codings(performer.get("function")) or label(performer.get("function"))):
            said.append(remarked("unknown-word", procedure, f"{element}.function"))
    return found
