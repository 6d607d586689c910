"""The platform's human review, played by rules: data in ``*_review.toml`` with CEL conditions (see the comments there)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from conformance.checks.functions import FUNCTIONS
from conformance.simulators.records import Reason, Verdict
from gateway.model.errors import ConfigurationError
from gateway.model.stay import Stay
from mappings.expressions import Expression, context
from mappings.profile import Profile
from mappings.scope import ReportingScope

Objection = Literal["rejected", "returned"]
_BY_WEIGHT: tuple[Objection, ...] = ("rejected", "returned")
_FACTS = frozenset({"in_scope", "scope_rules"})


@dataclass(frozen=True, slots=True)
class ReviewRule:
    """One thing a reviewer looks at."""

    id: str
    when: Expression
    verdict: Objection
    reason: Reason


class Reviewer:
    """Reviews records of one platform. Not thread-safe."""

    def __init__(self, rules: Iterable[ReviewRule], scope: ReportingScope) -> None:
        self._rules = tuple(rules)
        self._scope = scope
        self._facts: Mapping[str, object] = {}
        self._fields: Mapping[str, str] = {}
        self._context = context(FUNCTIONS, self._value)

    def review(self, fields: Mapping[str, str], stay: Stay) -> Verdict:
        """The verdict on a record; ``stay`` is the same record read as a stay."""
        decision = self._scope.decide(stay)
        self._facts = {"in_scope": decision.due, "scope_rules": list(decision.rules)}
        self._fields = fields
        held = [rule for rule in self._rules if rule.when.evaluate(self._context) is True]
        for status in _BY_WEIGHT:
            reasons = tuple(rule.reason for rule in held if rule.verdict == status)
            if reasons:
                return Verdict(status, reasons)
        return Verdict("accepted")

    def _value(self, name: str) -> object:
        return self._facts[name] if name in self._facts else self._fields.get(name, "")


def load_reviewer(profile: Profile) -> Reviewer:
    """The reviewer of a platform, by ``<platform>_review.toml``. Raises `ConfigurationError` for a rule that cannot work."""
    name = f"{profile.id}_review.toml"
    try:
        rows = tomllib.loads(files("conformance.simulators").joinpath(name).read_text("utf-8"))["rule"]
        rules = [_rule(row, name, _FACTS | profile.layout.by_code.keys()) for row in rows]
    except (KeyError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"审核规则 {name} 写法不正确", english=f"{name}: {error}") from None
    reviewer = Reviewer(rules, profile.scope())
    try:
        reviewer.review({}, Stay())
    except Exception as error:  # whatever the evaluator says about types; a rule is tried before it is relied on
        raise ConfigurationError(f"审核规则 {name} 无法计算", english=f"{name}: {type(error).__name__}") from None
    return reviewer


def _rule(row: Mapping[str, str], name: str, known: frozenset[str]) -> ReviewRule:
    where = f"{name} {row['id']}"
    when = Expression(row["when"], where)
    verdict = next((word for word in _BY_WEIGHT if word == row["verdict"]), None)
    unknown = when.variables - known
    if unknown or verdict is None:
        fault = f"不认识的名称 {'、'.join(sorted(unknown))}" if unknown else f"不认识的结论 {row['verdict']}"
        raise ConfigurationError(f"{where}：{fault}", english=f"{where}: unknown name or verdict")
    return ReviewRule(row["id"], when, verdict, Reason(row["field"], row["reason"]))
