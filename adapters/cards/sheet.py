"""A spreadsheet as rows of texts, whatever it is stored as (xlsx, the old xls, CSV in UTF-8 or GB18030), and where in it the header stands.

Above the header may be a title, and the header itself may take two rows: groups over members (``户口地址`` over ``省``, ``市``), or names over
field ids. Containers go through the same limits as front-sheet files (`adapters.hqms`). Raises `FileRefused` for what cannot be used at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Final

from python_calamine import CalamineWorkbook

from adapters.cards.columns import Recognised, is_known, recognise
from adapters.hqms.archive import content_of
from adapters.hqms.csv_table import CsvTable
from adapters.hqms.tables import Limits, Row, RowFault, changed, refused
from adapters.hqms.xlsx_table import XlsxTable, text_of

LIMITS: Final = Limits(
    file_bytes=64 << 20, expanded_bytes=512 << 20, columns=500, rows=200_000, xlsx_bytes=64 << 20, xlsx_cells=10_000_000
)
"""What a workbook of cards may be: far more than a county's cards of a year."""

_LOOKED_AT: Final = 10
"""Rows at the beginning in which a header is looked for."""
_FEWEST: Final = 3
"""Columns that must be recognised for a row to be a header."""

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_SUFFIXES: Final = {"csv": (".csv", ".txt"), "xlsx": (".xlsx", ".xlsm"), "xls": (".xls",)}


@dataclass(frozen=True)
class Sheet:
    """A sheet with its header found. ``rows`` are those below, numbered from 1, without blank ones; it can be read once."""

    container: str
    encoding: str
    header: Recognised
    rows: Iterator[Row | RowFault]


def open_sheet(path: Path, limits: Limits = LIMITS) -> Sheet:
    """Open a spreadsheet. Raises `FileRefused`."""
    container = _container(path, limits)
    encoding, rows = _rows(path, container, limits)
    first = list(islice(rows, _LOOKED_AT))
    taken, header = _header([row.cells if isinstance(row, Row) else [] for row in first])
    if header.doubled:
        raise refused(
            "duplicate-header",
            f"表头中同一项出现两次：{'、'.join(header.doubled[:6])}",
            "请每项只保留一列后重新上传",
            "one field has two columns",
        )
    below = chain(first[taken:], rows)
    return Sheet(container, encoding, header, _numbered(below))


def _numbered(rows: Iterator[Row | RowFault]) -> Iterator[Row | RowFault]:
    for number, row in enumerate(rows, start=1):
        if isinstance(row, RowFault):
            yield RowFault(number, row.reason, row.message)
        else:
            yield Row(number, row.cells)


def _container(path: Path, limits: Limits) -> str:
    """What the bytes are; the name must agree."""
    try:
        size = path.stat().st_size
        with path.open("rb") as source:
            head = source.read(8)
    except OSError:
        size, head = -1, b""
    if size < 0:
        raise refused("unreadable", f"文件“{path.name}”无法读取", "请检查路径和权限", "file cannot be read")
    if not size:
        raise refused("empty", "文件是空的", "请重新导出后再上传", "file is empty")
    if size > limits.file_bytes:
        raise refused("over-limit", f"文件超过 {limits.file_bytes >> 20} MiB", "请拆分后分别上传", "file over the size limit")
    if head.startswith(_OLE):
        found = "xls"
    elif head.startswith(b"PK"):
        found = content_of(path)[0]
    else:
        found = "csv"
    suffix = path.suffix.lower()
    if found not in _SUFFIXES or suffix not in _SUFFIXES[found]:
        raise refused(
            "not-what-its-name-says",
            "文件不是它的名字所说的工作簿或 CSV",
            "请在 Excel 中另存为 xlsx，或保存为 CSV 后上传",
            f"content is {found or 'of a foreign type'}, suffix is {suffix or 'missing'}",
        )
    return found


def _rows(path: Path, container: str, limits: Limits) -> tuple[str, Iterator[Row | RowFault]]:
    """(encoding, all rows with content, from the first)."""
    if container == "xls":
        return "", _xls_rows(path, limits)
    try:
        table = CsvTable(path, None, limits) if container == "csv" else XlsxTable(path, limits)
    except OSError:
        table = None
    if table is None:
        raise changed(path)
    return table.encoding, chain([Row(0, table.header)], table.rows())


def _xls_rows(path: Path, limits: Limits) -> Iterator[Row | RowFault]:
    grid: list[list[str]] | None = None
    try:
        book = CalamineWorkbook.from_path(str(path))
        for name in book.sheet_names:
            sheet = book.get_sheet_by_name(name)
            if sheet.height:
                grid = [[text_of(cell) for cell in cells] for cells in sheet.iter_rows()]
                break
    except BaseException as error:
        # damaged or with a password; a defect in the reader's compiled code comes as a PanicException
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
    if grid is None:
        raise refused(
            "unreadable",
            "工作簿是空的、已损坏或设有密码",
            "请在 Excel 中打开后另存为 xlsx 再上传",
            "xls cannot be read or is empty",
        )
    for number, cells in enumerate(row for row in grid if any(map(str.strip, row))):
        if max(map(len, cells)) > limits.cell_chars:
            yield RowFault(number, "over-limit", "该行的单元格过长，请检查后重新导出")
        else:
            yield Row(number, cells)


def _header(first: Sequence[list[str]]) -> tuple[int, Recognised]:
    """(rows up to and with the header, the header). Raises `FileRefused`."""
    best: tuple[tuple[bool, int], int, Recognised] | None = None
    for index in range(len(first)):
        for height, names in _readings(first, index):
            header = recognise([name.strip() for name in names])
            rank = (header.complete, header.known)
            if header.known >= _FEWEST and (best is None or rank > best[0]):
                best = rank, index + height, header
    if best is None or not best[2].complete:
        raise refused(
            "no-header",
            "没有找到报告卡、死亡名单或随访的表头",
            "请用 zhibao cards template 生成的模板，或让表头含有姓名、身份证号和诊断等列名",
            "no header of a card sheet found",
        )
    return best[1], best[2]


def _readings(first: Sequence[list[str]], index: int) -> Iterator[tuple[int, list[str]]]:
    """A row as a header by itself, and as one with the row below."""
    upper = first[index]
    lower = first[index + 1] if index + 1 < len(first) else []
    named = sum(is_known(cell) for cell in lower if cell.strip())
    ids_below = named * 2 > sum(bool(cell.strip()) for cell in lower) > 0
    yield 1 + ids_below, upper
    if not lower or len(lower) < len(upper) // 2:
        return
    joined, group = [], ""
    for column in range(max(len(upper), len(lower))):
        over = upper[column].strip() if column < len(upper) else ""
        under = lower[column].strip() if column < len(lower) else ""
        group = over or group
        together = [name for name in (f"{group}{under}", under, over) if name]
        joined.append(next((name for name in together if is_known(name)), together[0] if together else ""))
    if sum(map(is_known, joined)) > sum(map(is_known, upper)):
        yield 2, joined
