"""Acknowledgements in both modes, every version shape and every character set."""

from __future__ import annotations

import datetime as dt

import hl7
import pytest

from adapters.hl7v2.acknowledgement import Acknowledgement, Mode, acknowledgements
from adapters.hl7v2.framing import frame
from adapters.hl7v2.header import Header
from adapters.hl7v2.message import Message
from adapters.hl7v2.refusal import REASONS, MessageRefused, refused

AT = dt.datetime(2026, 1, 2, 23, 30, 5, tzinfo=dt.UTC)


def header(
    *, version: str = "2.4", event: str = "ADT^A01", asks: str = "|", charset: str = "||UNICODE UTF-8", codec: str = "utf-8"
) -> Header:
    raw = f"MSH|^~\\&|HIS|甲院|ESB|乙|20260102||{event}|CTRL-1|T|{version}|||{asks}{charset}\rPID|1\r".encode(codec)
    return Header.of(raw, codec)


def codes(answers: tuple[Acknowledgement, ...]) -> list[str]:
    for code, message in answers:
        assert Message.read(message).value("MSA-1") == code
    return [answer.code for answer in answers]


def only(answers: tuple[Acknowledgement, ...]) -> Message:
    [answer] = answers
    return Message.read(answer.message)


def test_a_positive_answer() -> None:
    answer = only(acknowledgements(header(), at=AT))
    assert answer.text.startswith("MSH|^~\\&|ESB|乙|HIS|甲院|20260103073005||ACK^A01|")
    assert [segment.name for segment in answer] == ["MSH", "MSA"]
    found = [answer.value(place) for place in ("MSA-1", "MSA-2", "MSH-11", "MSH-12", "MSH-18")]
    assert found == ["AA", "CTRL-1", "T", "2.4", "UNICODE UTF-8"]
    assert len(answer.control_id) == 20
    assert answer.control_id != only(acknowledgements(header(), at=AT)).control_id


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("ADT^A01", "ACK^A01"),
        ("ORU^R01^ORU_R01", "ACK^R01^ACK"),
        ("ADT^ZP1", "ACK^ZP1"),
        ("ADT", "ACK"),
        ("", "ACK"),
        ("QRY^^X", "ACK"),
    ],
)
def test_kind(event: str, kind: str) -> None:
    assert only(acknowledgements(header(event=event))).raw("MSH-9") == kind


@pytest.mark.parametrize(
    ("asks", "stored", "again", "never"),
    [
        ("|", ["AA"], ["AE"], ["AR"]),
        ("CHN|", ["AA"], ["AE"], ["AR"]),
        ("AL|", ["CA"], ["CE"], ["CR"]),
        ("AL|NE", ["CA"], ["CE"], ["CR"]),
        ("al|ne", ["CA"], ["CE"], ["CR"]),
        ("AL|AL", ["CA", "AA"], ["CE"], ["CR"]),
        ("NE|AL", ["AA"], ["AE"], ["AR"]),
        ("|AL", ["AA"], ["AE"], ["AR"]),
        ("ER|NE", [], ["CE"], ["CR"]),
        ("SU|NE", ["CA"], [], []),
        ("ER|SU", ["AA"], ["CE"], ["CR"]),
        ("SU|ER", ["CA"], ["AE"], ["AR"]),
        ("NE|NE", [], [], []),
    ],
)
def test_modes(asks: str, stored: list[str], again: list[str], never: list[str]) -> None:
    asking = header(asks=asks)
    assert codes(acknowledgements(asking)) == stored
    assert codes(acknowledgements(asking, refused("over-capacity"))) == again
    assert codes(acknowledgements(asking, refused("undecodable"))) == never
    assert codes(acknowledgements(asking, mode="original")) == ["AA"]
    assert codes(acknowledgements(asking, refused("undecodable"), mode="original")) == ["AR"]


@pytest.mark.parametrize("mode", ["asked", "original"])
def test_an_acknowledgement_is_not_acknowledged(mode: Mode) -> None:
    assert acknowledgements(header(event="ACK^A01"), mode=mode) == ()
    assert codes(acknowledgements(header(event="ACK^A01", asks="AL|AL"))) == ["CA"]


@pytest.mark.parametrize("version", ["2.1", "2.2", "2.3", "2.3.1", "2.4", "", "x"])
def test_error_segment_before_2_5(version: str) -> None:
    answer = only(acknowledgements(header(version=version), refused("over-capacity")))
    assert answer.raw("ERR-1") == "^^^207&Application internal error&HL70357"
    assert answer.value("MSA-3") == "网关暂时无法接收。请稍后重发"


