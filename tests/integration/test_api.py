"""The API over loopback, with the real ledger, engine and platform simulator."""

from __future__ import annotations

import csv
import json
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.hqms.writer import csv_bytes
from conformance.sample.faults import is_due_child
from conformance.sample.hospital import generate
from conformance.simulators.ncpcs import Simulator
from gateway.audit.log import verify
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
            assert content == (hospital / "outbox" / "ncpcs" / batch["file_name"]).read_bytes()
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
