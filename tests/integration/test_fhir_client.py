"""Somebody else's FHIR client (fhirpy, sync and async) at the running gateway, signed in as SMART backend services are.

Whatever the gateway answers must also be a resource by fhir.resources' R4B classes: the client here parses every answer with them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import httpx
import pytest
from fhir.resources.R4B import get_fhir_model_class
from fhirpy import AsyncFHIRClient, SyncFHIRClient
from fhirpy.base.exceptions import (
    AuthorizationError,
    ForbiddenError,
    MultipleResourcesFound,
    OperationOutcome,
    ResourceNotFound,
)
from sqlmodel import select

from conformance.sample.faults import is_due_child
from conformance.sample.fhir_feed import bundle_of
from conformance.sample.hospital import generate
from conformance.simulators.ncpcs import Simulator
from gateway.access import registry
from gateway.access.scopes import parse_scopes
from gateway.runtime import Gateway
from gateway.serving import served
from gateway.settings import load
from gateway.store.tables import InboundMessage
from gateway.web.searches import SEARCHES
from tests.installation import install, wait_for
from tests.signing import Signer, claims, jwks

SOURCE = '\n[sources.emr]\nkind = "fhir"\norganisation = "990100000000000018"\n'
SYSTEM = "urn:oid:2.16.156.10011.1.12"
CHILDREN = list(islice((record for record in generate(400) if is_due_child(record)), 3))


def as_r4b(body: Any) -> None:
    """Raises unless an answer is a resource by the R4B classes."""
    if body is not None:
        plain = json.loads(json.dumps(body))
        get_fhir_model_class(plain["resourceType"]).model_validate(plain)


class Client(SyncFHIRClient):
    """fhirpy's client, whose every answer is parsed by fhir.resources as well."""

    def _do_request(self, *args: Any, **more: Any) -> Any:
        try:
            answer = super()._do_request(*args, **more)
        except OperationOutcome as refusal:
            as_r4b(refusal.resource)
            raise
        as_r4b(answer[0] if isinstance(answer, tuple) else answer)
        return answer

    @contextmanager
    def sending(self, **headers: str) -> Iterator[None]:
        """Send these headers along (``If_Match`` is If-Match)."""
        self.extra_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            yield
        finally:
            self.extra_headers = {}


class AsyncClient(AsyncFHIRClient):
    """The same, not waiting."""

    async def _do_request(self, *args: Any, **more: Any) -> Any:
        answer = await super()._do_request(*args, **more)
        as_r4b(answer[0] if isinstance(answer, tuple) else answer)
        return answer


@dataclass
class House:
    """A served gateway with one FHIR source, a program of the hospital that is registered for it, and one that watches over all sources,
    each with a key."""

    gateway: Gateway
    url: str
    signers: dict[str, Signer]

    def token(self, scope: str, name: str = "emr-app") -> str:
        """An access token got by a signed JWT."""
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "scope": scope,
        }
        with httpx.Client(trust_env=False, timeout=30) as http:
            told = http.get(f"{self.url}/fhir/.well-known/smart-configuration").raise_for_status().json()
            assertion = self.signers[name].sign(claims(name, told["token_endpoint"]))
            answer = http.post(told["token_endpoint"], data={**form, "client_assertion": assertion})
        return f"Bearer {answer.raise_for_status().json()['access_token']}"

    def client(self, scope: str = "system/*.cruds", name: str = "emr-app") -> Client:
        return Client(f"{self.url}/fhir", authorization=self.token(scope, name), requests_config={"timeout": 30})

    def settled(self) -> None:
        """Wait until every message was read."""

        def done() -> bool:
            with self.gateway.ledger.read() as session:
                return session.exec(select(InboundMessage.id).where(InboundMessage.state == "received")).first() is None

        wait_for(done, 60, "messages read")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("fhir-client") / "hospital"
    with Simulator() as platform, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "*")
        config, _ = install(folder, url=platform.base_url, account=platform.account, secret=platform.secret, more=SOURCE)
        with served(load(config)) as (gateway, url):
            signers = {"emr-app": Signer(), "auditor": Signer()}
            with gateway.ledger.write() as session:
                for name, source in zip(signers, ("emr", ""), strict=True):
                    registry.register(session, name, parse_scopes("system/*.cruds"), source=source, actor="test")
                    registry.trust_keys(session, name, jwks(signers[name]), actor="test")
            yield House(gateway, url, signers)


@pytest.fixture(scope="module")
def client(house: House) -> Client:
    return house.client()


