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

STAYS = 400
SOURCE = f'\n[platforms.hqms]\n\n[sources.his]\nkind = "http"\ndialect = "{ward.DIALECT}"\norganisation = "990001"\n'


def report(folder: Path, stays: int = STAYS) -> str:
    """The section of the report."""
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
    assert not states["received"], states
    rows = [(f"{received:,}", f"{seconds:.1f} s", f"{received / seconds:,.0f}", f"{cpu:.1f} s", *(f"{n:,}" for n in counts))]
    heading = ("messages", "seconds", "messages/s", "CPU, this process", "stays", "versions of them", "submission versions")
    return (
        "## Messages into stays\n\n"
        f"A backlog of {stays} stays of {ward.PER_STAY} messages each (admission, laboratory, drugs, diagnoses, discharge; dialect\n"
        f"{ward.DIALECT}), in order of time, opened, read, joined, assembled, checked and drafted for both platforms, sealed and written with\n"
        "audit entries. SQLite, WAL, synchronous=FULL.\n\n" + table(heading, rows)
    )


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
