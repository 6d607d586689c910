"""Programs at the served gateway: API keys, SMART backend services, and the commands that register them beside a running server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import serving, setup
from gateway.access import clients, failures, registry
from gateway.access.scopes import parse_scopes
from gateway.audit.log import export, verify_lines
from gateway.runtime import Gateway
from gateway.settings import CONFIG_NAME, load
from gateway.store.ledger import now
from tests.command_line import Zhibao
from tests.installation import PASSWORD
from tests.probe import probing
from tests.signing import Signer, claims, jwks

PUBLIC_URL = "https://zhibao.example:8750"
AUDIENCE = f"{PUBLIC_URL}/fhir/token"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SOURCE = '\n[sources.his]\nkind = "http"\norganisation = "999999999"\n'


class Hospital:
    """A served gateway with programs that use it."""

    def __init__(self, gateway: Gateway, url: str, password: str) -> None:
        self.gateway = gateway
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=30)
        self.password = password

    def register(self, name: str, scopes: str, *signers: Signer, source: str = "") -> None:
        with self.gateway.ledger.write() as session:
            registry.register(session, name, parse_scopes(scopes), source=source, actor="test")
            if signers:
                registry.trust_keys(session, name, jwks(*signers), actor="test")

    def key(self, name: str, good_for: timedelta | None = None) -> str:
        with self.gateway.ledger.write() as session:
            return registry.issue_key(session, name, good_for=good_for, actor="test")

    def ask(self, assertion: str, scope: str = "system/*.cruds", **other: str | None) -> httpx.Response:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION,
            "client_assertion": assertion,
            "scope": scope,
        }
        return self.http.post("/fhir/token", data={name: value for name, value in {**form, **other}.items() if value is not None})

    def probe(self, what: str, **headers: str) -> httpx.Response:
        """Ask for something that needs the scope ``what``, such as ``Patient.r``."""
        return self.http.get(f"/probe/{what.replace('.', '/')}", headers=headers)

    def audit(self) -> list[dict[str, Any]]:
        with self.gateway.ledger.read() as session:
            lines = list(export(session))
        assert verify_lines(lines)
        return [json.loads(line) for line in lines[1:-1]]

    def refusals(self, name: str) -> list[str]:
        return [e["detail"]["reason"] for e in self.audit() if (e["action"], e["subject"]) == ("client.refused", f"client:{name}")]


def prepared(folder: Path) -> str:
    """Set up an installation that may be served on any port; the administrator's one-time password."""
    password = setup.create(folder)
    config = folder / CONFIG_NAME
    text = config.read_text("utf-8").replace("port = 8750", f'port = 0\npublic_url = "{PUBLIC_URL}"')
    config.write_text(text + SOURCE, "utf-8")
    return password


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clients") / "hospital"


