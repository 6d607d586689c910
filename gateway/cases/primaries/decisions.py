"""What a person decided about two sightings (one person or two?) or two pieces of evidence (one tumour or two?)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct


class Decision(Struct, frozen=True):
    """``left`` and ``right``, keys of two sightings or of two pieces of evidence, are the ``same`` or stay ``apart``."""

    verdict: Literal["same", "apart"]
    left: str
    right: str

    @property
    def pair(self) -> tuple[str, str]:
        """Both keys in the order of the alphabet: a decision has no direction."""
        return (self.left, self.right) if self.left <= self.right else (self.right, self.left)


class Decided(Struct, frozen=True):
    """Standing decisions about keys that are here, as pairs. Where two decisions contradict each other, ``apart`` counts."""

    same: frozenset[tuple[str, str]]
    apart: frozenset[tuple[str, str]]

    @classmethod
    def among(cls, keys: Iterable[str], decisions: Iterable[Decision]) -> Decided:
        """The decisions whose both sides are among ``keys``."""
        known = frozenset(keys)
        here = [d for d in decisions if d.left in known and d.right in known and d.left != d.right]
        apart = frozenset(d.pair for d in here if d.verdict == "apart")
        return cls(frozenset(d.pair for d in here if d.verdict == "same") - apart, apart)
