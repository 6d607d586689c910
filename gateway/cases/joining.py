"""Which stay a message belongs to, and which stays become one: the pure part.

**Keys.** A stay is known under several keys, and every joined message adds its own. In the order in which they decide:

=============  ===================================  ==========================================================================
``admission``  organisation, 病案号, 住院次数         the stay itself
``visit``      organisation, visit number (PV1-19)  the stay, in the eyes of one sender
``specimen``   organisation, 病理号                   the stay that has a report of it, or whose front sheet names it
``patient``    organisation, 病案号                   all stays of a patient: the one of that time
``person``     organisation, resident ID            joins nothing by itself; only tells that two are not the same person
=============  ===================================  ==========================================================================

**Identity without 住院次数.** `Stay.identity` has 0 there, which two stays of one patient would share. So a row of the ledger is not
identified by it but by its `row_key`: the admission key where the number is known, else the visit number, else 病案号 with the day of
admission. When a message or the front sheet brings the number, the stay gains the admission key; if another stay already has that
key (the front sheet came first), both are one, and the decision says which one is absorbed.

**Merged numbers.** Under each 病案号 住院次数 was counted by itself. So a stay keeps the admission key of the number that was merged away, and
what is sent under it later finds its stay by that key; a 住院次数 that the surviving number has used already is not known any more.

**Waiting.** Pathology, laboratory and drugs never open a stay. Without a stay they wait, visible, and are decided again whenever a stay
gains a key that they have. Outpatient, emergency and check-up visits never become inpatient stays; their pathology waits until a stay
names the same 病理号 (source: product decision "joining stays").

Whatever holds the stays implements `KnownStays`; nothing here writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol

from msgspec import Struct
from msgspec.structs import replace

from gateway.cases.timeline import trigger_of
from gateway.model.facts import Fact, Facts, PatientKey, VisitKey
from gateway.model.stay import Stay
from gateway.model.values import day_of, moment_of

REPORT_DELAY = timedelta(days=60)
"""How long after discharge a pathology report still belongs to the stay before it (decalcified bone, special stains, second opinions)."""

_SAME_ADMISSION = timedelta(days=1)
"""Two statements of one admission may differ by this much: a correction across midnight, a day against a time."""

_PERSON = frozenset({"A28", "A31", "A40"})
_OPENING = frozenset({"A01", "A02", "A03", "A06", "A08", "A11", "A12", "A13"})
_ANEW = frozenset({"A01", "A02", "A03", "A06"})
"""After a discharge these tell of another stay; the other events (a cancellation, an update) look back at the last one."""

_ABSENT = frozenset({"outpatient", "emergency", "check-up"})

KeyKind = Literal["admission", "visit", "specimen", "patient", "person", "admitted"]


class Key(Struct, frozen=True):
    """One way to find a stay."""

    kind: KeyKind
    parts: tuple[str, ...]

    @property
    def index(self) -> tuple[str, ...]:
        """What a blind index is made of. That of an admission key is the one of `Stay.identity`."""
        return self.parts if self.kind == "admission" else (self.kind, *self.parts)


class StayOutline(Struct, frozen=True):
    """As much of a stay as joining needs. Times are China time and empty where not known."""

    id: int
    record_number: str = ""
    admission_number: int | None = None
    resident_id: str = ""
    visits: frozenset[str] = frozenset()
    admitted_at: str = ""
    discharged_at: str = ""


class KnownStays(Protocol):
    """What joining and assembling need of the store."""

    def surviving(self, organisation: str, record_number: str) -> str:
        """The number that counts after all merges (A40), the same one where there was none."""
        ...

    def stays(self, key: Key) -> Sequence[StayOutline]:
        """The stays known under a key."""
        ...

    def facts_of(self, stay: int) -> Sequence[Facts]:
        """Everything that messages said of a stay."""
        ...

    def waiting(self, keys: Iterable[Key]) -> Sequence[Facts]:
        """Messages that wait and have one of the keys."""
        ...


class JoinDecision(Struct, frozen=True):
    """Where a message goes. ``join``: to ``stay``, which takes in the stays ``absorbed``; ``new``: it opens one; ``wait``: for a stay to
    come; ``apart``: it is kept and concerns no inpatient stay. ``reason`` is for people; ``keys`` are what the stay is known under from
    now on, or what a waiting message waits for."""

    outcome: Literal["join", "new", "wait", "apart"]
    reason: str
    keys: tuple[Key, ...] = ()
    stay: int | None = None
    absorbed: tuple[int, ...] = ()


class Move(Struct, frozen=True):
    """A stay under a number that was merged away: it gets the surviving number, and where ``into`` names a stay of that number, both
    are the same and become one. ``number_taken``: another stay already has its 住院次数, so its own counts as not known."""

    stay: int
    into: int | None
    reason: str
    number_taken: bool = False


def keys_of(facts: Facts, organisation: str) -> tuple[Key, ...]:
    """The keys under which a message may find its stay, those that decide first in front."""
    record, visit, resident = facts.patient.record_number, facts.visit, facts.patient.resident_id
    keys: list[Key] = []
    if record and visit.admission_number:
        keys.append(Key("admission", (organisation, record, str(visit.admission_number))))
    if visit.number:
        keys.append(Key("visit", (organisation, visit.number)))
    numbers = dict.fromkeys(report.specimen_number for report in facts.pathology if report.specimen_number)
    keys += [Key("specimen", (organisation, number)) for number in numbers]
    if record:
        keys.append(Key("patient", (organisation, record)))
    if resident:
        keys.append(Key("person", (organisation, resident)))
    return tuple(keys)


def keys_of_stay(stay: Stay) -> tuple[Key, ...]:
    """The keys that an assembled stay or a front sheet brings by itself."""
    organisation, record, number = stay.identity
    keys: list[Key] = []
    if record and number:
        keys.append(Key("admission", (organisation, record, str(number))))
    keys += [Key("specimen", (organisation, part.specimen_number)) for part in stay.pathology if part.specimen_number]
    if record:
        keys.append(Key("patient", (organisation, record)))
    if stay.patient.identity.number:
        keys.append(Key("person", (organisation, stay.patient.identity.number)))
    return tuple(keys)


def of_front_sheet(stay: Stay) -> Facts:
    """What joining needs of an archived front sheet, so that it finds its stay as a message does."""
    _, record, number = stay.identity
    layers = stay.provenance.layers
    times = {"admission.time": stay.admission.time, "discharge.time": stay.discharge.time}
    return Facts(
        message=layers[0].message if layers else "",
        mapping=layers[0].mapping if layers else "",
        event="",
        occurred=stay.discharge.time or stay.admission.time or "",
        patient=PatientKey(record, stay.patient.identity.number or ""),
        visit=VisitKey("", number or None, "inpatient"),
        facts=[Fact(path, time, "") for path, time in times.items() if time],
    )


def row_key(stay: Stay, visits: Iterable[str] = ()) -> Key:
    """The one key that identifies a stay's row, see the module. ``visits`` are the visit numbers that its messages have."""
    organisation, record, number = stay.identity
    if record and number:
        return Key("admission", (organisation, record, str(number)))
    if (visit := min(visits, default="")) != "":
        return Key("visit", (organisation, visit))
    return Key("admitted", (organisation, record, (stay.admission.time or "")[:10]))


