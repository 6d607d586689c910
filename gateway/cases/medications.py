"""Drugs of a stay: orders and what was given of them (OMP, RDE, RAS; FHIR).

An order and each giving are entries of their own. A cancelled order is gone, what was given before stays given; a giving that was
taken back (RXA-21 D) is gone. Once something of an order was given, the order itself is no longer listed.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.cases.claims import Claim, Leaves
from gateway.cases.entries import name_of
from gateway.cases.lists import Listed
from gateway.model.facts import Facts, MedicationFact

_MEMBERS = ("drug", "dose", "unit", "route", "group", "state", "at")

_Order = tuple[str, str]
_Key = tuple[_Order, str, str]


def medications(messages: Iterable[Facts]) -> Listed:
    """Fold the drugs of messages that count, oldest first; in order of time."""
    standing: dict[_Key, tuple[MedicationFact, Facts]] = {}
    for facts in messages:
        for drug in facts.medications:
            if drug.state == "cancelled":
                _cancel(standing, drug)
            else:
                standing[_order(drug), drug.state, _moment(drug)] = (drug, facts)
    begun = {order for order, state, _ in standing if state == "given"}
    listed = [stated for (order, state, _), stated in standing.items() if state == "given" or order not in begun]
    listed.sort(key=lambda stated: stated[0].at or "")
    return Listed("medications", "drug", None, [_leaves(*stated) for stated in listed])


def _order(drug: MedicationFact) -> _Order:
    return drug.key, name_of(drug.drug)


def _moment(drug: MedicationFact) -> str:
    """An order with a number is one whenever it was written; what was given, and what has no number, is told apart by time."""
    return "" if drug.state == "ordered" and drug.key else drug.at or ""


def _cancel(standing: dict[_Key, tuple[MedicationFact, Facts]], cancelled: MedicationFact) -> None:
    """Take back the giving at that time, else the order. A cancellation that names no drug is about the whole order."""
    key, name = _order(cancelled)
    meant = [known for known in standing if known[0][0] == key and (known[0][1] == name or not name)]
    given = [known for known in meant if known[1] == "given" and cancelled.at and known[2] == cancelled.at]
    ordered = [known for known in meant if known[1] == "ordered" and (key or known[2] == (cancelled.at or ""))]
    for known in given or ordered:
        del standing[known]


def _leaves(drug: MedicationFact, facts: Facts) -> Leaves:
    return {name: Claim(value, drug.source, facts) for name in _MEMBERS if (value := getattr(drug, name))}
