"""Batches of rows through worker processes, in order and with bounded memory."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from multiprocessing.connection import wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def _begin_worker(initializer: Callable[..., None], arguments: tuple[object, ...]) -> None:
    """Start a worker that ends with its parent: a killed parent cannot tell its workers to stop."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "not in a worker process"

    def follow(sentinel: int) -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=follow, args=(parent.sentinel,), name="follow-parent", daemon=True).start()
    initializer(*arguments)


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """``items`` in lists of at most ``size``."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def ordered(
    work: Callable[[list[Item]], Result],
    batches: Iterable[list[Item]],
    *,
    workers: int,
    initializer: Callable[..., None],
    arguments: tuple[object, ...],
) -> Iterator[Result]:
    """Results of ``work`` over ``batches`` in their order; at most a few batches are under way at once, so that memory does not
    grow with the input. ``workers = 1`` works in this process. The initializer runs once wherever the work is done."""
    if workers == 1:
        initializer(*arguments)
        yield from map(work, batches)
        return
    spawn = multiprocessing.get_context("spawn")
    begin = (initializer, arguments)
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_begin_worker, initargs=begin) as pool:
        pending: deque[Future[Result]] = deque()
        for batch in batches:
            pending.append(pool.submit(work, batch))
            if len(pending) > workers + 1:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
