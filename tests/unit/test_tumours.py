"""Tumours of a stay out of what messages say: expected values by rule 5 of the HL7 notes ("Two primaries": what nobody ties to a tumour is
never tied by us) and by the rule that a later statement wins leaf by leaf."""

from __future__ import annotations

from decimal import Decimal

from gateway.cases.assembly import assemble
from gateway.cases.tumours import tumours
from gateway.model.facts import DiagnosisFact, Facts, MarkerFact, StageFact, StageKind, TumourFact
from gateway.model.stay import Stay
from gateway.model.values import Coded

IDENTITY = ("4200001", "ZY1", 1)
LUNG, BREAST, BRAIN = "Condition/lung", "Condition/breast", "Condition/brain"


def icd(code: str) -> Coded:
    return Coded("ICD-10", code)


def stage(code: str) -> Coded:
    return Coded("http://cancerstaging.org", code)


def primary(key: str, code: str) -> TumourFact:
    return TumourFact(key, f"{key}.code", icd(code), "primary")


def secondary(key: str, code: str) -> TumourFact:
    return TumourFact(key, f"{key}.code", icd(code), "secondary")


def message(number: int, *said: TumourFact | StageFact | MarkerFact) -> Facts:
    return Facts(
        f"fhir:{number}",
        "standard",
        "FHIR^Encounter",
        f"2024-05-0{number}T08:00:00",
        tumours=[fact for fact in said if isinstance(fact, TumourFact)],
        stages=[fact for fact in said if isinstance(fact, StageFact)],
        markers=[fact for fact in said if isinstance(fact, MarkerFact)],
    )


def stay_of(*messages: Facts) -> Stay:
    return assemble(IDENTITY, messages).stay


def rules(*messages: Facts) -> list[str]:
    return [finding.rule for finding in tumours(messages).findings]


def test_statements_about_one_tumour_add_to_each_other() -> None:
    first = TumourFact(LUNG, "code", icd("C34.1"), "primary", diagnosed_on="2024-04", size_mm="21.50")
    later = TumourFact(LUNG, "extension", morphology=Coded("ICD-O-3", "8140/3"))
    [tumour] = stay_of(message(1, first), message(2, later)).tumours
    assert (tumour.condition, tumour.role, tumour.diagnosed_on) == (icd("C34.1"), "primary", "2024-04")
    assert tumour.morphology == Coded("ICD-O-3", "8140/3")
    assert str(tumour.size_mm) == "21.50"
    assert isinstance(tumour.size_mm, Decimal)


def test_a_later_statement_wins_leaf_by_leaf_and_keeps_what_it_does_not_say() -> None:
    first = TumourFact(LUNG, "code", icd("C34.9"), "primary", laterality=Coded("laterality", "left"))
    later = TumourFact(LUNG, "code", icd("C34.1"))
    for order in ([message(1, first), message(2, later)], [message(2, later), message(1, first)]):
        [tumour] = stay_of(*order).tumours
        assert (tumour.condition, tumour.laterality, tumour.role) == (icd("C34.1"), Coded("laterality", "left"), "primary")


def test_every_leaf_names_the_message_that_says_it() -> None:
    first = TumourFact(LUNG, "Condition.code", icd("C34.1"))
    later = TumourFact(LUNG, "Observation.value", size_mm="21")
    said = tumours([message(1, first), message(2, later)]).claims
    assert (said["tumours[0].condition"].source, said["tumours[0].condition"].facts.message) == ("Condition.code", "fhir:1")
    assert (said["tumours[0].size_mm"].source, said["tumours[0].size_mm"].facts.message) == ("Observation.value", "fhir:2")


def test_parts_with_one_key_are_one_staging_and_other_keys_are_others() -> None:
    stay = stay_of(
        message(
            1,
            primary(LUNG, "C34.1"),
            StageFact(LUNG, "Observation/c", "t", "clinical", t=stage("cT2")),
            StageFact(LUNG, "Observation/c", "group", "clinical", group=stage("2A"), staged_on="2024-04-20"),
            StageFact(LUNG, "Observation/p", "t", "pathologic", t=stage("pT3")),
        )
    )
    clinical, pathologic = stay.tumours[0].stages
    assert (clinical.kind, clinical.t, clinical.group, clinical.staged_on) == ("clinical", stage("cT2"), stage("2A"), "2024-04-20")
    assert (pathologic.kind, pathologic.t, pathologic.group) == ("pathologic", stage("pT3"), None)


