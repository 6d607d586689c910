"""What a bundle changes at its source: keys, references, records. Rules: FHIR bundle.html (resolving references), http.html (transaction)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from adapters.fhir import wire
from adapters.fhir.bundle import Change, Lookup, changes, logical_key, lookups, referring
from adapters.fhir.refusal import FhirRefused
from tests.fhir_records import bare_patient as patient

BASE = "http://zhibao.example/fhir"
P = "urn:uuid:6a1b2c3d-0000-4000-8000-000000000001"
E = "urn:uuid:6a1b2c3d-0000-4000-8000-000000000002"
MRN = ("Patient", "urn:oid:2.16.156.10011.1.12", "99001")


def encounter(subject: str | dict[str, Any], **more: Any) -> dict[str, Any]:
    reference = {"reference": subject} if isinstance(subject, str) else subject
    inpatient = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}
    return {"resourceType": "Encounter", "status": "finished", "class": inpatient, "subject": reference, **more}


def posted(full_url: str, resource: dict[str, Any], **request: Any) -> dict[str, Any]:
    return {"fullUrl": full_url, "resource": resource, "request": {"method": "POST", "url": resource["resourceType"], **request}}


def read(
    type: str, *entries: dict[str, Any], found: Mapping[Lookup, Sequence[str]] | None = None, scope: str = "s"
) -> list[Change]:
    raw = json.dumps({"resourceType": "Bundle", "type": type, "entry": list(entries)}).encode()
    document = wire.read(raw)
    return changes(document, referring(document), scope=scope, base=BASE, found=found or {})


def test_a_uuid_is_the_id_whenever_it_comes() -> None:
    first = read("transaction", posted(P, patient()), posted(E, encounter(P)), scope="one")
    again = read("transaction", posted(P, patient(gender="male")), scope="two")
    assert [change.key for change in first] == [f"Patient/{P[9:]}", f"Encounter/{E[9:]}"]
    assert again[0].key == first[0].key
    assert first[1].links == {P: f"Patient/{P[9:]}"}
    assert first[1].record == first[0].key


def test_a_name_that_is_no_uuid_counts_in_its_own_bundle_only() -> None:
    one = read(
        "transaction", posted("urn:uuid:patient", patient()), posted("urn:uuid:stay", encounter("urn:uuid:patient")), scope="one"
    )
    two = read("transaction", posted("urn:uuid:patient", patient()), scope="two")
    assert one[1].record == one[0].key
    assert one[0].key != two[0].key


def test_what_has_no_name_is_the_same_when_the_same_bytes_come_again() -> None:
    entry = {"resource": patient(), "request": {"method": "POST", "url": "Patient"}}
    assert read("transaction", entry, scope="x")[0].key == read("transaction", entry, scope="x")[0].key
    assert read("transaction", entry, scope="x")[0].key != read("transaction", entry, scope="y")[0].key


def test_put_names_the_resource_by_its_url() -> None:
    put = {
        "fullUrl": "http://his.example/fhir/Patient/7",
        "resource": patient(id="7"),
        "request": {"method": "PUT", "url": "Patient/7"},
    }
    stay = {"resource": encounter("Patient/7", id="1"), "request": {"method": "PUT", "url": "Encounter/1"}}
    changed = read("transaction", put, stay)
    assert [change.key for change in changed] == ["Patient/7", "Encounter/1"]
    assert changed[1].record == "Patient/7"


def test_relative_references_follow_the_base_of_their_entry() -> None:
    """bundle.html: a relative reference in an entry with a RESTful fullUrl is resolved against that server."""
    his, lis = "http://his.example/fhir", "http://lis.example/fhir"
    changed = read(
        "collection",
        {"fullUrl": f"{his}/Patient/1", "resource": patient(id="1")},
        {"fullUrl": f"{lis}/Patient/1", "resource": patient(id="1")},
        {"fullUrl": f"{lis}/Encounter/9", "resource": encounter("Patient/1", id="9")},
        {"fullUrl": f"{his}/Encounter/9", "resource": encounter(f"{his}/Patient/1/_history/3", id="9")},
    )
    assert [change.key for change in changed] == [
        f"{his}/Patient/1",
        f"{lis}/Patient/1",
        f"{lis}/Encounter/9",
        f"{his}/Encounter/9",
    ]
    assert changed[2].record == f"{lis}/Patient/1"
    assert changed[3].record == f"{his}/Patient/1"


def test_our_own_address_is_left_out_of_keys() -> None:
    changed = read("collection", {"fullUrl": f"{BASE}/Patient/7", "resource": patient(id="7")})
    assert changed[0].key == "Patient/7"


def test_a_relative_reference_finds_an_entry_under_another_name_by_its_id() -> None:
    changed = read("collection", {"fullUrl": P, "resource": patient(id="p1")}, {"fullUrl": E, "resource": encounter("Patient/p1")})
    assert changed[1].record == f"Patient/{P[9:]}"


def test_conditional_create_takes_the_one_that_is_there() -> None:
    entry = posted(P, patient(), ifNoneExist=f"identifier={MRN[1]}|{MRN[2]}")
    changed = read("transaction", entry, posted(E, encounter(P)), found={MRN: ["Patient/old"]})
    assert (changed[0].action, changed[0].key) == ("create", "Patient/old")
    assert changed[1].record == "Patient/old"
    assert read("transaction", entry)[0].action == "put"


def test_a_condition_that_several_meet_is_refused() -> None:
    with pytest.raises(FhirRefused) as refused:
        read(
            "transaction",
            posted(P, patient(), ifNoneExist=f"identifier={MRN[1]}|{MRN[2]}"),
            found={MRN: ["Patient/1", "Patient/2"]},
        )
    assert refused.value.status == 412


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": f"Patient?identifier={MRN[1]}|{MRN[2]}"},
        {"type": "Patient", "identifier": {"system": MRN[1], "value": MRN[2]}},
    ],
)
def test_a_patient_known_by_number_only(subject: dict[str, Any]) -> None:
    raw = json.dumps({"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": E, "resource": encounter(subject)}]})
    document = wire.read(raw.encode())
    assert MRN in lookups(document, referring(document))
    assert read("collection", {"fullUrl": E, "resource": encounter(subject)})[0].record == logical_key(MRN)
    assert read("collection", {"fullUrl": E, "resource": encounter(subject)}, found={MRN: ["Patient/7"]})[0].record == "Patient/7"


def test_a_contained_patient_is_known_by_its_number() -> None:
    inside = patient(id="p", identifier=[{"system": MRN[1], "value": MRN[2]}])
    assert read("collection", {"fullUrl": E, "resource": encounter("#p", contained=[inside])})[0].record == logical_key(MRN)


def test_a_patient_of_the_same_bundle_is_found_by_its_number() -> None:
    person = patient(identifier=[{"system": MRN[1], "value": MRN[2]}])
    subject = {"type": "Patient", "identifier": {"system": MRN[1], "value": MRN[2]}}
    changed = read("collection", {"fullUrl": P, "resource": person}, {"fullUrl": E, "resource": encounter(subject)})
    assert changed[1].record == changed[0].key


def test_what_has_no_subject_belongs_where_its_encounter_does() -> None:
    observation = {"resourceType": "Observation", "status": "final", "code": {"text": "?"}, "encounter": {"reference": E}}
    changed = read(
        "collection", {"fullUrl": P, "resource": patient()}, {"fullUrl": E, "resource": encounter(P)}, {"resource": observation}
    )
    assert changed[2].record == changed[0].key


def test_delete_names_what_is_taken_back() -> None:
    changed = read("transaction", {"request": {"method": "DELETE", "url": "Condition/5"}})
    assert [(change.action, change.key) for change in changed] == [("delete", "Condition/5")]


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        ({"resource": patient(id="zb-1"), "request": {"method": "PUT", "url": "Patient/zb-1"}}, "reserved-id"),
        ({"resource": patient(id="8"), "request": {"method": "PUT", "url": "Patient/7"}}, "id-mismatch"),
        ({"resource": patient(id="7"), "request": {"method": "PUT", "url": "Encounter/7"}}, "id-mismatch"),
        ({"resource": patient(id="7"), "request": {"method": "PUT", "url": "http://other.example/Patient/7"}}, "url"),
        (posted(P, patient(), ifNoneExist="birthdate=2020"), "condition"),
    ],
)
def test_requests_that_cannot_be_carried_out(entry: dict[str, Any], rule: str) -> None:
    with pytest.raises(FhirRefused) as refused:
        read("transaction", entry)
    assert refused.value.reason == rule
    assert refused.value.issues[0].expression == "Bundle.entry[0]"


@pytest.mark.parametrize("method", ["delete", "Put", "FOO", "post", "OPTIONS", " PUT"])
@pytest.mark.parametrize("type", ["transaction", "batch", "history"])
def test_a_method_that_is_not_known_is_not_taken_for_another(method: str, type: str) -> None:
    """HTTPVerb is a closed list of capitals (valueset-http-verb.html)."""
    with pytest.raises(FhirRefused) as refused:
        read(type, {"fullUrl": P, "resource": patient(id="7"), "request": {"method": method, "url": "Patient/7"}})
    (issue,) = refused.value.issues
    assert (refused.value.reason, refused.value.status) == ("unknown-method", 422)
    assert issue.expression == "Bundle.entry[0].request.method"
