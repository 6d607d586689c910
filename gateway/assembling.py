"""From messages in the ledger to stays and their submissions.

`Assembler.run` takes messages in the order of their arrival, reads each under its source's dialect, finds its stay, and rebuilds every
stay that a message concerns from all that is known of it (`gateway.cases.assembly` is a pure function, so order of arrival does not
matter and a withdrawn message takes back exactly what it said). One transaction a batch.

A message whose processing fails is parked with its patient: what comes later for that patient waits behind it, nobody else does.
"""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import update
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, col, select

from adapters.hl7v2.dialect import dialect
from adapters.hl7v2.message import Message
from adapters.hl7v2.reading import FactsReader
from adapters.hl7v2.refusal import MessageRefused
from gateway.audit.log import Event, record
from gateway.cases import stays
from gateway.cases.assembly import SETTINGS, Assembled, Identity, assemble
from gateway.cases.joining import JoinDecision, Key, decide, keys_of_stay, merge, of_front_sheet, row_key
from gateway.cases.known import KnownInLedger, Outlines
from gateway.intake.mailroom import RAW_PLACE
from gateway.model.errors import IllegalTransition, NotFound
from gateway.model.facts import Fact, Facts, says_something
from gateway.model.stay import Stay
from gateway.reporting import submissions
from gateway.reporting.preparing import PreparedStay, Preparer
from gateway.settings import Source
from gateway.store.ledger import Ledger, now
from gateway.store.tables import InboundMessage

TOGETHER = 300
"""Messages in one transaction."""

_STATES = {"join": "assembled", "new": "assembled", "wait": "waiting", "apart": "ignored"}

_OURS = frozenset(("failed", "no-source"))
"""Reasons that lie with us: such a message is parked and can be tried again."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A message with what it says; ``facts`` is None when it cannot be read."""

    id: int
    source: str
    facts: Facts | None
    reason: str = ""
    note: str = ""


@dataclass
class Assembler:
    """Assembles under a hospital's settings. One per process: it remembers outlines of stays. Not thread-safe."""

    ledger: Ledger
    sources: Mapping[str, Source]
    preparer: Preparer
    reviewed: Mapping[str, bool]
    outlines: Outlines = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self._readers = {id: FactsReader(dialect(source.dialect)) for id, source in self.sources.items()}

    def run(self, limit: int = TOGETHER) -> int:
        """Assemble up to ``limit`` received messages; how many were looked at."""
        with _collecting_later():
            return self._run(limit)

    def _run(self, limit: int) -> int:
        with self.ledger.read() as session:
            statement = select(InboundMessage.id, InboundMessage.source, InboundMessage.sealed_raw).where(
                InboundMessage.state == "received"
            )
            rows = list(session.exec(statement.order_by(col(InboundMessage.id)).limit(limit)))
        read = [self._read(id or 0, source, sealed) for id, source, sealed in rows]
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
        return len(read)

    # -- one message

    def _read(self, id: int, source: str, sealed: bytes) -> _Read:
        chosen = self.sources.get(source)
        if chosen is None:
            return _Read(id, source, None, "no-source", f"配置中没有来源 {source}，消息已保存；恢复配置后可重新处理")
        try:
            raw = self.ledger.vault.open(sealed, RAW_PLACE)
            message = Message.read(raw, charset=chosen.charset, longest=chosen.longest_mb << 20)
            facts = self._readers[source].read(message, f"v2:{id}")
            if chosen.organisation_name and says_something(facts):
                facts.facts.append(Fact("organisation.name", chosen.organisation_name, SETTINGS))
            return _Read(id, source, facts)
        except MessageRefused as refusal:
            return _Read(id, source, None, refusal.reason, str(refusal))
        except Exception as error:
            return _Read(id, source, None, "failed", f"读取失败（{type(error).__name__}），请联系管理员")

    def _take(self, read: Sequence[_Read]) -> None:
        with self.ledger.write() as session:
            desk = Desk(session, self.ledger, self.preparer, self.reviewed, self.outlines)
            said = [(item.facts, self.sources[item.source].organisation) for item in read if item.facts is not None]
            desk.known.look_ahead(said)
            lanes = {item.id: self._lane(item) for item in read}
            parked = _parked(session, lanes.values())
            for item in read:
                self._place(desk, item, behind=lanes[item.id] in parked)
            desk.rebuild_all()
            events = [{"id": item.id, "event": item.facts.event, "lane": lanes[item.id]} for item in read if item.facts is not None]
            if events:
                session.execute(update(InboundMessage), events)
            record(session, *desk.events)

    def _take_alone(self, item: _Read) -> None:
        try:
            self._take([item])
        except OperationalError:
            raise
        except Exception as error:
            with self.ledger.write() as session:
                row = session.get_one(InboundMessage, item.id)
                row.state, row.reason = "parked", "failed"
                row.note = f"处理失败（{type(error).__name__}）：该患者后续消息暂停处理，请联系管理员"
                row.lane = self._lane(item)
                session.add(row)
                record(session, Event("message.parked", f"v2:{item.id}", {"error": type(error).__name__}))

    def _place(self, desk: Desk, item: _Read, *, behind: bool) -> None:
        if item.facts is None:
            state = "parked" if item.reason in _OURS else "refused"
            desk.settle(item.id, state, item.note, reason=item.reason)
            desk.events.append(Event(f"message.{state}", f"v2:{item.id}", {"reason": item.reason}))
        elif behind:
            desk.settle(item.id, "parked", "排在同一患者处理失败的消息之后", reason="behind")
        elif not says_something(item.facts):
            desk.settle(item.id, "ignored", "消息中没有需要的内容")
        else:
            desk.take(item.id, item.facts, self.sources[item.source].organisation)

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
            record(session, Event("message.retried", f"v2:{message_id}", {"messages": len(rows)}, actor))
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
    statement = select(InboundMessage.lane).where(
        col(InboundMessage.lane).in_(sorted({*lanes} - {""})), InboundMessage.state == "parked"
    )
    return set(session.exec(statement.distinct()))


