"""Evidence in stays. Expected values follow from the registry reference: reportable_icd10.csv, the default conversion of ICD-10, the digits of
basis_of_diagnosis.csv, behaviour.csv for metastases, and incidence_date of card_fields.csv."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cases.primaries import words
from gateway.cases.primaries.evidence import Evidence
from gateway.cases.primaries.morphology import parsed
from gateway.cases.primaries.staging import staged
from gateway.cases.primaries.stays import seen
from gateway.cases.primaries.telling import earliest
from gateway.model.resident_id import check_character
from gateway.model.stay import (
    Address,
    Admission,
    Contact,
    Diagnoses,
    Diagnosis,
    Identity,
    Marker,
    Organisation,
    Pathology,
    Patient,
    Procedure,
    Procedures,
    Stage,
    Stay,
    Tumour,
)
from gateway.model.values import Coded

ADMITTED = "2026-10-02"
BREAST, LUNG = ("C50.900", "乳腺恶性肿瘤"), ("C34.101", "肺上叶恶性肿瘤")
CHEMOTHERAPY = ("Z51.102", "恶性肿瘤维持性化学治疗")


def stay(*diagnoses: tuple[str, str], **members: Any) -> Stay:
    """A stay with a principal and other diagnoses."""
    listed = [Diagnosis(Coded("ICD10-GB-CLIN-2.0", code, name)) for code, name in diagnoses]
    principal = listed[0] if listed else Diagnosis()
    given: dict[str, Any] = {"admission": Admission(time=f"{ADMITTED}T08:30"), "diagnoses": Diagnoses(principal, listed[1:])}
    return Stay(**{**given, **members})


def evidence(*diagnoses: tuple[str, str], **members: Any) -> list[Evidence]:
    return list(seen(stay(*diagnoses, **members), "stay:1").evidence)


def report(code: str = "", name: str = "", number: str = "B1", **members: Any) -> Pathology:
    return Pathology(Coded("ICDO-M-GB-CLIN-2.0", code or None, name or None), number, **members)


def tumour(code: str = "", topography: str = "", morphology: str = "", side: str = "", **members: Any) -> Tumour:
    return Tumour(
        Coded("ICD-10", code) if code else None,
        topography=Coded("ICD-O-3", topography) if topography else None,
        morphology=Coded("ICD-O-3", morphology) if morphology else None,
        laterality=Coded("tumour-laterality", side) if side else None,
        **members,
    )


def codes(one: Evidence) -> tuple[str, str, str]:
    return one.topography, one.morphology, one.behaviour


def test_who_a_stay_shows() -> None:
    id_number = "99010119610304002" + check_character("99010119610304002")
    patient = Patient(
        name="温如岚",
        sex=Coded("RC001", "2"),
        birth_date="1961-03-04",
        identity=Identity(number=id_number.lower()),
        address=Address("唐河县城郊乡", "13712345671"),
        contact=Contact(phone="13912345672"),
    )
    [one] = [seen(stay(patient=patient, organisation=Organisation("990100"), record_number="M1"), "stay:1").sighting]
    assert (one.key, one.at, one.resident_id, one.name, one.sex) == ("stay:1", ADMITTED, id_number, "温如岚", "2")
    assert (one.address, one.phone, one.organisation, one.record_number) == ("唐河县城郊乡", "13712345671", "990100", "M1")


def test_a_resident_id_that_fails_its_check_and_an_unknown_sex_are_not_used() -> None:
    patient = Patient(sex=Coded("RC001", "9"), identity=Identity(number="990101196103040010"))
    one = seen(stay(patient=patient), "stay:1").sighting
    assert (one.resident_id, one.sex) == ("", "")


def test_a_diagnosis_alone_is_provisional_and_clinical() -> None:
    [one] = evidence(BREAST)
    assert (one.key, one.kind, one.diagnosis, one.icd10) == ("stay:1/C50.9", "primary", "C50.900", "C50.9")
    assert codes(one) == ("C50.9", "8000", "3")
    assert (one.topography_origin, one.morphology_origin) == ("derived", "derived")
    assert (one.basis, one.diagnosed_on, one.diagnosed_from) == (("1",), ADMITTED, "入院日期")
    assert one.path == "diagnoses.principal.condition"


def test_all_discharge_diagnoses_are_read() -> None:
    found = evidence(
        CHEMOTHERAPY, ("I10.x00", "高血压"), BREAST, ("C77.301", "腋窝淋巴结继发恶性肿瘤"), ("Z85.100", "肺恶性肿瘤个人史")
    )
    assert [(one.icd10, one.kind) for one in found] == [
        ("Z51.1", "treatment"), ("C50.9", "primary"), ("C77.3", "secondary"), ("Z85.1", "history"),
    ]  # fmt: skip
    assert found[1].path == "diagnoses.other[1].condition"


@pytest.mark.parametrize(
    ("code", "kind"),
    [("Z08.000", "treatment"), ("Z86.000", "history"), ("Z92.600", "history"), ("Z12.300", "screening"), ("Z40.000", "screening"),
     ("C79.500", "secondary"), ("D46.900", "primary"), ("B21.000", "primary"), ("C97.x00", "primary")],
)  # fmt: skip
def test_kinds_of_codes(code: str, kind: str) -> None:
    assert [one.kind for one in evidence((code, ""))] == [kind]


@pytest.mark.parametrize("code", ["D24.x00", "Z80.300", "I10.x00", "N63.x00", ""])
def test_codes_that_tell_of_no_tumour(code: str) -> None:
    assert evidence((code, "")) == []


def test_a_diagnosis_pathology_and_a_stated_tumour_are_one() -> None:
    [one] = evidence(
        BREAST,
        pathology=[report("M85000/3", "浸润性导管癌", reported_on="2026-10-06")],
        tumours=[tumour("C50.9", "C50.4", side="left", role="primary", diagnosed_on="2026-10-04")],
    )
    assert codes(one) == ("C50.4", "8500", "3")
    assert (one.topography_origin, one.morphology_origin, one.laterality) == ("stated", "stated", "1")
    assert (one.basis, one.pathology_name, one.pathology_no) == (("1", "7"), "浸润性导管癌", "B1")
    assert set(one.basis_reasons) == {"1", "7"}
    assert (one.diagnosed_on, one.diagnosed_from) == ("2026-10-04", "来源系统记录的诊断日期")


def test_two_diagnoses_of_one_code_are_one_with_both_sides() -> None:
    [one] = evidence(("C50.900x001", "左乳腺恶性肿瘤"), ("C50.900x002", "右乳腺恶性肿瘤"))
    assert one.laterality == "3"


def test_two_stated_tumours_of_one_code_stay_two() -> None:
    left, right = evidence(BREAST, tumours=[tumour("C50.9", side="left"), tumour("C50.9", side="right")])
    assert (left.key, right.key) == ("stay:1/C50.9", "stay:1/C50.9/2")
    assert (left.laterality, right.laterality) == ("1", "2")


def test_a_stated_tumour_goes_with_the_diagnosis_of_its_site() -> None:
    """No code of its own: C34.9 is of the site group of C34.1, not of C50.9."""
    found = evidence(BREAST, LUNG, tumours=[tumour("", "C34.3", "8140/3")])
    assert [codes(one) for one in found] == [("C50.9", "8000", "3"), ("C34.3", "8140", "3")]


def test_a_stated_tumour_without_a_diagnosis_is_evidence() -> None:
    [one] = evidence(("I10.x00", ""), tumours=[tumour("", "C16.2", "8140/3")])
    assert (one.key, one.kind, one.path) == ("stay:1/C16.2", "primary", "tumours[0]")


def test_a_benign_tumour_is_evidence_only_where_registries_want_it() -> None:
    assert evidence(tumours=[tumour("", "C50.4", "8010/0")]) == []
    [meningioma] = evidence(tumours=[tumour("", "C70.0", "9530/0")])
    assert codes(meningioma) == ("C70.0", "9530", "0")


def test_pathology_goes_to_the_diagnosis_whose_histology_fits() -> None:
    """9680 is a B-cell lymphoma: it fits C83.3, not the breast."""
    breast, lymphoma = evidence(BREAST, ("C83.300", "弥漫大B细胞淋巴瘤"), pathology=[report("M96800/3")])
    assert (breast.morphology_origin, lymphoma.morphology_origin) == ("derived", "stated")
    assert lymphoma.basis == ("1", "7")


def test_pathology_goes_to_the_site_that_the_histology_has_by_itself() -> None:
    """8500 without a site converts to the breast (SR18b)."""
    lung, breast = evidence(LUNG, BREAST, pathology=[report("M85000/3")])
    assert (lung.morphology, breast.morphology) == ("8000", "8500")


def test_pathology_goes_to_the_organ_that_its_text_names() -> None:
    lung, stomach = evidence(LUNG, ("C16.900", "胃恶性肿瘤"), pathology=[report("M81400/3", "（胃窦）腺癌")])
    assert (lung.morphology, stomach.morphology) == ("8000", "8140")


def test_pathology_that_fits_several_stays_by_itself() -> None:
    lung, stomach, alone = evidence(LUNG, ("C16.900", "胃恶性肿瘤"), pathology=[report("M81400/3", "腺癌")])
    assert (lung.morphology_origin, stomach.morphology_origin) == ("derived", "derived")
    assert (alone.key, alone.kind, codes(alone)) == ("stay:1/M81403", "primary", ("", "8140", "3"))


def test_two_histologies_of_different_groups_are_two_tumours() -> None:
    """Adenocarcinoma (M3) and squamous cell carcinoma (M1) of one lung: S6."""
    one, other = evidence(LUNG, pathology=[report("M81400/3", number="B1"), report("M80700/3", number="B2")])
    assert {one.morphology, other.morphology} == {"8140", "8070"}
    assert (one.key, other.key) == ("stay:1/C34.1", "stay:1/C34.1/2")
    assert (other.topography, other.basis, other.pathology_no) == ("C34.1", ("1", "7"), "B2")


def test_the_biopsy_in_situ_and_the_resection_invasive_are_one() -> None:
    [one] = evidence(BREAST, pathology=[report("M85000/2", number="B1"), report("M85000/3", number="B2")])
    assert (one.morphology, one.behaviour) == ("8500", "3")


def test_histology_of_a_metastasis_is_6_and_tells_the_histology_of_the_primary() -> None:
    [one, nodes] = evidence(LUNG, ("C77.001", "锁骨上淋巴结继发恶性肿瘤"), pathology=[report("M81400/6", "转移性腺癌")])
    assert (one.kind, one.morphology, one.behaviour, one.basis) == ("primary", "8140", "3", ("1", "6"))
    assert (nodes.kind, nodes.morphology) == ("secondary", "")


def test_a_metastasis_without_a_primary_keeps_its_histology() -> None:
    [nodes] = evidence(("C77.001", "锁骨上淋巴结继发恶性肿瘤"), pathology=[report("M81400/6")])
    assert (nodes.kind, nodes.morphology, nodes.behaviour, nodes.basis) == ("secondary", "8140", "6", ("6",))


@pytest.mark.parametrize(
    ("diagnosis", "pathology", "digit"),
    [
        (LUNG, report("M81400/3", "支气管刷片细胞学：腺癌细胞"), "5"),
        (LUNG, report("M81400/3", "腺癌", diagnosis="胸水沉渣包埋涂片"), "5"),
        (LUNG, report("M81400/3", "肺穿刺活检：腺癌"), "7"),
        (LUNG, report("M81400/3", "尸检：肺腺癌"), "8"),
        (("C92.000", "急性髓系白血病"), report("M98610/3", number=""), "5"),
        (("C92.000", "急性髓系白血病"), report("M98610/3", "骨髓活检：急性髓系白血病"), "7"),
    ],
)
def test_basis_of_pathology(diagnosis: tuple[str, str], pathology: Pathology, digit: str) -> None:
    [one] = evidence(diagnosis, pathology=[pathology])
    assert one.basis == ("1", digit)


def test_a_text_without_a_code_is_no_histology_and_no_basis() -> None:
    [one] = evidence(BREAST, pathology=[report("", "浸润性癌")])
    assert (one.morphology_origin, one.basis, one.pathology_name, one.pathology_no) == ("derived", ("1",), "浸润性癌", "B1")


def test_a_frozen_section_is_never_the_diagnosis() -> None:
    [one] = evidence(BREAST, pathology=[report("M85000/3", kind="frozen")])
    assert one.morphology_origin == "derived"


def test_benign_pathology_bears_out_no_malignant_diagnosis() -> None:
    [one] = evidence(BREAST, pathology=[report("M90100/0", "纤维腺瘤")])
    assert (one.morphology, one.basis) == ("8000", ("1",))


def test_suspected_tumours_count_only_when_borne_out() -> None:
    suspected = ("C34.900", "肺恶性肿瘤待排")
    assert evidence(suspected) == []
    [one] = evidence(suspected, pathology=[report("M81400/3")])
    assert one.basis == ("1", "7")
    assert len(evidence(suspected, tumours=[tumour("C34.9", "C34.1")])) == 1


def test_a_name_that_says_metastasis_is_one_whatever_the_code() -> None:
    [one] = evidence(("C34.900", "转移性肺癌"))
    assert (one.kind, one.topography) == ("secondary", "")


def test_recurrence_is_noted_and_its_date_is_not_taken_for_the_first() -> None:
    [one] = evidence(("C50.900", "乳腺癌术后复发"))
    assert one.recurrence
    assert one.diagnosed_from == "入院日期（复发，首次诊断日期不详）"
    [one] = evidence(BREAST, tumours=[tumour("C50.9", course=Coded("", "recurrence"))])
    assert one.recurrence


def test_the_date_is_the_earliest_that_is_stated() -> None:
    diagnoses = Diagnoses(
        Diagnosis(Coded("", "C50.900"), confirmed_on="2026-10-05"), admission=Diagnosis(confirmed_on="2026-10-03")
    )
    [one] = evidence(diagnoses=diagnoses, pathology=[report("M85000/3", reported_on="2026-10-06")])
    assert (one.diagnosed_on, one.diagnosed_from) == ("2026-10-03", "入院后确诊日期")


def test_what_belongs_to_the_only_tumour_is_not_given_to_one_of_two() -> None:
    members: dict[str, Any] = {
        "extras": {"pcode:P687": "6", "pcode:P688": "2"},
        "procedures": Procedures(Procedure(Coded("", "33.2400", "支气管镜下肺活检"))),
        "stages": [Stage("clinical", t=Coded("", "T2"), group=Coded("", "IIA期"))],
    }
    [one] = evidence(LUNG, **members)
    assert (one.basis, one.grade, one.stages) == (("1", "2", "6"), "2", {"tnm_ct": "2", "stage_group": "3"})
    assert all((one.basis, one.grade, one.stages) == (("1",), "", {}) for one in evidence(LUNG, BREAST, **members))


@pytest.mark.parametrize(
    ("word", "role", "digit"),
    [("histology", "primary", "7"), ("histology", "secondary", "6"), ("pathology", "primary", "5"), ("cytology", "primary", "5"),
     ("tumour-marker", "primary", "4"), ("imaging", "primary", "2"), ("clinical", "primary", "1"), ("laboratory", "primary", "")],
)  # fmt: skip
def test_stated_basis(word: str, role: str, digit: str) -> None:
    code = "C78.0" if role == "secondary" else "C34.1"
    [one] = evidence((code, ""), tumours=[tumour(code, basis=Coded("tumour-basis", word), role=role)])
    assert set(one.basis) - {"1"} == {digit} - {"", "1"}


def test_specific_markers_count_only_at_their_site_and_when_raised() -> None:
    afp = Marker(Coded("LOINC", "1834-1", "甲胎蛋白"), "1200", finding=Coded("", "H", "升高"))
    [liver] = evidence(("C22.000", "肝细胞癌"), markers=[afp])
    [lung] = evidence(LUNG, markers=[afp])
    [normal] = evidence(
        ("C22.000", "肝细胞癌"), markers=[Marker(Coded("", "1834-1", "甲胎蛋白"), "3", finding=Coded("", "N", "正常"))]
    )
    assert (liver.basis, lung.basis, normal.basis) == (("1", "4"), ("1",), ("1",))


def test_keys_do_not_depend_on_the_order_of_other_diagnoses() -> None:
    one, other = evidence(BREAST, LUNG), evidence(LUNG, BREAST)
    assert {e.key for e in one} == {e.key for e in other}


@pytest.mark.parametrize(
    "text",
    [
        "M85000/3",
        "M8500/3",
        "8500/3",
        "85003",
        "M85003",
        "Ｍ８５００／３",
        " m8500/3 ",
        "ICD-O-3: 8500/3",
        "ICD-O:8500/3",
        "8500/32",
    ],
)
def test_spellings_of_a_morphology(text: str) -> None:
    assert parsed(text) == ("8500", "3")


@pytest.mark.parametrize("text", ["", "-", "C50.9", "413448000", "浸润性导管癌", "M45.x00", "8500"])
def test_what_is_no_morphology(text: str) -> None:
    assert parsed(text) == ("", "")


@pytest.mark.parametrize(
    ("name", "said"),
    [("肺癌待排", True), ("疑似胃癌", True), ("肺占位：肺癌可能", True), ("肺恶性肿瘤?", True), ("肺恶性肿瘤", False)],
)
def test_words_of_doubt(name: str, said: bool) -> None:
    assert words.doubtful(name) is said


@pytest.mark.parametrize(
    ("name", "said"),
    [("转移性肝癌", True), ("肝继发恶性肿瘤", True), ("肺癌伴骨转移瘤", False), ("左肺癌骨转移瘤", False), ("原发性肝癌", False),
     ("乳腺恶性肿瘤", False)],
)  # fmt: skip
def test_words_of_metastasis(name: str, said: bool) -> None:
    assert words.secondary(name) is said


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("左乳腺癌", "1"),
        ("右肺上叶癌伴左锁骨上淋巴结转移", "2"),
        ("双侧乳腺癌", "3"),
        ("双肺癌", "3"),
        ("乳腺癌", ""),
        ("左乳及右乳癌", ""),
    ],
)
def test_words_of_side(name: str, side: str) -> None:
    assert words.side(name) == side


@pytest.mark.parametrize(
    ("stage", "fields"),
    [
        (
            Stage("clinical", t=Coded("", "cT1c"), n=Coded("", "cN0"), m=Coded("", "cM0")),
            {"tnm_ct": "1", "tnm_cn": "0", "tnm_cm": "0"},
        ),
        (Stage("pathologic", t=Coded("", "x", "T4b"), n=Coded("", "NX")), {"tnm_pt": "4", "tnm_pn": "9"}),
        (Stage("other", t=Coded("", "pTis")), {"tnm_pt": "5"}),
        (Stage("other", t=Coded("", "T2")), {}),
        (Stage("clinical", m=Coded("", "MX")), {}),
        (Stage("clinical", group=Coded("", "ⅢB期")), {"stage_group": "4"}),
        (Stage("clinical", group=Coded("", "Stage IV")), {"stage_group": "5"}),
        (Stage("clinical", Coded("Rai", "Rai"), group=Coded("", "II")), {}),
        (Stage("clinical", group=Coded("", "2900")), {}),
    ],
)
def test_stages(stage: Stage, fields: dict[str, str]) -> None:
    assert staged([stage]) == fields


def test_the_pathological_stage_goes_before_the_clinical_one() -> None:
    stages = [Stage("clinical", group=Coded("", "II")), Stage("pathologic", group=Coded("", "III"))]
    assert staged(stages) == {"stage_group": "4"}


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (["2026-10-05", "2026-10-03"], "2026-10-03"),
        (["2026-10", "2026-10-03"], "2026-10-03"),
        (["2026", "2026-10-03", "2025-12-31"], "2025-12-31"),
        (["2026-09", "2026-10-03"], "2026-09"),
        (["", "2026-10-03"], "2026-10-03"),
    ],
)
def test_the_earliest_date(dates: list[str], expected: str) -> None:
    found = earliest((day, "") for day in dates)
    assert found is not None
    assert found[0] == expected
    assert earliest([]) is None


def test_secondary_leukaemia_is_no_metastasis() -> None:
    [one] = evidence(("C90.100x002", "继发性浆细胞白血病"))
    assert one.kind == "primary"


def test_invasive_pathology_goes_to_the_invasive_of_two_diagnoses_of_one_breast() -> None:
    in_situ, invasive = evidence(("D05.100", "乳腺导管原位癌"), BREAST, pathology=[report("M85000/3")])
    assert (in_situ.behaviour, invasive.behaviour) == ("2", "3")
    assert (in_situ.morphology_origin, invasive.morphology_origin) == ("derived", "stated")


def test_reports_of_two_metastases_go_to_the_two_metastases() -> None:
    nodes, liver = evidence(
        ("C77.001", ""), ("C78.700", ""), pathology=[report("M81400/6", number="B1"), report("M80700/6", number="B2")]
    )
    assert (nodes.morphology, liver.morphology) == ("8140", "8070")