@pytest.fixture(scope="module")
def hospital(folder: Path) -> Iterator[Hospital]:
    password = prepared(folder)
    with probing(), serving.served(load(folder)) as (gateway, url):
        running = Hospital(gateway, url, password)
        with running.http:
            yield running


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Moves the time at which credentials are looked at."""

    def move(by: timedelta) -> None:
        monkeypatch.setattr(clients, "now", lambda: now() + by)

    return move


def granted(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    body: dict[str, Any] = answer.json()
    return body


# -- SMART backend services


@pytest.mark.parametrize("make", [Signer, Signer.rsa])
def test_a_signed_assertion_opens_what_was_registered(hospital: Hospital, make: Callable[[], Signer]) -> None:
    name, signer = f"good-{make.__name__}", make()
    hospital.register(name, "system/Patient.rs system/Encounter.c", signer, source="his")
    body = granted(hospital.ask(signer.sign(claims(name, AUDIENCE)), "system/*.read system/Encounter.c"))
    assert (body["token_type"], body["expires_in"]) == ("bearer", 300)
    assert body["scope"].split() == ["system/Patient.rs", "system/Encounter.c"]
    bearer = f"Bearer {body['access_token']}"
    answer = hospital.probe("Patient.r", authorization=bearer)
    assert answer.json() == {"name": f"client:{name}", "source": "his"}
    assert hospital.probe("Encounter.c", authorization=bearer).status_code == 200
    refused = hospital.probe("Encounter.r", authorization=bearer)
    assert refused.status_code == 403
    assert "system/Encounter.r" in refused.json()["english"]
    assert hospital.http.get("/api/work", headers={"authorization": bearer}).status_code == 401  # people's part of the API


def test_a_token_is_good_for_what_was_asked_for_and_no_more(hospital: Hospital) -> None:
    signer = Signer()
    hospital.register("narrow", "system/*.cruds", signer)
    body = granted(hospital.ask(signer.sign(claims("narrow", AUDIENCE)), "system/Patient.read"))
    assert body["scope"] == "system/Patient.read"
    bearer = f"Bearer {body['access_token']}"
    assert hospital.probe("Patient.s", authorization=bearer).status_code == 200
    for beyond in ("Patient.c", "Encounter.r"):
        assert hospital.probe(beyond, authorization=bearer).status_code == 403


@pytest.mark.parametrize(
    "scope", ["system/Encounter.rs", "system/Patient.cud", "", "openid", "system/Patient.rs?name=x", "patient/*.read"]
)
def test_scopes_that_are_not_registered_or_none(hospital: Hospital, scope: str) -> None:
    signer, name = Signer(), f"scopes-{len(scope)}-{scope[:1]}"
    hospital.register(name, "system/Patient.rs", signer)
    answer = hospital.ask(signer.sign(claims(name, AUDIENCE)), scope)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


class Case:
    """One client with a key of each kind; what it says is signed with either."""

    def __init__(self, name: str) -> None:
        self.name, self.ec, self.rsa = name, Signer("ec"), Signer.rsa("rsa")

    def says(self, **other: Any) -> dict[str, Any]:
        return claims(self.name, AUDIENCE, **other)


def minutes(number: float) -> int:
    return int(time.time() + number * 60)


BAD: dict[str, tuple[Callable[[Case], str], str]] = {
    "expired": (lambda c: c.ec.sign(c.says(exp=minutes(-0.1))), "expired"),
    "too-long": (lambda c: c.ec.sign(c.says(exp=minutes(5.2))), "too long"),
    "without-end": (lambda c: c.ec.sign(c.says(exp=None)), "times"),
    "not-yet": (lambda c: c.ec.sign(c.says(nbf=minutes(3))), "not yet"),
    "for-another-server": (lambda c: c.ec.sign(c.says(aud="https://other.example/fhir/token")), "audience"),
    "for-the-base": (lambda c: c.ec.sign(c.says(aud=PUBLIC_URL)), "audience"),
    "without-audience": (lambda c: c.ec.sign(c.says(aud=None)), "audience"),
    "without-id": (lambda c: c.ec.sign(c.says(jti=None)), "jti"),
    "other-subject": (lambda c: c.ec.sign(c.says(sub="somebody")), "subject"),
    "without-subject": (lambda c: c.ec.sign(c.says(sub=None)), "subject"),
    "unsigned": (lambda c: c.ec.sign(c.says(), alg="none"), "algorithm"),
    "unsigned-shouted": (lambda c: c.ec.sign(c.says(), alg="NONE"), "algorithm"),
    "public-key-as-secret": (lambda c: c.rsa.sign(c.says(), alg="HS256"), "algorithm"),
    "public-key-as-secret-384": (lambda c: c.rsa.sign(c.says(), alg="HS384"), "algorithm"),
    "rs256": (lambda c: c.rsa.sign(c.says(), alg="RS256"), "algorithm"),
    "es256": (lambda c: Signer("ec", ec.generate_private_key(ec.SECP256R1())).sign(c.says(), alg="ES256"), "algorithm"),
    "other-kind-of-key": (lambda c: c.rsa.sign(c.says(), kid="ec"), "signature"),
    "unknown-kid": (lambda c: c.ec.sign(c.says(), kid="k9"), "key"),
    "without-kid": (lambda c: c.ec.sign(c.says(), kid=None), "key"),
    "foreign-key": (lambda c: Signer("ec").sign(c.says()), "signature"),
    "signature-cut": (lambda c: c.ec.sign(c.says())[:-4], "signature"),
    "signature-missing": (lambda c: c.ec.sign(c.says()).rpartition(".")[0] + ".", "signature"),
    "key-from-elsewhere": (lambda c: c.ec.sign(c.says(), jku="https://evil.example/jwks.json"), "header"),
}


@pytest.mark.parametrize("name", BAD)
def test_assertions_that_prove_nothing(hospital: Hospital, name: str) -> None:
    case, (make, reason) = Case(name), BAD[name]
    hospital.register(name, "system/*.cruds", case.ec, case.rsa)
    answer = hospital.ask(make(case))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")
    assert hospital.refusals(name) == [reason]
    told = answer.json()
    granted(hospital.ask(case.ec.sign(case.says())))  # only that one thing was wrong
    # whatever was wrong, the sender is told the same
    assert told == hospital.ask(Signer().sign(claims("nobody", AUDIENCE))).json()


def test_a_foreign_key_that_brings_itself_along(hospital: Hospital) -> None:
    foreign = Signer("ec")
    hospital.register("bringing", "system/*.cruds", Signer("ec"))
    assert hospital.ask(foreign.sign(claims("bringing", AUDIENCE), jwk=foreign.jwk)).json()["error"] == "invalid_client"


def test_an_assertion_is_good_once(hospital: Hospital) -> None:
    signer, other = Signer(), Signer()
    hospital.register("once", "system/*.cruds", signer)
    hospital.register("other", "system/*.cruds", other)
    assertion = signer.sign(claims("once", AUDIENCE, jti="1"))
    granted(hospital.ask(assertion))
    assert hospital.ask(assertion).json()["error"] == "invalid_client"
    again = signer.sign(claims("once", AUDIENCE, jti="1"))  # signed anew under the same id
    assert hospital.ask(again).json()["error"] == "invalid_client"
    assert hospital.refusals("once") == ["used before", "used before"]
    granted(hospital.ask(other.sign(claims("other", AUDIENCE, jti="1"))))  # ids are the client's own


def test_of_many_that_use_an_assertion_at_once_one_succeeds(hospital: Hospital) -> None:
    signer = Signer()
    hospital.register("race", "system/*.cruds", signer)
    assertion, answers = signer.sign(claims("race", AUDIENCE)), []
    threads = [threading.Thread(target=lambda: answers.append(hospital.ask(assertion).status_code)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] + [400] * 7


def test_a_used_assertion_stays_used_after_a_restart(tmp_path: Path) -> None:
    signer, folder = Signer(), tmp_path / "hospital"
    prepared(folder)
    assertion = signer.sign(claims("restart", AUDIENCE))
    with probing(), serving.served(load(folder)) as (gateway, url):
        first = Hospital(gateway, url, "")
        first.register("restart", "system/*.cruds", signer)
        bearer = f"Bearer {granted(first.ask(assertion))['access_token']}"
        first.http.close()
    with probing(), serving.served(load(folder)) as (gateway, url):
        second = Hospital(gateway, url, "")
        assert second.ask(assertion).json()["error"] == "invalid_client"
        assert second.refusals("restart") == ["used before"]
        assert second.probe("Patient.r", authorization=bearer).status_code == 200  # tokens outlive it, too
        second.http.close()


def test_a_token_ends(hospital: Hospital, later: Callable[[timedelta], None]) -> None:
    signer = Signer()
    hospital.register("ending", "system/*.cruds", signer)
    bearer = f"Bearer {granted(hospital.ask(signer.sign(claims('ending', AUDIENCE))))['access_token']}"
    later(timedelta(seconds=290))
    assert hospital.probe("Patient.r", authorization=bearer).status_code == 200
    later(timedelta(seconds=301))
    answer = hospital.probe("Patient.r", authorization=bearer)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_a_disabled_client_is_out_at_once(hospital: Hospital) -> None:
    signer = Signer()
    hospital.register("disabled", "system/*.cruds", signer)
    key = hospital.key("disabled")
    bearer = f"Bearer {granted(hospital.ask(signer.sign(claims('disabled', AUDIENCE))))['access_token']}"

    def statuses() -> list[int]:
        return [
            hospital.probe("Patient.r", authorization=bearer).status_code,
            hospital.probe("Patient.r", **{"x-api-key": key}).status_code,
            hospital.ask(signer.sign(claims("disabled", AUDIENCE))).status_code,
        ]

    assert statuses() == [200, 200, 200]
    for enabled, expected in ((False, [401, 401, 400]), (True, [200, 200, 200])):
        with hospital.gateway.ledger.write() as session:
            registry.enable(session, "disabled", enabled=enabled, actor="test")
        assert statuses() == expected


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": None}, "invalid_request"),
        ({"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}, "invalid_request"),
        ({"client_assertion": None}, "invalid_request"),
        ({"client_assertion": "hunter2"}, "invalid_client"),
        ({"client_assertion": "x" * 70_000}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
    ],
)
def test_requests_that_ask_wrongly(hospital: Hospital, other: dict[str, str | None], error: str) -> None:
    signer, name = Signer(), f"asking-{error}-{len(str(other))}"
    hospital.register(name, "system/*.cruds", signer)
    answer = hospital.ask(signer.sign(claims(name, AUDIENCE)), **other)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.json()["message"]
    assert answer.json()["error_description"].isascii()
    assert "hunter2" not in answer.text


def test_bodies_that_are_no_form(hospital: Hospital) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    twice = "grant_type=client_credentials&grant_type=client_credentials"
    for content, headers in (
        ("{}", {"content-type": "application/json"}),
        ("%", form),
        (twice, form),
        ("甲=乙", form),
        ("", form),
        ("", {}),
    ):
        answer = hospital.http.post("/fhir/token", content=content.encode(), headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_failures_make_their_own_client_wait_and_fill_no_log(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    signer, other = Signer(), Signer()
    hospital.register("failing", "system/*.cruds", signer)
    hospital.register("beside", "system/*.cruds", other)
    stopped = time.monotonic()
    monkeypatch.setattr(failures, "monotonic", lambda: stopped)
    for _ in range(20):
        assert hospital.ask(Signer().sign(claims("failing", AUDIENCE))).json()["error"] == "invalid_client"
    assert len(hospital.refusals("failing")) == 5
    waiting = hospital.ask(signer.sign(claims("failing", AUDIENCE)))
    assert (waiting.status_code, waiting.json()["error"]) == (400, "invalid_client")
    assert "秒后再试" in waiting.json()["message"]
    granted(hospital.ask(other.sign(claims("beside", AUDIENCE))))
    monkeypatch.setattr(failures, "monotonic", lambda: stopped + clients.LONGEST_WAIT)
    granted(hospital.ask(signer.sign(claims("failing", AUDIENCE))))


def test_what_the_server_says_of_itself_is_true(hospital: Hospital) -> None:
    said = hospital.http.get("/fhir/.well-known/smart-configuration").raise_for_status().json()
    assert said["token_endpoint"] == AUDIENCE
    assert said["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert sorted(said["token_endpoint_auth_signing_alg_values_supported"]) == ["ES384", "RS384"]
    assert said["grant_types_supported"] == ["client_credentials"]
    assert set(said["capabilities"]) == {"client-confidential-asymmetric", "permission-v1", "permission-v2"}
    signer = Signer()
    hospital.register("all", "system/*.cruds", signer)
    for scope in said["scopes_supported"]:
        assert granted(hospital.ask(signer.sign(claims("all", AUDIENCE)), scope))["scope"] == scope


def test_the_audience_never_comes_from_the_request(hospital: Hospital) -> None:
    signer = Signer()
    hospital.register("host", "system/*.cruds", signer)
    form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION, "scope": "system/*.read"}
    elsewhere = signer.sign(claims("host", "http://other.example/fhir/token"))
    answer = hospital.http.post("/fhir/token", data={**form, "client_assertion": elsewhere}, headers={"host": "other.example"})
    assert answer.json()["error"] == "invalid_client"


# -- API keys and people


def test_api_keys(hospital: Hospital, later: Callable[[timedelta], None]) -> None:
    hospital.register("keys", "system/Patient.rs", source="his")
    old, new = hospital.key("keys", timedelta(days=1)), hospital.key("keys")
    assert old.startswith("zbk_")
    assert len({old, new}) == 2
    for key in (old, new):
        for headers in ({"x-api-key": key}, {"authorization": f"Bearer {key}"}):
            assert hospital.probe("Patient.s", **headers).json() == {"name": "client:keys", "source": "his"}
            assert hospital.probe("Patient.c", **headers).status_code == 403
    later(timedelta(days=1))
    assert hospital.probe("Patient.r", **{"x-api-key": old}).status_code == 401
    assert hospital.probe("Patient.r", **{"x-api-key": new}).status_code == 200
    assert hospital.refusals("keys") == ["expired"]


def test_a_good_key_does_not_wait_for_the_failures_of_others(hospital: Hospital) -> None:
    hospital.register("patient", "system/*.cruds")
    key = hospital.key("patient")
    before = len(hospital.refusals("unknown"))
    for number in range(20):
        assert hospital.probe("Patient.r", **{"x-api-key": f"zbk_{number}"}).status_code == 401
    assert len(hospital.refusals("unknown")) - before <= 6
    assert hospital.probe("Patient.r", **{"x-api-key": key}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": "Bearer zbk_unknown"},
        {"authorization": "Bearer zba_unknown"},
        {"authorization": "Bearer unknown"},
        {"authorization": "Basic aGlzOnNlY3JldA=="},
        {"x-api-key": "unknown"},
    ],
)
def test_nobody_gets_in_without_a_credential(hospital: Hospital, headers: dict[str, str]) -> None:
    answer = hospital.probe("Patient.r", **headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_people_and_keys_never_reach_the_log(
    hospital: Hospital, zhibao: Zhibao, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    signing_in = {"account": "admin", "password": hospital.password, "new_password": PASSWORD}
    token = hospital.http.post("/api/session", json=signing_in).raise_for_status().json()["token"]
    for action in "cruds":
        assert hospital.probe(f"Patient.{action}", authorization=f"Bearer {token}").json() == {"name": "admin", "source": ""}
    signer = Signer()
    hospital.register("logged", "system/*.cruds", signer)
    key = hospital.key("logged")
    access = granted(hospital.ask(signer.sign(claims("logged", AUDIENCE))))["access_token"]
    hospital.probe("Patient.r", **{"x-api-key": key})
    hospital.probe("Patient.r", **{"x-api-key": key[:-1]})
    log = json.dumps(hospital.audit()) + caplog.text + zhibao("client", "list", "--config", folder).out
    ledger = b"".join(path.read_bytes() for path in (folder / "data").glob("ledger.sqlite*"))
    for secret in (key, key[:-1], access, token):
        assert secret not in log
        assert secret.encode() not in ledger
    assert "client:logged" in log


# -- commands, beside the running server


def test_a_client_from_its_registration_to_its_end(hospital: Hospital, folder: Path, tmp_path: Path, zhibao: Zhibao) -> None:
    at = ("--config", folder)
    signer, next_one = Signer("2026"), Signer("2027")
    (tmp_path / "jwks.json").write_text(jwks(signer), "utf-8")
    scopes = ("--scope", "system/Patient.rs", "--scope", "system/Encounter.c system/Encounter.r")
    added = zhibao("client", "add", "lis", "--source", "his", *scopes, "--jwks", tmp_path / "jwks.json", *at)
    assert (added.code, added.out.splitlines()) == (0, ["已登记客户端 lis", "已登记公钥：2026"])
    granted(hospital.ask(signer.sign(claims("lis", AUDIENCE))))

    (tmp_path / "jwks.json").write_text(jwks(next_one), "utf-8")
    assert zhibao("client", "trust", "lis", "--jwks", tmp_path / "jwks.json", *at).code == 0
    for one in (signer, next_one):  # both, until the old one is revoked
        granted(hospital.ask(one.sign(claims("lis", AUDIENCE))))

    issued = zhibao("client", "key", "lis", "--days", "30", *at)
    key = issued.out.strip()
    assert hospital.probe("Patient.r", **{"x-api-key": key}).json() == {"name": "client:lis", "source": "his"}

    listed = zhibao("client", "list", *at).out
    start = listed[listed.index("lis\t") :].splitlines()
    assert start[0] == "lis\t启用 enabled\this\tsystem/Patient.rs system/Encounter.c system/Encounter.r"
    numbers = {line.split("\t")[-1]: line.split("\t")[0].strip() for line in start[1:3]}
    assert set(numbers) == {"2026", "2027"}
    assert zhibao("client", "revoke", "lis", numbers["2026"], *at).code == 0
    assert hospital.ask(signer.sign(claims("lis", AUDIENCE))).json()["error"] == "invalid_client"
    granted(hospital.ask(next_one.sign(claims("lis", AUDIENCE))))

    assert zhibao("client", "disable", "lis", *at).code == 0
    assert hospital.probe("Patient.r", **{"x-api-key": key}).status_code == 401
    assert zhibao("client", "enable", "lis", *at).code == 0
    assert hospital.probe("Patient.r", **{"x-api-key": key}).status_code == 200
    actions = [
        entry["action"] for entry in hospital.audit() if entry["subject"] == "client:lis" and entry["actor"].startswith("uid:")
    ]
    assert actions == [
        "client.registered",
        "client.credential.added",
        "client.credential.added",
        "client.credential.added",
        "client.credential.revoked",
        "client.disabled",
        "client.enabled",
    ]


def test_commands_that_are_refused_change_nothing(hospital: Hospital, folder: Path, tmp_path: Path, zhibao: Zhibao) -> None:
    at, scope = ("--config", folder), ("--scope", "system/*.read")
    hospital.register("taken", "system/*.read")
    (tmp_path / "broken").write_text("hunter2", "utf-8")
    before = hospital.audit()
    for arguments, told in (
        (("add", "taken", *scope), "已有名为 taken 的客户端"),
        (("add", "new", "--source", "none", *scope), "配置中没有这个来源"),
        (("add", "new", "--scope", "system/patient.rs"), "权限范围写法不正确"),
        (("add", "new", "--scope", " "), "没有任何权限"),
        (("add", "新", *scope), "客户端名称不可用"),
        (("add", "new", *scope, "--jwks", tmp_path / "broken"), "不是 JWK Set 文件"),
        (("add", "new", *scope, "--certificate", tmp_path / "broken"), "不是 PEM 格式的证书"),
        (("key", "nobody"), "没有名为 nobody 的客户端"),
        (("disable", "nobody"), "没有名为 nobody 的客户端"),
        (("revoke", "taken", "99999"), "没有编号为 99999 的凭据"),
        (("trust", "taken"), "--jwks"),
    ):
        ran = zhibao("client", *arguments, *at)
        assert (ran.code, ran.out) == (2, ""), arguments
        assert told in ran.err
        assert "hunter2" not in ran.err
    assert hospital.audit() == before


def test_commands_without_a_running_server(tmp_path: Path, zhibao: Zhibao) -> None:
    folder = tmp_path / "hospital"
    prepared(folder)
    assert zhibao("client", "add", "early", "--scope", "system/*.read", "--config", folder).code == 0
    key = zhibao("client", "key", "early", "--config", folder).out.strip()
    with probing(), serving.served(load(folder)) as (gateway, url):
        later = Hospital(gateway, url, "")
        assert later.probe("Patient.r", **{"x-api-key": key}).status_code == 200
        later.http.close()
    ledger = load(folder).data_dir / "ledger.sqlite"
    ledger.rename(ledger.with_suffix(".away"))
    assert "还没有账本" in zhibao("client", "list", "--config", folder).err
