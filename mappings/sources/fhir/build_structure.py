"""Build ``structure-r4.json.gz`` and ``structure-r5.json.gz`` from HL7's published definitions.

Usage::

    python mappings/sources/fhir/build_structure.py 4.0 FOLDER mappings/sources/fhir/structure-r4.json.gz
    python mappings/sources/fhir/build_structure.py 5.0 FOLDER mappings/sources/fhir/structure-r5.json.gz

FOLDER holds JSON files with StructureDefinitions, single or in Bundles; the README beside this file says where to get them. Not used at
run time. The result::

    {"release": "4.0.1", "resources": ["Account", …], "types": {"Patient": {"id": "0..1 id", "deceased[x]": "0..1 boolean|dateTime", …}}}

Each type has its elements in their order (XML needs it), inherited ones included. A nested element is a type of its own, named by its
path (``Patient.contact``). ``@`` before a type says that XML writes the element as an attribute. Primitive types are names only.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_OFFICIAL = "http://hl7.org/fhir/StructureDefinition/"
_TYPE_IN_FHIR = _OFFICIAL + "structuredefinition-fhir-type"
_NESTED = frozenset(("BackboneElement", "Element"))


def definitions(folder: Path, release: str) -> Iterator[dict[str, Any]]:
    """The structure definitions of types and resources of a release (``4.0``)."""
    for path in sorted(folder.rglob("*.json")):
        content = json.loads(path.read_text("utf-8"))
        if not isinstance(content, dict):
            continue
        listed = (
            [entry.get("resource", {}) for entry in content.get("entry", [])]
            if content.get("resourceType") == "Bundle"
            else [content]
        )
        for found in listed:
            if (
                found.get("resourceType") == "StructureDefinition"
                and found.get("kind") in ("resource", "complex-type")
                and found.get("derivation") != "constraint"
                and found["url"].removeprefix(_OFFICIAL) == found["type"]
                and found.get("fhirVersion", "").startswith(release)
            ):
                yield found


def elements(definition: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The elements of a definition's type, and of each nested one, by name."""
    types: dict[str, dict[str, str]] = {definition["type"]: {}}
    is_resource = definition["kind"] == "resource"
    for element in definition["snapshot"]["element"][1:]:
        path: str = element["path"]
        owner, _, name = path.rpartition(".")
        if element["max"] == "0":
            continue
        codes = _codes(element, path, is_resource)
        attribute = "@" if "xmlAttr" in element.get("representation", ()) else ""
        types.setdefault(owner, {})[name] = f"{element['min']}..{element['max']} {attribute}{codes}"
    return types


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
    found = list(definitions(Path(folder), release))
    types = {name: listed for definition in found for name, listed in elements(definition).items()}
    resources = sorted(each["type"] for each in found if each["kind"] == "resource" and not each["abstract"])
    versions = {each["fhirVersion"] for each in found}
    assert len(versions) == 1, versions
    content = {"release": versions.pop(), "resources": resources, "types": dict(sorted(types.items()))}
    packed = gzip.compress(json.dumps(content, separators=(",", ":")).encode(), compresslevel=9, mtime=0)
    Path(target).write_bytes(packed)
    sys.stdout.write(f"{target}: {content['release']}, {len(resources)} resources, {len(types)} types, {len(packed)} bytes\n")


if __name__ == "__main__":
    main(*sys.argv[1:4])
