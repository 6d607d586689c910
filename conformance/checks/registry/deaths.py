"""The checks of what hangs on a report card: a death (certificate or line of a death list), a first visit or a follow-up.

Items go by the names of the report card and of the visit cards (``followup_fields.csv``). A death has these beside them: ``cause_a_icd10`` to
``cause_d_icd10`` (the direct cause and what led to it) with ``cause_b_interval`` to ``cause_d_interval``,
``other_conditions_icd10``, ``pregnancy``
(1, 2), ``cause_list_no`` (number in the list of causes of death that the platform uses) and ``tumour_card`` (whether a card of this person is
known: 1, 0). A rule that asks for an item which the record does not have answers *not-checked*; an item that is there and blank is blank.
"""

from __future__ import annotations

from collections.abc import Mapping

from conformance.checks.finding import Finding
from conformance.checks.registry.engine import Engine
from conformance.checks.registry.functions import age_between, days_between
from conformance.checks.registry.rules import load


class DeathChecker:
    """The checks of deaths. Build once, use for many; not thread-safe."""

    def __init__(self) -> None:
        self._engine = Engine(load("death"))

    def check(self, death: Mapping[str, str]) -> list[Finding]:
        """All findings about a death, in the order of the table. ``birth_date`` and ``death_date`` tell the age."""
        born, died = death.get("birth_date", ""), death.get("death_date", "")
        ages = {"years_at_death": age_between(born, died), "days_at_death": days_between(born, died)}
        return self._engine.findings({**death, **ages})


class VisitChecker:
    """The checks of first visits and follow-ups. Build once, use for many; not thread-safe."""

    def __init__(self) -> None:
        self._engine = Engine(load("visit"))

    def check(self, visit: Mapping[str, str]) -> list[Finding]:
        """All findings about a visit, in the order of the table. The visit cards call the cause of death ``death_icd10``."""
        return self._engine.findings({"underlying_cause": visit.get("death_icd10", ""), "platform": "", **visit})
