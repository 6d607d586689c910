"""Where FHIR content becomes durable: the message as it came, and the resources that it states, in one commit.

FHIR transfers state. So beside the raw message the ledger holds every resource as its source states it now; what is read of a patient is
always read from all current resources of the record (`gateway.intake.records`), and what a source takes back is simply not there any more.
A message makes records due; reading them is `gateway.assembling`'s part.

A repeated bundle (same Bundle.identifier, or none, and the same bytes) changes nothing and gets the same answer. A resource that states
an older time (meta.lastUpdated, Bundle.timestamp) than the one that is there does not replace it.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlmodel import select

from adapters.fhir import json_text
from adapters.fhir.refusal import FhirRefused
from adapters.fhir.wire import Document
from gateway.audit.log import Event, record
from gateway.intake.resources import Accepted, Current, opened, with_version
from gateway.intake.storing import Storing, message_row
from gateway.model.errors import Overloaded
from gateway.store.ledger import Ledger
from gateway.store.tables import FhirResource


class Repository:
    """The current FHIR resources of all sources. ``has_room`` says whether more may be taken."""

    def __init__(self, ledger: Ledger, has_room: Callable[[], bool] = lambda: True) -> None:
        self._ledger = ledger
        self._has_room = has_room

    def accept(self, source: str, raw: bytes, document: Document, *, base: str = "", peer: str = "") -> Accepted:
        """Make a message and its resources durable. ``base`` is the address at which clients know our server.

        Raises `Overloaded` when there is no room, and `FhirRefused` for what cannot be carried out; then nothing is stored."""
        self.demand_room()
        with self._ledger.write() as session:
            return Storing(session, self._ledger.vault, source).accept(raw, document, base, peer)

    def refuse(self, source: str, raw: bytes, refusal: FhirRefused, *, peer: str = "", kept_as: str = "") -> int:
        """Keep bytes that cannot be used, with the reason; their number. ``kept_as`` is the name under which the raw store has them where
        they are too long for the ledger."""
        note = f"{refusal}{f'；原文保存在 {kept_as}' if kept_as else ''}"
        with self._ledger.write() as session:
            row = message_row(self._ledger.vault, source, raw, peer=peer, state="refused", reason=refusal.reason, note=note)
            session.add(row)
            session.flush()
            record(session, Event("message.refused", row.name, {"reason": refusal.reason, "source": source}))
            assert row.id is not None, "a stored row has a number"
            return row.id

    def current(self, source: str, key: str, *, actor: str = "") -> Current | None:
        """A resource as its source states it now; None where there was none ever. A look of an ``actor`` is written down."""
        with self._ledger.read() as session:
            index = self._ledger.vault.index("fhir", source, key)
            row = session.exec(select(FhirResource).where(FhirResource.index == index)).one_or_none()
        if actor:
            subject = f"fhir-resource:{row.id}" if row is not None else "fhir-resource"
            with self._ledger.write() as session:
                record(session, Event("fhir.read", subject, {"found": row is not None}, actor))
        if row is None:
            return None
        stored = opened(self._ledger.vault, row.sealed_body)
        body = {**json_text.decode(stored.raw), "id": key.rpartition("/")[2]}
        return Current(with_version(body, row.version, row.updated_at), stored.release, row.version, row.deleted)

    def demand_room(self) -> None:
        """Raise `Overloaded` when nothing more can be taken."""
        if not self._has_room():
            raise Overloaded("网关暂时无法接收", action="请稍后重发", english="over capacity, send again later")
