"""Cancer conditions: one tumour each. Two primaries stay two; a subsite, a side or a morphology is never made from the diagnosis code.

Onset is not the date of diagnosis: that is the asserted date, and last of all the recorded date, with a remark. Stagings and results
about the tumour come from observations; a stage that the condition itself sums up counts where it names no assessment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from adapters.fhir.cancer import Cancers, morphology_of, role_of, topography
from adapters.fhir.dialect import FhirDialect
from adapters.fhir.elements import day, each, extension, label, numbered, value_of
from adapters.fhir.oncology import datum_of, highest, stated, worded
from adapters.fhir.record import Record
from adapters.fhir.remarks import remarked
from adapters.fhir.resource import Resource
from adapters.fhir.said import Said
from gateway.model.facts import StageFact, StageKind, TumourFact
from gateway.model.values import Coded

_ASSERTED: Final = ("condition-assertedDate", "obf-DateOfDiagnosis-extension")
_LATERALITY: Final = ("mcode-laterality-qualifier", "mcode-laterality", "laterality-qualifier", "shr-core-Laterality-extension")


def read(record: Record, dialect: FhirDialect) -> Iterator[Said]:
    """The tumours of a record, and the stages that their conditions sum up."""
    for condition in Cancers(record, dialect).conditions.values():
        yield Said(condition, _tumour(condition, dialect))
        if "recordedDate" in condition.body and not _asserted(condition) and day(condition.body["recordedDate"]):
            yield remarked("recorded-date", condition, "recordedDate")
        yield from _stages(record, condition, dialect)


def _tumour(condition: Resource, dialect: FhirDialect) -> TumourFact:
    body = condition.body
    site = next((site for _, site in numbered(body.get("bodySite"), "bodySite")), None)
    return TumourFact(
        condition.key,
        condition.source("code"),
        _diagnosis(body.get("code"), dialect),
        role_of(body, dialect),
        topography(site) or _site_by_code(body.get("code")),
        worded(dialect.maps["tumour-laterality"], value_of(extension(site, *_LATERALITY))) if site is not None else None,
        morphology_of(body),
        basis=highest(dialect.maps["tumour-basis"], _evidence(condition)),
        course=stated(body.get("clinicalStatus")),
        diagnosed_on=_asserted(condition) or day(body.get("recordedDate")) or None,
        recorded=not _asserted(condition) and bool(day(body.get("recordedDate"))),
    )


def _diagnosis(concept: object, dialect: FhirDialect) -> Coded | None:
    """The diagnosis: in the edition that the sender codes in, else as it was sent."""
    found = dialect.classified(concept, dialect.systems.diagnosis)
    return stated(concept) if found is None else found if found.display else Coded(found.system, found.code, label(concept) or None)


def _site_by_code(concept: object) -> Coded | None:
    """A topography that stands among the codes of the condition."""
    found = topography(concept)
    return found if found is not None and found.system == "ICD-O-3" and (found.code or "").startswith("C") else None


def _asserted(condition: Resource) -> str:
    return day(value_of(extension(condition.body, *_ASSERTED))) if condition.body.get("extension") else ""


def _evidence(condition: Resource) -> Iterator[object]:
    """What kinds of evidence a condition names: R4 ``evidence.code``, R5 ``evidence.concept``."""
    for evidence in each(condition.body.get("evidence")):
        yield from each(evidence.get("code"))
        yield from each(evidence.get("concept"))


def _stages(record: Record, condition: Resource, dialect: FhirDialect) -> Iterator[Said]:
    for element, stage in numbered(condition.body.get("stage"), "stage"):
        group = stated(stage.get("summary"))
        if group is None or any(_received(record, condition, reference) for reference in each(stage.get("assessment"))):
            continue
        datum = datum_of(stage.get("type"), dialect)
        kind: StageKind = datum.kind if datum is not None else "other"
        key = f"{condition.key}#{element}"
        yield Said(condition, StageFact(condition.key, key, condition.source(f"{element}.summary"), kind, group=group))


def _received(record: Record, condition: Resource, reference: object) -> bool:
    """Whether the assessment of a stage is here: then it says the stage, or withdraws it."""
    return record.key_of(condition, reference) in record.resources
