"""Reading messages into facts: times, identity, codes, entries, events, and the tables behind them."""

from __future__ import annotations

import csv
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest

from adapters.hl7v2.dialect import BUILT_IN, dialect
from adapters.hl7v2.fields import base_table
from adapters.hl7v2.reading import FactsReader
from gateway.model import facts as contract
from gateway.model import paths, resident_id
from gateway.model.facts import Fact, Facts
from gateway.model.morphology import morphology_code
from gateway.model.names import joined
from gateway.model.stay import Stay
from gateway.model.times import china_time
from gateway.model.values import Coded
from mappings.code_map import base_codes, value_set
from tests.hl7v2_messages import BOY, DATA, facts, header, message, rules, segment, stated

PERSON = segment("PID", f3="1")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024", "2024"),
        ("202405", "2024-05"),
        ("20240506", "2024-05-06"),
        ("2024050609", "2024-05-06T09"),
        ("202405060920", "2024-05-06T09:20"),
        ("20240506092001", "2024-05-06T09:20:01"),
        ("20240506092001.123", "2024-05-06T09:20:01"),
        ("20240506000000", "2024-05-06"),
        ("20240506000000.000+0800", "2024-05-06"),
        ("202405060000", "2024-05-06T00:00"),
        ("20240506092000+0800", "2024-05-06T09:20:00"),
        ("20240506012000+0000", "2024-05-06T09:20:00"),
        ("20240505202000-0500", "2024-05-06T09:20:00"),
        ("20240505160000Z", "2024-05-06T00:00:00"),
        ("2024-05-06", "2024-05-06"),
        ("2024-5-6 9:05", "2024-05-06T09:05"),
        ("2024-05-06 09:20:00", "2024-05-06T09:20:00"),
        ("2024-05-06 00:00:00", "2024-05-06"),
        ("2024-05-06T01:20:00+00:00", "2024-05-06T09:20:00"),
        ("2024/05/06 09:20:00.5", "2024-05-06T09:20:00"),
        ("2024年5月6日", "2024-05-06"),
        ("20240230", None),
        ("20240506250000", None),
        ("00010101", None),
        ("99991231", None),
        ("9岁", None),
        ("35", None),
        ("２０２４０５０６", None),
        ("20240506092000+9900", None),
    ],
)
def test_times(text: str, moment: str | None) -> None:
    assert china_time(text) == moment


@pytest.mark.parametrize(
    ("number", "verdict"),
    [(BOY, "right"), (BOY[:17] + "4", "wrong"), ("990520150308279", "unchecked"), ("990520159908279", "other"), ("C2024", "other")],
)
def test_resident_ids(number: str, verdict: str) -> None:
    assert resident_id.verdict(number) == verdict


def test_a_trailing_x_is_upper_case() -> None:
    number = next(head + "X" for n in range(1000) if resident_id.verdict((head := f"99010120150308{n:03d}") + "X") == "right")
    read = facts("cn-d", header(), segment("PID", f3="1", f19=number.lower()))
    assert read.patient.resident_id == number


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (["林小禾"], "林小禾"),
        (["", "林小禾"], "林小禾"),
        (["林", "小禾"], "林小禾"),
        (["林小禾", "LIN XIAOHE"], "林小禾"),
        (["LIN", "林小禾"], "林小禾"),
        (["林小禾", "林小禾"], "林小禾"),
        (["阿依古丽·买买提"], "阿依古丽·买买提"),
        (["SMITH", "JOHN"], "SMITH JOHN"),
        (["㛃", "𬱖"], "㛃𬱖"),
    ],
)
def test_names(parts: list[str], name: str) -> None:
    assert joined(parts) == name


def test_the_chinese_name_among_repetitions() -> None:
    person = segment("PID", f3="1", f5="LIN^XIAOHE^^^^^^A~林^小禾^^^^^^I")
    assert stated(facts("standard", header(), person))["patient.name"] == "林小禾"


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("8500/3", "M85000/3"),
        ("M8500/3", "M85000/3"),
        ("M85000/3", "M85000/3"),
        ("m98363/3", "M98363/3"),
        ("C50.9", ""),
        ("M85.000", ""),
    ],
)
def test_morphology_codes(code: str, printed: str) -> None:
    assert morphology_code(code) == printed


