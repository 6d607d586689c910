"""The functions of the conditions of edit checks, beside those of the front sheet.

They never raise: the evaluator would print the text of exceptions, and that text could hold patient data. Dates are ``yyyy-MM-dd`` or shorter
where less is known. A comparison of dates tells only what is certain whatever the unknown part is.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final

from conformance.checks.functions import chars, full_match, id18_birth, id18_checksum, id18_sex, is_int
from gateway.model.values import completed_years
from mappings.registry.icd10 import Edition, icd10_of, is_neoplasm
from mappings.registry.icdo3 import is_listed, is_morphology, is_topography
from mappings.registry.ranges import ranges
from mappings.registry.tables import names

_DATE: Final = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")

_APART: Final = re.compile(r"[\s,;，；、]+")

_OF_T_CHIA: Final = {
    "ethnicity": ("ethnicity", ""),
    "marital_status": ("marital_status", ""),
    "occupation": ("occupation", "gbt2261_4_registry"),
}
"""the value set (table, list in it) of a field"""

_OF_NATIONAL_FILES: Final = {"last_contact_status": frozenset("12349"), "death_cause_class": frozenset("129")}
"""what the national file accepts of fields (SI-10)"""


def within(code: str, codes: str) -> bool:
    """Whether a code is one of codes and ranges (``C51-C58 C79.6``)."""
    return code in ranges(codes)


def listed(code: str, codes: str) -> bool:
    """Whether a code stands in a list with commas."""
    return code in codes.split(",")


def coded(field: str, code: str) -> bool:
    """Whether a code is in the value set of a field."""
    national = _OF_NATIONAL_FILES.get(field)
    return code in (national if national is not None else names(*_OF_T_CHIA[field]))


def is_neoplasm_code(code: str) -> bool:
    """Whether ICD-10, either edition, has the code among C00-D48."""
    return is_neoplasm(code)


def converts(icd10: str, topography: str, morphology: str, behaviour: str, sex: str, edition: Edition) -> bool:
    """Whether ICD-10 is what site, histology and behaviour convert to, or nothing can be said about it: an item is blank or the tables have
    none."""
    made = icd10_of(topography, morphology, behaviour, edition, sex) if icd10 and topography and morphology and behaviour else ""
    return not made or made == icd10 or (len(made) == 3 and icd10 == f"{made}.9") or (len(icd10) == 3 and made == f"{icd10}.9")


def any_tumour(causes: list[str]) -> bool:
    """Whether one of the causes of a death (each one code, or several apart by any marks) is a tumour of the registry: C00-C97, D00-D09, D32,
    D33, D42, D43, D45-D47."""
    tumours = ranges("C00-C97 D00-D09 D32 D33 D42 D43 D45 D46 D47")
    return any(code in tumours for text in causes for code in _APART.split(text))


# -- dates


@lru_cache(maxsize=256)
def span(text: str) -> tuple[date, date] | None:
    """The first and the last day that a date (``2020-03-05``, ``2020-03``, ``2020``) can be; None when it is none."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day = match.groups()
    try:
        first = date(int(year), int(month or 1), int(day or 1))
        return first, first if day else first.replace(month=int(month or 12), day=monthrange(int(year), int(month or 12))[1])
    except ValueError:
        return None


def is_day(text: str) -> bool:
    """Whether it is a date, complete or not, that exists."""
    return span(text) is not None


def partial(text: str) -> bool:
    """Whether month or day of a date is not known."""
    found = span(text)
    return found is not None and found[0] != found[1]


def before(first: str, second: str, allowance: int) -> bool:
    """Whether a date is certainly more than ``allowance`` days earlier than another."""
    early, late = span(first), span(second)
    return early is not None and late is not None and (late[0] - early[1]).days > allowance


def age_between(birth: str, on: str) -> int:
    """Completed years; of the middle of what is not known. -1 when it cannot be told."""
    born, then = span(birth), span(on)
    return completed_years(_middle(born), _middle(then)) if born is not None and then is not None else -1


def days_between(first: str, second: str) -> int:
    """Days that have certainly passed from one date to the other; -1 when it cannot be told."""
    early, late = span(first), span(second)
    return (late[0] - early[1]).days if early is not None and late is not None else -1


def year_before(day: str) -> str:
    """The same day a year before."""
    found = span(day)
    if found is None:
        return ""
    year, month, last = found[0].year - 1, found[0].month, found[0].day
    return date(year, month, min(last, monthrange(year, month)[1])).isoformat()


def difference(first: int, second: int) -> int:
    """How far two numbers are apart."""
    return abs(first - second)


def _middle(days: tuple[date, date]) -> date:
    return days[0] + timedelta(days=((days[1] - days[0]).days + 1) // 2)


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    f.__name__: f
    for f in (
        chars, full_match, id18_birth, id18_checksum, id18_sex, is_int, is_listed, is_morphology, is_topography,
        within, listed, coded, is_neoplasm_code, converts, any_tumour, is_day, partial, before, age_between, year_before, difference,
    )
}  # fmt: skip
