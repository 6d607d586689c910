"""From one submitted value back to the bytes it came from.

A version of a submission names its version of the stay; that one's provenance names, for every value, the message and the mapping.
A row of a file names row and byte range, and the raw store has the bytes; an HL7 v2 message is in the ledger as it came, and the
provenance names the field in it, or the element of FHIR content. What is shown is what was kept.

One thing is worked out anew: what the messages of the stay say by themselves of a value for which the archived front sheet was taken.
Beside it stands what was not taken, so that a conflict can be seen from both its sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from sqlmodel import Session, col, select

from adapters.fhir import wire
from adapters.fhir.resource import Release
from adapters.fhir.source_path import said_at
from adapters.fhir.wire import LINES
from adapters.hl7v2 import message as hl7v2
from adapters.hqms.header import Header
from adapters.hqms.tables import Row
from gateway.cases import stays
from gateway.cases.assembly import assemble
from gateway.cases.known import FACTS_PLACE
from gateway.intake.journal import Journal
from gateway.intake.mailroom import RAW_PLACE
from gateway.intake.reading import FrontSheet
from gateway.model import paths
from gateway.model.errors import ConfigurationError, FileRefused, NotFound, UnusableInput
from gateway.model.facts import Facts
from gateway.model.provenance import Layer
from gateway.model.stay import Stay
from gateway.reporting import submissions
from gateway.settings import Source
from gateway.store.ledger import Ledger
from gateway.store.tables import InboundMessage, Message, SourceFile, StayFacts, StayVersion
from gateway.store.vault import Vault
from mappings.layout import layout
from mappings.profile import profile

V2, FHIR = "v2:", "fhir:"
"""How provenance names a message: by its standard and its number in the ledger."""

_DERIVED = " (derived)"


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
class SourceField:
    """Where a value stands in a message. In HL7 v2 ``field`` counts as HL7 prints it (``DG1[2]-3``, ``PID-3[4]``), ``text`` is the field as
    it was sent and ``raw`` its segment; in FHIR it is the element (``entry[3].Encounter.period.start``) and ``raw`` its resource. All are
    empty where no single field says it. ``derived`` when the value was computed from it."""

    source: str
    control_id: str
    event: str
    received_at: str
    segment: str
    field: str
    derived: bool
    text: str
    raw: str


@dataclass(frozen=True)
class Origin:
    """One source that spoke of the value: a row of a file (``cell``), an HL7 v2 message (``said``), or a person's correction (``by``,
    ``at``, ``reason``). ``stands`` for the one whose value was taken."""

    message: str
    mapping: str
    by: str = ""
    at: str = ""
    reason: str = ""
    cell: SourceCell | None = None
    said: SourceField | None = None
    stands: bool = False


@dataclass(frozen=True)
class Trace:
    """The way of one submitted value; ``origins`` with the one that stands first."""

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


def trace(ledger: Ledger, journal: Journal, submission: str, field: str, *, sources: Mapping[str, Source] | None = None) -> Trace:
    """Trace ``field`` (the platform's code) of a submission or one of its versions. ``sources`` are those of the settings: a message that
    does not declare its character set is read by that of its source. Raises `NotFound` or `UnusableInput`."""
    with ledger.read() as session:
        version = submissions.version(session, submission)
        column = profile(version.platform).layout.by_code.get(field)
        if column is None:
            raise UnusableInput(
                f"平台 {version.platform} 没有字段 {field}", action="请使用该平台的字段编码", english=f"no field {field}"
            )
        value = submissions.record_of(ledger.vault, version).get(field, "")
        stay_version = session.get_one(StayVersion, version.stay_version_id)
        stay = stays.body(session, ledger.vault, stay_version.id or 0)
        canonical = paths.get(stay, column.path) if column.path else None
        kept = stay.verbatim.get(column.path, "") if canonical is None else ""
        layers = [layer for layer in reversed(stay.provenance.layers) if layer.fields is None or column.path in layer.fields]
        layers += _not_taken(session, ledger.vault, stay, stay_version, column.path, layers)
        look = _Look(session, ledger.vault, journal, sources or {}, column.path)
        origins = tuple(look.origin(layer, stands=layer is layers[0]) for layer in layers)
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


def _not_taken(
    session: Session, vault: Vault, stay: Stay, version: StayVersion, path: str, layers: Sequence[Layer]
) -> Iterator[Layer]:
    """The message that states a value for which an archived front sheet was taken. Entries of lists are left out: they have no position
    that messages and sheet share."""
    if "[" in path or all(layer.fields is not None for layer in layers):
        return
    statement = (
        select(StayFacts.sealed_facts)
        .join(InboundMessage, col(InboundMessage.id) == col(StayFacts.message_id))
        .where(StayFacts.stay_id == version.stay_id, InboundMessage.received_at <= version.created_at)
    )
    facts = [msgspec.json.decode(vault.open(sealed, FACTS_PLACE), type=Facts) for sealed in session.exec(statement)]
    alone = assemble(stay.identity, facts).stay.provenance.origin(path) if facts else None
    if alone is not None and alone.message.startswith((V2, FHIR)) and all(layer.message != alone.message for layer in layers):
        yield alone


@dataclass(frozen=True)
class _Look:
    """Looks up what layers say of one path."""

    session: Session
    vault: Vault
    journal: Journal
    sources: Mapping[str, Source]
    path: str

    def origin(self, layer: Layer, *, stands: bool) -> Origin:
        file_id, _, number = layer.message.rpartition("#")
        cell = said = None
        if not layer.by and layer.message.startswith((V2, FHIR)):
            said = self._field(layer.message, (layer.fields or {}).get(self.path, ""))
        elif not layer.by and file_id:
            cell = self._cell(file_id, int(number))
        return Origin(layer.message, layer.mapping, layer.by, layer.at, layer.reason, cell, said, stands)

    def _cell(self, file_id: str, row: int) -> SourceCell:
        file = self.session.get(SourceFile, file_id)
        message = self.session.exec(select(Message).where(Message.file_id == file_id, Message.row == row)).first()
        if file is None or message is None:
            raise NotFound("账本中没有这条来源记录", english=f"no message {file_id}#{row}")
        return _cell(self.journal, file, message, self.path)

    def _field(self, name: str, place: str) -> SourceField:
        standard, _, number = name.partition(":")
        row = self.session.get(InboundMessage, int(number))
        if row is None:
            raise NotFound("账本中没有这条来源消息", english=f"no message {name}")
        raw = self.vault.open(row.sealed_raw, RAW_PLACE)
        field = place.removesuffix(_DERIVED)
        segment, text, whole = _said_in_fhir(raw, row.event, field) if f"{standard}:" == FHIR else self._said_in_v2(raw, row, field)
        return SourceField(
            source=row.source,
            control_id=row.control_id,
            event=row.event,
            received_at=row.received_at.isoformat(timespec="milliseconds"),
            segment=segment,
            field=field,
            derived=place.endswith(_DERIVED),
            text=text,
            raw=whole,
        )

    def _said_in_v2(self, raw: bytes, row: InboundMessage, field: str) -> tuple[str, str, str]:
        source = self.sources.get(row.source)
        charset, longest = (source.charset, source.longest_mb << 20) if source is not None else ("", hl7v2.LONGEST)
        text, segment = _said(hl7v2.Message.read(raw, charset=charset, longest=longest), field)
        return segment[:3], text, segment


def _said_in_fhir(raw: bytes, event: str, field: str) -> tuple[str, str, str]:
    """(resource type, element, resource) as sent."""
    kind, _, said = event.rpartition(" ")
    release: Release = "R5" if said == "R5" else "R4"
    document = wire.read_lines(raw, release=release)[0] if kind == LINES else wire.read(raw, release=release)
    return said_at(document, field)


def _said(message: hl7v2.Message, field: str) -> tuple[str, str]:
    """A field as sent, and its segment."""
    try:
        spot = hl7v2.path(field)
    except ConfigurationError:  # a name of our own for what no single field says
        return "", ""
    segments = message.all(spot.segment)
    if spot.occurrence > len(segments):
        return "", ""
    segment = segments[spot.occurrence - 1]
    return segment.at(spot) or "", segment.text


def _cell(journal: Journal, file: SourceFile, message: Message, path: str) -> SourceCell:
    with journal.opened(file.digest, file.name) as plain:
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
