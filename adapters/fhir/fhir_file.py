"""Files of FHIR: which files hold some, and a message of one as records, without a repository."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from adapters.fhir.bundle import changes, referring
from adapters.fhir.record import Record
from adapters.fhir.resource import USED, Resource
from adapters.fhir.wire import Document
from gateway.model.times import china_time

_SUFFIXES: Final = (".json", ".ndjson", ".jsonl")
_NAMESPACE: Final = b"http://hl7.org/fhir"


def holds_fhir(path: Path) -> bool:
    """Whether a file holds FHIR, by its first bytes or its name. False for one that cannot be opened."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<"):
        return _NAMESPACE in text
    return path.suffix.lower() in _SUFFIXES or (text.startswith(b"{") and b'"resourceType"' in text)


def records_of(document: Document, raw: bytes, message: str) -> Iterator[Record]:
    """The records of one message by itself, each with what belongs to nobody in particular. ``message`` names it in provenance. Raises
    `FhirRefused`."""
    scope = hashlib.sha256(raw).hexdigest()
    shared: list[Resource] = []
    owned: dict[str, list[Resource]] = {}
    for change in changes(document, referring(document), scope=scope, base="", found={}):
        if change.action == "delete" or change.entry.kind not in USED:
            continue
        body = change.entry.body
        resource = Resource(
            change.key,
            body,
            message,
            stated_at(body, document) or "0001",
            document.release,
            change.links,
            change.entry.place,
        )
        if change.record:
            owned.setdefault(change.record, []).append(resource)
        else:
            shared.append(resource)
    for patient, resources in owned.items():
        yield Record(patient, [*resources, *shared])
    if not owned and shared:
        yield Record("", shared)


def stated_at(body: object, document: Document) -> str:
    """When a resource was stated, as the source says (meta.lastUpdated, Bundle.timestamp): China time, empty when it does not."""
    meta = body.get("meta") if isinstance(body, dict) else None
    for said in (meta.get("lastUpdated") if isinstance(meta, dict) else None, document.envelope.get("timestamp")):
        if isinstance(said, str) and (moment := china_time(said)):
            return moment
    return ""
