"""Profile validation of FHIR: for every kind of demand a resource that meets it and one that does not. Expected from the StructureDefinitions
of FHIR 4.0.1 and 5.0.0, of mCODE 4.0.0, and from our own profiles."""

from __future__ import annotations

import copy
import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters.fhir.resource import Release
from conformance.checks.finding import Finding
from conformance.fhir.bindings import ValueSet
from conformance.fhir.invariants import check_syntax
from conformance.fhir.library import library, named, read_definition
from conformance.fhir.own import read_own
from conformance.fhir.second_opinion import second_opinion
from conformance.fhir.slicing import matches
from gateway.model.errors import ConfigurationError
from gateway.model.resident_id import check_character
from tests.corpora import MCODE as MCODE_EXAMPLES
from tests.corpora import SYNTHEA, files_of, needs_corpora
from tests.fhir_profiles import findings_of
from tests.fhir_records import bare_patient as patient
from tests.fhir_records import concept

ROOT = Path(__file__).parents[2]
FIELDS = "mappings/sources/fhir/fields.csv"
LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
MCODE = "http://hl7.org/fhir/us/mcode/StructureDefinition/"
BASE = "http://hl7.org/fhir/StructureDefinition/"
CONDITION_CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"

Body = dict[str, Any]

MISTAKEN: Body = {"coding": [{"system": VERIFICATION, "code": "entered-in-error"}]}


def millimetres(number: float) -> Body:
    return {"value": number, "unit": "mm", "system": UCUM, "code": "mm"}


def observation(**more: Any) -> Body:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **more}


def condition(**more: Any) -> Body:
    return {"resourceType": "Condition", "subject": {"reference": "Patient/1"}, **more}


def tumour_size(**more: Any) -> Body:
    longest = {"code": concept(LOINC, "33728-7"), "valueQuantity": millimetres(12)}
    size = {"code": concept(LOINC, "21889-1"), "subject": {"reference": "Patient/1"}, "focus": [{"reference": "BodyStructure/1"}]}
    return observation(**{**size, "component": [longest], **more})


def primary_cancer(**more: Any) -> Body:
    stated = {"category": [concept(CONDITION_CATEGORY, "problem-list-item")], "code": concept(SNOMED, "254637007")}
    return condition(**{**stated, **more})


def without(body: Body, *names: str) -> Body:
    return {name: value for name, value in body.items() if name not in names}


def told(body: Mapping[str, Any], profile: str, release: Release = "R4", **more: Any) -> list[tuple[str, str, str]]:
    """(severity, rule, element) of every finding."""
    return [(f.severity, f.rule.removeprefix("ZB-FHIR-"), f.fields[0]) for f in findings_of(body, profile, release=release, **more)]


def errors(body: Mapping[str, Any], profile: str, release: Release = "R4", **more: Any) -> list[tuple[str, str]]:
    return [(rule, element) for severity, rule, element in told(body, profile, release, **more) if severity == "error"]


# -- what FHIR itself demands


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (patient(gender="female"), []),
        (patient(gender="女"), [("code", "Patient.gender")]),
        (patient(contact=[{"name": {"text": "x"}, "gender": "f"}]), [("code", "Patient.contact[0].gender")]),
        (patient(contact=[{"gender": "female"}]), [("pat-1", "Patient.contact[0]")]),
        (observation(valueString="x"), []),
        (observation(dataAbsentReason={"text": "x"}), []),
        (observation(valueString="x", dataAbsentReason={"text": "x"}), [("obs-6", "Observation")]),
        (observation(referenceRange=[{"text": "x"}]), []),
        (observation(referenceRange=[{"type": {"text": "x"}}]), [("obs-3", "Observation.referenceRange[0]")]),
        (observation(valueQuantity={"value": 1, "code": "mm"}), [("qty-3", "Observation.valueQuantity")]),
        (observation(valueRatio={"numerator": {"value": 1}}), [("rat-1", "Observation.valueRatio")]),
        (condition(stage=[{"summary": {"text": "x"}}]), []),
        (condition(stage=[{"type": {"text": "x"}}]), [("con-1", "Condition.stage[0]")]),
        (condition(abatementDateTime="2024", clinicalStatus=concept(CLINICAL, "resolved")), []),
        (condition(abatementDateTime="2024", clinicalStatus=concept(CLINICAL, "active")), [("con-4", "Condition")]),
        (condition(clinicalStatus=concept(CLINICAL, "active"), verificationStatus=MISTAKEN), [("con-5", "Condition")]),
        (condition(clinicalStatus={"text": "活动"}), [("code", "Condition.clinicalStatus")]),
        (condition(severity={"text": "重"}), []),
        (condition(recorder={"reference": "Practitioner/1"}), []),
        (condition(recorder={"reference": "Organization/1"}), [("reference", "Condition.recorder")]),
        (condition(recorder={"reference": "http://his.example/fhir/Organization/1/_history/2"}), [("reference", "Condition.recorder")]),
        (condition(recorder={"display": "x"}), []),
        (condition(recorder={"identifier": {"value": "1"}, "type": "Organization"}), [("reference", "Condition.recorder")]),
    ],
)  # fmt: skip
def test_demands_of_fhir(body: Body, expected: list[tuple[str, str]]) -> None:
    assert errors(body, body["resourceType"]) == expected


def test_the_same_code_in_observation_and_component_must_not_have_two_values() -> None:
    blood = observation(code=concept(LOINC, "1-8"), valueString="x")
    assert errors({**blood, "component": [{"code": concept(LOINC, "2-6")}]}, "Observation") == []
    assert errors({**blood, "component": [{"code": concept(LOINC, "1-8")}]}, "Observation") == [("obs-7", "Observation")]


