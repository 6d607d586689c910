"""Is a resource built as its release defines it? Unknown and missing elements, wrong JSON types, repetitions, forms of primitive values.

Compiled from the official definitions (`adapters.fhir.definitions`) when a type is first met: one pass over the decoded resource, a look-up
for each member and a test for each value. Codes of bindings, profiles and invariants are checked elsewhere. Rules: FHIR json.html
(arrays, ``_`` siblings, nothing empty, null only inside arrays of primitives), datatypes.html, and the cardinalities of each type.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from adapters.fhir.definitions import RESOURCE, Definitions, definitions
from adapters.fhir.json_text import join, safe_name
from adapters.fhir.primitives import Test, is_text, primitives
from adapters.fhir.refusal import MOST_ISSUES, Issue, expression
from adapters.fhir.resource import Body, Release

if TYPE_CHECKING:
    from adapters.fhir.wire import Document

_Path = tuple[Any, str, int] | None
"""Where the walk is: the path above, the member's name and its index (-1 for none)."""

_ELEMENT: Final = "Element"
_STAND_IN: Final = {"resourceType": "Parameters"}
"""For a resource of a bundle that is checked by itself; nothing is required of it."""


class _Rule:
    """How one member is checked: by a shape if it is an object, by a test if it is a value."""

    __slots__ = ("many", "shape", "test", "type")

    def __init__(self, type_name: str, many: bool, shape: _Shape | None, test: Test | None) -> None:
        self.type = type_name
        self.many = many
        self.shape = shape
        self.test = test


class _Shape:
    """What an object of a type may hold; compiled when first used. ``rules`` is empty until then."""

    __slots__ = ("book", "choices", "name", "required", "rules")

    def __init__(self, name: str, book: _Book) -> None:
        self.name = name
        self.book = book
        self.rules: dict[str, _Rule] = {}
        self.required: tuple[tuple[str, Set[str]], ...] = ()
        self.choices: tuple[tuple[str, Set[str]], ...] = ()

    def compile(self) -> dict[str, _Rule]:
        """Fill in the rules of this type, all at once and last: other threads use them as soon as there are any."""
        elements = self.book.definitions.elements(self.name)
        rules: dict[str, _Rule] = {}
        groups: dict[str, set[str]] = {}
        required = []
        for name, element in elements.items():
            group = groups.setdefault(element.defined, set())
            group.add(name)
            if element.required and element.defined not in required:
                required.append(element.defined)
            if self.book.definitions.is_primitive(element.type):
                rules[name] = _Rule(element.type, element.many, None, primitives()[element.type].test)
                if name != "id" and not element.attribute:  # ids and Extension.url are plain strings (FHIRPath System.String)
                    rules[f"_{name}"] = _Rule(_ELEMENT, element.many, self.book.shape(_ELEMENT), None)
                    group.add(f"_{name}")
            else:
                rules[name] = _Rule(element.type, element.many, self.book.shape(element.type), None)
        if self.name in self.book.definitions.resources:
            rules["resourceType"] = _Rule("code", False, None, is_text)
        self.required = tuple((defined, frozenset(groups[defined])) for defined in required)
        self.choices = tuple((defined, frozenset(group)) for defined, group in groups.items() if defined.endswith("[x]"))
        self.rules = rules
        return rules


class _Book:
    """The shapes of one release."""

    def __init__(self, found: Definitions) -> None:
        self.definitions = found
        self._shapes: dict[str, _Shape] = {}

    def shape(self, name: str) -> _Shape:
        """The shape of a type."""
        return self._shapes.setdefault(name, _Shape(name, self))


@cache
def _book(release: Release) -> _Book:
    return _Book(definitions(release))


def faults(body: Body, release: Release, place: str = "") -> list[Issue]:
    """What is wrong with the structure of a resource, at most `MOST_ISSUES` faults; empty if nothing is.

    ``place`` is where the resource stands in its message (`adapters.fhir.wire.Entry.place`). The resources inside (contained, a bundle's)
    are checked too. The body must not be nested deeper than `adapters.fhir.wire` lets through."""
    kind = body.get("resourceType")
    walk = _Walk(_book(release), expression(place, kind if isinstance(kind, str) else ""))
    walk.resource(body, None)
    return walk.issues[:MOST_ISSUES]


def document_faults(document: Document) -> list[Issue]:
    """What is wrong with the structure of a whole message, at most `MOST_ISSUES` faults. The resources of a bundle are decoded one after
    the other, so that a large one needs little memory."""
    found: list[Issue] = []
    if document.kind == "Bundle":
        top = [entry for entry in document.entries if "." not in entry.place]
        entries = [{**entry.around, "resource": _STAND_IN} if entry.kind else entry.around for entry in top]
        envelope = {"resourceType": "Bundle", **document.envelope, "entry": entries} if entries else document.envelope
        found = faults(envelope, document.release)
    for entry in document.entries:
        if len(found) >= MOST_ISSUES:
            break
        if entry.kind and "." not in entry.place:  # a bundle inside is checked with its entries
            found += faults(entry.body, document.release, entry.place)
    return found[:MOST_ISSUES]


