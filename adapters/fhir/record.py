"""A record: the current resources of one patient at one source, and the references between them.

Resources that carry a modifierExtension are set aside with a remark: their meaning may be reversed, and no reader sees them. References
may be contained (``#id``), ``urn:uuid``, relative, absolute, conditional (``Patient?identifier=…``) or logical (an identifier alone).
One that leads nowhere is remembered and remarked once for its element; it never stops the reading.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import unquote

from adapters.fhir.elements import NOTHING, Element, identifier, identifiers, one, text
from adapters.fhir.remarks import remarked
from adapters.fhir.resource import Resource
from adapters.fhir.said import Said


class Record:
    """``patient`` is the key of the Patient (it may be missing from ``resources``: then only references speak of it). ``gone`` are the keys of
    encounters that were there and were deleted: what still refers to one of them speaks of no stay.

    ``unresolved`` collects the keys of resources that were referred to and are not here, ``remarks`` what was found about the record as a
    whole; both grow while it is read."""

    def __init__(
        self, patient: str, resources: Mapping[str, Resource] | Iterable[Resource], gone: Collection[str] = frozenset()
    ) -> None:
        listed = resources.values() if isinstance(resources, Mapping) else resources
        self.patient: Final = patient
        self.gone: Final = gone
        self.remarks: Final[list[Said]] = []
        self.unresolved: Final[set[str]] = set()
        self.resources: Final[dict[str, Resource]] = {}
        self._aside: set[str] = set()
        self._of: dict[str, list[Resource]] = {}
        self._contained: dict[str, Resource | None] = {}
        self._numbers: dict[tuple[str, str, str], Resource] | None = None
        self._remarked: set[tuple[str, str]] = set()
        for resource in listed:
            if (place := _modified(resource.body)) is not None:
                self._aside.add(resource.key)
                self.remarks.append(remarked("modifier-extension", resource, place))
                continue
            self.resources[resource.key] = resource
            self._of.setdefault(resource.kind, []).append(resource)

    def __repr__(self) -> str:
        return f"<Record of {len(self.resources)} resources>"

    def of(self, *kinds: str) -> Iterator[Resource]:
        """The resources of these kinds that may be used, in the order they were given. Contained ones are not among them."""
        for kind in kinds:
            yield from self._of.get(kind, ())

    def resolve(self, resource: Resource, reference: object, element: str) -> Resource | None:
        """The resource that ``reference`` (a Reference) of ``resource`` leads to; None where it leads to nothing that can be used.
        ``element`` names it in the remark about one that leads nowhere (``participant[0].individual``)."""
        holder = one(reference)
        literal = text(holder.get("reference"))
        if not literal:
            return self._by_identifier(text(holder.get("type")), one(holder.get("identifier")))
        if literal.startswith("#"):
            found = self._inside(resource, literal[1:])
        else:
            key = resource.target(literal)
            found = self.resources.get(key)
            if found is None and "?" in key:
                found = self._by_condition(key)
            elif found is None:
                if key in self._aside:
                    return None
                self.unresolved.add(key)
        if found is None and (resource.key, element) not in self._remarked:
            self._remarked.add((resource.key, element))
            self.remarks.append(remarked("unresolved-reference", resource, element))
        return found

    def resolve_through_role(self, resource: Resource, reference: object, element: str) -> Resource | None:
        """`resolve`, where a PractitionerRole leads on to its Practitioner."""
        found = self.resolve(resource, reference, element)
        if found is not None and found.kind == "PractitionerRole":
            return self.resolve(found, found.body.get("practitioner"), "practitioner")
        return found

    def key_of(self, resource: Resource, reference: object) -> str:
        """The key that a literal reference leads to, whether or not the record has it; empty for logical and contained ones."""
        literal = text(one(reference).get("reference"))
        return resource.target(literal) if literal and not literal.startswith("#") else ""

    def refers_to(self, resource: Resource, reference: object, key: str) -> bool:
        """Whether a reference leads to ``key``."""
        return bool(key) and self.key_of(resource, reference) == key

    def _inside(self, resource: Resource, id: str) -> Resource | None:
        """A contained resource. Contained resources refer to each other, and with ``#`` to the one that holds them."""
        container = self.resources.get(resource.key.partition("#")[0], resource)
        if not id:
            return container
        key = f"{container.key}#{id}"
        if key not in self._contained:
            self._contained[key] = _contained(container, id, key)
        return self._contained[key]

    def _by_identifier(self, kind: str, logical: Element) -> Resource | None:
        wanted = identifier(logical) if logical is not NOTHING else None
        if wanted is None:
            return None
        if self._numbers is None:
            self._numbers = {}
            for resource in self.resources.values():
                for _, number in identifiers(resource.body.get("identifier")):
                    self._numbers.setdefault((resource.kind, number.system, number.value), resource)
                    self._numbers.setdefault(("", number.system, number.value), resource)
        return self._numbers.get((kind, wanted.system, wanted.value))

    def _by_condition(self, literal: str) -> Resource | None:
        kind, _, query = literal.partition("?")
        name, _, token = query.partition("=")
        system, bar, value = unquote(token).rpartition("|")
        if name != "identifier" or not bar:
            return None
        return self._by_identifier(kind.rpartition("/")[2], {"system": system, "value": value})


def logical(reference: object) -> Element:
    """The identifier of a Reference, which may stand for a resource that is nowhere to be had."""
    return one(one(reference).get("identifier"))


def _contained(container: Resource, id: str, key: str) -> Resource | None:
    listed = container.body.get("contained")
    for index, body in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(body, dict) and body.get("id") == id and isinstance(body.get("resourceType"), str):
            place = container.source(f"contained[{index}]")
            return Resource(key, body, container.message, container.occurred, container.release, container.links, place)
    return None


def _modified(body: Element) -> str | None:
    """Where a resource holds a modifierExtension: itself or in one of its parts."""
    if body.get("modifierExtension"):
        return "modifierExtension"
    for name, value in body.items():
        kind = type(value)
        if kind is list:
            for part in value:
                if type(part) is dict and part.get("modifierExtension"):
                    return f"{name}.modifierExtension"
        elif kind is dict and value.get("modifierExtension"):
            return f"{name}.modifierExtension"
    return None
