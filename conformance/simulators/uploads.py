"""Uploaded front-sheet files, cut into records."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

from adapters.hqms.header import Header, looks_like_header, recognise
from adapters.hqms.tables import Limits, Row, RowFault, open_table
from conformance.simulators.records import Reason, Refused
from gateway.model.errors import FileRefused

LIMITS = Limits(file_bytes=256 << 20)
_SUFFIX = re.compile(r"\.[A-Za-z]{1,5}")
_LAYOUTS = ("2020", "2019")


@dataclass(frozen=True, slots=True)
class UploadedRow:
    """A data row, counted from 1: the filled cells by column, or what is wrong with the row as a whole."""

    number: int
    fields: dict[str, str]
    fault: Reason | None = None


def read_upload(content: bytes, name: str) -> list[UploadedRow]:
    """The rows of a file. ``name`` only tells what kind of file it claims to be. Raises `Refused` (422)."""
    suffix = PurePath(name).suffix
    with TemporaryDirectory(prefix="upload-") as folder:
        path = Path(folder, f"上报文件{suffix if _SUFFIX.fullmatch(suffix) else '.csv'}")
        path.write_bytes(content)
        try:
            with open_table(path, limits=LIMITS, is_header=looks_like_header) as table:
                header = recognise(table.header)
                _check(header)
                return [_row(header, row) for row in table.rows()]
        except FileRefused as refusal:
            raise Refused(422, Reason("", str(refusal))) from None


def _check(header: Header) -> None:
    if header.layout.id not in _LAYOUTS:
        raise Refused(422, Reason("", "不是住院病案首页数据采集接口标准的文件，请按该标准导出后上传"))
    if header.unknown:
        raise Refused(422, *(Reason(name, "平台没有这个数据项") for name in header.unknown))


def _row(header: Header, row: Row | RowFault) -> UploadedRow:
    if isinstance(row, RowFault):
        return UploadedRow(row.number, {}, Reason("", row.message))
    width = len(header.fields)
    if len(row.cells) < width or any(cell.strip() for cell in row.cells[width:]):
        return UploadedRow(row.number, {}, Reason("", f"该行有 {len(row.cells)} 列，表头有 {width} 列"))
    named = zip(header.fields, row.cells, strict=False)
    return UploadedRow(row.number, {field.code: text for field, cell in named if field is not None and (text := cell.strip())})
