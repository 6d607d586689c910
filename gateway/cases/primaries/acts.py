"""What persons decided about sightings and evidence, and what they wrote on cards, in the ledger.

Nothing is deleted: a decision holds until it is revoked. One act of a person may be several decisions (to split a tumour is to keep each piece
of evidence apart from each other one); they share their time, and are revoked together. An act takes back what was decided otherwise about
the same pairs; whoever revokes it puts that in force again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from sqlmodel import Session, col, or_, select

from gateway.cases.primaries.case import Edit
from gateway.cases.primaries.decisions import Decision
from gateway.intake.resources import pieces
from gateway.model.errors import IllegalTransition, NotFound
from gateway.store.ledger import now
from gateway.store.tables import CardEdit, RegistryDecision
from gateway.store.vault import Vault

EDIT_PLACE = "card_edit.body"


def standing(session: Session, subject: str, keys: Iterable[str]) -> list[RegistryDecision]:
    """The decisions in force that name one of ``keys``, oldest first."""
    found: dict[int, RegistryDecision] = {}
    for piece in pieces(set(keys)):
        statement = select(RegistryDecision).where(
            RegistryDecision.subject == subject,
            col(RegistryDecision.revoked_at).is_(None),
            or_(col(RegistryDecision.left).in_(piece), col(RegistryDecision.right).in_(piece)),
        )
        found |= {row.id or 0: row for row in session.exec(statement)}
    return [row for _, row in sorted(found.items())]


def decisions(session: Session, subject: str, keys: Iterable[str]) -> list[Decision]:
    """The decisions in force about ``keys``, as `persons.link` and `grouping.group` take them."""
    rows = standing(session, subject, keys)
    return [Decision("same" if row.verdict == "same" else "apart", row.left, row.right) for row in rows]


def named_with(session: Session, subject: str, keys: Iterable[str]) -> set[str]:
    """What decisions in force name together with one of ``keys``."""
    return {key for row in standing(session, subject, keys) for key in (row.left, row.right)}


def decide(
    session: Session, subject: str, verdict: str, pairs: Sequence[tuple[str, str]], *, reason: str, actor: str, at: datetime
) -> list[RegistryDecision]:
    """A part of the act of ``actor`` at ``at``: all ``pairs`` are the ``same`` or ``apart``, whatever was decided about them before."""
    made = [
        RegistryDecision(subject=subject, verdict=verdict, left=left, right=right, reason=reason, actor=actor, at=at)
        for left, right in pairs
    ]
    wanted = {frozenset(pair) for pair in pairs}
    before = standing(session, subject, {key for pair in pairs for key in pair})
    session.add_all(made)
    session.flush()
    withdraw(session, [row for row in before if frozenset((row.left, row.right)) in wanted and row not in made], made, actor)
    return made


def withdraw(session: Session, rows: Iterable[RegistryDecision], by: Sequence[RegistryDecision], actor: str) -> None:
    """A later act takes the place of decisions."""
    for row in rows:
        row.revoked_at, row.revoked_by, row.revoked_because = by[0].at, actor, _because(by[0])
        session.add(row)
    session.flush()


def revoke(session: Session, id: int, *, reason: str, actor: str) -> list[RegistryDecision]:
    """Take back the act that a decision belongs to, and put in force again what it had taken back; all decisions that this concerns. Raises
    `NotFound`, or `IllegalTransition` for one that is not in force."""
    row = session.get(RegistryDecision, id)
    if row is None:
        raise NotFound("没有这个决定", english=f"no decision {id}")
    if row.revoked_at is not None:
        raise IllegalTransition("这个决定已经撤销", english="the decision was revoked before")
    same_act = select(RegistryDecision).where(
        RegistryDecision.at == row.at, RegistryDecision.actor == row.actor, col(RegistryDecision.revoked_at).is_(None)
    )
    act = list(session.exec(same_act))
    at: datetime = now()
    for one in act:
        one.revoked_at, one.revoked_by, one.revoked_because = at, actor, reason
    displaced = select(RegistryDecision).where(
        RegistryDecision.revoked_at == row.at, col(RegistryDecision.revoked_because).in_([_because(one) for one in act])
    )
    replaced = list(session.exec(displaced))
    for one in replaced:
        one.revoked_at, one.revoked_by, one.revoked_because = None, "", ""
    session.add_all((*act, *replaced))
    session.flush()
    return [*act, *replaced]


def _because(row: RegistryDecision) -> str:
    return f"decision:{row.id}"


def edit(session: Session, vault: Vault, tumour: int, act: Edit) -> CardEdit:
    """Keep what a person wrote on a card, or confirmed of it."""
    row = CardEdit(
        tumour_id=tumour,
        at=datetime.fromisoformat(act.at),
        actor=act.by,
        sealed_body=vault.seal(msgspec.json.encode(act), EDIT_PLACE),
    )
    session.add(row)
    session.flush()
    return row


def edits(session: Session, vault: Vault, tumours: Iterable[int]) -> dict[int, list[Edit]]:
    """What persons wrote on cards, by tumour, oldest first."""
    found: dict[int, list[Edit]] = {}
    for piece in pieces(set(tumours)):
        for row in session.exec(select(CardEdit).where(col(CardEdit.tumour_id).in_(piece)).order_by(col(CardEdit.id))):
            found.setdefault(row.tumour_id, []).append(msgspec.json.decode(vault.open(row.sealed_body, EDIT_PLACE), type=Edit))
    return found