@pytest.mark.parametrize(
    ("start", "end", "right"),
    [
        ("2024-03-01", "2024-03-02", True),
        ("2024-03-02", "2024-03-01", False),
        ("2024-03-02", "2024-03-02", True),
        ("2024-03-02", "2024-03", True),  # the end may be later in that month
        ("2024-04-02", "2024-03", False),
        ("2024-03-02T10:00:00+08:00", "2024-03-02T03:00:00Z", True),  # 11:00 in China
        ("2024-03-02T10:00:00+08:00", "2024-03-02T01:00:00Z", False),  # 09:00 in China
    ],
)
def test_periods_compare_times_not_texts(start: str, end: str, right: bool) -> None:
    for release in ("R4", "R5"):
        body = patient(identifier=[{"value": "1", "period": {"start": start, "end": end}}])
        assert errors(body, "Patient", release) == ([] if right else [("per-1", "Patient.identifier[0].period")])


def test_codes_of_r5_are_those_of_r5() -> None:
    unknown = condition(clinicalStatus=concept(CLINICAL, "unknown"))
    assert errors(unknown, "Condition", "R4") == [("code", "Condition.clinicalStatus")]
    assert errors(unknown, "Condition", "R5") == []
    finished = {"resourceType": "Encounter", "status": "finished"}
    assert errors(finished, "Encounter", "R5") == [("code", "Encounter.status")]


def test_bundles_and_the_resources_in_them() -> None:
    first = {"fullUrl": "urn:uuid:6f1d5d3e-2f57-4c55-9d0c-7a6c1b6c7f11", "resource": patient(gender="x")}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [first, {**first, "resource": observation()}]}
    assert errors(bundle, "Bundle") == [("bdl-7", "Bundle"), ("code", "Bundle.entry[0].resource.gender")]
    assert errors({**bundle, "type": "batch", "entry": [first]}, "Bundle")[0] == ("bdl-3", "Bundle")
    assert errors({**bundle, "type": "searchset", "total": 1, "entry": []}, "Bundle") == [("empty", "Bundle.entry")]
    assert errors({**bundle, "total": 1, "entry": [first]}, "Bundle")[0] == ("bdl-1", "Bundle")
    document = {**bundle, "type": "document", "identifier": {"system": "urn:x", "value": "1"}, "timestamp": "2024-03-01T00:00:00Z"}
    assert ("bdl-11", "Bundle") in errors({**document, "entry": [first]}, "Bundle")


def test_references_are_resolved_inside_the_message() -> None:
    urn = "urn:uuid:6f1d5d3e-2f57-4c55-9d0c-7a6c1b6c7f11"
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": urn, "resource": patient()}, {"resource": condition(recorder={"reference": urn})}],
    }
    assert errors(bundle, "Bundle") == []  # a patient may record a condition
    bundle["entry"][0]["resource"] = {"resourceType": "Location"}  # type: ignore[index]
    assert errors(bundle, "Bundle") == [("reference", "Bundle.entry[1].resource.recorder")]
    assert errors(condition(recorder={"reference": urn}), "Condition") == []


def test_contained_resources() -> None:
    doctor = {"resourceType": "Practitioner", "id": "d"}
    assert errors(condition(contained=[doctor], recorder={"reference": "#d"}), "Condition") == []
    assert errors(condition(contained=[doctor]), "Condition") == [("dom-3", "Condition")]
    inner = {**doctor, "gender": "x"}
    assert errors(condition(contained=[inner], recorder={"reference": "#d"}), "Condition") == [
        ("code", "Condition.contained[0].gender")
    ]
    place = {"resourceType": "Location", "id": "d"}
    assert errors(condition(contained=[place], recorder={"reference": "#d"}), "Condition") == [("reference", "Condition.recorder")]
    assert ("ref-1", "Condition.recorder") in errors(condition(recorder={"reference": "#other"}), "Condition")


def test_content_that_is_the_same_as_that_of_another_element() -> None:
    """Composition.section.section has the content, and so the invariants, of Composition.section."""
    section = {"title": "x", "section": [{"title": "y"}]}
    body = {"resourceType": "Composition", "status": "final", "type": {"text": "x"}, "date": "2024", "title": "x"}
    body |= {"author": [{"display": "x"}], "section": [section]}
    assert errors(body, "Composition") == [("cmp-1", "Composition.section[0].section[0]")]


def test_extensions() -> None:
    place = {"url": f"{BASE}patient-birthPlace"}
    assert errors(patient(extension=[{**place, "valueAddress": {"text": "x"}}]), "Patient") == []
    assert errors(patient(extension=[{**place, "valueString": "x"}]), "Patient") == [("type", "Patient.extension[0].valueString")]
    unknown = {"url": "http://his.example/e", "valueString": "x"}
    assert errors(patient(extension=[unknown]), "Patient") == []
    assert errors(patient(extension=[{**unknown, "extension": [unknown]}]), "Patient") == [("ext-1", "Patient.extension[0]")]
    assert told(patient(modifierExtension=[unknown]), "Patient") == [
        ("warning", "modifier-extension", "Patient.modifierExtension[0]")
    ]


def test_structure_comes_first_and_is_not_said_twice() -> None:
    assert errors(without(observation(), "code"), "Observation") == [("required", "Observation.code")]
    assert errors(patient(gendr="male"), "Patient") == [("unknown-element", "Patient.gendr")]


def test_a_value_that_is_absent_with_a_reason_is_there() -> None:
    reason = {"extension": [{"url": f"{BASE}data-absent-reason", "valueCode": "unknown"}]}
    assert errors(without(observation(_status=reason), "status"), "Observation") == []


