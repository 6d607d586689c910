"""Excel workbooks as tables: the first sheet with content, every cell as the text that a CSV export would hold.

Before calamine opens a workbook, every part of it is unpacked once against the limits, and the corners of its sheets are looked
up: calamine lays a sheet out as a full grid in memory, and one stray cell in the last column would cost more than the machine has.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path, PurePosixPath
from typing import Any
from xml.parsers import expat

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from adapters.hqms.archive import checked_entries, inflated
from adapters.hqms.tables import Limits, Row, RowFault, Table, refused, too_many_rows

_REFERENCE_COLUMN = re.compile(rb"\sr=[\"']([A-Za-z]+)")
_REFERENCE_ROW = re.compile(rb"\sr=[\"'][A-Za-z]*([0-9]+)")
_ERROR_CELL = re.compile(rb"<c\s[^<>]{0,99}?\bt=[\"']e[\"'][^<>]{0,99}>")
_REFERENCE = re.compile(rb"\sr=[\"']([A-Z]{1,3})([0-9]{1,7})[\"']")
_ERROR_TEXT = re.compile(rb"\s*(?:<f\b[^<]*(?:</f>\s*)?)?<v>([^<]{0,99})</v>")
_WITHOUT_REFERENCE = re.compile(rb"<(row|c)(?=[\s/>])(?![^<>]*\sr=)[^<>]*>")
_MOST_EXACT = 1e16
_OVERLAP = 4096

Errors = dict[tuple[int, int], str]


class XlsxTable(Table):
    """A workbook. Raises `FileRefused` when it is encrypted, damaged, empty or over a limit."""

    kind = "xlsx"

    def __init__(self, path: Path, limits: Limits) -> None:
        size = path.stat().st_size
        if size > limits.xlsx_bytes:
            raise refused(
                "over-limit",
                f"工作簿超过 {limits.xlsx_bytes >> 20} MiB",
                "请改用 CSV 导出，或按月拆分",
                "workbook over the size limit",
            )
        super().__init__(path, [], encoding="", total=size)
        self._limits = limits
        errors = _checked_parts(path, limits)
        self._sheet, name = _first_filled_sheet(path)
        self._errors: Errors = errors.get(_part_of(path, name), {}) if errors else {}
        self._first_column = (self._sheet.start or (0, 0))[1]
        rows = self._texts()
        self._header_row, header = next(((i, cells) for i, cells in rows if any(map(str.strip, cells))), (0, []))
        self.header = _trimmed(header, 0)

    def rows(self, skip: int = 0) -> Iterator[Row | RowFault]:
        """See `Table.rows`."""
        number, height = 0, max(1, self._sheet.total_height)
        for index, cells in self._texts():
            self._consumed = self._total * (index + 1) // height
            if index <= self._header_row or not any(map(str.strip, cells)):
                continue
            number += 1
            if number > self._limits.rows:
                raise too_many_rows(self._limits)
            if number <= skip:
                continue
            if max(map(len, cells)) > self._limits.cell_chars:
                yield RowFault(number, "over-limit", "该行的单元格过长，请检查后重新导出")
            else:
                yield Row(number, _trimmed(cells, len(self.header)))

    def _texts(self) -> Iterator[tuple[int, list[str]]]:
        errors, first = self._errors, self._first_column
        for index, cells in enumerate(self._sheet.iter_rows()):
            texts = [cell if type(cell) is str else text_of(cell) for cell in cells]
            if errors:
                for column, text in enumerate(texts):
                    if not text and (shown := errors.get((index, column + first))):
                        texts[column] = shown
            yield index, texts


def text_of(cell: Any) -> str:
    """A workbook value as text: whole numbers without a fraction, others with the 15 digits that Excel has, dates as
    ``yyyy-MM-dd``, truth as 1 or 0."""
    if isinstance(cell, bool):
        return "1" if cell else "0"
    if isinstance(cell, float):
        return str(int(cell)) if abs(cell) < _MOST_EXACT and cell.is_integer() else f"{cell:.15g}"
    if isinstance(cell, datetime):
        return cell.isoformat(" ", "seconds")
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, time):
        return cell.isoformat("seconds")
    if isinstance(cell, timedelta):
        seconds = round(cell.total_seconds())
        return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return "" if cell is None else str(cell)


def _trimmed(cells: list[str], width: int) -> list[str]:
    """Without the blank cells at the end that lie beyond ``width``: a sheet is as wide as its widest row."""
    end = len(cells)
    while end > width and not cells[end - 1].strip():
        end -= 1
    return cells if end == len(cells) else cells[:end]


def _first_filled_sheet(path: Path) -> tuple[CalamineSheet, str]:
    """The first sheet with a value in it, and its name."""
    problem = ""
    try:
        book = CalamineWorkbook.from_path(str(path))
        for name in book.sheet_names:
            sheet = book.get_sheet_by_name(name)
            if sheet.height:
                return sheet, name
        if not book.sheet_names:
            problem = "no sheets"
    except (CalamineError, OSError, ValueError) as error:
        problem = type(error).__name__
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # what a defect in the reader's compiled code comes as
            raise
        problem = "PanicException"
    if problem:
        raise refused(
            "unreadable", "工作簿已损坏或无法打开", "请在 Excel 中打开后另存为 xlsx 或 CSV 再导入", f"workbook: {problem}"
        )
    raise refused("empty", "工作簿里没有数据", "请把首页数据放在第一张表后重新导入", "workbook has no filled sheet")


def _checked_parts(path: Path, limits: Limits) -> dict[str, Errors]:
    """Unpack every part once. Returns the error cells (``#N/A``) of each sheet, because calamine reads them as blank. Raises
    `FileRefused` for a part that is not what it says, or a sheet whose grid is over the limit."""
    entries = checked_entries(path, limits)
    errors: dict[str, Errors] = {}
    with path.open("rb") as source:
        for entry in entries:
            if entry.filename.lower().startswith("xl/worksheets/") and entry.filename.lower().endswith(".xml"):
                found = _checked_sheet(inflated(source, entry), limits)
                if found:
                    errors[entry.filename] = found
            else:
                for _ in inflated(source, entry):
                    pass
    return errors


def _checked_sheet(blocks: Iterator[bytes], limits: Limits) -> Errors:
    carry = b""
    width = height = 0
    errors: Errors = {}
    for block in blocks:
        data = carry + block
        width = max(width, max(map(_column, set(_REFERENCE_COLUMN.findall(data))), default=0))
        height = max(height, max(map(_row, set(_REFERENCE_ROW.findall(data))), default=0))
        if b't="e"' in data or b"t='e'" in data:
            for cell in _ERROR_CELL.finditer(data):
                at, shown = _REFERENCE.search(cell[0]), _ERROR_TEXT.match(data, cell.end())
                if at is not None and shown is not None:
                    errors[int(at[2]) - 1, _column(at[1]) - 1] = shown[1].decode("ascii", "backslashreplace")
        bare = _WITHOUT_REFERENCE.findall(data, len(carry))
        if bare:  # a row or cell may stand without its reference, right after the one before
            height += bare.count(b"row")
            width = max(width, max(len(cells.split(b"c")) - 1 for cells in b"".join(bare).split(b"row")))
        carry = data[-_OVERLAP:]
        if width > limits.columns or height > limits.rows + 1 or width * height > limits.xlsx_cells:
            raise refused(
                "over-limit",
                f"工作表的范围过大（{height} 行、{width} 列）",
                "请删除数据区以外的多余单元格，或改用 CSV 导出、按月拆分",
                f"sheet grid of {height} x {width}",
            )
    return errors


def _row(digits: bytes) -> int:
    return int(digits[-18:])


def _column(letters: bytes) -> int:
    """1 for A, 27 for AA; anything longer than Excel has is over every limit."""
    number = 0
    for letter in letters.upper()[:8]:
        number = number * 26 + letter - 64
    return number


def _part_of(path: Path, sheet: str) -> str:
    """The part of the package that holds a sheet, or an empty text."""
    sheets: dict[str, str] = {}
    targets: dict[str, str] = {}

    def workbook(tag: str, attributes: dict[str, str]) -> None:
        if tag.rpartition(":")[2] == "sheet":
            sheets[attributes.get("name", "")] = next((v for k, v in attributes.items() if k.rpartition(":")[2] == "id"), "")

    def relation(tag: str, attributes: dict[str, str]) -> None:
        if tag.rpartition(":")[2] == "Relationship":
            targets[attributes.get("Id", "")] = attributes.get("Target", "")

    readers: Sequence[tuple[str, Any]] = (("xl/workbook.xml", workbook), ("xl/_rels/workbook.xml.rels", relation))
    with zipfile.ZipFile(path) as package:
        for part, handler in readers:
            parser = expat.ParserCreate()
            parser.StartElementHandler = handler
            try:
                parser.Parse(package.read(part), True)
            except (expat.ExpatError, KeyError):
                return ""
    target = targets.get(sheets.get(sheet, ""), "")
    return target.lstrip("/") if target.startswith("/") else str(PurePosixPath("xl") / target)
