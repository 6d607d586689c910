"""Workbooks of report cards: how headers, cells and rows are read, and what is written."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook

from adapters.cards.columns import KINDS, columns, recognise
from adapters.cards.values import code_of, day
from adapters.cards.workbook import CardRow, CardSheet, read
from adapters.cards.writer import csv_bytes, template_columns, write, write_template, xlsx_bytes
from adapters.hqms.tables import Limits
from gateway.model import resident_id
from gateway.model.errors import ConfigurationError, FileRefused

NUMBER = "99010119700203001"
NUMBER += resident_id.check_character(NUMBER)  # area code 990101 is not assigned; 17th character 1: a man
HEAD = ["姓名", "性别", "身份证号", "诊断日期", "ICD-10", "诊断依据"]
GOOD = ["赵样本", "男", NUMBER, "2026-03-05", "C34.9", "病理（原发）"]


def a_csv(folder: Path, *rows: list[str], encoding: str = "utf-8", name: str = "报告卡.csv") -> Path:
    path = folder / name
    path.write_bytes("\r\n".join(",".join(row) for row in rows).encode(encoding))
    return path


def an_xlsx(folder: Path, *rows: list[object], name: str = "报告卡.xlsx") -> Path:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(folder / name)
    return folder / name


def read_all(path: Path) -> tuple[CardSheet, list[CardRow]]:
    sheet = read(path)
    return sheet, list(sheet.rows)


def rules(row: CardRow) -> set[tuple[str, str]]:
    return {(finding.rule, name) for finding in row.findings for name in finding.fields or ("",)}


# -- headers


@pytest.mark.parametrize(
    ("head", "field"),
    [
        ("姓名", "patient_name"),
        ("patient_name", "patient_name"),
        ("T-HDSB2.2.1.9", "patient_name"),
        ("VC_HZXM", "patient_name"),
        ("患者姓名", "patient_name"),
        ("*身份证号码（必填）", "id_no"),
        ("3. 性别（1男2女）", "sex"),
        ("ＩＣＤ－１０", "icd10"),
        ("topo", "topography"),
        ("户口地址-省（自治区、直辖市）", "hukou_province"),
        ("常住地址省", "residence_province"),
        ("肿瘤形态学代码", "morphology"),
        ("最高诊断依据", "basis_card"),
        ("肿瘤诊断依据代码", "basis_of_diagnosis"),
        ("诊断单位", "diagnosing_hospital"),
    ],
)
def test_a_column_is_recognised_by_any_of_its_names(head: str, field: str) -> None:
    found = recognise(["身份证号" if field == "patient_name" else "姓名", head, "发病日期" if field != "icd10" else "诊断名称"])
    assert found.kind == "card"
    assert found.columns[1] is not None
    assert found.columns[1].field == field


def test_every_field_of_every_kind_is_found_by_its_own_name() -> None:
    for kind in KINDS:
        for column in columns(kind):
            found = recognise([column.name, *(other.name for other in columns(kind) if other is not column)])
            assert found.kind == kind
            assert found.columns[0] == column, column.name


def test_columns_in_any_order_give_the_same_card(tmp_path: Path) -> None:
    there = read_all(a_csv(tmp_path, HEAD, GOOD))[1][0].card
    back = read_all(a_csv(tmp_path, HEAD[::-1], GOOD[::-1]))[1][0].card
    assert there == back
    assert there is not None
    assert (there.patient_name, there.sex, there.id_no, there.incidence_date, there.icd10) == (
        "赵样本",
        "1",
        NUMBER,
        "2026-03-05",
        "C34.9",
    )
    # old card 7 (pathology of the primary) is IARC 7
    assert (there.basis_card, there.basis_of_diagnosis, there.basis_list) == ("7", "7", "7")


def test_a_title_and_a_header_of_two_rows(tmp_path: Path) -> None:
    """Groups over members, as merged cells are exported: only the first cell of a group is filled."""
    path = an_xlsx(
        tmp_path,
        ["XX县肿瘤报告卡一览表"],
        ["姓名", "身份证号", "户口地址", "", "", "诊断", ""],
        ["", "", "省", "市", "乡镇", "诊断日期", "ICD-10"],
        ["钱样本", NUMBER, "河南省", "南阳市", "城关镇", "2026/3/5", "C509"],
    )
    sheet, rows = read_all(path)
    assert sheet.header.unknown == []
    card = rows[0].card
    assert card is not None
    assert (card.hukou_province, card.hukou_city, card.hukou_town) == ("河南省", "南阳市", "城关镇")
    assert (card.incidence_date, card.icd10) == ("2026-03-05", "C50.9")


def test_field_ids_below_the_names_are_no_data(tmp_path: Path) -> None:
    ids = ["patient_name", "sex", "id_no", "incidence_date", "icd10", "basis_card"]
    _, rows = read_all(a_csv(tmp_path, HEAD, ids, GOOD))
    assert [row.card.patient_name for row in rows if row.card] == ["赵样本"]


def test_unknown_columns_are_kept_and_said(tmp_path: Path) -> None:
    """The two helper columns of the registry's export are such."""
    sheet, rows = read_all(a_csv(tmp_path, ["姓名", "序号辅助", "核对辅助", *HEAD[1:]], [GOOD[0], "7", "x", *GOOD[1:]]))
    assert [finding.fields for finding in sheet.findings] == [("序号辅助", "核对辅助")]
    assert rows[0].extra == {"序号辅助": "7", "核对辅助": "x"}


