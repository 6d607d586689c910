"""The structure of resources against the definitions of R4 4.0.1 and R5 5.0.0: cardinalities, JSON types and forms of values (FHIR json.html
and datatypes.html)."""

from __future__ import annotations

import importlib
import json
import warnings
from decimal import Decimal
from typing import Any

import pytest

from adapters.fhir import wire
from adapters.fhir.definitions import definitions
from adapters.fhir.primitives import primitives
from adapters.fhir.refusal import MOST_ISSUES
from adapters.fhir.resource import Release
from adapters.fhir.structure import document_faults, faults
from tests.corpora import fhir_messages, needs_corpora
from tests.fhir_records import bare_patient as patient


def found(body: dict[str, Any], release: Release = "R4", place: str = "") -> list[tuple[str, str]]:
    return [(issue.expression, issue.rule) for issue in faults(body, release, place)]


# -- elements


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (patient(), []),
        (patient(colour="red"), [("Patient.colour", "unknown-element")]),
        ({"resourceType": "Patient", "张三": 1}, [("Patient.?", "unknown-element")]),
        (patient(name=[{"given": ["a"], "nick": "b"}]), [("Patient.name[0].nick", "unknown-element")]),
        (patient(_colour={"id": "a"}), [("Patient._colour", "unknown-element")]),
        (patient(_name=[{"id": "a"}]), [("Patient._name", "unknown-element")]),
        (patient(id="a", _id={"id": "b"}), [("Patient._id", "unknown-element")]),
        (patient(deceasedString="x"), [("Patient.deceasedString", "unknown-element")]),
        (patient(deceased=True), [("Patient.deceased", "unknown-element")]),
        (patient(fhir_comments=["x"]), [("Patient.fhir_comments", "unknown-element")]),
        (patient(name={"text": "a"}), [("Patient.name", "array")]),
        (patient(gender=["male"]), [("Patient.gender", "array")]),
        (patient(maritalStatus=[{"text": "a"}]), [("Patient.maritalStatus", "object")]),
        (patient(maritalStatus="M"), [("Patient.maritalStatus", "object")]),
        (patient(gender={"code": "male"}), [("Patient.gender", "value")]),
        (patient(name=[]), [("Patient.name", "empty")]),
        (patient(name=[{}]), [("Patient.name[0]", "empty")]),
        (patient(name=[None]), [("Patient.name[0]", "object")]),
        (patient(gender=None), [("Patient.gender", "null")]),
        (patient(deceasedBoolean=True, deceasedDateTime="2024"), [("Patient.deceased[x]", "choice")]),
        (patient(deceasedBoolean=True, _deceasedDateTime={"id": "a"}), [("Patient.deceased[x]", "choice")]),
        (patient(deceasedDateTime="2024", _deceasedDateTime={"id": "a"}), []),
        (patient(link=[{"type": "seealso"}]), [("Patient.link[0].other", "required")]),
        ({"resourceType": "Observation", "status": "final"}, [("Observation.code", "required")]),
        ({"resourceType": "MedicationRequest", "status": "active", "intent": "order", "subject": {"display": "x"}},
         [("MedicationRequest.medication[x]", "required")]),
        ({"resourceType": "Nobody"}, [("Nobody.resourceType", "resource-type")]),
        ({}, [("resourceType", "resource-type")]),
    ],
)  # fmt: skip
def test_elements(body: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert found(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (patient(_birthDate={"extension": [{"url": "urn:x", "valueCode": "unknown"}]}), []),
        (patient(_birthDate={}), [("Patient._birthDate", "empty")]),
        (patient(_birthDate={"value": "x"}), [("Patient._birthDate.value", "unknown-element")]),
        (patient(_birthDate=[{"id": "a"}]), [("Patient._birthDate", "object")]),
        (patient(name=[{"given": ["a", None], "_given": [None, {"id": "x"}]}]), []),
        (patient(name=[{"given": [None], "_given": [None]}]),
         [("Patient.name[0].given[0]", "null"), ("Patient.name[0]._given[0]", "null")]),
        (patient(name=[{"given": ["a", None]}]), [("Patient.name[0].given[1]", "null")]),
        (patient(name=[{"_given": [{"id": "x"}]}]), []),
    ],
)  # fmt: skip
def test_siblings_of_primitive_values(body: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert found(body) == expected


def test_a_required_element_may_have_only_a_sibling() -> None:
    absent = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}
    assert found({"resourceType": "Observation", "_status": absent, "code": {"text": "x"}}) == []


def test_contained_resources_and_bundles_are_checked_inside() -> None:
    body = patient(contained=[{"resourceType": "Organization", "active": "yes"}, {"id": "x"}, "x"])
    assert found(body) == [
        ("Patient.contained[0].active", "value"),
        ("Patient.contained[1].resourceType", "resource-type"),
        ("Patient.contained[2]", "object"),
    ]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": body}, {"resource": patient(birthDate="x")}]}
    assert ("Bundle.entry[1].resource.birthDate", "value") in found(bundle)


