"""The character set of a message: read right or refused, never read wrong."""

from __future__ import annotations

import traceback

import pytest

from adapters.hl7v2.charset import FOREIGN, Reading, codec_of, declared, read
from adapters.hl7v2.header import Header
from adapters.hl7v2.message import Message
from adapters.hl7v2.refusal import MessageRefused
from gateway.model.errors import ConfigurationError

TEXT = "左乳浸润性导管癌，切缘未见癌累及"
NAME = "张㛃䶮"


def message(text: str = TEXT, *, msh15_19: str = "||||", codec: str = "utf-8") -> bytes:
    return f"MSH|^~\\&|LIS|甲|ESB|B|20260101||ORU^R01|1|P|2.4|||{msh15_19}\rOBX|1|FT|2||{text}\r".encode(codec)


def reading(raw: bytes, source: str = "") -> Reading:
    return read(raw, Header.of(raw), source)


def refusal(raw: bytes, source: str = "") -> MessageRefused:
    with pytest.raises(MessageRefused) as caught:
        reading(raw, source)
    error = caught.value
    assert not isinstance(error.__context__, UnicodeError)
    assert not isinstance(error.__cause__, UnicodeError)
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(error.__dict__)
    assert "codec can" not in shown
    assert "LIS" not in shown
    return error


@pytest.mark.parametrize(
    ("word", "codec"),
    [
        ("GB 18030-2000", "gb18030"),
        ("GB18030", "gb18030"),
        ("GB18030-2022", "gb18030"),
        ("gb2312", "gb18030"),
        ("GB 2312-80", "gb18030"),
        ("GBK", "gb18030"),
        ("CP936", "gb18030"),
        ("UNICODE", "utf-8"),
        ("Unicode", "utf-8"),
        ("UNICODE UTF-8", "utf-8"),
        ("UTF-8", "utf-8"),
        ("utf8", "utf-8"),
        ("8859/1", "iso8859-1"),
        ("ISO8859_1", "iso8859-1"),
        ("ISO-8859-15", "iso8859-15"),
        ("8859/12", FOREIGN),
        ("ASCII", "ascii"),
        ("US-ASCII", "ascii"),
        ("BIG-5", FOREIGN),
        ("UNICODE UTF-16", FOREIGN),
        ("CHN", ""),
        ("USA", ""),
        ("", ""),
    ],
)
def test_words_of_senders(word: str, codec: str) -> None:
    assert codec_of(word) == codec


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("||CHN|UNICODE", ("UNICODE", "utf-8")),
        ("|CHN|UNICODE UTF-8|", ("UNICODE UTF-8", "utf-8")),
        ("||GB2312||", ("GB2312", "gb18030")),
        ("||||GBK", ("GBK", "gb18030")),
        ("|||ASCII~GB 18030-2000", ("ASCII", "ascii")),
        ("|||~UNICODE UTF-8", ("UNICODE UTF-8", "utf-8")),
        ("||CHN|方言|en", ("方言", "")),
        ("||CHN||", ("", "")),
    ],
)
def test_where_a_declaration_stands(fields: str, expected: tuple[str, str]) -> None:
    assert declared(Header.of(message(msh15_19=fields))) == expected


@pytest.mark.parametrize(
    ("fields", "codec", "source", "found", "basis", "contradicted"),
    [
        ("|||UNICODE UTF-8", "utf-8", "", "utf-8", "declared", False),
        ("|||GBK", "gb18030", "", "gb18030", "declared", False),
        ("||GB2312||", "gb18030", "", "gb18030", "declared", False),
        ("||||", "utf-8", "", "utf-8", "detected", False),
        ("||||", "gb18030", "", "gb18030", "detected", False),
        ("||||", "gb18030", "GBK", "gb18030", "source", False),
        # contradicted declarations and settings
        ("|||UNICODE UTF-8", "gb18030", "", "gb18030", "detected", True),
        ("|||UNICODE UTF-8", "gb18030", "GBK", "gb18030", "source", True),
        ("|||GB 18030-2000", "utf-8", "", "utf-8", "detected", True),
        ("|||ASCII", "utf-8", "", "utf-8", "detected", True),
        ("|||ASCII", "gb18030", "", "gb18030", "detected", True),
        ("|||8859/1", "utf-8", "", "utf-8", "detected", True),
        ("|||8859/1", "gb18030", "", "gb18030", "detected", True),
        ("||||", "utf-8", "GBK", "utf-8", "detected", False),
        ("|||BIG-5", "utf-8", "", "utf-8", "detected", True),
    ],
)
@pytest.mark.parametrize("text", [TEXT, NAME + TEXT, "小一" + TEXT])
def test_read_right(fields: str, codec: str, source: str, found: str, basis: str, contradicted: bool, text: str) -> None:
    raw = message(text, msh15_19=fields, codec=codec)
    result = reading(raw, source)
    assert text in result.text
    assert (result.codec, result.basis, result.contradicted) == (found, basis, contradicted)
    assert Message.read(raw, charset=source).value("OBX-5") == text


