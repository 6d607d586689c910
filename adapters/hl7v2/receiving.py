"""What is made of one message the moment its bytes are there, whichever way they came: can it be read, and what is the answer."""

from __future__ import annotations

from adapters.hl7v2.acknowledgement import Acknowledgement
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