def test_one_field_in_two_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused) as refused:
        read(a_csv(tmp_path, [*HEAD, "患者姓名"], [*GOOD, "赵样本"]))
    assert refused.value.reason == "duplicate-header"


def test_what_has_no_header_of_cards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused) as refused:
        read(a_csv(tmp_path, ["品名", "数量", "单价"], ["纱布", "3", "1"]))
    assert refused.value.reason == "no-header"


# -- kinds


def test_a_list_of_deaths(tmp_path: Path) -> None:
    head = ["姓名", "性别", "身份证号", "死亡日期", "根本死因", "直接死因", "直接死因编码", "死亡证编号"]
    sheet, rows = read_all(a_csv(tmp_path, head, ["孙样本", "女", NUMBER, "20260401", "C50.9", "肺转移", "C78.0", "0001"]))
    assert sheet.kind == "death"
    card = rows[0].card
    assert card is not None
    assert (card.card_type, card.death_date, card.underlying_cause, card.death_certificate_no) == (
        "2",
        "2026-04-01",
        "C50.9",
        "0001",
    )
    assert card.death_cause_text == "肺转移 C78.0"
    assert rows[0].fields["cause_a_icd10"] == "C78.0"


def test_visits_have_no_card(tmp_path: Path) -> None:
    sheet, rows = read_all(a_csv(tmp_path, ["报告卡id", "随访日期", "卡氏评分", "目前情况"], ["R1", "2026.5.6", "80", "稳定"]))
    assert sheet.kind == "follow_up"
    assert rows[0].card is None
    assert rows[0].fields == {"report_card_no": "R1", "visit_date": "2026-05-06", "karnofsky": "80", "present_condition": "1"}
    assert read(a_csv(tmp_path, ["报告卡id", "初访日期", "体重"], ["R1", "2026-05-06", "60"])).kind == "first_visit"


# -- cells


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-05", "2026-03-05"),
        ("2026/3/5", "2026-03-05"),
        ("2026.03.05", "2026-03-05"),
        ("2026年3月5日", "2026-03-05"),
        ("20260305", "2026-03-05"),
        ("20260305083000", "2026-03-05"),
        ("2026-03-05 08:30:00", "2026-03-05"),
        ("2026年3月", "2026-03"),
        ("2026-03", "2026-03"),
        ("2026年", "2026"),
        ("1", ""),
        ("2026-02-30", ""),
        ("2026-13", ""),
        ("3/14/2026", "2026-03-14"),
        ("14/3/2026", "2026-03-14"),
        ("3/4/2026", ""),  # March or April: nobody knows
        ("26-03-05", ""),
        ("不详", ""),
    ],
)
def test_dates_in_every_usual_form(text: str, expected: str) -> None:
    assert day(text) == expected


def test_a_serial_number_of_excel_is_the_day_that_excel_shows() -> None:
    """Serial 1 is 1 January 1900 in Excel, which counts a 29 February 1900 that was none: from 1 March 1900 on a serial is the number of days
    since 30 December 1899."""
    assert day(str((date(2026, 3, 5) - date(1899, 12, 30)).days)) == "2026-03-05"


@pytest.mark.parametrize(
    ("values", "text", "code"),
    [
        ("sex", "男", "1"),
        ("sex", "女性", "2"),
        ("sex", "2-女", "2"),
        ("sex", "1 女", ""),  # code and word contradict each other
        ("sex", "1.0", "1"),
        ("laterality", "左侧", "1"),
        ("laterality", "双", "3"),
        ("basis_card", "病理（原发）", "7"),
        ("basis_card", "病理(继发)", "6"),
        ("basis_card", "CT", "2"),
        ("ethnicity", "1", "01"),
        ("ethnicity", "汉族", "01"),
        ("marital_status", "2", "20"),
        ("tnm_stage:tchia_card_stage", "1 0期", "1"),
        ("behaviour", "/3", "3"),
        ("sex", "人妖", ""),
    ],
)
def test_codes_and_words(values: str, text: str, code: str) -> None:
    assert code_of(values, text)[0] == code


