"""HL7 v2 messages through the real entry point: read, assembled, checked, probed.

Expected front-sheet values follow from the messages of ``tests/data/hl7v2`` and the product decisions on HL7, not from a run."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from adapters.fhir.dialect import BUILT_IN as FHIR
from adapters.fhir.dialect import fhir_dialect
from adapters.hl7v2.dialect import BUILT_IN, dialect
from adapters.hqms.writer import csv_bytes
from conformance.sample.files import write_sample
from mappings.layout import layout
from tests.command_line import Ran, Zhibao
from tests.hl7v2_messages import BOY, DATA, header, segment

CHINESE = re.compile(r"[一-鿿]")
HOSPITAL = ("--organisation", "4200001", "--organisation-name", "云屏医院")


def case(name: str) -> list[Path]:
    """The messages of one sender in the order of their events."""
    return sorted((DATA / name).glob("*.hl7"))


def written(folder: Path) -> list[dict[str, str]]:
    """The rows of the file that was made, blank cells left out."""
    (file,) = folder.glob("*.csv")
    rows = csv.DictReader(file.read_text("gb18030").splitlines())
    return [{code: text for code, text in row.items() if text} for row in rows]


def findings(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "findings.jsonl").read_text("utf-8").splitlines()]


def file_of(path: Path, *messages: tuple[str, ...]) -> Path:
    path.write_bytes("\r".join("\r".join(segments) for segments in messages).encode())
    return path


def admission(trigger: str = "A01", **fields: str) -> tuple[str, ...]:
    """A message of dialect cn-a about one boy."""
    head = {"f3": "HIS", "f5": "EAI"} | fields
    person = segment("PID", f3=f"ZY1^^^^PatientNO~{BOY}^^^^IdentifyNO", f5="张测试", f7="20150308", f8="M")
    visit = segment("PV1", f2="I", f13="1", f19="ZY1-1", f44="20240506092000", f45="20240603110000" if trigger == "A03" else "")
    return header(f"ADT^{trigger}", **head), segment("EVN", f2=head.get("f7", "20240506093000")), person, visit


# -- read


def test_read_prints_a_line_a_message_beside_front_sheets(zhibao: Zhibao, tmp_path: Path) -> None:
    (sheet,) = write_sample(tmp_path, stays=3, months=["2026-10"], spoiled=False)
    (tmp_path / "notes.md").write_text("# 说明", "utf-8")
    file_of(tmp_path / "two.hl7", admission(), admission("A03"))
    ran = zhibao("read", tmp_path, "--json")
    assert ran.code == 1
    assert ran.err == ""
    assert all(set(line) == {"file", "message_index", "kind", "outcome", "reason", "record"} for line in ran.lines)
    told = [(line["file"], line["message_index"], line["kind"], line["outcome"]) for line in ran.lines]
    rows = [(sheet.name, row, "hqms-front-sheet", "read") for row in (1, 2, 3)]
    assert told == [*rows, ("notes.md", None, "file", "refused"), ("two.hl7", 0, "hl7v2", "read"), ("two.hl7", 1, "hl7v2", "read")]
    assert CHINESE.search(ran.lines[3]["reason"])
    first = ran.lines[4]
    assert first["reason"] == ""
    assert (first["record"]["dialect"], first["record"]["event"]) == ("cn-a", "ADT^A01")
    assert first["record"]["patient"]["record_number"] == "ZY1"


def test_every_sample_message_is_read(zhibao: Zhibao) -> None:
    files = sorted(DATA.glob("cn-*/*.hl7"))
    ran = zhibao("read", *files)
    assert ran.code == 0
    assert [line["file"] for line in ran.lines] == [file.name for file in files]
    assert [line["record"]["dialect"] for line in ran.lines] == [file.parent.name for file in files]


def test_what_cannot_be_decoded_is_quarantined_and_nothing_stops(zhibao: Zhibao, tmp_path: Path) -> None:
    good = "\r".join(admission()).encode()
    bad = good.replace("张测试".encode(), b"\xff\xfe\xff\xff")
    (tmp_path / "mixed.hl7").write_bytes(bad + b"\r" + good + b"\rMSH|||\r")
    (tmp_path / "empty.hl7").write_bytes(b"")
    ran = zhibao("read", tmp_path)
    assert ran.code == 1
    outcomes = [(line["file"], line["message_index"], line["outcome"]) for line in ran.lines]
    assert outcomes[:3] == [("empty.hl7", 0, "refused"), ("mixed.hl7", 0, "quarantined"), ("mixed.hl7", 1, "read")]
    for line in ran.lines:
        assert (line["record"] is None) is bool(line["reason"]) is (line["outcome"] != "read")


@pytest.mark.parametrize(
    "command", [("read",), ("check",), ("explain", "--platform", "ncpcs"), ("convert", "--to", "hqms", "--out", "out")]
)
def test_nothing_but_unusable_messages_ends_with_2(
    zhibao: Zhibao, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.hl7").write_bytes(b"MSH")
    ran = zhibao(*command, "empty.hl7")
    assert ran.code == 2
    told = ran.out + ran.err + "".join(path.read_text("utf-8") for path in tmp_path.glob("out/findings.jsonl"))
    assert "MSH" in told
    assert not list(tmp_path.glob("out/*.csv"))


def test_an_unknown_dialect_is_answered_with_the_known_ones(zhibao: Zhibao, tmp_path: Path) -> None:
    for command in (("read",), ("check",)):
        ran = zhibao(*command, "--source", "cn-z", *case("cn-a"))
        assert ran.code == 2
        assert "cn-a" in ran.err


# -- convert, explain, check

A_STATES = {
    "A01": "4200001", "A02": "云屏医院", "A48": "ZY240506", "A49": "1", "A11": "林小禾", "A12C": "1", "A13": "2015-03-08", "A14": "9",
    "A20": BOY, "A21C": "1", "A19C": "1", "A46C": "7", "A22": "云屏市", "A26": "岚桥县明光街道望舒路8号", "A24": "云屏市竹汀县松涛村3号",
    "A32": "林知远", "A33C": "5", "B11C": "2", "B12": "2024-05-06 09:20:00", "B15": "2024-06-03 11:00:00", "B20": "28", "B34C": "1",
    "C03C": "C91.000", "C05C": "1", "C06x01C": "D70.x00", "C08x01C": "4", "C09C": "M98360/3", "C10N": "前B细胞型急性淋巴细胞白血病",
    "F03N": "发热待查", "C25": "青霉素", "C26C": "1", "C27C": "2", "F10": "1", "F11": "1", "B24": "周安",
}  # fmt: skip
COMMON = {name: A_STATES[name] for name in ("A11", "A12C", "A13", "A14", "A20", "B12", "B15", "B20", "C03C", "C06x01C", "C09C")}
STATED = {
    "cn-a": A_STATES,
    "cn-b": COMMON | {"A48": "P0009001", "A49": "1", "A19C": "1", "B34C": "1", "C26C": "3", "F10": "1"},
    "cn-c": COMMON | {"A48": "MR778899", "B14": "血液一病区", "B21C": "28", "B34C": "1"},
    "cn-d": COMMON | {"A48": "D556677"},
}
UNSAID = {"cn-a": ("C11", "A16"), "cn-b": ("A02x", "C11"), "cn-c": ("A49", "C11"), "cn-d": ("A49", "C11", "B34C")}


@pytest.mark.parametrize("name", STATED)
def test_the_messages_of_a_stay_become_its_front_sheet(zhibao: Zhibao, tmp_path: Path, name: str) -> None:
    ran = zhibao("convert", *case(name), "--source", name, "--to", "hqms", "--out", tmp_path, *HOSPITAL)
    assert ran.code == 1  # messages do not fill a front sheet
    (row,) = written(tmp_path)
    assert STATED[name].items() <= row.items()
    assert not row.keys() & set(UNSAID[name])
    assert (tmp_path / "hqmsts_2024M06.csv").exists()
    assert {"file": case(name)[0].name, "rule": "HQMS-A-010", "severity": "error"}.items() <= next(
        line for line in findings(tmp_path) if line["rule"] == "HQMS-A-010"
    ).items()


def test_several_senders_make_one_stay_and_a_withdrawn_report_leaves_nothing(zhibao: Zhibao, tmp_path: Path) -> None:
    reports = case("cn-e")
    both = ("convert", "--source", "cn-a", *case("cn-a"), "--source=cn-e", "--to", "hqms", *HOSPITAL, "--out")
    assert zhibao(*both, tmp_path / "reported", *reports[:3]).code == 1
    (row,) = written(tmp_path / "reported")
    assert (row["C11"], row["C09C"], row["C10N"]) == ("BL2401234", "M98360/3", "前B细胞型急性淋巴细胞白血病")
    assert zhibao(*both, tmp_path / "withdrawn", *reports).code == 1
    (row,) = written(tmp_path / "withdrawn")
    assert "C11" not in row
    assert row["C09C"] == "M98360/3"  # the diagnosis message states it, too


def test_reports_without_a_stay_wait_and_are_told(zhibao: Zhibao) -> None:
    ran = zhibao("check", "--source", "cn-e", *case("cn-e"))
    assert ran.code == 1
    told = [line for line in ran.lines if line["rule"] == "ZB-MESSAGE-waiting"]
    assert [(line["file"], line["row"]) for line in told] == [(file.name, 0) for file in case("cn-e")]
    assert all(CHINESE.search(line["message"]) and line["severity"] == "error" for line in told)
    explained = zhibao("explain", "--source", "cn-e", *case("cn-e"), "--platform", "ncpcs")
    assert (explained.code, explained.out) == (1, "")
    assert "01-frozen.hl7#0" in explained.err


def test_explain_says_for_each_stay_of_messages_and_files_why(zhibao: Zhibao, tmp_path: Path) -> None:
    (sheet,) = write_sample(tmp_path, stays=4, months=["2026-10"], spoiled=False)
    ran = zhibao("explain", *case("cn-a"), sheet, "--platform", "ncpcs")
    assert ran.code == 0
    assert ran.lines[0]["record"] == {"A48": "ZY240506", "A49": 1}
    assert (ran.lines[0]["due"], "M3" in ran.lines[0]["rules"]) == (True, True)
    alone = zhibao("explain", sheet, "--platform", "ncpcs")
    assert ran.lines[1:] == alone.lines


def test_a_front_sheet_and_messages_of_one_stay_are_one_and_differences_are_told(zhibao: Zhibao, tmp_path: Path) -> None:
    zhibao("convert", *case("cn-a"), "--to", "hqms", "--out", tmp_path / "made", *HOSPITAL)
    (row,) = written(tmp_path / "made")
    sheet = tmp_path / "sheet.csv"
    filed = row | {"A11": "林小和", "A29": "云屏市第一小学"}
    sheet.write_bytes(csv_bytes(layout("2020"), [{name: text for name, text in filed.items() if name != "C25"}]))
    ran = zhibao("convert", *case("cn-a"), sheet, "--to", "hqms", "--out", tmp_path / "both")
    assert ran.code == 1
    (joined,) = written(tmp_path / "both")
    assert joined == filed  # the organisation is that of the sheet, the messages fill in what it lacks
    (conflict,) = [line for line in findings(tmp_path / "both") if line["rule"] == "ZB-CONFLICT"]
    assert (conflict["file"], conflict["row"], conflict["fields"], conflict["severity"]) == (
        "05-a03-discharge.hl7",
        0,
        ["A11"],
        "error",
    )
    assert "sheet.csv#1" in conflict["message"]
    assert "05-a03-discharge.hl7#0" in conflict["message"]
    assert "林" not in conflict["message"]


def test_rows_beside_messages_are_judged_as_by_themselves(zhibao: Zhibao, tmp_path: Path) -> None:
    write_sample(tmp_path, stays=60, months=["2026-10"])
    sheet = tmp_path / "hqmsts_2026M10.csv"
    alone, beside = zhibao("check", sheet), zhibao("check", sheet, *case("cn-a"))
    assert (alone.code, beside.code) == (1, 1)

    def of_sheet(ran: Ran) -> set[tuple[str, ...]]:
        keys = ("row", "rule", "severity", "message")
        return {tuple(str(line[key]) for key in keys) for line in ran.lines if line["file"] == sheet.name}

    assert of_sheet(alone) == of_sheet(beside)


def test_a_test_message_never_becomes_a_stay(zhibao: Zhibao, tmp_path: Path) -> None:
    file = file_of(tmp_path / "test.hl7", admission("A01", f11="T"), admission("A03", f11="D", f7="20240603120000"))
    ran = zhibao("explain", file, "--platform", "hqms")
    assert (ran.code, ran.out) == (0, "")
    told = [line for line in zhibao("check", file).lines if line["file"] == "test.hl7"]
    assert [(line["rule"], line["severity"], line["row"]) for line in told] == [("ZB-MESSAGE-ignored", "info", n) for n in (0, 1)]


def test_a_cancelled_admission_is_not_written(zhibao: Zhibao, tmp_path: Path) -> None:
    file = file_of(tmp_path / "a.hl7", admission(), admission("A03", f7="20240603120000"), admission("A11", f7="20240604120000"))
    ran = zhibao("explain", file, "--platform", "hqms")
    assert [(line["due"], line["rules"]) for line in ran.lines] == [(False, ["S-CANCELLED"])]
    zhibao("convert", file, "--to", "hqms", "--out", tmp_path / "out")
    assert written(tmp_path / "out") == []


def test_a_stay_that_goes_on_is_not_due(zhibao: Zhibao, tmp_path: Path) -> None:
    file = file_of(tmp_path / "a.hl7", admission())
    (line,) = zhibao("explain", file, "--platform", "hqms").lines
    assert line["due"] is False
    assert "尚未出院" in line["reason"]


def test_the_character_set_that_a_message_declares_counts(zhibao: Zhibao, tmp_path: Path) -> None:
    for name, word, codec in (("gb.hl7", "GB 18030-2000", "gb18030"), ("utf.hl7", "UNICODE UTF-8", "utf-8")):
        (tmp_path / name).write_bytes("\r".join(admission(f18=word)).encode(codec))
        (line,) = zhibao("read", tmp_path / name).lines
        assert {"path": "patient.name", "value": "张测试", "source": "PID-5"} in line["record"]["facts"]


# -- structure


def test_check_profile_structure_answers_by_message_and_field(zhibao: Zhibao, tmp_path: Path) -> None:
    head, event, person, visit = admission()
    file = file_of(tmp_path / "a.hl7", (head, event, person, visit), (head, person, visit, "ZZ1|x"), (head, event, visit))
    ran = zhibao("check", file, "--profile", "structure")
    assert ran.code == 1
    assert [(line["row"], line["rule"], line["fields"]) for line in ran.lines if line["severity"] == "error"] == [
        (1, "ZB-V2-SEGMENT-MISSING", ["EVN"]),
        (2, "ZB-V2-SEGMENT-MISSING", ["PID"]),
    ]
    (tmp_path / "agreed.toml").write_text('id = "agreed"\n[segments]\nDG1 = "1..*"\n', "utf-8")
    agreed = zhibao("check", file, "--profile", tmp_path / "agreed.toml")
    assert [line["rule"] for line in agreed.lines] == ["ZB-V2-PROFILE-SEGMENT"] * 3
    assert zhibao("check", file, "--profile", tmp_path / "none.toml").code == 2


def test_a_front_sheet_has_no_structure_of_messages(zhibao: Zhibao, tmp_path: Path) -> None:
    (sheet,) = write_sample(tmp_path, stays=2, months=["2026-10"], spoiled=False)
    ran = zhibao("check", sheet, "--profile", "structure")
    assert (ran.code, ran.out) == (2, "")
    assert CHINESE.search(ran.err)


# -- source


def test_source_list_names_every_dialect_and_whose_it_is(zhibao: Zhibao) -> None:
    ran = zhibao("source", "list")
    assert ran.code == 0
    hl7v2 = [[name, dialect(name).name] for name in BUILT_IN]
    fhir = [[name, fhir_dialect(name).name] for name in FHIR]
    assert [line.split("\t")[:2] for line in ran.out.splitlines()] == hl7v2 + fhir


def test_source_probe_reports_and_proposes_a_dialect_that_reads_the_samples(zhibao: Zhibao, tmp_path: Path) -> None:
    proposal = tmp_path / "our-ris.toml"
    ran = zhibao("source", "probe", DATA / "cn-d", "--out", proposal)
    assert ran.code == 0
    assert "cn-d：100 分" in ran.out
    assert BOY not in ran.out + proposal.read_text("utf-8")
    read = zhibao("read", "--source", proposal, *case("cn-d"))
    assert [line["record"]["dialect"] for line in read.lines] == ["our-ris"] * 3
    before = proposal.read_bytes()
    again = zhibao("source", "probe", *case("cn-d"), "--out", proposal)
    assert (again.code, again.out) == (2, "")
    assert "已经存在" in again.err
    assert proposal.read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [("none.hl7",), ("a.hl7", "--charset", "KLINGON"), ("a.hl7", "--out", "dialect.txt"), ("junk.bin",), ()],
)
def test_source_probe_refuses_what_it_cannot_use(
    zhibao: Zhibao, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    file_of(tmp_path / "a.hl7", admission())
    (tmp_path / "junk.bin").write_bytes(bytes(range(256)))
    ran = zhibao("source", "probe", *arguments)
    assert ran.code == 2
    assert ran.out + ran.err
    assert not (tmp_path / "dialect.txt").exists()
