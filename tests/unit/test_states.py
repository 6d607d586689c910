"""The transition table, step by step. The expected steps are written out here from what each of them means."""

from __future__ import annotations

import re
from itertools import product

import pytest

from gateway.model.errors import IllegalTransition
from gateway.reporting.states import NAMES, OURS, THEIRS, Ours, Theirs, step_ours, step_theirs

OUR_STEPS = {
    # a draft is blocked by a finding, waits for a reviewer or may go
    ("drafted", "blocked"), ("drafted", "awaiting_review"), ("drafted", "ready"),
    # a reviewer lets it go
    ("awaiting_review", "ready"),
    # its window is open; it leaves by an interface, or in a file that a person uploads and confirms
    ("ready", "queued"), ("queued", "sending"), ("queued", "sent"),
    # what sending comes to: an answer, none, "not now" and "never"
    ("sending", "sent"), ("sending", "uncertain"), ("sending", "queued"), ("sending", "failed"),
    # what asking comes to: the platform has it, has it not, does not want it
    ("uncertain", "sent"), ("uncertain", "queued"), ("uncertain", "failed"),
    # a person sends it again
    ("failed", "queued"),
    # a newer version takes the place of one that has not left
    ("blocked", "superseded"), ("awaiting_review", "superseded"), ("ready", "superseded"), ("queued", "superseded"),
    ("failed", "superseded"),
}  # fmt: skip

THEIR_STEPS = {
    # whatever is heard first
    ("unknown", "received"), ("unknown", "accepted"), ("unknown", "rejected"), ("unknown", "returned"), ("unknown", "withdrawn"),
    ("received", "accepted"), ("received", "rejected"), ("received", "returned"), ("received", "withdrawn"),
    # a centre may send back what it had accepted
    ("accepted", "returned"),
    # everything can be taken back
    ("accepted", "withdrawn"), ("returned", "withdrawn"), ("rejected", "withdrawn"),
}  # fmt: skip

CHINESE = re.compile(r"[一-鿿]")


@pytest.mark.parametrize(("current", "wanted"), list(product(Ours, Ours)))
def test_our_side_takes_the_legal_steps_and_no_other(current: Ours, wanted: Ours) -> None:
    if (str(current), str(wanted)) in OUR_STEPS:
        assert step_ours(str(current), wanted) is wanted
        return
    with pytest.raises(IllegalTransition) as refusal:
        step_ours(str(current), wanted)
    assert NAMES[current] in refusal.value.message
    assert NAMES[wanted] in refusal.value.message


@pytest.mark.parametrize(("current", "wanted"), list(product(Theirs, Theirs)))
def test_the_platform_side_takes_the_legal_steps_and_no_other(current: Theirs, wanted: Theirs) -> None:
    if (str(current), str(wanted)) in THEIR_STEPS:
        assert step_theirs(str(current), wanted) is wanted
        return
    with pytest.raises(IllegalTransition) as refusal:
        step_theirs(str(current), wanted)
    assert NAMES[current] in refusal.value.message
    assert NAMES[wanted] in refusal.value.message


def test_every_state_has_a_row_and_a_chinese_name_of_its_own() -> None:
    assert set(OURS) == set(Ours)
    assert set(THEIRS) == set(Theirs)
    assert set(NAMES) == {*Ours, *Theirs}
    assert len(set(NAMES.values())) == len(NAMES)
    assert all(CHINESE.search(name) for name in NAMES.values())


def test_every_state_can_be_reached_and_only_the_last_ones_have_no_way_out() -> None:
    assert {wanted for steps in OURS.values() for wanted in steps} == set(Ours) - {Ours.DRAFTED}
    assert {wanted for steps in THEIRS.values() for wanted in steps} == set(Theirs) - {Theirs.UNKNOWN}
    assert {state for state, steps in OURS.items() if not steps} == {Ours.SENT, Ours.SUPERSEDED}
    assert {state for state, steps in THEIRS.items() if not steps} == {Theirs.WITHDRAWN}


def test_what_may_have_left_is_never_superseded() -> None:
    """A version whose bytes may be at the platform must be amended or withdrawn there, not forgotten here."""
    for state in (Ours.SENDING, Ours.UNCERTAIN, Ours.SENT):
        assert Ours.SUPERSEDED not in OURS[state]


def test_an_unknown_word_is_no_state() -> None:
    with pytest.raises(ValueError, match="posted"):
        step_ours("posted", Ours.SENT)
    with pytest.raises(ValueError, match="lost"):
        step_theirs("lost", Theirs.ACCEPTED)
