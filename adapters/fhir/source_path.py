"""From a source path as provenance prints it (``entry[3].Encounter.period.start``) back to the element in its message."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from adapters.fhir.json_text import encode
from adapters.fhir.resource import Body
from adapters.fhir.wire import Document

_STEP: Final = re.compile(r"([A-Za-z_]+)(?:\[(\d+)\])?(?:\.|$)")


def said_at(document: Document, path: str) -> tuple[str, str, str]:
    """(resource type, the element as sent, its resource as sent) of a source path; empty where the message has no such element."""
    of_path = (entry for entry in document.entries if path == entry.place or not entry.place or path.startswith(f"{entry.place}."))
    entry = max(of_path, key=lambda entry: len(entry.place), default=None)  # a bundle within a bundle: the innermost
    if entry is None:
        return "", "", ""
    rest = list(_steps(path[len(entry.place) :].lstrip(".")))
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
    return encode(value).decode()
