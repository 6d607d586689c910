"""The ledger as joining and assembling see it: stays by key, what is known of each, what waits.

Keys are blind indexes, everything else is sealed; outlines are read off the current versions and remembered while those stand.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import BindParameter, and_, bindparam, delete, exists, insert, update
from sqlmodel import Session, col, select

from gateway.cases.corrections import Correction
from gateway.cases.joining import Key, StayOutline, keys_of
from gateway.cases.stays import STAY_PLACE
from gateway.model.facts import Facts
from gateway.model.stay import Stay
from gateway.model.times import china_text
from gateway.store.ledger import now, upsert
from gateway.store.tables import (
    FhirResource,
    FiledStay,
    MergedNumber,
    StayCorrection,
    StayFacts,
    StayKey,
    StayRow,
    StayVersion,
    WaitingKey,
)
from gateway.store.vault import Vault

FACTS_PLACE = "stay_facts.facts"
CORRECTION_PLACE = "stay_correction.body"
FILED_PLACE = "filed_stay.body"
NUMBER_PLACE = "merged_number.number"
_REMEMBERED = 4096

# Put together once: that takes SQLAlchemy longer than SQLite takes to answer.
_WANTED: BindParameter[Any] = bindparam("wanted", expanding=True)
_FOUND = select(StayKey.index, StayKey.stay_id).where(col(StayKey.index).in_(_WANTED)).order_by(col(StayKey.stay_id))
_AWAITED = select(WaitingKey.index).where(col(WaitingKey.index).in_(_WANTED)).distinct()
_STATED = select(StayFacts.message_id, StayFacts.stay_id).where(StayFacts.part == bindparam("part"))
_PARTS = select(StayFacts.part).where(col(StayFacts.part).in_(_WANTED)).distinct()
_NO_LONGER_WAITING = (
    delete(WaitingKey)
    .where(and_(col(WaitingKey.part) == bindparam("part"), col(WaitingKey.message_id).in_(_WANTED)))
    .execution_options(synchronize_session=False)
)

StatementId = tuple[int, int]
"""What one message says of one stay: the number of the message, and ``Facts.part``."""

Outlines = OrderedDict[int, tuple[datetime, StayOutline]]
"""Outlines by stay, each with the time of the stay's last change: one that was read before another desk changed the stay, or within a
transaction that was rolled back, is not used."""


def add_keys(session: Session, keys: Iterable[tuple[str, int]]) -> None:
    """Make many stays known under blind indexes at once; what is there already stays."""
    rows = [{"index": index, "stay_id": stay} for index, stay in keys]
    if rows:
        session.execute(upsert(session, StayKey).on_conflict_do_nothing(), rows)


def shared_keys(session: Session, keys: Iterable[str]) -> set[str]:
    """Of some blind indexes, those of stays that messages or persons have a say in, and those that a message waits for."""
    wanted = sorted(set(keys))
    found = set(session.exec(select(WaitingKey.index).where(col(WaitingKey.index).in_(wanted))))
    for table in (StayFacts, StayCorrection):
        statement = select(StayKey.index).where(
            col(StayKey.index).in_(wanted), exists().where(col(table.stay_id) == col(StayKey.stay_id))
        )
        found.update(session.exec(statement))
    return found


@dataclass(slots=True)
class _Row:
    """A stay as it was looked up: when it changed last, what made its current version, whether its front sheet is kept already."""

    changed: datetime
    made_by: str = ""
    filed: bool = False

    @property
    def plain(self) -> bool:
        """Whether the current version is a front sheet that is kept nowhere else."""
        return not self.filed and "#" in self.made_by


class KnownInLedger:
    """`KnownStays` over one session. ``outlines`` is a memory that outlives it.

    A transaction asks the same of hundreds of messages. So `look_ahead` and `gather` look up at once what will be asked, answers are
    remembered, and what messages say is written by `flush`, all rows of a table at once.
    """

    def __init__(self, session: Session, vault: Vault, outlines: Outlines | None = None) -> None:
        self._session = session
        self._vault = vault
        self._lasting: Outlines = outlines if outlines is not None else OrderedDict()
        self._numbers: dict[str, str] = {}
        self._stays: dict[str, list[int]] = {}
        self._awaited: set[str] = set()
        self._rows: dict[int, _Row] = {}
        self._outlines: dict[int, StayOutline] = {}
        self._said: dict[int, dict[StatementId, Facts]] = {}
        self._corrections: dict[int, list[Correction]] = {}
        self._new_facts: dict[StatementId, dict[str, Any]] = {}
        self._new_waiting: dict[StatementId, set[str]] = {}
        self._new_keys: list[dict[str, Any]] = []

    # -- what joining asks

    def look_ahead(self, messages: Iterable[tuple[Facts, str]]) -> None:
        """Look up at once what joining these messages (each with its organisation) will ask."""
        messages = list(messages)
        self._look_up_numbers(
            {(organisation, facts.patient.record_number) for facts, organisation in messages if facts.patient.record_number}
        )
        keys = {key for facts, organisation in messages for key in keys_of(facts, organisation) if key.kind != "person"}
        self._look_up({self.index(key) for key in keys})
        own = (self._stays[self.index(key)] for key in keys if key.kind in ("admission", "visit"))
        self.gather({stay for stays in own for stay in stays})

    def surviving(self, organisation: str, record_number: str) -> str:
        """See `KnownStays.surviving`."""
        seen = {record_number}
        while next_ := self._merged_into(organisation, record_number):
            record_number = next_
            if record_number in seen:
                return record_number
            seen.add(record_number)
        return record_number

    def stays(self, key: Key) -> Sequence[StayOutline]:
        """See `KnownStays.stays`."""
        index = self.index(key)
        self._look_up({index})
        return [self.outline(stay) for stay in self._stays[index]]

    def outline(self, stay: int) -> StayOutline:
        """The outline of one stay, with all that was laid on it so far."""
        self._make_out({stay})
        return self._outlines[stay]

    def outdated(self, stay: int, facts: Facts) -> bool:
        """Whether the outline of a stay may be another one since a message was laid on it: it takes something back, or states what the
        outline does not."""
        outline = self._outlines[stay]
        times = {"admission.time": outline.admitted_at, "discharge.time": outline.discharged_at}
        return (
            bool(facts.cancels)
            or (facts.patient.record_number or outline.record_number) != outline.record_number
            or (facts.patient.resident_id or outline.resident_id) != outline.resident_id
            or (facts.visit.admission_number or outline.admission_number) != outline.admission_number
            or any((fact.value or "") != times[fact.path] for fact in facts.facts if fact.path in times)
        )

    def facts_of(self, stay: int) -> Sequence[Facts]:
        """See `KnownStays.facts_of`."""
        said = self._said[stay] if stay in self._said else self._heard({stay})[stay]
        return [said[statement] for statement in sorted(said)]

    def waiting(self, keys: Iterable[Key]) -> Sequence[Facts]:
        """See `KnownStays.waiting`."""
        wanted = {self.index(key) for key in keys}
        self._look_up(wanted)
        if self._awaited.isdisjoint(wanted):
            return []
        self.flush()
        awaiting = and_(
            col(WaitingKey.message_id) == StayFacts.message_id,
            col(WaitingKey.part) == StayFacts.part,
            col(WaitingKey.index).in_(sorted(wanted)),
        )
        statement = select(StayFacts.sealed_facts).where(exists().where(awaiting))
        ordered = statement.order_by(col(StayFacts.message_id), col(StayFacts.part))
        return [self._facts(sealed) for sealed in self._session.exec(ordered)]

    # -- what assembling asks

    def gather(self, stays: Iterable[int]) -> None:
        """Look up at once what assembling these stays will ask."""
        stays = set(stays)
        self._look_at(stays)
        self._listen(stays)
        if missing := stays - self._corrections.keys():
            self._corrections.update(self._corrected(missing))

    def filed(self, stay: int) -> tuple[Stay, str] | None:
        """The archived front sheet of a stay and when it was filed (China time), if there is one. While neither messages nor persons had
        a say, the current version is it."""
        known = self._row(stay)
        if known.filed:
            row = self._session.get_one(FiledStay, stay)
            return self._stay(row.sealed_body, FILED_PLACE), china_text(row.filed_at)
        version = self._current(stay) if known.plain else None
        return (self._stay(version.sealed_body, STAY_PLACE), china_text(version.created_at)) if version is not None else None

    def body(self, version: StayVersion) -> Stay:
        """The stay as one version recorded it."""
        return self._stay(version.sealed_body, STAY_PLACE)

    def corrections(self, stay: int) -> list[Correction]:
        """What persons put right, oldest first."""
        return self._corrections[stay] if stay in self._corrections else self._corrected({stay})[stay]

    # -- what is written

    def opened(self, stay: int) -> None:
        """There is a new stay, and nothing is known of it."""
        self._rows[stay] = _Row(now())
        self._outlines[stay] = StayOutline(stay)
        self._said[stay], self._corrections[stay] = {}, []

    def add_keys(self, stay: int, keys: Iterable[Key]) -> list[Key]:
        """Make a stay known under keys; those that are new to it."""
        indexes = {self.index(key): key for key in keys}
        self._look_up(indexes.keys())
        fresh = [index for index in indexes if stay not in self._stays[index]]
        for index in fresh:
            self._stays[index] = sorted((*self._stays[index], stay))
        self._new_keys += [{"index": index, "stay_id": stay} for index in fresh]
        return [indexes[index] for index in fresh]

    def join(self, message_id: int, facts: Facts, stay: int | None, waiting_for: Iterable[Key] = ()) -> None:
        """Note what a message says, of a stay or waiting for one."""
        statement = (message_id, facts.part)
        sealed = self._vault.seal(msgspec.json.encode(facts), FACTS_PLACE)
        row = {"message_id": message_id, "part": facts.part, "stay_id": stay, "sealed_facts": sealed}
        self._new_facts[statement] = row
        if stay is None:
            self._new_waiting[statement] = {self.index(key) for key in waiting_for}
            self._awaited |= self._new_waiting[statement]
            return
        self._new_waiting.pop(statement, None)
        self._listen({stay})
        self._said[stay][statement] = facts
        outline = self.outline(stay)
        if facts.visit.number and facts.visit.number not in outline.visits:
            self._outlines[stay] = msgspec.structs.replace(outline, visits=outline.visits | {facts.visit.number})

    def stated(self, part: int) -> dict[StatementId, int | None]:
        """The statements that stand about the stay of one FHIR resource, each with the stay it was laid on (None while it waits)."""
        self.flush()
        return {(message, part): stay for message, stay in self._session.exec(_STATED, params={"part": part})}

    def parts(self, numbers: Iterable[int]) -> set[int]:
        """Of some resources, those that statements stand about."""
        self.flush()
        return set(self._session.exec(_PARTS, params={"wanted": sorted(numbers)}))

    def unsay(self, statements: Mapping[StatementId, int | None]) -> None:
        """Take back statements, each with the stay it was laid on."""
        for (message, part), stay in statements.items():
            for table in (StayFacts, WaitingKey):
                self._session.execute(delete(table).where(col(table.message_id) == message, col(table.part) == part))
            if stay is not None:
                self._listen({stay})
                self._said[stay].pop((message, part), None)

    def hears_only(self, stay: int, part: int) -> bool:
        """Whether nothing but the statements of one FHIR resource makes up a stay: no other message, no front sheet."""
        self._listen({stay})
        return all(statement[1] == part for statement in self._said[stay]) and self.filed(stay) is None

    def hears_source_of(self, part: int, stay: int | None) -> bool:
        """Whether the source of one FHIR resource has a say in a stay."""
        if stay is None:
            return False
        self._listen({stay})
        sources = self._sources(part, *(other for _, other in self._said[stay]))
        return sources.pop(part, "") in sources.values()

    def stated_twice(self, stay: int) -> bool:
        """Whether one source states a stay by several encounters."""
        self._listen({stay})
        encounters = {
            part
            for (_, part), facts in self._said[stay].items()
            if facts.event == "FHIR^Encounter" and not facts.cancels and facts.visit.kind in ("", "inpatient")
        }
        return len(encounters) > 1 and len(set(self._sources(*encounters).values())) < len(encounters)

    def remember(self, stay: int, body: Stay) -> None:
        """The outline of a stay follows from this body from now on."""
        visits = frozenset(facts.visit.number for facts in self.facts_of(stay) if facts.visit.number)
        self._outlines[stay] = _outline(stay, body, visits)

    def recorded(self, stay: int, body: Stay, at: datetime) -> None:
        """A stay was recorded with this body; until another desk changes it, its outline holds."""
        self.remember(stay, body)
        self._keep(stay, at)

    def flush(self) -> None:
        """Write what was noted."""
        if self._new_facts:
            statement = upsert(self._session, StayFacts)
            changed = {name: statement.excluded[name] for name in ("stay_id", "sealed_facts")}
            self._session.execute(
                statement.on_conflict_do_update(index_elements=["message_id", "part"], set_=changed), [*self._new_facts.values()]
            )
            self._no_longer_waiting(self._new_facts)
        if waiting := [
            {"index": i, "message_id": message, "part": part}
            for (message, part), indexes in self._new_waiting.items()
            for i in sorted(indexes)
        ]:
            self._session.execute(insert(WaitingKey), waiting)
        if self._new_keys:
            self._session.execute(insert(StayKey), self._new_keys)
        self._new_facts, self._new_waiting, self._new_keys = {}, {}, []

    def file(self, stay: int, message: str, body: Stay) -> None:
        """Keep a front sheet beside what messages and persons say."""
        sealed = self._vault.seal(msgspec.json.encode(body), FILED_PLACE)
        self._session.merge(FiledStay(stay_id=stay, message=message, filed_at=now(), sealed_body=sealed))
        self._row(stay).filed = True

    def keep_filed(self, stay: int) -> None:
        """Before messages or persons have a say for the first time: the current version, where it is a front sheet, becomes the one that
        `filed` gives from now on."""
        known = self._row(stay)
        version = self._current(stay) if known.plain else None
        if version is not None:
            body = self._vault.seal(self._vault.open(version.sealed_body, STAY_PLACE), FILED_PLACE)
            self._session.add(FiledStay(stay_id=stay, message=version.made_by, filed_at=version.created_at, sealed_body=body))
            known.filed = True

    def add_correction(self, stay: int, correction: Correction) -> None:
        """Keep one act of a person."""
        sealed = self._vault.seal(msgspec.json.encode(correction), CORRECTION_PLACE)
        self._session.add(StayCorrection(stay_id=stay, at=now(), sealed_body=sealed))
        self._corrections.pop(stay, None)

    def merged(self, organisation: str, old: str, surviving: str) -> None:
        """From now on ``surviving`` counts for ``old``."""
        index = self._vault.index("merged", organisation, old)
        self._session.merge(MergedNumber(index=index, sealed_number=self._vault.seal(surviving.encode(), NUMBER_PLACE)))
        self._numbers[index] = surviving

    def absorb(self, stay: int, into: int) -> None:
        """``stay`` is the same as ``into``: everything known of it moves along, and it is found no more."""
        self.flush()
        self.keep_filed(stay)
        self.keep_filed(into)
        for table in (StayFacts, StayCorrection):
            self._session.execute(update(table).where(col(table.stay_id) == stay).values(stay_id=into))
        moving = self._session.get(FiledStay, stay)
        if moving is not None:
            if self._session.get(FiledStay, into) is None:
                self._session.add(
                    FiledStay(stay_id=into, message=moving.message, filed_at=moving.filed_at, sealed_body=moving.sealed_body)
                )
            self._session.delete(moving)
        indexes = list(self._session.exec(select(StayKey.index).where(StayKey.stay_id == stay)))
        self._session.execute(delete(StayKey).where(col(StayKey.stay_id) == stay))
        for index in indexes:
            self._session.merge(StayKey(index=index, stay_id=into))
        self._forget_absorbed(stay, into)
        row = self._session.get_one(StayRow, stay)
        row.absorbed_into = into
        row.identity = self._vault.index("absorbed", str(stay))
        self._session.add(row)
        self._session.flush()

    def index(self, key: Key) -> str:
        """The blind index of a key."""
        return self._vault.index(*key.index)

    # -- inside

    def _look_up(self, indexes: Set[str]) -> None:
        """The stays known under keys, and whether messages wait for one."""
        missing = sorted(indexes - self._stays.keys())
        if not missing:
            return
        self._stays.update((index, []) for index in missing)
        found = self._session.exec(_FOUND, params={"wanted": missing}).all()
        for index, stay in found:
            self._stays[index].append(stay)
        self._awaited.update(self._session.exec(_AWAITED, params={"wanted": missing}))
        self._make_out({stay for _, stay in found})

    def _look_up_numbers(self, numbers: Iterable[tuple[str, str]]) -> None:
        missing = sorted({self._vault.index("merged", *number) for number in numbers} - self._numbers.keys())
        if not missing:
            return
        self._numbers.update((index, "") for index in missing)
        for row in self._session.exec(select(MergedNumber).where(col(MergedNumber.index).in_(missing))):
            self._numbers[row.index] = self._vault.open(row.sealed_number, NUMBER_PLACE).decode()

    def _merged_into(self, organisation: str, record_number: str) -> str:
        self._look_up_numbers([(organisation, record_number)])
        return self._numbers[self._vault.index("merged", organisation, record_number)]

    def _look_at(self, stays: Set[int]) -> None:
        """Rows of stays."""
        missing = sorted(stays - self._rows.keys())
        if not missing:
            return
        statement = (
            select(StayRow.id, StayRow.updated_at, StayVersion.made_by, FiledStay.stay_id)
            .outerjoin(StayVersion, and_(col(StayVersion.stay_id) == StayRow.id, col(StayVersion.number) == StayRow.current))
            .outerjoin(FiledStay, col(FiledStay.stay_id) == StayRow.id)
            .where(col(StayRow.id).in_(missing))
        )
        for stay, changed, made_by, filed in self._session.exec(statement):
            self._rows[stay or 0] = _Row(changed, made_by or "", filed is not None)

    def _make_out(self, stays: Set[int]) -> None:
        """Outlines of stays."""
        missing = sorted(stays - self._outlines.keys())
        self._look_at(set(missing))
        unknown = []
        for stay in missing:
            changed, outline = self._lasting.get(stay, (None, None))
            if outline is not None and changed == self._rows[stay].changed:
                self._outlines[stay] = outline
            else:
                unknown.append(stay)
        if unknown:
            self._read_outlines(unknown)

    def _read_outlines(self, stays: Sequence[int]) -> None:
        statement = (
            select(StayRow.id, StayVersion.sealed_body)
            .join(StayVersion, and_(col(StayVersion.stay_id) == StayRow.id, col(StayVersion.number) == StayRow.current))
            .where(col(StayRow.id).in_(stays))
        )
        bodies = {stay: self._stay(sealed, STAY_PLACE) for stay, sealed in self._session.exec(statement)}
        for stay, said in self._heard(set(stays)).items():
            visits = frozenset(facts.visit.number for facts in said.values() if facts.visit.number)
            self._outlines[stay] = _outline(stay, bodies.get(stay) or Stay(), visits)
            self._keep(stay, self._rows[stay].changed)

    def _keep(self, stay: int, changed: datetime) -> None:
        """Remember an outline beyond the transaction."""
        self._lasting[stay] = changed, self._outlines[stay]
        self._lasting.move_to_end(stay)
        if len(self._lasting) > _REMEMBERED:
            self._lasting.popitem(last=False)

    def _listen(self, stays: Set[int]) -> None:
        """Have at hand what messages said of stays."""
        if missing := stays - self._said.keys():
            self._said.update(self._heard(missing))

    def _heard(self, stays: Set[int]) -> dict[int, dict[StatementId, Facts]]:
        """By stay and statement, what the ledger has of messages."""
        heard: dict[int, dict[StatementId, Facts]] = {stay: {} for stay in stays}
        statement = select(StayFacts.stay_id, StayFacts.message_id, StayFacts.part, StayFacts.sealed_facts)
        for stay, message, part, sealed in self._session.exec(statement.where(col(StayFacts.stay_id).in_(sorted(stays)))):
            heard[stay or 0][message, part] = self._facts(sealed)
        return heard

    def _sources(self, *parts: int) -> dict[int, str]:
        """The sources of FHIR resources, by their number; a negative one stands for the patient of the same resource."""
        statement = select(FhirResource.id, FhirResource.source).where(
            col(FhirResource.id).in_(sorted({abs(part) for part in parts}))
        )
        sources = dict(self._session.exec(statement).all())
        return {part: sources[abs(part)] for part in parts if abs(part) in sources}

    def _no_longer_waiting(self, statements: Iterable[StatementId]) -> None:
        """Forget what these waited for."""
        by_part: dict[int, list[int]] = {}
        for message, part in statements:
            by_part.setdefault(part, []).append(message)
        for part, messages in by_part.items():
            self._session.execute(_NO_LONGER_WAITING, {"part": part, "wanted": sorted(messages)})

    def _corrected(self, stays: Set[int]) -> dict[int, list[Correction]]:
        corrected: dict[int, list[Correction]] = {stay: [] for stay in stays}
        statement = select(StayCorrection.stay_id, StayCorrection.sealed_body).where(col(StayCorrection.stay_id).in_(sorted(stays)))
        for stay, sealed in self._session.exec(statement.order_by(col(StayCorrection.id))):
            corrected[stay].append(msgspec.json.decode(self._vault.open(sealed, CORRECTION_PLACE), type=Correction))
        return corrected

    def _forget_absorbed(self, stay: int, into: int) -> None:
        """What was remembered of two stays, now that they are one."""
        for index, stays in self._stays.items():
            if stay in stays:
                self._stays[index] = sorted({*stays, into} - {stay})
        for memory in (self._rows, self._said, self._corrections):
            for one in (stay, into):
                memory.pop(one, None)
        absorbed, outline = self._outlines.pop(stay, None), self._outlines.get(into)
        if absorbed is not None and outline is not None:
            self._outlines[into] = msgspec.structs.replace(outline, visits=outline.visits | absorbed.visits)

    def _row(self, stay: int) -> _Row:
        self._look_at({stay})
        return self._rows[stay]

    def _current(self, stay: int) -> StayVersion | None:
        row = self._session.get(StayRow, stay)
        if row is None:
            return None
        statement = select(StayVersion).where(StayVersion.stay_id == stay, StayVersion.number == row.current)
        return self._session.exec(statement).one_or_none()

    def _facts(self, sealed: bytes) -> Facts:
        return msgspec.json.decode(self._vault.open(sealed, FACTS_PLACE), type=Facts)

    def _stay(self, sealed: bytes, place: str) -> Stay:
        return msgspec.json.decode(self._vault.open(sealed, place), type=Stay)


def _outline(stay: int, body: Stay, visits: frozenset[str]) -> StayOutline:
    return StayOutline(
        id=stay,
        record_number=body.record_number or "",
        admission_number=body.admission_number,
        resident_id=body.patient.identity.number or "",
        visits=visits,
        admitted_at=body.admission.time or "",
        discharged_at=body.discharge.time or "",
    )
