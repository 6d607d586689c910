"""The Zhejiang hub: the channel, through zeep, against the simulated hub on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from adapters.transports.soap import SoapTransport
from conformance.simulators.zhejiang_hub.behaviour import Behaviour
from conformance.simulators.zhejiang_hub.exchange import Signer
from conformance.simulators.zhejiang_hub.platform import Simulator
from gateway.delivery.channel import Delivered, IncomingReceipt, Parcel, StillProcessing
from gateway.delivery.hub import HubChannel
from gateway.delivery.hub_answers import codes
from gateway.model.errors import AmbiguousFailure, DeliveryError, PermanentFailure, TransientFailure
from gateway.store.ledger import new_id
from tests.hub import card, first_visit, follow_up, terms
from tests.installation import wait_for

PATIENCE = 20
AT_ONCE = Behaviour(asynchronous=False, process_seconds=0)


@pytest.fixture
def hub() -> Iterator[Simulator]:
    with Simulator(behaviour=Behaviour(process_seconds=0)) as running:
        yield running


Opener = Callable[..., HubChannel]


@pytest.fixture
def opened(hub: Simulator) -> Iterator[Opener]:
    """Channels to the hub, with changed terms where a test wants them."""
    made: list[HubChannel] = []

    def open_channel(*, signer: Signer | None = None, timeout: float = 5, wsdl: str = "", **changes: str) -> HubChannel:
        caller = signer or hub.signer
        agreed = terms(hub.options | {"system_code": caller.system_code}, user=caller.user, secret=caller.secret, **changes)
        made.append(HubChannel(agreed, SoapTransport(hub.url, wsdl=wsdl, timeout=timeout)))
        return made[-1]

    yield open_channel
    for channel in made:
        channel.close()


@pytest.fixture
def channel(opened: Opener) -> HubChannel:
    return opened()


def parcel(
    operation: str = "submit",
    record: dict[str, str] | None = None,
    *,
    key: str = "",
    replaces: str = "",
    number: str = "",
    part: str = "",
    ago: float = 0,
) -> Parcel:
    """Something to send by an attempt that began ``ago`` seconds ago."""
    began = datetime.now(UTC) - timedelta(seconds=ago)
    return Parcel(key or f"{new_id()}.1", operation, replaces, card() if record is None else record, began, number, part)


def outcome(channel: HubChannel, about: Parcel) -> Delivered | None:
    """What the hub tells in the end."""
    for _ in range(50):
        try:
            return channel.ask(about)
        except StillProcessing:
            continue
    raise AssertionError("the hub goes on processing")


def receipts(channel: HubChannel) -> list[IncomingReceipt]:
    """What the reconciliation tells in the end: the hub makes it after the first question."""
    for _ in range(50):
        try:
            return channel.receipts("")[0]
        except TransientFailure:
            continue
    raise AssertionError("no reconciliation")


def number_of(channel: HubChannel, key: str) -> str:
    (number,) = {receipt.platform_record for receipt in receipts(channel) if receipt.key == key}
    return number


# -- good days


def test_a_card_is_taken_asked_about_and_reconciled(hub: Simulator, channel: HubChannel) -> None:
    sent = parcel()
    with pytest.raises(StillProcessing):
        channel.send(sent)
    found = outcome(channel, sent)
    assert found is not None
    assert (found.platform_record, found.status) == ("", 1)  # the hub tells its number with the reconciliation
    (receipt,) = receipts(channel)
    (kept,) = hub.exchange.cards.cards.values()
    assert (receipt.key, receipt.status, receipt.platform_record, receipt.reasons) == (sent.key, "1", kept.number, ())
    assert receipt.receipt_key == f"{hub.exchange.cards.items[0].id}/1"
    assert kept.fields["VC_HZXM"] == "张测试1"  # not ASCII, through base64 in XML in SOAP
    assert kept.fields["VC_ID"] == sent.key
    assert kept.fields["VC_BGKID"] == ""


def test_a_hub_that_answers_at_once_has_it_at_once(hub: Simulator, channel: HubChannel) -> None:
    hub.control(**AT_ONCE.model_dump())
    assert channel.send(parcel()).status == 1
    assert [receipt.status for receipt in channel.receipts("")[0]] == ["1"]


def test_an_amendment_is_the_same_card_under_the_hubs_number(hub: Simulator, channel: HubChannel) -> None:
    hub.control(**AT_ONCE.model_dump())
    first = parcel()
    channel.send(first)
    number = number_of(channel, first.key)
    second = parcel("amend", card(VC_ICDM="8140/2"), replaces=first.key, number=number)
    assert channel.send(second).platform_record == number  # known at once: it was sent under it
    assert hub.counts()["cards"] == 1
    assert hub.exchange.cards.cards[number].fields["VC_ICDM"] == "8140/2"
    assert number_of(channel, second.key) == number


def test_a_withdrawal_sends_the_card_again_as_deleted(hub: Simulator, channel: HubChannel) -> None:
    hub.control(**AT_ONCE.model_dump())
    first = parcel()
    channel.send(first)
    channel.send(parcel("withdraw", replaces=first.key, number=number_of(channel, first.key)))
    (kept,) = hub.exchange.cards.cards.values()
    assert kept.status == "5"
    assert (hub.counts()["cards"], hub.counts()["usable"]) == (1, 0)


def test_what_the_hub_rejected_need_not_be_taken_back(hub: Simulator, channel: HubChannel) -> None:
    channel.send(parcel("withdraw", replaces="x"))
    assert hub.counts()["uploads"] == {}


def test_a_visit_follows_its_card(hub: Simulator, channel: HubChannel) -> None:
    hub.control(**AT_ONCE.model_dump())
    with pytest.raises(TransientFailure, match="编号尚未取得"):
        channel.send(parcel(record=first_visit(), part="first_visit/1"))
    with pytest.raises(PermanentFailure, match=r"2000.*没有主卡"):
        channel.send(parcel(record=first_visit(), part="first_visit/1", number="0"))
    main = parcel()
    channel.send(main)
    number = number_of(channel, main.key)
    assert channel.send(parcel(record=first_visit(), part="first_visit/1", number=number)).platform_record == ""
    channel.send(parcel(record=follow_up(), part="follow_up/1", number=number))
    assert hub.counts()["visits"] == {"first_visit": 1, "follow_up": 1}
    with pytest.raises(PermanentFailure, match="平台页面"):  # the hub tells no number of a visit
        channel.send(parcel("amend", first_visit(), part="first_visit/1", number=number, replaces="x"))


def test_a_card_that_the_audit_refuses_comes_back_with_the_reason(hub: Simulator, channel: HubChannel) -> None:
    hub.control(**AT_ONCE.model_dump())
    channel.send(parcel(record=card(VC_SHBZ="0")))
    (receipt,) = channel.receipts("")[0]
    assert (receipt.status, receipt.platform_record) == ("0", "")
    assert "审核标志" in receipt.reasons[0].reason
    assert json.loads(receipt.body)["reasons"] == [{"field": "", "reason": receipt.reasons[0].reason}]


# -- return codes

NOT_TAKEN: dict[type[DeliveryError], set[str]] = {
    PermanentFailure: {*map(str, range(1000, 1007)), "1010", *map(str, range(1100, 1110)), "1307", "1308", "2000"},
    TransientFailure: {"1200", "1201", "1202", "1300", "1301", "1302", "1303", "1304", "1305"},
    AmbiguousFailure: {"-1", "1306", "3000", "3001", "3100", "3200", "4000", "4001"},
}
"""What each code in answer to an upload must do: a fault of ours is refused for good; what concerns the account, the dispatch or the hours is
tried again; what may have been taken is asked about, and so is what makes no sense in answer to an upload."""


def test_the_table_holds_every_code_of_the_scheme() -> None:
    assert set(codes()) == set().union(*NOT_TAKEN.values(), {"0", "1"})


@pytest.mark.parametrize(("code", "failure"), [(code, kind) for kind, group in NOT_TAKEN.items() for code in sorted(group)])
def test_every_code_in_answer_to_an_upload(hub: Simulator, channel: HubChannel, code: str, failure: type[DeliveryError]) -> None:
    hub.control(fail={"calls": 1, "code": code, "kind": "upload"})
    with pytest.raises(DeliveryError) as caught:
        channel.send(parcel())
    assert type(caught.value) is failure
    assert f"hub code {code}:" in caught.value.english
    if failure is not AmbiguousFailure:
        assert code in caught.value.message


def test_an_unknown_code_leaves_the_outcome_open(hub: Simulator, channel: HubChannel) -> None:
    hub.control(fail={"calls": 1, "code": "7777", "kind": "upload"})
    with pytest.raises(AmbiguousFailure):
        channel.send(parcel())


@pytest.mark.parametrize("code", sorted({"0", *set().union(*NOT_TAKEN.values())} - {"4001"}))
def test_a_code_about_the_question_never_tells_of_the_card(hub: Simulator, channel: HubChannel, code: str) -> None:
    sent = parcel()
    with pytest.raises(StillProcessing):
        channel.send(sent)
    hub.control(fail={"calls": 1, "code": code, "kind": "query"})
    with pytest.raises(DeliveryError) as caught:
        channel.ask(sent)
    assert type(caught.value) is (StillProcessing if code in ("0", "-1") else TransientFailure)
    assert outcome(channel, sent) is not None


@pytest.mark.parametrize("code", sorted(NOT_TAKEN[PermanentFailure]))
def test_a_refusal_that_is_told_later_is_a_refusal(hub: Simulator, channel: HubChannel, code: str) -> None:
    hub.control(fail={"calls": 1, "code": code, "kind": "upload", "final": True})
    sent = parcel()
    with pytest.raises(StillProcessing):
        channel.send(sent)
    with pytest.raises(PermanentFailure, match=code):
        channel.ask(sent)


OPEN_AT_THE_HUB = sorted((NOT_TAKEN[AmbiguousFailure] | NOT_TAKEN[TransientFailure]) - {"-1", "4001"})


@pytest.mark.parametrize("code", OPEN_AT_THE_HUB)
def test_what_the_hub_itself_cannot_tell_the_reconciliation_does(hub: Simulator, channel: HubChannel, code: str) -> None:
    hub.control(fail={"calls": 1, "code": code, "kind": "upload", "final": True, "carried_out": True})
    sent = parcel()
    with pytest.raises(StillProcessing):
        channel.send(sent)
    found = outcome(channel, sent)
    assert found is not None
    (kept,) = hub.exchange.cards.cards
    assert found.platform_record == kept


def test_what_no_reconciliation_lists_is_sent_again_only_after_the_agreed_time(hub: Simulator, opened: Opener) -> None:
    hub.control(fail={"calls": 2, "code": "3001", "kind": "upload", "final": True})
    hub.control(asynchronous=True)
    channel = opened(unlisted_after_hours="1")
    young, old = parcel(ago=3000), parcel(ago=4000)
    for each in (young, old):
        with pytest.raises(StillProcessing):
            channel.send(each)
    assert outcome(channel, old) is None
    with pytest.raises(AssertionError, match="goes on"):
        outcome(channel, young)


def test_closed_hours_make_wait_until_the_hub_opens(hub: Simulator, opened: Opener) -> None:
    china = datetime.now(UTC) + timedelta(hours=8)
    opens, closes = china + timedelta(hours=3), china + timedelta(hours=5)
    hours = f"{opens:%H:%M}-{closes:%H:%M}"
    hub.control(hours=hours)
    with pytest.raises(TransientFailure, match="1302") as caught:
        opened(hours=hours).send(parcel())
    assert caught.value.retry_after == pytest.approx(3 * 3600, abs=61)
    with pytest.raises(TransientFailure) as caught:
        opened(closed_wait_seconds="77").send(parcel())
    assert caught.value.retry_after == 77
    assert hub.counts()["uploads"] == {}


def test_a_request_may_come_once(hub: Simulator, channel: HubChannel) -> None:
    """The same request twice is 1306: the first may have been stored, so it is asked about, and there is one card."""
    sent = parcel()
    with pytest.raises(StillProcessing):
        channel.send(sent)
    with pytest.raises(AmbiguousFailure) as caught:
        channel.send(sent)
    assert "1306" in caught.value.english
    assert not isinstance(caught.value, StillProcessing)
    assert outcome(channel, sent) is not None
    assert (hub.counts()["cards"], hub.counts()["repeated_requests"]) == (1, 1)


def test_words_of_the_hub_reach_a_person_without_values(hub: Simulator, channel: HubChannel) -> None:
    words = "身份证号 990000196002030014 与姓名 张测试1 不符，住院号ZY000001"
    hub.control(fail={"calls": 1, "code": "2000", "message": words, "kind": "upload"})
    with pytest.raises(PermanentFailure) as caught:
        channel.send(parcel())
    assert "不符" in caught.value.message
    for value in ("990000196002030014", "张测试", "ZY000001"):
        assert value not in caught.value.message + caught.value.english


# -- bad lines


@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_lost_answer_is_found_by_asking(hub: Simulator, channel: HubChannel, asynchronous: bool) -> None:
    hub.control(drop_answers=1, asynchronous=asynchronous)
    sent = parcel()
    with pytest.raises(AmbiguousFailure, match="没有收到平台的答复"):
        channel.send(sent)
    assert outcome(channel, sent) is not None
    assert hub.counts()["uploads"] == {sent.key: 1}


def test_a_fault_after_the_card_was_taken_is_found_by_asking(hub: Simulator, channel: HubChannel) -> None:
    hub.control(fault={"calls": 1, "carried_out": True})
    sent = parcel()
    with pytest.raises(AmbiguousFailure) as caught:
        channel.send(sent)
    assert caught.value.english == "SOAP fault"
    assert outcome(channel, sent) is not None
    hub.control(fault={"calls": 1})
    with pytest.raises(TransientFailure):  # a question changes nothing: whatever happens to it, it is asked again
        channel.ask(sent)


def test_nothing_found_is_believed_only_after_a_while(hub: Simulator, opened: Opener) -> None:
    hub.control(fault={"calls": 2, "carried_out": False})
    channel = opened(certain_after_seconds="60")
    young, old = parcel(ago=30), parcel(ago=61)
    for each in (young, old):
        with pytest.raises(AmbiguousFailure):
            channel.send(each)
    assert outcome(channel, old) is None
    with pytest.raises(AssertionError, match="goes on"):
        outcome(channel, young)
    assert hub.counts()["uploads"] == {}


@pytest.mark.parametrize(
    ("status", "failure"),
    [(503, TransientFailure), (429, TransientFailure), (403, TransientFailure), (404, TransientFailure), (302, TransientFailure),
     (502, AmbiguousFailure), (504, AmbiguousFailure), (500, AmbiguousFailure)],
)  # fmt: skip
def test_what_comes_from_before_the_service(hub: Simulator, channel: HubChannel, status: int, failure: type[DeliveryError]) -> None:
    hub.control(**AT_ONCE.model_dump())
    channel.send(parcel())
    hub.control(refuse={"calls": 1, "status": status, "retry_after": 9})
    with pytest.raises(DeliveryError) as caught:
        channel.send(parcel(record=card(2)))
    assert type(caught.value) is failure
    assert caught.value.retry_after == (9 if status in (503, 429) else None)


def test_a_hub_that_is_down_gets_nothing(hub: Simulator, channel: HubChannel) -> None:
    hub.stop()
    for _ in range(2):
        with pytest.raises(TransientFailure, match="无法连接"):
            channel.send(parcel())
    hub.start()
    with pytest.raises(StillProcessing):
        channel.send(parcel())


def test_a_slow_hub_runs_into_the_time_limit(hub: Simulator, opened: Opener) -> None:
    channel = opened(timeout=0.3)
    hub.control(**AT_ONCE.model_dump())
    channel.send(parcel())
    hub.control(slow_seconds=0.6)
    sent = parcel(record=card(2))
    with pytest.raises(AmbiguousFailure):
        channel.send(sent)
    hub.control(slow_seconds=0)
    wait_for(lambda: sent.key in hub.counts()["uploads"], PATIENCE, "the hub carried it out all the same")
    assert outcome(channel, sent) is not None


# -- reconciliation


def test_a_reconciliation_may_double_and_come_late(hub: Simulator, channel: HubChannel) -> None:
    hub.control(**AT_ONCE.model_dump())
    hub.control(repeat_items=True, delay_items_seconds=3600)
    sent = parcel()
    channel.send(sent)
    assert channel.receipts("")[0] == []
    hub.control(delay_items_seconds=0)
    first, again = channel.receipts("")[0]
    assert first == again
    assert first.key == sent.key


def test_the_cursor_stays_behind_what_may_still_change(hub: Simulator, opened: Opener) -> None:
    """Items are listed by the time of storing, so the cursor keeps as far behind as a result may come late; asked from there, all come again."""
    hub.control(**AT_ONCE.model_dump())
    channel = opened(reconcile_hours="5")
    channel.send(parcel())
    page, cursor = channel.receipts("")
    behind = datetime.now(UTC) - datetime.fromisoformat(cursor)
    assert timedelta(hours=5) <= behind < timedelta(hours=6, minutes=1)
    assert channel.receipts(cursor) == (page, cursor)
    assert len(page) == 1


def test_what_others_sent_is_not_ours(hub: Simulator, channel: HubChannel) -> None:
    hub.control(**AT_ONCE.model_dump())
    channel.send(parcel(key="HIS-4711"))
    assert channel.receipts("")[0] == []


# -- what travels


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sm3"])
def test_requests_are_signed_as_agreed(algorithm: str) -> None:
    pattern = "{request_id}|{request_time}|{user}|{content}|{secret}"
    signer = Signer("YPGW", "hospital", "right", algorithm, pattern)
    with Simulator(signer, behaviour=AT_ONCE) as hub:
        for secret, good in (("right", True), ("wrong", False)):
            agreed = terms(hub.options, user="hospital", secret=secret, sign=algorithm, sign_of=pattern)
            channel = HubChannel(agreed, SoapTransport(hub.url))
            if good:
                channel.send(parcel())
            else:
                with pytest.raises(TransientFailure, match="1202"):
                    channel.send(parcel())
            channel.close()


def test_strangers_are_refused(hub: Simulator, opened: Opener) -> None:
    known = hub.signer
    with pytest.raises(TransientFailure, match=r"1200.*信息科"):
        opened(signer=Signer(known.system_code, "nobody")).send(parcel())
    with pytest.raises(TransientFailure, match="1201"):
        opened(signer=Signer("OTHER", known.user)).send(parcel())


def test_text_that_xml_does_not_allow_is_named_and_stays_here(hub: Simulator, channel: HubChannel) -> None:
    with pytest.raises(PermanentFailure, match="VC_BSZY") as caught:
        channel.send(parcel(record=card(VC_BSZY="咳嗽\x0b三月")))
    assert "咳嗽" not in caught.value.message
    assert hub.counts()["uploads"] == {}


def test_markup_in_a_text_is_text(hub: Simulator, channel: HubChannel) -> None:
    hub.control(**AT_ONCE.model_dump())
    text = "<VC_BGKZT>5</VC_BGKZT> & ]]> “𠮷” é"
    channel.send(parcel(record=card(VC_BSZY=text)))
    (kept,) = hub.exchange.cards.cards.values()
    assert (kept.fields["VC_BSZY"], kept.status) == (text, "0")


def test_what_is_too_large_is_refused_here_or_there(hub: Simulator, opened: Opener) -> None:
    large = card(VC_BSZY="长" * 1000)
    with pytest.raises(PermanentFailure, match="过大"):
        opened(largest_bytes="2000").send(parcel(record=large))
    assert hub.counts()["uploads"] == {}
    hub.control(largest_bytes=2000)
    with pytest.raises(PermanentFailure, match="1010"):
        opened().send(parcel(record=large))


@pytest.mark.parametrize("whole", [True, False])
def test_entities_of_an_answer_are_not_expanded(hub: Simulator, channel: HubChannel, tmp_path: Path, whole: bool) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("geheim", "utf-8")
    inner = "<SoapRequest><Body><code>1</code><msg>&e;</msg></Body></SoapRequest>"
    if whole:
        own = '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
        own += f'<r:dataEncryExchangeResponse xmlns:r="urn:zhibao:simulator:zhejiang-hub"><r:return>{inner.replace("<", "&lt;")}'
        inner = own + "</r:return></r:dataEncryExchangeResponse></e:Body></e:Envelope>"
    text = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{secret.as_uri()}">]>{inner}'
    hub.control(foreign={"calls": 2, "text": text, "whole": whole})
    sent = parcel()
    with pytest.raises(AmbiguousFailure) as caught:
        channel.send(sent)
    assert "geheim" not in str(caught.value) + caught.value.english
    with pytest.raises(TransientFailure):
        channel.ask(sent)
    assert outcome(channel, sent) is not None


@pytest.mark.parametrize(
    "text", ["", "OK", "<SoapRequest/>", "<SoapRequest><Body><msg>好</msg></Body></SoapRequest>", "<a><b></a>"]
)
def test_an_answer_that_is_not_as_agreed_leaves_the_outcome_open(hub: Simulator, channel: HubChannel, text: str) -> None:
    hub.control(foreign={"calls": 1, "text": text})
    sent = parcel()
    with pytest.raises(AmbiguousFailure):
        channel.send(sent)
    assert outcome(channel, sent) is not None
    assert hub.counts()["cards"] == 1


@pytest.mark.parametrize(
    "text", ["<html>", "", "<a/>", '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body/></e:Envelope>']
)
def test_an_answer_that_is_no_soap_leaves_the_outcome_open(hub: Simulator, channel: HubChannel, text: str) -> None:
    hub.control(foreign={"calls": 1, "text": text, "whole": True})
    sent = parcel()
    with pytest.raises(AmbiguousFailure):
        channel.send(sent)
    assert outcome(channel, sent) is not None


# -- the description of the service


class Elsewhere:
    """A web server that describes the hub's service as if it were at another place, or refers to others."""

    def __init__(self, description: bytes) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(description)

            def do_POST(self) -> None:
                asked.append("POST")
                self.send_error(500)

            def log_message(self, format: str, *args: Any) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Elsewhere:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def description(hub: Simulator) -> bytes:
    return httpx.get(f"{hub.url}?wsdl", trust_env=False).raise_for_status().content


