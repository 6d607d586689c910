"""What a reference leads to inside its own message: contained resources and the entries of the bundle around."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from adapters.fhir.resource import Body

_LITERAL: Final = re.compile(r"(?:.+/)?([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?")


class Surroundings:
    """The resources of a message by the ways to refer to them."""

    def __init__(self, message: Body) -> None:
        self._found: dict[str, Body] = {}
        self._add(message)

    def _add(self, bundle: Body) -> None:
        if bundle.get("resourceType") != "Bundle" or not isinstance(bundle.get("entry"), list):
            return
        for entry in bundle["entry"]:
            resource = entry.get("resource") if isinstance(entry, Mapping) else None
            if not isinstance(resource, Mapping):
                continue
            if isinstance(entry.get("fullUrl"), str):
                self._found[entry["fullUrl"]] = resource
            if isinstance(resource.get("id"), str):
                self._found.setdefault(f"{resource.get('resourceType')}/{resource['id']}", resource)
            self._add(resource)

    def resolve(self, reference: Any, around: Body) -> Body | None:
        """The resource that a reference leads to; ``around`` is the resource that contains others."""
        address = reference.get("reference") if isinstance(reference, Mapping) else reference
        if not isinstance(address, str):
            return None
        if address.startswith("#"):
            inside = around.get("contained", [])
            listed = [item for item in inside if isinstance(item, Mapping)] if isinstance(inside, list) else []
            return around if address == "#" else next((item for item in listed if item.get("id") == address[1:]), None)
        literal = _LITERAL.fullmatch(address)
        short = f"{literal[1]}/{literal[2]}" if literal else ""
        return self._found.get(address) or self._found.get(address.partition("/_history/")[0]) or self._found.get(short)

    def type_of(self, reference: Mapping[str, Any], around: Body) -> str:
        """The type of resource that a reference leads to, by the resource itself, the address or what it says; empty if unknown."""
        found = self.resolve(reference, around)
        if found is not None:
            return str(found.get("resourceType", ""))
        address, stated = reference.get("reference"), reference.get("type")
        literal = _LITERAL.fullmatch(address) if isinstance(address, str) else None
        if literal is not None:
            return literal[1]
        return stated.rpartition("/")[2] if isinstance(stated, str) else ""
