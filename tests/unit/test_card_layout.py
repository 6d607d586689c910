"""Card layouts and the four platforms that have them. Expected texts follow from the registry reference: the two Henan systems from the rules of
its section 3, CanReg and the national columns from canreg.md, Zhejiang from the codes of its own lists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.model.card import FIELDS, Card
from gateway.model.errors import ConfigurationError
from mappings.card_layout import CardLayout, own_layout, packaged
from mappings.profile import platform_ids, profile

TUMOUR_PLATFORMS = platform_ids("tumour")


def card(**fields: str) -> Card:
    known = {
        "patient_name": "欧阳知秋",
        "sex": "2",
        "ethnicity": "05",
        "birth_date": "1960-02-03",
        "incidence_date": "2026-05-04",
        "age_at_incidence": "66",
        "occupation": "27",
        "marital_status": "21",
        "hukou_province": "河南省",
        "hukou_city": "南阳市",
        "hukou_county": "唐河县",
        "hukou_town": "滨河街道",
        "topography": "C34.1",
        "morphology": "8140",
        "behaviour": "3",
        "icd10": "C34.1",
        "basis_card": "7",
        "basis_of_diagnosis": "7",
        "basis_list": "2,7",
        "last_contact_status": "9",
        "report_date": "2026-11-25",
    }
    return Card(**{**known, **fields})


def printed(id: str, layout: str = "", options: dict[str, str] | None = None, **fields: str) -> dict[str, str]:
    described = profile(id)
    chosen = described.layouts[layout] if layout else described.card_layout
    return chosen.record(card(**fields), described.chosen(options or {}))


def test_the_platforms_of_cancer_registration_are_about_tumours() -> None:
    assert TUMOUR_PLATFORMS == ["canreg", "henan-chronic", "henan-registry", "zhejiang-hub"]
    assert all(profile(id).cadence.continuous for id in TUMOUR_PLATFORMS)


@pytest.mark.parametrize("id", TUMOUR_PLATFORMS)
def test_a_layout_of_cards_names_fields_of_the_card(id: str) -> None:
    described = profile(id)
    for layout in (described.card_layout, *(described.layouts[name] for name in described.layouts if "national" in name)):
        assert {field.path for field in layout.fields} <= {"", *FIELDS}
        assert all(field.source and field.confidence in ("high", "medium", "low") for field in layout.fields)
        assert layout.row(layout.record(card(), described.chosen({}))).__len__() == len(layout.columns)


def test_layouts_whose_columns_are_not_public_are_nowhere_called_certain() -> None:
    for id in ("henan-registry", "henan-chronic"):
        assert {field.confidence for field in profile(id).card_layout.fields} == {"low"}


# -- Henan


def test_henan_has_the_prefecture_in_the_address_and_the_dot_in_the_code() -> None:
    record = printed("henan-registry", options={"institution_code": "4113-07"})
    assert record["户口详细地址"] == "河南省南阳市唐河县滨河街道"
    assert record["肿瘤诊断代码"] == "C34.1"
    assert record["诊断单位机构编码"] == "4113-07"


def test_the_chronic_disease_system_may_want_codes_without_the_dot() -> None:
    assert printed("henan-chronic")["肿瘤诊断代码"] == "C34.1"
    assert printed("henan-chronic", options={"icd10_dot": "no"})["肿瘤诊断代码"] == "C341"


def test_the_reporting_unit_of_the_chronic_system_is_its_own_code_else_that_of_the_organisation() -> None:
    assert printed("henan-chronic", report_org_code="990100")["报告单位编码"] == "990100"
    assert printed("henan-chronic", options={"unit_code": "U7"}, report_org_code="990100")["报告单位编码"] == "U7"


# -- CanReg


def test_canreg_prints_variables_of_its_training_definition() -> None:
    record = printed("canreg")
    assert {code: record[code] for code in ("FamN", "FirstN", "BirthD", "InciD", "Age", "Top", "Mor", "Beh", "Bas")} == {
        "FamN": "欧阳",
        "FirstN": "知秋",
        "BirthD": "19600203",
        "InciD": "20260504",
        "Age": "66",
        "Top": "341",
        "Mor": "8140",
        "Beh": "3",
        "Bas": "7",
    }


@pytest.mark.parametrize(
    ("name", "surname", "given"),
    [
        ("王芳", "王", "芳"),
        ("欧阳明", "欧阳", "明"),
        ("欧阳", "欧", "阳"),
        ("阿依古丽·买买提", "阿依古丽", "买买提"),
        ("单", "单", ""),
    ],
)
def test_canreg_wants_family_and_given_names_apart(name: str, surname: str, given: str) -> None:
    record = printed("canreg", patient_name=name)
    assert (record.get("FamN", ""), record.get("FirstN", "")) == (surname, given)


@pytest.mark.parametrize(("width", "age"), [("2", "99"), ("3", "999")])
def test_an_unknown_age_is_all_nines_by_the_width_of_the_variable(width: str, age: str) -> None:
    assert printed("canreg", options={"age_width": width}, age_at_incidence="")["Age"] == age


@pytest.mark.parametrize(("known", "text"), [("2026", "20269999"), ("2026-05", "20260599"), ("2026-05-04", "20260504")])
def test_unknown_days_and_months_are_nines(known: str, text: str) -> None:
    assert printed("canreg", incidence_date=known)["InciD"] == text


def test_the_national_columns_stand_in_the_order_of_the_checker() -> None:
    wanted = "registr id sex age birthda inciden topo morp beha grad basi icd10 deathda mult trib marri lastcontact status caus"
    for name in ("national_new", "national_old"):
        assert profile("canreg").layouts[name].columns == tuple(wanted.split())


def test_old_and_new_codes_of_the_national_columns() -> None:
    """T/CHIA: 21 first marriage, 9 lost. Old files: 2 married; 3 moved, 4 lost."""
    new, old = printed("canreg", "national_new"), printed("canreg", "national_old")
    assert (new["marri"], old["marri"]) == ("21", "2")
    assert (new["status"], old["status"]) == ("9", "4")
    assert printed("canreg", "national_old", lost_reason="2")["status"] == "3"


# -- Zhejiang


@pytest.mark.parametrize(
    ("field", "code", "column", "text"),
    [
        ("ethnicity", "05", "VC_HZMZ", "5"),  # no leading zero
        ("ethnicity", "98", "VC_HZMZ", "57"),  # foreign-born citizens
        ("ethnicity", "99", "VC_HZMZ", "98"),  # unknown
        ("sex", "1", "VC_HZXB", "1"),
        ("stage_group", "1", "VC_ZDSQB", "1"),  # stages 0 and I are one
        ("stage_group", "2", "VC_ZDSQB", "1"),
        ("stage_group", "5", "VC_ZDSQB", "4"),
        ("stage_group", "6", "VC_ZDSQB", "5"),
        ("tnm_ct", "5", "VC_ZDQBT", "6"),  # Tis
        ("tnm_ct", "9", "VC_ZDQBT", "5"),  # TX
        ("tnm_pn", "9", "VC_ZDQBN", "5"),  # NX; pathological, where nothing clinical is stated
        ("basis_list", "2,7", "VC_ZDYH", "2,7"),
        ("basis_list", "0", "VC_ZDYH", "10"),  # first learned from a death certificate
        ("birth_date", "1960-02-03", "DT_HZCSRQ", "1960-02-03 00:00:00"),
        ("created_time", "2026-11-25T08:09:10", "DT_CJSJ", "2026-11-25 08:09:10"),
        ("contact1_phone", "", "VC_JTDH", "0"),
        ("contact1_phone", "10001234567", "VC_JTDH", "10001234567"),
    ],
)
def test_zhejiang_has_codes_of_its_own(field: str, code: str, column: str, text: str) -> None:
    described = profile("zhejiang-hub")
    assert described.card_layout.record(card(**{field: code}), described.chosen({}))[column] == text


def test_one_set_of_tnm_is_never_mixed_of_two() -> None:
    record = printed("zhejiang-hub", tnm_ct="2", tnm_pt="1", tnm_pn="1")
    assert record["VC_ZDQBT"] == "2"
    assert "VC_ZDQBN" not in record


@pytest.mark.parametrize(("form", "text"), [("with-behaviour", "8140/3"), ("plain", "8140")])
def test_morphology_in_the_form_that_the_hub_is_set_to(form: str, text: str) -> None:
    assert printed("zhejiang-hub", options={"icdm_form": form})["VC_ICDM"] == text


def test_a_code_without_a_counterpart_is_left_out_and_said() -> None:
    """Zhejiang accepts no 0 and no 9 as sex."""
    described = profile("zhejiang-hub")
    assert "VC_HZXB" not in printed("zhejiang-hub", sex="9")
    misfits = described.card_layout.misfits(card(sex="9"), described.chosen({}))
    assert ("VC_HZXB", "code") in [(field.code, misfit) for field, misfit in misfits]


@pytest.mark.parametrize(("name", "fits"), [("买买提明阿不都热西提", True), ("买买提明阿不都热西提江", False)])
def test_lengths_of_the_hub_are_bytes(name: str, fits: bool) -> None:
    """Ten Chinese characters are 20 bytes."""
    described = profile("zhejiang-hub")
    found = [
        field.code
        for field, misfit in described.card_layout.misfits(card(patient_name=name), {**described.chosen({})})
        if misfit == "length"
    ]
    assert ("VC_HZXM" not in found) is fits


def test_a_date_without_its_day_is_said() -> None:
    described = profile("zhejiang-hub")
    misfits = described.card_layout.misfits(card(incidence_date="2026-05"), described.chosen({}))
    assert ("DT_ZDRQ", "day") in [(field.code, misfit) for field, misfit in misfits]


def test_visits_have_layouts_of_their_own() -> None:
    first = profile("zhejiang-hub").layouts["first_visit"]
    follow_up = profile("zhejiang-hub").layouts["follow_up"]
    assert (len(first.columns), len(follow_up.columns)) == (63, 40)
    visit = {"visit_date": "2026-12-01", "karnofsky": "80", "treatment_items": "0,1"}
    record = first.record(visit, profile("zhejiang-hub").chosen({"user": "chen"}))
    assert record == {
        "DT_SFRQ": "2026-12-01 00:00:00",
        "VC_ZLXM": "0,1",
        "NB_KSPF": "80",
        "VC_CJYH": "chen",
        "DT_CJSJ": "2026-12-01 00:00:00",
    }


# -- a hospital's own table of columns


def own(tmp_path: Path, text: str, encoding: str = "utf-8") -> CardLayout:
    path = tmp_path / "columns.csv"
    path.write_bytes(text.encode(encoding))
    return own_layout("henan-registry", path)


def test_a_hospital_brings_the_columns_of_its_template(tmp_path: Path) -> None:
    layout = own(
        tmp_path,
        'code,field,type\n姓名,patient_name,\n机构,options.institution_code,\n性别,"sex == ""2"" ? ""女"" : ""男""",\n备用,,\n',
        "utf-8-sig",
    )
    assert layout.columns == ("姓名", "机构", "性别", "备用")
    assert layout.record(card(), {"institution_code": "9"}) == {"姓名": "欧阳知秋", "机构": "9", "性别": "女"}
    assert {field.confidence for field in layout.fields} == {"low"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "field\npatient_name\n",
        "code,field\n姓名,patient_nmae\n",
        "code,field\n姓名,patient_name\n姓名,sex\n",
        "code,field,type\n姓名,patient_name,text\n",
        "code,field,code_map\n性别,sex,nowhere\n",
        "code,field,max_length\n性别,sex,一位\n",
        'code,field\n姓名,"patient_name +"\n',
        'code,field\n姓名,"patient_nmae + sex"\n',
    ],
)
def test_a_wrong_table_of_columns_is_refused_with_what_is_wrong(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError):
        own(tmp_path, text)


