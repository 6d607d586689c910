"""Zip-based containers behind limits: workbooks are checked here before they are opened, and a zip that holds one table file, or
the two parts of a DBF, is unpacked into a temporary directory.

The directory of a zip is a claim. What a part really unpacks to is counted while it is unpacked, and a part that holds more, or
less, than it says is refused.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from adapters.hqms.tables import HeaderTest, Limits, Table, open_table, refused, split_part
from gateway.model.errors import FileRefused

ENTRIES = 10_000
"""Entries a zip may have."""

_SMALL = 1 << 20
"""Below this size no expansion ratio is suspicious."""

_BLOCK = 1 << 16
_FARTHEST = 1 << 62
_LOCAL_HEADER = 30
_TABLES = frozenset((".csv", ".txt", ".xlsx", ".xlsm", ".dbf"))
_LITTER = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")


def content_of(path: Path) -> tuple[str, str]:
    """(kind, Chinese name) of a zip-based file; the kind is empty for what is not read here. Raises `FileRefused`."""
    names = {info.filename for info in _directory(path)}
    if "xl/workbook.bin" in names:
        return "", "xlsb 工作簿"
    if any(name.startswith("xl/") for name in names):
        return "xlsx", "Excel 工作簿（xlsx）"
    if any(name.startswith(("word/", "ppt/")) for name in names):
        return "", "Word 或 PowerPoint 文档"
    if "content.xml" in names and "mimetype" in names:
        return "", "OpenDocument 文档"
    return "zip", "ZIP 压缩包"


def checked_entries(path: Path, limits: Limits) -> list[zipfile.ZipInfo]:
    """The entries of a zip whose claims stay within the limits. Raises `FileRefused`."""
    entries = _directory(path)
    if not all(entry.filename for entry in entries):
        raise _damaged("an entry without a name")
    if any(entry.flag_bits & 0x41 for entry in entries):
        raise refused("encrypted", "压缩包或工作簿设有密码", "请取消密码后重新导入", "zip entries are encrypted")
    if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
        raise refused(
            "unreadable", "压缩方式不受支持", "请用普通 ZIP 方式重新压缩，或直接导入 CSV", "unsupported compression method"
        )
    expanded = sum(entry.file_size for entry in entries)
    if len(entries) > ENTRIES or expanded > limits.expanded_bytes:
        raise _bomb(f"{len(entries)} entries, {expanded} bytes declared")
    if expanded > _SMALL and expanded > limits.expansion_ratio * path.stat().st_size:
        raise _bomb(f"{expanded} bytes declared in a file of {path.stat().st_size}")
    return entries


def inflated(source: BinaryIO, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """The content of an entry in blocks. Raises `FileRefused` when it is not exactly what the directory says."""
    if not 0 <= entry.header_offset < _FARTHEST:
        raise _damaged("an entry outside the file")
    source.seek(entry.header_offset)
    local = source.read(_LOCAL_HEADER)
    if len(local) < _LOCAL_HEADER or not local.startswith(b"PK\x03\x04"):
        raise _damaged("no local header")
    source.seek(int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little"), 1)
    left, size, check = entry.compress_size, 0, 0
    engine = zlib.decompressobj(-zlib.MAX_WBITS) if entry.compress_type == zipfile.ZIP_DEFLATED else None
    data, broken = b"", False
    while not broken:
        if not data and left > 0:
            data = source.read(min(_BLOCK, left))
            left = left - len(data) if data else 0
        if engine is None:
            block, data = data, b""
        else:
            try:  # after the last byte there may still be output that did not fit into the block before
                block, data = engine.decompress(data, 16 * _BLOCK), engine.unconsumed_tail
            except zlib.error:
                block, broken = b"", True
        if not block and not data and not left:
            break
        size += len(block)
        check = zlib.crc32(block, check)
        if size > entry.file_size:
            raise _bomb("an entry holds more than it declares")
        if block:
            yield block
    if broken or size != entry.file_size or check != entry.CRC:
        raise _damaged("an entry is cut short or damaged")


def open_zip(path: Path, *, encoding: str | None, limits: Limits, is_header: HeaderTest | None) -> Table:
    """The table in a zip that holds one table file or both parts of a DBF. Its files are unpacked into a temporary directory
    that goes when the table is closed or forgotten. Raises `FileRefused`."""
    members = [
        entry
        for entry in checked_entries(path, limits)
        if not entry.is_dir() and not entry.filename.startswith(_LITTER) and not entry.filename.endswith(_LITTER)
    ]
    if not members:
        raise refused("empty", "压缩包是空的", "请重新压缩后再导入", "zip is empty")
    names = _unpacked_names(members)
    if names is None:
        raise refused(
            "unreadable",
            "压缩包里不是恰好一个数据文件（CSV、xlsx 或 DBF）或一对 part1/part2 DBF",
            "请解压后分别导入",
            f"zip has {len(members)} members that are no table",
        )
    folder = Path(tempfile.mkdtemp(prefix="zhibao-"))
    try:
        with path.open("rb") as source:
            for entry, name in zip(members, names, strict=True):
                with (folder / name).open("wb") as target:
                    for block in inflated(source, entry):
                        target.write(block)
        table = open_table(folder / names[0], encoding=encoding, limits=limits, is_header=is_header)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    table.origin = path
    table.on_close(weakref.finalize(table, shutil.rmtree, folder, ignore_errors=True))
    return table


def _unpacked_names(members: list[zipfile.ZipInfo]) -> list[str] | None:
    """Names of our own making, so that none leads out of the directory; None when the members are no table."""
    paths = [PurePosixPath(member.filename.replace("\\", "/")) for member in members]
    if len(paths) == 1:
        part = split_part(paths[0].stem)
        stem = f"table_part{part[1]}" if part is not None and paths[0].suffix.lower() == ".dbf" else "table"
        return [stem + paths[0].suffix.lower()] if paths[0].suffix.lower() in _TABLES else None
    parts = [split_part(path.stem) if path.suffix.lower() == ".dbf" else None for path in paths]
    numbers = [part[1] for part in parts if part is not None]
    stems = {part[0].casefold() for part in parts if part is not None}
    if len(paths) != 2 or sorted(numbers) != [1, 2] or len(stems) != 1:
        return None
    return [f"table_part{number}.dbf" for number in numbers]


def _directory(path: Path) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeDecodeError):
        pass
    raise _damaged("no readable zip directory")


def _damaged(english: str) -> FileRefused:
    return refused("unreadable", "文件已损坏或不完整", "请重新导出或重新传输后再导入", english)


def _bomb(english: str) -> FileRefused:
    return refused("over-limit", "文件解压后过大或压缩比异常", "请改用 CSV 导出，或按月拆分后分别导入", english)
