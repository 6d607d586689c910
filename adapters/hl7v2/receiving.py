"""What is made of one message the moment its bytes are there, whichever way they came: can it be read, and what is the answer."""

from __future__ import annotations

import datetime as dt

from adapters.hl7v2.acknowledgement import Acknowledgement, Mode, acknowledgements
from adapters.hl7v2.charset import read
from adapters.hl7v2.framing import frame
from adapters.hl7v2.header import Header
from adapters.hl7v2.refusal import MessageRefused


def examined(raw: bytes, charset: str) -> tuple[Header | None, MessageRefused | None]:
    """The header of a message, read in the character set of the whole of it, and why the message cannot be read, if so."""
    header, refusal = header_of(raw)
    if header is not None:
        try:
            reading = read(raw, header, charset)
        except MessageRefused as undecodable:
            return header, undecodable
        header = Header.of(raw, reading.codec)
    return header, refusal


def header_of(raw: bytes) -> tuple[Header | None, MessageRefused | None]:
    """The header of a message or of its head alone, or why there is none."""
    try:
        return Header.of(raw), None
    except MessageRefused as refusal:
        return None, refusal


def framed(answers: tuple[Acknowledgement, ...]) -> bytes:
    """Answers as they go out on a connection."""
    return b"".join(frame(answer.message) for answer in answers)


def answer_to(raw: bytes, charset: str, mode: Mode, at: dt.datetime) -> tuple[Header | None, MessageRefused | None, bytes]:
    """Header, refusal and unframed answer (the first, where enhanced mode gives two) of a message that came without a frame."""
    header, refusal = examined(raw, charset)
    answers = acknowledgements(header, refusal, mode=mode, at=at)
    return header, refusal, answers[0].message if answers else b""