def decide(facts: Facts, organisation: str, known: KnownStays) -> JoinDecision:
    """Where a message goes, by what is known now."""
    if not facts.live:
        return JoinDecision("apart", "测试或培训消息，只保存，不进入病例")
    facts, keys = _surviving(facts, organisation, known)
    absent = facts.visit.kind in _ABSENT
    by_kind: dict[KeyKind, list[StayOutline]] = {}
    for key in keys:
        fits = _bears_out if key.kind == "specimen" else _fits
        found = [stay for stay in known.stays(key) if fits(stay, facts)] if key.kind != "person" else []
        by_kind.setdefault(key.kind, []).extend(found)
    strong: tuple[KeyKind, ...] = ("specimen",) if absent else ("admission", "visit", "specimen")
    for kind in strong:
        stays = {stay.id: stay for stay in by_kind.get(kind, ())}
        if len(stays) == 1:
            (stay,) = stays
            others = {} if absent else {s.id: s for s in by_kind.get("visit", ()) if s.admission_number is None and s.id != stay}
            return JoinDecision("join", _JOINED[kind], keys, stay, tuple(sorted(others)))
        if stays:
            return JoinDecision("wait", f"按{_KEY_NAMES[kind]}找到多个病例，无法确定属于哪一个，请人工关联", keys)
    if absent:
        if facts.pathology:
            return JoinDecision("wait", "门诊、急诊或体检的病理报告，等待填有同一病理号的住院病例", keys)
        return JoinDecision("apart", "门诊、急诊或体检就诊，不形成住院病例")
    return _by_patient(facts, by_kind.get("patient", []), keys)


