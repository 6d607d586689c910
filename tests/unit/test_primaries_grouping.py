"""Evidence of a person grouped into primary tumours: the stories that the cancer registry must get right, then the rules one by one. Expected
groups follow from multiple_primary.csv (S0-S10; groups of sites T1-T9 and of histologies M1-M17), reportable_icd10.csv and behaviour.csv."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations
from typing import Any

import pytest

from gateway.cases.primaries.cards import seen_card
from gateway.cases.primaries.choices import RegistryChoices
from gateway.cases.primaries.decisions import Decision
from gateway.cases.primaries.evidence import Evidence, Seen, Sighting
from gateway.cases.primaries.grouping import Grouped, group
from gateway.cases.primaries.stays import seen
from gateway.model.card import Card
from gateway.model.stay import Admission, Diagnoses, Diagnosis, Pathology, Stay, Tumour
from gateway.model.values import Coded

CHOICES = RegistryChoices()


def stay(number: int, day: str, *codes: str, pathology: Iterable[str] = (), tumours: Iterable[Tumour] = ()) -> Seen:
    """A stay with these discharge diagnoses, principal first, and coded pathology."""
    listed = [Diagnosis(Coded("ICD10-GB-CLIN-2.0", code)) for code in codes]
    reports = [Pathology(Coded("ICDO-M-GB-CLIN-2.0", code), f"B{number}{n}") for n, code in enumerate(pathology)]
    made = Stay(
        admission=Admission(time=f"{day}T08:00"),
        diagnoses=Diagnoses(listed[0] if listed else Diagnosis(), listed[1:]),
        pathology=reports,
        tumours=list(tumours),
    )
    return seen(made, f"stay:{number}")


def grouped(*sightings: Seen, choices: RegistryChoices = CHOICES, decisions: Iterable[Decision] = ()) -> Grouped:
    """Grouped, whatever the order in which the sightings are given."""
    decided = tuple(decisions)
    made = group(sightings, decided, choices)
    for other in list(permutations(sightings))[:24]:
        assert group(other, decided, choices) == made
    return made


def tumours(made: Grouped) -> list[list[str]]:
    return [[one.key for one in each.evidence] for each in made.tumours]


def rules(made: Grouped, number: int = 0) -> list[str]:
    return [step.rule for step in made.tumours[number].steps]


def evidence(key: str, topography: str = "", morphology: str = "", behaviour: str = "3", **members: Any) -> Seen:
    """One piece of evidence that states its codes, as a sighting of its own."""
    given: dict[str, Any] = {
        "kind": "primary",
        "topography": topography,
        "topography_origin": "stated",
        "morphology": morphology,
        "behaviour": behaviour,
        "morphology_origin": "stated",
        "diagnosed_on": "2026-01-01",
    }
    sighting = key.partition("/")[0]
    return Seen(Sighting(sighting, at="2026-01-01"), (Evidence(key, sighting, **{**given, **members}),))


# The stories of "It must show"


def test_breast_cancer_of_both_sides_is_one_tumour() -> None:
    """Ductal on the left, then on the right: one group of histologies (M3), one site (T9, a pair of organs counts as one): S7, S10."""
    left, right = (Tumour(Coded("ICD-10", "C50.9"), laterality=Coded("tumour-laterality", side)) for side in ("left", "right"))
    made = grouped(
        stay(1, "2024-03-01", "C50.900", pathology=["M85000/3"], tumours=[left]),
        stay(2, "2026-02-01", "C50.900", pathology=["M85000/3"], tumours=[right]),
    )
    assert tumours(made) == [["stay:1/C50.9", "stay:2/C50.9"]]
    assert {"S7", "S10"} <= set(rules(made))
    assert (made.loose, made.questions) == ((), ())


def test_a_lung_with_two_histologies_has_two_primaries() -> None:
    """Adenocarcinoma (M3) and small cell carcinoma (M4) of one lung: S6, whatever the site."""
    made = grouped(
        stay(1, "2024-03-01", "C34.101", pathology=["M81400/3"]),
        stay(2, "2025-02-01", "C34.101", pathology=["M80410/3"]),
    )
    assert tumours(made) == [["stay:1/C34.1"], ["stay:2/C34.1"]]
    assert rules(made, 1)[-2:] == ["S6", "S9"]
    assert made.tumours[1].steps[-1].said == "患者2个原发肿瘤中的第2个，多原发标志为1"


@pytest.mark.parametrize(
    ("first", "then", "count", "rule"),
    [
        (("C91.100", "M98230/3"), ("C83.300", "M96800/3"), 1, "S5"),  # CLL to large B-cell lymphoma: both M9
        (("D46.900", "M99890/3"), ("C92.000", "M98610/3"), 1, "S4"),  # MDS (M14, unspecified) to AML (M8)
        (("C92.100", "M98630/3"), ("C92.000", "M98610/3"), 1, "S5"),  # CML to blast crisis: both M8
        (("C91.100", "M98230/3"), ("C92.000", "M98610/3"), 2, "S6"),  # CLL (M9), then AML (M8): another tumour
    ],
)
def test_leukaemia_transformed(first: tuple[str, str], then: tuple[str, str], count: int, rule: str) -> None:
    made = grouped(
        stay(1, "2024-03-01", first[0], pathology=[first[1]]),
        stay(2, "2026-02-01", then[0], pathology=[then[1]]),
    )
    assert len(made.tumours) == count
    assert rule in rules(made, count - 1)


def test_a_metastasis_without_a_primary_opens_a_search() -> None:
    made = grouped(stay(1, "2026-02-01", "C78.700"))
    assert made.tumours == ()
    assert [(one.evidence.key, one.note) for one in made.loose] == [("stay:1/C78.7", "no-primary")]


def test_a_metastasis_with_histology_and_without_a_primary_is_kept_as_unknown_site() -> None:
    """behaviour.csv: C80.9 and behaviour 3, morphology unchanged; a person is asked for the primary."""
    made = grouped(stay(1, "2026-02-01", "C77.001", pathology=["M81400/6"]), stay(2, "2026-03-01", "C79.500"))
    assert tumours(made) == [["stay:1/C77.0", "stay:2/C79.5"]]
    one = made.tumours[0].evidence[0]
    assert (one.kind, one.topography, one.topography_origin, one.morphology, one.behaviour) == (
        "primary", "C80.9", "derived", "8140", "3",
    )  # fmt: skip
    assert one.basis == ("6",)
    assert [(q.left, q.right, q.rule) for q in made.questions] == [("stay:1/C77.0", "", "C80.9")]


def test_the_primary_found_later_takes_the_metastasis() -> None:
    made = grouped(stay(1, "2026-02-01", "C77.001", pathology=["M81400/6"]), stay(2, "2026-03-01", "C34.101"))
    assert tumours(made) == [["stay:1/C77.0", "stay:2/C34.1"]]
    assert made.questions == ()


def test_readmissions_for_chemotherapy_find_their_tumour() -> None:
    """By the other diagnoses of the stay; where there is none, it is the person's only tumour."""
    made = grouped(
        stay(1, "2026-02-01", "C16.900", pathology=["M81400/3"]),
        stay(2, "2026-03-01", "Z51.102", "C16.900"),
        stay(3, "2026-04-01", "Z51.102"),
    )
    assert tumours(made) == [["stay:1/C16.9", "stay:2/C16.9", "stay:2/Z51.1", "stay:3/Z51.1"]]
    assert (made.loose, made.questions) == ((), ())