@pytest.fixture(scope="module")
def auditor(house: House) -> Client:
    return house.client("system/*.rs", "auditor")


@pytest.fixture(scope="module")
def with_stays(house: House, client: Client) -> list[dict[str, str]]:
    """The records of three stays, which were handed in as transactions and read."""
    for record in CHILDREN:
        answer = client.resource("Bundle", **json.loads(bundle_of(record))).save()
        assert answer["type"] == "transaction-response"
        assert {entry["response"]["status"][:3] for entry in answer["entry"]} <= {"200", "201"}
    house.settled()
    return CHILDREN


def patient(number: str, **more: Any) -> dict[str, Any]:
    return {"identifier": [{"system": SYSTEM, "value": number}], "gender": "female", **more}


def test_create_read_update(client: Client) -> None:
    made = client.resource("Patient", **patient("99C001", name=[{"text": "顾小满"}]))
    made.save()
    assert made.id
    assert made["meta"]["versionId"] == "1"
    read = client.reference("Patient", made.id).to_resource()
    assert (read["name"][0]["text"], read["gender"]) == ("顾小满", "female")
    read["gender"] = "male"
    read.save()
    assert read["meta"]["versionId"] == "2"
    made.refresh()
    assert (made["gender"], made["meta"]["versionId"]) == ("male", "2")


def test_update_makes_one_under_its_own_id(client: Client) -> None:
    client.resource("Patient", id="c-77", **patient("99C077")).save()
    assert client.get("Patient", "c-77")["identifier"][0]["value"] == "99C077"


def test_an_update_for_another_version_is_refused(client: Client) -> None:
    made = client.resource("Patient", id="c-2", **patient("99C002")).save()
    made["gender"] = "male"
    with client.sending(If_Match='W/"1"'):
        made.save()
        assert made["meta"]["versionId"] == "2"
        made["gender"] = "other"
        with pytest.raises(MultipleResourcesFound) as refused:  # fhirpy's name for status 412
            made.save()
    outcome = json.loads(str(refused.value))
    as_r4b(outcome)
    assert outcome["issue"][0]["code"] == "conflict"
    assert client.get("Patient", "c-2")["gender"] == "male"


def test_conditional_create_and_update(client: Client) -> None:
    with client.sending(If_None_Exist=f"identifier={SYSTEM}|99C003"):
        first = client.resource("Patient", **patient("99C003")).save()
        again = client.resource("Patient", **patient("99C003", gender="male")).save()
    assert first.id == again.id
    updated, made = (
        client.resources("Patient")
        .search(identifier=f"{SYSTEM}|99C003")
        .update(client.resource("Patient", **patient("99C003", gender="male")))
    )
    assert (updated.id, made) == (first.id, False)
    assert client.get("Patient", first.id)["gender"] == "male"


def test_a_withdrawn_resource_is_gone(client: Client) -> None:
    made = client.resource("Patient", **patient("99C004")).save()
    client.delete("Patient", made.id)
    with pytest.raises(ResourceNotFound) as gone:
        client.get("Patient", made.id)
    outcome = json.loads(str(gone.value))
    as_r4b(outcome)
    assert outcome["issue"][0]["code"] == "deleted"
    with pytest.raises(ResourceNotFound) as unknown:
        client.get("Patient", "never-there")
    assert json.loads(str(unknown.value))["issue"][0]["code"] == "not-found"


def test_refusals_name_the_element(client: Client) -> None:
    with pytest.raises(OperationOutcome) as refused:
        client.resource("Patient", **patient("99C005", birthDate="30.11.2020")).save()
    (issue,) = refused.value.resource["issue"]
    assert issue["severity"] == "error"
    assert issue["expression"] == ["Patient.birthDate"]
    with pytest.raises(OperationOutcome) as unknown:
        client.resources("Condition").search(severity="24484000").fetch()
    assert unknown.value.resource["issue"][0]["code"] == "not-supported"


def test_scopes_are_kept_to(house: House, client: Client) -> None:
    made = client.resource("Patient", **patient("99C006")).save()
    reader = house.client("system/Patient.rs")
    assert reader.get("Patient", made.id)["id"] == made.id
    with pytest.raises(ForbiddenError):
        reader.resource("Patient", **patient("99C007")).save()
    with pytest.raises(ForbiddenError):
        reader.resources("Condition").fetch()
    with pytest.raises(AuthorizationError):
        Client(f"{house.url}/fhir").resources("Patient").fetch()


