"""Scope of the children's platform: both ways, with reasons. Expected results follow the scope table and its annual-report basis."""

from __future__ import annotations

import pytest

from adapters.hqms.header import recognise
from adapters.hqms.rows import RowReader
from gateway.model.stay import Stay
from mappings.expressions import Expression
from mappings.profile import profile
from mappings.scope import AgeReference, Decision, ReportingScope, ScopeRule

ADMITTED, DISCHARGED = "2026-10-01 08:00:00", "2026-10-09 08:00:00"


def stay_with(**cells: str) -> Stay:
    """A stay in October 2026 of a child born in May 2016, unless the cells say otherwise."""
    row = {"A48": "1", "A49": "1", "A13": "2016-05-01", "B12": ADMITTED, "B15": DISCHARGED, **cells}
    stay = RowReader(recognise(list(row))).read(list(row.values()), "m").stay
    assert stay is not None
    return stay


def decide(main: str, other: str = "", born: str = "2016-05-01", **switches: bool) -> Decision:
    return profile("ncpcs").scope(switches=switches).decide(stay_with(C03C=main, C06x01C=other, A13=born))


def decide_cells(platform: str = "ncpcs", reference: AgeReference = "admission", **cells: str) -> Decision:
    return profile(platform).scope(age_reference=reference).decide(stay_with(**cells))


def rule(id: str, effect: str, reason: str, *, when: str = "", code: str = "", on: bool = True) -> ScopeRule:
    condition = Expression(when, id) if when else None
    return ScopeRule(id, effect, on, code, code, 4 if "." in code else 3, condition, reason, "", "high")


@pytest.mark.parametrize(
    ("main", "other", "due", "rule"),
    [
        ("C91.000", "", True, "M3"),
        ("J18.900", "C91.000", True, "M3"),
        ("Z51.102", "C91.000", True, "M3"),
        ("Z51.102", "", False, "Z1"),
        ("Z85.600", "", False, "Z2"),
        ("D69.300", "", True, "H3"),
        ("D69.000x001", "", False, "S-DX"),
        ("D35.200", "", True, "B3"),
        ("D35.000", "", False, "B5"),
        ("D68.000", "", False, "H8"),
        ("D18.000", "", False, "B4"),
    ],
)
def test_diagnoses(main: str, other: str, due: bool, rule: str) -> None:
    decision = decide(main, other)
    assert decision.due is due
    assert rule in decision.rules
    assert decision.reason


def test_a_switch_turns_a_rule_on() -> None:
    assert decide("D18.000", B4=True).due


@pytest.mark.parametrize(("born", "due"), [("2006-10-02", True), ("2006-10-01", False), ("2026-10-01", True)])
def test_age_counts_completed_years_at_admission(born: str, due: bool) -> None:
    assert decide("C91.000", born=born).due is due


CROSSES = "住院期间年龄跨过上报范围的界限，请核对"


@pytest.mark.parametrize(("reference", "due"), [("admission", True), ("discharge", False)])
def test_who_turns_twenty_during_the_stay_is_shown_to_a_person(reference: AgeReference, due: bool) -> None:
    decision = decide_cells(reference=reference, A13="2006-10-05", C03C="C91.000")
    assert decision.due is due
    assert decision.review
    assert CROSSES in decision.reason


def test_a_birthday_within_the_range_is_of_no_interest() -> None:
    decision = decide_cells(A13="2016-10-05", C03C="C91.000")
    assert decision == Decision(True, ("S-ENC", "S-AGE", "M3"), decision.reason, review=False)
    assert CROSSES not in decision.reason


def test_the_bound_is_that_of_the_requirement() -> None:
    """A registry of adults: who turns 18 during the stay crosses, who turns 20 does not."""
    adults = ReportingScope([rule("R1", "require", "成年人", when="age >= 18"), rule("R2", "include", "全部", when="true")])
    turns_18, turns_20 = (adults.decide(stay_with(A13=born)) for born in ("2008-10-05", "2006-10-05"))
    assert turns_18 == Decision(False, ("R1",), f"就诊时年龄 17 岁，不满足“成年人”；{CROSSES}", review=True)
    assert turns_20 == Decision(True, ("R1", "R2"), "成年人（19 岁）；全部", review=False)


@pytest.mark.parametrize(
    "cells",
    [{"A13": "2006-10-05"}, {"A13": "1953-02-01", "A14": "72"}, {"A13": ""}],
    ids=["turns 20", "stated age differs", "age unknown"],
)
def test_age_holds_nothing_back_where_no_age_is_asked_for(cells: dict[str, str]) -> None:
    decision = decide_cells("hqms", C03C="C91.000", **cells)
    assert decision == Decision(True, ("S-ENC", "S-ALL"), "已出院的住院病例；住院病案首页逐例上报", review=False)


def test_a_stated_age_that_differs_is_shown_to_a_person_only_where_it_could_count() -> None:
    child = decide_cells(A13="2016-05-01", A14="9", C03C="C91.000")
    assert child.due
    assert child.review
    assert "首页年龄与按出生日期推算的 10 岁不一致，请核对" in child.reason
    mistyped = decide_cells(A13="1953-02-01", A14="7", C03C="C91.000")
    assert not mistyped.due
    assert mistyped.review
    adult = decide_cells(A13="1953-02-01", A14="72", C03C="C91.000")
    assert adult == Decision(False, ("S-AGE",), "就诊时年龄 73 岁，不满足“就诊时年龄 0–19 岁”", review=False)


