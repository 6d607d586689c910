"""From a source path as provenance prints it (``entry[3].Encounter.period.start``) back to the element in its message."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from adapters.fhir.resource import Body
from adapters.fhir.wire import Document

_STEP: Final = re.compile(r"([A-Za-z_]+)(?:\[(\d+)\])?(?:\.|$)")
_PLACES: Final = ("entry", "line")
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def said_at(document: Document, path: str) -> tuple[str, str, str]:
    """(resource type, the element as sent, its resource as sent) of a source path; empty where the message has no such element."""
    steps = list(_steps(path))
    place, rest = "", steps
    if steps and steps[0][0] in _PLACES and steps[0][1] is not None:
        place, rest = f"{steps[0][0]}[{steps[0][1]}]", steps[1:]
    entry = next((entry for entry in document.entries if entry.place == place), None)
    if entry is None:
        return "", "", ""
    kind, value = _walk(entry.body, rest)
    return kind, _text(value), entry.raw.decode()


def _walk(body: Body, steps: list[tuple[str, int | None]]) -> tuple[str, Any]:
    """(type of the innermost resource on the way, the element)."""
    kind, node = str(body.get("resourceType", "")), body if steps else None
    for name, index in steps:
        if isinstance(node, Mapping) and name == node.get("resourceType"):
            kind = name
            continue
        node = node.get(name) if isinstance(node, Mapping) else None
        if index is not None:
            node = node[index] if isinstance(node, list) and index < len(node) else None
    return kind, node


def _steps(path: str) -> Iterator[tuple[str, int | None]]:
    for name, index in _STEP.findall(path):
        yield name, int(index) if index else None


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return _encoder.encode(value).decode()
