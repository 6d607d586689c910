"""The report card of one primary tumour, made from everything that is known of it.

A pure function of the case: the same evidence, edits and day give the same card. Every filled field says where it comes from, so that a
reviewer can follow it back to the source and sees what was computed and what a person has entered.
"""

from __future__ import annotations

from datetime import date

from msgspec import Struct

from conformance.checks.finding import Finding
from gateway.cases.primaries.case import Step, TumourCase
from gateway.cases.primaries.choices import RegistryChoices
from gateway.model.card import Card
from gateway.reporting import card_course, card_person, card_tumour
from gateway.reporting.card_making import Making, Origin

__all__ = ["MadeCard", "Origin", "build"]


class MadeCard(Struct):
    """A card with the origin of every filled field, findings about what the sources say (fields of the card by name), and the steps by which
    the tumour was told from others."""

    card: Card
    origins: dict[str, Origin] = {}
    findings: tuple[Finding, ...] = ()
    steps: list[Step] = []


def build(case: TumourCase, choices: RegistryChoices, *, today: date) -> MadeCard:
    """The card of a tumour as it is known now; ``today`` is its report date."""
    making = Making(case.edits)
    card_person.fill(making, case)
    card_tumour.fill(making, case, choices)
    card_course.fill(making, case, choices, today)
    return MadeCard(making.card(), making.origins, tuple(dict.fromkeys(making.findings)), list(case.steps))
