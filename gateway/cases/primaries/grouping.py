"""Which evidence of a person is one primary tumour (multiple_primary.csv S0-S10), with every step that led there.

Primary evidence first (`placing`), the specific before the vague, so that the order in which it arrives does not matter; then metastases,
treatment and histories (`attending`). What a person decided stands: ``same`` keeps evidence together, ``apart`` keeps it apart, and ``apart``
counts where the two contradict each other. A question is asked where the rules themselves leave it to a person (S7, one site unknown), at
ill-defined sites, and where evidence calls for a tumour that is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Final, Literal

from msgspec import Struct

from gateway.cases.primaries import attending
from gateway.cases.primaries.case import Step
from gateway.cases.primaries.choices import RegistryChoices
from gateway.cases.primaries.decisions import Decided, Decision
from gateway.cases.primaries.evidence import Evidence, Seen
from gateway.cases.primaries.placing import Placing, Tumour, narrowed, said, unknown
from gateway.cases.primaries.specimens import own_site
from gateway.cases.primaries.units import ADRIFT, BY_CODE, SPECIFIC, Unit, fits_histology, neoplasm, units
from mappings.registry.multiple_primary import compare, histology_group, merged, site_group
from mappings.registry.ranges import ranges
from mappings.registry.reportable import of

Note = Literal["no-primary", "look", "review"]
"""``no-primary``: calls for a primary that is not known. ``look``: a person decides whether there is anything to report. ``review``: a tumour
that cannot be told from others, or cannot be told at all."""

_SEVERAL: Final = "C97"
_ILL_DEFINED: Final = ranges("C26 C39 C76")
"""Sites that overlap several others (multiple_primary.csv, variant ENCR)."""


class Group(Struct, frozen=True):
    """One primary tumour: its evidence, oldest first, what attends it included."""

    evidence: tuple[Evidence, ...]
    steps: tuple[Step, ...]


class Loose(Struct, frozen=True):
    """Evidence that belongs to no tumour and that a person should see."""

    evidence: Evidence
    note: Note
    steps: tuple[Step, ...]


class Question(Struct, frozen=True):
    """What only a person can tell: whether the tumours of two pieces of evidence are one or, with ``right`` empty, what one piece is about."""

    left: str
    right: str
    rule: str
    steps: tuple[Step, ...]


class Grouped(Struct, frozen=True):
    """The tumours of a person in date order. Evidence that is neither in a tumour nor loose says nothing that needs a person: a metastasis or a
    vague diagnosis beside several tumours that it may be of, a screening, the history of a tumour that is known."""

    tumours: tuple[Group, ...]
    loose: tuple[Loose, ...]
    questions: tuple[Question, ...]


def group(seen: Sequence[Seen], decisions: Iterable[Decision], choices: RegistryChoices) -> Grouped:
    """Group the evidence of one person; see the module. Decisions about evidence that is not here are passed over."""
    return _Grouping(seen, decisions, choices).grouped()


class _Grouping:
    """The work on one person."""

    def __init__(self, seen: Sequence[Seen], decisions: Iterable[Decision], choices: RegistryChoices) -> None:
        said_by = [(one, each.sighting.at) for each in seen for one in each.evidence]
        self._days = {one.key: one.diagnosed_on or at for one, at in said_by}
        self._listed = {one.key: place for each in seen for place, one in enumerate(each.evidence)}
        self._decided = Decided.among(self._days, decisions)
        self._choices = choices
        self._placing = Placing(self._decided)
        self._units = units([one for one, _ in said_by], self._days, self._decided)
        self._loose: list[Loose] = []
        self._questions: list[Question] = []

    def grouped(self) -> Grouped:
        """Everything in its turn."""
        primaries = [unit for unit in self._units if unit.kind == "primary" and not self._set_aside(unit)]
        for unit in sorted(primaries, key=lambda unit: (unit.rank, unit.day, unit.key)):
            if unit.rank == ADRIFT:
                self._adrift(unit)
            else:
                self._placing.place(unit)
        for unit in self._placing.torn:
            if unit.rank in (SPECIFIC, BY_CODE):
                self._leave(unit, "review", _step("SEVERAL", unit, "与患者的几个肿瘤都相符", "fits several tumours of the person"))
        if self._choices.in_situ == "apart":
            self._part_in_situ()
        self._attend()
        tumours = self._placing.tumours
        tumours.sort(key=self._first)
        self._ask_sites(tumours)
        return Grouped(
            tuple(self._group(tumour, tumours[:index], len(tumours)) for index, tumour in enumerate(tumours)),
            tuple(sorted(self._loose, key=lambda one: (self._days[one.evidence.key], one.evidence.key))),
            tuple(sorted(self._questions, key=lambda one: (one.left, one.right, one.rule))),
        )

    def _set_aside(self, unit: Unit) -> bool:
        """Whether primary evidence opens no tumour: several primaries under one code, what this registry may not want, what has no code."""
        codes = {one.icd10 for one in unit.leading}
        if codes == {_SEVERAL}:
            zh, en = "多部位原发编码（C97），每个原发应各建一卡，请查明各原发部位", "C97: one card for each primary, find out which"
            self._leave(unit, "review", _step("C97", unit, zh, en))
        elif all(code and of(code, pituitary=self._choices.pituitary).action == "look" for code in codes):
            self._leave(
                unit, "look", _step("LOOK", unit, "各方规定不一，由登记处决定是否报告", "sources disagree: the registry decides")
            )
        elif codes == {""} and not any(one.topography or one.morphology for one in unit.leading):
            self._leave(unit, "review", _step("UNCODED", unit, "没有可用的编码", "no code that can be used"))
        else:
            return False
        return True

    def _adrift(self, unit: Unit) -> None:
        """A histology without a site joins the only tumour that it may be of."""
        fitting = [
            tumour for tumour in self._placing.allowed(unit) if fits_histology(tumour.neoplasm.morphology, unit.neoplasm.morphology)
        ]
        site = own_site(unit.neoplasm.morphology, unit.neoplasm.behaviour)
        fitting = [tumour for tumour in fitting if site_group(tumour.neoplasm.topography) == site] or fitting
        fitting = narrowed(unit, fitting)
        if len(fitting) == 1:
            fitting[0].take(unit)
            zh, en = (
                "病理没有对应的诊断，归入组织学相符的唯一肿瘤",
                "pathology without a diagnosis, of the only tumour that it fits",
            )
            fitting[0].steps.append(_step("PATHOLOGY", unit, zh, en))
        else:
            zh, en = "病理不能确定属于哪个诊断，需人工关联", "pathology that fits no diagnosis, or several: a person links it"
            self._leave(unit, "review", _step("PATHOLOGY", unit, zh, en))

    def _attend(self) -> None:
        """Metastases (those with a histology first, because they may stand for the primary), treatment, histories."""
        metastases = [unit for unit in self._units if unit.kind == "secondary"]
        for unit in sorted(metastases, key=lambda unit: not attending.confirmed(unit)):
            self._metastasis(unit)
        for unit in self._units:
            if unit.kind == "treatment":
                tumour, step = attending.treatment(unit, self._placing, self._listed)
                if tumour is not None:
                    tumour.take(unit)
                    tumour.steps.append(step)
                else:
                    self._leave(unit, "review" if self._placing.tumours else "no-primary", step)
                    self._questions.append(Question(unit.key, "", "TREATMENT", (step,)))
            elif unit.kind == "history" and not attending.known_history(unit, self._placing.tumours):
                zh, en = (
                    "肿瘤个人史，没有找到相应的肿瘤，请核对是否漏报",
                    "history of a tumour that is not known here: was it reported?",
                )
                self._leave(unit, "look", _step("HISTORY", unit, zh, en))

    def _metastasis(self, unit: Unit) -> None:
        fitting, step = attending.metastasis(unit, self._placing)
        if step is not None:
            fitting[0].take(unit)
            fitting[0].steps.append(step)
        elif not fitting and attending.confirmed(unit):
            standing = attending.of_unknown_site(unit, self._days)
            zh = "转移灶有组织学而没有找到原发：按原发部位不明（C80.9，行为学3）暂记，待查原发"
            en = "a metastasis with histology and no primary: kept as C80.9, behaviour 3, until the primary is found"
            step = _step("C80.9", unit, zh, en)
            placed = self._placing.place(standing)
            if placed is None:
                self._leave(unit, "review", step)
            else:
                placed.steps.append(step)
                self._questions.append(Question(unit.key, "", "C80.9", (step,)))
        elif not fitting:
            zh, en = "继发肿瘤，没有找到原发，不单独建卡", "a secondary tumour without a primary: no card on it alone"
            self._leave(unit, "no-primary", _step("SECONDARY", unit, zh, en))

    def _part_in_situ(self) -> None:
        """Where the registry wants it, an invasive tumour that followed an in-situ one is a record of its own; what was found at one time is not
        parted, nor what a person joined."""
        for tumour in list(self._placing.tumours):
            in_situ = {one.key: self._days[one.key] for one in tumour.primaries if one.behaviour == "2"}
            invasive = {one.key: self._days[one.key] for one in tumour.primaries if one.behaviour == "3"}
            joined = any((left in in_situ) != (right in in_situ) for left, right in self._decided.same)
            if not in_situ or not invasive or joined or min(invasive.values()) <= min(in_situ.values()):
                continue
            early = [one for one in tumour.evidence if one.key in in_situ]
            late = [one for one in tumour.evidence if one.key not in in_situ]
            zh, en = (
                "原位癌与其后的浸润癌按本院设置分别登记",
                "in situ and later invasive are two records by choice of this hospital",
            )
            step = Step("S0", zh, en)
            for part in (early, late):
                made = Tumour(Unit(part, self._days))
                made.steps = [*tumour.steps, step]
                self._placing.tumours.append(made)
            self._placing.tumours.remove(tumour)

    def _first(self, tumour: Tumour) -> tuple[str, str]:
        return min((self._days[one.key], one.key) for one in tumour.primaries)

    def _ask_sites(self, tumours: Sequence[Tumour]) -> None:
        """Two tumours of which one has no known or an ill-defined site."""
        for one, other in combinations(tumours, 2):
            left, right = one.primaries[0].key, other.primaries[0].key
            verdict = compare(one.neoplasm, other.neoplasm)
            if self._kept_apart(one, other):
                continue
            if verdict.result == "unknown-site":
                self._questions.append(Question(left, right, "S7", tuple(said(right, verdict))))
            elif _vague(one) != _vague(other) and not unknown(one.neoplasm) and not unknown(other.neoplasm):
                zh, en = "一方的部位编码不明确，可能是同一肿瘤", "one site is ill-defined: may be the same tumour"
                self._questions.append(Question(left, right, "ILL-DEFINED", (Step("ILL-DEFINED", zh, en),)))

    def _kept_apart(self, one: Tumour, other: Tumour) -> bool:
        ours, theirs = ({evidence.key for evidence in tumour.evidence} for tumour in (one, other))
        return any((a in ours and b in theirs) or (a in theirs and b in ours) for a, b in self._decided.apart)

    def _leave(self, unit: Unit, note: Note, step: Step) -> None:
        self._loose += [Loose(one, note, (step,)) for one in unit.evidence]

    def _group(self, tumour: Tumour, earlier: Sequence[Tumour], count: int) -> Group:
        ordered = sorted(tumour.evidence, key=lambda one: (self._days[one.key], one.key))
        steps = [*tumour.steps, *_keeping(ordered)]
        for other in earlier:
            verdict = compare(other.neoplasm, tumour.neoplasm)
            if verdict.result == "multiple-primary":
                steps += said(ordered[0].key, verdict)
            elif self._kept_apart(tumour, other):
                steps.append(
                    Step("DECIDED", "人工认定与另一个肿瘤不是同一个", "a person decided that another tumour is not the same")
                )
        if count > 1:
            number = len(earlier) + 1
            steps.append(
                Step(
                    "S9",
                    f"患者{count}个原发肿瘤中的第{number}个，多原发标志为1",
                    f"primary {number} of {count}: multiple-primary flag 1",
                )
            )
        return Group(tuple(ordered), tuple(dict.fromkeys(steps)))


def _step(rule: str, unit: Unit, zh: str, en: str) -> Step:
    return Step(rule, f"{unit.key}：{zh}", f"{unit.key}: {en}")


def _vague(tumour: Tumour) -> bool:
    """Whether the site is ill-defined and the histology says nothing that would tell it apart."""
    return tumour.neoplasm.topography in _ILL_DEFINED and tumour.neoplasm.morphology.startswith("80")


def _keeping(evidence: Sequence[Evidence]) -> Iterator[Step]:
    """S1 for histologies that are in no group, S8 for what is kept of several statements, S10 for both sides of a paired organ."""
    primaries = [one for one in evidence if one.kind == "primary"]
    for one in primaries:
        if one.morphology and histology_group(one.morphology) == "M0":
            zh, en = (
                f"组织学编码{one.morphology}不属于任何组，先更正编码；归并时按未特指肿瘤",
                "in no group: correct the code first",
            )
            yield Step("S1", f"{one.key}：{zh}", f"{one.key}: histology {one.morphology} is {en}")
    stated = [one for one in primaries if one.morphology_origin == "stated"] or primaries
    kept = neoplasm(stated[0])
    for one in stated[1:]:
        made = merged(kept, neoplasm(one))
        kept = made.kept
        yield from (Step(*step) for step in made.steps)
    if len({one.laterality for one in primaries} & {"1", "2"}) > 1:
        yield Step("S10", "成对器官两侧都有，侧位记为双侧（3）", "both sides of a paired organ: laterality 3")
