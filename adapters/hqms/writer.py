"""Front-sheet files as the platform wants them: official column order, chosen encoding, CSV; and copies for people.

Cells are written as they are. A cell that a spreadsheet would take for a formula is *not* altered in an upload, because the platform
would get another value; `neutralised` is for copies that a person opens.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from openpyxl import Workbook
from openpyxl.cell import Cell, WriteOnlyCell

from gateway.model.errors import ConfigurationError, RowRefused
from mappings.card_layout import CardLayout
from mappings.layout import Layout

DEFAULT_ENCODING = "gb18030"
ENCODINGS = ("gb18030", "utf-8", "utf-8-sig")
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_LONGEST_CELL = 32_767


def csv_bytes(
    layout: Layout | CardLayout,
    records: Iterable[Mapping[str, str]],
    *,
    encoding: str = DEFAULT_ENCODING,
    for_people: bool = False,
) -> bytes:
    """Records of a layout as CSV bytes with CRLF line ends. ``for_people`` neutralises formula cells. Raises `ConfigurationError`
    for an encoding that cannot hold every name (GBK, for one, lacks characters that stand in real names)."""
    if encoding.lower() not in ENCODINGS:
        raise ConfigurationError(
            f"不支持的编码：{encoding}",
            action=f"可用：{'、'.join(ENCODINGS)}",
            english=f"unsupported encoding {encoding}",
        )
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(layout.columns)
    rows = (layout.row(record) for record in records)
    writer.writerows(map(neutralised, rows) if for_people else rows)
    return text.getvalue().encode(encoding)


def xlsx_for_people(layout: Layout, records: Iterable[Mapping[str, str]], path: Path) -> dict[int, RowRefused]:
    """Records of a layout as a workbook that a person opens: codes in the first row, every cell text, so that no leading zero is
    lost and no long number turns scientific; formula cells neutralised. It appears under its name only when it is complete.

    A record with a cell longer than a workbook can hold is left out and returned by its number from 1; the others go on. Raises
    `OSError` when the file cannot be written.
    """
    refused: dict[int, RowRefused] = {}
    book = Workbook(write_only=True)
    sheet = book.create_sheet("首页")
    sheet.freeze_panes = "A2"

    def append(texts: Iterable[str]) -> None:
        cells: list[Cell | None] = []
        for text in texts:
            cell = WriteOnlyCell(sheet, value=text) if text else None
            if cell is not None:
                cell.data_type, cell.number_format = "s", "@"
            cells.append(cell)
        sheet.append(cells)

    append(layout.columns)
    for number, record in enumerate(records, start=1):
        texts = [in_xml(text) for text in neutralised(layout.row(record))]
        column = next((code for code, text in zip(layout.columns, texts, strict=True) if len(text) > _LONGEST_CELL), "")
        if not column:
            append(texts)
            continue
        refused[number] = RowRefused(
            "too-long",
            f"第 {number} 行的 {column} 超过 {_LONGEST_CELL} 个字符，Excel 单元格放不下",
            field=column,
            action="请改用 CSV 导出",
            english=f"row {number}: {column} is longer than a workbook cell",
        )
    partial = path.with_name(f".{path.name}.partial")
    try:
        book.save(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return refused


def in_xml(text: str) -> str:
    """Text with what XML cannot hold escaped the way workbooks do (``_x000B_``)."""
    return _NOT_IN_XML.sub(lambda found: f"_x{ord(found[0]):04X}_", text)


def neutralised(cells: Sequence[str]) -> list[str]:
    """Cells that a spreadsheet will show instead of calculate: an apostrophe before what starts like a formula. The null
    placeholder ``-`` and plain numbers stay."""
    return [f"'{cell}" if cell.startswith(_FORMULA) and not _harmless(cell) else cell for cell in cells]


def _harmless(cell: str) -> bool:
    return cell in ("-", "－") or cell.lstrip("+-").replace(".", "", 1).isdigit()