def test_what_stands_beside_a_value_does_not_hide_it() -> None:
    precision = {"extension": [{"url": "urn:zhibao:precision", "valueCode": "minute"}]}
    early, late = "2024-03-01T09:00:00+08:00", "2024-03-09T10:00:00+08:00"
    right, wrong = ({"start": a, "end": b, "_start": precision} for a, b in ((early, late), (late, early)))
    assert errors(patient(identifier=[{"value": "1", "period": right}]), "Patient") == []
    assert errors(patient(identifier=[{"value": "1", "period": wrong}]), "Patient") == [("per-1", "Patient.identifier[0].period")]
    assert errors(observation(_status=precision), "zhibao-stage") == [("zb-stg-2", "Observation.value[x]")]


def test_extensions_of_primitive_values() -> None:
    born = {"url": f"{BASE}patient-birthTime", "valueDateTime": "1961-02-03T04:05:06+08:00"}
    assert errors(patient(birthDate="1961-02-03", _birthDate={"extension": [born]}), "Patient") == []
    wrong = {"url": f"{BASE}patient-birthTime", "valueString": "x"}
    found = errors(patient(birthDate="1961-02-03", _birthDate={"extension": [wrong]}), "Patient")
    assert found == [("type", "Patient.birthDate.extension[0].valueString")]


def test_open_value_sets_are_not_passed_silently() -> None:
    body = {"resourceType": "Invoice", "status": "issued", "totalNet": {"value": 1, "currency": "CNY"}}
    assert told(body, "Invoice") == [("not-checked", "code-not-checked", "Invoice.totalNet.currency")]


def test_value_sets() -> None:
    both = ValueSet({"urn:a": frozenset("12"), "urn:b": frozenset()}, frozenset(["urn:b"]))
    assert both.holds("1", "code") is True
    assert both.holds("3", "code") is None
    assert both.holds(concept("urn:a", "3"), "CodeableConcept") is False
    assert both.holds(concept("urn:b", "3"), "CodeableConcept") is None
    assert both.holds({"coding": [{"system": "urn:c", "code": "3"}, {"system": "urn:a", "code": "1"}]}, "CodeableConcept") is True
    assert both.holds({"text": "x"}, "CodeableConcept") is False
    assert both.holds({"code": "1"}, "Coding") is False  # no system
    assert both.holds({"concept": concept("urn:a", "1")}, "CodeableReference") is True
    assert ValueSet({}, frozenset("*")).holds(concept("urn:c", "3"), "CodeableConcept") is None


def test_patterns_match_what_has_more() -> None:
    assert matches({"coding": [{"system": "a", "code": "0"}, {"system": "a", "code": "1", "display": "x"}]}, concept("a", "1"))
    assert not matches({"coding": [{"system": "a", "code": "0"}, {"system": "b", "code": "1"}]}, concept("a", "1"))
    assert not matches({"text": "x"}, concept("a", "1"))


# -- what mCODE demands


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (tumour_size(), []),
        (tumour_size(code=concept(LOINC, "21889-9")), [("pattern", "Observation.code")]),
        (without(tumour_size(), "subject"), [("required", "Observation.subject")]),
        (without(tumour_size(), "component"), [("required", "Observation.component"), ("slice", "Observation.component")]),
        (without(tumour_size(), "focus"), [("must-have-focus-or-specimen-invariant", "Observation")]),
        (tumour_size(specimen={"reference": "Specimen/1"}), [("must-have-focus-or-specimen-invariant", "Observation")]),
    ],
)
def test_tumour_size(body: Body, expected: list[tuple[str, str]]) -> None:
    assert errors(body, "mcode-tumor-size") == expected


def test_slices_by_a_code() -> None:
    def measured(*components: tuple[str, Body]) -> list[tuple[str, str]]:
        parts = [{"code": concept(LOINC, code), **value} for code, value in components]
        return errors(tumour_size(component=parts), "mcode-tumor-size")

    longest, other = "33728-7", "33729-5"
    value = {"valueQuantity": millimetres(3)}
    assert (
        measured((longest, value), (other, value), (other, value), ("9-9", {"valueString": "open: anything else may stand"})) == []
    )
    assert measured((other, value)) == [("slice", "Observation.component")]
    assert measured((longest, value), (longest, value)) == [("slice-too-many", "Observation.component")]
    assert measured((longest, value), *[(other, value)] * 3) == [("slice-too-many", "Observation.component")]
    inches = {"valueQuantity": {"value": 1, "system": UCUM, "code": "[in_i]"}}
    assert measured((longest, inches)) == [("code", "Observation.component[0].valueQuantity")]
    assert measured((longest, {"valueString": "x"})) == [("type", "Observation.component[0].valueString")]


def test_slices_by_a_required_code() -> None:
    assert errors(primary_cancer(), "mcode-primary-cancer-condition") == []
    diagnosis = concept(CONDITION_CATEGORY, "encounter-diagnosis")
    assert errors(primary_cancer(category=[diagnosis]), "mcode-primary-cancer-condition") == [("slice", "Condition.category")]
    both = primary_cancer(category=[diagnosis, concept(CONDITION_CATEGORY, "problem-list-item")])
    assert errors(both, "mcode-primary-cancer-condition") == []


def test_slices_of_extensions_follow_their_definitions() -> None:
    morphology = {"url": f"{MCODE}mcode-histology-morphology-behavior"}
    coded = {**morphology, "valueCodeableConcept": concept("http://terminology.hl7.org/CodeSystem/icd-o-3", "8500/3")}
    assert errors(primary_cancer(extension=[coded]), "mcode-primary-cancer-condition") == []
    twice = primary_cancer(extension=[coded, coded])
    assert errors(twice, "mcode-primary-cancer-condition") == [("slice-too-many", "Condition.extension")]
    text = primary_cancer(extension=[{**morphology, "valueString": "8500/3"}])
    assert errors(text, "mcode-primary-cancer-condition") == [("type", "Condition.extension[0].valueString")]


