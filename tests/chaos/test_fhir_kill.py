"""``kill -9`` of the real server while six programs post FHIR bundles to it.

Each waits for the answer to a bundle before it posts the next one, and posts the same bytes again when there was none or the server asked it
to come again; now and then an answer gets lost on the way. What is asserted: every bundle stands in the ledger once, byte for byte, every stay
exists once, the platform has a report of every stay that is due and got none of them twice, the audit log verifies.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from sqlmodel import col, select

from conformance.sample.faults import is_due_child
from conformance.sample.fhir_feed import bundle_of
from conformance.sample.hospital import generate
from gateway.access import registry
from gateway.access.scopes import parse_scopes
from gateway.audit.log import export, verify
from gateway.cases import stays
from gateway.intake.mailroom import RAW_PLACE
from gateway.settings import Settings, load
from gateway.store.ledger import Ledger
from gateway.store.tables import AuditEntry, InboundMessage, StayRow, SubmissionVersion
from gateway.store.vault import Vault
from tests.chaos.test_kill import Server, control, platform
from tests.installation import free_port, install, wait_for

__all__ = ["control", "platform"]  # fixtures

CLIENTS = 6
DUE = 20
OTHERS = 28
KILLS = 3
LOST_ANSWER_EVERY = 6
WITHIN = 60.0
"""Seconds after which a client gives up."""

SOURCE = '\n[sources.emr]\nkind = "fhir"\norganisation = "990100000000000018"\norganisation_name = "云屏市中心医院（演示）"\n'


def records() -> list[dict[str, str]]:
    """Stays of different patients, those that are due to the platform among others that are not."""
    due: dict[str, dict[str, str]] = {}
    others: dict[str, dict[str, str]] = {}
    for record in generate(4000):
        if record["A48"] in due or record["A48"] in others:
            continue
        chosen, wanted = (due, DUE) if is_due_child(record) else (others, OTHERS)
        if len(chosen) < wanted:
            chosen[record["A48"]] = record
        if len(due) == DUE and len(others) == OTHERS:
            break
    return sorted([*due.values(), *others.values()], key=lambda record: record["A48"])


class Client(threading.Thread):
    """Posts its bundles one after the other, each until it is answered with success."""

    def __init__(self, url: str, key: str, bundles: Sequence[bytes]) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._headers = {"X-API-Key": key, "Content-Type": "application/fhir+json"}
        self._bundles = bundles
        self._deadline = time.monotonic() + WITHIN
        self.answered: list[bytes] = []
        self.answers_lost = 0
        self.unanswered = 0
        self.fault = ""

    def run(self) -> None:
        with httpx.Client(headers=self._headers, trust_env=False, timeout=10) as http:
            for number, bundle in enumerate(self._bundles, start=1):
                if number % LOST_ANSWER_EVERY == 0:
                    self._post(http, bundle)
                    self.answers_lost += 1
                if not self._post(http, bundle):
                    self.fault = self.fault or "not in time"
                    return
                self.answered.append(bundle)

    def _post(self, http: httpx.Client, bundle: bytes) -> bool:
        while time.monotonic() < self._deadline:
            try:
                answer = http.post(f"{self._url}/fhir", content=bundle)
            except httpx.TransportError:  # the server is gone; nobody knows whether it has the bundle
                self.unanswered += 1
                time.sleep(0.05)
                continue
            if answer.status_code == 200 and answer.json()["type"] == "transaction-response":
                return True
            if answer.status_code not in (429, 503):
                self.fault = f"{answer.status_code}: {answer.text[:300]}"
                return False
            time.sleep(0.05)
        return False


@pytest.fixture
def settings(tmp_path: Path, platform: dict[str, str]) -> Settings:
    config, _ = install(tmp_path / "hospital", **platform, port=free_port(), more=f"per_second = 60\n{SOURCE}")
    return load(config)


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    running = Server(settings.directory / "zhibao.toml")
    running.start()
    yield running
    running.kill()


def test_every_answered_bundle_is_there_once(server: Server, settings: Settings, control: httpx.Client, tmp_path: Path) -> None:
    chosen = records()
    bundles = [bundle_of(record) for record in chosen]
    url = f"http://127.0.0.1:{settings.server.port}"
    wait_for(lambda: _answers(url), 30, "the server answers")
    key = _key(settings)
    clients = [Client(url, key, bundles[n::CLIENTS]) for n in range(CLIENTS)]
    for client in clients:
        client.start()

    def answered() -> int:
        assert not [client.fault for client in clients if client.fault]
        return sum(len(client.answered) for client in clients)

    for kill in range(KILLS):
        reached = len(bundles) * (kill + 1) // (KILLS + 2)
        server.kill_when(lambda reached=reached: answered() >= reached, f"{reached} answered")
        server.start()
    wait_for(lambda: answered() == len(bundles), WITHIN, "every bundle answered")
    wait_for(lambda: not _states(settings)["received"], WITHIN, "every bundle read")
    wait_for(lambda: _open(settings) == 0, WITHIN, "every report decided")

    assert server.starts == 1 + KILLS
    assert sum(client.unanswered for client in clients) > 0
    assert _states(settings) == {"assembled": len(bundles)}
    with _ledger(settings) as ledger, ledger.read() as session:
        rows = session.exec(select(InboundMessage)).all()
        assert Counter(ledger.vault.open(row.sealed_raw, RAW_PLACE) for row in rows) == Counter(bundles)
        ids = session.exec(select(StayRow.id).where(col(StayRow.absorbed_into).is_(None))).all()
        made = [stays.current(session, ledger.vault, id or 0)[0] for id in ids]
        versions = session.exec(select(SubmissionVersion)).all()
        repeated = len(session.exec(select(AuditEntry.seq).where(AuditEntry.action == "message.repeated")).all())
        piece = tmp_path / "audit.jsonl"
        piece.write_text("".join(export(session)), "utf-8")
    assert Counter((stay.record_number, str(stay.admission_number)) for stay in made) == Counter(
        (record["A48"], record["A49"]) for record in chosen
    )
    assert repeated >= sum(client.answers_lost for client in clients) > 0
    assert verify(piece).entries > len(bundles)
    sent = {version.id for version in versions if version.our_state == "sent"}
    assert len(sent) == DUE
    at_platform = control.get("/control").json()
    assert at_platform["records"] == DUE
    assert {key: times["received"] for key, times in at_platform["submissions"].items()} == dict.fromkeys(sent, 1)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/fhir/metadata", trust_env=False, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _key(settings: Settings) -> str:
    """The API key of a program that may hand in for the source."""
    with Ledger.visit(settings.ledger_url, Vault.load(settings.key_file)) as ledger, ledger.write() as session:
        registry.register(session, "emr-app", parse_scopes("system/*.cruds"), source="emr", actor="test")
        return registry.issue_key(session, "emr-app", good_for=None, actor="test")


def _ledger(settings: Settings) -> Ledger:
    return Ledger.look_at(settings.ledger_url, Vault.load(settings.key_file))


def _states(settings: Settings) -> Counter[str]:
    with _ledger(settings) as ledger, ledger.read() as session:
        return Counter(session.exec(select(InboundMessage.state)).all())


def _open(settings: Settings) -> int:
    """Reports that may leave and that the platform has not decided."""
    with _ledger(settings) as ledger, ledger.read() as session:
        versions = session.exec(select(SubmissionVersion).where(SubmissionVersion.our_state != "blocked")).all()
        return sum(version.platform_state not in ("accepted", "rejected", "returned") for version in versions)
