"""What persons decide about the cancer registry: who is whom, which evidence is one tumour, what stands on a card.

Every act is kept with name and reason, holds until it is revoked, and is worked out at once: persons, tumours, cards and submissions are right
again when the transaction ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import product
from typing import Literal

from sqlmodel import Session, col, select

from gateway.audit.log import Event, record
from gateway.cases.primaries import acts
from gateway.cases.primaries.case import Edit
from gateway.cases.primaries.questions import Questions
from gateway.model.card import FIELDS
from gateway.model.errors import IllegalTransition, NotFound, UnusableInput
from gateway.registering import Registrar, cards_of
from gateway.reporting import submissions
from gateway.reporting.confirming import asked
from gateway.store.ledger import now
from gateway.store.tables import RegistryDecision, SightingRow, SubmissionVersion, TumourEvidence, TumourRow

Subject = Literal["person", "tumour"]
Verdict = Literal["same", "apart"]

GIVEN = frozenset({"report_card_no", "local_record_key", "registry_case_no"})
"""Fields of a card that a platform or its channel gives; nobody writes them."""


def decide(registrar: Registrar, subject: Subject, verdict: Verdict, left: str, right: str, *, reason: str, actor: str) -> int:
    """Two sightings (``person``) or two pieces of evidence (``tumour``) are the same or apart; the number of the decision. Raises
    `NotFound` for what is not known, `UnusableInput` without a reason or for one key twice."""
    _demand_reason(reason)
    if left == right:
        raise UnusableInput("请选择两项不同的内容", english="one key twice")
    with registrar.ledger.write() as session:
        persons = _persons(session, subject, (left, right))
        made = acts.decide(session, subject, verdict, [(left, right)], reason=reason, actor=actor, at=now())
        _work_out(session, registrar, persons, actor, made, "decided")
        return made[0].id or 0


def revoke(registrar: Registrar, id: int, *, reason: str, actor: str) -> None:
    """Take back an act. Raises `NotFound`, `IllegalTransition` or `UnusableInput`."""
    _demand_reason(reason)
    with registrar.ledger.write() as session:
        rows = acts.revoke(session, id, reason=reason, actor=actor)
        taken_back = [row for row in rows if row.revoked_at is not None]
        Questions(session, registrar.ledger.vault).reopen((row.left, row.right) for row in taken_back)
        persons = {person for row in rows for person in _persons(session, row.subject, (row.left, row.right), known_only=True)}
        _work_out(session, registrar, persons, actor, taken_back, "revoked")


def merge(registrar: Registrar, tumours: Sequence[int], *, reason: str, actor: str) -> int:
    """Tumours are one (重卡合并), and so are the persons they were found in; the number of the decision. Raises `NotFound`,
    `UnusableInput` or `IllegalTransition`."""
    _demand_reason(reason)
    wanted = sorted(set(tumours))
    if len(wanted) < 2:
        raise UnusableInput("请选择至少两个肿瘤", english="fewer than two tumours")
    with registrar.ledger.write() as session:
        rows = [_standing(session, id) for id in wanted]
        first, at = rows[0], now()
        made: list[RegistryDecision] = []
        strangers = [row for row in rows[1:] if row.person_id != first.person_id]
        if strangers:
            pairs = [(_sighting(first.founding), _sighting(row.founding)) for row in strangers]
            made += acts.decide(session, "person", "same", pairs, reason=reason, actor=actor, at=at)
            shown = {row.person_id: _sightings(session, row.person_id) for row in rows}
            _withdraw_between(session, "person", "apart", list(shown.values()), made, actor)
        pairs = [(first.founding, row.founding) for row in rows[1:]]
        joined = acts.decide(session, "tumour", "same", pairs, reason=reason, actor=actor, at=at)
        _withdraw_between(session, "tumour", "apart", [_evidence(session, row) for row in rows], joined, actor)
        _work_out(session, registrar, {row.person_id for row in rows}, actor, [*made, *joined], "decided")
        return joined[0].id or 0


def split(registrar: Registrar, tumour: int, evidence: Sequence[str], *, reason: str, actor: str) -> int:
    """Some evidence of a tumour is another tumour; the number of the decision. Raises `NotFound`, `UnusableInput` or
    `IllegalTransition`."""
    _demand_reason(reason)
    with registrar.ledger.write() as session:
        row = _standing(session, tumour)
        had, moved = _evidence(session, row), sorted(set(evidence))
        kept = sorted(had - set(moved))
        if not moved or not kept or not had.issuperset(moved):
            raise UnusableInput("请选择该肿瘤的一部分依据，不能为空，也不能是全部", english="not a part of its evidence")
        at = now()
        made = acts.decide(session, "tumour", "apart", [*product(kept, moved)], reason=reason, actor=actor, at=at)
        _withdraw_between(session, "tumour", "same", [set(kept), set(moved)], made, actor)
        together = [(side[0], other) for side in (kept, moved) for other in side[1:]]
        made += acts.decide(session, "tumour", "same", together, reason=reason, actor=actor, at=at) if together else []
        _work_out(session, registrar, {row.person_id}, actor, made, "decided")
        return made[0].id or 0


def edit(registrar: Registrar, tumour: int, fields: Mapping[str, str], *, reason: str, actor: str) -> None:
    """Write on a tumour's card; an empty text clears a field. Raises `NotFound`, `UnusableInput` or `IllegalTransition`."""
    _demand_reason(reason)
    if not fields or (wrong := sorted(fields.keys() - set(FIELDS) | fields.keys() & GIVEN)):
        raise UnusableInput(
            f"报告卡没有这些可填写的项：{'、'.join(wrong)}" if fields else "请填写要修改的项",
            action="请使用报告卡字段名",
            english="not fields of the card that a person writes",
        )
    with registrar.ledger.write() as session:
        row = _standing(session, tumour)
        act = Edit(by=actor, at=_text(now()), reason=reason, fields={name: text.strip() for name, text in fields.items()})
        _write(session, registrar, row, act)


