"""Front-sheet files as Zhibao writes them: CSV for the platform, the pair of DBF files, workbooks for people."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import dbf
import openpyxl
import pytest

from adapters.hqms.pcode_dbf import pcode_fields, write_pcode_dbf
from adapters.hqms.tables import Row, open_table
from adapters.hqms.writer import csv_bytes, neutralised, xlsx_for_people
from gateway.model.errors import ConfigurationError, RowRefused
from mappings.layout import layout

FORMULA = '=HYPERLINK("http://x")'
RARE = "𬱖㛃䶮"  # characters of real names that GBK does not have


def rows_of(path: Path) -> list[dict[str, str]]:
    with open_table(path) as table:
        rows = list(table.rows())
        assert all(isinstance(row, Row) for row in rows)
        return [dict(zip(table.header, row.cells, strict=True)) for row in rows if isinstance(row, Row)]


def filled(path: Path) -> list[dict[str, str]]:
    return [{code: cell for code, cell in row.items() if cell} for row in rows_of(path)]


# -- CSV


@pytest.mark.parametrize("id", ["2020", "2019", "tcm2019", "pcode"])
def test_an_upload_has_the_official_columns_and_unaltered_cells(id: str) -> None:
    columns = layout(id).columns
    first, last = columns[0], columns[-1]
    data = csv_bytes(layout(id), [{last: FORMULA, first: RARE, "没有的列": "x"}, {first: "-"}])
    rows = list(csv.reader(io.StringIO(data.decode("gb18030"), newline="")))
    assert rows[0] == list(columns)
    assert rows[1] == [RARE, *[""] * (len(columns) - 2), FORMULA]
    assert rows[2] == ["-", *[""] * (len(columns) - 1)]
    assert data.endswith(b"\r\n")


def test_the_encoding_is_chosen_from_those_that_hold_every_name() -> None:
    record = {"A11": RARE}
    assert csv_bytes(layout("2020"), [record], encoding="utf-8-sig").startswith(b"\xef\xbb\xbfA01,")
    assert RARE.encode() in csv_bytes(layout("2020"), [record], encoding="UTF-8")
    with pytest.raises(ConfigurationError, match="gb18030"):
        csv_bytes(layout("2020"), [record], encoding="gbk")


def test_only_a_copy_for_people_is_neutralised() -> None:
    record = {"A11": "@x", "A47": "-", "D01": "-12.50"}
    upload, copy = (csv_bytes(layout("2020"), [record], for_people=people).decode("gb18030") for people in (False, True))
    assert ",@x," in upload
    assert ",'@x," in copy
    for text in (upload, copy):
        assert ",-," in text
        assert ",-12.50," in text


def test_what_a_spreadsheet_calculates_is_neutralised() -> None:
    formulas = [
        "=1+1",
        "+1+1",
        "-1+1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1+1",
        "＋x",
        "－x",
        "＠x",
        "-",
        "－",
        "-5",
        "+5.0",
        "5-5",
        "",
    ]
    assert neutralised(formulas) == [f"'{cell}" for cell in formulas[:11]] + formulas[11:]


# -- DBF


def test_the_pair_has_the_published_structure() -> None:
    first, second = pcode_fields()
    assert (len(first), len(second)) == (254, 94)
    assert [field.name for field in second[:2]] == ["P3", "P22"]
    assert {field.name for field in first} & {field.name for field in second} == {"P3", "P22"}
    assert {field.name for field in first + second} == set(layout("pcode").columns)
    structure = {field.name: (field.type, field.width, field.decimals) for field in first + second}
    assert structure["P900"] == ("C", 22, 0)
    assert structure["P6"] == ("C", 10, 0)  # yyyy-MM-dd as text
    assert structure["P22"] == ("C", 19, 0)  # yyyy-MM-dd HH:mm:ss as text
    assert structure["P494"] == structure["P45054"] == ("N", 7, 2)
    assert structure["P611"] == ("N", 4, 2)
    assert structure["P651"] == structure["P652"] == ("N", 8, 2)
    assert structure["P66"] == ("N", 4, 2)
    assert structure["P782"] == ("N", 10, 2)


ONE = {
    "P900": "H1",
    "P2": "1",
    "P3": "007",
    "P4": RARE,
    "P22": "2020-01-02 08:30:00",
    "P45054": "2.5",
    "P782": "1234.50",
    "P611": "3",
}
TWO = ONE | {"P3": "008", "P4": "-", "P782": "-"}


def test_a_written_pair_is_read_back(tmp_path: Path) -> None:
    pair = write_pcode_dbf(tmp_path, "hqms_2020-01-31", [ONE, TWO])
    assert [path.name for path in (pair.part1, pair.part2)] == ["hqms_2020-01-31_part1.dbf", "hqms_2020-01-31_part2.dbf"]
    assert (pair.rows, pair.refused) == (2, {})
    blank = {code: text for code, text in TWO.items() if code != "P782"}  # a numeric column cannot hold the placeholder
    assert filled(pair.part1) == filled(pair.part2) == [ONE, blank]


def test_a_written_pair_is_read_by_another_program(tmp_path: Path) -> None:
    pair = write_pcode_dbf(tmp_path, "h", [ONE | {"P4": "王髅"}, TWO])
    got = []
    for path in (pair.part1, pair.part2):
        table = dbf.Table(str(path))
        table.open(mode=dbf.READ_ONLY)
        got.append([{name: record[name] for name in table.field_names} for record in table])
        table.close()
    first, second = got
    assert (len(first[0]), len(second[0])) == (254, 94)
    assert (first[0]["P3"].rstrip(), first[0]["P4"].rstrip(), first[0]["P2"]) == ("007", "王髅", 1)
    assert (second[1]["P3"].rstrip(), second[1]["P22"], second[0]["P782"], second[1]["P782"]) == (
        "008",
        "2020-01-02 08:30:00",
        1234.5,
        None,
    )


def test_rows_that_do_not_fit_are_left_out_of_both_parts_and_named(tmp_path: Path) -> None:
    records = [
        ONE,
        ONE | {"P3": "a", "P5": "12"},  # one byte wide
        ONE | {"P3": "b", "P800": "王" * 26},  # 52 bytes in a column of 50
        ONE | {"P3": "c", "P782": "十元"},
        ONE | {"P3": "d", "P782": "12345678.50"},
        ONE | {"P3": "e", "P782": "1.505"},
        ONE | {"P4": "又来"},  # the keys of the first
        TWO,
    ]
    pair = write_pcode_dbf(tmp_path, "h", records)
    assert {number: (refusal.reason, refusal.field) for number, refusal in pair.refused.items()} == {
        2: ("too-long", "P5"),
        3: ("too-long", "P800"),
        4: ("type", "P782"),
        5: ("too-long", "P782"),
        6: ("type", "P782"),
        7: ("duplicate-key", "P3"),
    }
    for number, refusal in pair.refused.items():
        assert isinstance(refusal, RowRefused)
        assert f"第 {number} 行" in refusal.message
        assert refusal.action
        assert not any(secret in str(refusal) for secret in ("王", "十元", "又来"))
    assert pair.rows == 2
    assert [row["P3"] for row in rows_of(pair.part1)] == ["007", "008"]


def test_a_pair_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def broken() -> object:
        yield ONE
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_pcode_dbf(tmp_path, "h", broken())  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


# -- workbooks


def test_a_workbook_for_people(tmp_path: Path) -> None:
    record = {"A48": "000123", "A49": "1", "A11": FORMULA, "A20": "990000201503080016", "A47": "-", "D01": "-1.50"}
    odd = {"A48": "2", "A49": "1", "A26": "上\x0b下_x000B_\r\n左\t", "A11": RARE}
    path = tmp_path / "a.xlsx"
    assert xlsx_for_people(layout("2020"), [record, odd], path) == {}
    assert filled(path) == [record | {"A11": f"'{FORMULA}"}, odd]
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.xlsx"]
    sheet = openpyxl.load_workbook(path).worksheets[0]
    assert sheet.max_row == 3
    assert [cell.value for cell in sheet[1]] == list(layout("2020").columns)
    assert all(cell.data_type == "s" and cell.number_format == "@" for row in sheet for cell in row if cell.value is not None)


def test_a_cell_that_no_workbook_can_hold_is_named(tmp_path: Path) -> None:
    base = {"A48": "1", "A49": "1"}
    path = tmp_path / "a.xlsx"
    refused = xlsx_for_people(layout("2020"), [base, base | {"A26": "址" * 32_768}, base | {"A26": "址" * 32_767}], path)
    assert {number: (refusal.reason, refusal.field) for number, refusal in refused.items()} == {2: ("too-long", "A26")}
    assert [len(row["A26"]) for row in rows_of(path)] == [0, 32_767]
