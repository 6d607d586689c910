"""What is read from a front sheet is what is written into one: every column of every layout, through every container."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adapters.hqms.cells import REPAIRS
from adapters.hqms.header import looks_like_header, recognise
from adapters.hqms.pcode_dbf import write_pcode_dbf
from adapters.hqms.rows import RowReader
from adapters.hqms.tables import Row, open_table
from adapters.hqms.writer import csv_bytes, neutralised, xlsx_for_people
from gateway.model.values import Coded
from mappings.layout import layout
from tests.fuzz.cells import DAMAGE, damaged, plain_record, plain_value

QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LAYOUTS = ("2020", "2019", "tcm2019", "pcode")
READERS = {id: RowReader(recognise(layout(id).columns)) for id in LAYOUTS}

PARTS = {
    "2020": "",
    "2019": "",
    "tcm2019": r"RYSJ_S|CYSJ_S|YZZY_JGMC|WSY_JGMC|QKDJ\d+|QKYLB\d+",
    "pcode": r"P742|P743|P731|P733",
}
"""Columns that say in parts what another column says as a whole: left blank, they may come back filled from it."""

EDGES = " \t\r\n\v\f\u00a0\u3000\u200b\u200c\u200d\u2060\ufeff"
"""What is no content at the ends of a cell: blanks, TABs, line ends, invisible characters."""


def written(id: str, cells: list[str]) -> list[str]:
    """The row after reading and writing."""
    chosen = layout(id)
    return chosen.row(chosen.record(READERS[id].read(cells, "m").stay))


def assert_same(id: str, before: list[str], after: list[str]) -> None:
    filled_in = re.compile(PARTS[id]).fullmatch
    differing = [
        (code, old, new)
        for code, old, new in zip(layout(id).columns, before, after, strict=True)
        if old != new and not (old == "" and filled_in(code))
    ]
    assert not differing


def records(id: str, rows: list[list[str]]) -> list[dict[str, str]]:
    return [dict(zip(layout(id).columns, row, strict=True)) for row in rows]


def cells_of(path: Path) -> list[list[str]]:
    with open_table(path, is_header=looks_like_header) as table:
        assert tuple(table.header) == recognise(table.header).layout.columns
        rows = list(table.rows())
    assert all(isinstance(row, Row) for row in rows)
    return [row.cells for row in rows if isinstance(row, Row)]


@pytest.mark.parametrize(("id", "columns"), [("2020", 811), ("2019", 642), ("tcm2019", 732), ("pcode", 346)])
@settings(QUIET, max_examples=150)
@given(seed=st.integers(0, 10**9))
def test_plain_cells_of_every_column_come_back(id: str, columns: int, seed: int) -> None:
    cells = plain_record(layout(id), seed)
    assert len(cells) == columns
    assert_same(id, cells, written(id, cells))


@pytest.mark.parametrize("id", LAYOUTS)
@settings(QUIET, max_examples=12)
@given(
    seeds=st.lists(st.integers(0, 10**9), min_size=1, max_size=3, unique=True),
    encoding=st.sampled_from(["gb18030", "utf-8", "utf-8-sig"]),
)
def test_through_csv(tmp_path: Path, id: str, seeds: list[int], encoding: str) -> None:
    rows = [plain_record(layout(id), seed) for seed in seeds]
    path = tmp_path / "a.csv"
    path.write_bytes(csv_bytes(layout(id), records(id, rows), encoding=encoding))
    got = cells_of(path)
    assert got == rows
    for before, after in zip(rows, got, strict=True):
        assert_same(id, before, written(id, after))


@settings(QUIET, max_examples=10)
@given(seeds=st.lists(st.integers(0, 10**9), min_size=1, max_size=3, unique=True))
def test_through_both_parts_of_a_dbf(tmp_path: Path, seeds: list[int]) -> None:
    rows = [plain_record(layout("pcode"), seed, dashes=False) for seed in seeds]
    pair = write_pcode_dbf(tmp_path, "hqms_2020-01-31", records("pcode", rows))
    assert (pair.rows, pair.refused) == (len(rows), {})
    # both parts hold columns in official order, so that both together do
    assert cells_of(pair.part1) == cells_of(pair.part2) == rows


@pytest.mark.parametrize("id", LAYOUTS)
@settings(QUIET, max_examples=4)
@given(seeds=st.lists(st.integers(0, 10**9), min_size=1, max_size=2, unique=True))
def test_through_a_workbook_for_people(tmp_path: Path, id: str, seeds: list[int]) -> None:
    rows = [plain_record(layout(id), seed) for seed in seeds]
    path = tmp_path / "a.xlsx"
    assert xlsx_for_people(layout(id), records(id, rows), path) == {}
    assert cells_of(path) == [neutralised(row) for row in rows]


ANY_TEXT = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from([*DAMAGE, *"0123456789王"]), max_size=12).map("".join),
    st.sampled_from(["1" * 5000 + ".0", "9" * 40, "0" * 32_000 + "x", "1E400", "nan", "-0", "2020-W01-1", "2020-01-01 10:00+08"]),
)


def some_column(id: str, rng: Random) -> int:
    """The position of a column that does not identify the stay; rare types as likely as common ones."""
    free = [(i, f) for i, f in enumerate(layout(id).fields) if f.path not in ("record_number", "admission_number")]
    type = rng.choice(sorted({field.type for _, field in free}))
    return rng.choice([i for i, field in free if field.type == type])


@pytest.mark.parametrize("id", LAYOUTS)
@settings(QUIET, max_examples=150)
@example(seed=0, texts=["1" * 5000 + ".0"])
@example(seed=1, texts=["2020-W01-1", "2020-01-01 10:00+08", "2020-01-01 100000.5"])
@given(seed=st.integers(0, 10**9), texts=st.lists(ANY_TEXT, min_size=1, max_size=8))
def test_any_text_in_a_cell_stays_in_its_cell(id: str, seed: int, texts: list[str]) -> None:
    chosen, rng = layout(id), Random(seed)
    before = plain_record(chosen, seed)
    cells = list(before)
    touched = {some_column(id, rng): text for text in texts}
    for i in list(touched)[::2]:  # every other one not any text but a plain value gone wrong
        if chosen.fields[i].type != "string":
            touched[i] = damaged(plain_value(chosen.fields[i], rng), rng)
    for i, text in touched.items():
        cells[i] = text
    read = READERS[id].read(cells, "m")
    after = chosen.row(chosen.record(read.stay))
    parts = re.compile(PARTS[id]).fullmatch
    for i, (field, old, new) in enumerate(zip(chosen.fields, before, after, strict=True)):
        if i not in touched:
            assert old == new or (old == "" and parts(field.code)), field.code
    repaired = {repair.field for repair in read.repairs if repair.kind != "trimmed"}
    for i, text in touched.items():
        field, tidy = chosen.fields[i], text.strip(EDGES)
        if field.code in repaired or (tidy == "" and parts(field.code)):
            continue  # what repairs do is said case by case in the tests of cells
        assert after[i] == tidy, field.code
    assert {repair.kind for repair in read.repairs} <= REPAIRS.keys()
    # nothing is repaired twice: what was written reads as the same stay
    again = READERS[id].read(after, "m")
    assert chosen.row(chosen.record(again.stay)) == after


@pytest.mark.parametrize("id", LAYOUTS)
def test_blank_and_placeholder_stay_distinct_in_every_column(id: str) -> None:
    chosen = layout(id)
    keys = {"record_number": "1", "admission_number": "1"}
    for filler in ("", "-"):
        cells = [keys.get(field.path, filler) for field in chosen.fields]
        assert written(id, cells) == cells


def test_values_are_values() -> None:
    """The properties above would hold for a reader that takes nothing for a value."""
    stay = READERS["2020"].read(plain_record(layout("2020"), 1, dashes=False), "m").stay
    assert not stay.verbatim
    assert not stay.extras
    sex = (
        READERS["2020"]
        .read([{"A48": "1", "A49": "1", "A12C": "2"}.get(code, "") for code in layout("2020").columns], "m")
        .stay.patient.sex
    )
    assert sex == Coded("RC001", "2")
