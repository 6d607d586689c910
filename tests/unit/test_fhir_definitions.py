"""The packed definitions of FHIR: what their tool makes of published ones, and that the two forms that we ship say the same; whose codes
they hold."""

from __future__ import annotations

import gzip
import json
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

from adapters.fhir.resource import Release
from conformance.fhir.library import library
from tools.fhir_definitions import PROJECT, SNAPSHOTS, STRUCTURE, corrected, listed_elements, resources, snapshot, structure, wanted

BASE = "http://hl7.org/fhir/StructureDefinition/"

OWNERS = {
    "http://loinc.org": "LOINC",
    "http://snomed.info/sct": "SNOMED CT",
    "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl": "NCI Thesaurus",
    "http://unitsofmeasure.org": "UCUM",
    "http://dicom.nema.org/resources/ontology/DCM": "DICOM",
}
"""Whose code systems stand in packed value sets, and in our own tables."""

Json = dict[str, Any]


def element(path: str, kind: str = "string", **more: Any) -> Json:
    return {"id": path, "path": path, "min": 0, "max": "1", "type": [{"code": kind}], "base": {"path": path}, **more}


def definition(*elements: Json, **more: Any) -> Json:
    head = {"resourceType": "StructureDefinition", "id": "Thing", "url": f"{BASE}Thing", "type": "Thing", "kind": "resource"}
    root = {"id": "Thing", "path": "Thing", "min": 0, "max": "*"}
    return {**head, "abstract": False, "fhirVersion": "4.0.1", "snapshot": {"element": [root, *elements]}, **more}


def listed(*elements: Json) -> dict[str, Json]:
    heads = [
        {"resourceType": "StructureDefinition", "id": f"de-{each['path']}", "snapshot": {"element": [each]}} for each in elements
    ]
    return listed_elements(heads)


def paths(of: Json) -> list[str]:
    return [each["path"] for each in of["snapshot"]["element"]]


def test_without_a_list_a_definition_stands() -> None:
    as_it_is = definition(element("Thing.colour"))
    assert corrected(as_it_is, {}) == as_it_is


def test_what_a_packager_added_took_out_and_changed() -> None:
    packaged = definition(
        element("Thing.project"),
        element("Thing.colour", "code"),
        element("Thing.id", "id", base={"path": "Resource.id"}),
        element("Thing.part", "BackboneElement"),
        element("Thing.part.id", base={"path": "Element.id"}),
        element("Thing.part.size", "Quantity"),
        element("Thing.later", "BackboneElement"),
        element("Thing.later.id", base={"path": "Element.id"}),
        element("Thing.end"),
    )
    official = listed(
        element("Thing.colour", "CodeableConcept", binding={"strength": "required", "valueSet": "urn:colours"}),
        element("Thing.part.size", "Quantity"),
        element("Thing.part.weight", "Quantity"),
        element("Thing.end"),
    )
    right = corrected(packaged, official)
    assert paths(right) == [
        "Thing", "Thing.colour", "Thing.id", "Thing.part", "Thing.part.id", "Thing.part.size", "Thing.part.weight", "Thing.end",
    ]  # fmt: skip
    colour = right["snapshot"]["element"][1]
    assert (colour["type"], colour["binding"]["valueSet"]) == ([{"code": "CodeableConcept"}], "urn:colours")
    assert structure([right])["types"] == {
        "Thing": {"colour": "0..1 CodeableConcept", "id": "0..1 id", "part": "0..1 Thing.part", "end": "0..1 string"},
        "Thing.part": {"id": "0..1 string", "size": "0..1 Quantity", "weight": "0..1 Quantity"},
    }
    assert paths(snapshot(right)) == paths(right)


def test_what_is_left_out_of_a_snapshot() -> None:
    rules = [{"key": key, "severity": "error", "human": "x", "expression": "true", "xpath": "x"} for key in ("ele-1", "thi-1")]
    noted = element(
        "Thing.colour", constraint=rules, short="people read it", binding={"strength": "preferred", "valueSet": "urn:x"}
    )
    (_, kept) = snapshot(definition(noted))["snapshot"]["element"]
    assert kept.keys() == {"id", "path", "min", "max", "type", "constraint"}
    assert kept["constraint"] == [{"key": "thi-1", "severity": "error", "human": "x", "expression": "true"}]


def test_which_definitions_are_taken() -> None:
    assert wanted("r4", definition())
    assert not wanted("r5", definition())
    assert not wanted("r4", definition(fhirVersion="4.3.0"))  # R4B is another release
    assert not wanted("r4", definition(derivation="constraint"))
    assert wanted("r4", definition(derivation="constraint", type="Extension"))
    assert not wanted("mcode", definition())


def test_what_a_folder_holds(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"resourceType": "Bundle", "entry": [{"resource": definition()}]}), "utf-8")
    (tmp_path / "profiles-medplum.json").write_text(json.dumps(definition()), "utf-8")
    (tmp_path / "list.json").write_text("[]", "utf-8")
    assert list(resources(tmp_path)) == [definition()]


def _unpacked(file: str) -> Any:
    return json.loads(gzip.decompress((PROJECT / file).read_bytes()))


@pytest.mark.parametrize("release", ["r4", "r5"])
def test_structures_and_snapshots_have_the_same_elements(release: str) -> None:
    types, snapshots = _unpacked(STRUCTURE.format(release))["types"], _unpacked(SNAPSHOTS.format(release))["structures"]
    seen = set()
    for url, shipped in snapshots.items():
        if url.removeprefix(BASE) in types and shipped.get("derivation") != "constraint":
            parts = [each for each in shipped["snapshot"]["element"][1:] if each["max"] != "0"]
            said = {each["path"]: f"{each['min']}..{each['max']}" for each in parts}
            owners = {shipped["type"], *(name for name in types if name.startswith(f"{shipped['type']}."))}
            seen |= owners
            assert said == {f"{owner}.{name}": what.split()[0] for owner in owners for name, what in types[owner].items()}
    assert seen == types.keys()


def test_whose_codes_we_package_is_said() -> None:
    """The notice has a part for each owner whose codes stand in the packed value sets, and goes out with the product."""
    notice = (PROJECT / "NOTICE").read_text("utf-8").splitlines()
    systems = {
        system
        for release in get_args(Release)
        for known in library(release).value_sets.values()
        for system, codes in known.codes.items()
        if codes and not system.startswith(("http://hl7.org/", "http://terminology.hl7.org/", "urn:"))
    }
    assert {"http://loinc.org", "http://snomed.info/sct"} <= systems
    assert systems <= OWNERS.keys()
    assert set(OWNERS.values()) <= set(notice)
    assert "NOTICE" in tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]["license-files"]
    assert re.search(r"^COPY .*\bNOTICE\b", (PROJECT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
