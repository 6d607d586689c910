"""Why a stay, or the report card of a tumour, is due to a platform, and why it is not.

``scope.csv`` of a profile holds one rule a row: ``effect`` is

=============  ============================================================================================
require        must hold (CEL in ``when``), else the stay is not due
include        makes the stay due
review         does not make it due, but a person should look
companion      does not make it due by itself: it needs a diagnosis of an including rule beside it (Z51)
never          never makes it due; explains why it is not
=============  ============================================================================================

A rule applies to a diagnosis in ``icd10_from``-``icd10_to`` (compared on 3 or 4 characters, ``match``), or where the CEL
condition ``when`` holds; a rule that has both needs both. The conditions know these facts:

=============  ============================================================================================
discharged     whether there is a day of discharge
age            completed years on the reference day, -1 when unknown; a requirement that asks for an unknown age is not met
text           the names of all discharge diagnoses, without blanks
unnamed        whether some discharge diagnosis has a code and no name, so that ``text`` cannot rule anything out
card           the fields of the report card by name (``card.behaviour``), all of them text; of a stay none
=============  ============================================================================================

A report card has one diagnosis, its age is that at incidence, and it is always ``discharged``.

``default`` on/off is the switch's default; a hospital's settings may turn include rules on and off by id.
Every diagnosis position of a stay counts, principal or other. A code that cannot be judged, because it is too short for a rule or is no
ICD-10 code, does not make a stay due; it calls for a person, so that no case is lost without a word.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from gateway.model.card import FIELDS, Card
from gateway.model.stay import Stay
from gateway.model.values import completed_years, day_of
from mappings.expressions import Expression, context

AgeReference = Literal["admission", "discharge"]
_SIGNS = re.compile(r"[†*+\s]")
_ICD10 = re.compile(r"[A-Z]\d\d(\..*)?")
_MORPHOLOGY = re.compile(r"M?\d{4,5}/\d")
_DAYS_BELOW_ONE_YEAR = range(366)
_NO_DIAGNOSIS_IN_SCOPE = "S-DX"
"""stands in `Decision.rules` where no rule can be named: no diagnosis came near any"""


@dataclass(frozen=True)
class ScopeRule:
    """One row of ``scope.csv``."""

    id: str
    effect: str
    on: bool
    start: str
    end: str
    match: int
    when: Expression | None
    reason: str
    reason_en: str
    confidence: str

    def matches_code(self, code: str) -> bool:
        """Whether an ICD-10 code falls in the rule's range at its level: ``C91`` for 3 characters, ``D69.3`` for 4."""
        if not self.start:
            return False
        shown = code[: 3 if self.match == 3 else 5]
        return self.start <= shown <= self.end and len(shown) == len(self.start)

    def leaves_open(self, code: str) -> bool:
        """Whether a code stops before the character this rule compares (``D69`` or ``D69.x`` for ``D69.3``): it may be meant."""
        return self.match != 3 and self.start[:3] <= code[:3] <= self.end[:3] and not code[4:5].isdigit()

    @property
    def asks_age(self) -> bool:
        """Whether the condition depends on the patient's age."""
        return self.when is not None and "age" in self.when.variables


@dataclass(frozen=True)
class Decision:
    """Whether a stay is due, the ids of the rules that decided, the reason in Chinese and whether a person should look."""

    due: bool
    rules: tuple[str, ...]
    reason: str
    review: bool = False


@dataclass(frozen=True)
class Ages:
    """Completed years of one patient. ``counted`` is the age the scope goes by, the others are what it is compared with."""

    counted: int | None
    on_admission: int | None
    on_discharge: int | None
    stated: int | None


@dataclass(frozen=True)
class Judged:
    """What a scope goes by: the codes as the rules write them, the code of the principal diagnosis (of a card: its only one), ages, the other
    facts, and how the reasons call it."""

    codes: tuple[str, ...]
    principal: str
    ages: Ages
    facts: Mapping[str, object]
    words: Words