def test_chemotherapy_that_could_be_of_two_tumours_is_asked_about() -> None:
    made = grouped(
        stay(1, "2026-02-01", "C16.900"),
        stay(2, "2026-03-01", "C50.900"),
        stay(3, "2026-04-01", "Z51.102"),
        stay(4, "2026-05-01", "Z51.102", "C50.900"),
    )
    assert tumours(made) == [["stay:1/C16.9"], ["stay:2/C50.9", "stay:4/C50.9", "stay:4/Z51.1"]]
    assert [(q.left, q.right, q.rule) for q in made.questions] == [("stay:3/Z51.1", "", "TREATMENT")]
    assert [(one.evidence.key, one.note) for one in made.loose] == [("stay:3/Z51.1", "review")]


def test_chemotherapy_without_any_tumour_may_be_a_missed_case() -> None:
    made = grouped(stay(1, "2026-04-01", "Z51.102"))
    assert [(one.evidence.key, one.note) for one in made.loose] == [("stay:1/Z51.1", "no-primary")]


def test_in_situ_then_invasive() -> None:
    """Behaviour is not used by the test (S0): one record, unless the registry asks for two."""
    sightings = (
        stay(1, "2024-02-01", "D05.100", pathology=["M85000/2"]),
        stay(2, "2026-03-01", "C50.900", pathology=["M85000/3"]),
        stay(3, "2026-04-01", "Z51.102", "C50.900"),
    )
    assert tumours(grouped(*sightings)) == [["stay:1/D05.1", "stay:2/C50.9", "stay:3/C50.9", "stay:3/Z51.1"]]
    apart = grouped(*sightings, choices=RegistryChoices(in_situ="apart"))
    assert tumours(apart) == [["stay:1/D05.1"], ["stay:2/C50.9", "stay:3/C50.9", "stay:3/Z51.1"]]


