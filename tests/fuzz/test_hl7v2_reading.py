"""Whatever a message holds, reading it into facts and examining it never raises, and the facts can be stored."""

from __future__ import annotations

from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hl7v2.dialect import BUILT_IN, dialect
from adapters.hl7v2.message import Message
from adapters.hl7v2.probe import examine
from adapters.hl7v2.proposal import proposed
from adapters.hl7v2.reading import FactsReader
from adapters.hl7v2.refusal import MessageRefused
from gateway.model.facts import Facts
from tests.hl7v2_messages import BOY

_PIECES = st.sampled_from(
    (
        "", '""', "^", "~", "&", "\\", "\\.br\\", "1", "0", "2", "I", "F", "D", "男", "未婚", "汉族", BOY, BOY[:17] + "1",
        "20240506", "2024-05-06 09:00:00", "000000", "9岁", "C91.000", "8500/3", "M85000/3", "SP", "已审核", "取消审核", "冰冻",
        "22637-3", "5195-3", "8339-4", "31206-6", "CWE", "ED", "PatientNO", "IdentifyNO", "MR", "21", "01", "B1_冰冻_1",
        "无", "DA", "同", "d", "OC", "自费", "01 自费", "广东省", "²", "٣", "１", "\x1f", "𬱖",
    )
)  # fmt: skip
_FIELD = st.lists(_PIECES | st.text(st.characters(exclude_characters="|\r\n", codec="utf-8"), max_size=4), max_size=9).map("".join)
_NAMES = st.sampled_from(
    (
        "EVN", "PID", "PID", "MRG", "NK1", "PV1", "PV2", "DG1", "PR1", "IN1", "AL1",
        "ORC", "OBR", "OBX", "SPM", "RXO", "RXE", "RXR", "RXA", "TQ1", "ZP1",
    )
)  # fmt: skip
_SEGMENT = st.tuples(_NAMES, st.lists(_FIELD, max_size=46)).map(lambda parts: "|".join((parts[0], *parts[1])))
_EVENTS = st.sampled_from(
    (
        "ADT^A01", "ADT^A02", "ADT^A03", "ADT^A08", "ADT^A11", "ADT^A13", "ADT^A40", "ADT^ZP1",
        "ORU^R01", "OUL^R21", "RAS^O17", "OMP^O09", "DFT^P03",
    )
)  # fmt: skip
_ENCODING = st.sampled_from(["^~\\&", "^~\\&", "^~\\&#", "^", "^~"])


@settings(max_examples=400, deadline=None)
@given(_EVENTS, _ENCODING, _FIELD, st.lists(_SEGMENT, max_size=12), st.sampled_from(BUILT_IN))
def test_nothing_in_a_message_stops_the_reader(event: str, encoding: str, time: str, segments: list[str], name: str) -> None:
    raw = "\r".join([f"MSH|{encoding}|HIS||EAI||{time}||{event}|1|P|2.4|||||CHN|UNICODE UTF-8", *segments]).encode()
    try:
        message = Message.read(raw)
    except MessageRefused:
        return
    facts = FactsReader(dialect(name)).read(message, "1")
    assert msgspec.json.decode(msgspec.json.encode(facts), type=Facts) == facts


@settings(max_examples=60, deadline=None)
@given(segments=st.lists(st.lists(_SEGMENT, max_size=6), max_size=3))
def test_a_proposal_always_loads(tmp_path_factory: object, segments: list[list[str]]) -> None:
    messages = []
    for some in segments:
        try:
            messages.append(Message.read("\r".join(["MSH|^~\\&|HIS||EAI||20240506||ADT^A08|1|P|2.4", *some]).encode()))
        except MessageRefused:
            continue
    result = examine(messages)
    file = Path(tmp_path_factory.getbasetemp()) / "proposed.toml"  # type: ignore[attr-defined]
    file.write_text(proposed(result, "ours"), encoding="utf-8", newline="\n")
    assert dialect(file).id == "ours"
    assert result.report()
