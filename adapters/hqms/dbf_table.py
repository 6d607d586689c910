"""DBF files as tables: one file, or the two parts of the P-code layout (``..._part1.dbf`` and ``..._part2.dbf``), joined on P3
and P22.

A DBF is a header and records of fixed width, so it is read as such: streaming, with an index from the key to the record number of
the second part as the only thing that grows. Text is decoded field by field; a record that does not decode is a fault of its own.
"""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from adapters.hqms.tables import Limits, Row, RowFault, Table, changed, is_dbf, refused, split_part, too_big, too_many_rows

JOIN_KEYS = ("P3", "P22")
"""Columns that both parts have: 病案号 and 入院日期."""

_DELETED = 0x2A
_TERMINATOR = 0x0D
_TRUTH = {"T": "1", "Y": "1", "F": "0", "N": "0", "?": ""}


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    type: str
    start: int
    end: int


class DbfTable(Table):
    """A DBF file or both parts of one, whichever of the two was asked for. Raises `FileRefused`, with ``missing-part`` when the
    other part is not beside it."""

    kind = "dbf"

    def __init__(self, path: Path, encoding: str | None, limits: Limits) -> None:
        self._limits = limits
        first, second = _parts(path)
        self._first = _File(first, encoding, limits)
        self._second = _File(second, encoding, limits) if second is not None else None
        total = self._first.size + (self._second.size if self._second else 0)
        super().__init__(path, [field.name for field in self._first.fields], encoding=self._first.encoding, total=total)
        if self._second is not None:
            for file in (self._first, self._second):
                file.find_keys()
            self.header = self.header + [f.name for i, f in enumerate(self._second.fields) if i not in self._second.keys]

    def rows(self, skip: int = 0) -> Iterator[Row | RowFault]:
        """See `Table.rows`. Records of the second part without a partner come last, as faults."""
        self._consumed = 0
        count = 0
        for number, cells, fault in self._joined(skip) if self._second is not None else self._single(skip):
            count += 1
            if count > self._limits.rows:
                raise too_many_rows(self._limits)
            if number <= skip:
                continue
            yield RowFault(number, fault, _MESSAGES[fault]) if fault else Row(number, cells)
        self._consumed = self._total

    def _single(self, skip: int) -> Iterator[tuple[int, list[str], str]]:
        number = 0
        with self._first.opened() as source:
            for _, record in self._first.records(source):
                number += 1
                self._consumed += len(record)
                if number > skip:
                    cells = self._first.cells(record)
                    yield (number, [], "undecodable") if cells is None else (number, cells, "")
                else:
                    yield number, [], ""

    def _joined(self, skip: int) -> Iterator[tuple[int, list[str], str]]:
        first, second = self._first, self._second
        assert second is not None
        twice = first.repeated_keys()
        index = second.index()
        used = bytearray(second.count)
        number = 0
        keys = set(second.keys)
        with ExitStack() as stack:
            source, partner = stack.enter_context(first.opened()), stack.enter_context(second.opened())
            for _, record in first.records(source):
                number += 1
                self._consumed += len(record)
                key = first.key(record)
                position = index.get(key) if key is not None else None
                if position is not None and position >= 0:
                    used[position] = 1
                    self._consumed += second.width
                if number <= skip:
                    yield number, [], ""
                elif key is None:
                    yield number, [], "undecodable"
                elif key in twice or position == _TWICE:
                    yield number, [], "duplicate-key"
                elif position is None:
                    yield number, [], "no-partner"
                else:
                    cells, rest = first.cells(record), second.cells(second.record(partner, position))
                    if cells is None or rest is None:
                        yield number, [], "undecodable"
                    else:
                        yield number, cells + [cell for i, cell in enumerate(rest) if i not in keys], ""
            known = first.all_keys() if _TWICE in index.values() else frozenset()
            for position, record in second.records(partner):
                key = second.key(record)
                if not used[position] and not (key in known and index.get(key or "") == _TWICE):
                    number += 1
                    yield number, [], "undecodable" if key is None else "no-first-part"


_TWICE = -1
_MESSAGES = {
    "undecodable": "该记录含有无法解码的字符或空字符（NUL），请检查是否有汉字被截断，改正后重新导出",
    "duplicate-key": "该记录的病案号和入院日期（P3、P22）在文件中重复，无法确定对应关系，请改正后重新导出",
    "no-partner": "该记录在第二部分（part2）中没有对应记录，请重新导出两个部分",
    "no-first-part": "第二部分（part2）中的一条记录在第一部分（part1）中没有对应记录，请重新导出两个部分",
}


