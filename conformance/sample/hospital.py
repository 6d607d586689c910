"""The sample hospital: a stream of coherent front-sheet records in order of discharge.

Days are worked through one by one. Each has its share of discharges (fewer at weekends); patients whose story goes on come back when
their time has come, everybody else is new. Only the patients who will come back are remembered, so memory does not grow with the number of
stays. One seed gives one hospital: same people, same staff, same records.
"""

from __future__ import annotations

import calendar
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from conformance.sample.clinical import CHILD_GROUPS, CaseMix, Story, case_mix
from conformance.sample.moments import DAY, HOUR, day_of
from conformance.sample.people import Patient, between, make_patient, make_staff, pick
from conformance.sample.stays import Record, front_sheet
from conformance.sample.visits import Chart, Visit, draw_visit, open_chart
from gateway.model.values import completed_years

SEED = 20261124
MONTHS = ("2026-08", "2026-09", "2026-10")
_BUSY = (1.0, 1.0, 1.0, 1.0, 1.15, 0.6, 0.45)
"""Discharges by weekday, Monday first."""

_OPENS, _CLOSES = 8 * HOUR, 18 * HOUR - 1
_CHILD_UNTIL = 20


@dataclass(frozen=True, slots=True)
class SampleStay:
    """A record and the story behind it."""

    story: Story
    record: Record


@dataclass(frozen=True, slots=True)
class _Return:
    """A patient who will be discharged again on a known day."""

    chart: Chart
    story: Story
    admitted_on: int


class SampleHospital:
    """An invented hospital. ``stays`` may be run as often as wanted; each run is the same."""

    def __init__(self, seed: int = SEED) -> None:
        self.seed = seed
        self.mix: CaseMix = case_mix()
        self.staff = make_staff(Random(seed), tuple(self.mix.departments))  # noqa: S311 - no secret, must be reproducible

    def stays(self, count: int, months: Sequence[str] = MONTHS) -> Iterator[SampleStay]:
        """``count`` stays that were discharged in ``months`` (``yyyy-MM``), in order of discharge."""
        run = _Run(self, Random(self.seed + 1))  # noqa: S311
        for day, discharges in _calendar(count, months):
            yield from run.day(day, discharges)


def generate(stays: int = 1000, seed: int = SEED, months: Sequence[str] = MONTHS) -> Iterator[Record]:
    """Front-sheet records (layout 2020) in order of discharge: column code to text, blank columns left out."""
    return (stay.record for stay in SampleHospital(seed).stays(stays, months))


def _calendar(count: int, months: Sequence[str]) -> Iterator[tuple[date, int]]:
    """The days of the months with their numbers of discharges, which add up to ``count``."""
    days = []
    for month in sorted(set(months)):
        year, number = int(month[:4]), int(month[5:7])
        days += [date(year, number, day) for day in range(1, calendar.monthrange(year, number)[1] + 1)]
    total = sum(_BUSY[day.weekday()] for day in days)
    upto, given = 0.0, 0
    for day in days:
        upto += _BUSY[day.weekday()]
        until = count if day == days[-1] else int(count * upto / total)
        yield day, until - given
        given = until


class _Run:
    """One pass through the months."""

    def __init__(self, hospital: SampleHospital, rng: Random) -> None:
        self._mix, self._staff, self._rng = hospital.mix, hospital.staff, rng
        self._returns: defaultdict[int, list[_Return]] = defaultdict(list)
        self._patients = 0

    def day(self, day: date, discharges: int) -> Iterator[SampleStay]:
        """The discharges of one day, from morning to evening."""
        rng, today = self._rng, day.toordinal()
        expected = self._returns.pop(today, [])
        for late in expected[discharges:]:
            self._returns[today + 1].append(late)
        for number, minute in enumerate(sorted([between(rng, _OPENS, _CLOSES) for _ in range(discharges)])):
            discharged = today * DAY + minute
            visit = self._again(expected[number], discharged) if number < len(expected) else self._first(discharged)
            record = front_sheet(rng, self._mix, self._staff, visit)
            self._plan_return(visit)
            yield SampleStay(visit.story, record)

    # -- patients

    def _first(self, discharged: int) -> Visit:
        """A patient whom the sample has not seen before."""
        rng = self._rng
        chance = rng.random()
        story = pick(rng, next(stories for upto, stories in self._mix.shares if chance <= upto))
        emergency = rng.random() < story.emergency
        admitted = _admission(rng, discharged, between(rng, *story.days), emergency)
        self._patients += 1
        patient = self._patient(story, day_of(admitted))
        course = story.group.endswith("-chemo")
        earlier = between(rng, 1, 8) if course else between(rng, 1, 4) if patient.born.year < 2000 and rng.random() < 0.2 else 0
        chart = open_chart(rng, patient, earlier)
        return draw_visit(rng, self._mix, chart, story, admitted, discharged, emergency)

    def _patient(self, story: Story, on: date) -> Patient:
        rng = self._rng
        sex = story.sex or pick(rng, "12")
        if story.age_days is not None:
            born = on - timedelta(days=between(rng, *story.age_days))
        else:
            years = between(rng, *story.age)
            since_birthday = between(rng, 60, 360) if years == 0 else between(rng, 0, 360)
            born = _years_before(on, years) - timedelta(days=since_birthday)
        return make_patient(rng, self._patients, born, sex, on)

    def _again(self, back: _Return, discharged: int) -> Visit:
        days = discharged // DAY - back.admitted_on
        admitted = _admission(self._rng, discharged, days, emergency=False)
        return draw_visit(self._rng, self._mix, back.chart, back.story, admitted, discharged, emergency=False)

    def _plan_return(self, visit: Visit) -> None:
        """Have the patient come back where the story goes on; a grown-up does not come back to a children's story."""
        if not visit.returns:
            return
        rng, story = self._rng, self._mix.stories[visit.story.next]
        admitted_on = visit.discharged // DAY + between(rng, *visit.story.gap)
        age = completed_years(visit.chart.patient.born, date.fromordinal(admitted_on))
        if story.group in CHILD_GROUPS and age >= _CHILD_UNTIL:
            return
        discharged_on = admitted_on + max(1, between(rng, *story.days))
        self._returns[discharged_on].append(_Return(visit.chart, story, admitted_on))


def _years_before(day: date, years: int) -> date:
    """The same day of an earlier year, 28 February for a 29th that the year lacks."""
    if (day.month, day.day) == (2, 29) and not calendar.isleap(day.year - years):
        return date(day.year - years, 2, 28)
    return day.replace(year=day.year - years)


def _admission(rng: Random, discharged: int, days: int, emergency: bool) -> int:
    """The minute of admission ``days`` before a discharge; one within the day needs at least five hours. A planned short stay
    begins early in the morning."""
    day, minute = divmod(discharged, DAY)
    if days > 0 or minute < 13 * HOUR:
        day -= max(1, days)
    if days == 0 or (days == 1 and not emergency):
        return day * DAY + between(rng, 7 * HOUR, 8 * HOUR)
    return day * DAY + (between(rng, 0, DAY - 1) if emergency else between(rng, _OPENS, 17 * HOUR))
