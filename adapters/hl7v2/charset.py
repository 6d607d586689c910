"""The character set of a message, decided once for the whole of it and before anything is split: in GBK 116 characters end in the
byte of each delimiter (亅 in that of ``|``).

The order: what MSH-18 declares; a character-set word in MSH-16, 17 or 19 (observed dialects shift these fields by one); the source's
setting; strict UTF-8; strict GB18030. What decodes nowhere is refused. A declaration may be wrong and text in a wrong character set
often decodes all the same, so a reading must also be credible:

* GB18030 is not believed where the bytes are UTF-8 for the most part, whole or cut off.
* ISO 8859 decodes anything. It is believed only where letters beyond ASCII stand alone and the bytes are not UTF-8.
* Where nothing is declared, UTF-8 is not believed when it yields only two-byte characters of scripts foreign to a Chinese hospital.

No character is ever replaced, and no codec's error leaves this module: it holds the message.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from adapters.hl7v2.header import BOM, Header
from adapters.hl7v2.refusal import refused
from gateway.model.errors import ConfigurationError

Basis = Literal["declared", "source", "detected"]

FOREIGN: Final = "foreign"
"""Stands for a character set of HL7 table 0211 that no sender here uses and that is not read: never guessed to be GB18030."""

_NAME_IN_MSH_18 = {"utf-8": "UNICODE UTF-8", "gb18030": "GB 18030-2000", "ascii": "ASCII"}
_WORDS = {
    "ASCII": "ascii",
    "USASCII": "ascii",
    "UTF8": "utf-8",
    "UNICODE": "utf-8",
    "UNICODEUTF8": "utf-8",
    "GBK": "gb18030",
    "CP936": "gb18030",
    "MS936": "gb18030",
    "WINDOWS936": "gb18030",
    "EUCCN": "gb18030",
    "LATIN1": "iso8859-1",
}
_GB = re.compile(r"GB(18030|2312|13000|K)\d*")
_ISO_8859 = re.compile(r"(?:ISO)?8859([1-9]|1[0-6])")
_FOREIGN = re.compile(r"(BIG5|CNS|JIS|JAS|KSX|ISOIR|TIS|UTF(16|32)|UNICODEUTF(16|32)|SHIFTJIS|EUCJP|EUCKR).*")
_ASCII = bytes(range(128))
_NO_FIRST_OF_THREE = bytes(byte for byte in range(256) if not 0xE0 <= byte <= 0xEF)
_THREE_BYTES = re.compile(rb"[\xe0-\xef][\x80-\xbf]{2}")
_LONG_RUN = re.compile(rb"[\x80-\xff]{4}")
_ADJACENT_OR_C1 = re.compile(rb"[\x80-\x9f]|[\x80-\xff]{2}")
_CREDIBLE_BESIDE_ASCII = re.compile(r"[\u00a0-\u00ff\u0370-\u03ff\u0800-\U0010ffff]")


class Reading(NamedTuple):
    """The text of a message and how it was found.

    ``codec`` is the Python codec (``utf-8``, ``gb18030``, ``iso8859-1`` …; ``ascii`` when nothing else is known of an all-ASCII
    message). ``declared`` is the word that the message declared itself by, as sent, ``basis`` what decided. ``contradicted``: the
    bytes are not in the character set that the message declared.
    """

    text: str
    codec: str
    declared: str
    basis: Basis
    contradicted: bool

    def __repr__(self) -> str:
        return f"<Reading {self.codec}, {self.basis}>"


@lru_cache(maxsize=256)
def codec_of(word: str) -> str:
    """The Python codec for a character-set word as senders write it, `FOREIGN`, or an empty string for any other word.

    GB2312 and GBK are read as GB18030, which holds them and the rare characters of names besides. Plain ``UNICODE`` always meant
    UTF-8 (observed dialects)."""
    plain = re.sub(r"[^A-Z0-9]", "", word.upper())
    if plain in _WORDS:
        return _WORDS[plain]
    if _GB.fullmatch(plain):
        return "gb18030"
    if part := _ISO_8859.fullmatch(plain):
        return "iso8859-" + part[1] if part[1] != "12" else FOREIGN
    return FOREIGN if _FOREIGN.fullmatch(plain) else ""


def declared(header: Header) -> tuple[str, str]:
    """(word as sent, codec) that a message declares; the codec is empty for an unknown word, both for none. Of the repetitions of
    MSH-18 the first known one counts."""
    repetition = header.delimiters.repetition
    first = ""
    for number in (18, 16, 17, 19):
        value = header.field(number)
        words = value.split(repetition) if repetition and number == 18 else (value,)
        for word in words:
            if word and (codec := codec_of(word)):
                return word, codec
            if number == 18:
                first = first or word.strip()
    return first, ""


def word_of(codec: str) -> str:
    """What MSH-18 says for a codec (HL7 table 0211)."""
    return _NAME_IN_MSH_18.get(codec) or codec.replace("iso8859-", "8859/")


def read(message: bytes, header: Header, source: str = "") -> Reading:
    """Decode ``message``; ``source`` is the character set that is configured for its source, if any.

    Raises `MessageRefused` (``undecodable``, or ``truncated`` when only the last character is cut off) and `ConfigurationError`
    for an unknown ``source``.
    """
    word, said = declared(header)
    configured = setting(source) if source else ""
    if message.isascii():
        codec, basis = _choice(said if said != FOREIGN else "", configured)
        return Reading(message.decode("ascii"), codec or "ascii", word, basis, False)
    message = message.removeprefix(BOM)
    for codec, basis in _candidates(message, said, configured):
        text = _strictly(message, codec, certain=basis != "detected")
        if text is not None:
            return Reading(text, codec, word, basis, bool(said) and codec != said)
    cut = any(_ends_within_a_character(message, codec) for codec, _ in _candidates(message, said, configured))
    raise refused("truncated" if cut else "undecodable")


def setting(source: str) -> str:
    """The codec that is meant by a source's setting. Raises `ConfigurationError`."""
    codec = codec_of(source)
    if codec in ("", FOREIGN):
        raise ConfigurationError(
            f"来源设置的字符集“{source}”无法识别",
            action="请填写 UTF-8、GB18030 或 ASCII",
            english=f"unknown character set {source!r}",
        )
    return codec


