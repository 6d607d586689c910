"""Bodies of requests: the pace at which they must come, and how much of them is in hand at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import Request
from starlette.requests import ClientDisconnect

from gateway.model.errors import TooManyRequests, TooSlow
from gateway.web.bodies import SHORT, Pace, Share, Work, chunks

MEBIBYTE = 1 << 20


def received(receive: Callable[[], Awaitable[dict[str, Any]]], pace: Pace) -> list[bytes]:
    """The pieces of the body of a request whose messages ``receive`` gives."""
    app = SimpleNamespace(state=SimpleNamespace(pace=pace))

    async def whole() -> list[bytes]:
        request = Request({"type": "http", "method": "POST", "app": app}, receive)  # type: ignore[arg-type]
        return [chunk async for chunk in chunks(request)]

    return asyncio.run(whole())


def part(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_that_comes_in_time_is_whole() -> None:
    parts = iter([part(b"one "), part(b"two"), part(b"", more=False)])

    async def receive() -> dict[str, Any]:
        return next(parts)

    assert received(receive, Pace(silence=30, rate=1)) == [b"one ", b"two"]


def test_silence_has_an_end() -> None:
    parts = iter([part(b"x" * 1000)])

    async def receive() -> dict[str, Any]:
        return next(parts, None) or await asyncio.Event().wait()  # type: ignore[return-value]

    with pytest.raises(TooSlow):
        received(receive, Pace(silence=0.05, rate=1))  # the thousand bytes before would be enough for a thousand seconds


def test_drops_are_not_progress() -> None:
    """A byte now and then is never silent for long, and too slow all the same."""

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.001)
        return part(b"x")

    with pytest.raises(TooSlow):
        received(receive, Pace(silence=0.2, rate=1_000_000))


def test_a_sender_that_hangs_up_is_told_apart() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnect):
        received(receive, Pace(silence=30, rate=1))


def test_a_source_takes_half_at_most() -> None:
    share = Share(4)
    share.take("a", 1)
    share.take("a", 1)
    with pytest.raises(TooManyRequests):
        share.take("a", 1)
    share.take("b", 1)
    share.take("c", 1)
    with pytest.raises(TooManyRequests):
        share.take("d", 1)
    share.give_back("a", 1)
    share.take("d", 1)


def test_what_is_longer_than_the_whole_is_let_in_alone() -> None:
    share = Share(4)
    with share.held("a", 100), pytest.raises(TooManyRequests):
        share.take("b", 1)
    share.take("b", 1)


def test_long_bodies_are_few_and_do_not_keep_short_ones_out() -> None:
    """Twelve bundles of 10 MiB at once: no more than 32 MiB and the one that went beyond are worked on, half of that for one source."""
    work = Work()
    with ExitStack() as stack:
        let_in = {"a": 0, "b": 0, "c": 0}
        for number in range(12):
            source = "abc"[number % 3]
            try:
                stack.enter_context(work.on(source, 10 * MEBIBYTE))
            except TooManyRequests:
                continue
            let_in[source] += 1
        assert let_in == {"a": 2, "b": 1, "c": 1}
        for source in let_in:
            stack.enter_context(work.on(source, SHORT))
    with ExitStack() as stack:  # all of it was given back
        for source in ("a", "a", "b", "b"):
            stack.enter_context(work.on(source, 10 * MEBIBYTE))


def test_requests_are_counted_whatever_their_length() -> None:
    work = Work()
    with ExitStack() as stack:
        for _ in range(32):
            stack.enter_context(work.on("a", 1))
        with pytest.raises(TooManyRequests), work.on("a", 1):
            pass
        with work.on("b", 1):
            pass
