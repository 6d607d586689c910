"""Groups of like entries (diagnoses, procedures) folded out of snapshots and action codes.

An entry is the list of statements that still hold about it. A snapshot replaces the entries of the roles that it carries, ``delete``
withdraws one, ``update`` adds a statement to the one it names, anything else states one anew (source: product decisions "snapshots").
A role that a message does not carry is not touched: a discharge message with discharge diagnoses says nothing of those of admission.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.model.facts import DiagnosisFact, Facts, ProcedureFact
from gateway.model.values import Coded

Stated = TypeVar("Stated", DiagnosisFact, ProcedureFact)


@dataclass(slots=True)
class Entry(Generic[Stated]):
    """What is known of one entry: statements that hold, oldest first."""

    statements: list[tuple[Stated, Facts]]

    @property
    def current(self) -> Stated:
        """The newest statement."""
        return self.statements[-1][0]

    @property
    def rank(self) -> int | None:
        """The newest rank that was stated."""
        return next((stated.rank for stated, _ in reversed(self.statements) if stated.rank is not None), None)


@dataclass(frozen=True, slots=True)
class Group(Generic[Stated]):
    """How a group is read: its name in ``Facts.snapshot``, its statements in a message, the role of a statement, what it is about, and
    what else tells two of the same apart (the time of an operation; empty when not said)."""

    name: str
    stated: Callable[[Facts], Sequence[Stated]]
    role: Callable[[Stated], str]
    about: Callable[[Stated], Coded]
    moment: Callable[[Stated], str]

    def fold(self, messages: Iterable[Facts]) -> list[Entry[Stated]]:
        """The entries that hold after all messages (oldest first), in order of first mention."""
        standing: dict[Hashable, Entry[Stated]] = {}
        for facts in messages:
            statements = self.stated(facts)
            if not statements:
                continue
            if self.name in facts.snapshot:
                carried = {self.role(stated) for stated in statements if not stated.action}
                standing = {key: entry for key, entry in standing.items() if self.role(entry.current) not in carried}
            for stated in statements:
                self._take(standing, stated, facts)
        return list(standing.values())

    def _take(self, standing: dict[Hashable, Entry[Stated]], stated: Stated, facts: Facts) -> None:
        if stated.action == "delete":
            for key in self._meant(standing, stated):
                del standing[key]
        elif stated.action == "update" and len(meant := self._meant(standing, stated)) == 1:
            standing[meant[0]].statements.append((stated, facts))
        elif name_of(self.about(stated)):
            standing[self._identity(stated)] = Entry([(stated, facts)])

    def _identity(self, stated: Stated) -> Hashable:
        """A number of its own identifies an entry whatever its role; otherwise what it is, in its role."""
        about = self.about(stated)
        if has_number(stated, about):
            return stated.key
        return self.role(stated), name_of(about), self.moment(stated)

    def _meant(self, standing: dict[Hashable, Entry[Stated]], stated: Stated) -> list[Hashable]:
        """The entries that a change is about: the one of its identity, else those of the same content, unless both sides have numbers."""
        if (key := self._identity(stated)) in standing:
            return [key]
        about, role, moment = self.about(stated), self.role(stated), self.moment(stated)
        numbered = has_number(stated, about)
        found: list[Hashable] = []
        for known, entry in standing.items():
            other = entry.current
            if self.role(other) != role or name_of(self.about(other)) != name_of(about):
                continue
            if numbered and has_number(other, self.about(other)):
                continue
            if not moment or not self.moment(other) or moment == self.moment(other):
                found.append(known)
        return found


def has_number(stated: DiagnosisFact | ProcedureFact, about: Coded) -> bool:
    """Whether the sender gave it a number of its own (DG1-20, PR1-19) rather than repeating its code or name."""
    return bool(stated.key) and stated.key not in (about.code, about.display)


def name_of(about: Coded) -> str:
    """What identifies a coded thing: its code, else its name."""
    return about.code or about.display or ""


def ranked(entries: Iterable[Entry[Stated]]) -> list[Entry[Stated]]:
    """By rank, those without one behind, otherwise by first mention."""
    return sorted(entries, key=lambda entry: (entry.rank is None, entry.rank or 0))
