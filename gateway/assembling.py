"""From messages in the ledger to stays and their submissions.

`Assembler.run` takes messages in the order of their arrival, reads each under its source's dialect, finds its stay, and rebuilds every
stay that a message concerns from all that is known of it (`gateway.cases.assembly` is a pure function, so order of arrival does not
matter and a withdrawn message takes back exactly what it said). One transaction a batch.

A message whose processing fails is parked with its patient: what comes later for that patient waits behind it, nobody else does.
"""

from __future__ import annotations

import dataclasses
import gc
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace
from sqlalchemy import bindparam, case, literal, update
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, col, select

from adapters.fhir.dialect import fhir_dialect
from adapters.fhir.reading import RecordReader
from adapters.hl7v2.dialect import dialect
from adapters.hl7v2.message import Message
from adapters.hl7v2.reading import FactsReader
from adapters.hl7v2.refusal import MessageRefused
from gateway.audit.log import Event, record
from gateway.cases.assembly import SETTINGS
from gateway.cases.joining import JoinDecision
from gateway.cases.known import Outlines
from gateway.desk import STATES, Desk
from gateway.intake.mailroom import RAW_PLACE
from gateway.intake.records import Kept, Records
from gateway.intake.resources import pieces
from gateway.model.errors import IllegalTransition, NotFound
from gateway.model.facts import Fact, Facts, says_something
from gateway.reporting.preparing import Preparer
from gateway.settings import Source
from gateway.store.ledger import Ledger
from gateway.store.tables import InboundMessage, message_name

TOGETHER = 300
"""Messages in one transaction."""

_OURS = frozenset(("failed", "no-source"))
"""Reasons that lie with us: such a message is parked and can be tried again."""

_RAW: Any = case((col(InboundMessage.standard) == "v2", col(InboundMessage.sealed_raw)), else_=literal(b""))
"""What is read of a FHIR message stands in its resources."""

_RECEIVED = (
    select(InboundMessage.id, InboundMessage.standard, InboundMessage.source, _RAW)
    .where(InboundMessage.state == "received")
    .order_by(col(InboundMessage.id))
)
_PARKED = (
    select(InboundMessage.lane)
    .where(col(InboundMessage.lane).in_(bindparam("lanes", expanding=True)), InboundMessage.state == "parked")
    .distinct()
)


@dataclass(frozen=True, slots=True)
class _Read:
    """A message with what it says; ``facts`` is None when it cannot be read. A FHIR message says nothing by itself: it makes ``records``
    due."""

    name: str
    id: int
    source: str
    facts: Facts | None
    reason: str = ""
    note: str = ""
    records: tuple[str, ...] = ()
    piece: bool = False
    """Whether these are only some of its records: then its state is not settled yet."""

    @property
    def by_record(self) -> bool:
        """Whether it is read by the records that it made due."""
        return self.facts is None and not self.reason