def test_the_place_is_part_of_the_expression() -> None:
    assert found(patient(x=1), place="entry[3]") == [("Bundle.entry[3].resource.x", "unknown-element")]
    assert found(patient(x=1), place="line[3]") == [("line[3].Patient.x", "unknown-element")]


def test_faults_of_a_message_are_those_of_its_bundle_and_of_its_resources() -> None:
    entry = {"fullUrl": 1, "resource": patient(x=1), "request": {"method": "POST"}}
    document = wire.read(json.dumps({"resourceType": "Bundle", "type": "batch", "total": "1", "entry": [entry]}).encode())
    assert [(issue.expression, issue.rule) for issue in document_faults(document)] == [
        ("Bundle.total", "value"),
        ("Bundle.entry[0].fullUrl", "value"),
        ("Bundle.entry[0].request.url", "required"),
        ("Bundle.entry[0].resource.x", "unknown-element"),
    ]


def test_an_entry_may_be_only_its_resource() -> None:
    raw = json.dumps({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": patient()}]}).encode()
    assert document_faults(wire.read(raw)) == []


def test_no_more_faults_than_can_be_read() -> None:
    assert len(faults(patient(**{f"x{number}": 1 for number in range(500)}), "R4")) == MOST_ISSUES


def test_texts_are_chinese_and_english_and_hold_no_values() -> None:
    secret = "19500102-secret"
    for issue in faults(patient(birthDate=secret, gender=[secret], name=secret, active=secret), "R4"):
        assert secret not in repr(issue)
        assert any("一" <= character <= "鿿" for character in issue.message)
        assert issue.english.isascii()


# -- releases


@pytest.mark.parametrize(
    ("body", "r4", "r5"),
    [
        ({"resourceType": "Encounter", "status": "finished", "class": {"code": "IMP"}}, [], [("Encounter.class", "array")]),
        ({"resourceType": "Encounter", "status": "completed", "class": [{"text": "IMP"}]}, [("Encounter.class", "object")], []),
        ({"resourceType": "Coverage", "status": "active", "beneficiary": {"display": "x"}, "payor": [{"display": "x"}]},
         [], [("Coverage.payor", "unknown-element"), ("Coverage.kind", "required")]),
        ({"resourceType": "SubscriptionTopic", "url": "urn:x", "status": "active"},
         [("SubscriptionTopic.resourceType", "resource-type")], []),
        ({"resourceType": "MedicinalProduct", "name": [{"productName": "x"}]}, [], [("MedicinalProduct.resourceType", "resource-type")]),
        (patient(meta={"project": "x"}), [("Patient.meta.project", "unknown-element")], [("Patient.meta.project", "unknown-element")]),
        ({"resourceType": "Binary", "contentType": "a/b", "url": "x"}, [("Binary.url", "unknown-element")], [("Binary.url", "unknown-element")]),
    ],
)  # fmt: skip
def test_each_release_has_its_own_elements(body: dict[str, Any], r4: list[tuple[str, str]], r5: list[tuple[str, str]]) -> None:
    assert found(body, "R4") == r4
    assert found(body, "R5") == r5


def test_what_only_r4b_has_is_unknown_in_r4() -> None:
    for kind in ("Citation", "SubscriptionStatus", "NutritionProduct", "MedicinalProductDefinition"):
        assert kind not in definitions("R4").resources
    assert len(definitions("R4").resources) == 146
    assert {"SubscriptionTopic", "Citation"} <= definitions("R5").resources


# -- primitive values

OIDS = "urn:oid:2.16.156.10011.1.3"
RIGHT_AND_WRONG: list[tuple[str, list[Any], list[Any]]] = [
    ("Boolean", [True, False], ["true", 0, 1, None]),
    ("Integer", [0, -1, 2**31 - 1, -(2**31)], [2**31, -(2**31) - 1, "1", 1.5, Decimal("1.0"), True]),
    ("UnsignedInt", [0, 1], [-1, "0", 2**31]),
    ("PositiveInt", [1], [0, -1, True]),
    ("Decimal", [0, 1.5, Decimal("6.50")], ["6.50", True, None]),
    ("String", ["a", " a ", "甲\n乙\t", "\u3000甲"], ["", " ", "\n\t", "\u3000", "a\x00", "a\x1f", 1, "x" * (1024 * 1024 + 1)]),
    ("Markdown", ["*a*"], ["", 1]),
    ("Code", ["final", "a b"], ["", " a", "a ", "a  b", 1]),
    ("Id", ["a", "A-1.", "x" * 64], ["", "a_b", "a b", "x" * 65, "甲", 1]),
    ("Uri", ["urn:oid:1.2", "http://例.example/a"], ["", "a b", 1]),
    ("Url", ["http://a"], ["http://a b"]),
    ("Canonical", ["http://a|1"], ["http://a |1"]),
    ("Oid", [OIDS, "urn:oid:1.0"], ["2.16.156", "urn:oid:3.1", "urn:oid:2", "urn:oid:2.01"]),
    ("Uuid", ["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"], ["c757873d-ec9a-4326-a141-556f43239520",
     "urn:uuid:C757873D-EC9A-4326-A141-556F43239520"]),
    ("Date", ["2024", "2024-02", "2024-02-29"], ["24", "0000", "2024-13", "2023-02-29", "2024-02-30",
     "20240229", "2024-02-29T08:00:00Z", "２０２４", 2024]),
    ("DateTime", ["2024", "2024-02-29", "2024-02-29T08:00:00+08:00", "2024-02-29T23:59:60.123Z",
     "2024-02-29T08:00:00", "2024-02-29T08:00Z"],
     ["2024-02-29 08:00:00Z", "2023-02-29T08:00:00Z", "2024-02-29T24:00:00Z", "2024-02-29T08:00:00+14:30"]),
    ("Instant", ["2024-02-29T08:00:00.5+08:00"], ["2024-02-29", "2024-02-29T08:00:00", "2024-04-31T08:00:00Z"]),
    ("Time", ["08:00:00", "23:59:59.5"], ["08:00", "24:00:00", "08:00:00Z"]),
    ("Base64Binary", ["YQ==", "YW Jj\n"], ["", "YQ=", "Y", "甲", "YQ==YQ==", " "]),
]  # fmt: skip


@pytest.mark.parametrize(("suffix", "right", "wrong"), RIGHT_AND_WRONG)
@pytest.mark.parametrize("release", ["R4", "R5"])
def test_forms_of_values(suffix: str, right: list[Any], wrong: list[Any], release: Release) -> None:
    for value in right:
        assert found(patient(extension=[{"url": "urn:x", f"value{suffix}": value}]), release) == [], repr(value)[:50]
    for value in wrong:
        rule = "null" if value is None else "value"
        expected = [(f"Patient.extension[0].value{suffix}", rule)]
        assert found(patient(extension=[{"url": "urn:x", f"value{suffix}": value}]), release) == expected, repr(value)[:50]


def test_integer64_is_text_and_of_r5_only() -> None:
    assert found(patient(extension=[{"url": "urn:x", "valueInteger64": "9223372036854775807"}]), "R5") == []
    for wrong in ("9223372036854775808", "1.0", 5):
        assert found(patient(extension=[{"url": "urn:x", "valueInteger64": wrong}]), "R5") != []
    assert found(patient(extension=[{"url": "urn:x", "valueInteger64": "1"}])) == [
        ("Patient.extension[0].valueInteger64", "unknown-element")
    ]


def test_long_narrative_and_attachments_are_allowed() -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml">' + "甲" * 1_100_000 + "</div>"
    assert found(patient(text={"status": "generated", "div": div}, photo=[{"data": "YWJj" * 300_000}])) == []


@pytest.mark.parametrize("release", ["R4", "R5"])
def test_every_primitive_type_of_the_definitions_has_a_test(release: Release) -> None:
    book = definitions(release)
    for kind in book.resources:
        for element in book.elements(kind).values():
            assert not book.is_primitive(element.type) or element.type in primitives(), element


# -- corpora, and fhir.resources as a second opinion


def accepted_by_fhir_resources(body: dict[str, Any], package: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind = body["resourceType"]
        model = getattr(importlib.import_module(f"{package}.{kind.lower()}"), kind)
        try:
            model.model_validate(body)
        except Exception:
            return False
        return True


@needs_corpora
def test_the_corpora_have_no_faults() -> None:
    for path in fhir_messages():
        document = wire.read(path.read_bytes())
        assert document_faults(document) == [], path.name
        assert accepted_by_fhir_resources(dict(document.body), "fhir.resources.R4B"), path.name


@pytest.mark.parametrize(
    "body",
    [
        patient(active="true"),
        patient(active=1),
        patient(name=[]),
        patient(name=[{}]),
        patient(gender=None),
        patient(id="x" * 65),
        patient(name=[{"text": " "}]),
        patient(name=[{"given": ["a", None]}]),
        patient(implicitRules="a b"),
        patient(multipleBirthInteger=1.0),
        patient(extension=[{"url": "urn:x", "valueDecimal": "1"}]),
        patient(fhir_comments=["x"]),
        patient(name=[{"text": "a\x00"}]),
        patient(contained=[{"id": "x"}]),
    ],
)
def test_deliberately_stricter_than_fhir_resources(body: dict[str, Any]) -> None:
    """The specification refuses all of these; fhir.resources takes them. A reader that takes them would have to guess."""
    assert accepted_by_fhir_resources(body, "fhir.resources.R4B")
    assert faults(body, "R4") != []
