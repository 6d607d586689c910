"""Cancers, stagings and markers out of FHIR: expected values by the mCODE guide and the HL7 notes of this project (rule 3 "retract", rule 4
"not final, not reported", rule 5 "two primaries", rule 6 "高分化 is grade 1"), and by reading mCODE's own examples as a registrar would."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest

from adapters.fhir import observations, tumours
from adapters.fhir.dialect import FhirDialect, fhir_dialect
from adapters.fhir.oncology import staging_system
from adapters.fhir.record import Record
from adapters.fhir.resource import Release, Resource
from gateway.model.facts import MarkerFact, Remark, StageFact, TumourFact
from gateway.model.values import Coded
from tests.corpora import MCODE as MCODE_EXAMPLES
from tests.corpora import files_of, needs_corpora
from tests.fhir_records import concept

STANDARD = fhir_dialect("standard")
SCT, LOINC, NCIT = "http://snomed.info/sct", "http://loinc.org", "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl"
ICD10, ICDO3, AJCC = (
    "http://hl7.org/fhir/sid/icd-10",
    "http://terminology.hl7.org/CodeSystem/icd-o-3",
    "http://cancerstaging.org",
)
MCODE = "http://hl7.org/fhir/us/mcode/StructureDefinition/"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
Body = dict[str, Any]


def condition(id: str = "c1", icd: str = "C50.9", verification: str = "confirmed", **members: Any) -> Body:
    return {
        "resourceType": "Condition",
        "id": id,
        "clinicalStatus": concept(CLINICAL, "active"),
        "verificationStatus": concept(VERIFICATION, verification),
        "code": concept(ICD10, icd),
        "subject": {"reference": "Patient/1"},
        **members,
    }


def observation(id: str, code: Body, status: str = "final", **members: Any) -> Body:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": status,
        "code": code,
        "subject": {"reference": "Patient/1"},
        **members,
    }


def about(id: str) -> list[Body]:
    return [{"reference": f"Condition/{id}"}]


def staged(id: str, loinc: str, value: str, **members: Any) -> Body:
    return observation(id, concept(LOINC, loinc), valueCodeableConcept=concept(AJCC, value), **members)


def record_of(*bodies: Body, release: Release = "R4") -> Record:
    return Record(
        "Patient/1",
        [Resource(f"{body['resourceType']}/{body['id']}", body, "fhir:1", "2024-05-01T08:00:00", release) for body in bodies],
    )


def said(*bodies: Body, dialect: FhirDialect = STANDARD, release: Release = "R4") -> list[Any]:
    record = record_of(*bodies, release=release)
    items = [entry.item for module in (tumours, observations) for entry in module.read(record, dialect)]
    return items + [entry.item for entry in record.remarks]


def of(kind: type, items: list[Any]) -> list[Any]:
    return [item for item in items if isinstance(item, kind)]


def rules(items: list[Any]) -> list[str]:
    return [item.rule for item in of(Remark, items)]


class TestWhatACancerIs:
    @pytest.mark.parametrize("code", ["C00.0", "C50.900x001", "C97", "D00.1", "D09.9", "D37.0", "D45", "D48.9", "C509"])
    def test_icd10_neoplasms_that_registries_count(self, code: str) -> None:
        assert [tumour.role for tumour in of(TumourFact, said(condition(icd=code)))] == ["primary"]

    @pytest.mark.parametrize("code", ["C98.0", "D10.1", "D36.9", "D49.0", "D50.9", "I10", "E11.9"])
    def test_benign_neoplasms_and_other_diseases_are_none(self, code: str) -> None:
        assert not said(condition(icd=code))

    def test_a_code_of_another_system_that_looks_like_icd10_is_none(self) -> None:
        assert not said(condition(code=concept("http://his.example/department", "C50")))

    def test_icd_o_3_morphology_as_code(self) -> None:
        [tumour] = of(TumourFact, said(condition(code=concept(ICDO3, "8500/3"))))
        assert (tumour.morphology, tumour.role) == (Coded("ICD-O-3", "8500/3"), "primary")

    def test_snomed_alone_is_none_and_by_profile_is_one(self) -> None:
        plain = condition(code=concept(SCT, "254837009", "Malignant neoplasm of breast"))
        assert not said(plain)
        for profile in (
            "mcode-primary-cancer-condition",
            "mcode-primary-cancer-condition|4.0.0",
            "onco-core-PrimaryCancerCondition",
        ):
            [tumour] = of(TumourFact, said({**plain, "meta": {"profile": [MCODE + profile]}}))
            assert (tumour.role, tumour.condition) == ("primary", Coded("SNOMED-CT", "254837009", "Malignant neoplasm of breast"))

    def test_what_a_staging_is_about_is_one(self) -> None:
        plain = condition(code=concept(SCT, "254837009"))
        assert of(TumourFact, said(plain, staged("t", "21905-5", "cT2", focus=about("c1"))))
        assert not of(TumourFact, said(plain, staged("t", "21905-5", "cT2", focus=about("c1"), status="preliminary")))

    @pytest.mark.parametrize(
        ("members", "role"),
        [
            ({"code": concept(ICD10, "C79.3")}, "secondary"),
            ({"code": concept(ICD10, "C77.0")}, "secondary"),
            ({"code": concept(ICDO3, "C77.0")}, "primary"),  # the site of a lymphoma
            ({"code": concept(ICDO3, "8140/6")}, "secondary"),
            ({"code": concept(SCT, "94225005"), "meta": {"profile": [MCODE + "mcode-secondary-cancer-condition"]}}, "secondary"),
        ],
    )
    def test_primary_or_secondary(self, members: Body, role: str) -> None:
        assert [tumour.role for tumour in of(TumourFact, said(condition(**members)))] == [role]

    @pytest.mark.parametrize("verification", ["unconfirmed", "provisional", "differential", "refuted", "entered-in-error"])
    def test_only_a_confirmed_one_counts_and_takes_its_staging_along(self, verification: str) -> None:
        bodies = condition(verification=verification), staged("t", "21905-5", "cT2", focus=about("c1"))
        assert not of(TumourFact, said(*bodies))
        assert not of(StageFact, said(*bodies))

    def test_an_unknown_modifier_extension_stops_its_use(self) -> None:
        items = said(condition(modifierExtension=[{"url": "http://x.example/not", "valueBoolean": True}]))
        assert not of(TumourFact, items)
        assert rules(items) == ["modifier-extension"]

    def test_two_primaries_are_two(self) -> None:
        items = of(TumourFact, said(condition("c1", "C34.1"), condition("c2", "C50.9")))
        assert [(tumour.key, tumour.condition.code) for tumour in items] == [("Condition/c1", "C34.1"), ("Condition/c2", "C50.9")]


class TestTumour:
    def whole(self, **members: Any) -> Body:
        return condition(
            extension=[
                {
                    "url": MCODE + "mcode-histology-morphology-behavior",
                    "valueCodeableConcept": concept(ICDO3, "8500/3", "浸润性导管癌"),
                },
                {"url": "http://hl7.org/fhir/StructureDefinition/condition-assertedDate", "valueDateTime": "2024-03"},
            ],
            onsetDateTime="2023-12-01",
            recordedDate="2024-05-02",
            bodySite=[
                {
                    **concept(ICDO3, "C50.4", "乳腺外上象限"),
                    "extension": [
                        {"url": MCODE + "mcode-laterality-qualifier", "valueCodeableConcept": concept(SCT, "7771000", "Left")}
                    ],
                }
            ],
            **members,
        )

    def test_r4_and_r5_say_the_same(self) -> None:
        r4 = said(self.whole(evidence=[{"code": [concept(SCT, "714797009", "Histology")]}]))
        r5 = said(self.whole(evidence=[{"concept": concept(SCT, "714797009", "Histology")}]), release="R5")
        assert r4 == r5
        assert r4 == [
            TumourFact(
                "Condition/c1",
                "Condition.code",
                Coded("ICD10-GB-CLIN-2.0", "C50.9"),
                "primary",
                Coded("ICD-O-3", "C50.4", "乳腺外上象限"),
                Coded("tumour-laterality", "left", "Left"),
                Coded("ICD-O-3", "8500/3", "浸润性导管癌"),
                basis=Coded("tumour-basis", "histology", "Histology"),
                course=Coded(CLINICAL, "active"),
                diagnosed_on="2024-03",
            )
        ]

    @pytest.mark.parametrize("written", ["8500/3", "M8500/3", "M85000/3", "85003"])
    def test_spellings_of_morphology(self, written: str) -> None:
        url = MCODE + "mcode-histology-morphology-behavior"
        body = condition(extension=[{"url": url, "valueCodeableConcept": concept(ICDO3, written)}])
        assert of(TumourFact, said(body))[0].morphology == Coded("ICD-O-3", "8500/3")

    def test_snomed_morphology_and_site_stay_snomed(self) -> None:
        url = MCODE + "mcode-histology-morphology-behavior"
        body = condition(
            extension=[{"url": url, "valueCodeableConcept": concept(SCT, "35917007")}], bodySite=[concept(SCT, "39607008")]
        )
        [tumour] = of(TumourFact, said(body))
        assert (tumour.morphology, tumour.topography) == (Coded("SNOMED-CT", "35917007"), Coded("SNOMED-CT", "39607008"))

    def test_a_subsite_or_side_is_never_made_from_the_diagnosis(self) -> None:
        [tumour] = of(TumourFact, said(condition(icd="C50.401")))
        assert (tumour.topography, tumour.laterality, tumour.morphology, tumour.grade) == (None, None, None, None)

    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("24028007", Coded("tumour-laterality", "right", "x")),
            ("51440002", Coded("tumour-laterality", "bilateral", "x")),
            ("399488007", Coded("tumour-laterality", "midline", "x")),
            ("66459002", Coded("SNOMED-CT", "66459002", "x")),
        ],
    )
    def test_sides_and_a_side_that_no_map_knows(self, code: str, expected: Coded) -> None:
        site = {
            "text": "肺",
            "extension": [{"url": MCODE + "mcode-laterality-qualifier", "valueCodeableConcept": concept(SCT, code, "x")}],
        }
        [tumour] = of(TumourFact, said(condition(bodySite=[site])))
        assert (tumour.laterality, tumour.topography) == (expected, Coded("", None, "肺"))

    def test_the_highest_of_several_bases_counts(self) -> None:
        evidence = [{"code": [concept(SCT, "363679005"), concept(SCT, "116147009")]}, {"code": [concept(SCT, "5880005")]}]
        assert of(TumourFact, said(condition(evidence=evidence)))[0].basis == Coded("tumour-basis", "cytology")

    def test_onset_is_not_the_diagnosis_and_the_recorded_date_is_remarked(self) -> None:
        assert of(TumourFact, said(condition(onsetDateTime="2023-12-01")))[0].diagnosed_on is None
        items = said(condition(onsetDateTime="2023-12-01", recordedDate="2024-05-02"))
        assert of(TumourFact, items)[0].diagnosed_on == "2024-05-02"
        assert of(TumourFact, items)[0].recorded
        assert rules(items) == ["recorded-date"]

    def test_course(self) -> None:
        body = condition(clinicalStatus=concept(CLINICAL, "recurrence"))
        assert of(TumourFact, said(body))[0].course == Coded(CLINICAL, "recurrence")


class TestStaging:
    GROUP = "21908-9"

    def test_a_group_and_its_members_are_one_staging(self) -> None:
        method = concept(SCT, "897275008", "AJCC 8th")
        members = [{"reference": f"Observation/{part}"} for part in ("t", "n", "m")]
        items = of(
            StageFact,
            said(
                condition(),
                staged("m", "21907-1", "cM0"),
                staged("t", "21905-5", "cT2"),
                staged("n", "21906-3", "cN1", effectiveDateTime="2024-03-02"),
                staged("g", self.GROUP, "2B", focus=about("c1"), method=method, hasMember=members, effectiveDateTime="2024-03-05"),
            ),
        )
        common = {(item.tumour, item.key, item.kind, item.system, item.staged_on) for item in items}
        edition = Coded("staging-system", "AJCC-8", "AJCC 8th")
        assert common == {("Condition/c1", "Observation/g", "clinical", edition, "2024-03-05")}
        values = {name: getattr(item, name).code for item in items for name in ("t", "n", "m", "group") if getattr(item, name)}
        assert values == {"t": "cT2", "n": "cN1", "m": "cM0", "group": "2B"}

    def test_components_of_a_group_are_its_parts(self) -> None:
        component = [{"code": concept(LOINC, "21899-0"), "valueCodeableConcept": concept(AJCC, "pT2")}]
        items = of(StageFact, said(staged("g", "21902-2", "2A", component=component)))
        assert [(item.key, item.kind, item.source) for item in items] == [
            ("Observation/g", "pathologic", "Observation.valueCodeableConcept"),
            ("Observation/g", "pathologic", "Observation.component[0].valueCodeableConcept"),
        ]
        assert items[1].t == Coded(AJCC, "pT2")

    def test_parts_without_a_group_are_one_staging_by_kind(self) -> None:
        items = of(
            StageFact,
            said(condition(), staged("t", "21905-5", "cT2", focus=about("c1")), staged("n", "21906-3", "cN0", focus=about("c1")),
                 staged("p", "21899-0", "pT1", focus=about("c1"))),
        )  # fmt: skip
        assert [item.key for item in items] == ["Condition/c1|clinical", "Condition/c1|clinical", "Condition/c1|pathologic"]

    def test_a_second_t_of_the_same_kind_is_a_staging_of_its_own(self) -> None:
        items = of(StageFact, said(staged("t1", "21905-5", "cT2"), staged("t2", "21905-5", "cT3")))
        assert len({item.key for item in items}) == 2

    def test_a_part_about_another_tumour_is_none_of_the_group(self) -> None:
        items = of(
            StageFact,
            said(condition("c1"), condition("c2", "C34.1"), staged("t", "21905-5", "cT2", focus=about("c2")),
                 staged("g", self.GROUP, "2B", focus=about("c1"), hasMember=[{"reference": "Observation/t"}])),
        )  # fmt: skip
        assert {(item.tumour, item.key) for item in items} == {
            ("Condition/c1", "Observation/g"), ("Condition/c2", "Condition/c2|clinical"),
        }  # fmt: skip

    @pytest.mark.parametrize("status", ["registered", "preliminary", "cancelled", "entered-in-error", "unknown"])
    def test_what_is_not_final_says_nothing(self, status: str) -> None:
        assert not said(staged("t", "21905-5", "cT2", status=status))

    @pytest.mark.parametrize("status", ["final", "amended", "corrected"])
    def test_what_is_final_counts(self, status: str) -> None:
        assert of(StageFact, said(staged("t", "21905-5", "cT2", status=status)))

    def test_absent_is_not_a_value(self) -> None:
        absent: Body = {"dataAbsentReason": concept("http://terminology.hl7.org/CodeSystem/data-absent-reason", "unknown")}
        assert not said(observation("t", concept(LOINC, "21905-5"), **absent))

    @pytest.mark.parametrize(
        ("system", "code", "kind", "member"),
        [
            (SCT, "399504009", "clinical", "t"),
            (SCT, "384625004", "pathologic", "t"),
            (SCT, "78873005", "other", "t"),
            (SCT, "371494008", "pathologic", "n"),
            (LOINC, "21912-1", "other", "n"),
            (SCT, "399387003", "clinical", "m"),
            (LOINC, "21901-4", "pathologic", "m"),
            (SCT, "399588009", "pathologic", "group"),
            (LOINC, "21914-7", "other", "group"),
        ],
    )
    def test_codes_of_mcode(self, system: str, code: str, kind: str, member: str) -> None:
        [item] = of(StageFact, said(observation("o", concept(system, code), valueCodeableConcept=concept(AJCC, "x"))))
        assert (item.kind, getattr(item, member)) == (kind, Coded(AJCC, "x"))

    def test_schemes_other_than_tnm_name_themselves(self) -> None:
        figo = observation("o", concept(SCT, "385361009"), valueCodeableConcept={"text": "IB2"}, focus=about("c1"))
        inss = observation("o", concept(SCT, "409720004"), valueString="3", focus=about("c1"))
        for body, system, group in ((figo, "FIGO", "IB2"), (inss, "INSS", "3")):
            [item] = of(StageFact, said(condition(), body))
            assert (item.system, item.group) == (Coded("staging-system", system), Coded("", None, group))

    @pytest.mark.parametrize(
        ("method", "expected"),
        [
            (concept(SCT, "444256004"), "AJCC-6"), (concept(SCT, "443830009"), "AJCC-7"), (concept(SCT, "1269566009"), "AJCC-9"),
            (concept(NCIT, "C188404"), "UICC"), ({"text": "第八版"}, "AJCC-8"), ({"text": "AJCC8"}, "AJCC-8"),
            ({"text": "AJCC 第7版"}, "AJCC-7"), ({"text": "AJCC Version 8"}, "AJCC-8"), ({"text": "UICC第八版"}, "UICC-8"),
            ({"text": "TNM分期（AJCC第八版）"}, "AJCC-8"), ({"text": "AJCC Cancer Staging Manual, 8th ed."}, "AJCC-8"),
        ],
    )  # fmt: skip
    def test_editions(self, method: Body, expected: str) -> None:
        found = staging_system(method, STANDARD)
        assert found is not None
        assert (found.system, found.code) == ("staging-system", expected)

    @pytest.mark.parametrize("text", ["8", "2018", "第十版", "CSCO 2023", "AJCC"])
    def test_what_is_no_edition_stays_as_it_is(self, text: str) -> None:
        assert staging_system({"text": text}, STANDARD) == Coded("", None, text)

    def test_a_stage_that_the_condition_sums_up_without_an_assessment(self) -> None:
        stage = [{"summary": concept(AJCC, "3C"), "type": concept(SCT, "399588009")}]
        [item] = of(StageFact, said(condition(stage=stage)))
        assert item == StageFact(
            "Condition/c1", "Condition/c1#stage[0]", "Condition.stage[0].summary", "pathologic", group=Coded(AJCC, "3C")
        )

    def test_an_assessment_says_the_stage_or_withdraws_it(self) -> None:
        stage = [{"summary": concept(AJCC, "3C"), "assessment": [{"reference": "Observation/g"}]}]
        [item] = of(StageFact, said(condition(stage=stage), staged("g", self.GROUP, "3B")))
        assert (item.tumour, item.group) == ("Condition/c1", Coded(AJCC, "3B"))
        assert not of(StageFact, said(condition(stage=stage), staged("g", self.GROUP, "3B", status="entered-in-error")))

    def test_without_a_link_beside_two_primaries_nothing_is_tied(self) -> None:
        items = said(condition("c1", "C34.1"), condition("c2", "C50.9"), staged("t", "21905-5", "cT2"))
        assert [item.tumour for item in of(StageFact, items)] == [""]

    def test_a_focus_that_was_not_received_ties_to_no_other_tumour(self) -> None:
        items = said(condition("c1"), staged("t", "21905-5", "cT2", focus=about("elsewhere")))
        assert [item.tumour for item in of(StageFact, items)] == ["Condition/elsewhere"]
        assert rules(items) == ["unresolved-reference"]

    def test_the_related_condition_extension_ties_too(self) -> None:
        extension = [{"url": MCODE + "mcode-related-condition", "valueReference": {"reference": "Condition/c2"}}]
        items = said(condition("c1"), condition("c2", "C34.1"), staged("t", "21905-5", "cT2", extension=extension))
        assert [item.tumour for item in of(StageFact, items)] == ["Condition/c2"]


class TestItems:
    @pytest.mark.parametrize(
        ("value", "millimetres"),
        [
            ({"value": Decimal("21"), "code": "mm"}, "21"), ({"value": Decimal("2.15"), "unit": "cm"}, "21.5"),
            ({"value": Decimal("2.50"), "unit": "cm"}, "25.0"), ({"value": 2, "unit": "厘米"}, "20"),
        ],
    )  # fmt: skip
    def test_size_in_millimetres_with_the_digits_sent(self, value: Body, millimetres: str) -> None:
        [item] = of(TumourFact, said(observation("s", concept(LOINC, "21889-1"), valueQuantity=value, focus=about("x"))))
        assert item.size_mm == millimetres

    @pytest.mark.parametrize("value", [{"value": 2}, {"value": 2, "unit": "kg"}, {"value": 2, "unit": "cm", "comparator": "<"}])
    def test_what_is_no_exact_length_is_remarked(self, value: Body) -> None:
        items = said(observation("s", concept(LOINC, "21889-1"), valueQuantity=value, focus=about("c1")), condition())
        assert rules(items) == ["not-a-number"]

    def test_the_longest_dimension_is_the_size(self) -> None:
        component = [
            {"code": concept(LOINC, "33729-5"), "valueQuantity": {"value": Decimal("1.1"), "code": "cm"}},
            {"code": concept(LOINC, "33728-7"), "valueQuantity": {"value": Decimal("3.5"), "code": "cm"}},
        ]
        items = of(TumourFact, said(condition(), observation("s", concept(LOINC, "21889-1"), component=component)))
        assert (items[1].size_mm, items[1].source) == ("35", "Observation.component[1].valueQuantity")

    @pytest.mark.parametrize(
        ("value", "grade"),
        [
            ({"valueCodeableConcept": {"text": "高分化"}}, Coded("tumour-grade", "1", "高分化")),
            ({"valueString": "低分化"}, Coded("tumour-grade", "3", "低分化")),
            ({"valueCodeableConcept": concept(AJCC, "G2")}, Coded("tumour-grade", "2")),
            ({"valueCodeableConcept": concept(SCT, "1155707008", "High")}, Coded("SNOMED-CT", "1155707008", "High")),
        ],
    )
    def test_well_differentiated_is_the_lowest_grade(self, value: Body, grade: Coded) -> None:
        items = of(TumourFact, said(condition(), observation("g", concept(NCIT, "C18000"), **value)))
        assert (items[1].key, items[1].grade) == ("Condition/c1", grade)

    def test_morphology_of_the_only_primary(self) -> None:
        value = concept(ICDO3, "8140/3", "腺癌")
        items = of(TumourFact, said(condition(), condition("c2", "C79.3"), observation("m", concept(LOINC, "31206-6"),
                   valueCodeableConcept=value)))  # fmt: skip
        assert (items[2].key, items[2].morphology) == ("Condition/c1", Coded("ICD-O-3", "8140/3", "腺癌"))

    def test_beside_two_primaries_an_item_without_a_link_is_remarked_and_not_used(self) -> None:
        items = said(condition("c1", "C34.1"), condition("c2"), observation("g", concept(NCIT, "C18000"), valueString="高分化"))
        assert len(of(TumourFact, items)) == 2
        assert rules(items) == ["tumour-unlinked"]


class TestMarkers:
    TEST = concept(LOINC, "39004-7", "EGFR")
    PROFILE: ClassVar[Body] = {"meta": {"profile": [MCODE + "mcode-tumor-marker-test"]}}

    def marker(self, *others: Body, **members: Any) -> list[MarkerFact]:
        return of(MarkerFact, said(*others, observation("k", self.TEST, **self.PROFILE, **members)))

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ({"valueQuantity": {"value": Decimal("6.50"), "unit": "ng/mL"}}, ("6.50", "ng/mL", None)),
            ({"valueQuantity": {"value": Decimal("0.5"), "code": "ng/mL", "comparator": "<"}}, ("<0.5", "ng/mL", None)),
            ({"valueString": "++"}, ("++", None, None)),
            ({"valueInteger": 3}, ("3", None, None)),
            ({"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 640}}}, ("1:640", None, None)),
            ({"valueCodeableConcept": concept(SCT, "10828004", "Positive")}, (None, None, Coded("SNOMED-CT", "10828004", "Positive"))),
            ({"valueCodeableConcept": {"text": "阳性"}}, (None, None, Coded("", None, "阳性"))),
            (
                {"valueQuantity": {"value": Decimal("6.50")}, "interpretation": [{"coding": [{"code": "POS"}]}]},
                ("6.50", None, Coded("", "POS")),
            ),
            ({"valueString": "3+", "interpretation": [{"coding": [{"code": "H"}]}]}, ("3+", None, None)),
        ],
    )  # fmt: skip
    def test_every_kind_of_result(self, value: Body, expected: tuple[Any, ...]) -> None:
        [item] = self.marker(**value, effectiveDateTime="2024-03")
        assert (item.value, item.unit, item.finding) == expected
        assert (item.test, item.tested_on, item.tumour) == (Coded("LOINC", "39004-7", "EGFR"), "2024-03", "")

    def test_components_are_results_of_their_own(self) -> None:
        component = [{"code": concept(LOINC, "1"), "valueString": "+"}, {"code": concept(LOINC, "2")}]
        assert [(item.key, item.test.code) for item in self.marker(component=component)] == [("Observation/k#component[0]", "1")]

    def test_a_marker_is_tied_by_focus_and_by_evidence_of_both_releases(self) -> None:
        evidence = {"reference": "Observation/k"}
        others = condition("c2", "C34.1")
        for tied, members in (
            (condition(), {"focus": about("c1")}),
            (condition(evidence=[{"detail": [evidence]}]), {}),
            (condition(evidence=[{"reference": evidence}]), {}),
        ):
            assert [item.tumour for item in self.marker(tied, others, valueString="+", **members)] == ["Condition/c1"]

    def test_a_marker_of_another_disease_is_none(self) -> None:
        assert not self.marker(condition("h", "K74.6"), valueString="+", focus=about("h"))

    def test_a_test_without_the_profile_is_none_unless_the_dialect_says_so(self, tmp_path: Path) -> None:
        body = observation("k", concept("http://lis.example/item", "CEA"), valueQuantity={"value": Decimal("6.50")})
        assert not said(body)
        own = tmp_path / "own.toml"
        own.write_text('extends = "standard"\n[codes.observation]\n"CEA" = "marker"\n', encoding="utf-8")
        assert [item.value for item in of(MarkerFact, said(body, dialect=fhir_dialect(own)))] == ["6.50"]


@needs_corpora
class TestExamplesOfMcode:
    """What a registrar reads in the examples."""

    def read(self, folder: str) -> list[Any]:
        bodies = [json.loads(path.read_bytes(), parse_float=Decimal) for path in files_of(MCODE_EXAMPLES / folder, "*.json")]
        return said(*bodies)

    def test_stu1(self) -> None:
        items = self.read("stu1-2020-07")
        lung, brain = of(TumourFact, items)
        assert (lung.role, brain.role) == ("primary", "secondary")
        assert lung.condition == Coded("SNOMED-CT", "254637007", "Non-small cell lung cancer (disorder)")
        assert lung.topography == Coded("SNOMED-CT", "39607008", "Lung structure (body structure)")
        assert lung.laterality == Coded("tumour-laterality", "left", "Left (qualifier value)")
        assert lung.morphology == Coded("SNOMED-CT", "35917007", "Adenocarcinoma")
        assert lung.diagnosed_on is None  # the example has an onset only
        stages: dict[str, dict[str, str]] = {}
        for item in of(StageFact, items):
            values = {name: value.code for name in ("t", "n", "m", "group") if (value := getattr(item, name)) is not None}
            stages.setdefault(item.kind, {}).update(values)
            assert (item.system.code, item.staged_on) == ("AJCC-8", "2019-04-01")
        assert stages == {
            "clinical": {"t": "cT3", "n": "cN3", "m": "cM0", "group": "3C"},
            "pathologic": {"t": "pT3", "n": "pN3", "m": "pM0", "group": "3C"},
        }
        assert {item.tumour for item in of(StageFact, items) if item.kind == "clinical"} == {
            lung.key
        }  # by Condition.stage.assessment
        [marker] = of(MarkerFact, items)
        assert (marker.test.code, marker.finding.code) == ("39004-7", "10828004")

    def test_ballot_of_2019(self) -> None:
        items = self.read("ballot-2019-07-r4")
        [lung] = of(TumourFact, items)
        assert (lung.role, lung.laterality.code, lung.diagnosed_on) == ("primary", "right", "2019-04-01")
        assert (
            len({item.key for item in of(StageFact, items)}) == 1
        )  # the group names no parts, they are of its tumour, kind and day
        assert {item.tumour for item in of(StageFact, items)} == {lung.key}
