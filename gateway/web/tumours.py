"""Tumours over HTTP: the card of each with where every field comes from, why it is one tumour, and what a person can decide about it.

A card identifies a person, so looking at one is written to the audit log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlmodel import Session, col, select

from gateway import deciding
from gateway.audit.log import Event, record
from gateway.cases.primaries import acts
from gateway.cases.primaries.case import Step
from gateway.cases.primaries.known import KnownSightings
from gateway.model.errors import NotFound, UnusableInput
from gateway.registering import made_cards
from gateway.reporting.confirming import asked, open_questions
from gateway.store.tables import RegistryDecision, Submission, SubmissionVersion, TumourEvidence, TumourRow, TumourVersion
from gateway.web.registry import DecisionView, StepView, view_of_decision
from gateway.web.requests import LARGEST, Actor, Body, InGateway, Number
from gateway.web.submissions import FindingView, VersionView, view

router = APIRouter(prefix="/api/tumours", tags=["tumours 肿瘤"])

_TOGETHER = 200
"""Cards that are opened at once."""

State = Literal["standing", "merged", "gone"]


class TumourView(BaseModel):
    """One primary tumour, without what identifies the person. ``version`` is that of its card, ``window`` the month in which the card was
    first made."""

    id: int
    person: int
    state: str
    merged_into: int | None
    version: int
    window: str
    icd10: str
    topography: str
    morphology: str
    behaviour: str
    incidence_date: str
    updated_at: datetime


class OriginView(BaseModel):
    """Where a field of the card comes from: the source and the place in it, and the rule by which it was taken."""

    source: str
    rule: str


class EvidenceView(BaseModel):
    """What one source says of the tumour; ``basis`` are digits of the old report card, ``path`` is the place in a stay."""

    key: str
    sighting: str
    kind: str
    diagnosis: str
    icd10: str
    topography: str
    morphology: str
    behaviour: str
    laterality: str
    basis: list[str]
    diagnosed_on: str
    diagnosed_from: str
    path: str


class CardVersionView(BaseModel):
    """One version of the card, and who or what made it."""

    number: int
    made_by: str
    created_at: datetime


class CardFindingView(FindingView):
    """A finding of the card; one that asks is ``confirmed`` when a person has looked at it with the values as they are now."""

    confirmed: bool


class TumourDetail(TumourView):
    """A tumour with its card and all that led to it."""

    card: dict[str, str]
    origins: dict[str, OriginView]
    steps: list[StepView]
    findings: list[CardFindingView]
    evidence: list[EvidenceView]
    stays: list[int]
    submissions: list[VersionView]
    versions: list[CardVersionView]
    decisions: list[DecisionView]


class EditBody(Body):
    """Fields of the card as a person wants them (an empty text clears one), with the reason."""

    fields: dict[str, str]
    reason: str


class MergeBody(Body):
    """The tumours that this one is the same as, with the reason."""

    tumours: list[int]
    reason: str


class SplitBody(Body):
    """The evidence of this tumour that is another one, with the reason."""

    evidence: list[str]
    reason: str


class Decided(BaseModel):
    """The number under which a decision can be revoked, and the tumour that now has the evidence."""

    decision: int
    tumour: int


@router.get("", summary="肿瘤列表 / primary tumours")
def listing(
    gateway: InGateway,
    actor: Actor,  # noqa: ARG001 - signed in
    person: Annotated[int | None, Query(ge=1, le=LARGEST)] = None,
    state: State | None = None,
    icd10: Annotated[str, Query(max_length=6)] = "",
    after: Annotated[int, Query(ge=0, le=LARGEST)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[TumourView]:
    statement = select(TumourRow).where(col(TumourRow.id) > after).order_by(col(TumourRow.id))
    if person is not None:
        statement = statement.where(TumourRow.person_id == person)
    if state is not None:
        statement = statement.where(TumourRow.state == state)
    with gateway.ledger.read() as session:
        rows = session.exec(statement.execution_options(yield_per=_TOGETHER)).partitions(_TOGETHER)
        found: list[TumourView] = []
        for some in rows:
            cards = made_cards(session, gateway.vault, (row.id or 0 for row in some))
            for row in some:
                card = cards[row.id or 0][1].card.record() if row.id in cards else {}
                if card.get("icd10", "").startswith(icd10.upper()):
                    found.append(_view(row, card))
                if len(found) == limit:
                    return found
        return found


@router.get("/{id}", summary="一个肿瘤：报告卡、来源、判定步骤、依据、上报 / one tumour with its card")
def detail(id: Number, gateway: InGateway, actor: Actor) -> TumourDetail:
    with gateway.ledger.read() as session:
        row = session.get(TumourRow, id)
        cards = made_cards(session, gateway.vault, [id])
        if row is None or id not in cards:
            raise NotFound("没有这个肿瘤", english=f"no tumour {id}")
        made = cards[id][1]
        belonging = list(session.exec(select(TumourEvidence.key, TumourEvidence.sighting).where(TumourEvidence.tumour_id == id)))
        known = KnownSightings(session, gateway.vault).find({sighting for _, sighting in belonging})
        keys = {key for key, _ in belonging}
        evidence = [one for found in known.values() for one in found.seen.evidence if one.key in keys]
        edits = acts.edits(session, gateway.vault, [id]).get(id, [])
        still_open = open_questions(asked(made.findings, made.card, {}), edits)
        shown = TumourDetail(
            **_view(row, made.card.record()).model_dump(),
            card=made.card.record(),
            origins={name: OriginView(source=origin.source, rule=origin.rule) for name, origin in made.origins.items()},
            steps=[_step(step) for step in made.steps],
            findings=[
                CardFindingView(
                    rule=f.rule,
                    fields=list(f.fields),
                    severity=f.severity,
                    message=f.message,
                    confirmed=f.asks and f.rule not in still_open,
                )
                for f in made.findings
            ],
            evidence=[
                EvidenceView(
                    **{name: getattr(one, name) for name in EvidenceView.model_fields if name != "basis"}, basis=[*one.basis]
                )
                for one in sorted(evidence, key=lambda one: (one.diagnosed_on, one.key))
            ],
            stays=sorted(int(key.removeprefix("stay:")) for key in known if key.startswith("stay:")),
            submissions=[view(version, owner) for version, owner in _submissions(session, id)],
            versions=[
                CardVersionView(number=version.number, made_by=version.made_by, created_at=version.created_at)
                for version in session.exec(
                    select(TumourVersion).where(TumourVersion.tumour_id == id).order_by(col(TumourVersion.number).desc())
                )
            ],
            decisions=[view_of_decision(one) for one in _decisions(session, keys, known)],
        )
    with gateway.ledger.write() as session:
        record(session, Event("tumour.shown", f"tumour:{id}", actor=actor))
    return shown


@router.post("/{id}/card", status_code=204, summary="填写或更正报告卡的项 / write on the card")
def edit(id: Number, body: EditBody, gateway: InGateway, actor: Actor) -> None:
    deciding.edit(gateway.registrar, id, body.fields, reason=body.reason, actor=actor)


@router.post("/{id}/merge", summary="重卡合并 / these are one tumour")
def merge(id: Number, body: MergeBody, gateway: InGateway, actor: Actor) -> Decided:
    if not all(1 <= one <= LARGEST for one in body.tumours):
        raise UnusableInput("请填写肿瘤的编号", english="not numbers of tumours")
    decision = deciding.merge(gateway.registrar, [id, *body.tumours], reason=body.reason, actor=actor)
    with gateway.ledger.read() as session:
        row = session.get_one(TumourRow, id)
        return Decided(decision=decision, tumour=row.merged_into or id)


@router.post("/{id}/split", summary="拆分：其中一部分依据是另一个肿瘤 / some of its evidence is another tumour")
def split(id: Number, body: SplitBody, gateway: InGateway, actor: Actor) -> Decided:
    decision = deciding.split(gateway.registrar, id, body.evidence, reason=body.reason, actor=actor)
    with gateway.ledger.read() as session:
        moved = session.get(TumourEvidence, sorted(body.evidence)[0])
        return Decided(decision=decision, tumour=(moved.tumour_id if moved is not None else None) or id)


def _view(row: TumourRow, card: Mapping[str, str]) -> TumourView:
    return TumourView(
        id=row.id or 0,
        person=row.person_id,
        state=row.state,
        merged_into=row.merged_into,
        version=row.current,
        window=row.window,
        icd10=card.get("icd10", ""),
        topography=card.get("topography", ""),
        morphology=card.get("morphology", ""),
        behaviour=card.get("behaviour", ""),
        incidence_date=card.get("incidence_date", ""),
        updated_at=row.updated_at,
    )


def _step(step: Step) -> StepView:
    return StepView(rule=step.rule, said=step.said, english=step.english)


def _submissions(session: Session, tumour: int) -> Iterator[tuple[SubmissionVersion, Submission]]:
    statement = (
        select(SubmissionVersion, Submission)
        .join(Submission, col(Submission.id) == col(SubmissionVersion.submission_id))
        .where(Submission.tumour_id == tumour, SubmissionVersion.number == Submission.current)
        .order_by(col(SubmissionVersion.id))
    )
    yield from session.exec(statement)


def _decisions(session: Session, evidence: set[str], sightings: Mapping[str, object]) -> list[RegistryDecision]:
    return [*acts.standing(session, "person", sightings), *acts.standing(session, "tumour", evidence)]
