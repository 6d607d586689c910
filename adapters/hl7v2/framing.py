"""MLLP frames on bytes (HL7 transport specification, minimal lower layer protocol): ``0x0B message 0x1C 0x0D``.

Neither control byte occurs inside a character of UTF-8 or GB18030, so framing needs no character set. `Deframer` takes the stream in
any pieces and looks at each byte once. What peers are observed to do, and is put up with: a missing last 0x0D, line ends and stray
bytes between frames, a new frame begun before the last one ended, and 0x0B inside free text (a soft line break of a word processor).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal

from adapters.hl7v2.refusal import refused

START: Final = b"\x0b"
END: Final = b"\x1c"
CR: Final = b"\r"

_CONTROL = re.compile(rb"[\x0b\x1c]")
_FIRST_SEGMENTS = (b"MSH", b"BHS", b"FHS")
_BEGINNINGS = frozenset(name[:length] for name in _FIRST_SEGMENTS for length in range(3))


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole frame without its control bytes."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Oversize:
    """A frame that ended, of ``size`` bytes, over the limit: only its ``head`` was kept."""

    head: bytes = field(repr=False)
    size: int


@dataclass(frozen=True, slots=True)
class Cut:
    """A frame of ``size`` bytes so far that never ended: a new one began, or the stream ended."""

    head: bytes = field(repr=False)
    size: int
    by: Literal["new-frame", "end-of-stream"]


@dataclass(frozen=True, slots=True)
class Stray:
    """``size`` bytes outside any frame, line ends not counted. They are not kept."""

    size: int


Event = Frame | Oversize | Cut | Stray


def frame(message: bytes) -> bytes:
    """``message`` as an MLLP frame. Raises `MessageRefused` (``framing-bytes``) when it holds a control byte."""
    if START in message or END in message:
        raise refused("framing-bytes")
    return START + message + END + CR


class Deframer:
    """The frames of one stream of bytes. ``longest`` is the size limit of a frame and ``head`` what is kept of one beyond it, in
    bytes; no more than these and the piece at hand are ever held."""

    def __init__(self, longest: int = 10 << 20, head: int = 4096) -> None:
        self._longest = longest
        self._head = head
        self._buffer = bytearray()
        self._size = 0
        self._waiting = b""
        self.inside = False
        self.begun = 0
        self.stray = 0

    def feed(self, data: bytes) -> list[Event]:
        """Take the next piece of the stream; what came to an end in it, in order.

        ``inside`` then says whether a frame is under way, ``begun`` how many have begun and ``stray`` how many stray bytes were
        seen since the last frame (a `Stray` is reported when the next frame begins, or on `close`).
        """
        if self._waiting:
            data, self._waiting = self._waiting + data, b""
        events: list[Event] = []
        position = 0
        while position < len(data):
            position = self._inside(data, position, events) if self.inside else self._between(data, position, events)
        return events

    def close(self) -> list[Event]:
        """The stream has ended; what was left unfinished."""
        events: list[Event] = []
        if self.inside:
            self._append(self._waiting)
            self._waiting = b""
            events.append(Cut(bytes(self._buffer[: self._head]), self._size, "end-of-stream"))
            self._forget()
        self._report_stray(events)
        return events

    def _between(self, data: bytes, position: int, events: list[Event]) -> int:
        start = data.find(START, position)
        end = len(data) if start < 0 else start
        self.stray += len(data[position:end].translate(None, b"\r\n"))
        if start < 0:
            return end
        self._report_stray(events)
        self._begin()
        return start + 1

    def _inside(self, data: bytes, position: int, events: list[Event]) -> int:
        """Consume up to the end of the frame or of the data."""
        search = position
        while found := _CONTROL.search(data, search):
            at = found.start()
            if data[at] == END[0]:
                self._append(data[position:at])
                whole = self._size <= self._longest
                events.append(Frame(bytes(self._buffer)) if whole else Oversize(bytes(self._buffer), self._size))
                self._forget()
                return at + 1
            following = data[at + 1 : at + 4]
            if following in _FIRST_SEGMENTS:
                self._append(data[position:at])
                events.append(Cut(bytes(self._buffer[: self._head]), self._size, "new-frame"))
                self._forget()
                self._begin()
                return at + 1
            if at + 4 > len(data) and following in _BEGINNINGS:
                self._append(data[position:at])
                self._waiting = data[at:]
                return len(data)
            search = at + 1
        self._append(data[position:])
        return len(data)

    def _append(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= self._longest:
            self._buffer += piece
        elif len(self._buffer) != self._head:
            self._buffer += piece[: self._head]
            del self._buffer[self._head :]

    def _begin(self) -> None:
        self.inside = True
        self.begun += 1

    def _forget(self) -> None:
        self.inside = False
        self._buffer = bytearray()
        self._size = 0

    def _report_stray(self, events: list[Event]) -> None:
        if self.stray:
            events.append(Stray(self.stray))
            self.stray = 0
