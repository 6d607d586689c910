"""Stays, audit entries and provenance as FHIR R4: the elements and codes that the standards name, strictly valid."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from adapters.fhir.structure import faults
from adapters.fhir.tables import rows
from adapters.fhir.writing.audit_event import audit_event
from adapters.fhir.writing.bundles import (
    SeveralPrimaries,
    ccrr_content_bundle,
    ccrr_reporting_bundle,
    mcode_patient_bundle,
    plain_bundle,
)
from adapters.fhir.writing.carried import is_carried
from adapters.fhir.writing.names import Names
from adapters.fhir.writing.provenance import provenance
from adapters.fhir.writing.stay import resources_of
from adapters.fhir.writing.strict import NotFhir, Resource, as_json, strict
from adapters.hqms.header import recognise
from adapters.hqms.rows import RowReader
from conformance.sample.hospital import generate
from gateway.audit.log import Event, export, record, verify_lines
from gateway.cases.leaves import filled
from gateway.model.stay import Diagnoses, Diagnosis, Identity, Marker, Medication, Patient, Stay, Tumour
from gateway.model.values import Coded
from gateway.store.ledger import Ledger
from gateway.store.vault import Vault
from mappings.code_systems import OURS
from mappings.layout import layout
from tests.fhir_profiles import findings_of
from tests.unit.fhir_stays import BREAST, ICD, NAMES, STAY, everything

MCODE = "http://hl7.org/fhir/us/mcode/StructureDefinition/"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def resources() -> dict[str, Resource]:
    """The resources of the stay that has everything, by type and id without the prefix of the stay."""
    return named(resources_of(everything(), NAMES))


def named(made: Iterable[Resource]) -> dict[str, Resource]:
    return {f"{one['resourceType']}/{one['id'].removeprefix(f'zb-{STAY}').lstrip('-')}": one for one in made}


def codes(concept: dict[str, Any]) -> set[str]:
    """The codings of a concept as ``system|code``."""
    return {f"{coding.get('system', '')}|{coding['code']}" for coding in concept.get("coding", ())}


def ours(resource: Resource, word: str) -> Any:
    """The value of one of our extensions."""
    (found,) = (one for one in resource["extension"] if one["url"] == f"urn:zhibao:{word}")
    (value,) = (value for name, value in found.items() if name.startswith("value"))
    return value


def parsed(resource: Resource) -> Any:
    """Read back from text by the R4B classes."""
    kind = resource["resourceType"]
    return getattr(import_module(f"fhir.resources.R4B.{kind.lower()}"), kind).model_validate_json(as_json(resource))


# --- validity ------------------------------------------------------------------------------------------------------------------------


def test_everything_is_r4_and_every_id_is_ours(resources: dict[str, Resource]) -> None:
    for resource in resources.values():
        assert faults(resource, "R4") == []
        assert parsed(resource).id.startswith("zb-")
    assert len({(one["resourceType"], one["id"]) for one in resources.values()}) == len(resources)


@pytest.mark.parametrize("profile", ["", "mcode-patient-bundle"])
def test_profiles_find_nothing_wrong(resources: dict[str, Resource], profile: str) -> None:
    """What FHIR itself demands of each resource (cardinalities, bindings, invariants), and what mCODE demands of the bundle, its patient and
    its cancers, by the validator of the project."""
    bundle = json.loads(as_json(mcode_patient_bundle(list(resources.values()), NAMES)))
    found = findings_of(bundle, MCODE + profile if profile else "Bundle")
    assert [finding for finding in found if finding.severity == "error"] == []


def test_claimed_profiles_are_fulfilled(resources: dict[str, Resource]) -> None:
    bundle = json.loads(as_json(plain_bundle(list(resources.values()), NAMES)))
    claimed = 0
    for entry in bundle["entry"]:
        for profile in entry["resource"]["meta"].get("profile", ()):
            claimed += 1
            found = findings_of(entry["resource"], profile, message=bundle)
            assert [finding for finding in found if finding.severity == "error"] == []
    assert claimed > 5


def test_sample_stays_are_r4() -> None:
    reader = RowReader(recognise(layout("2020").columns))
    for number, row in enumerate(islice(generate(300), 0, None, 6)):
        stay = reader.read(layout("2020").row(row), f"file#{number}").stay
        for resource in resources_of(stay, NAMES):
            assert faults(resource, "R4") == []


@pytest.mark.parametrize(
    "stay", [Stay(), Stay(record_number="R-1"), Stay(tumours=[Tumour()], pathology=[], medications=[Medication()])]
)
def test_a_stay_of_which_little_is_known_is_r4(stay: Stay) -> None:
    for resource in resources_of(stay, NAMES):
        assert faults(resource, "R4") == []


def test_text_that_fhir_does_not_allow_never_breaks_a_resource() -> None:
    stay = everything()
    stay.patient.name = "  "
    stay.admission.ward = "一\x01病区"
    stay.patient.birth_date = "2026-02-30"
    stay.payment_method = Coded("a system with blanks", " 1 ", "自费")
    stay.diagnoses.principal = Diagnosis(condition=Coded(ICD, "", ""))
    made = named(resources_of(stay, NAMES))
    assert all(faults(resource, "R4") == [] for resource in made.values())
    assert "name" not in made["Patient/zb-4711"]
    assert "birthDate" not in made["Patient/zb-4711"]


def test_references_of_a_stay_lead_somewhere(resources: dict[str, Resource]) -> None:
    known = {f"{one['resourceType']}/{one['id']}" for one in resources.values()}
    for resource in resources.values():
        contained = {f"#{one['id']}" for one in resource.get("contained", ())}
        said = set(re.findall(r'"reference":"([^"]+)"', as_json(resource)))
        assert said <= known | contained


def test_amounts_keep_their_digits(resources: dict[str, Resource]) -> None:
    assert '"value":21.50,' in as_json(resources["Observation/tumour-0-size"])
    assert '"value":6.50,' in as_json(resources["Observation/marker-0"])
    assert '"valueDecimal":2.50' in as_json(resources["Procedure/procedure-principal"])


def test_what_r4_lacks_is_refused() -> None:
    with pytest.raises(NotFhir, match="SubscriptionTopic"):
        strict({"resourceType": "SubscriptionTopic", "status": "active", "url": "http://a.example"})
    patient = {"resourceType": "Patient", "extension": [{"url": "urn:a", "valueCodeableReference": {"concept": {"text": "x"}}}]}
    parsed(patient)  # R4B has it
    with pytest.raises(NotFhir, match="valueCodeableReference"):
        strict(patient)
    ratio = {"resourceType": "Patient", "extension": [{"url": "urn:a", "valueRatioRange": {}}]}
    with pytest.raises(NotFhir, match="valueRatioRange"):
        strict(ratio)
    with pytest.raises(NotFhir, match=r"Patient\.contained\.resourceType"):
        strict({"resourceType": "Patient", "contained": [{"resourceType": "Citation", "status": "active"}]})


def test_a_refusal_names_elements_and_no_values() -> None:
    with pytest.raises(NotFhir) as refused:
        strict({"resourceType": "Patient", "birthDate": "欧阳试", "surname": "欧阳"})
    assert "birthDate" in str(refused.value)
    assert "欧阳" not in str(refused.value)


def test_an_id_that_fhir_does_not_allow_is_refused() -> None:
    with pytest.raises(ValueError, match="FHIR id"):
        resources_of(Stay(), Names("x" * 70, "1", 1, NAMES.updated))
    with pytest.raises(ValueError, match="FHIR id"):
        resources_of(Stay(), Names("a", "张 三", 1, NAMES.updated))


# --- the person and the stay ---------------------------------------------------------------------------------------------------------


def test_patient(resources: dict[str, Resource]) -> None:
    patient = resources["Patient/zb-4711"]
    assert patient["meta"]["versionId"] == "3"
    numbers = {one["system"]: (one["value"], one["type"]["coding"][0]["code"]) for one in patient["identifier"]}
    assert numbers == {
        "urn:oid:2.16.156.10011.1.13": ("R-10001", "MR"),
        "urn:oid:2.16.156.10011.1.3": ("99010119700308002X", "NI"),
        "urn:oid:2.16.156.10011.1.19": ("HC-77", "HC"),
    }
    (name,) = patient["name"]
    assert name["text"] == "欧阳试"
    assert set(name) == {"text", "_family"}  # never split: the family name is absent
    assert patient["gender"] == "female"
    assert ours(patient, "gender") == {"system": "urn:zhibao:RC001", "code": "2"}
    assert patient["birthDate"] == "1970-03"
    assert codes(patient["maritalStatus"]) == {
        "urn:zhibao:RC002|2",
        "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus|M",
    }
    assert patient["deceasedDateTime"] == "2026-10-20T23:05:00+08:00"
    assert patient["_deceasedDateTime"]["extension"] == [{"url": "urn:zhibao:precision", "valueCode": "minute"}]
    assert [(one.get("use"), one["text"], one["postalCode"]) for one in patient["address"]] == [
        ("home", "某市乙区二号", "990002"),
        (None, "某市甲区一号", "990001"),
        ("work", "某单位", "990003"),
    ]
    assert patient["contact"][0]["name"] == {"text": "欧阳联"}


def test_another_identity_document_is_no_resident_id() -> None:
    passport = Identity(kind=Coded("RC038", "4"), number="H01234567")
    patient, *_ = resources_of(Stay(patient=Patient(identity=passport)), NAMES)
    (number,) = patient["identifier"]
    assert number["system"] == "urn:zhibao:identity-number"
    assert codes(number["type"]) == {"urn:zhibao:RC038|4"}


@pytest.mark.parametrize(("code", "gender"), [("0", "unknown"), ("1", "male"), ("2", "female"), ("9", "unknown")])
def test_gender_is_a_word_of_fhir(code: str, gender: str) -> None:
    patient, *_ = resources_of(Stay(patient=Patient(sex=Coded("RC001", code))), NAMES)
    assert patient["gender"] == gender


def test_who_left_the_hospital_dead_is_deceased() -> None:
    stay = Stay()
    stay.discharge.disposition = Coded("RC019", "5")
    patient, encounter, *_ = resources_of(stay, NAMES)
    assert patient["deceasedBoolean"] is True
    assert "http://terminology.hl7.org/CodeSystem/discharge-disposition|exp" in codes(
        encounter["hospitalization"]["dischargeDisposition"]
    )


def test_encounter(resources: dict[str, Resource]) -> None:
    encounter = resources["Encounter/"]
    assert encounter["status"] == "finished"
    assert encounter["class"]["code"] == "IMP"
    assert encounter["class"]["system"] == "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    assert encounter["period"]["start"] == "2026-10-05T09:30:00+08:00"
    assert encounter["period"]["end"] == "2026-10-20T23:10:05+08:00"
    assert "_end" not in encounter["period"]
    assert ours(encounter, "admission-number") == 2
    assert encounter["length"]["value"] == 15
    assert encounter["length"]["code"] == "d"
    assert codes(encounter["hospitalization"]["admitSource"]) == {
        "urn:zhibao:RC026|3",
        "http://terminology.hl7.org/CodeSystem/admit-source|hosp-trans",
    }
    assert encounter["serviceProvider"]["identifier"] == {"system": "urn:oid:2.16.156.10011.1.5", "value": "99ORG"}
    roles = [ours(one, "location-role") for one in encounter["location"]]
    assert roles == ["admission", "transfer", "transfer", "discharge"]
    people = {one["type"][0]["coding"][0]["code"]: one["individual"]["display"] for one in encounter["participant"]}
    assert people["attending_physician"] == "职员3"
    assert len(people) == 8


def test_status_follows_the_state() -> None:
    stay = everything()
    _, encounter, *_ = resources_of(stay, NAMES, withdrawn=True)
    assert encounter["status"] == "cancelled"
    stay.discharge.time = None
    _, encounter, *_ = resources_of(stay, NAMES)
    assert encounter["status"] == "in-progress"


def test_diagnoses_by_use_and_rank(resources: dict[str, Resource]) -> None:
    said = [
        (one["condition"]["reference"].removeprefix(f"Condition/zb-{STAY}-"), one["use"]["coding"][0]["code"], one.get("rank"))
        for one in resources["Encounter/"]["diagnosis"]
    ]
    assert said == [
        ("principal", "DD", 1),
        ("other-2", "CM", 2),
        ("other-3", "CM", 3),
        ("admission", "AD", None),
        ("outpatient", "outpatient", None),
        ("external-cause", "external_cause", None),
    ]
    other = resources["Condition/other-2"]
    assert codes(other["code"]) == {f"urn:zhibao:{ICD}|I10.x00"}
    assert other["code"]["text"] == "高血压"
    assert codes(other["verificationStatus"]) == {"http://terminology.hl7.org/CodeSystem/condition-ver-status|confirmed"}
    assert len(other["category"]) == 1
    assert codes(other["category"][0]) == {"http://terminology.hl7.org/CodeSystem/condition-category|encounter-diagnosis"}
    assert ours(other, "present-on-admission")["code"] == "1"
    assert ours(other, "outcome")["code"] == "9"
    assert "clinicalStatus" not in other  # outcome 其他 tells nothing
    assert codes(resources["Condition/admission"]["clinicalStatus"]) == {
        "http://terminology.hl7.org/CodeSystem/condition-clinical|active"
    }


# --- oncology ------------------------------------------------------------------------------------------------------------------------


def test_the_tumour_of_the_main_diagnosis_is_its_condition(resources: dict[str, Resource]) -> None:
    condition = resources["Condition/principal"]
    assert "Condition/tumour-0" not in resources
    assert condition["meta"]["profile"] == [MCODE + "mcode-primary-cancer-condition"]
    extensions = {one["url"]: one for one in condition["extension"]}
    morphology = extensions[MCODE + "mcode-histology-morphology-behavior"]["valueCodeableConcept"]
    assert codes(morphology) == {"http://terminology.hl7.org/CodeSystem/icd-o-3|8500/3"}
    assert extensions["http://hl7.org/fhir/StructureDefinition/condition-assertedDate"]["valueDateTime"] == "2026-10-05"
    (site,) = condition["bodySite"]
    assert codes(site) == {"http://terminology.hl7.org/CodeSystem/icd-o-3|C50.4"}
    (side,) = site["extension"]
    assert side["url"] == MCODE + "mcode-laterality-qualifier"
    assert "http://snomed.info/sct|7771000" in codes(side["valueCodeableConcept"])
    assert "http://snomed.info/sct|714797009" in codes(condition["evidence"][0]["code"][0])
    assert [stage["assessment"][0]["reference"] for stage in condition["stage"]] == [
        f"Observation/zb-{STAY}-tumour-0-stage-{number}" for number in range(3)
    ]


def test_other_tumours_are_conditions_of_their_own(resources: dict[str, Resource]) -> None:
    assert resources["Condition/tumour-1"]["meta"]["profile"] == [MCODE + "mcode-primary-cancer-condition"]
    assert resources["Condition/tumour-2"]["meta"]["profile"] == [MCODE + "mcode-secondary-cancer-condition"]
    named_ones = str(resources["Encounter/"]["diagnosis"])
    assert "tumour" not in named_ones


def test_two_tumours_of_one_code_are_two_conditions() -> None:
    stay = Stay(
        diagnoses=Diagnoses(principal=Diagnosis(condition=BREAST)),
        tumours=[Tumour(condition=BREAST, role="primary"), Tumour(condition=BREAST, role="primary")],
    )
    kinds = [one["id"] for one in resources_of(stay, NAMES) if one["resourceType"] == "Condition"]
    assert kinds == [f"zb-{STAY}-principal", f"zb-{STAY}-tumour-1"]


@pytest.mark.parametrize(
    ("id", "loinc", "snomed"),
    [
        ("tumour-0-stage-0", "21908-9", "399537006"),
        ("tumour-0-stage-0-t", "21905-5", "399504009"),
        ("tumour-0-stage-0-n", "21906-3", "399534004"),
        ("tumour-0-stage-0-m", "21907-1", "399387003"),
        ("tumour-0-stage-1", "21902-2", "399588009"),
        ("tumour-0-stage-1-t", "21899-0", "384625004"),
        ("tumour-0-stage-1-n", "21900-6", "371494008"),
    ],
)
def test_staging_is_coded_by_kind(resources: dict[str, Resource], id: str, loinc: str, snomed: str) -> None:
    """Codes of the standards' table: clinical and pathologic T, N, M and stage group."""
    observation = resources[f"Observation/{id}"]
    assert codes(observation["code"]) == {f"http://loinc.org|{loinc}", f"http://snomed.info/sct|{snomed}"}
    assert observation["focus"] == [{"reference": f"Condition/zb-{STAY}-principal"}]


