"""Puts the rules of the edit checks to what is known of one record.

What the columns of the rules say about codes is decided once for each combination of site, histology and behaviour and remembered; few rules
are left to compare age, sex, grade and basis. The conditions in CEL are put in one expression, whose answer is nearly always that none of them
fires.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from conformance.checks.finding import Finding, Severity
from conformance.checks.functions import Doubts
from conformance.checks.registry.functions import FUNCTIONS
from conformance.checks.registry.patterns import Pattern
from conformance.checks.registry.rules import Rule
from mappings.expressions import Expression, context

_REMEMBER: Final = 4096
"""combinations of codes that are remembered"""

Facts = Mapping[str, Any]
"""What the names in conditions stand for; what is not there is blank."""


class Engine:
    """Rules, ready to be asked. Build once, use for many records; not thread-safe (one per thread or process)."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        rules = tuple(rules)
        self._facts: Facts = {}
        self._doubts = Doubts()
        self._context = context({**FUNCTIONS, **self._asking()}, lambda name: self._facts.get(name, ""))
        self._patterns = tuple((rule, rule.pattern) for rule in rules if rule.pattern is not None)
        self._placed: dict[tuple[str, str, str, str], tuple[tuple[Rule, Pattern], ...]] = {}
        self._conditions = tuple((rule, fields, Expression(when, rule.id)) for rule in rules for fields, when in rule.conditions)
        none_fires = " && ".join(f"!({asked.source})" for *_, asked in self._conditions)
        self._silent = Expression(none_fires or "true", "edit_checks.csv")

    def findings(self, facts: Facts) -> list[Finding]:
        """All findings, in the order of the table."""
        self._facts = facts
        found = {rule: (rule.fields, rule.severity) for rule in self._fitting(facts)}
        for rule, fields, severity in self._firing():
            before, _ = found.get(rule, ((), severity))
            found[rule] = ((*before, *fields), severity)
        return [rule.finding(*told) for rule, told in sorted(found.items(), key=lambda item: item[0].number)]

    def _fitting(self, facts: Facts) -> Iterator[Rule]:
        """The rules whose columns fit."""
        codes = (facts.get("topography", ""), facts.get("icd10", ""), facts.get("morphology", ""), facts.get("behaviour", ""))
        placed = self._placed.get(codes)
        if placed is None:
            placed = tuple(self._fitting_place(*codes))
            if len(self._placed) >= _REMEMBER:
                self._placed.clear()
            self._placed[codes] = placed
        if placed:
            person = (facts.get("age", -1), facts.get("sex", ""), facts.get("grade", ""), facts.get("basis_of_diagnosis", ""))
            yield from (rule for rule, pattern in placed if pattern.holds(*person))

    def _fitting_place(self, topography: str, icd10: str, morphology: str, behaviour: str) -> Iterator[tuple[Rule, Pattern]]:
        for rule, pattern in self._patterns:
            if pattern.placed(icd10 if rule.sites == "icd10" else topography, morphology, behaviour):
                yield rule, pattern

    def _firing(self) -> Iterator[tuple[Rule, tuple[str, ...], Severity]]:
        """The rules whose condition in CEL is true, with the fields that it is true of; ``not-checked`` where it asks for what is not there."""
        doubts = self._doubts
        doubts.clear()
        if self._silent.evaluate(self._context) is True and not doubts.unknown:
            return
        for rule, fields, condition in self._conditions:
            doubts.clear()
            fires = condition.evaluate(self._context) is True
            if doubts.unknown:
                yield rule, fields, "not-checked"
            elif fires:
                yield rule, fields, self._severity(rule)

    def _severity(self, rule: Rule) -> Severity:
        if rule.milder is not None and rule.milder_when is not None and rule.milder_when.evaluate(self._context) is True:
            return rule.milder
        return rule.severity

    def _asking(self) -> dict[str, Callable[..., bool]]:
        """Functions that cannot answer without something that a record may lack."""

        def given(name: str) -> bool:
            """Whether the record says anything about an item, be it that it is blank."""
            self._doubts.unknown |= name not in self._facts
            return name in self._facts

        def cause_number(number: str, numbers: list[int]) -> bool:
            """Whether the number of a death in the list of causes is one of some."""
            known = number.isascii() and number.isdigit()
            self._doubts.unknown |= not known
            return known and int(number) in numbers

        return {"given": given, "cause_number": cause_number}
