"""Misbehaviour on command, so that a gateway can be shown how platforms really are: slow, busy, silent, repetitive."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from threading import Lock
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conformance.simulators.server import hang_up


class _Setting(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Failing(_Setting):
    """The next ``calls`` calls answer ``status``. ``path`` narrows it to addresses that begin so, counted after the base path
    (``/records``); ``retry_after`` seconds go into the answer's header."""

    calls: int = Field(default=0, ge=0)
    status: int = Field(default=503, ge=400, le=599)
    retry_after: int | None = Field(default=None, ge=0)
    path: str = ""


class Behaviour(_Setting):
    """How the platform behaves. What counts down (``fail.calls``, ``drop_answers``, ``repeat_receipts``, ``repeat_pages``) is over
    at 0; everything else stays until it is set again."""

    review_seconds: float = Field(default=0.5, ge=0)
    """from receiving a record to its verdict"""
    slow_seconds: float = Field(default=0, ge=0)
    """every call takes that much longer"""
    fail: Failing = Failing()
    drop_answers: int = Field(default=0, ge=0)
    """the next submissions (records and files) are processed, then the connection is closed without an answer"""
    received_receipts: bool = False
    """whether a receipt ``received`` is issued too"""
    delay_receipts_seconds: float = Field(default=0, ge=0)
    """from issuing a receipt to showing it"""
    reorder_receipts: int = Field(default=0, ge=0)
    """gather so many receipts, then show the last first; 0 shows them in order"""
    repeat_receipts: int = Field(default=0, ge=0)
    """the next pages hold every receipt twice"""
    repeat_pages: int = Field(default=0, ge=0)
    """the next pages do not move the cursor: the whole page comes again"""
    repeat_last: bool = False
    """every page begins with the last receipt of the page before"""


Chosen = TypeVar("Chosen", bound=BaseModel)


class Switches(Generic[Chosen]):
    """The behaviour in force of a simulated platform, and what of it counts down. Thread-safe."""

    def __init__(self, behaviour: Chosen) -> None:
        self._behaviour = behaviour
        self._lock = Lock()
        self.dropped = 0

    @property
    def now(self) -> Chosen:
        """The behaviour at this moment."""
        return self._behaviour

    def change(self, changes: Mapping[str, Any]) -> Chosen:
        """Change the named settings, keep the others. Raises pydantic's ``ValidationError``."""
        with self._lock:
            self._behaviour = type(self._behaviour).model_validate(self._behaviour.model_dump() | dict(changes))
            return self._behaviour

    def drops_answer(self) -> bool:
        """Whether the answer to what was just sent in is to be lost."""
        with self._lock:
            dropped = self._count_down("drop_answers")
            self.dropped += dropped
        return dropped

    def _count_down(self, name: str) -> bool:
        """Whether the number ``name`` is not over yet; it is one less from now on. The lock is the caller's."""
        left: int = getattr(self._behaviour, name)
        if left:
            self._put(name, left - 1)
        return left > 0

    def _put(self, name: str, value: Any) -> None:
        self._behaviour = self._behaviour.model_copy(update={name: value})


class Conduct(Switches[Behaviour]):
    """The behaviour of the simulated children's platform."""

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__(behaviour)
        self.failed = 0

    def failure(self, path: str) -> Failing | None:
        """How this call is to fail, if it is."""
        with self._lock:
            fail = self._behaviour.fail
            if not fail.calls or not path.startswith(fail.path):
                return None
            self._put("fail", fail.model_copy(update={"calls": fail.calls - 1}))
            self.failed += 1
            return fail

    def repeats_receipts(self) -> bool:
        """Whether this page holds every receipt twice."""
        with self._lock:
            return self._count_down("repeat_receipts")

    def repeats_page(self) -> bool:
        """Whether this page will come again."""
        with self._lock:
            return self._count_down("repeat_pages")


class Misbehaving:
    """ASGI middleware: plays the `Conduct` on calls under ``base``. ``submissions`` are the addresses under it that take reports."""

    def __init__(self, app: ASGIApp, conduct: Conduct, base: str, submissions: tuple[str, ...]) -> None:
        self._app = app
        self._conduct = conduct
        self._base = base
        self._submissions = submissions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(self._base + "/"):
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(self._base)
        await asyncio.sleep(self._conduct.now.slow_seconds)
        failure = self._conduct.failure(path)
        if failure is not None:
            await _answer(failure, send)
        elif scope["method"] == "POST" and path in self._submissions and self._conduct.drops_answer():
            await self._app(scope, receive, _nowhere)
            await hang_up(scope, receive)
        else:
            await self._app(scope, receive, send)


async def _nowhere(message: Message) -> None:
    """Where an answer goes that nobody will hear."""


async def _answer(failure: Failing, send: Send) -> None:
    body = json.dumps({"errors": [{"field": "", "reason": "平台暂时不能办理，请稍后再试"}]}, ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if failure.retry_after is not None:
        headers.append((b"retry-after", str(failure.retry_after).encode()))
    await send({"type": "http.response.start", "status": failure.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
