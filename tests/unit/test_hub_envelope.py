"""Requests to the Zhejiang hub: their numbers, signs, business XML; XML from outside."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.delivery.hub_envelope import Caller, UnreadableXml, business_xml, datatypes, first, microseconds, read, text_of
from gateway.model.errors import ConfigurationError, PermanentFailure
from tests.hub import terms

OPTIONS = {"system_code": "YPGW"} | {
    f"dispatch_{part}": part.replace("_", "").upper() for part in ("card", "first_visit", "follow_up", "query", "reconciliation")
}


def test_a_request_number_is_system_dispatch_chinese_day_and_sixteen_digits() -> None:
    """2026-11-25 17:30:00.000042 UTC is the 26th in China; microseconds since 1970 have 16 digits until the year 2286."""
    at = datetime(2026, 11, 25, 17, 30, 0, 42, tzinfo=UTC)
    seconds = (datetime(2026, 11, 25, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days * 86400 + 17 * 3600 + 1800
    number = Caller("YPGW", "u").request_id("ZLBK", at)
    assert number == f"YPGW_ZLBK_20261126_{seconds}000042"
    assert len(number.rpartition("_")[2]) == 16


@given(st.integers(0, 8 * 10**15), st.integers(1, 10**12))
def test_no_two_moments_share_a_number(since: int, later: int) -> None:
    one = datetime(2001, 9, 10, tzinfo=UTC) + timedelta(microseconds=since)
    assert microseconds(one + timedelta(microseconds=later)) - microseconds(one) == later
    assert len(str(microseconds(one))) == 16


def test_a_request_carries_its_content_in_base64_and_is_signed() -> None:
    caller = Caller("YPGW", "hospital", "秘密", "sha256", "{user}:{request_id}:{content}:{secret}")
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    root = etree.fromstring(caller.request("ZLBK", "id", at, "肺癌".encode()))
    content = base64.b64encode("肺癌".encode()).decode()
    header = {element.tag: element.text for element in root.iterfind("Header/*")}
    assert header == {
        "RequestId": "id",
        "RequestTime": "2026-01-02 11:04:05",
        "SystemCode": "YPGW",
        "DispatchCode": "ZLBK",
        "UserName": "hospital",
        "Sign": hashlib.sha256(f"hospital:id:{content}:秘密".encode()).hexdigest(),
    }
    assert root.findtext("Body/ExchangeData") == content
    unsigned = etree.fromstring(Caller("YPGW", "hospital", "秘密").request("ZLBK", "id", at, b"x"))
    assert unsigned.findtext("Header/Sign") == ""


def test_the_node_names_are_those_of_the_specification() -> None:
    kinds = {kind.number: (kind.plural, kind.item) for kind in datatypes().values()}
    assert kinds == {
        "1": ("ZjjkZlHzxxBgks", "ZjjkZlHzxxBgk"),
        "10": ("ZjjkZlCcsfks", "ZjjkZlCcsfk"),
        "11": ("ZjjkZlSfks", "ZjjkZlSfk"),
        "12": ("ZjjkDzCxs", "ZjjkDzCx"),
    }
    root = etree.fromstring(business_xml(datatypes()[""], "33990101", {"VC_ID": "k", "VC_HZXM": "张测试"}))
    assert [element.tag for element in root.iter()] == [
        "Bgks", "ZjjkZlHzxxBgks", "Count", "Datatype", "Areareport", "ZjjkZlHzxxBgk", "VC_ID", "VC_HZXM",
    ]  # fmt: skip
    assert [root.findtext(f"*/{name}") for name in ("Count", "Datatype", "Areareport")] == ["1", "1", "33990101"]


@given(st.text())
def test_any_text_comes_through_or_its_field_is_named(text: str) -> None:
    allowed = all(ord(letter) >= 32 or letter in "\t\n\r" for letter in text) and not {"\ufffe", "\uffff"} & set(
        text
    )  # XML 1.0 §2.2
    if not allowed:
        with pytest.raises(PermanentFailure, match="VC_BSZY"):
            business_xml(datatypes()[""], "33990101", {"VC_BSZY": text})
        return
    content = business_xml(datatypes()[""], "33990101", {"VC_BSZY": text})
    kept = etree.fromstring(content).findtext(".//VC_BSZY") or ""
    assert kept == text


@pytest.mark.parametrize(
    "text",
    [
        "", "plain", "<a>", "<?xml version='1.0' encoding='nonsense'?><a/>",
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        "<!DOCTYPE a SYSTEM 'http://127.0.0.1:9/a.dtd'><a/>",
        "<a>&b;</a>",
    ],
)  # fmt: skip
def test_foreign_xml_that_nobody_should_read_is_not_read(text: str) -> None:
    with pytest.raises(UnreadableXml):
        read(text)


def test_elements_are_found_in_whatever_namespace() -> None:
    root = read("<a xmlns='urn:x'><!-- b --><?b b?><b> 1 </b></a>")
    assert text_of(root, "b") == "1"
    assert text_of(root, "c") == ""
    assert first(root, "a") is root


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("system_code", ""), ("dispatch_query", ""), ("dispatch_card", "ZL_BK"), ("local_area_code", "330106"),
        ("local_area_code", "３３９９０１０１"),
        ("sign", "secret"), ("sign_of", "{nobody}"), ("sign_of", "{"), ("hours", "20:00"), ("hours", "8-9-10"), ("hours", "25:00-06:00"),
        ("largest_bytes", "4M"), ("certain_after_seconds", "-1"), ("reconcile_hours", "nan"),
    ],
)  # fmt: skip
def test_terms_that_cannot_be_name_themselves(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        terms(OPTIONS, user="u", **{name: text} | ({"sign": "md5"} if name == "sign_of" else {}))


def test_terms_are_read_from_profile_and_options() -> None:
    agreed = terms(OPTIONS, user="u", secret="s", sign="sm3", hours="20:00-06:00", reconcile_hours="2.5")
    assert agreed.dispatch == {
        "": "CARD", "first_visit": "FIRSTVISIT", "follow_up": "FOLLOWUP", "reconciliation": "RECONCILIATION", "query": "QUERY",
    }  # fmt: skip
    assert (agreed.caller.user, agreed.caller.secret, agreed.caller.algorithm) == ("u", "s", "sm3")
    assert agreed.look_back == timedelta(hours=2.5)
    assert agreed.withdrawn_status == "5"
