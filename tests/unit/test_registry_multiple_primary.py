"""The multiple-primary rules against cases written from their text (`tests/data/registry/multiple_primary_cases.csv`)."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.registry.icdo3 import topographies
from mappings.registry.multiple_primary import (
    Neoplasm,
    both_sides,
    compare,
    histology_group,
    merged,
    more_specific,
    site_group,
)
from mappings.registry.tables import rows

CASES = Path(__file__).parents[1] / "data" / "registry" / "multiple_primary_cases.csv"


def _cases() -> list[dict[str, str]]:
    with CASES.open(encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def _tumours(case: dict[str, str]) -> tuple[Neoplasm, Neoplasm]:
    return Neoplasm(case["a_topography"], case["a_morphology"]), Neoplasm(case["b_topography"], case["b_morphology"])


@pytest.mark.parametrize("case", _cases(), ids=lambda case: case["id"])
def test_a_case_is_decided_as_the_rules_say(case: dict[str, str]) -> None:
    a, b = _tumours(case)
    verdict = compare(a, b)
    assert (verdict.result, verdict.decided_by) == (case["expected"], case["decided_by"])
    assert compare(b, a) == verdict


def test_the_cases_reach_every_group_step_and_result() -> None:
    cases = _cases()
    assert len({case["id"] for case in cases}) == len(cases) >= 40
    tumours = [tumour for case in cases for tumour in _tumours(case)]
    assert {histology_group(tumour.morphology) for tumour in tumours} == {f"M{number}" for number in range(18)}
    assert {f"T{number}" for number in range(1, 9)} <= {site_group(tumour.topography) for tumour in tumours}
    assert {case["decided_by"] for case in cases} == {"S1", "S4", "S5", "S6", "S7"}
    reached = {rule for case in cases for rule, _, _ in compare(*_tumours(case)).steps}
    assert reached == {"S1", "S2", "S3", "S4", "S5", "S6", "S7", "S10"}
    assert {case["expected"] for case in cases} == {"duplicate", "multiple-primary", "unknown-site", "invalid"}


def test_no_histology_stands_in_two_printed_groups() -> None:
    ranges = []
    for row in rows("multiple_primary"):
        if row["row_type"] == "morphology_group" and row["id"] != "M14":
            for item in row["codes"].split():
                low, _, high = item.partition("-")
                ranges.append((int(low), int(high or low), row["id"]))
    held = [code for low, high, _ in ranges for code in range(low, high + 1)]
    assert len(held) == len(set(held))
    for low, high, group in ranges:
        assert {histology_group(str(code)) for code in range(low, high + 1)} == {group}
    rest = set(range(9590, 10000)) - set(held)
    assert {histology_group(str(code)) for code in rest} == {"M14"}
    for code in [
        "9590",
        "9591",
        "9596",
        "9727",
        "9760",
        "9800",
        "9801",
        "9805",
        "9820",
        "9832",
        "9835",
        "9860",
        "9960",
        "9970",
        "9975",
        "9989",
    ]:
        assert histology_group(code) == "M14", code  # the examples that the rules print


def test_steps_name_codes_in_both_languages() -> None:
    verdict = compare(Neoplasm("C50.4", "8500", "2"), Neoplasm("C50.9", "8500", "3"))
    assert [rule for rule, _, _ in verdict.steps] == ["S0", "S6", "S10", "S7"]
    _, chinese, english = verdict.steps[-1]
    assert "C50.4" in chinese
    assert "C50.4" in english
    assert "腺癌" in verdict.steps[1][1]
    assert "M3" in verdict.steps[1][2]


def test_a_missing_site_is_asked_about_unless_sites_do_not_count() -> None:
    assert compare(Neoplasm("", "8140"), Neoplasm("C34.1", "8140")).result == "unknown-site"
    assert compare(Neoplasm("", "8140"), Neoplasm("", "8140")).result == "unknown-site"
    assert compare(Neoplasm("", "9680"), Neoplasm("C77.9", "9699")).result == "duplicate"
    assert compare(Neoplasm("", "8140"), Neoplasm("C34.1", "8070")).result == "multiple-primary"


SITES = st.sampled_from(sorted(topographies()))
TUMOURS = st.builds(Neoplasm, SITES, st.integers(7990, 9999).map(str), st.sampled_from(["", "0", "1", "2", "3"]))


@given(TUMOURS, TUMOURS)
def test_the_order_does_not_matter(a: Neoplasm, b: Neoplasm) -> None:
    assert compare(a, b) == compare(b, a)


@given(TUMOURS)
def test_a_tumour_is_itself(tumour: Neoplasm) -> None:
    expected = "invalid" if histology_group(tumour.morphology) == "M0" else "duplicate"
    assert compare(tumour, tumour).result == expected


@given(TUMOURS, TUMOURS)
def test_behaviour_does_not_decide(a: Neoplasm, b: Neoplasm) -> None:
    without = compare(Neoplasm(a.topography, a.morphology), Neoplasm(b.topography, b.morphology))
    assert compare(a, b).result == without.result


@given(TUMOURS, TUMOURS)
def test_what_is_kept_comes_from_the_two(a: Neoplasm, b: Neoplasm) -> None:
    kept = more_specific(a, b)
    assert kept.topography in (a.topography, b.topography)
    assert kept.morphology in (a.morphology, b.morphology)
    assert kept.behaviour in (a.behaviour, b.behaviour)
    assert more_specific(a, a) == a


@pytest.mark.parametrize(
    ("a", "b", "kept"),
    [
        (("C34.9", "8000", "3"), ("C34.1", "8140", "3"), ("C34.1", "8140", "3")),  # subsite before unspecified, M3 before M17
        (("C34.1", "8140", "3"), ("C34.9", "8010", "3"), ("C34.1", "8140", "3")),  # the other way round; M3 before M5
        (
            ("C34.1", "8140", "3"),
            ("C34.3", "8480", "3"),
            ("C34.1", "8480", "3"),
        ),  # two subsites: the earlier; one group: the larger code
        (("C34.8", "8140", "3"), ("C34.3", "8140", "3"), ("C34.3", "8140", "3")),  # a part before overlapping
        (("C34.9", "8140", "3"), ("C34.8", "8140", "3"), ("C34.8", "8140", "3")),  # overlapping before unspecified
        (("C67.9", "8120", "3"), ("C65.9", "8130", "3"), ("C65.9", "8130", "3")),  # an organ without parts is a part
        (("C80.9", "8000", "3"), ("C80.9", "8140", "3"), ("C80.9", "8140", "3")),
        (
            ("C42.1", "9800", "3"),
            ("C77.9", "9591", "3"),
            ("C42.1", "9800", "3"),
        ),  # both M14: the larger; marrow is a part, C77.9 is not
        (("C42.1", "9860", "3"), ("C42.1", "9840", "3"), ("C42.1", "9840", "3")),  # M14 gives way although its code is larger
        (("C50.4", "8500", "2"), ("C50.4", "8500", "3"), ("C50.4", "8500", "3")),  # more malignant
    ],
)
def test_the_more_specific_is_kept(a: tuple[str, str, str], b: tuple[str, str, str], kept: tuple[str, str, str]) -> None:
    assert more_specific(Neoplasm(*a), Neoplasm(*b)) == Neoplasm(*kept)


def test_tumours_found_at_one_time_take_the_code_of_the_group() -> None:
    tongue = merged(Neoplasm("C01.9", "8070", "3"), Neoplasm("C02.1", "8070", "3"), same_time=True)
    assert tongue.kept.topography == "C02.9"  # T1
    breast = merged(Neoplasm("C50.2", "8500", "3"), Neoplasm("C50.4", "8500", "3"), same_time=True)
    assert breast.kept.topography == "C50.9"  # T9: subsite .9
    assert merged(Neoplasm("C50.2", "8500", "3"), Neoplasm("C50.4", "8500", "3")).kept.topography == "C50.2"
    assert [rule for rule, _, _ in tongue.steps] == ["S8"]


@pytest.mark.parametrize(
    ("left", "right", "laterality"),
    [("1", "2", "3"), ("2", "2", "2"), ("3", "1", "3"), ("9", "1", "1"), ("", "2", "2"), ("9", "", "9"), ("", "", "")],
)
def test_both_sides_of_a_paired_organ(left: str, right: str, laterality: str) -> None:
    assert both_sides("C50.4", left, right) == laterality
    assert both_sides("C50.4", right, left) == laterality
    assert both_sides("C61.9", left, right) == ""


@pytest.mark.parametrize(
    ("site", "group"), [("C50.4", "C50"), ("C14.8", "T3"), ("C68.9", "T8"), ("C80.9", "C80"), ("C43.1", ""), ("", "")]
)
def test_groups_of_sites(site: str, group: str) -> None:
    assert site_group(site) == group