def test_stage_group(resources: dict[str, Resource]) -> None:
    group = resources["Observation/tumour-0-stage-0"]
    assert [one["reference"][-1] for one in group["hasMember"]] == ["t", "n", "m"]
    assert "http://snomed.info/sct|897275008" in codes(group["method"])  # AJCC 8
    assert group["method"]["text"] == "AJCC 第八版"
    assert group["effectiveDateTime"] == "2026-10-06"
    assert group["valueCodeableConcept"]["text"] == "IIB"
    bare = resources["Observation/tumour-0-stage-1"]
    assert "valueCodeableConcept" not in bare
    assert bare["dataAbsentReason"]["coding"][0]["code"] == "unknown"


def test_another_scheme_has_its_own_code(resources: dict[str, Resource]) -> None:
    assert codes(resources["Observation/tumour-1-stage-0"]["code"]) == {"http://snomed.info/sct|409720004"}  # INSS


def test_unlinked_stagings_have_no_focus(resources: dict[str, Resource]) -> None:
    assert "focus" not in resources["Observation/stage-0"]
    assert "focus" not in resources["Observation/marker-0"]


def test_size_grade_and_markers(resources: dict[str, Resource]) -> None:
    size = resources["Observation/tumour-0-size"]
    assert codes(size["code"]) == {"http://loinc.org|21889-1"}
    (longest,) = size["component"]
    assert codes(longest["code"]) == {"http://loinc.org|33728-7"}
    assert (longest["valueQuantity"]["value"], longest["valueQuantity"]["code"]) == (Decimal("21.50"), "mm")
    grade = resources["Observation/tumour-0-grade"]
    assert codes(grade["code"]) == {"http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl|C18000"}
    er = resources["Observation/tumour-0-marker-0"]
    assert er["meta"]["profile"] == [MCODE + "mcode-tumor-marker-test"]
    assert er["valueQuantity"] == {"value": Decimal("90.0"), "unit": "%"}
    assert codes(er["interpretation"][0]) == {"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation|POS"}
    assert resources["Observation/tumour-0-marker-1"]["valueString"] == "++"
    assert codes(resources["Observation/tumour-1-marker-0"]["valueCodeableConcept"]) == {"http://snomed.info/sct|10828004"}