def test_two_primaries_stay_two_with_their_own_stagings_and_markers() -> None:
    said = message(
        1,
        primary(LUNG, "C34.1"),
        primary(BREAST, "C50.9"),
        StageFact(BREAST, "Observation/b", "group", group=stage("1")),
        StageFact(LUNG, "Observation/l", "group", group=stage("3")),
        MarkerFact(BREAST, "Observation/er", "value", Coded("LOINC", "16112-5"), finding=Coded("SNOMED-CT", "10828004")),
    )
    stay = stay_of(said)
    lung, breast = stay.tumours
    assert [entry.group for entry in lung.stages] == [stage("3")]
    assert not lung.markers
    assert [entry.group for entry in breast.stages] == [stage("1")]
    assert [marker.test for marker in breast.markers] == [Coded("LOINC", "16112-5")]
    assert not stay.stages
    assert not stay.markers
    assert not rules(said)


def test_what_nobody_ties_belongs_to_the_only_primary() -> None:
    said = message(
        1,
        primary(LUNG, "C34.1"),
        StageFact("", "Observation/s", "group", group=stage("3")),
        MarkerFact("", "Observation/m", "value", Coded("LOINC", "2039-6"), "6.50", "ng/mL"),
    )
    stay = stay_of(said)
    assert [entry.group for entry in stay.tumours[0].stages] == [stage("3")]
    assert [(marker.value, marker.unit) for marker in stay.tumours[0].markers] == [("6.50", "ng/mL")]
    assert not rules(said)


def test_a_secondary_does_not_count_as_a_primary() -> None:
    said = message(1, secondary(BRAIN, "C79.3"), primary(LUNG, "C34.1"), StageFact("", "Observation/s", "group", group=stage("4")))
    brain, lung = stay_of(said).tumours
    assert brain.role == "secondary"
    assert not brain.stages
    assert [entry.group for entry in lung.stages] == [stage("4")]
    assert not rules(said)


def test_a_secondary_alone_gets_no_staging_and_nothing_is_asked() -> None:
    said = message(1, secondary(BRAIN, "C79.3"), StageFact("", "Observation/s", "group", group=stage("4")))
    stay = stay_of(said)
    assert not stay.tumours[0].stages
    assert [entry.group for entry in stay.stages] == [stage("4")]
    assert not rules(said)


def test_the_newest_word_on_the_role_counts() -> None:
    said = [message(1, primary(BRAIN, "C71.9"), primary(LUNG, "C34.1")), message(2, secondary(BRAIN, "C79.3"))]
    said.append(message(3, StageFact("", "Observation/s", "group", group=stage("4"))))
    brain, lung = stay_of(*said).tumours
    assert brain.role == "secondary"
    assert [entry.group for entry in lung.stages] == [stage("4")]
    assert not rules(*said)


def test_beside_two_primaries_the_unlinked_stay_with_the_stay_and_a_person_is_asked_once() -> None:
    said = message(
        1,
        primary(LUNG, "C34.1"),
        primary(BREAST, "C50.9"),
        StageFact("", "Observation/s1", "group", group=stage("1")),
        StageFact("", "Observation/s2", "group", group=stage("3")),
        StageFact(LUNG, "Observation/s3", "group", group=stage("2")),
        MarkerFact("", "Observation/m", "value", Coded("LOINC", "2039-6"), "6.50"),
    )
    stay = stay_of(said)
    assert [entry.group for entry in stay.stages] == [stage("1"), stage("3")]
    assert [marker.value for marker in stay.markers] == ["6.50"]
    assert [entry.group for entry in stay.tumours[0].stages] == [stage("2")]
    assert not stay.tumours[1].stages
    assert rules(said) == ["ZB-TUMOUR-LINK"]


def test_tied_and_untied_stagings_of_the_only_primary_stand_beside_each_other() -> None:
    said = message(
        1,
        primary(LUNG, "C34.1"),
        StageFact(LUNG, "Observation/a", "group", group=stage("1")),
        StageFact("", "Observation/b", "group", group=stage("3")),
    )
    assert [entry.group for entry in stay_of(said).tumours[0].stages] == [stage("1"), stage("3")]


