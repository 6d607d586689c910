"""The resident identity number: which number of a message it is, and how it compares with what was stated."""

from __future__ import annotations

import pytest

from gateway.model.facts import Fact
from gateway.model.resident_id import check_character, chosen, compared, is_record_number
from gateway.model.values import Coded


def _number(first17: str) -> str:
    return first17 + check_character(first17)


MAN = _number("99010119550308123")
WOMAN = _number("99052120120408274")
WRONG = MAN[:-1] + ("0" if MAN[-1] != "0" else "1")


def test_the_first_told_counts_and_others_are_not_looked_at() -> None:
    assert chosen([(MAN, "a"), (WOMAN, "b")], [(WOMAN, "c")]) == (MAN, "a", [])


def test_a_told_number_that_fails_its_check_is_kept_as_sent() -> None:
    assert chosen([(WRONG, "a"), (MAN, "b")], [(MAN, "c")]) == (WRONG, "a", [("resident-id-check-digit", "a")])


def test_a_told_number_of_another_document_is_kept_as_sent() -> None:
    assert chosen([("e00000000", "a")], [(MAN, "c")]) == ("E00000000", "a", [("resident-id-shape", "a")])


@pytest.mark.parametrize("words", ["无", "-", "A1"])
def test_words_in_the_place_of_a_number_are_passed_over(words: str) -> None:
    shape = ("resident-id-shape", "a")
    assert chosen([(words, "a"), (MAN, "b")], []) == (MAN, "b", [shape])
    assert chosen([(words, "a")], [(MAN, "c")]) == (MAN, "c", [shape, ("resident-id-by-shape", "c")])
    assert chosen([(words, "a")], []) == ("", "", [shape])


def test_by_shape_only_with_the_right_check_character_and_only_one() -> None:
    assert chosen([], [("B1", "a"), (WRONG, "b"), (f" {MAN} ", "c"), (MAN, "d")]) == (MAN, "c", [("resident-id-by-shape", "c")])
    assert chosen([], [("B1", "a"), (MAN, "b"), (WOMAN, "c")]) == ("", "", [("resident-id-ambiguous", "b")])
    assert chosen([], [("990101550308123", "a"), (WRONG, "b")]) == ("", "", [])


def test_a_resident_id_is_no_record_number() -> None:
    assert not is_record_number(f" {MAN.lower()} ")
    assert is_record_number(WRONG)
    assert is_record_number("B1")


def test_birth_date_and_sex_that_were_not_stated_are_derived() -> None:
    assert compared(MAN, "PID-19", [Fact("patient.name", "试验", "PID-5")]) == (
        [
            Fact("patient.birth_date", "1955-03-08", "PID-19", derived=True),
            Fact("patient.sex", Coded("RC001", "1"), "PID-19", derived=True),
        ],
        [],
    )


@pytest.mark.parametrize(
    ("birth_date", "sex", "rules"),
    [
        ("1955-03-08", Coded("RC001", "1"), []),
        ("1955", Coded("RC001", "1"), []),
        ("1956", Coded("RC001", "1"), ["birth-date-disagrees"]),
        ("1955-03-08", Coded("RC001", "2"), ["sex-disagrees"]),
        ("1955-03-08", Coded("RC001", "9"), []),
        ("1955-03-08", Coded("our-his/sex", "2"), []),
        (None, Coded("RC001", "2"), ["sex-disagrees"]),
        (None, None, []),
    ],
)
def test_what_was_stated_is_compared_and_stays(birth_date: str | None, sex: Coded | None, rules: list[str]) -> None:
    """The sender's own 2 under ``our-his/sex`` may mean anything; a year is compared as a year; a deleted value says nothing."""
    stated = [Fact("patient.birth_date", birth_date, "PID-7"), Fact("patient.sex", sex, "PID-8")]
    derived, disagreeing = compared(MAN, "PID-19", stated)
    assert derived == []
    assert [rule for rule, _ in disagreeing] == rules
    assert all(fact in stated for _, fact in disagreeing)
