"""HL7 v2 over MLLP and HTTP into the running gateway: one intake, one stay, and what people see of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from hl7.client import MLLPClient
from sqlmodel import col, select

from adapters.hl7v2.message import Message
from adapters.hqms.writer import csv_bytes
from conformance.sample.faults import is_due_child
from conformance.sample.hospital import generate
from conformance.simulators.ncpcs import Simulator
from gateway import desk
from gateway.cases.known import KnownInLedger
from gateway.intake.mailroom import Room
from gateway.runtime import Gateway
from gateway.serving import served
from gateway.settings import load
from gateway.store.tables import InboundMessage, StayRow, StayVersion, Submission, SubmissionVersion
from mappings.layout import layout
from tests.hl7v2_messages import DATA
from tests.installation import PASSWORD, install, wait_for

ORGANISATION = "99000001"
SOURCES = f"""
[sources.his]
kind = "mllp"
dialect = "cn-a"
organisation = "{ORGANISATION}"
organisation_name = "岚桥县人民医院"
longest_mb = 1

[sources.lis]
kind = "http"
dialect = "cn-b"
organisation = "{ORGANISATION}"
"""
NUMBER, NAME, RESIDENT_ID = "ZY240506", "林小禾", "999052201503082795"
IDENTIFYING = (NUMBER, NAME, "小禾", RESIDENT_ID, "C20240001", "10001230001", "望舒路", "林知远")
FILES = sorted((DATA / "cn-a").glob("*.hl7"))


def sent(file: Path, **changes: str) -> bytes:
    """A message of the sample child, with texts exchanged."""
    text = file.read_bytes().decode()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text.encode()


def of_patient(file: Path, number: str, control: str) -> bytes:
    """The same as of another patient."""
    old = f"|A{FILES.index(file) + 1:04}|"
    return sent(file, **{NUMBER: number, RESIDENT_ID: "", old: f"|{control}|"})


@dataclass
class House:
    """A hospital with sources: its gateway, and a clerk who has signed in."""

    gateway: Gateway
    clerk: httpx.Client

    def post(self, raw: bytes, source: str = "his", **headers: str) -> httpx.Response:
        return self.clerk.post(f"/v2/{source}", content=raw, headers=headers)

    @contextmanager
    def connected(self) -> Iterator[MLLPClient]:
        host, port = self.gateway.listening.addresses["his"]
        with MLLPClient(host, port) as peer:
            yield peer

    def messages(self, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.clerk.get("/api/messages", params=query).raise_for_status().json()
        return found

    def states(self) -> list[str]:
        """The states of all messages, in the order of arrival."""
        return [message["state"] for message in self.messages()]

    def settled(self, count: int) -> list[str]:
        """Wait until ``count`` messages are there and looked at; their states."""
        wait_for(lambda: len(states := self.states()) == count and "received" not in states, 20, f"{count} messages looked at")
        return self.states()

    def all(self, table: type[Any]) -> list[Any]:
        with self.gateway.ledger.read() as session:
            return list(session.exec(select(table)))


@pytest.fixture
def house(tmp_path: Path, platform: Simulator) -> Iterator[House]:
    folder = tmp_path / "hospital"
    config, password = install(folder, url=platform.base_url, account=platform.account, secret=platform.secret, more=SOURCES)
    with served(load(config)) as (gateway, url), httpx.Client(base_url=url, trust_env=False, timeout=30) as clerk:
        session = {"account": "admin", "password": password, "new_password": PASSWORD}
        token = clerk.post("/api/session", json=session).raise_for_status().json()["token"]
        clerk.headers["Authorization"] = f"Bearer {token}"
        yield House(gateway, clerk)


def msa(answer: bytes) -> tuple[str, str]:
    """MSA-1 and MSA-2."""
    read = Message.read(answer)
    return read.value("MSA-1"), read.value("MSA-2")


def test_messages_by_both_ways_make_one_stay_once(house: House) -> None:
    with house.connected() as peer:
        framed = [peer.send_message(raw) for raw in map(sent, FILES[:3])]
    answers = [house.post(raw) for raw in map(sent, FILES[3:])]
    assert [msa(answer.strip(b"\x0b\x1c\r") + b"\r") for answer in framed] == [("AA", f"A000{n}") for n in (1, 2, 3)]
    assert [(a.status_code, a.headers["content-type"], *msa(a.content)) for a in answers] == [
        (200, "application/hl7-v2", "AA", "A0004"),
        (200, "application/hl7-v2", "AA", "A0005"),
    ]
    assert house.settled(5) == ["assembled"] * 5
    (stay,) = house.all(StayRow)
    assert {message["stay"] for message in house.messages()} == {stay.id}
    assert stay.window == "2024-06"
    assert len(house.all(Submission)) == 1
    versions = len(house.all(StayVersion))

    # everything again, each by the other way: the same acknowledgements, nothing twice
    again = [house.post(raw) for raw in map(sent, FILES[:3])]
    assert [b"\x0b" + answer.content + b"\x1c\r" for answer in again] == framed
    with house.connected() as peer:
        repeated = [peer.send_message(raw) for raw in map(sent, FILES[3:])]
    assert repeated == [b"\x0b" + answer.content + b"\x1c\r" for answer in answers]
    assert house.settled(5) == ["assembled"] * 5
    assert (len(house.all(StayVersion)), len(house.all(Submission))) == (versions, 1)

    # the same control id with other bytes is processed and marked
    house.post(sent(FILES[0], 云屏市=NAME))
    house.settled(6)
    assert [message["again"] for message in house.messages()] == [False] * 5 + [True]


def test_test_messages_and_what_says_nothing_are_ignored(house: House) -> None:
    assert msa(house.post(sent(FILES[0], **{"|P|2.4": "|T|2.4"})).content) == ("AA", "A0001")
    merge = f"MSH|^~\\&|HIS||EAI||20240601||ADT^A40|M1|T|2.4\rPID|1||X1^^^^PatientNO||{NAME}\rMRG|{NUMBER}^^^^PatientNO\r"
    house.post(merge.encode())
    house.post(b"MSH|^~\\&|HIS||EAI||20240601||MFN^M02|F1|P|2.4\r")
    assert house.settled(3) == ["ignored"] * 3
    assert house.all(StayRow) == []
    # the merge was a test: the number counts as before
    for file in FILES:
        house.post(sent(file))
    house.settled(8)
    (version,) = house.all(SubmissionVersion)
    assert house.clerk.get(f"/api/submissions/{version.id}/trace/A48").json()["value"] == NUMBER


def test_what_cannot_be_read_is_refused_and_kept(house: House) -> None:
    bad = b"MSH|^~\\&|HIS||EAI||20240601||ADT^A01|U1|P|2.4||||||UTF-8\rPID|1||7||\xff\xfe\xfd\x80\r"
    answer = house.post(bad)
    assert (answer.status_code, *msa(answer.content)) == (422, "AR", "U1")
    (row,) = house.messages(state="refused")
    assert (row["source"], row["control_id"], row["reason"], row["stay"]) == ("his", "U1", "undecodable", None)
    shown = house.clerk.get(f"/api/messages/{row['id']}/raw")
    assert (shown.headers["content-type"], shown.content) == ("application/octet-stream", bad)
    # tried again (its source's character set might have been set meanwhile), it is refused for the same reason
    assert house.clerk.post(f"/api/messages/{row['id']}/retry").json() == {"messages": 1}
    wait_for(lambda: house.clerk.get(f"/api/messages/{row['id']}").json()["state"] == "refused", 20, "the message refused again")
    assert msa(house.post(b"garbage").content) == ("AR", "")
    assert house.post(b" \r\n").status_code == 422
    assert house.post(b"MSH|^~\\&|" + b"x" * (1 << 20)).status_code == 422
    assert house.post(sent(FILES[0]), source="nobody").status_code == 404
    assert house.clerk.get("/api/messages/99/raw").status_code == 404
    assert house.clerk.post("/api/messages/99/retry").status_code == 404
    assert len(house.messages()) == 2
    with httpx.Client(base_url=house.clerk.base_url, trust_env=False) as stranger:
        assert stranger.post("/v2/his", content=sent(FILES[0])).status_code == 401


def test_a_cut_frame_is_no_message_and_an_unwanted_answer_is_none(house: House) -> None:
    cut = house.post(b"\x0b" + sent(FILES[0]))
    assert (cut.status_code, msa(cut.content)[0]) == (422, "AR")
    silent = house.post(b"MSH|^~\\&|HIS||EAI||20240601||ADT^A01|N1|P|2.4|||NE|NE\rPID|1||7||x\r")
    assert (silent.status_code, silent.content) == (200, b"")
    house.settled(2)
    assert [row["reason"] for row in house.messages(state="refused")] == ["truncated"]


def test_a_batch_is_answered_as_a_batch(house: House) -> None:
    body = b"BHS|^~\\&|HIS|H|EAI|Z|20240601||||B7\r" + b"".join(map(sent, FILES)) + b"BTS|5\r"
    answer = house.post(body)
    assert answer.status_code == 200
    lines = answer.content.split(b"\r")
    assert lines[0].startswith(b"BHS|^~\\&|EAI|Z|HIS|H|")
    assert lines[0].endswith(b"|B7")
    assert lines[-2:] == [b"BTS|5", b""]
    assert [line for line in lines if line.startswith(b"MSA")] == [b"MSA|AA|A000%d" % n for n in range(1, 6)]
    assert house.settled(5) == ["assembled"] * 5
    assert len(house.all(StayRow)) == 1
    # without an envelope, one of them unusable, as JSON
    several = house.post(sent(FILES[0]) + b"\r\nMSH|^~\\&|\xff\xff\r", accept="application/json")
    assert several.status_code == 422
    assert [(one["outcome"], one["code"], one["reason"]) for one in several.json()] == [
        ("repeated", "AA", ""),
        ("kept", "AR", "undecodable"),
    ]
    assert house.post(b"BHS|^~\\&\r" + sent(FILES[0]) + b"BTS|9\r").status_code == 422


def test_a_full_mailroom_says_so(house: House) -> None:
    house.gateway.mailroom.room = Room(waiting=0)
    answer = house.post(sent(FILES[0]))
    assert (answer.status_code, answer.headers["retry-after"], *msa(answer.content)) == (503, "60", "AE", "A0001")
    health = house.clerk.get("/healthz")
    assert health.status_code == 503
    assert "mailroom" in health.json()["faults"][0]
    assert house.messages() == []
    house.gateway.mailroom.room = Room()
    assert msa(house.post(sent(FILES[0])).content) == ("AA", "A0001")


def test_a_message_that_cannot_be_processed_parks_its_patient_only(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    assemble = desk.assemble

    def poisoned(identity: Any, facts: Any, *rest: Any, **options: Any) -> Any:
        if identity[1] == NUMBER:
            raise ValueError(NAME)
        return assemble(identity, facts, *rest, **options)

    monkeypatch.setattr(desk, "assemble", poisoned)
    for number, file in enumerate(FILES[:2]):
        house.post(sent(file))
        house.post(of_patient(file, "ZY777", f"X{number}"))
    assert house.settled(4) == ["parked", "assembled", "parked", "assembled"]
    assert [row["reason"] for row in house.messages(state="parked")] == ["failed", "behind"]
    assert house.clerk.get("/healthz").json()["warnings"][0] == "source his: 2 messages parked"
    assert "暂停处理 2" in house.clerk.get("/").text
    monkeypatch.undo()
    first = house.messages()[0]["id"]
    assert house.clerk.post(f"/api/messages/{first}/retry").json() == {"messages": 2}
    assert house.settled(4) == ["assembled"] * 4
    with house.gateway.ledger.read() as session:
        stay = session.exec(select(InboundMessage.stay_id).where(InboundMessage.id == first)).one()
        made = session.exec(select(StayVersion.made_by).where(StayVersion.stay_id == stay).order_by(col(StayVersion.number)))
        assert list(made)[-1] == f"v2:{first + 2}"
    assert house.clerk.post(f"/api/messages/{first}/retry").status_code == 409


def test_a_value_is_traced_to_its_field(house: House) -> None:
    for file in FILES:
        house.post(sent(file))
    house.settled(5)
    (version,) = house.all(SubmissionVersion)

    def traced(field: str) -> list[dict[str, Any]]:
        found = house.clerk.get(f"/api/submissions/{version.id}/trace/{field}").raise_for_status().json()
        assert found["origins"][0]["stands"]
        return [origin["said"] for origin in found["origins"]]

    (name,) = traced("A11")
    assert (name["source"], name["control_id"], name["event"]) == ("his", "A0005", "ADT^A03")
    assert (name["segment"], name["field"], name["text"], name["derived"]) == ("PID", "PID-5", NAME, False)
    assert name["raw"] == sent(FILES[4]).decode().split("\r")[2]
    (diagnosis,) = traced("C03C")
    assert (diagnosis["field"], diagnosis["text"]) == ("DG1[1]-3", "C91.000^急性淋巴细胞白血病")
    (number,) = traced("A20")
    assert (number["field"], number["text"]) == ("PID-3[4]", f"{RESIDENT_ID}^^^^IdentifyNO")


def test_a_front_sheet_and_messages_of_one_stay(house: House) -> None:
    child = next(islice((record for record in generate(600) if is_due_child(record)), 1))
    record = child | {"A48": NUMBER, "A49": "1", "A01": ORGANISATION, "B12": "2024-05-06 09:20:00", "B15": "2024-06-03 11:00:00"}
    for file in FILES[:2]:
        house.post(sent(file))
    house.settled(2)
    (stay,) = house.all(StayRow)

    def discharged_at() -> str:
        """As joining sees it, by the assembler's memory."""
        with house.gateway.ledger.read() as session:
            return KnownInLedger(session, house.gateway.vault, house.gateway.assembler.outlines).outline(stay.id).discharged_at

    assert discharged_at() == ""
    content = csv_bytes(layout("2020"), [record])
    file_id = house.clerk.post("/api/files", params={"name": "june.csv"}, content=content).raise_for_status().json()["id"]
    wait_for(lambda: house.clerk.get(f"/api/files/{file_id}").json()["state"] == "done", 20, "the file read")
    assert discharged_at() == "2024-06-03T11:00:00"
    for file in FILES[2:]:
        house.post(sent(file))
    house.settled(5)
    assert len(house.all(StayRow)) == 1
    (submission,) = house.all(Submission)
    assert submission.stay_id == stay.id
    current = house.clerk.get(f"/api/submissions/{submission.id}").json()[0]
    conflicts = {field for finding in current["findings"] if finding["rule"] == "ZB-CONFLICT" for field in finding["fields"]}
    assert "A11" in conflicts
    found = house.clerk.get(f"/api/submissions/{submission.id}/trace/A11").json()
    sides = {("file" if origin["cell"] else "message"): origin for origin in found["origins"]}
    assert sides["file"]["cell"]["text"] == record["A11"]
    assert sides["message"]["said"]["text"] == NAME
    assert [origin["stands"] for origin in found["origins"]] == [True, False]
    assert found["value"] == found["origins"][0]["cell"]["text"]


