"""``kill -9`` of the real server while sixteen senders talk to its MLLP listener.

Each sender waits for the acknowledgement of a message before it sends the next one, and sends the same bytes again when the connection was
lost or the message refused, as interface engines do. Now and then the answer itself gets lost. What is asserted: every acknowledged message
stands in the ledger once, nothing stands there that nobody sent, every message is assembled, every stay exists once, the audit log verifies.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hl7.client import MLLPClient
from sqlmodel import col, select

from adapters.hl7v2.framing import frame
from adapters.hl7v2.message import Message
from gateway import setup
from gateway.audit.log import export, verify
from gateway.intake.mailroom import RAW_PLACE
from gateway.settings import CONFIG_NAME, Settings, load
from gateway.store.ledger import Ledger
from gateway.store.tables import AuditEntry, InboundMessage, StayRow
from gateway.store.vault import Vault
from tests.benchmarks import ward
from tests.chaos.test_kill import Server
from tests.installation import free_port, wait_for

SENDERS = 16
STAYS = 160
KILLS = 5
LOST_ANSWER_EVERY = 40
WITHIN = 60.0
"""Seconds after which a sender gives up."""


class PlainClient:
    """MLLP over a bare socket: one frame out, one frame back."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, timeout=10)
        self._read = b""

    def ask(self, raw: bytes) -> bytes:
        """The answer to a message. Raises ``OSError`` when there is none."""
        self._socket.sendall(frame(raw))
        while (end := self._read.find(b"\x1c\r")) < 0:
            data = self._socket.recv(1 << 16)
            if not data:
                raise ConnectionError("closed")
            self._read += data
        answer, self._read = self._read[: end + 2], self._read[end + 2 :]
        return answer[1:-2]

    def close(self) -> None:
        self._socket.close()


class PythonHl7Client(MLLPClient):
    """python-hl7's client, an implementation that is not ours. (It would not close a socket that fails to connect.)"""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=10)
        self.encoding = "utf-8"

    def ask(self, raw: bytes) -> bytes:
        answer: bytes = self.send_message(raw)
        if not answer.endswith(b"\x1c\r"):
            raise ConnectionError("closed")
        return answer[1:-2]


class Sender(threading.Thread):
    """Sends its messages one after the other, each until it is acknowledged."""

    def __init__(self, address: tuple[str, int], messages: Sequence[bytes], client: type[PlainClient | PythonHl7Client]) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._messages = messages
        self._make = client
        self._client: PlainClient | PythonHl7Client | None = None
        self._deadline = time.monotonic() + WITHIN
        self.acknowledged: list[bytes] = []
        self.answers_lost = 0
        self.connections = 0
        self.fault = ""

    def run(self) -> None:
        for number, raw in enumerate(self._messages, start=1):
            if number % LOST_ANSWER_EVERY == 0:
                self._send(raw)
                self.answers_lost += 1
            if not self._send(raw):
                self.fault = self.fault or "not in time"
                return
            self.acknowledged.append(raw)
        if self._client is not None:
            self._client.close()

    def _send(self, raw: bytes) -> bool:
        while time.monotonic() < self._deadline:
            try:
                if self._client is None:
                    self._client = self._make(self._address)
                    self.connections += 1
                answer = Message.read(self._client.ask(raw))
            except OSError:  # the server is gone; nobody knows whether it has the message
                if self._client is not None:
                    with suppress(OSError):
                        self._client.close()
                self._client = None
                time.sleep(0.02)
                continue
            if answer.value("MSA-2") != ward.control_id(raw):
                self.fault = "an answer to another message"
                return False
            if answer.value("MSA-1") == "AA":
                return True
        return False


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation that listens on a port of its own, which stays the same over restarts."""
    setup.create(tmp_path / "hospital")
    config = tmp_path / "hospital" / CONFIG_NAME
    text = config.read_text("utf-8").replace("port = 8750", "port = 0")
    source = f'[sources.his]\nport = {free_port()}\ndialect = "{ward.DIALECT}"\norganisation = "990001"\n'
    config.write_text(f"{text}\n[platforms.hqms]\n\n{source}", "utf-8")
    return load(config)


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    running = Server(settings.directory / CONFIG_NAME)
    running.start()
    yield running
    running.kill()


def test_every_acknowledged_message_is_there_once(server: Server, settings: Settings, tmp_path: Path) -> None:
    messages = ward.feed(STAYS)
    address = ("127.0.0.1", settings.sources["his"].port)
    clients = [PythonHl7Client, *[PlainClient] * (SENDERS - 1)]
    senders = [Sender(address, messages[n::SENDERS], client) for n, client in enumerate(clients)]
    for sender in senders:
        sender.start()

    def acknowledged() -> int:
        assert not [sender.fault for sender in senders if sender.fault]
        return sum(len(sender.acknowledged) for sender in senders)

    for kill in range(KILLS):
        reached = len(messages) * (kill + 1) // (KILLS + 2)
        server.kill_when(lambda reached=reached: acknowledged() >= reached, f"{reached} acknowledged")
        server.start()
    wait_for(lambda: acknowledged() == len(messages), WITHIN, "every message acknowledged")
    wait_for(lambda: not _states(settings)["received"], WITHIN, "every message assembled")

    assert server.starts == 1 + KILLS
    assert min(sender.connections for sender in senders) > 1
    sent = set(messages)
    assert len({ward.control_id(raw) for raw in messages}) == len(sent) == len(messages)
    with _ledger(settings) as ledger, ledger.read() as session:
        rows = session.exec(select(InboundMessage)).all()
        stored = Counter((row.control_id, row.digest) for row in rows)
        assert (len(stored), set(stored.values())) == (len(sent), {1})
        assert {ledger.vault.open(row.sealed_raw, RAW_PLACE) for row in rows} == sent
        stay_of = Counter(session.exec(select(InboundMessage.stay_id).where(InboundMessage.state == "assembled")).all())
        stays = session.exec(select(StayRow).where(col(StayRow.absorbed_into).is_(None))).all()
        repeated = len(session.exec(select(AuditEntry.seq).where(AuditEntry.action == "message.repeated")).all())
        piece = tmp_path / "audit.jsonl"
        piece.write_text("".join(export(session)), "utf-8")
    # the blood counts of each stay hold nothing to report
    assert _states(settings) == {"assembled": STAYS * (ward.PER_STAY - 1), "ignored": STAYS}
    assert {row.id for row in stays} == stay_of.keys()
    assert len(stays) == STAYS
    assert set(stay_of.values()) == {ward.PER_STAY - 1}
    assert repeated >= sum(sender.answers_lost for sender in senders) > 0
    assert verify(piece).entries > STAYS


def _ledger(settings: Settings) -> Ledger:
    return Ledger.look_at(settings.ledger_url, Vault.load(settings.key_file))


def _states(settings: Settings) -> Counter[str]:
    with _ledger(settings) as ledger, ledger.read() as session:
        return Counter(session.exec(select(InboundMessage.state)).all())
