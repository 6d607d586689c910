"""The edit checks of report cards, as IARC's and the platforms' (`conformance.checks.registry.rules` says where they are written down)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Final

from msgspec.structs import asdict

from conformance.checks.finding import Finding
from conformance.checks.registry.engine import Engine, Facts
from conformance.checks.registry.functions import age_between
from conformance.checks.registry.rules import load
from gateway.model.card import Card
from mappings.cadence import CHINA
from mappings.registry.icd10 import Edition

UNKNOWN_AGE: Final = "999"
"""the age of a card that says that it is not known"""


class CardChecker:
    """The checks of a card: those for all cards and, where ``platform`` (its id) is named, those for that platform.

    ``icd10_edition`` is the edition of ICD-10 that codes lymphoma and leukaemia; ``today`` is the day on which dates are judged, by default
    the present one in China. Build once, use for many cards; not thread-safe (one per thread or process)."""

    def __init__(self, platform: str = "", *, today: date | None = None, icd10_edition: Edition = "canregtools") -> None:
        self._engine = Engine(load("all", platform) if platform else load("all"))
        self._platform = platform
        self._edition = icd10_edition
        self._today = today

    def check(self, card: Card, *, context: Mapping[str, str] = {}) -> list[Finding]:
        """All findings about a card, in the order of the table. ``context`` says what the card itself does not: ``hospital_evidence`` (``1``
        when a death-notified tumour has hospital evidence by now; BD-06), ``diagnosing_unit`` (the code that the platform's file will carry;
        by default the card's organisation code) and ``cdc_codes`` (codes of disease-control units, with commas; both CN-11)."""
        return self._engine.findings(self.facts(card, context))

    def facts(self, card: Card, context: Mapping[str, str]) -> Facts:
        """What the names in the conditions of rules stand for, about a card."""
        years = age_between(card.birth_date, card.incidence_date)
        stated = card.age_at_incidence
        known = stated.isascii() and stated.isdigit() and stated != UNKNOWN_AGE
        return {
            **asdict(card),
            "diagnosing_unit": card.report_org_code,
            **context,
            "age": int(stated) if known else years,
            "years": years,
            "platform": self._platform,
            "icd10_edition": self._edition,
            "today": (self._today or datetime.now(CHINA).date()).isoformat(),
        }