def test_a_marker_without_a_test_says_nothing() -> None:
    made = resources_of(Stay(markers=[Marker(value="1")]), NAMES)
    assert not any(one["resourceType"] == "Observation" for one in made)


# --- procedures, pathology, drugs, front sheet ---------------------------------------------------------------------------------------


def test_procedure(resources: dict[str, Resource]) -> None:
    main = resources["Procedure/procedure-principal"]
    assert main["status"] == "completed"
    assert codes(main["code"]) == {"urn:zhibao:ICD9CM3-GB-CLIN-3.0|85.4300"}
    assert main["performedDateTime"] == "2026-10-09T08:15:00+08:00"
    assert ours(main, "rank") == 1
    assert ours(resources["Procedure/procedure-other-2"], "rank") == 2
    functions = {one["actor"]["display"]: codes(one["function"]) for one in main["performer"]}
    assert functions["甲医"] == {"http://snomed.info/sct|304292004", "urn:zhibao:procedure-role|operator"}
    assert functions["丁医"] == {"http://snomed.info/sct|88189002", "urn:zhibao:procedure-role|anaesthetist"}
    assert functions["乙医"] == {"urn:zhibao:procedure-role|first_assistant"}


def test_pathology(resources: dict[str, Resource]) -> None:
    report, specimen = resources["DiagnosticReport/pathology-0"], resources["Specimen/specimen-0"]
    assert report["identifier"][0]["system"] == "urn:oid:2.16.156.10011.1.8"
    assert report["identifier"][0]["value"] == specimen["accessionIdentifier"]["value"] == "P-1"
    assert codes(report["category"][0]) == {"http://terminology.hl7.org/CodeSystem/v2-0074|PAT"}
    assert codes(report["code"]) == {"http://loinc.org|11529-5"}
    assert codes(report["conclusionCode"][0]) == {"urn:zhibao:ICDO-M-GB-CLIN-2.0|M85000/3"}
    assert (report["status"], report["effectiveDateTime"]) == ("corrected", "2026-10-12")
    assert report["conclusion"] == "（右乳）浸润性导管癌，Ⅱ级"
    assert "conclusion" not in resources["DiagnosticReport/pathology-1"]  # a code alone says itself