def test_a_code_that_nobody_knows_stays_as_written_and_is_told(tmp_path: Path) -> None:
    _, rows = read_all(a_csv(tmp_path, HEAD, ["赵样本", "甲", NUMBER, "三月初", "肺癌", "9"]))
    card = rows[0].card
    assert card is not None
    assert (card.sex, card.incidence_date, card.icd10) == ("甲", "三月初", "肺癌")
    assert rules(rows[0]) == {("ZB-CELL-CODE", "sex"), ("ZB-CELL-DATE", "incidence_date"), ("ZB-CELL-FORM", "icd10")}
    assert not any("甲" in finding.message + finding.english for finding in rows[0].findings)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("8140", ("8140", "", "")),
        ("M8140/3", ("8140", "3", "")),
        ("8140/33", ("8140", "3", "3")),
        ("81403", ("8140", "3", "")),
    ],
)
def test_a_morphology_may_carry_behaviour_and_grade(tmp_path: Path, text: str, parts: tuple[str, str, str]) -> None:
    card = read_all(a_csv(tmp_path, [*HEAD, "形态学"], [*GOOD, text]))[1][0].card
    assert card is not None
    assert (card.morphology, card.behaviour, card.grade) == parts


def test_a_column_of_its_own_wins_over_what_another_one_carries(tmp_path: Path) -> None:
    for head, cells in ((["形态学", "行为"], ["8500/3", "2"]), (["行为", "形态学"], ["2", "8500/3"])):
        card = read_all(a_csv(tmp_path, [*HEAD, *head], [*GOOD, *cells]))[1][0].card
        assert card is not None
        assert (card.morphology, card.behaviour) == ("8500", "2")


def test_several_bases_give_the_list_and_the_highest(tmp_path: Path) -> None:
    """Order 7 > 6 > 5 > 4 > 2 > 1 > 0; card 8 (autopsy with histology) is IARC 7."""
    card = read_all(a_csv(tmp_path, HEAD, ["赵样本", "男", NUMBER, "2026-03-05", "C34.9", "2；5"]))[1][0].card
    assert card is not None
    assert (card.basis_list, card.basis_card, card.basis_of_diagnosis) == ("2,5", "5", "5")


# -- rows


@pytest.mark.parametrize("number", ["9.90101E+17", "990101197002030000"])
def test_a_number_that_lost_its_digits_refuses_its_row_only(tmp_path: Path, number: str) -> None:
    """18 digits are more than a spreadsheet keeps: it shows an exponent, or zeros at the end (whose check character is wrong here)."""
    _, rows = read_all(a_csv(tmp_path, HEAD, [*GOOD[:2], number, *GOOD[3:]], GOOD))
    assert [row.outcome for row in rows] == ["refused", "read"]
    assert rows[0].reason == "digits-lost"
    assert rows[0].card is None
    assert ("ZB-CELL-DIGITS", "id_no") in rules(rows[0])


def test_a_number_cell_of_a_workbook_that_lost_its_digits(tmp_path: Path) -> None:
    path = an_xlsx(tmp_path, list(HEAD), [*GOOD[:2], 990101197002030012, *GOOD[3:]], list(GOOD))
    assert [row.outcome for row in read_all(path)[1]] == ["refused", "read"]


def test_a_row_without_name_and_number_is_refused(tmp_path: Path) -> None:
    _, rows = read_all(a_csv(tmp_path, HEAD, ["", "男", "", *GOOD[3:]], GOOD))
    assert [(row.number, row.outcome, row.reason) for row in rows] == [(1, "refused", "nobody"), (2, "read", "")]


def test_dates_and_numbers_of_a_workbook(tmp_path: Path) -> None:
    path = an_xlsx(tmp_path, [*HEAD, "住院号"], [*GOOD[:3], date(2026, 3, 5), "C34.9", 7, 123456])
    card = read_all(path)[1][0].card
    assert card is not None
    assert (card.incidence_date, card.basis_card, card.inpatient_no) == ("2026-03-05", "7", "123456")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_character_sets(tmp_path: Path, encoding: str) -> None:
    sheet, rows = read_all(a_csv(tmp_path, HEAD, ["㐂样本", *GOOD[1:]], encoding=encoding))
    assert sheet.encoding == encoding
    assert [row.card.patient_name for row in rows if row.card] == ["㐂样本"]


# -- files that are not what they should be