def _choice(said: str, configured: str) -> tuple[str, Basis]:
    return (said, "declared") if said else (configured, "source") if configured else ("", "detected")


def _candidates(message: bytes, said: str, configured: str) -> list[tuple[str, Basis]]:
    order: list[tuple[str, Basis]] = []
    if said and said != FOREIGN:
        order.append((said, "declared"))
    if configured:
        order.append((configured, "source"))
    order.append(("utf-8", "detected"))
    # what claims to be another script is taken for Chinese only when the bytes come in pairs of pairs, as Chinese words do
    if said != FOREIGN and not (said.startswith("iso8859") and not _LONG_RUN.search(message)):
        order.append(("gb18030", "detected"))
    return order


def _strictly(message: bytes, codec: str, *, certain: bool = True) -> str | None:
    """``message`` in ``codec``, or None when it is not credibly in it. ``certain``: somebody said that it is."""
    try:
        text = message.decode(codec)
    except UnicodeDecodeError:
        return None
    if codec == "gb18030" and _mostly_utf8(message):
        return None
    if codec.startswith("iso8859") and (_ADJACENT_OR_C1.search(message) or _mostly_utf8(message)):
        return None
    if codec == "utf-8" and not certain and not _CREDIBLE_BESIDE_ASCII.search(text) and _strictly(message, "gb18030") is not None:
        return None
    return text


def _ends_within_a_character(message: bytes, codec: str) -> bool:
    if codec not in ("utf-8", "gb18030"):
        return False
    decoder = codecs.getincrementaldecoder(codec)()
    try:
        decoder.decode(message)
    except UnicodeDecodeError:
        return False
    return bool(decoder.getstate()[0]) and (codec == "utf-8" or not _mostly_utf8(message))


def _mostly_utf8(message: bytes) -> bool:
    """Do three-byte UTF-8 sequences, which all Chinese characters are, make up more than half of the bytes beyond ASCII? Of real
    Chinese text in GBK less than one short word in a hundred looks so, and a sentence never does."""
    beyond = message.translate(None, _ASCII)
    if 6 * len(beyond.translate(None, _NO_FIRST_OF_THREE)) <= len(beyond):  # quicker to see, and seen in most Chinese text
        return False
    return 6 * len(_THREE_BYTES.findall(beyond)) > len(beyond)
