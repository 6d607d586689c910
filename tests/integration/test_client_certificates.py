"""Mutual TLS at the served gateway: programs that show a certificate, and people who need none."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gateway import setup
from gateway.serving import served
from gateway.settings import CONFIG_NAME, load
from tests.authority import key_and_certificate
from tests.command_line import Zhibao
from tests.installation import PASSWORD
from tests.probe import probing


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of our authority for the server and two programs, and one of a foreign authority."""
    folder = tmp_path_factory.mktemp("certificates")
    authority, foreign = key_and_certificate(folder, "authority"), key_and_certificate(folder, "foreign-authority")
    for name in ("server", "his", "unregistered"):
        key_and_certificate(folder, name, authority)
    key_and_certificate(folder, "foreign", foreign)
    return folder


@pytest.fixture(scope="module")
def hospital(folder: Path) -> tuple[Path, str]:
    """An installation that asks for certificates, and the administrator's one-time password."""
    installation = folder / "hospital"
    password = setup.create(installation)
    config = installation / CONFIG_NAME
    tls = "\n".join(
        f'{name} = "../{file}.pem"'
        for name, file in (("tls_certificate", "server"), ("tls_key", "server"), ("tls_client_ca", "authority"))
    )
    config.write_text(config.read_text("utf-8").replace("port = 8750", f"port = 0\n{tls}"), "utf-8")
    return installation, password


@pytest.fixture(scope="module")
def url(hospital: tuple[Path, str]) -> Iterator[str]:
    with probing(), served(load(hospital[0])) as (_, url):
        assert url.startswith("https://")
        yield url


@contextmanager
def showing(folder: Path, url: str, certificate: str = "") -> Iterator[httpx.Client]:
    context = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    if certificate:
        context.load_cert_chain(folder / f"{certificate}.pem")
    with httpx.Client(base_url=url, verify=context, trust_env=False, timeout=30) as client:
        yield client


def test_a_registered_certificate_is_let_in(folder: Path, hospital: tuple[Path, str], url: str, zhibao: Zhibao) -> None:
    at = ("--config", hospital[0])
    with showing(folder, url, "his") as before:
        assert before.get("/probe/Patient/r").status_code == 401  # our authority alone opens nothing
    added = zhibao("client", "add", "his", "--scope", "system/Patient.rs", "--certificate", folder / "his.pem", *at)
    assert added.code == 0, added.err
    with showing(folder, url, "his") as client:
        for _ in range(3):  # over one connection, too
            assert client.get("/probe/Patient/r").json() == {"name": "client:his", "source": ""}
        assert client.get("/probe/Patient/c").status_code == 403
        # what a request shows by itself counts before what its connection shows
        assert client.get("/probe/Patient/r", headers={"x-api-key": "zbk_unknown"}).status_code == 401
        assert client.get("/probe/Patient/r", headers={"authorization": "Bearer unknown"}).status_code == 401
        assert zhibao("client", "disable", "his", *at).code == 0
        assert client.get("/probe/Patient/r").status_code == 401  # at once, over the same connection
        assert zhibao("client", "enable", "his", *at).code == 0
        assert client.get("/probe/Patient/r").status_code == 200
    twice = zhibao("client", "add", "lis", "--scope", "system/Patient.rs", "--certificate", folder / "his.pem", *at)
    assert (twice.code, "已经登记" in twice.err) == (2, True)
    assert "lis" not in zhibao("client", "list", *at).out  # all or nothing


def test_an_unregistered_certificate_is_not(folder: Path, url: str) -> None:
    with showing(folder, url, "unregistered") as client:
        answer = client.get("/probe/Patient/r")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        # nothing that a request says can stand for a certificate
        claimed = {"x-client-cert": "his", "x-ssl-client-fingerprint": "his", "x-forwarded-client-cert": "Hash=his"}
        assert client.get("/probe/Patient/r", headers=claimed).status_code == 401


def test_a_certificate_of_another_authority_gets_no_connection(folder: Path, url: str) -> None:
    with showing(folder, url, "foreign") as client, pytest.raises(httpx.TransportError):
        client.get("/healthz")


def test_people_need_no_certificate(folder: Path, hospital: tuple[Path, str], url: str) -> None:
    with showing(folder, url) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/probe/Patient/r").status_code == 401
        signing_in = {"account": "admin", "password": hospital[1], "new_password": PASSWORD}
        token = client.post("/api/session", json=signing_in).raise_for_status().json()["token"]
        assert client.get("/probe/Patient/r", headers={"authorization": f"Bearer {token}"}).json()["name"] == "admin"
    with showing(folder, url, "his") as client:  # also one who has one
        assert client.get("/probe/Patient/c", headers={"authorization": f"Bearer {token}"}).json()["name"] == "admin"


def test_on_every_address_it_must_be_said_where_clients_reach_it(folder: Path, tmp_path: Path) -> None:
    installation = tmp_path / "hospital"
    setup.create(installation)
    config = installation / CONFIG_NAME
    tls = "\n".join(f'{name} = "{folder / "server.pem"}"' for name in ("tls_certificate", "tls_key"))
    text = config.read_text("utf-8").replace('host = "127.0.0.1"', 'host = "0.0.0.0"').replace("port = 8750", f"port = 0\n{tls}")
    place = "/fhir/.well-known/smart-configuration"
    for public_url in ("", "https://zhibao.example"):
        config.write_text(text.replace("[intake]", f'public_url = "{public_url}"\n[intake]'), "utf-8")
        with served(load(installation)) as (_, url), showing(folder, url.replace("0.0.0.0", "127.0.0.1")) as client:
            answer = client.get(place)
            if public_url:
                assert answer.json()["token_endpoint"] == f"{public_url}/fhir/token"
            else:
                assert (answer.status_code, "server.public_url" in answer.text) == (500, True)
