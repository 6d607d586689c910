"""Front-sheet files as a header and a stream of rows of text cells, whatever the container: CSV, Excel workbook, DBF, or a zip
that holds one of them. This layer knows nothing of what a column means.

What a file is, its bytes decide; its name must agree. A file that cannot be used as a whole raises `FileRefused` with one of the
reasons in `REASONS`; a row that cannot be used becomes a `RowFault` and the rows after it go on. No character is ever replaced and
no cell value ever stands in a message.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from gateway.model.errors import FileRefused, RowRefused

REASONS: Final = (
    "empty",
    "not-what-its-name-says",
    "undecodable",
    "no-header",
    "duplicate-header",
    "over-limit",
    "unreadable",
    "encrypted",
    "missing-part",
)
"""Every reason a file can be refused for."""

_KIND_OF_SUFFIX = {".csv": "csv", ".txt": "csv", ".xlsx": "xlsx", ".xlsm": "xlsx", ".dbf": "dbf", ".zip": "zip"}
_NAME_OF_KIND = {"csv": "CSV 文本", "xlsx": "Excel 工作簿（xlsx）", "dbf": "DBF", "zip": "ZIP 压缩包"}
_HEAD = 4096
_NAME = re.compile(r"[^\W\d_]")
_PART = re.compile(r"(.*?)[ _.-]*part[ _-]?([12])", re.IGNORECASE)
_FOREIGN = (
    (b"%PDF", "PDF"),
    (b"\x1f\x8b", "GZIP 压缩包"),
    (b"Rar!", "RAR 压缩包"),
    (b"7z\xbc\xaf\x27\x1c", "7z 压缩包"),
    (b"\x89PNG", "图片"),
    (b"\xff\xd8\xff", "图片"),
    (b"{\\rtf", "RTF 文档"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_DBF_VERSIONS = frozenset(b"\x02\x03\x04\x05\x30\x31\x32\x43\x63\x7b\x83\x8b\x8e\xcb\xe5\xf5\xfb")

HeaderTest = Callable[[list[str]], bool]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may be at most. Beyond a limit of the file it is refused, beyond a limit of a cell its row is.

    ``expanded_bytes`` and ``expansion_ratio`` guard zip-based containers; ``xlsx_cells`` bounds the grid (rows × columns) of a
    workbook, because a workbook is held in memory as a whole.
    """

    file_bytes: int = 2 << 30
    expanded_bytes: int = 4 << 30
    expansion_ratio: int = 200
    cell_chars: int = 32_767
    columns: int = 2_000
    rows: int = 5_000_000
    xlsx_bytes: int = 200 << 20
    xlsx_cells: int = 40_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """A data row, counted from 1 without the header. ``offset`` and ``length`` are its bytes in a CSV file, else -1 and 0."""

    number: int
    cells: list[str]
    offset: int = -1
    length: int = 0


@dataclass(frozen=True, slots=True)
class UncutRow:
    """A data row whose cells are cut when they are asked for: what goes to another process is small then, and cut there. ``raw`` is the
    line without quotes, NUL or overlong cells."""

    number: int
    raw: bytes
    codec: str
    offset: int

    @property
    def cells(self) -> list[str]:
        """The cells; cut anew each time. Raises `RowRefused` when the bytes are not any more what was examined."""
        try:
            return self.raw.decode(self.codec).rstrip("\r\n").split(",")
        except UnicodeDecodeError:
            pass
        # outside the handler: a codec error holds the data
        raise RowRefused("undecodable", "该行在读取期间被改动，无法解码", action="请等文件写完后重新导入", english="row changed")

    @property
    def length(self) -> int:
        """Bytes in the file, the line end included."""
        return len(self.raw)


@dataclass(frozen=True, slots=True)
class RowFault:
    """A row that cannot be cut into cells. ``reason`` is a stable word, ``message`` a Chinese sentence without cell values."""

    number: int
    reason: str
    message: str
    offset: int = -1
    length: int = 0


