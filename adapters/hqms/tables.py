"""Front-sheet files as a header and a stream of rows of text cells, whatever the container. Knows nothing of the columns.

CSV is read with the standard library, streaming: byte-order mark, the caller's encoding, strict UTF-8, strict GB18030, in this
order; a file that none of them decodes is refused, and no character is ever replaced. Workbooks are read through calamine behind
limits on size and expansion.
"""

from __future__ import annotations

import codecs
import csv
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO

from python_calamine import CalamineError, CalamineWorkbook

from gateway.model.errors import FileRefused

_BLOCK = 1 << 20
_LONGEST_QUOTED = 50
"""Physical lines that a quoted cell may span before its quote counts as unclosed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may be at most; beyond, it is refused (or its row is)."""

    file_bytes: int = 2 << 30
    expanded_bytes: int = 4 << 30
    workbook_bytes: int = 200 << 20
    expansion: int = 200
    cell_characters: int = 32_767
    columns: int = 2_000


@dataclass(frozen=True, slots=True)
class Row:
    """A data row, counted from 1; ``offset``/``length`` are its bytes in a CSV file."""

    number: int
    cells: list[str]
    offset: int = -1
    length: int = 0


@dataclass(frozen=True, slots=True)
class RowFault:
    """A row that cannot be cut into cells; the rows after it go on."""

    number: int
    reason: str
    message: str
    offset: int = -1
    length: int = 0


Rows = Callable[[int], Iterator[Row | RowFault]]


@dataclass(frozen=True, slots=True)
class Table:
    """An opened table: its container, encoding (empty for workbooks), header, and ``rows(skip)``."""

    path: Path
    kind: str
    encoding: str
    header: list[str]
    _rows: Rows

    def rows(self, skip: int = 0) -> Iterator[Row | RowFault]:
        """All data rows after the first ``skip``."""
        return self._rows(skip)


def open_table(
    path: Path,
    *,
    encoding: str | None = None,
    limits: Limits | None = None,
    is_header: Callable[[Sequence[str]], bool] | None = None,
) -> Table:
    """Open a front-sheet file. Raises `FileRefused` with a sentence that says what to do."""
    limits = limits or Limits()
    try:
        size = path.stat().st_size
        with path.open("rb") as source:
            head = source.read(8)
    except OSError as error:
        raise _refused("unreadable", "文件无法读取", "请检查路径和权限", type(error).__name__) from None
    if size == 0:
        raise _refused("empty", "文件是空的", "请重新导出后再导入")
    if size > limits.file_bytes:
        raise _refused("over-limit", "文件超过大小上限", "请按月拆分后分别导入")
    suffix = path.suffix.lower()
    workbook = head.startswith(b"PK\x03\x04")
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise _refused("not-what-its-name-says", "这是旧版 Excel（.xls）或加密文件", "请另存为 .xlsx 或 CSV 后导入")
    if head.startswith((b"%PDF", b"\x1f\x8b", b"Rar!", b"7z\xbc\xaf")) or workbook != (suffix in (".xlsx", ".xlsm")):
        raise _refused("not-what-its-name-says", "文件内容与扩展名不符", "请确认文件类型后重新导出")
    table = _open_workbook(path, limits) if workbook else _open_csv(path, encoding, limits)
    _check_header(table.header, limits, is_header)
    return table


def source_bytes(path: Path, row: Row | RowFault) -> bytes:
    """The bytes of a CSV record."""
    with path.open("rb") as source:
        source.seek(row.offset)
        return source.read(row.length)


def _refused(reason: str, message: str, action: str, english: str = "") -> FileRefused:
    return FileRefused(reason, message, action=action, english=english or reason)


def _check_header(header: list[str], limits: Limits, is_header: Callable[[Sequence[str]], bool] | None) -> None:
    names = [name.strip().casefold() for name in header]
    if not any(names) or (is_header is not None and not is_header(header)):
        raise _refused("no-header", "第一行不是表头", "请保留第一行的字段编码（如 A48、A49）后重新导出")
    if len(header) > limits.columns:
        raise _refused("over-limit", f"表头有 {len(header)} 列，超过上限", "请确认这是住院病案首页文件")
    filled = [name for name in names if name]
    twice = sorted({name for name in filled if filled.count(name) > 1}) if len(set(filled)) < len(filled) else []
    if twice:
        raise _refused("duplicate-header", f"表头字段重复：{'、'.join(twice[:5])}", "请只保留其中一列后重新导出")


# -- CSV


def _open_csv(path: Path, encoding: str | None, limits: Limits) -> Table:
    found, start = _encoding(path, encoding)
    first = next(_records(path, found, start, limits), None)
    if not isinstance(first, Row):
        raise _refused("no-header", "第一行不是表头", "请保留第一行的字段编码后重新导出")
    after = first.offset + first.length

    def rows(skip: int) -> Iterator[Row | RowFault]:
        return (row for row in _records(path, found, after, limits) if row.number > skip)

    return Table(path, "csv", found, first.cells, rows)