def test_drugs(resources: dict[str, Resource]) -> None:
    ordered, given = resources["MedicationRequest/medication-0"], resources["MedicationAdministration/medication-1"]
    assert (ordered["status"], ordered["intent"]) == ("completed", "order")
    assert ordered["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"] == {"value": Decimal("440.0"), "unit": "mg"}
    assert ordered["groupIdentifier"] == {"value": "G1"}
    assert given["status"] == "completed"
    assert given["effectiveDateTime"] == "2026-10-13T09:30:00+08:00"
    assert (given["dosage"]["text"], given["dosage"]["dose"]) == ("1-2", {"unit": "支"})


def test_front_sheet_items(resources: dict[str, Resource]) -> None:
    total = resources["Observation/D01"]
    assert codes(total["code"]) == {"urn:zhibao:hqms|D01"}
    assert total["valueQuantity"] == {"value": Decimal("100.50"), "unit": "元", "system": "urn:iso:std:iso:4217", "code": "CNY"}
    assert resources["Observation/A14"]["valueInteger"] == 56
    assert resources["Observation/B33"]["valueDateTime"] == "2026-10-22"
    assert resources["Observation/B31"]["valueString"] == "质医"
    assert codes(resources["Observation/F01"]["valueCodeableConcept"]) == {"urn:zhibao:RC004|2"}
    hbsag = resources["Observation/F10"]
    assert codes(hbsag["code"]) == {"http://loinc.org|5195-3", "urn:zhibao:hqms|F10"}
    assert codes(resources["Coverage/coverage"]["type"]) == {"urn:zhibao:RC032|1.1"}
    assert resources["AllergyIntolerance/allergy"]["code"] == {"text": "青霉素"}