class _File:
    """One DBF file. Raises `FileRefused` when its structure is not sound."""

    def __init__(self, path: Path, encoding: str | None, limits: Limits) -> None:
        self.path = path
        self.size = path.stat().st_size
        if self.size > limits.file_bytes:
            raise too_big(limits)
        with path.open("rb") as source:
            head = source.read(32)
            if len(head) < 32:
                raise _damaged(path, "header cut short")
            if not is_dbf(head):
                raise refused(
                    "not-what-its-name-says", f"“{path.name}”的内容不是 DBF", "请重新导出两个部分", "second part is no dbf"
                )
            count, self._start, self.width = struct.unpack_from("<IHH", head, 4)
            if head[15]:
                raise refused("encrypted", f"“{path.name}”是加密的 DBF", "请取消加密后重新导出", "dbf is encrypted")
            described = source.read(self._start - 32)
        self.count: int = count
        self.keys: list[int] = []
        self.encoding = _encoding(encoding)
        if len(described) != self._start - 32:
            raise _damaged(path, "header cut short")
        self.fields = _fields(path, described, self.width)
        data = self.size - self._start
        if data < count * self.width:
            raise _damaged(path, f"{count} records declared, {data} bytes of data")
        self._refuse_more_records()
        self._converters = [_CONVERTERS[field.type] for field in self.fields]
        self._text_only = all(field.type == "C" for field in self.fields)

    def find_keys(self) -> None:
        """Find the columns that join the parts. Raises `FileRefused` when one is missing."""
        names = [field.name.upper() for field in self.fields]
        missing = [key for key in JOIN_KEYS if key not in names]
        if missing:
            raise refused(
                "no-header",
                f"“{self.path.name}”缺少用于合并两个部分的列：{'、'.join(missing)}",
                "请在两个部分中都保留 P3 和 P22 后重新导出",
                "a join column is missing",
            )
        self.keys = [names.index(key) for key in JOIN_KEYS]

    def opened(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except OSError:
            pass
        raise changed(self.path)

    def records(self, source: BinaryIO) -> Iterator[tuple[int, bytes]]:
        """(position, record) of every record that is neither deleted nor blank."""
        width, bunch = self.width, max(1, (1 << 20) // self.width)
        for base in range(0, self.count, bunch):
            source.seek(self._start + base * width)
            wanted = min(bunch, self.count - base) * width
            data = source.read(wanted)
            if len(data) != wanted:
                raise changed(self.path)
            for i in range(0, wanted, width):
                record = data[i : i + width]
                if record[0] != _DELETED and record.strip(b" \0"):
                    yield base + i // width, record

    def record(self, source: BinaryIO, position: int) -> bytes:
        source.seek(self._start + position * self.width)
        data = source.read(self.width)
        if len(data) != self.width:
            raise changed(self.path)
        return data

    def cells(self, record: bytes) -> list[str] | None:
        """The cells of a record, or None when a field does not decode."""
        encoding = self.encoding
        try:
            if self._text_only and record.isascii():
                text = record.decode("ascii")
                cells = [text[field.start : field.end].rstrip(" \0") for field in self.fields]
            else:
                pairs = zip(self.fields, self._converters, strict=True)
                cells = [convert(record[field.start : field.end], encoding) for field, convert in pairs]
        except UnicodeDecodeError:
            return None
        return None if b"\0" in record and any("\0" in cell for cell in cells) else cells

    def key(self, record: bytes) -> str | None:
        """What joins a record to its partner, or None when it does not decode."""
        try:
            parts = [
                self._converters[i](record[self.fields[i].start : self.fields[i].end], self.encoding).strip() for i in self.keys
            ]
        except UnicodeDecodeError:
            return None
        return "\0".join(parts)

    def all_keys(self) -> frozenset[str]:
        with self.opened() as source:
            return frozenset(key for _, record in self.records(source) if (key := self.key(record)) is not None)

    def repeated_keys(self) -> frozenset[str]:
        seen: set[str] = set()
        twice: set[str] = set()
        with self.opened() as source:
            for _, record in self.records(source):
                if (key := self.key(record)) is not None:
                    (twice if key in seen else seen).add(key)
        return frozenset(twice)

    def index(self) -> dict[str, int]:
        """Key to position; `_TWICE` for a key that several records have."""
        found: dict[str, int] = {}
        with self.opened() as source:
            for position, record in self.records(source):
                if (key := self.key(record)) is not None:
                    found[key] = _TWICE if key in found else position
        return found

    def _refuse_more_records(self) -> None:
        """A file that goes on after its declared records lost its last header update: rows would be missed in silence."""
        end = self._start + self.count * self.width
        with self.path.open("rb") as source:
            source.seek(end)
            tail = source.read(self.width)
        if len(tail) == self.width and tail[0] in b" *":
            raise _damaged(self.path, "records beyond the declared count")


def _parts(path: Path) -> tuple[Path, Path | None]:
    """The first and the second part, whichever was asked for; a file without a part number stands alone."""
    own = split_part(path.stem)
    if own is None:
        return path, None
    stem, number = own
    for other in sorted(path.parent.iterdir()):
        part = split_part(other.stem) if other.suffix.lower() == ".dbf" else None
        if part is not None and part[0].casefold() == stem.casefold() and part[1] == 3 - number and other.is_file():
            return (path, other) if number == 1 else (other, path)
    raise refused(
        "missing-part",
        f"找不到“{path.name}”的另一部分（part{3 - number}）",
        "请把 part1 和 part2 两个 DBF 放在同一目录，或压缩在同一个 zip 中后导入",
        "the other part of the dbf is missing",
    )


def _fields(path: Path, described: bytes, width: int) -> list[_Field]:
    raw: list[tuple[str, str, int, int]] = []
    for i in range(0, len(described) - 31, 32):
        if described[i] == _TERMINATOR:
            break
        piece = described[i : i + 32]
        type_ = chr(piece[11])
        if type_ in "MGP":
            raise refused("unreadable", f"“{path.name}”含有备注型字段（{type_}）", "请改为字符型字段后重新导出", "memo field")
        if type_ not in _CONVERTERS:
            raise refused(
                "unreadable", f"“{path.name}”含有不支持的字段类型", "请只用字符、数值、日期型字段重新导出", "unknown field type"
            )
        raw.append((_field_name(piece), type_, piece[16], piece[17]))
    if not raw:
        raise refused("no-header", f"“{path.name}”没有字段", "请重新导出", "dbf has no fields")
    long = sum(size for _, _, size, _ in raw) + 1 != width  # old programs keep the high byte of a long text in the decimals
    fields, at = [], 1
    for name, type_, size, decimals in raw:
        end = at + size + (decimals << 8 if long and type_ == "C" else 0)
        fields.append(_Field(name, type_, at, end))
        at = end
    if at != width:
        raise _damaged(path, f"fields take {at} bytes, records {width}")
    return fields


def _field_name(piece: bytes) -> str:
    try:
        return piece[:11].split(b"\0")[0].strip().decode("gb18030")
    except UnicodeDecodeError:  # the name of a column that nobody will recognise
        return ""


def _encoding(wanted: str | None) -> str:
    """GB18030, which contains GBK, unless the caller knows better. Raises `FileRefused` for a name that is no encoding."""
    try:
        name = codecs.lookup(wanted or "gb18030").name
    except LookupError:
        name = ""
    if not name:
        raise refused("undecodable", f"不支持的编码：{wanted}", "DBF 通常是 GBK 或 GB18030 编码", "unknown encoding")
    return "gb18030" if name in ("gbk", "gb2312") else name


def _text(data: bytes, encoding: str) -> str:
    return data.rstrip(b" \0").decode(encoding)


def _number(data: bytes, encoding: str) -> str:
    return data.strip(b" \0").decode(encoding)


def _date(data: bytes, encoding: str) -> str:
    text = data.strip(b" \0").decode(encoding)
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if re.fullmatch(r"[0-9]{8}", text) else text


def _truth(data: bytes, encoding: str) -> str:
    text = data.strip(b" \0").decode(encoding)
    return _TRUTH.get(text.upper(), text)


_CONVERTERS: dict[str, Callable[[bytes, str], str]] = {
    "C": _text,
    "N": _number,
    "F": _number,
    "D": _date,
    "L": _truth,
}


def _damaged(path: Path, english: str) -> Exception:
    return refused("unreadable", f"“{path.name}”已损坏或不完整", "请重新导出或重新传输后再导入", english)