class Desk:
    """Stays in the hands of one writing transaction: messages, front sheets and corrections are laid on it, then every stay they concern
    is rebuilt once. ``events`` are for the audit log."""

    def __init__(
        self, session: Session, ledger: Ledger, preparer: Preparer, reviewed: Mapping[str, bool], outlines: Outlines | None = None
    ) -> None:
        self._session = session
        self._preparer = preparer
        self._reviewed = reviewed
        self.known = KnownInLedger(session, ledger.vault, outlines)
        self.events: list[Event] = []
        self._concerned: dict[int, tuple[Identity, str, str]] = {}
        """Stay to identity, what made the new version, and the actor."""
        self._settled: dict[int, dict[str, Any]] = {}
        """Message to what its row says from now on."""

    def take(self, message_id: int, facts: Facts, organisation: str) -> JoinDecision:
        """Lay one message on its stay; where it went."""
        if facts.live:
            self._merge(facts, organisation)
        decision = decide(facts, organisation, self.known)
        if decision.outcome in ("join", "new"):
            stay = decision.stay if decision.stay is not None else self._open()
            decision = JoinDecision(decision.outcome, decision.reason, decision.keys, stay, decision.absorbed)
            self._lay(stay, message_id, facts, organisation, decision)
            self._call_waiting(organisation, self.known.add_keys(stay, _lasting(decision.keys)))
        elif decision.outcome == "wait":
            self.known.join(message_id, facts, None, decision.keys)
        self.settle(message_id, _STATES[decision.outcome], decision.reason, stay=decision.stay)
        return decision

    def settle(self, message_id: int, state: str, note: str, *, reason: str = "", stay: int | None = None) -> None:
        """Note what became of a message."""
        self._settled[message_id] = {"id": message_id, "state": state, "reason": reason, "note": note, "stay_id": stay}

    def file(self, message: str, body: Stay, organisation: str) -> int:
        """Lay a front sheet on its stay, which messages or persons have a say in, too; the stay."""
        decision = decide(of_front_sheet(body), organisation, self.known)
        stay = decision.stay if decision.stay is not None else self._open()
        for other in decision.absorbed:
            self._absorb(other, stay, organisation)
        self.known.file(stay, message, body)
        self._concern(stay, body.identity, message)
        fresh = self.known.add_keys(stay, _lasting((*decision.keys, *keys_of_stay(body))))
        self._call_waiting(organisation, fresh)
        return stay

    def concern(self, stay_id: int, current: Stay, made_by: str, actor: str) -> None:
        """Have a stay rebuilt because a person changed something."""
        self._concern(stay_id, current.identity, made_by, actor)

    def rebuild_all(self) -> dict[int, stays.Recorded]:
        """Rebuild every stay that something was laid on, bring its submissions up to date, and write all down."""
        concerned, self._concerned = self._concerned, {}
        self.known.gather(concerned)
        made = {stay: self._assemble(stay, identity) for stay, (identity, _, _) in concerned.items()}
        prepared = {stay: self._preparer.prepare(a.stay, findings=a.findings, cancelled=a.cancelled) for stay, a in made.items()}
        versions = [
            (stay, self._version(stay, made[stay], prepared[stay], made_by, by_person=actor != "zhibao"))
            for stay, (_, made_by, actor) in concerned.items()
        ]
        at = now()
        recorded = {done.stay_id: done for done in stays.revise(self._session, versions, at)}
        owed = []
        for stay, done in recorded.items():
            _, made_by, actor = concerned[stay]
            self.known.recorded(stay, made[stay].stay, at)
            self.known.add_keys(stay, _lasting(keys_of_stay(made[stay].stay)))
            if done.changed:
                owed.append(submissions.Owed(stay, done.version_id, prepared[stay].window, prepared[stay].drafts))
                detail = {"message": made_by, "state": made[stay].state}
                self.events.append(Event("stay.recorded", f"stay:{stay}.{done.number}", detail, actor))
        self.events += submissions.draft(self._session, owed, self._reviewed)
        self.known.flush()
        if self._settled:
            self._session.execute(update(InboundMessage), [*self._settled.values()])
        return recorded

    # -- inside

    def _open(self) -> int:
        stay = stays.open_row(self._session)
        self.known.opened(stay)
        return stay

    def _lay(self, stay: int, message_id: int, facts: Facts, organisation: str, decision: JoinDecision) -> None:
        self.known.keep_filed(stay)
        for other in decision.absorbed:
            self._absorb(other, stay, organisation)
        self.known.join(message_id, facts, stay)
        identity = self._identity(stay, facts, organisation)
        if self.known.outdated(stay, facts):
            self._take_in(stay, identity, f"v2:{message_id}")
        else:
            self._concern(stay, identity, f"v2:{message_id}")

    def _identity(self, stay: int, facts: Facts, organisation: str) -> Identity:
        earlier = self._concerned.get(stay)
        outline = self.known.outline(stay)
        record_number = self.known.surviving(organisation, outline.record_number or facts.patient.record_number)
        number = outline.admission_number or facts.visit.admission_number or (earlier[0][2] if earlier else 0)
        if earlier and not record_number:
            record_number = earlier[0][1]
        return organisation, record_number, number

    def _merge(self, facts: Facts, organisation: str) -> None:
        """A40: numbers that no longer count, and the stays that move."""
        surviving = facts.patient.record_number
        moves = merge(facts, organisation, self.known) if facts.merged_from else ()
        for old in facts.merged_from:
            if surviving and old != surviving:
                self.known.merged(organisation, old, surviving)
        for move in moves:
            if move.into == move.stay:
                continue  # it was moved before, and is still found under the old number
            if move.into is not None:
                self._absorb(move.stay, move.into, organisation)
                self._take_in(move.into, self._identity(move.into, facts, organisation), facts.message)
            else:
                outline = self.known.outline(move.stay)
                number = 0 if move.number_taken else outline.admission_number or 0
                self.known.keep_filed(move.stay)
                self._take_in(move.stay, (organisation, surviving, number), facts.message)
                keys = [Key("patient", (organisation, surviving))]
                if number:
                    keys.append(Key("admission", (organisation, surviving, str(number))))
                self.known.add_keys(move.stay, keys)

    def _take_in(self, stay: int, identity: Identity, made_by: str) -> None:
        """Something was laid on a stay that changes what joining sees of it: the next message is to find it as if it had been rebuilt."""
        self._concern(stay, identity, made_by)
        self.known.remember(stay, self._assemble(stay, identity).stay)

    def _absorb(self, stay: int, into: int, organisation: str) -> None:
        """Two stays are one: what was reported of the absorbed one is taken back."""
        self._concerned.pop(stay, None)
        self.known.absorb(stay, into)
        owed = submissions.nothing_owed(self._session, stay, f"与病例 {into} 是同一次住院，合并上报")
        self.events += submissions.draft(self._session, owed, self._reviewed)
        self.events.append(Event("stay.absorbed", f"stay:{stay}", {"into": into, "organisation": organisation}))

    def _call_waiting(self, organisation: str, fresh: Sequence[Key]) -> None:
        """Messages that waited for what a stay is now known under are decided again."""
        if not fresh:
            return
        for facts in self.known.waiting(fresh):
            message_id = int(facts.message.removeprefix("v2:"))
            decision = decide(facts, organisation, self.known)
            if decision.outcome != "join" or decision.stay is None:
                continue
            self._lay(decision.stay, message_id, facts, organisation, decision)
            self.settle(message_id, "assembled", decision.reason, stay=decision.stay)
            self.known.add_keys(decision.stay, _lasting(decision.keys))

    def _concern(self, stay: int, identity: Identity, made_by: str, actor: str = "zhibao") -> None:
        self._concerned[stay] = (identity, made_by, actor)

    def _assemble(self, stay_id: int, identity: Identity) -> Assembled:
        filed, filed_at = self.known.filed(stay_id) or (None, "")
        return assemble(identity, self.known.facts_of(stay_id), filed, self.known.corrections(stay_id), filed_at=filed_at)

    def _version(self, stay: int, assembled: Assembled, made: PreparedStay, made_by: str, *, by_person: bool) -> stays.NewVersion:
        key = row_key(assembled.stay, (facts.visit.number for facts in self.known.facts_of(stay) if facts.visit.number))
        return stays.NewVersion(self.known.index(key), made.window, made.digest, made.sealed_body, made_by, by_person=by_person)


def _lasting(keys: Sequence[Key]) -> list[Key]:
    """Keys under which a stay is found later. A person's own number joins nothing by itself."""
    return [key for key in keys if key.kind in ("admission", "visit", "specimen", "patient")]
