"""Evidence of a person in the order in which it is grouped: what a person decided to be one tumour goes together, the specific goes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, reduce
from typing import Final

from gateway.cases.primaries.decisions import Decided
from gateway.cases.primaries.evidence import Evidence, EvidenceKind
from gateway.cases.primaries.unions import Unions
from mappings.registry.multiple_primary import UNKNOWN_SITE, Neoplasm, compare, histology_group, merged

UNSPECIFIED: Final = "8000"
_SOME: Final = frozenset({"M5", "M14"})
"""Carcinoma and haematopoietic tumour not otherwise specified: they stand for any of their kind."""
_ANY: Final = frozenset({"M0", "M17"})
_STRONGEST: Final[tuple[EvidenceKind, ...]] = ("primary", "secondary", "treatment", "history", "screening")

SPECIFIC, BY_CODE, SOME, ANY, AGAIN, ADRIFT = range(6)
"""Ranks: a histology that a source states; one that a diagnosis stands for; carcinoma and the like; cancer without more; a
recurrence; a histology
without a site."""


class Unit:
    """Evidence that goes together, oldest first."""

    def __init__(self, evidence: Sequence[Evidence], days: Mapping[str, str]) -> None:
        self.evidence = evidence
        self.kind: EvidenceKind = min((one.kind for one in evidence), key=_STRONGEST.index)
        self.leading = [one for one in evidence if one.kind == self.kind]
        self.key = self.leading[0].key
        self.day = min(days[one.key] for one in self.leading)
        self.keys = frozenset(one.key for one in evidence)
        self.sightings = frozenset(one.sighting for one in evidence)

    @cached_property
    def stated(self) -> list[Evidence]:
        """Of the leading evidence what states its histology, or all where none does."""
        return [one for one in self.leading if one.morphology_origin == "stated"] or self.leading

    @cached_property
    def neoplasm(self) -> Neoplasm:
        """The tumour as the rules see it. A histology that is in no group (S1) counts as unspecified: whoever corrects the card corrects it, and
        until then the tumour is not lost."""
        found = reduce(lambda a, b: merged(a, b).kept, (neoplasm(one) for one in self.stated))
        return Neoplasm(found.topography, UNSPECIFIED) if histology_group(found.morphology) == "M0" else found

    @cached_property
    def derived(self) -> bool:
        """Whether the histology only follows from the diagnosis."""
        return self.stated[0].morphology_origin != "stated"

    @cached_property
    def rank(self) -> int:
        """In which turn it is grouped, see the module."""
        group = histology_group(self.neoplasm.morphology)
        if all(one.recurrence for one in self.leading):
            return AGAIN
        if not self.neoplasm.topography and not any(one.icd10 for one in self.leading) and not systemic(self.neoplasm.morphology):
            return ADRIFT
        return ANY if group in _ANY else SOME if group in _SOME else BY_CODE if self.derived else SPECIFIC


def neoplasm(evidence: Evidence) -> Neoplasm:
    """Evidence as the multiple-primary rules see it."""
    return Neoplasm(evidence.topography, evidence.morphology or UNSPECIFIED, evidence.behaviour)


def units(evidence: Iterable[Evidence], days: Mapping[str, str], decided: Decided) -> list[Unit]:
    """Evidence (each with its day) as units, joined where a person decided so and ``apart`` does not stand against it; by day and key."""
    ordered = sorted(evidence, key=lambda one: (days[one.key], one.key))
    at = {one.key: index for index, one in enumerate(ordered)}
    same, apart = ([(at[left], at[right]) for left, right in pairs] for pairs in (decided.same, decided.apart))
    unions = Unions([""] * len(ordered), apart)
    unions.join(same)
    found = [Unit([ordered[index] for index in members], days) for members in unions.groups()]
    return sorted(found, key=lambda unit: (unit.day, unit.key))


def systemic(morphology: str) -> bool:
    """Whether the histology is of a group that is one tumour in a lifetime whatever the site (S5)."""
    a, b = Neoplasm("C15.9", morphology), Neoplasm("C50.9", morphology)
    return compare(a, b).result == "duplicate"


def fits_histology(a: str, b: str) -> bool:
    """Whether two histologies may be of one tumour, the site left out."""
    return compare(Neoplasm(UNKNOWN_SITE, a), Neoplasm(UNKNOWN_SITE, b)).result == "duplicate"
