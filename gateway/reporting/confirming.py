"""Findings that ask, and a person's answers to them.

A person confirms a finding together with the values that it was about: it asks again when one of them changes (`Edit.confirmed`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from conformance.checks.finding import Finding
from gateway.cases.primaries.case import Edit
from gateway.model.card import FIELDS, Card


def asked(findings: Iterable[Finding], card: Card, record: Mapping[str, str]) -> dict[str, str]:
    """What a person must confirm: by rule, a digest of the values that its findings are about. They name fields of the card, or columns of a
    platform's ``record`` of it."""
    fields: dict[str, set[str]] = {}
    for finding in findings:
        if finding.asks:
            fields.setdefault(finding.rule, set()).update(finding.fields)
    return {rule: _digest({name: _value(name, card, record) for name in sorted(names)}) for rule, names in fields.items()}


def open_questions(wanted: Mapping[str, str], edits: Iterable[Edit]) -> set[str]:
    """The rules of ``wanted`` that nobody has confirmed for the values as they are now."""
    return {rule for rule, digest in wanted.items() if not any(edit.confirmed.get(rule) == digest for edit in edits)}


def _value(name: str, card: Card, record: Mapping[str, str]) -> str:
    return str(getattr(card, name)) if name in FIELDS else record.get(name, "")


def _digest(values: object) -> str:
    return hashlib.sha256(msgspec.json.encode(values)).hexdigest()
