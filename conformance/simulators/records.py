"""What the simulated platform keeps: a record as it was submitted, its status, and why something was refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Operation = Literal["submit", "amend", "withdraw"]
Status = Literal["received", "accepted", "rejected", "returned", "withdrawn"]

STATUS_NAMES: Mapping[Status, str] = {
    "received": "已接收",
    "accepted": "通过",
    "rejected": "不通过",
    "returned": "退回",
    "withdrawn": "已撤回",
}
"""The platform's words, on its page and in result files."""

OPERATION_NAMES: Mapping[Operation, str] = {"submit": "上报", "amend": "更正", "withdraw": "撤回"}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something did not pass: the column at fault (or empty) and the platform's words."""

    field: str
    reason: str


class Refused(Exception):
    """The platform does not take what was sent. ``status`` is the HTTP status, ``reasons`` what is wrong with it (Chinese)."""

    def __init__(self, status: int, *reasons: Reason) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class Submission:
    """What a hospital sends about one stay. Two submissions are the same when all three members are."""

    operation: Operation
    replaces: str
    fields: Mapping[str, str]

    @property
    def identity(self) -> tuple[str, str, str]:
        """Organisation code, 病案号 and 住院次数: a stay is reported once."""
        return self.fields.get("A01", ""), self.fields.get("A48", ""), self.fields.get("A49", "")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a review."""

    status: Status
    reasons: tuple[Reason, ...] = ()


RECEIVED = Verdict("received")
WITHDRAWN = Verdict("withdrawn")


@dataclass(slots=True, eq=False)
class Record:
    """One accepted submission. ``outcome`` is what its review will say, ``verdict`` what has been said so far."""

    record_id: str
    key: str
    submission: Submission
    report: Report
    outcome: Verdict
    received_at: datetime
    verdict: Verdict = RECEIVED
    decided_at: datetime | None = None


@dataclass(slots=True, eq=False)
class Report:
    """All records about one stay, oldest first."""

    versions: list[Record] = field(default_factory=list)

    @property
    def taken_back(self) -> bool:
        """Whether the hospital has withdrawn it, decided or not."""
        return bool(self.versions) and self.versions[-1].submission.operation == "withdraw"

    @property
    def open(self) -> bool:
        """Whether the stay may be submitted (again): nothing stands, or what stands was returned or withdrawn."""
        return not self.versions or self.taken_back or self.versions[-1].verdict.status in ("returned", "withdrawn")
