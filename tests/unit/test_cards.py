"""Report cards made from cases. Expected fields follow from the rules: S8 (earliest date, most specific site and histology, highest basis), S10
(both sides), the recoding tables of T/CHIA 18-2021 and the death-notified incidence of the registry reference."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from gateway.cases.primaries.case import Edit, TumourCase
from gateway.cases.primaries.choices import RegistryChoices
from gateway.cases.primaries.evidence import Evidence, Seen, Sighting
from gateway.model.card import Card
from gateway.model.stay import (
    Address,
    Admission,
    Contact,
    Diagnoses,
    Diagnosis,
    Discharge,
    Identity,
    Organisation,
    Patient,
    Procedure,
    Procedures,
    Staff,
    StaffMember,
    Stay,
)
from gateway.model.values import Coded
from gateway.reporting.cards import MadeCard, build

TODAY = date(2026, 11, 25)


def evidence(key: str = "stay:1/C50.9", **members: Any) -> Evidence:
    """A primary breast cancer by diagnosis only, unless the members say otherwise."""
    given: dict[str, Any] = {
        "kind": "primary",
        "diagnosis": "C50.900",
        "icd10": "C50.9",
        "name": "乳腺恶性肿瘤",
        "topography": "C50.9",
        "topography_origin": "derived",
        "morphology": "8000",
        "behaviour": "3",
        "morphology_origin": "derived",
        "basis": ("1",),
        "diagnosed_on": "2026-10-02",
        "diagnosed_from": "入院日期",
        "path": "diagnoses.principal.condition",
    }
    return Evidence(key, key.partition("/")[0], **{**given, **members})


PATHOLOGY = evidence(
    "stay:2/C50.4",
    icd10="C50.4",
    topography="C50.4",
    topography_origin="stated",
    morphology="8500",
    morphology_origin="stated",
    basis=("2", "7"),
    diagnosed_on="2026-10-09",
    diagnosed_from="病理报告日期",
    pathology_name="浸润性导管癌",
    pathology_no="B1",
    grade="2",
    path="pathology[0]",
)


def stay(**members: Any) -> Stay:
    given: dict[str, Any] = {
        "organisation": Organisation("990100", "松岚医院"),
        "record_number": "M1",
        "admission_number": 1,
        "admission": Admission(time="2026-10-02T08:00"),
        "discharge": Discharge(time="2026-10-12T08:00", disposition=Coded("RC019", "1")),
        "patient": Patient(
            name="林知秋",
            sex=Coded("RC001", "2"),
            birth_date="1966-10-03",
            identity=Identity(Coded("RC038", "1"), "990100196610030023"),
            ethnicity=Coded("RC035", "3"),
            marital_status=Coded("RC002", "2"),
            occupation=Coded("RC003", "27"),
            registered_address=Address("唐河县滨河街道建设路1号"),
            address=Address("浙江省云屏市棠溪区和风街道榆荫巷97号", phone="10001234567"),
            contact=Contact("林向东", Coded("RC033", "1")),
        ),
        "staff": Staff(attending_physician=StaffMember("许青")),
    }
    return Stay(**{**given, **members})


def made(
    *found: Evidence,
    stays: dict[str, Stay] | None = None,
    cards: dict[str, Card] | None = None,
    at: dict[str, str] | None = None,
    **case: Any,
) -> MadeCard:
    """The card of a case whose sightings are those of the evidence, in order, a day apart unless ``at`` says when."""
    keys = list(dict.fromkeys(one.sighting for one in found))
    known = stays if stays is not None else {key: stay() for key in keys if key.startswith("stay:")}
    for key in (*known, *(cards or {})):
        if key not in keys:
            keys.append(key)
    seen = [
        Seen(Sighting(key, at=(at or {}).get(key, f"2026-10-{day:02d}")), tuple(one for one in found if one.sighting == key))
        for day, key in enumerate(keys, start=1)
    ]
    choices = case.pop("choices", RegistryChoices(diagnosing_level="2"))
    return build(TumourCase(list(found), seen, known, cards or {}, **case), choices, today=TODAY)


def rules(result: MadeCard) -> set[str]:
    return {finding.rule for finding in result.findings}


# -- the person


def test_person_fields_come_recoded_from_the_newest_stay_that_states_them() -> None:
    older = stay()
    newer = stay(patient=Patient(name="林知秋", marital_status=Coded("RC002", "3")))
    card = made(evidence(), evidence("stay:2/C50.9"), stays={"stay:1": older, "stay:2": newer}).card
    assert (card.marital_status, card.ethnicity, card.occupation) == ("30", "03", "27")
    assert (card.id_type, card.id_no, card.contact1_relation) == ("01", "990100196610030023", "10")
    assert card.contact1_phone == "10001234567"  # of the person, because the contact has none


def test_addresses_are_taken_apart_and_the_prefecture_is_added() -> None:
    card = made(evidence()).card
    assert (card.hukou_province, card.hukou_city, card.hukou_county, card.hukou_town) == ("河南省", "南阳市", "唐河县", "滨河街道")
    assert (card.hukou_village, card.hukou_house_no, card.hukou_region_code) == ("建设路", "1号", "411328")
    assert (card.residence_city, card.residence_town, card.residence_region_code) == ("云屏市", "和风街道", "")


def test_an_address_is_one_place_and_no_mixture_of_two() -> None:
    older, newer = stay(), stay(patient=Patient(name="林知秋", registered_address=Address("河南省南阳市")))
    card = made(evidence(), evidence("stay:2/C50.9"), stays={"stay:1": older, "stay:2": newer}).card
    assert (card.hukou_city, card.hukou_county, card.hukou_town) == ("南阳市", "", "")


@pytest.mark.parametrize(
    ("patient", "field"),
    [
        (Patient(sex=Coded("RC001", "1")), "sex"),
        (Patient(birth_date="1966-10-04"), "birth_date"),
        (Patient(identity=Identity(number="99010019661003004X")), "id_no"),
    ],
)
def test_sources_that_disagree_about_the_person_ask_somebody(patient: Patient, field: str) -> None:
    result = made(evidence(), evidence("stay:2/C50.9"), stays={"stay:1": stay(), "stay:2": stay(patient=patient)})
    (finding,) = [finding for finding in result.findings if finding.rule == "ZB-CARD-CONFLICT"]
    assert (finding.fields, finding.asks) == ((field,), True)
    assert getattr(result.card, field) == getattr(made(evidence(), stays={"stay:1": stay(patient=patient)}).card, field)


def test_a_code_that_the_card_does_not_know_is_said_and_left_out() -> None:
    result = made(evidence(), stays={"stay:1": stay(patient=Patient(name="林知秋", occupation=Coded("local:job", "X7")))})
    assert result.card.occupation == ""
    assert ("occupation",) in [finding.fields for finding in result.findings if finding.rule == "ZB-CARD-RECODE"]


# -- the tumour


def test_earliest_date_most_specific_site_and_histology_highest_basis() -> None:
    card = made(evidence(), PATHOLOGY).card
    assert card.incidence_date == "2026-10-02"
    assert (card.topography, card.morphology, card.behaviour, card.icd10) == ("C50.4", "8500", "3", "C50.4")
    assert (card.basis_card, card.basis_of_diagnosis, card.basis_list) == ("7", "7", "1,2,7")
    assert (card.pathology_name, card.pathology_no, card.grade) == ("浸润性导管癌", "B1", "2")
    assert card.age_at_incidence == "59"  # the birthday is the day after


def test_every_filled_field_says_where_it_comes_from() -> None:
    result = made(evidence(), PATHOLOGY)
    assert set(result.origins) == set(result.card.record())
    assert all(origin.source and origin.rule for origin in result.origins.values())
    assert result.origins["incidence_date"].source == "stay:1 diagnoses.principal.condition"
    assert "入院日期" in result.origins["incidence_date"].rule
    assert result.origins["morphology"].source == "stay:2 pathology[0]"


def test_provisional_codes_are_said_until_pathology_is_there() -> None:
    assert [f.fields for f in made(evidence()).findings if f.rule == "ZB-CARD-PROVISIONAL"] == [("topography",), ("morphology",)]
    assert "ZB-CARD-PROVISIONAL" not in rules(made(evidence(), PATHOLOGY))


def test_a_stated_histology_goes_before_one_that_the_diagnosis_stands_for() -> None:
    """C92.0 stands for 9861/3 by default; the bone marrow says 9840/3, the smaller code of the same group."""
    by_code = evidence(icd10="C92.0", topography="C42.1", morphology="9861")
    stated = evidence(
        "stay:2/C92.0", icd10="C92.0", topography="C42.1", morphology="9840", morphology_origin="stated", basis=("5",)
    )
    assert made(by_code, stated).card.morphology == "9840"


def test_a_stated_histology_that_says_only_cancer_gives_way() -> None:
    vague = evidence("stay:2/C92.0", icd10="C92.0", topography="C42.1", morphology="8000", morphology_origin="stated")
    assert made(evidence(icd10="C92.0", topography="C42.1", morphology="9861"), vague).card.morphology == "9861"


def test_a_metastasis_gives_date_basis_and_histology_and_never_the_site() -> None:
    """Adenocarcinoma in a node (8140/6), found before the breast: behaviour 6 is stored as 3, basis 6 is more than 1."""
    node = evidence(
        "stay:3/C77.3",
        kind="secondary",
        icd10="C77.3",
        topography="C77.3",
        topography_origin="stated",
        morphology="8140",
        behaviour="6",
        morphology_origin="stated",
        basis=("6",),
        diagnosed_on="2026-09-20",
    )
    card = made(evidence(), node).card
    assert (card.incidence_date, card.topography, card.morphology, card.behaviour) == ("2026-09-20", "C50.9", "8140", "3")
    assert (card.basis_card, card.basis_of_diagnosis) == ("6", "6")


def test_in_situ_and_then_invasive_is_invasive_from_the_day_of_the_first() -> None:
    in_situ = evidence(
        "stay:1/D05.1", icd10="D05.1", morphology="8500", behaviour="2", morphology_origin="stated", diagnosed_on="2025-03-01"
    )
    card = made(in_situ, PATHOLOGY).card
    assert (card.behaviour, card.icd10, card.incidence_date) == ("3", "C50.4", "2025-03-01")


@pytest.mark.parametrize(
    ("topography", "sides", "laterality"),
    [
        ("C50.9", ("1", "2"), "3"),
        ("C50.9", ("1", "1"), "1"),
        ("C50.9", ("", "2"), "2"),
        ("C50.9", ("9", "2"), "2"),
        ("C50.9", ("", ""), "9"),
        ("C16.9", ("1", "2"), ""),  # no paired organ
    ],
)
def test_laterality(topography: str, sides: tuple[str, str], laterality: str) -> None:
    one, other = (
        evidence(key, topography=topography, laterality=side) for key, side in zip(("stay:1/a", "stay:2/b"), sides, strict=True)
    )
    assert made(one, other).card.laterality == laterality


@pytest.mark.parametrize(
    ("grades", "behaviour", "grade"), [(("2", "3"), "3", "3"), (("9", "1"), "3", "1"), (("", ""), "3", "9"), (("2", "3"), "2", "9")]
)
def test_the_highest_grade_of_a_malignant_tumour(grades: tuple[str, str], behaviour: str, grade: str) -> None:
    one, other = (
        evidence(key, grade=found, behaviour=behaviour) for key, found in zip(("stay:1/a", "stay:2/b"), grades, strict=True)
    )
    assert made(one, other).card.grade == grade


def test_stages_are_those_that_are_stated_first() -> None:
    first = evidence(stages={"tnm_ct": "2", "stage_group": "3"})
    later = evidence("stay:2/C50.9", stages={"tnm_pt": "1", "tnm_ct": "3"}, diagnosed_on="2026-11-01")
    card = made(first, later).card
    assert (card.tnm_ct, card.tnm_pt, card.stage_group, card.tnm_cn) == ("2", "1", "3", "")


def test_the_icd10_code_follows_the_site_and_histology_that_were_found() -> None:
    """The diagnosis says breast, unspecified; pathology says skin melanoma (C44.5 8720/3): C43.5 by the conversion."""
    skin = evidence(
        "stay:2/x", icd10="", topography="C44.5", topography_origin="stated", morphology="8720", morphology_origin="stated"
    )
    result = made(evidence(icd10="C44.5", topography="C44.5"), skin)
    assert result.card.icd10 == "C43.5"
    assert "ZB-CARD-ICD10" in rules(result)


def test_the_edition_decides_where_the_two_editions_differ() -> None:
    """D46.9 with its default code stays as it is diagnosed: what follows from the diagnosis cannot contradict it."""
    mds = evidence(icd10="D46.9", topography="C42.1", morphology="9989", name="骨髓增生异常综合征")
    for edition in ("canregtools", "canreg5"):
        assert made(mds, choices=RegistryChoices(icd10_edition=edition)).card.icd10 == "D46.9"


def test_unknown_basis_is_nine() -> None:
    card = made(evidence(basis=())).card
    assert (card.basis_card, card.basis_of_diagnosis, card.basis_list) == ("9", "9", "9")


def test_several_primaries_of_a_person_are_marked() -> None:
    assert made(evidence(), of=2).card.multiple_primary == "1"
    assert made(evidence()).card.multiple_primary == "0"


@pytest.mark.parametrize("members", [{"kind": "treatment"}, {"recurrence": True}])
def test_a_tumour_first_seen_at_its_treatment_may_be_older(members: dict[str, Any]) -> None:
    assert "ZB-CARD-BEFORE" in rules(made(evidence(**members)))
    assert "ZB-CARD-BEFORE" not in rules(made(evidence()))


# -- death


def death(**fields: str) -> Card:
    known = {
        "card_type": "2",
        "patient_name": "林知秋",
        "sex": "2",
        "death_date": "2026-11-03",
        "death_cause_class": "1",
        "underlying_cause": "C50.9",
        "death_cause_text": "乳腺癌",
        "death_certificate_no": "D7",
    }
    return Card(**{**known, **fields})


DEATH = evidence("death:9/C50.9", basis=("0",), diagnosed_on="2026-11-03", path="underlying_cause")


def test_a_case_known_from_its_death_only() -> None:
    card = made(DEATH, cards={"death:9": death()}, at={"death:9": "2026-11-03"}).card
    assert (card.incidence_date, card.basis_card, card.basis_of_diagnosis, card.card_type) == ("2026-11-03", "0", "0", "2")
    assert (card.death_date, card.underlying_cause, card.patient_status, card.last_contact_status) == (
        "2026-11-03",
        "C50.9",
        "20",
        "2",
    )
    assert (card.last_contact_date, card.card_status) == ("2026-11-03", "7")


def test_what_the_hospital_knows_takes_the_place_of_the_certificate() -> None:
    """DCI: the real date and basis; the death itself stays on the card."""
    card = made(evidence(), DEATH, stays={"stay:1": stay()}, cards={"death:9": death()}).card
    assert (card.incidence_date, card.basis_card, card.basis_list, card.card_type) == ("2026-10-02", "1", "1", "1")
    assert (card.death_date, card.death_certificate_no) == ("2026-11-03", "D7")


def test_who_died_in_hospital_died_on_the_day_of_discharge_in_a_ward() -> None:
    died = stay(discharge=Discharge(time="2026-10-12T08:00", disposition=Coded("RC019", "5")))
    card = made(evidence(), stays={"stay:1": died}).card
    assert (card.death_date, card.death_place, card.last_contact_date, card.death_cause_class) == (
        "2026-10-12",
        "1",
        "2026-10-12",
        "",
    )


def test_last_contact_is_the_newest_stay_of_the_person_whatever_it_was_for() -> None:
    later = stay(discharge=Discharge(time="2026-11-20T08:00"))
    card = made(evidence(), stays={"stay:1": stay(), "stay:5": later}).card
    assert (card.last_contact_date, card.last_contact_status, card.patient_status) == ("2026-11-20", "1", "10")


# -- treatment and report


def operated(code: str, name: str = "") -> Stay:
    return stay(procedures=Procedures(principal=Procedure(operation=Coded("ICD9-CM3", code, name))))


@pytest.mark.parametrize(
    ("treated", "items"),
    [
        (operated("99.2503"), "03"),
        (operated("92.2901"), "02"),
        (operated("85.4301", "乳腺癌改良根治术"), "01"),
        (stay(diagnoses=Diagnoses(principal=Diagnosis(Coded("ICD10", "Z51.102")))), "03"),
        (operated("88.7200", "心脏超声"), ""),
    ],
)
def test_treatment_where_it_is_clear(treated: Stay, items: str) -> None:
    card = made(evidence(), stays={"stay:1": treated}).card
    assert (card.treatment_items, card.treated_flag) == (items, "1" if items else "9")


def test_treatment_in_a_stay_with_two_tumours_is_nobodys() -> None:
    breast, lung = evidence(), evidence("stay:1/C34.1")
    seen = [Seen(Sighting("stay:1", at="2026-10-02"), (breast, lung))]
    case = TumourCase([breast], seen, {"stay:1": operated("99.2503")})
    card = build(case, RegistryChoices(), today=TODAY).card
    assert (card.treatment_items, card.treated_flag) == ("", "9")


def test_who_reports() -> None:
    card = made(evidence()).card
    assert (card.report_hospital, card.report_org_code, card.report_doctor) == ("松岚医院", "990100", "许青")
    assert (card.report_date, card.highest_diagnosing_level, card.diagnosed_here) == ("2026-11-25", "2", "1")
    assert (card.medical_record_no, card.inpatient_no) == ("M1", "M1")


def test_a_card_that_was_handed_in_keeps_what_only_people_state() -> None:
    filled = Card(
        informed_flag="2", remark="随访", diagnosed_here="2", diagnosing_hospital="望榆医院", education="70", patient_name="林知秋"
    )
    card = made(evidence("card:4/C50.9"), cards={"card:4": filled}).card
    assert (card.informed_flag, card.remark, card.diagnosed_here, card.diagnosing_hospital) == ("2", "随访", "2", "望榆医院")
    assert card.education == "70"


# -- corrections and persons


BEFORE = Card(diagnosis_name="乳腺恶性肿瘤", incidence_date="2026-10-02")


def test_a_correction_says_what_was_reported_before() -> None:
    now = made(evidence(), PATHOLOGY, earlier=[BEFORE]).card
    assert (now.original_diagnosis, now.original_pathology, now.original_diagnosis_date) == ("乳腺恶性肿瘤", "", "2026-10-02")


def test_a_correction_stays_what_it_is_when_nothing_else_changes() -> None:
    corrected = made(evidence(), PATHOLOGY, earlier=[BEFORE]).card
    again = made(evidence(), PATHOLOGY, earlier=[BEFORE, corrected]).card
    assert again == corrected


def test_a_first_card_and_an_unchanged_one_are_no_corrections() -> None:
    first = made(evidence(), PATHOLOGY).card
    again = made(evidence(), PATHOLOGY, earlier=[first]).card
    assert (first.original_diagnosis_date, again.original_diagnosis_date) == ("", "")


def edit(**fields: str) -> Edit:
    return Edit("chen", "2026-11-24T08:00:00+00:00", "查阅病历", fields)


def test_what_a_person_enters_wins_and_what_follows_from_it_follows() -> None:
    result = made(evidence(), edits=[edit(topography="C50.2", incidence_date="2020-10-03"), edit(topography="C50.3")])
    assert (result.card.topography, result.card.incidence_date, result.card.age_at_incidence) == ("C50.3", "2020-10-03", "54")
    assert result.card.icd10 == "C50.3"
    assert result.origins["topography"].source == "person:chen"
    assert "查阅病历" in result.origins["topography"].rule


def test_what_a_person_empties_stays_empty() -> None:
    result = made(evidence(), edits=[edit(occupation="")])
    assert result.card.occupation == ""
    assert result.origins["occupation"].source == "person:chen"


def test_a_finding_about_what_a_person_has_entered_is_no_more() -> None:
    assert "ZB-CARD-BEFORE" not in rules(made(evidence(kind="treatment"), edits=[edit(incidence_date="2024-01-05")]))


def test_the_same_case_gives_the_same_card() -> None:
    assert made(evidence(), PATHOLOGY) == made(evidence(), PATHOLOGY)
