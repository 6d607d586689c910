"""What follows from stated items: expected values by the definitions of 实足年龄 and 实际住院天数 (checks HQMS-G-015, -019, -030)."""

from __future__ import annotations

from datetime import date

import pytest

from gateway.cases.assembly import assemble
from gateway.cases.computed import COMPUTED, age_in_days, age_in_years, days_of_stay
from gateway.cases.corrections import Correction
from gateway.model.facts import Fact, Facts
from gateway.model.provenance import Layer
from gateway.model.stay import Stay

IDENTITY = ("4200001", "ZY1", 1)


@pytest.mark.parametrize(
    ("born", "admitted", "years", "days"),
    [
        ("2015-03-08", "2024-05-06", 9, None),
        ("2015-05-06", "2024-05-06", 9, None),
        ("2015-05-07", "2024-05-06", 8, None),
        ("2024-02-29", "2025-02-28", 0, 365),
        ("2024-02-29", "2025-03-01", 1, None),
        ("2023-05-07", "2024-05-06", 0, 365),
        ("2024-05-06", "2024-05-06", 0, 0),
        ("2024-05-07", "2024-05-06", None, None),
    ],
)
def test_age_at_admission(born: str, admitted: str, years: int | None, days: int | None) -> None:
    dates = date.fromisoformat(born), date.fromisoformat(admitted)
    assert (age_in_years(*dates), age_in_days(*dates)) == (years, days)


@pytest.mark.parametrize(
    ("admitted", "discharged", "days"),
    [
        ("2024-05-12", "2024-05-15", 3),
        ("2024-05-12", "2024-05-12", 1),
        ("2024-05-12", "2024-05-13", 1),
        ("2024-05-12", "2024-05-11", None),
    ],
)
def test_days_of_stay(admitted: str, discharged: str, days: int | None) -> None:
    assert days_of_stay(date.fromisoformat(admitted), date.fromisoformat(discharged)) == days


def said(message: str = "v2:1", **values: str) -> Facts:
    facts = Facts(message, "cn-a", "ADT^A03", "2024-06-03T11:00")
    facts.facts = [Fact(path.replace("__", "."), value, "PID-7") for path, value in values.items()]
    return facts


WHOLE = said(patient__birth_date="2015-03-08", admission__time="2024-05-06T09:20", discharge__time="2024-06-03T11:00")


def test_messages_leave_age_and_length_to_be_computed_and_marked() -> None:
    stay = assemble(IDENTITY, [WHOLE]).stay
    assert (stay.age.years, stay.age.days, stay.length_of_stay) == (9, None, 28)
    origin = stay.provenance.origin("age.years")
    assert origin == Layer(COMPUTED, COMPUTED, {"age.years": "B12, A13 (derived)", "length_of_stay": "B12, B15 (derived)"})


def test_what_is_stated_is_never_computed() -> None:
    stay = assemble(IDENTITY, [WHOLE, said("v2:2", length_of_stay="27", age__years="九")]).stay
    assert (stay.age.years, stay.verbatim["age.years"], stay.length_of_stay) == (None, "九", 27)


def test_what_a_person_says_counts_and_what_follows_from_it_follows() -> None:
    layer = Layer("correction:1", "person", {"patient.birth_date": "A13", "length_of_stay": "B20"}, by="clerk")
    cleared = Correction(layer, {"patient.birth_date": "2014-03-08", "length_of_stay": None})
    stay = assemble(IDENTITY, [WHOLE], corrections=[cleared]).stay
    assert (stay.age.years, stay.length_of_stay) == (10, None)


@pytest.mark.parametrize("lacking", ["patient__birth_date", "admission__time"])
def test_nothing_is_computed_from_less_than_a_day(lacking: str) -> None:
    values = {"patient__birth_date": "2015-03-08", "admission__time": "2024-05-06T09:20"} | {lacking: "2015"}
    assert assemble(IDENTITY, [said(**values)]).stay.age.years is None


def test_beside_a_front_sheet_blanks_stay_blank() -> None:
    sheet = Stay(record_number="ZY1", admission_number=1)
    sheet.provenance.layers.append(Layer("a.csv#1", "hqms-2020"))
    stay = assemble(IDENTITY, [WHOLE], sheet).stay
    assert (stay.patient.birth_date, stay.age.years, stay.length_of_stay) == ("2015-03-08", None, None)
