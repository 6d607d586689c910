"""Code maps: what a sender's code or its label means in a value set of ours.

The base maps are data: ``mappings/sources/codes.csv`` (``map``, ``kind`` code or label, ``value``, ``target``; an empty target
says nothing) and the names of the value set itself. A dialect adds its own codes, or declares the numbers of a map to be its own, so
that only its codes and all labels hold. What no map knows is kept under the sender's own code system and never guessed.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final, Literal

from gateway.model.values import Coded

Found = Literal["mapped", "disagree", "unmapped"]
_BRACKETS = str.maketrans("（）【】", "()[]")


def _key(text: str) -> str:
    return text.strip().upper().translate(_BRACKETS)


class CodeMap:
    """A map of one dialect. ``value_set`` is the code system of its targets (empty where they are words of ours), ``own_system`` the
    one under which unmapped codes are kept."""

    __slots__ = ("_coded", "codes", "labels", "name", "own_system", "value_set")

    def __init__(self, name: str, value_set: str, own_system: str, codes: Mapping[str, str], labels: Mapping[str, str]) -> None:
        self.name: Final = name
        self.value_set: Final = value_set
        self.own_system: Final = own_system
        self.codes: Final = {**codes, **{_key(code): target for code, target in codes.items()}}
        self.labels: Final = {**labels, **{_key(label): target for label, target in labels.items()}}
        self._coded = {target: Coded(value_set, target) for target in (*self.codes.values(), *self.labels.values())}

    def find(self, code: str, label: str = "") -> tuple[str | None, bool]:
        """(target, whether code and label disagree). The target is None when neither is known, empty when the code says nothing.

        Where they disagree the label counts: it is what the sender's people read. A code may itself be a label (``男``), and code and
        label may share one component (``01 自费``)."""
        target = self.codes.get(code) if code else None
        if target is None and code:
            target = self.codes.get(_key(code))
            if target is None:
                target = self._labelled(code)
        if not label:
            if target is None and " " in code.strip():
                head, _, tail = code.strip().partition(" ")
                return self.find(head, tail)
            return target, False
        named = self._labelled(label)
        if named is None:
            return target, False
        return named, target is not None and target != named

    def coded(self, target: str) -> Coded:
        """A target as a value of its value set."""
        return self._coded[target]

    def _labelled(self, label: str) -> str | None:
        named = self.labels.get(label)
        return named if named is not None else self.labels.get(_key(label))


@cache
def value_set(name: str) -> Mapping[str, str]:
    """Code to name of a packaged value set; empty for a code system that is no value set (ICD)."""
    path = files("mappings").joinpath("codes", "value_sets", f"{name}.csv")
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8") as handle:
        return {row["code"]: row["name"] for row in csv.DictReader(handle)}


def names_of(value_set_name: str) -> dict[str, str]:
    """Name to code of a value set. A name that stands for several codes (其他) names none of them."""
    members = value_set(value_set_name)
    count = Counter(members.values())
    return {name: code for code, name in members.items() if count[name] == 1}


BaseCodes = Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]]
"""Map name to (codes, labels)."""


@cache
def base_codes(standard: str = "") -> BaseCodes:
    """The packaged maps: those of all standards, and over them those of ``standard`` (``mappings/sources/<standard>/codes.csv``)."""
    maps: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
    for table in (("codes.csv",), *([(standard, "codes.csv")] if standard else [])):
        with files("mappings").joinpath("sources", *table).open(encoding="utf-8") as handle:
            for row in csv.DictReader(handle):
                codes, labels = maps.setdefault(row["map"], ({}, {}))
                (labels if row["kind"] == "label" else codes)[row["value"]] = row["target"]
    return maps
