"""Stays in the hands of one writing transaction: what messages, front sheets and persons say is laid on them, then each is rebuilt once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from msgspec.structs import replace
from sqlalchemy import update
from sqlmodel import Session, col, select

from gateway.audit.log import Event
from gateway.cases import stays
from gateway.cases.assembly import Assembled, Identity, assemble
from gateway.cases.conflicts import stated_twice
from gateway.cases.joining import JoinDecision, Key, decide, keys_of_stay, merge, of_front_sheet, row_key
from gateway.cases.known import KnownInLedger, Outlines
from gateway.cases.statements import together
from gateway.model.facts import Facts
from gateway.model.stay import Stay
from gateway.reporting import submissions
from gateway.reporting.preparing import PreparedStay, Preparer
from gateway.reporting.unit import Unit
from gateway.store.ledger import Ledger, now
from gateway.store.tables import InboundMessage

STATES = {"join": "assembled", "new": "assembled", "wait": "waiting", "apart": "ignored"}
"""What a message's state is called after it went somewhere."""


class Desk:
    """Messages, front sheets and corrections are laid on it, then every stay they concern is rebuilt once. ``events`` are for the audit
    log."""

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
        self._made: dict[int, Assembled] = {}
        """Stays as they were assembled since something was last laid on them."""
        self._settled: dict[int, dict[str, Any]] = {}
        """Message to what its row says from now on."""
        self._spoken_for: dict[int, dict[str, Any]] = {}
        """FHIR messages of which a part was laid on a stay by reading a record; the same of those that had their turn already."""

    def take(self, message_id: int, facts: Facts, organisation: str) -> JoinDecision:
        """Lay one message on its stay; where it went."""
        if facts.live:
            self._merge(facts, organisation)
        decision = decide(facts, organisation, self.known)
        if decision.outcome in ("join", "new"):
            stay = decision.stay if decision.stay is not None else self._open()
            decision = JoinDecision(decision.outcome, decision.reason, decision.keys, stay, decision.absorbed)
            self._lay(stay, message_id, facts, organisation, decision.absorbed)
            self._call_waiting(organisation, self.known.add_keys(stay, _lasting(decision.keys)))
        elif decision.outcome == "wait":
            self.known.join(message_id, facts, None, decision.keys)
        self.settle(message_id, STATES[decision.outcome], decision.reason, stay=decision.stay)
        return decision

    def restate(self, part: int, said: Sequence[Facts], organisation: str) -> JoinDecision | None:
        """Lay on its stay all that a source now says of it, in place of all that it said before; where it went, or None when it says
        nothing and said nothing before. ``part`` is the resource that stands for the stay. A stay of which nothing is left is cancelled.
        What takes back a stay goes to it, never waits for one, and does not count as waiting for what else is left of the record."""
        before = self.known.stated(part)
        former = {stay for stay in before.values() if stay is not None}
        decision = self._whereto(part, said, organisation, former) if said else None
        stay = decision.stay if decision is not None and decision.outcome in ("join", "new") else None
        kept = {(_number(facts), part) for facts in said} if stay is not None else set()
        self.known.unsay({id: of for id, of in before.items() if id not in kept or of != stay})
        for left in former - {stay}:
            outline = self.known.outline(left)
            self._take_in(left, (organisation, outline.record_number, outline.admission_number or 0), f"fhir:part-{part}")
        if decision is None:
            return JoinDecision("join", "来源撤回了它对该病例的陈述", (), min(former)) if former else None
        if decision.outcome == "apart":
            return decision
        if stay is None:
            for facts in said:
                self.known.join(_number(facts), facts, None, decision.keys)
            return decision
        absorbed = decision.absorbed
        by_itself = together(said).patient.record_number if self.known.hears_only(stay, part) else ""
        for facts in said:
            self._lay(stay, _number(facts), facts, organisation, absorbed, by_itself)
            self._speak_for(facts, decision.reason, stay)
            absorbed = ()
        self._call_waiting(organisation, self.known.add_keys(stay, _lasting(decision.keys)))
        return decision

    def _whereto(self, part: int, said: Sequence[Facts], organisation: str, former: Set[int]) -> JoinDecision:
        """Where statements about one stay go. Where their stay consists of nothing else, it goes along with them: numbers that a source
        puts right are put right, and do not make another stay."""
        head = together(said)
        if head.live:
            self._merge(head, organisation)
        decision = decide(head, organisation, self.known)
        own = next(iter(former)) if len(former) == 1 else None
        if head.cancels and decision.outcome != "apart":
            taken_back = own if own is not None else self._named(part, decision)
            if taken_back is None:
                return JoinDecision("apart", "来源撤回的就诊没有对应的病例，无需处理", decision.keys)
            return JoinDecision("join", "来源撤回了这次就诊", decision.keys, taken_back)
        if decision.outcome in ("new", "wait") and own is not None and self.known.hears_only(own, part):
            return JoinDecision("join", "来源更正了同一次就诊", decision.keys, own)
        if decision.outcome == "new":
            return JoinDecision("new", decision.reason, decision.keys, self._open())
        return decision

    def _named(self, part: int, decision: JoinDecision) -> int | None:
        """The stay that a withdrawn encounter names by its own numbers, if its source had a say in it: it was stated under another address."""
        own = [key for key in decision.keys if key.kind in ("admission", "visit")]
        named = {outline.id for key in own for outline in self.known.stays(key)}
        return decision.stay if decision.stay in named and self.known.hears_source_of(part, decision.stay) else None

    def settle(self, message_id: int, state: str, note: str, *, reason: str = "", stay: int | None = None) -> None:
        """Note what became of a message."""
        self._settled[message_id] = _row(message_id, state, note, reason=reason, stay=stay)

    def leave_open(self, message_id: int) -> None:
        """What becomes of a message is settled later."""
        self._settled.pop(message_id, None)

    def file(self, message: str, body: Stay, organisation: str) -> int:
        """Lay a front sheet on its stay, which messages or persons have a say in, too; the stay."""
        decision = decide(of_front_sheet(body), organisation, self.known)
        stay = decision.stay if decision.stay is not None else self._open()
        for other in decision.absorbed:
            self._absorb(other, stay, organisation)
        self.known.file(stay, message, body)
        if decision.stay is None:
            self.known.remember(stay, body)  # the next front sheet of this patient is of another stay
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
        made, self._made = self._made, {}
        self.known.gather(concerned)
        made |= {stay: self._assemble(stay, identity) for stay, (identity, _, _) in concerned.items() if stay not in made}
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
                owed.append(submissions.Owed(Unit("stay", stay), done.version_id, prepared[stay].window, prepared[stay].drafts))
                detail = {"message": made_by, "state": made[stay].state}
                self.events.append(Event("stay.recorded", f"stay:{stay}.{done.number}", detail, actor))
        self.events += submissions.draft(self._session, owed, self._reviewed)
        self.known.flush()
        self._settle_spoken_for()
        if self._settled:
            self._session.execute(update(InboundMessage), [*self._settled.values()])
        return recorded

    # -- inside

    def _open(self) -> int:
        stay = stays.open_row(self._session)
        self.known.opened(stay)
        return stay

    def _lay(
        self, stay: int, message_id: int, facts: Facts, organisation: str, absorbed: Iterable[int], record_number: str = ""
    ) -> None:
        """``record_number`` is the 病案号 of a stay that only one source speaks of: what it says now counts."""
        self.known.keep_filed(stay)
        for other in absorbed:
            self._absorb(other, stay, organisation)
        self.known.join(message_id, facts, stay)
        identity = self._identity(stay, facts, organisation, record_number)
        if self.known.outdated(stay, facts):
            self._take_in(stay, identity, facts.message)
        else:
            self._concern(stay, identity, facts.message)

    def _identity(self, stay: int, facts: Facts, organisation: str, record_number: str = "") -> Identity:
        earlier = self._concerned.get(stay)
        outline = self.known.outline(stay)
        corrected = facts.visit.admission_number if record_number else None
        record_number = self.known.surviving(organisation, record_number or outline.record_number or facts.patient.record_number)
        said = corrected or outline.admission_number or facts.visit.admission_number
        number = said or (earlier[0][2] if earlier else 0)
        if earlier and not record_number:
            record_number = earlier[0][1]
        if (
            number
            and facts.patient.record_number not in ("", record_number)
            and self._taken(stay, organisation, record_number, number)
        ):
            number = 0
        return organisation, record_number, number

    def _taken(self, stay: int, organisation: str, record_number: str, number: int) -> bool:
        """Whether another stay of this 病案号 has a 住院次数 already."""
        others = self.known.stays(Key("admission", (organisation, record_number, str(number))))
        return any(other.id != stay and other.admission_number == number for other in others)

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
        self._made[stay] = made = self._assemble(stay, identity)
        self.known.remember(stay, made.stay)

    def _absorb(self, stay: int, into: int, organisation: str) -> None:
        """Two stays are one: what was reported of the absorbed one is taken back."""
        self._concerned.pop(stay, None)
        self._made.pop(stay, None)
        self.known.absorb(stay, into)
        stays.close(self._session, stay, into)
        owed = submissions.nothing_owed(self._session, Unit("stay", stay), "S-STAY", f"与病例 {into} 是同一次住院，合并上报")
        self.events += submissions.draft(self._session, owed, self._reviewed)
        self.events.append(Event("stay.absorbed", f"stay:{stay}", {"into": into, "organisation": organisation}))

    def _speak_for(self, facts: Facts, note: str, stay: int) -> None:
        """A message has a part in a stay. One of FHIR may concern other patients, too: if it has not had its turn, it keeps waiting for
        it."""
        number = _number(facts)
        if facts.part and number not in self._settled:
            self._spoken_for[number] = _row(number, "assembled", note, stay=stay)
        else:
            self.settle(number, "assembled", note, stay=stay)

    def _settle_spoken_for(self) -> None:
        others, self._spoken_for = self._spoken_for, {}
        if ids := sorted(others.keys() - self._settled.keys()):
            had_their_turn = col(InboundMessage.state).not_in(("received", "parked"))
            statement = select(InboundMessage.id).where(col(InboundMessage.id).in_(ids), had_their_turn)
            self._settled.update((id or 0, others[id or 0]) for id in self._session.exec(statement))

    def _call_waiting(self, organisation: str, fresh: Sequence[Key]) -> None:
        """Messages that waited for what a stay is now known under are decided again."""
        if not fresh:
            return
        for said in _by_stay(self.known.waiting(fresh)):
            decision = decide(together(said), organisation, self.known)
            if decision.outcome != "join" or decision.stay is None:
                continue
            absorbed = decision.absorbed
            for facts in said:
                self._lay(decision.stay, _number(facts), facts, organisation, absorbed)
                self._speak_for(facts, decision.reason, decision.stay)
                absorbed = ()
            self.known.add_keys(decision.stay, _lasting(decision.keys))

    def _concern(self, stay: int, identity: Identity, made_by: str, actor: str = "zhibao") -> None:
        self._concerned[stay] = (identity, made_by, actor)
        self._made.pop(stay, None)

    def _assemble(self, stay_id: int, identity: Identity) -> Assembled:
        filed, filed_at = self.known.filed(stay_id) or (None, "")
        made = assemble(identity, self.known.facts_of(stay_id), filed, self.known.corrections(stay_id), filed_at=filed_at)
        return replace(made, findings=(*made.findings, stated_twice())) if self.known.stated_twice(stay_id) else made

    def _version(self, stay: int, assembled: Assembled, made: PreparedStay, made_by: str, *, by_person: bool) -> stays.NewVersion:
        key = row_key(assembled.stay, (facts.visit.number for facts in self.known.facts_of(stay) if facts.visit.number))
        return stays.NewVersion(
            self.known.index(key),
            made.window,
            made.digest,
            made.sealed_body,
            made_by,
            by_person=by_person,
            cancelled=assembled.cancelled,
        )


def _row(message_id: int, state: str, note: str, *, reason: str = "", stay: int | None = None) -> dict[str, Any]:
    """What the row of a message says from now on."""
    return {"id": message_id, "state": state, "reason": reason, "note": note, "stay_id": stay}


def _number(facts: Facts) -> int:
    """The number of a stored message in the ledger, by its name in provenance."""
    return int(facts.message.partition(":")[2])


def _by_stay(waiting: Iterable[Facts]) -> list[list[Facts]]:
    """Statements that wait, those of one FHIR resource together."""
    found: dict[tuple[int, int], list[Facts]] = {}
    for facts in waiting:
        found.setdefault((facts.part, 0 if facts.part else _number(facts)), []).append(facts)
    return list(found.values())


def _lasting(keys: Sequence[Key]) -> list[Key]:
    """Keys under which a stay is found later. A person's own number joins nothing by itself."""
    return [key for key in keys if key.kind in ("admission", "visit", "specimen", "patient")]