def test_in_situ_beside_invasive_at_one_time_is_one_even_where_they_are_kept_apart() -> None:
    made = grouped(stay(1, "2026-02-01", "C50.900", "D05.100"), choices=RegistryChoices(in_situ="apart"))
    assert tumours(made) == [["stay:1/C50.9", "stay:1/D05.1"]]


def test_a_child_with_neuroblastoma() -> None:
    """9500 (M16) of the adrenal gland; the metastasis of bone marrow belongs to it, and so does each stay for chemotherapy."""
    made = grouped(
        stay(1, "2026-02-01", "C74.900", "C79.500", pathology=["M95000/3"]),
        stay(2, "2026-03-01", "Z51.102", "C74.900", "C79.500"),
    )
    assert tumours(made) == [["stay:1/C74.9", "stay:1/C79.5", "stay:2/C74.9", "stay:2/C79.5", "stay:2/Z51.1"]]


def test_a_tumour_first_learned_from_death_and_the_stay_that_tracing_finds() -> None:
    death = seen_card(Card(card_type="2", death_date="2026-01-15", underlying_cause="C22.9"), "death:9")
    alone = grouped(death)
    assert tumours(alone) == [["death:9/C22.9"]]
    assert alone.tumours[0].evidence[0].basis == ("0",)
    traced = grouped(death, stay(1, "2025-06-02", "C22.900"))
    assert tumours(traced) == [["stay:1/C22.9", "death:9/C22.9"]]


def test_myelodysplasia_is_a_tumour() -> None:
    [one] = grouped(stay(1, "2026-02-01", "D46.900")).tumours
    assert (one.evidence[0].morphology, one.evidence[0].behaviour) == ("9989", "3")


@pytest.mark.parametrize("vague", ["C26.900", "C39.900", "C76.200"])
def test_an_ill_defined_site_beside_another_is_asked_about(vague: str) -> None:
    made = grouped(stay(1, "2026-02-01", vague), stay(2, "2026-03-01", "C18.700", pathology=["M81400/3"]))
    assert len(made.tumours) == 2
    assert [q.rule for q in made.questions] == ["ILL-DEFINED"]
    assert (made.questions[0].left, made.questions[0].right) == (f"stay:1/{vague[:5]}", "stay:2/C18.7")


def test_an_ill_defined_site_by_itself_is_a_tumour() -> None:
    made = grouped(stay(1, "2026-02-01", "C26.900"))
    assert (len(made.tumours), made.questions) == (1, ())


def test_a_female_with_c61_is_a_tumour_whose_card_is_refused_later() -> None:
    """Nothing is dropped here: the edit checks refuse the card."""
    assert tumours(grouped(stay(1, "2026-02-01", "C61.x00"))) == [["stay:1/C61"]]


# The rules one by one


