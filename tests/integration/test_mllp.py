"""The MLLP listener over real sockets, with python-hl7's client as an independent peer."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import uvloop
from hl7.client import MLLPClient

from adapters.hl7v2.framing import Deframer, Frame, frame
from adapters.hl7v2.keeper import Kept, Received
from adapters.hl7v2.listener import Listener
from adapters.hl7v2.message import Message
from adapters.hl7v2.refusal import MessageRefused
from adapters.hl7v2.terms import Terms
from gateway.model.errors import ConfigurationError, Overloaded
from tests.authority import key_and_certificate

SECRET = "赵敏敏"


def message(number: int = 1, *, asks: str = "|", version: str = "2.4", name: str = SECRET) -> bytes:
    head = f"MSH|^~\\&|HIS|甲院|ESB|乙|20260102||ADT^A01|C{number}|P|{version}|||{asks}||UNICODE UTF-8"
    return f"{head}\rPID|1||{number}||{name}\r".encode()


class MemoryKeeper:
    """Keeps in a list; repeats by control id and bytes; ``before`` runs first and may wait or raise."""

    def __init__(self, before: Callable[[Received], Awaitable[None]] | None = None) -> None:
        self.received: list[Received] = []
        self.kept: dict[tuple[str, bytes], bytes] = {}
        self.before = before

    async def keep(self, received: Received) -> Kept:
        self.received.append(received)
        if self.before:
            await self.before(received)
        key = received.control_id, received.raw
        if key in self.kept:
            return Kept.again(self.kept[key])
        self.kept[key] = received.answer
        return Kept()


class Peer:
    """A raw MLLP client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._deframer = Deframer()
        self._answers: list[bytes] = []

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> Message:
        while not self._answers:
            data = await self.reader.read(1 << 16)
            if not data:
                raise EOFError
            self._answers += [event.data for event in self._deframer.feed(data) if isinstance(event, Frame)]
        return Message.read(self._answers.pop(0))

    async def ask(self, raw: bytes) -> str:
        await self.send(frame(raw))
        found = await self.answer()
        return f"{found.value('MSA-1')} {found.value('MSA-2')}"

    async def closed(self) -> bool:
        """Wait until the listener closes; whether it did so without a further byte."""
        try:
            return await self.reader.read() == b""
        except ConnectionError:
            return True


@asynccontextmanager
async def listening(keeper: MemoryKeeper, **terms: object) -> AsyncIterator[Listener]:
    listener = Listener(Terms(source="his", **terms), keeper)  # type: ignore[arg-type]
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop(grace=5)
        assert listener.counters.open == listener.counters.held == 0


