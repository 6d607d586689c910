"""Diagnoses of a stay out of Encounter.diagnosis: product decisions "FHIR diagnoses", HL7 notes on Condition."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.fhir.resource import Release
from gateway.model.facts import DiagnosisFact
from gateway.model.values import Coded
from tests.fhir_records import (
    CLINICAL,
    DIAGNOSIS_ROLE,
    ICD10,
    VERIFICATION,
    Body,
    concept,
    condition,
    encounter,
    named,
    patient,
    read,
    rules_of,
    statement,
)

EDITION = "ICD10-GB-CLIN-2.0"
SNOMED = "http://snomed.info/sct"


def _diagnoses(*bodies: Body, release: Release = "R4", dialect: str = "standard") -> tuple[list[DiagnosisFact], set[str]]:
    reading = read(patient(), *bodies, release=release, dialect=dialect)
    found = [fact for facts in statement(reading).facts for fact in facts.diagnoses]
    return found, rules_of(reading)


def _uses(*bodies: Body, release: Release = "R4") -> dict[str | None, tuple[str, int | None]]:
    return {fact.condition.code: (fact.use, fact.rank) for fact in _diagnoses(*bodies, release=release)[0]}


def _r5(*entries: tuple[Any, list[Body]], **more: Any) -> Body:
    stay = encounter(status="completed", diagnosis=[{"condition": items, "use": uses} for items, uses in entries], **more)
    stay["class"] = [{"coding": [stay["class"]]}]
    stay["actualPeriod"] = stay.pop("period")
    return stay


DD, CM, AD = (concept(DIAGNOSIS_ROLE, use) for use in ("DD", "CM", "AD"))


def _to(id: str) -> list[Body]:
    return [{"reference": {"reference": f"Condition/{id}"}}]


class TestRankInR4:
    def test_rank_one_of_discharge_is_main_and_comorbidities_follow(self) -> None:
        stay = encounter(diagnosis=[named("Condition/b", "CM", 1), named("Condition/a", "DD", 1), named("Condition/c", "DD", 2)])
        found = _uses(stay, condition("a", "C34.1"), condition("b", "I10"), condition("c", "E11.9"))
        assert found == {"C34.1": ("discharge", 1), "I10": ("discharge", 2), "E11.9": ("discharge", 2)}

    def test_without_rank_nobody_knows_the_main_one(self) -> None:
        stay = encounter(diagnosis=[named("Condition/a"), named("Condition/b")])
        assert _uses(stay, condition("a", "C34.1"), condition("b", "I10")) == {
            "C34.1": ("discharge", None),
            "I10": ("discharge", None),
        }

    def test_the_words_principal_diagnosis_rank_by_themselves(self) -> None:
        entry = {"condition": {"reference": "Condition/a"}, "use": {"text": "出院主要诊断"}}
        assert _uses(encounter(diagnosis=[entry]), condition("a", "C34.1")) == {"C34.1": ("discharge", 1)}

    def test_rank_of_no_number_is_none(self) -> None:
        entry = named("Condition/a") | {"rank": 0}
        assert _uses(encounter(diagnosis=[entry]), condition("a", "C34.1")) == {"C34.1": ("discharge", None)}


class TestUseInR5:
    def test_the_only_discharge_diagnosis_is_main(self) -> None:
        stay = _r5((_to("a"), [DD]), (_to("b"), [CM]))
        found = _uses(stay, condition("a", "C34.1"), condition("b", "I10"), release="R5")
        assert found == {"C34.1": ("discharge", 1), "I10": ("discharge", 2)}

    def test_others_keep_their_order(self) -> None:
        stay = _r5((_to("b"), [CM]), (_to("a"), [DD]), (_to("c"), [CM]))
        found = _uses(stay, condition("c", "E11"), condition("b", "I10"), condition("a", "C34.1"), release="R5")
        assert found == {"C34.1": ("discharge", 1), "I10": ("discharge", 2), "E11": ("discharge", 3)}

    def test_two_discharge_diagnoses_leave_it_open(self) -> None:
        stay = _r5((_to("a"), [DD]), (_to("b"), [DD]))
        found = _uses(stay, condition("a", "C34.1"), condition("b", "I10"), release="R5")
        assert found == {"C34.1": ("discharge", None), "I10": ("discharge", None)}

    def test_one_named_principal_beside_discharge_ones(self) -> None:
        stay = _r5((_to("a"), [{"text": "出院主要诊断"}]), (_to("b"), [DD]))
        found = _uses(stay, condition("a", "C34.1"), condition("b", "I10"), release="R5")
        assert found == {"C34.1": ("discharge", 1), "I10": ("discharge", None)}

    def test_rank_is_not_read(self) -> None:
        """R5 has no such element: one that stands there all the same is a position of the sender's own."""
        stay = _r5((_to("a"), [DD]), (_to("b"), [DD]))
        stay["diagnosis"][1]["rank"] = 1
        assert _uses(stay, condition("a", "C34.1"), condition("b", "I10"), release="R5")["I10"] == ("discharge", None)

    def test_several_uses_are_several_statements_with_keys_of_their_own(self) -> None:
        found, _ = _diagnoses(_r5((_to("a"), [AD, DD])), condition("a", "C34.1"), release="R5")
        assert [(fact.use, fact.rank, fact.key) for fact in found] == [
            ("admission", None, "Condition/a#admission"),
            ("discharge", 1, "Condition/a"),
        ]

    def test_a_bare_concept_counts(self) -> None:
        found, _ = _diagnoses(_r5(([{"concept": concept(ICD10, "C34.1", "肺癌")}], [DD])), release="R5")
        expected = DiagnosisFact(
            Coded(EDITION, "C34.1", "肺癌"), "Encounter.diagnosis[0].condition[0].concept", "discharge", 1, "C34.1"
        )
        assert found == [expected]


