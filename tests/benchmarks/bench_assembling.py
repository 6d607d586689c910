"""From messages in the ledger to stays and submissions: a backlog of whole stays, assembled until none is left."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlmodel import func, select

from gateway.runtime import Gateway
from gateway.settings import load
from gateway.store.tables import InboundMessage, StayRow, StayVersion, SubmissionVersion
from tests.benchmarks import ward
from tests.benchmarks.measure import table
from tests.installation import install

SIZES = (200, 400)
SOURCE = f'\n[platforms.hqms]\n\n[sources.his]\nkind = "http"\ndialect = "{ward.DIALECT}"\norganisation = "990001"\n'


def report(folder: Path, sizes: tuple[int, ...] = SIZES) -> str:
    """The section of the report."""
    rows = [_assembled(folder / str(stays), stays) for stays in sizes]
    heading = ("stays", "messages", "seconds", "messages/s", "CPU, this process", "versions of stays", "versions of submissions")
    return (
        "## Messages into stays\n\n"
        f"A backlog of stays of {ward.PER_STAY} messages each (admission, laboratory, drugs, diagnoses, discharge; dialect {ward.DIALECT}),\n"
        "admissions spread over twenty days, in order of time: opened, read, joined, assembled, checked and drafted for both platforms, sealed\n"
        "and written with audit entries. SQLite, WAL, synchronous=FULL, 300 messages a transaction. A stay is rebuilt once a transaction, so\n"
        "the more stays run side by side, the more often a message costs a rebuilding.\n\n" + table(heading, rows)
    )


def _assembled(folder: Path, stays: int) -> tuple[str, ...]:
    """One row of the table."""
    gateway = opened(folder)
    try:
        received = receive(gateway, ward.feed(stays))
        started, cpu = time.perf_counter(), time.process_time()
        while gateway.assembler.run():
            pass
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        with gateway.ledger.read() as session:
            states = Counter(session.exec(select(InboundMessage.state)))
            counts = [session.exec(select(func.count()).select_from(t)).one() for t in (StayRow, StayVersion, SubmissionVersion)]
    finally:
        gateway.close()
    assert states == {"assembled": stays * (ward.PER_STAY - 1), "ignored": stays}, states
    made = [f"{count:,}" for count in counts]
    return made[0], f"{received:,}", f"{seconds:.1f} s", f"{received / seconds:,.0f}", f"{cpu:.1f} s", *made[1:]


def opened(folder: Path) -> Gateway:
    """A gateway, not started, with both platforms and one source."""
    config, _ = install(folder / "hospital", url="http://127.0.0.1:9", account="bench", secret="bench", more=SOURCE)
    return Gateway(load(config))


def receive(gateway: Gateway, messages: list[bytes]) -> int:
    """Have the mailroom keep messages, sixteen senders at a time; how many."""
    gateway.mailroom.start()
    with ThreadPoolExecutor(16) as senders:
        kept = list(senders.map(lambda raw: gateway.listening.take("his", raw, peer="bench")[0].outcome, messages))
    assert set(kept) == {"kept"}
    return len(kept)
