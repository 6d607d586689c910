"""Transfers between departments (A02), in order of time."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.cases.claims import Claim
from gateway.cases.entries import name_of
from gateway.model.facts import Facts
from gateway.model.values import Coded


def transfers(messages: Iterable[Facts], admitted_to: Coded | None) -> list[Claim]:
    """The departments a patient was moved to. A move within a department (another bed or ward, a message sent again) is no transfer;
    the department of admission is where the row begins."""
    moves = [
        (move.at or facts.occurred, Claim(move.department, move.source, facts))
        for facts in messages
        if not facts.cancels
        for move in facts.movements
        if name_of(move.department)
    ]
    moves.sort(key=lambda move: move[0])
    before = name_of(admitted_to) if admitted_to is not None else ""
    listed: list[Claim] = []
    for _, claim in moves:
        here = name_of(claim.value)
        if here != before:
            listed.append(claim)
        before = here
    return listed
