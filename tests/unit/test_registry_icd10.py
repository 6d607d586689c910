"""ICD-10 of a registry: its form, what it stands for by default, and what site, histology and behaviour convert to."""

from __future__ import annotations

import csv
import gzip
import re
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.registry import icd10
from mappings.registry.icd10 import accepted, conversion, icd10_of, is_neoplasm, provisional, registry_form
from mappings.registry.icdo3 import is_listed, is_topography, topographies
from mappings.registry.tables import rows

CASES = Path(__file__).parents[1] / "data" / "registry" / "icd10_conversion_cases.csv"


@pytest.mark.parametrize(
    ("code", "form"),
    [
        ("C34.900", "C34.9"),
        ("C34.900x001", "C34.9"),
        ("C34.900x001†", "C34.9"),
        ("C34.9+", "C34.9"),
        ("C34.9*", "C34.9"),
        ("†J17.0*", "J17.0"),
        ("C349", "C34.9"),
        ("C34900", "C34.9"),
        (" c34.9  ", "C34.9"),
        ("Ｃ３４．９", "C34.9"),
        ("C34", "C34"),
        ("C34.x", "C34"),
        ("C61", "C61"),
        ("C61.x00", "C61"),
        ("C61.x00x001", "C61"),
        ("C61.900", "C61"),
        ("C61.9", "C61"),
        ("C80.901", "C80"),
        ("C97.x00", "C97"),
        ("D45.x00", "D45"),
        ("D46", "D46"),
        ("D46.900", "D46.9"),
        ("V01.x00", "V01"),
        ("Z51.102", "Z51.1"),
        ("U07.100", "U07.1"),
        ("C90.000†N16.1*", "C90.0"),
        ("B37.600 I39.8", "B37.6"),
        ("A01.000x005+J17.0*", "A01.0"),
        ("", ""),
        (" ", ""),
        ("M85000/3", ""),
        ("8500/3", ""),
        ("C3", ""),
        ("C34.9.0", ""),
        ("肺癌", ""),
        ("C34.9肺癌", ""),
    ],
)
def test_the_form_that_a_registry_keeps(code: str, form: str) -> None:
    assert registry_form(code) == form


