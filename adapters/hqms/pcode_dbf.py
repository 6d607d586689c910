"""The P-code layout as the pair of DBF files that the standard of 2013 asks for: ``<stem>_part1.dbf`` with 254 columns and
``<stem>_part2.dbf`` with the other 92 and, before them, the keys ``P3`` and ``P22`` that join the two.

Text is GBK (written as GB18030, which contains it) and its widths count bytes; dates and times are text; numbers are numeric.
Source: HQMS reference, "P-code layout", and the widths of the published DBF structure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters.hqms.cells import DASH
from adapters.hqms.dbf_table import JOIN_KEYS
from adapters.hqms.dbf_writer import DbfField, write_dbf_parts
from gateway.model.errors import RowRefused
from mappings.layout import Field, layout

_TIMES = {"date": 10, "datetime": 19}
_AMOUNT = (8, 2)
"""Width and decimals of amounts of blood, published for the first two of the five."""
_DURATION = (7, 2)
"""Width and decimals of the duration of an operation."""
_FOLLOW_UP = (4, 2)
"""Width and decimals of the weeks, months and years of follow-up."""
_WHOLE = (10, 0)
"""Whole numbers, for which no width is published."""


@dataclass(frozen=True, slots=True)
class PcodePair:
    """Both files, how many rows they hold, and the rows that went into neither, by their number from 1 in what was given."""

    part1: Path
    part2: Path
    rows: int
    refused: dict[int, RowRefused]


def write_pcode_dbf(folder: Path, stem: str, records: Iterable[Mapping[str, str]]) -> PcodePair:
    """Write records of the P-code layout (column code to text) as ``<stem>_part1.dbf`` and ``<stem>_part2.dbf`` in ``folder``.
    Both files appear, complete, or neither does.

    A record with a cell that its column cannot hold (too long in bytes, no number, not representable), or with the keys of an
    earlier one, is left out of both files and returned in ``refused``; the other records go on. A ``-`` in a numeric column is
    written blank, because such a column can hold nothing else that says "not filled". Raises `OSError` when the folder cannot be
    written.
    """
    refused: dict[int, RowRefused] = {}
    part1, part2 = (folder / f"{stem}_part{number}.dbf" for number in (1, 2))
    first, second = pcode_fields()
    numeric = {field.name for field in (*first, *second) if field.type == "N"}
    rows = ({code: "" if text == DASH and code in numeric else text for code, text in record.items()} for record in records)
    count = write_dbf_parts((part1, first), (part2, second), rows, on_misfit=refused.setdefault)
    return PcodePair(part1, part2, count, refused)


def pcode_fields() -> tuple[list[DbfField], list[DbfField]]:
    """The fields of both parts."""
    pcode = layout("pcode")
    first = [_dbf_field(field) for field in pcode.fields if field.part == 1]
    second = [_dbf_field(pcode.by_code[key]) for key in JOIN_KEYS]
    return first, second + [_dbf_field(field) for field in pcode.fields if field.part == 2]


def _dbf_field(field: Field) -> DbfField:
    if field.type in _TIMES:
        return DbfField(field.code, "C", _TIMES[field.type])
    if field.type not in ("int", "decimal"):
        return DbfField(field.code, "C", field.max_length)
    if field.max_length:
        return DbfField(field.code, "N", field.max_length, field.scale)
    if field.path.endswith("duration_hours"):
        return DbfField(field.code, "N", *_DURATION)
    if field.path.startswith("transfusion."):
        return DbfField(field.code, "N", *_AMOUNT)
    return DbfField(field.code, "N", *(_FOLLOW_UP if field.code in ("P611", "P612", "P613") else _WHOLE))
