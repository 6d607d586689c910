"""Where messages become durable: many senders, one writer, group commit.

Senders wait for the commit that has their message in it; whatever arrives meanwhile goes into the next one. So a message costs a share of a
flush to disk instead of one of its own, and no positive acknowledgement leaves before its message would survive a crash.

A repeated message (same source, control id and bytes, line ends at its very end apart: files and bodies come with and without them) is not
stored again and gets the answer that was stored with it. The same control id with other bytes is stored and marked.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert
from sqlmodel import Session, col, func, select

from adapters.hl7v2.keeper import Kept, Received
from adapters.hl7v2.refusal import refused
from gateway.audit.log import Event, record
from gateway.model.errors import ZhibaoError
from gateway.store.ledger import Ledger
from gateway.store.tables import InboundMessage

RAW_PLACE = "inbound_message.raw"
TOGETHER = 512
"""Messages in one commit at most."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much may wait: messages that are not assembled yet, and free bytes that the disk must keep."""

    waiting: int = 100_000
    free_bytes: int = 0


class Mailroom:
    """A `Keeper` over the ledger. `start` and `stop` its writer; `keep` from any event loop, `post` from any thread."""

    def __init__(self, ledger: Ledger, room: Room | None = None, *, free_bytes: Any = None) -> None:
        self._ledger = ledger
        self.room = room or Room()
        self._free_bytes = free_bytes
        self._arrived = threading.Condition()
        self._pending: list[tuple[Received, Future[Kept]]] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="mailroom", daemon=True)
        self.waiting = 0
        """Messages that are stored and not assembled yet, as far as this process knows; see `recount`."""

    def start(self) -> None:
        """Begin to write."""
        self.recount()
        self._thread.start()

    def stop(self) -> None:
        """Write what is pending, then end."""
        with self._arrived:
            self._stopping = True
            self._arrived.notify()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def recount(self) -> None:
        """Count what waits to be assembled."""
        with self._ledger.read() as session:
            statement = select(func.count()).select_from(InboundMessage).where(InboundMessage.state == "received")
            self.waiting = session.exec(statement).one()

    async def keep(self, received: Received) -> Kept:
        """See `Keeper.keep`."""
        return await asyncio.wrap_future(self.post(received))

    def post(self, received: Received) -> Future[Kept]:
        """As `keep`, for a caller that waits by itself; messages are kept in the order in which they are posted."""
        future: Future[Kept] = Future()
        if not self.has_room():
            future.set_result(Kept.not_kept(refused("over-capacity")))
            return future
        with self._arrived:
            if self._stopping:
                future.set_result(Kept.not_kept(refused("over-capacity")))
                return future
            self._pending.append((received, future))
            self._arrived.notify()
        return future

    def has_room(self) -> bool:
        """Whether more is taken: see `Room`."""
        return not (self.crowded or self._disk_low())

    @property
    def crowded(self) -> bool:
        """Whether so much waits to be assembled that no more is taken."""
        return self.waiting >= self.room.waiting

    def _disk_low(self) -> bool:
        return self._free_bytes is not None and self._free_bytes() < self.room.free_bytes

    def _run(self) -> None:
        while True:
            with self._arrived:
                while not self._pending and not self._stopping:
                    self._arrived.wait()
                if not self._pending:
                    return
                batch, self._pending = self._pending[:TOGETHER], self._pending[TOGETHER:]
            self._settle(batch)

    def _settle(self, batch: list[tuple[Received, Future[Kept]]]) -> None:
        try:
            results = self._write([received for received, _ in batch])
        except Exception as error:
            # nothing of the batch is stored: every sender is told so and sends again
            reason = refused("not-stored") if not isinstance(error, ZhibaoError) else refused("over-capacity")
            results = [Kept.not_kept(reason)] * len(batch)
        for (_, future), kept in zip(batch, results, strict=True):
            if future.set_running_or_notify_cancel():
                future.set_result(kept)

    def _write(self, received: Sequence[Received]) -> list[Kept]:
        vault = self._ledger.vault
        digests = [hashlib.sha256(item.raw.rstrip(b"\r\n")).hexdigest() for item in received]
        sealed = [vault.seal(item.raw, RAW_PLACE) for item in received]
        with self._ledger.write() as session:
            known = _known(session, received)
            rows: list[dict[str, Any]] = []
            results: list[Kept] = []
            events: list[Event] = []
            for item, digest, raw in zip(received, digests, sealed, strict=True):
                key = (item.source, item.control_id)
                answers = known.setdefault(key, {}) if item.control_id else {}
                if digest in answers:
                    results.append(Kept.again(answers[digest]))
                    events.append(Event("message.repeated", f"source:{item.source}", {"control_id": item.control_id}))
                    continue
                rows.append(
                    {
                        "standard": "v2",
                        "source": item.source,
                        "control_id": item.control_id,
                        "digest": digest,
                        "peer": item.peer.address,
                        "received_at": item.at,
                        "state": "refused" if item.refusal is not None else "received",
                        "again": bool(answers),
                        "event": "",
                        "lane": "",
                        "reason": item.refusal.reason if item.refusal is not None else "",
                        "note": item.refusal.message if item.refusal is not None else "",
                        "stay_id": None,
                        "answer": item.answer,
                        "sealed_raw": raw,
                    }
                )
                answers[digest] = item.answer
                results.append(Kept())
            if rows:
                session.execute(insert(InboundMessage), rows)
            events.append(
                Event("messages.received", "mailroom", {"stored": len(rows), "digests": [r["digest"][:16] for r in rows]})
            )
            record(session, *events)
        self.waiting += sum(row["state"] == "received" for row in rows)
        return results


def _known(session: Session, received: Sequence[Received]) -> dict[tuple[str, str], dict[str, bytes]]:
    """Digest to answer of every stored message that shares source and control id with one of these."""
    found: dict[tuple[str, str], dict[str, bytes]] = {}
    by_source: dict[str, set[str]] = {}
    for item in received:
        if item.control_id:
            by_source.setdefault(item.source, set()).add(item.control_id)
    for source, ids in by_source.items():
        statement = select(InboundMessage.control_id, InboundMessage.digest, InboundMessage.answer).where(
            InboundMessage.source == source, col(InboundMessage.control_id).in_(sorted(ids))
        )
        for control_id, digest, answer in session.exec(statement):
            found.setdefault((source, control_id), {})[digest] = answer
    return found
