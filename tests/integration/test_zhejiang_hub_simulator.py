"""The simulated Zhejiang hub: what it checks, what it shows to people, its levers."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files

import httpx
import pytest
from lxml import etree

from adapters.transports.soap import SoapTransport
from conformance.simulators.zhejiang_hub.platform import Simulator
from gateway.delivery.channel import StillProcessing
from gateway.delivery.hub import HubChannel
from gateway.delivery.hub_envelope import Caller
from mappings.profile import profile
from tests.hub import AREA, card, terms
from tests.integration.test_zhejiang_hub import AT_ONCE, channel, hub, opened, outcome, parcel

__all__ = ["channel", "hub", "opened"]  # fixtures


class Caught:
    """Sends requests of its own making to the hub."""

    def __init__(self, hub: Simulator) -> None:
        self._hub = hub
        self._transport = SoapTransport(hub.url)
        self._caller = Caller(hub.signer.system_code, hub.signer.user)

    def request(self, content: bytes, dispatch: str = "ZLBK") -> str:
        at = datetime.now(UTC)
        return self._caller.request(dispatch, self._caller.request_id(dispatch, at), at, content)

    def code(self, text: str) -> str:
        answer = etree.fromstring(self._transport.call("dataEncryExchange", text))
        return answer.findtext("Body/code") or ""

    def close(self) -> None:
        self._transport.close()


@pytest.fixture
def caught(hub: Simulator) -> Iterator[Caught]:
    made = Caught(hub)
    yield made
    made.close()


def without(text: str, path: str) -> str:
    root = etree.fromstring(text)
    for element in root.findall(path):
        parent = element.getparent()
        assert parent is not None
        parent.remove(element)
    return etree.tostring(root, encoding="unicode")


CONTENT = (
    f"<Bgks><ZjjkDzCxs><Count>1</Count><Datatype>12</Datatype><Areareport>{AREA}</Areareport>"
    "<ZjjkDzCx><DT_KSSJ>2026-01-01 00:00:00</DT_KSSJ><DT_JSSJ>2026-01-02 00:00:00</DT_JSSJ></ZjjkDzCx></ZjjkDzCxs></Bgks>"
)


def test_the_simulated_hub_looks_at_every_part_of_a_request(caught: Caught) -> None:
    good = caught.request(CONTENT.encode(), "DZCX")
    assert caught.code("no xml") == "1001"
    missing = [
        "Header",
        "Header/RequestId",
        "Header/RequestTime",
        "Header/SystemCode",
        "Header/DispatchCode",
        "Header/UserName",
        "Header/Sign",
    ]
    missing += ["Body", "Body/ExchangeData"]
    assert [caught.code(without(good, path)) for path in missing] == [str(code) for code in range(1100, 1109)]
    assert caught.code(good.replace("_202", "_x202", 1)) == "1000"
    assert caught.code(good) == "0"
    assert caught.code(good) == "1306"
    assert caught.code(caught.request(CONTENT.encode(), "NONE")) == "1300"
    assert caught.code(caught.request(CONTENT.encode(), "ZLBK")) == "0"  # taken; its outcome is another matter


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"no xml", "1001"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "1001"),
        (b"<Bgks/>", "1000"),
        (CONTENT.replace("<Datatype>12", "<Datatype>1").encode(), "1307"),
        (CONTENT.replace(AREA, "3301").encode(), "2000"),
        (CONTENT.replace("DT_JSSJ", "DT_ANDERS").encode(), "2000"),
    ],
)
def test_the_simulated_hub_validates_the_business_xml(hub: Simulator, caught: Caught, content: bytes, code: str) -> None:
    hub.control(asynchronous=False)
    assert caught.code(caught.request(content, "DZCX")) == code


def test_the_simulated_hub_accepts_the_node_names_of_another_card(hub: Simulator, caught: Caught) -> None:
    """The specification's own sample prints them (writer's rule 7)."""
    hub.control(asynchronous=False)
    fields = "".join(f"<{code}>{text}</{code}>" for code, text in (card() | {"VC_ID": "x", "VC_BGKID": ""}).items())
    content = f"<Bgks><Others><Count>1</Count><Datatype>1</Datatype><Areareport>{AREA}</Areareport><Other>{fields}</Other></Others></Bgks>"
    assert caught.code(caught.request(content.encode())) == "1"
    assert hub.counts()["cards"] == 1


def test_content_that_is_not_base64_is_a_decoding_fault(caught: Caught) -> None:
    good = caught.request(CONTENT.encode(), "DZCX")
    assert caught.code(good.replace(base64.b64encode(CONTENT.encode()).decode(), "***")) == "1006"


def test_an_envelope_that_is_not_as_described_gets_a_fault(hub: Simulator) -> None:
    answer = httpx.post(hub.url, content=b"<a/>", trust_env=False)
    assert answer.status_code == 500
    assert b"Fault" in answer.content


def test_the_page_shows_masked_names_and_doubles(hub: Simulator, channel: HubChannel) -> None:
    hub.control(**AT_ONCE.model_dump())
    channel.send(parcel(record=card(VC_HZXM="欧阳<b>测试")))
    channel.send(parcel(record=card(VC_HZXM="欧阳<b>测试")))
    page = httpx.get(f"{hub.base_url}/", trust_env=False).text
    assert "欧*" in page
    assert "欧阳" not in page
    for text in ("模拟平台", "C34.1", "可用", "重卡<b>1</b>"):
        assert text in page
    assert "://" not in page, "nothing comes from elsewhere"
    assert hub.counts()["doubles"] == 1


def test_levers_are_pulled_over_http(hub: Simulator) -> None:
    with httpx.Client(base_url=hub.base_url, trust_env=False) as client:
        assert client.post("/control", json={"drop_answers": 2}).json()["behaviour"]["drop_answers"] == 2
        for wrong in ({"drop_answers": -1}, {"unknown": 1}, {"hours": "late"}):
            assert client.post("/control", json=wrong).status_code == 422
        assert client.get("/control").json()["behaviour"]["drop_answers"] == 2
        assert client.get("/hub").status_code == 404


def test_the_hub_runs_as_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "conformance.simulators.zhejiang_hub", "--account", "demo", "--process-seconds", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            channel = HubChannel(terms(told["options"], user="demo", secret=told["secret"]), SoapTransport(told["url"]))
            sent = parcel()
            with pytest.raises(StillProcessing):
                channel.send(sent)
            assert outcome(channel, sent) is not None
            channel.close()
        finally:
            process.terminate()


def test_the_schema_knows_what_the_layouts_print() -> None:
    """The schema was made from the layouts once; it must not fall behind them."""
    schema = etree.fromstring(files("conformance.simulators.zhejiang_hub").joinpath("business.xsd").read_bytes())
    chosen = profile("zhejiang-hub")
    layouts = {
        "ZjjkZlHzxxBgk": chosen.card_layout,
        "ZjjkZlCcsfk": chosen.layouts["first_visit"],
        "ZjjkZlSfk": chosen.layouts["follow_up"],
    }
    for name, layout in layouts.items():
        space = "{http://www.w3.org/2001/XMLSchema}"
        found = schema.findall(f"{space}complexType[@name='{name}']/{space}all/{space}element")
        required = {element.get("name") for element in found if element.get("minOccurs") != "0"}
        assert {element.get("name") for element in found} >= {field.code for field in layout.fields}
        assert required == {field.code for field in layout.fields if field.required == "M"} | {"VC_ID"}
