"""FHIR XML and its JSON form (FHIR xml.html): what the one says the other says too, and nothing is ever expanded."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from lxml import etree

from adapters.fhir import wire
from adapters.fhir.refusal import FhirRefused
from adapters.fhir.structure import document_faults
from adapters.fhir.xml import to_xml
from tests.corpora import fhir_messages, needs_corpora

DIV = '<div xmlns="http://www.w3.org/1999/xhtml"><p>甲 &amp; 乙<br/></p></div>'


def xml(inside: str, kind: str = "Patient") -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><{kind} xmlns="http://hl7.org/fhir">{inside}</{kind}>'.encode()


def body(inside: str, kind: str = "Patient") -> Any:
    return wire.read(xml(inside, kind)).body


def refused(raw: bytes) -> FhirRefused:
    with pytest.raises(FhirRefused) as caught:
        wire.read(raw)
    return caught.value


# -- from XML


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ('<id value="p"/>', {"id": "p"}),
        ('<active value="true"/><birthDate value="1950-02"/>', {"active": True, "birthDate": "1950-02"}),
        ('<multipleBirthInteger value="2"/>', {"multipleBirthInteger": 2}),
        ('<name id="n"><given value="a"/><given value="b"/></name>', {"name": [{"id": "n", "given": ["a", "b"]}]}),
        ('<birthDate id="b" value="1950"/>', {"birthDate": "1950", "_birthDate": {"id": "b"}}),
        (
            '<name><given value="a"/><given><extension url="urn:x"><valueCode value="y"/></extension></given></name>',
            {"name": [{"given": ["a", None], "_given": [None, {"extension": [{"url": "urn:x", "valueCode": "y"}]}]}]},
        ),
        (f'<text><status value="generated"/>{DIV}</text>', {"text": {"status": "generated", "div": DIV}}),
        (
            '<contained><Organization><id value="o"/></Organization></contained>',
            {"contained": [{"resourceType": "Organization", "id": "o"}]},
        ),
        ("<!-- a --><?b c?>\n  <gender value='male'/>", {"gender": "male"}),
    ],
)
def test_the_json_form(inside: str, expected: dict[str, Any]) -> None:
    assert body(inside) == {"resourceType": "Patient", **expected}


@pytest.mark.parametrize("written", ["6.50", "0.0", "-12.125", "100", "0.00000010"])
def test_decimals_keep_their_digits(written: str) -> None:
    inside = f'<status value="final"/><code><text value="x"/></code><valueQuantity><value value="{written}"/></valueQuantity>'
    document = wire.read(xml(inside, "Observation"))
    value = document.body["valueQuantity"]["value"]
    assert Decimal(value).as_tuple() == Decimal(written).as_tuple()
    assert f'value="{written}"'.encode() in to_xml(document.body, "R4")


def test_entries_of_a_bundle_in_xml() -> None:
    inside = (
        '<type value="transaction"/><entry><fullUrl value="urn:uuid:1"/><resource><Patient><active value="true"/></Patient></resource>'
        '<request><method value="POST"/><url value="Patient"/></request></entry>'
    )
    document = wire.read(xml(inside, "Bundle"), content_type="application/fhir+xml")
    (entry,) = document.entries
    assert (entry.full_url, entry.method, entry.place) == ("urn:uuid:1", "POST", "entry[0]")
    assert json.loads(entry.raw) == {"resourceType": "Patient", "active": True}


@pytest.mark.parametrize(
    ("inside", "kind", "release"),
    [
        ('<status value="finished"/><class><code value="IMP"/></class>', "Encounter", "R4"),
        ('<status value="completed"/><class><coding><code value="IMP"/></coding></class>', "Encounter", "R5"),
        ('<status value="completed"/><actualPeriod><start value="2024"/></actualPeriod>', "Encounter", "R5"),
        ('<meta><profile value="http://hl7.org.cn/fhir/StructureDefinition/core-patient"/></meta>', "Patient", "R5"),
        ('<active value="true"/>', "Patient", "R4"),
    ],
)
def test_the_release_of_xml(inside: str, kind: str, release: str) -> None:
    document = wire.read(xml(inside, kind))
    assert (document.release, document_faults(document)) == (release, [])


@pytest.mark.parametrize(
    ("inside", "expression"),
    [
        ('<colour value="red"/>', "Patient.colour"),
        ('<name><nick value="x"/></name>', "Patient.name[0].nick"),
        ('<name><given value="a" colour="b"/></name>', "Patient.name[0]._given[0].colour"),
        ('<active value="yes"/>', "Patient.active"),
        ('<gender value="male"/><gender value="female"/>', "Patient.gender"),
        ('<p xmlns="http://www.w3.org/1999/xhtml">x</p>', "Patient.p"),
        ('<birthDate value=""/>', "Patient.birthDate"),
        ("<name/>", "Patient.name[0]"),
        ("<active/>", "Patient._active"),
    ],
)
def test_faults_of_xml_are_named_as_those_of_json(inside: str, expression: str) -> None:
    assert [issue.expression for issue in document_faults(wire.read(xml(inside)))] == [expression]


# -- what is refused

_BOMB = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'<!DOCTYPE Patient><Patient xmlns="http://hl7.org/fhir"/>', "doctype"),
        (b'<?xml version="1.0"?>\n<!-- <a> -->\n<!DOCTYPE Patient SYSTEM "file:///etc/passwd"><Patient/>', "doctype"),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><Patient xmlns="http://hl7.org/fhir"><id value="&x;"/></Patient>', "doctype"),
        (f'<!DOCTYPE a [<!ENTITY a0 "x">{_BOMB}]><Patient xmlns="http://hl7.org/fhir">&a9;</Patient>'.encode(), "doctype"),
        (b'<Patient xmlns="http://hl7.org/fhir"><id value="&x;"/></Patient>', "xml"),
        (b"<Patient", "xml"),
        (b'<Patient xmlns="http://hl7.org/fhir"><id value="a"/>', "xml"),
        (b"<Patient/>", "xml"),
        (b'<Patient xmlns="urn:hl7-org:v3"/>', "xml"),
        (b'<Patient xmlns="http://hl7.org/fhir"><id value="\xff"/></Patient>', "xml"),
        (b'<?xml version="1.0" encoding="GBK"?><Patient xmlns="http://hl7.org/fhir"/>', "encoding"),
        (xml('<active value="true"/>').decode().encode("utf-16"), "json"),
        (xml("text"), "xml"),
        (xml("<active>true</active>"), "xml"),
        (xml('<name>a<text value="b"/></name>'), "xml"),
        (xml("<contained/>"), "xml"),
        (xml("<contained><Patient/><Patient/></contained>"), "xml"),
        (xml("<x>" * 5000 + "</x>" * 5000), "too-deep"),
        (xml("<x>" * 70 + "</x>" * 70), "too-deep"),
        (xml("", "Nobody"), "resource-type"),
        (xml("", "MedicationOrder"), "release"),
        (xml('<assertedDate value="2024"/>', "Condition"), "release"),
    ],
)  # fmt: skip
def test_refused(raw: bytes, reason: str) -> None:
    refusal = refused(raw)
    assert (refusal.reason, refusal.status) == (reason, 422 if reason == "release" else 400)
    assert "passwd" not in str(refusal) + refusal.english


def test_absurd_numbers_stay_text_and_fail() -> None:
    inside = '<status value="final"/><code><text value="x"/></code><valueQuantity><value value="1e99999"/></valueQuantity>'
    document = wire.read(xml(inside, "Observation"))
    assert [issue.expression for issue in document_faults(document)] == ["Observation.valueQuantity.value"]


# -- to XML


def test_elements_are_written_in_the_order_of_the_definition() -> None:
    written = to_xml(
        {"resourceType": "Patient", "birthDate": "1950", "gender": "male", "id": "p", "name": [{"given": ["a"], "family": "b"}]},
        "R4",
    )
    root = etree.fromstring(written)
    assert [etree.QName(child).localname for child in root] == ["id", "name", "gender", "birthDate"]
    assert [etree.QName(child).localname for child in root[1]] == ["family", "given"]


@pytest.mark.parametrize(
    ("wrong", "reason"), [({"colour": "red"}, "structure"), ({"text": {"status": "generated", "div": "<div>"}}, "xml")]
)
def test_what_is_wrong_is_not_written(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(FhirRefused) as caught:
        to_xml({"resourceType": "Patient", **wrong}, "R4")
    assert caught.value.reason == reason


def with_narrative_in_normal_form(node: Any) -> Any:
    """XML may write the same narrative in several ways; canonical XML is one."""
    if isinstance(node, dict):
        return {
            name: etree.tostring(etree.fromstring(child), method="c14n") if name == "div" else with_narrative_in_normal_form(child)
            for name, child in node.items()
        }
    return [with_narrative_in_normal_form(child) for child in node] if isinstance(node, list) else node


@needs_corpora
def test_json_to_xml_to_json_is_the_same() -> None:
    for path in fhir_messages():
        document = wire.read(path.read_bytes())
        again = wire.read(to_xml(document.body, document.release))
        assert again.release == document.release
        assert with_narrative_in_normal_form(again.body) == with_narrative_in_normal_form(document.body), path.name
