"""Whatever stands in the bodies of resources, reading a record never raises; times and references of any spelling are read or left."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.fhir.dialect import fhir_dialect
from adapters.fhir.elements import moment
from adapters.fhir.reading import RecordReader
from adapters.fhir.record import Record
from adapters.fhir.resource import Release, Resource
from gateway.model.values import DateTime
from tests.fhir_records import condition, encounter, patient

_READER = RecordReader(fhir_dialect("standard"))
_KINDS = (
    "Patient", "Encounter", "Condition", "Observation", "DiagnosticReport", "Procedure", "MedicationRequest", "MedicationAdministration",
    "MedicationStatement", "Coverage", "Specimen", "Invoice", "AllergyIntolerance", "Organization", "Location", "Practitioner",
)  # fmt: skip
_NAMES = (
    "identifier", "type", "system", "value", "use", "name", "family", "given", "text", "gender", "_gender", "birthDate", "deceasedBoolean",
    "deceasedDateTime", "address", "line", "telecom", "maritalStatus", "contact", "relationship", "link", "other", "class", "status", "period",
    "actualPeriod", "start", "end", "hospitalization", "admission", "admitSource", "dischargeDisposition", "participant", "individual", "actor",
    "location", "diagnosis", "condition", "rank", "subject", "encounter", "context", "partOf", "code", "coding", "display", "concept",
    "reference", "extension", "url", "valueString", "valueCoding", "valueInteger", "valueCodeableConcept", "valueQuantity", "valueReference",
    "clinicalStatus", "verificationStatus", "bodySite", "stage", "summary", "assessment", "evidence", "detail", "focus", "hasMember", "method",
    "component", "category", "effectiveDateTime", "effectivePeriod", "performedPeriod", "occurrenceDateTime", "performer", "function",
    "medicationCodeableConcept", "medicationReference", "medication", "dosageInstruction", "dosage", "doseAndRate", "doseQuantity", "route",
    "conclusion", "conclusionCode", "result", "specimen", "issued", "presentedForm", "lineItem", "priceComponent", "amount", "contained",
    "resourceType", "id", "meta", "tag", "security", "profile", "managingOrganization", "serviceProvider", "physicalType", "form",
    "serviceType", "modifierExtension", "reasonReference", "reason",
)  # fmt: skip
_WORDS = (
    "final", "finished", "completed", "active", "confirmed", "IMP", "DD", "male", "2024-03-08", "2024-03-08T10:00:00Z", "Encounter/r1",
    "Condition/r2", "#x", "urn:uuid:1", "Patient/p", "urn:zhibao:hqms", "D01", "http://hl7.org/fhir/sid/icd-10", "C34.1", "http://loinc.org",
    "21908-9", "urn:zhibao:admission-number", "http://snomed.info/sct", "Observation/r3", "replaces", "x", "",
)  # fmt: skip

_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False).map(Decimal),
    st.text(max_size=8),
    st.sampled_from(_WORDS),
)
_json: st.SearchStrategy[Any] = st.recursive(
    _scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(_NAMES), inner, max_size=6)),
    max_leaves=25,
)
_bodies = st.dictionaries(st.sampled_from(_NAMES), _json, max_size=12)


@st.composite
def _records(draw: st.DrawFn) -> Record:
    resources = []
    for index, body in enumerate(draw(st.lists(_bodies, max_size=6))):
        kind = draw(st.sampled_from(_KINDS))
        release: Release = draw(st.sampled_from(("R4", "R5")))
        resources.append(Resource(f"{kind}/r{index}", {**body, "resourceType": kind}, "fhir:1", "2024-03-20", release))
    if draw(st.booleans()):
        resources.append(Resource("Patient/p", {**patient(), **draw(_bodies), "resourceType": "Patient"}, "fhir:2", "2024-03-21"))
    return Record("Patient/p", resources)


@settings(max_examples=150, deadline=None)
@given(_records())
def test_any_content_is_read_or_remarked(record: Record) -> None:
    reading = _READER.read(record)
    anchors = [statement.anchor for statement in reading.statements]
    assert len(anchors) == len(set(anchors))
    for statement in reading.statements:
        messages = [facts.message for facts in statement.facts]
        assert messages
        assert len(messages) == len(set(messages))


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(("Patient", "Encounter", "Condition")),
    st.lists(st.tuples(st.sampled_from(_NAMES), _json), min_size=1, max_size=4),
)
def test_a_good_record_with_something_odd_in_it(kind: str, odd: list[tuple[str, Any]]) -> None:
    bodies = {"Patient": patient(), "Encounter": encounter(), "Condition": condition()}
    bodies[kind] = bodies[kind] | dict(odd) | {"resourceType": kind}
    _READER.read(
        Record("Patient/p", [Resource(f"{body['resourceType']}/{body['id']}", body, "m", "2024") for body in bodies.values()])
    )


_DATE_TIME = re.compile(DateTime.__metadata__[0].pattern)  # type: ignore[attr-defined]


@given(st.datetimes(), st.integers(-14 * 60, 14 * 60), st.sampled_from((4, 7, 10, 16, 19)))
def test_times_with_any_zone_and_precision(at: Any, minutes: int, length: int) -> None:
    sign, minutes = ("-", -minutes) if minutes < 0 else ("+", minutes)
    written = at.isoformat(timespec="seconds")[:length]
    if length > 10:
        written += f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"
    found = moment(written)
    assert not found or _DATE_TIME.fullmatch(found)
    if 1900 < at.year < 2100 and length <= 10:
        assert found == written


@given(st.text(max_size=30))
def test_text_that_is_no_time(written: str) -> None:
    found = moment(written)
    assert not found or _DATE_TIME.fullmatch(found)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), max_size=8), st.sampled_from(("partOf", "contained")))
def test_references_in_circles_end(edges: list[tuple[str, str]], way: str) -> None:
    targets = dict(edges)
    if way == "partOf":
        bodies = [encounter(partOf={"reference": f"Encounter/{targets[id]}"}) | {"id": id} for id in targets]
    else:
        inner = [
            {
                "resourceType": "Location",
                "id": id,
                "name": id,
                "physicalType": {"coding": [{"code": "bd"}]},
                "partOf": {"reference": f"#{to}"},
            }
            for id, to in targets.items()
        ]
        bodies = [encounter(contained=inner, location=[{"location": {"reference": "#a"}}])]
    _READER.read(Record("Patient/p", [Resource(f"Encounter/{body['id']}", body, "m", "2024") for body in bodies]))
