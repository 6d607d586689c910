"""Answers of the Zhejiang hub: where their parts stand, its hours, its words without values, items of a reconciliation."""

from __future__ import annotations

import base64
from datetime import datetime

import pytest

from gateway.delivery.hub_answers import Answer, Hours, asked, known, reconciled, without_values
from gateway.delivery.hub_envelope import UnreadableXml
from gateway.model.errors import PermanentFailure, TransientFailure
from mappings.cadence import CHINA

ALWAYS = Hours.of("", 60)
ITEM = "<id>DZ1</id><VC_ID>k.1</VC_ID><VC_DZJG>0</VC_DZJG><DT_RKSJ>2026-11-25 10:00:00</DT_RKSJ><VC_BGKID/><VC_BZ>地址不详</VC_BZ>"
BUSINESS = f"<Bgks><ZjjkDzCxs><Count>2</Count><ZjjkDzCx>{ITEM}</ZjjkDzCx><Other><VC_ID>k.2</VC_ID></Other></ZjjkDzCxs></Bgks>"


def answer(*inside: str) -> Answer:
    return Answer.read(f"<SoapRequest><Body>{''.join(inside)}</Body></SoapRequest>")


@pytest.mark.parametrize(
    "inside",
    [
        "<code>1</code><msg>好</msg><respCode>2000</respCode><respData>x</respData>",
        "<code>1<respCode>2000</respCode></code><msg>好</msg>",
        "<code>1</code><msg>好</msg><data><respCode> 2000 </respCode></data>",
    ],
)
def test_the_outcome_is_found_wherever_it_stands(inside: str) -> None:
    read = answer(inside)
    assert (read.code, read.message, read.response) == ("1", "好", "2000")
    with pytest.raises(PermanentFailure, match="2000"):
        asked(read, {}, ALWAYS)


def test_the_root_may_be_called_otherwise() -> None:
    assert Answer.read("<SoapResponse xmlns='urn:x'><Body><code>0</code></Body></SoapResponse>").code == "0"


@pytest.mark.parametrize("text", ["<SoapRequest/>", "<a><code>1</code></a>", "<SoapRequest><Body><code/></Body></SoapRequest>"])
def test_an_answer_without_a_code_is_none(text: str) -> None:
    with pytest.raises(UnreadableXml):
        Answer.read(text)


@pytest.mark.parametrize(
    "data",
    [
        BUSINESS,
        BUSINESS.replace("<", "&lt;"),
        base64.b64encode(BUSINESS.encode()).decode(),
        "\n" + "\n".join(base64.encodebytes(BUSINESS.encode()).decode().split()) + "\n",
    ],
)
def test_business_xml_comes_as_elements_text_or_base64(data: str) -> None:
    one, other = reconciled(answer("<code>1</code>", f"<respData>{data}</respData>"))
    assert (one.id, one.key, one.result, one.number, one.reason) == ("DZ1", "k.1", "0", "", "地址不详")
    assert other.key == "k.2"
    assert one.receipt().receipt_key == "DZ1/0"
    assert other.receipt().receipt_key == "k.2/"


def test_no_business_xml_is_no_item() -> None:
    assert list(reconciled(answer("<code>1</code>"))) == []
    assert list(reconciled(answer("<code>1</code><respData> </respData>"))) == []
    with pytest.raises(UnreadableXml):
        list(reconciled(answer("<code>1</code><respData>nothing of ours</respData>")))


def test_the_request_itself_may_be_unknown_or_known() -> None:
    assert asked(answer("<code>4001</code>"), {}, ALWAYS) == "absent"
    assert asked(answer("<code>1</code><respCode>4001</respCode>"), {}, ALWAYS) == "absent"
    assert asked(answer("<code>1</code>"), {}, ALWAYS) == "done"
    assert asked(answer("<code>1</code><respCode>3100</respCode>"), {}, ALWAYS) == "open"
    assert asked(answer("<code>1</code><respCode>8888</respCode>"), {}, ALWAYS) == "open"
    with pytest.raises(TransientFailure):
        asked(answer("<code>8888</code>"), {}, ALWAYS)


def test_a_code_that_nobody_knows_is_treated_as_open() -> None:
    assert (known("8888").treatment, known("8888").code) == ("open", "8888")


@pytest.mark.parametrize(
    ("hours", "clock", "seconds"),
    [
        ("20:00-06:00", "19:00", 3600),
        ("20:00-06:00", "06:00", 14 * 3600),
        ("20:00-06:00", "23:30", 60),  # open by our clock, closed by theirs
        ("20:00-06:00", "05:59", 60),
        ("08:00-17:30", "07:59", 60),
        ("08:00-17:30", "18:00", 14 * 3600),
        ("", "12:00", 60),
    ],
)
def test_how_long_the_hub_is_closed(hours: str, clock: str, seconds: float) -> None:
    at = datetime.fromisoformat(f"2026-11-25T{clock}:00").replace(tzinfo=CHINA)
    assert Hours.of(hours, 60).until_open(at) == seconds


def test_words_lose_what_was_sent_and_long_numbers() -> None:
    record = {"VC_HZXM": "张测试", "VC_ZYH": "ZY000123", "VC_HZXB": "1", "DT_HZCSRQ": "1960-02-03 00:00:00"}
    words = "第1项：张测试 ZY000123 出生日期1960-02-03 00:00:00 与 99000019600203001X 或 13700000000 不符"
    assert without_values(words, record) == "第1项：※ ※ 出生日期※ 与 ※ 或 ※ 不符"
    assert len(without_values("长" * 1000, {})) == 300