def test_codes_of_an_extension_deep_inside() -> None:
    def side(code: str) -> list[tuple[str, str]]:
        extension = {"url": f"{MCODE}mcode-laterality-qualifier", "valueCodeableConcept": concept(SNOMED, code)}
        return errors(primary_cancer(bodySite=[{"text": "x", "extension": [extension]}]), "mcode-primary-cancer-condition")

    assert side("7771000") == []
    assert side("7771001") == [("code", "Condition.bodySite[0].extension[0].valueCodeableConcept")]


def test_codes_that_cannot_be_told_offline() -> None:
    stage = observation(
        category=[concept("http://terminology.hl7.org/CodeSystem/observation-category", "exam")],
        code={"coding": [{"system": SNOMED, "code": "385388004"}]},
        subject={"reference": "Patient/1"},
        method=concept(SNOMED, "254372002"),
        effectiveDateTime="2024-03-01",
    )
    ann_arbor = {**stage, "valueCodeableConcept": concept(SNOMED, "46923007")}
    place = "Observation.valueCodeableConcept"
    assert ("not-checked", "code-not-checked", place) in told(ann_arbor, "mcode-lymphoma-stage")
    icd = {**stage, "valueCodeableConcept": concept("http://hl7.org/fhir/sid/icd-10", "C81.9")}
    assert ("code", place) in errors(icd, "mcode-lymphoma-stage")
    listed = concept("http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl", "C171157")
    assert place not in {element for _, _, element in told({**stage, "valueCodeableConcept": listed}, "mcode-lymphoma-stage")}


def test_a_stage_group_has_at_most_three_members() -> None:
    """mCODE tells its members apart by profile and then allows any Observation."""
    members = [observation(id=str(number)) for number in range(4)]
    group = observation(
        category=[concept("http://terminology.hl7.org/CodeSystem/observation-category", "exam")],
        code=concept(LOINC, "21908-9"),
        subject={"reference": "Patient/1"},
        focus=[{"reference": "Condition/1"}],
        method=concept(SNOMED, "897275008"),
        valueCodeableConcept=concept(SNOMED, "1222593009"),
        hasMember=[{"reference": f"Observation/{number}"} for number in range(4)],
    )
    message = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": member} for member in members]}
    assert errors(group, "mcode-tnm-stage-group", message=message) == [("slice-too-many", "Observation.hasMember")]
    three = {**group, "hasMember": group["hasMember"][:3]}
    assert errors(three, "mcode-tnm-stage-group", message=message) == []
    assert errors(group, "mcode-tnm-stage-group") == []  # nothing can be resolved, nothing is demanded


def test_invariants_of_mcode() -> None:
    stopped = {"resourceType": "MedicationRequest", "status": "active", "intent": "plan", "subject": {"reference": "Patient/1"}}
    stopped |= {"medicationCodeableConcept": {"text": "x"}, "statusReason": concept(SNOMED, "266721009"), "authoredOn": "2024"}
    found = errors(stopped, "mcode-cancer-related-medication-request")
    assert found == [("termination-reason-invariant", "MedicationRequest")]
    assert errors({**stopped, "status": "stopped"}, "mcode-cancer-related-medication-request") == []
    assert ("warning", "mcode-reason-required", "MedicationRequest") in told(stopped, "mcode-cancer-related-medication-request")


def test_profiles_by_name_address_and_version() -> None:
    url = f"{MCODE}mcode-tumor-size"
    for name in ("mcode-tumor-size", url, f"{url}|4.0.0"):
        assert errors(without(tumour_size(), "focus"), name) == [("must-have-focus-or-specimen-invariant", "Observation")]


def test_a_profile_of_another_type() -> None:
    assert errors(patient(), "mcode-tumor-size") == [("resource-type", "Patient")]


def test_unknown_profiles() -> None:
    with pytest.raises(ConfigurationError) as caught:
        named("no-such-profile")
    assert "mcode-tumor-size" in str(caught.value)
    assert "zhibao-patient" in str(caught.value)


def test_every_profile_and_type_can_be_built() -> None:
    for release in ("R4", "R5"):
        known = library(release)
        assert {"Patient", "Bundle", "Coding", "Extension"} <= known.types
        for name in known.types:
            profile = known.profile(name)
            assert profile is not None
            assert (
                profile.root.children
                or not profile.base
                or name in ("Element", "Base", "DataType", "PrimitiveType", "BackboneType")
            ), name
        assert all(known.profile(name) is not None for name in known.names())


# -- our own profiles


@pytest.mark.parametrize("profile", sorted((ROOT / "conformance" / "fhir" / "profiles").glob("*.toml")), ids=lambda file: file.stem)
def test_what_a_rule_cites_is_here_or_has_a_name_in_the_world(profile: Path) -> None:
    """A cited file is one of the project, and a cited element stands in its table."""
    with (ROOT / FIELDS).open(encoding="utf-8") as handle:
        elements = {row["element"] for row in csv.DictReader(handle)}
    for rule in read_own(profile.read_text("utf-8"), profile.name).rule:
        for cited in re.findall(r"[\w/.-]+\.(?:csv|md|toml)", rule.source):
            assert (ROOT / cited).is_file(), rule.key
        for element in re.findall(rf"{FIELDS}, ([^;:]+)", rule.source):
            assert element in elements, rule.key


def resident_id(first17: str) -> str:
    return first17 + check_character(first17)


def numbers() -> list[Body]:
    """A record number and a resident ID."""
    return [
        {"type": concept("http://terminology.hl7.org/CodeSystem/v2-0203", "MR"), "value": "ZY-1"},
        {"system": "urn:oid:2.16.156.10011.1.3", "value": resident_id("99000019610203001")},
    ]


def reportable_patient(**more: Any) -> Body:
    who = {"identifier": numbers(), "name": [{"text": "测试甲"}], "gender": "male", "birthDate": "1961-02-03"}
    return patient(**{**who, **more})


