"""``zhibao explain``, ``check`` and ``convert`` for the platforms of cancer registration, through the real entry point.

Expected cards follow from the front sheets that are written here and the rules of registration (T/CHIA 18-2021, IARC multiple primaries, the
import rules of the two Henan systems), not from a run."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from adapters.hqms.writer import csv_bytes
from conformance.sample.fhir_feed import bundle_of
from conformance.sample.files import write_sample
from gateway.model.resident_id import check_character
from mappings.layout import layout
from mappings.profile import profile
from tests.command_line import Zhibao
from tests.hl7v2_messages import DATA

INSTITUTION = ("--option", "institution_code=4113-07")
HOUSE = "唐河县滨河街道建设路1号"
Row = dict[str, str]


def person(number: int, name: str, sex: str = "2", born: str = "19660503") -> Row:
    """Identity and address of an invented person; the record number is ``number``."""
    first = f"990100{born}00{2 if sex == '2' else 1}"
    return {
        "A01": "990100",
        "A02": "松岚医院",
        "A48": f"88{number:04d}",
        "A11": name,
        "A12C": sex,
        "A13": f"{born[:4]}-{born[4:6]}-{born[6:]}",
        "A19C": "1",
        "A21C": "2",
        "A38C": "27",
        "A20N": "1",
        "A20": first + check_character(first),
        "A24": HOUSE,
        "A25C": "473400",
        "A26": HOUSE,
        "A27": "10001234568",
        "A28C": "473400",
        "A32": "李大山",
        "A33C": "1",
        "A35": "10001234567",
        "B24": "许青",
    }


def visit(who: Row, time: int, month: str, code: str, name: str, **cells: str) -> Row:
    """One stay of a person, from the 2nd to the 12th of a month."""
    dates = {"B12": f"{month}-02 08:00:00", "B15": f"{month}-12 09:00:00", "B34C": "1", "A49": str(time)}
    return {**who, **dates, "C03C": code, "C04N": name, **cells}


BREAST = person(1, "林知秋")
LUNG = person(2, "陈望山", sex="1", born="19550612")
HOME = person(3, "周岚桥", sex="1", born="19700101") | {"A24": "河南省南阳市唐河县"}
FLU = person(4, "孙银杏", born="19770808")
LIVER = person(5, "何晴川", sex="1", born="19610909")

STORIES = [
    # breast, both sides one after the other, ductal: one tumour of a paired organ; then chemotherapy
    visit(BREAST, 1, "2026-06", "C50.400", "左乳腺外上象限恶性肿瘤", C09C="M85000/3", C10N="浸润性导管癌", C11="B1"),
    visit(BREAST, 2, "2026-07", "C50.900", "右乳腺恶性肿瘤", C09C="M85000/3", C10N="浸润性导管癌", C11="B2"),
    visit(BREAST, 3, "2026-08", "Z51.102", "恶性肿瘤化学治疗", C06x01C="C50.900", C07x01N="乳腺恶性肿瘤"),
    # two histologies of one lung: two primaries
    visit(LUNG, 1, "2026-06", "C34.100", "左肺上叶恶性肿瘤", C09C="M80700/3", C10N="鳞状细胞癌", C11="B3"),
    visit(LUNG, 2, "2026-09", "C34.300", "左肺下叶恶性肿瘤", C09C="M80410/3", C10N="小细胞癌", C11="B4"),
    # an address that ends at the county
    visit(HOME, 1, "2026-08", "C16.900", "胃恶性肿瘤", C09C="M81400/3", C10N="腺癌", C11="B5"),
    # nothing to register
    visit(FLU, 1, "2026-08", "J11.100", "流行性感冒"),
    # a metastasis without a primary
    visit(LIVER, 1, "2026-08", "C78.700", "肝继发恶性肿瘤"),
]


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stories as a front-sheet file, as a hospital archives it."""
    path = tmp_path_factory.mktemp("stories") / "hqmsts_stories.csv"
    path.write_bytes(csv_bytes(layout("2020"), STORIES))
    return path


