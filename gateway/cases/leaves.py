"""Places of a stay: a path looked up once, then read and written without parsing.

`gateway.model.paths` serves the single look-up; assembling a stay writes some hundred leaves, so here a path becomes a `Place` that is
remembered. A place also knows what kind of value stands there and makes one of what a message sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from types import NoneType
from typing import Any, NamedTuple, get_args, get_origin

from msgspec import structs

from gateway.model.paths import UnknownPath, split_path
from gateway.model.stay import Part, Stay
from gateway.model.values import Amount, Coded

MEMBERS = ("code", "display")
"""The sides of a coded value that layouts print in columns of their own."""

_APART = frozenset({"verbatim", "extras", "provenance"})


class Unreadable(Exception):
    """A message's text is no value of the kind that the place holds. Never leaves this package: the text goes to ``Stay.verbatim``."""


class Place(NamedTuple):
    """A leaf of the model. ``parents`` leads to its owner (name, list index, class of the list's elements), ``member`` is set when the
    path names a side of a coded value; ``whole`` is the path without it. ``pattern`` is the text that a date must match."""

    whole: str
    parents: tuple[tuple[str, int | None, Callable[[], Any]], ...]
    name: str
    kind: type
    pattern: re.Pattern[str] | None
    member: str

    def value(self, said: Any) -> Any:
        """What a message said, as this place wants it. Raises `Unreadable`."""
        if said is None or (type(said) is self.kind and self.pattern is None):
            return said
        if self.kind is Coded:
            return Coded(display=str(said))
        if self.kind is list:
            return [said if isinstance(said, Coded) else Coded(display=str(said))]
        text = (said.display or said.code or "") if isinstance(said, Coded) else str(said).strip()
        try:
            if self.kind is int:
                return int(text)
            if self.kind is Amount:
                amount = Decimal(text)
                if not amount.is_finite():
                    raise Unreadable(self.whole)
                return amount
        except (ValueError, InvalidOperation):
            raise Unreadable(self.whole) from None
        if self.pattern is not None and not self.pattern.fullmatch(text):
            raise Unreadable(self.whole)
        return text

    def read(self, stay: Stay) -> Any:
        """The value in the stay, or None where it has none."""
        node: Any = stay
        for name, index, _ in self.parents:
            node = getattr(node, name)
            if index is not None:
                if index >= len(node):
                    return None
                node = node[index]
        return getattr(node, self.name)

    def write(self, stay: Stay, value: Any) -> None:
        """Set the value in place, growing lists with empty positions as needed."""
        node: Any = stay
        for name, index, make in self.parents:
            node = getattr(node, name)
            if index is not None:
                while len(node) <= index:
                    node.append(make())
                node = node[index]
        setattr(node, self.name, [] if value is None and self.kind is list else value)


@lru_cache(maxsize=8192)
def place_of(path: str) -> Place:
    """The place of a leaf. Raises `UnknownPath` when the model has no such leaf."""
    unknown = UnknownPath(f"模型中没有这一项：{path}", english=f"no such leaf in the model: {path}")
    steps = split_path(path)
    owner: Any = Stay
    parents: list[tuple[str, int | None, Callable[[], Any]]] = []
    position = 0
    while position < len(steps):
        name = steps[position]
        type_ = _members(owner).get(name) if isinstance(name, str) and isinstance(owner, type) else None
        if type_ is None or (owner is Stay and name in _APART):
            raise unknown
        position += 1
        if get_origin(type_) is list:
            (element,) = get_args(type_)
            if element is Coded and position == len(steps):
                return Place(path, tuple(parents), str(name), list, None, "")
            if position == len(steps) or not isinstance(steps[position], int) or element is Coded:
                raise unknown
            parents.append((str(name), int(steps[position]), element))
            owner = element
            position += 1
        elif isinstance(type_, type) and issubclass(type_, Part):
            parents.append((str(name), None, type_))
            owner = type_
        else:
            rest = steps[position:]
            kind, pattern = _kind(type_)
            if not rest:
                return Place(path, tuple(parents), str(name), kind, pattern, "")
            if kind is Coded and len(rest) == 1 and rest[0] in Coded.__struct_fields__:
                member = str(rest[0])
                return Place(path[: -len(member) - 1], tuple(parents), str(name), Coded, None, member)
            raise unknown
    raise unknown


@lru_cache(maxsize=256)
def _members(owner: type) -> dict[str, Any]:
    return {field.name: field.type for field in structs.fields(owner)}


def _kind(type_: Any) -> tuple[type, re.Pattern[str] | None]:
    """The plain type of a leaf and, for a date or time, the pattern that its text must match."""
    (inner,) = [argument for argument in get_args(type_) if argument is not NoneType] or [type_]
    if isinstance(inner, type):
        return inner, None
    plain, meta = get_args(inner)[:2]
    return plain, re.compile(meta.pattern)


def filled(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every filled leaf below a part of a stay, by path; coded values whole. What stands beside the model (`verbatim`, `extras`,
    `provenance`) is left out."""
    for name in node.__struct_fields__:
        value = getattr(node, name)
        path = f"{prefix}.{name}" if prefix else name
        if value is None or (not prefix and name in _APART):
            continue
        if isinstance(value, Part):
            yield from filled(value, path)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, Part):
                    yield from filled(item, f"{path}[{index}]")
                else:
                    yield f"{path}[{index}]", item
        else:
            yield path, value
