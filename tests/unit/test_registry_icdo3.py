"""ICD-O-3: sites, histologies, listed pairs, paired organs; and the tables that they come from."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

from gateway.model.card import Card
from mappings.registry.icdo3 import is_listed, is_morphology, is_topography, morphology_name, paired, topographies
from mappings.registry.ranges import ranges
from mappings.registry.tables import names, rows

FOLDER = files("mappings").joinpath("codes", "registry")


def _listed() -> dict[str, int]:
    """The tables of the README with the number of rows that it states."""
    found: dict[str, int] = {}
    for line in FOLDER.joinpath("README.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 6 and cells[1].startswith("`"):
            found |= zip(re.findall(r"`(\w+)`", cells[1]), map(int, cells[2].split(",")), strict=True)
    return found


TABLES = _listed()


def test_sites() -> None:
    assert len(topographies()) == 330
    assert all(is_topography(code) for code in ("C34.1", "C42.1", "C77.9", "C80.9", "C61.9"))
    assert not any(is_topography(code) for code in ("C61", "C34", "C43.1", "C341", "c34.1", "", "C80.0", "C34.7"))


@pytest.mark.parametrize("code", ["8000", "8140", "8500", "9823", "9738", "8023", "9971", "9715", "9877", "8930"])
def test_known_histologies(code: str) -> None:
    assert is_morphology(code)


@pytest.mark.parametrize("code", ["8006", "8016", "9999", "7999", "814", "M8140", "", "85000"])
def test_unknown_histologies(code: str) -> None:
    assert not is_morphology(code)


def test_listed_pairs() -> None:
    assert is_listed("8500", "3")
    assert is_listed("8500", "2")
    assert is_listed("8519", "2")  # lacking in the national list, named in the reference
    assert is_listed("9765", "1")
    assert is_listed("9877", "3")  # of the haematopoietic table
    assert not is_listed("8140", "6")  # the national list has it; a registry does not
    assert not is_listed("8500", "0")
    assert not is_listed("8016", "3")
    assert not is_listed("8000", "9")


def test_names_of_pairs() -> None:
    assert morphology_name("8000", "3") == "恶性肿瘤"
    assert morphology_name("8500", "3") == "浸润性导管癌"
    assert morphology_name("8140", "6") != ""  # a pathology report may state it
    assert morphology_name("9999", "3") == ""


@pytest.mark.parametrize(
    "code", ["C50.0", "C50.9", "C34.0", "C34.9", "C64.9", "C56.9", "C44.1", "C69.4", "C71.4", "C62.1", "C49.2"]
)
def test_paired_organs(code: str) -> None:
    assert paired(code)


@pytest.mark.parametrize("code", ["C61.9", "C16.0", "C44.0", "C44.4", "C44.8", "C71.5", "C49.3", "C80.9", "", "C22.0", "C53.9"])
def test_organs_that_are_not_paired(code: str) -> None:
    assert not paired(code)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("C01 C02", ["C01", "C01.9", "C02.0"], ["C03", "C0", "C10.1", ""]),
        ("8010-8015 8050", ["8010", "8012", "8015", "8050"], ["8009", "8016", "8049", "8051", "801"]),
        ("C00-C76", ["C00", "C00.1", "C76.8", "C34"], ["C77", "C77.0", "B99", "D00"]),
        ("D35.2-D35.4", ["D35.2", "D35.4"], ["D35.1", "D35.5", "D35", "D36.2"]),
        ("", [], ["", "C34.1"]),
    ],
)
def test_ranges_of_codes(text: str, inside: list[str], outside: list[str]) -> None:
    assert [code for code in inside + outside if code in ranges(text)] == inside


@given(st.integers(8000, 9999), st.integers(8000, 9999), st.integers(8000, 9999))
def test_a_range_of_histologies_is_a_range_of_numbers(low: int, high: int, code: int) -> None:
    assert (str(code) in ranges(f"{low}-{high}")) == (low <= code <= high)


def test_every_row_has_source_and_confidence() -> None:
    for table in TABLES:
        for row in rows(table):
            assert row["source"], table
            assert row["confidence"], table
            assert None not in row, table  # a row longer than its header
            assert None not in row.values(), table


def test_the_readme_lists_every_table_with_its_rows() -> None:
    assert {table: len(rows(table)) for table in TABLES} == TABLES
    files_here = {entry.name.removesuffix(".csv") for entry in FOLDER.iterdir() if entry.name.endswith(".csv")}
    others = re.findall(r"^\| `(\w+)` \|", FOLDER.joinpath("README.md").read_text("utf-8"), re.MULTILINE)
    assert files_here == set(TABLES) | set(others)


def test_value_sets_have_names() -> None:
    assert names("laterality") == {"1": "左侧", "2": "右侧", "3": "双侧", "9": "不详"}
    assert names("treatment", "tchia_treated_flag")["1"] == "治疗"
    assert names("behaviour")["3"] == "恶性"
    with pytest.raises(LookupError):
        names("treatment")
    with pytest.raises(LookupError):
        names("treatment", "nothing")
    with pytest.raises(FileNotFoundError):
        rows("nothing")


def test_the_card_has_the_fields_of_the_table() -> None:
    """The table has one element for the basis; the card keeps its three dialects."""
    named = {row["field_id"] for row in rows("card_fields")}
    assert {field.name for field in fields(Card)} == named | {"basis_card", "basis_list"}