def workbook(path: Path) -> list[Row]:
    """The filled cells of a workbook, by header."""
    header, *rows = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()
    return [{str(name): str(cell) for name, cell in zip(header, row, strict=True) if cell != ""} for row in rows]


def table(path: Path, delimiter: str = ",") -> list[Row]:
    with path.open(encoding="utf-8", newline="") as handle:
        return [{name: text for name, text in row.items() if text} for row in csv.DictReader(handle, delimiter=delimiter)]


def findings(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "findings.jsonl").read_text("utf-8").splitlines()]


# -- Henan


def test_the_import_file_of_the_henan_registry(zhibao: Zhibao, sheet: Path, tmp_path: Path) -> None:
    ran = zhibao("convert", sheet, "--to", "henan-registry", "--out", tmp_path, *INSTITUTION)
    cards = workbook(tmp_path / "henan-registry.xlsx")
    assert [(card["姓名"], card["肿瘤诊断代码"], card["肿瘤形态学代码"]) for card in cards] == [
        ("林知秋", "C50.4", "8500"),
        ("陈望山", "C34.1", "8070"),
        ("陈望山", "C34.3", "8041"),
    ]
    breast, squamous, small_cell = cards
    assert {
        "发病日期": "2026-06-02",
        "发病年龄": "60",
        "性别代码": "2",
        "民族代码": "01",
        "婚姻状况代码": "20",
        "第一位联系人与登记病例的关系代码": "10",
        "户口详细地址": "河南省南阳市唐河县滨河街道建设路1号",
        "户口所在地行政区划代码": "411328",
        "侧位代码": "3",
        "多原发患者代码": "0",
        "肿瘤诊断依据代码": "7",
        "肿瘤解剖学部位代码": "C50.4",
        "肿瘤行为学代码": "3",
        "治疗情况代码": "1",
        "治疗项目代码": "03",
        "最后接触日期": "2026-08-12",
        "最后接触状态代码": "1",
        "诊断单位机构编码": "4113-07",
        "报告医师姓名": "许青",
    }.items() <= breast.items()
    assert (squamous["多原发患者代码"], small_cell["多原发患者代码"]) == ("1", "1")
    assert (squamous["发病日期"], small_cell["发病日期"]) == ("2026-06-02", "2026-09-02")
    # what is held, and what calls for a person
    told = {(line["rule"], tuple(line["fields"])) for line in findings(tmp_path) if line["severity"] != "info"}
    assert ("CN-10", ("hukou_town",)) in told
    assert ("ZB-TUMOUR-no-primary", ()) in told
    assert ran.code == 1
    assert "原发肿瘤 4 个，应报 4 张，写出 3 张，留存 1 张" in ran.err


def test_files_of_the_chronic_disease_system_need_no_code_and_no_township(zhibao: Zhibao, sheet: Path, tmp_path: Path) -> None:
    ran = zhibao("convert", sheet, "--to", "henan-chronic", "--out", tmp_path, "--option", "icd10_dot=no")
    assert ran.code == 0
    cards = workbook(tmp_path / "henan-chronic.xlsx")
    assert [card["肿瘤诊断代码"] for card in cards] == ["C504", "C341", "C343", "C169"]
    assert {card["报告单位编码"] for card in cards} == {"990100"}


def test_what_the_hospital_has_not_said_is_told_once_and_holds_no_card(zhibao: Zhibao, sheet: Path, tmp_path: Path) -> None:
    ran = zhibao("convert", sheet, "--to", "henan-registry", "--out", tmp_path)
    assert ran.code == 1
    (missing,) = [line for line in findings(tmp_path) if line["rule"] == "ZB-OPTION"]
    assert (missing["file"], missing["row"], missing["fields"]) == (None, None, ["institution_code"])
    assert len(workbook(tmp_path / "henan-registry.xlsx")) == 3


