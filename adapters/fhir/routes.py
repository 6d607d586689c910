"""Ways to an element of a resource, written like FHIRPath and compiled once.

``Patient.contact.first().name``, ``Patient.telecom.where(use='home')`` (``use=''``: without one), ``Patient.deceased[x]``,
``Patient.extension(nationality)`` (extensions under a name of the dialect; their value). A primitive's own extensions stand under its JSON
name: ``Patient._gender.extension(gender)``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from adapters.fhir.elements import Element, choice, extensions, precise, value_of

Found = list[tuple[str, Any]]
"""(name of the element, content), in order."""

_Step = Callable[[Found], Found]
_STEPS: Final = re.compile(r"(?:^|\.)(?:(first)\(\)|where\((\w+)='(\w*)'\)|extension\((\w+)\)|(\w+)\[x\]|(\w+))")


class Route:
    """A compiled way. ``head`` is the member of the resource that it begins with."""

    __slots__ = ("_steps", "head")

    def __init__(self, path: str, names: Mapping[str, Sequence[str]]) -> None:
        """``path`` without the resource type; ``names`` are the addresses of extensions by their name. Raises `ValueError`."""
        matches = list(_STEPS.finditer(path))
        if not matches or "".join(match[0] for match in matches) != path:
            raise ValueError(path)
        self._steps: Final = tuple(_step(match, names) for match in matches)
        self.head: Final = matches[0][6] or ("extension" if matches[0][4] else "")

    def find(self, body: Element) -> Found:
        """What stands at the end of the way, nothing where the resource does not go there."""
        if self.head and self.head not in body:
            return []
        found: Found = [("", body)]
        for step in self._steps:
            found = step(found)
            if not found:
                break
        return found


def _step(match: re.Match[str], names: Mapping[str, Sequence[str]]) -> _Step:
    if match[1]:
        return _first
    if match[2]:
        return _where(match[2], match[3])
    if match[4]:
        return _extension(tuple(names.get(match[4], ())))
    return _choice(match[5]) if match[5] else _member(match[6])


def _each(found: Found) -> Found:
    """Lists opened: what a way leads through is looked at item by item, what it ends at is handed over whole."""
    if not any(type(node) is list for _, node in found):
        return found
    opened: Found = []
    for place, node in found:
        if type(node) is list:
            opened.extend((f"{place}[{index}]", item) for index, item in enumerate(node))
        else:
            opened.append((place, node))
    return opened


def _first(found: Found) -> Found:
    return _each(found)[:1]


def _where(name: str, wanted: str) -> _Step:
    def step(found: Found) -> Found:
        return [item for item in _each(found) if type(item[1]) is dict and (item[1].get(name) or "") == wanted]

    return step


def _extension(urls: tuple[str, ...]) -> _Step:
    def step(found: Found) -> Found:
        inner: Found = []
        for place, node in _each(found):
            if type(node) is dict:
                for name, item in extensions(node, *urls):
                    content = value_of(item)
                    inner.append((_under(place, name), item if content is None else content))
        return inner

    return step


def _choice(name: str) -> _Step:
    def step(found: Found) -> Found:
        chosen = [(place, choice(node, name)) for place, node in _each(found) if type(node) is dict]
        return [(_under(place, key), content) for place, (key, content) in chosen if content is not None]

    return step


def _member(name: str) -> _Step:
    shadow = f"_{name}"

    def step(found: Found) -> Found:
        inner: Found = []
        for place, node in _each(found):
            content = node.get(name) if type(node) is dict else None
            if content is not None:
                inner.append((_under(place, name), precise(content, node[shadow]) if shadow in node else content))
        return inner

    return step


def _under(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
