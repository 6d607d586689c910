"""Why a stay is due to a platform, and why it is not.

``scope.csv`` of a profile holds one rule a row: ``effect`` is

=============  ============================================================================================
require        must hold (CEL in ``when``), else the stay is not due
include        makes the stay due: a diagnosis in ``icd10_from``-``icd10_to`` (compared on 3 or 4 characters,
               ``match``), or the CEL condition ``when``
review         does not make it due, but a person should look
companion      does not make it due by itself: it needs a diagnosis of an including rule beside it (Z51)
never          never makes it due; explains why it is not
=============  ============================================================================================

``default`` on/off is the switch's default; a hospital's settings may turn include rules on and off by id.
Every diagnosis position counts, principal or other.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from gateway.model.stay import Stay
from gateway.model.values import completed_years, day_of
from mappings.expressions import Expression, context

AgeReference = Literal["admission", "discharge"]
_SIGNS = re.compile(r"[†*+\s]")


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


@dataclass(frozen=True)
class Decision:
    """Whether a stay is due, the ids of the rules that decided, the reason in Chinese and whether a person should look."""

    due: bool
    rules: tuple[str, ...]
    reason: str
    review: bool = False


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
        age, age_remark, age_review = _age(stay, self.age_reference)
        self._facts = {"discharged": day_of(stay.discharge.time) is not None, "age": -1 if age is None else age}
        for rule in self._requirements:
            if not self._holds(rule):
                return Decision(False, (rule.id,), self._unmet(rule, age), review=age is None)
        codes = [_SIGNS.sub("", code).upper().replace("X", "x") for code in stay.diagnosis_codes()]
        principal = stay.diagnoses.principal.condition
        first = _SIGNS.sub("", principal.code).upper() if principal is not None and principal.code else ""
        matched = [
            (rule, [code for code in codes if rule.matches_code(code)] if rule.start else []) for rule in self._includes if rule.on
        ]
        hits = [(rule, found) for rule, found in matched if found or (rule.when is not None and self._holds(rule))]
        if hits:
            rules = tuple(r.id for r in self._requirements) + tuple(rule.id for rule, _ in hits)
            parts = [_why(rule, found, first) for rule, found in hits]
            notes = [n.reason for n in self._notes if n.effect == "companion" and any(map(n.matches_code, codes))]
            if notes:
                parts.append(f"本次为{'、'.join(notes)}，凭伴随的肿瘤诊断上报")
            required = "，".join(r.reason for r in self._requirements)
            shown_age = f"（{age} 岁）" if age is not None and any(r.id == "S-AGE" for r in self._requirements) else ""
            reason = f"{required}{shown_age}；" + "；".join(parts) + (f"；{age_remark}" if age_remark else "")
            return Decision(True, rules, reason, review=age_review)
        return self._not_due(codes)

    def _not_due(self, codes: list[str]) -> Decision:
        """No including rule matched: say what came near."""
        near: list[str] = []
        ids: list[str] = []
        review = False
        for rule in self._notes:
            found = [code for code in codes if rule.matches_code(code)]
            if not found:
                continue
            ids.append(rule.id)
            if rule.effect == "companion":
                near.append(f"{found[0]}（{rule.reason}）本身不上报，且没有伴随的肿瘤诊断")
            elif rule.effect == "never":
                near.append(f"{found[0]}（{rule.reason}）不属于上报病种")
            else:
                near.append(f"{found[0]} 可能属于“{rule.reason}”，请人工核对")
                review = True
        for rule in self._includes:
            if not rule.on and (found := [code for code in codes if rule.matches_code(code)]):
                ids.append(rule.id)
                near.append(f"{found[0]}（{rule.reason}）默认不上报，可在设置中打开规则 {rule.id}")
        if not codes:
            return Decision(False, ("S-DX",), "没有出院诊断编码，无法判断是否属于上报病种，请先补填诊断", review=True)
        reason = "主要诊断和其他诊断均不在上报病种范围内" + ("：" + "；".join(near) if near else "")
        return Decision(False, tuple(ids) or ("S-DX",), reason, review)

    def _holds(self, rule: ScopeRule) -> bool:
        assert rule.when is not None
        return rule.when.evaluate(self._context) is True

    def _unmet(self, rule: ScopeRule, age: int | None) -> str:
        if rule.id == "S-AGE":
            if age is None:
                return "无法确定就诊时年龄：没有可用的出生日期和年龄，请先补填"
            return f"就诊时年龄 {age} 岁，不在 0–19 岁范围内"
        if rule.id == "S-ENC":
            return "没有出院时间，尚未出院或出院时间无法识别"
        return f"不满足条件：{rule.reason}"


def _why(rule: ScopeRule, codes: list[str], principal: str) -> str:
    if not codes:
        return rule.reason
    shown = codes[0]
    position = "主要诊断" if shown.upper() == principal else "其他诊断"
    return f"{position} {shown} 属于“{rule.reason}”"


def _age(stay: Stay, reference: AgeReference) -> tuple[int | None, str, bool]:
    """Age at the reference day, a remark and whether a person should look. The birth date counts; the stated age (A14, at
    admission) only fills in where there is no birth date."""
    born = day_of(stay.patient.birth_date)
    admitted, discharged = day_of(stay.admission.time), day_of(stay.discharge.time)
    on = admitted if reference == "admission" else discharged
    on = on or discharged or admitted
    if born is None or on is None or on < born:
        return stay.age.years, "", stay.age.years is None
    age = completed_years(born, on)
    if admitted is not None and discharged is not None and age < 20 <= completed_years(born, discharged):
        return age, "住院期间满 20 岁，请核对", True
    stated = stay.age.years
    if stated is not None and reference == "admission" and stated != age:
        return age, f"首页年龄与按出生日期推算的 {age} 岁不一致，请核对", True
    return age, "", False


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
