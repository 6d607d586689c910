"""What the OpenAPI description says against what the gateway does: schemathesis asks every operation with right and with wrong requests.

No request may make a fault of ours, and every answer has a status, a media type and a form that the description announces.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance
from sqlmodel import select

from conformance.sample.faults import is_due_child
from conformance.sample.feed import messages_of
from conformance.sample.fhir_feed import bundle_of
from conformance.sample.hospital import generate
from conformance.simulators.behaviour import Behaviour
from conformance.simulators.ncpcs import Simulator
from gateway.runtime import Gateway
from gateway.serving import served
from gateway.settings import load
from gateway.store.tables import SubmissionVersion
from gateway.web.outcomes import JSON
from gateway.web.sources import HL7
from tests.installation import PASSWORD, install, wait_for

SOURCES = """
[sources.emr]
kind = "fhir"
organisation = "990100000000000018"
[sources.his]
dialect = "cn-a"
organisation = "990100000000000018"
[platforms.hqms]
"""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
ASKED = settings(
    max_examples=12,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
SUCCEEDING = {
    "GET /fhir/{kind}",
    "GET /fhir/{kind}/{id}",
    "POST /fhir",
    "POST /v2/{source}",
    "GET /api/messages/{id}",
    "GET /api/messages/{id}/raw",
    "GET /api/submissions/{id}",
    "GET /api/submissions/{id}/trace/{field}",
}
"""Operations that something is there for; were none of their requests carried out, the test would show little."""

SIGNS_OUT = ("DELETE", "/api/session")


pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning")


@schemathesis.serializer("application/hl7-v2", "application/fhir+xml", "text/csv")
def _as_text(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    """A body that schemathesis cannot write by itself."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


@dataclass
class Api:
    """A served gateway with something in it, and what it says of itself."""

    schema: Any
    session: requests.Session
    known: dict[str, list[Any]]
    """Parameters by name: values of things that are there."""

    bodies: dict[str, list[Any]]
    """Bodies by path, of the two addresses that take messages."""

    seen: Counter[tuple[str, int]]
    """Answers by operation and status."""

    def operations(self) -> Iterator[Any]:
        for found in self.schema.get_all_operations():
            operation = found.ok()
            if (operation.method.upper(), operation.path) != SIGNS_OUT:
                yield operation

    def ask(self, case: Case[Any]) -> None:
        response = case.call(session=self.session, timeout=30)
        self.seen[case.operation.label, response.status_code] += 1
        case.validate_response(response, checks=CHECKS)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("openapi") / "hospital"
    first, second = islice((record for record in generate(400) if is_due_child(record)), 2)
    with Simulator(behaviour=Behaviour(review_seconds=0.05)) as platform, requests.Session() as session:
        session.trust_env = False
        config, password = install(folder, url=platform.base_url, account=platform.account, secret=platform.secret, more=SOURCES)
        with served(load(config)) as (gateway, url), httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            body = {"account": "admin", "password": password, "new_password": PASSWORD}
            token = client.post("/api/session", json=body).raise_for_status().json()["token"]
            client.headers["Authorization"] = session.headers["Authorization"] = f"Bearer {token}"
            client.post("/fhir", content=bundle_of(first), headers={"Content-Type": "application/fhir+json"}).raise_for_status()
            client.post(
                "/v2/his", content=b"".join(messages_of(second)), headers={"Content-Type": "application/hl7-v2"}
            ).raise_for_status()
            wait_for(lambda: len(_versions(gateway)) > 0, 30, "a report made")
            schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json(), config=schemathesis.Config())
            schema.config.update(base_url=url)
            known: dict[str, list[Any]] = {
                "id": [*_versions(gateway), 1, "zb-1", "x"],
                "kind": ["Patient", "Encounter", "Condition", "AuditEvent", "Provenance", "Observation"],
                "platform": ["hqms", "ncpcs"],
                "source": ["his", "emr"],
                "stay": [1],
                "file_id": [1],
                "field": ["A13", "C03C"],
            }
            bundle = json.loads(bundle_of(first))
            bodies = {
                "/fhir": [bundle, bundle | {"type": "batch"}, bundle | {"type": "collection"}, bundle | {"type": "wrong"}],
                "/v2/{source}": [b"MSH|^~\\&|", b"\x0b", *islice(messages_of(second), 2)],
            }
            yield Api(schema, session, known, bodies, Counter())


def _versions(gateway: Gateway) -> list[str]:
    with gateway.ledger.read() as session:
        return list(session.exec(select(SubmissionVersion.id)))


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_operation_does_what_is_described(api: Api, mode: GenerationMode, subtests: pytest.Subtests) -> None:
    asked = 0
    for operation in api.operations():
        with subtests.test(operation.label):

            @ASKED
            @given(operation.as_strategy(generation_mode=mode))
            def ask(case: Case[Any]) -> None:
                nonlocal asked
                asked += 1
                api.ask(case)

            if mode == GenerationMode.POSITIVE:
                ask()
                continue
            with suppress(Unsatisfiable):  # nothing about it can be wrong
                ask()
    assert asked > 200


def _ask_about_what_is_there(api: Api, operation: Any) -> None:
    names = [parameter.name for parameter in operation.path_parameters]
    paths = [dict(zip(names, values, strict=True)) for values in product(*(api.known[name] for name in names))]

    @settings(ASKED, max_examples=2)
    @given(operation.as_strategy())
    def ask(case: Case[Any]) -> None:
        for path, body in product(paths, api.bodies.get(operation.path) or [case.body]):
            api.ask(_about(case, path, body))

    ask()


def _about(case: Case[Any], path: dict[str, Any], body: Any) -> Case[Any]:
    """A generated request made into one about what is there, by somebody who has signed in."""
    case.headers.clear()
    case.path_parameters = path
    if isinstance(body, bytes):
        case.media_type = HL7
    elif isinstance(body, dict) and case.operation.path.startswith("/fhir"):
        case.media_type = JSON
        body = {**body, "resourceType": path.get("kind", "Bundle")}
    case.body = body
    return case


def test_things_that_are_there(api: Api, subtests: pytest.Subtests) -> None:
    """Right requests about what exists; generated numbers and ids seldom meet any."""
    api.seen.clear()
    for operation in api.operations():
        if "{" in operation.path or operation.path in api.bodies:
            with subtests.test(operation.label):
                _ask_about_what_is_there(api, operation)
    assert {label for label, status in api.seen if status < 300} >= SUCCEEDING, sorted(api.seen)


def test_the_description_names_what_the_fhir_side_answers(api: Api) -> None:
    fhir = {operation.label: operation for operation in api.operations() if operation.path.startswith("/fhir/{kind}")}
    assert len(fhir) == 6
    for label, operation in fhir.items():
        refused = operation.definition.raw["responses"]["4XX"]["content"]
        assert set(refused) == {"application/fhir+json", "application/fhir+xml"}, label
        assert "OperationOutcome" in json.dumps(refused["application/fhir+json"]), label
