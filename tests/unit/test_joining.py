"""Which stay a message belongs to. Expected values follow the product decisions "joining stays" and "merge"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from gateway.cases.joining import (
    JoinDecision,
    Key,
    KnownStays,
    Move,
    StayOutline,
    decide,
    keys_of,
    keys_of_stay,
    merge,
    of_front_sheet,
    row_key,
)
from gateway.model.facts import Fact, Facts, PathologyFact, PatientKey, VisitKey
from gateway.model.provenance import Layer
from gateway.model.stay import Pathology, Stay

ORGANISATION = "99ORG"
RESIDENT = "990101201503081237"


class Stays:
    """A store in memory: stays with the keys they are known under."""

    def __init__(self, *stays: StayOutline, specimens: dict[str, int] | None = None, merged: dict[str, str] | None = None) -> None:
        self._stays = {stay.id: stay for stay in stays}
        self._merged = merged or {}
        self._keys: dict[Key, list[int]] = {}
        for stay in stays:
            keys = [("patient", (ORGANISATION, stay.record_number))]
            keys += [("visit", (ORGANISATION, visit)) for visit in stay.visits]
            if stay.admission_number:
                keys.append(("admission", (ORGANISATION, stay.record_number, str(stay.admission_number))))
            for kind, parts in keys:
                self._keys.setdefault(Key(kind, parts), []).append(stay.id)  # type: ignore[arg-type]
        for number, id in (specimens or {}).items():
            self._keys.setdefault(Key("specimen", (ORGANISATION, number)), []).append(id)

    def know(self, key: Key, stay: int) -> None:
        self._keys.setdefault(key, []).append(stay)

    def surviving(self, organisation: str, record_number: str) -> str:
        return self._merged.get(record_number, record_number)

    def stays(self, key: Key) -> Sequence[StayOutline]:
        return [self._stays[id] for id in self._keys.get(key, ())]

    def facts_of(self, stay: int) -> Sequence[Facts]:
        return []

    def waiting(self, keys: Iterable[Key]) -> Sequence[Facts]:
        return []


def at(day: int, hour: int = 8) -> str:
    return f"2026-03-{day:02d}T{hour:02d}:00:00"


def message(event: str = "ADT^A01", day: int = 1, record: str = "R-1", visit: VisitKey | None = None, **said: Any) -> Facts:
    values = said.pop("values", {})
    facts = [Fact(path, value, "PV1") for path, value in values.items()]
    patient = PatientKey(record, said.pop("resident", ""))
    return Facts("m1", "cn-a", event, at(day), patient, visit or VisitKey(kind="inpatient"), facts=facts, **said)


def report(day: int, record: str = "R-1", number: str = "S-1", **said: Any) -> Facts:
    return message("ORU^R01", day, record, said.pop("visit", VisitKey()), pathology=[PathologyFact(number, "OBR-3")], **said)


def outcome(facts: Facts, known: KnownStays) -> tuple[str, int | None]:
    decision = decide(facts, ORGANISATION, known)
    assert decision.reason
    return decision.outcome, decision.stay


FIRST = StayOutline(1, "R-1", 1, RESIDENT, frozenset({"V-1"}), at(1), at(9))
SECOND = StayOutline(2, "R-1", 2, RESIDENT, frozenset({"V-2"}), at(20))


def test_keys_stand_in_the_order_in_which_they_decide() -> None:
    facts = report(3, visit=VisitKey("V-1", 2), resident=RESIDENT)
    keys = keys_of(facts, ORGANISATION)
    assert [key.kind for key in keys] == ["admission", "visit", "specimen", "patient", "person"]
    assert keys[0] == Key("admission", (ORGANISATION, "R-1", "2"))
    assert keys_of(message(record=""), ORGANISATION) == ()


def test_a_stay_brings_its_own_keys() -> None:
    stay = Stay(record_number="R-1", admission_number=2, pathology=[Pathology(specimen_number="S-1")])
    stay.organisation.code, stay.patient.identity.number = ORGANISATION, RESIDENT
    assert [key.kind for key in keys_of_stay(stay)] == ["admission", "specimen", "patient", "person"]


def test_the_row_of_a_stay_without_a_number_is_identified_otherwise() -> None:
    stay = Stay(record_number="R-1")
    stay.organisation.code, stay.admission.time = ORGANISATION, at(1)
    assert row_key(stay) == Key("admitted", (ORGANISATION, "R-1", "2026-03-01"))
    assert row_key(stay, ["V-2", "V-1"]) == Key("visit", (ORGANISATION, "V-1"))
    stay.admission_number = 3
    assert row_key(stay, ["V-1"]).index == (ORGANISATION, "R-1", "3")
    assert len({row_key(stay).index, Key("visit", (ORGANISATION, "V-1")).index}) == 2


class TestFinding:
    def test_the_number_of_admissions_decides(self) -> None:
        known = Stays(FIRST, SECOND)
        assert outcome(message(visit=VisitKey(admission_number=1, kind="inpatient"), day=25), known) == ("join", 1)
        assert outcome(message(visit=VisitKey(admission_number=2, kind="inpatient"), day=2), known) == ("join", 2)
        assert outcome(message(visit=VisitKey(admission_number=3, kind="inpatient"), day=25), known) == ("new", None)

    def test_then_the_visit_number_unless_it_is_another_patients(self) -> None:
        known = Stays(FIRST, SECOND)
        assert outcome(message("ADT^A08", visit=VisitKey("V-1", kind="inpatient"), day=25), known) == ("join", 1)
        assert outcome(message("ADT^A08", record="", visit=VisitKey("V-1"), day=25), known) == ("join", 1)
        assert outcome(message(record="R-9", visit=VisitKey("V-1", kind="inpatient")), known) == ("new", None)

    def test_then_the_single_stay_open_at_that_time(self) -> None:
        known = Stays(FIRST, SECOND)
        assert outcome(message("ADT^A08", 5), known) == ("join", 1)
        assert outcome(message("RAS^O17", 21, visit=VisitKey()), known) == ("join", 2)
        assert outcome(message("RAS^O17", 15, visit=VisitKey()), known) == ("wait", None)
        twice = Stays(StayOutline(1, "R-1", admitted_at=at(1)), StayOutline(2, "R-1", admitted_at=at(3)))
        assert outcome(message("ADT^A08", 5), twice) == ("wait", None)

    def test_a_stay_of_yet_unknown_number_is_found_and_gains_it(self) -> None:
        known = Stays(StayOutline(7, "R-1", admitted_at=at(1)))
        decision = decide(message("ADT^A08", 2, visit=VisitKey(admission_number=4)), ORGANISATION, known)
        assert (decision.outcome, decision.stay) == ("join", 7)
        assert Key("admission", (ORGANISATION, "R-1", "4")) in decision.keys

    def test_a_number_that_another_stay_has_makes_both_one(self) -> None:
        filed = StayOutline(1, "R-1", 1, admitted_at=at(1), discharged_at=at(9))
        told = StayOutline(2, "R-1", None, visits=frozenset({"V-1"}), admitted_at=at(1))
        both = Stays(filed, told)
        assert decide(message("ADT^A08", 9, visit=VisitKey("V-1", 1)), ORGANISATION, both).absorbed == (2,)
        assert decide(message("ADT^A08", 9, visit=VisitKey("V-1", 1)), ORGANISATION, Stays(filed, SECOND)).absorbed == ()

    def test_the_stated_admission_tells_stays_apart(self) -> None:
        known = Stays(StayOutline(1, "R-1", admitted_at=at(1)))
        assert outcome(message(day=15, values={"admission.time": at(15)}), known) == ("new", None)
        assert outcome(message("ADT^A08", 25, values={"admission.time": at(2, 0)}), known) == ("join", 1)

    def test_after_a_discharge_an_admission_is_new_and_a_cancellation_looks_back(self) -> None:
        known = Stays(StayOutline(1, "R-1", admitted_at=at(1), discharged_at=at(9)))
        assert outcome(message("ADT^A01", 12), known) == ("new", None)
        assert outcome(message("ADT^A13", 12, cancels="A03"), known) == ("join", 1)
        assert outcome(message("ADT^A08", 12), known) == ("join", 1)

    def test_another_visit_number_of_the_same_patient_is_another_stay(self) -> None:
        known = Stays(StayOutline(1, "R-1", visits=frozenset({"V-1"}), admitted_at=at(1)))
        assert outcome(message(day=12, visit=VisitKey("V-2", kind="inpatient")), known) == ("new", None)
        assert outcome(report(12, visit=VisitKey("LAB-7")), known) == ("join", 1)  # a laboratory counts visits in its own way

    def test_any_inpatient_event_opens_a_stay_that_came_out_of_order(self) -> None:
        for event in ("ADT^A01", "ADT^A02", "ADT^A03", "ADT^A08", "ADT^A11", "ADT^A13"):
            assert outcome(message(event), Stays()) == ("new", None)
        assert outcome(message("ADT^ZP1"), Stays()) == ("new", None)
        assert outcome(message("Bundle", values={"admission.time": at(1)}), Stays()) == ("new", None)
        assert outcome(message("OMP^O09"), Stays()) == ("wait", None)

    def test_person_messages_belong_to_the_stay_at_hand_or_the_next(self) -> None:
        for event in ("ADT^A28", "ADT^A31"):
            assert outcome(message(event, 15, visit=VisitKey()), Stays(FIRST, SECOND)) == ("join", 2)
            assert outcome(message(event, 5, visit=VisitKey()), Stays(FIRST, SECOND)) == ("join", 1)
            assert outcome(message(event, 15, visit=VisitKey()), Stays(FIRST)) == ("wait", None)

    def test_a_front_sheet_finds_its_stay_as_a_message_does(self) -> None:
        stay = Stay(record_number="R-1", admission_number=1)
        stay.admission.time, stay.discharge.time = at(1), at(9)
        stay.provenance.layers.append(Layer("file-1#3", "hqms-2020"))
        assert outcome(of_front_sheet(stay), Stays(FIRST)) == ("join", 1)
        assert outcome(of_front_sheet(stay), Stays(StayOutline(4, "R-1", admitted_at=at(1, 7)))) == ("join", 4)
        assert outcome(of_front_sheet(stay), Stays()) == ("new", None)


class TestWaiting:
    def test_a_report_without_a_stay_waits_and_never_opens_one(self) -> None:
        decision = decide(report(3), ORGANISATION, Stays())
        assert (decision.outcome, decision.keys) == ("wait", keys_of(report(3), ORGANISATION))
        assert "等待" in decision.reason
        assert outcome(report(3, visit=VisitKey("V-9", 4, "inpatient")), Stays()) == ("wait", None)

    def test_a_report_after_discharge_belongs_to_the_stay_before_it(self) -> None:
        assert outcome(report(14), Stays(FIRST)) == ("join", 1)
        late = Stays(StayOutline(1, "R-1", admitted_at="2025-12-01", discharged_at="2025-12-20"))
        assert outcome(report(14), late) == ("wait", None)

    def test_the_same_number_of_a_report_keeps_reports_together(self) -> None:
        known = Stays(FIRST, SECOND, specimens={"S-1": 1})
        assert outcome(report(22), known) == ("join", 1)
        assert outcome(report(22, number="S-2"), known) == ("join", 2)

    @pytest.mark.parametrize("kind", ["outpatient", "emergency", "check-up"])
    def test_outpatients_never_become_stays_but_their_pathology_may_meet_one(self, kind: Any) -> None:
        visit = VisitKey("O-1", kind=kind)
        assert outcome(message("ADT^A04", 1, "O-77", visit), Stays(FIRST)) == ("apart", None)
        assert outcome(message("ADT^A01", 5, visit=visit), Stays(FIRST)) == ("apart", None)
        assert outcome(report(5, visit=visit), Stays(FIRST)) == ("wait", None)
        named = Stays(FIRST, specimens={"S-1": 1})
        assert outcome(report(5, "O-77", visit=visit), named) == ("join", 1)
        assert outcome(report(5, "O-77", visit=visit, resident="99010120150308999X"), named) == ("wait", None)

    def test_what_names_nobody_waits_and_training_is_apart(self) -> None:
        assert outcome(message(record=""), Stays(FIRST)) == ("wait", None)
        assert outcome(message(live=False), Stays(FIRST)) == ("apart", None)


class TestMerging:
    A40 = message("ADT^A40", 3, "R-1", VisitKey(), merged_from=["R-0"])

    def moves(self, *stays: StayOutline) -> list[tuple[int, int | None, bool]]:
        made: tuple[Move, ...] = merge(self.A40, ORGANISATION, Stays(*stays))
        assert all("合并" in move.reason for move in made)
        return [(move.stay, move.into, move.number_taken) for move in made]

    def test_a_stay_moves_to_the_surviving_number(self) -> None:
        assert self.moves(StayOutline(1, "R-0", admitted_at=at(1))) == [(1, None, False)]
        assert self.moves(StayOutline(1, "R-1", admitted_at=at(1))) == []

    def test_one_admission_under_two_numbers_is_one_stay(self) -> None:
        assert self.moves(StayOutline(1, "R-0", 1, admitted_at=at(1)), StayOutline(2, "R-1", 4, admitted_at=at(1, 9))) == [
            (1, 2, False)
        ]
        assert self.moves(StayOutline(1, "R-0", admitted_at=at(1)), StayOutline(2, "R-1", discharged_at=at(5))) == [(1, 2, False)]

    def test_equal_numbers_of_admissions_prove_nothing(self) -> None:
        old = StayOutline(1, "R-0", 1, admitted_at="2025-05-01", discharged_at="2025-05-09")
        assert self.moves(old, FIRST.__class__(2, "R-1", 1, admitted_at=at(1))) == [(1, None, True)]

    def test_messages_under_the_old_number_still_arrive(self) -> None:
        known = Stays(StayOutline(2, "R-1", admitted_at=at(1)), merged={"R-0": "R-1"})
        decision: JoinDecision = decide(message("ADT^A08", 4, "R-0"), ORGANISATION, known)
        assert (decision.outcome, decision.stay) == ("join", 2)
        assert decision.keys == (Key("patient", (ORGANISATION, "R-1")),)

    def test_the_number_of_admissions_under_the_old_number_finds_no_stay_that_has_it_under_the_surviving_one(self) -> None:
        """R-0/1 and R-1/1 were counted each by itself; the messages of R-0/1 go where R-0/1 went."""
        moved = StayOutline(3, "R-1", None, admitted_at="2025-05-01", discharged_at="2025-05-09")
        known = Stays(FIRST, moved, merged={"R-0": "R-1"})
        said = message("ADT^A08", 2, "R-0", VisitKey("", 1, "inpatient"))
        known.know(Key("admission", (ORGANISATION, "R-0", "1")), 3)
        decision = decide(said, ORGANISATION, known)
        assert (decision.outcome, decision.stay) == ("join", 3)
        assert decision.keys[0] == Key("admission", (ORGANISATION, "R-0", "1"))

    def test_a_stay_that_was_taken_in_is_found_by_its_former_number(self) -> None:
        """R-0/1 is the same admission as R-1/4: what is sent of R-0/1 goes there although the numbers of admissions differ."""
        known = Stays(StayOutline(2, "R-1", 4, admitted_at=at(1), discharged_at=at(5)), merged={"R-0": "R-1"})
        known.know(Key("admission", (ORGANISATION, "R-0", "1")), 2)
        assert outcome(message("ADT^A08", 9, "R-0", VisitKey("", 1, "inpatient")), known) == ("join", 2)
