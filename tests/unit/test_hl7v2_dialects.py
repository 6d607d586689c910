"""The five dialects of Chinese senders, each read as it is really sent (one invented child with leukaemia), and their traps."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.hl7v2.dialect import BUILT_IN, dialect, recognised
from adapters.hl7v2.message import Message
from adapters.hl7v2.reading import FactsReader
from gateway.model.errors import ConfigurationError
from gateway.model.facts import PatientKey, VisitKey
from gateway.model.values import Coded
from tests.hl7v2_messages import BOY, DATA, case, facts, header, message, rules, segment, stated

ICD10 = "ICD10-GB-CLIN-2.0"


def test_a_admission() -> None:
    read = case("cn-a", "01-a01-admission")
    assert read.event == "ADT^A01"
    assert read.occurred == "2024-05-06T09:25:00"
    assert read.mapping == "cn-a"
    assert read.patient == PatientKey("ZY240506", BOY, {"card": "C20240001"})
    assert read.visit == VisitKey("ZY240506-1", 1, "inpatient")
    assert stated(read) == {
        "record_number": "ZY240506",
        "admission_number": 1,
        "patient.identity.kind": "1",
        "patient.identity.number": BOY,
        "patient.name": "林小禾",
        "patient.birth_date": "2015-03-08",
        "patient.sex": "1",
        "patient.marital_status": "1",
        "patient.ethnicity": "1",
        "patient.nationality": "中国",
        "patient.birthplace": "云屏市",
        "patient.native_province": "11",
        "patient.address.text": "岚桥县明光街道望舒路8号",
        "patient.address.postcode": "990001",
        "patient.address.phone": "10001230001",
        "patient.registered_address.text": "云屏市竹汀县松涛村3号",
        "patient.registered_address.postcode": "990002",
        "patient.contact.name": "林知远",
        "patient.contact.relationship": "5",
        "patient.contact.address": "岚桥县明光街道望舒路8号",
        "patient.contact.phone": "10001230001",
        "payment_method": "7",
        "admission.time": "2024-05-06T09:20:00",
        "admission.route": "2",
        "admission.department": "0707",
        "admission.ward": "0305W",
        "staff.attending_physician.name": "周安",
        "allergy.present": "2",
        "allergy.drugs": "青霉素",
    }
    (diagnosis,) = read.diagnoses
    assert (diagnosis.condition, diagnosis.use, diagnosis.rank) == (Coded("", None, "发热待查"), "admission", None)
    assert read.snapshot == ["diagnoses"]
    assert read.remarks == []


def test_a_diagnoses() -> None:
    main, other, morphology, local = case("cn-a", "02-a08-diagnoses").diagnoses
    assert main.condition == Coded(ICD10, "C91.000", "急性淋巴细胞白血病")
    assert (main.use, main.rank, main.confirmed_on) == ("discharge", 1, "2024-05-10")
    assert main.present_on_admission == Coded("RC027", "1")
    assert (other.use, other.rank, other.present_on_admission) == ("discharge", 2, Coded("RC027", "4"))
    assert (morphology.use, morphology.rank) == ("pathology", None)
    assert morphology.condition == Coded("ICDO-M-GB-CLIN-2.0", "M98360/3", "前B细胞型急性淋巴细胞白血病")
    assert (local.use, local.condition.code, local.condition.display) == ("working", None, "肺炎")


def test_a_local_kind_of_diagnosis_is_never_guessed(tmp_path: Path) -> None:
    assert rules(case("cn-a", "02-a08-diagnoses")) == ["diagnosis-use DG1[4]-6"]
    own = tmp_path / "ours.toml"
    own.write_text('extends = "cn-a"\n[codes.diagnosis-use]\n"11" = "admission"\n', encoding="utf-8")
    read = FactsReader(dialect(str(own))).read(Message.read((DATA / "cn-a" / "02-a08-diagnoses.hl7").read_bytes()), "1")
    assert read.diagnoses[3].use == "admission"
    assert read.mapping == "ours"
    assert read.remarks == []


def test_a_discharge() -> None:
    read = stated(case("cn-a", "05-a03-discharge"))
    assert read["discharge.time"] == "2024-06-03T11:00:00"
    assert read["discharge.department"] == "0707"
    assert read["discharge.disposition"] == "1"
    assert "admission.department" not in read


def test_a_drugs_given_and_what_is_no_drug() -> None:
    (given,) = case("cn-a", "03-ras-given").medications
    assert given.drug == Coded("cn-a/drug", "XYP00021", "硫酸长春新碱")
    assert (given.state, given.dose, given.unit, given.at) == ("given", "1.2", "mg", "2024-05-15T10:05:00")
    assert (given.key, given.group) == ("YZ0001", "G01")
    assert given.route == Coded("cn-a/drug-route", "12", "静脉注射")


def test_a_ordered_drug_without_name_takes_the_dose_of_the_order() -> None:
    order = (segment("ORC", f1="NW", f2="Y1", f4="G1", f7="1.2&mg^&qw", f9="20240514"), segment("RXO", f1="XYP1^同^d"))
    (drug,) = facts("cn-a", header("OMP^O09"), segment("PID", f3="Z1^^^^PatientNO"), *order).medications
    assert drug.drug == Coded("cn-a/drug", "XYP1")
    assert (drug.state, drug.dose, drug.unit, drug.at) == ("ordered", "1.2", "mg", "2024-05-14")


@pytest.mark.parametrize(
    ("orc", "rxa", "state"),
    [
        ("NW", {"f20": "CP"}, "given"),
        ("NW", {"f20": "RE"}, "cancelled"),
        ("OC", {"f20": "CP"}, "cancelled"),
        ("NW", {"f21": "D"}, "cancelled"),
    ],
)
def test_what_was_not_given_is_cancelled(orc: str, rxa: dict[str, str], state: str) -> None:
    dose = segment("RXA", **{"f3": "20240515", "f5": "X1^甲氨蝶呤", "f6": "5", "f7": "g"} | rxa)
    (drug,) = facts("standard", header("RAS^O17"), segment("PID", f3="1"), segment("ORC", f1=orc, f2="Y1"), dose).medications
    assert drug.state == state


def test_a_laboratory_final_results_only() -> None:
    read = stated(case("cn-a", "04-oul-laboratory"))
    assert read["laboratory.hbsag"] == "1"
    assert read["laboratory.hcv_antibody"] == "1"
    assert read["laboratory.abo_group"] == "1"
    assert read["laboratory.rh_group"] == "2"
    assert "laboratory.hiv_antibody" not in read  # OBX-11 P


def test_a_card_number_is_no_resident_id() -> None:
    person = segment("PID", f3=f"{BOY}^^^^IDCard~^^^^IdentifyNO~Z1^^^^patientNo", f5="林小禾")
    read = facts("cn-a", header(), person)
    # the empty repetition says nothing; the right number under the card's word is found by its shape, and that is remarked
    assert read.patient.record_number == "Z1"
    assert read.patient.resident_id == BOY
    assert rules(read) == ["resident-id-by-shape PID-3[1]"]
    wrong = facts("cn-a", header(), segment("PID", f3="998877^^^^IDCard~^^^^IdentifyNO~Z1^^^^PatientNO"))
    assert wrong.patient == PatientKey("Z1", "", {"card": "998877"})
    assert "patient.identity.number" not in stated(wrong)


def test_a_payment_class_in_misused_fields() -> None:
    person = segment("PID", f3="1^^^^PatientNO")
    assert stated(facts("cn-a", header(), person, segment("PV1", f2="I", f18="01 自费")))["payment_method"] == "7"
    unknown = facts("cn-a", header(), segment("PID", f3="1^^^^PatientNO", f38="5"))
    # 5 is 商业医疗保险 on the front sheet, but here the numbers are the sender's own
    assert unknown.facts[-1].value == Coded("cn-a/payment", "5")
    assert rules(unknown) == ["unmapped-code PID-38"]


def test_b_numbers_by_number() -> None:
    read = case("cn-b", "01-a01-admission")
    assert read.patient == PatientKey("P0009001", BOY, {"kind-25": "B25"})
    assert read.visit == VisitKey("", 1, "inpatient")
    assert stated(read)["patient.sex"] == "1"
    assert stated(read)["patient.ethnicity"] == "1"  # HA
    assert "patient.birthplace" not in stated(read)
    assert rules(read) == ["area-code PID-23"]


def test_b_laboratory_by_loinc_and_by_name() -> None:
    read = stated(case("cn-b", "02-oru-laboratory"))
    assert read["laboratory.hbsag"] == "1"
    assert read["laboratory.abo_group"] == "3"


def test_b_discharge_time_is_that_of_the_event() -> None:
    read = case("cn-b", "04-a03-discharge")
    (time,) = [fact for fact in read.facts if fact.path == "discharge.time"]
    assert (time.value, time.source) == ("2024-06-03T11:00:00", "EVN-6")


def test_b_check_up_is_no_stay() -> None:
    read = facts(
        "cn-b", header("ORU^R01"), segment("PID", f3="7^^^^21"), segment("PV1", f2="T", f19="7^3"), segment("OBR", f25="F")
    )
    assert read.visit == VisitKey("", None, "check-up")


def test_c_name_in_the_second_component_and_derived_birth_date() -> None:
    read = case("cn-c", "01-a01-admission")
    assert read.patient == PatientKey("MR778899", BOY)
    assert read.visit == VisitKey("V20240506001", None, "inpatient")
    assert stated(read)["patient.name"] == "林小禾"
    assert stated(read)["admission.department"] == "0707"
    assert stated(read)["admission.ward"] == "血液一病区"
    derived = {fact.path: fact.value for fact in read.facts if fact.derived}
    assert derived == {
        "patient.identity.kind": Coded("RC038", "1"),
        "patient.birth_date": "2015-03-08",
        "patient.sex": Coded("RC001", "1"),
    }


def test_c_transfer() -> None:
    read = case("cn-c", "02-a02-transfer")
    (movement,) = read.movements
    assert (movement.department, movement.ward, movement.at) == (Coded("RC023", "28"), "ICU病区", "2024-05-20T09:50:00")
    assert "admission.department" not in stated(read)
    assert "discharge.department" not in stated(read)


def test_d_charset_in_the_wrong_field_and_pinyin() -> None:
    read = case("cn-d", "01-a01-admission")
    assert stated(read)["patient.name"] == "林小禾"
    assert read.patient == PatientKey("D556677", BOY)
    assert read.visit == VisitKey("ZY20240506", None, "inpatient")
    assert stated(read)["patient.birth_date"] == "2015-03-08"
    assert stated(read)["patient.sex"] == "1"
    assert stated(read)["admission.time"] == "2024-05-06T09:20:00"


def test_e_record_number_depends_on_the_visit() -> None:
    read = case("cn-e", "02-routine")
    assert read.patient == PatientKey("ZY240506", BOY, {"patient": "P0009001"})
    outpatient = facts("cn-e", header("ORU^R01"), segment("PID", f3="MZ1"), segment("PV1", f2="O"), segment("OBR", f3="B1"))
    assert outpatient.patient == PatientKey("", "", {"outpatient": "MZ1"})


def test_e_age_is_no_birth_date() -> None:
    read = case("cn-e", "02-routine")
    (birth,) = [fact for fact in read.facts if fact.path == "patient.birth_date"]
    assert (birth.value, birth.source, birth.derived) == ("2015-03-08", "PID-4", True)
    without_id = facts(
        "cn-e", header("ORU^R01"), segment("PID", f3="1", f7="9"), segment("PV1", f2="I"), segment("OBR", f3="B1", f25="已审核")
    )
    assert "patient.birth_date" not in stated(without_id)
    assert "age.years" not in stated(without_id)


def test_e_routine_report() -> None:
    (report,) = case("cn-e", "02-routine").pathology
    assert (report.specimen_number, report.kind, report.status) == ("BL2401234", "routine", "final")
    assert report.texts == {
        "gross": "灰红组织一条\n长1.2cm",
        "diagnosis": "（骨髓）急性淋巴细胞白血病\n前B细胞型",
        "microscopy": "增生极度活跃",
        "special": "CD10(+)、CD19(+)",
    }
    assert report.morphology is None
    assert report.reported_at == "2024-05-12T16:00:00"


def test_e_frozen_supplement_and_withdrawn_stand_under_one_number() -> None:
    (frozen,) = case("cn-e", "01-frozen").pathology
    (supplement,) = case("cn-e", "03-supplement").pathology
    (withdrawn,) = case("cn-e", "04-withdrawn").pathology
    assert {frozen.specimen_number, supplement.specimen_number, withdrawn.specimen_number} == {"BL2401234"}
    assert (frozen.kind, set(frozen.texts)) == ("frozen", {"frozen"})
    assert (supplement.kind, supplement.status) == ("supplement", "final")
    assert (withdrawn.status, withdrawn.kind, withdrawn.texts) == ("withdrawn", "routine", {})


@pytest.mark.parametrize(
    ("obr25", "obx11", "status"),
    [
        ("已审核", "F", "final"),
        ("已审核", "P", "preliminary"),
        ("未审核", "F", "preliminary"),
        ("取消审核", "F", "withdrawn"),
        ("已审核", "D", "withdrawn"),
        ("C", "F", "corrected"),
        ("", "F", "final"),
        ("", "", "preliminary"),
        ("从未见过", "F", "preliminary"),
    ],
)
def test_status_is_the_lower_of_report_and_observation(obr25: str, obx11: str, status: str) -> None:
    observation = segment("OBX", f1="0", f2="常规", f3="2", f5="急性淋巴细胞白血病", f11=obx11)
    read = facts("cn-e", header("ORU^R01"), segment("PID", f3="1"), segment("OBR", f3="B1_常规_1", f25=obr25), observation)
    assert [report.status for report in read.pathology] == [status]


def test_e_kinds_within_one_report_are_kept_apart() -> None:
    frozen = segment("OBX", f2="冰冻", f3="2", f5="恶性肿瘤", f11="F")
    routine = segment("OBX", f2="常规", f3="2", f5="急性淋巴细胞白血病", f11="F")
    read = facts("cn-e", header("ORU^R01"), segment("PID", f3="1"), segment("OBR", f3="B1", f25="已审核"), frozen, routine)
    assert [(report.kind, report.texts) for report in read.pathology] == [
        ("frozen", {"diagnosis": "恶性肿瘤"}),
        ("routine", {"diagnosis": "急性淋巴细胞白血病"}),
    ]


def test_standard_pathology_by_loinc() -> None:
    observations = (
        segment("OBX", f2="TX", f3="22637-3^Final diagnosis^LN", f5="急性淋巴细胞白血病~前B细胞型", f11="F"),
        segment("OBX", f2="TX", f3="83321-0^Intraoperative^LN", f5="待石蜡", f11="F"),
        segment("OBX", f2="CWE", f3="31206-6^Behavior^LN", f5="9836/3^前B", f11="F"),
        segment("OBX", f2="ED", f3="22634-0^Gross^LN", f5="^application^pdf^Base64^JVBERi0=", f11="F"),
    )
    read = facts(
        "standard", header("ORU^R01"), segment("PID", f3="1"), segment("OBR", f3="S24-1", f24="SP", f25="F"), *observations
    )
    (report,) = read.pathology
    assert report.texts == {"diagnosis": "急性淋巴细胞白血病\n前B细胞型", "frozen": "待石蜡"}
    assert report.kind == "routine"
    assert report.morphology == Coded("ICDO-M-GB-CLIN-2.0", "M98360/3", "前B")
    assert rules(read) == ["attachment OBX-5"]


def test_every_case_is_recognised_by_its_header() -> None:
    for name in BUILT_IN[1:]:
        for file in sorted((DATA / name).glob("*.hl7")):
            found = recognised(Message.read(file.read_bytes()))
            assert found is not None, file
            assert found.id == name, file
    assert recognised(message(header(), segment("PID", f3="1"))) is None


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("identifier = 1", "identifier"),
        ('[identifiers]\nresident_id = [{ at = "PID3" }]', "identifiers.resident_id[0].at"),
        ('[identifiers]\nresident_id = [{ at = "PID-3", typ = ["1"] }]', "identifiers.resident_id[0]"),
        ('[identifiers]\nresident_id = [{ at = "PID-3", visits = ["ward"] }]', "identifiers.resident_id[0].visits[0]"),
        ('[fields]\n"patient.nme" = "PID-5"', "fields.patient.nme"),
        ('[fields]\n"patient.name" = "PID.5"', "fields.patient.name"),
        ('[location]\ndepartment = "4"', "location.department"),
        ('[codes.sexes]\n"3" = "1"', "codes.sexes"),
        ('[codes.sex]\n"3" = "5"', "codes.sex.3"),
        ('own_codes = ["pay"]', "own_codes.pay"),
        ('[pathology]\nnumber = "("', "pathology.number"),
        ('[pathology]\nnumber = "(.*)"', "pathology.number"),
        ('[recognise]\n"MSH-3" = "["', "recognise.MSH-3"),
        ("address_kind = 'home'", "address_kind"),
        ("codes = 1", "codes"),
    ],
)
def test_a_mistake_in_a_dialect_file_names_its_key(tmp_path: Path, content: str, key: str) -> None:
    file = tmp_path / "ours.toml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        dialect(file)
    assert key in caught.value.message
    assert "ours.toml" in caught.value.message


@pytest.mark.parametrize(
    ("name", "content"), [("cn-z", None), ("gone.toml", None), ("bad.toml", b"x ="), ("gbk.toml", "名".encode("gbk"))]
)
def test_a_dialect_that_cannot_be_read(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError):
        dialect(str(tmp_path / name) if name.endswith(".toml") else name)


def test_dialects_may_not_extend_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('extends = "b.toml"', encoding="utf-8")
    (tmp_path / "b.toml").write_text('extends = "a.toml"', encoding="utf-8")
    with pytest.raises(ConfigurationError):
        dialect(tmp_path / "a.toml")
