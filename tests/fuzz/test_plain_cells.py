"""The short cut of the checks: a cell that is plainly in order is not looked at again, and nothing is missed by that."""

from __future__ import annotations

from functools import cache
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from conformance.checks.checker import Checker
from mappings.layout import layout
from tests.fuzz.cells import damaged, plain_value

TABLES = ("platforms/hqms/checks.csv",)


@cache
def checkers(id: str) -> tuple[Checker, Checker]:
    """One that takes the short cut and one that never does."""
    quick, thorough = Checker(layout(id), TABLES), Checker(layout(id), TABLES)
    thorough._plain = dict.fromkeys(thorough._plain, lambda _: False)
    return quick, thorough


@pytest.mark.parametrize("id", ["2020", "2019", "tcm2019", "pcode"])
@settings(deadline=None, max_examples=150)
@given(seed=st.integers(0, 10**9), text=st.text(max_size=12))
def test_a_plain_cell_gives_no_finding(id: str, seed: int, text: str) -> None:
    quick, thorough = checkers(id)
    rng = Random(seed)
    field = rng.choice(layout(id).fields)
    # amounts of the P-code layout whose number of decimals the layout table does not say
    assume(field.type != "decimal" or field.scale)
    candidates = [text, plain_value(field, rng)]
    candidates += [damaged(candidates[1], rng) for _ in range(6)]
    for candidate in candidates:
        if quick._plain[field.code](candidate):
            assert quick.check({field.code: candidate}) == thorough.check({field.code: candidate})
