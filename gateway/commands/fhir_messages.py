"""FHIR in the command ``read``: each bundle, resource or piece of a bulk file by itself, without a database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from adapters.fhir.dialect import fhir_dialect
from adapters.fhir.fhir_file import records_of
from adapters.fhir.reading import RecordReader
from adapters.fhir.refusal import FhirRefused
from gateway.convert import Batch, json_line
from gateway.intake.bulk import Piece, pieces_of
from gateway.model.errors import FileRefused
from gateway.workbench import LONGEST_FHIR

KIND: Final = "fhir"
STANDARD: Final = "standard"


def messages_of(path: Path) -> Iterator[Piece]:
    """The messages of a file. Raises `FileRefused` for one that cannot be opened."""
    try:
        yield from pieces_of(path, longest=LONGEST_FHIR)
    except OSError:
        raise FileRefused("unreadable", "文件无法读取", action="请检查路径和权限", english="unreadable") from None


def read(path: Path, named: str) -> Iterator[Batch]:
    """A line for every message of a file: what it says of which stays, or why it cannot be read; for a bulk file a line for each piece and
    one for each line of it that cannot be read. Raises `FileRefused`, and `ConfigurationError` for an unknown dialect."""
    reader = RecordReader(fhir_dialect(named or STANDARD))
    for piece in messages_of(path):
        batch = Batch(rows=1)
        faults = [(piece.first + _line(issue.expression), f"{issue.message}（{issue.expression}）") for issue in piece.faults]
        if piece.document is None:
            faults = [(piece.first, str(piece.refusal))]
        else:
            try:
                record = _record(piece, reader, f"{path.name}#{piece.first}")
                batch.lines.append(_line_of(path, piece.first, "read", "", record))
            except FhirRefused as refusal:
                faults.append((piece.first, str(refusal)))
        batch.rows += len(faults) - (piece.document is None)
        batch.refused += len(faults)
        batch.lines += [_line_of(path, number, "refused", reason, None) for number, reason in faults]
        yield batch


def _record(piece: Piece, reader: RecordReader, name: str) -> dict[str, Any]:
    document = piece.document
    assert document is not None, "asked of pieces that can be read"
    stays = []
    for record in records_of(document, piece.raw, name):
        for statement in reader.read(record).statements:
            for facts in statement.facts:
                said = msgspec.to_builtins(facts)
                stays.append({"anchor": statement.anchor, **{key: value for key, value in said.items() if key != "mapping"}})
    kinds = Counter(entry.kind for entry in document.entries if entry.kind)
    told = {"release": document.release, "declared": document.declared, "type": document.type}
    return {"dialect": reader.dialect.id, "resource_type": document.kind, **told, "resources": dict(kinds), "stays": stays}


def _line_of(path: Path, number: int, outcome: str, reason: str, record: dict[str, Any] | None) -> str:
    line = {"file": path.name, "message_index": number, "kind": KIND, "outcome": outcome, "reason": reason, "record": record}
    return json_line(line)


def _line(expression: str) -> int:
    """The number of the line that an issue of a bulk file is about."""
    return int(expression[5 : expression.index("]")]) if expression.startswith("line[") else 0
