"""Messages a second for the HL7 v2 reader and its peers, and acknowledgements a second over MLLP: ``python tests/benchmarks/bench_hl7v2.py``.

One message: an ORU of 15 segments with Chinese pathology text, of which the 25 fields that a report needs are read. Every reader is
timed in the same process on the same bytes, the best of several rounds is shown. Not collected by pytest.
"""

from __future__ import annotations

import asyncio
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import hl7
import uvloop
from hl7apy.parser import parse_message

from adapters.hl7v2.framing import frame
from adapters.hl7v2.keeper import Kept, Received
from adapters.hl7v2.listener import Listener
from adapters.hl7v2.message import Message, path
from adapters.hl7v2.terms import Terms

FINDING = "（左乳）浸润性导管癌，II级，大小2.5×2.0×1.8cm，脉管内见癌栓，切缘未见癌累及\\.br\\腋窝淋巴结2/15枚见癌转移"
SEGMENTS = (
    "MSH|^~\\&|PIS|病理科|ESB|平台|20260102030405||ORU^R01^ORU_R01|20260102000001|P|2.5.1|||AL|NE|CHN|{charset}",
    "PID|1||0012345^^^&1.2.156&ISO^MR~990101196901021238^^^^NI||张三丰^ZHANG SANFENG||19690102|M|||北京路1号^^杭州^浙江^310000^CHN",
    "PV1|1|I|肿瘤科^201^3^本部^^^1号楼||||D001^王医生|D002^李医生||ONC||||1||||01|2026000123|||||||||||||||||||||||||20260101080000",
    "ORC|RE|P0001|F0001||CM",
    "OBR|1|P0001|B2026-00017_1_1|1487^病理检查^L|||20260102||||||左乳肿物|20260102||^赵医生|||||||20260102||SP|F",
    "NTE|1||已与临床核对",
    *(f"OBX|{n}|TX|{n}^病理诊断^L||{FINDING}||||||F|||20260102" for n in range(1, 8)),
    "OBX|8|NM|K^Ki-67^L||30|%|||||F",
    "ZPI|1|石蜡|病理号^B2026-00017",
)
PATHS = (
    *(
        "MSH-3",
        "MSH-7",
        "MSH-9.1",
        "MSH-9.2",
        "MSH-10",
        "MSH-12.1",
        "PID-3.1",
        "PID-3[2].1",
        "PID-3[2].5",
        "PID-5.1",
        "PID-7",
        "PID-8",
    ),
    *("PV1-2", "PV1-3.1", "PV1-19.1", "PV1-44", "OBR-3", "OBR-4.2", "OBR-24", "OBR-25"),
    *("OBX-3.1", "OBX-5", "OBX[2]-5", "OBX[7]-5", "OBX[8]-5"),
)


def ours(raw: bytes) -> list[str]:
    message = Message.read(raw)
    return [message.value(place) for place in PATHS]


def python_hl7(codec: str) -> Callable[[bytes], list[str]]:
    def read(raw: bytes) -> list[str]:
        message = hl7.parse(raw.decode(codec))
        return [_at_python_hl7(message, place) for place in PATHS]

    return read


def _at_python_hl7(message: hl7.Message, place: str) -> str:
    """Its own accessor takes the same kind of path, written ``PID.3.R2.1``."""
    spot = path(place)
    if not spot.component:
        field = message.segments(spot.segment)[spot.occurrence - 1][spot.field]
        return str(message.unescape(str(field)))
    return str(message.extract_field(spot.segment, spot.occurrence, spot.field, spot.repetition, spot.component, 1))


def hl7apy(codec: str) -> Callable[[bytes], list[str]]:
    def read(raw: bytes) -> list[str]:
        message = parse_message(raw.decode(codec), find_groups=False)
        return [_at_hl7apy(message, place) for place in PATHS]

    return read


def _at_hl7apy(message: object, place: str) -> str:
    """The field, or its first component where a part is asked; its tree is walked no deeper, to its advantage."""
    spot = path(place)
    segment = getattr(message, spot.segment.lower())[spot.occurrence - 1]
    repetitions = getattr(segment, f"{spot.segment.lower()}_{spot.field}")
    return repetitions[spot.repetition - 1].to_er7() if len(repetitions) >= spot.repetition else ""


def rate(read: Callable[[bytes], list[str]], raw: bytes, seconds: float) -> float:
    """Messages a second, best of five rounds."""
    assert len(read(raw)) == len(PATHS)
    best = 0.0
    for _ in range(5):
        count, begin = 0, time.process_time()
        while (spent := time.process_time() - begin) < seconds / 5:
            read(raw)
            count += 1
        best = max(best, count / spent)
    return best


class Nothing:
    """Keeps nothing: what is measured is the wire alone."""

    async def keep(self, received: Received) -> Kept:
        return Kept()


async def acknowledged(connections: int, each: int, ahead: int, raw: bytes) -> tuple[float, float]:
    """(acknowledgements a second, 99th percentile of the time to one in ms); client and listener share the process and the core."""
    listener = Listener(Terms(source="bench"), Nothing())
    await listener.start()
    data, times = frame(raw), []

    async def peer() -> None:
        reader, writer = await asyncio.open_connection(*listener.address)
        for _ in range(each // ahead):
            begin = time.perf_counter()
            writer.write(data * ahead)
            for _ in range(ahead):
                await reader.readuntil(b"\x1c\r")
            times.append((time.perf_counter() - begin) * 1000)
        writer.close()
        await writer.wait_closed()

    begin = time.perf_counter()
    await asyncio.gather(*(peer() for _ in range(connections)))
    spent = time.perf_counter() - begin
    await listener.stop()
    return connections * each / spent, sorted(times)[int(len(times) * 0.99) - 1]


def main() -> None:
    print(f"Python {platform.python_version()}, {platform.machine()}, one core; {len(SEGMENTS)} segments, {len(PATHS)} fields read")
    for codec, charset in (("utf-8", "UNICODE UTF-8"), ("gb18030", "GB 18030-2000")):
        raw = "\r".join(SEGMENTS).format(charset=charset).encode(codec)
        mine = rate(ours, raw, 2)
        print(f"\n{charset}, {len(raw):,} bytes\n{'reader':<22}{'messages/s':>12}{'ours is':>12}")
        print(f"{'ours':<22}{mine:>12,.0f}{'':>12}")
        for name, other, seconds in (("python-hl7 0.4.5", python_hl7(codec), 2), ("hl7apy 1.3.5", hl7apy(codec), 3)):
            theirs = rate(other, raw, seconds)
            print(f"{name:<22}{theirs:>12,.0f}{f'{mine / theirs:,.0f} x':>12}")
    raw = "\r".join(SEGMENTS).format(charset="UNICODE UTF-8").encode()
    print(f"\n{'MLLP, nothing stored':<40}{'acks/s':>10}{'p99 ms':>10}")
    for name, loop in (("asyncio", asyncio.new_event_loop), ("uvloop", uvloop.new_event_loop)):
        for connections, each, ahead in ((1, 2000, 1), (200, 40, 1), (20, 320, 16)):
            with asyncio.Runner(loop_factory=loop) as runner:
                acks, late = runner.run(acknowledged(connections, each, ahead, raw))
            print(f"{f'{name}, {connections} connections, {ahead} at a time':<40}{acks:>10,.0f}{late:>10.1f}")


if __name__ == "__main__":
    main()
