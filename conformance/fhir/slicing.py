"""Slices: which of them a value belongs to (FHIR profiling.html, discriminators value, pattern, exists, type, profile).

A discriminator leads from the value to what tells the slices apart: by element names, ``$this``, ``resolve()`` and ``extension('url')``.
What the slice says there (fixed values, patterns, required codes, also of parts of it) is compared. The answer has three values: a code
whose value set is open, or a reference out of the message, leaves it open.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from conformance.fhir.elements import Element, Kind, Profile
from conformance.fhir.library import Library

_STEP: Final = re.compile(r"(?P<call>resolve|extension)\((?:'(?P<url>[^']*)')?\)|(?P<name>\$?\w+)")


class Node(NamedTuple):
    """A value in its resource: its type, where it stands (FHIRPath), and for a primitive value what stands beside it (extensions)."""

    value: Any
    kind: str
    place: str
    beside: Any = None


class Message(Protocol):
    """What telling slices apart needs to know of the message."""

    def nodes(self, parent: Any, element: Element, place: str) -> list[Node]:
        """The values of an element in its parent."""

    def target(self, reference: Any) -> Any:
        """The resource that a reference leads to, or None."""

    def follows(self, resource: Mapping[str, Any], url: str) -> bool | None:
        """Whether a resource follows a profile."""


def belongs(node: Node, piece: Element, sliced: Element, library: Library, message: Message) -> bool | None:
    """Whether a value belongs to a slice (``piece``) of an element."""
    assert sliced.slicing is not None
    answers = [_Discriminator(library, message).holds(kind, path, node, piece) for kind, path in sliced.slicing.discriminators] or [
        None
    ]
    return _all(answers)


def _all(answers: Iterable[bool | None]) -> bool | None:
    listed = list(answers)
    if False in listed:
        return False
    return None if None in listed else True


def _any(answers: Iterable[bool | None]) -> bool | None:
    listed = list(answers)
    if True in listed:
        return True
    return None if None in listed else False


class _Unknown(Exception):
    """The way of a discriminator leads somewhere that we cannot follow."""


class _Discriminator:
    def __init__(self, library: Library, message: Message) -> None:
        self._library = library
        self._message = message

    def holds(self, kind: str, path: str, node: Node, piece: Element) -> bool | None:
        """Whether a value is at the end of a discriminator's path what the slice says there."""
        test = _TESTS.get(kind)
        if test is None:
            return None
        try:
            said, found = self._at(path, node, piece)
        except _Unknown:
            return None
        return test(self, said, found)

    def _at(self, path: str, node: Node, piece: Element) -> tuple[Element, list[Node]]:
        """What the slice says at the end of a path, and the values that are there."""
        said, found = piece, [node]
        for step in _STEP.finditer(path):
            if step["call"] == "resolve":
                said, found = self._resolved(said, found)
            elif step["call"] == "extension":
                extensions = self._child(said, "extension")
                said = next((one for one in extensions.slices if step["url"] in _profiles(one)), extensions)
                nodes = [each for parent in found for each in self._message.nodes(parent.value, extensions, parent.place)]
                found = [each for each in nodes if isinstance(each.value, Mapping) and each.value.get("url") == step["url"]]
            elif step["name"] != "$this":
                said = self._child(said, step["name"])
                found = [each for parent in found for each in self._message.nodes(parent.value, said, parent.place)]
        return said, found

    def _resolved(self, said: Element, found: list[Node]) -> tuple[Element, list[Node]]:
        targets = [self._message.target(node.value) for node in found]
        if None in targets:
            raise _Unknown
        kinds = tuple(
            Kind(profile.type if (profile := self._library.profile(url)) else "", (url,))
            for kind in said.kinds
            for url in kind.targets
        )
        target = Element(said.id, said.name, "", 0, -1, kinds)
        return target, [
            Node(target, str(target.get("resourceType", "")), node.place) for node, target in zip(found, targets, strict=True)
        ]

    def _child(self, said: Element, name: str) -> Element:
        """What is said of a part: by the slice, by the profile of its type, by the type."""
        for children in (said.children, *(profile.root.children for profile in self._profiles(said))):
            child = children.get(name) or children.get(f"{name}[x]")
            if child is not None:
                return child
        raise _Unknown

    def _profiles(self, said: Element) -> list[Profile]:
        urls = [url for kind in said.kinds for url in (*kind.profiles, kind.code)]
        return [profile for url in urls if (profile := self._library.profile(url)) is not None]

    def value(self, said: Element, found: list[Node]) -> bool | None:
        """Do the values agree with what is said of them and their parts?"""
        return _any(self._agrees(said, node) for node in found)

    def _agrees(self, said: Element, node: Node) -> bool | None:
        answers: list[bool | None] = []
        if said.fixed is not None:
            answers.append(said.fixed == node.value)
        if said.pattern is not None:
            answers.append(matches(node.value, said.pattern))
        if said.binding is not None and said.fixed is None and said.pattern is None:
            known = self._library.value_sets.get(said.binding.value_set)
            answers.append(known.holds(node.value, node.kind) if known else None)
        for child in said.children.values():
            if _says_something(child):
                answers.append(_any(self._agrees(child, part) for part in self._message.nodes(node.value, child, node.place)))
        return _all(answers) if answers else None

    def exists(self, said: Element, found: list[Node]) -> bool | None:
        """Is there a value exactly if the slice wants one?"""
        return bool(found) == (said.most != 0)

    def type(self, said: Element, found: list[Node]) -> bool | None:
        """Is the value of a type of the slice?"""
        codes = {kind.code for kind in said.kinds}
        return any((node.value.get("resourceType") if _is_resource(node) else node.kind) in codes for node in found)

    def profile(self, said: Element, found: list[Node]) -> bool | None:
        """Does the resource follow a profile of the slice?"""
        return _any(self._message.follows(node.value, url) for node in found if _is_resource(node) for url in _profiles(said))


_TESTS: Final[Mapping[str, Callable[[_Discriminator, Element, list[Node]], bool | None]]] = {
    "value": _Discriminator.value,
    "pattern": _Discriminator.value,
    "exists": _Discriminator.exists,
    "type": _Discriminator.type,
    "profile": _Discriminator.profile,
}


def _profiles(said: Element) -> tuple[str, ...]:
    return tuple(url for kind in said.kinds for url in kind.profiles)


def _is_resource(node: Node) -> bool:
    return isinstance(node.value, Mapping) and "resourceType" in node.value


def _says_something(element: Element) -> bool:
    return element.fixed is not None or element.pattern is not None or any(map(_says_something, element.children.values()))


def matches(value: Any, pattern: Any) -> bool:
    """Whether a value has everything that a pattern has: objects its members, lists for each of its items one that matches it."""
    if isinstance(pattern, Mapping):
        return isinstance(value, Mapping) and all(name in value and matches(value[name], part) for name, part in pattern.items())
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(matches(item, part) for item in value) for part in pattern)
    return bool(value == pattern)