def confirm(session: Session, registrar: Registrar, version: SubmissionVersion, *, actor: str) -> None:
    """Whoever approves a version of a tumour's submission has looked at what its findings ask."""
    if version.tumour_version_id is None:
        return
    card = cards_of(session, registrar.ledger.vault, [version.tumour_version_id])[version.tumour_version_id]
    answers = asked(submissions.findings_of(version), card, submissions.record_of(registrar.ledger.vault, version))
    if not answers:
        return
    owner = submissions.unit_of(session, version)
    act = Edit(by=actor, at=_text(now()), reason="审核通过", confirmed=answers)
    _write(session, registrar, session.get_one(TumourRow, owner.id), act)


def dismiss(registrar: Registrar, question: int, *, reason: str, actor: str) -> None:
    """A person looked into a question and there is nothing to do. Raises `NotFound`, `IllegalTransition` or `UnusableInput`."""
    _demand_reason(reason)
    with registrar.ledger.write() as session:
        Questions(session, registrar.ledger.vault).dismiss(question)
        record(session, Event("question.dismissed", f"question:{question}", {"reason": reason.strip()}, actor))


# -- inside


def _write(session: Session, registrar: Registrar, row: TumourRow, act: Edit) -> None:
    kept = acts.edit(session, registrar.ledger.vault, row.id or 0, act)
    registration = registrar.registration(session, actor=act.by)
    registration.settle({}, {}, persons={row.person_id})
    detail = {"edit": kept.id, "fields": sorted(act.fields), "confirmed": sorted(act.confirmed)}
    record(session, Event("card.edited", f"tumour:{row.id}", detail, act.by), *registration.events)


def _work_out(
    session: Session, registrar: Registrar, persons: Iterable[int], actor: str, rows: Sequence[RegistryDecision], word: str
) -> None:
    if word == "decided":
        Questions(session, registrar.ledger.vault).answered((row.left, row.right) for row in rows)
    registration = registrar.registration(session, actor=actor)
    registration.settle({}, {}, persons=set(persons))
    events = [
        Event(
            f"decision.{word}",
            f"decision:{row.id}",
            {"subject": row.subject, "verdict": row.verdict, "left": row.left, "right": row.right},
            actor,
        )
        for row in rows
    ]
    record(session, *events, *registration.events)


def _withdraw_between(
    session: Session, subject: Subject, verdict: Verdict, groups: Sequence[set[str]], by: Sequence[RegistryDecision], actor: str
) -> None:
    """What was decided otherwise between the members of different groups is displaced."""
    group_of = {key: number for number, keys in enumerate(groups) for key in keys}
    crossing = [
        row
        for row in acts.standing(session, subject, group_of)
        if row.verdict == verdict and group_of.get(row.left, -1) != group_of.get(row.right, -1)
        if row.left in group_of and row.right in group_of
    ]
    acts.withdraw(session, crossing, by, actor)


def _persons(session: Session, subject: str, keys: Sequence[str], *, known_only: bool = False) -> set[int]:
    """Whom sightings show, or evidence is of. Raises `NotFound` for what is not known."""
    sightings = {key: key if subject == "person" else _sighting(key) for key in keys}
    rows = session.exec(select(SightingRow.key, SightingRow.person_id).where(col(SightingRow.key).in_(sightings.values())))
    shown = dict(rows.all())
    known = set(shown) if subject == "person" else set(_known_evidence(session, keys))
    if not known_only and not known.issuperset(keys):
        raise NotFound("没有这样的就诊、报告卡或依据", english="no such sighting or evidence")
    return set(shown.values())


def _known_evidence(session: Session, keys: Sequence[str]) -> Sequence[str]:
    return session.exec(select(TumourEvidence.key).where(col(TumourEvidence.key).in_(keys))).all()


def _sighting(evidence: str) -> str:
    return evidence.partition("/")[0]


def _sightings(session: Session, person: int) -> set[str]:
    return set(session.exec(select(SightingRow.key).where(SightingRow.person_id == person)))


def _evidence(session: Session, row: TumourRow) -> set[str]:
    return set(session.exec(select(TumourEvidence.key).where(TumourEvidence.tumour_id == row.id)))


def _standing(session: Session, id: int) -> TumourRow:
    row = session.get(TumourRow, id)
    if row is None:
        raise NotFound("没有这个肿瘤", english=f"no tumour {id}")
    if row.state != "standing":
        raise IllegalTransition("该肿瘤已经合并或撤回", english=f"tumour is {row.state}")
    return row


def _demand_reason(reason: str) -> None:
    if not reason.strip():
        raise UnusableInput("请填写原因", english="no reason given")


def _text(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")
