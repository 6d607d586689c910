"""FHIR in: transactions of a hundred entries until they are durable and until they are stays, and bulk files by their time and memory.

Each transaction is about a patient of its own, so that everything in it is new. One core has it all: this process is pinned to one while it
measures. The bulk file is taken by a process of its own (``python -m tests.benchmarks.bench_fhir FILE FOLDER``), whose memory is watched.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any
from unittest.mock import patch

from fhir.resources.bundle import Bundle as BundleR5
from fhir.resources.R4B.bundle import Bundle as BundleR4B
from sqlmodel import select

from adapters.fhir import wire
from adapters.fhir.reading import RecordReader
from adapters.fhir.structure import document_faults
from conformance.sample.fhir_feed import bundle_of
from conformance.sample.hospital import generate
from gateway.intake.bulk import take_file
from gateway.intake.records import Records
from gateway.runtime import Gateway
from gateway.settings import load
from gateway.store.tables import InboundMessage
from tests.benchmarks.measure import table
from tests.installation import install

ENTRIES = 100
TRANSACTIONS = 200
WARMING = 20
"""Transactions before the measured ones: tables are loaded, shapes compiled."""

LINES = 20_000
SOURCE = '\n[platforms.hqms]\n\n[sources.emr]\nkind = "fhir"\norganisation = "990100000000000018"\nlongest_mb = 1\n'

READ = "durable and read (the first four)"
WHOLE = "all of it"
WHOLE_CPU = "all of it, CPU time"
PEER = f"fhir.resources {version('fhir.resources')}, parse alone"
PEER_CPU = f"{PEER}, CPU time"
STAGES = {
    "wire": "decoded, structure checked",
    "durable": "durable (sealed, one commit)",
    "records": "record opened and decoded",
    "facts": "facts read",
    "rest": "joined, assembled, checked, drafted, written (one commit)",
}


def report(folder: Path, transactions: int = TRANSACTIONS, lines: int = LINES) -> str:
    """The section of the report."""
    before = os.getloadavg()[0]
    with on_one_core():
        spent, size = _transactions(folder / "transactions", transactions)
    rows = [(STAGES.get(stage, stage), *_figures(seconds)) for stage, seconds in spent.items()]
    bulk = [_bulk(folder / str(times), times * lines) for times in (1, 4)]
    return (
        "## FHIR\n\n"
        f"{transactions} transactions of {ENTRIES} entries ({size / 1024:,.0f} KiB on average; R4 under `urn:uuid` and R5), each about a\n"
        "stay of a patient of its own; milliseconds on one core, one after the other. SQLite, WAL, synchronous=FULL, two commits for each; two\n"
        f"platforms. Load average before and after: {before:.1f}, {os.getloadavg()[0]:.1f}.\n\n"
        + table(("stage", "mean", "p50", "p95", "p99"), rows)
        + "\n\nBulk files (NDJSON, a process of its own): taken until everything is durable, then read into stays.\n\n"
        + table(("lines", "durable, lines/s", "peak memory", "read, lines/s", "peak memory"), bulk)
    )


def transaction(record: Mapping[str, str]) -> bytes:
    """The transaction about a stay with its first hundred entries: the person, the diagnoses, the stay, operations, then single items."""
    bundle = json.loads(bundle_of(record))
    del bundle["entry"][ENTRIES:]
    return json.dumps(bundle, ensure_ascii=False).encode()


def patients() -> Iterator[Mapping[str, str]]:
    """Stays of different patients with enough to say."""
    seen = set()
    for record in generate(100_000):
        if record["A48"] not in seen and len(json.loads(bundle_of(record))["entry"]) >= ENTRIES:
            seen.add(record["A48"])
            yield record


@contextmanager
def on_one_core() -> Iterator[None]:
    """Everything that this process does, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def opened(folder: Path) -> Gateway:
    """A gateway, not started, with two platforms and one FHIR source."""
    config, _ = install(folder, url="http://127.0.0.1:9", account="bench", secret="bench", more=SOURCE)
    return Gateway(load(config))


