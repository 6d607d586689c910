"""From one submitted value back to the bytes it came from.

A version of a submission names its version of the stay; that one's provenance names, for every value, the message and the mapping;
the message names file, row and byte range; the raw store has the bytes. Nothing is recomputed: what is shown is what was kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlmodel import Session, select

from adapters.hqms.header import Header
from adapters.hqms.tables import Row
from gateway.cases import stays
from gateway.intake.journal import Journal
from gateway.intake.reading import FrontSheet
from gateway.model import paths
from gateway.model.errors import FileRefused, NotFound, UnusableInput
from gateway.model.provenance import Layer
from gateway.reporting import submissions
from gateway.store.ledger import Ledger
from gateway.store.tables import Message, SourceFile, StayVersion
from mappings.layout import layout
from mappings.profile import profile


@dataclass(frozen=True)
class SourceCell:
    """Where a value stands in its source. ``column`` counts from 1 and is 0 when the value was derived from several columns;
    ``text`` is the cell as it came, ``raw`` the bytes of the row in hexadecimal (empty where the container has no such range)."""

    file_id: str
    file_name: str
    sha256: str
    row: int
    column: int
    header: str
    text: str
    offset: int
    length: int
    raw: str
    note: str


@dataclass(frozen=True)
class Origin:
    """One layer that bore on the value, newest first: a message, or a person's correction (``by``, ``at``, ``reason``)."""

    message: str
    mapping: str
    by: str = ""
    at: str = ""
    reason: str = ""
    cell: SourceCell | None = None


@dataclass(frozen=True)
class Trace:
    """The way of one submitted value."""

    submission: str
    platform: str
    field: str
    label: str
    value: str
    path: str
    canonical: str
    stay: int
    stay_version: int
    origins: tuple[Origin, ...]


def trace(ledger: Ledger, journal: Journal, submission: str, field: str) -> Trace:
    """Trace ``field`` (the platform's code) of a submission or one of its versions. Raises `NotFound` or `UnusableInput`."""
    with ledger.read() as session:
        version = submissions.version(session, submission)
        column = profile(version.platform).layout.by_code.get(field)
        if column is None:
            raise UnusableInput(
                f"平台 {version.platform} 没有字段 {field}", action="请使用该平台的字段编码", english=f"no field {field}"
            )
        value = submissions.record_of(ledger.vault, version).get(field, "")
        stay_version = session.get_one(StayVersion, version.stay_version_id)
        stay = stays.body(session, ledger.vault, version.stay_version_id)
        canonical = paths.get(stay, column.path) if column.path else None
        kept = stay.verbatim.get(column.path, "") if canonical is None else ""
        layers = [layer for layer in reversed(stay.provenance.layers) if layer.fields is None or column.path in layer.fields]
        origins = tuple(_origin(session, journal, layer, column.path) for layer in layers)
    return Trace(
        submission=version.id,
        platform=version.platform,
        field=field,
        label=column.label,
        value=value,
        path=column.path,
        canonical=_shown(canonical) or kept,
        stay=stay_version.stay_id,
        stay_version=stay_version.number,
        origins=origins,
    )


def _shown(value: object) -> str:
    code = getattr(value, "code", None)
    return str(code) if code is not None else "" if value is None else str(value)


def _origin(session: Session, journal: Journal, layer: Layer, path: str) -> Origin:
    file_id, _, number = layer.message.rpartition("#")
    if layer.by or not file_id:
        return Origin(layer.message, layer.mapping, layer.by, layer.at, layer.reason)
    file = session.get(SourceFile, file_id)
    message = session.exec(select(Message).where(Message.file_id == file_id, Message.row == int(number))).first()
    if file is None or message is None:
        raise NotFound("账本中没有这条来源记录", english=f"no message {layer.message}")
    return Origin(layer.message, layer.mapping, cell=_cell(journal, file, message, path))


def _cell(journal: Journal, file: SourceFile, message: Message, path: str) -> SourceCell:
    with journal.opened(file.digest, Path(file.name).suffix) as plain:
        sheet = FrontSheet(plain)
        with sheet.table:
            row = next((r for r in sheet.table.rows(skip=message.row - 1)), None)
            if not isinstance(row, Row) or row.number != message.row:
                raise FileRefused("unreadable", f"原始文件中找不到第 {message.row} 行", english="row is gone from the raw file")
            column = _column(sheet.header, path)
            raw = ""
            if message.offset >= 0:
                with plain.open("rb") as source:
                    source.seek(message.offset)
                    raw = source.read(message.length).hex()
    return SourceCell(
        file_id=file.id,
        file_name=file.name,
        sha256=file.digest,
        row=message.row,
        column=column + 1,
        header=sheet.header.names[column] if column >= 0 else "",
        text=row.cells[column] if 0 <= column < len(row.cells) else "",
        offset=message.offset,
        length=message.length,
        raw=raw,
        note=message.note,
    )


def _column(header: Header, path: str) -> int:
    """Position of the column that carries ``path`` in the file's own layout; -1 when no single one does."""
    code = layout(header.layout.id).code_of_path.get(path)
    return next((i for i, field in enumerate(header.fields) if field is not None and field.code == code), -1)
