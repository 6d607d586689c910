"""What happens to one patient in one stay, before any of it is printed: a visit.

A visit is drawn from a story: which of its diagnoses, which operation, when, whether intensive care or blood was needed, how it ends.
The chart is what the hospital keeps of the patient between visits, so that a readmission agrees with the stay before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from conformance.sample.clinical import CHILD_GROUPS, CaseMix, Operation, Story
from conformance.sample.moments import DAY, HOUR, day_of, day_text
from conformance.sample.people import Patient, between, pick
from gateway.model.values import completed_years

_CHRONIC = ("I10", "I25", "I48", "I69", "E04", "E11", "E78", "E79", "K76", "B18", "Z22", "N28", "N40", "M81", "C77", "C78", "C79")
"""Diagnoses that a patient still has at the next visit."""

_NOT_BEFORE = {"I10": 30, "I25": 45, "I48": 45, "I65": 45, "I69": 50, "I70": 45, "M81": 50, "N40": 50}
"""Age in years from which a comorbidity is plausible."""

_CARRIER = {"B18", "Z22"}
"""Chronic hepatitis B and its carrier state exclude each other."""

_SPREAD = ("C77", "C78", "C79")
_BLOOD_PRODUCTS = ("99.0401", "99.0500")
_BESIDE_SURGERY = ("57.9400", "38.9302")
_BESIDE_INTENSIVE_CARE = ("96.0700", "38.9302", "99.1501", "89.5400")
_DRUGS = ("青霉素", "头孢呋辛", "磺胺类", "碘造影剂", "阿司匹林", "左氧氟沙星")


@dataclass(slots=True)
class Chart:
    """A patient as the hospital knows them between visits."""

    patient: Patient
    facts: dict[str, str]
    """Cells that do not come from registration and hold at every visit: blood groups and allergy."""
    admissions: int = 0
    tumour: str = ""
    morphology: str = ""
    specimen: str = ""
    """Number of the specimen that the morphology was read from (病理号)."""
    chronic: tuple[str, ...] = ()


def open_chart(rng: Random, patient: Patient, earlier_admissions: int) -> Chart:
    """The chart of a patient whom this sample sees for the first time."""
    tested = rng.random() < 0.88
    facts = _blood_group(rng) if tested else {"C26C": "6", "C27C": "4"}
    if rng.random() < 0.07:
        first, second = pick(rng, _DRUGS), pick(rng, _DRUGS)
        facts["C24C"] = "2"
        facts["C25"] = first if first == second or rng.random() < 0.7 else f"{first},{second}"
    else:
        facts["C24C"], facts["C25"] = "1", "-"
    return Chart(patient, facts, earlier_admissions)


def _blood_group(rng: Random) -> dict[str, str]:
    return {"C26C": pick(rng, "1112223334"), "C27C": "2" if rng.random() < 0.995 else "1"}


@dataclass(slots=True)
class Procedure:
    """An operation with its start and duration in minutes."""

    operation: Operation
    start: int
    minutes: int


@dataclass(slots=True)
class Visit:
    """One stay. Times are minutes of `conformance.sample.moments`."""

    chart: Chart
    story: Story
    admitted: int
    discharged: int
    emergency: bool
    main: str
    others: list[str] = field(default_factory=list)
    morphology: str = ""
    specimen: str = ""
    external: str = ""
    procedures: list[Procedure] = field(default_factory=list)
    intensive_care: tuple[int, int] | None = None
    transfused: bool = False
    died: bool = False
    returns: bool = False
    """Whether the story goes on with another stay."""

    @property
    def days(self) -> int:
        """Length of stay as the front sheet counts it: calendar days, 1 within a day."""
        return max(1, self.discharged // DAY - self.admitted // DAY)

    @property
    def age(self) -> int:
        """Completed years at admission."""
        return completed_years(self.chart.patient.born, day_of(self.admitted))

    @property
    def child(self) -> bool:
        """Whether the story is a child's."""
        return self.story.group in CHILD_GROUPS


def draw_visit(rng: Random, mix: CaseMix, chart: Chart, story: Story, admitted: int, discharged: int, emergency: bool) -> Visit:
    """Let a story happen to a patient, and note in the chart what the next visit must know."""
    number = int(rng.random() * len(story.main))
    visit = Visit(chart, story, admitted, discharged, emergency, story.main[number])
    chart.admissions += 1
    visit.died = rng.random() < story.death
    visit.returns = bool(story.next) and not visit.died and rng.random() < story.again
    if story.morphology:
        visit.morphology = chart.morphology or _together(rng, story.morphology, story.main, number)
        visit.specimen = chart.specimen or f"B{day_text(admitted)[:4]}{between(rng, 1, 99_999):05d}"
    visit.external = pick(rng, story.external) if story.external else ""
    visit.transfused = rng.random() < story.blood
    if visit.transfused and chart.facts["C26C"] == "6":
        chart.facts.update(_blood_group(rng))
    _draw_diagnoses(rng, mix, visit)
    wanted = bool(story.operation) and rng.random() < story.chance
    main_operation = mix.operations[_together(rng, story.operation, story.main, number)] if wanted else None
    _draw_procedures(rng, mix, visit, main_operation)
    if discharged - admitted > 3 * DAY and rng.random() < story.icu:
        visit.intensive_care = _intensive_care(rng, visit)
        _add_beside(rng, mix, visit, _BESIDE_INTENSIVE_CARE, visit.intensive_care[0])
    chart.chronic = tuple([code for code in visit.others if code[:3] in _CHRONIC])
    if story.morphology and not chart.tumour:
        chart.tumour = visit.main if story.tumour else next((c for c in visit.others if c in story.companion), "")
        chart.morphology, chart.specimen = visit.morphology, visit.specimen
    return visit