class Table(ABC):
    """An opened table.

    ``path`` is the file the rows are read from, ``origin`` the file that was asked for (they differ for a zip); ``kind`` is csv,
    xlsx or dbf; ``encoding`` is empty for a workbook. Close it, or use it in a ``with`` statement, to drop extracted files.
    """

    kind: str

    def __init__(self, path: Path, header: list[str], *, encoding: str, total: int) -> None:
        self.path = path
        self.origin = path
        self.header = header
        self.encoding = encoding
        self._total = total
        self._consumed = 0
        self._on_close: Callable[[], object] | None = None

    @abstractmethod
    def rows(self, skip: int = 0) -> Iterator[Row | RowFault]:
        """Rows and faults in file order, those numbered up to ``skip`` left out. Each call starts afresh. Rows without any
        content are passed over and not counted. Raises `FileRefused` when the file changes meanwhile or has too many rows."""

    def uncut_rows(self, skip: int = 0) -> Iterator[Row | UncutRow | RowFault]:
        """As `rows`, with rows left uncut where that is cheap."""
        return self.rows(skip)

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes consumed by the latest ``rows`` and bytes in all, for a progress bar."""
        return min(self._consumed, self._total), self._total

    def on_close(self, clean_up: Callable[[], object]) -> None:
        """Have ``clean_up`` called on `close`."""
        self._on_close = clean_up

    def close(self) -> None:
        """Drop what was extracted for this table. May be called twice."""
        if self._on_close is not None:
            self._on_close()

    def __enter__(self) -> Table:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def open_table(
    path: Path, *, encoding: str | None = None, limits: Limits | None = None, is_header: HeaderTest | None = None
) -> Table:
    """Open a front-sheet file.

    ``encoding`` is tried first where no byte-order mark decides; ``is_header`` may refuse a first row that this layer would take
    for a header. Raises `FileRefused`.
    """
    # the readers build on the types above
    from adapters.hqms.archive import open_zip
    from adapters.hqms.csv_table import CsvTable
    from adapters.hqms.dbf_table import DbfTable
    from adapters.hqms.xlsx_table import XlsxTable

    path, limits = Path(path), limits or Limits()
    kind = _kind(path, limits)
    if kind == "zip":
        return open_zip(path, encoding=encoding, limits=limits, is_header=is_header)
    table: Table | None = None
    with suppress(OSError):
        if kind == "csv":
            table = CsvTable(path, encoding, limits)
        elif kind == "xlsx":
            table = XlsxTable(path, limits)
        else:
            table = DbfTable(path, encoding, limits)
    if table is None:
        raise changed(path)
    _check_header(table.header, limits, is_header)
    return table


def source_bytes(path: Path, row: Row | RowFault) -> bytes:
    """The exact bytes of a CSV record, its line end included. Raises `FileRefused` when the file no longer holds them and
    `ValueError` for a row of another container."""
    if row.offset < 0:
        raise ValueError("only rows of a CSV file have a byte range")
    try:
        with path.open("rb") as source:
            source.seek(row.offset)
            data = source.read(row.length)
    except OSError:
        data = b""
    if len(data) != row.length:
        raise changed(path)
    return data


def split_part(stem: str) -> tuple[str, int] | None:
    """(name, part) of a file name such as ``hqms_2020-01-31_part1``; None for a name without a part number."""
    match = _PART.fullmatch(stem)
    return None if match is None else (match[1], int(match[2]))


def refused(reason: str, message: str, action: str, english: str) -> FileRefused:
    """A `FileRefused` of this layer."""
    return FileRefused(reason, message, action=action, english=english)


def changed(path: Path) -> FileRefused:
    """The refusal of a file that is not any more what it was when it was opened."""
    return refused(
        "unreadable", f"文件“{path.name}”在读取期间被改动或移走", "请等文件写完后重新导入", "file changed while it was read"
    )


def too_big(limits: Limits) -> FileRefused:
    """The refusal of a file over the limit of bytes."""
    return refused("over-limit", f"文件超过 {limits.file_bytes >> 20} MiB", "请按月拆分后分别导入", "file over the size limit")


def too_many_rows(limits: Limits) -> FileRefused:
    """The refusal of a file with more rows than the limit."""
    return refused("over-limit", f"文件超过 {limits.rows} 行", "请按月拆分后分别导入", "more rows than the limit")


def _kind(path: Path, limits: Limits) -> str:
    """The container by its first bytes. Raises `FileRefused` when the name says otherwise."""
    try:
        if not path.is_file():
            raise refused("unreadable", f"找不到文件“{path.name}”", "请检查路径", "no such regular file")
        size = path.stat().st_size
        with path.open("rb") as source:
            head = source.read(_HEAD)
    except OSError:
        head, size = b"", -1
    if size < 0:
        raise refused("unreadable", f"文件“{path.name}”无法读取", "请检查权限，或等文件写完后再试", "file cannot be read")
    if size > limits.file_bytes:
        raise too_big(limits)
    suffix = path.suffix.lower()
    named = _KIND_OF_SUFFIX.get(suffix)
    if not head.strip(b"\r\n\t \x1a\x00"):
        raise refused("empty", "文件是空的", "请重新导出后再导入", "file is empty")
    if head.startswith(_OLE):
        _refuse_ole(path, suffix)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        from adapters.hqms.archive import content_of

        found, what = content_of(path)
    elif is_dbf(head):
        found, what = "dbf", "DBF 文件"
    else:
        found, what = "csv", "文本文件"
        bare = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        for magic, name in _FOREIGN:
            if head.startswith(magic):
                found, what = "", name
        if re.match(rb"<[!?A-Za-z]", bare):
            found, what = "", "网页（HTML/XML）"
    if not found or (named is not None and named != found) or suffix == ".xls":
        raise refused(
            "not-what-its-name-says",
            f"“{path.name}”不是它的名字所说的文件：内容是{what}",
            f"请改用正确的扩展名，或重新导出为{_NAME_OF_KIND.get(named or '', '') or 'CSV 或 xlsx'}后导入",
            f"content is {found or 'of a foreign type'}, suffix is {suffix or 'missing'}",
        )
    return found


def _refuse_ole(path: Path, suffix: str) -> None:
    """Old binary workbooks and encrypted new ones share one container. Raises `FileRefused`."""
    needle, tail, encrypted = "EncryptedPackage".encode("utf-16-le"), b"", False
    with path.open("rb") as source:
        while not encrypted and (block := source.read(1 << 20)):
            encrypted = needle in tail + block
            tail = block[-len(needle) :]
    if encrypted:
        raise refused("encrypted", "工作簿设有打开密码", "请在 Excel 中取消密码后另存为 xlsx 再导入", "workbook is encrypted")
    raise refused(
        "unreadable" if suffix == ".xls" else "not-what-its-name-says",
        "这是旧版 Excel 二进制工作簿（.xls）" if suffix == ".xls" else f"“{path.name}”不是它的名字所说的文件：内容是旧版 Excel",
        "请在 Excel 中另存为 xlsx 或 CSV 后导入",
        "old binary workbook",
    )


def is_dbf(head: bytes) -> bool:
    """Whether the first 32 bytes (or more) of a file are those of a DBF."""
    if len(head) < 32 or head[0] not in _DBF_VERSIONS or head[2] > 12 or head[3] > 31:
        return False
    return int.from_bytes(head[8:10], "little") >= 33 and int.from_bytes(head[10:12], "little") >= 2


def _check_header(header: list[str], limits: Limits, is_header: HeaderTest | None) -> None:
    if len(header) > limits.columns:
        raise refused("over-limit", f"表头有 {len(header)} 列，超过 {limits.columns} 列", "请确认文件是否选对", "too many columns")
    if not any(_NAME.match(cell.strip()) for cell in header) or (is_header is not None and not is_header(header)):
        raise refused("no-header", "第一行不是表头", "请让第一行是字段编码（如 A48、A49）后重新导出", "first row is no header")
    if len(header) == 1 and re.search(r"[\t;；，|]", header[0].strip()):
        raise refused("no-header", "表头没有用英文逗号分列", "请用英文逗号分隔后重新导出", "header is not separated by commas")
    repeated = [name for name, n in Counter(_folded(header)).items() if n > 1 and name]
    if repeated:
        names: Sequence[str] = [name.strip() for name in header if name.strip().casefold() in repeated[:5]]
        raise refused(
            "duplicate-header",
            f"表头字段重复：{'、'.join(dict.fromkeys(names))}",
            "请只保留其中一列后重新导出",
            f"{len(repeated)} header names come twice",
        )


def _folded(header: list[str]) -> list[str]:
    return [name.strip().casefold() for name in header]