def test_a_template_of_the_hospital(zhibao: Zhibao, sheet: Path, tmp_path: Path) -> None:
    template = tmp_path / "columns.csv"
    template.write_text("code,field\n患者,patient_name\n编码,icd10\n", "utf-8")
    zhibao("convert", sheet, "--to", "henan-registry", "--out", tmp_path / "out", *INSTITUTION, "--template", template)
    assert workbook(tmp_path / "out" / "henan-registry.xlsx")[0] == {"患者": "林知秋", "编码": "C50.4"}


# -- CanReg and Zhejiang


def test_the_canreg_import_file_and_the_national_columns(zhibao: Zhibao, sheet: Path, tmp_path: Path) -> None:
    assert zhibao("convert", sheet, "--to", "canreg", "--out", tmp_path).code == 0
    imported = table(tmp_path / "canreg5_import.txt", "\t")
    national = table(tmp_path / "national_FB.csv")
    assert [(row["FamN"], row["FirstN"], row["Top"], row["Mor"], row["InciD"], row["Addr"]) for row in imported] == [
        ("林", "知秋", "504", "8500", "20260602", "411328"),
        ("陈", "望山", "341", "8070", "20260602", "411328"),
        ("陈", "望山", "343", "8041", "20260902", "411328"),
        ("周", "岚桥", "169", "8140", "20260802", "411328"),
    ]
    assert [(row["topo"], row["basi"], row["mult"], row["marri"]) for row in national] == [
        ("C50.4", "7", "0", "20"),
        ("C34.1", "7", "1", "20"),
        ("C34.3", "7", "1", "20"),
        ("C16.9", "7", "0", "20"),
    ]


def test_the_national_columns_in_their_old_codes(zhibao: Zhibao, sheet: Path, tmp_path: Path) -> None:
    zhibao("convert", sheet, "--to", "canreg", "--out", tmp_path, "--option", "national_codes=old")
    assert {row["marri"] for row in table(tmp_path / "national_FB.csv")} == {"2"}


def test_the_elements_of_the_zhejiang_hub(zhibao: Zhibao, sheet: Path, tmp_path: Path) -> None:
    ran = zhibao("convert", sheet, "--to", "zhejiang-hub", "--out", tmp_path, "--option", "unit_code=U1")
    assert ran.code == 0
    (file,) = tmp_path.glob("*.csv")
    breast = table(file)[0]
    assert {
        "VC_HZMZ": "1",
        "VC_ZDBW": "C50.4",
        "VC_ICDM": "8500/3",
        "VC_HKSFDM": "1",
        "VC_SHBZ": "3",
        "VC_BGDW": "U1",
        "DT_ZDRQ": "2026-06-02 00:00:00",
        "VC_ZDYH": "1,7",
    }.items() <= breast.items()


# -- explain, check, usage


def test_explain_answers_for_every_stay(zhibao: Zhibao, sheet: Path) -> None:
    ran = zhibao("explain", sheet, "--platform", "henan-registry")
    assert ran.code == 0
    assert [(line["record"]["A48"], line["due"], line["cards"]) for line in ran.lines] == [
        ("880001", True, [1]),
        ("880001", True, [1]),
        ("880001", True, [1]),
        ("880002", True, [2]),
        ("880002", True, [3]),
        ("880003", True, [4]),
        ("880004", False, []),
        ("880005", False, []),
    ]
    assert all(line["rules"] and line["reason"] for line in ran.lines)
    assert (ran.lines[6]["review"], ran.lines[7]["review"]) == (False, True)


def test_check_tells_the_findings_of_cards_by_their_stay(zhibao: Zhibao, sheet: Path) -> None:
    ran = zhibao("check", sheet, "--platform", "henan-registry", *INSTITUTION)
    assert ran.code == 1
    (town,) = [line for line in ran.lines if line["rule"] == "CN-10"]
    assert (town["file"], town["row"], town["card"], town["severity"]) == (sheet.name, 6, 4, "error")


def test_findings_hold_no_names_and_numbers(zhibao: Zhibao, sheet: Path, tmp_path: Path) -> None:
    for platform in ("henan-registry", "canreg", "zhejiang-hub"):
        zhibao("convert", sheet, "--to", platform, "--out", tmp_path / platform)
        text = (tmp_path / platform / "findings.jsonl").read_text("utf-8")
        assert not [word for word in ("林知秋", "陈望山", "周岚桥", "990100", "880001", "滨河") if word in text]