@asynccontextmanager
async def connected(listener: Listener, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_connection(*listener.address, ssl=tls, server_hostname="localhost" if tls else None)
    try:
        yield Peer(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def run(main: Coroutine[object, object, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await main

    asyncio.run(bounded())


@pytest.fixture(autouse=True)
def _no_patient_in_the_log(caplog: pytest.LogCaptureFixture) -> object:
    caplog.set_level(logging.DEBUG)
    yield
    assert SECRET not in caplog.text
    assert "PID|" not in caplog.text
    assert "Traceback" not in caplog.text


def test_python_hl7_is_answered_and_a_repetition_gets_the_stored_answer() -> None:
    async def main() -> None:
        keeper = MemoryKeeper()
        async with listening(keeper) as listener:

            def peer() -> list[bytes]:
                with MLLPClient(*listener.address) as client:
                    return [client.send_message(message(n)) for n in (1, 2, 1)]

            first, second, again = await asyncio.to_thread(peer)
            assert again == first != second
            answer = Message.read(first[1:-2])
            assert [answer.value(p) for p in ("MSA-1", "MSA-2", "MSH-3", "MSH-5", "MSH-9.2")] == ["AA", "C1", "ESB", "HIS", "A01"]
            assert [(r.connection, r.number, r.raw) for r in keeper.received] == [
                (1, i, message(n)) for i, n in ((1, 1), (2, 2), (3, 1))
            ]
            assert (listener.counters.repeated, listener.counters.answered["AA"]) == (1, 2)
            assert listener.counters.received_bytes == sum(len(r.raw) for r in keeper.received)

    run(main())


def test_split_writes_several_in_one_write_and_what_lies_between() -> None:
    async def main() -> None:
        async with listening(MemoryKeeper()) as listener, connected(listener) as peer:
            for byte in frame(message(1)):
                await peer.send(bytes((byte,)))
            assert (await peer.answer()).value("MSA-2") == "C1"
            await peer.send(
                b"noise" + frame(message(2))[:-1] + frame(message(3)) + b"\x0b\x1c\r" + frame(message(4)) + b"\x0bMSH|^~\\&|half"
            )
            assert [(await peer.answer()).value("MSA-2") for _ in range(3)] == ["C2", "C3", "C4"]
            await peer.send(frame(message(5)))
            assert (await peer.answer()).value("MSA-2") == "C5"
            assert listener.counters.stray_bytes == 5
            assert listener.counters.cut == {"new-frame": 1}

    run(main())


def test_two_hundred_connections() -> None:
    async def main() -> None:
        keeper = MemoryKeeper()
        everybody = asyncio.Barrier(200)

        async def peer(listener: Listener, number: int) -> list[str]:
            async with connected(listener) as one:
                await everybody.wait()
                assert listener.counters.open == 200
                return [await one.ask(message(number * 10 + n)) for n in range(3)]

        async with listening(keeper) as listener:
            answers = await asyncio.gather(*(peer(listener, number) for number in range(200)))
        assert answers == [[f"AA C{number * 10 + n}" for n in range(3)] for number in range(200)]
        assert listener.counters.answered == {"AA": 600}
        assert listener.counters.closed["by-peer"] + listener.counters.closed["stopped"] == 200

    run(main())


def test_pipelining_keeps_the_order_and_is_bounded() -> None:
    async def main() -> None:
        gates = [asyncio.Event() for _ in range(10)]
        full = asyncio.Event()

        async def wait(received: Received) -> None:
            if len(keeper.received) == 4:
                full.set()
            await gates[int(received.control_id[1:])].wait()

        keeper = MemoryKeeper(wait)
        async with listening(keeper, in_flight=4) as listener, connected(listener) as peer:
            await peer.send(b"".join(frame(message(n)) for n in range(10)))
            await full.wait()
            gates[3].set()  # the last of four is ready first, but waits its turn
            gates[1].set()
            await asyncio.sleep(0)
            assert len(keeper.received) == 4
            for gate in gates:
                gate.set()
            assert [(await peer.answer()).value("MSA-2") for _ in range(10)] == [f"C{n}" for n in range(10)]
            assert [r.control_id for r in keeper.received] == [f"C{n}" for n in range(10)]

    run(main())


def test_no_more_is_read_while_too_much_waits() -> None:
    async def main() -> None:
        gate, one_waits = asyncio.Event(), asyncio.Event()

        async def wait(received: Received) -> None:
            one_waits.set()
            await gate.wait()

        keeper = MemoryKeeper(wait)
        async with listening(keeper, held=150_000) as listener, connected(listener) as first, connected(listener) as second:
            big = message(1, name="x" * 100_000)
            await first.send(frame(big))
            await one_waits.wait()
            sending = asyncio.create_task(second.send(frame(message(2, name="y" * 100_000)) + frame(message(3))))
            while listener.counters.received < 2:
                await asyncio.sleep(0.001)
            assert len(keeper.received) == 1
            assert listener.counters.held == len(big)
            gate.set()
            await sending
            assert (await first.answer()).value("MSA-2") == "C1"
            assert [(await second.answer()).value("MSA-2") for _ in range(2)] == ["C2", "C3"]

    run(main())


def test_what_waits_in_vain_for_room_is_over_capacity() -> None:
    async def main() -> None:
        one_waits = asyncio.Event()

        async def wait(received: Received) -> None:
            one_waits.set()
            await asyncio.Event().wait()

        keeper = MemoryKeeper(wait)
        terms = {"held": 10, "answer_within": 0.4}
        async with listening(keeper, **terms) as listener, connected(listener) as first, connected(listener) as second:
            await first.send(frame(message(1)))
            await one_waits.wait()
            answers = await asyncio.gather(first.answer(), second.ask(message(2)))
            assert answers[0].value("MSA-1") == "AE"
            assert answers[1] == "AE C2"
            assert listener.counters.refused["not-in-time"] >= 1

    run(main())


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (RuntimeError(f"disk full at {SECRET}"), "AE", "not-stored"),
        (Overloaded("磁盘将满"), "AE", "over-capacity"),
        (MessageRefused("unknown-sender", "发送方未登记", english="unknown sender", condition="103"), "AR", "unknown-sender"),
    ],
)
def test_a_keeper_that_fails_never_brings_a_positive_answer(error: Exception, code: str, reason: str) -> None:
    async def main() -> None:
        async def fail(received: Received) -> None:
            if received.number == 1:
                raise error

        async with listening(MemoryKeeper(fail)) as listener, connected(listener) as peer:
            await peer.send(frame(message(1, version="2.5.1")))
            answer = await peer.answer()
            assert [answer.value(p) for p in ("MSA-1", "MSA-2", "ERR-5")] == [code, "C1", reason]
            assert await peer.ask(message(2)) == "AA C2"
            assert listener.counters.refused == {reason: 1}
            assert listener.counters.answered == {code: 1, "AA": 1}

    run(main())


@pytest.mark.parametrize(("asks", "code"), [("|", "AE"), ("AL|NE", "CE")])
def test_a_keeper_that_takes_too_long_is_answered_within_the_bound(asks: str, code: str) -> None:
    async def main() -> None:
        stubborn = asyncio.Event()

        async def wait(received: Received) -> None:
            if received.number != 1:
                return
            while not stubborn.is_set():
                with suppress(asyncio.CancelledError):  # it will not be cancelled; the sender must not wait for it
                    await stubborn.wait()

        async with listening(MemoryKeeper(wait), answer_within=0.3) as listener, connected(listener) as peer:
            begin = asyncio.get_running_loop().time()
            assert await peer.ask(message(1, asks=asks)) == f"{code} C1"
            assert asyncio.get_running_loop().time() - begin < 2
            assert (await peer.ask(message(2, asks="|"))) == "AA C2"
            assert listener.counters.refused == {"not-in-time": 1}
            stubborn.set()

    run(main())


def test_enhanced_mode_and_senders_that_want_no_answer() -> None:
    async def main() -> None:
        async with listening(MemoryKeeper()) as listener, connected(listener) as peer:
            assert await peer.ask(message(1, asks="AL|AL")) == "CA C1"
            assert (await peer.answer()).value("MSA-1") == "AA"
            await peer.send(frame(message(2, asks="NE|NE")))
            assert await peer.ask(message(3, asks="AL|NE")) == "CA C3"
            assert listener.counters.answered == {"CA": 2, "AA": 1, "none": 1}
        async with listening(MemoryKeeper(), mode="original") as listener, connected(listener) as peer:
            assert await peer.ask(message(1, asks="AL|AL")) == "AA C1"
            assert await peer.ask(message(2, asks="NE|NE")) == "AA C2"

    run(main())


def test_what_cannot_be_read_is_kept_and_refused_and_the_next_goes_on() -> None:
    async def main() -> None:
        keeper = MemoryKeeper()
        async with listening(keeper) as listener, connected(listener) as peer:
            cut = message(1).rstrip(b"\r")[:-1]
            assert await peer.ask(cut) == "AR C1"
            assert await peer.ask(b"PID|1||x") == "AR "
            assert await peer.ask(b"MSH|HIS|x") == "AR "
            assert await peer.ask(message(2)) == "AA C2"
            assert [(r.raw, r.refusal and r.refusal.reason) for r in keeper.received] == [
                (cut, "truncated"),
                (b"PID|1||x", "no-msh"),
                (b"MSH|HIS|x", "delimiters"),
                (message(2), None),
            ]
            assert listener.counters.refused == {"truncated": 1, "no-msh": 1, "delimiters": 1}
            assert SECRET not in repr(keeper.received)

    run(main())


def test_the_answer_is_in_the_character_set_of_the_message() -> None:
    async def main() -> None:
        async def fail(received: Received) -> None:
            raise Overloaded("磁盘将满")

        async with listening(MemoryKeeper(fail), charset="GBK") as listener, connected(listener) as peer:
            await peer.send(frame(message(1).decode().replace("UNICODE UTF-8", "").encode("gb18030")))
            data = await peer.reader.readuntil(b"\x1c")
            assert "网关暂时无法接收" in data.decode("gb18030")

    run(main())


def test_a_message_over_the_limit_is_refused_by_its_control_id() -> None:
    async def main() -> None:
        keeper = MemoryKeeper()
        async with listening(keeper, longest=5000) as listener, connected(listener) as peer:
            assert await peer.ask(message(1, name="长" * 100_000)) == "AR C1"
            assert await peer.ask(message(2, name="长" * 100)) == "AA C2"
            assert len(keeper.received) == 1
            assert listener.counters.refused == {"too-long": 1}

    run(main())


@pytest.mark.parametrize(
    ("sent", "reason", "terms"),
    [
        (b"", "idle", {"idle_after": 0.1}),
        (b"\x0bMSH|^~\\&|", "slow-frame", {"frame_within": 0.1}),
        (b"GET / HTTP/1.1\r\n" * 100, "not-mllp", {"stray": 1000}),
    ],
)
def test_connections_that_lead_nowhere_are_closed(sent: bytes, reason: str, terms: dict[str, object]) -> None:
    async def main() -> None:
        async with listening(MemoryKeeper(), **terms) as listener, connected(listener) as peer:
            await peer.send(sent)
            assert await peer.closed()
            while listener.counters.open:
                await asyncio.sleep(0.001)
            assert listener.counters.closed == {reason: 1}

    run(main())


def test_a_frame_that_trickles_is_slow_although_bytes_come() -> None:
    async def main() -> None:
        async with listening(MemoryKeeper(), frame_within=0.2) as listener, connected(listener) as peer:
            await peer.send(b"\x0bMSH|^~\\&|")
            closed = asyncio.create_task(peer.closed())
            while not closed.done():
                try:
                    await peer.send(b"x")
                except ConnectionError:
                    break
                await asyncio.wait({closed}, timeout=0.02)
            await closed
            assert listener.counters.closed == {"slow-frame": 1}

    run(main())


def test_a_connection_is_not_idle_while_it_waits_for_an_answer() -> None:
    async def main() -> None:
        async def wait(received: Received) -> None:
            await asyncio.sleep(0.3)

        async with listening(MemoryKeeper(wait), idle_after=0.05) as listener, connected(listener) as peer:
            assert await peer.ask(message(1)) == "AA C1"
            assert await peer.closed()

    run(main())


async def send_for_ever(peer: socket.socket, data: bytes) -> None:
    while True:
        await asyncio.get_running_loop().sock_sendall(peer, data)


def test_a_peer_that_never_reads_its_answers_is_let_go() -> None:
    async def main() -> None:
        keeper = MemoryKeeper()
        async with listening(keeper, send_within=0.3) as listener:
            with socket.socket() as peer:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
                peer.connect(listener.address)
                peer.setblocking(False)
                asks = frame(message(1, asks="AL|AL")) * 200
                with pytest.raises(ConnectionError):
                    await send_for_ever(peer, asks)
            while listener.counters.open:
                await asyncio.sleep(0.001)
            assert listener.counters.closed == {"answer-not-taken": 1}

    run(main())


def test_a_peer_that_resets_its_connection_harms_nobody() -> None:
    async def main() -> None:
        gate, waits = asyncio.Event(), asyncio.Event()

        async def wait(received: Received) -> None:
            waits.set()
            await gate.wait()

        keeper = MemoryKeeper(wait)
        async with listening(keeper) as listener:
            peer = socket.create_connection(listener.address)
            peer.sendall(frame(message(1)))
            await waits.wait()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            gate.set()
            async with connected(listener) as other:
                assert await other.ask(message(1)) == "AA C1"
        assert listener.counters.repeated == 1

    run(main())


def test_a_half_closed_peer_still_gets_its_answers() -> None:
    async def main() -> None:
        async with listening(MemoryKeeper()) as listener, connected(listener) as peer:
            await peer.send(frame(message(1)) + frame(message(2)) + b"\x0bMSH|")
            peer.writer.write_eof()
            assert [(await peer.answer()).value("MSA-2") for _ in range(2)] == ["C1", "C2"]
            assert await peer.closed()
            assert listener.counters.cut == {"end-of-stream": 1}

    run(main())


def test_only_allowed_networks_and_a_bounded_number_of_peers() -> None:
    async def main() -> None:
        elsewhere = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
        async with listening(MemoryKeeper(), networks=elsewhere) as listener, connected(listener) as peer:
            assert await peer.closed()
            assert listener.counters.turned_away == {"not-allowed": 1}
            assert listener.counters.connections == 0
        async with listening(MemoryKeeper(), connections=1) as listener, connected(listener) as first:
            assert await first.ask(message(1)) == "AA C1"
            async with connected(listener) as second:
                assert await second.closed()
            assert listener.counters.turned_away == {"too-many": 1}
            assert await first.ask(message(2)) == "AA C2"

    run(main())


def test_stopping_answers_what_was_received() -> None:
    async def main() -> None:
        gate, waits = asyncio.Event(), asyncio.Event()

        async def wait(received: Received) -> None:
            waits.set()
            await gate.wait()

        listener = Listener(Terms(source="his"), MemoryKeeper(wait))
        await listener.start()
        address = listener.address
        async with connected(listener) as peer:
            await peer.send(frame(message(1)))
            await waits.wait()
            stopping = asyncio.create_task(listener.stop())
            await asyncio.sleep(0)
            gate.set()
            assert (await peer.answer()).value("MSA-1") == "AA"
            await stopping
            assert await peer.closed()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(*address)
        await listener.stop()

    run(main())


def test_stopping_does_not_wait_for_ever() -> None:
    async def main() -> None:
        waits = asyncio.Event()

        async def wait(received: Received) -> None:
            waits.set()
            await asyncio.Event().wait()

        listener = Listener(Terms(source="his"), MemoryKeeper(wait))
        await listener.start()
        async with connected(listener) as peer:
            await peer.send(frame(message(1)))
            await waits.wait()
            await listener.stop(grace=0.1)
            assert await peer.closed()
            assert listener.counters.answered["AA"] == 0

    run(main())


def test_a_port_in_use_and_a_wrong_character_set_are_configuration_errors() -> None:
    async def main() -> None:
        async with listening(MemoryKeeper()) as listener:
            other = Listener(Terms(source="lis", port=listener.address[1]), MemoryKeeper())
            with pytest.raises(ConfigurationError):
                await other.start()
        with pytest.raises(ConfigurationError):
            Terms(source="lis", charset="CHN")

    run(main())


def test_under_uvloop() -> None:
    async def main() -> None:
        async with listening(MemoryKeeper(), idle_after=0.2) as listener, connected(listener) as peer:
            assert await peer.ask(message(1)) == "AA C1"
            assert await peer.closed()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


# -- TLS


def test_mutual_tls(tmp_path: Path) -> None:
    authority = key_and_certificate(tmp_path, "authority")
    for name in ("listener", "his-1"):
        key_and_certificate(tmp_path, name, authority)
    key_and_certificate(tmp_path, "stranger")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "authority.pem"))
    server.load_cert_chain(tmp_path / "listener.pem")
    server.verify_mode = ssl.CERT_REQUIRED

    def client(name: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
        if name:
            context.load_cert_chain(tmp_path / f"{name}.pem")
        return context

    async def main() -> None:
        keeper = MemoryKeeper()
        async with listening(keeper, tls=server, handshake_within=2) as listener:
            async with connected(listener, client("his-1")) as peer:
                assert await peer.ask(message(1)) == "AA C1"
                assert keeper.received[0].peer.certificate == "his-1"
            for name in ("", "stranger"):
                with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
                    async with connected(listener, client(name)) as peer:
                        await peer.ask(message(2))
            with pytest.raises((OSError, EOFError)):
                async with connected(listener) as plain:
                    await plain.ask(message(3))
            assert len(keeper.received) == 1

    run(main())
