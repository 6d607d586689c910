"""A throwaway ledger for the time of one command: what a running gateway would make of these files, without an installation.

Messages and front sheets go through the very code that a server runs, in the given order, so a command can assemble stays from several
senders and the archived file. Everything lies in a temporary folder under a key of its own and is gone afterwards.

What people are told names the file and the number of the message (from 0) or row (from 1), never the ids of the throwaway ledger.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from msgspec.structs import replace
from sqlmodel import Session, col, select

from adapters.fhir.dialect import fhir_dialect
from adapters.fhir.refusal import FhirRefused
from adapters.hl7v2.batch import Fault
from adapters.hl7v2.dialect import dialect
from adapters.hl7v2.message import Message
from adapters.hl7v2.message_file import dialect_of, pieces_of, whole
from adapters.hl7v2.refusal import MessageRefused
from conformance.checks.between_rows import BetweenRows, RowIdentity
from conformance.checks.finding import Finding, Severity
from gateway.assembling import Assembler
from gateway.cases import stays
from gateway.cases.assembly import assemble
from gateway.cases.known import KnownInLedger
from gateway.desk import Desk
from gateway.intake.batches import batched
from gateway.intake.bulk import pieces_of as fhir_pieces_of
from gateway.intake.mailroom import RAW_PLACE
from gateway.intake.reading import FrontSheet, RowOutcome
from gateway.intake.repository import Repository
from gateway.model.facts import Facts
from gateway.model.stay import Stay
from gateway.reporting.drafts import checker_for
from gateway.reporting.preparing import Preparer
from gateway.settings import Source
from gateway.store.ledger import Ledger
from gateway.store.tables import InboundMessage, StayRow
from gateway.store.vault import Vault
from gateway.told import Place, Told

BATCH_ROWS = 250
SELF_NAMED = "self-named"
"""The FHIR dialect whose content says by itself which institution it comes from."""

LONGEST_FHIR = 256 << 20
"""The size limit of a FHIR file that is one message, and of a line of a bulk file, in bytes."""

_MESSAGE_ID = re.compile(r"\b(?:v2|fhir):\d+\b")


@dataclass(frozen=True, slots=True)
class Made:
    """A stay as assembled. ``outcome`` holds it as if it were one row: that of its front sheet, with what was repaired there, else its
    first message. ``layout`` is the layout of its front sheet, empty without one."""

    file: str
    outcome: RowOutcome
    layout: str
    told: tuple[Told, ...]
    cancelled: bool

    @property
    def stay(self) -> Stay:
        """The stay itself."""
        assert self.outcome.stay is not None, "what was made is a stay"
        return self.outcome.stay


@dataclass
class Workbench:
    """The throwaway installation. ``organisation`` and its name are those of the institution that the messages come from.

    ``sheets`` are the front-sheet files that were taken, ``between_rows`` is what their rows say about each other, ``refused_rows`` are
    those that are no stays, with their file and its layout."""

    ledger: Ledger
    organisation: str
    organisation_name: str = ""
    sheets: list[Path] = field(default_factory=list)
    between_rows: list[Told] = field(default_factory=list)
    refused_rows: list[tuple[str, str, RowOutcome]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._preparer = Preparer(self.ledger.vault, ())
        self._sources: dict[str, Source] = {}
        self._places: dict[str, Place] = {}
        """Messages by their name in provenance."""
        self._refused: list[Told] = []
        self._rows: dict[str, tuple[str, RowOutcome]] = {}
        """Rows by their name in provenance: layout of the file, and what was read without the stay."""

    def take_messages(self, path: Path, named: str) -> int:
        """Take all messages of a file; how many. Raises `FileRefused`, and `ConfigurationError` for an unknown dialect."""
        if named:
            dialect(named)
        taken = 0
        with self.ledger.write() as session:
            for index, piece in pieces_of(path):
                place = Place(path.name, index)
                try:
                    row = self._received(piece, named)
                except MessageRefused as refusal:
                    self._refused.append(_of_message(place, refusal.reason, "error", str(refusal), refusal.english))
                    continue
                session.add(row)
                session.flush()
                self._places[row.name] = place
                taken += 1
        return taken

    def take_fhir(self, path: Path, named: str) -> int:
        """Take the FHIR messages of a file; how many. Raises `FileRefused`, and `ConfigurationError` for an unknown dialect."""
        chosen = named or ("standard" if self.organisation else SELF_NAMED)
        source = f"fhir/{fhir_dialect(chosen).id}"
        self._sources.setdefault(source, self._source("fhir", chosen))
        repository = Repository(self.ledger)
        taken = 0
        for piece in fhir_pieces_of(path, longest=LONGEST_FHIR):
            place = Place(path.name, piece.first)
            refusal = piece.refusal
            if piece.document is not None:
                try:
                    accepted = repository.accept(source, piece.raw, piece.document)
                except FhirRefused as error:
                    refusal = error
                else:
                    taken += 1
                    self._places[f"fhir:{accepted.message}"] = place
            for issue in refusal.issues if refusal is not None else ():
                told = f"{issue.message}（{issue.expression}）" if issue.expression else issue.message
                self._refused.append(_of_message(place, issue.rule, "error", told, issue.english))
        return taken

    def take_sheet(self, path: Path, encoding: str | None = None) -> None:
        """Take a front-sheet file, after all messages before it. Raises `FileRefused`."""
        sheet = FrontSheet(path, encoding=encoding)
        self._assemble()
        layout = sheet.header.layout.id
        between = BetweenRows(checker_for(layout)[1])
        for outcomes in batched(sheet.outcomes(), BATCH_ROWS):
            with self.ledger.write() as session:
                desk = Desk(session, self.ledger, self._preparer, {})
                for outcome in outcomes:
                    stay = outcome.stay
                    if stay is None:
                        self.refused_rows.append((path.name, layout, outcome))
                        continue
                    name = f"{path.name}#{outcome.row}"
                    self._rows[name] = layout, RowOutcome(outcome.row, "read", repairs=outcome.repairs)
                    desk.file(name, stay, stay.organisation.code or "")
                    key = (stay.record_number, str(stay.admission_number), stay.discharge.time)
                    identity = RowIdentity.of(outcome.row, key, (stay.organisation.code, stay.organisation.name))
                    self.between_rows += [Told(Place(path.name, outcome.row), finding) for finding in between.meet(identity)]
                desk.rebuild_all()
        self.sheets.append(path)

    def made(self) -> Iterator[Made]:
        """Every stay, in the order in which they were first heard of."""
        self._assemble()
        with self.ledger.read() as session:
            ids = select(StayRow.id).where(col(StayRow.absorbed_into).is_(None)).order_by(col(StayRow.id))
            for id in session.exec(ids).all():
                assert id is not None, "a stored row has an id"
                yield self._made(session, id)

    def left(self) -> list[Told]:
        """The messages that are part of no stay, and why: those that cannot be read, that wait for a stay, that could not be processed, or
        that say nothing."""
        self._assemble()
        severities: dict[str, Severity] = {"refused": "error", "parked": "error", "waiting": "error", "ignored": "info"}
        told = list(self._refused)
        with self.ledger.read() as session:
            statement = select(InboundMessage).where(col(InboundMessage.state).in_(sorted(severities)))
            for row in session.exec(statement.order_by(col(InboundMessage.id))):
                english = f"the message is part of no stay: {row.state}"
                told.append(_of_message(self._places[row.name], row.reason or row.state, severities[row.state], row.note, english))
        return told

    # -- inside

    def _source(self, kind: Literal["http", "fhir"], dialect: str) -> Source:
        return Source(kind=kind, dialect=dialect, organisation=self.organisation, organisation_name=self.organisation_name)

    def _received(self, piece: bytes | Fault, named: str) -> InboundMessage:
        raw = whole(piece)
        name = dialect_of(Message.read(raw), named)
        self._sources.setdefault(name, self._source("http", name))
        return InboundMessage(
            source=name,
            control_id="",
            digest=hashlib.sha256(raw).hexdigest(),
            received_at=dt.datetime.now(dt.UTC),
            state="received",
            answer=b"",
            sealed_raw=self.ledger.vault.seal(raw, RAW_PLACE),
        )

    def _assemble(self) -> None:
        assembler = Assembler(self.ledger, self._sources, self._preparer, {})
        while assembler.run():
            pass

    def _made(self, session: Session, id: int) -> Made:
        known = KnownInLedger(session, self.ledger.vault)
        facts, filed = known.facts_of(id), known.filed(id)
        stay, _ = stays.current(session, self.ledger.vault, id)
        findings: tuple[Finding, ...] = ()
        cancelled = False
        if facts:
            made = assemble(stay.identity, facts, filed[0] if filed else None, filed_at=filed[1] if filed else "")
            stay, findings, cancelled = made.stay, made.findings, made.cancelled
        if filed:
            name = filed[0].provenance.layers[0].message
            layout, read = self._rows[name]
            place = Place(name.rpartition("#")[0], read.row)
        else:
            place = self._places[facts[0].message]
            layout, read = "", RowOutcome(place.number, "read")
        told = tuple(self._told(finding, facts, place) for finding in findings)
        return Made(place.file, dataclasses.replace(read, stay=stay), layout, told, cancelled)

    def _told(self, finding: Finding, facts: Sequence[Facts], place: Place) -> Told:
        """A finding of assembling with the message it speaks of by file and number; it is about the stay as a whole where it speaks of
        none."""

        def name(match: re.Match[str]) -> str:
            place = self._places.get(match[0])
            return f"{place.file}#{place.number}" if place is not None else match[0]

        remarked = (
            said for said in reversed(facts) if any((r.rule, (r.source,)) == (finding.rule, finding.fields) for r in said.remarks)
        )
        named = _MESSAGE_ID.search(finding.english)
        about = named[0] if named else next((said.message for said in remarked), "")
        message, english = (_MESSAGE_ID.sub(name, text) for text in (finding.message, finding.english))
        return Told(self._places.get(about, place), replace(finding, message=message, english=english))


def _of_message(place: Place, reason: str, severity: Severity, message: str, english: str) -> Told:
    return Told(place, Finding(f"ZB-MESSAGE-{reason}", (), severity, message, english))


@contextmanager
def workbench(organisation: str = "", organisation_name: str = "") -> Iterator[Workbench]:
    """A workbench for the time of the block."""
    with tempfile.TemporaryDirectory(prefix="zhibao-") as name:
        vault = Vault.create(Path(name) / "zhibao.keys")
        with Ledger.open(f"sqlite:///{Path(name) / 'ledger.sqlite'}", vault) as ledger:
            yield Workbench(ledger, organisation, organisation_name)
