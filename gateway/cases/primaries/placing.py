"""Primary tumours of one person, opened and joined by the multiple-primary rules (S0-S7 of `mappings.registry.multiple_primary`).

The specific goes first, so that what is less specific finds what it may belong to. It joins the only tumour that it fits. Where it fits several
(cancer of the lung without more, beside two lung primaries) it belongs to none of them and makes no new one either. A histology that only
follows from a diagnosis code never parts two statements of the same code (CODE): the code is what the hospital said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gateway.cases.primaries.case import Step
from gateway.cases.primaries.decisions import Decided
from gateway.cases.primaries.evidence import Evidence
from gateway.cases.primaries.units import AGAIN, BY_CODE, SPECIFIC, Unit
from mappings.registry.multiple_primary import UNKNOWN_SITE, Neoplasm, Verdict, compare, site_group


class Tumour:
    """A tumour while evidence is grouped; ``neoplasm`` is what opened it, the most specific of it."""

    def __init__(self, unit: Unit) -> None:
        self.neoplasm = unit.neoplasm
        self.derived = unit.derived
        self.evidence: list[Evidence] = []
        self.steps: list[Step] = []
        self.take(unit)

    def take(self, unit: Unit) -> None:
        """The evidence of a unit belongs here."""
        self.evidence += unit.evidence

    @property
    def primaries(self) -> list[Evidence]:
        """The evidence that speaks of the primary itself."""
        return [one for one in self.evidence if one.kind == "primary"]

    @property
    def sightings(self) -> set[str]:
        """The sightings that speak of the primary."""
        return {one.sighting for one in self.primaries}

    @property
    def codes(self) -> set[str]:
        """The ICD-10 codes by which it is known, in registry form."""
        return {one.icd10 for one in self.primaries} - {""}


class Placing:
    """Tumours as they are opened, and what found no place of its own: ``torn`` are units that fit several."""

    def __init__(self, decided: Decided) -> None:
        self.tumours: list[Tumour] = []
        self.torn: list[Unit] = []
        self._apart: dict[str, set[str]] = {}
        for left, right in decided.apart:
            self._apart.setdefault(left, set()).add(right)
            self._apart.setdefault(right, set()).add(left)

    def place(self, unit: Unit) -> Tumour | None:
        """Join a primary unit to the tumour that it fits, or open one; None where it fits several."""
        open_ = self.allowed(unit)
        verdicts = {id(tumour): compare(unit.neoplasm, tumour.neoplasm) for tumour in open_}
        fitting = [tumour for tumour in open_ if verdicts[id(tumour)].result == "duplicate"]
        if not fitting:
            fitting = self._by_code(unit, open_) or self._again(unit, open_)
        fitting = narrowed(unit, fitting)
        if len(fitting) > 1:
            self.torn.append(unit)
            return None
        if not fitting:
            tumour = Tumour(unit)
            tumour.steps.append(Step("OPEN", f"{unit.key}：记为一个原发肿瘤", f"{unit.key}: opens a primary tumour"))
            self.tumours.append(tumour)
        else:
            [tumour] = fitting
            tumour.take(unit)
            tumour.steps += _why(unit, verdicts[id(tumour)])
        tumour.steps += _decided(unit)
        return tumour

    def allowed(self, unit: Unit) -> list[Tumour]:
        """The tumours from which no decision keeps a unit apart."""
        against = {other for key in unit.keys for other in self._apart.get(key, ())}
        return [tumour for tumour in self.tumours if not any(one.key in against for one in tumour.evidence)]

    def _by_code(self, unit: Unit, tumours: Iterable[Tumour]) -> list[Tumour]:
        if unit.rank not in (SPECIFIC, BY_CODE):
            return []
        codes = {one.icd10 for one in unit.leading}
        return [tumour for tumour in tumours if (unit.derived or tumour.derived) and not codes.isdisjoint(tumour.codes)]

    def _again(self, unit: Unit, tumours: Iterable[Tumour]) -> list[Tumour]:
        """S0: a recurrence is of the tumour of its site, whatever its histology."""
        site = site_group(unit.neoplasm.topography)
        if unit.rank != AGAIN or not site:
            return []
        return [tumour for tumour in tumours if site_group(tumour.neoplasm.topography) == site]


def narrowed(unit: Unit, tumours: list[Tumour]) -> list[Tumour]:
    """Of several tumours that a unit fits those that share its pathology number, else its side, else its very site."""
    marks: tuple[Callable[[Evidence], str], ...] = (
        lambda one: one.pathology_no,
        lambda one: one.laterality if one.laterality in ("1", "2") else "",
        lambda one: "" if one.topography.endswith("9") else one.topography,
    )
    for mark in marks:
        own = {mark(one) for one in unit.leading} - {""}
        sharing = [tumour for tumour in tumours if not own.isdisjoint(map(mark, tumour.primaries))]
        if len(sharing) == 1:
            return sharing
    return tumours


def said(key: str, verdict: Verdict) -> list[Step]:
    """The steps of a comparison as steps of evidence ``key``."""
    return [Step(rule, f"{key}：{zh}", f"{key}: {en}") for rule, zh, en in verdict.steps]


def unknown(neoplasm: Neoplasm) -> bool:
    """Whether the primary site is not known."""
    return neoplasm.topography in ("", UNKNOWN_SITE)


def _decided(unit: Unit) -> list[Step]:
    if len(unit.evidence) == 1:
        return []
    keys = "、".join(one.key for one in unit.evidence)
    return [Step("DECIDED", f"{keys}：人工认定为同一肿瘤", f"{keys}: a person decided that they are one tumour")]


def _why(unit: Unit, verdict: Verdict) -> list[Step]:
    if verdict.result == "duplicate":
        return said(unit.key, verdict)
    if unit.rank == AGAIN:
        zh, en = "同一部位的复发，不是新的原发", "a recurrence at this site is no new primary"
        return [Step("S0", f"{unit.key}：{zh}", f"{unit.key}: {en}")]
    zh = "诊断编码相同，而组织学只是由编码推定，为同一肿瘤"
    en = "the same diagnosis code, and a histology that only follows from it: the same tumour"
    return [Step("CODE", f"{unit.key}：{zh}", f"{unit.key}: {en}")]
