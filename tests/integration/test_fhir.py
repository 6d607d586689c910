"""FHIR into the running gateway and out of it: one intake, one stay, and what people and clients see of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select as table_select
from sqlmodel import col, select

from adapters.fhir.resource import USED
from conformance.sample.faults import is_due_child
from conformance.sample.fhir_feed import bundle_of
from conformance.sample.hospital import generate
from conformance.simulators.ncpcs import Simulator
from gateway import desk
from gateway.access.registry import issue_key, register
from gateway.access.scopes import parse_scopes
from gateway.cases import stays
from gateway.intake.mailroom import RAW_PLACE, Room
from gateway.model.stay import Stay
from gateway.runtime import Gateway
from gateway.serving import served
from gateway.settings import load
from gateway.store.tables import FhirResource, InboundMessage, StayRow, Submission, SubmissionVersion
from gateway.web.searches import SEARCHES
from tests.installation import PASSWORD, install, wait_for

ORGANISATION = "990100000000000018"
OTHER = "990200000000000026"
SOURCES = f"""
[sources.other]
kind = "fhir"
organisation = "{OTHER}"

[sources.emr]
kind = "fhir"
organisation = "{ORGANISATION}"
organisation_name = "云屏市中心医院（演示）"
longest_mb = 1
path = "inbox-fhir"
"""
RECORDS = [record for record in islice(generate(400), 400) if is_due_child(record)][:4]
JSON = {"Content-Type": "application/fhir+json"}


@dataclass
class House:
    """A hospital that sends FHIR: its gateway, its system (``client``), and the headers of somebody who has signed in (``clerk``)."""

    gateway: Gateway
    client: httpx.Client
    folder: Path
    clerk: dict[str, str]

    @contextmanager
    def as_(self, **headers: str) -> Iterator[httpx.Client]:
        """Somebody else at the same server."""
        with httpx.Client(base_url=self.client.base_url, trust_env=False, timeout=30, headers=headers) as other:
            yield other

    def post(self, content: bytes | dict[str, Any], path: str = "/fhir", **headers: str) -> httpx.Response:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.client.post(path, content=raw, headers=JSON | headers)

    def put(self, path: str, content: dict[str, Any], **headers: str) -> httpx.Response:
        return self.client.put(path, content=json.dumps(content).encode(), headers=JSON | headers)

    def messages(self) -> list[InboundMessage]:
        with self.gateway.ledger.read() as session:
            return list(session.exec(select(InboundMessage).order_by(col(InboundMessage.id))))

    def settled(self) -> list[InboundMessage]:
        """The messages, once all of them were read."""
        wait_for(lambda: all(row.state != "received" for row in self.messages()), 20, "messages read")
        return self.messages()

    def stays(self) -> list[Stay]:
        self.settled()
        with self.gateway.ledger.read() as session:
            ids = session.exec(select(StayRow.id).where(col(StayRow.absorbed_into).is_(None)).order_by(col(StayRow.id)))
            return [stays.current(session, self.gateway.vault, id or 0)[0] for id in ids]

    def raw(self, row: InboundMessage) -> bytes:
        return self.gateway.vault.open(row.sealed_raw, RAW_PLACE)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with Simulator() as platform:
        config, password = install(
            tmp_path / "hospital", url=platform.base_url, account=platform.account, secret=platform.secret, more=SOURCES
        )
        with served(load(config)) as (gateway, url), httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            key = a_client(gateway, "emr", "system/*.cruds", source="emr")
            body = {"account": "admin", "password": password, "new_password": PASSWORD}
            token = client.post("/api/session", json=body).json()["token"]
            with httpx.Client(base_url=url, trust_env=False, timeout=30, headers={"X-API-Key": key}) as emr:
                clerk = {"Authorization": f"Bearer {token}"}
                yield House(gateway, emr, tmp_path / "hospital", clerk)


def a_client(gateway: Gateway, name: str, scopes: str, *, source: str) -> str:
    """A client's API key."""
    with gateway.ledger.write() as session:
        register(session, name, parse_scopes(scopes), source=source, actor="test")
        return issue_key(session, name, actor="test")