def test_every_leaf_has_a_place() -> None:
    """Every leaf is carried by an element or is a column of the front sheet."""
    columns = layout("2020").code_of_path
    homeless = [
        path for path, _ in filled(everything()) if not is_carried(path) and path not in columns and f"{path}.code" not in columns
    ]
    assert homeless == []


def test_every_word_of_ours_is_listed(resources: dict[str, Resource]) -> None:
    """extensions.csv has every address that we use, apart from the value sets and code systems of the model."""
    event = audit_event(
        seq=1, at=datetime(2026, 11, 1, tzinfo=UTC), actor="a", action="b.c", subject="d", detail={}, previous="e", hash="f"
    )
    text = "".join(as_json(one) for one in (*resources.values(), event, provenance(everything(), NAMES)))
    listed = {row["word"] for row in rows("extensions")}
    used = set(re.findall(r'"(?:url|system)":"urn:zhibao:([^"]+)"', text))
    systems = {coded.system for _, value in filled(everything()) for coded in [value] if isinstance(value, Coded)}
    assert used - systems <= listed


# --- bundles -------------------------------------------------------------------------------------------------------------------------


def test_mcode_bundle(resources: dict[str, Resource]) -> None:
    bundle = mcode_patient_bundle(list(resources.values()), NAMES)
    assert faults(bundle, "R4") == []
    assert bundle["type"] == "collection"
    assert bundle["meta"]["profile"] == [MCODE + "mcode-patient-bundle"]
    assert bundle["entry"][0]["fullUrl"] == "https://zhibao.example/fhir/Patient/zb-4711"
    assert len(bundle["entry"]) == len(resources)
    assert len({entry["fullUrl"] for entry in bundle["entry"]}) == len(resources)
    assert "profile" not in plain_bundle(list(resources.values()), NAMES)["meta"]