def mistaken_id() -> str:
    right = resident_id("99000019610203001")
    return right[:-1] + ("0" if right[-1] != "0" else "1")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (reportable_patient(), []),
        (without(reportable_patient(), "name"), ["zb-pat-4"]),
        (without(reportable_patient(), "gender"), ["zb-pat-5"]),
        (without(reportable_patient(), "birthDate"), ["zb-pat-6"]),
        (reportable_patient(birthDate="1961-02"), ["zb-pat-7"]),
        (reportable_patient(birthDate="1961-02-04"), ["zb-pat-8"]),
        (reportable_patient(identifier=[{"system": "urn:his:number", "value": "1"}]), ["zb-pat-3"]),
        (reportable_patient(identifier=numbers()[1:]), ["zb-pat-1"]),
        (reportable_patient(identifier=[*numbers(), {"type": {"coding": [{"code": "CIN"}]}, "value": mistaken_id()}]), ["zb-pat-2"]),
        (patient(), ["zb-pat-1", "zb-pat-3", "zb-pat-4", "zb-pat-5", "zb-pat-6"]),
    ],
)  # fmt: skip
def test_patients_that_can_be_reported(body: Body, expected: list[str]) -> None:
    for release in ("R4", "R5"):
        assert [rule for _, rule, _ in told(body, "zhibao-patient", release)] == expected


def stay(release: Release, **more: Any) -> Body:
    when = {"start": "2024-03-01T09:00:00+08:00", "end": "2024-03-09T10:00:00+08:00"}
    role = "http://terminology.hl7.org/CodeSystem/diagnosis-role"
    inpatient = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}
    shared = {"resourceType": "Encounter", "identifier": [{"value": "1"}], "subject": {"reference": "Patient/1"}}
    disposition = {"dischargeDisposition": {"text": "医嘱离院"}}
    if release == "R4":
        diagnoses: Any = [{"condition": {"reference": "Condition/1"}, "use": concept(role, "DD"), "rank": 1}]
        own = {"status": "finished", "class": inpatient, "period": when, "diagnosis": diagnoses, "hospitalization": disposition}
    else:
        diagnoses = [{"condition": [{"reference": {"reference": "Condition/1"}}], "use": [concept(role, "DD")]}]
        coded = [{"coding": [inpatient]}]
        own = {"status": "completed", "class": coded, "actualPeriod": when, "diagnosis": diagnoses, "admission": disposition}
    return {**shared, **own, **more}


@pytest.mark.parametrize("release", ["R4", "R5"])
def test_stays_that_can_be_reported(release: Release) -> None:
    def said(body: Body) -> list[str]:
        return [rule for _, rule, _ in told(body, "zhibao-inpatient-encounter", release)]

    assert said(stay(release)) == []
    period = "period" if release == "R4" else "actualPeriod"
    assert said(without(stay(release), period)) == ["zb-enc-2", "zb-enc-3"]
    assert said(stay(release, **{period: {"start": "2024-03-01"}})) == ["zb-enc-3"]
    assert said(stay(release, status="in-progress", **{period: {"start": "2024-03-01"}})) == ["zb-enc-4"]
    assert said(without(stay(release), "subject")) == ["zb-enc-5"]
    assert said(without(stay(release), "diagnosis")) == ["zb-enc-6"]
    assert said(without(stay(release), "identifier")) == ["zb-enc-10"]
    assert said(without(stay(release), "hospitalization", "admission")) == ["zb-enc-9"]
    outpatient = {"code": "AMB"}
    assert said(stay(release, **{"class": outpatient if release == "R4" else [{"coding": [outpatient]}]})) == ["zb-enc-1"]


def test_the_main_diagnosis_must_be_marked() -> None:
    def said(*diagnoses: tuple[str, int | None]) -> list[str]:
        listed = []
        for use, rank in diagnoses:
            one: Body = {"condition": {"reference": "Condition/1"}}
            one |= {"use": {"coding": [{"code": use}]}} if use else {}
            one |= {"rank": rank} if rank else {}
            listed.append(one)
        return [rule for _, rule, _ in told(stay("R4", diagnosis=listed), "zhibao-inpatient-encounter")]

    assert said(("AD", 1), ("DD", 1), ("CM", 2)) == []  # ranks count within a use
    assert said(("DD", None), ("CM", None)) == []  # the only discharge diagnosis
    assert said(("DD", None), ("DD", None)) == ["zb-enc-7"]  # the first is not taken for the main one
    assert said(("DD", 1), ("DD", 1)) == ["zb-enc-7"]
    assert said(("AD", 1)) == ["zb-enc-7"]
    assert said(("DD", 1), ("", None)) == ["zb-enc-8"]


def test_the_main_diagnosis_of_r5_is_told_by_its_use() -> None:
    def said(*uses: str) -> list[str]:
        listed = [
            {"condition": [{"reference": {"reference": "Condition/1"}}], "use": [{"coding": [{"code": use}]}]} for use in uses
        ]
        return [rule for _, rule, _ in told(stay("R5", diagnosis=listed), "zhibao-inpatient-encounter", "R5")]

    assert said("DD", "CM") == []
    assert said("DD", "DD") == ["zb-enc-7"]
    assert said("CM") == ["zb-enc-7"]


def diagnosis(**more: Any) -> Body:
    code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "C50.900", "display": "乳腺恶性肿瘤"}]}
    stated = {"verificationStatus": concept(VERIFICATION, "confirmed"), "code": code, "encounter": {"reference": "Encounter/1"}}
    return condition(**{**stated, **more})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (diagnosis(), []),
        (without(diagnosis(), "verificationStatus"), ["zb-con-1"]),
        (diagnosis(verificationStatus=concept(VERIFICATION, "provisional")), ["zb-con-1"]),
        (without(diagnosis(), "code"), ["zb-con-2", "zb-con-3", "zb-con-4"]),
        (diagnosis(code=concept(SNOMED, "254837009")), ["zb-con-3", "zb-con-4"]),
        (diagnosis(code={**concept("urn:zhibao:ICD10-GB-CLIN-2.0", "C50.900"), "text": "乳腺恶性肿瘤"}), []),
        (without(diagnosis(), "encounter"), ["zb-con-5"]),
    ],
)
def test_diagnoses_that_can_be_reported(body: Body, expected: list[str]) -> None:
    assert [rule for _, rule, _ in told(body, "zhibao-diagnosis")] == expected


