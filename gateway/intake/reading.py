"""Front-sheet files as a stream of outcomes: a stay for each row that could be read, a reason for each that could not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from adapters.hqms.cells import Repair
from adapters.hqms.header import Header, looks_like_header, recognise
from adapters.hqms.rows import RowReader
from adapters.hqms.tables import Limits, Row, RowFault, Table, UncutRow, open_table
from gateway.model.errors import RowRefused
from gateway.model.stay import Stay

KIND = "hqms-front-sheet"


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """What became of one row. ``row`` counts data rows from 1; ``offset``/``length`` are its bytes in the file (-1 when the
    container has no such range); ``field`` is the column at fault."""

    row: int
    outcome: Literal["read", "refused"]
    stay: Stay | None = None
    repairs: tuple[Repair, ...] = ()
    reason: str = ""
    message: str = ""
    field: str = ""
    offset: int = -1
    length: int = 0


class FrontSheet:
    """An opened front-sheet file. Raises `FileRefused` when the file as a whole cannot be used."""

    def __init__(self, path: Path, *, encoding: str | None = None, limits: Limits | None = None) -> None:
        self.path = path
        self.table: Table = open_table(path, encoding=encoding, limits=limits or Limits(), is_header=looks_like_header)
        self.header: Header = recognise(self.table.header)

    def outcomes(self, *, skip: int = 0, name: str = "") -> Iterator[RowOutcome]:
        """The outcome of every row after the first ``skip``; ``name`` stands for the file in provenance."""
        reader = RowReader(self.header)
        prefix = name or self.path.name
        for row in self.table.rows(skip=skip):
            yield read_row(reader, row, prefix)


def read_row(reader: RowReader, row: Row | UncutRow | RowFault, file: str) -> RowOutcome:
    """The outcome of one row; provenance names it ``file#row``."""
    if isinstance(row, RowFault):
        return RowOutcome(row.number, "refused", reason=row.reason, message=row.message, offset=row.offset, length=row.length)
    try:
        read = reader.read(row.cells, f"{file}#{row.number}")
    except RowRefused as refusal:
        return RowOutcome(
            row.number,
            "refused",
            reason=refusal.reason,
            message=str(refusal),
            field=refusal.field,
            offset=row.offset,
            length=row.length,
        )
    return RowOutcome(row.number, "read", read.stay, read.repairs, offset=row.offset, length=row.length)
