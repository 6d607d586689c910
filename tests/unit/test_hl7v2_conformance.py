"""Messages against the standard's structure and against profiles. Expected findings by reasoning from HL7 v2.4 (chapters 2, 3, 4, 7)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from adapters.hl7v2.conformance import examine
from adapters.hl7v2.message import Message
from adapters.hl7v2.profile import Profile, read_profile
from adapters.hl7v2.standard import VERSIONS, chinese_name, standard
from adapters.hl7v2.structure import walk
from conformance.checks.finding import Finding
from gateway.model.errors import ConfigurationError
from tests.hl7v2_messages import DATA, header, message, segment

EVN = segment("EVN", f1="A08", f2="20240601120000")
PID = segment("PID", f3="1^^^^MR", f5="张测试")
PV1 = segment("PV1", f2="I")
OBR = segment("OBR", f4="1^A")
OBX = segment("OBX", f2="ST", f3="1^B", f5="C", f11="F")
ORU = header("ORU^R01")


def found(*segments: str) -> list[tuple[str, tuple[str, ...], str]]:
    return said(list(examine(message(*segments))))


def said(findings: Sequence[Finding]) -> list[tuple[str, tuple[str, ...], str]]:
    return [(finding.rule.removeprefix("ZB-V2-"), finding.fields, finding.severity) for finding in findings]


# -- segments


@pytest.mark.parametrize(
    "segments",
    [
        (header(), EVN, PID, PV1),
        (header(), EVN, PID, "ZP1|x", PV1, "Z99"),
        (header("ADT^A08^ADT_A01"), EVN, PID, PV1),
        (ORU, PID, PV1, OBR, OBX, "NTE|1||x", OBX, OBR, OBX, PID, OBR, OBX),
        (ORU, OBR, OBX),
    ],
)
def test_what_conforms_has_no_findings(segments: tuple[str, ...]) -> None:
    assert found(*segments) == []


def test_a_missing_segment_is_one_finding() -> None:
    assert found(header(), PID, PV1) == [("SEGMENT-MISSING", ("EVN",), "error")]
    assert found(header(), EVN, PV1) == [("SEGMENT-MISSING", ("PID",), "error")]


def test_a_segment_in_the_wrong_place_is_one_finding_and_not_missing() -> None:
    assert found(header(), PID, EVN, PV1) == [("SEGMENT-PLACE", ("EVN",), "warning")]
    assert found(ORU, PID, OBR, OBX, PV1, OBX) == [("SEGMENT-PLACE", ("PV1",), "warning")]


def test_a_segment_too_many_or_of_another_structure() -> None:
    assert found(header(), EVN, PID, PID, PV1) == [("SEGMENT-PLACE", ("PID",), "warning")]
    rxr = segment("RXR", f1="IV")
    assert found(header(), EVN, PID, PV1, rxr) == [("SEGMENT-PLACE", ("RXR",), "warning")]
    assert found(header(), EVN, PID, PV1, "QQQ|1") == [("SEGMENT-UNKNOWN", ("QQQ",), "warning")]


def test_a_group_without_its_first_segment_is_still_a_group() -> None:
    assert found(ORU, PID, OBX, OBX) == [("SEGMENT-MISSING", ("OBR",), "error")]
    assert found(ORU, PID) == [("SEGMENT-MISSING", (), "error")]


def test_a_sender_s_own_event_has_no_structure_and_its_fields_are_checked() -> None:
    assert found(header("ADT^ZP1"), segment("PID", f5="张测试")) == [
        ("STRUCTURE", ("MSH-9",), "not-checked"),
        ("FIELD-MISSING", ("PID-3",), "error"),
    ]


def test_a_structure_that_there_is_not_gives_way_to_that_of_the_event() -> None:
    assert found(header("ADT^A08^ADT_A08"), PID, PV1) == [
        ("STRUCTURE", ("MSH-9",), "warning"),
        ("SEGMENT-MISSING", ("EVN",), "error"),
    ]


@pytest.mark.parametrize("version", ["", "3.0", "2.4.1.2"])
def test_a_version_that_there_is_not_is_an_error(version: str) -> None:
    assert found(header(f12=version), PID) == [("VERSION", ("MSH-12",), "error")]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_structure_of_every_version_can_be_walked(version: str) -> None:
    """By every segment it may have, each once, in the order of their names: mostly nonsense, and never an error."""
    known = standard(version)
    assert known is not None
    for kind, event in (
        ("ADT", "A01"),
        ("ADT", "A40"),
        ("ORU", "R01"),
        ("ORM", "O01"),
        ("RAS", "O17"),
        ("MFN", "M01"),
        ("QBP", "Q21"),
    ):
        structure = known.structure(kind, event, "")
        if structure is not None:
            names = sorted(structure.members)
            result = walk(structure, names)
            assert set(result.misplaced) <= set(range(len(names)))
            assert result.strange == []
            assert walk(structure, []).misplaced == []


# -- fields


def test_required_fields_of_every_segment_by_its_occurrence() -> None:
    bare = segment("OBX", f2="ST", f5="C")
    assert found(ORU, OBR, OBX, bare) == [
        ("FIELD-MISSING", ("OBX[2]-3",), "error"),
        ("FIELD-MISSING", ("OBX[2]-11",), "error"),
    ]


def test_repetitions_withdrawn_and_surplus_fields() -> None:
    assert found(header(), EVN, PID, segment("PV1", f2="I~O")) == [("FIELD-REPEATS", ("PV1-2",), "error")]
    assert found(header(), EVN, PID, PV1, segment("DG1", f1="1", f6="F", f26="1")) == [("FIELD-BEYOND", ("DG1-26",), "warning")]
    newer = header("ADT^A08^ADT_A01", f12="2.6")
    assert found(newer, EVN, PID, PV1, segment("DG1", f1="1", f3="C91", f4="x", f6="F")) == [
        ("FIELD-WITHDRAWN", ("DG1-4",), "warning")
    ]


@pytest.mark.parametrize(
    ("value", "conforms"),
    [
        ("20150308", True),
        ("201503081230", True),
        ("20150308123000.123+0800", True),
        ("2015", True),
        ('""', True),
        ("2015-03-08", False),
        ("9岁", False),
        ("20151308", False),
        ("20150308000000000", False),
    ],
)
def test_the_form_of_times(value: str, conforms: bool) -> None:
    result = found(header(), EVN, segment("PID", f3="1", f5="张", f7=value), PV1)
    assert result == ([] if conforms else [("FIELD-FORM", ("PID-7",), "warning")])


def test_codes_of_closed_tables_only() -> None:
    """OBX-11 is an ID of table 0085; PID-8 an IS, which a site fills as it likes."""
    assert found(ORU, OBR, segment("OBX", f2="ST", f3="1", f5="C", f11="已审核")) == [("FIELD-CODE", ("OBX-11",), "warning")]
    assert found(header(), EVN, segment("PID", f3="1", f5="张", f8="男"), PV1) == []
    known = standard("2.4")
    assert known is not None
    assert known.table("HL70359") == frozenset()  # 0, 1, "2 ..." and so on
    assert "F" in known.table("HL70085")


def test_findings_are_bilingual_and_hold_nothing_of_the_message() -> None:
    secret = "机密九九"
    lines = (
        header("ADT^A08^" + secret),
        segment("PID", f1=secret, f7=secret, f5=f"{secret}~{secret}", f30=f"{secret}~{secret}"),
        segment("OBX", f2=secret, f11=secret, f14=secret, f30=secret),
    )
    findings = list(examine(message(*lines)))
    assert len(findings) > 8
    for finding in findings:
        assert secret not in finding.message + finding.english + "".join(finding.fields)
        assert finding.english.isascii()
        assert any("一" <= character <= "鿿" for character in finding.message)
    (name,) = [finding.message for finding in findings if finding.fields == ("PID-7",)]
    assert name.startswith("PID-7 出生日期时间/DATE TIME OF BIRTH")


@pytest.mark.parametrize("file", sorted(DATA.rglob("*.hl7")), ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_sample_is_judged(file: Path) -> None:
    for finding in examine(Message.read(file.read_bytes())):
        assert finding.rule.startswith("ZB-V2-")


def test_chinese_names() -> None:
    assert (chinese_name("PID"), chinese_name("PID", 5), chinese_name("ZZZ"), chinese_name("PID", 99)) == (
        "患者标识",
        "患者姓名",
        "",
        "",
    )


# -- profiles

AGREED = """
id = "our-adt"
messages = ["ADT^A08", "ORU"]
[segments]
PV1 = "1..1"
DG1 = "1..*"
[fields]
"PID-3" = { cardinality = "1..2" }
"PID-3.5" = { cardinality = "1..*", values = ["MR", "NI"] }
"PV1-2" = { cardinality = "1..1", values = ["I"] }
"""


def profile(tmp_path: Path, text: str) -> Profile:
    file = tmp_path / "agreed.toml"
    file.write_text(text, "utf-8")
    return read_profile(file)


def test_a_profile_is_checked_by_segment_field_and_value(tmp_path: Path) -> None:
    agreed = profile(tmp_path, AGREED)
    dg1 = segment("DG1", f1="1")
    assert said(list(examine(message(header(), PID, PV1, dg1), agreed))) == []
    wrong = message(header(), segment("PID", f3="1^^^^MR~2^^^^XX~3"), segment("PV1", f2="O"), PV1)
    assert said(list(examine(wrong, agreed))) == [
        ("PROFILE-SEGMENT", ("PV1",), "error"),
        ("PROFILE-SEGMENT", ("DG1",), "error"),
        ("PROFILE-FIELD", ("PID-3",), "error"),
        ("PROFILE-VALUE", ("PID-3.5",), "error"),
        ("PROFILE-VALUE", ("PV1-2",), "error"),
    ]


def test_a_profile_says_when_it_is_not_for_a_message(tmp_path: Path) -> None:
    agreed = profile(tmp_path, AGREED)
    assert said(list(examine(message(header("ADT^A01"), PID), agreed))) == [("PROFILE", ("MSH-9",), "not-checked")]
    assert agreed.covers("ORU", "R01")
    assert profile(tmp_path, "").covers("ADT", "A01")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("segments = 1", "segments"),
        ("[segments]\npid = '1..1'", "segments.pid"),
        ("[segments]\nPID = '1'", "segments.PID"),
        ("[segments]\nPID = '3..1'", "segments.PID"),
        ("[fields]\n'PID' = {}", "fields.PID"),
        ("[fields]\n'3.1' = {}", "fields.3.1"),
        ("[fields]\n'PID-3[2]' = {}", "fields.PID-3[2]"),
        ("[fields]\n'PID-3' = { cardinality = 'x' }", "fields.PID-3.cardinality"),
        ("[fields]\n'PID-3' = { usage = 'R' }", "fields"),
        ("unknown = 1", "unknown"),
        ("= 1", "TOML"),
    ],
)
def test_a_mistake_in_a_profile_names_the_key(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        profile(tmp_path, text)
    assert named in str(refused.value)
    assert "agreed.toml" in str(refused.value)
    assert refused.value.__context__ is None or refused.value.__suppress_context__


def test_a_profile_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        read_profile(tmp_path / "none.toml")
    (tmp_path / "gbk.toml").write_bytes("name = '约定'".encode("gbk"))
    with pytest.raises(ConfigurationError, match="UTF-8"):
        read_profile(tmp_path / "gbk.toml")
