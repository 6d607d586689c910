"""Linking sightings to persons. Expected values follow from the rules of `gateway.cases.primaries.likeness` and `.persons`: numbers before the
score, nothing joined that contradicts itself, a person's decision before everything. Area code 99 is not assigned: nobody has these numbers."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from gateway.cases.primaries.choices import RegistryChoices
from gateway.cases.primaries.decisions import Decided, Decision
from gateway.cases.primaries.evidence import Sighting
from gateway.cases.primaries.persons import LARGEST_BLOCK, Linked, blocking_keys, compare, link
from gateway.cases.primaries.unions import Unions
from gateway.model.resident_id import check_character

CHOICES = RegistryChoices()


def number(first17: str) -> str:
    return first17 + check_character(first17)


ONE = number("99010119610304002")
"""a woman born on 4 March 1961"""
OTHER = number("99010119720815002")

ANNA = Sighting(
    "stay:1",
    at="2026-01-05",
    name="温如岚",
    sex="2",
    birth_date="1961-03-04",
    address="河南省南阳市唐河县城郊乡柳树村12号",
    phone="13712345671",
    organisation="990100",
    record_number="M1",
)
"""Without a resident ID."""


def like(key: str, of: Sighting = ANNA, **changes: str) -> Sighting:
    """The same person seen elsewhere: other hospital, other record number."""
    return replace(of, key=key, **{"organisation": "990200", "record_number": "", **changes})


def verdict(a: Sighting, b: Sighting) -> str:
    assert compare(a, b, CHOICES) == compare(b, a, CHOICES)
    return compare(a, b, CHOICES).verdict


def rules(a: Sighting, b: Sighting) -> list[str]:
    return [step.rule for step in compare(a, b, CHOICES).steps]


def linked(sightings: Iterable[Sighting], *decisions: Decision) -> Linked:
    return link(sightings, decisions, CHOICES)


def test_equal_resident_ids_are_one_person_though_the_name_was_mistyped() -> None:
    assert verdict(like("a", resident_id=ONE), like("b", resident_id=ONE, name="温茹岚", birth_date="", address="")) == "same"


def test_a_resident_id_with_other_name_birth_date_and_sex_was_lent() -> None:
    lent = like("b", resident_id=ONE, name="石大川", birth_date="1988-10-20", sex="1")
    assert verdict(like("a", resident_id=ONE), lent) == "doubtful"
    made = linked([like("a", resident_id=ONE), lent])
    assert [question[:2] for question in made.questions] == [("a", "b")]
    assert len(made.persons) == 2


def test_two_contradictions_of_three_do_not_undo_a_resident_id() -> None:
    assert verdict(like("a", resident_id=ONE), like("b", resident_id=ONE, name="石大川", sex="1")) == "same"
    assert verdict(like("a", resident_id=ONE), like("b", resident_id=ONE, name="石大川", birth_date="1988-10-20")) == "same"
    assert verdict(like("a", resident_id=ONE), like("b", resident_id=ONE, birth_date="1988-10-20", sex="1")) == "same"


def test_different_resident_ids_are_two_persons_whatever_else_agrees() -> None:
    assert verdict(like("a", resident_id=ONE), like("b", resident_id=OTHER)) == "different"


def test_resident_ids_one_digit_apart_with_all_else_equal_are_asked_about() -> None:
    """One digit changed changes the check character with it."""
    slip = number("99010119610304004")
    assert sum(a != b for a, b in zip(ONE, slip, strict=True)) == 2
    assert verdict(like("a", resident_id=ONE), like("b", resident_id=slip)) == "doubtful"
    assert verdict(like("a", resident_id=ONE), like("b", resident_id=slip, name="温如月")) == "different"  # a twin


def test_a_number_with_a_wrong_check_character_is_no_resident_id() -> None:
    wrong = ONE[:-1] + ("0" if ONE[-1] != "0" else "1")
    assert not any(kind == "id" for kind, *_ in blocking_keys(like("a", resident_id=wrong)))
    assert verdict(like("a", resident_id=wrong), like("b", resident_id=ONE)) == "same"  # by the score


def test_one_record_number_of_one_hospital_is_one_person() -> None:
    again = replace(ANNA, key="stay:2", name="温茹岚", phone="", address="")
    assert verdict(ANNA, again) == "same"
    assert rules(ANNA, again) == ["RECORD"]


def test_a_record_number_of_another_hospital_says_nothing() -> None:
    stranger = Sighting("b", name="石大川", birth_date="1988-10-20", sex="1", organisation="990200", record_number="M1")
    assert verdict(ANNA, stranger) == "different"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": "石大川"}, "doubtful"),
        ({"birth_date": "1990-12-31"}, "doubtful"),
        ({"sex": "1"}, "doubtful"),
        ({"name": "石大川", "birth_date": "1990-12-31"}, "different"),
    ],
)
def test_a_record_number_given_anew(changes: dict[str, str], expected: str) -> None:
    assert verdict(ANNA, replace(ANNA, key="stay:2", **changes)) == expected


@pytest.mark.parametrize(
    ("changes", "score", "expected"),
    [
        ({}, 100, "same"),  # 40 + 35 + 5 + 20 + 15
        ({"phone": ""}, 100, "same"),  # 40 + 35 + 5 + 20
        ({"phone": "", "address": ""}, 80, "doubtful"),  # 40 + 35 + 5
        ({"address": "", "name": "温 如 岚"}, 95, "same"),  # blanks are a way of writing
        ({"birth_date": "1961-04-03"}, 100, "same"),  # 40 + 25 + 5 + 20 + 15: month and day swapped
        ({"birth_date": "1961-04-03", "phone": "", "address": ""}, 70, "doubtful"),  # 40 + 25 + 5
        ({"birth_date": "1961-03-05", "phone": "", "address": ""}, 67, "doubtful"),  # 40 + 22 + 5
        ({"birth_date": "1975-11-20"}, 50, "different"),  # 40 - 30 + 5 + 20 + 15
        ({"birth_date": "", "phone": ""}, 65, "doubtful"),  # 40 + 5 + 20
        ({"name": "温茹岚"}, 89, "doubtful"),  # 25 + 35 + 5 + 20 + 15, but a name that differs is never certain
        ({"name": "石大川"}, 35, "different"),  # -40 + 35 + 5 + 20 + 15
        ({"sex": "1", "phone": ""}, 70, "doubtful"),  # 40 + 35 - 25 + 20
    ],
)
def test_the_score(changes: dict[str, str], score: int, expected: str) -> None:
    other = like("b", **changes)
    assert compare(ANNA, other, CHOICES).score == score
    assert verdict(ANNA, other) == expected
    assert rules(ANNA, other)[-1] == "SCORE"


def test_a_name_of_two_characters_counts_less() -> None:
    short = replace(ANNA, name="温岚")
    assert compare(short, like("b", short, phone="", address=""), CHOICES).score == 72  # 32 + 35 + 5
    assert verdict(short, like("b", short, phone="")) == "same"  # with 20 for the address


def test_twins_at_one_address_are_never_one_by_score() -> None:
    assert verdict(ANNA, like("b", name="温如月")) == "doubtful"
    assert verdict(ANNA, like("b", name="温晴")) == "different"


def test_the_province_may_be_left_out_of_an_address() -> None:
    assert verdict(replace(ANNA, phone=""), like("b", phone="", address="唐河县城郊乡柳树村12号")) == "same"


def test_thresholds_are_the_hospitals_choice() -> None:
    other = like("b", phone="", address="")
    assert compare(ANNA, other, RegistryChoices(certain_score=80)).verdict == "same"
    assert compare(ANNA, other, RegistryChoices(doubtful_score=81)).verdict == "different"


def test_placeholders_are_no_names_and_no_telephones() -> None:
    nobody = Sighting("a", name="无名氏", birth_date="1961-03-04", phone="13800000000")
    assert {kind for kind, *_ in blocking_keys(nobody)} == set()
    assert verdict(nobody, replace(nobody, key="b")) == "different"


def test_birth_date_and_sex_of_the_resident_id_stand_in() -> None:
    bare = like("b", resident_id=ONE, birth_date="", sex="")
    assert ("name-birth", "温如岚", "1961-03-04") in blocking_keys(bare)
    assert compare(ANNA, replace(bare, phone="", address=""), CHOICES).score == 80  # 40 + 35 + 5


def test_steps_hold_no_values() -> None:
    told = "".join(f"{step.said}{step.english}" for step in compare(ANNA, like("b"), CHOICES).steps)
    assert not any(value in told for value in (ANNA.name, ANNA.birth_date, ANNA.phone, ANNA.address, "1961"))


def test_persons_come_oldest_first() -> None:
    made = linked([like("c", at="2026-03-01"), ANNA, like("b", at="2025-12-01"), Sighting("z", at="2020-01-01", name="石大川")])
    assert made.persons == (("z",), ("b", "stay:1", "c"))


def test_a_doubtful_pair_is_two_persons_and_one_question() -> None:
    """The second hospital saw her twice: one question for the two persons, about the likeliest pair."""
    bare = like("b", phone="", address="", record_number="K7", at="2026-02-01")
    again = replace(bare, key="c", at="2026-02-09")
    made = linked([ANNA, bare, again])
    assert made.persons == (("stay:1",), ("b", "c"))
    [(left, right, match)] = made.questions
    assert (left, right, match.score, match.verdict) == ("stay:1", "b", 80, "doubtful")


def test_a_decision_joins_and_takes_the_question_away() -> None:
    bare = like("b", phone="", address="", at="2026-02-01")
    made = linked([ANNA, bare], Decision("same", "b", "stay:1"))
    assert made.persons == (("stay:1", "b"),)
    assert made.questions == ()


def test_a_decision_parts_against_an_equal_resident_id() -> None:
    one, two = like("a", resident_id=ONE), like("b", resident_id=ONE)
    made = linked([one, two], Decision("apart", "a", "b"))
    assert made.persons == (("a",), ("b",))
    assert made.questions == ()


def test_a_decision_joins_two_resident_ids_and_both_numbers_find_the_person() -> None:
    made = linked(
        [like("a", resident_id=ONE), like("b", resident_id=OTHER), like("c", resident_id=ONE), like("d", resident_id=OTHER)],
        Decision("same", "a", "b"),
    )
    assert made.persons == (("a", "b", "c", "d"),)


def test_apart_counts_where_decisions_contradict_each_other() -> None:
    decisions = (Decision("same", "a", "b"), Decision("apart", "b", "a"))
    assert Decided.among(["a", "b"], decisions) == Decided(frozenset(), frozenset({("a", "b")}))
    assert linked([like("a"), like("b")], *decisions).persons == (("a",), ("b",))


def test_decisions_about_others_are_passed_over() -> None:
    assert linked([ANNA], Decision("same", "stay:1", "stay:99")).persons == (("stay:1",),)


def test_what_is_apart_stays_apart_over_a_third() -> None:
    """c is sure to be a and sure to be b: it is given to neither, and a person is asked of both."""
    made = linked([like("a"), like("b"), like("c")], Decision("apart", "a", "b"))
    assert made.persons == (("a",), ("b",), ("c",))
    assert [question[:2] for question in made.questions] == [("a", "c"), ("b", "c")]
    assert made.questions[0][2].steps[-1].rule == "BRIDGE"


def test_a_bridge_without_a_number_joins_no_two_numbers() -> None:
    """Two women of one name, birth date and address, with numbers of their own; a third stay without one fits both."""
    one, other = like("a", resident_id=ONE), like("b", resident_id=number("99010119610304521"))
    made = linked([one, replace(one, key="a2"), other, like("c")])
    assert made.persons == (("a", "a2"), ("b",), ("c",))
    assert {question[:2] for question in made.questions} == {("a", "c"), ("b", "c")}


def test_a_sighting_without_a_number_joins_the_only_number_that_it_fits() -> None:
    made = linked([like("a", resident_id=ONE), like("b"), like("c", resident_id=OTHER, name="石大川", birth_date="1972-08-15")])
    assert ("a", "b") in made.persons


def test_two_hundred_stays_under_one_number_are_one_person() -> None:
    stays = [like(f"stay:{n:03d}", resident_id=ONE) for n in range(200)]
    made = linked(stays)
    assert [len(person) for person in made.persons] == [200]
    assert made.skipped == {
        "birth-first": 1, "birth-last": 1, "name-birth": 1, "name-day": 1, "name-year": 1, "phone": 1,
    }  # fmt: skip


def test_a_telephone_of_many_links_nobody_and_is_said() -> None:
    strangers = [
        Sighting(f"s{n:03d}", name=chr(0x4E10 + n) + "某人", birth_date=f"19{10 + n % 80}-01-{1 + n % 28:02d}", phone="03971234567")
        for n in range(LARGEST_BLOCK + 1)
    ]
    made = linked(strangers)
    assert len(made.persons) == len(strangers)
    assert made.skipped == {"phone": 1}


def test_unions_join_around_what_contradicts_itself() -> None:
    """0 and 1 contradict each other by mark; 2-3 lead to both and go together by themselves; 4 leads to 0 only."""
    unions = Unions(["x", "y", "", "", ""])
    left = unions.join([(0, 2), (2, 3), (3, 1), (0, 4)])
    assert unions.groups() == [[0, 4], [1], [2, 3]]
    assert left == [(0, 2), (3, 1)]


def test_unions_leave_a_ring_of_contradictions_alone() -> None:
    """0-1-2 where 0 and 2 are apart, and 1 is apart from 3, so that none is a plain bridge."""
    unions = Unions([""] * 4, [(0, 2), (1, 3)])
    assert unions.join([(0, 1), (1, 2), (2, 3)]) == [(0, 1), (1, 2), (2, 3)]
    assert unions.groups() == [[0], [1], [2], [3]]


def test_unions_keep_together_what_hangs_on_a_contradiction() -> None:
    """As before; 4 and 5 belong together, whatever 1 is."""
    unions = Unions([""] * 6, [(0, 2), (1, 3)])
    unions.join([(0, 1), (1, 2), (2, 3), (4, 5), (5, 1)])
    assert unions.groups() == [[0], [1], [2], [3], [4, 5]]


def test_a_house_number_apart_is_nearly_the_same_address() -> None:
    """One character of 19: 95 percent alike, 20 points: 40 + 35 + 5 + 20."""
    assert compare(ANNA, like("b", phone="", address="河南省南阳市唐河县城郊乡柳树村13号"), CHOICES).score == 100