def test_what_is_tied_to_a_tumour_that_is_not_here_goes_to_no_other_one() -> None:
    said = message(1, primary(LUNG, "C34.1"), StageFact(BREAST, "Observation/s", "group", group=stage("1")))
    stay = stay_of(said)
    assert not stay.tumours[0].stages
    assert [entry.group for entry in stay.stages] == [stage("1")]
    assert rules(said) == ["ZB-TUMOUR-UNKNOWN"]


def test_a_stay_without_tumours_asks_nothing() -> None:
    assert tumours([message(1)]) == tumours([])
    assert not stay_of(message(1)).tumours


def discharge(*keys: str, part: int = 7) -> Facts:
    """An encounter that names these conditions as discharge diagnoses."""
    diagnoses = [DiagnosisFact(icd("C50.900"), "code", "discharge", rank, key) for rank, key in enumerate(keys, start=1)]
    return Facts("fhir:1", "standard", "FHIR^Encounter", "2024-05-01T08:00:00", diagnoses=diagnoses, part=part)


def codes(*messages: Facts) -> list[list[str | None]]:
    """The stage groups of each tumour."""
    return [[entry.group.code for entry in tumour.stages if entry.group] for tumour in stay_of(*messages).tumours]


def group(key: str, code: str, kind: StageKind = "clinical") -> StageFact:
    return StageFact(key, f"stage of {key}", "value", kind, group=stage(code))


ONE, TWO = "Condition/one", "Condition/two"


def test_one_cancer_stated_on_admission_and_at_discharge_is_one() -> None:
    said = message(2, primary(ONE, "C50.900"), primary(TWO, "C50.900"), group(TWO, "2A"))
    assert codes(discharge(ONE), said) == [["2A"]]


def test_two_discharge_diagnoses_of_one_encounter_are_two_cancers_though_the_code_is_one() -> None:
    said = message(2, primary(ONE, "C50.900"), primary(TWO, "C50.900"), group(ONE, "2A"))
    assert codes(discharge(ONE, TWO), said) == [["2A"], []]


def test_two_encounters_that_state_one_stay_do_not_make_two_cancers() -> None:
    said = message(2, primary(ONE, "C50.900"), primary(TWO, "C50.900"))
    assert len(stay_of(discharge(ONE), discharge(TWO, part=8), said).tumours) == 1


def test_a_diagnosis_on_admission_goes_with_one_of_two_at_discharge() -> None:
    admission = "Condition/admission"
    said = message(2, primary(admission, "C50.900"), primary(ONE, "C50.900"), primary(TWO, "C50.900"))
    assert len(stay_of(discharge(ONE, TWO), said).tumours) == 2


def test_different_stagings_of_one_kind_are_of_two_cancers() -> None:
    said = message(2, primary(ONE, "C50.900"), primary(TWO, "C50.900"), group(ONE, "2A"), group(TWO, "3B"))
    assert codes(said) == [["2A"], ["3B"]]


def test_stagings_of_different_kinds_or_the_same_one_twice_are_of_one_cancer() -> None:
    clinical_and_pathologic = (group(ONE, "2A"), group(TWO, "3B", "pathologic"))
    assert codes(message(2, primary(ONE, "C50.900"), primary(TWO, "C50.900"), *clinical_and_pathologic)) == [["2A", "3B"]]
    assert len(codes(message(2, primary(ONE, "C50.900"), primary(TWO, "C50.900"), group(ONE, "2A"), group(TWO, "2A")))) == 1


def test_a_staging_that_was_put_right_counts_as_it_is_now() -> None:
    first = message(1, primary(ONE, "C50.900"), primary(TWO, "C50.900"), group(ONE, "2A"), group(TWO, "3B"))
    assert len(stay_of(first, message(2, group(TWO, "2A"))).tumours) == 1


def test_days_of_diagnosis_tell_two_cancers_apart_and_days_of_recording_do_not() -> None:
    def dated(key: str, day: str, *, recorded: bool) -> TumourFact:
        return TumourFact(key, "code", icd("C50.900"), "primary", diagnosed_on=day, recorded=recorded)

    for recorded, wanted in ((True, 1), (False, 2)):
        said = message(1, dated(ONE, "2024-05-01", recorded=recorded), dated(TWO, "2024-05-02", recorded=recorded))
        assert len(stay_of(said).tumours) == wanted