def test_a_wrong_check_digit_is_kept_remarked_and_no_key() -> None:
    wrong = BOY[:17] + "4"
    read = facts("cn-d", header(), segment("PID", f3="1", f19=wrong))
    assert read.patient.resident_id == ""
    assert stated(read)["patient.identity.number"] == wrong
    assert rules(read) == ["resident-id-check-digit PID-19"]
    assert "patient.birth_date" not in stated(read)
    assert wrong not in str(read.remarks)


def test_no_other_number_is_taken_where_the_configured_one_is_wrong() -> None:
    read = facts("cn-d", header(), segment("PID", f3="1", f4=BOY, f19=BOY[:17] + "4"))
    assert read.patient.resident_id == ""


def test_words_in_the_place_of_the_number_leave_it_to_the_others() -> None:
    read = facts("cn-d", header(), segment("PID", f3="1", f4=BOY, f19="无"))
    assert read.patient.resident_id == BOY
    assert rules(read) == ["resident-id-shape PID-19", "resident-id-by-shape PID-4"]


def test_two_different_ids_by_shape_are_not_chosen_from() -> None:
    other = next(n for k in range(10) if resident_id.verdict(n := f"99052120120408273{k}") == "right")
    read = facts("cn-d", header(), segment("PID", f2=other, f3="1", f4=BOY))
    assert read.patient.resident_id == ""
    assert rules(read) == ["resident-id-ambiguous PID-4"]


def test_disagreement_with_the_resident_id_is_a_remark() -> None:
    read = facts("cn-d", header(), segment("PID", f3="1", f7="20150309", f8="F", f19=BOY))
    assert rules(read) == ["birth-date-disagrees PID-7", "sex-disagrees PID-8"]
    assert stated(read)["patient.birth_date"] == "2015-03-09"
    assert stated(read)["patient.sex"] == "2"
    assert rules(facts("cn-d", header(), segment("PID", f3="1", f7="201503", f8="M", f19=BOY))) == []


def test_a_resident_id_is_no_record_number() -> None:
    read = facts("standard", header(), segment("PID", f3=BOY))
    assert read.patient.record_number == ""
    assert read.patient.resident_id == BOY


def test_a_message_without_patient_identifiers() -> None:
    read = facts("standard", header(), segment("PID", f5="林小禾"))
    assert stated(read)["patient.name"] == "林小禾"
    (missing,) = read.remarks
    assert (missing.rule, missing.severity) == ("no-patient", "error")


@pytest.mark.parametrize("event", ["MFN^M01", "DFT^P03", "ORM^O01", "ORU^R01", "SIU^S12", "OMG^O19"])
def test_an_event_that_carries_nothing_for_us(event: str) -> None:
    read = facts(
        "standard", header(event), segment("PID", f3="1", f5="林小禾"), segment("OBR", f4="CT"), segment("OBX", f3="WBC", f5="5")
    )
    assert (read.facts, read.diagnoses, read.pathology, read.medications) == ([], [], [], [])
    assert read.patient.record_number == "1"
    assert [(one.rule, one.severity) for one in read.remarks] == [("nothing-for-us", "info")]


def test_absent_empty_and_null() -> None:
    before = facts("standard", header(), segment("PID", f3="1", f5="", f16='""', f22='""^""'), segment("PV1", f45='""'))
    assert [fact for fact in before.facts if fact.value is None] == [
        Fact("patient.marital_status", None, "PID-16"),
        Fact("patient.ethnicity", None, "PID-22"),
        Fact("discharge.time", None, "PV1-45"),
    ]
    assert "patient.name" not in stated(before)


