"""What the two platforms have of one tumour, field by field, and what is proposed to make them agree.

Values are compared in one form: the dot of ICD-10, dates, an address without province and prefecture, names without blanks. A value that only
one side has is filled in on the other; where both have one and they differ, the side that our own card contradicts is corrected; where
nobody can tell, a person decides. Institutions are not compared: each system has codes of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from gateway.exchange.matching import Entry
from gateway.exchange.record import SIDES, Party, Side, address, other
from gateway.model import resident_id
from gateway.model.card import Card
from mappings.card_sheets import table
from mappings.region import resolve
from mappings.registry import icd10

State = Literal["equal", "only-chronic", "only-registry", "only-own", "different", "doubtful", "doubled"]
"""``doubtful``: a person must first say who or what it is; ``doubled``: a side has it twice and must merge its cards (重卡合并)."""

Action = Literal["none", "send", "correct", "decide", "merge"]

_NOISE = re.compile(r"[\s·•.,，。、\-—()（）]+")


@dataclass(frozen=True, slots=True)
class Compared:
    """A field that is compared: how, and what it is called."""

    field: str
    name: str
    how: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A field in which the platforms differ. ``values`` are as the parties print them, empty where they say nothing. ``take`` is whose value
    is proposed for the platforms that have another one; empty where a person must decide. ``because`` is the rule."""

    field: str
    name: str
    values: Mapping[Party, str]
    take: Party | Literal[""]
    because: str

    def wrong_sides(self, take: Party) -> tuple[Side, ...]:
        """The platforms that have another value than ``take``."""
        return tuple(side for side in SIDES if self.values.get(side, "") != self.values.get(take, ""))


@dataclass(frozen=True)
class Comparison:
    """An entry with its state, its differences and the proposal. ``to`` are the platforms that a file should go to."""

    entry: Entry
    state: State
    action: Action
    to: tuple[Side, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def digest(self) -> str:
        """Of what is compared: a decision holds for as long as this is the same."""
        said = [(record.key, *(value(record.card, one) for one in compared_fields())) for record in self.entry.records]
        return hashlib.sha256(repr(sorted(said)).encode()).hexdigest()[:24]


REASONS: Final[Mapping[str, tuple[str, str]]] = {
    "fill": ("只有一方填写", "only one side says it"),
    "own": ("本院报告卡与来源记录支持该值", "our own card and its sources say so"),
    "finer": ("该值更精确", "it is more precise"),
    "person": ("双方不同，无从判断", "they differ and nothing tells who is right"),
}
"""Why a value is proposed, in Chinese and English."""


def compared(entry: Entry) -> Comparison:
    """Compare what the platforms have."""
    if entry.doubts:
        return Comparison(entry, "doubtful", "decide")
    doubled = tuple(side for side in SIDES if len(entry.of(side)) > 1)
    if doubled:
        return Comparison(entry, "doubled", "merge", doubled)
    chronic, registry = entry.one("chronic"), entry.one("registry")
    if chronic is None and registry is None:
        return Comparison(entry, "only-own", "none")
    if chronic is None or registry is None:
        there: Side = "registry" if chronic is None else "chronic"
        return Comparison(entry, "only-registry" if chronic is None else "only-chronic", "send", (other(there),))
    differences = tuple(found for one in compared_fields() if (found := _difference(entry, one)) is not None)
    if not differences:
        return Comparison(entry, "equal", "none")
    wrong = {side for found in differences if found.take for side in found.wrong_sides(found.take)}
    to = tuple(side for side in SIDES if side in wrong)
    action: Action = "correct" if all(found.take for found in differences) else "decide"
    return Comparison(entry, "different", action, to, differences)


def _difference(entry: Entry, one: Compared) -> Difference | None:
    values: dict[Party, str] = {}
    for party in ("chronic", "registry", "own"):
        record = entry.one(party)
        values[party] = value(record.card, one) if record is not None else ""
    chronic, registry, own = values["chronic"], values["registry"], values["own"]
    if chronic == registry:
        return None

    def told(take: Party | Literal[""], because: str) -> Difference:
        return Difference(one.field, one.name, {party: text for party, text in values.items() if text}, take, because)

    if own and (own in (chronic, registry) or not (chronic and registry)):
        return told("own", "own")
    if own:
        return told("", "person")
    if not (chronic and registry):
        return told("chronic" if chronic else "registry", "fill")
    short, long = sorted((chronic, registry), key=len)
    if (one.how == "date" and long.startswith(short)) or (
        one.how == "address" and (long.startswith(short) or long.endswith(short))
    ):
        return told("chronic" if chronic == long else "registry", "finer")
    return told("", "person")


@cache
def compared_fields() -> tuple[Compared, ...]:
    """The fields that are compared (``exchange_fields.csv``)."""
    return tuple(Compared(row["field"], row["name"], row["compare"]) for row in table("exchange_fields"))


def value(card: Card, one: Compared) -> str:
    """A field of a card in the form in which it is compared."""
    text = address(card, one.field) if one.how == "address" else str(getattr(card, one.field))
    return _FORMS[one.how](text)


def taken(one: str, source: Card) -> dict[str, str]:
    """The fields of a card that stand for a compared field, as ``source`` has them."""
    if one in ("hukou", "residence"):
        return {name: text for name, text in _fields(source).items() if name.startswith(f"{one}_")}
    return {one: str(getattr(source, one))}


def _fields(card: Card) -> dict[str, str]:
    return {name: str(getattr(card, name)) for name in card.__struct_fields__}


def _code(text: str) -> str:
    return icd10.registry_form(text) or text.strip().upper()


def _squeezed(text: str) -> str:
    return _NOISE.sub("", text)


def _place(text: str) -> str:
    """An address from its prefecture on, which is added where the county tells it."""
    found = resolve(text)
    return _squeezed("".join((found.city, found.county, found.town, found.village, found.house_no)))


_FORMS: Final[Mapping[str, Callable[[str], str]]] = {
    "name": _squeezed,
    "identity": resident_id.normalised,
    "code": _code,
    "date": str.strip,
    "address": _place,
}
