"""Edit checks of any card: whatever stands in its fields, every rule answers, alone as together."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from conformance.checks.registry import CardChecker, DeathChecker
from conformance.checks.registry.engine import Engine
from conformance.checks.registry.rules import load
from gateway.model.card import FIELDS
from tests.edit_checks import GOOD, TOPOGRAPHIES, card

TODAY = date(2026, 11, 25)
CHECKER = CardChecker("zhejiang-hub", today=TODAY)
DEATHS = DeathChecker()
ALONE = [Engine([rule]) for rule in load("all", "zhejiang-hub")]

digits = st.sampled_from(["", *"0123456789"])
dates = st.one_of(
    st.dates(date(1900, 1, 1), date(2030, 1, 1)).map(str), st.sampled_from(["", "2020", "2020-02", "2020-02-30", "不详"])
)
codes = st.fixed_dictionaries(
    {},
    optional={
        "sex": digits,
        "topography": st.sampled_from(TOPOGRAPHIES),
        "morphology": st.integers(7990, 9999).map(str),
        "behaviour": digits,
        "grade": digits,
        "basis_of_diagnosis": digits,
        "icd10": st.from_regex(r"[CD][0-9]{2}(\.[0-9])?", fullmatch=True),
        "birth_date": dates,
        "incidence_date": dates,
        "last_contact_date": dates,
        "death_date": dates,
        "age_at_incidence": st.integers(-1, 130).map(str),
    },
)
anything = st.dictionaries(st.sampled_from(sorted(GOOD)), st.text(max_size=20))


@given(codes)
def test_together_rules_say_what_each_says_alone(changes: dict[str, str]) -> None:
    made = card(**changes)
    together = CHECKER.check(made)
    facts = CHECKER.facts(made, {})
    assert together == [finding for engine in ALONE for finding in engine.findings(facts)]


@given(anything)
def test_any_text_is_answered(changes: dict[str, str]) -> None:
    for finding in CHECKER.check(card(**changes)):
        assert set(finding.fields) <= set(FIELDS)
        assert finding.message
        assert finding.english


@given(
    st.dictionaries(
        st.sampled_from(["sex", "birth_date", "death_date", "underlying_cause", "cause_list_no", "pregnancy"]), st.text(max_size=12)
    )
)
def test_any_death_is_answered(death: dict[str, str]) -> None:
    for finding in DEATHS.check(death):
        assert finding.rule.startswith("DC-")
        assert finding.severity in ("error", "verify", "rare", "not-checked")