def changed(bundle: bytes, kind: str, **members: Any) -> bytes:
    """A bundle in which resources of a kind have other members."""
    body = json.loads(bundle)
    for entry in body["entry"]:
        if entry["resource"]["resourceType"] == kind:
            entry["resource"] |= members
    return json.dumps(body).encode()


def test_a_transaction_becomes_a_stay_that_is_due(house: House) -> None:
    record = RECORDS[0]
    answer = house.post(bundle_of(record))
    assert answer.status_code == 200
    body = answer.json()
    assert body["type"] == "transaction-response"
    assert {entry["response"]["status"] for entry in body["entry"]} <= {"200 OK", "201 Created"}
    (stay,) = house.stays()
    assert (stay.record_number, stay.admission_number, stay.organisation.code) == (record["A48"], int(record["A49"]), ORGANISATION)
    assert stay.patient.name == record["A11"]
    assert stay.diagnoses.principal.condition is not None
    assert stay.diagnoses.principal.condition.code == record["C03C"]
    assert stay.discharge.time == record["B15"].replace(" ", "T")
    assert str(stay.costs.total) == record["D01"]
    with house.gateway.ledger.read() as session:
        due = set(session.exec(select(Submission.platform)))
    assert due == {"hqms", "ncpcs"} or due == {"ncpcs"}


def test_the_same_bundle_again_changes_nothing(house: House) -> None:
    first, again = house.post(bundle_of(RECORDS[0])), house.post(bundle_of(RECORDS[0]))
    assert again.status_code == 200
    places = [[entry["response"].get("location") for entry in answer.json()["entry"]] for answer in (first, again)]
    assert places[0] == places[1]
    assert len(house.settled()) == 1
    assert len(house.stays()) == 1


def test_raw_bytes_are_kept_as_they_came(house: House) -> None:
    sent = bundle_of(RECORDS[0]).replace(b'"Bundle"', b'  "Bundle"', 1)
    house.post(sent)
    assert house.raw(house.messages()[0]) == sent


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled"])
def test_an_encounter_that_is_taken_back_takes_its_submissions_along(house: House, status: str) -> None:
    record = RECORDS[0]
    house.post(bundle_of(record))
    house.settled()
    house.post(bundle_of(record, status=status))
    house.settled()
    with house.gateway.ledger.read() as session:
        newest = session.exec(
            select(SubmissionVersion).where(SubmissionVersion.platform == "ncpcs").order_by(col(SubmissionVersion.number).desc())
        ).first()
    assert newest is not None
    assert newest.operation == "withdraw" or newest.our_state == "superseded"


def test_a_refuted_condition_is_no_longer_a_diagnosis(house: House) -> None:
    house.post(bundle_of(RECORDS[0]))
    (before,) = house.stays()
    body = json.loads(bundle_of(RECORDS[0]))
    entry = next(entry for entry in body["entry"] if entry["resource"]["resourceType"] == "Condition")
    entry["resource"]["verificationStatus"]["coding"][0]["code"] = "refuted"
    house.post({"resourceType": "Bundle", "type": "batch", "entry": [entry]})
    (after,) = house.stays()
    assert before.diagnoses.principal.condition is not None
    assert after.diagnoses.principal.condition is None
    assert len(before.tumours) == 1
    assert before.tumours[0].morphology is not None
    assert all(tumour.morphology is None for tumour in after.tumours)  # the diagnosis on admission still says cancer


