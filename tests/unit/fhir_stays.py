"""A hand-made stay that fills every leaf of the model once, with invented people, for the tests of writing and of the round trip."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from adapters.fhir.writing.names import Names
from gateway.model.provenance import Layer, Provenance
from gateway.model.stay import (
    Address,
    Admission,
    Age,
    Allergy,
    Birth,
    Coma,
    ComaDuration,
    Contact,
    Costs,
    Diagnoses,
    Diagnosis,
    Discharge,
    IcuStay,
    Identity,
    Laboratory,
    Marker,
    Medication,
    Nursing,
    Organisation,
    Pathology,
    Patient,
    Procedure,
    Procedures,
    RecordQuality,
    Staff,
    StaffMember,
    Stage,
    Stay,
    Transfusion,
    Tumour,
)
from gateway.model.values import Coded

STAY: Final = "0199aaaa-0000-7000-8000-000000000001"
NAMES: Final = Names(STAY, "4711", 3, datetime(2026, 11, 2, 1, 30, tzinfo=UTC), "https://zhibao.example/fhir")

ICD: Final = "ICD10-GB-CLIN-2.0"
OPERATION: Final = "ICD9CM3-GB-CLIN-3.0"
MORPHOLOGY: Final = "ICDO-M-GB-CLIN-2.0"
BREAST: Final = Coded(ICD, "C50.900", "乳房恶性肿瘤")
THYROID: Final = Coded(ICD, "C73.x00", "甲状腺恶性肿瘤")
BONE: Final = Coded(ICD, "C79.500", "骨继发恶性肿瘤")
TNM: Final = "http://his.example/tnm"
COURSE: Final = "http://terminology.hl7.org/CodeSystem/condition-clinical"


def tumours() -> list[Tumour]:
    """Two primaries and a metastasis; the first is the main diagnosis, the others are tumours beside the diagnoses."""
    return [
        Tumour(
            condition=BREAST,
            role="primary",
            topography=Coded("ICD-O-3", "C50.4", "乳腺上外象限"),
            laterality=Coded("tumour-laterality", "left", "左侧"),
            morphology=Coded("ICD-O-3", "8500/3", "浸润性导管癌"),
            grade=Coded("tumour-grade", "2", "中分化"),
            basis=Coded("tumour-basis", "histology", "组织学"),
            course=Coded(COURSE, "active", "Active"),
            diagnosed_on="2026-10-05",
            size_mm=Decimal("21.50"),
            stages=[
                Stage(
                    kind="clinical",
                    system=Coded("staging-system", "AJCC-8", "AJCC 第八版"),
                    t=Coded(TNM, "cT2", "cT2"),
                    n=Coded(TNM, "cN1", "cN1"),
                    m=Coded(TNM, "cM0", "cM0"),
                    group=Coded(TNM, "IIB", "IIB"),
                    staged_on="2026-10-06",
                ),
                Stage(kind="pathologic", t=Coded(TNM, "pT2", "pT2"), n=Coded(TNM, "pN1a", "pN1a")),
                Stage(kind="pathologic", t=Coded(TNM, "pT1c", "pT1c"), staged_on="2026-10"),
            ],
            markers=[
                Marker(
                    test=Coded("LOINC", "16112-5", "ER"),
                    value="90.0",
                    unit="%",
                    finding=Coded("http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "POS", "Positive"),
                    tested_on="2026-10-09",
                ),
                Marker(test=Coded("LOINC", "48676-1", "HER2"), value="++"),
            ],
        ),
        Tumour(
            condition=THYROID,
            role="primary",
            laterality=Coded("tumour-laterality", "right", "右侧"),
            stages=[
                Stage(kind="other", system=Coded("staging-system", "INSS"), group=Coded("http://his.example/inss", "4S", "4S"))
            ],
            markers=[Marker(test=Coded("LOINC", "2857-1", "TG"), finding=Coded("SNOMED-CT", "10828004", "阳性"))],
        ),
        Tumour(condition=BONE, role="secondary", diagnosed_on="2026"),
    ]


def _diagnosis(code: str, name: str, confirmed_on: str) -> Diagnosis:
    return Diagnosis(
        condition=Coded(ICD, code, name),
        present_on_admission=Coded("RC027", "1"),
        outcome=Coded("RC005", "3"),
        confirmed_on=confirmed_on,
    )


def everything() -> Stay:
    """Every leaf filled."""
    return Stay(
        organisation=Organisation(code="99ORG", name="示范医院"),
        record_number="R-10001",
        admission_number=2,
        patient=Patient(
            name="欧阳试",
            sex=Coded("RC001", "2"),
            birth_date="1970-03",
            nationality="中国",
            marital_status=Coded("RC002", "2"),
            occupation=Coded("RC003", "27"),
            ethnicity=Coded("RC035", "1"),
            identity=Identity(kind=Coded("RC038", "1"), number="99010119700308002X"),
            health_card="HC-77",
            birthplace="某省某市",
            native_province=Coded("RC036", "14"),
            registered_address=Address(text="某市甲区一号", phone="010-990001", postcode="990001"),
            address=Address(text="某市乙区二号", phone="010-990002", postcode="990002"),
            employer=Address(text="某单位", phone="010-990003", postcode="990003"),
            contact=Contact(name="欧阳联", relationship=Coded("RC033", "1"), address="某市丙区三号", phone="010-990004"),
            vital_status=Coded("vital-status", "deceased"),
            death_time="2026-10-20T23:05",
        ),
        age=Age(years=56, days=20),
        payment_method=Coded("RC032", "1.1"),
        admission=Admission(
            time="2026-10-05T09:30",
            route=Coded("RC026", "3"),
            department=Coded("RC023", "0401"),
            ward="普外一病区",
            condition=Coded("RC004", "2"),
            day_surgery=Coded("RC039", "1"),
            newborn_weight=3150,
        ),
        transfers=[Coded("RC023", "03"), Coded("RC023", "0401")],
        discharge=Discharge(
            time="2026-10-20T23:10:05",
            department=Coded("RC023", "0301"),
            ward="呼吸二病区",
            disposition=Coded("RC019", "3"),
            receiving_institution="某社区卫生服务中心",
            autopsy=Coded("RC016", "2"),
            readmission_planned=Coded("RC028", "2"),
            readmission_purpose="复查",
        ),
        length_of_stay=15,
        diagnoses=Diagnoses(
            principal=Diagnosis(
                condition=BREAST,
                present_on_admission=Coded("RC027", "1"),
                outcome=Coded("RC005", "2"),
                confirmed_on="2026-10-05",
            ),
            other=[
                Diagnosis(
                    condition=Coded(ICD, "I10.x00", "高血压"),
                    present_on_admission=Coded("RC027", "1"),
                    outcome=Coded("RC005", "9"),
                    confirmed_on="2026-10-07",
                ),
                Diagnosis(condition=Coded(ICD, "E11.900", "2型糖尿病")),
            ],
            outpatient=_diagnosis("N63.x00", "乳房肿块", "2026-10-01"),
            admission=_diagnosis("N64.500", "乳房其他体征", "2026-10-06"),
            external_cause=_diagnosis("W19.x00", "未特指的跌倒", "2026-09"),
        ),
        pathology=[
            Pathology(
                morphology=Coded(MORPHOLOGY, "M85000/3", "浸润性导管癌"),
                specimen_number="P-1",
                kind="routine",
                status="corrected",
                reported_on="2026-10-12",
                diagnosis="（右乳）浸润性导管癌，Ⅱ级",
            ),
            Pathology(morphology=Coded(MORPHOLOGY, "M80100/6", "转移性癌"), specimen_number="P-2"),
        ],
        tumours=tumours(),
        stages=[
            Stage(
                kind="clinical",
                system=Coded("staging-system", "UICC", "UICC"),
                t=Coded(TNM, "cT1", "cT1"),
                n=Coded(TNM, "cN0", "cN0"),
                m=Coded(TNM, "cM0", "cM0"),
                group=Coded(TNM, "I", "I"),
                staged_on="2026",
            )
        ],
        markers=[
            Marker(
                test=Coded("LOINC", "2039-6", "CEA"),
                value="6.50",
                unit="ng/mL",
                finding=Coded("http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "NEG", "Negative"),
                tested_on="2026-10-08",
            )
        ],
        procedures=Procedures(
            principal=Procedure(
                operation=Coded(OPERATION, "85.4300", "乳房改良根治术"),
                started_at="2026-10-09T08:15",
                level=Coded("RC029", "3"),
                duration_hours=Decimal("2.50"),
                operator="甲医",
                first_assistant="乙医",
                second_assistant="丙医",
                incision_healing=Coded("RC014", "1"),
                anaesthesia=Coded("RC013", "01"),
                asa_grade=Coded("RC024", "2"),
                anaesthetist="丁医",
            ),
            other=[
                Procedure(operation=Coded(OPERATION, "40.2300", "腋淋巴结切除术"), started_at="2026-10-09"),
                Procedure(
                    operation=Coded(OPERATION, "86.0700", "输液港植入"),
                    started_at="2026-10-12T10:00:30",
                    level=Coded("RC029", "1"),
                    duration_hours=Decimal("0.75"),
                    operator="甲医",
                    first_assistant="乙医",
                    second_assistant="戊医",
                    incision_healing=Coded("RC014", "1"),
                    anaesthesia=Coded("RC013", "03"),
                    asa_grade=Coded("RC024", "1"),
                    anaesthetist="己医",
                ),
            ],
        ),
        medications=[
            Medication(
                drug=Coded("http://his.example/drug", "D1", "曲妥珠单抗"),
                dose="440.0",
                unit="mg",
                route=Coded("http://his.example/route", "IV", "静脉滴注"),
                group="G1",
                state="ordered",
                at="2026-10-13T09:00:00",
            ),
            Medication(
                drug=Coded("http://his.example/drug", "D2", "紫杉醇"),
                dose="1-2",
                unit="支",
                route=Coded("http://his.example/route", "IV", "静脉滴注"),
                group="G1",
                state="given",
                at="2026-10-13T09:30:00",
            ),
        ],
        icu_stays=[IcuStay(unit=Coded("RC015", "01"), entered_at="2026-10-10T01:00:00", left_at="2026-10-11T02:00:00")],
        births=[Birth(weight=3200), Birth(weight=2900)],
        allergy=Allergy(present=Coded("RC037", "2"), drugs="青霉素"),
        laboratory=Laboratory(
            hbsag=Coded("RC007", "1"),
            hcv_antibody=Coded("RC007", "2"),
            hiv_antibody=Coded("RC007", "0"),
            abo_group=Coded("RC030", "1"),
            rh_group=Coded("RC031", "2"),
        ),
        staff=Staff(
            **{
                role: StaffMember(name=f"职员{index}", certificate=f"99-{index}")
                for index, role in enumerate(Staff.__struct_fields__, start=1)
            }
        ),
        quality=RecordQuality(grade=Coded("RC011", "1"), physician="质医", nurse="质护", checked_on="2026-10-22"),
        nursing=Nursing(special_class_days=1, first_class_days=2, second_class_days=3, third_class_days=4),
        transfusion=Transfusion(
            reaction=Coded("RC018", "2"),
            red_cells=Decimal("2.0"),
            platelets=Decimal("1"),
            plasma=Decimal("200"),
            whole_blood=Decimal("0"),
            autologous=Decimal("1.50"),
        ),
        coma=Coma(
            before_admission=ComaDuration(days=0, hours=1, minutes=2), after_admission=ComaDuration(days=3, hours=4, minutes=5)
        ),
        ventilation_hours=30,
        costs=Costs(**{name: Decimal(f"{number}.50") for number, name in enumerate(Costs.__struct_fields__, start=100)}),
        verbatim={"patient.contact.name": "-"},
        extras={"pcode:P687": "1"},
        provenance=Provenance(
            [
                Layer("file-1#7", "hqms-2020"),
                Layer("v2:9", "cn-a", {"patient.name": "PID-5", "discharge.time": "PV1-45"}),
                Layer("correction:5", "person", {"patient.sex": ""}, by="coder01", at="2026-11-01T02:03:04", reason="按身份证核对"),
            ]
        ),
    )
