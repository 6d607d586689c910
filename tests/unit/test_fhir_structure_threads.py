"""The structure of resources is compiled when a type is first met, by whichever request that is: requests beside it must not see half of it."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pytest

from adapters.fhir import structure, wire
from adapters.fhir.refusal import Issue
from conformance.sample.fhir_feed import bundle_of
from conformance.sample.hospital import generate

AT_ONCE = 8
TIMES = 12


@pytest.fixture
def switching_often() -> Iterator[None]:
    """Threads take turns after a microsecond instead of after five milliseconds."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("switching_often")
def test_the_first_messages_may_come_at_once() -> None:
    bundle = json.loads(bundle_of(next(islice(generate(20), 19, None))))
    kinds = {entry["resource"]["resourceType"]: entry for entry in bundle["entry"]}
    document = wire.read(json.dumps(bundle | {"entry": list(kinds.values())}).encode())
    begin = threading.Barrier(AT_ONCE)

    def check() -> list[Issue]:
        begin.wait(30)
        return structure.document_faults(document)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(TIMES):
            structure._book.cache_clear()
            structure._book(document.release)
            found = [future.result(60) for future in [pool.submit(check) for _ in range(AT_ONCE)]]
            assert found == [[]] * AT_ONCE