def test_ccrr_content_bundle(resources: dict[str, Resource]) -> None:
    stay, main = everything(), f"zb-{STAY}-principal"
    bundle = ccrr_content_bundle(list(resources.values()), NAMES, stay.organisation, primary=main)
    assert faults(bundle, "R4") == []
    composition = bundle["entry"][0]["resource"]
    assert composition["resourceType"] == "Composition"
    assert codes(composition["type"]) == {"http://loinc.org|72134-0"}
    sections = {next(iter(codes(one["code"]))): [entry["reference"] for entry in one["entry"]] for one in composition["section"]}
    assert sections["http://loinc.org|67781-5"] == [f"Encounter/zb-{STAY}"]
    assert sections["http://snomed.info/sct|363346000"] == [f"Condition/{main}"]  # exactly one
    assert sections["http://snomed.info/sct|128462008"] == [f"Condition/zb-{STAY}-tumour-2"]
    assert f"Condition/zb-{STAY}-tumour-1" in sections["http://loinc.org|11450-4"]  # another primary: a problem
    assert f"Observation/zb-{STAY}-tumour-0-stage-0" in sections["http://loinc.org|21908-9"]
    inside = {f"{one['resource']['resourceType']}/{one['resource']['id']}" for one in bundle["entry"]}
    assert {reference for entries in sections.values() for reference in entries} <= inside
    assert f"Observation/zb-{STAY}-D01" not in inside  # fees are not the registry's business
    assert not any("tumour-1-" in one for one in inside)


