"""Evidence in handed-in report cards and deaths; rules of the registry reference, "Death-notified incidence"."""

from __future__ import annotations

from gateway.cases.primaries.cards import seen_card
from gateway.model.card import Card


def test_a_card_states_its_codes() -> None:
    card = Card(
        patient_name="温如岚",
        sex="2",
        contact1_phone="0",
        residence_county="唐河县",
        residence_town="城郊乡",
        report_org_code="990100",
        medical_record_no="M1",
        icd10="C50.4",
        topography="C50.9",
        morphology="8500",
        behaviour="3",
        laterality="1",
        basis_list="2,7",
        basis_card="7",
        incidence_date="2025-03-02",
        report_date="2025-04-01",
        tnm_pt="2",
        pathology_no="B1",
    )
    seen = seen_card(card, "card:5")
    assert (seen.sighting.at, seen.sighting.address, seen.sighting.phone) == ("2025-03-02", "唐河县城郊乡", "")
    [one] = seen.evidence
    assert (one.key, one.kind, one.topography, one.morphology, one.behaviour) == ("card:5/C50.4", "primary", "C50.9", "8500", "3")
    assert (one.topography_origin, one.morphology_origin, one.laterality) == ("stated", "stated", "1")
    assert (one.basis, one.diagnosed_on, one.diagnosed_from) == (("2", "7"), "2025-03-02", "报告卡所填发病日期")
    assert (one.stages, one.pathology_no) == ({"tnm_pt": "2"}, "B1")


def test_what_a_card_leaves_out_follows_from_its_code() -> None:
    [one] = seen_card(Card(icd10="C16.3", report_date="2025-04-01"), "card:5").evidence
    assert (one.topography, one.topography_origin, one.morphology, one.behaviour) == ("C16.3", "derived", "8000", "3")
    assert (one.diagnosed_on, one.diagnosed_from) == ("2025-04-01", "报告日期（卡片未填发病日期）")


def test_a_card_without_icd10_and_with_a_morphology_in_one_field() -> None:
    [one] = seen_card(Card(topography="C16.3", morphology="M8140/3"), "card:5").evidence
    assert (one.key, one.morphology, one.behaviour, one.diagnosis) == ("card:5/C16.3", "8140", "3", "")


def test_a_card_of_the_iarc_digit_alone_has_it_as_basis() -> None:
    assert seen_card(Card(icd10="C16.3", basis_of_diagnosis="5"), "card:5").evidence[0].basis == ("5",)


def test_a_card_with_the_behaviour_of_a_metastasis_calls_for_the_primary() -> None:
    [one] = seen_card(Card(icd10="C78.0", morphology="8140", behaviour="6"), "card:5").evidence
    assert (one.kind, one.topography) == ("secondary", "")


def test_a_death_by_a_tumour_is_first_learned_from_the_certificate() -> None:
    death = Card(card_type="2", patient_name="石大川", death_date="2026-01-15", underlying_cause="C22.9", report_date="2026-01-20")
    seen = seen_card(death, "death:9")
    assert seen.sighting.at == "2026-01-15"
    [one] = seen.evidence
    assert (one.key, one.kind, one.topography, one.basis) == ("death:9/C22.9", "primary", "C22.0", ("0",))
    assert (one.diagnosed_on, one.diagnosed_from) == ("2026-01-15", "死亡日期（死亡补发病）")


def test_a_death_by_d46_is_one_by_a_tumour() -> None:
    """The published helper formula leaves D46 out; it is a tumour (reportable_icd10.csv)."""
    [one] = seen_card(Card(card_type="2", death_date="2026-01-15", underlying_cause="D46.9"), "death:9").evidence
    assert (one.kind, one.morphology) == ("primary", "9989")


def test_a_death_by_something_else_is_a_sighting_without_evidence() -> None:
    seen = seen_card(Card(card_type="2", patient_name="石大川", death_date="2026-01-15", underlying_cause="I21.9"), "death:9")
    assert (seen.sighting.name, seen.evidence) == ("石大川", ())


def test_a_traced_death_keeps_what_tracing_found() -> None:
    """DCI: a real date and basis beside the certificate."""
    death = Card(
        card_type="2", death_date="2026-01-15", underlying_cause="C22.9", icd10="C22.9", incidence_date="2025-06-02", basis_card="2"
    )
    [one] = seen_card(death, "death:9").evidence
    assert (one.basis, one.diagnosed_on) == (("0", "2"), "2025-06-02")


def test_a_death_card_that_names_two_tumours_tells_of_both() -> None:
    death = Card(card_type="2", death_date="2026-01-15", underlying_cause="C34.9", icd10="C50.9")
    assert [one.key for one in seen_card(death, "death:9").evidence] == ["death:9/C50.9", "death:9/C34.9"]


def test_a_resident_id_that_fails_its_check_is_not_used() -> None:
    assert seen_card(Card(id_no="990101196103040010"), "card:5").sighting.resident_id == ""
