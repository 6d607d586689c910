"""Acknowledgements (HL7 v2.x chapter 2, "acknowledgment: original mode" and "enhanced mode"), written straight as bytes.

What a code promises: AA and CA are given only for a message that is stored. A refusal that may pass when the same message is sent
again (over capacity, not stored in time) is an error, AE or CE; one that cannot (undecodable, no MSH) is a rejection, AR or CR.

An acknowledgement has the delimiters, version, processing id and character set of the message; its texts are Chinese where that
character set has them and English elsewhere.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from typing import Final, Literal, NamedTuple

from adapters.hl7v2.charset import declared, word_of
from adapters.hl7v2.delimiters import STANDARD, escape
from adapters.hl7v2.header import Header
from adapters.hl7v2.refusal import MessageRefused

Mode = Literal["asked", "original"]
"""``asked``: enhanced mode for messages that ask for it in MSH-15 or MSH-16. ``original``: always AA, AE or AR, for senders that fill
these fields without meaning them."""

CONDITIONS: Final = {
    "0": "Message accepted",
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "202": "Unsupported processing id",
    "203": "Unsupported version id",
    "204": "Unknown key identifier",
    "205": "Duplicate key identifier",
    "206": "Application record locked",
    "207": "Application internal error",
}
"""HL7 table 0357, message error condition codes."""

CHINA: Final = dt.timezone(dt.timedelta(hours=8))
_ASKS = frozenset(("AL", "NE", "ER", "SU"))
_CHINESE = frozenset(("utf-8", "gb18030"))
_VERSION = re.compile(r"2\.(\d)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_ECHO = 1000
_VERSION_OF_NOBODY = "2.4"


class Acknowledgement(NamedTuple):
    """One acknowledgement: its code (MSA-1) and the message, not framed."""

    code: str
    message: bytes


def acknowledgements(
    header: Header | None,
    refusal: MessageRefused | None = None,
    *,
    mode: Mode = "asked",
    at: dt.datetime | None = None,
) -> tuple[Acknowledgement, ...]:
    """What has to be answered to a message that is stored, or was refused with ``refusal``.

    One acknowledgement in original mode. In enhanced mode the accept acknowledgement and the application's, each only if MSH-15
    and MSH-16 ask for it: a stored message is accepted on both levels at once, a refused one is refused on the first that asks.
    None for a message that is itself an acknowledgement, since two systems would go on for ever. ``header`` is None for a message
    without a usable MSH, whose sender gets an answer without control id. ``at`` is the time of the answer, now unless given.
    """
    outcome = "A" if refusal is None else "E" if refusal.again else "R"
    levels = _levels(header, mode, outcome == "A")
    if refusal is not None:
        levels = levels[:1]
    return tuple(Acknowledgement(level + outcome, _write(header, level + outcome, refusal, at)) for level in levels)


def is_enhanced(header: Header) -> bool:
    """Does the message ask for enhanced mode? Any other word in MSH-15 and MSH-16 (observed: a country) asks for nothing."""
    return any(header.field(number).strip().upper() in _ASKS for number in (15, 16))


def _levels(header: Header | None, mode: Mode, positive: bool) -> list[str]:
    """``C`` for the accept level, ``A`` for the application's."""
    if header is None:
        return ["A"]
    answers_us = header.component(9, 1).strip().upper() == "ACK"
    if mode == "original" or not is_enhanced(header):
        return [] if answers_us else ["A"]
    wanted = ("AL", "SU" if positive else "ER")
    levels = [level for level, number in (("C", 15), ("A", 16)) if header.field(number).strip().upper() in wanted]
    return [level for level in levels if not (answers_us and level == "A")]


def _write(header: Header | None, code: str, refusal: MessageRefused | None, at: dt.datetime | None) -> bytes:
    marks = header.delimiters if header else STANDARD
    codec = header.codec if header else "ascii"
    echo = _Echo(header)
    when = (at or dt.datetime.now(CHINA)).astimezone(CHINA).strftime("%Y%m%d%H%M%S")
    version = echo.field(12) or _VERSION_OF_NOBODY
    event, structure = echo.component(9, 2), echo.component(9, 3)
    kind = marks.component.join(("ACK", event, "ACK") if event and structure else ("ACK", event) if event else ("ACK",))
    sides = (echo.field(5), echo.field(6), echo.field(3), echo.field(4))
    identity = (kind, uuid.uuid4().hex[:20], echo.field(11) or "P", version)
    segments = [["MSH", marks.encoding, *sides, when, "", *identity, *[""] * 4, echo.field(17), _charset(header)]]
    msa = ["MSA", code, echo.field(10)]
    if refusal is not None:
        english = _clean(escape(refusal.english if refusal.english.isascii() else refusal.reason, marks))
        text = _clean(escape(str(refusal), marks)) if codec in _CHINESE else english
        msa.append(text)
        condition = [refusal.condition, CONDITIONS.get(refusal.condition, ""), "HL70357"]
        if _is_older_than_2_5(version):
            error = ["ERR", marks.component * 3 + (marks.subcomponent.join(condition) if marks.subcomponent else condition[0])]
        else:
            error = ["ERR", "", "", marks.component.join(condition), "E", escape(refusal.reason, marks), "", english, text]
        segments += [msa, error]
    else:
        segments.append(msa)
    lines = (marks.field.join(fields).rstrip(marks.field) if fields is not msa else marks.field.join(fields) for fields in segments)
    return "".join(line + "\r" for line in lines).encode(codec)


class _Echo:
    """Fields of the message that its answer repeats, without what could break the answer."""

    def __init__(self, header: Header | None) -> None:
        self._header = header

    def field(self, number: int) -> str:
        return _echoed(self._header.field(number)) if self._header else ""

    def component(self, number: int, component: int) -> str:
        return _echoed(self._header.component(number, component)) if self._header else ""


def _echoed(text: str) -> str:
    return _clean(text) if len(text) <= _LONGEST_ECHO else ""


def _clean(text: str) -> str:
    """``text`` without control characters, which could break the segment or the frame."""
    return _CONTROL.sub("", text)


def _charset(header: Header | None) -> str:
    """MSH-18: what the sender wrote there, unless its message turned out to be in another character set."""
    if header is None:
        return ""
    _, codec = declared(header)
    if codec and header.codec not in (codec, "ascii"):
        return word_of(header.codec)
    return _Echo(header).field(18)


def _is_older_than_2_5(version: str) -> bool:
    match = _VERSION.match(version)
    return match is None or int(match[1]) < 5
