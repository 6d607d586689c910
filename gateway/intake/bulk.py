"""FHIR files: bulk data (NDJSON, a resource a line) piece by piece; bundles and single resources whole.

Memory stays flat however long a bulk file is: a piece of it is one message with its lines as they came, durable before the next one is
read. What cannot be used is kept with the reason; the rest goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from adapters.fhir import wire
from adapters.fhir.refusal import FhirRefused, Issue
from adapters.fhir.structure import document_faults
from adapters.fhir.wire import Document
from gateway.intake.repository import Repository

PIECE_LINES: Final = 500
PIECE_BYTES: Final = 1 << 20
"""A piece of a bulk file ends with the line that reaches one of these."""

_SUFFIXES: Final = (".ndjson", ".jsonl")


@dataclass(frozen=True, slots=True)
class Piece:
    """One message of a file: its bytes, the number of its first line (or 0), and what was read of it. ``faults`` name what cannot be used:
    the whole of it where there is no ``document``, else single lines."""

    first: int
    raw: bytes = field(repr=False)
    document: Document | None
    faults: tuple[Issue, ...] = ()

    @property
    def refusal(self) -> FhirRefused | None:
        """Why nothing, or not everything, of it can be used."""
        if not self.faults:
            return None
        return FhirRefused(self.faults[0].rule, self.faults)


def is_bulk(path: Path) -> bool:
    """Whether a file is bulk data, by its name."""
    return path.suffix.lower() in _SUFFIXES


def pieces_of(path: Path, *, longest: int) -> Iterator[Piece]:
    """The messages of a file. ``longest`` limits a line, or a file that is one message; what is longer is refused by a `Piece` without
    bytes."""
    with path.open("rb") as source:
        if is_bulk(path):
            yield from _lines(source, longest)
            return
        raw = source.read(longest + 1)
    if len(raw) > longest:
        yield Piece(0, b"", None, (_too_long(""),))
        return
    yield whole(raw)


def whole(raw: bytes, *, content_type: str = "") -> Piece:
    """One message that is a bundle or a resource."""
    try:
        document = wire.read(raw, content_type=content_type)
    except FhirRefused as refusal:
        return Piece(0, raw, None, refusal.issues)
    faults = tuple(document_faults(document))
    return Piece(0, raw, None if faults else document, faults)


def take_file(repository: Repository, source: str, path: Path, *, longest: int) -> int:
    """Make everything in a file durable under a source; how many of its pieces could be used. Raises `Overloaded`; then the file can be
    taken again from its beginning."""
    taken = 0
    for piece in pieces_of(path, longest=longest):
        if piece.document is not None:
            try:
                repository.accept(source, piece.raw, piece.document, peer="folder")
                taken += 1
            except FhirRefused as refusal:
                repository.refuse(source, piece.raw, refusal, peer="folder")
        if piece.refusal is not None:
            repository.refuse(source, piece.raw, piece.refusal, peer="folder", kept_as="" if piece.raw else path.name)
    return taken


def _lines(source: BinaryIO, longest: int) -> Iterator[Piece]:
    lines: list[bytes] = []
    first = number = size = 0
    while line := source.readline(longest + 1):
        if len(line) > longest and not line.endswith(b"\n"):
            if lines:
                yield _piece(first, lines)
            yield Piece(number, b"", None, (_too_long(f"line[{number}]"),))
            while line and not line.endswith(b"\n"):
                line = source.readline(PIECE_BYTES)
            number += 1
            first, size, lines = number, 0, []
            continue
        lines.append(line)
        number, size = number + 1, size + len(line)
        if len(lines) >= PIECE_LINES or size >= PIECE_BYTES:
            yield _piece(first, lines)
            first, size, lines = number, 0, []
    if lines:
        yield _piece(first, lines)


def _piece(first: int, lines: list[bytes]) -> Piece:
    raw = b"".join(lines)
    document, faults = wire.read_lines(raw)
    wrong = {issue.expression.partition(".")[0]: issue for issue in document_faults(document)}
    usable = tuple(entry for entry in document.entries if entry.place not in wrong)
    return Piece(first, raw, document.only(usable) if usable else None, (*faults, *wrong.values()))


def _too_long(where: str) -> Issue:
    return Issue("error", "too-long", where, "too-long", "内容超过长度上限；请拆分，或由管理员调高上限", "over the size limit")