@pytest.mark.parametrize("version", ["2.5", "2.5.1", "2.6", "2.7", "2.8.2", "2.5.1^CHN"])
def test_error_segment_from_2_5(version: str) -> None:
    answer = only(acknowledgements(header(version=version), refused("not-in-time")))
    found = [answer.value(place) for place in ("ERR-1", "ERR-3.1", "ERR-3.3", "ERR-4", "ERR-5", "ERR-7", "ERR-8")]
    assert found == ["", "207", "HL70357", "E", "not-in-time", "not stored in time, send again", "消息未能按时保存。请重发"]
    assert answer.raw("MSH-12") == version


@pytest.mark.parametrize(
    ("charset", "codec", "word"),
    [
        ("||UNICODE UTF-8", "utf-8", "UNICODE UTF-8"),
        ("||GBK", "gb18030", "GBK"),
        ("||", "gb18030", ""),
        ("||UNICODE UTF-8", "gb18030", "GB 18030-2000"),
        ("||8859/1", "gb18030", "GB 18030-2000"),
        ("||GB2312", "utf-8", "UNICODE UTF-8"),
    ],
)
def test_answers_in_the_character_set_of_the_message(charset: str, codec: str, word: str) -> None:
    [answer] = acknowledgements(header(charset=charset, codec=codec), refused("over-capacity"))
    text = answer.message.decode(codec)
    assert "网关暂时无法接收" in text
    assert "|甲院|" in text
    assert Message.read(answer.message, charset=codec).value("MSH-18") == word


def test_shifted_declaration_is_echoed_where_it_stood() -> None:
    [answer] = acknowledgements(header(charset="|GB2312|", codec="gb18030"))
    assert Message.read(answer.message).raw("MSH-17") == "GB2312"


def test_english_where_the_character_set_has_no_chinese() -> None:
    [answer] = acknowledgements(Header.of(b"MSH|^~\\&|LIS|A|||||ORU^R01|7|P|2.5"), refused("undecodable"))
    assert answer.message.isascii()
    assert Message.read(answer.message).value("ERR-8") == REASONS["undecodable"].english


def test_other_delimiters_are_echoed() -> None:
    raw = b"MSH$%*!@$A$B$C$D$$$ORU%R01$77$P$2.5"
    [answer] = acknowledgements(Header.of(raw), MessageRefused("x", "y", english="why $ %", condition="101"))
    message = Message.read(answer.message)
    assert answer.message.startswith(b"MSH$%*!@$C$D$A$B$")
    assert [message.value(place) for place in ("MSA-2", "ERR-3.2", "ERR-7")] == ["77", "Required field missing", "why $ %"]
    [plain] = acknowledgements(Header.of(b"MSH|^|A||||||ORU^R01|7|P|2.4"), refused("too-long"))
    assert Message.read(plain.message).raw("ERR-1") == "^^^207"


def test_without_a_usable_header() -> None:
    answer = only(acknowledgements(None, refused("no-msh")))
    assert [answer.raw(place) for place in ("MSA-1", "MSA-2", "MSH-9", "MSH-12")] == ["AR", "", "ACK", "2.4"]


def test_of_a_head_only() -> None:
    head = b"MSH|^~\\&|LIS|A|||||ORU^R01|BIG|P|2.4\rOBX|1|FT|" + "诊断".encode()[:-1]
    assert only(acknowledgements(Header.of(head), refused("too-long"))).value("MSA-2") == "BIG"


def test_nothing_in_a_header_breaks_the_answer() -> None:
    raw = b"MSH|^~\\&|\x0bL\x00IS|" + b"x" * 5000 + b"|||||ORU^R01^|7\x0b|P|2.4"
    [answer] = acknowledgements(Header.of(raw), MessageRefused("odd\x1c", "坏\x0b", english="中文"))
    assert frame(answer.message)
    assert len(answer.message) < 1000
    latin = Header.of(b"MSH|^~\\&|\xff\xff|\x80|||||ORU^R01|\xfe\xff|P|2.4")
    assert b"\rMSA|AR|\xfe\xff|" in acknowledgements(latin, refused("undecodable"))[0].message


def test_python_hl7_reads_the_answer() -> None:
    [answer] = acknowledgements(header(version="2.5.1", event="ORU^R01^ORU_R01"), refused("not-stored"))
    parsed = hl7.parse(answer.message.decode())
    assert str(parsed.segment("MSA")[1]) == "AE"
    assert str(parsed.segment("ERR")[3][0][0]) == "207"