def test_single_resources_build_a_stay_in_any_order(house: House) -> None:
    """Diagnosis, encounter, patient: what refers to something that has not come yet is read again when it comes."""
    inpatient = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}
    condition = {
        "resourceType": "Condition",
        "id": "c1",
        "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]},
        "verificationStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "confirmed"}]
        },
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "C91.000", "display": "急性淋巴细胞白血病"}]},
        "subject": {"reference": "Patient/p1"},
    }
    use = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/diagnosis-role", "code": "DD"}]}
    encounter = {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "finished",
        "class": inpatient,
        "subject": {"reference": "Patient/p1"},
        "period": {"start": "2026-10-01T08:00:00+08:00", "end": "2026-10-09T10:00:00+08:00"},
        "diagnosis": [{"condition": {"reference": "Condition/c1"}, "use": use, "rank": 1}],
    }
    mr = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
    patient = {"resourceType": "Patient", "id": "p1", "identifier": [{"type": mr, "value": "99A001"}], "name": [{"text": "陶小溪"}]}
    assert house.put("/fhir/Condition/c1", condition).status_code == 201
    assert house.put("/fhir/Encounter/e1", encounter).status_code == 201
    house.settled()
    answer = house.put("/fhir/Patient/p1", patient)
    assert answer.status_code == 201
    assert answer.headers["ETag"] == 'W/"1"'
    (stay,) = house.stays()
    assert stay.record_number == "99A001"
    assert stay.diagnoses.principal.condition is not None
    assert stay.diagnoses.principal.condition.code == "C91.000"
    assert {row.state for row in house.messages()} == {"assembled"}
    # the number is put right: the same stay goes along
    patient["identifier"][0]["value"] = "99A002"
    assert house.put("/fhir/Patient/p1", patient).headers["ETag"] == 'W/"2"'
    (stay,) = house.stays()
    assert stay.record_number == "99A002"
    # the encounter is deleted: nothing is left of the stay
    assert house.client.delete("/fhir/Encounter/e1").status_code == 204
    house.settled()
    assert house.client.get("/fhir/Encounter/e1").status_code == 410


def test_reading_back_what_was_handed_in(house: House) -> None:
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "肿瘤标志物"},
        "valueQuantity": {"value": "VALUE", "unit": "ng/mL"},
    }
    raw = json.dumps(observation).replace('"VALUE"', "6.50").encode()
    answer = house.post(raw, "/fhir/Observation")
    assert answer.status_code == 201
    place = answer.headers["Location"].partition("/_history")[0]
    read = house.client.get(place)
    assert read.status_code == 200
    assert b"6.50" in read.content
    assert read.json()["meta"]["versionId"] == "1"


def test_conditional_create_finds_the_one_that_is_there(house: House) -> None:
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:oid:2.16.156.10011.1.13", "value": "99B001"}]}
    condition = {"If-None-Exist": "identifier=urn:oid:2.16.156.10011.1.13|99B001"}
    first = house.post(patient, "/fhir/Patient", **condition)
    again = house.post(patient | {"gender": "male"}, "/fhir/Patient", **condition)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.headers["Location"] == again.headers["Location"]


def test_an_update_meant_for_another_version_is_refused(house: House) -> None:
    patient = {"resourceType": "Patient", "id": "p9", "gender": "male"}
    house.put("/fhir/Patient/p9", patient)
    refused = house.put("/fhir/Patient/p9", patient | {"gender": "female"}, **{"If-Match": 'W/"7"'})
    assert refused.status_code == 412
    assert refused.json()["resourceType"] == "OperationOutcome"
    accepted = house.put("/fhir/Patient/p9", patient | {"gender": "female"}, **{"If-Match": 'W/"1"'})
    assert accepted.status_code == 200
    # RFC 9110: * is any version, but there must be one
    assert house.put("/fhir/Patient/p9", patient | {"gender": "other"}, **{"If-Match": "*"}).status_code == 200
    assert house.put("/fhir/Patient/p10", {"resourceType": "Patient", "id": "p10"}, **{"If-Match": "*"}).status_code == 412


def test_a_withdrawal_meant_for_another_version_is_refused(house: House) -> None:
    house.put("/fhir/Patient/p9", {"resourceType": "Patient", "id": "p9", "gender": "male"})
    refused = house.client.delete("/fhir/Patient/p9", headers={"If-Match": 'W/"7"'})
    assert refused.status_code == 412
    assert refused.json()["issue"][0]["details"]["coding"][0]["code"] == "version"
    assert house.client.get("/fhir/Patient/p9").status_code == 200
    assert [row.reason for row in house.messages() if row.state == "refused"] == ["version"]
    assert house.client.delete("/fhir/Patient/p9", headers={"If-Match": 'W/"1"'}).status_code == 204
    assert house.client.get("/fhir/Patient/p9").status_code == 410
    assert house.client.delete("/fhir/Patient/nobody", headers={"If-Match": 'W/"1"'}).status_code == 412


