"""What one sighting tells of one tumour, while it is put together out of diagnoses, tumours and pathology; in the end it is `Evidence`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.cases.primaries.evidence import Evidence, EvidenceKind, Origin
from mappings.registry.icd10 import provisional
from mappings.registry.multiple_primary import Neoplasm, both_sides, histology_group, more_specific, site_group
from mappings.registry.reportable import Reportable

_KINDS: dict[str, EvidenceKind] = {
    "report": "primary",
    "split": "primary",
    "search-primary": "secondary",
    "treatment": "treatment",
    "history": "history",
    "look": "history",
    "screening": "screening",
}
_HAEMATOPOIETIC = frozenset({"M8", "M9", "M10", "M11", "M12", "M13", "M14"})
_METASTASIS = ("6", "9")
"""Behaviours of a metastasis, and of what may be one: a card never has them (behaviour.csv)."""


@dataclass(slots=True)
class Telling:
    """See `Evidence` for the members. ``basis`` is reason by digit, ``dates`` (day, what it is). ``doubtful``: the source itself calls the
    diagnosis uncertain; ``confirmed``: something else bears it out."""

    kind: EvidenceKind
    diagnosis: str = ""
    icd10: str = ""
    name: str = ""
    path: str = ""
    topography: str = ""
    topography_origin: Origin = ""
    morphology: str = ""
    behaviour: str = ""
    morphology_origin: Origin = ""
    laterality: str = ""
    grade: str = ""
    basis: dict[str, str] = field(default_factory=dict)
    dates: list[tuple[str, str]] = field(default_factory=list)
    pathology_name: str = ""
    pathology_no: str = ""
    stages: dict[str, str] = field(default_factory=dict)
    recurrence: bool = False
    doubtful: bool = False
    confirmed: bool = False

    @classmethod
    def of_code(cls, code: str, called_for: Reportable, form: str, name: str = "", path: str = "") -> Telling | None:
        """What a diagnosis code tells; None where it tells of no tumour. Site and histology of a primary are those that the code stands for by
        default, marked as derived."""
        kind = _KINDS.get(called_for.action)
        if kind is None:
            return None
        telling = cls(kind, code, called_for.icd10 or form, name, path)
        default = provisional(code) if kind == "primary" else None
        if default is not None:
            telling.topography, telling.topography_origin = default.topography, "derived" if default.topography else ""
            telling.morphology, telling.behaviour, telling.morphology_origin = default.morphology, default.behaviour, "derived"
        return telling

    @property
    def neoplasm(self) -> Neoplasm:
        """The tumour as the multiple-primary rules see it."""
        return Neoplasm(self.topography, self.morphology, self.behaviour)

    @property
    def haematopoietic(self) -> bool:
        """Whether the histology, stated or derived, is one of blood or lymph."""
        return histology_group(self.morphology) in _HAEMATOPOIETIC

    def state_site(self, topography: str) -> None:
        """The site, stated by a source: it takes the place of another, but not of a part of the same organ that is already known."""
        known, stated = Neoplasm(self.topography, ""), Neoplasm(topography, "")
        same_organ = site_group(self.topography) == site_group(topography)
        if not (same_organ and more_specific(stated, known).topography != topography):
            self.topography, self.topography_origin = topography, "stated"

    def state_histology(self, morphology: str, behaviour: str) -> None:
        """The histology, stated by a source. Of a primary that is known by its metastasis (behaviour 6, or 9 for not known) the histology counts
        with behaviour 3 (registry reference, behaviour.csv)."""
        if self.kind == "primary" and behaviour in _METASTASIS:
            behaviour = "3"
        stated = Neoplasm(self.topography, morphology, behaviour)
        if self.morphology_origin == "stated":
            stated = more_specific(self.neoplasm, stated)
        self.morphology, self.behaviour, self.morphology_origin = stated.morphology, stated.behaviour, "stated"

    def state_side(self, side: str) -> None:
        """A side (1, 2, 3); both of a paired organ are 3 (S10)."""
        if side:
            self.laterality = both_sides(self.topography, self.laterality, side) or self.laterality

    def rests_on(self, digit: str, reason: str) -> None:
        """A basis of diagnosis, by the digit of the old card; the first reason stays."""
        if digit:
            self.basis.setdefault(digit, reason)

    def evidence(self, key: str, sighting: str, otherwise: tuple[str, str]) -> Evidence:
        """As evidence; ``otherwise`` is the date (and what it is) that counts where no source states one."""
        stated = earliest(self.dates)
        day, what = stated or otherwise
        if self.recurrence and stated is None:
            what = f"{what}（复发，首次诊断日期不详）"
        return Evidence(
            key,
            sighting,
            self.kind,
            diagnosis=self.diagnosis,
            icd10=self.icd10,
            name=self.name,
            topography=self.topography,
            topography_origin=self.topography_origin,
            morphology=self.morphology,
            behaviour=self.behaviour,
            morphology_origin=self.morphology_origin,
            laterality=self.laterality,
            grade=self.grade,
            basis=tuple(sorted(self.basis)),
            basis_reasons=dict(sorted(self.basis.items())),
            diagnosed_on=day,
            diagnosed_from=what,
            pathology_name=self.pathology_name,
            pathology_no=self.pathology_no,
            stages=self.stages,
            recurrence=self.recurrence,
            path=self.path,
        )

    @property
    def label(self) -> str:
        """What it is keyed by within its sighting."""
        return self.icd10 or self.topography or (f"M{self.morphology}{self.behaviour}" if self.morphology else "uncoded")


def earliest(dates: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
    """The earliest of dated statements; of one month (or year) the statement that knows the day goes before the one that does not."""
    known = sorted((day, what) for day, what in dates if day)
    if not known:
        return None
    first = known[0][0]
    return next((entry for entry in known if len(entry[0]) > len(first) and entry[0].startswith(first)), known[0])


def keyed(tellings: Iterable[Telling], sighting: str, otherwise: tuple[str, str]) -> tuple[Evidence, ...]:
    """All that a sighting tells as evidence, keyed by what is said; a second one of the same label gets ``/2``."""
    taken: dict[str, int] = {}
    evidence = []
    for telling in tellings:
        number = taken[telling.label] = taken.get(telling.label, 0) + 1
        key = f"{sighting}/{telling.label}" + (f"/{number}" if number > 1 else "")
        evidence.append(telling.evidence(key, sighting, otherwise))
    return tuple(evidence)
