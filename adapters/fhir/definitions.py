"""Which resources, types and elements there are in each release: ``mappings/sources/fhir/structure-*.json.gz``, made from HL7's published
definitions (R4 is 4.0.1 itself, so what only R4B has is unknown here; R5 is 5.0.0)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

from adapters.fhir.resource import Release

RESOURCE: Final = "Resource"
"""The type of an element that holds any resource (``contained``, ``Bundle.entry.resource``)."""

_FILES: Final[Mapping[Release, str]] = {"R4": "structure-r4.json.gz", "R5": "structure-r5.json.gz"}


class Element(NamedTuple):
    """One element of a type as JSON and XML name it (``deceasedBoolean``).

    ``type`` is the name of a primitive type, of a data type or of a nested element (``Patient.contact``). ``defined`` is its name in the
    definition, the same for all members of a choice (``deceased[x]``). ``many``: it may repeat, so JSON has an array. ``attribute``: XML
    writes it as an attribute.
    """

    type: str
    defined: str
    required: bool
    many: bool
    attribute: bool


class Definitions:
    """The types of one release."""

    def __init__(self, release: Release) -> None:
        packed = files("mappings").joinpath("sources", "fhir", _FILES[release]).read_bytes()
        content = json.loads(gzip.decompress(packed))
        self.release = release
        self.resources: frozenset[str] = frozenset(content["resources"])
        self._types: Mapping[str, Mapping[str, str]] = content["types"]
        self._elements: dict[str, Mapping[str, Element]] = {}

    def is_primitive(self, type_name: str) -> bool:
        """Is it a type whose JSON is a single value?"""
        return type_name not in self._types

    def elements(self, type_name: str) -> Mapping[str, Element]:
        """The elements of a resource, data type or nested element in their order, choices by each of their names."""
        found = self._elements.get(type_name)
        if found is None:
            found = self._elements[type_name] = dict(self._named(type_name))
        return found

    def _named(self, type_name: str) -> list[tuple[str, Element]]:
        named = []
        for defined, rule in self._types[type_name].items():
            cardinality, _, types = rule.partition(" ")
            least, _, most = cardinality.partition("..")
            attribute = types.startswith("@")
            for each in types.removeprefix("@").split("|"):
                name = defined.removesuffix("[x]") + each[0].upper() + each[1:] if defined.endswith("[x]") else defined
                named.append((name, Element(each, defined, least != "0", most != "1", attribute)))
        return named


@cache
def definitions(release: Release) -> Definitions:
    """The definitions of a release, read once."""
    return Definitions(release)


@cache
def every_resource() -> frozenset[str]:
    """The resource types of all releases that are read."""
    return frozenset().union(*(definitions(release).resources for release in _FILES))