class TestUse:
    @pytest.mark.parametrize("use", ["CC", "pre-op", "post-op", "billing"])
    def test_other_uses_are_kept_and_not_reported(self, use: str) -> None:
        assert _uses(encounter(diagnosis=[named("Condition/c", use)]), condition("c", "C34.1")) == {"C34.1": ("working", None)}

    def test_codes_of_ours(self) -> None:
        entries = [
            {"condition": {"reference": f"Condition/{id}"}, "use": concept("urn:zhibao:diagnosis-use", use)}
            for id, use in (("a", "outpatient"), ("b", "external_cause"))
        ]
        found = _uses(encounter(diagnosis=entries), condition("a", "C34.1"), condition("b", "V89.2"))
        assert found == {"C34.1": ("outpatient", None), "V89.2": ("external_cause", None)}

    def test_none_in_a_finished_encounter_is_discharge_and_in_an_open_one_working(self) -> None:
        entry = {"condition": {"reference": "Condition/c"}}
        assert _uses(encounter(diagnosis=[entry]), condition("c", "C34.1")) == {"C34.1": ("discharge", None)}
        found, rules = _diagnoses(encounter(diagnosis=[entry], status="in-progress"), condition("c", "C34.1"))
        assert [fact.use for fact in found] == ["working"]
        assert rules == {"diagnosis-use"}

    def test_an_unknown_one_is_remarked(self) -> None:
        entry = {"condition": {"reference": "Condition/c"}, "use": {"text": "讨论用诊断"}}
        found, rules = _diagnoses(encounter(diagnosis=[entry]), condition("c", "C34.1"))
        assert [fact.use for fact in found] == ["working"]
        assert rules == {"diagnosis-use"}

    def test_a_condition_of_the_encounter_that_it_does_not_name(self) -> None:
        found, rules = _diagnoses(encounter(), condition("c", "C34.1", encounter={"reference": "Encounter/e"}))
        assert [fact.use for fact in found] == ["working"]
        assert rules == {"diagnosis-not-named"}

    def test_procedures_named_there_are_no_diagnoses(self) -> None:
        operation = {"resourceType": "Procedure", "id": "x", "status": "completed", "subject": {"reference": "Patient/p"}}
        assert _diagnoses(encounter(diagnosis=[named("Procedure/x")]), operation)[0] == []


class TestVerification:
    def _one(self, **more: Any) -> tuple[str, set[str]] | None:
        body = condition("c", "C34.1") | more
        found, rules = _diagnoses(
            encounter(diagnosis=[named("Condition/c", "DD", 1)]), {k: v for k, v in body.items() if v is not None}
        )
        return (found[0].use, rules) if found else None

    @pytest.mark.parametrize("status", ["provisional", "differential", "unconfirmed"])
    def test_suspected_is_kept_and_never_counts(self, status: str) -> None:
        assert self._one(verificationStatus=concept(VERIFICATION, status)) == ("working", {"diagnosis-not-confirmed"})

    @pytest.mark.parametrize("status", ["refuted", "entered-in-error"])
    def test_withdrawn_is_not_said(self, status: str) -> None:
        assert self._one(verificationStatus=concept(VERIFICATION, status)) is None

    def test_clinical_status_stands_in_and_is_remarked(self) -> None:
        assert self._one(verificationStatus=None) == ("discharge", {"diagnosis-taken-as-confirmed"})

    def test_neither_is_not_confirmed(self) -> None:
        assert self._one(verificationStatus=None, clinicalStatus=None) == ("working", {"diagnosis-status"})

    def test_resolved_by_discharge_is_a_diagnosis_all_the_same(self) -> None:
        assert self._one(clinicalStatus=concept(CLINICAL, "resolved")) == ("discharge", set())

    @pytest.mark.parametrize(
        "words", ["左肺占位：肺癌待排", "发热待查", "疑似肺癌", "肺癌可疑", "肺癌？", "?肺癌", "肺癌不除外", "考虑肺癌"]
    )
    def test_words_of_suspicion_beside_a_confirmed_status_count_and_are_remarked(self, words: str) -> None:
        assert self._one(code=concept(ICD10, "C34.1", "支气管或肺恶性肿瘤", words)) == ("discharge", {"diagnosis-words-doubt"})
        assert self._one(code=concept(ICD10, "C34.1", words)) == ("discharge", {"diagnosis-words-doubt"})

    def test_words_of_suspicion_of_one_that_does_not_count_anyway_are_not_remarked(self) -> None:
        doubted = concept(VERIFICATION, "provisional")
        assert self._one(code=concept(ICD10, "C34.1", "肺癌待排"), verificationStatus=doubted) == (
            "working",
            {"diagnosis-not-confirmed"},
        )

    def test_a_category_whose_own_name_speaks_of_suspicion_is_not_remarked(self) -> None:
        assert self._one(code=concept(ICD10, "Z03.100", "可疑恶性肿瘤的观察")) == ("discharge", set())

    def test_words_of_suspicion_in_a_bare_concept(self) -> None:
        items = [{"concept": concept(ICD10, "C34.1", "肺癌待排")}]
        assert _diagnoses(_r5((items, [DD])), release="R5")[1] == {"diagnosis-words-doubt"}


