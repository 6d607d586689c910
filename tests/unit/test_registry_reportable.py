"""What an ICD-10 code calls for (reportable_icd10.csv), and the dialects of the basis of diagnosis (basis_of_diagnosis.csv)."""

from __future__ import annotations

from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.registry import basis
from mappings.registry.reportable import of
from mappings.registry.tables import rows


@pytest.mark.parametrize(
    ("code", "action", "rule"),
    [
        ("C00.0", "report", "C00-C76"),
        ("C34.900x001", "report", "C00-C76"),
        ("C61.x00", "report", "C00-C76"),
        ("C44.3", "report", "C00-C76"),
        ("C76.8", "report", "C00-C76"),
        ("C77.0", "search-primary", "C77-C79"),
        ("C79.8", "search-primary", "C77-C79"),
        ("C80.900", "report", "C80"),
        ("C81.0", "report", "C81-C96"),
        ("C96.9", "report", "C81-C96"),
        ("C97.x00", "split", "C97"),
        ("D00.0", "report", "D00-D09"),
        ("D09.9", "report", "D00-D09"),
        ("D32.9", "report", "D32-D33"),
        ("D33.9", "report", "D32-D33"),
        ("D35.2", "look", "D35.2-D35.4"),
        ("D35.4", "look", "D35.2-D35.4"),
        ("D42.0", "report", "D42-D43"),
        ("D44.3", "look", "D44.3-D44.5"),
        ("D45.x00", "report", "D45"),
        ("D46.9", "report", "D46"),
        ("D46", "report", "D46"),
        ("D47.3", "report", "D47"),
        ("Z51.102", "treatment", "Z51"),
        ("Z08.0", "treatment", "Z08"),
        ("Z85.301", "history", "Z85"),
        ("Z86.0", "history", "Z86.0"),
        ("Z92.6", "history", "Z92.6"),
        ("Z12.3", "screening", "Z12"),
        ("Z40.0", "screening", "Z40.0"),
        ("Z80.3", "never", "Z80"),
        ("B21.0", "report", "B21.0"),
        ("B21.7", "look", "B21"),
        ("D10.0", "never", ""),
        ("D35.1", "never", ""),
        ("D35.5", "never", ""),
        ("D44.2", "never", ""),
        ("D48.9", "never", ""),
        ("D50.0", "never", ""),
        ("Z86.7", "never", ""),
        ("Z40.1", "never", ""),
        ("Z92.5", "never", ""),
        ("J18.9", "never", ""),
        ("M85000/3", "never", ""),
        ("", "never", ""),
    ],
)
def test_what_a_code_calls_for(code: str, action: str, rule: str) -> None:
    found = of(code)
    assert (found.action, found.rule) == (action, rule)
    assert found.reason
    assert found.confidence


@pytest.mark.parametrize("code", ["D35.2", "D35.3", "D35.4", "D44.3", "D44.4", "D44.5"])
def test_a_hospital_may_report_the_pituitary(code: str) -> None:
    assert of(code).action == "look"
    assert of(code, pituitary=True).action == "report"
    assert of(code, pituitary=True).confidence in ("medium", "low")


@pytest.mark.parametrize("code", ["D35.1", "D35.5", "D44.2", "D44.6", "C77.0", "Z51.1"])
def test_the_switch_touches_nothing_else(code: str) -> None:
    assert of(code, pituitary=True) == of(code)


@pytest.mark.parametrize(
    ("code", "icd10"),
    [
        ("B21.0", "C46.9"),
        ("B21.1", "C83.7"),
        ("B21.2", "C85.9"),
        ("B21.9", "C80"),
        ("B21.8", ""),
        ("C349", "C34.9"),
        ("Z51.1", ""),
        ("D46", "D46"),
    ],
)
def test_the_neoplasm_that_a_code_counts_as(code: str, icd10: str) -> None:
    assert of(code).icd10 == icd10


def test_every_row_of_the_table_decides_its_own_borders() -> None:
    for row in rows("reportable_icd10"):
        rule = row["from"] if row["from"] == row["to"] else f"{row['from']}-{row['to']}"
        assert of(row["from"]).rule == of(row["to"]).rule == rule


@given(st.text())
def test_no_text_breaks_the_rules(text: str) -> None:
    assert of(text).reason


@pytest.mark.parametrize(
    ("card", "iarc", "microscopic"),
    [
        ("0", "0", False),
        ("1", "1", False),
        ("2", "2", False),
        ("3", "2", False),
        ("4", "4", False),
        ("5", "5", True),
        ("6", "6", True),
        ("7", "7", True),
        ("8", "7", True),
        ("9", "9", False),
        ("", "", False),
        ("x", "", False),
    ],
)
def test_dialects_of_the_basis(card: str, iarc: str, microscopic: bool) -> None:
    assert basis.iarc(card) == iarc
    assert basis.microscopic(card) is microscopic


def test_the_order_of_the_basis() -> None:
    """7 > 6 > 5 > 4 > 2 > 1 > 0 > 9, with 8 as 7 and 3 as 2."""
    order = ["9", "0", "1", "2", "4", "5", "6", "7"]
    for lower, higher in pairwise(order):
        assert basis.highest([lower, higher]) == basis.highest([higher, lower]) == higher
    assert basis.highest(["8", "6"]) == "8"
    assert basis.highest(["3", "4"]) == "4"
    assert basis.highest(["3", "1"]) == "3"
    for pair in permutations("23"):
        assert basis.highest(pair) == "2"
    for pair in permutations("78"):
        assert basis.highest(pair) == "7"
    assert basis.highest([]) == ""
    assert basis.highest(["x", "5"]) == "5"


@pytest.mark.parametrize(
    ("card", "zhejiang"),
    [
        ("72", "2,7"),
        ("777", "7"),
        ("1", "1"),
        ("0", "10"),
        ("02", "2,10"),
        ("92", "2"),
        ("9", "9"),
        ("", ""),
        ("83", "3,8"),
        ("x4", "4"),
    ],
)
def test_all_that_apply_as_zhejiang_writes_it(card: str, zhejiang: str) -> None:
    assert basis.zhejiang(card) == zhejiang


def test_names_of_the_basis() -> None:
    assert basis.card_names()["8"] == "尸检（有病理）"
    assert set(basis.card_names()) == set("0123456789")
    assert set(basis.iarc_names()) == set("01245679")
