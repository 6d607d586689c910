"""The HL7 v2 wire under random input.

In a normal run each property gets a few hundred cases; ``ZHIBAO_FUZZ=100000`` sets another number.
"""

from __future__ import annotations

import itertools
import os

import hl7
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from adapters.hl7v2.acknowledgement import acknowledgements
from adapters.hl7v2.batch import Fault, messages_of
from adapters.hl7v2.charset import read
from adapters.hl7v2.delimiters import STANDARD, Delimiters, escape, unescape
from adapters.hl7v2.framing import Cut, Deframer, Event, Frame, Oversize, Stray, frame
from adapters.hl7v2.header import Header
from adapters.hl7v2.message import Message
from adapters.hl7v2.refusal import REASONS, MessageRefused, refused

CASES = int(os.environ.get("ZHIBAO_FUZZ", "300"))
quickly = settings(max_examples=CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
pytestmark = pytest.mark.timeout(0 if CASES > 1000 else 120)

HEAD = "MSH|^~\\&|HIS|甲|ESB|乙|20260102||ADT^A01|1|P|2.4"
ENDS_LIKE_A_DELIMITER = [chr(c) for c in range(0x4E00, 0x9FA6) if chr(c).encode("gb18030")[1:2] in (b"|", b"^", b"~", b"\\")]

# a stream of what peers send, good and bad
wire = st.lists(
    st.one_of(
        st.sampled_from([b"\x0b", b"\x1c", b"\x1c\r", b"\r", b"MSH|^~\\&|", b"MS", b"BHS", b"\x0bMSH", "亅中".encode("gb18030")]),
        st.binary(max_size=12),
    ),
    max_size=30,
).map(b"".join)
# bytes that are a message more or less
almost_a_message = st.builds(
    lambda start, parts: start + b"".join(parts),
    st.sampled_from(
        [
            b"",
            b"MSH|^~\\&|",
            b"MSH|^~\\&|||||||ADT^A01|1|P|2.5||||||GBK\r",
            b"MSH|^~\\\\&|A\r",
            b"MSH$%*!@$",
            b"\xef\xbb\xbfMSH|^~\\&\n",
        ]
    ),
    st.lists(
        st.one_of(
            st.sampled_from(
                [b"\r", b"\n", b"|", b"^", b"~", b"\\", b"&", b'""', b"PID|", b"\rOBX|1", b"\\X41", b"\\.br\\", b"\x0b", b"\x1c"]
            ),
            st.text(max_size=5).map(lambda text: text.encode("utf-8", "surrogatepass")),
            st.text(st.sampled_from(ENDS_LIKE_A_DELIMITER), max_size=4).map(lambda text: text.encode("gb18030")),
            st.binary(max_size=4),
        ),
        max_size=25,
    ),
)
character = st.one_of(
    st.characters(codec="gb18030", exclude_categories=("Cs", "Cc", "Zl", "Zp", "Co")),
    st.sampled_from(ENDS_LIKE_A_DELIMITER),
    st.sampled_from("|^~\\&"),
)
PLACES = ("MSH-1", "MSH-2", "MSH-9.2", "MSH-18", "PID-3[2].1.2", "PID-5", "OBX[2]-5", "OBX-5.1", "ZZZ-9")


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places)]


def events(parts: list[bytes], **limits: int) -> list[Event]:
    deframer = Deframer(**limits)
    return [event for part in parts for event in deframer.feed(part)] + deframer.close()


@quickly
@given(wire, st.lists(st.integers(0, 10_000), max_size=12), st.sampled_from([1, 8, 10 << 20]))
def test_frames_do_not_depend_on_the_pieces(data: bytes, cuts: list[int], longest: int) -> None:
    whole = events([data], longest=longest, head=5)
    assert events(pieces(data, cuts), longest=longest, head=5) == whole
    assert events([bytes((byte,)) for byte in data], longest=longest, head=5) == whole
    size = sum(len(e.data) if isinstance(e, Frame) else e.size for e in whole)
    # nothing is lost but control bytes and line ends between frames
    assert len(data.translate(None, b"\x0b\x1c\r\n")) <= size <= len(data)
    for event in whole:
        if isinstance(event, Frame):
            assert len(event.data) <= longest
        elif isinstance(event, Oversize | Cut):
            assert len(event.head) <= 5
        else:
            assert isinstance(event, Stray)