def _transactions(folder: Path, count: int) -> tuple[dict[str, list[float]], float]:
    """(seconds of each transaction by stage, the whole and the peer among them; mean length in bytes)."""
    raws = [transaction(record) for record in islice(patients(), WARMING + count)]
    spent: dict[str, list[float]] = {stage: [] for stage in (*STAGES, READ, WHOLE, WHOLE_CPU, PEER, PEER_CPU)}
    gateway = opened(folder)
    try:
        for raw in raws:
            for stage, seconds in _taken(gateway, raw).items():
                spent[stage].append(seconds)
        with gateway.ledger.read() as session:
            states = set(session.exec(select(InboundMessage.state)))
    finally:
        gateway.close()
    assert states == {"assembled"}, states
    for raw in raws:
        peer = BundleR5 if b'"urn:uuid:' not in raw else BundleR4B
        started, cpu = time.perf_counter(), time.process_time()
        peer.model_validate_json(raw)
        spent[PEER].append(time.perf_counter() - started)
        spent[PEER_CPU].append(time.process_time() - cpu)
    measured = {stage: seconds[WARMING:] for stage, seconds in spent.items()}
    return measured, fmean(map(len, raws[WARMING:]))


def _taken(gateway: Gateway, raw: bytes) -> dict[str, float]:
    """The seconds that one transaction takes, by stage."""
    inside: dict[str, float] = defaultdict(float)
    begun, cpu = time.perf_counter(), time.process_time()
    document = wire.read(raw, content_type="application/fhir+json")
    faults = document_faults(document)
    checked = time.perf_counter()
    accepted = gateway.repository.accept("emr", raw, document)
    durable = time.perf_counter()
    with ExitStack() as watched:
        watched.enter_context(_watched(Records, "read", inside, "records"))
        watched.enter_context(_watched(RecordReader, "read", inside, "facts"))
        gateway.assembler.run()
    done, cpu = time.perf_counter(), time.process_time() - cpu
    assert not faults, faults[0]
    assert len(accepted.entries) == ENTRIES
    rest = done - durable - sum(inside.values())
    stages = {"wire": checked - begun, "durable": durable - checked, **inside, "rest": rest}
    return {**stages, READ: done - begun - rest, WHOLE: done - begun, WHOLE_CPU: cpu}


@contextmanager
def _watched(owner: type, name: str, spent: dict[str, float], stage: str) -> Iterator[None]:
    """While inside, what is spent in a method counts for a stage."""
    method: Callable[..., Any] = getattr(owner, name)

    @wraps(method)
    def timed(*given: Any, **named: Any) -> Any:
        started = time.perf_counter()
        try:
            return method(*given, **named)
        finally:
            spent[stage] += time.perf_counter() - started

    with patch.object(owner, name, timed):
        yield


def _figures(seconds: list[float]) -> tuple[str, ...]:
    """Mean, median, p95 and p99 in milliseconds."""
    cuts = quantiles(seconds, n=100, method="inclusive")
    return tuple(f"{value * 1000:.1f}" for value in (fmean(seconds), cuts[49], cuts[94], cuts[98]))


# -- bulk


def _bulk(folder: Path, lines: int) -> tuple[str, ...]:
    """One row of the table about bulk files."""
    folder.mkdir(parents=True)
    file = folder / "bulk.ndjson"
    _write(file, lines)
    command = [sys.executable, "-m", "tests.benchmarks.bench_fhir", str(file), str(folder / "hospital")]
    durable, first, read, last = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return f"{lines:,}", f"{lines / durable:,.0f}", f"{first:,} MiB", f"{lines / read:,.0f}", f"{last:,} MiB"


def _write(file: Path, lines: int) -> None:
    """A bulk file of so many resources, patient after patient, under the ids of the hospital."""
    written = 0
    with file.open("w", encoding="utf-8") as target:
        for record in patients():
            if int(record["A48"]) % 2 == 0:
                continue  # created under urn:uuid, which is for transactions
            for entry in json.loads(bundle_of(record))["entry"]:
                target.write(json.dumps(entry["resource"], ensure_ascii=False) + "\n")
                written += 1
                if written == lines:
                    return


def _take(file: Path, folder: Path) -> tuple[float, int, float, int]:
    """Seconds until a file is durable, the largest memory until then in MiB, seconds until it is read, the largest memory of all."""
    gateway = opened(folder)
    try:
        started = time.perf_counter()
        take_file(gateway.repository, "emr", file, longest=1 << 20)
        durable, first = time.perf_counter(), _peak()
        gateway.assemble_received()
        return durable - started, first, time.perf_counter() - durable, _peak()
    finally:
        gateway.close()


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


if __name__ == "__main__":
    print(json.dumps(_take(Path(sys.argv[1]), Path(sys.argv[2]))))