def test_every_code_of_the_clinical_edition_has_a_form() -> None:
    with gzip.open(str(files("mappings").joinpath("codes", "icd", "icd10_clinical_2.csv.gz")), "rt", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            for code in filter(None, (row["code"], row["additional_code"])):
                form = registry_form(code)
                if re.match(r"M\d{5}/", code):
                    assert form == "", code
                    continue
                assert re.fullmatch(r"[A-Z]\d\d(\.\d)?", form), code
                assert code.lstrip("†").startswith(form[:3]), code
                if code[0] in "CD" and code[:3] <= "D48":
                    assert is_neoplasm(form), code


@given(st.text())
def test_no_text_breaks_the_form(text: str) -> None:
    form = registry_form(text)
    assert form == "" or registry_form(form) == form


@pytest.mark.parametrize("code", ["C34.9", "C34", "C61", "D46", "D45", "C88.4", "C86.0", "D47.5", "C97", "D10.0", "D48.9"])
def test_existing_neoplasm_codes(code: str) -> None:
    assert is_neoplasm(code)


@pytest.mark.parametrize("code", ["C42.1", "C34.7", "C61.9", "C99", "D49", "D50.0", "J18.9", "C349", "", "C22.6", "D22.8"])
def test_codes_that_are_no_neoplasm(code: str) -> None:
    assert not is_neoplasm(code)


@pytest.mark.parametrize(
    ("code", "topography", "morphology", "behaviour"),
    [
        ("C34.100", "C34.1", "8000", "3"),
        ("C34", "C34.9", "8000", "3"),  # no subdivision stated: unspecified
        ("C61.x00", "C61.9", "8000", "3"),
        ("C26.100", "C42.2", "8000", "3"),  # the spleen
        ("C22.000", "C22.0", "8170", "3"),
        ("C43.500", "C44.5", "8720", "3"),
        ("C45.700", "", "9050", "3"),  # the site must be read
        ("C46.800", "C80.9", "9140", "3"),
        ("C77.000", "C80.9", "8000", "3"),  # look for the primary, else unknown
        ("C80.900", "C80.9", "8000", "3"),
        ("C83.300", "C77.9", "9680", "3"),
        ("C90.200", "", "9734", "3"),
        ("C92.000", "C42.1", "9861", "3"),
        ("D00.000", "C06.9", "8010", "2"),
        ("D01.500", "", "8010", "2"),
        ("D03.800", "C44.8", "8720", "2"),
        ("D05.100", "C50.9", "8500", "2"),
        ("D05.800", "C50.9", "8010", "2"),
        ("D09.000", "C67.9", "8120", "2"),
        ("D32.900", "C70.9", "9530", "0"),
        ("D33.000", "C71.0", "8000", "0"),
        ("D33.300", "C72.5", "8000", "0"),
        ("D35.300", "C75.2", "9350", "1"),
        ("D43.100", "C71.7", "8000", "1"),
        ("D45.x00", "C42.1", "9950", "3"),
        ("D46", "C42.1", "9989", "3"),
        ("D47.200", "C42.0", "9765", "1"),
        ("B21.000", "C80.9", "9140", "3"),  # counts as C46.9
        ("B21.100", "C77.9", "9687", "3"),  # counts as C83.7, Burkitt
        ("B21.200", "C77.9", "9591", "3"),  # counts as C85.9
        ("B21.900", "C80.9", "8000", "3"),
    ],
)
def test_what_a_code_stands_for_by_default(code: str, topography: str, morphology: str, behaviour: str) -> None:
    found = provisional(code)
    assert found is not None
    assert (found.topography, found.morphology, found.behaviour) == (topography, morphology, behaviour)


@pytest.mark.parametrize("code", ["J18.9", "C97.x00", "D10.0", "B21.7", "C42.1", "C34.7", "", "M85000/3", "Z51.1"])
def test_codes_without_a_default(code: str) -> None:
    assert provisional(code) is None


def test_a_default_says_what_is_open() -> None:
    liver = provisional("D01.5")
    assert liver is not None
    assert liver.candidates == "C22.0 C23.9 C24.9"
    hiv = provisional("B21.0")
    assert hiv is not None
    assert hiv.rule.startswith("B21.0 → C46.9")


def _defaults() -> list[tuple[str, dict[str, str]]]:
    """Every code of the table of defaults, ranges and categories written out."""
    codes = [row["code"] for row in rows("icd10_neoplasms")]
    found = []
    for row in rows("icd10_to_icdo3_defaults"):
        low, _, high = row["icd10"].partition("-")
        found += [(code, row) for code in codes if low <= code[: len(low)] and code[: len(high or low)] <= (high or low)]
    return found


DEFAULTS = _defaults()


def test_every_default_is_a_code_of_icdo3() -> None:
    assert len({row["icd10"] for _, row in DEFAULTS}) == len(rows("icd10_to_icdo3_defaults"))
    for code, row in DEFAULTS:
        found = provisional(code)
        assert found is not None, code
        assert found.topography == "" or is_topography(found.topography), code
        assert is_listed(found.morphology, found.behaviour), code
        assert found.rule.startswith(row["icd10"]), code


@given(st.sampled_from([code for code, row in DEFAULTS if row["converts_back"] == "Y"]))
def test_a_default_that_converts_back_does(code: str) -> None:
    found = provisional(code)
    assert found is not None
    editions = [icd10_of(found.topography, found.morphology, found.behaviour, edition) for edition in icd10.EDITIONS]
    assert code in editions


@pytest.mark.parametrize(
    "rule",
    ["same 4-character code", "append .9", "liver", "melanoma moves to skin", "spleen moves to the reticuloendothelial site"],
)
def test_defaults_of_solid_tumours_convert_back_in_both_editions(rule: str) -> None:
    codes = [code for code, row in DEFAULTS if row["rule"] == rule]
    assert codes
    for code in codes:
        found = provisional(code)
        assert found is not None
        assert {icd10_of(found.topography, found.morphology, found.behaviour, edition) for edition in icd10.EDITIONS} == {code}


def _cases() -> list[dict[str, str]]:
    with CASES.open(encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


@pytest.mark.parametrize(
    "case", _cases(), ids=lambda case: f"{case['topography']}-{case['morphology']}/{case['behaviour']}{case['sex']}"
)
def test_a_case_converts_as_the_rules_say(case: dict[str, str]) -> None:
    tumour = case["topography"], case["morphology"], case["behaviour"]
    assert icd10_of(*tumour, "canregtools", case["sex"]) == case["canregtools"]
    assert conversion(*tumour, "canreg5", case["sex"]) == (case["canreg5"], case["decided_by"])


def test_every_rule_has_a_case() -> None:
    assert {row["rule"] for row in rows("icd10_conversion_rules")} == {case["decided_by"] for case in _cases()}
    printed = {row["rule_id"] for row in rows("icd10_icdo3_special_rules")}
    assert printed - {row["rule"] for row in rows("icd10_conversion_rules")} == {"SR23", "SR24", "SR25"}


@given(st.sampled_from(sorted(topographies())), st.integers(8000, 9999).map(str), st.sampled_from("0123"))
def test_a_conversion_is_a_code_that_exists(topography: str, morphology: str, behaviour: str) -> None:
    for edition in icd10.EDITIONS:
        code = icd10_of(topography, morphology, behaviour, edition)
        assert code == "" or is_neoplasm(code) or re.fullmatch(r"D(19|72|76)\.\d", code)
        assert code == "" or code in accepted(topography, morphology, behaviour)


def test_what_is_no_code_converts_to_nothing() -> None:
    assert icd10_of("C43.1", "8720", "3") == ""  # no topography
    assert icd10_of("C34.1", "814", "3") == ""
    assert icd10_of("C34.1", "8140", "") == ""
    assert icd10_of("", "8140", "3") == ""
    assert icd10_of("", "9050", "3") == ""  # "any other site" is said of a known one
    assert icd10_of("", "9680", "3") == "C83.3"  # haematopoietic: the site is ignored


def test_codes_that_are_no_contradiction() -> None:
    assert accepted("C70.9", "9530", "0") == {"D32.0", "D32.9"}  # SR15, and the column of the site
    assert accepted("C50.9", "8720", "3") == {"C43.5", "C50.9"}  # SR07, and what canregtools prints
    assert accepted("C77.9", "9651", "3") == {"C81.7", "C81.4"}  # the two editions
    assert accepted("C49.9", "8930", "3") == {"C54.1", "C49.9"}  # SR20 for either sex
    assert accepted("C34.1", "8140", "3") == {"C34.1"}
