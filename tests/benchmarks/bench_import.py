"""Importing into the ledger, and delivering to a platform over loopback."""

from __future__ import annotations

import time
from pathlib import Path

from sqlmodel import func, select

from conformance.sample.files import write_sample
from conformance.simulators.behaviour import Behaviour
from conformance.simulators.ncpcs import Simulator
from gateway.importing import Importer
from gateway.runtime import Gateway
from gateway.settings import load
from gateway.store.tables import SubmissionVersion
from tests.benchmarks.front_sheets import write
from tests.benchmarks.measure import table
from tests.installation import install, wait_for

ROWS = 10_000
DELIVERIES = 1_000


def report(folder: Path) -> str:
    """The section of the report."""
    with Simulator(behaviour=Behaviour(review_seconds=0)) as platform:
        more = "per_second = 10000\nconcurrency = 16\n"
        config, _ = install(folder / "hospital", url=platform.base_url, account=platform.account, secret=platform.secret, more=more)
        gateway = Gateway(load(config))
        try:
            (sample,) = write_sample(folder / "sample", stays=ROWS, months=["2026-10"], spoiled=False)
            half = folder / "half.csv"
            write(half, ROWS)
            figures = [("sample hospital (about 150 cells a row)", _import(gateway.importer, sample))]
            figures.append(("half-filled rows (about 420 cells)", _import(gateway.importer, half)))
            rows = [(what, f"{ROWS:,}", f"{seconds:.1f} s", f"{ROWS / seconds:,.0f}") for what, seconds in figures]
            due, seconds = _deliver(gateway)
        finally:
            gateway.close()
    return (
        "## Importing into the ledger\n\n"
        "Raw bytes sealed and flushed, rows read, decided for the children's platform, checked with all rules, sealed and written with audit\n"
        "entries. SQLite, WAL, synchronous=FULL; two worker processes, one writer, 250 rows a transaction.\n\n"
        + table(("file", "rows", "seconds", "rows/s"), rows)
        + "\n\n## Delivering\n\n"
        f"{due:,} submissions through the durable engine (SQLite) to a server on loopback that decides at once, 16 at a time, until every\n"
        f"receipt is applied: {seconds:.1f} s, {due / seconds:,.0f} a second."
    )


def _import(importer: Importer, path: Path) -> float:
    started = time.perf_counter()
    with path.open("rb") as source:
        file, _ = importer.receive(source, path.name)
    done = importer.read(file.id)
    seconds = time.perf_counter() - started
    assert (done.state, done.rows_refused) == ("done", 0), done.state
    return seconds


def _deliver(gateway: Gateway) -> tuple[int, float]:
    def count(*states: str) -> int:
        with gateway.ledger.read() as session:
            statement = select(func.count()).select_from(SubmissionVersion)
            if states:
                statement = statement.where(SubmissionVersion.platform_state == states[0])
            return session.exec(statement).one()

    due = count()
    started = time.perf_counter()
    gateway.start()
    wait_for(lambda: count("accepted") == due, 300, "every submission accepted")
    return due, time.perf_counter() - started