_KEY_NAMES = {"admission": "病案号和住院次数", "visit": "就诊流水号", "specimen": "病理号"}
_JOINED = {kind: f"{name}与已有病例一致" for kind, name in _KEY_NAMES.items()}


def _by_patient(facts: Facts, stays: list[StayOutline], keys: tuple[Key, ...]) -> JoinDecision:
    """By 病案号 and time, for want of a key of the stay itself."""
    found = _of_the_time(facts, list({stay.id: stay for stay in stays}.values()))
    if len(found) == 1:
        return JoinDecision("join", "病案号一致，且消息时间属于该次住院", keys, found[0].id)
    if found:
        return JoinDecision("wait", "该病案号同时有多个未出院的病例，无法确定属于哪一个，请人工关联", keys)
    if not facts.patient.record_number and not facts.visit.number:
        return JoinDecision("wait", "消息中没有病案号和就诊流水号，无法确定属于哪次住院，请人工关联", keys)
    if _opens(facts):
        return JoinDecision("new", "没有对应的病例，新建一个", keys)
    if facts.pathology:
        return JoinDecision("wait", "病理报告没有找到对应的住院病例，等待该病例到达", keys)
    return JoinDecision("wait", "没有找到对应的住院病例，等待该病例到达", keys)


def _opens(facts: Facts) -> bool:
    """Whether a message tells of a stay as such: an inpatient ADT event, or anything that states admission or discharge."""
    trigger = trigger_of(facts)
    if facts.event.startswith("ADT"):
        return trigger in _OPENING or (trigger not in _PERSON and facts.visit.kind == "inpatient")
    return facts.visit.kind == "inpatient" and any(fact.path in ("admission.time", "discharge.time") for fact in facts.facts)


def _of_the_time(facts: Facts, stays: list[StayOutline]) -> list[StayOutline]:
    """The stays of a patient that a message can be about."""
    if (admitted := _stated(facts, "admission.time")) and (same := [s for s in stays if _one_admission(s.admitted_at, admitted)]):
        return same
    at = facts.occurred
    trigger = trigger_of(facts)
    if trigger in _PERSON:
        ahead = sorted((stay for stay in stays if _not_over(stay, at)), key=lambda stay: stay.admitted_at)
        return ahead[:1]
    stays = [stay for stay in stays if not admitted or not stay.admitted_at]
    begun = [stay for stay in stays if stay.admitted_at[: len(at)] <= at]
    if open_then := [stay for stay in begun if _not_over(stay, at)]:
        return open_then
    last = max(begun, key=lambda stay: stay.admitted_at, default=None)
    if last is None:
        return []
    looks_back = facts.event.startswith("ADT") and trigger not in _ANEW
    if looks_back or (facts.pathology and _soon_after(last.discharged_at, at)):
        return [last]
    return []


def _not_over(stay: StayOutline, at: str) -> bool:
    """Whether the stay had not ended at a time; a time known to the day counts for the whole day."""
    end = stay.discharged_at
    length = min(len(end), len(at))
    return not end or at[:length] <= end[:length]