@pytest.mark.parametrize(
    ("field", "path", "value", "code"),
    [
        ("f8", "patient.sex", "男", "1"),
        ("f8", "patient.sex", "2", "2"),
        ("f8", "patient.sex", "U", "0"),
        ("f16", "patient.marital_status", "20", "2"),
        ("f16", "patient.marital_status", "X9^未婚", "1"),
        ("f16", "patient.marital_status", "离婚", "4"),
        ("f22", "patient.ethnicity", "01", "1"),
        ("f22", "patient.ethnicity", "UG", "5"),
        ("f22", "patient.ethnicity", "99x^汉族", "1"),
        ("f22", "patient.ethnicity", "^维吾尔", "5"),
    ],
)
def test_codes_and_labels(field: str, path: str, value: str, code: str) -> None:
    read = facts("standard", header(), segment("PID", **{"f3": "1", field: value}))
    assert stated(read)[path] == code
    assert rules(read) == []


def test_an_unmapped_code_keeps_its_own_system() -> None:
    read = facts("standard", header(), segment("PID", f3="1", f16="Q7^不明"))
    assert read.facts[-1] == Fact("patient.marital_status", Coded("standard/marital", "Q7", "不明"), "PID-16")
    assert rules(read) == ["unmapped-code PID-16"]


def test_where_code_and_label_disagree_the_label_counts() -> None:
    read = facts("standard", header(), segment("PID", f3="1", f16="1^已婚"))
    assert stated(read)["patient.marital_status"] == "2"
    assert rules(read) == ["code-label-disagree PID-16"]


def test_an_address_without_its_kind_is_not_guessed(tmp_path: Path) -> None:
    person = segment("PID", f3="1", f11="望舒路8号^^云屏市^^990001")
    read = facts("standard", header(), person)
    assert rules(read) == ["address-kind PID-11"]
    own = tmp_path / "ours.toml"
    own.write_text('extends = "standard"\naddress_kind = "present"\n', encoding="utf-8")
    configured = FactsReader(dialect(own)).read(message(header(), person), "1")
    assert stated(configured)["patient.address.text"] == "云屏市望舒路8号"
    assert stated(configured)["patient.address.postcode"] == "990001"


def test_no_allergy() -> None:
    assert stated(facts("standard", header(), PERSON, segment("AL1", f2="DA", f3="^否认")))["allergy.present"] == "1"
    assert "allergy.present" not in stated(facts("standard", header(), PERSON, segment("AL1", f2="FA", f3="^牛奶")))


def _diagnoses(event: str, *entries: dict[str, str], **visit: str) -> Facts:
    return facts(
        "standard", header(event), PERSON, segment("PV1", **{"f2": "I"} | visit), *(segment("DG1", **one) for one in entries)
    )


def test_no_first_diagnosis_is_the_main_one() -> None:
    read = _diagnoses("ADT^A03", {"f3": "C91.000^白血病", "f6": "F"}, {"f3": "D70.x00^粒缺", "f6": "F"})
    assert [one.rank for one in read.diagnoses] == [None, None]


@pytest.mark.parametrize(
    ("said", "use", "rank"),
    [
        ("F", "discharge", None),
        ("A", "admission", None),
        ("W", "working", None),
        ("^出院主要诊断", "discharge", 1),
        ("^出院其他诊断", "discharge", 2),
        ("门（急）诊诊断", "outpatient", None),
        ("病理诊断", "pathology", None),
        ("X3", "working", None),
    ],
)
def test_use_of_a_diagnosis(said: str, use: str, rank: int | None) -> None:
    (one,) = _diagnoses("ADT^A08", {"f3": "C91.000^白血病", "f6": said}).diagnoses
    assert (one.use, one.rank) == (use, rank)


@pytest.mark.parametrize(
    ("event", "visit", "use"),
    [
        ("ADT^A01", {}, "admission"),
        ("ADT^A03", {}, "discharge"),
        ("ADT^A08", {"f45": "20240601"}, "discharge"),
        ("ADT^A08", {}, "working"),
    ],
)
def test_use_that_is_not_said(event: str, visit: dict[str, str], use: str) -> None:
    (one,) = _diagnoses(event, {"f3": "C91.000"}, **visit).diagnoses
    assert one.use == use