def test_diagnoses_with_an_unknown_modifier_cannot() -> None:
    reversed_ = diagnosis(modifierExtension=[{"url": "http://his.example/not", "valueBoolean": True}])
    assert [rule for _, rule, _ in told(reversed_, "zhibao-diagnosis")] == ["zb-con-6", "modifier-extension"]


def tumour(**more: Any) -> Body:
    icdo = "http://terminology.hl7.org/CodeSystem/icd-o-3"
    extensions = [
        {"url": f"{BASE}condition-assertedDate", "valueDateTime": "2024-03-04"},
        {"url": f"{MCODE}mcode-histology-morphology-behavior", "valueCodeableConcept": concept(icdo, "8500/3")},
    ]
    stated = {"extension": extensions, "bodySite": [concept(icdo, "C50.4")], "evidence": [{"code": [concept(SNOMED, "252416005")]}]}
    return diagnosis(**{**stated, "category": [concept(CONDITION_CATEGORY, "encounter-diagnosis")], **more})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (tumour(), []),
        (tumour(extension=tumour()["extension"][:1]), ["zb-can-1"]),
        (tumour(extension=tumour()["extension"][1:]), ["zb-can-4"]),
        (without(tumour(), "bodySite"), ["zb-can-2", "zb-can-3"]),
        (tumour(bodySite=[concept(SNOMED, "76752008")]), ["zb-can-3"]),
        (tumour(bodySite=[concept("http://terminology.hl7.org/CodeSystem/icd-o-3", "8500/3")]), ["zb-can-3"]),
        (without(tumour(), "evidence"), ["zb-can-5"]),
        (without(tumour(), "category"), ["zb-can-6"]),
        (without(tumour(), "verificationStatus"), ["zb-con-1"]),
    ],
)
def test_tumours_that_can_be_registered(body: Body, expected: list[str]) -> None:
    assert [rule for _, rule, _ in told(body, "zhibao-primary-cancer")] == expected


def test_stages_that_can_be_registered() -> None:
    stage = observation(focus=[{"reference": "Condition/1"}], method={"text": "AJCC8"}, valueString="IIA")
    assert told(stage, "zhibao-stage") == []
    assert told({**stage, "status": "preliminary"}, "zhibao-stage") == [("error", "zb-stg-1", "Observation.status")]
    assert told(without(stage, "valueString"), "zhibao-stage") == [("error", "zb-stg-2", "Observation.value[x]")]
    assert told(without(stage, "focus", "method"), "zhibao-stage") == [
        ("warning", "zb-stg-3", "Observation.focus"),
        ("warning", "zb-stg-4", "Observation.method"),
    ]


def test_the_primary_cancer_of_a_registry_report() -> None:
    listed = [concept(CONDITION_CATEGORY, "problem-list-item"), concept(CONDITION_CATEGORY, "encounter-diagnosis")]
    assert [rule for _, rule, _ in told(tumour(category=listed), "ccrr-primary-cancer") if rule.startswith("ccrr")] == []
    bare = primary_cancer()
    assert [rule for rule, _ in errors(bare, "ccrr-primary-cancer")] == ["ccrr-pc-1", "ccrr-pc-2", "ccrr-pc-3"]


def test_the_bundles_of_a_registry_report() -> None:
    def section(*entries: str) -> Body:
        return {"code": concept(SNOMED, "363346000"), "entry": [{"reference": entry} for entry in entries]}

    def index(*sections: Body) -> Body:
        head = {"resourceType": "Composition", "status": "final", "date": "2024-03-04", "title": "Central Cancer Registry Report"}
        whose = {"subject": {"reference": "Patient/1"}, "encounter": {"reference": "Encounter/1"}, "author": [{"display": "x"}]}
        return {**head, **whose, "type": concept(LOINC, "72134-0"), "identifier": {"value": "1"}, "section": list(sections)}

    assert errors(index(section("Condition/1")), "ccrr-composition") == []
    assert errors(index(section("Condition/1", "Condition/2")), "ccrr-composition") == [("ccrr-com-3", "Composition.section")]
    assert errors(index(section("Condition/1"), section("Condition/2")), "ccrr-composition") == [
        ("ccrr-com-2", "Composition.section")
    ]
    content = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": index(section("Condition/1"))}]}
    assert errors(content, "ccrr-content-bundle") == []
    assert errors({**content, "entry": [{"resource": patient()}]}, "ccrr-content-bundle") == [("ccrr-bun-1", "Bundle.entry")]
    header = {"resourceType": "MessageHeader", "eventUri": "urn:x", "source": {"endpoint": "urn:x"}}
    report = {"resourceType": "Bundle", "type": "message", "timestamp": "2024-03-04T00:00:00Z"}
    assert errors({**report, "entry": [{"resource": header}, {"resource": content}]}, "ccrr-reporting-bundle") == []
    wrong = {**report, "entry": [{"resource": content}, {"resource": header}]}
    assert set(errors(wrong, "ccrr-reporting-bundle")) == {("ccrr-rep-1", "Bundle.entry"), ("bdl-12", "Bundle")}


# -- profiles of a hospital


def definition(*elements: Body, **more: Any) -> Body:
    root = {"id": "Patient", "path": "Patient", "min": 0, "max": "*"}
    head = {"resourceType": "StructureDefinition", "url": "http://his.example/p", "type": "Patient", "derivation": "constraint"}
    return {**head, "fhirVersion": "4.0.1", "snapshot": {"element": [root, *elements]}, **more}


