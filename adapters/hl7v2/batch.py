"""The messages in the bytes of a file: one or many, bare or in MLLP frames, with batch envelopes (FHS BHS … BTS FTS, HL7 v2.x chapter
2, batch protocol) and blank lines as they come.

Line ends and control bytes never occur inside a character of UTF-8 or GB18030, so nothing needs to be decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from adapters.hl7v2.header import BOM
from adapters.hl7v2.message import LONGEST
from adapters.hl7v2.refusal import MessageRefused, refused

_PUNCTUATION = rb"[!-/:-@\[-`{-~]"
_MARK = re.compile(
    # a line or frame begins
    rb"(\A|[\r\n\x0b\x1c\x0c])(?:" + BOM + rb")?[ \t]*"
    # with a header that declares its delimiters, usual ones or whatever looks like some, or with a trailer
    rb"(?:(MSH|BHS|FHS)(?=\||(" + _PUNCTUATION + rb")" + _PUNCTUATION + rb"{1,5}\3)"
    rb"|(BTS|FTS)(?=" + _PUNCTUATION + rb"|[\r\n\x0b\x1c\x0c]|\Z))"
)
_COUNT = re.compile(rb"[^\d](\d{1,9})(?!\d)")
_END_OF_LINE = re.compile(rb"[\r\n\x0b\x1c\x0c]|\Z")
_BLANK = b"\r\n\x0b\x1c\x0c\x1a\x00 \t"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Fault:
    """A piece of a file that is no message. ``reason`` is one of the `REASONS`; ``offset`` counts from the start of the file; the
    bytes are kept in ``data``."""

    reason: str
    offset: int
    data: bytes = field(repr=False)

    @property
    def refusal(self) -> MessageRefused:
        """The fault as an exception of the tree."""
        return refused(self.reason)


def messages_of(data: bytes, *, longest: int = LONGEST) -> Iterator[bytes | Fault]:
    """The raw bytes of each message in file order; a fault never hides the message after it.

    Faults: ``no-msh`` bytes that belong to no message, or no message at all; ``truncated`` a frame or a batch that does not end;
    ``batch-count`` a trailer that counts otherwise; ``too-long``; ``undecodable`` a file in UTF-16.
    """
    if data.startswith(_UTF_16):
        yield Fault("undecodable", 0, data)
        return
    envelopes = _Envelopes()
    anything = False
    marks = _MARK.finditer(data)
    mark = next(marks, None)
    for piece in _outside(data, 0, mark.start() if mark else len(data)):
        anything = True
        yield piece
    while mark:
        following = next(marks, None)
        start, end = mark.start(2) if mark[2] else mark.start(4), following.start() if following else len(data)
        name = mark[2] or mark[4]
        if name == b"MSH":
            pieces = _message(data, start, end, framed=mark[1] == b"\x0b", longest=longest)
            envelopes.messages += 1
        else:
            line_end = _end_of_line(data, start)
            pieces = [*envelopes.see(name, start, data[start:line_end]), *_outside(data, line_end, end)]
        for piece in pieces:
            anything = True
            yield piece
        mark = following
    yield from envelopes.left_open(len(data))
    if not anything:
        yield Fault("no-msh", 0, data)


class _Envelopes:
    """The batch and the file of batches that are open, and what was counted in them."""

    def __init__(self) -> None:
        self.messages = 0
        self._batches = 0
        self._open: list[bytes] = []

    def see(self, name: bytes, offset: int, line: bytes) -> Iterator[Fault]:
        """A header or trailer line."""
        if name == b"FHS":
            self._batches = 0
            self._open = [name]
        elif name == b"BHS":
            self.messages = 0
            self._batches += 1
            self._open = [*(other for other in self._open if other == b"FHS"), name]
        else:
            header, seen = (b"BHS", self.messages) if name == b"BTS" else (b"FHS", self._batches)
            counted = _COUNT.match(line, 3)
            if counted and int(counted[1]) != seen:
                yield Fault("batch-count", offset, line)
            self._open = [other for other in self._open if other != header]

    def left_open(self, size: int) -> Iterator[Fault]:
        """What never had its trailer."""
        if self._open:
            yield Fault("truncated", size, b"")


def _message(data: bytes, start: int, end: int, *, framed: bool, longest: int) -> list[bytes | Fault]:
    block_end = data.find(b"\x1c", start, end)
    stop = end if block_end < 0 else block_end
    message = data[start:stop].rstrip(b"\r\n\x0c\x1a\x00")
    found: bytes | Fault = message
    if len(message) > longest:
        found = Fault("too-long", start, message)
    elif framed and block_end < 0 and not data.startswith(b"\x1c", end):
        found = Fault("truncated", start, message)
    return [found, *_outside(data, stop, end)]


def _outside(data: bytes, start: int, end: int) -> list[bytes | Fault]:
    """What stands between messages, unless it is blank."""
    piece = data[start:end]
    rest = piece.removeprefix(BOM).lstrip(_BLANK)
    return [Fault("no-msh", end - len(rest), rest)] if rest else []


def _end_of_line(data: bytes, start: int) -> int:
    found = _END_OF_LINE.search(data, start)
    return found.start() if found else len(data)