def _encoding(path: Path, wanted: str | None) -> tuple[str, int]:
    """(encoding, bytes of the byte-order mark). One bounded pass per candidate."""
    with path.open("rb") as source:
        head = source.read(4)
    if head.startswith(codecs.BOM_UTF8):
        candidates, start = ["utf-8"], 3
    elif head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _refused("undecodable", "文件是 UTF-16 编码", "请另存为 UTF-8 或 GB18030 编码的 CSV 后导入")
    else:
        candidates, start = ([wanted] if wanted else []) + ["utf-8", "gb18030"], 0
    for candidate in candidates:
        if _decodes(path, candidate, start):
            return candidate, start
    raise _refused("undecodable", "文件编码无法识别，含有损坏的字符", "请按 GB18030 或 UTF-8 编码重新导出，不要手工改动")


def _decodes(path: Path, encoding: str, start: int) -> bool:
    try:
        decoder = codecs.getincrementaldecoder(encoding)("strict")
        with path.open("rb") as source:
            source.seek(start)
            while block := source.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except (UnicodeDecodeError, LookupError):
        return False
    return True


class _Lines:
    """Physical lines of a CSV file from ``start``, decoded, with the byte position behind the last one given out. Neither encoding
    has a line feed inside a character, so lines are cut on bytes."""

    def __init__(self, source: BinaryIO, encoding: str, start: int) -> None:
        source.seek(start)
        self._source = source
        self._encoding = encoding
        self.position = start
        self.given = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._source.readline()
        if not line or line == b"\x1a":
            raise StopIteration
        self.position += len(line)
        self.given += 1
        if self.given > _LONGEST_QUOTED:
            raise _UnclosedQuote
        return line.decode(self._encoding)

    def back_to(self, position: int) -> None:
        """Go on from another byte position."""
        self._source.seek(position)
        self.position = position


class _UnclosedQuote(Exception):
    """A quoted cell does not end."""


def _records(path: Path, encoding: str, start: int, limits: Limits) -> Iterator[Row | RowFault]:
    csv.field_size_limit(limits.cell_characters)
    number = 1 if start <= 3 else 0
    with path.open("rb") as source:
        lines = _Lines(source, encoding, start)
        reader = csv.reader(lines, strict=False)
        header_pending = start <= 3
        count = 0
        while True:
            before, lines.given = lines.position, 0
            try:
                cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, _UnclosedQuote):
                lines.back_to(before)
                lines.given = 0
                next(lines, None)
                count += 1
                message = "该行无法分列：引号未成对、单元格过长或含空字符，请检查后重新导出"
                yield RowFault(count - (1 if header_pending else 0), "unreadable", message, before, lines.position - before)
                reader = csv.reader(lines, strict=False)
                continue
            if not cells:
                continue
            count += 1
            yield Row(count - number, cells, before, lines.position - before)


# -- workbooks


def _open_workbook(path: Path, limits: Limits) -> Table:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError):
        raise _refused("unreadable", "工作簿已损坏", "请重新导出或另存后导入") from None
    size = path.stat().st_size
    expanded = sum(entry.file_size for entry in entries)
    if size > limits.workbook_bytes or expanded > min(limits.expanded_bytes, size * limits.expansion + (16 << 20)):
        raise _refused("over-limit", "工作簿过大或压缩比异常", "请改用 CSV 导出，或按月拆分")
    try:
        book = CalamineWorkbook.from_path(str(path))
        sheet = book.get_sheet_by_index(0)
        data = sheet.to_python(skip_empty_area=False)
    except (CalamineError, OSError, IndexError):
        raise _refused("unreadable", "工作簿无法打开", "请重新导出或另存为 CSV 后导入") from None
    filled = [[_text(cell) for cell in row] for row in data]
    filled = [row for row in filled if any(row)]
    if not filled:
        raise _refused("empty", "工作簿的第一张表是空的", "请把首页数据放在第一张表")
    header = filled[0]

    def rows(skip: int) -> Iterator[Row | RowFault]:
        return (Row(number, cells) for number, cells in enumerate(filled[1:], start=1) if number > skip)

    return Table(path, "xlsx", "", header, rows)


def _text(cell: Any) -> str:
    """A workbook cell as the text that a CSV export would show."""
    match cell:
        case bool():
            return "1" if cell else "0"
        case float():
            return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
        case datetime():
            return cell.strftime("%Y-%m-%d %H:%M:%S")
        case date():
            return cell.isoformat()
        case None:
            return ""
        case _:
            return str(cell)
