"""The simulated children's tumour platform over loopback, spoken to by the gateway's own channel and by a plain HTTP client."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx
import pytest

from adapters.hqms.writer import csv_bytes
from adapters.transports.rest import RestTransport
from conformance.simulators.behaviour import Behaviour
from conformance.simulators.form import Form
from conformance.simulators.ncpcs import Simulator
from conformance.simulators.review import load_reviewer
from gateway.delivery.batches import results
from gateway.delivery.channel import IncomingReceipt, Parcel, RestChannel
from gateway.model.errors import AmbiguousFailure, PermanentFailure, TransientFailure
from mappings.profile import profile

PROFILE = profile("ncpcs")
RECORDS, RECEIPTS, FILES = "/api/v2/records", "/api/v2/receipts", "/api/v2/files"


def child(number: str = "1", **changes: str) -> dict[str, str]:
    """A child with acute lymphoblastic leukaemia whose record passes the review; nobody real."""
    record = {
        "A01": "99DEMO0001", "A48": number, "A49": "1", "A11": "张测试", "A12C": "1", "A13": "2016-05-01", "A14": "10",
        "A20": "990000201605010018", "A26": "河南省云屏市竹汀县明光街道望舒路1号", "B12": "2026-09-01 08:00:00",
        "B15": "2026-09-09 08:00:00", "C03C": "C91.000", "C04N": "急性淋巴细胞白血病", "C09C": "M98350/3",
    }  # fmt: skip
    return {code: text for code, text in (record | changes).items() if text}


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def platform(running: Simulator) -> Simulator:
    """The running server, with an account of its own for each test and good behaviour."""
    opened = running.accounts.open("99DEMO0002", "演示医院二")
    running.account, running.secret = opened.name, opened.secret
    running.control(**Behaviour(review_seconds=0).model_dump())
    return running


@pytest.fixture
def channel(platform: Simulator) -> Iterator[RestChannel]:
    transport = RestTransport(platform.base_url, account=platform.account, secret=platform.secret, timeout=5)
    yield RestChannel(PROFILE, transport)
    transport.close()


@pytest.fixture
def client(platform: Simulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=platform.base_url, auth=(platform.account, platform.secret), trust_env=False) as made:
        yield made


def submit(client: httpx.Client, key: str, record: dict[str, str], operation: str = "submit", replaces: str = "") -> httpx.Response:
    body = {"operation": operation, "replaces": replaces or None, "fields": record}
    return client.post(RECORDS, json=body, headers={"Idempotency-Key": key})


def parcel_of(key: str, operation: str = "submit", replaces: str = "", record: dict[str, str] | None = None) -> Parcel:
    return Parcel(key, operation, replaces, record or {}, datetime.now(UTC))


def errors(answer: httpx.Response) -> dict[str, str]:
    return {error["field"]: error["reason"] for error in answer.json()["errors"]}


def wait_for(done: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "not done in time"
        time.sleep(0.01)


def everything(channel: RestChannel) -> list[IncomingReceipt]:
    """All receipts, page after page until the cursor stands still."""
    found: list[IncomingReceipt] = []
    cursor = ""
    while True:
        page, following = channel.receipts(cursor)
        found += page
        if following == cursor:
            return found
        cursor = following


def verdicts(channel: RestChannel) -> dict[str, str]:
    return {receipt.key: receipt.status for receipt in everything(channel)}


# -- accounts


def test_an_account_is_applied_for_and_opens_the_platform(platform: Simulator) -> None:
    with httpx.Client(base_url=platform.base_url, trust_env=False) as stranger:
        asked = {"organisation_code": "99DEMO0003", "organisation_name": "演示医院三"}
        answer = stranger.post("/api/v2/test-accounts", json=asked)
        assert answer.status_code == 201
        auth = (answer.json()["account"], answer.json()["secret"])
        assert stranger.get(RECEIPTS, auth=auth).status_code == 200
        assert errors(stranger.post("/api/v2/test-accounts", json={"organisation_name": "无"})) == {
            "organisation_code": "缺少，或格式不正确"
        }
        for wrong in (None, ("nobody", ""), (auth[0], "wrong"), ("", "")):
            refused = stranger.get(RECEIPTS, auth=wrong)
            assert refused.status_code == 401
            assert errors(refused) == {"": "接口账号或密钥不正确"}
            assert refused.headers["www-authenticate"] == "Basic"
        assert stranger.get(RECEIPTS, headers={"Authorization": "Basic !"}).status_code == 401


def test_a_wrong_secret_is_worth_another_try_once_it_is_put_right(platform: Simulator) -> None:
    transport = RestTransport(platform.base_url, account=platform.account, secret="wrong")
    with pytest.raises(TransientFailure, match="拒绝了接口账号"):
        RestChannel(PROFILE, transport).send(parcel_of("k", "submit", "", child()))
    transport.close()


def test_hospitals_do_not_see_each_other(platform: Simulator, client: httpx.Client) -> None:
    submit(client, "mine", child())
    other = platform.accounts.open("99DEMO0009", "演示医院九")
    assert client.get(f"{RECORDS}/mine").status_code == 200
    assert client.get(f"{RECORDS}/mine", auth=(other.name, other.secret)).status_code == 404
    assert client.get(RECEIPTS, auth=(other.name, other.secret)).json()["receipts"] == []


# -- single records


def test_the_same_key_gets_the_same_answer(platform: Simulator, channel: RestChannel, client: httpx.Client) -> None:
    parcel = parcel_of("same", "submit", "", child())
    first, second = channel.send(parcel), channel.send(parcel)
    assert (first.status, second.status) == (202, 200)
    assert first.answer == second.answer
    assert json.loads(first.answer) == {"record_id": first.platform_record, "key": "same", "status": "received"}
    asked = channel.ask(parcel_of("same"))
    assert asked is not None
    assert asked.platform_record == first.platform_record
    assert json.loads(asked.answer)["fields"] == child()
    assert channel.ask(parcel_of("other")) is None
    assert client.get("/control").json()["submissions"]["same"] == {"received": 2, "duplicates": 1}
    with pytest.raises(PermanentFailure, match=r"409.*同一幂等键"):
        channel.send(parcel_of("same", "submit", "", child(A27="10000000000")))


def test_concurrent_repetitions_make_one_record(platform: Simulator, client: httpx.Client) -> None:
    before = platform.counts()["records"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: submit(client, "storm", child()), range(24)))
    assert sorted({answer.status_code for answer in answers}) == [200, 202]
    assert len({answer.json()["record_id"] for answer in answers}) == 1
    assert platform.counts()["records"] == before + 1
    assert platform.counts()["submissions"]["storm"] == {"received": 24, "duplicates": 23}


def test_a_stay_is_reported_once(platform: Simulator, channel: RestChannel, client: httpx.Client) -> None:
    platform.control(review_seconds=60)
    assert submit(client, "a", child()).status_code == 202
    again = submit(client, "b", child())
    assert again.status_code == 409
    assert "已经上报" in errors(again)["A48"]
    assert submit(client, "c", child(A49="2")).status_code == 202
    assert submit(client, "d", child(A01="99DEMO0008")).status_code == 202
    with pytest.raises(PermanentFailure, match="A48：该病案号和住院次数已经上报"):
        channel.send(parcel_of("b", "submit", "", child()))


@pytest.mark.parametrize(
    ("record", "field", "reason"),
    [
        (child(ZZ9="x"), "ZZ9", "没有这个数据项"),
        (child(A48=""), "A48", "病案号必须填写"),
        (child(A49=""), "A49", "住院次数必须填写"),
        (child(A13="-"), "A13", "出生日期必须填写"),
        (child(B15=""), "B15", "出院时间必须填写"),
        (child(C03C=""), "C03C", "出院主要诊断编码必须填写"),
        (child(A49="第一次"), "A49", "无法识别"),
        (child(A13="不详"), "A13", "出生日期不是有效的日期"),
    ],
)
def test_an_unusable_record_is_refused_with_its_fields(
    channel: RestChannel, client: httpx.Client, record: dict[str, str], field: str, reason: str
) -> None:
    answer = submit(client, "u", record)
    assert answer.status_code == 422
    assert list(errors(answer)) == [field]
    assert reason in errors(answer)[field]
    with pytest.raises(PermanentFailure, match=rf"422.*{field}：.*{reason}"):
        channel.send(parcel_of("u", "submit", "", record))
    assert submit(client, "u", child()).status_code == 202, "a refused submission does not use up its key"


def test_a_malformed_message_is_refused_without_repeating_it(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": "m"}
    assert errors(client.post(RECORDS, content=b"{", headers=headers | {"Content-Type": "application/json"}))
    wrong = client.post(RECORDS, json={"operation": "steal", "fields": {"A11": 5}, "name": "张测试"}, headers=headers)
    assert wrong.status_code == 422
    assert set(errors(wrong)) == {"operation", "fields.A11", "name"}
    assert "张测试" not in wrong.text
    assert errors(client.post(RECORDS, json={"operation": "submit", "fields": child()})) == {"Idempotency-Key": "缺少幂等键请求头"}
    assert errors(client.get("/api/v2/nothing")) == {"": "没有找到"}


def test_amendment_and_withdrawal_need_what_they_replace(client: httpx.Client) -> None:
    for operation in ("amend", "withdraw"):
        answer = submit(client, operation, child(), operation, "unknown")
        assert answer.status_code == 422
        assert "没有找到被替代的记录" in errors(answer)["replaces"]
    assert "首次上报" in errors(submit(client, "s", child(), "submit", "x"))["replaces"]


# -- review


def test_the_review_accepts_returns_and_rejects(channel: RestChannel) -> None:
    cases = {
        "good": child("1"),
        "city-only": child("2", A26="河南省云屏市"),
        "no-pathology": child("3", C09C="-"),
        "both": child("4", A26="", C09C=""),
        "grown-up": child("5", A13="1990-01-01", A14="36", A26="河南省云屏市"),
        "out-of-scope": child("6", C03C="J18.900", C09C=""),
        "haemophilia": child("7", C03C="D66.x00", C09C=""),
        "other-diagnosis": child("8", C03C="J18.900", C06x01C="C91.000"),
    }
    for key, record in cases.items():
        channel.send(parcel_of(key, "submit", "", record))
    found = {receipt.key: receipt for receipt in everything(channel)}
    assert {key: receipt.status for key, receipt in found.items()} == {
        "good": "accepted",
        "city-only": "returned",
        "no-pathology": "returned",
        "both": "returned",
        "grown-up": "rejected",
        "out-of-scope": "rejected",
        "haemophilia": "accepted",
        "other-diagnosis": "accepted",
    }
    assert [(r.field, r.reason) for r in found["city-only"].reasons] == [
        ("A26", "现住址未填写到县（区、旗、县级市），请核实后补填")
    ]
    assert [r.field for r in found["both"].reasons] == ["A26", "C09C"]
    assert [r.field for r in found["grown-up"].reasons] == ["A13"]
    assert [r.field for r in found["out-of-scope"].reasons] == ["C03C"]
    assert set(PROFILE.receipt_status) >= {receipt.status for receipt in found.values()}


@pytest.mark.parametrize(
    ("address", "enough"),
    [
        ("河南省云屏市竹汀县明光街道望舒路1号", True),
        ("河北省柳禾市棠溪区", True),
        ("四川省澄溪市砚山坪县", True),
        ("北京市海淀区", True),
        ("内蒙古自治区某盟某旗", True),
        ("湖北省某某自治州某某市", True),
        ("湖北省荆州市沙市区", True),
        ("某省某市某县", True),
        ("某县某乡", True),
        ("河南省云屏市", False),
        ("河南省云屏市明光街道望舒路", False),
        ("河南省云屏市明光小区", False),
        ("河南省云屏市新市场路1号", False),
        ("广西壮族自治区南宁市", False),
        ("河南省郑州市", False),
        ("西藏自治区某地区", False),
        ("河南省", False),
        ("-", False),
        ("", False),
    ],
)
def test_an_address_must_name_a_county(address: str, enough: bool) -> None:
    record = child(A26=address)
    verdict = load_reviewer(PROFILE).review(record, Form(PROFILE.layout).read(record))
    assert (verdict.status == "accepted") is enough
    assert enough or [reason.field for reason in verdict.reasons] == ["A26"]


def test_a_returned_report_is_corrected_and_withdrawn(channel: RestChannel, client: httpx.Client) -> None:
    channel.send(parcel_of("v1", "submit", "", child(A26="河南省云屏市")))
    assert verdicts(channel) == {"v1": "returned"}
    channel.send(parcel_of("v2", "amend", "v1", child()))
    assert verdicts(channel) == {"v1": "returned", "v2": "accepted"}
    assert submit(client, "again", child()).status_code == 409
    channel.send(parcel_of("v3", "withdraw", "v2", child()))
    assert verdicts(channel) == {"v1": "withdrawn", "v2": "withdrawn", "v3": "withdrawn"}
    assert client.get(f"{RECORDS}/v3").json()["status"] == "withdrawn"
    assert "已撤回" in errors(submit(client, "v4", child(), "amend", "v2"))["replaces"]
    channel.send(parcel_of("v5", "submit", "", child()))
    assert verdicts(channel)["v5"] == "accepted"


def test_a_returned_stay_may_be_submitted_anew(channel: RestChannel) -> None:
    channel.send(parcel_of("v1", "submit", "", child(C09C="")))
    assert verdicts(channel) == {"v1": "returned"}
    channel.send(parcel_of("v2", "submit", "", child()))
    assert verdicts(channel)["v2"] == "accepted"


def test_a_withdrawal_counts_before_it_is_decided(platform: Simulator, channel: RestChannel, client: httpx.Client) -> None:
    platform.control(review_seconds=60)
    channel.send(parcel_of("v1", "submit", "", child()))
    channel.send(parcel_of("v2", "withdraw", "v1"))
    assert "已撤回" in errors(submit(client, "v3", child(), "amend", "v1"))["replaces"]
    channel.send(parcel_of("v4", "submit", "", child()))


def test_verdicts_take_their_time(platform: Simulator, channel: RestChannel, client: httpx.Client) -> None:
    platform.control(review_seconds=0.2, received_receipts=True)
    channel.send(parcel_of("k", "submit", "", child()))
    assert client.get(f"{RECORDS}/k").json()["status"] == "received"
    assert verdicts(channel) == {"k": "received"}
    wait_for(lambda: verdicts(channel) == {"k": "accepted"})
    assert client.get(f"{RECORDS}/k").json()["decided_at"]


# -- files


def test_a_file_is_taken_row_by_row(channel: RestChannel, client: httpx.Client) -> None:
    rows = [child("1"), child("2", A26="河南省云屏市", C09C=""), child("3", A13=""), child("1"), child("4", A49="")]
    content = csv_bytes(PROFILE.layout, rows)
    answer = client.post(FILES, content=content, params={"name": "hqmsts_2026M09.csv"})
    assert answer.status_code == 202
    told = answer.json()
    assert (told["rows"], told["accepted_rows"]) == (5, 2)
    assert [(fault["row"], fault["field"]) for fault in told["refused"]] == [(3, "A13"), (4, "A48"), (5, "A49")]
    again = client.post(FILES, content=content, headers={"X-File-Name": "%E4%BD%8F%E9%99%A2.csv"})
    assert again.json() == told
    assert client.get(f"{RECORDS}/{told['file_id']}%231").json()["status"] == "accepted"
    assert set(verdicts(channel)) == {f"{told['file_id']}#1", f"{told['file_id']}#2"}

    answer = client.get(f"{FILES}/{told['file_id']}/receipts.csv")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    entered = [(line.record_number, line.admission_number, line.status, line.field) for line in results(answer.text)]
    assert entered == [
        ("1", "1", "accepted", ""),
        ("2", "1", "returned", "A26"),
        ("2", "1", "returned", "C09C"),
        ("3", "1", "rejected", "A13"),
        ("1", "1", "rejected", "A48"),
        ("4", "", "rejected", "A49"),
    ]
    assert client.get(f"{FILES}/nothing/receipts.csv").status_code == 404


def test_a_file_about_a_reported_stay_amends_it(channel: RestChannel, client: httpx.Client) -> None:
    channel.send(parcel_of("v1", "submit", "", child()))
    told = client.post(FILES, content=csv_bytes(PROFILE.layout, [child(A26="河南省云屏市")])).json()
    record = client.get(f"{RECORDS}/{told['file_id']}%231").json()
    assert (record["operation"], record["replaces"], record["status"]) == ("amend", "v1", "returned")


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (b"", "a.csv", "文件是空的"),
        (b"\xff\xff\xff,\xff\n1,2\n", "a.csv", ""),
        (b"a,b\n1,2\n", "a.csv", "表头"),
        (b"PK\x03\x04", "a.csv", ""),
        ("A48,A49,A13,B15,C03C,某列\n1,1,,,,\n".encode(), "a.csv", "没有这个数据项"),
    ],
)
def test_an_unusable_file_is_refused(client: httpx.Client, content: bytes, name: str, reason: str) -> None:
    answer = client.post(FILES, content=content, params={"name": name})
    assert answer.status_code == 422
    assert reason in next(iter(errors(answer).values()))


def test_a_row_of_another_width_is_refused_and_the_rest_goes_on(client: httpx.Client) -> None:
    content = b"A48,A49,A13,B15,C03C\n1,1,2016-05-01\n2,1,2016-05-01,2026-09-09 08:00:00,C91.000\n"
    told = client.post(FILES, content=content).json()
    assert (told["rows"], told["accepted_rows"]) == (2, 1)
    assert told["refused"] == [{"row": 1, "field": "", "reason": "该行有 3 列，表头有 5 列"}]


# -- receipts


def test_receipts_come_in_pages_in_order_of_issue(channel: RestChannel, client: httpx.Client) -> None:
    for number in range(5):
        channel.send(parcel_of(f"k{number}", "submit", "", child(str(number))))
    cursor, pages = "", []
    while True:
        answer = client.get(RECEIPTS, params={"after": cursor, "limit": 2}).json()
        if not answer["receipts"]:
            assert answer["cursor"] == cursor
            break
        cursor = answer["cursor"]
        pages.append([receipt["key"] for receipt in answer["receipts"]])
    assert pages == [["k0", "k1"], ["k2", "k3"], ["k4"]]
    one = client.get(RECEIPTS, params={"limit": 1}).json()["receipts"][0]
    assert set(one) == {"receipt_id", "key", "status", "reasons", "record_id", "issued_at"}
    assert len({receipt.receipt_key for receipt in everything(channel)}) == 5
    assert errors(client.get(RECEIPTS, params={"limit": 0})) == {"limit": "缺少，或格式不正确"}


def test_a_cursor_of_an_earlier_life_begins_anew(channel: RestChannel) -> None:
    channel.send(parcel_of("k", "submit", "", child()))
    for cursor in ("0ld.57", "57", "nonsense", ".", "0ld.-1"):
        page, following = channel.receipts(cursor)
        assert [receipt.key for receipt in page] == ["k"]
        assert channel.receipts(following) == ([], following)


def test_receipts_repeat_when_told_to(platform: Simulator, channel: RestChannel) -> None:
    channel.send(parcel_of("a", "submit", "", child("1")))
    channel.send(parcel_of("b", "submit", "", child("2")))
    platform.control(repeat_receipts=1, repeat_pages=1)
    page, cursor = channel.receipts("")
    assert [receipt.key for receipt in page] == ["a", "a", "b", "b"]
    again, following = channel.receipts(cursor)
    assert [receipt.key for receipt in again] == ["a", "b"]
    assert {receipt.receipt_key for receipt in again} == {receipt.receipt_key for receipt in page}
    assert channel.receipts(following) == ([], following)

    platform.control(repeat_last=True)
    channel.send(parcel_of("c", "submit", "", child("3")))
    page, last = channel.receipts(following)
    assert [receipt.key for receipt in page] == ["b", "c"]
    page, still = channel.receipts(last)
    assert [receipt.key for receipt in page] == ["c"]
    assert still == last


def test_receipts_change_their_order_and_come_late(platform: Simulator, channel: RestChannel) -> None:
    platform.control(reorder_receipts=3)
    for number in range(4):
        channel.send(parcel_of(f"k{number}", "submit", "", child(str(number))))
    assert list(verdicts(channel)) == ["k2", "k1", "k0"]
    platform.control(reorder_receipts=0)
    assert list(verdicts(channel)) == ["k2", "k1", "k0", "k3"]
    platform.control(delay_receipts_seconds=0.2)
    channel.send(parcel_of("late", "submit", "", child("9")))
    answer = channel.ask(parcel_of("late"))
    assert answer is not None
    assert json.loads(answer.answer)["status"] == "accepted"
    assert "late" not in verdicts(channel)
    wait_for(lambda: "late" in verdicts(channel))


# -- misbehaviour


def test_a_lost_answer_is_ambiguous_and_asking_finds_the_record(platform: Simulator, channel: RestChannel) -> None:
    platform.control(drop_answers=2)
    with pytest.raises(AmbiguousFailure):
        channel.send(parcel_of("k", "submit", "", child()))
    found = channel.ask(parcel_of("k"))
    assert found is not None
    with pytest.raises(AmbiguousFailure):
        channel.send(parcel_of("k", "submit", "", child()))
    sent = channel.send(parcel_of("k", "submit", "", child()))
    assert sent.platform_record == found.platform_record
    assert platform.counts()["submissions"]["k"] == {"received": 3, "duplicates": 2}
    assert platform.counts()["behaviour"]["drop_answers"] == 0


def test_a_lost_answer_to_a_file_costs_nothing(platform: Simulator, client: httpx.Client) -> None:
    content = csv_bytes(PROFILE.layout, [child()])
    platform.control(drop_answers=1)
    with pytest.raises(httpx.TransportError):
        client.post(FILES, content=content)
    told = client.post(FILES, content=content).json()
    assert (told["accepted_rows"], told["refused"]) == (1, [])


def test_a_busy_platform_says_when_to_come_back(platform: Simulator, channel: RestChannel, client: httpx.Client) -> None:
    told = client.post("/control", json={"fail": {"calls": 2, "status": 503, "retry_after": 7, "path": "/records"}})
    assert told.json()["behaviour"]["fail"]["calls"] == 2
    channel.receipts("")
    for _ in range(2):
        with pytest.raises(TransientFailure) as caught:
            channel.send(parcel_of("k", "submit", "", child()))
        assert caught.value.retry_after == 7
    assert channel.send(parcel_of("k", "submit", "", child())).status == 202
    platform.control(fail={"calls": 1, "status": 500})
    with pytest.raises(TransientFailure) as caught:
        channel.receipts("")
    assert caught.value.retry_after is None


def test_a_slow_platform_runs_into_the_time_limit(platform: Simulator) -> None:
    platform.control(slow_seconds=0.5)
    transport = RestTransport(platform.base_url, account=platform.account, secret=platform.secret, timeout=0.1)
    channel = RestChannel(PROFILE, transport)
    with pytest.raises(AmbiguousFailure):
        channel.send(parcel_of("k", "submit", "", child()))
    with pytest.raises(TransientFailure):
        channel.ask(parcel_of("k"))
    transport.close()


def test_a_wrong_command_changes_nothing(platform: Simulator, client: httpx.Client) -> None:
    before = platform.counts()["behaviour"]
    for wrong in ({"drop_answers": -1}, {"unknown": 1}, {"fail": {"status": 200}}, {"slow_seconds": "soon"}):
        assert client.post("/control", json=wrong).status_code == 422
    assert platform.counts()["behaviour"] == before


# -- what people see, and the server


def test_the_page_shows_masked_names_and_verdicts(platform: Simulator, client: httpx.Client) -> None:
    submit(client, "page", child(A26="河南省云屏市", A11="欧阳<b>测试"))
    wait_for(lambda: client.get(f"{RECORDS}/page").json()["status"] == "returned")
    page = httpx.get(f"{platform.base_url}/", trust_env=False)
    assert page.status_code == 200
    assert "欧*" in page.text
    assert "测试<" not in page.text
    assert "欧阳" not in page.text
    for text in ("模拟平台", "退回", "现住址（A26）：现住址未填写到县", "急性淋巴细胞白血病"):
        assert text in page.text
    assert "://" not in page.text, "nothing comes from elsewhere"


def test_a_platform_goes_down_and_comes_back_with_what_it_had() -> None:
    with Simulator(account="demo", secret="demo-secret", behaviour=Behaviour(review_seconds=0)) as simulator:
        assert (simulator.account, simulator.secret) == ("demo", "demo-secret")
        transport = RestTransport(simulator.base_url, account="demo", secret="demo-secret")
        channel = RestChannel(PROFILE, transport)
        channel.send(parcel_of("k", "submit", "", child()))
        address = simulator.base_url
        simulator.stop()
        with pytest.raises(TransientFailure):
            channel.send(parcel_of("l", "submit", "", child("2")))
        assert simulator.start() == address
        assert channel.ask(parcel_of("k")) is not None
        transport.close()


def test_it_runs_as_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "conformance.simulators.ncpcs", "--account", "demo", "--review-seconds", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = json.loads(process.stdout.readline())
            assert said["account"] == "demo"
            transport = RestTransport(said["url"], account="demo", secret=said["secret"])
            channel = RestChannel(PROFILE, transport)
            channel.send(parcel_of("k", "submit", "", child()))
            assert verdicts(channel) == {"k": "accepted"}
            transport.close()
        finally:
            process.terminate()