@dataclass
class Assembler:
    """Assembles under a hospital's settings. One per process: it remembers outlines of stays. Not thread-safe."""

    ledger: Ledger
    sources: Mapping[str, Source]
    preparer: Preparer
    reviewed: Mapping[str, bool]
    outlines: Outlines = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self._readers = {id: FactsReader(dialect(s.dialect)) for id, s in self.sources.items() if s.kind != "fhir"}
        self._record_readers = {id: RecordReader(fhir_dialect(s.dialect)) for id, s in self.sources.items() if s.kind == "fhir"}

    def run(self, limit: int = TOGETHER) -> int:
        """Assemble up to ``limit`` received messages, or as many patients of FHIR messages; how many were looked at, ``limit`` where there may
        be more."""
        with _collecting_later():
            return self._run(limit)

    def _run(self, limit: int) -> int:
        with self.ledger.read() as session:
            rows = list(session.exec(_RECEIVED.limit(limit)))
            due = Records(session, self.ledger.vault).due(id or 0 for id, standard, *_ in rows if standard == "fhir")
        read: list[_Read] = []
        left = limit
        for id, standard, source, sealed in rows:
            item = self._read(message_name(standard, id or 0), id or 0, source, sealed, due)
            if len(item.records) > left:  # the rest of its patients has its turn in the next transaction
                item = dataclasses.replace(item, records=item.records[:left], piece=True)
            read.append(item)
            left -= max(len(item.records), 1)
            if left <= 0:
                break
        if not read:
            return 0
        try:
            self._take(read)
        except OperationalError:
            raise  # the ledger cannot be written now: no message's fault
        except Exception:
            # somebody in this batch cannot be processed: find out who, one by one
            for item in read:
                self._take_alone(item)
        return limit if left <= 0 else len(read)

    # -- one message

    def _read(self, name: str, id: int, source: str, sealed: bytes, due: Mapping[int, Sequence[str]]) -> _Read:
        chosen = self.sources.get(source)
        if chosen is None:
            return _Read(name, id, source, None, "no-source", f"配置中没有来源 {source}，消息已保存；恢复配置后可重新处理")
        if source in self._record_readers:
            return _Read(name, id, source, None, records=tuple(due.get(id, ())))
        try:
            raw = self.ledger.vault.open(sealed, RAW_PLACE)
            message = Message.read(raw, charset=chosen.charset, longest=chosen.longest_mb << 20)
            facts = self._readers[source].read(message, name)
            if chosen.organisation_name and says_something(facts):
                facts.facts.append(Fact("organisation.name", chosen.organisation_name, SETTINGS))
            return _Read(name, id, source, facts)
        except MessageRefused as refusal:
            return _Read(name, id, source, None, refusal.reason, str(refusal))
        except Exception:
            return _Read(name, id, source, None, "failed", "读取时出现内部错误，请把消息编号告诉管理员")

    def _take(self, read: Sequence[_Read]) -> None:
        with self.ledger.write() as session:
            desk = Desk(session, self.ledger, self.preparer, self.reviewed, self.outlines)
            said = [(item.facts, self.sources[item.source].organisation) for item in read if item.facts is not None]
            desk.known.look_ahead(said)
            lanes = {item.id: self._lane(item) for item in read}
            parked = _parked(session, (*lanes.values(), *(index for item in read for index in item.records)))
            for item in read:
                if not item.by_record:
                    self._place(desk, item, behind=lanes[item.id] in parked)
            self._take_records(desk, session, [item for item in read if item.by_record], parked)
            desk.rebuild_all()
            events = [{"id": item.id, "event": item.facts.event, "lane": lanes[item.id]} for item in read if item.facts is not None]
            if events:
                session.execute(update(InboundMessage), events)
            record(session, *desk.events)

    def _take_alone(self, item: _Read) -> None:
        """Take one message. Of one about many patients each is taken by itself, so that only the one at fault is parked."""
        error, lane = self._fault(item), self._lane(item)
        if error is None:
            return
        for index in item.records if len(item.records) > 1 else ():
            fault = self._fault(dataclasses.replace(item, records=(index,), piece=True))
            error, lane = (fault, index) if fault is not None else (error, lane or index)
        with self.ledger.write() as session:
            row = session.get_one(InboundMessage, item.id)
            row.state, row.reason = "parked", "failed"
            row.note = "处理时出现内部错误：该患者后续消息暂停处理；请把消息编号告诉管理员，处理后可以重新处理"
            row.lane = lane or row.lane
            session.add(row)
            record(session, Event("message.parked", row.name, {"error": type(error).__name__}))

    def _fault(self, item: _Read) -> Exception | None:
        """Take one message; why it cannot be processed."""
        try:
            self._take([item])
        except OperationalError:
            raise
        except Exception as error:
            return error
        return None

    def _place(self, desk: Desk, item: _Read, *, behind: bool) -> None:
        if item.facts is None:
            state = "parked" if item.reason in _OURS else "refused"
            desk.settle(item.id, state, item.note, reason=item.reason)
            desk.events.append(Event(f"message.{state}", item.name, {"reason": item.reason}))
        elif behind:
            desk.settle(item.id, "parked", "排在同一患者处理失败的消息之后", reason="behind")
        elif not says_something(item.facts):
            desk.settle(item.id, "ignored", "消息中没有需要的内容")
        else:
            desk.take(item.id, item.facts, self.sources[item.source].organisation)

    def _take_records(self, desk: Desk, session: Session, items: Sequence[_Read], parked: Set[str]) -> None:
        """Read every record that FHIR messages made due, once, however many of them did."""
        records = Records(session, self.ledger.vault)
        free = [item for item in items if parked.isdisjoint(item.records)]
        for item in items:
            if not parked.isdisjoint(item.records):
                desk.settle(item.id, "parked", "排在同一患者处理失败的消息之后", reason="behind")
        decided = {
            index: self._take_record(desk, records, records.read(index))
            for index in dict.fromkeys(index for item in free for index in item.records)
        }
        for item in free:
            if item.piece:
                desk.leave_open(item.id)
            else:
                state, note, stay = _summed_up([decision for index in item.records for decision in decided[index]])
                desk.settle(item.id, state, note, stay=stay)
        records.settled((item.id, index) for item in free for index in item.records)

    def _take_record(self, desk: Desk, records: Records, kept: Kept) -> list[JoinDecision]:
        """Lay all that a record says on the stays it speaks of. One that has no resources any more (they were of somebody else) says
        nothing, and who has them now speaks for them."""
        if not kept.numbers:
            return []
        source = self.sources[kept.source]
        reading = self._record_readers[kept.source].read(kept.record())
        records.depends_on(kept, reading.unresolved)
        by_part: dict[int, list[Facts]] = {}
        for statement in reading.statements:
            part = kept.part(statement.anchor)
            said = by_part.setdefault(part, [])
            said += (replace(facts, part=part) for facts in statement.facts if says_something(facts))
            if source.organisation_name and said:
                said[0].facts.append(Fact("organisation.name", source.organisation_name, SETTINGS))
        for part in desk.known.parts(kept.parts):
            by_part.setdefault(part, [])
        desk.known.look_ahead([(facts, source.organisation) for said in by_part.values() for facts in said])
        decisions = (desk.restate(part, said, source.organisation) for part, said in by_part.items())
        return [decision for decision in decisions if decision is not None]

    def _lane(self, item: _Read) -> str:
        """The blind index of a message's patient, by the best number it has."""
        if item.facts is None:
            return ""
        patient, visit = item.facts.patient, item.facts.visit
        number = patient.record_number or patient.resident_id or visit.number
        organisation = self.sources[item.source].organisation if item.source in self.sources else ""
        return self.ledger.vault.index("lane", organisation, number) if number else ""

    def retry(self, message_id: int, *, actor: str) -> int:
        """Put a parked message and everything of its patient that waits behind it back, or one that could not be read (its source's
        character set may have been set since); how many. Raises `NotFound`, or `IllegalTransition` for any other message."""
        with self.ledger.write() as session:
            row = session.get(InboundMessage, message_id)
            if row is None:
                raise NotFound("没有这条消息", english=f"no message {message_id}")
            if row.state not in ("parked", "refused"):
                raise IllegalTransition("只有暂停处理或拒收的消息可以重新处理", english=f"not parked or refused: {row.state}")
            statement = select(InboundMessage).where(InboundMessage.state == row.state)
            statement = (
                statement.where(InboundMessage.lane == row.lane) if row.lane else statement.where(InboundMessage.id == message_id)
            )
            rows = list(session.exec(statement))
            for parked in rows:
                parked.state, parked.reason, parked.note = "received", "", ""
                session.add(parked)
            record(session, Event("message.retried", row.name, {"messages": len(rows)}, actor))
            return len(rows)


@contextmanager
def _collecting_later() -> Iterator[None]:
    """A batch makes hundreds of thousands of small objects without cycles. Having the garbage collector look for some again and again while
    they are made took a quarter of the time; it does after the batch."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _parked(session: Session, lanes: Iterable[str]) -> set[str]:
    """Of some lanes, those in which a message is parked."""
    return {lane for piece in pieces({*lanes} - {""}) for lane in session.exec(_PARKED, params={"lanes": piece})}


def _summed_up(decisions: Sequence[JoinDecision]) -> tuple[str, str, int | None]:
    """(state, note, stay) of a FHIR message whose records went these ways."""
    for outcomes in (("join", "new"), ("wait",)):
        for decision in decisions:
            if decision.outcome in outcomes:
                return STATES[decision.outcome], decision.reason, decision.stay
    return "ignored", decisions[0].reason if decisions else "消息中没有需要的内容", None