@pytest.mark.parametrize(("declaration", "source", "codec"), [("", "", "ascii"), ("UTF-8", "", "utf-8"), ("", "GBK", "gb18030")])
def test_plain_ascii_takes_the_character_set_that_is_claimed(declaration: str, source: str, codec: str) -> None:
    assert reading(f"MSH|^~\\&|||||||||||||||{declaration}".encode(), source).codec == codec


def test_latin_letters_that_stand_alone_are_believed() -> None:
    raw = "MSH|^~\\&|||||||||||||||||8859/1\rPID|1||||Müller^André 5 µg".encode("latin-1")
    assert Message.read(raw).value("PID-5.2") == "André 5 µg"


@pytest.mark.parametrize("text", ["Größe", "Straße ÄÖ", "喆"])
def test_what_may_be_latin_or_chinese_is_refused(text: str) -> None:
    codec = "latin-1" if text[0].isascii() else "gb18030"
    raw = b"MSH|^~\\&||||||||||||||||8859/1\rPID|1||||" + text.encode(codec)
    assert refusal(raw).reason == "undecodable"
    assert reading(raw, "GBK").basis == "source"


def test_another_script_is_never_guessed_to_be_chinese() -> None:
    assert refusal(message(codec="gb18030", msh15_19="|||BIG-5")).reason == "undecodable"


@pytest.mark.parametrize("lost", [1, 2])
@pytest.mark.parametrize("fields", ["||||", "|||UNICODE UTF-8", "|||GBK", "|||8859/1", "|||ASCII"])
def test_text_cut_within_a_character_is_refused(fields: str, lost: int) -> None:
    raw = message(msh15_19=fields).rstrip(b"\r")[:-lost]
    assert refusal(raw).reason == "truncated"
    assert refusal(raw, "GBK").reason == "truncated"


def test_a_damaged_character_is_refused() -> None:
    good = message().rstrip(b"\r")
    place = good.index("导".encode())
    assert refusal(good[:place] + good[place + 1 :]).reason == "undecodable"
    assert refusal(b"MSH|^~\\&|\xff\xff").reason == "undecodable"
    assert refusal(message(codec="gb18030").rstrip(b"\r")[:-1] + b"\xff").reason == "undecodable"


def test_two_byte_utf8_of_foreign_scripts_is_chinese() -> None:
    text = "小一"
    chance = text.encode("gb18030")
    assert chance.decode("utf-8") != text
    assert reading(b"MSH|^~\\&|" + chance).text.endswith(text)
    assert reading("MSH|^~\\&|5 µg ±1 α".encode()).text.endswith("5 µg ±1 α")


def test_byte_order_mark() -> None:
    for codec in ("utf-8", "gb18030"):
        assert Message.read(b"\xef\xbb\xbf" + message(codec=codec)).value("OBX-5") == TEXT


def test_an_unknown_setting_is_a_configuration_error() -> None:
    for source in ("CHN", "BIG-5"):
        with pytest.raises(ConfigurationError):
            reading(message(), source)


def test_a_reading_does_not_show_its_text() -> None:
    assert TEXT not in repr(reading(message()))


def test_every_character_that_ends_in_the_byte_of_a_delimiter() -> None:
    for mark in "|^~\\":
        characters = [chr(code) for code in range(0x4E00, 0x9FFF) if chr(code).encode("gb18030")[1:2] == mark.encode()]
        assert len(characters) >= 100
        for character in characters:
            raw = f"MSH|^~\\&|{character}||||||ORU^R01|1|P|2.4\rPID|1||{character}^2||{character}A^{character}|M".encode("gb18030")
            read_one = Message.read(raw, charset="GBK")
            assert [read_one.value(place) for place in ("MSH-3", "PID-3.1", "PID-3.2", "PID-5.2", "PID-6")] == [
                character,
                character,
                "2",
                character,
                "M",
            ]
