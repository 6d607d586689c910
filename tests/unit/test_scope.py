"""Scope of the children's platform: both ways, with reasons. Expected results follow the scope table and its annual-report basis."""

from __future__ import annotations

import pytest

from adapters.hqms.header import recognise
from adapters.hqms.rows import RowReader
from mappings.profile import profile
from mappings.scope import Decision


def decide(main: str, other: str = "", born: str = "2016-05-01", **switches: bool) -> Decision:
    names = ["A48", "A49", "A13", "B12", "B15", "C03C", "C06x01C"]
    cells = ["1", "1", born, "2026-10-01 08:00:00", "2026-10-09 08:00:00", main, other]
    stay = RowReader(recognise(names)).read(cells, "m").stay
    return profile("ncpcs").scope(switches=switches).decide(stay)


@pytest.mark.parametrize(
    ("main", "other", "due", "rule"),
    [
        ("C91.000", "", True, "M3"),
        ("J18.900", "C91.000", True, "M3"),
        ("Z51.102", "C91.000", True, "M3"),
        ("Z51.102", "", False, "Z1"),
        ("Z85.600", "", False, "Z2"),
        ("D69.300", "", True, "H3"),
        ("D69.000x001", "", False, "S-DX"),
        ("D35.200", "", True, "B3"),
        ("D35.000", "", False, "B5"),
        ("D68.000", "", False, "H8"),
        ("D18.000", "", False, "B4"),
    ],
)
def test_diagnoses(main: str, other: str, due: bool, rule: str) -> None:
    decision = decide(main, other)
    assert decision.due is due
    assert rule in decision.rules
    assert decision.reason


def test_a_switch_turns_a_rule_on() -> None:
    assert decide("D18.000", B4=True).due


@pytest.mark.parametrize(("born", "due"), [("2006-10-02", True), ("2006-10-01", False), ("2026-10-01", True)])
def test_age_counts_completed_years_at_admission(born: str, due: bool) -> None:
    assert decide("C91.000", born=born).due is due


def test_who_turns_twenty_during_the_stay_is_due_and_shown_to_a_person() -> None:
    decision = decide("C91.000", born="2006-10-05")
    assert decision.due
    assert decision.review
