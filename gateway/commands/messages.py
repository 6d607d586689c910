"""HL7 v2 messages in the commands on files: read one by one, or checked by their structure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from adapters.hl7v2.batch import Fault
from adapters.hl7v2.conformance import examine
from adapters.hl7v2.dialect import dialect
from adapters.hl7v2.message import Message
from adapters.hl7v2.message_file import dialect_of, pieces_of, whole
from adapters.hl7v2.profile import Profile
from adapters.hl7v2.reading import FactsReader
from adapters.hl7v2.refusal import MessageRefused
from conformance.checks.finding import Finding
from gateway.convert import Batch, json_line
from gateway.told import Place, Told, tell

KIND = "hl7v2"


class Readers:
    """Readers of messages by the name of their dialect."""

    def __init__(self) -> None:
        self._readers: dict[str, FactsReader] = {}

    def read(self, path: Path, named: str) -> Iterator[Batch]:
        """A line for every message of a file: what it says, or why it cannot be read. Raises `FileRefused`, and `ConfigurationError` for
        an unknown dialect."""
        if named:
            self._reader(named)
        for index, piece in pieces_of(path):
            batch = Batch(rows=1)
            outcome, reason, record = self._read(piece, named, f"{path.name}#{index}")
            batch.refused += record is None
            line = {"file": path.name, "message_index": index, "kind": KIND, "outcome": outcome, "reason": reason, "record": record}
            batch.lines.append(json_line(line))
            yield batch

    def _read(self, piece: bytes | Fault, named: str, name: str) -> tuple[str, str, dict[str, Any] | None]:
        try:
            message = Message.read(whole(piece))
        except MessageRefused as refusal:
            return "quarantined" if refusal.reason == "undecodable" else "refused", str(refusal), None
        facts = self._reader(dialect_of(message, named)).read(message, name)
        record = msgspec.to_builtins(facts)
        return "read", "", {"dialect": record.pop("mapping"), **record}

    def _reader(self, name: str) -> FactsReader:
        if name not in self._readers:
            self._readers[name] = FactsReader(dialect(name))
        return self._readers[name]


def conformance(path: Path, profiles: Sequence[Profile | None]) -> Iterator[Batch]:
    """Findings about the structure of every message of a file under each profile, None standing for HL7's own. Raises `FileRefused`."""
    for index, piece in pieces_of(path):
        batch = Batch(rows=1)
        place = Place(path.name, index)
        try:
            message = Message.read(whole(piece))
        except MessageRefused as refusal:
            batch.refused += 1
            tell([Told(place, Finding(f"ZB-MESSAGE-{refusal.reason}", (), "error", str(refusal), refusal.english))], batch)
        else:
            tell((Told(place, finding) for profile in profiles for finding in examine(message, profile)), batch)
        yield batch
