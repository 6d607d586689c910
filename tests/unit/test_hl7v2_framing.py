"""MLLP frames from a stream of bytes."""

from __future__ import annotations

import pytest

from adapters.hl7v2 import framing
from adapters.hl7v2.framing import Cut, Deframer, Event, Frame, Oversize, Stray, frame
from adapters.hl7v2.refusal import MessageRefused

ONE = b"MSH|^~\\&|A\rPID|1"
TWO = b"MSH|^~\\&|B\rPID|2"


def events(data: bytes, piece: int = 1 << 20, **limits: int) -> list[Event]:
    deframer = Deframer(**limits)
    found = [event for start in range(0, len(data), piece) for event in deframer.feed(data[start : start + piece])]
    return found + deframer.close()


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (frame(ONE) + frame(TWO), [Frame(ONE), Frame(TWO)]),
        (b"\x0b" + ONE + b"\x1c" + frame(TWO), [Frame(ONE), Frame(TWO)]),
        (b"\x0b" + ONE + b"\x1c\r\n\r\n" + frame(TWO), [Frame(ONE), Frame(TWO)]),
        (b"junk" + frame(ONE) + b"..", [Stray(4), Frame(ONE), Stray(2)]),
        (b"\x0b" + ONE + frame(TWO), [Cut(ONE, len(ONE), "new-frame"), Frame(TWO)]),
        (b"\x0b" + ONE, [Cut(ONE, len(ONE), "end-of-stream")]),
        (frame(ONE) + b"\x1c\r", [Frame(ONE), Stray(1)]),
        (b"\x0b\x1c\r", [Frame(b"")]),
        (b"\x0bMSH|a\x0bsoft\x0b\x1c\r", [Frame(b"MSH|a\x0bsoft\x0b")]),
        (b"\x0bMSH|a\x0bMS\x1c\r", [Frame(b"MSH|a\x0bMS")]),
        (b"\x0bMSH|a\x0bMS", [Cut(b"MSH|a\x0bMS", 8, "end-of-stream")]),
        (b"\x0bFHS|a\x0bBHS|b\x1c", [Cut(b"FHS|a", 5, "new-frame"), Frame(b"BHS|b")]),
        (b"", []),
    ],
)
def test_events_do_not_depend_on_the_pieces(data: bytes, expected: list[Event], piece: int) -> None:
    assert events(data, piece) == expected


@pytest.mark.parametrize("piece", [1, 7, 100, 5000])
def test_of_a_frame_over_the_limit_only_the_head_is_kept(piece: int) -> None:
    big = ONE + b"x" * 3000
    assert events(frame(big) + frame(TWO), piece, longest=100, head=20) == [Oversize(big[:20], len(big)), Frame(TWO)]
    deframer = Deframer(longest=100, head=20)
    for start in range(0, len(big), piece):
        deframer.feed((b"\x0b" if not start else b"") + big[start : start + piece])
        assert len(deframer._buffer) <= 100
    assert deframer.close() == [Cut(big[:20], len(big), "end-of-stream")]


def test_the_limit_itself_is_within() -> None:
    assert events(frame(b"x" * 100), longest=100) == [Frame(b"x" * 100)]
    assert events(frame(b"x" * 101), longest=100, head=3) == [Oversize(b"xxx", 101)]


def test_state_that_a_listener_watches() -> None:
    deframer = Deframer()
    deframer.feed(b"abc")
    assert (deframer.inside, deframer.begun, deframer.stray) == (False, 0, 3)
    deframer.feed(b"\x0bM")
    assert (deframer.inside, deframer.begun, deframer.stray) == (True, 1, 0)
    deframer.feed(b"\x1c")
    assert not deframer.inside


def test_a_message_with_control_bytes_is_not_framed() -> None:
    for byte in (b"\x0b", b"\x1c"):
        with pytest.raises(MessageRefused) as caught:
            frame(b"MSH" + byte)
        assert caught.value.reason == "framing-bytes"


def test_no_byte_of_a_message_shows() -> None:
    assert "MSH" not in repr(events(b"\x0b" + ONE + frame(TWO) + frame(ONE * 20), longest=100))


class CountingPattern:
    """Stands for the pattern of the deframer and counts the bytes it goes over."""

    def __init__(self) -> None:
        self.pattern = framing._CONTROL
        self.work = 0

    def search(self, data: bytes, position: int) -> object:
        found = self.pattern.search(data, position)
        self.work += 1 + (found.start() if found else len(data)) - position
        return found


@pytest.mark.parametrize("content", [b"x" * 20_000, b"\x0b" * 20_000, b"\x0bMSH" * 5_000, b"\x0bMS" * 7_000, b"\x1c\x0b" * 10_000])
@pytest.mark.parametrize("piece", [1, 3, 64, 100_000])
def test_each_byte_is_looked_at_a_bounded_number_of_times(content: bytes, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = CountingPattern()
    monkeypatch.setattr(framing, "_CONTROL", counting)
    events(b"\x0bMSH" + content + b"\x1c\r", piece)
    assert counting.work <= 8 * len(content) + 100
