"""Pathology reports, operations, drugs, laboratory results and allergies out of FHIR: expected values by the decisions of this project
("pathology"), the FHIR status definitions and the HL7 notes (rule 3 "retract", rule 4 "not final, not reported")."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from adapters.fhir import laboratory, medications, pathology, procedures
from adapters.fhir.dialect import FhirDialect, fhir_dialect
from adapters.fhir.record import Record
from adapters.fhir.resource import Release
from adapters.fhir.said import Said
from gateway.model.facts import Fact, MedicationFact, PathologyFact, ProcedureFact, Remark
from gateway.model.values import Coded
from tests.corpora import MCODE, files_of, needs_corpora
from tests.fhir_records import Body, concept, record

STANDARD = fhir_dialect("standard")
LOINC, SCT, ICDO3 = "http://loinc.org", "http://snomed.info/sct", "http://terminology.hl7.org/CodeSystem/icd-o-3"
V2_0074 = "http://terminology.hl7.org/CodeSystem/v2-0074"
ICD9 = "http://hl7.org/fhir/sid/icd-9-cm"
NUMBER_OID = "urn:oid:2.16.156.10011.1.8"
Reader = Callable[[Record, FhirDialect], Iterator[Said]]


def said(reader: Reader, *bodies: Body, release: Release = "R4", dialect: FhirDialect = STANDARD) -> list[Any]:
    one = record(*bodies, release=release)
    return [entry.item for entry in reader(one, dialect)] + [entry.item for entry in one.remarks]


def facts(items: list[Any]) -> list[Any]:
    return [item for item in items if not isinstance(item, Remark)]


def rules(items: list[Any]) -> list[str]:
    return [item.rule for item in items if isinstance(item, Remark)]


class TestPathology:
    def report(self, **members: Any) -> Body:
        return {
            "resourceType": "DiagnosticReport",
            "id": "d",
            "status": "final",
            "category": [concept(V2_0074, "SP")],
            "code": concept(LOINC, "11529-5"),
            "identifier": [{"system": NUMBER_OID, "value": "B2024-01"}],
            "issued": "2024-03-12T10:30:00+08:00",
            "conclusion": "（左乳）浸润性导管癌",
        } | members

    def section(self, id: str, loinc: str, text: str, **members: Any) -> Body:
        return {
            "resourceType": "Observation", "id": id, "status": "final", "code": concept(LOINC, loinc), "valueString": text,
        } | members  # fmt: skip

    def coded(self, value: Body) -> Body:
        body = self.section("m", "31206-6", "", valueCodeableConcept=value)
        del body["valueString"]
        return body

    def read(self, *bodies: Body) -> list[Any]:
        return said(pathology.read, *bodies)

    def test_a_report(self) -> None:
        body = self.report(conclusionCode=[concept(ICDO3, "8500/3", "浸润性导管癌")])
        assert self.read(body) == [
            PathologyFact(
                "B2024-01",
                "DiagnosticReport.identifier[0]",
                "routine",
                "final",
                {"diagnosis": "（左乳）浸润性导管癌"},
                Coded("ICDO-M-GB-CLIN-2.0", "M85000/3", "浸润性导管癌"),
                "2024-03-12T10:30:00",
            )
        ]

    @pytest.mark.parametrize(
        "members",
        [
            {"category": [concept(V2_0074, "PAT")], "code": {"text": "x"}},
            {"category": [concept(V2_0074, "CP")], "code": {"text": "x"}},
            {"category": [concept(LOINC, "LP7839-6")], "code": {"text": "x"}},
            {"category": [], "code": concept(LOINC, "60568-3")},
            {"category": [], "code": {"text": "术后病理检查"}},
        ],
    )
    def test_what_is_a_pathology_report(self, members: Body) -> None:
        assert len(facts(self.read(self.report(**members)))) == 1

    @pytest.mark.parametrize("category", ["LAB", "RAD", "MB"])
    def test_other_reports_are_none(self, category: str) -> None:
        assert not self.read(self.report(category=[concept(V2_0074, category)], code=concept(LOINC, "58410-2")))

    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            ("registered", ["preliminary"]), ("partial", ["preliminary"]), ("preliminary", ["preliminary"]), ("final", ["final"]),
            ("amended", ["corrected"]), ("corrected", ["corrected"]), ("appended", ["final"]), ("cancelled", []),
            ("entered-in-error", []), ("nonsense", ["preliminary"]),
        ],
    )  # fmt: skip
    def test_status(self, status: str, expected: list[str]) -> None:
        items = self.read(self.report(status=status))
        assert [item.status for item in facts(items)] == expected
        assert rules(items) == (["report-status"] if status == "nonsense" else [])

    @pytest.mark.parametrize(
        ("identifiers", "specimen", "number"),
        [
            ([{"value": "ORDER1", "type": concept("v2-0203", "PLAC")}, {"value": "B1", "type": concept("v2-0203", "FILL")}], {}, "B1"),
            ([{"value": "B1", "type": concept("v2-0203", "ACSN")}], {"accessionIdentifier": {"value": "B9"}}, "B1"),
            ([{"value": "X1", "system": "http://lis.example/report"}], {"accessionIdentifier": {"value": "B9"}}, "B9"),
            ([], {"identifier": [{"value": "B8"}]}, "B8"),
            ([{"value": "X1", "system": "http://lis.example/report"}], {}, "X1"),
        ],
    )  # fmt: skip
    def test_where_the_number_stands(self, identifiers: list[Body], specimen: Body, number: str) -> None:
        body = self.report(identifier=identifiers, specimen=[{"reference": "Specimen/s"}])
        [item] = facts(self.read(body, {"resourceType": "Specimen", "id": "s"} | specimen))
        assert item.specimen_number == number

    def test_without_a_number_it_is_remarked(self) -> None:
        items = self.read(self.report(identifier=[]))
        assert [item.specimen_number for item in facts(items)] == [""]
        assert rules(items) == ["no-specimen-number"]

    def test_sections_come_from_results(self) -> None:
        results = [{"reference": f"Observation/{id}"} for id in ("g", "x", "m", "f")]
        items = self.read(
            self.report(conclusion=None, result=results),
            self.section("g", "22634-0", "灰白色组织\n大小 3cm"),
            self.section("x", "22637-3", "浸润性癌"),
            self.section("m", "22635-7", "镜下", status="preliminary"),
            self.section("f", "83321-0", "术中冰冻：癌"),
        )
        [item] = facts(items)
        assert item.kind == "routine"
        assert item.texts == {"gross": "灰白色组织\n大小 3cm", "diagnosis": "浸润性癌", "frozen": "术中冰冻：癌"}

    def test_the_same_diagnosis_twice_is_one(self) -> None:
        result = self.section("x", "22637-3", "（左乳）浸润性导管癌")
        [item] = facts(self.read(self.report(result=[{"reference": "Observation/x"}]), result))
        assert item.texts == {"diagnosis": "（左乳）浸润性导管癌"}

    @pytest.mark.parametrize(
        ("code", "kind", "section"),
        [
            ({"text": "冰冻病理报告"}, "frozen", "frozen"), (concept(LOINC, "83321-0"), "frozen", "frozen"),
            ({"text": "补充报告"}, "supplement", "supplement"), (concept(LOINC, "22639-9"), "supplement", "supplement"),
        ],
    )  # fmt: skip
    def test_frozen_sections_and_supplements(self, code: Body, kind: str, section: str) -> None:
        [item] = facts(self.read(self.report(code=code)))
        assert (item.kind, list(item.texts)) == (kind, [section])

    def test_a_report_of_nothing_but_a_frozen_section_is_one(self) -> None:
        body = self.report(conclusion=None, result=[{"reference": "Observation/f"}])
        [item] = facts(self.read(body, self.section("f", "83321-0", "癌")))
        assert item.kind == "frozen"

    def test_morphology_by_a_result_and_never_by_text(self) -> None:
        coded = self.coded(concept(ICDO3, "M8500/3"))
        body = self.report(result=[{"reference": "Observation/m"}])
        assert facts(self.read(body, coded))[0].morphology == Coded("ICDO-M-GB-CLIN-2.0", "M85000/3")
        assert facts(self.read(self.report(conclusion="浸润性导管癌 8500/3")))[0].morphology is None

    def test_snomed_morphology_is_kept_and_remarked(self) -> None:
        coded = self.coded(concept(SCT, "35917007"))
        items = self.read(self.report(result=[{"reference": "Observation/m"}]), coded)
        assert facts(items)[0].morphology == Coded("SNOMED-CT", "35917007")
        assert rules(items) == ["unmapped-code"]

    def test_an_attachment_is_remarked_and_the_number_counts(self) -> None:
        items = self.read(self.report(conclusion=None, presentedForm=[{"contentType": "application/pdf", "data": "AA=="}]))
        assert [(item.specimen_number, item.texts) for item in facts(items)] == [("B2024-01", {})]
        assert rules(items) == ["attachment", "report-empty"]

    def test_a_result_that_was_not_received(self) -> None:
        items = self.read(self.report(result=[{"reference": "Observation/none"}]))
        assert len(facts(items)) == 1
        assert rules(items) == ["unresolved-reference"]

    def test_results_that_hold_each_other_end(self) -> None:
        loop = [{"reference": "Observation/b"}]
        first = self.section("a", "22637-3", "一", hasMember=loop)
        second = self.section("b", "22637-3", "二", hasMember=[{"reference": "Observation/a"}])
        [item] = facts(self.read(self.report(conclusion=None, result=[{"reference": "Observation/a"}]), first, second))
        assert item.texts == {"diagnosis": "一\n二"}


class TestProcedures:
    def procedure(self, **members: Any) -> Body:
        return {
            "resourceType": "Procedure",
            "id": "o",
            "status": "completed",
            "code": concept(ICD9, "85.4300x001", "单侧乳房根治性切除术"),
        } | members

    def people(self, *functions: Body) -> list[Body]:
        return [{"function": function, "actor": {"display": f"试验{number}"}} for number, function in enumerate(functions)]

    def test_r4_and_r5_say_the_same(self) -> None:
        performer = self.people(concept(SCT, "304292004"), {"text": "一助"}, concept(SCT, "88189002"))
        r4 = said(procedures.read, self.procedure(performedPeriod={"start": "2024-03-11T09:00:00+08:00"}, performer=performer))
        r5 = said(
            procedures.read,
            self.procedure(occurrencePeriod={"start": "2024-03-11T09:00:00+08:00"}, performer=performer),
            release="R5",
        )
        assert r4 == r5
        assert r4 == [
            ProcedureFact(
                Coded("ICD9CM3-GB-CLIN-3.0", "85.4300x001", "单侧乳房根治性切除术"),
                "Procedure.code",
                "2024-03-11T09:00:00",
                key="Procedure/o",
                operator="试验0",
                first_assistant="试验1",
                anaesthetist="试验2",
            )
        ]

    @pytest.mark.parametrize(
        "status", ["preparation", "in-progress", "not-done", "on-hold", "stopped", "entered-in-error", "unknown"]
    )
    def test_only_completed_ones(self, status: str) -> None:
        assert not said(procedures.read, self.procedure(status=status))

    def test_a_surgical_one_without_icd9_is_kept_as_sent_and_remarked(self) -> None:
        code = concept(SCT, "359615001", "Partial lobectomy of lung")
        for category in (concept(SCT, "387713003"), [concept(SCT, "387713003")], {"text": "手术"}):
            items = said(procedures.read, self.procedure(code=code, category=category))
            assert [item.operation for item in facts(items)] == [Coded("SNOMED-CT", "359615001", "Partial lobectomy of lung")]
            assert rules(items) == ["unmapped-code"]

    @pytest.mark.parametrize("category", [None, concept(SCT, "108290001"), concept(SCT, "103693007")])
    def test_radiotherapy_and_tests_are_no_operations(self, category: Body | None) -> None:
        body = self.procedure(code=concept(SCT, "1217123003"), **({"category": category} if category else {}))
        assert not said(procedures.read, body)

    def test_people_by_reference(self) -> None:
        doctor = {"resourceType": "Practitioner", "id": "dr", "name": [{"text": "欧阳试验"}]}
        role = {"resourceType": "PractitionerRole", "id": "role", "practitioner": {"reference": "Practitioner/dr"}}
        contained = {"resourceType": "Practitioner", "id": "in", "name": [{"family": "司马", "given": ["样本"]}]}
        performer = [
            {"function": concept(SCT, "304292004"), "actor": {"reference": "PractitionerRole/role"}},
            {"function": {"text": "麻醉医师"}, "actor": {"reference": "#in"}},
            {"function": {"text": "器械护士"}, "actor": {"display": "试验"}},
        ]
        items = said(procedures.read, self.procedure(performer=performer, contained=[contained]), doctor, role)
        assert [(item.operator, item.anaesthetist) for item in facts(items)] == [("欧阳试验", "司马样本")]
        assert rules(items) == ["unknown-word"]

    def test_what_our_own_extensions_say(self) -> None:
        extension = [
            {"url": "urn:zhibao:rank", "valuePositiveInt": 1},
            {"url": "urn:zhibao:duration-hours", "valueDecimal": Decimal("2.50")},
            {"url": "urn:zhibao:operation-level", "valueCoding": {"system": "urn:zhibao:RC029", "code": "4"}},
            {"url": "urn:zhibao:asa-grade", "valueCoding": {"system": "urn:zhibao:RC024", "code": "2"}},
        ]
        [item] = said(procedures.read, self.procedure(extension=extension))
        assert (item.rank, item.duration_hours, item.level, item.asa_grade) == (1, "2.50", Coded("RC029", "4"), Coded("RC024", "2"))


class TestMedications:
    DRUG = concept("http://his.example/drug", "D01", "多西他赛注射液")
    DOSE: ClassVar[Body] = {"value": Decimal("75.0"), "unit": "mg"}

    def request(self, **members: Any) -> Body:
        return {
            "resourceType": "MedicationRequest", "id": "r", "status": "active", "intent": "order",
            "medicationCodeableConcept": self.DRUG, "authoredOn": "2024-03-12",
            "dosageInstruction": [{"route": {"text": "静脉滴注"}, "doseAndRate": [{"doseQuantity": self.DOSE}]}],
            "groupIdentifier": {"value": "7"},
        } | members  # fmt: skip

    def administration(self, **members: Any) -> Body:
        return {
            "resourceType": "MedicationAdministration", "id": "a", "status": "completed",
            "medicationCodeableConcept": self.DRUG, "effectiveDateTime": "2024-03-12T10:00:00+08:00",
            "request": {"reference": "MedicationRequest/r"}, "dosage": {"dose": self.DOSE},
        } | members  # fmt: skip

    def test_an_order_of_both_releases(self) -> None:
        r4 = said(medications.read, self.request())
        r5_body = self.request(medication={"concept": self.DRUG})
        del r5_body["medicationCodeableConcept"]
        [r5] = said(medications.read, r5_body, release="R5")
        assert r4 == [
            MedicationFact(
                Coded("http://his.example/drug", "D01", "多西他赛注射液"),
                "MedicationRequest.medicationCodeableConcept",
                "MedicationRequest/r",
                "ordered",
                "75.0",
                "mg",
                Coded("", None, "静脉滴注"),
                "7",
                "2024-03-12",
            )
        ]
        assert (r5.drug, r5.key, r5.dose, r5.at) == (r4[0].drug, r4[0].key, r4[0].dose, r4[0].at)

    @pytest.mark.parametrize(
        ("members", "counts"),
        [
            ({"status": "completed"}, True), ({"status": "stopped"}, True), ({"status": "on-hold"}, True), ({"status": "ended"}, True),
            ({"status": "cancelled"}, False), ({"status": "draft"}, False), ({"status": "entered-in-error"}, False),
            ({"intent": "plan"}, False), ({"intent": "proposal"}, False), ({"intent": "instance-order"}, True),
            ({"doNotPerform": True}, False),
        ],
    )  # fmt: skip
    def test_which_orders_count(self, members: Body, counts: bool) -> None:
        assert bool(said(medications.read, self.request(**members))) is counts

    def test_what_was_given_names_its_order_in_both_releases(self) -> None:
        r5 = self.administration(occurenceDateTime="2024-03-12T10:00:00+08:00", medication={"concept": self.DRUG})
        del r5["effectiveDateTime"], r5["medicationCodeableConcept"]
        for body, release in ((self.administration(), "R4"), (r5, "R5")):
            [item] = said(medications.read, body, release=release)  # type: ignore[arg-type]
            assert (item.state, item.key, item.at, item.dose) == ("given", "MedicationRequest/r", "2024-03-12T10:00:00", "75.0")

    @pytest.mark.parametrize("status", ["not-done", "entered-in-error", "unknown", "on-hold"])
    def test_what_was_not_given_is_not_said(self, status: str) -> None:
        assert not said(medications.read, self.administration(status=status))

    @pytest.mark.parametrize(
        ("members", "counts"),
        [
            ({"status": "active"}, True), ({"status": "completed"}, True), ({"status": "not-taken"}, False),
            ({"status": "intended"}, False), ({"status": "recorded"}, True),
            ({"status": "recorded", "adherence": {"code": concept("http://x.example", "taking-as-directed")}}, True),
            ({"status": "recorded", "adherence": {"code": concept("http://x.example", "not-taking")}}, False),
        ],
    )  # fmt: skip
    def test_statements_count_when_taken(self, members: Body, counts: bool) -> None:
        body = {"resourceType": "MedicationStatement", "id": "s", "medicationCodeableConcept": self.DRUG} | members
        assert bool(said(medications.read, body)) is counts

    def test_a_drug_by_reference(self) -> None:
        drug = {"resourceType": "Medication", "id": "m", "code": self.DRUG}
        for reference, bodies in (
            ({"reference": "Medication/m"}, [self.request(medicationReference={"reference": "Medication/m"}), drug]),
            ({"reference": "#m"}, [self.request(medicationReference={"reference": "#m"}, contained=[drug])]),
            ({"reference": "Medication/m"}, [self.request(medication={"reference": {"reference": "Medication/m"}}), drug]),
        ):
            assert reference
            del bodies[0]["medicationCodeableConcept"]
            [item] = said(medications.read, *bodies)
            assert item.drug == Coded("http://his.example/drug", "D01", "多西他赛注射液")

    def test_a_drug_without_code_and_name_is_remarked(self) -> None:
        items = said(medications.read, self.request(medicationCodeableConcept={"coding": [{"system": "x"}]}))
        assert rules(items) == ["drug-unnamed"]

    def test_a_code_without_system_is_the_senders_own(self) -> None:
        [item] = said(medications.read, self.request(medicationCodeableConcept={"coding": [{"code": "D01"}]}))
        assert item.drug == Coded("fhir/drug", "D01")

    def test_a_dose_in_words_or_as_a_range(self) -> None:
        [words] = said(
            medications.read,
            self.request(dosageInstruction=[{"text": "每日一次", "doseAndRate": [{"doseQuantity": {"unit": "mg"}}]}]),
        )
        span = {"low": {"value": 1, "unit": "片"}, "high": {"value": 2, "unit": "片"}}
        [range_] = said(medications.read, self.request(dosageInstruction=[{"doseAndRate": [{"doseRange": span}]}]))
        assert [(item.dose, item.unit) for item in (words, range_)] == [("每日一次", "mg"), ("1-2", "片")]


class TestLaboratory:
    def result(self, code: Body, **members: Any) -> list[Any]:
        body = {"resourceType": "Observation", "id": "l", "status": "final", "code": code} | members
        return said(laboratory.read, body)

    @pytest.mark.parametrize(
        ("code", "value", "path", "expected"),
        [
            (concept(LOINC, "5196-1"), {"valueCodeableConcept": {"text": "阴性"}}, "laboratory.hbsag", Coded("RC007", "1")),
            (concept(LOINC, "5195-3"), {"valueString": "阳性(+)"}, "laboratory.hbsag", Coded("RC007", "2")),
            (concept(LOINC, "16128-1"), {"valueCodeableConcept": concept(SCT, "10828004")}, "laboratory.hcv_antibody", Coded("RC007", "2")),
            ({"text": "HIV抗体"}, {"valueString": "NEGATIVE"}, "laboratory.hiv_antibody", Coded("RC007", "1")),
            (concept("http://lis.example", "ABO"), {"valueString": "AB型血"}, "laboratory.abo_group", Coded("RC030", "4")),
            (concept(LOINC, "10331-7"), {"valueCodeableConcept": {"text": "RH阳性"}}, "laboratory.rh_group", Coded("RC031", "2")),
        ],
    )  # fmt: skip
    def test_qualitative_results(self, code: Body, value: Body, path: str, expected: Coded) -> None:
        [item] = self.result(code, **value)
        assert (item.path, item.value) == (path, expected)

    def test_a_number_with_an_interpretation(self) -> None:
        value = {"valueQuantity": {"value": Decimal("0.02")}, "interpretation": [{"coding": [{"code": "NEG"}]}]}
        [item] = self.result(concept(LOINC, "5196-1"), **value)
        assert item == Fact("laboratory.hbsag", Coded("RC007", "1"), "Observation.valueQuantity")

    def test_a_number_alone_is_remarked(self) -> None:
        assert rules(self.result(concept(LOINC, "5196-1"), valueQuantity={"value": Decimal("0.02")})) == ["not-qualitative"]

    @pytest.mark.parametrize("status", ["preliminary", "registered", "cancelled", "entered-in-error"])
    def test_what_is_not_final_says_nothing(self, status: str) -> None:
        assert not self.result(concept(LOINC, "5196-1"), valueString="阴性", status=status)

    @pytest.mark.parametrize(
        ("value", "grams"), [({"value": 3250, "unit": "g"}, 3250), ({"value": Decimal("3.25"), "code": "kg"}, 3250)]
    )
    def test_birth_weight(self, value: Body, grams: int) -> None:
        assert self.result(concept(LOINC, "8339-4"), valueQuantity=value) == [
            Fact("births[0].weight", grams, "Observation.valueQuantity")
        ]


class TestAllergies:
    def allergy(self, code: Body, id: str = "a", **members: Any) -> Body:
        return {"resourceType": "AllergyIntolerance", "id": id, "category": ["medication"], "code": code} | members

    def values(self, *bodies: Body) -> dict[str, Any]:
        return {item.path: item.value for item in facts(said(laboratory.read, *bodies))}

    def test_drugs_are_named_together(self) -> None:
        bodies = self.allergy({"text": "青霉素"}), self.allergy({"text": "头孢"}, "b"), self.allergy({"text": "青霉素"}, "c")
        assert self.values(*bodies) == {"allergy.present": Coded("RC037", "2"), "allergy.drugs": "青霉素、头孢"}

    def test_none_known(self) -> None:
        assert self.values(self.allergy(concept(SCT, "716186003"))) == {"allergy.present": Coded("RC037", "1")}
        assert self.values(self.allergy({"text": "否认药物过敏史"})) == {"allergy.present": Coded("RC037", "1")}

    def test_a_drug_beside_none_known_counts(self) -> None:
        assert (
            self.values(self.allergy(concept(SCT, "716186003")), self.allergy({"text": "青霉素"}, "b"))["allergy.drugs"] == "青霉素"
        )

    def test_food_is_none_and_no_category_is_asked(self) -> None:
        assert not said(laboratory.read, self.allergy({"text": "花生"}, category=["food"]))
        assert rules(said(laboratory.read, self.allergy({"text": "花生"}, category=[]))) == ["unknown-word"]

    @pytest.mark.parametrize(
        "members",
        [
            {"verificationStatus": concept("v", "refuted")}, {"verificationStatus": concept("v", "entered-in-error")},
            {"verificationStatus": concept("v", "unconfirmed")}, {"clinicalStatus": concept("c", "resolved")},
        ],
    )  # fmt: skip
    def test_what_is_doubted_or_over_says_nothing(self, members: Body) -> None:
        assert not self.values(self.allergy({"text": "青霉素"}, **members))


@needs_corpora
def test_the_operation_and_the_drug_of_mcode() -> None:
    bodies = [json.loads(path.read_bytes(), parse_float=Decimal) for path in files_of(MCODE / "stu1-2020-07", "*.json")]
    [operation] = facts(said(procedures.read, *bodies))  # the brachytherapy is none
    assert (operation.operation.display, operation.started_at) == ("Partial lobectomy of lung (procedure)", "2019-03-01")
    [drug] = facts(said(medications.read, *bodies))  # the stopped statement is none that is taken
    assert (drug.drug.display, drug.state, drug.at) == ("gefitinib 250 MG Oral Tablet", "given", "2019-04-01")
    assert drug.dose == "250mg orally once daily with or without food"