def test_front_sheets_of_one_patient_whom_messages_know_are_stays_of_their_own(house: House) -> None:
    child = next(islice((record for record in generate(600) if is_due_child(record)), 1))
    patient = child | {"A48": NUMBER, "A01": ORGANISATION}
    records = [
        patient | {"A49": number, "B12": f"2024-{month}-06 09:20:00", "B15": f"2024-{month}-23 11:00:00"}
        for number, month in (("1", "05"), ("2", "07"), ("3", "08"))
    ]
    for file in FILES[:2]:
        house.post(sent(file))
    house.settled(2)
    content = csv_bytes(layout("2020"), records)
    file_id = house.clerk.post("/api/files", params={"name": "summer.csv"}, content=content).raise_for_status().json()["id"]
    wait_for(lambda: house.clerk.get(f"/api/files/{file_id}").json()["state"] == "done", 20, "the file read")
    rows = house.clerk.get(f"/api/files/{file_id}/rows").json()
    assert [row["outcome"] for row in rows] == ["read"] * 3
    assert len({row["stay"] for row in rows}) == 3
    assert sorted(stay.window for stay in house.all(StayRow)) == ["2024-05", "2024-07", "2024-08"]


def test_what_people_see_of_the_sources(house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "zhibao")
    caplog.set_level(logging.DEBUG, "adapters")
    assert house.clerk.get("/healthz").json()["warnings"] == ["source his: no message yet", "source lis: no message yet"]
    with house.connected() as peer:
        for file in FILES:
            peer.send_message(sent(file))
        shown = house.clerk.get("/metrics").text
        assert 'zhibao_connections_open{source="his"} 1.0' in shown
    house.post(f"MSH|^~\\&|HIS||EAI||1||ADT^A01|U1|P|2.4||||||UTF-8\rPID|1||{NUMBER}||{NAME}".encode() + b"\xff\r")
    house.settled(6)

    his, lis = house.clerk.get("/api/sources").json()
    assert (his["kind"], his["dialect"], his["messages"]["assembled"], his["messages"]["refused"]) == ("mllp", "cn-a", 5, 1)
    assert (his["silent"], his["messages_today"], his["listener"]["received"]) == (False, 6, 5)
    assert his["listener"]["answered"] == {"AA": 5}
    assert his["address"] == "{}:{}".format(*house.gateway.listening.addresses["his"])
    assert (lis["silent"], lis["silent_since"], lis["last_message_at"], lis["listener"]) == (True, None, None, None)
    metrics = house.clerk.get("/metrics").text
    assert 'zhibao_source_silent{source="lis"} 1.0' in metrics
    assert 'zhibao_messages_answered_total{code="AA",source="his"} 5.0' in metrics
    assert 'zhibao_messages{source="his",state="assembled"} 5.0' in metrics
    assert 'zhibao_messages_received_total{source="his"} 5.0' in metrics

    page, english = house.clerk.get("/").text, house.clerk.get("/?lang=en").text
    for words in ("来源", "cn-a", his["address"], "刚刚", "还没有收到过消息", "岚桥县人民医院"):
        assert words in page
    assert "no message yet" in english

    # pages of the list, one message, its text
    first, *rest = house.messages(source="his", limit=2)
    assert [row["id"] for row in rest] == [first["id"] + 1]
    assert house.messages(after=first["id"], limit=1) == rest
    detail = house.clerk.get(f"/api/messages/{first['id']}").json()
    assert {"path": "patient.name", "field": "PID-5", "derived": False} in detail["facts"]
    assert {"path": "diagnoses", "field": "DG1[1]-3", "derived": False} in detail["facts"]
    looked = house.clerk.get(f"/api/messages/{first['id']}/raw")
    assert (looked.headers["content-type"], looked.content) == ("text/plain; charset=utf-8", sent(FILES[0]))

    audit = house.clerk.get("/api/audit/export").text
    assert '"message.viewed"' in audit
    lists = house.clerk.get("/api/sources").text + house.clerk.get("/api/messages").text + str(detail)
    everything = metrics + page + english + audit + lists + house.clerk.get("/healthz").text + caplog.text
    for text in IDENTIFYING:
        assert text not in everything, text


def test_a_silent_source_stands_out(house: House) -> None:
    house.post(sent(FILES[0]))
    house.settled(1)
    with house.gateway.ledger.write() as session:
        row = session.exec(select(InboundMessage)).one()
        row.received_at = row.received_at.replace(year=row.received_at.year - 1)
        session.add(row)
    his = house.clerk.get("/api/sources").json()[0]
    assert his["silent"]
    assert his["silent_since"] == his["last_message_at"]
    assert "已静默" in house.clerk.get("/").text
    assert "silent for" in house.clerk.get("/?lang=en").text
    health = house.clerk.get("/healthz")
    assert (health.status_code, health.json()["status"]) == (200, "ok")
    assert health.json()["warnings"][0].startswith("source his: no message for")
