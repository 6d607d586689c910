"""The resident identity number (居民身份证号) recognised by its shape: 18 characters, the last a check character (GB 11643-1999, ISO
7064 MOD 11-2), or the 15 digits used before 1999, which have none.

Here are also the rules (decisions) by which every reader takes one from a message, whatever the standard: which of its numbers it is, and
how it compares with the birth date and sex that were stated. Rules that come out of them are names of remarks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from gateway.model.facts import Fact
from gateway.model.times import china_time
from gateway.model.values import Coded

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHARACTERS = "10X98765432"

Verdict = Literal["right", "unchecked", "wrong", "other"]
"""``right``: 18 characters with the right check character; ``unchecked``: 15 digits with a possible birth date; ``wrong``: the shape
of 18 characters with a wrong check character or an impossible birth date; ``other``: anything else."""

_LEAST_OF_A_NUMBER = 6
"""Characters that a number of another document has at least; what is shorter (``无``) is none."""

_EIGHTEEN = re.compile(r"[1-9][0-9]{16}[0-9X]")
_FIFTEEN = re.compile(r"[1-9][0-9]{14}")


def normalised(text: str) -> str:
    """Without blanks at the ends, a trailing x in upper case."""
    return text.strip().upper()


def verdict(number: str) -> Verdict:
    """What `normalised` text is by its shape."""
    if _EIGHTEEN.fullmatch(number):
        return "right" if check_character(number[:17]) == number[17] and birth_date(number) else "wrong"
    if _FIFTEEN.fullmatch(number) and china_time("19" + number[6:12]):
        return "unchecked"
    return "other"


def birth_date(number: str) -> str | None:
    """Characters 7-14 of an 18-character number as an ISO date."""
    return china_time(number[6:14])


def sex(number: str) -> str:
    """The sex (RC001) that character 17 of an 18-character number tells: odd is male."""
    return "1" if int(number[16]) % 2 else "2"


def check_character(first17: str) -> str:
    """The 18th character for the 17 digits before it."""
    return _CHARACTERS[sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, first17, strict=True)) % 11]


class Chosen(NamedTuple):
    """A number and its place, both empty where there is none, and the (rule, place) of what is to be remarked on the way."""

    number: str
    place: str
    remarks: list[tuple[str, str]]


def chosen(told: Iterable[tuple[str, str]], others: Iterable[tuple[str, str]]) -> Chosen:
    """The resident ID among numbers with their places: the first of those ``told`` to be one, as sent even if it fails its check; words
    that are no number are passed over. Only where none is told, the one of the ``others`` with the right shape and check character;
    where several differ it is none of them."""
    remarks: list[tuple[str, str]] = []
    for text, place in told:
        number = normalised(text)
        sort = verdict(number)
        if sort == "wrong":
            remarks.append(("resident-id-check-digit", place))
        elif sort == "other":
            remarks.append(("resident-id-shape", place))
            if not (number.isascii() and number.isalnum() and len(number) >= _LEAST_OF_A_NUMBER):
                continue
        return Chosen(number, place, remarks)
    shaped: dict[str, str] = {}
    for text, place in others:
        number = normalised(text)
        if verdict(number) == "right":
            shaped.setdefault(number, place)
    if not shaped:
        return Chosen("", "", remarks)
    number, place = next(iter(shaped.items()))
    if len(shaped) > 1:
        return Chosen("", "", [*remarks, ("resident-id-ambiguous", place)])
    return Chosen(number, place, [*remarks, ("resident-id-by-shape", place)])


def is_record_number(number: str) -> bool:
    """Whether what stands in the place of a record number (病案号) can be one: a resident ID there is none, for the sender did not tell
    its numbers apart."""
    return verdict(normalised(number)) != "right"


def compared(number: str, place: str, stated: Iterable[Fact]) -> tuple[list[Fact], list[tuple[str, Fact]]]:
    """(facts derived, [(rule, the fact that disagrees)]): birth date and sex of an 18-character number with the right check character
    against what is ``stated``. What was not stated is derived from the number at ``place`` and marked so; what was stated stays. Sex is
    compared where it is male or female of RC001; under a code of the sender's own nobody knows which."""
    known = {fact.path: fact for fact in stated if fact.path in ("patient.birth_date", "patient.sex")}
    derived: list[Fact] = []
    disagreeing: list[tuple[str, Fact]] = []
    born, told = birth_date(number), known.get("patient.birth_date")
    if told is None:
        derived.append(Fact("patient.birth_date", born, place, derived=True))
    elif isinstance(told.value, str) and born is not None and not born.startswith(told.value):
        disagreeing.append(("birth-date-disagrees", told))
    own, told = Coded("RC001", sex(number)), known.get("patient.sex")
    if told is None:
        derived.append(Fact("patient.sex", own, place, derived=True))
    elif isinstance(told.value, Coded) and told.value.system == own.system and told.value.code in ({"1", "2"} - {own.code}):
        disagreeing.append(("sex-disagrees", told))
    return derived, disagreeing
