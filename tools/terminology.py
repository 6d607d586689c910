"""What codes a value set holds, as far as the definitions of a package list them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

Json = dict[str, Any]

ANY_SYSTEM = "*"
"""Stands among the open systems of a set whose systems are not known either."""


class Terminology:
    """Value sets and code systems of the packages, by address."""

    def __init__(self, resources: Iterable[Json]) -> None:
        self.sets: dict[str, Json] = {}
        self.systems: dict[str, Json] = {}
        for resource in resources:
            if resource["resourceType"] == "ValueSet" and "url" in resource:
                self.sets.setdefault(resource["url"], resource)
            elif resource["resourceType"] == "CodeSystem" and "url" in resource:
                self.systems.setdefault(resource["url"], resource)

    def expand(self, url: str, above: tuple[str, ...] = ()) -> tuple[dict[str, set[str]], set[str]] | None:
        """(codes by system, open systems) of a value set; none for one that no package holds."""
        found = self.sets.get(url.partition("|")[0])
        if found is None or url in above:
            return None
        compose = found.get("compose", {})
        codes: dict[str, set[str]] = {}
        unknown: set[str] = set()
        for part in compose.get("include", []):
            more, also = self._part(part, (*above, url))
            unknown |= also
            for system, some in more.items():
                codes.setdefault(system, set()).update(some)
        for part in compose.get("exclude", []):
            less, also = self._part(part, (*above, url))
            unknown |= also & codes.keys()
            for system, some in less.items():
                codes[system] = codes.get(system, set()) - some
        return codes, unknown

    def _part(self, part: Json, above: tuple[str, ...]) -> tuple[dict[str, set[str]], set[str]]:
        system = part.get("system")
        if system is None:
            return self._common([self.expand(url, above) for url in part.get("valueSet", [])])
        if part.get("valueSet"):
            return {}, {system}
        if "concept" in part:
            return {system: {concept["code"] for concept in part["concept"]}}, set()
        defined = self.systems.get(system)
        if defined is None or defined.get("content") != "complete":
            roots = {f["value"] for f in part.get("filter", []) if f["op"] == "is-a"} if len(part.get("filter", [])) == 1 else set()
            return {system: roots} if roots else {}, {system}
        parents = dict(_parents(defined.get("concept", []), ()))
        chosen = set(parents)
        for rule in part.get("filter", []):
            if rule["op"] not in ("is-a", "descendent-of") or rule["property"] not in ("concept", "code"):
                return {}, {system}
            below = {code for code in parents if rule["value"] in _ancestors(code, parents)}
            chosen &= below | ({rule["value"]} if rule["op"] == "is-a" else set())
        return {system: chosen}, set()

    @staticmethod
    def _common(parts: list[tuple[dict[str, set[str]], set[str]] | None]) -> tuple[dict[str, set[str]], set[str]]:
        if not parts or any(part is None for part in parts):
            return {}, {ANY_SYSTEM}
        known = [part for part in parts if part is not None]
        if len(known) == 1:
            return known[0]
        unknown = set().union(*(part[1] for part in known))
        systems = set.intersection(*(set(part[0]) for part in known))
        return {system: set.intersection(*(part[0][system] for part in known)) for system in systems}, unknown


def _parents(concepts: list[Json], above: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for concept in concepts:
        stated = tuple(p["valueCode"] for p in concept.get("property", []) if p["code"] == "subsumedBy" and "valueCode" in p)
        yield concept["code"], (*above, *stated)
        yield from _parents(concept.get("concept", []), (concept["code"],))


def _ancestors(code: str, parents: dict[str, tuple[str, ...]]) -> set[str]:
    found: set[str] = set()
    waiting = list(parents.get(code, ()))
    while waiting:
        parent = waiting.pop()
        if parent not in found:
            found.add(parent)
            waiting.extend(parents.get(parent, ()))
    return found
