"""Whatever stands in resources of oncology, reading them never fails, and says nothing that the model could not hold."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from adapters.fhir import laboratory, medications, observations, pathology, procedures, tumours
from adapters.fhir.dialect import fhir_dialect
from adapters.fhir.record import Record
from adapters.fhir.resource import Resource
from gateway.cases.assembly import assemble
from gateway.model.facts import Facts, MarkerFact, MedicationFact, PathologyFact, ProcedureFact, StageFact, TumourFact

READERS = (tumours, observations, pathology, procedures, medications, laboratory)
STANDARD = fhir_dialect("standard")
KINDS = (
    "Condition", "Observation", "DiagnosticReport", "Specimen", "Procedure", "MedicationRequest", "MedicationAdministration",
    "MedicationStatement", "Medication", "AllergyIntolerance", "Practitioner",
)  # fmt: skip

words = st.sampled_from(
    (
        "", "final", "completed", "active", "confirmed", "order", "C50.9", "C79.3", "8500/3", "85003", "21905-5", "21908-9", "21889-1",
        "31206-6", "C18000", "22637-3", "83321-0", "SP", "7771000", "10828004", "5196-1", "85.43", "387713003", "304292004", "第八版",
        "高分化", "阴性", "cm", "1E400", "NaN", "2024-13-40", "2024", "#c0", "#", "Condition/0", "Observation/1", "urn:uuid:x",
        "?identifier=a|b",
    )
)  # fmt: skip
systems = st.sampled_from(
    (
        "http://loinc.org", "http://snomed.info/sct", "http://hl7.org/fhir/sid/icd-10", "http://terminology.hl7.org/CodeSystem/icd-o-3",
        "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl", "", "urn:zhibao:staging-system",
    )
)  # fmt: skip
numbers = (
    st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.sampled_from((Decimal("1E+40"), Decimal("-0"), 10**400))
)
leaves = st.none() | st.booleans() | numbers | words | st.text(max_size=8)
codings = st.fixed_dictionaries({}, optional={"system": systems | leaves, "code": words | leaves, "display": words | leaves})
concepts = st.fixed_dictionaries({}, optional={"coding": st.lists(codings | leaves, max_size=2) | leaves, "text": words | leaves})
references = st.fixed_dictionaries({}, optional={"reference": words | concepts, "identifier": concepts, "display": words})
quantities = st.fixed_dictionaries({}, optional={"value": leaves, "unit": words, "code": words, "comparator": words})
extensions = st.fixed_dictionaries(
    {"url": st.sampled_from(("mcode-histology-morphology-behavior", "mcode-laterality-qualifier", "condition-assertedDate", "urn:zhibao:rank"))},
    optional={"valueCodeableConcept": concepts | leaves, "valueDateTime": leaves, "valuePositiveInt": leaves, "valueReference": references},
)  # fmt: skip
shapes = concepts | references | quantities | codings | leaves
anything = shapes | st.lists(shapes, max_size=2) | st.dictionaries(words, shapes, max_size=2)
NAMES = (
    "code", "status", "intent", "category", "bodySite", "evidence", "stage", "focus", "hasMember", "component", "method", "specimen", "result",
    "conclusion", "conclusionCode", "identifier", "performer", "medication", "medicationCodeableConcept", "medicationReference", "dosage",
    "dosageInstruction", "request", "basedOn", "groupIdentifier", "valueQuantity", "valueCodeableConcept", "valueString", "valueRatio",
    "effectiveDateTime", "effectivePeriod", "performedDateTime", "occurrencePeriod", "issued", "recordedDate", "interpretation", "meta",
    "clinicalStatus", "verificationStatus", "accessionIdentifier", "contained", "presentedForm", "name",
)  # fmt: skip
parts = st.fixed_dictionaries(
    {},
    optional={
        "code": concepts | anything, "summary": concepts, "assessment": st.lists(references, max_size=2), "type": concepts, "detail": anything,
        "concept": concepts, "reference": references, "function": concepts, "actor": references, "valueQuantity": quantities,
        "valueCodeableConcept": concepts, "doseAndRate": anything, "extension": st.lists(extensions, max_size=1), "text": words,
    },
)  # fmt: skip
CODES = (
    ("http://hl7.org/fhir/sid/icd-10", "C50.9"), ("http://hl7.org/fhir/sid/icd-10", "C79.3"), ("http://loinc.org", "21905-5"),
    ("http://loinc.org", "21908-9"), ("http://loinc.org", "21889-1"), ("http://loinc.org", "31206-6"), ("http://loinc.org", "5196-1"),
    ("http://loinc.org", "22637-3"), ("http://loinc.org", "11529-5"), ("http://snomed.info/sct", "385361009"),
    ("http://snomed.info/sct", "7771000"), ("http://snomed.info/sct", "10828004"), ("http://snomed.info/sct", "897275008"),
    ("http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl", "C18000"), ("http://hl7.org/fhir/sid/icd-9-cm", "85.43"),
    ("http://terminology.hl7.org/CodeSystem/icd-o-3", "8500/3"), ("http://terminology.hl7.org/CodeSystem/icd-o-3", "C50.4"),
    ("http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed"), ("http://his.example/drug", "D01"),
)  # fmt: skip
right = st.sampled_from(CODES).map(lambda code: {"coding": [{"system": code[0], "code": code[1]}]})
confirmed = st.just({"coding": [{"code": "confirmed"}]})
times = st.sampled_from(("2024", "2024-03", "2024-03-08", "2024-03-08T10:00:00+08:00", "2024-03-08T00:00:00Z"))
amounts = st.fixed_dictionaries({"value": numbers, "unit": st.sampled_from(("mm", "cm", "ng/mL"))})
somewhere = st.fixed_dictionaries(
    {"reference": st.sampled_from(KINDS).flatmap(lambda kind: st.sampled_from((f"{kind}/0", f"{kind}/1")))}
)
components = st.lists(st.fixed_dictionaries({"code": right, "valueQuantity": amounts}), max_size=2)
TEMPLATES: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "Condition": {"code": right, "verificationStatus": confirmed, "bodySite": st.lists(right, max_size=1), "recordedDate": times,
                  "evidence": st.lists(parts, max_size=1), "stage": st.lists(parts, max_size=1)},
    "Observation": {"status": st.just("final"), "code": right, "focus": st.lists(somewhere, max_size=2), "method": right,
                    "hasMember": st.lists(somewhere, max_size=2), "component": components, "effectiveDateTime": times,
                    "meta": st.just({"profile": ["mcode-tumor-marker-test"]})},
    "DiagnosticReport": {"status": st.just("final"), "code": st.just({"text": "病理"}), "conclusion": words, "issued": times,
                         "result": st.lists(somewhere, max_size=2), "conclusionCode": st.lists(right, max_size=1)},
    "Procedure": {"status": st.just("completed"), "code": right, "performedDateTime": times, "performer": st.lists(parts, max_size=1)},
    "MedicationRequest": {"status": st.just("active"), "intent": st.just("order"), "medicationCodeableConcept": right, "authoredOn": times},
    "MedicationAdministration": {"status": st.just("completed"), "medication": somewhere, "effectiveDateTime": times, "request": somewhere},
    "MedicationStatement": {"status": st.just("active"), "medicationCodeableConcept": right, "dosage": st.lists(parts, max_size=1)},
    "AllergyIntolerance": {"code": st.just({"text": "青霉素"}), "category": st.just(["medication"])},
}  # fmt: skip
values: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({"valueCodeableConcept": right}), st.fixed_dictionaries({"valueQuantity": amounts}),
    st.fixed_dictionaries({"valueString": words}), st.just({}),
)  # fmt: skip


def _body(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """A resource like a right one, with some elements spoiled."""
    spoiled = st.dictionaries(st.sampled_from(NAMES), anything | parts | st.lists(parts, max_size=2), max_size=2)
    extended = st.fixed_dictionaries({}, optional={"extension": st.lists(extensions | leaves, max_size=2) | leaves})
    members = st.fixed_dictionaries(TEMPLATES.get(kind, {}))
    return st.builds(lambda *pieces: {"resourceType": kind} | {k: v for piece in pieces for k, v in piece.items()},
                     members, values, extended, st.just({}) | spoiled)  # fmt: skip


bodies = st.sampled_from(KINDS).flatmap(_body)


@given(st.lists(bodies, max_size=5))
def test_reading_never_fails_and_what_is_said_fits_the_model(found: list[dict[str, Any]]) -> None:
    count: Counter[str] = Counter()
    resources = []
    for body in found:
        kind = body["resourceType"]
        resources.append(Resource(f"{kind}/{count[kind]}", body, "fhir:1", "2024-03-01"))
        count[kind] += 1
    record = Record("Patient/1", resources)
    items = [said.item for reader in READERS for said in reader.read(record, STANDARD)]
    facts = Facts(
        "fhir:1",
        "fhir",
        "FHIR^Encounter",
        "2024-03-01",
        procedures=[item for item in items if isinstance(item, ProcedureFact)],
        pathology=[item for item in items if isinstance(item, PathologyFact)],
        medications=[item for item in items if isinstance(item, MedicationFact)],
        tumours=[item for item in items if isinstance(item, TumourFact)],
        stages=[item for item in items if isinstance(item, StageFact)],
        markers=[item for item in items if isinstance(item, MarkerFact)],
    )
    assert msgspec.json.decode(msgspec.json.encode(facts), type=Facts) == facts
    assemble(("4200001", "ZY1", 1), [facts])