def element(path: str, **more: Any) -> Body:
    return {"id": path, "path": path, "min": 0, "max": "*", **more}


def by_own(folder: Path, profile: Body, body: Body) -> list[tuple[str, str]]:
    file = folder / "own.json"
    file.write_text(json.dumps(profile), encoding="utf-8")
    found = findings_of(body, read_definition(file)["R4"])
    return [(f.rule.removeprefix("ZB-FHIR-"), f.fields[0]) for f in found]


def test_fixed_values_and_numbers_of_a_definition(tmp_path: Path) -> None:
    names = element("Patient.name", type=[{"code": "HumanName"}], min=1, max="1")
    active = element("Patient.active", type=[{"code": "boolean"}], fixedBoolean=False)
    profile = definition(active, names)
    assert by_own(tmp_path, profile, patient(active=False, name=[{"text": "x"}])) == []
    assert by_own(tmp_path, profile, patient(active=True)) == [("fixed", "Patient.active"), ("required", "Patient.name")]
    assert by_own(tmp_path, profile, patient(name=[{"text": "x"}, {"text": "y"}])) == [("too-many", "Patient.name")]


def sliced(kind: str, path: str, *, closed: bool = False) -> Body:
    slicing = {"discriminator": [{"type": kind, "path": path}], "rules": "closed" if closed else "open"}
    return element("Patient.identifier", type=[{"code": "Identifier"}], slicing=slicing)


def piece(name: str, part: str = "", **more: Any) -> Body:
    number = {"id": f"Patient.identifier:{name}", "path": "Patient.identifier", "sliceName": name, "min": 0, "max": "*"}
    inner = {"id": f"Patient.identifier:{name}.{part}", "path": f"Patient.identifier.{part}", "min": 0, "max": "1"}
    return {**inner, **more} if part else {**number, "type": [{"code": "Identifier"}], **more}


def test_slices_by_a_fixed_value_closed(tmp_path: Path) -> None:
    system = piece("own", "system", type=[{"code": "uri"}], fixedUri="urn:own")
    profile = definition(sliced("value", "system", closed=True), piece("own", min=1), system)
    assert by_own(tmp_path, profile, patient(identifier=[{"system": "urn:own"}])) == []
    found = by_own(tmp_path, profile, patient(identifier=[{"system": "urn:other"}]))
    assert found == [("slice-closed", "Patient.identifier[0]"), ("slice", "Patient.identifier")]


def test_slices_by_existence(tmp_path: Path) -> None:
    profile = definition(
        sliced("exists", "period"), piece("dated", max="1"), piece("dated", "period", min=1, type=[{"code": "Period"}])
    )
    dated = {"value": "1", "period": {"start": "2024"}}
    assert by_own(tmp_path, profile, patient(identifier=[dated, {"value": "2"}, {"value": "3"}])) == []
    assert by_own(tmp_path, profile, patient(identifier=[dated, dated])) == [("slice-too-many", "Patient.identifier")]


def test_slices_by_the_profile_of_what_is_referred_to(tmp_path: Path) -> None:
    def link(url: str) -> list[Body]:
        return [{"code": "Reference", "targetProfile": [url]}]

    path, name = "Patient.generalPractitioner", f"{BASE}Practitioner"
    slicing = {"discriminator": [{"type": "profile", "path": "resolve()"}], "rules": "open"}
    doctors = {"id": f"{path}:doctor", "path": path, "sliceName": "doctor", "min": 0, "max": "1", "type": link(name)}
    profile = definition(element(path, type=[{"code": "Reference"}], slicing=slicing), doctors)
    doctor, hospital = {"resourceType": "Practitioner", "id": "a"}, {"resourceType": "Organization", "id": "b", "name": "x"}
    body = patient(contained=[doctor, {**doctor, "id": "c"}, hospital])
    two = [{"reference": "#a"}, {"reference": "#b"}]
    assert by_own(tmp_path, profile, {**body, "contained": [doctor, hospital], "generalPractitioner": two}) == []
    found = by_own(tmp_path, profile, {**body, "generalPractitioner": [*two, {"reference": "#c"}]})
    assert found == [("slice-too-many", path)]


def test_slices_that_cannot_be_told_are_not_checked(tmp_path: Path) -> None:
    profile = definition(sliced("value", "no.such.way()"), piece("own", min=1))
    found = by_own(tmp_path, profile, patient(identifier=[{"value": "1"}]))
    assert found == [("slice-not-checked", "Patient.identifier")]


def test_invariants_that_cannot_be_evaluated_are_not_checked(tmp_path: Path) -> None:
    rule = {"key": "own-1", "severity": "error", "human": "x", "expression": "gender.memberOf('http://his.example/vs')"}
    profile = definition()
    profile["snapshot"]["element"][0]["constraint"] = [rule]
    file = tmp_path / "own.json"
    file.write_text(json.dumps(profile), encoding="utf-8")
    (found,) = findings_of(patient(gender="male"), read_definition(file)["R4"])
    assert (found.rule, found.severity, found.fields) == ("own-1", "not-checked", ("Patient",))
    assert "未检查" in found.message


OWN = """
id = "our-patient"
name = "本院患者"
base = "Patient"
releases = ["R5"]
[[rule]]
key = "our-1"
severity = "error"
element = "telecom"
expression = "telecom.exists()"
chinese = "缺少电话"
english = "no phone"
source = "本院"
confidence = "high"
"""


def test_a_file_of_rules(tmp_path: Path) -> None:
    file = tmp_path / "our.toml"
    file.write_text(OWN, encoding="utf-8")
    profiles = read_definition(file)
    assert profiles.keys() == {"R5"}
    (found,) = findings_of(patient(), profiles["R5"], release="R5")
    assert (found.rule, found.severity, found.fields) == ("our-1", "error", ("Patient.telecom",))
    assert found.message == "缺少电话（our-1）（our-patient）"


