"""The MSH segment read straight from bytes: all that is needed to choose a character set and to answer, even when only the head of a
message is known or the rest of it cannot be decoded."""

from __future__ import annotations

import re
from typing import NamedTuple, Self

from adapters.hl7v2.delimiters import Delimiters, delimiters
from adapters.hl7v2.refusal import refused

BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"[\r\n]")
_GUESSES = ("utf-8", "gb18030", "latin-1")


class Header(NamedTuple):
    """The fields of an MSH segment. ``codec`` is the Python codec that its bytes were read by and an answer is written in.

    ``fields`` counts as the text does: ``fields[0]`` is ``MSH``, ``fields[1]`` MSH-2.
    """

    delimiters: Delimiters
    fields: tuple[str, ...]
    codec: str

    def __repr__(self) -> str:
        return f"<Header {self.codec}>"

    @classmethod
    def of(cls, message: bytes, codec: str = "") -> Self:
        """The header of ``message``. Raises `MessageRefused` (``no-msh``, ``delimiters``).

        Without ``codec`` the line is read as UTF-8, else GB18030, else Latin-1: enough to find the fields, since the last reads
        anything and writes the same bytes again.
        """
        line = first_line(message)
        if line[:3] != b"MSH" or len(line) < 5:
            raise refused("no-msh")
        if line.isascii():
            text, codec = line.decode("ascii"), codec or "ascii"
        else:
            text, codec = _decoded(line, codec)
        fields = text.split(text[3])
        return cls(delimiters(text[3], fields[1]), tuple(fields), codec)

    def field(self, number: int) -> str:
        """MSH-``number`` as it was sent, or an empty string."""
        if number == 1:
            return self.delimiters.field
        return self.fields[number - 1] if 0 < number <= len(self.fields) else ""

    def component(self, number: int, component: int) -> str:
        """One component of the first repetition of MSH-``number``."""
        text = self.field(number)
        if self.delimiters.repetition:
            text = text.partition(self.delimiters.repetition)[0]
        parts = text.split(self.delimiters.component)
        return parts[component - 1] if component <= len(parts) else ""

    @property
    def control_id(self) -> str:
        """MSH-10."""
        return self.field(10)

    @property
    def version(self) -> str:
        """MSH-12.1, such as ``2.4``."""
        return self.component(12, 1).strip()


def first_line(message: bytes) -> bytes:
    """The first line that is not blank, without a byte-order mark."""
    start = 0
    while message[start : start + 3] != b"MSH" and message.startswith((BOM, b"\r", b"\n", b" ", b"\t"), start):
        start += 3 if message[start] == BOM[0] else 1
    end = _LINE_END.search(message, start)
    return message[start : end.start() if end else len(message)]


def _decoded(line: bytes, codec: str) -> tuple[str, str]:
    for guess in (codec, *_GUESSES) if codec else _GUESSES:
        try:
            return line.decode(guess), guess
        except UnicodeDecodeError:
            continue
    raise AssertionError("Latin-1 reads everything")