def test_a_report_is_about_one_primary(resources: dict[str, Resource]) -> None:
    with pytest.raises(SeveralPrimaries):
        ccrr_content_bundle(list(resources.values()), NAMES, everything().organisation)


def test_a_report_without_a_tumour_says_that_there_is_none() -> None:
    made = resources_of(Stay(record_number="R-1"), NAMES)
    bundle = ccrr_content_bundle(made, NAMES, everything().organisation, bundle_type="document")
    assert faults(bundle, "R4") == []
    assert (bundle["type"], bundle["identifier"]["system"]) == ("document", "urn:ietf:rfc:3986")
    (primary,) = (one for one in bundle["entry"][0]["resource"]["section"] if "363346000" in str(one["code"]))
    assert "emptyReason" in primary
    assert "entry" not in primary


def test_ccrr_reporting_bundle(resources: dict[str, Resource]) -> None:
    organisation = everything().organisation
    content = ccrr_content_bundle(list(resources.values()), NAMES, organisation, primary=f"zb-{STAY}-principal")
    event = Coded("http://registry.example/events", "report")
    message = ccrr_reporting_bundle(content, NAMES, organisation, event=event, endpoint="https://zhibao.example/fhir")
    assert faults(message, "R4") == []
    assert message["type"] == "message"
    header, held = (entry["resource"] for entry in message["entry"])
    assert header["resourceType"] == "MessageHeader"
    assert header["eventCoding"] == {"system": "http://registry.example/events", "code": "report"}
    assert header["focus"] == [{"reference": f"Bundle/{held['id']}"}]
    assert held is content


# --- audit and provenance ------------------------------------------------------------------------------------------------------------


