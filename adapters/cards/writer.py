"""Workbooks of report cards that leave: an empty template to be filled in, and cards in the columns of a template or of a platform.

Every cell is text, so that no identity number becomes a quantity and no code loses its leading zero. A cell that a spreadsheet would calculate
is shown instead (an apostrophe before it, which the reader takes off again).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from openpyxl import Workbook
from openpyxl.cell import Cell, WriteOnlyCell
from openpyxl.comments import Comment
from openpyxl.styles import Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from adapters.cards.choices import choices
from adapters.cards.columns import KIND_NAMES, Column, Kind, columns
from adapters.hqms.writer import in_xml, neutralised
from gateway.model.errors import ConfigurationError, RowRefused

PREPARED_ROWS: Final = 2000
"""Rows of a template for which drop-downs are set."""
LONGEST_CELL: Final = 32_767
ENCODINGS: Final = ("gb18030", "utf-8", "utf-8-sig")

_LISTS = "代码"
_GUIDE = "填写说明"
_REQUIRED = PatternFill("solid", fgColor="FFF2CC")
_BOLD = Font(bold=True)
_FORMS: Final = {
    "date": "日期，写成 2026-11-25",
    "time": "日期时间，写成 2026-11-25 08:30:00",
    "resident": "18 位身份证号，按文本填写",
    "id": "按文本填写，保留前导零",
    "icd10": "ICD-10 四位亚目，含小数点，如 C34.9",
    "topography": "ICD-O-3 部位，如 C34.1",
    "morphology": "ICD-O-3 形态学，如 8140 或 8140/3",
    "codes": "可填多个代码，用英文逗号分隔",
    "basis": "从下拉列表选最高的一项，或用英文逗号分隔多个代码",
    "code": "从下拉列表选择",
    "number": "整数",
    "address": "省、市、县（区）、乡镇（街道）、村、门牌写全",
}
_NOT_FILLED: Final = frozenset(
    (
        "report_card_no",
        "local_record_key",
        "registry_case_no",
        "icd9",
        "basis_of_diagnosis",
        "basis_list",
        "card_status",
        "card_type",
        "audit_flag",
        "managing_unit",
        "first_visit_time",
        "hospital_audit_time",
        "county_audit_time",
        "created_time",
        "hukou_address",
        "residence_address",
        "unit_code",
    )
)
"""Columns of a card that a template leaves out: given by platforms or worked out from others. They are read all the same."""


def template_columns(kind: Kind) -> list[Column]:
    """The columns of the template of a kind."""
    left_out = _NOT_FILLED if kind in ("card", "death") else frozenset(("local_record_key",))
    return [column for column in columns(kind) if column.field not in left_out]


def write_template(kind: Kind, path: Path) -> None:
    """Write an empty template (xlsx): a sheet to be filled in with required columns marked and drop-downs for codes, a sheet that says what
    each column wants, and a hidden one with the lists. Raises `OSError` when it cannot be written."""
    book = Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet), "a new workbook has a sheet"
    sheet.title = KIND_NAMES[kind]
    guide, lists = book.create_sheet(_GUIDE), book.create_sheet(_LISTS)
    lists.sheet_state = "hidden"
    guide.append(["列名", "必填", "填写方法", "可选代码", "字段"])
    sheet.freeze_panes = "A2"
    for number, column in enumerate(template_columns(kind), start=1):
        letter = get_column_letter(number)
        head = sheet.cell(row=1, column=number, value=column.name)
        head.font = _BOLD
        if column.required:
            head.fill = _REQUIRED
        head.comment = Comment(_note(column), "Zhibao", width=260, height=90)
        sheet.column_dimensions[letter].width = max(12, 2 * len(column.name) + 2)
        sheet.column_dimensions[letter].number_format = "@"
        for row in range(2, 102):  # a column's format does not hold for cells that a person pastes into other programs
            sheet.cell(row=row, column=number).number_format = "@"
        options = [f"{code} {name}" for code, name in choices(column.set).items()]
        guide.append(
            [column.name, "必填" if column.required else "", _form(column), "；".join(options)[:LONGEST_CELL], column.field]
        )
        if options and column.read in ("code", "basis"):
            _drop_down(sheet, lists, letter, options, single=column.read == "code")
    for letter, width in (("A", 28), ("C", 40), ("D", 60), ("E", 24)):
        guide.column_dimensions[letter].width = width
    _save(book, path)


def _note(column: Column) -> str:
    return "；".join(filter(None, ("必填" if column.required else "", _form(column))))


def _form(column: Column) -> str:
    return _FORMS.get(column.read, "按文本填写")


def _drop_down(sheet: Worksheet, lists: Worksheet, letter: str, options: Sequence[str], *, single: bool) -> None:
    """Options of a column in a column of the hidden sheet, offered in the cells below the header. Where several may be given, others are
    let through."""
    place = lists.max_column + 1 if lists.cell(1, 1).value is not None else 1
    for row, option in enumerate(options, start=1):
        lists.cell(row=row, column=place, value=option)
    column = get_column_letter(place)
    rule = DataValidation(
        type="list",
        formula1=f"'{_LISTS}'!${column}$1:${column}${len(options)}",
        allow_blank=True,
        showErrorMessage=single,
        errorTitle="代码不在列表中",
        error="请从下拉列表中选择",
    )
    sheet.add_data_validation(rule)
    rule.add(f"{letter}2:{letter}{PREPARED_ROWS + 1}")


def write(
    records: Iterable[Mapping[str, str]], headers: Mapping[str, str], path: Path, *, encoding: str = "gb18030"
) -> dict[int, RowRefused]:
    """Write records under headers (what stands above each column, by the key of the records) as xlsx or CSV, by the name of ``path``.

    A record with a cell longer than a workbook can hold is left out and returned by its number from 1. Raises `ConfigurationError` for another
    ending or encoding, `OSError` when the file cannot be written."""
    if path.suffix.lower() not in (".csv", ".xlsx"):
        raise ConfigurationError("输出文件须为 .xlsx 或 .csv", action="请修改文件名", english="unknown kind of output file")
    refused: dict[int, RowRefused] = {}
    rows: list[list[str]] = []
    for number, record in enumerate(records, start=1):
        cells = neutralised([record.get(code, "") for code in headers])
        too_long = next((code for code, text in zip(headers, cells, strict=True) if len(text) > LONGEST_CELL), "")
        if too_long:
            refused[number] = RowRefused(
                "too-long",
                f"第 {number} 行的 {headers[too_long]} 超过 {LONGEST_CELL} 个字符，单元格放不下",
                field=too_long,
                english=f"row {number}: {too_long} is longer than a cell",
            )
        else:
            rows.append(cells)
    names = list(headers.values())
    data = csv_bytes(names, rows, encoding) if path.suffix.lower() == ".csv" else xlsx_bytes(names, rows)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return refused


def csv_bytes(headers: Sequence[str], rows: Iterable[Sequence[str]], encoding: str = "gb18030") -> bytes:
    """Cells as they are as CSV with CRLF line ends. Raises `ConfigurationError` for an encoding that cannot hold every name."""
    if encoding not in ENCODINGS:
        raise ConfigurationError(
            f"不支持的编码：{encoding}", action=f"可用：{'、'.join(ENCODINGS)}", english="unsupported encoding"
        )
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(headers)
    writer.writerows(rows)
    return text.getvalue().encode(encoding)


def xlsx_bytes(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """Cells as they are as a workbook in which all of them are text."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet("数据")
    sheet.freeze_panes = "A2"
    for texts in ([*headers], *rows):
        cells: list[Cell | None] = []
        for text in texts:
            cell = WriteOnlyCell(sheet, value=in_xml(text)) if text else None
            if cell is not None:
                cell.data_type, cell.number_format = "s", "@"
            cells.append(cell)
        sheet.append(cells)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _save(book: Workbook, path: Path) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        book.save(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