def _soon_after(end: str, at: str) -> bool:
    ended, now = moment_of(end), moment_of(at)
    return isinstance(ended, datetime) and isinstance(now, datetime) and now - ended <= REPORT_DELAY


def _stated(facts: Facts, path: str) -> str:
    return next((str(fact.value) for fact in facts.facts if fact.path == path and fact.value), "")


def _one_admission(one: str, other: str) -> bool:
    first, second = day_of(one), day_of(other)
    return first is not None and second is not None and abs(first - second) <= _SAME_ADMISSION


def _fits(stay: StayOutline, facts: Facts) -> bool:
    """Whether nothing that both sides know tells them apart."""
    patient, visit = facts.patient, facts.visit
    if patient.record_number and stay.record_number and patient.record_number != stay.record_number:
        return False
    if visit.admission_number and stay.admission_number and visit.admission_number != stay.admission_number:
        return False
    other_visit = visit.number and stay.visits and visit.number not in stay.visits
    by_number = visit.admission_number and visit.admission_number == stay.admission_number
    return not (other_visit and facts.event.startswith("ADT") and not by_number)


def _another_admission(stay: StayOutline, facts: Facts) -> bool:
    number, admitted = facts.visit.admission_number, _stated(facts, "admission.time")
    if number and stay.admission_number:
        return number != stay.admission_number
    return bool(admitted and stay.admitted_at) and not _one_admission(stay.admitted_at, admitted)


def _bears_out(stay: StayOutline, facts: Facts) -> bool:
    """Whether a report may be of the stay that has its 病理号: not when it is another person's, or says itself that it is of another
    admission. An outpatient number says nothing."""
    patient = facts.patient
    if facts.visit.kind not in _ABSENT and _another_admission(stay, facts):
        return False
    if patient.resident_id and stay.resident_id:
        return patient.resident_id == stay.resident_id
    return facts.visit.kind in _ABSENT or _fits(stay, facts)


def _surviving(facts: Facts, organisation: str, known: KnownStays) -> tuple[Facts, tuple[Key, ...]]:
    """The message as it would have been sent under the number that counts now, and its keys. 住院次数 was counted under the number that
    it was sent with: only with that one it finds its stay."""
    record = facts.patient.record_number
    surviving = known.surviving(organisation, record) if record else record
    keys = keys_of(facts, organisation)
    if surviving == record:
        return facts, keys
    patient, visit = replace(facts.patient, record_number=surviving), replace(facts.visit, admission_number=None)
    facts = replace(facts, patient=patient, visit=visit)
    return facts, (*(key for key in keys if key.kind == "admission"), *keys_of(facts, organisation))


def merge(facts: Facts, organisation: str, known: KnownStays) -> tuple[Move, ...]:
    """What a merge (A40) moves: every stay under a number that no longer counts (source: product decision "merge").

    A stay under the old number is the same as one under the surviving number when both state the same admission or, where one does not
    state it, when they overlap: nobody is an inpatient twice at once. Equal 住院次数 prove nothing, for each number was counted by itself.
    """
    record = facts.patient.record_number
    staying = list(known.stays(Key("patient", (organisation, record))))
    moves = []
    for old in facts.merged_from:
        if not record or old == record:
            continue
        for stay in known.stays(Key("patient", (organisation, old))):
            into = next((other for other in staying if _same_stay(stay, other)), None)
            if into is not None:
                moves.append(Move(stay.id, into.id, "患者已合并，两个病案号下是同一次住院，合为一个病例"))
                continue
            taken = stay.admission_number is not None and any(o.admission_number == stay.admission_number for o in staying)
            note = "；住院次数与保留号下的另一次住院重复，请核对" if taken else ""
            moves.append(Move(stay.id, None, f"患者已合并，病例转到保留的病案号下{note}", taken))
            staying.append(stay)
    return tuple(moves)


def _same_stay(one: StayOutline, other: StayOutline) -> bool:
    if one.id == other.id:
        return True
    if one.admitted_at and other.admitted_at:
        return _one_admission(one.admitted_at, other.admitted_at)
    return _not_over(one, other.admitted_at) and _not_over(other, one.admitted_at)
