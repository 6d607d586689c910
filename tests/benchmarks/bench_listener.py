"""Acknowledgements a second over MLLP: our listener, which stores before it answers, beside two Python listeners that store nothing.

The senders are a process of their own (``python -m tests.benchmarks.bench_listener PORT MESSAGES CONNECTIONS [once]``): each connection
sends a message, waits for the acknowledgement, and sends the next one.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import hl7.mllp
import uvloop
from hl7apy.mllp import AbstractHandler, MLLPServer
from sqlmodel import func, select

from adapters.hl7v2.framing import frame
from gateway import setup
from gateway.runtime import Gateway
from gateway.settings import CONFIG_NAME, load
from gateway.store.tables import InboundMessage
from tests.benchmarks import ward
from tests.benchmarks.measure import table

CONNECTIONS = 16
MESSAGES = 16_000
SOURCE = f'\n[sources.his]\nport = 0\ndialect = "{ward.DIALECT}"\norganisation = "990001"\n'


@dataclass(frozen=True)
class Measured:
    """What the senders saw: seconds in all, and times to an acknowledgement in milliseconds."""

    messages: int
    seconds: float
    median: float
    p95: float
    p99: float

    @property
    def row(self) -> tuple[str, ...]:
        return f"{self.messages / self.seconds:,.0f}", f"{self.median:.1f} ms", f"{self.p95:.1f} ms", f"{self.p99:.1f} ms"


def report(folder: Path, messages: int = MESSAGES) -> str:
    """The section of the report."""
    with ours(folder) as port:
        mine = send(port, messages)
    with python_hl7() as port:
        hl7_listener = send(port, messages // 8)
    with hl7apy() as port:
        hl7apy_listener = send(port, messages // 8, once=True)
    rows = [
        ("ours", "yes, flushed to disk", *mine.row),
        (f"python-hl7 {version('hl7')}, `hl7.mllp` (asyncio)", "no", *hl7_listener.row),
        (f"hl7apy {version('hl7apy')}, `MLLPServer` (threads)", "no", *hl7apy_listener.row),
    ]
    raw = ward.report()
    return (
        "## Listening\n\n"
        f"One message: a laboratory report of {len(raw.splitlines())} segments, {len(raw):,} bytes of UTF-8 with Chinese text.\n"
        f"{CONNECTIONS} connections, each waiting for its acknowledgement before the next message; the senders are a process of their own on\n"
        "the same machine. Ours stores every message sealed, with its digest and an audit entry, before it answers (SQLite, WAL,\n"
        "synchronous=FULL, group commit; nothing is assembled meanwhile). The other two acknowledge only. hl7apy closes the connection\n"
        "after every message, so its senders connect anew; its handler only splits the header, since parsing with hl7apy would take some\n"
        "50 ms more.\n\n" + table(("listener", "stores", "messages/s", "median", "p95", "p99"), rows)
    )


@contextmanager
def ours(folder: Path) -> Iterator[int]:
    """The port of a gateway that listens and stores, and does nothing else."""
    setup.create(folder / "listening")
    config = folder / "listening" / CONFIG_NAME
    config.write_text(config.read_text("utf-8") + SOURCE, "utf-8")
    gateway = Gateway(load(config))
    gateway.mailroom.start()
    gateway.listening.start()
    try:
        yield gateway.listening.addresses["his"][1]
        counters = gateway.listening.counters["his"]
        with gateway.ledger.read() as session:
            stored = session.exec(select(func.count()).select_from(InboundMessage)).one()
        assert stored == counters.answered["AA"], "every acknowledged message is stored"
    finally:
        gateway.close()


@contextmanager
def python_hl7() -> Iterator[int]:
    """The port of python-hl7's server, which acknowledges with what the library makes of the message."""

    async def serve(reader: hl7.mllp.HL7StreamReader, writer: hl7.mllp.HL7StreamWriter) -> None:
        try:
            while True:
                writer.writemessage((await reader.readmessage()).create_ack())
                await writer.drain()
        except asyncio.IncompleteReadError:
            writer.close()

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    starting = hl7.mllp.start_hl7_server(serve, "127.0.0.1", 0, encoding="utf-8")
    server = asyncio.run_coroutine_threadsafe(starting, loop).result()
    yield server.sockets[0].getsockname()[1]
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)


class _Acknowledge(AbstractHandler):
    def reply(self) -> str:
        head = self.incoming_message.split("\r", 1)[0].split("|")
        return f"\x0bMSH|^~\\&|{head[4]}||{head[2]}||{head[6]}||ACK|A{head[9]}|P|2.4\rMSA|AA|{head[9]}\r\x1c\r"


class _Server(MLLPServer):
    request_queue_size = 128  # its own, 5, would drop connections
    daemon_threads = True


@contextmanager
def hl7apy() -> Iterator[int]:
    """The port of hl7apy's server."""
    with _Server("127.0.0.1", 0, {"OUL^R21": (_Acknowledge,)}) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def send(port: int, messages: int, connections: int = CONNECTIONS, *, once: bool = False) -> Measured:
    """Have the senders' process send; what it measured. ``once``: a new connection for each message."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_listener", str(port), str(messages), str(connections)]
    done = subprocess.run([*command, *(["once"] if once else [])], capture_output=True, text=True, check=True)
    return Measured(**json.loads(done.stdout))


async def _send(port: int, messages: int, connections: int, once: bool) -> Measured:
    head, tail = ward.report().split(ward.control_id(ward.report()).encode(), 1)
    times: list[float] = []

    async def sender(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for count in range(messages // connections):
            control_id = f"B{number:03d}{count:06d}"
            data = frame(head + control_id.encode() + tail)
            begin = time.perf_counter()
            if once and count:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            answer = await reader.readuntil(b"\x1c\r")
            times.append((time.perf_counter() - begin) * 1000)
            assert f"|AA|{control_id}".encode() in answer
            if once:
                writer.close()
        writer.close()

    begin = time.perf_counter()
    await asyncio.gather(*(sender(number) for number in range(connections)))
    seconds = time.perf_counter() - begin
    times.sort()
    at = [times[int(len(times) * share)] for share in (0.5, 0.95, 0.99)]
    return Measured(len(times), seconds, *at)


if __name__ == "__main__":
    port, messages, connections = map(int, sys.argv[1:4])
    measured = uvloop.run(_send(port, messages, connections, sys.argv[4:] == ["once"]))
    print(json.dumps(vars(measured)))
