"""What each registry platform gets of a tumour: due or not, held or not, and why. Expected results follow from the scope (T/CHIA 18-2021) and
the platforms' rules."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from conformance.checks.finding import Finding
from gateway.cases.primaries.case import TumourCase
from gateway.cases.primaries.choices import RegistryChoices
from gateway.cases.primaries.evidence import Evidence
from gateway.model.card import Card
from gateway.reporting.card_drafts import OPTION, CardDrafter
from gateway.reporting.cards import MadeCard
from gateway.reporting.drafts import Draft, PlatformChoice
from mappings.profile import platform_ids
from tests.unit.test_card_layout import card

COMPLETE = card(
    id_no="99010019600203002X",
    diagnosis_name="肺上叶恶性肿瘤",
    pathology_name="腺癌",
    grade="9",
    laterality="1",
    multiple_primary="0",
    inpatient_no="M1",
    medical_record_no="M1",
    residence_province="河南省",
    residence_city="南阳市",
    residence_county="唐河县",
    residence_town="滨河街道",
    residence_region_code="411328",
    hukou_region_code="411328",
    report_hospital="松岚医院",
    report_org_code="990100",
    report_doctor="许青",
    treated_flag="9",
    diagnosed_here="1",
    highest_diagnosing_level="2",
    last_contact_date="2026-10-12",
    last_contact_status="1",
    card_type="1",
    card_status="0",
    report_date="2026-11-25",
)
OPTIONS = {"henan-registry": {"institution_code": "4113-07"}, "zhejiang-hub": {"unit_code": "U1"}}
CASE = TumourCase([Evidence("stay:1/C34.1", "stay:1", "primary")], [])


def drafted(
    platform: str,
    changed: Card = COMPLETE,
    *,
    options: dict[str, str] | None = None,
    switches: dict[str, bool] | None = None,
    choices: RegistryChoices | None = None,
) -> Draft:
    chosen = PlatformChoice(platform, switches or {}, options=OPTIONS.get(platform, {}) if options is None else options)
    return CardDrafter(chosen, choices or RegistryChoices()).draft(MadeCard(changed), CASE)


def blocking(draft: Draft) -> set[str]:
    return {finding.rule for finding in draft.findings if finding.blocks}


@pytest.mark.parametrize("platform", platform_ids("tumour"))
def test_a_complete_card_goes_to_every_platform(platform: str) -> None:
    draft = drafted(platform)
    assert draft.decision.due
    assert draft.decision.rules == ("R-C",)
    assert blocking(draft) == set()
    assert draft.record
    assert draft.digest


@pytest.mark.parametrize("platform", platform_ids("tumour"))
def test_a_card_without_what_every_registry_needs_is_held_and_still_rendered(platform: str) -> None:
    draft = drafted(platform, replace(COMPLETE, incidence_date="", age_at_incidence=""))
    assert draft.blocked
    assert draft.record


@pytest.mark.parametrize(
    ("code", "due"),
    [("C00.0", True), ("C80.9", True), ("C96.9", True), ("D05.1", True), ("D32.9", True), ("D46.9", True), ("D47.9", True), ("D10.0", False),
     ("D48.9", False), ("C78.0", False), ("C97", False), ("Z51.1", False), ("", False)],
)  # fmt: skip
def test_what_is_reportable(code: str, due: bool) -> None:
    decision = drafted("henan-registry", replace(COMPLETE, icd10=code)).decision
    assert decision.due is due
    assert decision.reason


@pytest.mark.parametrize("code", ["D35.2", "D44.5"])
def test_the_pituitary_is_a_choice_of_the_registry(code: str) -> None:
    changed = replace(COMPLETE, icd10=code)
    assert not drafted("henan-registry", changed).decision.due
    assert drafted("henan-registry", changed, choices=RegistryChoices(pituitary=True)).decision.due
    switches = {"R-D35": False, "R-D44": False}
    assert not drafted("henan-registry", changed, choices=RegistryChoices(pituitary=True), switches=switches).decision.due


def test_a_metastasis_and_several_sites_in_one_code_call_for_a_person() -> None:
    for code in ("C78.0", "C97"):
        assert drafted("henan-registry", replace(COMPLETE, icd10=code)).decision.review


def test_without_the_institution_code_the_card_waits_and_says_where_to_set_it() -> None:
    draft = drafted("henan-registry", options={})
    (finding,) = [finding for finding in draft.findings if finding.rule == OPTION]
    assert finding.blocks
    assert finding.fields == ("institution_code",)
    assert "platforms.henan-registry.options" in finding.message


def test_an_address_that_does_not_reach_a_township_is_held_for_henan_only() -> None:
    without = replace(COMPLETE, hukou_town="")
    assert blocking(drafted("henan-registry", without)) == {"CN-10"}
    assert "CN-10" not in blocking(drafted("canreg", without))


def test_a_diagnosing_unit_that_is_a_name_is_held() -> None:
    assert "CN-11" in blocking(drafted("henan-registry", options={"institution_code": "唐河县医院"}))


def test_findings_about_making_the_card_are_the_drafts_too() -> None:
    told = Finding("ZB-CARD-CONFLICT", ("sex",), "verify", "性别不一致", "sex")
    draft = CardDrafter(PlatformChoice("canreg"), RegistryChoices()).draft(MadeCard(COMPLETE, findings=(told,)), CASE)
    assert told in draft.findings


@pytest.mark.parametrize(
    ("hukou", "flag", "managed_by"),
    [
        (("浙江省", "杭州市", "西湖区"), "3", "G1"),  # local
        (("浙江省", "宁波市", "海曙区"), "1", "G1"),  # another area of the province: audited again there
        (("河南省", "南阳市", "唐河县"), "3", "411328"),  # another province
    ],
)
def test_the_audit_flag_follows_the_household(hukou: tuple[str, str, str], flag: str, managed_by: str) -> None:
    province, city, county = hukou
    code = "411328" if province == "河南省" else ""
    changed = replace(COMPLETE, hukou_province=province, hukou_city=city, hukou_county=county, hukou_region_code=code)
    options = {"unit_code": "U1", "managing_unit": "G1", "local_area": "杭州市西湖区", "local_area_code": "33010600"}
    record = drafted("zhejiang-hub", changed, options=options).record
    assert (record["VC_SHBZ"], record["VC_GLDW"]) == (flag, managed_by)
    assert ("DT_QXSHSJ" in record) is (flag == "3")
    assert record["VC_HKSFDM"] == ("0" if province == "浙江省" else "1")


def test_county_audit_may_be_left_to_a_person() -> None:
    held = drafted("zhejiang-hub", options={"unit_code": "U1", "county_audit": "no"})
    assert "CN-06" in blocking(held)
    audited = replace(COMPLETE, county_audit_time="2026-11-26T09:00:00")
    assert (
        drafted("zhejiang-hub", audited, options={"unit_code": "U1", "county_audit": "no"}).record["DT_QXSHSJ"]
        == "2026-11-26 09:00:00"
    )


def test_what_a_platform_adds_never_overwrites_the_card() -> None:
    assert drafted("zhejiang-hub", replace(COMPLETE, informed_flag="1")).record["VC_BQYGZBR"] == "1"
    assert drafted("zhejiang-hub").record["VC_BQYGZBR"] == "3"


def test_a_mandatory_text_is_never_cut() -> None:
    draft = drafted("zhejiang-hub", replace(COMPLETE, patient_name="买买提明阿不都热西提江"))
    assert "ZB-CARD-LENGTH" in blocking(draft)
    assert draft.record["VC_HZXM"] == "买买提明阿不都热西提江"


def test_an_optional_text_that_is_too_long_is_left_out_and_said() -> None:
    draft = drafted("canreg", replace(COMPLETE, pathology_no="B20260001"))
    assert "LabNo" not in draft.record
    assert ("LabNo",) in [finding.fields for finding in draft.findings if finding.rule == "ZB-CARD-LENGTH"]
    assert not draft.blocked


def test_findings_never_hold_values() -> None:
    marked = replace(
        COMPLETE, patient_name="独孤求索", pathology_no="B777777777777777", workplace="神秘工厂" * 40, sex="9", hukou_town=""
    )
    for platform in platform_ids("tumour"):
        for finding in drafted(platform, marked).findings:
            assert not [word for word in ("独孤", "B7777", "神秘") if word in finding.message + finding.english]


def test_the_digest_is_that_of_the_record() -> None:
    first, again = drafted("canreg"), drafted("canreg")
    other = drafted("canreg", replace(COMPLETE, behaviour="2"))
    assert first.digest == again.digest != other.digest


def test_a_hospitals_own_template_takes_the_place_of_the_columns(tmp_path: Path) -> None:
    template = tmp_path / "columns.csv"
    template.write_text("code,field,required\n病人,patient_name,M\n单位,options.institution_code,C\n", "utf-8")
    choice = PlatformChoice("henan-registry", options={"institution_code": "4113-07"}, template=template)
    draft = CardDrafter(choice, RegistryChoices()).draft(MadeCard(COMPLETE), CASE)
    assert draft.record == {"病人": "欧阳知秋", "单位": "4113-07"}
