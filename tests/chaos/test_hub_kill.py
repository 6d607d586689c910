"""``kill -9`` of the real server while it reports to the Zhejiang hub, which answers late, loses answers and breaks down: no double card.

The hub is a process of its own that lives on. It takes a card under a new request as a new card, so a gateway that sends again what it has sent
already is found out. What is asserted: every card is there once and was carried out once, no request number was used twice, every version knows
the hub's number, the audit log verifies.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.audit.log import export, verify
from gateway.settings import Settings, load
from gateway.store.ledger import Ledger
from gateway.store.vault import Vault
from tests.chaos.test_kill import Server
from tests.hub import attempts, card, install, put, versions
from tests.installation import wait_for

CARDS = 40
KILLS = 4
PATIENCE = 120


@pytest.fixture
def hub() -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "conformance.simulators.zhejiang_hub", "--process-seconds", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.terminate()


@pytest.fixture
def levers(hub: dict[str, Any]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hub["base_url"], trust_env=False) as client:
        yield client


@pytest.fixture
def settings(tmp_path: Path, hub: dict[str, Any]) -> Settings:
    more = "per_second = 60\nconcurrency = 4\n"
    said = {name: hub[name] for name in ("url", "account", "secret", "options")}
    return load(install(tmp_path / "hospital", **said, more=more))


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    running = Server(settings.directory / "zhibao.toml")
    yield running
    running.kill()


def test_no_card_is_double(server: Server, settings: Settings, levers: httpx.Client, tmp_path: Path) -> None:
    with Ledger.open(settings.ledger_url, Vault.load(settings.key_file)) as ledger:
        for number in range(CARDS):
            put(ledger, card(number))
    levers.post("/control", json={"slow_seconds": 0.1, "drop_answers": 5}).raise_for_status()

    def has(cards: int) -> bool:
        return bool(levers.get("/control").json()["cards"] >= cards)

    server.start()
    for kill in range(KILLS):
        reached = CARDS * (kill + 1) // (KILLS + 2)
        server.kill_when(partial(has, reached), f"{reached} cards")
        levers.post("/control", json={"fault": {"calls": 2, "carried_out": bool(kill % 2), "kind": "upload"}}).raise_for_status()
        server.start()
    levers.post("/control", json={"slow_seconds": 0}).raise_for_status()

    def open_ones() -> int:
        with _ledger(settings) as ledger:
            return sum((row.our_state, row.platform_state) != ("sent", "accepted") for row in versions(ledger))

    wait_for(lambda: open_ones() == 0, PATIENCE, "every card reconciled")
    told = levers.get("/control").json()
    with _ledger(settings) as ledger:
        rows = versions(ledger)
        outcomes = [attempt.outcome for row in rows for attempt in attempts(ledger, row.id)]
        with ledger.read() as session:
            piece = tmp_path / "audit.jsonl"
            piece.write_text("".join(export(session)), "utf-8")
    assert told["uploads"] == {row.id: 1 for row in rows}
    assert (told["cards"], told["doubles"], told["repeated_requests"]) == (CARDS, 0, 0)
    assert len({row.platform_record for row in rows} - {""}) == CARDS
    assert outcomes.count("uncertain") >= CARDS  # every sending was left open and asked about
    assert told["answers_dropped"] == 5
    assert server.starts == 1 + KILLS
    assert verify(piece).entries > CARDS


def _ledger(settings: Settings) -> Ledger:
    return Ledger.look_at(settings.ledger_url, Vault.load(settings.key_file))