def test_a_readmission_makes_no_second_tumour() -> None:
    """8000 (M17) of C34.9 joins the only tumour of the group C33-C34 (T6): S2, S7; so does the part of the lung that was coded before."""
    made = grouped(
        stay(1, "2026-02-01", "C34.101", pathology=["M81400/3"]), stay(2, "2026-03-01", "C34.900"), stay(3, "2025-01-01", "C34.300")
    )
    assert tumours(made) == [["stay:3/C34.3", "stay:1/C34.1", "stay:2/C34.9"]]
    assert {"S2", "S7"} <= set(rules(made))


def test_a_vague_diagnosis_beside_two_primaries_of_its_site_is_of_neither_and_no_third() -> None:
    made = grouped(
        stay(1, "2026-02-01", "C34.101", pathology=["M81400/3"]),
        stay(2, "2026-03-01", "C34.300", pathology=["M80700/3"]),
        stay(3, "2026-04-01", "C34.900"),
    )
    assert tumours(made) == [["stay:1/C34.1"], ["stay:2/C34.3"]]
    assert (made.loose, made.questions) == ((), ())


def test_a_vague_diagnosis_finds_its_tumour_by_the_part_of_the_organ() -> None:
    made = grouped(
        stay(1, "2026-02-01", "C34.101", pathology=["M81400/3"]),
        stay(2, "2026-03-01", "C34.300", pathology=["M80700/3"]),
        stay(3, "2026-04-01", "C34.300"),
    )
    assert tumours(made)[1] == ["stay:2/C34.3", "stay:3/C34.3"]


def test_carcinoma_joins_before_cancer_without_more() -> None:
    made = grouped(
        evidence("stay:1/a", "C16.9", "8000"), evidence("stay:2/b", "C16.9", "8010"), evidence("stay:3/c", "C16.3", "8140")
    )
    assert tumours(made) == [["stay:1/a", "stay:2/b", "stay:3/c"]]
    assert {"S2", "S3"} <= set(rules(made))


def test_what_a_code_stands_for_does_not_part_two_stays_of_that_code() -> None:
    """C22.0 stands for 8170 (M4); the report says 8160 (M3) and the coder left C22.0."""
    made = grouped(stay(1, "2026-02-01", "C22.000"), stay(2, "2026-03-01", "C22.000", pathology=["M81600/3"]))
    assert tumours(made) == [["stay:1/C22.0", "stay:2/C22.0"]]
    assert "CODE" in rules(made)


def test_a_stated_histology_of_another_group_parts_two_stays_of_one_code() -> None:
    made = grouped(
        stay(1, "2026-02-01", "C22.000", pathology=["M81700/3"]), stay(2, "2026-03-01", "C22.000", pathology=["M81600/3"])
    )
    assert len(made.tumours) == 2


def test_a_recurrence_is_never_a_second_primary() -> None:
    again = evidence("stay:2/b", "C50.9", "8575", recurrence=True, diagnosed_on="2026-02-01")
    sarcoma = evidence("stay:3/c", "C50.9", "9120", recurrence=True, diagnosed_on="2026-02-01")
    made = grouped(evidence("stay:1/a", "C50.4", "8500"), again, sarcoma)
    assert tumours(made) == [["stay:1/a", "stay:2/b", "stay:3/c"]]
    assert "S0" in rules(made)


def test_a_recurrence_is_the_first_that_is_known_of_its_tumour() -> None:
    assert len(grouped(evidence("stay:2/b", "C50.9", "8500", recurrence=True)).tumours) == 1


def test_an_unknown_site_beside_a_known_one_is_asked_about() -> None:
    made = grouped(evidence("stay:1/a", "C80.9", "8140"), evidence("stay:2/b", "C16.9", "8140"))
    assert len(made.tumours) == 2
    assert [(q.left, q.right, q.rule) for q in made.questions] == [("stay:1/a", "stay:2/b", "S7")]


def test_a_decision_answers_it() -> None:
    sightings = evidence("stay:1/a", "C80.9", "8140"), evidence("stay:2/b", "C16.9", "8140")
    joined = grouped(*sightings, decisions=[Decision("same", "stay:2/b", "stay:1/a")])
    assert tumours(joined) == [["stay:1/a", "stay:2/b"]]
    assert "DECIDED" in rules(joined)
    parted = grouped(*sightings, decisions=[Decision("apart", "stay:2/b", "stay:1/a")])
    assert (len(parted.tumours), parted.questions) == (2, ())