def test_what_is_not_there_is_withdrawn_already(house: House) -> None:
    """204 and nothing stored, as http.html#delete has it; the same for what was withdrawn before."""
    assert house.client.delete("/fhir/Patient/nobody").status_code == 204
    assert house.messages() == []
    assert house.client.get("/fhir/Patient/nobody").status_code == 404
    house.put("/fhir/Patient/p9", {"resourceType": "Patient", "id": "p9"})
    assert [house.client.delete("/fhir/Patient/p9").status_code for _ in range(2)] == [204, 204]
    assert len(house.messages()) == 2


def test_if_none_match_is_refused_because_it_would_not_be_kept_to(house: House) -> None:
    patient = {"resourceType": "Patient", "id": "p9"}
    refused = house.put("/fhir/Patient/p9", patient, **{"If-None-Match": "*"})
    assert refused.status_code == 422
    assert refused.json()["issue"][0]["details"]["coding"][0]["code"] == "if-none-match"
    request = {"method": "PUT", "url": "Patient/p9"}
    guarded = {"resource": patient, "request": request | {"ifNoneMatch": "*"}}
    answer = house.post({"resourceType": "Bundle", "type": "batch", "entry": [guarded, {"resource": patient, "request": request}]})
    assert [entry["response"]["status"][:3] for entry in answer.json()["entry"]] == ["422", "201"]
    named = answer.json()["entry"][0]["response"]["outcome"]["issue"][0]["expression"]
    assert named == ["Bundle.entry[0].request.ifNoneMatch"]


def test_an_older_statement_does_not_replace_a_newer_one(house: House) -> None:
    newer = {"resourceType": "Patient", "id": "p8", "gender": "male", "meta": {"lastUpdated": "2026-10-02T08:00:00+08:00"}}
    older = {"resourceType": "Patient", "id": "p8", "gender": "female", "meta": {"lastUpdated": "2026-10-01T08:00:00+08:00"}}
    house.put("/fhir/Patient/p8", newer)
    answer = house.put("/fhir/Patient/p8", older)
    assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == "stale"
    assert house.client.get("/fhir/Patient/p8").json()["gender"] == "male"


