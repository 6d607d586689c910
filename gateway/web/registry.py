"""Questions of the cancer registry that only a person can answer, and what persons decided, over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlmodel import col, select

from gateway import deciding
from gateway.cases.primaries.questions import Questions
from gateway.model.errors import NotFound, UnusableInput
from gateway.store.tables import RegistryDecision, RegistryQuestion
from gateway.web.requests import LARGEST, Actor, Body, InGateway, Number
from gateway.web.submissions import ReasonBody

router = APIRouter(prefix="/api/registry", tags=["registry 肿瘤登记"])


class StepView(BaseModel):
    """One step of a decision: the rule and what it said, in Chinese and English."""

    rule: str
    said: str
    english: str


class QuestionView(BaseModel):
    """Something that only a person can tell. ``subject``: ``person`` (do these two sightings show one?), ``tumour`` (is this evidence of one
    tumour? where is the primary?), ``history`` (is there a tumour that nobody reported?). ``right`` is empty where there is one side only."""

    id: int
    subject: str
    left: str
    right: str
    rule: str
    score: int
    state: str
    steps: list[StepView]
    updated_at: datetime


class AnswerBody(Body):
    """An answer: the two sides are the ``same``, stay ``apart``, or there is ``nothing`` to do."""

    answer: Literal["same", "apart", "nothing"]
    reason: str


class DecisionBody(Body):
    """Two sightings (``person``) or two pieces of evidence (``tumour``) are the same or apart."""

    subject: Literal["person", "tumour"]
    verdict: Literal["same", "apart"]
    left: str
    right: str
    reason: str


class DecisionView(BaseModel):
    """What a person decided; in force until it is revoked."""

    id: int
    subject: str
    verdict: str
    left: str
    right: str
    reason: str
    actor: str
    at: datetime
    revoked_at: datetime | None
    revoked_by: str
    revoked_because: str


class DecisionMade(BaseModel):
    """The number under which a decision can be revoked."""

    decision: int


@router.get("/questions", summary="需要人判断的问题 / what a person must tell")
def questions(
    gateway: InGateway,
    actor: Actor,  # noqa: ARG001 - signed in
    subject: Literal["person", "tumour", "history"] | None = None,
    state: Literal["open", "answered", "moot"] = "open",
    after: Annotated[int, Query(ge=0, le=LARGEST)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[QuestionView]:
    statement = select(RegistryQuestion).where(RegistryQuestion.state == state, col(RegistryQuestion.id) > after)
    if subject is not None:
        statement = statement.where(RegistryQuestion.subject == subject)
    with gateway.ledger.read() as session:
        known = Questions(session, gateway.vault)
        return [
            QuestionView(
                **row.model_dump(include=set(QuestionView.model_fields) - {"steps"}),
                steps=[StepView(rule=step.rule, said=step.said, english=step.english) for step in known.steps(row)],
            )
            for row in session.exec(statement.order_by(col(RegistryQuestion.id)).limit(limit))
        ]


@router.post("/questions/{id}/answer", status_code=204, summary="回答一个问题 / answer a question")
def answer(id: Number, body: AnswerBody, gateway: InGateway, actor: Actor) -> None:
    if body.answer == "nothing":
        deciding.dismiss(gateway.registrar, id, reason=body.reason, actor=actor)
        return
    with gateway.ledger.read() as session:
        row = session.get(RegistryQuestion, id)
    if row is None:
        raise NotFound("没有这个问题", english=f"no question {id}")
    if not row.right or row.subject == "history":
        raise UnusableInput(
            "这个问题没有两个可比较的对象",
            action="请用“决定”把它归入某个肿瘤，或回答“无需处理”",
            english="the question has one side only",
        )
    subject: deciding.Subject = "person" if row.subject == "person" else "tumour"
    deciding.decide(gateway.registrar, subject, body.answer, row.left, row.right, reason=body.reason, actor=actor)


@router.get("/decisions", summary="人的决定 / what persons decided")
def decisions(
    gateway: InGateway,
    actor: Actor,  # noqa: ARG001 - signed in
    after: Annotated[int, Query(ge=0, le=LARGEST)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[DecisionView]:
    statement = select(RegistryDecision).where(col(RegistryDecision.id) > after).order_by(col(RegistryDecision.id)).limit(limit)
    with gateway.ledger.read() as session:
        return [view_of_decision(row) for row in session.exec(statement)]


@router.post("/decisions", summary="作出决定：同一或不同 / decide")
def decide(body: DecisionBody, gateway: InGateway, actor: Actor) -> DecisionMade:
    return DecisionMade(
        decision=deciding.decide(
            gateway.registrar, body.subject, body.verdict, body.left, body.right, reason=body.reason, actor=actor
        )
    )


@router.post("/decisions/{id}/revoke", status_code=204, summary="撤销决定 / revoke a decision with its whole act")
def revoke(id: Number, body: ReasonBody, gateway: InGateway, actor: Actor) -> None:
    deciding.revoke(gateway.registrar, id, reason=body.reason, actor=actor)


def view_of_decision(row: RegistryDecision) -> DecisionView:
    """A decision as it is shown."""
    return DecisionView(**row.model_dump(include=set(DecisionView.model_fields)))
