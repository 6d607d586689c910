"""Questions about persons and tumours that only a person can answer, in the ledger.

What is asked follows from what is known; so a question that is not asked any more is moot, and one that is asked again is the same question.
One that a person answered stays answered, whatever comes later, until the answer is taken back (`reopen`).
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass

import msgspec
from sqlmodel import Session, col, select

from gateway.audit.log import Event
from gateway.cases.primaries.case import Step
from gateway.intake.resources import pieces
from gateway.model.errors import IllegalTransition, NotFound
from gateway.store.ledger import now
from gateway.store.tables import RegistryQuestion
from gateway.store.vault import Vault

DETAIL_PLACE = "registry_question.detail"


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: about two sightings (``person``), two pieces of evidence or one that calls for a primary (``tumour``), or one that tells
    of a tumour in the past (``history``). ``steps`` say why it is asked."""

    subject: str
    left: str
    right: str
    rule: str
    score: int
    steps: tuple[Step, ...]

    @property
    def about(self) -> tuple[str, str, str]:
        """What makes it the same question: the sides of a pair have no order."""
        left, right = sorted((self.left, self.right)) if self.right else (self.left, "")
        return self.subject, left, right


class Questions:
    """The questions of a ledger in one session."""

    def __init__(self, session: Session, vault: Vault) -> None:
        self._session = session
        self._vault = vault

    def settle(self, keys: Set[str], asked: Iterable[Asked], subjects: Set[str]) -> list[Event]:
        """Bring the questions of some subjects about ``keys`` (all that were looked at) up to date; the audit events of what changed."""
        wanted = {one.about: one for one in asked}
        there = {(row.subject, row.left, row.right): row for row in self._about(keys) if row.subject in subjects}
        at = now()
        events = []
        for about, row in there.items():
            one = wanted.pop(about, None)
            if one is None and row.state == "open" and (not row.right or row.right in keys):
                row.state = "moot"
            elif one is not None and row.state == "moot":
                row.state = "open"
            else:
                continue
            row.updated_at = at
            self._session.add(row)
            events.append(Event(f"question.{row.state}", f"question:{row.id}"))
        for (subject, left, right), one in wanted.items():
            row = RegistryQuestion(
                subject=subject,
                left=left,
                right=right,
                rule=one.rule,
                state="open",
                score=one.score,
                sealed_detail=self._vault.seal(msgspec.json.encode(one.steps), DETAIL_PLACE),
                created_at=at,
                updated_at=at,
            )
            self._session.add(row)
            self._session.flush()
            events.append(Event("question.open", f"question:{row.id}", {"subject": subject, "rule": one.rule}))
        return events

    def steps(self, row: RegistryQuestion) -> list[Step]:
        """Why a question is asked."""
        return msgspec.json.decode(self._vault.open(row.sealed_detail, DETAIL_PLACE), type=list[Step])

    def answered(self, pairs: Iterable[tuple[str, str]]) -> None:
        """A person decided about these."""
        self._mark(pairs, "open", "answered")

    def reopen(self, pairs: Iterable[tuple[str, str]]) -> None:
        """The answer was taken back; whether it is asked again shows when everything is worked out anew."""
        self._mark(pairs, "answered", "moot")

    def dismiss(self, id: int) -> RegistryQuestion:
        """A person looked and there is nothing to do. Raises `NotFound` or `IllegalTransition`."""
        row = self._session.get(RegistryQuestion, id)
        if row is None:
            raise NotFound("没有这个问题", english=f"no question {id}")
        if row.state != "open":
            raise IllegalTransition("这个问题已经有结论", english=f"question is {row.state}")
        row.state, row.updated_at = "answered", now()
        self._session.add(row)
        return row

    def _mark(self, pairs: Iterable[tuple[str, str]], before: str, after: str) -> None:
        both = {tuple(sorted(pair)) for pair in pairs}
        for row in self._about({key for pair in both for key in pair}):
            if row.state == before and tuple(sorted((row.left, row.right))) in both:
                row.state, row.updated_at = after, now()
                self._session.add(row)

    def _about(self, keys: Iterable[str]) -> list[RegistryQuestion]:
        """All questions that name one of these on either side."""
        found: dict[int | None, RegistryQuestion] = {}
        for piece in pieces(set(keys)):
            statement = select(RegistryQuestion).where(
                col(RegistryQuestion.left).in_(piece) | col(RegistryQuestion.right).in_(piece)
            )
            found |= {row.id: row for row in self._session.exec(statement)}
        return list(found.values())