@pytest.mark.parametrize("text", ["name.exists()", " name.where(use = 'official').given ", "`div`", "%resource.id in ('a' | 'b')"])
def test_text_that_is_fhirpath(text: str) -> None:
    check_syntax(text)


@pytest.mark.parametrize(
    "text", ["", "name.exists(", "name.exists()) ", "name exists()", "name.exists() #", "name = 'open", "a..b", "1 +"]
)
def test_text_that_is_not_or_only_begins_as_fhirpath(text: str) -> None:
    with pytest.raises(ValueError, match="FHIRPath"):
        check_syntax(text)


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("a.json", "{", "JSON"),
        ("a.json", "[]", "StructureDefinition"),
        ("a.json", json.dumps(without(definition(), "snapshot")), "snapshot"),
        ("a.json", json.dumps(definition(element("Patient.name.given"))), "snapshot"),
        ("a.toml", "id = ", "TOML"),
        ("a.toml", OWN.replace('severity = "error"', 'severity = "bad"'), "rule"),
        ("a.toml", OWN.replace("telecom.exists()", "telecom..exists("), "FHIRPath"),
        ("a.toml", OWN.replace('base = "Patient"', 'base = "Nobody"'), "Nobody"),
    ],
)
def test_faulty_profile_files(tmp_path: Path, name: str, text: str, word: str) -> None:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=word):
        read_definition(file)


def test_a_profile_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        read_definition(tmp_path / "none.json")


# -- findings


def test_findings_hold_no_values_of_the_resource() -> None:
    mark = "机密值"
    broken = patient(
        gender=mark,
        name=[{"text": mark, "use": mark}],
        identifier=[{"value": mark, "period": {"start": "2024", "end": "2023"}, "use": mark}],
        extension=[{"url": f"{BASE}patient-birthPlace", "valueString": mark}],
        modifierExtension=[{"url": mark, "valueString": mark}],
        managingOrganization={"reference": "Location/1", "display": mark},
        birthDate="1961-02-04",
        **{mark: mark},
    )
    found = findings_of(broken, "zhibao-patient") + list(second_opinion(broken, "R4"))
    assert len(found) > 8
    assert not [finding for finding in found if mark in repr(finding)]
    assert all(finding.message and finding.english for finding in found)


def test_findings_are_in_two_languages() -> None:
    (finding,) = [f for f in findings_of(without(tumour_size(), "focus"), "mcode-tumor-size") if f.severity == "error"]
    assert finding == Finding(
        "must-have-focus-or-specimen-invariant",
        ("Observation",),
        "error",
        "肿瘤大小必须指明肿瘤（focus）或标本（specimen），且只能有其一（must-have-focus-or-specimen-invariant）（mcode-tumor-size）",
        "Either `focus` OR `specimen` MUST be populated (must-have-focus-or-specimen-invariant)",
    )


def test_every_invariant_that_we_use_is_said_in_chinese() -> None:
    """Those of mCODE and of the types that a stay is read from."""
    used = "Patient Encounter Condition Observation Procedure DiagnosticReport Specimen MedicationRequest MedicationAdministration Bundle"
    for release in ("R4", "R5"):
        known = library(release)
        names = [
            *used.split(),
            *(known.names() if release == "R4" else []),
            "Period",
            "Quantity",
            "Identifier",
            "Extension",
            "Reference",
        ]
        profiles = [profile for name in names if (profile := known.profile(name)) is not None]
        rules = [rule for profile in profiles for part in profile.by_id.values() for rule in (*part.constraints, *profile.more)]
        assert {rule.key for rule in rules if not known.chinese(rule)} == set()


def test_the_place_in_a_message_is_part_of_the_expression() -> None:
    assert errors(patient(gender="x"), "Patient", place="entry[3]") == [("code", "Bundle.entry[3].resource.gender")]


def test_nothing_is_changed() -> None:
    body = reportable_patient(extension=[{"url": f"{BASE}patient-birthPlace", "valueString": "x"}])
    before = copy.deepcopy(body)
    findings_of(body, "zhibao-patient")
    assert body == before


# -- a second opinion


def test_a_second_opinion_names_elements() -> None:
    assert list(second_opinion(patient(gender="male"), "R4")) == []
    (found,) = second_opinion(patient(name=[{"given": [{"x": 1}]}]), "R4")
    assert (found.severity, found.fields) == ("warning", ("Patient.name[0].given[0]",))
    (found,) = second_opinion({"resourceType": "MedicinalProduct"}, "R4")
    assert found.severity == "not-checked"
    r5 = {"resourceType": "Encounter", "status": "completed", "class": [{"text": "x"}]}
    assert list(second_opinion(r5, "R5")) == []
    assert list(second_opinion(r5, "R4")) != []


# -- what the world sends


@needs_corpora
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("specimen-only", []),
        ("focus-and-specimen", [("must-have-focus-or-specimen-invariant", "Observation")]),
        ("neither", [("must-have-focus-or-specimen-invariant", "Observation")]),
    ],
)
def test_the_invariant_examples_of_mcode(name: str, expected: list[tuple[str, str]]) -> None:
    file = MCODE_EXAMPLES / "invariants" / f"must-have-focus-or-specimen-invariant_{name}.json"
    assert errors(json.loads(file.read_text(encoding="utf-8")), "mcode-tumor-size") == expected


@needs_corpora
def test_a_synthetic_record_breaks_no_rule_of_fhir() -> None:
    file = min(files_of(SYNTHEA, "*.json"), key=lambda path: path.stat().st_size)
    found = findings_of(json.loads(file.read_text(encoding="utf-8")), "Bundle")
    assert {finding.severity for finding in found} <= {"not-checked"}
