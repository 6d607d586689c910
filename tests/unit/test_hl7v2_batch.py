"""The messages of a file in every style that was seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.hl7v2.batch import Fault, messages_of
from adapters.hl7v2.message import Message
from adapters.hl7v2.refusal import MessageRefused
from tests.corpora import HL7V2, files_of, needs_corpora

A = b"MSH|^~\\&|A\rPID|1"
B = b"MSH|^~\\&|B\nPID|2"
C = "MSH|^~\\&|丙\r\nPID|3||亅".encode("gb18030")


def outcomes(data: bytes, **settings: int) -> list[bytes | tuple[str, bytes]]:
    found: list[bytes | tuple[str, bytes]] = []
    for piece in messages_of(data, **settings):
        if isinstance(piece, Fault):
            assert piece.data == data[piece.offset : piece.offset + len(piece.data)]
            assert piece.refusal.reason == piece.reason
            assert "MSH" not in repr(piece)
            found.append((piece.reason, piece.data))
        else:
            assert piece in data
            found.append(piece)
    return found


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (A, [A]),
        (A + b"\r", [A]),
        (b"\xef\xbb\xbf" + A + b"\r\n\r\n" + B + b"\n\n\n" + C, [A, B, C]),
        (b"\n\n  " + A + b"\r\x1a", [A]),
        (b"\x0b" + A + b"\x1c\r\x0b" + C + b"\r\x1c\r", [A, C]),
        (b"\x0b" + A + b"\x1c\x0b" + B + b"\x1c", [A, B]),
        (b"\x0b" + A + b"\x1c\n" + B + b"\n", [A, B]),
        (A + b"\r\x0c" + B, [A, B]),
        (A + b"\n\xef\xbb\xbf" + B, [A, B]),
        (b"MSH$%*!@$A$\r" + B, [b"MSH$%*!@$A$", B]),
        (b"MSH|LIS|bad\r" + B, [b"MSH|LIS|bad", B]),
        # batch envelopes
        (b"FHS|^~\\&|x\rBHS|^~\\&|y\r" + A + b"\r" + B + b"\rBTS|2\rFTS|1\r", [A, B]),
        (b"BHS|^~\\&\n" + A + b"\nBTS\n", [A]),
        (b"FHS|^~\\&\rBHS|^~\\&\r" + A + b"\rBTS|1\rBHS|^~\\&\r" + B + b"\rBTS|1|ok\rFTS|2", [A, B]),
        (b"BHS|^~\\&\r" + A + b"\rBTS|2\r", [A, ("batch-count", b"BTS|2")]),
        (b"FHS|^~\\&\rBHS|^~\\&\r" + A + b"\rBTS|1\rFTS|3", [A, ("batch-count", b"FTS|3")]),
        (b"FHS|^~\\&\rBHS|^~\\&\r" + A + b"\rBTS|1\r", [A, ("truncated", b"")]),
        (b"BHS|^~\\&\r" + A + b"\r", [A, ("truncated", b"")]),
        # faults
        (b"", [("no-msh", b"")]),
        (b"\r\n ", [("no-msh", b"")]),
        (b"hello\nPID|1\n" + A, [("no-msh", b"hello\nPID|1"), A]),
        (b"\x0b" + A + b"\x1c\rgarbage\r\x0b" + B + b"\x1c\r", [A, ("no-msh", b"garbage"), B]),
        (b"\x0b" + A + b"\x0b" + B + b"\x1c\r", [("truncated", A), B]),
        (b"\x0b" + A + b"\x1c\r\x0b" + B, [A, ("truncated", B)]),
        ("MSH|^~\\&|".encode("utf-16"), [("undecodable", "MSH|^~\\&|".encode("utf-16"))]),
    ],
)
def test_styles(data: bytes, expected: list[bytes | tuple[str, bytes]]) -> None:
    assert [item if isinstance(item, bytes) else (item[0], item[1].rstrip()) for item in outcomes(data)] == expected


def test_an_empty_batch_holds_no_message() -> None:
    assert outcomes(b"BHS|^~\\&\rBTS|0\r") == [("no-msh", b"BHS|^~\\&\rBTS|0\r")]


def test_text_that_looks_a_little_like_a_header_splits_nothing() -> None:
    data = A + b"\rOBX|1|FT|2||see\nMSH-10 and\nMSH and\nFTS text|F\r" + B
    assert outcomes(data) == [data[: -len(B) - 1], B]


def test_a_message_over_the_limit_does_not_hide_the_next() -> None:
    big = A + b"x" * 100
    assert outcomes(big + b"\r" + B, longest=50) == [("too-long", big), B]


def readable(raw: bytes) -> Message | None:
    """None for a message that is refused; anything but a refusal is a failure."""
    try:
        return Message.read(raw)
    except MessageRefused:
        return None


@needs_corpora
def test_a_corpus_is_read_or_refused_with_a_reason() -> None:
    files = files_of(HL7V2, "*.hl7", least=100)
    read = 0
    for file in files:
        for piece in messages_of(file.read_bytes()):
            if isinstance(piece, Fault):
                continue
            if message := readable(piece):
                read += 1
                assert message.kind
                assert all(segment.name.isalnum() for segment in message)
    assert read >= len(files) * 0.95


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[1] / "data" / "hl7v2").glob("*.hl7")), ids=lambda path: path.stem)
def test_samples_of_other_styles(path: Path) -> None:
    messages = list(messages_of(path.read_bytes()))
    assert len(messages) == 1
    assert isinstance(messages[0], bytes)
    message = Message.read(messages[0])
    assert message.kind in ("ADT", "ORU")
    assert message.delimiters.escape == "\\"
