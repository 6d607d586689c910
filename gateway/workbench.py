"""A throwaway ledger for the time of one command: what a running gateway would make of these files, without an installation.

Messages and front sheets go through the very code that a server runs (raw store, mailroom rows, assembling), in the given order, so a
command can assemble stays from several senders and the archived file. Everything lies in a temporary folder under a key of its own
and is gone afterwards.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import col, select

from adapters.hl7v2.batch import Fault, messages_of
from adapters.hl7v2.dialect import dialect, recognised
from adapters.hl7v2.message import Message
from adapters.hl7v2.refusal import MessageRefused
from conformance.checks.finding import Finding
from gateway.assembling import Assembler
from gateway.cases.assembly import assemble
from gateway.cases.known import KnownInLedger
from gateway.importing import Importer
from gateway.intake.journal import Journal
from gateway.intake.mailroom import RAW_PLACE
from gateway.model.errors import FileRefused
from gateway.model.stay import Stay
from gateway.reporting.preparing import Preparer
from gateway.settings import Source
from gateway.store.ledger import Ledger
from gateway.store.tables import InboundMessage, StayRow, StayVersion
from gateway.store.vault import Vault

_ENVELOPES = (b"MSH", b"FHS", b"BHS", b"\x0bMSH", b"\x0bBHS", b"\x0bFHS")
LARGEST = 256 << 20


def holds_messages(path: Path) -> bool:
    """Whether a file holds HL7 v2 messages, by its first bytes or its name."""
    try:
        with path.open("rb") as file:
            head = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError:
        return False
    return head.startswith(_ENVELOPES) or path.suffix.lower() in (".hl7", ".hl7v2")


def pieces_of(path: Path) -> Iterator[tuple[int, bytes | Fault]]:
    """The messages of a file, counted from 0. Raises `FileRefused` for a file that cannot be opened or is too large."""
    try:
        if path.stat().st_size > LARGEST:
            raise FileRefused("over-limit", f"文件超过 {LARGEST >> 20} MiB", action="请拆分后再读取", english="file too large")
        data = path.read_bytes()
    except OSError:
        raise FileRefused("unreadable", f"文件“{path.name}”无法读取", action="请检查路径和权限", english="unreadable") from None
    yield from enumerate(messages_of(data))


def dialect_for(raw: bytes, named: str) -> str:
    """The dialect of a message: the named one, else the built-in one that recognises it, else ``standard``. Raises `MessageRefused`
    for a message that cannot be read and `ConfigurationError` for an unknown name."""
    if named:
        dialect(named)
        return named
    found = recognised(Message.read(raw))
    return found.id if found is not None else "standard"


@dataclass
class Workbench:
    """The throwaway installation. ``organisation`` is the code of the institution that the messages come from."""

    ledger: Ledger
    importer: Importer
    organisation: str

    def __post_init__(self) -> None:
        self._sources: dict[str, Source] = {}

    def take_messages(self, path: Path, named: str) -> list[str]:
        """Take all messages of a file; why any of them was refused (for people). Raises `FileRefused`."""
        refusals = []
        for index, piece in pieces_of(path):
            try:
                raw = piece if isinstance(piece, bytes) else None
                if raw is None:
                    assert isinstance(piece, Fault)
                    raise piece.refusal
                self._receive(raw, dialect_for(raw, named), f"{path.name}#{index}")
            except MessageRefused as refusal:
                refusals.append(f"{path.name} 第 {index + 1} 条：{refusal}")
        self._assemble()
        with self.ledger.read() as session:
            statement = select(InboundMessage).where(
                col(InboundMessage.state).in_(("refused", "parked")), InboundMessage.peer != ""
            )
            for row in session.exec(statement):
                if row.peer.startswith(f"{path.name}#"):
                    refusals.append(f"{path.name} 第 {int(row.peer.rpartition('#')[2]) + 1} 条：{row.note}")
        return refusals

    def take_file(self, path: Path) -> int:
        """Take a front-sheet file; how many rows were refused. Raises `FileRefused`."""
        with path.open("rb") as source:
            file, _ = self.importer.receive(source, path.name)
        done = self.importer.read(file.id)
        if done.state == "refused":
            raise FileRefused(done.reason, done.message)
        return done.rows_refused

    def stays(self) -> Iterator[tuple[Stay, tuple[Finding, ...], bool]]:
        """Every stay with the findings of assembling it, and whether its admission was cancelled."""
        with self.ledger.read() as session:
            known = KnownInLedger(session, self.ledger.vault)
            rows = list(session.exec(select(StayRow).where(col(StayRow.absorbed_into).is_(None)).order_by(col(StayRow.id))))
            for row in rows:
                assert row.id is not None, "a stored row has an id"
                version = session.exec(
                    select(StayVersion).where(StayVersion.stay_id == row.id, StayVersion.number == row.current)
                ).one()
                stay = known.body(version)
                facts, filed = known.facts_of(row.id), known.filed(row.id)
                if not facts:
                    yield stay, (), False
                    continue
                made = assemble(stay.identity, facts, filed[0] if filed else None, filed_at=filed[1] if filed else "")
                yield made.stay, made.findings, made.cancelled

    def waiting(self) -> list[tuple[str, str]]:
        """Messages that belong to no stay yet: (file#index, why)."""
        with self.ledger.read() as session:
            statement = select(InboundMessage.peer, InboundMessage.note).where(InboundMessage.state == "waiting")
            return list(session.exec(statement.order_by(col(InboundMessage.id))))

    def _receive(self, raw: bytes, name: str, place: str) -> None:
        self._sources.setdefault(name, Source(kind="http", dialect=name, organisation=self.organisation))
        with self.ledger.write() as session:
            session.add(
                InboundMessage(
                    source=name,
                    control_id="",
                    digest=hashlib.sha256(raw).hexdigest(),
                    peer=place,
                    received_at=dt.datetime.now(dt.UTC),
                    state="received",
                    answer=b"",
                    sealed_raw=self.ledger.vault.seal(raw, RAW_PLACE),
                )
            )

    def _assemble(self) -> None:
        preparer = Preparer(self.ledger.vault, ())
        assembler = Assembler(self.ledger, self._sources, preparer, {})
        while assembler.run():
            pass


@contextmanager
def workbench(organisation: str = "", dictionaries: Path | None = None) -> Iterator[Workbench]:
    """A workbench for the time of the block."""
    with tempfile.TemporaryDirectory(prefix="zhibao-") as name:
        folder = Path(name)
        key_file = folder / "zhibao.keys"
        vault = Vault.create(key_file)
        with Ledger.open(f"sqlite:///{folder / 'ledger.sqlite'}", vault) as ledger:
            importer = Importer(ledger, Journal(folder / "raw", vault), key_file, (), {}, dictionaries=dictionaries)
            yield Workbench(ledger, importer, organisation)
