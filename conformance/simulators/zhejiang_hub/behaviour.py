"""Misbehaviour of the simulated hub on command."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from conformance.simulators.behaviour import Switches

Kind = Literal["upload", "query", "reconciliation"]


class _Setting(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Failing(_Setting):
    """The next ``calls`` requests of a ``kind`` (empty: of any) are answered with ``code``. ``carried_out``: they take effect all the same.
    ``final``: the code is what the query tells of them later (``respCode``), not the answer to themselves."""

    calls: int = Field(default=0, ge=0)
    code: str = "3001"
    message: str = "模拟故障"
    kind: Literal["", "upload", "query", "reconciliation"] = ""
    carried_out: bool = False
    final: bool = False


class Refusing(_Setting):
    """The next ``calls`` requests get this HTTP status and no SOAP answer; nothing of them takes effect."""

    calls: int = Field(default=0, ge=0)
    status: int = Field(default=503, ge=300, le=599)
    retry_after: int | None = Field(default=None, ge=0)


class Faulting(_Setting):
    """The next ``calls`` requests of a ``kind`` (empty: of any) get a SOAP fault. ``carried_out``: they take effect all the same."""

    calls: int = Field(default=0, ge=0)
    kind: Literal["", "upload", "query", "reconciliation"] = ""
    carried_out: bool = True


class Foreign(_Setting):
    """The next ``calls`` requests are carried out and get ``text`` for an answer: as the answer of the operation, or, ``whole``, as the whole
    body of the HTTP answer."""

    calls: int = Field(default=0, ge=0)
    text: str = ""
    whole: bool = False


class Behaviour(_Setting):
    """How the hub behaves. What counts ``calls`` (and ``drop_answers``) is over at 0; everything else stays until it is set again."""

    asynchronous: bool = True
    """uploads and reconciliations are answered with 0 and have to be asked about"""
    process_seconds: float = Field(default=0.05, ge=0)
    """from taking a request to telling its outcome"""
    delay_items_seconds: float = Field(default=0, ge=0)
    """from storing a card to listing it in the reconciliation"""
    repeat_items: bool = False
    """the reconciliation lists everything twice"""
    slow_seconds: float = Field(default=0, ge=0)
    """every request takes that much longer"""
    hours: str = Field(default="", pattern=r"^(\d\d:\d\d-\d\d:\d\d)?$")
    """when uploads are taken, as 20:00-06:00; empty: always"""
    largest_bytes: int = Field(default=4_000_000, ge=1)
    drop_answers: int = Field(default=0, ge=0)
    """the next uploads are carried out, then the connection is closed without an answer"""
    fail: Failing = Failing()
    refuse: Refusing = Refusing()
    fault: Faulting = Faulting()
    foreign: Foreign = Foreign()


class Conduct(Switches[Behaviour]):
    """The behaviour of the simulated hub."""

    def failing(self, kind: Kind) -> Failing | None:
        """How this request is to fail, if it is."""
        with self._lock:
            fail = self._behaviour.fail
            if fail.kind not in ("", kind):
                return None
            return fail if self._counted("fail", fail) else None

    def refusing(self) -> Refusing | None:
        """With which HTTP status this request is to be refused, if it is."""
        with self._lock:
            refuse = self._behaviour.refuse
            return refuse if self._counted("refuse", refuse) else None

    def faulting(self, kind: Kind | None) -> Faulting | None:
        """Whether this request gets a fault."""
        with self._lock:
            fault = self._behaviour.fault
            if fault.kind not in ("", kind):
                return None
            return fault if self._counted("fault", fault) else None

    def foreign(self) -> Foreign | None:
        """Which text this request gets instead of its answer, if it does."""
        with self._lock:
            foreign = self._behaviour.foreign
            return foreign if self._counted("foreign", foreign) else None

    def _counted(self, name: str, setting: Failing | Refusing | Faulting | Foreign) -> bool:
        if setting.calls:
            self._put(name, setting.model_copy(update={"calls": setting.calls - 1}))
        return setting.calls > 0