def test_audit_events_prove_the_chain(tmp_path: Path) -> None:
    """The entries of an export, rebuilt from their AuditEvents alone, verify."""
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    with Ledger.open(url, Vault({1: bytes(32)}, bytes(32))) as ledger, ledger.write() as session:
        record(
            session,
            Event("gateway.started", "pid:7"),
            Event("stay.corrected", f"stay:{STAY}.3", {"fields": ["patient.sex"], "n": 2}, "coder01"),
            Event("session.refused", "account:unknown"),
        )
        lines = list(export(session))
        rebuilt = [lines[0]]
        for line in lines[1:-1]:
            fields = json.loads(line)
            fields["at"] = datetime.fromisoformat(fields["at"])
            event = json.loads(as_json(audit_event(**fields)))
            rebuilt.append(json.dumps(_entry_of(event), ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n")
        rebuilt.append(lines[-1])
    assert verify_lines(rebuilt).entries == 3
    assert rebuilt == lines


def _entry_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the audit log that an AuditEvent of ours holds, as the log's export prints them: what its hash covers, and the hash."""
    extensions = {item["url"].removeprefix(OURS): item for item in event["extension"]}
    entity = event["entity"][0]
    return {
        "seq": extensions["audit-sequence"]["valuePositiveInt"],
        "at": event["recorded"],
        "actor": event["agent"][0]["who"]["identifier"]["value"],
        "action": event["subtype"][-1]["code"],
        "subject": entity["what"]["identifier"]["value"],
        "detail": {item["type"]: json.loads(item["valueString"]) for item in entity.get("detail", ())},
        "previous": extensions["audit-previous"]["valueString"],
        "hash": extensions["audit-hash"]["valueString"],
    }


def _event(action: str, **said: Any) -> Resource:
    fields: dict[str, Any] = {
        "seq": 5,
        "at": datetime(2026, 11, 1, tzinfo=UTC),
        "actor": "doc",
        "subject": f"stay:{STAY}.3",
        "detail": {},
    }
    return audit_event(action=action, previous="p", hash="h", **(fields | said))


@pytest.mark.parametrize(
    ("action", "type_", "subtype", "done", "outcome"),
    [
        ("session.opened", "110114", "110122", "E", "0"),  # user authentication, login
        ("session.refused", "110114", "110122", "E", "4"),  # minor failure
        ("gateway.started", "110100", "110120", "E", "0"),  # application activity, application start
        ("message.viewed", "110110", None, "R", "0"),  # patient record read
        ("stay.corrected", "110110", None, "U", "0"),
        ("message.received", "110107", None, "C", "0"),  # import
        ("audit.exported", "110101", None, "R", "0"),  # audit log used
        ("no.such.word", "110100", None, None, None),
    ],
)
def test_actions_are_coded(action: str, type_: str, subtype: str | None, done: str | None, outcome: str | None) -> None:
    event = _event(action)
    assert faults(event, "R4") == []
    assert event["type"]["system"] == "http://dicom.nema.org/resources/ontology/DCM"
    assert event["type"]["code"] == type_
    assert [one["code"] for one in event["subtype"]] == [code for code in (subtype, action) if code]
    assert (event.get("action"), event.get("outcome")) == (done, outcome)


def test_an_audit_event_points_to_the_stay() -> None:
    event = _event("value.traced", detail={"field": "patient.name"})
    (entity,) = event["entity"]
    assert entity["what"]["reference"] == f"Encounter/zb-{STAY}"
    assert entity["what"]["identifier"]["value"] == f"stay:{STAY}.3"
    assert entity["detail"] == [{"type": "field", "valueString": '"patient.name"'}]
    assert event["agent"][0]["requestor"] is True
    assert _event("gateway.started", actor="zhibao")["agent"][0]["requestor"] is False


def test_every_action_word_of_the_gateway_is_in_the_table() -> None:
    known = {row["action"] for row in rows("audit_actions")}
    text = "".join(path.read_text("utf-8") for path in sorted((ROOT / "gateway").rglob("*.py")))
    used = set(re.findall(r'\bEvent\(\s*"([a-z]+(?:\.[a-z]+)+)"', text))
    assert len(used) > 30
    assert used <= known


def test_provenance(resources: dict[str, Resource]) -> None:
    made = provenance(everything(), NAMES, list(resources.values()))
    assert faults(made, "R4") == []
    assert made["id"] == f"zb-{STAY}-provenance-3"
    assert {"reference": f"Encounter/zb-{STAY}"} in made["target"]
    assert len(made["target"]) == len(resources)
    assert made["recorded"] == "2026-11-02T01:30:00.000+00:00"
    assert [agent["who"]["identifier"]["value"] for agent in made["agent"]] == ["zhibao", "coder01"]
    assert [entity["what"]["identifier"]["value"] for entity in made["entity"]] == ["file-1#7", "v2:9", "correction:5"]
    assert [entity["role"] for entity in made["entity"]] == ["source", "source", "revision"]
    assert made["reason"] == [{"text": "按身份证核对"}]
    (said,) = made["entity"][1]["extension"]
    assert said["url"] == "urn:zhibao:field-provenance"
    assert said["extension"][0] == {"url": "mapping", "valueString": "cn-a"}
    fields = [[part["valueString"] for part in one["extension"]] for one in said["extension"][1:]]
    assert fields == [["patient.name", "PID-5"], ["discharge.time", "PV1-45"]]
    correction = {one["url"]: one for one in made["entity"][2]["extension"][0]["extension"]}
    assert correction["at"]["valueDateTime"] == "2026-11-01T02:03:04Z"


def test_provenance_of_nothing_known_is_still_valid() -> None:
    made = provenance(Stay(), NAMES)
    assert faults(made, "R4") == []
    assert made["target"] == [{"reference": f"Encounter/zb-{STAY}"}]
