"""Files of HL7 v2 messages: which files hold some, their messages one by one, and the dialect of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from adapters.hl7v2.batch import Fault, messages_of
from adapters.hl7v2.dialect import recognised
from adapters.hl7v2.message import Message
from gateway.model.errors import FileRefused

LARGEST: Final = 256 << 20
"""The size limit of a file in bytes."""

_ENVELOPES = (b"MSH", b"FHS", b"BHS")
_SUFFIXES = (".hl7", ".hl7v2")


def holds_messages(path: Path) -> bool:
    """Whether a file holds HL7 v2 messages, by its first bytes or its name. False for one that cannot be opened."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        return False
    return head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\x0b\r\n\t ").startswith(_ENVELOPES) or path.suffix.lower() in _SUFFIXES


def pieces_of(path: Path) -> Iterator[tuple[int, bytes | Fault]]:
    """The messages of a file, counted from 0. Raises `FileRefused` for a file that cannot be opened or is too large."""
    try:
        if path.stat().st_size > LARGEST:
            raise FileRefused("over-limit", f"文件超过 {LARGEST >> 20} MiB", action="请拆分后再读取", english="file too large")
        data = path.read_bytes()
    except OSError:
        raise FileRefused("unreadable", "文件无法读取", action="请检查路径和权限", english="unreadable") from None
    yield from enumerate(messages_of(data))


def whole(piece: bytes | Fault) -> bytes:
    """The bytes of a message. Raises `MessageRefused` for a piece that is none."""
    if isinstance(piece, Fault):
        raise piece.refusal
    return piece


def dialect_of(message: Message, named: str) -> str:
    """The name of the dialect that a message is read by: the named one, else the built-in one that recognises it, else ``standard``."""
    if named:
        return named
    found = recognised(message)
    return found.id if found is not None else "standard"
