"""Taking front-sheet files into the ledger.

The bytes are in the raw store before the ledger says that a file was received. Rows go through worker processes in batches; each
batch is one transaction that writes row outcomes, stays, submissions, audit entries and how far the file has come, so that after
a crash the import goes on behind the last batch. The same bytes again change nothing and say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO

import msgspec
from sqlalchemy import insert
from sqlmodel import Session, col, select

from gateway.audit.log import Event, record
from gateway.cases import stays
from gateway.cases.known import add_keys, shared_keys
from gateway.cases.strangers import NOTE, REASON, strangers
from gateway.desk import Desk
from gateway.intake.batches import batched, ordered
from gateway.intake.journal import Journal
from gateway.intake.reading import FrontSheet
from gateway.model.errors import FileRefused, Overloaded
from gateway.model.stay import Stay
from gateway.reporting import submissions
from gateway.reporting.drafts import PlatformChoice
from gateway.reporting.preparing import PreparedRow, Preparer, prepare_rows, start_worker
from gateway.reporting.unit import Unit
from gateway.store.ledger import Ledger, new_id, now
from gateway.store.tables import Message, SourceFile

BATCH_ROWS = 250
SMALL_FILE = 4 << 20
"""Bytes up to which starting worker processes costs more than it saves."""


def _shown(name: str, size: int) -> dict[str, object]:
    """A file in the audit log: its name could be a patient's, so only its ending stands there."""
    return {"suffix": PurePath(name).suffix[:8], "size": size}


def _refused(row: PreparedRow) -> PreparedRow:
    return PreparedRow(row.row, row.offset, row.length, REASON, "A48", note=NOTE)