def test_snapshots_and_action_codes() -> None:
    assert _diagnoses("ADT^A08", {"f3": "C91.000", "f6": "F"}).snapshot == ["diagnoses"]
    assert _diagnoses("ADT^A08").snapshot == []
    assert _diagnoses("ADT^A08", {"f1": '""'}).snapshot == ["diagnoses"]
    single = _diagnoses("ADT^A08", {"f3": "C91.000", "f6": "F", "f20": "7", "f21": "D"})
    assert single.snapshot == []
    assert [(one.key, one.action) for one in single.diagnoses] == [("7", "delete")]
    assert _diagnoses("ADT^Z08", {"f3": "C91.000", "f6": "F"}).snapshot == []


def test_an_entry_is_taken_back_by_its_identifier_alone() -> None:
    read = _diagnoses("ADT^A08", {"f20": "7", "f21": "D"})
    assert [(one.key, one.action, one.condition) for one in read.diagnoses] == [("7", "delete", Coded())]
    assert rules(read) == []


def test_a_working_morphology_is_not_yet_pathology() -> None:
    (working,) = _diagnoses("ADT^A08", {"f3": "9836/3", "f6": "W"}).diagnoses
    (unsaid,) = (read := _diagnoses("ADT^A08", {"f3": "9836/3"})).diagnoses
    assert (working.use, unsaid.use) == ("working", "pathology")
    assert rules(read) == []


def test_local_codes_of_diagnoses_are_remarked() -> None:
    (one,) = (read := _diagnoses("ADT^A08", {"f3": "0815^白血病", "f6": "F"})).diagnoses
    assert one.condition == Coded("standard/diagnosis", "0815", "白血病")
    assert rules(read) == ["unmapped-code DG1[1]-3"]


def test_diagnoses_packed_into_one_field(tmp_path: Path) -> None:
    own = tmp_path / "packed.toml"
    own.write_text('extends = "standard"\n[diagnoses]\npacked = true\n', encoding="utf-8")
    entry = segment("DG1", f3="C91.000^白血病^D70.x00^粒缺", f6="F", f15="1")
    read = FactsReader(dialect(own)).read(message(header(), PERSON, entry), "1")
    assert [(one.condition.code, one.rank) for one in read.diagnoses] == [("C91.000", None), ("D70.x00", None)]


def test_procedures() -> None:
    entry = segment(
        "PR1",
        f3="41.3100^骨髓穿刺",
        f5="20240507093000",
        f7="90",
        f8="7^卢宁",
        f9="03",
        f11="1024^周安",
        f12="1^沈清~2^程晨",
        f14="1",
    )
    (one,) = (read := facts("standard", header(), PERSON, entry)).procedures
    assert one.operation == Coded("ICD9CM3-GB-CLIN-3.0", "41.3100", "骨髓穿刺")
    assert (one.started_at, one.duration_hours, one.rank) == ("2024-05-07T09:30:00", "1.50", 1)
    assert (one.operator, one.first_assistant, one.second_assistant, one.anaesthetist) == ("周安", "沈清", "程晨", "卢宁")
    assert one.anaesthesia == Coded("RC013", "03")
    assert read.snapshot == ["procedures"]


@pytest.mark.parametrize(("event", "cancels"), [("A11", "A01"), ("A12", "A02"), ("A13", "A03"), ("A08", "")])
def test_what_an_event_takes_back(event: str, cancels: str) -> None:
    read = facts("standard", header(f"ADT^{event}"), PERSON, segment("PV1", f2="I", f44="20240506", f45="20240601"))
    assert read.cancels == cancels
    assert ("discharge.time" in stated(read)) is not bool(cancels)


def test_merge() -> None:
    standard = facts("standard", header("ADT^A40"), segment("PID", f3="2^^^^MR"), segment("MRG", f1="1^^^^MR"))
    assert (standard.patient.record_number, standard.merged_from) == ("2", ["1"])
    told = facts("cn-a", header("ADT^A40"), segment("PID", f3="2^^^^PatientNO"), segment("MRG", f1="9^^^^IDCard~1^^^^PatientNO"))
    assert told.merged_from == ["1"]
    none = facts("cn-a", header("ADT^A40"), segment("PID", f3="2^^^^PatientNO"), segment("MRG", f1="9^^^^IDCard"))
    assert rules(none) == ["merge-without-number MRG-1"]