def test_cards_go_to_the_configured_address_whatever_the_description_says(hub: Simulator, opened: Opener, tmp_path: Path) -> None:
    with Elsewhere(b"") as other:
        path = tmp_path / "hub.wsdl"
        path.write_bytes(description(hub).replace(hub.url.encode(), other.url.encode()))
        with pytest.raises(StillProcessing):
            opened(wsdl=str(path)).send(parcel())
        assert other.asked == []
    assert hub.counts()["cards"] == 1


def test_a_description_may_not_send_us_elsewhere(hub: Simulator, opened: Opener, tmp_path: Path) -> None:
    with Elsewhere(description(hub)) as other:
        path = tmp_path / "hub.wsdl"
        imported = f'<wsdl:import namespace="urn:x" location="{other.url}/more"/><wsdl:documentation>'.encode()
        path.write_bytes(description(hub).replace(b"<wsdl:documentation>", imported, 1))
        with pytest.raises(TransientFailure, match="WSDL"):
            opened(wsdl=str(path)).send(parcel())
        with pytest.raises(TransientFailure, match="WSDL"):
            opened(wsdl=f"{other.url}/hub?wsdl").send(parcel())
        assert other.asked == []


@pytest.mark.parametrize("text", [b"", b"<html/>", b"not xml", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'])
def test_a_description_that_is_none_keeps_cards_here(opened: Opener, tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "hub.wsdl"
    path.write_bytes(text)
    with pytest.raises(TransientFailure, match="WSDL"):
        opened(wsdl=str(path)).send(parcel())
    with pytest.raises(TransientFailure, match="WSDL"):
        opened(wsdl=str(tmp_path / "missing.wsdl")).send(parcel())
