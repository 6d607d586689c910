"""The basis of diagnosis in its three dialects (basis_of_diagnosis.csv).

A *card digit* is one of the old report card, 0 to 9, and the most detailed; IARC has one digit without 3 and 8; Zhejiang wants all that apply.
Order: 7 > 6 > 5 > 4 > 2 > 1 > 0, and 9 (unknown) lowest; 3 counts as 2 and 8 as 7. Zero means two things: on the card "first learned from a
death certificate", for IARC "only a death certificate"; whether tracing found nothing else is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from mappings.registry.tables import rows


def iarc(card_digit: str) -> str:
    """The IARC digit of a card digit; empty for no digit. 8 gives 7: where only a metastasis was sampled at autopsy, the card should say 6."""
    return _digits().get(card_digit, _NONE)["iarc"]


def highest(card_digits: Iterable[str]) -> str:
    """The card digit that counts most; of two that rank alike (2 and 3, 7 and 8) the one that IARC has too. Empty for none; what
    is no card digit is passed over."""
    known = [digit for digit in card_digits if digit in _digits()]
    return max(known, key=lambda digit: (int(_digits()[digit]["rank"]), iarc(digit) == digit), default="")


def zhejiang(card_digits: Iterable[str]) -> str:
    """All that apply as Zhejiang writes them: its codes ascending (10 where the card has 0), separated by
    commas without blanks. Unknown (9) stands only alone."""
    codes = {_digits()[digit]["zhejiang"] for digit in card_digits if digit in _digits()}
    return ",".join(sorted(codes - {"9"} or codes, key=int))


def microscopic(card_digit: str) -> bool:
    """Whether it counts as verified by microscope (MV%)."""
    return _digits().get(card_digit, _NONE)["microscopic"] == "Y"


@cache
def card_names() -> Mapping[str, str]:
    """Chinese names of the card digits."""
    return {digit: row["card_zh"] for digit, row in _digits().items()}


@cache
def iarc_names() -> Mapping[str, str]:
    """Chinese names of the IARC digits."""
    return {row["iarc"]: row["iarc_zh"] for row in rows("basis_of_diagnosis")}


_NONE: Mapping[str, str] = {"iarc": "", "microscopic": "N"}


@cache
def _digits() -> Mapping[str, Mapping[str, str]]:
    return {row["card"]: row for row in rows("basis_of_diagnosis")}