@pytest.mark.parametrize(("processing", "live"), [("P", True), ("D", False), ("T", False), ("", True)])
def test_test_messages_are_not_live(processing: str, live: bool) -> None:
    assert facts("standard", header(f11=processing), PERSON).live is live


def test_local_events_are_read_by_what_they_carry(tmp_path: Path) -> None:
    segments = (header("ADT^ZP1"), PERSON, segment("EVN", f2="20240601110500"), segment("PV1", f2="I", f3="W1"))
    read = facts("standard", *segments)
    assert read.event == "ADT^ZP1"
    assert "discharge.time" not in stated(read)
    own = tmp_path / "ours.toml"
    own.write_text('extends = "standard"\n[events]\nZP1 = "A03"\n', encoding="utf-8")
    mapped = FactsReader(dialect(own)).read(message(*segments), "1")
    assert mapped.event == "ADT^A03"
    assert stated(mapped)["discharge.time"] == "2024-06-01T11:05:00"


def test_a_second_patient_is_never_read_as_the_first() -> None:
    second = (segment("PID", f3="2"), segment("OBR", f3="B2", f24="SP", f25="F"), segment("OBX", f3="22637-3", f5="癌", f11="F"))
    read = facts("standard", header("ORU^R01"), PERSON, *second)
    assert read.pathology == []
    assert rules(read)[0] == "several-patients PID"


def test_death_on_discharge() -> None:
    person = segment("PID", f3="1", f30="Y")
    assert stated(facts("standard", header("ADT^A03"), person, segment("PV1", f2="I")))["discharge.disposition"] == "5"
    assert "discharge.disposition" not in stated(facts("standard", header("ADT^A08"), person, segment("PV1", f2="I")))


def test_a_result_taken_back_is_deleted() -> None:
    taken_back = segment("OBX", f3="5195-3^HBsAg", f5="阳性", f11="D")
    read = facts("standard", header("ORU^R01"), PERSON, segment("OBR", f25="F"), taken_back)
    assert read.facts[0] == Fact("laboratory.hbsag", None, "OBX[1]-5")


@pytest.mark.parametrize(
    ("value", "unit", "grams"), [("3.25", "kg", 3250), ("3250", "g", 3250), ("3250", "斤", None), ("NaN", "g", None)]
)
def test_birth_weight(value: str, unit: str, grams: int | None) -> None:
    read = facts(
        "standard", header("ADT^A08"), PERSON, segment("OBX", f2="NM", f3="8339-4^Birth weight", f5=value, f6=unit, f11="F")
    )
    assert stated(read).get("births[0].weight") == grams


def test_every_path_of_the_base_table_is_in_the_model() -> None:
    for row in base_table():
        if row.group:
            group, _, member = row.path.partition(".")
            assert member.partition(".")[0] in getattr(contract, group).__struct_fields__, row.path
        elif row.path:
            paths.get(Stay(), row.path)


def test_every_target_of_a_map_is_in_its_value_set() -> None:
    value_sets = {row.map: row.value_set for row in base_table() if row.map}
    assert set(base_codes()) - {"drug", "drug-route"} <= set(value_sets)
    for name, (codes, labels) in base_codes().items():
        members = value_set(value_sets[name])
        for target in (*codes.values(), *labels.values()):
            assert target == "" or not members or target in members, (name, target)
    for target in (*base_codes()["laboratory-item"][0].values(), *base_codes()["laboratory-item"][1].values()):
        assert target in dialect("standard").results


def test_tables_carry_every_field_that_was_researched() -> None:
    with files("mappings").joinpath("sources", "hl7v2", "fields.csv").open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert len({row["field"] for row in rows}) > 200
    assert all(row["source"] for row in rows)
    assert all(row["confidence"] for row in rows if row["type"])


def test_facts_survive_being_stored() -> None:
    for name in BUILT_IN[1:]:
        for file in sorted((DATA / name).glob("*.hl7")):
            read = FactsReader(dialect(name)).read(
                message(*file.read_bytes().decode("gb18030" if name in "cn-d cn-e" else "utf-8").split("\r")), "1"
            )
            assert msgspec.json.decode(msgspec.json.encode(read), type=Facts) == read
