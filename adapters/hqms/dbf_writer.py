"""DBF files, single or as two parts. Text that does not fit its field is refused, never cut: a cut character would reach the
platform as another one. What the fields of the P-code layout are is known in `adapters.hqms.pcode_dbf`."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import BinaryIO, Literal

from gateway.model.errors import ConfigurationError, RowRefused

GBK_DRIVER = 0x4D
"""The language byte for code page 936."""

_FIELDS = 255
_RECORD_BYTES = 65_500
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.([0-9]+))?")
_DATE = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})")


@dataclass(frozen=True, slots=True)
class DbfField:
    """A field: its name (at most 10 ASCII characters), its type (text, number or date), its width in bytes and its decimals."""

    name: str
    type: Literal["C", "N", "D"] = "C"
    length: int = 1
    decimals: int = 0

    @property
    def width(self) -> int:
        """Bytes in a record."""
        return 8 if self.type == "D" else self.length


def write_dbf(path: Path, fields: Sequence[DbfField], rows: Iterable[Sequence[str]], *, encoding: str = "gb18030") -> int:
    """Write rows of text cells as a DBF file; it appears under its name only when it is complete. Returns the number of rows.

    Raises `ConfigurationError` for fields that a DBF cannot have and `RowRefused` for a cell that its field cannot hold.
    """
    with _Writer(path, fields, encoding) as writer:
        for number, row in enumerate(rows, start=1):
            writer.append(writer.packed(row, number))
    return writer.count


def write_dbf_parts(
    part1: tuple[Path, Sequence[DbfField]],
    part2: tuple[Path, Sequence[DbfField]],
    rows: Iterable[Mapping[str, str]],
    *,
    encoding: str = "gb18030",
    on_misfit: Callable[[int, RowRefused], object] | None = None,
) -> int:
    """Write rows, by field name, into two files that share the key fields their lists repeat. Both appear or neither does.
    Returns the number of rows written.

    A row that does not fit, or has the keys of an earlier one so that its halves could not be joined again, goes to ``on_misfit``
    with its number (from 1) and into neither file; the other rows go on. Without ``on_misfit`` it raises as `write_dbf` does.
    """
    keys = [field.name for field in part1[1] if field in part2[1]]
    seen: set[tuple[str, ...]] = set()
    with ExitStack() as stack:
        writers = [stack.enter_context(_Writer(path, fields, encoding)) for path, fields in (part1, part2)]
        for number, row in enumerate(rows, start=1):
            try:
                packed = [writer.packed([row.get(field.name, "") for field in writer.fields], number) for writer in writers]
                key = tuple(row.get(name, "").strip() for name in keys)
                if keys and key in seen:
                    raise _repeated(keys, number)
            except RowRefused as misfit:
                if on_misfit is None:
                    raise
                on_misfit(number, misfit)
                continue
            seen.add(key)
            for writer, record in zip(writers, packed, strict=True):
                writer.append(record)
    return writers[0].count


class _Writer:
    def __init__(self, path: Path, fields: Sequence[DbfField], encoding: str) -> None:
        _check(fields)
        self.fields = list(fields)
        self.count = 0
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._encoding = encoding
        self._file: BinaryIO | None = None

    def __enter__(self) -> _Writer:
        self._file = self._partial.open("wb")
        self._file.write(self._header())
        return self

    def packed(self, cells: Sequence[str], row: int) -> bytes:
        """A row as a record. Raises `RowRefused`, naming ``row``."""
        fields = zip(self.fields, cells, strict=True)
        return b" " + b"".join([_packed(field, cell, self._encoding, row) for field, cell in fields])

    def append(self, record: bytes) -> None:
        assert self._file is not None
        self._file.write(record)
        self.count += 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._file is not None
        try:
            if kind is None:
                self._file.write(b"\x1a")
                self._file.seek(0)
                self._file.write(self._header())
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()
            if kind is not None:
                self._partial.unlink(missing_ok=True)
        if kind is None:
            self._partial.replace(self._path)

    def _header(self) -> bytes:
        today = date.today()  # noqa: DTZ011 - the format has a local date without a zone
        size = 32 + 32 * len(self.fields) + 1
        width = 1 + sum(field.width for field in self.fields)
        head = struct.pack("<4BIHH17xBxx", 3, today.year - 1900, today.month, today.day, self.count, size, width, GBK_DRIVER)
        described = b"".join(
            struct.pack("<11sc4xBB14x", field.name.encode("ascii"), field.type.encode("ascii"), field.width, field.decimals)
            for field in self.fields
        )
        return head + described + b"\r"


def _check(fields: Sequence[DbfField]) -> None:
    names = {field.name.upper() for field in fields}
    sound = all(
        re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,9}", field.name)
        and 1 <= field.width <= (254 if field.type == "C" else 20)
        and (field.decimals == 0 or (field.type == "N" and field.decimals + 2 <= field.width))
        for field in fields
    )
    width = 1 + sum(field.width for field in fields)
    if not fields or len(fields) > _FIELDS or len(names) < len(fields) or not sound or width > _RECORD_BYTES:
        raise ConfigurationError(
            "DBF 的字段定义不成立",
            action=f"字段至多 {_FIELDS} 个，名称不重复且至多 10 个字符，字符型至多 254 字节",
            english="field list cannot be written as DBF",
        )


def _packed(field: DbfField, cell: str, encoding: str, row: int) -> bytes:
    """A cell as the bytes of its field. Raises `RowRefused`."""
    if field.type == "C":
        try:
            data = cell.encode(encoding)
        except UnicodeEncodeError:
            data = None
        if data is None:
            raise _misfit(field, row, "unencodable", f"含有 {encoding} 不能表示的字符")
        if len(data) > field.width:
            raise _misfit(field, row, "too-long", f"超过 {field.width} 个字节")
        return data.ljust(field.width)
    text = cell.strip()
    if not text:
        return b" " * field.width
    if field.type == "D":
        match = _DATE.fullmatch(text)
        if match is None:
            raise _misfit(field, row, "type", "不是 yyyy-MM-dd 日期")
        return "".join(match.groups()).encode("ascii")
    number = _NUMBER.fullmatch(text)
    if number is None or len(number[1] or "") > field.decimals:
        raise _misfit(field, row, "type", f"不是至多 {field.decimals} 位小数的数值")
    if len(text) > field.width:
        raise _misfit(field, row, "too-long", f"超过 {field.width} 位")
    return text.rjust(field.width).encode("ascii")


def _repeated(keys: Sequence[str], row: int) -> RowRefused:
    return RowRefused(
        "duplicate-key",
        f"第 {row} 行的 {'、'.join(keys)} 与前面的一行相同，两个部分无法对应",
        field=keys[0],
        action="请确认是否重复，只保留一行后重新生成",
        english=f"row {row}: keys {', '.join(keys)} repeat those of an earlier row",
    )


def _misfit(field: DbfField, row: int, reason: str, what: str) -> RowRefused:
    return RowRefused(
        reason,
        f"第 {row} 行的 {field.name} {what}",
        field=field.name,
        action="请改正后重新生成",
        english=f"row {row}: {field.name} does not fit ({reason})",
    )
