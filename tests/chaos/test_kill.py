"""``kill -9`` of the real server, during an import and during delivery: every row and every submission has exactly one outcome.

The platform is a process of its own that lives on. What is asserted: each row of the file has one outcome, each report that is due
stands once at the platform and was sent once (an open outcome is asked about, never sent again blindly), the audit log verifies.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from sqlmodel import select

from conformance.sample.files import write_sample
from gateway.audit.log import export, verify
from gateway.settings import Settings, load
from gateway.store.ledger import Ledger
from gateway.store.tables import Message, SourceFile, SubmissionVersion
from gateway.store.vault import Vault
from tests.installation import install, wait_for

STAYS = 3000
IMPORT_KILLS = 3
DELIVERY_KILLS = 3


@pytest.fixture
def platform() -> Iterator[dict[str, str]]:
    command = [sys.executable, "-m", "conformance.simulators.ncpcs", "--review-seconds", "0.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.terminate()


class Server:
    """``zhibao serve`` as a process that is killed and started again."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def start(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-m", "gateway.cli", "serve", "--config", str(self._config)])
        self.starts += 1

    def kill(self) -> None:
        assert self._process is not None
        assert self._process.poll() is None, "the server ended by itself"
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def kill_when(self, ready: Callable[[], bool], what: str) -> None:
        wait_for(ready, 120, what)
        self.kill()


@pytest.fixture
def control(platform: dict[str, str]) -> Iterator[httpx.Client]:
    """The platform's levers."""
    with httpx.Client(base_url=platform["url"], trust_env=False) as client:
        yield client


@pytest.fixture
def server(tmp_path: Path, platform: dict[str, str]) -> Iterator[Server]:
    more = "per_second = 60\nconcurrency = 4\n"
    config, _ = install(tmp_path / "hospital", **platform, more=more)
    running = Server(config)
    yield running
    running.kill()


def test_every_row_and_submission_has_one_outcome(server: Server, control: httpx.Client, tmp_path: Path) -> None:
    folder = tmp_path / "hospital"
    settings = load(folder)
    (sample,) = write_sample(tmp_path / "sample", stays=STAYS, months=["2026-10"])
    inbox = folder / "inbox"
    inbox.mkdir(exist_ok=True)
    control.post("/control", json={"fail": {"calls": 1_000_000, "path": "/records"}}).raise_for_status()
    server.start()
    sample.rename(inbox / sample.name)
    for kill in range(IMPORT_KILLS):
        reached = STAYS * (kill + 1) // (IMPORT_KILLS + 2)
        server.kill_when(lambda reached=reached: _rows_done(settings) >= reached, f"{reached} rows read")
        server.start()
    wait_for(lambda: _file_state(settings) == "done", 120, "the file read to its end")

    control.post("/control", json={"fail": {"calls": 0}, "slow_seconds": 0.05}).raise_for_status()
    due = _count(settings, "due")
    assert due > 40
    for kill in range(DELIVERY_KILLS):
        reached = due * (kill + 1) // (DELIVERY_KILLS + 2)
        server.kill_when(lambda reached=reached: control.get("/control").json()["records"] >= reached, f"{reached} records")
        server.start()
    wait_for(lambda: _count(settings, "open") == 0, 120, "every receipt in")

    with _ledger(settings) as ledger, ledger.read() as session:
        rows = Counter(session.exec(select(Message.row)).all())
        assert sorted(rows) == list(range(1, STAYS + 1))
        assert set(rows.values()) == {1}
        versions = session.exec(select(SubmissionVersion)).all()
        piece = tmp_path / "audit.jsonl"
        piece.write_text("".join(export(session)), "utf-8")
    assert verify(piece).entries > STAYS
    sent = {v.id for v in versions if v.our_state == "sent"}
    assert len(sent) == due
    assert {v.our_state for v in versions} <= {"sent", "blocked"}
    at_platform = control.get("/control").json()
    assert at_platform["records"] == due
    assert set(at_platform["submissions"]) == sent
    assert [key for key, times in at_platform["submissions"].items() if times["received"] != 1] == []
    assert server.starts == 1 + IMPORT_KILLS + DELIVERY_KILLS


def _ledger(settings: Settings) -> Ledger:
    return Ledger.look_at(settings.ledger_url, Vault.load(settings.key_file))


def _rows_done(settings: Settings) -> int:
    with _ledger(settings) as ledger, ledger.read() as session:
        return session.exec(select(SourceFile.rows_done)).first() or 0


def _file_state(settings: Settings) -> str:
    with _ledger(settings) as ledger, ledger.read() as session:
        return session.exec(select(SourceFile.state)).first() or ""


def _count(settings: Settings, what: str) -> int:
    """``due``: versions that may leave; ``open``: those of them that the platform has not decided."""
    with _ledger(settings) as ledger, ledger.read() as session:
        versions = [v for v in session.exec(select(SubmissionVersion)) if v.our_state != "blocked"]
        decided = ("accepted", "rejected", "returned")
        return len(versions) if what == "due" else sum(v.platform_state not in decided for v in versions)