def test_a_rule_that_fails_for_a_card_leaves_the_column_out_and_is_said(tmp_path: Path) -> None:
    layout = own(tmp_path, "code,field\n年龄,int(age_at_incidence) + 1\n姓名,patient_name\n单位,options.nothing\n")
    assert layout.record(card(age_at_incidence="六"), {}) == {"姓名": "欧阳知秋"}
    assert [(field.code, misfit) for field, misfit in layout.misfits(card(age_at_incidence="六"), {})] == [
        ("年龄", "rule"),
        ("单位", "rule"),
    ]
    assert layout.record(card(age_at_incidence="6"), {})["年龄"] == "7"


def test_one_code_of_a_list_without_a_counterpart_is_said() -> None:
    field = packaged("canreg", "national_old.csv").by_code["marri"]
    layout = CardLayout("test", [replace(field, type="code_list")], {"marital_old": {"10": "1", "20": "2"}})
    assert layout.record({"marital_status": "10,30,20"}, {}) == {"marri": "1,2"}
    assert [misfit for _, misfit in layout.misfits({"marital_status": "10,30,20"}, {})] == ["code"]


def test_a_table_of_columns_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        own_layout("henan-registry", tmp_path / "none.csv")
    with pytest.raises(ConfigurationError):
        own(tmp_path, "code,field\n姓名,patient_name\n", "gb18030")


def test_a_table_that_does_not_exist_is_no_layout() -> None:
    with pytest.raises(FileNotFoundError):
        packaged("henan-registry", "none.csv")
