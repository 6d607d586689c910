"""The API over loopback, with the real ledger, engine and platform simulator."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.hqms.writer import csv_bytes
from conformance.sample.faults import is_due_child
from conformance.sample.hospital import generate
from conformance.simulators.ncpcs import Simulator
from gateway.access import accounts, failures
from gateway.access.accounts import LONGEST_WAIT_OF_ALL, Door
from gateway.audit.log import verify
from gateway.model.errors import AccessDenied
from gateway.store.ledger import Ledger
from gateway.store.vault import Vault
from mappings.layout import layout
from tests.installation import PASSWORD, wait_for

Record = dict[str, str]


@pytest.fixture(scope="module")
def children() -> list[Record]:
    """Clean records of stays that are due to the children's platform."""
    return list(islice((record for record in generate(600) if is_due_child(record)), 4))


def hand_in(clerk: httpx.Client, name: str, records: list[Record]) -> dict[str, Any]:
    file = clerk.post("/api/files", params={"name": name}, content=csv_bytes(layout("2020"), records)).raise_for_status().json()
    wait_for(lambda: clerk.get(f"/api/files/{file['id']}").json()["state"] == "done", 30, "the file read")
    return file


def submissions(clerk: httpx.Client, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = clerk.get("/api/submissions", params=query).raise_for_status().json()
    return found


def decided(clerk: httpx.Client, count: int) -> bool:
    return sum(s["theirs"] in ("accepted", "returned", "rejected") for s in submissions(clerk)) == count


def test_nothing_opens_without_signing_in(stranger: tuple[httpx.Client, str]) -> None:
    client, password = stranger
    paths = client.get("/openapi.json").json()["paths"]
    guarded = [
        (method, path)
        for path, methods in paths.items()
        if path.startswith("/api/") and path != "/api/session"
        for method in methods
    ]
    assert len(guarded) > 15
    for method, path in guarded:
        body = {"window": "2026-10"} if path.endswith("batches") else {"reason": "x", "corrections": []}
        answer = client.request(method, path.replace("{stay}", "1"), json=body, params={"name": "a.csv"})
        assert answer.status_code == 401, (method, path, answer.text)
        assert answer.json()["error"] == "请先登录"
    first = {"account": "admin", "password": password}
    assert client.post("/api/session", json=first).status_code == 422  # a one-time password only sets another
    assert client.post("/api/session", json=first | {"new_password": "short"}).status_code == 422
    assert client.post("/api/session", json=first | {"new_password": password}).status_code == 422
    assert client.post("/api/session", json=first | {"new_password": PASSWORD}).status_code == 200
    assert client.post("/api/session", json=first).status_code == 401  # the one-time password is gone


def test_failed_sign_ins_slow_an_account_down(stranger: tuple[httpx.Client, str]) -> None:
    client, password = stranger
    wrong = {"account": "admin", "password": "wrong-password-1"}
    for _ in range(5):
        assert client.post("/api/session", json=wrong).status_code == 401
    answer = client.post("/api/session", json={"account": "admin", "password": password, "new_password": PASSWORD})
    assert answer.status_code == 401
    assert "次数过多" in answer.json()["error"]


class Clock:
    """What time it is for the door."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(failures, "monotonic", clock)
    return clock


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}", Vault.create(tmp_path / "keys")) as ledger:
        with ledger.write() as session:
            password = accounts.create(session, "admin")
        door = Door(ledger)
        door.sign_in("admin", password, PASSWORD)
        yield door


def fail(door: Door, address: str, name: str = "admin") -> str:
    """What a wrong password is answered."""
    with pytest.raises(AccessDenied) as refused:
        door.sign_in(name, "wrong-password-1", address=address)
    return refused.value.message


def test_failures_elsewhere_keep_nobody_out_for_long(door: Door, clock: Clock) -> None:
    for _ in range(14):
        assert fail(door, "192.0.2.66") == "账号或密码不正确"
        clock.time += 1000
    fail(door, "192.0.2.66")
    clock.time += LONGEST_WAIT_OF_ALL - 0.5
    with pytest.raises(AccessDenied, match="请 1 秒后再试"):
        door.sign_in("admin", PASSWORD, address="192.0.2.1")
    clock.time += 1
    # whoever failed still waits, and his tries meanwhile do not prolong what the others wait
    assert fail(door, "192.0.2.66") == "登录失败次数过多"
    assert door.sign_in("admin", PASSWORD, address="192.0.2.1")


def test_an_unknown_address_waits_no_longer_than_everybody(door: Door, clock: Clock) -> None:
    for _ in range(20):
        fail(door, "")
        clock.time += LONGEST_WAIT_OF_ALL
    assert door.sign_in("admin", PASSWORD)


def test_names_made_up_do_not_push_out_a_running_wait(door: Door, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "MOST_KEPT", 6)
    for _ in range(9):
        fail(door, "192.0.2.66")
        clock.time += 16.0
    fail(door, "192.0.2.66")  # waits 32 s from now
    for number in range(12):
        fail(door, "192.0.2.66", name=f"nobody-{number}" * 1000)
    assert fail(door, "192.0.2.66") == "登录失败次数过多"
    assert len(door._failures) == 6


def test_a_request_of_the_wrong_form_is_answered_in_chinese_and_without_its_values(clerk: httpx.Client) -> None:
    secret = "hunter2-七床林小禾"
    requests: list[tuple[dict[str, Any], str]] = [
        ({"json": {"password": secret}}, "缺少 account"),
        ({"json": {"account": "admin", "password": [secret]}}, "password 的值不正确"),
        ({"json": {"account": "admin", "password": "x", secret: secret}}, "请求体 中有不认识的字段"),
        ({"json": secret}, "请求体 的值不正确"),
        ({"content": f'{{"{secret}'.encode(), "headers": {"Content-Type": "application/json"}}, "请求体不是 JSON"),
        ({}, "缺少 请求体"),
    ]
    for sent, told in requests:
        answer = clerk.post("/api/session", **sent)
        assert answer.status_code == 422
        assert answer.json().keys() == {"error", "action", "english"}
        assert told in answer.json()["error"]
        for part in ("hunter2", "林小禾"):
            assert part not in answer.text
            assert part.encode("unicode-escape").decode() not in answer.text
    correction = {"reason": "x", "corrections": [{"field": "A26", "value": 7}]}
    assert "corrections.0.value" in clerk.post("/api/stays/1/corrections", json=correction).json()["error"]


def test_a_number_that_no_row_can_have_is_refused(clerk: httpx.Client) -> None:
    correction = {"reason": "x", "corrections": [{"field": "A26", "value": "x"}]}
    for number in (str(2**63), "9" * 20, "9" * 5000, "-1"):
        answers = [
            clerk.post(f"/api/stays/{number}/corrections", json=correction),
            clerk.get(f"/api/messages/{number}"),
            clerk.get(f"/api/messages/{number}/raw"),
            clerk.post(f"/api/messages/{number}/retry"),
            clerk.get("/api/messages", params={"after": number}),
        ]
        for answer in answers:
            assert answer.status_code == 422, answer.request.url
            assert answer.json()["english"].startswith("invalid request: ")
    largest = 2**63 - 1
    assert clerk.post(f"/api/stays/{largest}/corrections", json=correction).status_code == 404
    assert clerk.get(f"/api/messages/{largest}").status_code == 404
    assert clerk.get("/api/messages", params={"after": largest}).json() == []


def test_an_address_that_is_none_is_answered_in_chinese(clerk: httpx.Client) -> None:
    nowhere, not_so = clerk.get("/api/hunter2"), clerk.put("/api/session")
    assert (nowhere.status_code, nowhere.json()["error"], nowhere.json()["english"]) == (404, "没有这个地址", "not found")
    assert (not_so.status_code, not_so.json()["error"]) == (405, "这个地址不能这样访问")
    assert not_so.headers["allow"]
    assert clerk.get("/static/none.css").json()["error"] == "没有这个地址"
    for answer in (nowhere, not_so):
        assert answer.json().keys() == {"error", "action", "english"}
        assert "hunter2" not in answer.text
    assert "HTTPValidationError" not in clerk.get("/openapi.json").text


def test_the_page_shows_only_names_of_official_exports(clerk: httpx.Client, children: list[Record]) -> None:
    private = ("林小禾出院.csv", "hqms-林小禾.csv", "linxiaohe.csv", "hqms_999052201503082795.csv")
    public = ("hqmsts_2026M10.csv", "TCMMS_2026M08-2026M10.csv")
    for count, name in enumerate((*private, *public)):
        hand_in(clerk, name, children[: 1 + count % 4] * (1 + count // 4))
    page, english = clerk.get("/").text, clerk.get("/?lang=en").text
    for name in private:
        assert name not in page + english
    for name in public:
        assert name in page
        assert name in english
    assert page.count("（文件名不公开显示）") == english.count("(name not shown)") == len(private)


def test_a_returned_report_is_corrected_and_accepted(clerk: httpx.Client, platform: Simulator, children: list[Record]) -> None:
    address = children[0]["A26"]
    no_county = address[: address.index("市") + 1]
    hand_in(clerk, "october.csv", [children[0] | {"A26": no_county}, *children[1:]])
    wait_for(lambda: decided(clerk, len(children)), 30, "all decided")
    (work,) = clerk.get("/api/work").json()
    assert work["kind"] == "returned"
    (reason,) = work["reasons"]
    assert reason["fields"] == ["A26"]

    stay, first = work["version"]["stay"], work["version"]["id"]
    bad = {"reason": "退回", "corrections": [{"field": "A12C", "value": "七"}]}
    assert clerk.post(f"/api/stays/{stay}/corrections", json=bad).status_code == 422
    good = {"reason": "平台退回，按病历更正", "corrections": [{"field": "A26", "value": address}]}
    assert clerk.post(f"/api/stays/{stay}/corrections", json=good).json()["changed"]
    wait_for(lambda: clerk.get("/api/work").json() == [] and decided(clerk, len(children)), 30, "the amendment accepted")

    versions = clerk.get(f"/api/submissions/{first}").json()
    assert [(v["number"], v["operation"], v["replaces"], v["theirs"]) for v in versions] == [
        (2, "amend", first, "accepted"),
        (1, "submit", "", "returned"),
    ]
    assert versions[1]["receipts"][-1]["reasons"][0]["fields"] == ["A26"]
    again = clerk.post(f"/api/stays/{stay}/corrections", json=good).json()
    assert not again["changed"]
    assert platform.counts()["records"] == len(children) + 1


def test_a_value_is_traced_to_its_bytes(clerk: httpx.Client, children: list[Record]) -> None:
    hand_in(clerk, "september.csv", children)
    content = csv_bytes(layout("2020"), children)
    ids = {}
    for submission in submissions(clerk):
        found = clerk.get(f"/api/submissions/{submission['id']}/trace/C03C").json()
        (origin,) = found["origins"]
        cell = origin["cell"]
        raw = content[cell["offset"] : cell["offset"] + cell["length"]]
        assert bytes.fromhex(cell["raw"]) == raw
        (cells,) = csv.reader([raw.decode("gb18030")])
        assert cells[cell["column"] - 1] == cell["text"] == found["value"] == found["canonical"]
        assert (cell["header"], cell["file_name"]) == ("C03C", "september.csv")
        ids[cell["row"]] = submission["stay"]
    assert sorted(ids) == [1, 2, 3, 4]
    some = submissions(clerk)[0]
    correction = {"reason": "核对病历", "corrections": [{"field": "A27", "value": "10000000001"}]}
    clerk.post(f"/api/stays/{some['stay']}/corrections", json=correction).raise_for_status()
    (current,) = [s for s in submissions(clerk) if s["stay"] == some["stay"]]
    person, message = clerk.get(f"/api/submissions/{current['id']}/trace/A27").json()["origins"]
    assert (person["by"], person["reason"]) == ("admin", "核对病历")
    assert message["cell"]["text"] != "10000000001"
    assert clerk.get(f"/api/submissions/{some['id']}/trace/NONE").status_code == 422
    assert clerk.get("/api/submissions/none/trace/A27").status_code == 404


def test_the_same_file_again_changes_nothing_and_says_so(clerk: httpx.Client, children: list[Record]) -> None:
    first = hand_in(clerk, "a.csv", children)
    content = csv_bytes(layout("2020"), children)
    again = clerk.post("/api/files", params={"name": "b.csv"}, content=content)
    assert (again.status_code, again.json()["id"], again.json()["repeated"]) == (200, first["id"], True)
    # the same rows in another file: known stays, nothing new to report
    other = hand_in(clerk, "c.csv", list(reversed(children)))
    shown = clerk.get(f"/api/files/{other['id']}").json()
    assert (shown["rows_read"], shown["rows_unchanged"], shown["rows_refused"]) == (0, len(children), 0)
    assert {s["number"] for s in submissions(clerk)} == {1}


def test_unusable_files_are_kept_and_refused_with_a_sentence(clerk: httpx.Client) -> None:
    assert clerk.post("/api/files", params={"name": "a.csv"}, content=b"").status_code == 422
    file = clerk.post("/api/files", params={"name": "a.xlsx"}, content=b"A48,A49\r\n1,1\r\n").json()
    wait_for(lambda: clerk.get(f"/api/files/{file['id']}").json()["state"] == "refused", 20, "the file refused")
    shown = clerk.get(f"/api/files/{file['id']}").json()
    assert shown["reason"] == "not-what-its-name-says"
    assert "扩展名" in shown["message"]


def test_operations(clerk: httpx.Client, children: list[Record], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hand_in(clerk, "october.csv", children)
    wait_for(lambda: decided(clerk, len(children)), 30, "all decided")
    assert clerk.get("/healthz").json() == {"status": "ok", "faults": []}
    metrics = clerk.get("/metrics").text
    assert 'zhibao_submissions{ours="sent",platform="ncpcs",theirs="accepted"} 4.0' in metrics
    page, english = clerk.get("/").text, clerk.get("/?lang=en").text
    assert "国家儿童肿瘤监测平台" in page
    assert "children&#39;s tumour" in english
    piece = tmp_path / "audit.jsonl"
    piece.write_bytes(clerk.get("/api/audit/export").content)
    assert verify(piece).entries > 20
    facts = [fact for platform in clerk.get("/api/platforms").json() for fact in platform["facts"]]
    assert {"high", "low"} <= {fact["confidence"] for fact in facts}
    # nothing that anybody may see without a right, and nothing in log or audit, identifies a patient
    everything = metrics + page + english + piece.read_text("utf-8") + caplog.text + json.dumps(submissions(clerk))
    for child in children:
        for column in ("A11", "A20", "A26", "A27", "A32", "A48"):
            assert child[column] == "-" or child[column] not in everything, column


class TestByFile:
    """The platform served by files: close, upload by hand, confirm, enter the results."""

    @pytest.fixture
    def transport(self) -> str:
        return 'transport = "folder"\n'

    def test_manual_upload(self, clerk: httpx.Client, platform: Simulator, children: list[Record], hospital: Path) -> None:
        address = children[0]["A26"]
        records = [children[0] | {"A26": address[: address.index("市") + 1]}, *children[1:]]
        hand_in(clerk, "october.csv", records)
        months = sorted({record["B15"][:7] for record in records})
        ready = submissions(clerk, ours="ready")
        assert len(ready) == len(children)
        entered = 0

        def platform_decided() -> bool:
            counts = platform.counts()
            return bool(counts["receipts_issued"] >= counts["records"])

        for month in months:
            batch = clerk.post("/api/platforms/ncpcs/batches", json={"window": month}).raise_for_status().json()
            assert clerk.post(f"/api/batches/{batch['id']}/results", content=b"A48,A49,status\n").status_code == 409
            content = clerk.get(f"/api/batches/{batch['id']}/file").content
            assert content == (hospital / "outbox" / "ncpcs" / batch["id"][-12:] / batch["file_name"]).read_bytes()
            (hospital / "outbox" / "ncpcs" / batch["id"][-12:] / batch["file_name"]).unlink()
            assert clerk.get(f"/api/batches/{batch['id']}/file").status_code == 404
            assert clerk.post(f"/api/batches/{batch['id']}/write").json()["sha256"] == batch["sha256"]
            assert clerk.get(f"/api/batches/{batch['id']}/file").content == content
            with httpx.Client(base_url=platform.base_url, auth=(platform.account, platform.secret), trust_env=False) as person:
                upload = person.post("/api/v2/files", params={"name": batch["file_name"]}, content=content)
                assert upload.status_code == 202, upload.text
                file_id = upload.json()["file_id"]
                confirmed = clerk.post(f"/api/batches/{batch['id']}/confirm").json()
                assert (confirmed["state"], confirmed["confirmed_by"]) == ("confirmed", "admin")
                wait_for(platform_decided, 20, "the platform's verdicts")
                results = person.get(f"/api/v2/files/{file_id}/receipts.csv").content
            done = clerk.post(f"/api/batches/{batch['id']}/results", content=results).raise_for_status().json()
            assert done["unmatched"] == []
            entered += done["fresh"]
            twice = clerk.post(f"/api/batches/{batch['id']}/results", content=results).json()
            assert (twice["fresh"], twice["known"]) == (0, done["fresh"])
        assert entered == len(children)
        assert sorted(s["theirs"] for s in submissions(clerk)) == ["accepted"] * 3 + ["returned"]
        assert clerk.post("/api/platforms/ncpcs/batches", json={"window": months[0]}).status_code == 404