def test_an_unknown_age_asks_for_the_birth_date() -> None:
    decision = decide_cells(A13="", C03C="C91.000")
    assert not decision.due
    assert decision.review
    assert decision.rules == ("S-AGE",)
    assert "请先补填出生日期" in decision.reason


@pytest.mark.parametrize(("days", "due"), [("12", True), ("365", True), ("366", False), ("", False)])
def test_an_age_in_days_is_an_age_below_one_year(days: str, due: bool) -> None:
    decision = decide_cells(A13="", A16=days, C03C="C91.000")
    assert decision.due is due
    assert ("（0 岁）" in decision.reason) is due


def test_who_is_not_discharged_is_not_due_and_reads_why() -> None:
    decision = decide_cells(B15="", C03C="C91.000")
    assert decision == Decision(
        False, ("S-ENC",), "没有出院时间，尚未出院或出院时间无法识别，不满足“已出院的住院病例”", review=False
    )


@pytest.mark.parametrize(
    ("main", "other", "said"),
    [
        ("Z51.102", "C91.000", True),
        ("Z51.102", "D69.300", True),
        ("C91.000", "Z51.102", False),
        ("J18.900", "C91.000", False),
    ],
)
def test_a_course_of_treatment_is_named_where_it_is_the_main_diagnosis(main: str, other: str, said: bool) -> None:
    decision = decide(main, other)
    assert decision.due
    assert ("本次为放疗、化疗疗程，凭伴随的上报病种诊断上报" in decision.reason) is said
    assert "肿瘤诊断" not in decision.reason


@pytest.mark.parametrize(
    ("name", "other_name", "review"),
    [
        ("慢性活动性EB病毒感染", "肺炎", True),
        ("慢性 活动性ＥＢ病毒感染", "肺炎", True),
        ("传染性单核细胞增多症", "肺炎", False),
        ("", "肺炎", True),
    ],
)
def test_chronic_active_ebv_is_told_by_code_and_name(name: str, other_name: str, review: bool) -> None:
    decision = decide_cells(C03C="B27.900", C04N=name, C06x01C="J18.900", C07x01N=other_name)
    assert not decision.due
    assert decision.review is review
    assert ("E4" in decision.rules) is review


def test_the_name_without_the_code_is_not_enough() -> None:
    decision = decide_cells(C03C="K73.200", C04N="慢性活动性肝炎")
    assert decision == Decision(False, ("S-DX",), "主要诊断和其他诊断均不在上报病种范围内", review=False)


def test_an_including_rule_with_code_and_condition_needs_both() -> None:
    scope = ReportingScope([rule("R1", "include", "病", code="B27", when="text.contains('慢性')")])
    assert scope.decide(stay_with(C03C="B27.900", C04N="慢性感染")).due
    assert not scope.decide(stay_with(C03C="B27.900", C04N="感染")).due
    assert not scope.decide(stay_with(C03C="K73.200", C04N="慢性感染")).due


@pytest.mark.parametrize(
    ("code", "rules", "said"),
    [
        ("D69", ("H3",), "编码 D69 不够细，无法判断是否属于“免疫性（特发性）血小板减少症”，请补全编码"),
        ("D69.x00", ("H3",), "编码 D69.x00 不够细"),
        ("D76", ("H9", "E1"), "或“朗格罕细胞组织细胞增生症（旧编码）”，请补全编码"),
        ("M98210/3", ("S-DX",), "编码 M98210/3 是形态学编码，不是疾病诊断编码"),
        ("D693", ("S-DX",), "编码 D693 不是 ICD-10 疾病编码的写法"),
        ("白血病", ("S-DX",), "编码 白血病 不是 ICD-10 疾病编码的写法"),
    ],
)
@pytest.mark.parametrize("position", ["C03C", "C06x01C"])
def test_a_code_that_cannot_be_judged_is_shown_to_a_person(code: str, rules: tuple[str, ...], said: str, position: str) -> None:
    decision = decide_cells(**{"C03C": "J18.900", position: code})
    assert not decision.due
    assert decision.review
    assert decision.rules == rules
    assert said in decision.reason


@pytest.mark.parametrize("code", ["J18", "D69.000x001", "D69.005†N08.2*", "D68", "M80.000", "H82*", "U07.100x002"])
def test_a_code_that_can_be_judged_calls_for_nobody(code: str) -> None:
    """D68 is judged: the rules that compare more of it are switched off."""
    decision = decide(code)
    assert not decision.due
    assert not decision.review


def test_an_unclear_code_beside_a_disease_in_scope_does_not_matter() -> None:
    decision = decide("C91.000", "M98210/3")
    assert decision.due
    assert not decision.review


@pytest.mark.parametrize("code", ["Ｃ９１．０００", "c91.000", " C91.000 ", "Ｄ６９．３００"])
def test_the_way_a_code_is_typed_does_not_matter(code: str) -> None:
    assert decide(code).due