class _Walk:
    """One pass over one resource."""

    __slots__ = ("_book", "_root", "issues")

    def __init__(self, book: _Book, root: str) -> None:
        self._book = book
        self._root = root
        self.issues: list[Issue] = []

    def resource(self, value: Any, path: _Path) -> None:
        """Check what should be a resource of any type."""
        if type(value) is not dict:
            self._found(path, "", "object", "structure", "应为对象", "must be an object")
            return
        kind = value.get("resourceType")
        if type(kind) is str and kind in self._book.definitions.resources:
            self._object(value, self._book.shape(kind), path)
        else:
            text = f"缺少资源类型，或该类型在 {self._book.definitions.release} 中不存在"
            english = f"no resourceType, or none of {self._book.definitions.release}"
            self._found(path, "resourceType", "resource-type", "structure", text, english)

    def _object(self, value: Any, shape: _Shape, path: _Path) -> None:
        if type(value) is not dict:
            self._found(path, "", "object", "structure", "应为对象", "must be an object")
            return
        if shape.name == RESOURCE:
            self.resource(value, path)
            return
        if not value:
            self._found(path, "", "empty", "structure", "对象不得为空", "an object must not be empty")
        rule_of = (shape.rules or shape.compile()).get
        for name, item in value.items():
            rule = rule_of(name)
            if rule is None:
                text, english = f"{shape.name} 没有这个元素", f"{shape.name} has no such element"
                self._found(path, safe_name(name), "unknown-element", "structure", text, english)
            elif rule.many:
                self._array(item, rule, value, name, path)
            elif rule.shape is not None:
                self._object(item, rule.shape, (path, name, -1))
            elif not rule.test(item):  # type: ignore[misc]  # a rule has a shape or a test
                self._value(item, rule, (path, name, -1))
        for defined, names in shape.required:
            if names.isdisjoint(value):
                self._found(path, defined, "required", "required", "缺少必填元素", "required element is missing")
        for defined, names in shape.choices:
            present = names & value.keys()
            if len(present) > 1 and len({name.removeprefix("_") for name in present}) > 1:
                self._found(path, defined, "choice", "structure", "只能有其中一种类型的值", "must have a value of one type only")

    def _array(self, items: Any, rule: _Rule, owner: Mapping[str, Any], name: str, path: _Path) -> None:
        if type(items) is not list:
            self._found(path, name, "array", "structure", "应为数组", "must be an array")
            return
        if not items:
            self._found(path, name, "empty", "structure", "数组不得为空", "an array must not be empty")
        shape, test = rule.shape, rule.test
        for number, item in enumerate(items):
            if shape is not None:
                if item is not None or name[0] != "_":
                    self._object(item, shape, (path, name, number))
                elif not _has(owner.get(name[1:]), number):
                    self._value(item, rule, (path, name, number))
            elif not test(item) and not (item is None and _has(owner.get(f"_{name}"), number)):  # type: ignore[misc]  # as above
                self._value(item, rule, (path, name, number))

    def _value(self, item: Any, rule: _Rule, path: tuple[Any, str, int]) -> None:
        """Say what is wrong with a value that failed its test."""
        if rule.shape is not None or item is None:
            self._found(path, "", "null", "structure", "不得为 null", "must not be null")
        elif type(item) is list:
            self._found(path, "", "array", "structure", "不得为数组", "must not be an array")
        else:
            primitive = primitives()[rule.type]
            right_kind = type(item) is str if primitive.is_text else type(item) is not dict
            code = "value" if right_kind else "structure"
            text, english = f"{rule.type} 的值应为{primitive.wanted}", f"{rule.type}: must be {primitive.english}"
            self._found(path, "", "value", code, text, english)

    def _found(self, path: _Path, name: str, rule: str, code: str, message: str, english: str) -> None:
        if len(self.issues) <= MOST_ISSUES:
            where = self._root + _printed(path)
            self.issues.append(Issue("error", code, join(where, name) if name else where, rule, message, english))


def _has(sibling: Any, number: int) -> bool:
    """Does the sibling array (``given`` beside ``_given``) have something at this number?"""
    return type(sibling) is list and number < len(sibling) and sibling[number] is not None


def _printed(path: _Path) -> str:
    parts = []
    while path is not None:
        path, name, number = path
        parts.append(f".{name}" if number < 0 else f".{name}[{number}]")
    return "".join(reversed(parts))