def test_two_unknown_sites_of_one_histology_are_one() -> None:
    assert len(grouped(evidence("stay:1/a", "C80.9", "8140"), evidence("stay:2/b", "C80.9", "8480")).tumours) == 1


def test_a_person_parts_what_the_rules_join_and_what_comes_later_is_asked_about() -> None:
    one, two = evidence("stay:1/a", "C50.4", "8500"), evidence("stay:2/b", "C50.2", "8500")
    apart = [Decision("apart", "stay:1/a", "stay:2/b")]
    assert tumours(grouped(one, two, decisions=apart)) == [["stay:1/a"], ["stay:2/b"]]
    third = evidence("stay:3/c", "C50.9", "8500")
    made = grouped(one, two, third, decisions=apart)
    assert [(loose.evidence.key, loose.note) for loose in made.loose] == [("stay:3/c", "review")]
    side = grouped(one, two, evidence("stay:3/c", "C50.2", "8500"), decisions=apart)
    assert tumours(side) == [["stay:1/a"], ["stay:2/b", "stay:3/c"]]


def test_a_person_joins_what_the_rules_part() -> None:
    made = grouped(
        evidence("stay:1/a", "C16.9", "8140"),
        evidence("stay:2/b", "C50.9", "8500"),
        decisions=[Decision("same", "stay:1/a", "stay:2/b")],
    )
    assert tumours(made) == [["stay:1/a", "stay:2/b"]]


def test_apart_counts_where_a_chain_of_decisions_contradicts_it() -> None:
    sightings = [evidence(f"stay:{n}/x", "C16.9", "8140") for n in (1, 2, 3)]
    decisions = [
        Decision("same", "stay:1/x", "stay:2/x"), Decision("same", "stay:2/x", "stay:3/x"), Decision("apart", "stay:1/x", "stay:3/x"),
    ]  # fmt: skip
    made = grouped(*sightings, decisions=decisions)
    assert not any({"stay:1/x", "stay:3/x"} <= set(keys) for keys in tumours(made))


def test_an_invalid_histology_is_said_and_the_tumour_is_not_lost() -> None:
    made = grouped(evidence("stay:1/a", "C16.9", "8999"), evidence("stay:2/b", "C16.9", "8140"))
    assert tumours(made) == [["stay:1/a", "stay:2/b"]]
    assert "S1" in rules(made)


def test_independent_primaries_under_one_code_are_for_a_person_to_find() -> None:
    made = grouped(stay(1, "2026-02-01", "C97.x00"))
    assert made.tumours == ()
    assert [one.note for one in made.loose] == ["review"]


def test_the_pituitary_is_the_hospitals_choice() -> None:
    sighting = stay(1, "2026-02-01", "D35.200")
    assert [one.note for one in grouped(sighting).loose] == ["look"]
    assert len(grouped(sighting, choices=RegistryChoices(pituitary=True)).tumours) == 1


def test_a_history_is_looked_at_unless_its_tumour_is_known() -> None:
    history = stay(1, "2026-02-01", "Z85.300")
    assert [one.note for one in grouped(history).loose] == ["look"]
    assert grouped(history, stay(2, "2024-02-01", "C50.900")).loose == ()
    assert [one.note for one in grouped(history, stay(2, "2024-02-01", "C34.900")).loose] == ["look"]


def test_screening_asks_nothing() -> None:
    made = grouped(stay(1, "2026-02-01", "Z12.300"))
    assert (made.tumours, made.loose, made.questions) == ((), (), ())


def test_a_metastasis_is_of_the_tumour_that_its_own_stay_names() -> None:
    made = grouped(
        stay(1, "2024-02-01", "C50.900", pathology=["M85000/3"]),
        stay(2, "2026-03-01", "C34.101", "C79.300", pathology=["M80700/3"]),
    )
    assert tumours(made) == [["stay:1/C50.9"], ["stay:2/C34.1", "stay:2/C79.3"]]


