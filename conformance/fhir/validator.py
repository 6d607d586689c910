"""A resource against a profile, element by element.

The structure (unknown elements, JSON types, forms of values) is checked by `adapters.fhir.structure`; here, what a profile demands beyond it.
A profile's snapshot has the demands of everything it is made of; where it says nothing of the parts of an element, those of the element's
type hold. Not done: whether what a reference leads to follows the profile that it should (only its type is), bindings weaker than
required, and narrative.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from adapters.fhir.refusal import expression
from adapters.fhir.resource import Body
from conformance.checks.finding import Finding
from conformance.fhir import findings
from conformance.fhir.bindings import has_code
from conformance.fhir.elements import BASE, Binding, Constraint, Element, Kind, Profile
from conformance.fhir.invariants import Invariants
from conformance.fhir.library import Library
from conformance.fhir.slicing import Node, belongs, matches
from conformance.fhir.surroundings import Surroundings

_RESOURCES: Final = ("Resource", "DomainResource")
_REFERENCE: Final = "Reference"
_SLICE: Final = re.compile(r":[^.]*|\[x\]")


def validate(body: Body, profile: Profile, message: Validation, place: str = "") -> list[Finding]:
    """What is wrong with a resource of a message by a profile: that of its own type for what FHIR itself demands.

    ``place`` is where it stands in the message (`adapters.fhir.wire.Entry.place`). The resources inside (contained, a bundle's) are checked by
    what FHIR demands of their types. What is known of its structure is put before this by `merged`."""
    return message.resource(body, profile, expression(place, str(body.get("resourceType", ""))))


def merged(first: Iterable[Finding], second: Iterable[Finding]) -> list[Finding]:
    """Both without repetitions: the second says nothing new about an element of which the first says the same, in its own words."""
    kept = list(dict.fromkeys(first))
    said = {(finding.rule, finding.fields) for finding in kept}
    for finding in second:
        if (finding.rule, finding.fields) not in said:
            said.add((finding.rule, finding.fields))
            kept.append(finding)
    return kept


class Validation:
    """The validation of the resources of one message. ``following`` are the resources and profiles that are being compared already."""

    def __init__(self, known: Library, surroundings: Surroundings, following: frozenset[tuple[int, str]] = frozenset()) -> None:
        self.library = known
        self.surroundings = surroundings
        self.following = following
        self.invariants = Invariants(known.release, surroundings)

    def resource(self, body: Body, profile: Profile, place: str, root: Body | None = None) -> list[Finding]:
        """Findings about a resource and those inside it. ``root`` is the resource that contains it."""
        if body.get("resourceType") != profile.type:
            return [findings.finding("resource-type", place, _name(profile), types=profile.type)]
        walk = _Walk(self, profile, body, root or body)
        walk.resource(place)
        return list(dict.fromkeys(walk.findings))

    def after(self, step: tuple[int, str]) -> Validation:
        """The same with one more comparison under way."""
        return Validation(self.library, self.surroundings, self.following | {step})


class _Walk:
    """One resource by one profile."""

    def __init__(self, validation: Validation, profile: Profile, body: Body, root: Body) -> None:
        self._validation = validation
        self._library = validation.library
        self._surroundings = validation.surroundings
        self._element = self._library.profile("Element")
        self._profile = profile
        self._body = body
        self._root = root
        self.findings: list[Finding] = []

    def resource(self, place: str) -> None:
        """Everything about the resource."""
        node = Node(self._body, self._profile.type, place)
        self._check_constraints((*self._profile.root.constraints, *self._profile.more), node, self._profile.type)
        self._check_children(self._profile.root.children, self._body, place, self._profile)

    # of the message, for telling slices apart

    def nodes(self, parent: Any, element: Element, place: str) -> list[Node]:
        """The values of an element in its parent."""
        return list(self._values(parent, element, place))

    def target(self, reference: Any) -> Body | None:
        """The resource that a reference leads to."""
        return self._surroundings.resolve(reference, self._root)

    def follows(self, resource: Body, url: str) -> bool | None:
        """Whether a resource follows a profile: it says so, or nothing is wrong with it by the profile."""
        profile = self._library.profile(url)
        declared = resource.get("meta", {}).get("profile", [])
        if isinstance(declared, list) and url in declared:
            return True
        if profile is None:
            return None
        step = (id(resource), url)
        if step in self._validation.following:
            return True
        return not any(finding.blocks for finding in self._validation.after(step).resource(resource, profile, ""))

    # elements

    def _check_children(self, children: Mapping[str, Element], parent: Any, place: str, profile: Profile) -> None:
        """Every element that there may be in an object. ``profile`` is whose elements they are."""
        if not isinstance(parent, Mapping):
            return
        for element in children.values():
            found = list(self._values(parent, element, place))
            if found or element.least or element.slices:
                where = _join(place, element.name)
                self._count(element, len(found), where, profile)
                self._check_values(element, found, where, profile)

    def _values(self, parent: Any, element: Element, place: str) -> Iterator[Node]:
        if not isinstance(parent, Mapping):
            return
        for name, kind in self._names(parent, element):
            where = _join(place, name)
            value, beside = parent.get(name), parent.get(f"_{name}")
            if isinstance(value, list) or isinstance(beside, list):
                values = value if isinstance(value, list) else []
                besides = beside if isinstance(beside, list) else []
                for number in range(max(len(values), len(besides))):
                    item = values[number] if number < len(values) else None
                    extra = besides[number] if number < len(besides) else None
                    yield Node(item, kind, f"{where}[{number}]", extra)
            else:
                yield Node(value, kind, where, beside)

    def _names(self, parent: Mapping[str, Any], element: Element) -> Iterator[tuple[str, str]]:
        """The members of an object that hold an element, with the type of their values."""
        if not element.choice:
            if element.name in parent or f"_{element.name}" in parent:
                yield element.name, element.kinds[0].code if element.kinds else ""
            return
        stem = element.name[:-3]
        for name in dict.fromkeys(key.removeprefix("_") for key in parent):
            rest = name[len(stem) :]
            if name.startswith(stem) and rest[:1].isupper():
                kind = rest if rest in self._library.types else rest[0].lower() + rest[1:]
                if kind in self._library.types:
                    yield name, kind

    def _count(self, element: Element, count: int, place: str, profile: Profile) -> None:
        if count < element.least:
            self._say("required", place, profile, least=element.least, count=count)
        elif 0 <= element.most < count:
            self._say("too-many", place, profile, most=element.most, count=count)

    def _check_values(self, element: Element, found: list[Node], place: str, profile: Profile) -> None:
        """The values of an element, each by the slice that it belongs to."""
        counts = dict.fromkeys((piece.slice_name for piece in element.slices), 0)
        doubtful: set[str] = set()
        for node in found:
            mine = element
            open_to: set[str] = set()
            for piece in element.slices:
                answer = belongs(node, piece, element, self._library, self) if element.slicing is not None else None
                if answer:
                    counts[piece.slice_name] += 1
                    mine = piece
                    break
                if answer is None:
                    open_to.add(piece.slice_name)
            else:
                doubtful |= open_to
                if element.slicing is not None and element.slicing.closed and not open_to:
                    self._say("slice-closed", node.place, profile)
            self._check_value(mine, node, profile)
        for piece in element.slices:
            self._count_slice(piece, counts[piece.slice_name], piece.slice_name in doubtful, place, profile)

    def _count_slice(self, piece: Element, count: int, doubtful: bool, place: str, profile: Profile) -> None:
        if count < piece.least and doubtful:
            self._say("slice-not-checked", place, profile, slice=piece.slice_name)
        elif count < piece.least:
            self._say("slice", place, profile, slice=piece.slice_name, least=piece.least, count=count)
        elif 0 <= piece.most < count:
            self._say("slice-too-many", place, profile, slice=piece.slice_name, most=piece.most, count=count)

    def _check_value(self, element: Element, node: Node, profile: Profile) -> None:
        """One value: what it is, and its parts."""
        kind = element.kind(node.kind)
        if element.kinds and kind is None and element.choice:
            self._say("type", node.place, profile, types="、".join(each.code for each in element.kinds))
            return
        if isinstance(node.beside, Mapping) and self._element is not None:
            self._check_children(self._element.root.children, node.beside, node.place, self._element)
        if node.value is None:
            return
        if element.fixed is not None and node.value != element.fixed:
            self._say("fixed", node.place, profile)
        if element.pattern is not None and not matches(node.value, element.pattern):
            self._say("pattern", node.place, profile)
        if element.binding is not None:
            self._check_code(element.binding, node, profile)
        if isinstance(node.value, Mapping) and "resourceType" in node.value:
            self._check_inner(element, node, profile)
            return
        if kind is not None and kind.code == _REFERENCE:
            self._check_reference(kind, node, profile)
        self._check_parts(element, kind, node, profile)

    def _check_parts(self, element: Element, kind: Kind | None, node: Node, profile: Profile) -> None:
        """The parts of a value: by the element itself, by the profiles of its type, by its type."""
        same = profile.by_id.get(element.same_as, element)
        children = element.children or same.children
        urls = (*kind.profiles, kind.code) if kind is not None else ()
        types = [known for url in urls if (known := self._library.profile(url)) is not None]
        if node.kind == "Extension" and isinstance(node.value, Mapping):
            types = [*self._check_extension(element, node), *types]
        rules = [*element.constraints, *same.constraints, *(rule for each in types for rule in each.root.constraints)]
        nested = node.kind in ("BackboneElement", "Element", "")
        self._check_constraints(rules, node, _path(element.same_as or element.id) if nested else node.kind)
        if children:
            self._check_children(children, node.value, node.place, profile)
        for each in types:
            if not (children and each.base):
                self._check_children(each.root.children, node.value, node.place, each)

    def _check_extension(self, element: Element, node: Node) -> list[Profile]:
        """The definition of an extension. One that reverses meanings and is not known is worth a word."""
        url = node.value.get("url")
        known = self._library.profile(url) if isinstance(url, str) and ":" in url else None
        if known is None and element.name == "modifierExtension":
            self._say("modifier-extension", node.place, None)
        return [known] if known is not None and known.type == "Extension" else []

    def _check_code(self, binding: Binding, node: Node, profile: Profile) -> None:
        if not binding.coded and not has_code(node.value, node.kind):
            return
        known = self._library.value_sets.get(binding.value_set)
        held = known.holds(node.value, node.kind) if known is not None else None
        if held is not True:
            name = binding.value_set.rpartition("/")[2]
            self._say("code" if held is False else "code-not-checked", node.place, profile, set=name)

    def _check_reference(self, kind: Kind, node: Node, profile: Profile) -> None:
        targets = [self._library.profile(url) for url in kind.targets]
        types = {target.type for target in targets if target is not None}
        if None in targets or not types or not types.isdisjoint(_RESOURCES) or not isinstance(node.value, Mapping):
            return
        actual = self._surroundings.type_of(node.value, self._root)
        if actual and actual not in types:
            self._say("reference", node.place, profile, types="、".join(sorted(types)))

    def _check_inner(self, element: Element, node: Node, profile: Profile) -> None:
        """A resource inside: by its own type, and by the profiles that this place demands."""
        actual = str(node.value["resourceType"])
        kinds = [kind for kind in element.kinds if kind.code not in _RESOURCES]
        if kinds and actual not in {kind.code for kind in kinds}:
            self._say("resource-type", node.place, profile, types="、".join(kind.code for kind in kinds))
            return
        root = self._root if element.name == "contained" else None
        urls = [url for kind in kinds if kind.code == actual for url in kind.profiles] or [f"{BASE}{actual}"]
        for url in urls:
            wanted = self._library.profile(url) or self._library.profile(actual)
            if wanted is not None:
                self.findings += self._validation.resource(node.value, wanted, node.place, root)

    def _check_constraints(self, rules: Iterable[Constraint], node: Node, path: str) -> None:
        for rule in {rule.key: rule for rule in rules}.values():
            held = self._validation.invariants.holds(rule, node.value, path, self._body, self._root)
            if held is not True:
                where = _join(node.place, rule.element) if rule.element else node.place
                say = findings.broken if held is False else findings.not_evaluated
                self.findings.append(say(rule, self._library.chinese(rule), where, _name(self._profile)))

    def _say(self, rule: str, place: str, profile: Profile | None, **words: object) -> None:
        self.findings.append(findings.finding(rule, place, _name(profile), **words))


def _name(profile: Profile | None) -> str:
    """How a finding calls a profile: not at all if it is a type."""
    return "" if profile is None or profile.base else profile.name


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _path(element_id: str) -> str:
    """The path of a nested element as fhirpathpy's models name it: without slices."""
    return _SLICE.sub("", element_id)
