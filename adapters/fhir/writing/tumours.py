"""Stagings, grade, size and markers of tumours as Observations in the shape of mCODE.

Each staging is a stage group with its T, N and M as members, also where no group was stated (then the group is absent and only holds them
together). An Observation is about its tumour by ``focus``; what belongs to none has no focus.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from adapters.fhir.writing.conditions import MCODE
from adapters.fhir.writing.element import Element, absent, concept, decimal, element, listed, quantity, text, time
from adapters.fhir.writing.names import Names
from adapters.fhir.writing.oncology import observation_codes, staging_scheme, worded
from adapters.fhir.writing.strict import Resource
from gateway.model.stay import Marker, Stage, Stay

_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
_UCUM: Final = "http://unitsofmeasure.org"
_PARTS: Final = ("t", "n", "m")
_STAGED_BY: Final = {"clinical": "survey", "pathologic": "laboratory", "other": "survey"}
"""Observation.category of a staging by its kind, as in the examples of mCODE"""


def tumour_observations(stay: Stay, names: Names, tumours: Sequence[str]) -> Iterator[Resource]:
    """All of them. ``tumours`` are the ids of the Conditions of the tumours."""
    for index, (tumour, id) in enumerate(zip(stay.tumours, tumours, strict=True)):
        made = _Maker(names, ("tumour", index), {"reference": f"Condition/{id}"})
        for number, stage in enumerate(tumour.stages):
            yield from made.stage(stage, number)
        if tumour.grade is not None:
            grade = concept(*worded("tumour-grade", tumour.grade))
            yield made.observation(("grade",), "laboratory", concept(*observation_codes("grade")), valueCodeableConcept=grade)
        if tumour.size_mm is not None:
            size = quantity(tumour.size_mm, "mm", _UCUM, "mm")
            longest = element(code=concept(*observation_codes("longest")), valueQuantity=size)
            yield made.observation(("size",), "laboratory", concept(*observation_codes("size")), component=[longest])
        for number, marker in enumerate(tumour.markers):
            yield from made.marker(marker, number)
    unlinked = _Maker(names, (), None)
    for number, stage in enumerate(stay.stages):
        yield from unlinked.stage(stage, number)
    for number, marker in enumerate(stay.markers):
        yield from unlinked.marker(marker, number)


class _Maker:
    """Observations about one tumour, or about none."""

    def __init__(self, names: Names, owner: tuple[str | int, ...], focus: Element | None) -> None:
        self._names = names
        self._owner = owner
        self._focus = focus

    def stage(self, stage: Stage, number: int) -> Iterator[Resource]:
        """The stage group and its parts."""
        kind = stage.kind if stage.kind in ("clinical", "pathologic") else "other"
        scheme = staging_scheme(stage.system)
        method = concept(*worded("staging-system", stage.system))
        said = time("effectiveDateTime", stage.staged_on)
        parts = {name: value for name in _PARTS if (value := getattr(stage, name)) is not None}
        word = ("stage", number)
        group = concept(stage.group)
        category = _STAGED_BY[kind]
        yield self.observation(
            word,
            category,
            concept(*observation_codes("group", "other" if scheme else kind, scheme)),
            **said,
            valueCodeableConcept=group,
            dataAbsentReason={} if group else absent("unknown"),
            method=method,
            hasMember=[{"reference": f"Observation/{self._names.id(*self._owner, *word, name)}"} for name in parts],
        )
        for name, value in parts.items():
            code = concept(*observation_codes(name, kind))
            yield self.observation((*word, name), category, code, **said, valueCodeableConcept=concept(value), method=method)

    def marker(self, marker: Marker, number: int) -> Iterator[Resource]:
        """A tumour marker test: its result as quantity, words or code; the code beside words is the interpretation."""
        if marker.test is None:
            return
        stated, finding = text(marker.value), concept(marker.finding)
        amount = decimal(stated)
        unit = text(marker.unit)
        result: dict[str, Any] = {}
        if amount is not None:
            result = {"valueQuantity": quantity(amount, unit)}
        elif stated is not None:
            result = {"valueString": f"{stated} {unit}" if unit else stated}
        elif finding:
            result, finding = {"valueCodeableConcept": finding}, {}
        yield self.observation(
            ("marker", number),
            "laboratory",
            concept(marker.test),
            profile="mcode-tumor-marker-test",
            **time("effectiveDateTime", marker.tested_on),
            **result,
            interpretation=listed(finding),
        )

    def observation(
        self, word: tuple[str | int, ...], category: str, code: Element, *, profile: str = "", **members: Any
    ) -> Resource:
        """One Observation."""
        return {
            "resourceType": "Observation",
            "id": self._names.id(*self._owner, *word),
            "meta": {**self._names.meta, **element(profile=[MCODE + profile] if profile else None)},
            **observed(self._names, code, category, focus=listed(self._focus), **members),
        }


def observed(names: Names, code: Element, category: str = "", **members: Any) -> Element:
    """The members that every Observation of a stay has, and ``members``. A code that nobody named is said to be unknown."""
    return {
        "status": "final",
        **element(category=[{"coding": [{"system": _CATEGORY, "code": category}]}] if category else None),
        "code": code or absent("unknown"),
        "subject": names.subject,
        "encounter": names.encounter,
        **element(**members),
    }
