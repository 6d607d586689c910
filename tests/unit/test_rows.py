"""Rows of a front sheet as stays and back, and the tolerances of reading."""

from __future__ import annotations

import pytest

from adapters.hqms.header import recognise
from adapters.hqms.rows import RowReader, StayRead
from gateway.model import paths
from gateway.model.errors import FileRefused, RowRefused
from mappings.layout import layout

BASE = {"A48": "000123", "A49": "2", "A13": "2015-03-08", "B15": "2026-10-05 09:30:00"}


def read(cells: dict[str, str]) -> StayRead:
    merged = BASE | cells
    return RowReader(recognise(list(merged))).read(list(merged.values()), "sample.csv#1")


@pytest.mark.parametrize(
    ("written", "kept", "kind"),
    [
        ({"A12C": "1.0"}, {"A12C": "1"}, "dot-zero"),
        ({"C22x01C": "101"}, {"C22x01C": "0101"}, "leading-zero"),
        ({"A13": "2015/3/8"}, {"A13": "2015-03-08"}, "date-form"),
        ({"B12": "2026-10-01 09:30"}, {"B12": "2026-10-01 09:30:00"}, "date-form"),
        ({"A20": "\t990000201503080016"}, {"A20": "990000201503080016"}, "trimmed"),
        ({"A11": "测试童\u200b"}, {"A11": "测试童"}, "trimmed"),
        ({"C04N": "\u3000肺恶性肿瘤\u200b"}, {"C04N": "肺恶性肿瘤"}, "trimmed"),
        ({"A47": "—"}, {"A47": "-"}, "dash"),
        ({"A47": "－"}, {"A47": "-"}, "dash"),
        ({"A47": "——"}, {"A47": "-"}, "dash"),
        ({"C03C": "–"}, {"C03C": "-"}, "dash"),
        ({"A14": "11.0"}, {"A14": "11"}, "dot-zero"),
        ({"A14": "011"}, {"A14": "11"}, "number-form"),
        ({"D01": "12,345.60"}, {"D01": "12345.60"}, "number-form"),
        ({"D01": "+.5"}, {"D01": "0.5"}, "number-form"),
        ({"B13C": "301"}, {"B13C": "0301"}, "leading-zero"),
        ({"B13C": "301.0"}, {"B13C": "0301"}, "leading-zero"),
        ({"B21C": "0301、0302"}, {"B21C": "0301,0302"}, "list-separator"),
        ({"B21C": "0301, 0302"}, {"B21C": "0301,0302"}, "list-separator"),
        ({"B21C": "301,0302"}, {"B21C": "0301,0302"}, "leading-zero"),
        ({"A13": "2015-3-8"}, {"A13": "2015-03-08"}, "date-form"),
        ({"A13": "2015/03/08 00:00:00"}, {"A13": "2015-03-08"}, "date-form"),
        ({"A13": "2015年3月8日"}, {"A13": "2015-03-08"}, "date-form"),
        ({"B12": "2026/10/1 9:30"}, {"B12": "2026-10-01 09:30:00"}, "date-form"),
        ({"B12": "2026-10-01T09:30:15.000"}, {"B12": "2026-10-01 09:30:15"}, "date-form"),
        ({"B12": "2026/10/1"}, {"B12": "2026-10-01"}, "date-form"),
    ],
)
def test_certain_damage_is_repaired_and_said(written: dict[str, str], kept: dict[str, str], kind: str) -> None:
    result = read(written)
    (code,) = kept
    assert layout("2020").record(result.stay)[code] == kept[code]
    assert [repair.kind for repair in result.repairs] == [kind]


@pytest.mark.parametrize(
    "written",
    [
        {"A13": "2015-02-30"},
        {"A13": "42071"},  # the day count of a spreadsheet: which of its two calendars, nobody can tell
        {"A13": "2015-W10-7"},
        {"A13": "2015-03-08 09:30:00"},
        {"B12": "2026-10-01 09:30+08"},
        {"B12": "2026-10-01 24:30:00"},
        {"A12C": "7"},
        {"B13C": "9999"},
        {"B21C": "0301,9999"},
        {"A14": "十岁"},
        {"A14": "1E1"},
        {"A14": "11.5"},
        {"A14": "-0"},
        {"A14": "１１"},
        {"A14": "9" * 19},
        {"A14": "1" * 5000 + ".0"},
        {"D01": "1.2.3"},
        {"D01": "1,5"},
        {"D01": "1.2E+05"},
        {"D01": "1５"},
        {"D01": "."},
    ],
)
def test_what_is_no_value_stays_as_it_came(written: dict[str, str]) -> None:
    result = read(written)
    (code,) = written
    field = layout("2020").by_code[code]
    assert not paths.get(result.stay, field.path)
    assert result.stay.verbatim[field.path] == written[code]
    assert layout("2020").record(result.stay)[code] == written[code]


def test_scientific_notation_in_a_text_column_is_left_as_it_is() -> None:
    result = read({"A20": "9.9E+17"})
    assert layout("2020").record(result.stay)["A20"] == "9.9E+17"
    assert result.repairs == ()


