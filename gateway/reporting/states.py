"""The two axes of a submission version's state, and the only table of legal transitions.

*Our side* says how far we are with it; *platform side* says what the platform made of it. They are independent: a version that
is ``uncertain`` on our side may already be ``accepted`` on the platform's. `docs/states.md` tells the same in prose.
"""

from __future__ import annotations

from enum import StrEnum

from gateway.model.errors import IllegalTransition


class Ours(StrEnum):
    """Our side."""

    DRAFTED = "drafted"
    BLOCKED = "blocked"
    AWAITING_REVIEW = "awaiting_review"
    READY = "ready"
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    UNCERTAIN = "uncertain"
    FAILED = "failed"
    SUPERSEDED = "superseded"


class Theirs(StrEnum):
    """Platform side."""

    UNKNOWN = "unknown"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    RETURNED = "returned"
    WITHDRAWN = "withdrawn"


OURS: dict[Ours, frozenset[Ours]] = {
    Ours.DRAFTED: frozenset({Ours.BLOCKED, Ours.AWAITING_REVIEW, Ours.READY}),
    Ours.BLOCKED: frozenset({Ours.SUPERSEDED}),
    Ours.AWAITING_REVIEW: frozenset({Ours.READY, Ours.SUPERSEDED}),
    Ours.READY: frozenset({Ours.QUEUED, Ours.SUPERSEDED}),
    Ours.QUEUED: frozenset({Ours.SENDING, Ours.SENT, Ours.SUPERSEDED}),
    Ours.SENDING: frozenset({Ours.SENT, Ours.UNCERTAIN, Ours.QUEUED, Ours.FAILED}),
    Ours.UNCERTAIN: frozenset({Ours.SENT, Ours.QUEUED, Ours.FAILED}),
    Ours.FAILED: frozenset({Ours.QUEUED, Ours.SUPERSEDED}),
    Ours.SENT: frozenset(),
    Ours.SUPERSEDED: frozenset(),
}

THEIRS: dict[Theirs, frozenset[Theirs]] = {
    Theirs.UNKNOWN: frozenset(Theirs) - {Theirs.UNKNOWN},
    Theirs.RECEIVED: frozenset({Theirs.ACCEPTED, Theirs.REJECTED, Theirs.RETURNED, Theirs.WITHDRAWN}),
    Theirs.ACCEPTED: frozenset({Theirs.RETURNED, Theirs.WITHDRAWN}),
    Theirs.RETURNED: frozenset({Theirs.WITHDRAWN}),
    Theirs.REJECTED: frozenset({Theirs.WITHDRAWN}),
    Theirs.WITHDRAWN: frozenset(),
}

NAMES = {
    Ours.DRAFTED: "已生成",
    Ours.BLOCKED: "校验未通过",
    Ours.AWAITING_REVIEW: "待审核",
    Ours.READY: "待发送",
    Ours.QUEUED: "排队中",
    Ours.SENDING: "发送中",
    Ours.SENT: "已发送",
    Ours.UNCERTAIN: "结果不明",
    Ours.FAILED: "发送失败",
    Ours.SUPERSEDED: "已被新版本取代",
    Theirs.UNKNOWN: "未知",
    Theirs.RECEIVED: "平台已接收",
    Theirs.ACCEPTED: "已通过",
    Theirs.REJECTED: "不通过",
    Theirs.RETURNED: "退回",
    Theirs.WITHDRAWN: "已撤回",
}


def step_ours(current: str, wanted: Ours) -> Ours:
    """``wanted`` when our side may go there from ``current``. Raises `IllegalTransition` otherwise."""
    if wanted not in OURS[Ours(current)]:
        raise IllegalTransition(
            f"状态不能从“{NAMES[Ours(current)]}”变为“{NAMES[wanted]}”", english=f"our side: {current} -> {wanted}"
        )
    return wanted


def step_theirs(current: str, wanted: Theirs) -> Theirs:
    """``wanted`` when the platform side may go there from ``current``. Raises `IllegalTransition` otherwise."""
    if wanted not in THEIRS[Theirs(current)]:
        raise IllegalTransition(
            f"平台状态不能从“{NAMES[Theirs(current)]}”变为“{NAMES[wanted]}”",
            english=f"platform side: {current} -> {wanted}",
        )
    return wanted
