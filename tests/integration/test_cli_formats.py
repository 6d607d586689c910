"""``convert --format``: a workbook for people beside the upload, the two DBF parts of the P-code layout in its place."""

from __future__ import annotations

import csv
from pathlib import Path

from adapters.hqms.tables import Row, open_table
from mappings.layout import layout
from tests.command_line import Zhibao
from tests.integration.test_cli import clean

__all__ = ["clean"]  # fixtures

PCODES = ("P900", "P6891", "P1", "P2", "P3", "P4", "P5", "P6", "P7", "P22", "P25", "P321", "P322")


def cells_of(path: Path) -> list[list[str]]:
    with open_table(path) as table:
        return [table.header, *(row.cells for row in table.rows() if isinstance(row, Row))]


def test_a_workbook_for_people_says_what_the_upload_says(zhibao: Zhibao, clean: Path, tmp_path: Path) -> None:
    assert zhibao("convert", clean, "--to", "hqms", "--out", tmp_path, "--format", "xlsx").code == 0
    upload, copy = tmp_path / "hqmsts_2026M10.csv", tmp_path / "hqmsts_2026M10.xlsx"
    assert cells_of(upload) == cells_of(copy)
    assert len(cells_of(upload)) == 61


def test_dbf_parts_hold_what_a_p_code_file_held(zhibao: Zhibao, tmp_path: Path) -> None:
    assert set(PCODES) <= set(layout("pcode").columns)
    source = tmp_path / "flu.csv"
    stay = ["2026-10-01 08:00:00", "2026-10-05 08:00:00", "J18.900", "肺炎"]
    rows = [
        ["99H", "演示医院", "7", "1", "100", "测试甲", "1", "1980-05-01", "46", *stay],
        ["99H", "演示医院", "10", "1", "101", "测试乙", "2", "1990-05-01", "36", *stay],
    ]
    with source.open("w", encoding="gb18030", newline="") as out:
        csv.writer(out).writerows([PCODES, *rows])
    ran = zhibao("convert", source, "--to", "hqms", "--layout", "pcode", "--format", "dbf", "--out", tmp_path / "out")
    assert ran.code == 1
    assert "第 2 行没有写入 dbf" in ran.err  # P1 has one character, "10" has two
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "findings.jsonl",
        "hqms_2026M10_part1.dbf",
        "hqms_2026M10_part2.dbf",
    ]
    header, *found = cells_of(tmp_path / "out" / "hqms_2026M10_part1.dbf")
    (kept,) = found
    assert [kept[header.index(code)] for code in PCODES] == rows[0]


def test_dbf_is_for_p_codes_only(zhibao: Zhibao, clean: Path, tmp_path: Path) -> None:
    ran = zhibao("convert", clean, "--to", "hqms", "--format", "dbf", "--out", tmp_path)
    assert ran.code == 2
    assert "pcode" in ran.err
