"""Senders that are many, slow, silent or gone, and errors that nobody expected: the server goes on, and nothing of a message is printed."""

from __future__ import annotations

import json
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from gateway import setup
from gateway.access.registry import issue_key, register
from gateway.access.scopes import parse_scopes
from gateway.serving import served
from gateway.settings import CONFIG_NAME, load
from gateway.store.ledger import Ledger
from gateway.store.vault import Vault
from gateway.web.bodies import USUAL, Pace
from tests.installation import PASSWORD
from tests.integration.test_fhir import JSON, a_client
from tests.integration.test_serving import PATIENCE, serving, told

SOURCES = """
[sources.emr]
kind = "fhir"
organisation = "990100000000000018"

[sources.pis]
kind = "fhir"
organisation = "990100000000000018"

[sources.his]
kind = "http"
organisation = "990100000000000018"
"""
MARK = "王小溪99010119500101001X"
PATHS = ["/fhir", "/fhir/Patient", "/v2/his", "/api/files?name=a.csv"]
"""Where bodies are read as they come."""

PATIENT = json.dumps({"resourceType": "Patient", "id": "p1", "name": [{"text": MARK}]}).encode()


@dataclass
class House:
    """A server with two FHIR sources and one of HL7 v2; ``keys`` are those of the sources' clients, ``clerk`` a person's token."""

    client: httpx.Client
    keys: dict[str, str]
    clerk: str

    def put(self, source: str = "emr") -> httpx.Response:
        return self.client.put("/fhir/Patient/p1", content=PATIENT, headers=JSON | {"X-API-Key": self.keys[source]})

    def begun(self, path: str, length: int, *, method: str = "POST") -> socket.socket:
        """A connection on which a request was begun whose body does not come."""
        url = self.client.base_url
        connection = socket.create_connection((url.host, url.port or 80), timeout=30)
        who = f"X-API-Key: {self.keys['emr']}" if path.startswith("/fhir") else f"Authorization: Bearer {self.clerk}"
        head = [f"{method} {path} HTTP/1.1", f"Host: {url.host}", who, "Content-Type: application/fhir+json"]
        connection.sendall("\r\n".join([*head, f"Content-Length: {length}", "", ""]).encode())
        return connection


@pytest.fixture
def pace() -> Pace:
    return USUAL


def installed(tmp_path: Path) -> tuple[Path, str]:
    """An installation with the sources, and its administrator's first password."""
    folder = tmp_path / "hospital"
    password = setup.create(folder)
    config = folder / CONFIG_NAME
    config.write_text(config.read_text("utf-8").replace("port = 8750", "port = 0") + SOURCES, "utf-8")
    return folder, password


def signed_in(client: httpx.Client, password: str) -> str:
    """The token of a person."""
    body = {"account": "admin", "password": password, "new_password": PASSWORD}
    token: str = client.post("/api/session", json=body).json()["token"]
    return token


@pytest.fixture
def house(tmp_path: Path, pace: Pace) -> Iterator[House]:
    folder, password = installed(tmp_path)
    with served(load(folder), pace) as (gateway, url), httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        keys = {source: a_client(gateway, source, "system/*.cruds", source=source) for source in ("emr", "pis")}
        yield House(client, keys, signed_in(client, password))


def answer_on(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    found = b""
    while piece := connection.recv(65536):
        found += piece
    return found


def test_silent_connections_keep_nobody_out(house: House) -> None:
    with ExitStack() as stack:
        for _ in range(80):
            stack.enter_context(house.begun("/fhir", 1000))
        assert [house.put("emr").status_code, house.put("pis").status_code] == [201, 201]


@pytest.mark.parametrize("pace", [Pace(silence=0.2, rate=8192)])
@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_does_not_come_is_refused_in_time(house: House, path: str) -> None:
    with house.begun(path, 1000) as connection:
        connection.sendall(b"{")
        head, _, body = answer_on(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    said = json.loads(body)
    if path.startswith("/fhir"):
        assert said["resourceType"] == "OperationOutcome"
        assert said["issue"][0]["code"] == "timeout"
    else:
        assert {"error", "action", "english"} == said.keys()
    assert house.put().status_code == 201


def test_senders_that_hang_up_are_not_printed(tmp_path: Path) -> None:
    """What a server process printed is all there when it has ended."""
    folder, password = installed(tmp_path)
    settings = load(folder)
    with Ledger.open(settings.ledger_url, Vault.load(settings.key_file)) as ledger, ledger.write() as session:
        register(session, "emr", parse_scopes("system/*.cruds"), source="emr", actor="test")
        keys = {"emr": issue_key(session, "emr", actor="test")}
    with serving(folder) as process, httpx.Client(base_url=told(process), trust_env=False, timeout=30) as client:
        house = House(client, keys, signed_in(client, password))
        for path in PATHS:
            with house.begun(path, 1000) as connection:
                connection.sendall(b"{")
        assert house.put().status_code == 201
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (0, "")


def test_an_unexpected_error_is_answered_in_the_form_that_is_spoken(
    house: House, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object, **_more: object) -> None:
        raise RuntimeError(MARK)

    monkeypatch.setattr("gateway.web.fhir.wire.read", broken)
    monkeypatch.setattr("gateway.web.sources._pieces", broken)
    fhir = house.put()
    assert fhir.status_code == 500
    (issue,) = fhir.json()["issue"]
    assert (issue["severity"], issue["code"]) == ("fatal", "exception")
    assert issue["details"]["text"].startswith("服务内部出错")
    assert "unexpected" in issue["diagnostics"]
    plain = house.client.post("/v2/his", content=PATIENT, headers={"Authorization": f"Bearer {house.clerk}"})
    assert plain.status_code == 500
    assert plain.json().keys() == {"error", "action", "english"}
    assert plain.headers["X-Content-Type-Options"] == "nosniff"
    assert caplog.text.count("RuntimeError: ") == 2  # type and place
    assert "test_fhir_crowd.py" in caplog.text
    out, err = capfd.readouterr()
    for said in (fhir.text, plain.text, caplog.text, out, err):
        assert MARK not in said


def test_what_libraries_print_of_an_exception_is_its_type_and_place(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """An answer that breaks when half of it has left is reported by the web server itself."""
    del house  # its server has put the filter in place
    for name in ("uvicorn.error", "asyncio"):
        try:
            raise ValueError(MARK)
        except ValueError:
            logging.getLogger(name).exception("Exception in ASGI application\n")
    assert caplog.text.count("Exception in ASGI application: ValueError: ") == 2
    assert MARK not in caplog.text
