"""FHIR messages through repository and assembler: what repeats, moves, is shared, is stale. No server, no thread."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from adapters.fhir import wire
from adapters.fhir.refusal import FhirRefused
from gateway.cases import stays
from gateway.intake.resources import Accepted
from gateway.model.stay import Stay
from gateway.runtime import Gateway
from gateway.settings import load
from gateway.store.tables import InboundMessage, StayRow
from tests.installation import install

SOURCE = '\n[sources.emr]\nkind = "fhir"\norganisation = "990001"\n'
V3 = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
MR = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    config, _ = install(tmp_path / "hospital", url="http://127.0.0.1:9", account="a", secret="s", more=SOURCE)
    gateway = Gateway(load(config))
    yield gateway
    gateway.close()


def patient(id: str, number: str = "", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id, "identifier": [{"type": MR, "value": number or id.upper()}], **more}


def encounter(id: str, of: str, **more: Any) -> dict[str, Any]:
    period = {"start": "2026-10-01T08:00:00+08:00", "end": "2026-10-09T10:00:00+08:00"}
    said = {
        "status": "finished",
        "class": {"system": V3, "code": "IMP"},
        "subject": {"reference": f"Patient/{of}"},
        "period": period,
    }
    return {"resourceType": "Encounter", "id": id, **said, **more}


def condition(id: str, of: str, code: str = "C50.900") -> dict[str, Any]:
    status = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}
    coded = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": code}]}
    return {
        "resourceType": "Condition",
        "id": id,
        "clinicalStatus": status,
        "code": coded,
        "subject": {"reference": f"Patient/{of}"},
    }


def diagnosed(id: str, of: str, by: str, **more: Any) -> dict[str, Any]:
    use = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/diagnosis-role", "code": "DD"}]}
    return encounter(id, of, diagnosis=[{"condition": {"reference": f"Condition/{by}"}, "use": use, "rank": 1}], **more)


def bundle(*resources: dict[str, Any], **envelope: Any) -> dict[str, Any]:
    put = [{"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}} for one in resources]
    return {"resourceType": "Bundle", "type": "transaction", "entry": put, **envelope}


def delete(*keys: str) -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"request": {"method": "DELETE", "url": key}} for key in keys],
    }


def send(gateway: Gateway, content: dict[str, Any]) -> Accepted:
    """Hand in and assemble."""
    raw = json.dumps(content).encode()
    accepted = gateway.repository.accept("emr", raw, wire.read(raw))
    while gateway.assembler.run():
        pass
    return accepted


def states(gateway: Gateway) -> list[str]:
    with gateway.ledger.read() as session:
        return list(session.exec(select(InboundMessage.state).order_by(col(InboundMessage.id))))


def held(gateway: Gateway) -> list[Stay]:
    with gateway.ledger.read() as session:
        ids = session.exec(select(StayRow.id).where(col(StayRow.absorbed_into).is_(None)).order_by(col(StayRow.id)))
        return [stays.current(session, gateway.vault, id or 0)[0] for id in ids]


def main_code(stay: Stay) -> str | None:
    return stay.diagnoses.principal.condition.code if stay.diagnoses.principal.condition is not None else None


def test_a_resource_that_moves_to_another_patient_stops_nobody(gateway: Gateway) -> None:
    """A typo in the subject, put right: the record it leaves is empty and has nothing to say."""
    send(gateway, bundle(condition("mv", "ghost")))
    send(gateway, bundle(condition("mv", "real")))
    send(gateway, bundle(patient("ghost"), encounter("g", "ghost"), patient("real"), diagnosed("r", "real", "mv")))
    assert "parked" not in states(gateway)
    assert {stay.record_number: main_code(stay) for stay in held(gateway)} == {"GHOST": None, "REAL": "C50.900"}


def test_what_was_known_by_a_number_only_follows_its_patient(gateway: Gateway) -> None:
    """The subject is a logical reference, the encounter comes last; what the record waited for is not forgotten when it moves."""
    subject = {"type": "Patient", "identifier": {"value": "LP"}}
    observation = {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"}, "subject": subject}
    observation["encounter"] = {"reference": "Encounter/le"}
    send(gateway, bundle(observation))
    send(gateway, bundle(patient("lp")))
    send(gateway, bundle(encounter("le", "lp")))
    assert "parked" not in states(gateway)
    assert [stay.record_number for stay in held(gateway)] == ["LP"]


def test_a_shared_resource_that_changes_reaches_the_stays(gateway: Gateway) -> None:
    doctor = {"resourceType": "Practitioner", "id": "dr", "name": [{"text": "高勇"}]}
    role = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "ATND"}]}
    attended = encounter("e", "p", participant=[{"type": [role], "individual": {"reference": "Practitioner/dr"}}])
    send(gateway, bundle(patient("p"), attended, doctor))
    assert held(gateway)[0].staff.attending_physician.name == "高勇"
    send(gateway, bundle({**doctor, "name": [{"text": "高永"}]}))
    assert held(gateway)[0].staff.attending_physician.name == "高永"
    assert states(gateway) == ["assembled", "assembled"]
    send(gateway, delete("Practitioner/dr"))
    assert held(gateway)[0].staff.attending_physician.name is None


def test_the_same_content_after_another_one_counts_again(gateway: Gateway) -> None:
    """A, B, A without Bundle.identifier: the third says A. Only what changes nothing is a repetition."""
    first = bundle(patient("p"), condition("c", "p", "C50.900"), diagnosed("e", "p", "c"))
    second = bundle(condition("c", "p", "C34.900"))
    for content, code in ((first, "C50.900"), (second, "C34.900"), (first, "C50.900")):
        assert not send(gateway, content).repeated
        assert main_code(held(gateway)[0]) == code
    assert send(gateway, first).repeated
    send(gateway, delete("Encounter/e"))
    send(gateway, first)
    assert main_code(held(gateway)[0]) == "C50.900"


def test_a_bundle_with_an_identifier_is_taken_once_and_says_what_became_of_it(gateway: Gateway) -> None:
    first = bundle(patient("p"), condition("c", "p"), diagnosed("e", "p", "c"), identifier={"system": "urn:x", "value": "B-1"})
    send(gateway, first)
    send(gateway, bundle(condition("c", "p", "C34.900")))
    again = send(gateway, first)
    assert again.repeated
    assert [answer.stale for answer in again.entries] == [False, True, False]
    assert main_code(held(gateway)[0]) == "C34.900"


def test_identifiers_of_bundles_are_not_stored_in_the_open(gateway: Gateway) -> None:
    send(gateway, bundle(patient("p"), identifier={"system": "urn:x", "value": "病案99887766"}))
    with gateway.ledger.read() as session:
        assert all("99887766" not in repr(row.model_dump(exclude={"sealed_raw"})) for row in session.exec(select(InboundMessage)))


def test_a_name_that_is_given_to_another_persons_stay_is_refused(gateway: Gateway) -> None:
    uuid = "urn:uuid:11111111-2222-4333-8444-555555555555"

    def posted(person: str, name: str) -> dict[str, Any]:
        stay = encounter("x", person)
        del stay["id"]
        entry = {"fullUrl": uuid, "resource": stay, "request": {"method": "POST", "url": "Encounter"}}
        put = {"resource": patient(person, name), "request": {"method": "PUT", "url": f"Patient/{person}"}}
        return {"resourceType": "Bundle", "type": "transaction", "entry": [put, entry]}

    send(gateway, posted("ya", "YA"))
    with pytest.raises(FhirRefused) as refused:
        send(gateway, posted("yb", "YB"))
    assert refused.value.status == 409
    assert [stay.record_number for stay in held(gateway)] == ["YA"]
    send(gateway, posted("ya2", "YA"))  # another Patient resource of the same person
    assert [stay.record_number for stay in held(gateway)] == ["YA"]


def test_a_clock_that_runs_ahead_holds_nothing_off(gateway: Gateway) -> None:
    send(gateway, bundle(patient("p", gender="male", meta={"lastUpdated": "2099-01-01T00:00:00Z"})))
    answer = send(gateway, bundle(patient("p", gender="female", meta={"lastUpdated": "2026-10-01T00:00:00Z"}))).entries[0]
    assert (answer.stale, answer.version) == (False, 2)


def test_what_was_deleted_can_be_made_again_but_not_by_an_older_statement(gateway: Gateway) -> None:
    send(gateway, bundle(patient("p", meta={"lastUpdated": "2026-10-01T00:00:00Z"})))
    send(gateway, delete("Patient/p"))
    older = send(gateway, bundle(patient("p", gender="male", meta={"lastUpdated": "2026-10-02T00:00:00Z"}))).entries[0]
    assert older.stale
    undated = send(gateway, bundle(patient("p", gender="male"))).entries[0]
    assert (undated.stale, undated.status) == (False, 200)


def test_made_and_deleted_in_one_message(gateway: Gateway) -> None:
    both = bundle(patient("p"))
    both["entry"] += delete("Patient/p")["entry"]
    answers = send(gateway, both).entries
    assert [(answer.status, answer.version) for answer in answers] == [(201, 1), (204, 2)]
    current = gateway.repository.current("emr", "Patient/p")
    assert current is not None
    assert current.deleted


def test_many_patients_that_wait_for_one_resource_are_read_in_turns(gateway: Gateway) -> None:
    role = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "ATND"}]}
    by = [{"type": [role], "individual": {"reference": "Practitioner/dr"}}]
    count = 7
    people = [one for n in range(count) for one in (patient(f"p{n}"), encounter(f"e{n}", f"p{n}", participant=by))]
    send(gateway, bundle(*people))
    raw = json.dumps(bundle({"resourceType": "Practitioner", "id": "dr", "name": [{"text": "高勇"}]})).encode()
    gateway.repository.accept("emr", raw, wire.read(raw))
    done = []
    while gateway.assembler.run(limit=3):
        done.append(sum(stay.staff.attending_physician.name == "高勇" for stay in held(gateway)))
        assert len(done) < 10
    assert done == [3, 6, 7]
    assert states(gateway) == ["assembled", "assembled"]
