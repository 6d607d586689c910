"""Edit checks of report cards: every rule fires where the reference says so, and nowhere else that it was tried.

Cards are made from the columns of the reference (`tests.edit_checks`) where these say everything; for the other rules they
are written by hand in
``tests/data/registry/edit_check_cases.csv``, each with its reasoning.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from datetime import date
from functools import cache
from importlib.resources import files
from typing import get_args

import pytest

from conformance.checks.finding import Finding, Severity
from conformance.checks.registry import CardChecker, DeathChecker, VisitChecker
from gateway.model.card import FIELDS, Card
from tests.edit_checks import CASES, GOOD, REFERENCE, card, generated

TODAY = date(2026, 11, 25)
PLATFORMS = ("", "henan-chronic", "henan-registry", "canreg", "zhejiang-hub")

COLUMNS = (
    "condition_that_fires",
    "age",
    "sex",
    "topography",
    "morphology",
    "behaviour",
    "basis_or_grade",
    "date_or_other",
    "canreg5_result",
)
"""what the packaged table keeps of the reference word for word, beside group, name, source and notes"""

BY_HAND = {case["check_id"] for case in CASES if case["check_id"] in REFERENCE} - {"GR-12"}
GENERATED = sorted(set(REFERENCE) - BY_HAND - {"SH-01"})


@cache
def _table() -> dict[str, dict[str, str]]:
    with files("mappings").joinpath("codes", "registry", "edit_checks.csv").open(encoding="utf-8", newline="") as handle:
        return {row["check_id"]: row for row in csv.DictReader(handle)}


@cache
def _checker(platform: str, edition: str = "canregtools") -> CardChecker:
    return CardChecker(platform, today=TODAY, icd10_edition=edition)  # type: ignore[arg-type]


def _rules(findings: list[Finding]) -> set[str]:
    return {finding.rule for finding in findings}


def _platform(check_id: str) -> str:
    """A platform whose cards a rule applies to."""
    applies = _table()[check_id]["applies"].split()
    return "" if "all" in applies else applies[0]


# -- the table


def test_the_table_keeps_the_reference() -> None:
    """All 203 rules, with the columns of the reference as they are."""
    table = _table()
    assert len(REFERENCE) == 203
    assert set(table) - set(REFERENCE) == {"ZB-01", "ZB-02"}
    severities = {"error": "error", "verify": "verify", "rare-verify": "rare", "none": "none"}
    for check_id, row in REFERENCE.items():
        own = table[check_id]
        assert [own[name] for name in ("group", "name", *COLUMNS, "source", "notes")] == [
            row[name] for name in ("group", "name", *COLUMNS, "source", "notes")
        ]
        assert own["severity"] == severities[row["severity"]]
        assert own["confidence"] == row["confidence"] or check_id == "CH-18"


def test_the_rows_are_whole() -> None:
    for check_id, row in _table().items():
        assert all(row[name] for name in ("fields", "applies", "message_zh", "message_en")), check_id
        assert row["severity"] in (*get_args(Severity), "none")
        if not {"death", "visit"} & set(row["applies"].split()):
            assert set(row["fields"].split()) <= set(FIELDS), check_id


def test_every_rule_is_tried_both_ways() -> None:
    tried: defaultdict[str, set[bool]] = defaultdict(set)
    for case in CASES:
        tried[case["check_id"]].add(case["expected"] == "fires")
    for check_id in GENERATED:
        tried[check_id] |= {fires for fires, _ in generated(check_id)}
    assert {check_id for check_id in _table() if tried[check_id] != {True, False}} == {"SH-01"}


# -- every rule


@pytest.mark.parametrize("check_id", GENERATED)
def test_generated(check_id: str) -> None:
    checker = _checker(_platform(check_id))
    for fires, changes in generated(check_id):
        assert (check_id in _rules(checker.check(card(**changes)))) is fires, changes


@pytest.mark.parametrize("case", CASES, ids=[f"{case['check_id']}-{number}" for number, case in enumerate(CASES)])
def test_by_hand(case: dict[str, str]) -> None:
    changes = dict(item.split("=", 1) for item in case["overrides"].split("; ") if item)
    context = dict(item.split("=", 1) for item in case["context"].split("; ") if item)
    match case["record"]:
        case "card":
            platform = case["platform"] or _platform(case["check_id"])
            findings = _checker(platform).check(card(**changes), context=context)
        case "death":
            findings = DeathChecker().check(changes)
        case _:
            findings = VisitChecker().check(changes)
    fired = {finding.rule for finding in findings if finding.severity != "not-checked"}
    assert (case["check_id"] in fired) is (case["expected"] == "fires"), case["reasoning"]


def test_unrestricted_morphologies_never_fire() -> None:
    """SH-01 lists what is accepted at every site: it has no finding, and no other rule of site and histology has one for these either (but where
    the list of a rule has the histology too)."""
    for morphology in ("8000", "8003", "9590", "9591", "9680", "9699", "9750", "9975"):
        for topography in ("C00.0", "C34.1", "C42.1", "C71.9", "C77.9", "C80.9"):
            findings = _checker("").check(card(topography=topography, morphology=morphology))
            assert not [rule for rule in _rules(findings) if rule.startswith("SH")]


# -- cards with nothing to find

TUMOURS = [
    ("lung", {}, "1"),
    ("oesophagus", {"topography": "C15.4", "morphology": "8070", "icd10": "C15.4"}, "1"),
    ("stomach", {"topography": "C16.2", "morphology": "8140", "icd10": "C16.2"}, "2"),
    ("colon", {"topography": "C18.7", "morphology": "8140", "icd10": "C18.7", "grade": "2"}, "2"),
    ("rectum", {"topography": "C20.9", "morphology": "8140", "icd10": "C20"}, "1"),
    ("liver", {"topography": "C22.0", "morphology": "8170", "icd10": "C22.0"}, "1"),
    ("pancreas", {"topography": "C25.0", "morphology": "8140", "icd10": "C25.0"}, "1"),
    ("nasopharynx", {"topography": "C11.9", "morphology": "8072", "icd10": "C11.9"}, "1"),
    ("breast", {"topography": "C50.4", "morphology": "8500", "icd10": "C50.4", "grade": "2"}, "2"),
    ("breast in situ", {"topography": "C50.4", "morphology": "8500", "behaviour": "2", "icd10": "D05.1"}, "2"),
    ("cervix", {"topography": "C53.9", "morphology": "8070", "icd10": "C53.9"}, "2"),
    ("ovary", {"topography": "C56.9", "morphology": "8441", "icd10": "C56"}, "2"),
    ("prostate", {"topography": "C61.9", "morphology": "8140", "icd10": "C61"}, "1"),
    ("kidney", {"topography": "C64.9", "morphology": "8312", "icd10": "C64"}, "1"),
    ("bladder", {"topography": "C67.9", "morphology": "8120", "icd10": "C67.9"}, "1"),
    ("thyroid", {"topography": "C73.9", "morphology": "8260", "icd10": "C73"}, "2"),
    ("glioblastoma", {"topography": "C71.1", "morphology": "9440", "icd10": "C71.1"}, "1"),
    ("meningioma", {"topography": "C70.0", "morphology": "9530", "behaviour": "0", "icd10": "D32.0"}, "2"),
    ("diffuse large B-cell", {"topography": "C77.9", "morphology": "9680", "icd10": "C83.3", "grade": "6"}, "1"),
    ("acute myeloid leukaemia", {"topography": "C42.1", "morphology": "9861", "icd10": "C92.0"}, "1"),
    ("myelodysplasia", {"topography": "C42.1", "morphology": "9989", "icd10": "D46.9"}, "1"),
]


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(("name", "codes", "sex"), TUMOURS, ids=[name for name, *_ in TUMOURS])
def test_common_tumours_have_no_findings(name: str, codes: dict[str, str], sex: str, platform: str) -> None:
    made = card(sex=sex, id_no="", last_contact_date="2026-06-20", report_date="2026-07-01", **codes)
    assert _checker(platform).check(made) == []


# -- settings, severities, messages


def test_rules_of_a_platform_are_for_its_cards_only() -> None:
    made = card(outpatient_no="", inpatient_no="", hukou_city="")
    assert _rules(_checker("zhejiang-hub").check(made)) == {"CN-03"}
    assert "CN-10" in _rules(_checker("henan-registry").check(made))
    assert _rules(_checker("").check(made)) == set()


def test_the_edition_of_icd10_is_a_setting() -> None:
    """9831/3 … the two tables differ: 9702/3 (peripheral T-cell lymphoma, not specified) is C84.4 in both; 9714/3 is C84.6 since 2010."""
    newer = card(topography="C77.9", morphology="9714", grade="5", icd10="C84.6")
    assert {f.rule: f.severity for f in _checker("", "canreg5").check(newer)} == {}
    found = {f.rule: f.severity for f in _checker("", "canregtools").check(newer)}
    assert found == {"SI-08": "verify", "ZB-01": "warning"}


def test_an_unknown_morphology_is_to_be_verified_and_a_malformed_one_is_an_error() -> None:
    def severity(morphology: str) -> str:
        return next(f.severity for f in _checker("").check(card(morphology=morphology)) if f.rule == "SI-04")

    assert severity("8888") == "verify"
    assert severity("814") == "error"
    assert severity("M8140") == "error"


def test_findings_name_fields_and_say_what_to_do() -> None:
    (finding,) = _checker("").check(card(sex="2", id_no="", topography="C61.9", icd10="C34.1", morphology="8000", basis_of_diagnosis="2",
                                         basis_card="2", basis_list="2", pathology_name="", last_contact_date="2026-06-20"))[:1]  # fmt: skip
    assert finding.rule == "SX-02"
    assert finding.severity == "error"
    assert finding.fields == ("sex", "topography")
    assert "性别代码" in finding.message
    assert "肿瘤解剖学部位代码" in finding.message
    assert finding.english
    (missing,) = [f for f in _checker("").check(card(birth_date="", icd10="")) if f.rule == "SI-11"]
    assert missing.fields == ("birth_date", "icd10")
    assert "出生日期、肿瘤诊断代码" in missing.message


def test_what_a_death_does_not_tell_is_not_checked() -> None:
    findings = DeathChecker().check(
        {"sex": "1", "birth_date": "1950-01-01", "death_date": "2026-01-01", "underlying_cause": "C34.9"}
    )
    assert {f.severity for f in findings} == {"not-checked"}
    assert {"DC-06", "DC-16", "DC-18", "DC-19"} <= _rules(findings)


def test_no_message_holds_a_value() -> None:
    """Names, numbers and codes of the card do not get into findings."""
    made = card(**{name: f"{name}§" for name in GOOD})
    for platform in PLATFORMS:
        for finding in _checker(platform).check(made):
            assert "§" not in finding.message + finding.english + finding.rule + "".join(finding.fields)


def test_an_empty_card_is_checked_too() -> None:
    for platform in PLATFORMS:
        assert "SI-11" in _rules(_checker(platform).check(Card()))
