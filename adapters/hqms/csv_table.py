"""CSV files as tables, streaming.

Physical lines are cut on bytes, so that every record has its exact byte range; a line without a quote is split on commas, which is
what the csv module would do, only faster. A record with quotes goes through the csv module. A quote that is never closed costs the
physical line it stands in, not the lines after it.

The encoding is that of the byte-order mark, else the caller's, else strict UTF-8, else strict GB18030. The whole file decides, read
once per candidate in blocks; what none of them fits is refused. Codec errors hold the data they fail on; none leaves this module.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from adapters.hqms.tables import Limits, Row, RowFault, Table, UncutRow, changed, refused, too_many_rows

BLOCK = 1 << 20

QUOTED_LINES = 50
"""Physical lines that a record with quoted cells may span before its quote counts as unclosed."""

LINE_BYTES = 16 << 20
"""Bytes of a physical line, beyond which it is passed over without being held in memory, and of the lines of one record."""

_TELLING_WIDTH = 8
"""From this number of columns on, a line that has exactly the commas of a whole row is taken for one."""

_NOTHING = ", \t\r\n\v\f\u00a0\u3000"
_BLANK_BYTES = b", \t\r\n\v\f" + "\u00a0\u3000".encode() + "\u00a0\u3000".encode("gb18030")
"""Bytes of which blank characters are made: a line that holds any other is not blank."""
_BYTEWISE = frozenset(("utf-8", "gb18030"))
"""Codecs in which commas, quotes and line ends are bytes of their own, never part of a character."""
_CTRL_Z = re.compile(rb"\x1a[\x00\r\n]*\Z")
_WIDE_LINES = {
    "utf-16-le": re.compile(rb"(?s)(?:(?!\r\0|\n\0)..)*+(?:\r\0\n\0|\r\0|\n\0|\Z)"),
    "utf-16-be": re.compile(rb"(?s)(?:(?!\0\r|\0\n)..)*+(?:\0\r\0\n|\0\r|\0\n|\Z)"),
}


_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_KNOWN = {
    "utf-8": "utf-8",
    "utf-8-sig": "utf-8",
    "gb18030": "gb18030",
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "utf-16": "utf-16-le",
    "utf-16-le": "utf-16-le",
    "utf-16-be": "utf-16-be",
    "big5": "big5hkscs",
    "cp950": "big5hkscs",
    "big5hkscs": "big5hkscs",
}
"""Encodings a caller may name, by their Python name. The smaller Chinese sets are read as GB18030, which contains them."""

_THREE_BYTES = re.compile(r"[\u0800-\U0010ffff]")
_CERTAIN = 4
"""That many characters of three or more UTF-8 bytes do not come about by chance in GB18030 text."""


class CsvTable(Table):
    """A CSV file. Raises `FileRefused` when it cannot be decoded or has no header."""

    kind = "csv"

    def __init__(self, path: Path, encoding: str | None, limits: Limits) -> None:
        size = path.stat().st_size
        found, start = find_encoding(path, encoding)
        self._codec = codec_of(found)
        self._end = _end(path, size, self._codec)
        self._limits = limits
        self._size = size
        super().__init__(path, [], encoding=found, total=size)
        with path.open("rb") as source:
            records = _Records(source, self, start, 0)
            first = next(records.read(0), None)
            self._start = records.position
        if first is None:
            raise refused("empty", "文件里没有内容", "请重新导出后再导入", "file has no content")
        if isinstance(first, RowFault):
            reason = "over-limit" if first.reason == "over-limit" else "no-header"
            raise refused(reason, f"第一行不是表头：{first.message}", "请检查第一行后重新导出", f"header: {first.reason}")
        self.header = first.cells

    def rows(self, skip: int = 0) -> Iterator[Row | RowFault]:
        """See `Table.rows`."""
        for row in self._read(skip, uncut=False):
            assert not isinstance(row, UncutRow), "asked for cut rows"
            yield row

    def uncut_rows(self, skip: int = 0) -> Iterator[Row | UncutRow | RowFault]:
        """See `Table.uncut_rows`."""
        return self._read(skip, uncut=self._codec in _BYTEWISE)

    def _read(self, skip: int, *, uncut: bool) -> Iterator[Row | UncutRow | RowFault]:
        self._consumed = 0
        try:
            source = self.path.open("rb")
        except OSError:
            source = None
        if source is None:
            raise changed(self.path)
        with source:
            records = _Records(source, self, self._start, len(self.header))
            yield from records.read(skip, uncut=uncut)
        self._consumed = self._size


class _Overlong(bytes):
    """Stands for a physical line that is too long to hold. Its content is a quote, so that it never takes the fast path."""

    size: int


class _Records:
    """One reading of a file. ``width`` is that of the header, or 0 while the header itself is read."""

    def __init__(self, source: BinaryIO, table: CsvTable, start: int, width: int) -> None:
        self._table = table
        self._codec = table._codec
        self._limits = table._limits
        self._width = width
        self._lines = _lines(source, start, table._end, table._codec, table.path)
        self._put_back: deque[bytes] = deque()
        self.position = start
        """Where the next record starts."""

    def read(self, skip: int, *, uncut: bool = False) -> Iterator[Row | UncutRow | RowFault]:
        table, limits = self._table, self._limits
        longest, columns, last = limits.cell_chars, limits.columns, limits.rows
        number = 0
        header = not self._width
        while (raw := self._take()) is not None:
            offset, cells, fault = self.position, None, ""
            length = len(raw)
            if b'"' in raw:
                cells, fault, length = self._quoted(raw)
                self.position = table._consumed = offset + length
                if cells is not None and not any(cell.strip(_NOTHING) for cell in cells):
                    continue
            elif uncut and length <= longest and raw.strip(_BLANK_BYTES) and b"\0" not in raw:
                self.position = table._consumed = offset + length
                number += 1
                if number > last:
                    raise too_many_rows(limits)
                if number > skip:
                    yield UncutRow(number, raw, self._codec, offset)
                continue
            else:
                self.position = table._consumed = offset + length
                text = self._decode(raw)
                if not text.strip(_NOTHING) and not (header and "," in text):
                    continue
                if number >= skip:
                    if "\0" in text:
                        fault = "nul"
                    elif len(text) > longest and text.count(",") >= columns:
                        fault = "over-limit"  # without cutting it into millions of cells first
                    else:
                        cells = text.rstrip("\r\n").split(",")
                        if len(text) > longest and max(map(len, cells)) > longest:
                            fault = "over-limit"
            number += 1
            if number > last:
                raise too_many_rows(limits)
            if number <= skip:
                continue
            if not fault and cells is not None and len(cells) > columns:
                fault = "over-limit"
            if fault or cells is None:
                yield RowFault(number, fault, _MESSAGES[fault], offset, length)
            else:
                yield Row(number, cells, offset, length)

    def _quoted(self, first: bytes) -> tuple[list[str] | None, str, int]:
        """(cells, fault, bytes) of the record that begins with a line with a quote."""
        if isinstance(first, _Overlong):
            return None, "over-limit", first.size
        used, texts = [first], [self._decode(first)]
        if "\0" in texts[0]:
            return None, "nul", len(first)
        error = ""
        try:
            cells = next(csv.reader(self._feed(used, texts), strict=True))
        except csv.Error as problem:
            error = "over-limit" if "limit" in str(problem) and len(used) == 1 else "quote"
            cells = []
        if not error and len(used) > 1 and self._swallowed(texts, len(cells)):
            error = "quote"
        if not error and self._too_long(texts, cells):
            error = "over-limit" if len(used) == 1 else "quote"
        if not error:
            return cells, "", sum(map(len, used))
        self._put_back.extendleft(reversed(used[1:]))
        if error == "quote":
            lenient = self._alone(texts[0])
            if lenient is not None and not self._too_long(texts[:1], lenient):
                return lenient, "", len(first)
        return None, error, len(first)

    def _too_long(self, texts: list[str], cells: list[str]) -> bool:
        longest = self._limits.cell_chars
        return sum(map(len, texts)) > longest and max(map(len, cells)) > longest

    def _feed(self, used: list[bytes], texts: list[str]) -> Iterator[str]:
        """The lines of one record, for as long as the csv module asks for more."""
        yield texts[0]
        size = len(used[0])
        while len(used) < QUOTED_LINES and (raw := self._take()) is not None:
            size += len(raw)
            if isinstance(raw, _Overlong) or size > LINE_BYTES or "\0" in (text := self._decode(raw)):
                self._put_back.appendleft(raw)
                return
            used.append(raw)
            texts.append(text)
            yield text

    def _swallowed(self, texts: list[str], width: int) -> bool:
        """Whether a record over several lines holds a line that is a whole row by itself: then its quote was not meant so long."""
        if self._width < _TELLING_WIDTH:
            return False
        inner = texts[1:-1] if width == self._width else texts[1:]
        return any(text.count(",") == self._width - 1 for text in inner)

    def _alone(self, text: str) -> list[str] | None:
        """A line with stray quotes as the csv module reads it when it is not strict, if it ends where the line ends and has the
        width of the header."""
        asked = []

        def feed() -> Iterator[str]:
            yield text
            asked.append(True)

        try:
            cells = next(csv.reader(feed()))
        except csv.Error:
            return None
        return None if asked or len(cells) != self._width else cells

    def _take(self) -> bytes | None:
        return self._put_back.popleft() if self._put_back else next(self._lines, None)

    def _decode(self, raw: bytes) -> str:
        try:
            return raw.decode(self._codec)
        except UnicodeDecodeError:
            pass
        raise changed(self._table.path)  # outside the handler: a codec error holds the data


_MESSAGES = {
    "quote": "该行的引号未成对或位置不对，请检查单元格内的英文引号后重新导出",
    "nul": "该行含有空字符（NUL），请检查导出程序后重新导出",
    "over-limit": "该行的单元格过长或列数过多，请检查该行是否缺少换行或引号",
}


def _lines(source: BinaryIO, start: int, end: int, codec: str, path: Path) -> Iterator[bytes]:
    """Physical lines with their ends (LF, CRLF, CR), blank ones included."""
    wide = _WIDE_LINES.get(codec)
    feed = b"\n" if wide is None else "\n".encode(codec)
    source.seek(start)
    carry, dropped = b"", 0
    while start < end:
        block = source.read(min(BLOCK, end - start))
        if not block:
            raise changed(path)
        start += len(block)
        block = carry + block
        lines = block.splitlines(keepends=True) if wide is None else [line for line in wide.findall(block) if line]
        carry = b""
        if start < end and not lines[-1].endswith(feed):
            carry = lines.pop()
        if dropped and (lines or start >= end):
            stand_in = _Overlong(b'"')
            stand_in.size = dropped + len(lines.pop(0) if lines else b"")
            dropped = 0
            yield stand_in
        yield from lines
        if dropped or len(carry) > LINE_BYTES:
            dropped, carry = dropped + len(carry), b""


def _end(path: Path, size: int, codec: str) -> int:
    """Where the text ends: before a Ctrl-Z of old programs."""
    if codec in _WIDE_LINES:
        return size - size % 2
    with path.open("rb") as source:
        source.seek(max(0, size - 16))
        tail = source.read()
    found = _CTRL_Z.search(tail)
    return size if found is None else size - len(tail) + found.start()


# -- encoding


@dataclass(frozen=True, slots=True)
class _Scan:
    """``three`` counts, up to `_CERTAIN`, the characters of three or more UTF-8 bytes before the end or the first bad byte."""

    fits: bool
    ascii: bool
    three: int


def codec_of(encoding: str) -> str:
    """The codec that decodes single lines of a file of an encoding: the one without a byte-order mark."""
    return "utf-8" if encoding == "utf-8-sig" else encoding


def find_encoding(path: Path, wanted: str | None) -> tuple[str, int]:
    """(encoding, length of the byte-order mark). Raises `FileRefused`, naming the first bad line."""
    with path.open("rb") as source:
        head = source.read(4)
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            if _scan(path, codec_of(encoding), len(bom)).fits:
                return encoding, len(bom)
            raise _undecodable(path, [codec_of(encoding)], len(bom))
    tried = []
    if wanted is not None:
        chosen = _known(wanted)
        if _scan(path, chosen, 0).fits:
            return chosen, 0
        tried.append(chosen)
    utf8 = _scan(path, "utf-8", 0)
    if utf8.fits and (utf8.ascii or utf8.three):
        return "utf-8", 0
    if utf8.three >= _CERTAIN:
        # UTF-8 with a damaged place: GB18030 might decode it, into other characters
        raise _undecodable(path, ["utf-8"], 0)
    if _scan(path, "gb18030", 0).fits:
        return "gb18030", 0
    if utf8.fits:
        return "utf-8", 0
    raise _undecodable(path, [*tried, "utf-8", "gb18030"], 0)


def _known(wanted: str) -> str:
    try:
        name = _KNOWN.get(codecs.lookup(wanted).name)
    except LookupError:
        name = None
    if name is None:
        raise refused("undecodable", f"不支持的编码：{wanted}", "可用：UTF-8、GB18030（含 GBK）、UTF-16、Big5", "unknown encoding")
    return name


def _scan(path: Path, codec: str, start: int) -> _Scan:
    decoder = codecs.getincrementaldecoder(codec)("strict")
    three, plain, fits = 0, True, True
    with path.open("rb") as source:
        source.seek(start)
        while fits:
            block = source.read(BLOCK)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                fits = False
                text = error.object[: error.start].decode(codec, "ignore") if codec == "utf-8" else ""  # to be counted, not used
            plain = plain and text.isascii()
            if three < _CERTAIN and codec == "utf-8" and not text.isascii():
                three = min(_CERTAIN, three + sum(1 for _ in zip(range(_CERTAIN), _THREE_BYTES.finditer(text), strict=False)))
            if not block:
                break
    return _Scan(fits, plain, three)


def _undecodable(path: Path, tried: list[str], start: int) -> Exception:
    line = max(_first_bad_line(path, codec, start) for codec in dict.fromkeys(tried))
    return refused(
        "undecodable",
        f"文件编码无法识别：第 {line} 行含有损坏的字符",
        "请按 GB18030 或 UTF-8 编码重新导出，不要手工转码",
        f"not decodable, first bad line {line}",
    )


def _first_bad_line(path: Path, codec: str, start: int) -> int:
    """The physical line, from 1, that holds the first bad byte."""
    decoder = codecs.getincrementaldecoder(codec)("strict")
    line = 1
    with path.open("rb") as source:
        source.seek(start)
        while True:
            block = source.read(BLOCK)
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                good = block[: max(0, error.start - pending)]
                return line + _ends(good)
            if not block:
                return line
            line += _ends(block)


def _ends(data: bytes) -> int:
    return data.count(b"\n") or data.count(b"\r")
