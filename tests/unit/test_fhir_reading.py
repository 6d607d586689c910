"""Records to statements: the story of one stay in R4 and R5, and what is withdrawn, merged, tested, unresolved."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from adapters.fhir.dialect import fhir_dialect
from adapters.fhir.reading import RecordReader
from adapters.fhir.record import Record
from adapters.fhir.resource import Resource
from gateway.model.facts import DiagnosisFact, Fact, MovementFact, PatientKey, VisitKey, says_something
from gateway.model.values import Coded
from tests.fhir_records import (
    DIAGNOSIS_ROLE,
    RESIDENT_ID,
    RESIDENT_ID_OID,
    V2_0203,
    V3_ACT,
    VERIFICATION,
    Body,
    all_facts,
    concept,
    condition,
    encounter,
    facts_of,
    named,
    patient,
    read,
    record,
    remarks_of,
    resource,
    rules_of,
    statement,
    values_of,
)

DOCTOR: Body = {"resourceType": "Practitioner", "id": "d", "name": [{"text": "司徒测试"}]}
ADMIT = "http://terminology.hl7.org/CodeSystem/admit-source"
DISPOSITION = "http://terminology.hl7.org/CodeSystem/discharge-disposition"


def _places(release: str) -> list[Body]:
    form = "physicalType" if release == "R4" else "form"
    kind = concept("http://terminology.hl7.org/CodeSystem/location-physical-type", "bd")
    return [
        {"resourceType": "Organization", "id": "surgery", "name": "胸外科专业"},
        {"resourceType": "Organization", "id": "medicine", "name": "肿瘤科"},
        {"resourceType": "Location", "id": "w1", "name": "一病区", "managingOrganization": {"reference": "Organization/surgery"}},
        {"resourceType": "Location", "id": "w2", "name": "二病区", "managingOrganization": {"reference": "Organization/medicine"}},
        {"resourceType": "Location", "id": "b1", "name": "12床", form: kind, "partOf": {"reference": "Location/w1"}},
        {"resourceType": "Practitioner", "id": "d", "name": [{"family": "司徒", "given": ["测试"]}]},
    ]


def _story_r4() -> list[Body]:
    stay = encounter(
        extension=[{"url": "urn:zhibao:admission-number", "valueInteger": 2}],
        hospitalization={"admitSource": concept(ADMIT, "emd"), "dischargeDisposition": concept(DISPOSITION, "home")},
        participant=[
            {
                "type": [concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "ATND")],
                "individual": {"reference": "Practitioner/d"},
            }
        ],
        location=[
            {"location": {"reference": "Location/w2"}, "period": {"start": "2024-03-12T15:00:00+08:00"}},
            {"location": {"reference": "Location/b1"}, "period": {"start": "2024-03-08T09:30:00+08:00"}},
        ],
        diagnosis=[named("Condition/c", "DD", 1), named("Condition/d", "CM", 1), named("Condition/a", "AD", 1)],
    )
    return [
        patient(),
        stay,
        condition("c"),
        condition("d", "I10.x00", "高血压"),
        condition("a", "R91.x00", "肺占位性病变"),
        *_places("R4"),
    ]


def _story_r5() -> list[Body]:
    bodies = copy.deepcopy(_story_r4())
    stay = bodies[1]
    stay["status"] = "completed"
    stay["class"] = [{"coding": [stay["class"]]}]
    stay["actualPeriod"] = stay.pop("period")
    stay["admission"] = stay.pop("hospitalization")
    stay["participant"][0]["actor"] = stay["participant"][0].pop("individual")
    stay["diagnosis"] = [
        {"condition": [{"reference": {"reference": "Condition/c"}}], "use": [concept(DIAGNOSIS_ROLE, "DD")]},
        {"condition": [{"reference": {"reference": "Condition/d"}}], "use": [concept(DIAGNOSIS_ROLE, "CM")]},
        {"condition": [{"reference": {"reference": "Condition/a"}}], "use": [concept(DIAGNOSIS_ROLE, "AD")]},
    ]
    return [*bodies[:5], *_places("R5")]


class TestOneStoryInBothReleases:
    @pytest.fixture(params=["R4", "R5"])
    def reading(self, request: pytest.FixtureRequest) -> Any:
        return read(*(_story_r4() if request.param == "R4" else _story_r5()), release=request.param)

    def test_one_statement_about_the_stay(self, reading: Any) -> None:
        assert [one.anchor for one in reading.statements] == ["Encounter/e"]
        (facts,) = reading.statements[0].facts
        assert facts.patient == PatientKey("B00123", RESIDENT_ID)
        assert facts.visit == VisitKey("V777", 2, "inpatient")
        assert (facts.event, facts.message, facts.mapping) == ("FHIR^Encounter", "fhir:1", "fhir")
        assert facts.live
        assert not facts.cancels

    def test_paths(self, reading: Any) -> None:
        assert values_of(reading) == {
            "record_number": "B00123",
            "admission_number": 2,
            "patient.identity.number": RESIDENT_ID,
            "patient.identity.kind": Coded("RC038", "1"),
            "patient.name": "欧阳试验",
            "patient.sex": Coded("RC001", "1"),
            "patient.birth_date": "1955-03-08",
            "patient.marital_status": Coded("RC002", "2"),
            "admission.time": "2024-03-08T09:30:00",
            "admission.route": Coded("RC026", "1"),
            "admission.department": Coded("RC023", "0405"),
            "admission.ward": "一病区",
            "discharge.time": "2024-03-20T10:15:00",
            "discharge.disposition": Coded("RC019", "1"),
            "discharge.department": Coded("RC023", "19"),
            "discharge.ward": "二病区",
            "staff.attending_physician.name": "司徒测试",
        }

    def test_transfer(self, reading: Any) -> None:
        (facts,) = reading.statements[0].facts
        assert facts.movements == [
            MovementFact(Coded("RC023", "19"), "Encounter.location[0].location", "二病区", "2024-03-12T15:00:00")
        ]

    def test_diagnoses(self, reading: Any) -> None:
        (facts,) = reading.statements[0].facts
        edition = "ICD10-GB-CLIN-2.0"
        assert facts.diagnoses == [
            DiagnosisFact(Coded(edition, "C34.100", "上叶支气管或肺的恶性肿瘤"), "Condition.code", "discharge", 1, "Condition/c"),
            DiagnosisFact(Coded(edition, "I10.x00", "高血压"), "Condition.code", "discharge", 2, "Condition/d"),
            DiagnosisFact(
                Coded(edition, "R91.x00", "肺占位性病变"),
                "Condition.code",
                "admission",
                None if _is_r5(reading) else 1,
                "Condition/a#admission",
            ),
        ]

    def test_nothing_to_remark(self, reading: Any) -> None:
        assert remarks_of(reading) == []
        assert reading.unresolved == frozenset()


def _is_r5(reading: Any) -> bool:
    return any(fact.source == "Encounter.actualPeriod.start" for fact in reading.statements[0].facts[0].facts)


class TestSources:
    def test_name_the_element_in_the_message(self) -> None:
        body = encounter()
        placed = Resource("Encounter/e", body, "fhir:9", "2024-03-20T08:00:00", place="entry[3]")
        reading = read(resource(patient(), message="fhir:8", occurred="2024-03-08T08:00:00"), placed)
        older, newer = statement(reading).facts
        assert (older.message, newer.message) == ("fhir:8", "fhir:9")
        assert {fact.source for fact in newer.facts if fact.path == "admission.time"} == {"entry[3].Encounter.period.start"}
        assert {fact.source for fact in older.facts if fact.path == "patient.name"} == {"Patient.name"}
        assert older.visit == newer.visit == VisitKey("V777", None, "inpatient")


class TestTimes:
    @pytest.mark.parametrize(
        ("sent", "read_as"),
        [
            ("2024", "2024"),
            ("2024-03", "2024-03"),
            ("2024-03-08", "2024-03-08"),
            ("2024-03-08T09:30:00+08:00", "2024-03-08T09:30:00"),
            ("2024-03-08T01:30:00Z", "2024-03-08T09:30:00"),
            ("2024-03-07T20:30:00.123-05:00", "2024-03-08T09:30:00"),
            ("2024-03-08T00:00:00Z", "2024-03-08T08:00:00"),
            ("2024-03-08T00:00:00+08:00", "2024-03-08"),
        ],
    )
    def test_precision_stays_and_zones_are_china_time(self, sent: str, read_as: str) -> None:
        assert values_of(read(patient(), encounter(period={"start": sent})))["admission.time"] == read_as

    def test_precision_of_ours(self) -> None:
        period = {
            "start": "2024-03-08T09:30:00+08:00",
            "_start": {"extension": [{"url": "urn:zhibao:precision", "valueCode": "minute"}]},
        }
        assert values_of(read(patient(), encounter(period=period)))["admission.time"] == "2024-03-08T09:30"

    def test_no_time_is_remarked_and_nothing_is_made_of_it(self) -> None:
        reading = read(patient(), encounter(period={"start": "2024-13-45"}))
        assert "admission.time" not in values_of(reading)
        assert [(one.rule, one.source) for one in remarks_of(reading)] == [("not-a-time", "Encounter.period.start")]

    @pytest.mark.parametrize("birth", ["1955", "1955-03", "1955-03-08"])
    def test_birth_date_keeps_its_precision(self, birth: str) -> None:
        assert values_of(read(patient(birthDate=birth), encounter()))["patient.birth_date"] == birth

    def test_end_of_an_open_encounter_is_no_discharge(self) -> None:
        hospitalization = {"dischargeDisposition": concept(DISPOSITION, "exp")}
        said = values_of(read(patient(), encounter(status="in-progress", hospitalization=hospitalization)))
        assert not {"discharge.time", "discharge.disposition"} & said.keys()
        assert said["admission.time"] == "2024-03-08T09:30:00"


class TestReferences:
    def _with_doctor(self, reference: Body, *others: Body | Resource, links: dict[str, str] | None = None, **more: Any) -> Any:
        role = concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "ATND")
        body = encounter(participant=[{"type": [role], "individual": reference}], **more)
        return read(patient(), Resource("Encounter/e", body, "fhir:1", "2024-03-20T08:00:00", links=links or {}), *others)

    def _name(self, reading: Any) -> object:
        return values_of(reading).get("staff.attending_physician.name")

    def test_relative(self) -> None:
        assert self._name(self._with_doctor({"reference": "Practitioner/d"}, DOCTOR)) == "司徒测试"

    def test_of_a_version(self) -> None:
        assert self._name(self._with_doctor({"reference": "Practitioner/d/_history/3"}, DOCTOR)) == "司徒测试"

    def test_urn_uuid(self) -> None:
        urn = "urn:uuid:3b2c1c9e-0000-4000-8000-000000000001"
        assert self._name(self._with_doctor({"reference": urn}, DOCTOR, links={urn: "Practitioner/d"})) == "司徒测试"

    def test_absolute(self) -> None:
        key = "http://his.example/fhir/Practitioner/d"
        doctor = Resource(key, DOCTOR, "fhir:1", "2024-03-20T08:00:00")
        assert self._name(self._with_doctor({"reference": key}, doctor)) == "司徒测试"

    def test_contained(self) -> None:
        reading = self._with_doctor({"reference": "#d"}, contained=[DOCTOR])
        assert self._name(reading) == "司徒测试"
        assert remarks_of(reading) == []

    def test_logical(self) -> None:
        doctor = DOCTOR | {"identifier": [{"system": "http://his.example/staff", "value": "007"}]}
        reference = {"type": "Practitioner", "identifier": {"system": "http://his.example/staff", "value": "007"}}
        assert self._name(self._with_doctor(reference, doctor)) == "司徒测试"

    def test_conditional(self) -> None:
        doctor = DOCTOR | {"identifier": [{"system": "http://his.example/staff", "value": "007"}]}
        reference = {"reference": "Practitioner?identifier=http://his.example/staff|007"}
        assert self._name(self._with_doctor(reference, doctor)) == "司徒测试"

    def test_unresolved_is_remembered_and_remarked_without_the_id(self) -> None:
        reading = self._with_doctor({"reference": "Practitioner/secret"})
        assert self._name(reading) is None
        assert reading.unresolved == {"Practitioner/secret"}
        (remark,) = remarks_of(reading)
        assert (remark.rule, remark.source) == ("unresolved-reference", "Encounter.participant[0].individual")
        assert "secret" not in remark.message + remark.english

    def test_unresolved_with_a_display_still_names(self) -> None:
        reading = self._with_doctor({"reference": "Practitioner/secret", "display": "司徒测试"})
        assert self._name(reading) == "司徒测试"
        assert rules_of(reading) == {"unresolved-reference"}

    def test_circles_end(self) -> None:
        beds = [
            {
                "resourceType": "Location",
                "id": id,
                "name": name,
                "physicalType": concept("http://terminology.hl7.org/CodeSystem/location-physical-type", "bd"),
                "partOf": {"reference": f"Location/{other}"},
            }
            for id, name, other in (("x", "甲床", "y"), ("y", "乙床", "x"))
        ]
        location = [{"location": {"reference": "Location/x"}}]
        assert values_of(read(patient(), encounter(location=location), *beds))["admission.ward"] == "乙床"

    def test_contained_resources_refer_to_each_other_and_to_their_container(self) -> None:
        inner = {"resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": "#d"}}
        whole = record(encounter(contained=[inner, DOCTOR]))
        stay = whole.resources["Encounter/e"]
        role = whole.resolve(stay, {"reference": "#r"}, "x")
        assert role is not None
        assert (role.key, role.place) == ("Encounter/e#r", "Encounter.contained[0]")
        doctor = whole.resolve(role, {"reference": "#d"}, "practitioner")
        assert doctor is not None
        assert doctor.source("name") == "Encounter.contained[1].Practitioner.name"
        assert whole.resolve(role, {"reference": "#"}, "x") is stay
        assert whole.unresolved == set()


class TestWithdrawn:
    @pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
    def test_encounter_takes_back_the_admission_and_says_nothing_else(self, status: str) -> None:
        reading = read(patient(), encounter(status=status, diagnosis=[named("Condition/c", "DD", 1)]), condition())
        (facts,) = statement(reading).facts
        assert facts.cancels == "A01"
        assert facts.facts == []
        assert facts.diagnoses == []
        assert facts.patient.record_number == "B00123"
        assert facts.visit == VisitKey("V777", None, "inpatient")
        assert says_something(facts)

    @pytest.mark.parametrize("status", ["planned", "preadmit"])
    def test_planned_is_no_stay(self, status: str) -> None:
        assert [one.anchor for one in read(patient(), encounter(status=status)).statements] == ["Patient/p"]

    def test_part_of_another_encounter_is_no_stay_of_its_own(self) -> None:
        part = encounter(partOf={"reference": "Encounter/e"}) | {"id": "part"}
        inner = condition("c", encounter={"reference": "Encounter/part"})
        reading = read(patient(), encounter(), part, inner)
        assert [one.anchor for one in reading.statements] == ["Encounter/e"]
        assert [fact.use for fact in statement(reading).facts[0].diagnoses] == ["working"]

    def test_unknown_modifier_stops_the_use_of_a_resource(self) -> None:
        reading = read(patient(), encounter(diagnosis=[named("Condition/c", "DD", 1)]), condition(modifierExtension=[{"url": "x"}]))
        assert [fact for facts in all_facts(reading) for fact in facts.diagnoses] == []
        assert [(one.rule, one.source) for one in remarks_of(reading)] == [("modifier-extension", "Condition.modifierExtension")]
        assert reading.unresolved == frozenset()

    def test_unknown_modifier_in_a_part(self) -> None:
        reading = read(patient(), encounter(hospitalization={"modifierExtension": [{"url": "x"}]}))
        assert all(one.anchor != "Encounter/e" for one in reading.statements)
        assert "modifier-extension" in rules_of(reading)


class TestPatient:
    def test_logical_subject_alone_is_a_patient(self) -> None:
        subject = {"identifier": {"system": RESIDENT_ID_OID, "value": RESIDENT_ID}}
        reading = read(encounter(subject=subject))
        assert statement(reading).facts[0].patient == PatientKey("", RESIDENT_ID)

    def test_without_any_number(self) -> None:
        assert "no-patient" in rules_of(read(patient(identifier=[]), encounter()))

    def test_merge_by_this_patient(self) -> None:
        old = {
            "resourceType": "Patient",
            "id": "old",
            "identifier": [{"type": {"coding": [{"system": V2_0203, "code": "MR"}]}, "value": "B00001"}],
        }
        reading = read(patient(link=[{"type": "replaces", "other": {"reference": "Patient/old"}}]), old)
        (facts,) = statement(reading, "Patient/p").facts
        assert (facts.event, facts.merged_from) == ("FHIR^A40", ["B00001"])
        assert facts.patient.record_number == "B00123"

    def test_merge_by_the_other_patient(self) -> None:
        old = {
            "resourceType": "Patient",
            "id": "old",
            "identifier": [{"type": {"coding": [{"system": V2_0203, "code": "MR"}]}, "value": "B00001"}],
            "link": [{"type": "replaced-by", "other": {"reference": "Patient/p"}}],
        }
        reading = read(patient(), encounter(), resource(old, message="fhir:7"))
        assert {one.anchor for one in reading.statements} == {"Encounter/e", "Patient/p"}
        (facts,) = statement(reading, "Patient/p").facts
        assert (facts.message, facts.event, facts.merged_from) == ("fhir:7", "FHIR^A40", ["B00001"])

    def test_merge_without_a_number(self) -> None:
        reading = read(patient(link=[{"type": "replaces", "other": {"reference": "Patient/gone"}}]))
        assert {"merge-without-number", "unresolved-reference"} <= rules_of(reading)

    def test_deceased(self) -> None:
        said = values_of(read(patient(deceasedDateTime="2024-05"), encounter()))
        assert said["patient.vital_status"] == Coded("vital-status", "deceased")
        assert said["patient.death_time"] == "2024-05"
        assert values_of(read(patient(deceasedBoolean=False), encounter()))["patient.vital_status"] == Coded(
            "vital-status", "alive"
        )
        assert "patient.death_time" not in values_of(read(patient(deceasedBoolean=True), encounter()))

    def test_test_data_are_not_live(self) -> None:
        tag = {"tag": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}]}
        assert not any(facts.live for facts in all_facts(read(patient(meta=tag), encounter())))
        assert not any(facts.live for facts in all_facts(read(patient(), encounter(meta={"security": tag["tag"]}))))


class TestAnchors:
    def _anchors(self, *bodies: Body) -> dict[str, list[str]]:
        reading = read(patient(), *bodies)
        return {one.anchor: [tumour.key for facts in one.facts for tumour in facts.tumours] for one in reading.statements}

    def test_condition_of_the_only_inpatient_stay(self) -> None:
        assert self._anchors(encounter(), condition())["Encounter/e"] == ["Condition/c"]

    def test_condition_named_by_two_stays_belongs_to_both(self) -> None:
        first = encounter(diagnosis=[named("Condition/c", "DD", 1)])
        second = encounter(
            period={"start": "2024-06-01T08:00:00+08:00"}, status="in-progress", diagnosis=[named("Condition/c", "DD", 1)]
        ) | {"id": "e2"}
        assert self._anchors(first, second, condition()) == {"Encounter/e": ["Condition/c"], "Encounter/e2": ["Condition/c"]}

    def test_between_two_stays_the_date_decides(self) -> None:
        second = encounter(period={"start": "2024-06-01T08:00:00+08:00"}, status="in-progress") | {"id": "e2"}
        dated = condition(recordedDate="2024-06-03")
        assert self._anchors(encounter(), second, dated) == {"Encounter/e": [], "Encounter/e2": ["Condition/c"]}
        undated = self._anchors(encounter(), second, condition())
        assert undated == {"Encounter/e": [], "Encounter/e2": [], "Patient/p": ["Condition/c"]}

    def test_outpatient_visits_are_no_stays_and_take_nothing_by_date(self) -> None:
        visit = encounter(**{"class": {"system": V3_ACT, "code": "AMB"}}) | {"id": "v"}
        own = condition("own", encounter={"reference": "Encounter/v"})
        found = self._anchors(encounter(), visit, condition(recordedDate="2024-03-10"), own)
        assert found == {"Encounter/e": ["Condition/c"], "Encounter/v": ["Condition/own"]}

    def test_an_encounter_that_was_not_received_is_never_another_one(self) -> None:
        away = condition(encounter={"reference": "Encounter/not-here"})
        reading = read(patient(), encounter(), away)
        assert [fact.key for fact in statement(reading, "Patient/p").facts[0].tumours] == ["Condition/c"]
        assert reading.unresolved == {"Encounter/not-here"}

    def test_kinds_of_visits(self) -> None:
        for code, kind in (
            ("IMP", "inpatient"),
            ("ACUTE", "inpatient"),
            ("NONAC", "inpatient"),
            ("AMB", "outpatient"),
            ("EMER", "emergency"),
        ):
            reading = read(patient(), encounter(**{"class": {"system": V3_ACT, "code": code}}))
            assert statement(reading).facts[0].visit.kind == kind


class TestFrontSheetItems:
    def _item(self, code: str, **value: Any) -> Body:
        return {
            "resourceType": "Observation",
            "id": f"o{code}",
            "status": "final",
            "code": {"coding": [{"system": "urn:zhibao:hqms", "code": code}]},
            "subject": {"reference": "Patient/p"},
            "encounter": {"reference": "Encounter/e"},
        } | value

    def test_values(self) -> None:
        reading = read(
            patient(),
            encounter(),
            self._item("D01", valueQuantity={"value": "12345.60", "unit": "元"}),
            self._item("F17", valueInteger=3),
            self._item("B31", valueString="司徒质控"),
            self._item("B33", valueDateTime="2024-03-25"),
            self._item("F01", valueCodeableConcept={"coding": [{"system": "urn:zhibao:RC004", "code": "2"}]}),
            self._item("B37", valueString="化疗"),
        )
        said = facts_of(reading)
        assert {path: said[path].value for path in ("costs.total", "nursing.special_class_days", "quality.physician")} == {
            "costs.total": "12345.60",
            "nursing.special_class_days": 3,
            "quality.physician": "司徒质控",
        }
        assert said["quality.checked_on"].value == "2024-03-25"
        assert said["admission.condition"].value == Coded("RC004", "2")
        assert said["discharge.readmission_purpose"].value == "化疗"
        assert said["costs.total"].source == "Observation.valueQuantity"

    def test_admission_number_is_a_key(self) -> None:
        reading = read(patient(), encounter(), self._item("A49", valueInteger=4))
        assert statement(reading).facts[0].visit.admission_number == 4

    def test_lines_of_an_invoice(self) -> None:
        invoice = {
            "resourceType": "Invoice",
            "id": "i",
            "status": "issued",
            "subject": {"reference": "Patient/p"},
            "lineItem": [
                {
                    "chargeItemCodeableConcept": {"coding": [{"system": "urn:zhibao:hqms", "code": "D23"}]},
                    "priceComponent": [{"type": "base", "amount": {"value": 100, "currency": "CNY"}}],
                }
            ],
        }
        said = facts_of(read(patient(), encounter(), invoice))
        assert said["costs.western_drugs"].value == "100"
        assert said["costs.western_drugs"].source == "Invoice.lineItem[0].priceComponent[0].amount"

    def test_what_is_no_column_or_no_value(self) -> None:
        """Diagnoses (C03C) have resources of their own; the same remark about the same element is made once."""
        reading = read(
            patient(),
            encounter(),
            self._item("X99", valueInteger=1),
            self._item("F18", valueString="三"),
            self._item("C03C", valueString="C34"),
        )
        assert [one.rule for one in remarks_of(reading)] == ["unknown-column", "not-a-number"]

    def test_preliminary_ones_wait(self) -> None:
        assert "costs.total" not in values_of(read(patient(), encounter(), self._item("D01", valueInteger=5, status="preliminary")))


def test_the_same_record_read_twice_says_the_same() -> None:
    whole: Record = record(*_story_r4())
    reader = RecordReader(fhir_dialect("standard"))
    assert reader.read(whole) == reader.read(whole)


def test_bodies_are_left_as_they_are() -> None:
    bodies = _story_r4()
    before = copy.deepcopy(bodies)
    read(*bodies)
    assert bodies == before


def test_duplicates_are_said_once_per_resource() -> None:
    twice = encounter(diagnosis=[named("Condition/c", "DD", 1), named("Condition/c", "DD", 1)])
    assert len(statement(read(patient(), twice, condition())).facts[0].diagnoses) == 1


def test_derived_facts_are_marked() -> None:
    bare = patient()
    del bare["gender"], bare["birthDate"]
    said = facts_of(read(bare, encounter()))
    source = "Patient.identifier[1]"
    assert said["patient.birth_date"] == Fact("patient.birth_date", "1955-03-08", source, derived=True)
    assert said["patient.sex"] == Fact("patient.sex", Coded("RC001", "1"), source, derived=True)


def test_disagreement_with_the_resident_id_is_a_finding_and_nothing_is_overwritten() -> None:
    reading = read(patient(gender="female", birthDate="1955-03-09"), encounter())
    said = values_of(reading)
    assert (said["patient.sex"], said["patient.birth_date"]) == (Coded("RC001", "2"), "1955-03-09")
    assert rules_of(reading) == {"sex-disagrees", "birth-date-disagrees"}


def test_suspected_is_never_confirmed() -> None:
    suspected = condition(verificationStatus=concept(VERIFICATION, "provisional"))
    reading = read(patient(), encounter(diagnosis=[named("Condition/c", "DD", 1)]), suspected)
    (fact,) = statement(reading).facts[0].diagnoses
    assert (fact.use, fact.rank) == ("working", None)
    assert rules_of(reading) == {"diagnosis-not-confirmed"}
    assert fact.condition.code == "C34.100"
