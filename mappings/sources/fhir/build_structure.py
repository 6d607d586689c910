"""Build ``structure-r4.json.gz`` and ``structure-r5.json.gz`` from HL7's published definitions.

Usage::

    python mappings/sources/fhir/build_structure.py 4.0 FOLDER mappings/sources/fhir/structure-r4.json.gz
    python mappings/sources/fhir/build_structure.py 5.0 FOLDER mappings/sources/fhir/structure-r5.json.gz

FOLDER holds JSON files with StructureDefinitions, single or in Bundles; the README beside this file says where to get them. If
``dataelements.json`` is among them, only elements that it lists are taken over. Not used at run time. The result::

    {"release": "4.0.1", "resources": ["Account", …], "types": {"Patient": {"id": "0..1 id", "deceased[x]": "0..1 boolean|dateTime", …}}}

Each type has its elements in their order (XML needs it), inherited ones included. A nested element is a type of its own, named by its
path (``Patient.contact``). ``@`` before a type says that XML writes the element as an attribute. Primitive types are names only.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_OFFICIAL = "http://hl7.org/fhir/StructureDefinition/"
_TYPE_IN_FHIR = _OFFICIAL + "structuredefinition-fhir-type"
_EVERYWHERE = frozenset(("id", "extension", "modifierExtension"))
_LONGEST_LISTED = 61  # their ids are "de-" and the path, and an id has at most 64 characters
_NESTED = frozenset(("BackboneElement", "Element"))


def contents(folder: Path) -> Iterator[dict[str, Any]]:
    """Every StructureDefinition in the folder's files."""
    for path in sorted(folder.rglob("*.json")):
        content = json.loads(path.read_text("utf-8"))
        if not isinstance(content, dict):
            continue
        listed = (
            [entry.get("resource", {}) for entry in content.get("entry", [])]
            if content.get("resourceType") == "Bundle"
            else [content]
        )
        yield from (found for found in listed if found.get("resourceType") == "StructureDefinition")


def definitions(found: Iterable[dict[str, Any]], release: str) -> Iterator[dict[str, Any]]:
    """The definitions of types and resources of a release (``4.0``)."""
    for each in found:
        if (
            each["kind"] in ("resource", "complex-type")
            and each.get("derivation") != "constraint"
            and each["url"].removeprefix(_OFFICIAL) == each["type"]
            and each.get("fhirVersion", "").startswith(release)
        ):
            yield each


def listed_elements(found: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The elements that HL7 publishes one by one (``dataelements.json``), by path: all but nested elements, ``id`` and ``extension``."""
    heads = (each["snapshot"]["element"][0] for each in found if each["id"].startswith("de-"))
    return {head["path"]: head for head in heads}


def elements(definition: dict[str, Any], listed: dict[str, dict[str, Any]]) -> dict[str, dict[str, str]]:
    """The elements of a definition's type, and of each nested one, by name. What ``listed`` does not have was added by whoever repacked
    the definitions and is left out."""
    types: dict[str, dict[str, str]] = {definition["type"]: {}}
    is_resource = definition["kind"] == "resource"
    known = {definition["type"]}
    for element in definition["snapshot"]["element"][1:]:
        path: str = element["path"]
        owner, _, name = path.rpartition(".")
        if element["max"] == "0" or not _is_official(element, listed) or owner not in known:
            continue
        known.add(path)
        if listed.get(path, {}).get("type"):
            element = {**element, "type": listed[path]["type"]}
        codes = _codes(element, path, is_resource)
        attribute = "@" if "xmlAttr" in element.get("representation", ()) else ""
        types.setdefault(owner, {})[name] = f"{element['min']}..{element['max']} {attribute}{codes}"
    for path, element in listed.items():
        owner, _, name = path.rpartition(".")
        if owner in types and path not in known and element["max"] != "0":  # taken out by whoever repacked them
            types[owner][name] = f"{element['min']}..{element['max']} {_codes(element, path, is_resource)}"
    return types


def _is_official(element: dict[str, Any], listed: dict[str, dict[str, Any]]) -> bool:
    path: str = element["path"]
    owner, _, name = path.rpartition(".")
    if not listed or path in listed or element.get("base", {}).get("path") in listed or len(path) > _LONGEST_LISTED:
        return True
    if name in _EVERYWHERE or "contentReference" in element:
        return "." not in owner or any(other.startswith(f"{owner}.") for other in listed)
    return any(other.startswith(f"{path}.") for other in listed)


def _codes(element: dict[str, Any], path: str, is_resource: bool) -> str:
    """The types of an element, with a bar between them."""
    if "contentReference" in element:
        return str(element["contentReference"]).rpartition("#")[2]
    codes = []
    for listed in element["type"]:
        code: str = listed["code"]
        if code.startswith("http://hl7.org/fhirpath/"):
            said = [extension for extension in listed.get("extension", ()) if extension["url"] == _TYPE_IN_FHIR]
            code = said[0].get("valueUrl") or said[0]["valueUri"]
            if is_resource and path.endswith(".id") and path.count(".") == 1:
                code = "id"  # R4 writes string here; its resource.html says id
        if "xmlAttr" in element.get("representation", ()) and path.endswith(".id"):
            code = "string"  # R5 writes id for some, its element.html says string
        codes.append(path if code in _NESTED and path.count(".") >= 1 and not path.endswith("[x]") else code)
    return "|".join(dict.fromkeys(codes))


def main(release: str, folder: str, target: str) -> None:
    """Read FOLDER, write the packed file and say what is in it."""
    everything = list(contents(Path(folder)))
    found, listed = list(definitions(everything, release)), listed_elements(everything)
    types = {name: each for definition in found for name, each in elements(definition, listed).items()}
    resources = sorted(each["type"] for each in found if each["kind"] == "resource" and not each["abstract"])
    versions = {each["fhirVersion"] for each in found}
    assert len(versions) == 1, versions
    content = {"release": versions.pop(), "resources": resources, "types": dict(sorted(types.items()))}
    packed = gzip.compress(json.dumps(content, separators=(",", ":")).encode(), compresslevel=9, mtime=0)
    Path(target).write_bytes(packed)
    sys.stdout.write(f"{target}: {content['release']}, {len(resources)} resources, {len(types)} types, {len(packed)} bytes\n")


if __name__ == "__main__":
    main(*sys.argv[1:4])