def test_a_transaction_is_all_or_nothing(client: Client) -> None:
    right = {
        "resource": {"resourceType": "Patient", "id": "c-8", **patient("99C008")},
        "request": {"method": "PUT", "url": "Patient/c-8"},
    }
    wrong = {"resource": {"resourceType": "Encounter", "id": "c-8"}, "request": {"method": "PUT", "url": "Encounter/c-8"}}
    with pytest.raises(OperationOutcome) as refused:
        client.resource("Bundle", type="transaction", entry=[right, wrong]).save()
    assert all(issue["expression"][0].startswith("Bundle.entry[1]") for issue in refused.value.resource["issue"])
    with pytest.raises(ResourceNotFound):
        client.get("Patient", "c-8")


def test_what_the_transactions_said_is_found(client: Client, with_stays: list[dict[str, str]]) -> None:
    encounters = client.resources("Encounter").fetch_all()
    assert len(encounters) == len(with_stays)
    record = next(one for one in with_stays if [other["A48"] for other in with_stays].count(one["A48"]) == 1)
    (own,) = client.resources("Encounter").search(identifier=f"urn:oid:2.16.156.10011.1.13|{record['A48']}").fetch()
    conditions = client.resources("Condition").search(encounter=f"Encounter/{own.id}").fetch_all()
    assert record["C03C"] in {coding["code"] for condition in conditions for coding in condition["code"]["coding"]}
    person = own["subject"].to_resource()
    assert person["name"][0]["text"] == record["A11"]
    origins = client.resources("Provenance").search(target=f"Encounter/{own.id}").fetch_all()
    assert {target["reference"].partition("/_history")[0] for one in origins for target in one["target"]} >= {f"Encounter/{own.id}"}


@pytest.mark.parametrize("kind", sorted(SEARCHES))
def test_pages_end_and_hold_everything_once(auditor: Client, with_stays: list[dict[str, str]], kind: str) -> None:
    """Of AuditEvent, too, though every page that is asked for adds to it."""
    whole = [one.id for one in auditor.resources(kind).limit(200).fetch()]
    assert len(whole) >= len({record["A48"] for record in with_stays})
    paged = [one.id for one in islice(auditor.resources(kind).limit(1), 2 * len(whole) + 50)]
    assert paged[: len(whole)] == whole
    assert len(set(paged)) == len(paged)
    assert len(paged) <= len(whole) + 2, "the last page never comes"
    first = auditor.resources(kind).first()
    assert first is not None
    assert auditor.get(kind, first.id)["id"] == first.id


def test_the_audit_log_tells_who_asked(client: Client, auditor: Client) -> None:
    client.resource("Patient", id="c-9", **patient("99C009")).save()
    client.get("Patient", "c-9")
    with pytest.raises(ForbiddenError):  # a client of one source sees nothing of what the others do
        client.resources("AuditEvent").fetch()
    events = auditor.resources("AuditEvent").search(**{"agent-name": "client:emr-app"}).fetch_all()
    assert events
    assert {event["agent"][0]["who"]["identifier"]["value"] for event in events} == {"client:emr-app"}
    assert {event["subtype"][-1]["code"] for event in events} >= {"fhir.read"}


def test_many_at_once(house: House) -> None:
    """Twenty patients created and read again at the same time by the client that does not wait, and a transaction."""
    client = AsyncClient(f"{house.url}/fhir", authorization=house.token("system/*.cruds"))

    async def one(number: int) -> str:
        made = client.resource("Patient", **patient(f"99D{number:03}"))
        await made.save()
        read = await client.get("Patient", made.id)
        return str(read["identifier"][0]["value"])

    async def everything() -> list[str]:
        made = await asyncio.gather(*(one(number) for number in range(20)))
        entry = {"resource": {"resourceType": "Patient", **patient("99D100")}, "request": {"method": "POST", "url": "Patient"}}
        bundle = client.resource("Bundle", type="transaction", entry=[entry])
        await bundle.save()
        assert [one["response"]["status"] for one in bundle["entry"]] == ["201 Created"]
        return made

    async def bounded() -> list[str]:
        async with asyncio.timeout(60):
            return await everything()

    assert asyncio.run(bounded()) == [f"99D{number:03}" for number in range(20)]


def test_the_capability_statement(client: Client) -> None:
    statement = client.execute("metadata", method="get")
    assert statement["resourceType"] == "CapabilityStatement"
    assert statement["fhirVersion"] == "4.0.1"