@quickly
@given(
    st.lists(st.binary(max_size=30).map(lambda b: b"MSH" + b.translate(None, b"\x0b\x1c")), max_size=6),
    st.lists(st.integers(0, 999), max_size=9),
)
def test_what_is_framed_comes_out(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(frame(message) for message in messages)
    assert events(pieces(stream, cuts)) == [Frame(message) for message in messages]


@quickly
@given(almost_a_message, st.sampled_from(["", "GBK", "UTF-8", "8859/1"]))
@example(b"MSH|^~\\&|" + "左乳癌".encode()[:-1], "GBK")
def test_a_message_is_read_or_refused(raw: bytes, charset: str) -> None:
    refusal: MessageRefused | None = None
    try:
        message = Message.read(raw, charset=charset)
    except MessageRefused as caught:
        refusal = caught
    if refusal is not None:
        assert refusal.reason in REASONS
        assert not isinstance(refusal.__context__, UnicodeError)
        return
    assert "\ufffd" not in message.text or "\ufffd".encode(message.codec) in raw
    assert message.text.encode(message.codec) == raw.removeprefix(b"\xef\xbb\xbf")
    for place in PLACES:
        sent = message.raw(place)
        assert isinstance(message.value(place), str)
        assert (sent is not None) or message.value(place) == ""
        assert isinstance(message.values(place), list)
    for group in message.groups("PID", "OBX"):
        assert len(group) >= 1
    joined = "\n".join(segment.text for segment in message).replace("\n", "")
    assert joined == message.text.lstrip("\ufeff\r\n \t").replace("\r", "").replace("\n", "")


@quickly
@given(almost_a_message, st.sampled_from([None, "undecodable", "not-stored"]))
def test_whatever_comes_is_answered(raw: bytes, reason: str | None) -> None:
    refusal = refused(reason) if reason else None
    header: Header | None
    try:
        header = Header.of(raw)
        header = Header.of(raw, read(raw, header).codec)
    except MessageRefused as unusable:
        header, refusal = None, unusable
    for answer in acknowledgements(header, refusal):
        assert frame(answer.message)
        parsed = Header.of(answer.message)
        assert parsed.component(9, 1) == "ACK"
        assert answer.message.count(b"\r") == (2 if refusal is None else 3)


@quickly
@given(st.lists(almost_a_message, max_size=4), st.sampled_from([b"\r\n", b"\x1c\r\x0b", b"\rBTS|1\rBHS|^~\\&\r", b"\n\n"]))
def test_a_file_falls_into_messages_and_faults(parts: list[bytes], between: bytes) -> None:
    data = between.join(parts)
    found = list(messages_of(data))
    assert found
    position = 0
    for piece in found:
        if isinstance(piece, Fault):
            assert piece.reason in REASONS
            assert data[piece.offset : piece.offset + len(piece.data)] == piece.data
            continue
        position = data.index(piece, position) + len(piece)
        assert piece.startswith(b"MSH")


@quickly
@given(st.text(character | st.sampled_from("\n\r"), max_size=40), st.sampled_from(["utf-8", "gb18030"]))
def test_escaped_text_comes_back(text: str, codec: str) -> None:
    for marks in (STANDARD, Delimiters("$", "%", "*", "!", "@")):
        escaped = escape(text, marks)
        assert not any(mark in escaped for mark in (marks.field, marks.component, marks.repetition, marks.subcomponent))
        assert unescape(escaped, marks, codec) == text.replace("\r\n", "\n").replace("\r", "\n")


def fields(alphabet: SearchStrategy[str]) -> SearchStrategy[list[list[list[str]]]]:
    return st.lists(
        st.lists(st.lists(st.text(alphabet, max_size=4), min_size=1, max_size=3), min_size=1, max_size=2), min_size=1, max_size=6
    )


@quickly
@given(fields(character), st.sampled_from(["utf-8", "gb18030"]), st.sampled_from(["\r", "\n", "\r\n"]), st.booleans())
def test_what_was_written_is_read(tree: list[list[list[str]]], codec: str, end: str, declared: bool) -> None:
    head = f"{HEAD}||||||{'UNICODE UTF-8' if codec == 'utf-8' else 'GB 18030-2000'}" if declared else HEAD
    body = "|".join("~".join("^".join(escape(leaf, STANDARD) for leaf in part) for part in repetition) for repetition in tree)
    raw = f"{head}{end}ZZZ|{body}{end}".encode(codec)
    # without a declaration UTF-8 comes first, so GB18030 is taken for it where the bytes fit both: an ASCII name, say
    message = Message.read(raw, charset="" if declared else codec)
    if message.codec != codec:
        assert raw.isascii() or message.codec == "utf-8"
        return
    for number, repetitions in enumerate(tree, 1):
        for repetition, parts in enumerate(repetitions, 1):
            for component, leaf in enumerate(parts, 1):
                expected = "" if leaf == '""' else leaf
                assert message.value(f"ZZZ-{number}[{repetition}].{component}") == expected


plain = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs"), exclude_characters='|^~\\&"\x85')


@settings(quickly, max_examples=min(CASES, 5000))
@given(st.lists(fields(plain), min_size=1, max_size=4))
def test_python_hl7_splits_the_same(trees: list[list[list[list[str]]]]) -> None:
    lines = [
        f"ZZ{i}|" + "|".join("~".join("^".join(part) for part in repetition) for repetition in tree) for i, tree in enumerate(trees)
    ]
    text = "\r".join([HEAD, *lines])
    ours, theirs = Message.read(text.encode()), hl7.parse(text)
    assert [segment.name for segment in ours] == [str(segment[0]) for segment in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert [mine.field(number) for number in range(1, len(other))] == [str(other[number]) for number in range(1, len(other))]
        assert mine.field(len(other)) is None


@settings(quickly, max_examples=min(CASES, 2000))
@given(
    st.text(st.sampled_from([chr(c) for c in range(0x4E00, 0x9FA6)]), min_size=12, max_size=30).filter(lambda t: t.isalpha()),
    st.sampled_from(["utf-8", "gb18030"]),
    st.sampled_from(["UNICODE UTF-8", "GBK", "ASCII", "8859/1", "", "CHN"]),
    st.sampled_from(["", "UTF-8", "GB18030"]),
)
def test_a_wrong_declaration_is_read_right_or_refused(text: str, codec: str, word: str, source: str) -> None:
    raw = f"{HEAD}||||||{word}\rNTE|1||{text}\r".encode(codec)
    try:
        message = Message.read(raw, charset=source)
    except MessageRefused:
        return
    assert message.value("NTE-3") == text