class TestCode:
    def _coded(self, code: Body) -> tuple[Coded, str, set[str]]:
        body = condition("c") | {"code": code}
        found, rules = _diagnoses(encounter(diagnosis=[named("Condition/c", "DD", 1)]), body)
        return found[0].condition, found[0].use, rules

    def test_the_national_edition_counts_before_the_international_one(self) -> None:
        code = {
            "coding": [
                {"system": SNOMED, "code": "254637007", "display": "Non-small cell lung cancer"},
                {"system": ICD10, "code": "C34.9"},
                {"system": f"urn:zhibao:{EDITION}", "code": "C34.900x001", "display": "肺恶性肿瘤"},
            ]
        }
        assert self._coded(code) == (Coded(EDITION, "C34.900x001", "肺恶性肿瘤"), "discharge", set())

    def test_icd10_is_the_edition_of_the_dialect_with_the_words_as_written(self) -> None:
        assert self._coded({"coding": [{"system": ICD10, "code": "C34.100"}], "text": "右上肺癌"}) == (
            Coded(EDITION, "C34.100", "右上肺癌"),
            "discharge",
            set(),
        )

    def test_without_a_system_only_what_looks_like_icd10(self) -> None:
        assert self._coded({"coding": [{"code": "C34.100"}]})[0] == Coded(EDITION, "C34.100")
        assert self._coded({"coding": [{"code": "4711"}]}) == (Coded("fhir/diagnosis", "4711"), "discharge", {"unmapped-code"})

    def test_snomed_is_kept_and_remarked(self) -> None:
        assert self._coded(concept(SNOMED, "254637007", "Non-small cell lung cancer")) == (
            Coded("SNOMED-CT", "254637007", "Non-small cell lung cancer"),
            "discharge",
            {"unmapped-code"},
        )

    def test_a_name_alone_is_not_coded_yet(self) -> None:
        assert self._coded({"text": "肺癌"}) == (Coded("", None, "肺癌"), "discharge", set())

    def test_morphology_is_pathology(self) -> None:
        assert self._coded({"coding": [{"code": "M81400/3", "display": "腺癌"}]})[:2] == (
            Coded("ICDO-M-GB-CLIN-2.0", "M81400/3", "腺癌"),
            "pathology",
        )

    def test_nothing_is_remarked(self) -> None:
        found, rules = _diagnoses(encounter(diagnosis=[named("Condition/c", "DD", 1)]), condition("c") | {"code": {}})
        assert found == []
        assert rules == {"diagnosis-empty"}


def test_details() -> None:
    details = [
        {"url": "http://hl7.org/fhir/StructureDefinition/condition-assertedDate", "valueDateTime": "2024-03-11"},
        {"url": "urn:zhibao:present-on-admission", "valueCoding": {"system": "urn:zhibao:RC027", "code": "1"}},
        {"url": "urn:zhibao:outcome", "valueCoding": {"system": "urn:zhibao:RC005", "code": "2"}},
    ]
    body = condition("c", extension=details, onsetDateTime="2023-12-01", recordedDate="2024-03-12")
    found, _ = _diagnoses(encounter(diagnosis=[named("Condition/c", "DD", 1)]), body)
    assert (found[0].confirmed_on, found[0].present_on_admission, found[0].outcome) == (
        "2024-03-11",
        Coded("RC027", "1"),
        Coded("RC005", "2"),
    )


def test_neither_onset_nor_record_is_the_date_of_diagnosis() -> None:
    body = condition("c", onsetDateTime="2023-12-01", recordedDate="2024-03-12")
    found, _ = _diagnoses(encounter(diagnosis=[named("Condition/c", "DD", 1)]), body)
    assert found[0].confirmed_on is None


def test_morphology_of_the_condition_is_that_of_the_front_sheet_too() -> None:
    url = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-histology-morphology-behavior"
    code = concept("http://terminology.hl7.org/CodeSystem/icd-o-3", "8140/3", "Adenocarcinoma, NOS")
    body = condition("c", extension=[{"url": url, "valueCodeableConcept": code}])
    found, _ = _diagnoses(encounter(diagnosis=[named("Condition/c", "DD", 1)]), body)
    assert [(fact.use, fact.condition) for fact in found][1] == (
        "pathology",
        Coded("ICDO-M-GB-CLIN-2.0", "M81400/3", "Adenocarcinoma, NOS"),
    )