def test_a_metastasis_is_never_of_leukaemia_nor_of_a_carcinoma_in_situ() -> None:
    for code in ("C92.000", "D05.100", "D32.000"):
        made = grouped(stay(1, "2024-02-01", code), stay(2, "2026-03-01", "C78.700"))
        assert [one.note for one in made.loose] == ["no-primary"], code


def test_a_metastasis_of_another_histology_is_not_of_the_known_tumour() -> None:
    """Squamous cells (M1) are not of an adenocarcinoma (M3)."""
    made = grouped(
        stay(1, "2024-02-01", "C16.900", pathology=["M81400/3"]), stay(2, "2026-03-01", "C77.001", pathology=["M80700/6"])
    )
    assert tumours(made) == [["stay:1/C16.9"], ["stay:2/C77.0"]]


def test_a_metastasis_beside_several_primaries_is_of_none() -> None:
    made = grouped(stay(1, "2024-02-01", "C16.900"), stay(2, "2024-02-01", "C50.900"), stay(3, "2026-03-01", "C78.700"))
    assert tumours(made) == [["stay:1/C16.9"], ["stay:2/C50.9"]]
    assert made.loose == ()


def test_pathology_without_a_diagnosis_joins_the_only_tumour_that_it_fits() -> None:
    made = grouped(stay(1, "2026-02-01", "C16.900"), stay(2, "2026-02-09", "Z51.102", pathology=["M81400/3"]))
    assert tumours(made) == [["stay:1/C16.9", "stay:2/M81403", "stay:2/Z51.1"]]


def test_pathology_without_a_diagnosis_and_without_a_tumour_is_reviewed() -> None:
    made = grouped(stay(1, "2026-02-09", "I10.x00", pathology=["M81400/3"]))
    assert [(one.evidence.key, one.note) for one in made.loose] == [("stay:1/M81403", "review")]


def test_tumours_are_in_date_order_and_say_what_is_kept() -> None:
    made = grouped(
        evidence("stay:2/b", "C16.3", "8480", diagnosed_on="2026-05-01"),
        evidence("stay:1/a", "C16.9", "8140", diagnosed_on="2026-03-01"),
        evidence("stay:3/c", "C50.9", "8500", diagnosed_on="2025-03-01"),
    )
    assert tumours(made) == [["stay:3/c"], ["stay:1/a", "stay:2/b"]]
    kept = [step.english for step in made.tumours[1].steps if step.rule == "S8"]
    assert kept == ["site C16.3 is kept: more specific", "histology 8480 is kept: the larger code"]


def test_chemotherapy_is_of_the_tumour_that_its_stay_names_first() -> None:
    made = grouped(
        stay(1, "2024-02-01", "C16.900"),
        stay(2, "2025-02-01", "C50.900"),
        stay(3, "2026-04-01", "Z51.102", "C50.900", "C16.900"),
    )
    assert tumours(made) == [["stay:1/C16.9", "stay:3/C16.9"], ["stay:2/C50.9", "stay:3/C50.9", "stay:3/Z51.1"]]


def test_a_person_may_keep_in_situ_and_invasive_together_where_the_registry_parts_them() -> None:
    made = grouped(
        stay(1, "2024-02-01", "D05.100"),
        stay(2, "2026-03-01", "C50.900"),
        choices=RegistryChoices(in_situ="apart"),
        decisions=[Decision("same", "stay:1/D05.1", "stay:2/C50.9")],
    )
    assert tumours(made) == [["stay:1/D05.1", "stay:2/C50.9"]]


def test_pathology_without_a_diagnosis_joins_the_tumour_of_the_site_that_it_has_by_itself() -> None:
    """8500 (M3) fits the adenocarcinoma of the lung by its group, but is of the breast (SR18b); the stay was then for the breast, too."""
    made = grouped(
        stay(1, "2024-02-01", "C34.101", pathology=["M81400/3"]),
        stay(2, "2025-02-01", "C50.900"),
        stay(3, "2026-04-01", "Z51.102", pathology=["M85000/3"]),
    )
    assert tumours(made)[1] == ["stay:2/C50.9", "stay:3/M85003", "stay:3/Z51.1"]