@dataclass(frozen=True)
class Importer:
    """Imports files under a hospital's settings. ``reviewed``: by platform, whether a person reviews before sending."""

    ledger: Ledger
    journal: Journal
    key_file: Path
    choices: tuple[PlatformChoice, ...]
    reviewed: Mapping[str, bool]
    workers: int = 2
    dictionaries: Path | None = None
    free_disk_bytes: int = 0

    def receive(self, source: BinaryIO, name: str, *, origin: str = "", actor: str = "zhibao") -> tuple[SourceFile, bool]:
        """Keep a file and note it in the ledger; (the file, whether it is new). Reading it is `read`'s part. Raises `Overloaded`
        when the disk is nearly full."""
        self.admit()
        digest, size = self.journal.keep(source)
        return self.note(digest, size, name, origin=origin, actor=actor)

    def admit(self) -> None:
        """Raises `Overloaded` when there is no room for more; nothing is taken then."""
        if self.journal.free_bytes < self.free_disk_bytes:
            raise Overloaded(
                "磁盘空间不足，暂停接收文件", action="请清理或扩充数据目录所在磁盘，系统会自动恢复接收", english="disk nearly full"
            )

    def note(self, digest: str, size: int, name: str, *, origin: str, actor: str) -> tuple[SourceFile, bool]:
        """Note bytes that are in the raw store as a received file; (the file, whether it is new)."""
        with self.ledger.write() as session:
            known = session.exec(select(SourceFile).where(SourceFile.digest == digest)).first()
            if known is not None and known.state == "refused":
                # nothing came of it: perhaps its name is right now
                known.state, known.name, known.reason, known.message, known.finished_at = "received", name, "", "", None
                session.add(known)
                record(session, Event("file.retaken", known.id, _shown(name, size), actor))
                return known, True
            if known is not None:
                record(session, Event("file.repeated", known.id, _shown(name, size), actor))
                return known, False
            file = SourceFile(id=new_id(), digest=digest, name=name, size=size, source=origin, state="received", received_at=now())
            session.add(file)
            record(session, Event("file.received", file.id, {**_shown(name, size), "sha256": digest}, actor))
            return file, True

    def pending(self) -> list[str]:
        """Ids of files that were received and are not read to their end, oldest first."""
        with self.ledger.read() as session:
            statement = select(SourceFile.id).where(col(SourceFile.state).in_(("received", "reading")))
            return list(session.exec(statement.order_by(col(SourceFile.id))))

    def read(self, file_id: str) -> SourceFile:
        """Read a received file from where it stands to its end."""
        with self.ledger.read() as session:
            file = session.get_one(SourceFile, file_id)
        if file.state in ("done", "refused"):
            return file
        with self.journal.opened(file.digest, file.name) as path:
            try:
                sheet = FrontSheet(path)
            except FileRefused as refusal:
                return self._finish(file_id, refusal)
            with self.ledger.write() as session:
                file = session.get_one(SourceFile, file_id)
                file.state, file.layout, file.encoding = "reading", sheet.header.layout.id, sheet.table.encoding
                session.add(file)
            arguments = (
                list(sheet.header.names),
                file_id,
                str(self.key_file),
                self.choices,
                str(self.dictionaries) if self.dictionaries else None,
            )
            results = ordered(
                prepare_rows,
                batched(sheet.table.uncut_rows(skip=file.rows_done), BATCH_ROWS),
                workers=1 if file.size <= SMALL_FILE else self.workers,
                initializer=start_worker,
                arguments=arguments,
            )
            for rows in results:
                with self.ledger.write() as session:
                    self._write(session, file_id, rows)
        return self._finish(file_id, None)

    def _write(self, session: Session, file_id: str, rows: list[PreparedRow]) -> None:
        """One batch, in the caller's transaction."""
        shared = self._shared(session, rows)
        outcome_of, shared_events = self._lay(session, file_id, rows, shared)
        good = [(row, row.stay) for row in rows if row.stay is not None and row.row not in shared]
        versions = [
            stays.NewVersion(stay.identity, stay.window, stay.digest, stay.sealed_body, f"{file_id}#{row.row}")
            for row, stay in good
        ]
        if foreign := strangers(session, self.ledger.vault, versions):
            refused = {good[position][0].row for position in foreign}
            rows = [_refused(row) if row.row in refused else row for row in rows]
            good = [pair for position, pair in enumerate(good) if position not in foreign]
            versions = [version for position, version in enumerate(versions) if position not in foreign]
        recorded = stays.record(session, versions)
        outcome_of |= {row.row: item for (row, _), item in zip(good, recorded, strict=True)}
        add_keys(
            session,
            [(key, item.stay_id) for (_, stay), item in zip(good, recorded, strict=True) if item.changed for key in stay.keys],
        )
        owed = [
            submissions.Owed(Unit("stay", item.stay_id), item.version_id, stay.window, stay.drafts)
            for (_, stay), item in zip(good, recorded, strict=True)
            if item.changed
        ]
        events = submissions.draft(session, owed, self.reviewed)
        messages, facts = [], []
        counts = {"read": 0, "unchanged": 0, "refused": 0}
        for row in rows:
            done = outcome_of.get(row.row)
            outcome = "refused" if done is None else "read" if done.changed else "unchanged"
            counts[outcome] += 1
            messages.append(
                {
                    "file_id": file_id,
                    "row": row.row,
                    "offset": row.offset,
                    "length": row.length,
                    "outcome": outcome,
                    "reason": row.reason,
                    "field": row.field,
                    "note": row.note,
                    "stay_id": done.stay_id if done is not None else None,
                }
            )
            if done is None:
                facts.append(Event("row.refused", f"{file_id}#{row.row}", {"reason": row.reason, "field": row.field}))
            elif done.changed:
                facts.append(Event("stay.recorded", f"stay:{done.stay_id}.{done.number}", {"message": f"{file_id}#{row.row}"}))
        session.execute(insert(Message), messages)
        file = session.get_one(SourceFile, file_id)
        file.rows_done = rows[-1].row
        file.rows_read += counts["read"]
        file.rows_unchanged += counts["unchanged"]
        file.rows_refused += counts["refused"]
        session.add(file)
        record(session, *facts, *shared_events, *events)

    def _shared(self, session: Session, rows: list[PreparedRow]) -> frozenset[int]:
        """The rows whose stay messages or persons have a say in, too, or for which a message waits."""
        keys = {key for row in rows if row.stay is not None for key in row.stay.keys}
        found = shared_keys(session, keys)
        return frozenset(row.row for row in rows if row.stay is not None and not found.isdisjoint(row.stay.keys))

    def _lay(
        self, session: Session, file_id: str, rows: list[PreparedRow], shared: frozenset[int]
    ) -> tuple[dict[int, stays.Recorded], list[Event]]:
        """Lay shared rows on their stays and rebuild these."""
        if not shared:
            return {}, []
        desk = Desk(session, self.ledger, Preparer(self.ledger.vault, self.choices, self.dictionaries), self.reviewed)
        stay_of: dict[int, int] = {}
        for row in rows:
            if row.row in shared and row.stay is not None:
                body = msgspec.json.decode(self.ledger.vault.open(row.stay.sealed_body, stays.STAY_PLACE), type=Stay)
                stay_of[row.row] = desk.file(f"{file_id}#{row.row}", body, row.stay.organisation)
        recorded = desk.rebuild_all()
        return {row: recorded[stay] for row, stay in stay_of.items()}, desk.events

    def _finish(self, file_id: str, refusal: FileRefused | None) -> SourceFile:
        with self.ledger.write() as session:
            file = session.get_one(SourceFile, file_id)
            file.finished_at = now()
            if refusal is not None:
                file.state, file.reason, file.message = "refused", refusal.reason, str(refusal)
                record(session, Event("file.refused", file_id, {"reason": refusal.reason}))
            else:
                file.state = "done"
                counts = {"read": file.rows_read, "unchanged": file.rows_unchanged, "refused": file.rows_refused}
                record(session, Event("file.read", file_id, counts))
            session.add(file)
            return file