@dataclass(frozen=True)
class Words:
    """How reasons speak of a stay, or of a card."""

    first: str
    further: str
    none: str
    outside: str
    age: str


_OF_STAY = Words(
    first="主要诊断",
    further="其他诊断",
    none="没有出院诊断编码，无法判断是否属于上报病种，请先补填诊断",
    outside="主要诊断和其他诊断均不在上报病种范围内",
    age="就诊时",
)
_OF_CARD = Words(
    first="诊断",
    further="诊断",
    none="报告卡没有 ICD-10 编码，无法判断是否属于上报病种，请先补填",
    outside="诊断不在上报病种范围内",
    age="发病时",
)


class ReportingScope:
    """The scope of one profile under a hospital's settings. Not thread-safe: one instance per thread or process."""

    def __init__(self, rules: list[ScopeRule], age_reference: AgeReference = "admission") -> None:
        self._requirements = [r for r in rules if r.effect == "require"]
        self._includes = [r for r in rules if r.effect == "include"]
        self._notes = [r for r in rules if r.effect in ("review", "companion", "never")]
        self.rules = rules
        self.age_reference = age_reference
        self._facts: dict[str, object] = {}
        self._context = context({}, lambda name: self._facts.get(name))

    def decide(self, stay: Stay) -> Decision:
        """The decision for one stay; never raises for what a stay may hold."""
        condition = stay.diagnoses.principal.condition
        names = _names(stay)
        facts = {
            "discharged": day_of(stay.discharge.time) is not None,
            "text": " ".join(filter(None, names)),
            "unnamed": not all(names),
            "card": {},
        }
        codes = tuple(_plain(code) for code in stay.diagnosis_codes())
        principal = _plain(condition.code) if condition is not None and condition.code else ""
        return self._decide(Judged(codes, principal, _ages(stay, self.age_reference), facts, _OF_STAY))

    def decide_card(self, card: Card) -> Decision:
        """The decision for the report card of one tumour; never raises for what a card may hold."""
        age = int(card.age_at_incidence) if card.age_at_incidence.isdecimal() else None
        code = _plain(card.icd10)
        known = card.record()
        facts = {
            "discharged": True,
            "text": "".join(card.diagnosis_name.split()),
            "unnamed": not card.diagnosis_name,
            "card": {name: known.get(name, "") for name in FIELDS},
        }
        return self._decide(Judged((code,) if code else (), code, Ages(age, age, None, None), facts, _OF_CARD))

    def _decide(self, judged: Judged) -> Decision:
        age = judged.ages.counted
        self._facts = {**judged.facts, "age": -1 if age is None else age}
        for rule in self._requirements:
            if not self._meets(rule, age):
                return self._unmet(rule, judged)
        hits = [(rule, found) for rule in self._includes if rule.on and (found := self._apply(rule, judged.codes)) is not None]
        return self._due(hits, judged) if hits else self._not_due(judged)

    def _due(self, hits: list[tuple[ScopeRule, list[str]]], judged: Judged) -> Decision:
        ages, principal = judged.ages, judged.principal
        required = [f"{r.reason}（{ages.counted} 岁）" if r.asks_age else r.reason for r in self._requirements]
        parts = ["，".join(required), *(_why(rule, found, judged) for rule, found in hits)]
        treatments = [n.reason for n in self._notes if n.effect == "companion" and self._apply(n, [principal]) is not None]
        if treatments and any(found for _, found in hits):
            parts.append(f"本次为{'、'.join(treatments)}，凭伴随的上报病种诊断上报")
        doubts = [doubt for rule in self._requirements for doubt in self._age_doubts(rule, ages)]
        rules = (*(r.id for r in self._requirements), *(rule.id for rule, _ in hits))
        return Decision(True, rules, "；".join(filter(None, [*parts, *doubts])), review=bool(doubts))

    def _not_due(self, judged: Judged) -> Decision:
        """No including rule matched: say what came near."""
        codes = judged.codes
        if not codes:
            return Decision(False, (_NO_DIAGNOSIS_IN_SCOPE,), judged.words.none, review=True)
        near: list[str] = []
        ids: list[str] = []
        for rule in self._notes:
            found = self._apply(rule, codes)
            if found is None:
                continue
            ids.append(rule.id)
            shown = found[0] if found else "诊断"
            if rule.effect == "companion":
                near.append(f"{shown}（{rule.reason}）本身不上报，且没有伴随的上报病种诊断")
            elif rule.effect == "never":
                near.append(f"{shown}（{rule.reason}）不属于上报病种")
            else:
                near.append(f"{shown} 可能属于“{rule.reason}”，请人工核对")
        for rule in self._includes:
            if not rule.on and (found := [code for code in codes if rule.matches_code(code)]):
                ids.append(rule.id)
                near.append(f"{found[0]}（{rule.reason}）默认不上报，可在设置中打开规则 {rule.id}")
        unclear, left_open = self._unclear(codes)
        review = bool(unclear) or any(rule.id in ids for rule in self._notes if rule.effect == "review")
        reason = "没有可以确定属于上报病种的诊断" if review else judged.words.outside
        if near or unclear:
            reason += "：" + "；".join([*near, *unclear])
        return Decision(False, (*ids, *left_open) or (_NO_DIAGNOSIS_IN_SCOPE,), reason, review)

    def _unclear(self, codes: Iterable[str]) -> tuple[list[str], list[str]]:
        """What to do about codes that cannot be judged, and the ids of the rules they leave open."""
        if not any(rule.start for rule in self._includes):
            return [], []
        said: list[str] = []
        ids: list[str] = []
        for code in dict.fromkeys(codes):
            if _MORPHOLOGY.fullmatch(code):
                said.append(f"编码 {code} 是形态学编码，不是疾病诊断编码，无法判断是否属于上报病种，请在诊断栏改填 ICD-10 疾病编码")
            elif not _ICD10.fullmatch(code):
                said.append(f"编码 {code} 不是 ICD-10 疾病编码的写法，无法判断是否属于上报病种，请核对改正")
            elif rules := [rule for rule in self._includes if rule.on and rule.leaves_open(code)]:
                ids.extend(rule.id for rule in rules if rule.id not in ids)
                diseases = "或".join(f"“{rule.reason}”" for rule in rules)
                said.append(f"编码 {code} 不够细，无法判断是否属于{diseases}，请补全编码")
        return said, ids

    def _apply(self, rule: ScopeRule, codes: Iterable[str]) -> list[str] | None:
        """The codes to which a rule applies, none for a rule without a code range; None when it does not apply."""
        found = [code for code in codes if rule.matches_code(code)]
        if rule.start and not found:
            return None
        return found if self._holds(rule) else None

    def _holds(self, rule: ScopeRule) -> bool:
        return rule.when is None or rule.when.evaluate(self._context) is True

    def _meets(self, requirement: ScopeRule, age: int | None) -> bool:
        """Whether a requirement holds for a patient of some age."""
        if not requirement.asks_age:
            return self._holds(requirement)
        if age is None:
            return False
        facts, self._facts = self._facts, {**self._facts, "age": age}
        met = self._holds(requirement)
        self._facts = facts
        return met

    def _unmet(self, requirement: ScopeRule, judged: Judged) -> Decision:
        ages, when = judged.ages, judged.words.age
        if requirement.asks_age and ages.counted is None:
            reason = f"无法确定{when}年龄，无法判断是否满足“{requirement.reason}”：没有可用的出生日期和年龄，请先补填出生日期"
            return Decision(False, (requirement.id,), reason, review=True)
        cause = ""
        if requirement.asks_age:
            cause = f"{when}年龄 {ages.counted} 岁，"
        elif requirement.when is not None and "discharged" in requirement.when.variables and not self._facts["discharged"]:
            cause = "没有出院时间，尚未出院或出院时间无法识别，"
        doubts = self._age_doubts(requirement, ages)
        reason = "；".join([f"{cause}不满足“{requirement.reason}”", *doubts])
        return Decision(False, (requirement.id,), reason, review=bool(doubts))

    def _age_doubts(self, requirement: ScopeRule, ages: Ages) -> list[str]:
        """Why a person should look at the age: only where a requirement asks for it, and some age at hand meets it."""
        if not requirement.asks_age:
            return []
        doubts = []
        during = [self._meets(requirement, age) for age in (ages.on_admission, ages.on_discharge) if age is not None]
        if any(during) and not all(during):
            doubts.append("住院期间年龄跨过上报范围的界限，请核对")
        admission = (ages.stated, ages.on_admission)
        if None not in admission and ages.stated != ages.on_admission and any(self._meets(requirement, a) for a in admission):
            doubts.append(f"首页年龄与按出生日期推算的 {ages.on_admission} 岁不一致，请核对")
        return doubts