BAD = {
    "not JSON": (b"{", 400, ""),
    "nothing": (b" ", 400, ""),
    "a list": (b"[]", 400, ""),
    "nested": (b'{"resourceType":"Bundle","type":"batch","entry":' + b"[" * 5000, 400, ""),
    "external entity": (
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><Bundle xmlns="http://hl7.org/fhir">&e;</Bundle>',
        400,
        "",
    ),
    "unknown element": (b'{"resourceType":"Bundle","type":"batch","entry":[],"wrong":1}', 422, "Bundle.wrong"),
    "wrong type": (
        b'{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Patient","birthDate":7},'
        b'"request":{"method":"POST","url":"Patient"}}]}',
        422,
        "Bundle.entry[0].resource.birthDate",
    ),
    "huge number": (
        b'{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Observation","status":"final",'
        b'"code":{"text":"x"},"valueQuantity":{"value":1e999999}},"request":{"method":"POST","url":"Observation"}}]}',
        400,
        "",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_answered_by_an_outcome_and_kept(house: House, name: str) -> None:
    raw, status, element = BAD[name]
    answer = house.post(raw, **({"Content-Type": "application/fhir+xml"} if raw.startswith(b"<") else {}))
    assert answer.status_code in (status, 422), answer.text
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["details"]["text"]
    if element:
        assert outcome["issue"][0]["expression"] == [element]
    (kept,) = house.messages()
    assert kept.state == "refused"
    assert house.raw(kept) == raw
    assert house.client.get("/fhir/metadata").status_code == 200


def test_what_is_too_long_is_refused_and_kept_in_the_raw_store(house: House) -> None:
    body = b'{"resourceType":"Bundle","type":"collection","entry":[' + b" " * (50 << 20) + b"]}"
    answer = house.post(body)
    assert answer.status_code == 413
    assert answer.json()["issue"][0]["code"] == "too-long"
    (kept,) = house.messages()
    digest = kept.note.rpartition(" ")[2]
    assert house.gateway.importer.journal.read(digest, 0, 60) == body[:60]


def test_a_batch_takes_what_is_right(house: House) -> None:
    good = {"resource": {"resourceType": "Patient", "gender": "male"}, "request": {"method": "POST", "url": "Patient"}}
    bad = {"resource": {"resourceType": "Patient", "gendre": "male"}, "request": {"method": "POST", "url": "Patient"}}
    get = {"request": {"method": "GET", "url": "Patient/1"}}
    answer = house.post({"resourceType": "Bundle", "type": "batch", "entry": [good, bad, get]}).json()
    assert [entry["response"]["status"][:3] for entry in answer["entry"]] == ["201", "422", "405"]
    assert answer["entry"][1]["response"]["outcome"]["issue"][0]["expression"] == ["Bundle.entry[1].resource.gendre"]


@pytest.mark.parametrize("method", ["delete", "Put", "FOO"])
def test_a_method_that_is_not_known_does_nothing(house: House, method: str) -> None:
    def asking(method: str, id: str) -> dict[str, Any]:
        patient = {"resourceType": "Patient", "id": id, "gender": "male"}
        return {"resource": patient, "request": {"method": method, "url": f"Patient/{id}"}}

    entries = [asking("PUT", "good"), asking(method, "bad")]
    whole = house.post({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert whole.status_code == 422
    assert whole.json()["issue"][0]["expression"] == ["Bundle.entry[1].request.method"]
    assert house.client.get("/fhir/Patient/good").status_code == 404
    each = house.post({"resourceType": "Bundle", "type": "batch", "entry": entries}).json()["entry"]
    assert [entry["response"]["status"][:3] for entry in each] == ["201", "422"]
    assert each[1]["response"]["outcome"]["issue"][0]["expression"] == ["Bundle.entry[1].request.method"]
    assert house.client.get("/fhir/Patient/bad").status_code == 404


def test_back_pressure_says_so(house: House) -> None:
    house.gateway.mailroom.room = Room(waiting=0)
    answer = house.post(bundle_of(RECORDS[0]))
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["issue"][0]["code"] == "transient"


def test_bulk_files_in_the_folder(house: House) -> None:
    """NDJSON: lines that are right are read, one that is not is kept and told of."""
    lines = [json.dumps(entry["resource"]) for entry in json.loads(bundle_of(RECORDS[0]))["entry"] if "id" in entry["resource"]]
    record = next(record for record in RECORDS if int(record["A48"]) % 2 == 1)
    lines = [json.dumps(entry["resource"]) for entry in json.loads(bundle_of(record))["entry"]]
    lines.insert(3, "{broken")
    (house.folder / "inbox-fhir").mkdir(exist_ok=True)
    (house.folder / "inbox-fhir" / "export.ndjson").write_text("\n".join(lines), "utf-8")
    wait_for(lambda: (house.folder / "inbox-fhir" / "done" / "export.ndjson").exists(), 20, "file taken")
    (stay,) = house.stays()
    assert stay.record_number == record["A48"]
    refused = [row for row in house.messages() if row.state == "refused"]
    assert len(refused) == 1


def test_canonical_stays_as_fhir(house: House) -> None:
    for record in RECORDS[:3]:
        house.post(bundle_of(record))
    house.stays()
    found = [house.client.get(f"/fhir/{kind}", params={"_count": 100}).json() for kind in ("Patient", "Encounter", "Condition")]
    patients, encounters, conditions = ([entry["resource"] for entry in bundle["entry"]] for bundle in found)
    assert len(encounters) == 3
    assert len(patients) == len({record["A48"] for record in RECORDS[:3]})
    assert all(patient["id"].startswith("zb-") for patient in patients)
    codes = {coding["code"] for condition in conditions for coding in condition["code"]["coding"]}
    assert {record["C03C"] for record in RECORDS[:3]} <= codes
    record = RECORDS[0]
    by_number = house.client.get("/fhir/Encounter", params={"identifier": f"urn:oid:2.16.156.10011.1.13|{record['A48']}"}).json()
    assert len(by_number["entry"]) == sum(other["A48"] == record["A48"] for other in RECORDS[:3])
    encounter = by_number["entry"][0]["resource"]
    of_stay = house.client.get("/fhir/Condition", params={"encounter": f"Encounter/{encounter['id']}"}).json()
    assert {entry["resource"]["encounter"]["reference"] for entry in of_stay["entry"]} == {f"Encounter/{encounter['id']}"}
    provenance = house.client.get("/fhir/Provenance", params={"target": f"Encounter/{encounter['id']}"}).json()
    sources = {entity["what"]["identifier"]["value"] for entity in provenance["entry"][0]["resource"]["entity"]}
    assert any(source.startswith("fhir:") for source in sources)


def test_pages_join_up(house: House) -> None:
    for record in RECORDS[:2]:
        house.post(bundle_of(record))
    house.stays()
    house.client.headers = httpx.Headers(house.clerk)
    for kind in SEARCHES:
        whole = house.client.get(f"/fhir/{kind}", params={"_count": 200}).json()
        ids = [entry["resource"]["id"] for entry in whole["entry"]]
        paged: list[str] = []
        url: str | None = f"/fhir/{kind}?_count=1"
        while url is not None and len(paged) < len(ids):
            page = house.client.get(url).json()
            paged += [entry["resource"]["id"] for entry in page.get("entry", ())]
            url = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
        assert paged == ids, kind
        assert len(set(ids)) == len(ids)


MANY = "9" * 5000
BEYOND = {
    "AuditEvent/zb-audit-99999999999999999999": 404,
    "AuditEvent?_id=zb-audit-99999999999999999999": 200,
    "AuditEvent/zb-audit-１": 404,  # a digit, but none of ours
    "AuditEvent?date=9999-12-31": 200,
    "AuditEvent?date=ge9999-12-31T23:59:59Z": 400,
    "AuditEvent?date=0001-01-01": 400,
    "AuditEvent?date=2026-11-01,le0001-01-01T00:00:00%2B08:00": 400,
    "AuditEvent?_after=99999999999999999999.1": 400,
    "Patient/zb-stay99999999999999999999": 404,
    "Encounter?patient=zb-stay99999999999999999999": 200,
    f"Encounter?patient=Patient/zb-stay{MANY}": 200,
    f"Encounter/zb-{MANY}": 404,
    f"Encounter?_id=zb-{MANY}": 200,
    f"Condition?encounter=Encounter/zb-{MANY}": 200,
    "Provenance/zb-99999999999999999999-x": 404,
}


def test_numbers_and_dates_beyond_all_measure_find_nothing(house: House) -> None:
    with house.as_(**house.clerk) as clerk:
        for url, status in BEYOND.items():
            answer = clerk.get(f"/fhir/{url}")
            assert answer.status_code == status, (url[:60], answer.text)
            assert answer.json()["resourceType"] == ("Bundle" if status == 200 else "OperationOutcome")
            assert "entry" not in answer.json()


def test_the_capability_statement_tells_the_truth(house: House) -> None:
    with httpx.Client(base_url=house.client.base_url, trust_env=False) as nobody:
        statement = nobody.get("/fhir/metadata").json()
        assert nobody.get("/fhir/Patient").status_code == 401
    house.client.headers.update({"X-API-Key": a_client(house.gateway, "all", "system/*.cruds", source="")})
    house.gateway.settings.sources.pop("other")  # one source: whoever has none of its own sends for it
    (rest,) = statement["rest"]
    stated = {resource["type"]: resource for resource in rest["resource"]}
    assert stated.keys() == USED | SEARCHES.keys()
    for kind, resource in stated.items():
        codes = {interaction["code"] for interaction in resource["interaction"]}
        put = house.put(f"/fhir/{kind}/x", {"resourceType": kind, "id": "x"})
        assert (put.status_code in (201, 422)) == ("update" in codes), (kind, put.text)
        assert house.client.get(f"/fhir/{kind}/unknown").status_code == 404
        searched = house.client.get(f"/fhir/{kind}")
        assert (searched.status_code == 200) == ("search-type" in codes), kind
        for parameter in resource.get("searchParam", ()):
            value = "2026-11-01" if parameter["type"] == "date" else "x"
            assert house.client.get(f"/fhir/{kind}", params={parameter["name"]: value}).status_code == 200
        if "search-type" in codes:
            assert house.client.get(f"/fhir/{kind}", params={"made-up": "1"}).status_code == 400


def test_answers_in_xml(house: House) -> None:
    xml = {"Accept": "application/fhir+xml"}
    answer = house.client.get("/fhir/metadata", headers=xml)
    assert answer.headers["content-type"].startswith("application/fhir+xml")
    assert answer.content.startswith((b"<?xml", b"<CapabilityStatement"))
    patient = b'<Patient xmlns="http://hl7.org/fhir"><id value="px"/><gender value="male"/></Patient>'
    put = house.client.put("/fhir/Patient/px", content=patient, headers={"Content-Type": "application/fhir+xml"} | xml)
    assert put.status_code == 201
    assert b'<gender value="male"/>' in put.content


def test_values_trace_back_to_the_element(house: House) -> None:
    house.post(bundle_of(RECORDS[0]))
    house.stays()
    with house.gateway.ledger.read() as session:
        version = session.exec(select(SubmissionVersion)).first()
    assert version is not None
    trace = house.client.get(f"/api/submissions/{version.id}/trace/A13", headers=house.clerk).json()
    said = trace["origins"][0]["said"]
    assert said["field"].endswith("Patient.birthDate")
    assert said["text"] == RECORDS[0]["A13"] == trace["value"]


def test_nothing_is_stored_that_identifies_anybody_in_the_open(house: House) -> None:
    house.post(bundle_of(RECORDS[0]))
    house.stays()
    with house.gateway.ledger.read() as session:
        rows = [repr(row.model_dump(exclude={"sealed_body"})) for row in session.exec(select(FhirResource))]
    assert not any(RECORDS[0]["A48"] in row or RECORDS[0]["A11"] in row for row in rows)


def test_the_identifier_of_a_bundle_is_shown_to_nobody(house: House) -> None:
    """Senders make Bundle.identifier of the 病案号: whoever looks at messages, the audit log or the database's file must not find it."""
    mark = "ZY99M4RK"
    named = json.loads(bundle_of(RECORDS[0])) | {"identifier": {"system": f"urn:his:{mark}", "value": f"{mark}-1"}}
    answers = [house.post(named), house.post(named), house.post(named | {"timestamp": "2026-11-02T08:00:00+08:00"})]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    answers.append(house.post(named | {"wrong": 1}))
    ids = [row.id for row in house.settled()]
    assert len(ids) == 3
    with house.as_(**house.clerk) as clerk:
        shown = ["/", "/api/messages", "/api/sources", "/api/audit/export", "/fhir/AuditEvent?_count=200", "/fhir/Provenance"]
        answers += [clerk.get(url) for url in [*shown, *(f"/api/messages/{id}" for id in ids)]]
    assert all(answer.status_code in (200, 422) for answer in answers)
    assert not any(mark in answer.text for answer in answers)
    with house.gateway.ledger.read() as session:
        rows = [repr(row) for table in InboundMessage.metadata.sorted_tables for row in session.execute(table_select(table))]
    assert len(rows) > len(ids)
    assert not any(mark in row for row in rows)


def test_every_entry_of_a_bundle_needs_its_right(house: House) -> None:
    house.put("/fhir/Patient/s1", {"resourceType": "Patient", "id": "s1", "gender": "male"})
    key = a_client(house.gateway, "writer", "system/Patient.c", source="emr")
    delete = {"request": {"method": "DELETE", "url": "Patient/s1"}}
    create = {"resource": {"resourceType": "Patient", "gender": "male"}, "request": {"method": "POST", "url": "Patient"}}
    with house.as_(**{"X-API-Key": key}) as writer:
        for type in ("batch", "transaction"):
            for entries, status in (([create], 200), ([create, delete], 403)):
                bundle = {"resourceType": "Bundle", "type": type, "entry": entries}
                answer = writer.post("/fhir", content=json.dumps(bundle).encode(), headers=JSON)
                assert answer.status_code == status, answer.text
    assert house.client.get("/fhir/Patient/s1").status_code == 200


def test_sources_do_not_see_each_other(house: House) -> None:
    house.post(bundle_of(RECORDS[0]))
    house.put("/fhir/Patient/mine", {"resourceType": "Patient", "id": "mine", "gender": "male"})
    house.stays()
    key = a_client(house.gateway, "stranger", "system/*.cruds", source="other")
    with house.as_(**{"X-API-Key": key}) as stranger:
        assert stranger.get("/fhir/Patient/mine").status_code == 404
        assert stranger.delete("/fhir/Patient/mine").status_code == 204  # there is none of the stranger's
        assert house.client.get("/fhir/Patient/mine").status_code == 200
        for kind in ("Patient", "Encounter", "Condition", "Provenance"):
            assert "entry" not in stranger.get(f"/fhir/{kind}").json()
            assert house.client.get(f"/fhir/{kind}").json()["entry"]
        own = house.client.get("/fhir/Encounter").json()["entry"][0]["resource"]["id"]
        assert stranger.get(f"/fhir/Encounter/{own}").status_code == 404
        assert stranger.get("/fhir/AuditEvent").status_code == 403
    with house.as_(**house.clerk) as clerk:  # a person sees all, but can only send where it is clear for whom
        assert clerk.get("/fhir/Encounter").json()["entry"]
        assert clerk.get("/fhir/AuditEvent").json()["entry"]
        assert clerk.post("/fhir", content=bundle_of(RECORDS[1]), headers=JSON).status_code == 403


def test_a_search_by_value_alone_takes_any_system(house: House) -> None:
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:oid:2.16.156.10011.1.13", "value": "99C001"}]}
    house.post(patient, "/fhir/Patient")
    found = house.post({"resourceType": "Patient", "gender": "male"}, "/fhir/Patient", **{"If-None-Exist": "identifier=99C001"})
    assert found.status_code == 200
    assert found.json()["identifier"] == patient["identifier"]
    none = house.post({"resourceType": "Patient", "gender": "male"}, "/fhir/Patient", **{"If-None-Exist": "identifier=|99C001"})
    assert none.status_code == 201


def test_a_record_that_cannot_be_processed_parks_its_patient_only(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """One piece of a bulk file speaks of two patients; one of them breaks the assembler."""
    assemble = desk.assemble
    broken = RECORDS[3]["A48"]

    def poisoned(identity: Any, *arguments: Any, **more: Any) -> Any:
        if identity[1] == broken:
            raise RuntimeError("a fault of ours")
        return assemble(identity, *arguments, **more)

    monkeypatch.setattr(desk, "assemble", poisoned)
    both = [json.loads(bundle_of(record))["entry"] for record in (RECORDS[3], RECORDS[1])]
    collection = [{"fullUrl": entry.get("fullUrl", ""), "resource": entry["resource"]} for entries in both for entry in entries]
    collection = [{name: value for name, value in entry.items() if value} for entry in collection]
    house.post({"resourceType": "Bundle", "type": "collection", "entry": collection})
    (message,) = house.settled()
    assert (message.state, message.reason) == ("parked", "failed")
    assert [stay.record_number for stay in house.stays()] == [RECORDS[1]["A48"]]
    house.put("/fhir/Patient/third", {"resourceType": "Patient", "id": "third", "gender": "male"})
    assert house.settled()[-1].state != "parked"  # nobody else waits
    monkeypatch.setattr(desk, "assemble", assemble)
    answer = house.client.post(f"/api/messages/{message.id}/retry", headers=house.clerk)
    assert answer.status_code == 200
    assert {stay.record_number for stay in house.stays()} == {broken, RECORDS[1]["A48"]}
