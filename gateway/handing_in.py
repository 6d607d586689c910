"""Report cards, deaths and visits handed in as spreadsheets, for hospitals and wards that still fill them in.

The bytes are in the raw store before anything is made of them; all rows of a file are one transaction. The same bytes again change nothing, and
neither does a row that says what another file said. What becomes of a row in the registry is the registrar's part.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from sqlalchemy import insert
from sqlmodel import Session, col, select

from adapters.cards.columns import Kind
from adapters.cards.workbook import CardRow
from gateway.audit.log import Event, record
from gateway.intake.journal import Journal
from gateway.intake.resources import pieces
from gateway.intake.workbooks import Workbook, known, note, open_workbook
from gateway.store.ledger import Ledger, now
from gateway.store.tables import HandedIn, SourceFile
from gateway.store.vault import Vault

HANDED_IN_PLACE = "handed_in.body"
"""What the sealed body of a `HandedIn` is bound to."""


@dataclass(frozen=True)
class HandingIn:
    """Takes workbooks of cards. ``journal`` is the raw store."""

    ledger: Ledger
    journal: Journal

    def take(self, digest: str, size: int, name: str, *, actor: str) -> tuple[SourceFile, bool]:
        """Take a workbook of the raw store; (the file, whether it is new). Raises `FileRefused` for one that cannot be used, of which the
        ledger keeps that it came."""
        with self.ledger.read() as session:
            file = known(session, digest)
        if file is None:
            book = open_workbook(self.journal, digest, size, name)
            with self.ledger.write() as session:
                file = known(session, digest)
                if file is None:
                    file = self._write(session, book, actor)
                    if book.refusal is None:
                        return file, True
            if book.refusal is not None:
                raise book.refusal
        with self.ledger.write() as session:
            record(session, Event("file.repeated", file.id, {"size": size}, actor))
        return file, False

    def _write(self, session: Session, book: Workbook, actor: str) -> SourceFile:
        kind: Kind | None = book.sheet.kind if book.sheet is not None else None
        vault = self.ledger.vault
        bodies = {row.number: body_of(row) for row in book.good}
        digests = {number: vault.index("handed-in", kind or "", body.decode()) for number, body in bodies.items()}
        stated: set[str] = set()
        for piece in pieces(set(digests.values())):
            stated |= set(session.exec(select(HandedIn.digest).where(col(HandedIn.digest).in_(piece))))
        fresh: list[int] = []
        for number, digest in digests.items():
            if digest not in stated:
                stated.add(digest)
                fresh.append(number)
        unchanged = dict.fromkeys(digests.keys() - set(fresh), "unchanged")
        file = note(session, book, f"cards-{kind}" if kind else "cards", unchanged, origin="cards", actor=actor)
        at = now()
        new = [
            {
                "kind": kind,
                "file_id": file.id,
                "row": number,
                "digest": digests[number],
                "sealed_body": vault.seal(bodies[number], HANDED_IN_PLACE),
                "created_at": at,
            }
            for number in fresh
        ]
        if new:
            session.execute(insert(HandedIn), new)
        return file


def body_of(row: CardRow) -> bytes:
    """What is kept of a row: the card as JSON, for visits their fields."""
    return msgspec.json.encode(row.card if row.card is not None else dict(sorted(row.fields.items())))


def opened(vault: Vault, handed_in: HandedIn) -> bytes:
    """The JSON in a `HandedIn`."""
    return vault.open(handed_in.sealed_body, HANDED_IN_PLACE)