def _plain(code: str) -> str:
    """A code as the rules write it: half-width, without signs and blanks, upper case but for the ``x`` of an extension."""
    plain = _SIGNS.sub("", unicodedata.normalize("NFKC", code)).upper()
    return plain[:1] + plain[1:].replace("X", "x")


def _names(stay: Stay) -> list[str]:
    """The name of each discharge diagnosis without blanks, empty where there is a code only."""
    conditions = [diagnosis.condition for diagnosis in (stay.diagnoses.principal, *stay.diagnoses.other)]
    given = [c.display or "" for c in conditions if c is not None and (c.code or c.display)]
    return ["".join(unicodedata.normalize("NFKC", name).split()) for name in given]


def _why(rule: ScopeRule, codes: list[str], judged: Judged) -> str:
    if not codes:
        return rule.reason
    shown = codes[0]
    position = judged.words.first if shown == judged.principal else judged.words.further
    return f"{position} {shown} 属于“{rule.reason}”"


def _ages(stay: Stay, reference: AgeReference) -> Ages:
    """The birth date counts; the stated age (A14, or A16 in days below one year) only fills in where there is none."""
    born = day_of(stay.patient.birth_date)

    def age_on(time: str | None) -> int | None:
        on = day_of(time)
        return None if born is None or on is None or on < born else completed_years(born, on)

    on_admission, on_discharge = age_on(stay.admission.time), age_on(stay.discharge.time)
    computed = [on_admission, on_discharge] if reference == "admission" else [on_discharge, on_admission]
    stated = stay.age.years
    by_days = 0 if stay.age.days in _DAYS_BELOW_ONE_YEAR else None
    counted = next((age for age in (*computed, stated, by_days) if age is not None), None)
    return Ages(counted, on_admission, on_discharge, stated)


def load_scope(
    platform: str, *, switches: Mapping[str, bool] | None = None, age_reference: AgeReference = "admission"
) -> ReportingScope:
    """The scope of a platform under a hospital's switches. Raises `ConfigurationError` for an expression that is no CEL."""
    path = files("mappings").joinpath("platforms", platform, "scope.csv")
    with path.open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    switches = switches or {}
    rules = [
        ScopeRule(
            id=row["id"],
            effect=row["effect"],
            on=switches.get(row["id"], row["default"] == "on"),
            start=row["icd10_from"],
            end=row["icd10_to"],
            match=int(row["match"] or 3),
            when=Expression(row["when"], f"{platform}/scope.csv {row['id']}") if row["when"] else None,
            reason=row["reason_zh"],
            reason_en=row["reason_en"],
            confidence=row["confidence"],
        )
        for row in rows
    ]
    return ReportingScope(rules, age_reference)
