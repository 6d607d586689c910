"""Messages in FHIR JSON: what is read of them, and what is refused with which element named. The limits are those of
`adapters.fhir.json_text`; the rules of bundles are bdl-3, bdl-5 and bdl-7."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from types import FrameType
from typing import Any

import pytest

from adapters.fhir import wire
from adapters.fhir.refusal import FhirRefused
from adapters.fhir.structure import document_faults
from tests.corpora import fhir_messages, needs_corpora
from tests.fhir_records import bare_patient as patient

PATIENT = b'{"resourceType": "Patient", "id": "p"}'


def bundle(*entries: dict[str, Any], type: str = "collection", **more: Any) -> bytes:
    return json.dumps({"resourceType": "Bundle", "type": type, **more, "entry": list(entries)}).encode()


def refused(raw: bytes, **more: Any) -> FhirRefused:
    with pytest.raises(FhirRefused) as caught:
        wire.read(raw, **more)
    return caught.value


def first(refusal: FhirRefused) -> tuple[str, str, int]:
    return refusal.reason, refusal.issues[0].expression, refusal.status


# -- what is read


def test_a_single_resource_is_one_entry() -> None:
    document = wire.read(b'\xef\xbb\xbf\n {"resourceType": "Patient", "active": true}\n')
    assert (document.kind, document.type, document.release, document.declared) == ("Patient", "", "R4", False)
    (entry,) = document.entries
    assert (entry.number, entry.place, entry.kind, entry.method) == (0, "", "Patient", "")
    assert entry.body == document.body == {"resourceType": "Patient", "active": True}
    assert entry.raw.strip() == b'{"resourceType": "Patient", "active": true}'


def test_entries_of_a_transaction_have_their_bytes_and_what_they_ask() -> None:
    resource = b'{ "resourceType":"Observation",  "valueQuantity" : {"value" :6.50} }'
    raw = (
        b'{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:1","resource":'
        + resource
        + b',"request":{"method":"POST","url":"Observation","ifNoneExist":"a=b","ifMatch":"W/1","ifNoneMatch":"*"}},'
        + b'{"request":{"method":"DELETE","url":"Patient/1"}}]}'
    )
    document = wire.read(raw)
    assert (document.kind, document.type) == ("Bundle", "transaction")
    post, delete = document.entries
    assert post.raw == resource
    assert (post.number, post.place, post.kind, post.full_url) == (0, "entry[0]", "Observation", "urn:uuid:1")
    assert (post.method, post.url, post.if_none_exist, post.if_match, post.if_none_match) == (
        "POST",
        "Observation",
        "a=b",
        "W/1",
        "*",
    )
    assert str(post.body["valueQuantity"]["value"]) == "6.50"
    assert (delete.number, delete.place, delete.kind, delete.raw, delete.body) == (1, "entry[1]", "", b"", {})
    assert (delete.method, delete.url) == ("DELETE", "Patient/1")
    assert document.body == json.loads(raw, parse_float=Decimal)
    assert document.body["entry"][0]["resource"] is post.body
    assert document.envelope == {"resourceType": "Bundle", "type": "transaction"}


def test_resources_of_a_long_message_are_decoded_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = bundle({"resource": patient(id="1")}, {"resource": patient(id="2")})
    short = wire.read(raw)
    monkeypatch.setattr(wire, "KEPT_DECODED", len(raw) - 1)
    long = wire.read(raw)
    assert [entry.kept for entry in long.entries] == [None, None]
    assert [entry.body for entry in long.entries] == [entry.body for entry in short.entries]
    assert long.body == short.body


def test_a_bundle_in_a_message_is_opened() -> None:
    """A report to a cancer registry is a message that holds a bundle of its content."""
    inner = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": patient(id="p", birthDate="1950-13")}]}
    document = wire.read(bundle({"resource": {"resourceType": "MessageHeader"}}, {"resource": inner}, type="message"))
    places = [(entry.number, entry.place, entry.kind) for entry in document.entries]
    assert places == [
        (0, "entry[0]", "MessageHeader"),
        (1, "entry[1]", "Bundle"),
        (2, "entry[1].resource.entry[0]", "Patient"),
    ]
    assert len(document.body["entry"]) == 2
    found = [
        issue.expression for issue in document_faults(document) if "Patient" in issue.expression or "birthDate" in issue.expression
    ]
    assert found == ["Bundle.entry[1].resource.entry[0].resource.birthDate"]


@pytest.mark.parametrize(
    "content_type",
    ["", "application/fhir+json", "application/json", "text/json; charset=UTF-8", 'application/fhir+json; fhirVersion="4.0"'],
)
def test_content_types_of_json(content_type: str) -> None:
    assert wire.read(PATIENT, content_type=content_type).kind == "Patient"


@pytest.mark.parametrize(
    ("content_type", "reason"),
    [
        ("text/plain", "media-type"),
        ("application/fhir+turtle", "media-type"),
        ("application/json; charset=gbk", "encoding"),
        ("application/fhir+json; fhirVersion=3.0", "release"),
        ("application/fhir+json; fhirVersion=6.0", "release"),
    ],
)
def test_content_types_that_are_not_read(content_type: str, reason: str) -> None:
    assert first(refused(PATIENT, content_type=content_type)) == (reason, "", 415)


def test_the_content_type_decides_over_the_first_character() -> None:
    assert first(refused(PATIENT, content_type="application/fhir+xml"))[0] == "xml"
    assert first(refused(b"<Patient/>", content_type="application/fhir+json"))[0] == "json"


# -- what is refused


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", ("empty", "", 400)),
        (b"\xef\xbb\xbf \r\n", ("empty", "", 400)),
        (b'{"resourceType": "Patient", "name": [{"family": tru}]}', ("json", "Patient.name[0].family", 400)),
        (b'{"resourceType": "Patient", "active": true', ("json", "Patient.active", 400)),
        (b'{"resourceType": "Patient"} {}', ("json", "Patient", 400)),
        (b'{"resourceType": "Patient", "name": [{"text": "\xcd\xf5"}]}', ("json", "Patient.name[0].text", 400)),
        (b'{"resourceType": "Patient", "name": [{"text": "\\ud800"}]}', ("json", "Patient.name[0].text", 400)),
        (b'{"resourceType": "Patient", "multipleBirthInteger": NaN}', ("json", "Patient.multipleBirthInteger", 400)),
        (b"[]", ("not-an-object", "", 400)),
        (b'"Patient"', ("not-an-object", "", 400)),
        (b"{}", ("resource-type", "resourceType", 400)),
        (b'{"resourceType": 1}', ("resource-type", "resourceType", 400)),
        (b'{"resourceType": "Patients"}', ("resource-type", "resourceType", 400)),
        (b'{"resourceType": "Patient", "gender": "male", "gender": "female"}', ("duplicate-member", "Patient.gender", 400)),
        (b'{"resourceType": "Patient", "name": [{"text": "a", "t\\u0065xt": "b"}]}', ("duplicate-member", "Patient.name[0].text", 400)),
        (b'{"resourceType": "Observation", "valueQuantity": {"value": 1e31}}', ("number", "Observation.valueQuantity.value", 400)),
        (b'{"resourceType": "Observation", "valueQuantity": {"value": 1e-9999999999}}', ("number", "Observation.valueQuantity.value", 400)),
        (b'{"resourceType": "Observation", "valueInteger": ' + b"9" * 33 + b"}", ("number", "Observation.valueInteger", 400)),
        (b'{"resourceType": "Observation", "valueInteger": ' + b"9" * 9000 + b"}", ("number", "Observation.valueInteger", 400)),
        (b'{"resourceType": "Observation", "valueInteger": 0.' + b"1" * 32 + b"}", ("number", "Observation.valueInteger", 400)),
        (bundle(type="subscription-notification"), ("bundle-type", "Bundle.type", 422)),
        (bundle(type="transaction-response"), ("bundle-type", "Bundle.type", 422)),
        (b'{"resourceType": "Bundle", "type": ["batch"]}', ("bundle-type", "Bundle.type", 422)),
        (b'{"resourceType": "Bundle", "type": "batch", "entry": {}}', ("not-an-array", "Bundle.entry", 400)),
        (b'{"resourceType": "Bundle", "type": "batch", "entry": [[]]}', ("not-an-object", "Bundle.entry[0]", 400)),
        (bundle({"resource": patient()}, {"resource": None}), ("not-an-object", "Bundle.entry[1].resource", 400)),
        (bundle({"resource": {"resourceType": "Nobody"}}), ("resource-type", "Bundle.entry[0].resource.resourceType", 400)),
        (bundle({"fullUrl": "urn:uuid:1"}), ("no-resource", "Bundle.entry[0].resource", 422)),
        (bundle({"resource": patient()}, type="transaction"), ("no-request", "Bundle.entry[0].request", 422)),
        (bundle({"request": {"method": "PUT", "url": "Patient/1"}}, type="batch"), ("no-resource", "Bundle.entry[0].resource", 422)),
    ],
)  # fmt: skip
def test_refusals_name_the_element(raw: bytes, expected: tuple[str, str, int]) -> None:
    refusal = refused(raw)
    assert first(refusal) == expected
    assert refusal.issues[0].message != refusal.issues[0].english


@pytest.mark.parametrize("levels", [65, 5000, 1_000_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_deep_nesting(levels: int, opening: bytes, closing: bytes) -> None:
    raw = b'{"resourceType": "Patient", "name": ' + opening * levels + b"1" + closing * levels + b"}"
    refusal = refused(raw)
    assert (refusal.reason, refusal.status) == ("too-deep", 400)
    assert refusal.issues[0].expression.startswith("Patient")


def test_64_levels_are_read() -> None:
    assert wire.read(b'{"resourceType": "Patient", "name": ' + b"[" * 63 + b"1" + b"]" * 63 + b"}").kind == "Patient"


def test_long_digits_inside_text_are_no_number() -> None:
    oid = "urn:oid:2.25." + "3" * 39
    assert wire.read(json.dumps(patient(identifier=[{"system": oid, "value": "0" * 40}])).encode()).kind == "Patient"


@pytest.mark.parametrize("text", ['a\\": b', ": a", '\\\\": {'])
def test_quotes_and_colons_in_text_are_no_members(text: str) -> None:
    raw = b'{"resourceType" : "Patient", "name":[{"text": ' + json.dumps(text).encode() + b"}]}"
    assert wire.read(raw).body["name"][0]["text"] == text


def test_syntax_faults_have_a_position_and_no_content() -> None:
    secret = "zhang-san-secret"
    raw = b'{"resourceType": "Patient",\n "name": [{"text": "' + secret.encode() + b'\xff"}]}'
    refusal = refused(raw)
    assert "第 2 行第 37 字节" in refusal.issues[0].message
    for name in (secret, "\\xff", "Zhang"):
        assert name not in str(refusal) + refusal.english + repr(refusal.issues)
    assert refusal.__cause__ is None
    assert refusal.__suppress_context__


def test_names_that_are_no_element_names_are_not_repeated() -> None:
    """A value that slipped to the place of a name must not come back in an error."""
    refusal = refused('{"resourceType": "Patient", "张三 99010119500101001X": {"a": 1, "a": 2}}'.encode())
    assert first(refusal) == ("duplicate-member", "Patient.?.a", 400)


# -- the same fullUrl twice (bdl-7)


@pytest.mark.parametrize(
    ("one", "other", "kind", "accepted"),
    [
        (patient(id="1"), patient(id="2"), "collection", False),
        (patient(id="1"), patient(id="1"), "searchset", True),
        (patient(id="1", meta={"versionId": "1"}), patient(id="1", meta={"versionId": "2"}), "collection", True),
        (patient(id="1", meta={"versionId": "1"}), patient(id="2", meta={"versionId": "1"}), "collection", False),
        (patient(id="1"), patient(id="2"), "history", True),
    ],
)
def test_full_url_twice(one: dict[str, Any], other: dict[str, Any], kind: str, accepted: bool) -> None:
    url = "http://his.example/Patient/1"
    raw = bundle({"fullUrl": url, "resource": one}, {"fullUrl": url, "resource": other}, type=kind)
    if accepted:
        assert len(wire.read(raw).entries) == 2
    else:
        assert first(refused(raw)) == ("duplicate-full-url", "Bundle.entry[1].fullUrl", 422)


def test_many_versions_of_one_resource_take_steps_for_each_and_not_for_each_pair() -> None:
    url = "http://his.example/Patient/1"

    def steps(count: int) -> int:
        versions = [patient(id="1", meta={"versionId": str(number)}) for number in range(count)]
        raw, taken = bundle(*({"fullUrl": url, "resource": one} for one in versions)), 0

        def counted(_frame: FrameType, event: str, _argument: object) -> None:
            nonlocal taken
            taken += event == "call"

        sys.setprofile(counted)
        try:
            assert len(wire.read(raw).entries) == count
        finally:
            sys.setprofile(None)
        return taken

    assert steps(800) < 2.5 * steps(400)  # twice as many take twice as long; with pairs four times


def test_another_resource_is_found_among_many_versions() -> None:
    url = "http://his.example/Patient/1"
    versions = [patient(id="1", meta={"versionId": str(number)}) for number in (1, 2, 3)]
    other = patient(id="2", meta={"versionId": "2"})
    raw = bundle(*({"fullUrl": url, "resource": one} for one in [*versions, versions[0], other]))
    assert first(refused(raw)) == ("duplicate-full-url", "Bundle.entry[4].fullUrl", 422)


def test_history_with_deletions() -> None:
    raw = bundle(
        {"resource": patient(id="1"), "request": {"method": "PUT", "url": "Patient/1"}},
        {"request": {"method": "DELETE", "url": "Patient/1"}},
        type="history",
    )
    assert [(entry.kind, entry.method) for entry in wire.read(raw).entries] == [("Patient", "PUT"), ("", "DELETE")]


def test_an_unknown_type_in_a_batch_is_left_to_its_entry() -> None:
    request = {"method": "POST", "url": "Nobody"}
    document = wire.read(bundle({"resource": {"resourceType": "Nobody"}, "request": request}, type="batch"))
    assert [issue.expression for issue in document_faults(document)] == ["Bundle.entry[0].resource.resourceType"]


# -- how long a bundle may be


def test_a_bundle_of_too_many_entries() -> None:
    one = b'{"resource":{"resourceType":"Patient"}}'

    def of(count: int) -> bytes:
        return b'{"resourceType":"Bundle","type":"collection","entry":[' + b",".join([one] * count) + b"]}"

    assert len(wire.read(of(20_000)).entries) == 20_000
    assert first(refused(of(20_001))) == ("too-many-entries", "Bundle.entry", 413)
    assert refused(of(20_001)).issues[0].code == "too-long"


def test_entries_of_a_bundle_inside_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_ENTRIES", 3)
    inside = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": patient(id=str(n))} for n in range(3)]}
    assert first(refused(bundle({"resource": inside}))) == ("too-many-entries", "Bundle.entry[0].resource.entry", 413)


# -- bulk lines


def test_lines_that_are_wrong_do_not_stop_the_others() -> None:
    chunk = b"\n".join([
        b'{"resourceType": "Patient", "id": "1"}\r',
        b"",
        b'{"resourceType": "Patient", "id"}',
        b'{"resourceType": "Condition", "assertedDate": "2024"}',
        b'{"resourceType": "Patient", "id": "2", "id": "3"}',
        b'{"resourceType": "Patient", "id": "4"}',
        b'{"resourceType": "Bundle", "type": "batch"}',
        b"",
    ])  # fmt: skip
    document, issues = wire.read_lines(chunk)
    assert document.kind == wire.LINES
    assert [(entry.number, entry.place, entry.body["id"]) for entry in document.entries] == [
        (0, "line[0]", "1"),
        (1, "line[5]", "4"),
    ]
    assert [(issue.expression, issue.rule) for issue in issues] == [
        ("line[2].id", "json"),
        ("line[3].Condition.assertedDate", "release"),
        ("line[4].Patient.id", "duplicate-member"),
        ("line[6]", "bundle-in-line"),
    ]


def test_a_line_tells_the_release_of_its_piece() -> None:
    document, issues = wire.read_lines(PATIENT + b'\n{"resourceType": "Encounter", "actualPeriod": {"start": "2024"}}')
    assert (document.release, document.declared, issues) == ("R5", False, [])


# -- releases


@pytest.mark.parametrize(
    ("body", "release"),
    [
        ({"resourceType": "Encounter", "class": {"code": "IMP"}}, "R4"),
        ({"resourceType": "Encounter", "class": [{"coding": [{"code": "IMP"}]}]}, "R5"),
        ({"resourceType": "Encounter", "period": {"start": "2024"}}, "R4"),
        ({"resourceType": "Encounter", "actualPeriod": {"start": "2024"}}, "R5"),
        ({"resourceType": "Procedure", "performedDateTime": "2024"}, "R4"),
        ({"resourceType": "Procedure", "occurrenceDateTime": "2024"}, "R5"),
        ({"resourceType": "MedicationRequest", "medicationCodeableConcept": {"text": "x"}}, "R4"),
        ({"resourceType": "MedicationRequest", "medication": {"concept": {"text": "x"}}}, "R5"),
        ({"resourceType": "Coverage", "payor": [{"display": "x"}]}, "R4"),
        ({"resourceType": "Coverage", "insurer": {"display": "x"}}, "R5"),
        ({"resourceType": "Patient", "gender": "male"}, "R4"),
        ({"resourceType": "MedicationStatement", "status": "active"}, "R4"),
    ],
)
def test_the_shape_tells_the_release(body: dict[str, Any], release: str) -> None:
    assert (wire.read(json.dumps(body).encode()).release, wire.read(json.dumps(body).encode()).declared) == (release, False)
    in_bundle = wire.read(bundle({"resource": patient()}, {"resource": body}))
    assert (in_bundle.release, in_bundle.declared) == (release, False)


@pytest.mark.parametrize(
    ("profile", "release"),
    [
        ("http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-cancer-patient", "R4"),
        ("http://hl7.org.cn/fhir/StructureDefinition/core-patient", "R5"),
        ("http://hl7.org/fhir/StructureDefinition/Patient|5.0.0", "R5"),
        ("http://hl7.org/fhir/StructureDefinition/Patient|4.3.0", "R4"),
    ],
)
def test_a_profile_declares_the_release(profile: str, release: str) -> None:
    document = wire.read(json.dumps(patient(meta={"profile": [profile]})).encode())
    assert (document.release, document.declared) == (release, True)


@pytest.mark.parametrize(("version", "release"), [("4.0", "R4"), ("4.0.1", "R4"), ("4.3", "R4"), ("5.0", "R5")])
def test_the_content_type_declares_the_release(version: str, release: str) -> None:
    document = wire.read(PATIENT, content_type=f"application/fhir+json; fhirVersion={version}")
    assert (document.release, document.declared) == (release, True)
    assert wire.read(PATIENT, content_type=f"application/fhir+json; fhirVersion={version}", release="R5").release == "R5"


def test_two_releases_in_one_message() -> None:
    r4 = {"resourceType": "Encounter", "class": {"code": "IMP"}}
    r5 = {"resourceType": "Procedure", "occurrenceDateTime": "2024"}
    refusal = refused(bundle({"resource": r4}, {"resource": r5}))
    assert refusal.reason == "release"
    for element in ("Bundle.entry[0].resource.class", "Bundle.entry[1].resource.occurrenceDateTime"):
        assert element in refusal.issues[0].message
        assert element in refusal.issues[0].english


@pytest.mark.parametrize(
    ("body", "element"),
    [
        ({"resourceType": "Condition", "clinicalStatus": "active"}, "Condition.clinicalStatus"),
        ({"resourceType": "Condition", "assertedDate": "2024"}, "Condition.assertedDate"),
        ({"resourceType": "Observation", "context": {"reference": "Encounter/1"}}, "Observation.context"),
        ({"resourceType": "MedicationStatement", "taken": "y"}, "MedicationStatement.taken"),
        ({"resourceType": "Procedure", "definition": []}, "Procedure.definition"),
        ({"resourceType": "Procedure", "notDone": True}, "Procedure.notDone"),
        ({"resourceType": "Condition", "dateRecorded": "2014"}, "Condition.dateRecorded"),
        ({"resourceType": "MedicationOrder"}, "MedicationOrder.resourceType"),
        ({"resourceType": "ProcedureRequest"}, "ProcedureRequest.resourceType"),
    ],
)
def test_older_releases(body: dict[str, Any], element: str) -> None:
    kind, _, name = element.partition(".")
    where = "resourceType" if name == "resourceType" else element
    raw = json.dumps(body).encode()
    assert first(refused(raw)) == ("release", where, 422)
    assert first(refused(raw, release="R4")) == ("release", where, 422)
    assert (kind if name == "resourceType" else name) in refused(raw).issues[0].message


# -- corpora


@needs_corpora
def test_the_corpora_are_read_as_r4() -> None:
    for path in fhir_messages():
        raw = path.read_bytes()
        document = wire.read(raw)
        assert document.release == "R4", path.name
        assert document.body == json.loads(raw, parse_float=Decimal), path.name
