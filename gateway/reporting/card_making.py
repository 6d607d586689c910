"""A report card in the making: fields with where each comes from, and findings.

What a person has entered stands from the beginning and is never overwritten, so that all that is derived afterwards follows from it.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from conformance.checks.finding import Finding, Severity
from gateway.cases.primaries.case import Edit
from gateway.model.card import Card


class Origin(Struct, frozen=True):
    """Where the value of a field comes from: ``source`` is a sighting and the place in it (``stay:17 diagnoses.principal.condition``), a person
    (``person:chen``) or ``zhibao`` for what is computed; ``rule`` says in Chinese how."""

    source: str
    rule: str


COMPUTED = "zhibao"


class Making:
    """See the module."""

    def __init__(self, edits: list[Edit]) -> None:
        self.fields: dict[str, str] = {}
        self.origins: dict[str, Origin] = {}
        self.findings: list[Finding] = []
        self._edited: set[str] = set()
        for edit in edits:
            for field, value in edit.fields.items():
                self._edited.add(field)
                self.fields[field] = value
                self.origins[field] = Origin(f"person:{edit.by}", f"人工{'填写' if value else '清空'}：{edit.reason}")

    def __getitem__(self, field: str) -> str:
        return self.fields.get(field, "")

    def put(self, field: str, value: str, source: str, rule: str) -> None:
        """Fill a field; an empty value says nothing, and what is filled or a person has entered stays."""
        if value and field not in self._edited and not self.fields.get(field):
            self.fields[field] = value
            self.origins[field] = Origin(source, rule)

    def say(self, rule: str, fields: tuple[str, ...], severity: Severity, message: str, english: str) -> None:
        """Add a finding about fields of the card, unless a person has entered all of them."""
        if not fields or not self._edited.issuperset(fields):
            self.findings.append(Finding(rule, fields, severity, message, english))

    def card(self) -> Card:
        """The card as it is now."""
        return replace(Card(), **{field: value for field, value in self.fields.items() if value})
