"""Workbooks of report cards taken in: kept byte for byte, read, and noted with what became of each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from sqlalchemy import insert
from sqlmodel import Session, select

from adapters.cards.workbook import CardRow, CardSheet, read
from gateway.audit.log import Event, record
from gateway.intake.journal import Journal
from gateway.model.errors import FileRefused
from gateway.store.ledger import new_id, now
from gateway.store.tables import Message, SourceFile


@dataclass(frozen=True)
class Workbook:
    """A workbook in the raw store with its rows; ``refusal`` says why it has none."""

    digest: str
    size: int
    name: str
    sheet: CardSheet | None
    rows: Sequence[CardRow]
    refusal: FileRefused | None = None

    @property
    def good(self) -> list[CardRow]:
        """The rows that could be read."""
        return [row for row in self.rows if row.outcome == "read"]


def open_workbook(journal: Journal, digest: str, size: int, name: str) -> Workbook:
    """Read a workbook of the raw store to its end."""
    with journal.opened(digest, name) as path:
        try:
            sheet = read(path)
            return Workbook(digest, size, name, sheet, list(sheet.rows))
        except FileRefused as refusal:
            return Workbook(digest, size, name, None, (), refusal)


def known(session: Session, digest: str) -> SourceFile | None:
    """The file of these bytes, if it was taken in before and could be used."""
    file = session.exec(select(SourceFile).where(SourceFile.digest == digest)).first()
    return None if file is None or file.state == "refused" else file


def note(session: Session, book: Workbook, layout: str, outcomes: Mapping[int, str], *, origin: str, actor: str) -> SourceFile:
    """Note a workbook and its rows, in the caller's transaction. ``outcomes`` are those that are not what reading them came to (a row that is
    known already: ``unchanged``)."""
    at = now()
    file = session.exec(select(SourceFile).where(SourceFile.digest == book.digest)).first()
    if file is None:
        file = SourceFile(id=new_id(), digest=book.digest, name=book.name, size=book.size, state="", received_at=at)
    told = {row.number: outcomes.get(row.number, row.outcome) for row in book.rows}
    counts = [*told.values()]
    file.name, file.source, file.layout = book.name, origin, layout
    file.encoding = book.sheet.encoding if book.sheet is not None else ""
    file.state, file.finished_at, file.rows_done = "done" if book.refusal is None else "refused", at, len(counts)
    file.rows_read, file.rows_unchanged, file.rows_refused = (counts.count(word) for word in ("read", "unchanged", "refused"))
    file.reason, file.message = (book.refusal.reason, str(book.refusal)) if book.refusal is not None else ("", "")
    session.add(file)
    session.flush()
    if book.rows:
        session.execute(insert(Message), [_message(file.id, row, told[row.number]) for row in book.rows])
    shown = {"suffix": PurePath(book.name).suffix[:8], "size": book.size, "sha256": book.digest, "layout": layout}
    end = (
        Event("file.refused", file.id, {"reason": book.refusal.reason}, actor)
        if book.refusal is not None
        else Event("file.read", file.id, {word: counts.count(word) for word in ("read", "unchanged", "refused")}, actor)
    )
    record(session, Event("file.received", file.id, shown, actor), end)
    return file


def _message(file_id: str, row: CardRow, outcome: str) -> dict[str, object]:
    serious = [finding for finding in row.findings if finding.severity in ("error", "warning")]
    fields = [name for finding in serious for name in finding.fields]
    return {
        "file_id": file_id,
        "row": row.number,
        "offset": -1,
        "length": 0,
        "outcome": outcome,
        "reason": row.reason,
        "field": fields[0] if fields else "",
        "note": "；".join(finding.message for finding in serious),
    }