def _together(rng: Random, items: tuple[str, ...], main: tuple[str, ...], number: int) -> str:
    """The item that goes with the main diagnosis: in order where there are as many, else any."""
    if not items:
        return ""
    return items[number] if len(items) == len(main) else pick(rng, items)


# -- diagnoses


def _draw_diagnoses(rng: Random, mix: CaseMix, visit: Visit) -> None:
    story, chart = visit.story, visit.chart
    categories = {visit.main[:3]}
    if story.companion:
        _add(visit, categories, _companion(rng, chart, story))
    for code in chart.chronic:
        _add(visit, categories, code)
    low, high = story.extra
    for _ in range(between(rng, low, high) if story.pool else 0):
        _add(visit, categories, pick(rng, story.pool))
    if not visit.child and rng.random() < 0.2:
        many = rng.random() < 0.05
        for _ in range(between(rng, 12, 30) if many else between(rng, 1, 3)):
            _add(visit, categories, pick(rng, mix.filler_diagnoses))


def _companion(rng: Random, chart: Chart, story: Story) -> str:
    """The tumour of the chart, if there is one: leukaemia as the story names it (in remission), any other as it was found."""
    if chart.tumour and not "C91" <= chart.tumour[:3] <= "C95":
        return chart.tumour
    return pick(rng, story.companion)


def _add(visit: Visit, categories: set[str], code: str) -> None:
    """Another diagnosis, if it suits the patient and its category is not there yet."""
    category = code[:3]
    if category in categories or visit.age < _NOT_BEFORE.get(category, 0):
        return
    if category in _CARRIER and categories & _CARRIER:
        return
    if category == "N40" and visit.chart.patient.sex != "1":
        return
    if category in _SPREAD and ("C81" <= visit.main[:3] <= "C96" or (category == "C78" and visit.main.startswith("C22"))):
        return
    categories.add(category)
    visit.others.append(code)


# -- operations


def _draw_procedures(rng: Random, mix: CaseMix, visit: Visit, main: Operation | None) -> None:
    story = visit.story
    if main is not None:
        start = _operation_start(rng, visit)
        visit.procedures.append(Procedure(main, start, _minutes(rng, main)))
        for code in story.more:
            if rng.random() < 0.5:
                operation = mix.operations[code]
                _append(visit, operation, start if operation.surgical else _any_time(rng, visit), _minutes(rng, operation))
        if main.category == "手术":
            _add_beside(rng, mix, visit, _BESIDE_SURGERY, start)
    if visit.transfused:
        for code in _BLOOD_PRODUCTS[: between(rng, 1, 2)]:
            _append(visit, mix.operations[code], _any_time(rng, visit), HOUR)
    if rng.random() < 0.45:
        for _ in range(between(rng, 1, 3)):
            operation = pick(rng, mix.filler_operations)
            if operation.code[:2] in ("87", "88", "89"):
                _append(visit, operation, _any_time(rng, visit), HOUR)


def _add_beside(rng: Random, mix: CaseMix, visit: Visit, codes: tuple[str, ...], start: int) -> None:
    for code in codes:
        if rng.random() < 0.3:
            _append(visit, mix.operations[code], start, HOUR)


def _append(visit: Visit, operation: Operation, start: int, minutes: int) -> None:
    if all(done.operation is not operation for done in visit.procedures):
        visit.procedures.append(Procedure(operation, start, minutes))


def _operation_start(rng: Random, visit: Visit) -> int:
    """Soon after an emergency, in labour and in a short stay; else in working hours of one of the first days."""
    latest = visit.discharged - 3 * HOUR
    if visit.emergency or visit.story.group == "delivery" or visit.days <= 1:
        return max(visit.admitted + HOUR // 2, min(latest, visit.admitted + between(rng, HOUR, 5 * HOUR)))
    day = visit.admitted // DAY + between(rng, 1, min(4, 1 + visit.days // 4))
    return min(latest, day * DAY + between(rng, 8 * HOUR + 30, 16 * HOUR))


def _any_time(rng: Random, visit: Visit) -> int:
    return between(rng, visit.admitted + HOUR // 2, visit.discharged - HOUR // 2)


def _minutes(rng: Random, operation: Operation) -> int:
    low, high = operation.hours
    return between(rng, 30, 75) if high == 1 else between(rng, low * HOUR, high * HOUR)


def _intensive_care(rng: Random, visit: Visit) -> tuple[int, int]:
    """From the end of surgery, or from admission, for half a day to five days."""
    first = visit.procedures[0] if visit.procedures else None
    surgery = first is not None and first.operation.category == "手术"
    entered = first.start + first.minutes + 20 if surgery and first is not None else visit.admitted + 40
    entered = min(entered, visit.discharged - 14 * HOUR)
    stayed = between(rng, 12 * HOUR, 5 * DAY)
    return entered, min(entered + stayed, visit.discharged if visit.died else visit.discharged - HOUR)