def test_a_name_that_lies_is_refused(tmp_path: Path) -> None:
    path = an_xlsx(tmp_path, list(HEAD), list(GOOD))
    with pytest.raises(FileRefused) as refused:
        read(path.rename(tmp_path / "报告卡.csv"))
    assert refused.value.reason == "not-what-its-name-says"


def test_limits(tmp_path: Path) -> None:
    many = [HEAD, *([GOOD] * 5)]
    with pytest.raises(FileRefused):
        list(read(a_csv(tmp_path, *many), limits=Limits(rows=3)).rows)
    with pytest.raises(FileRefused):
        read(an_xlsx(tmp_path, *map(list, many)), limits=Limits(xlsx_cells=10))
    with pytest.raises(FileRefused):
        read(a_csv(tmp_path, *many), limits=Limits(file_bytes=10))


def test_an_ole_file_that_is_no_workbook_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "报告卡.xls"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000))
    with pytest.raises(FileRefused) as refused:
        read(path)
    assert refused.value.reason == "unreadable"


# -- writing


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_is_read_as_what_it_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "模板.xlsx"
    write_template(kind, path)  # type: ignore[arg-type]
    sheet, rows = read_all(path)
    assert (sheet.kind, sheet.header.unknown, rows) == (kind, [], [])
    assert sheet.header.known == len(template_columns(kind))  # type: ignore[arg-type]


def test_a_template_offers_codes_and_marks_what_is_required(tmp_path: Path) -> None:
    path = tmp_path / "模板.xlsx"
    write_template("card", path)
    book = load_workbook(path)
    sheet = book.worksheets[0]
    at = {cell.value: cell for cell in sheet[1]}
    rules = {str(rule.sqref).partition("2:")[0]: rule for rule in sheet.data_validations.dataValidation}
    sex = rules[at["性别代码"].column_letter]
    lists = book["代码"]
    assert lists.sheet_state == "hidden"
    column = sex.formula1.split("$")[1]
    assert [lists[f"{column}{row}"].value for row in range(1, 5)] == ["0 未知的性别", "1 男性", "2 女性", "9 未说明的性别"]
    assert at["姓名"].fill.fgColor.rgb.endswith("FFF2CC")  # required by T/CHIA
    assert at["病案号"].fill.fgColor.rgb.endswith("000000")
    assert "必填" in at["姓名"].comment.text


def test_what_a_person_chose_from_a_drop_down_is_read_as_its_code(tmp_path: Path) -> None:
    path = tmp_path / "模板.xlsx"
    write_template("card", path)
    book = load_workbook(path)
    sheet = book.worksheets[0]
    at = {cell.value: cell.column for cell in sheet[1]}
    for name, text in {
        "姓名": "李样本",
        "性别代码": "2 女性",
        "侧位代码": "1 左侧",
        "民族代码": "01 汉族",
        "发病日期": "2026-03",
    }.items():
        sheet.cell(row=2, column=at[name], value=text)
    book.save(path)
    card = read_all(path)[1][0].card
    assert card is not None
    assert (card.sex, card.laterality, card.ethnicity, card.incidence_date) == ("2", "1", "01", "2026-03")


@pytest.mark.parametrize("name", ["出.csv", "出.xlsx"])
def test_a_cell_that_would_calculate_is_shown_and_read_back(tmp_path: Path, name: str) -> None:
    headers = {"patient_name": "姓名", "id_no": "身份证号", "incidence_date": "发病日期", "remark": "登记备注事项"}
    record = {"patient_name": "=1+1", "id_no": NUMBER, "incidence_date": "2026-03-05", "remark": "@x"}
    path = tmp_path / name
    assert write([record], headers, path) == {}
    if name.endswith("xlsx"):
        cells = [cell.value for cell in load_workbook(path).active[2]]
        assert cells == ["'=1+1", NUMBER, "2026-03-05", "'@x"]
    card = read_all(path)[1][0].card
    assert card is not None
    assert (card.patient_name, card.remark) == ("=1+1", "@x")


def test_a_cell_that_is_too_long_leaves_its_record_out(tmp_path: Path) -> None:
    refused = write([{"a": "x" * 40_000}, {"a": "y"}], {"a": "甲"}, tmp_path / "出.csv")
    assert set(refused) == {1}
    assert (tmp_path / "出.csv").read_bytes() == "甲\r\ny\r\n".encode("gb18030")


def test_writing_refuses_what_it_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        write([], {"a": "甲"}, tmp_path / "出.doc")
    with pytest.raises(ConfigurationError):
        csv_bytes(["甲"], [], "gbk")
    assert xlsx_bytes(["甲"], [["\x01"]]).startswith(b"PK")
