"""The codes of a value set and the words that stand for them in spreadsheets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from adapters.cards.columns import key
from mappings.card_sheets import table
from mappings.registry.tables import names, rows

_BASIS = {"basis_card": "card", "basis_iarc": "iarc"}
_YES_NO = MappingProxyType({"1": "是", "2": "否"})


@cache
def choices(name: str) -> Mapping[str, str]:
    """Code and Chinese meaning of a value set, in the order of its table: ``table`` or ``table:list``; ``basis_card`` and ``basis_iarc`` are two
    dialects of the basis of diagnosis, ``yes_no`` is 1 and 2. Empty for no value set."""
    if not name:
        return MappingProxyType({})
    if name == "yes_no":
        return _YES_NO
    if dialect := _BASIS.get(name):
        meanings: dict[str, str] = {}
        for row in rows("basis_of_diagnosis"):
            meanings.setdefault(row[dialect], row[f"{dialect}_zh"])
        return MappingProxyType(meanings)
    file, _, list_name = name.partition(":")
    return names(file, list_name)


@cache
def words(name: str) -> Mapping[str, str]:
    """Code by word, as `key` compares words: the meanings of the value set and other words that are in use (``labels.csv``). A meaning wins
    over another word."""
    found: dict[str, str] = {}
    for code, meaning in choices(name).items():
        found.setdefault(key(meaning), code)
    for row in table("labels"):
        if row["set"] == name:
            found.setdefault(key(row["label"]), row["code"])
    return MappingProxyType(found)