def test_a_negative_number_is_no_repair() -> None:
    assert read({"A14": "-5", "D01": "-5.00"}).repairs == ()


def test_cells_without_a_column_name_are_kept() -> None:
    stay = RowReader(recognise(["A48", "A49", "", "院内编号", " "])).read(["1", "1", "甲", "乙", "-"], "m").stay
    assert stay.extras == {"2019:列3": "甲", "2019:院内编号": "乙", "2019:列5": "-"}


def test_blank_and_placeholder_stay_distinct() -> None:
    record = layout("2020").record(read({"A47": "-", "A30": ""}).stay)
    assert record["A47"] == "-"
    assert "A30" not in record


def test_headers_in_every_spelling_are_recognised() -> None:
    header = recognise(["a48", "A49住院次数", "出院其他诊断编码2", "C07X02N"])
    assert [f.code if f else None for f in header.fields] == ["A48", "A49", "C06x02C", "C07x02N"]


@pytest.mark.parametrize("id", ["2020", "2019", "pcode", "tcm2019"])
def test_every_column_is_found_by_every_spelling(id: str) -> None:
    chosen = layout(id)
    spellings = [
        [field.code for field in chosen.fields],
        [field.code.lower() for field in chosen.fields],
        [field.code.upper() for field in chosen.fields],
        [f"\t{field.code}" for field in chosen.fields],
        [f"{field.code}{field.name_zh}" for field in chosen.fields],
        [f"{field.code.lower()} （{field.name_zh}）" for field in chosen.fields],
    ]
    for names in spellings:
        header = recognise(names)
        assert header.layout is chosen
        assert header.fields == chosen.fields


@pytest.mark.parametrize("id", ["2020", "2019", "pcode"])
def test_every_column_is_found_by_its_chinese_name(id: str) -> None:
    chosen = layout(id)
    header = recognise([f"{field.name_zh}{field.repeat or ''}" for field in chosen.fields])
    assert header.layout is chosen
    assert header.fields == chosen.fields


def test_missing_trailing_repeats_are_not_missing_columns() -> None:
    names = [field.code for field in layout("2020").fields if field.repeat < 6]
    assert recognise(names).missing == []
    # a gap is: C06x03C is absent while C06x05C is there
    assert recognise([name for name in names if name != "C06x03C"]).missing == ["C06x03C"]


def test_a_layout_is_told_by_its_own_columns() -> None:
    assert recognise(["A48", "A49", "B38"]).layout.id == "2020"  # B38 came in 2020
    assert recognise(["A48", "A49", "A11"]).layout.id == "2019"
    assert recognise(["P3", "P2", "P4"]).layout.id == "pcode"
    assert recognise(["BAH", "ZYCS", "XM"]).layout.id == "tcm2019"


def test_one_column_under_two_names_is_refused() -> None:
    with pytest.raises(FileRefused) as refusal:
        recognise(["A48", "A49", "病案号"])
    assert refusal.value.reason == "duplicate-header"
    assert "A48" in refusal.value.message
    assert "病案号" in refusal.value.message


def test_a_file_without_record_number_is_refused() -> None:
    with pytest.raises(FileRefused, match="病案号"):
        recognise(["A49", "A11", "A13"])


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (["", "1"], "no-identity"),
        (["-", "1"], "no-identity"),
        (["x1", "一"], "no-identity"),
        (["x1"], "width"),
        (["x1", "1", "?"], "width"),
    ],
)
def test_a_row_without_identity_or_with_shifted_cells_is_refused(cells: list[str], reason: str) -> None:
    with pytest.raises(RowRefused) as refusal:
        RowReader(recognise(["A48", "A49"])).read(cells, "m")
    assert refusal.value.reason == reason
    assert refusal.value.action
    assert (refusal.value.field in ("A48", "A49")) == (reason == "no-identity")


def test_even_a_blank_cell_beyond_the_header_is_refused() -> None:
    # an unquoted comma in the middle pushes a blank last column over the edge: every later value would stand in the wrong field
    with pytest.raises(RowRefused) as refusal:
        RowReader(recognise(["A48", "A49"])).read(["x1", "1", ""], "m")
    assert refusal.value.reason == "width"


def test_chinese_medicine_codes_change_meaning_on_the_way_in_and_back_on_the_way_out() -> None:
    # TCM: marital status 3 = divorced (general: 4), route 1 = outpatient (general: 2), readmission 1 = yes (general: 2)
    names = ["BAH", "ZYCS", "HY", "RYTJ", "ZZYJH", "QKDJ1", "QKYLB1", "SSJCZBM1"]
    cells = ["7", "1", "3", "1", "1", "2", "1", "54.2101"]
    stay = RowReader(recognise(names)).read(cells, "m").stay
    general = layout("2020").record(stay)
    assert (general["A21C"], general["B11C"], general["B36C"]) == ("4", "2", "2")
    assert general["C21x01C"] == "4"  # RC014: Ⅱ/甲
    assert {name: layout("tcm2019").record(stay)[name] for name in names} == dict(zip(names, cells, strict=True))
