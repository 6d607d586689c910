"""Reporting windows by month of discharge, in China time (UTC+8, no summer time)."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from gateway.model.stay import Discharge, Stay
from mappings.cadence import CHINA, Cadence
from mappings.profile import profile

BY_THE_15TH = Cadence(15, "2017-01")
BY_MONTH_END = Cadence(0, "2016-01")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def discharged(time: str | None) -> Stay:
    return Stay(discharge=Discharge(time=time))


def test_the_platforms_have_these_cadences() -> None:
    assert profile("ncpcs").cadence == BY_THE_15TH
    assert profile("hqms").cadence == BY_MONTH_END


@pytest.mark.parametrize(
    ("now", "state"),
    [
        ("2026-10-09T00:00:00", "waiting"),
        ("2026-10-31T15:59:59", "waiting"),  # 23:59:59 of 31 October in China
        ("2026-10-31T16:00:00", "open"),  # midnight in China, still October in UTC
        ("2026-11-15T15:59:59", "open"),  # the last second of the 15th in China
        ("2026-11-15T16:00:00", "backfill"),
        ("2028-01-01T00:00:00", "backfill"),
    ],
)
def test_a_window_opens_and_closes_at_midnight_in_china(now: str, state: str) -> None:
    window = BY_THE_15TH.window_of("2026-10")
    assert window.state(utc(now)) == state
    assert window.state(utc(now).astimezone(CHINA)) == state


@pytest.mark.parametrize(
    ("month", "opens", "by_the_15th", "by_month_end"),
    [
        ("2026-10", "2026-11-01", "2026-11-15", "2026-11-30"),
        ("2026-12", "2027-01-01", "2027-01-15", "2027-01-31"),
        ("2026-11", "2026-12-01", "2026-12-15", "2026-12-31"),
        ("2026-01", "2026-02-01", "2026-02-15", "2026-02-28"),
        ("2028-01", "2028-02-01", "2028-02-15", "2028-02-29"),
        ("2100-01", "2100-02-01", "2100-02-15", "2100-02-28"),  # no leap year
        ("2028-02", "2028-03-01", "2028-03-15", "2028-03-31"),
    ],
)
def test_months_of_any_length(month: str, opens: str, by_the_15th: str, by_month_end: str) -> None:
    for cadence, closes in ((BY_THE_15TH, by_the_15th), (BY_MONTH_END, by_month_end)):
        window = cadence.window_of(month)
        assert window.id == month
        assert window.opens == datetime.fromisoformat(opens).replace(tzinfo=CHINA)
        assert window.closes == date.fromisoformat(closes)


def test_day_0_stays_open_to_the_end_of_the_following_month() -> None:
    window = BY_MONTH_END.window_of("2028-01")
    assert window.state(utc("2028-02-29T15:59:59")) == "open"
    assert window.state(utc("2028-02-29T16:00:00")) == "backfill"


@pytest.mark.parametrize(
    ("time", "month"),
    [
        ("2026-10-01T00:00:00", "2026-10"),
        ("2026-10-31T23:59:59", "2026-10"),  # front sheets print China time: no shift
        ("2026-11-01T00:00:00", "2026-11"),
        ("2026-10-31", "2026-10"),
        ("2028-02-29T08", "2028-02"),
    ],
)
def test_a_stay_belongs_to_the_month_that_its_discharge_is_printed_in(time: str, month: str) -> None:
    window = BY_THE_15TH.window(discharged(time))
    assert window is not None
    assert window.id == month


@pytest.mark.parametrize("time", [None, "2026-10", "2026", "2026-02-30T10:00:00"])
def test_a_stay_without_a_discharge_day_has_no_window(time: str | None) -> None:
    assert BY_THE_15TH.window(discharged(time)) is None


@pytest.mark.parametrize(("month", "state"), [("2016-12", "outside"), ("2017-01", "backfill"), ("2026-09", "backfill")])
def test_what_was_discharged_before_the_history_is_never_asked_for(month: str, state: str) -> None:
    window = BY_THE_15TH.window_of(month)
    assert window.in_history is (state != "outside")
    assert window.state(utc("2026-11-24T00:00:00")) == state


def test_the_last_month_of_the_calendar_has_a_window_too() -> None:
    assert BY_THE_15TH.window(discharged("9999-12-31T08:00:00")) is not None