@pytest.mark.parametrize(
    "wrong", [("--option", "nothing=1"), ("--option", "institution_code"), ("--layout", "2019"), ("--format", "dbf")]
)
def test_wrong_usage_writes_nothing(zhibao: Zhibao, sheet: Path, tmp_path: Path, wrong: tuple[str, str]) -> None:
    ran = zhibao("convert", sheet, "--to", "henan-registry", "--out", tmp_path / "out", *wrong)
    assert ran.code == 2
    assert not (tmp_path / "out").exists()


def test_nothing_usable_is_2(zhibao: Zhibao, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# 说明", "utf-8")
    ran = zhibao("convert", tmp_path / "notes.md", "--to", "canreg", "--out", tmp_path / "out")
    assert ran.code == 2
    assert list((tmp_path / "out").iterdir()) == []


def test_an_input_is_never_overwritten(zhibao: Zhibao, sheet: Path, tmp_path: Path) -> None:
    given = tmp_path / "national_FB.csv"
    given.write_bytes(sheet.read_bytes())
    assert zhibao("convert", given, "--to", "canreg", "--out", tmp_path).code == 2
    assert given.read_bytes() == sheet.read_bytes()


# -- other inputs


@pytest.mark.parametrize("dialect", ["cn-a", "cn-b", "cn-c", "cn-d"])
def test_messages_of_every_dialect_make_the_same_card(zhibao: Zhibao, tmp_path: Path, dialect: str) -> None:
    """A boy with acute lymphoblastic leukaemia (9836/3, marrow smear) in the messages of four senders."""
    files = sorted((DATA / dialect).glob("*.hl7"))
    zhibao("convert", "--source", dialect, *files, "--to", "canreg", "--out", tmp_path, "--organisation", "4200001")
    (card,) = table(tmp_path / "canreg5_import.txt", "\t")
    assert (card["FamN"], card["FirstN"], card["Sex"], card["BirthD"]) == ("林", "小禾", "1", "20150308")
    assert (card["Top"], card["Mor"], card["Beh"], card["Age"]) == ("421", "9836", "3", "9")


def test_a_bundle_and_a_front_sheet_of_one_person_are_one_tumour(zhibao: Zhibao, sheet: Path, tmp_path: Path) -> None:
    """The chemotherapy of a month later comes as FHIR."""
    later = visit(BREAST, 4, "2026-10", "C50.900", "乳腺恶性肿瘤")
    (tmp_path / "later.json").write_bytes(bundle_of(later))
    zhibao("convert", sheet, tmp_path / "later.json", "--to", "henan-chronic", "--out", tmp_path / "out")
    cards = workbook(tmp_path / "out" / "henan-chronic.xlsx")
    (breast,) = [card for card in cards if card["姓名"] == "林知秋"]
    assert (breast["发病日期"], breast["肿瘤诊断代码"], breast["最后接触日期"]) == ("2026-06-02", "C50.4", "2026-10-12")


@pytest.mark.parametrize("platform", ["henan-registry", "henan-chronic", "canreg", "zhejiang-hub"])
def test_the_sample_hospital_converts_to_every_platform(zhibao: Zhibao, tmp_path: Path, platform: str) -> None:
    """Every planted fault of a row is told, and no card is lost without a word: due is written or held."""
    write_sample(tmp_path / "in", stays=120, months=["2026-10"])
    (tmp_path / "in" / "faults.csv").unlink()
    ran = zhibao("convert", tmp_path / "in", "--to", platform, "--out", tmp_path / "out")
    assert ran.code in (0, 1)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "findings.jsonl",
        *(file.name for file in profile(platform).files.values()),
    }
    counted = [int(word) for word in ran.err.replace("，", " ").split() if word.isdecimal()]
    _, _, due, written, held, _ = counted
    assert due == written + held
    assert due > 0
    assert len([line for line in findings(tmp_path / "out") if line["rule"] == "ZB-HELD"]) == held
