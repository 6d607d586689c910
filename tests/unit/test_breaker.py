"""Pauses between tries and the circuit breaker, on a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest

from gateway.delivery.channel import Channel
from gateway.delivery.engine import Breaker, Lane

FIRST, LONGEST = 5.0, 60.0


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("gateway.delivery.engine.monotonic", made)
    return made


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(FIRST, LONGEST)


@pytest.fixture
def lane() -> Lane:
    return Lane("ncpcs", cast(Channel, None), 4, 20.0, FIRST, LONGEST)


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.note(failed=True)


# -- pauses


@pytest.mark.parametrize(("tries", "full"), [(0, 5.0), (1, 10.0), (2, 20.0), (3, 40.0), (4, 60.0), (5, 60.0), (1000, 60.0)])
def test_pauses_double_up_to_the_longest_with_jitter_below(lane: Lane, tries: int, full: float) -> None:
    pauses = [lane.pause(tries, None) for _ in range(300)]
    assert full / 2 <= min(pauses) < full * 0.6
    assert full * 0.9 < max(pauses) <= full
    assert len(set(pauses)) > 250  # not all deliveries wake at one moment


@pytest.mark.parametrize("wish", [0.0, 1.0, 7.5, 3600.0])
def test_no_pause_is_shorter_than_the_platform_wishes(lane: Lane, wish: float) -> None:
    pauses = [lane.pause(0, wish) for _ in range(100)]
    assert min(pauses) >= wish
    assert max(pauses) <= max(wish, FIRST)
    if wish > FIRST:
        assert set(pauses) == {wish}


# -- the breaker


def test_it_stays_closed_below_five_failures_in_a_row(breaker: Breaker) -> None:
    fail(breaker, 4)
    assert breaker.wait() == 0
    breaker.note(failed=False)
    fail(breaker, 4)
    assert breaker.wait() == 0


def test_the_fifth_failure_in_a_row_opens_it_for_the_first_pause(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 5)
    assert breaker.wait() == FIRST
    clock.now += 3
    assert breaker.wait() == FIRST - 3
    clock.now += 2
    assert breaker.wait() == 0
    clock.now += 100
    assert breaker.wait() == 0


def test_each_further_failure_keeps_it_open_longer_up_to_the_longest(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 5)
    waits = []
    for _ in range(6):
        clock.now += breaker.wait()
        fail(breaker, 1)
        waits.append(breaker.wait())
    assert waits == [10.0, 20.0, 40.0, 60.0, 60.0, 60.0]
    fail(breaker, 5000)
    assert breaker.wait() == LONGEST


def test_a_success_closes_it_and_five_failures_are_needed_again(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 7)
    clock.now += breaker.wait()
    breaker.note(failed=False)
    assert breaker.wait() == 0
    fail(breaker, 4)
    assert breaker.wait() == 0
    fail(breaker, 1)
    assert breaker.wait() == FIRST


def test_a_success_of_an_attempt_that_was_under_way_lets_the_others_go_at_once(breaker: Breaker) -> None:
    fail(breaker, 5)
    breaker.note(failed=False)  # it began before the breaker opened
    assert breaker.wait() == 0


def test_each_lane_has_a_breaker_of_its_own(clock: Clock) -> None:
    one, other = (Lane(id, cast(Channel, None), 4, 20.0, FIRST, LONGEST) for id in ("ncpcs", "hqms"))
    fail(one.breaker, 9)
    assert one.breaker.wait() == LONGEST
    assert other.breaker.wait() == 0
    assert (one.queue, other.queue) == ("deliver-ncpcs", "deliver-hqms")
