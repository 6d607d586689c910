"""What a stay says without anybody having stated it: the age at admission and the length of the stay.

Messages rarely carry them and the front sheet wants them. The standard defines both by items that are stated, completed years of age
(A14) and days of age below one year (A16) by birth date and admission, days of stay (B20) by admission and discharge, so they are
computed where nobody spoke of them. A front sheet is the coder's own statement: beside one nothing is filled in, and the check says
what is blank.

Checks HQMS-G-015, -019 and -030 ask for exactly these values.
"""

from __future__ import annotations

from datetime import date

from gateway.cases.leaves import place_of
from gateway.model.provenance import Layer
from gateway.model.stay import Stay
from gateway.model.values import completed_years, day_of

COMPUTED = "computed"
"""Source of values that nobody stated; the layer's fields name the items that they were computed from."""

_AGE_FROM = "B12, A13 (derived)"
_LENGTH_FROM = "B12, B15 (derived)"


def compute(stay: Stay) -> None:
    """Fill in what can be computed and nobody stated, in place, with its origin."""
    born, admitted, discharged = (
        day_of(stay.patient.birth_date),
        day_of(stay.admission.time),
        day_of(stay.discharge.time),
    )
    fields = {}
    for path, value, source in (
        ("age.years", age_in_years(born, admitted), _AGE_FROM),
        ("age.days", age_in_days(born, admitted), _AGE_FROM),
        ("length_of_stay", days_of_stay(admitted, discharged), _LENGTH_FROM),
    ):
        if value is not None and stay.provenance.origin(path) is None:
            place_of(path).write(stay, value)
            fields[path] = source
    if fields:
        stay.provenance.layers.append(Layer(COMPUTED, COMPUTED, fields))


def age_in_years(born: date | None, admitted: date | None) -> int | None:
    """Completed years at admission (A14)."""
    return completed_years(born, admitted) if born is not None and admitted is not None and born <= admitted else None


def age_in_days(born: date | None, admitted: date | None) -> int | None:
    """Days of age at admission (A16), of those who have not completed a year."""
    if born is None or admitted is None or age_in_years(born, admitted) != 0:
        return None
    return (admitted - born).days


def days_of_stay(admitted: date | None, discharged: date | None) -> int | None:
    """Calendar days from admission to discharge (B20); a stay within one day counts 1."""
    if admitted is None or discharged is None or discharged < admitted:
        return None
    return max(1, (discharged - admitted).days)
