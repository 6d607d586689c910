"""What a busy hospital sends: coherent HL7 v2 feeds of invented stays, in the habits of dialect ``cn-a``.

One stay is twelve messages: admission, an update, three laboratory reports, four drugs given, the diagnoses, discharge and the coder's last
word. The feed of many stays is in order of time, so that messages of different patients alternate as they do in life. The same stays give
the same bytes; every control id is different.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random

from conformance.sample.people import CITIES, COUNTIES, STREETS, between, full_name, pick, resident_id

DIALECT = "cn-a"
PER_STAY = 12
_FIRST_DAY = datetime(2026, 10, 1)  # noqa: DTZ001 - the wire has China time without an offset
_DAYS = 20
"""Admissions are spread over that many days."""

_TUMOURS = (
    ("C91.000", "急性淋巴细胞白血病", "9836/3", "前B细胞型急性淋巴细胞白血病"),
    ("C92.000", "急性髓样白血病", "9861/3", "急性髓系白血病"),
    ("C64.x00", "肾恶性肿瘤", "8960/3", "肾母细胞瘤"),
    ("C22.000", "肝细胞癌", "8170/3", "肝细胞癌"),
)
_COMPANIONS = (("D70.x00", "粒细胞缺乏"), ("J18.900", "肺炎"), ("D64.900", "贫血"), ("E87.600", "低钾血症"))
_DRUGS = (
    ("XYP00021", "硫酸长春新碱"),
    ("XYP00034", "注射用环磷酰胺"),
    ("XYP00047", "注射用阿糖胞苷"),
    ("XYP00052", "甲氨蝶呤注射液"),
)
_SCREENING = (("H01", "乙肝表面抗原"), ("H05", "丙型肝炎抗体"), ("H09", "HIV抗体"))
_COUNTS = (
    ("W01", "白细胞计数", "10*9/L", "3.5-9.5"),
    ("W02", "中性粒细胞计数", "10*9/L", "1.8-6.3"),
    ("W03", "淋巴细胞计数", "10*9/L", "1.1-3.2"),
    ("W04", "血红蛋白浓度", "g/L", "115-150"),
    ("W05", "血小板计数", "10*9/L", "125-350"),
    ("W06", "红细胞计数", "10*12/L", "3.8-5.1"),
    ("W07", "红细胞比容", "L/L", "0.35-0.45"),
    ("W08", "平均红细胞体积", "fL", "82-100"),
    ("W09", "C反应蛋白", "mg/L", "0-10"),
    ("W10", "单核细胞计数", "10*9/L", "0.1-0.6"),
    ("W11", "嗜酸性粒细胞计数", "10*9/L", "0.02-0.52"),
)


def feed(stays: int, *, seed: int = 1) -> list[bytes]:
    """The messages of so many stays, `PER_STAY` each, in order of their time."""
    told = [telling for number in range(stays) for telling in _stay(number, seed)]
    told.sort(key=lambda telling: telling[0])
    return [raw for _, raw in told]


def report(number: int = 0) -> bytes:
    """One laboratory report of fifteen segments, about 2 KB; another ``number``, another control id and patient."""
    return next(raw for _, raw in _stay(number, 1) if raw.count(b"\rOBX|") == len(_COUNTS))


def control_id(raw: bytes) -> str:
    """MSH-10 of a message of the ward."""
    return raw.split(b"|", 10)[9].decode()


@dataclass(frozen=True, slots=True)
class _Patient:
    """A patient in this stay: who, in which bed."""

    number: int
    record_number: str
    pid: str
    visit: str
    admitted: datetime


def _stay(number: int, seed: int) -> Iterator[tuple[datetime, bytes]]:
    rng = Random(seed * 1_000_003 + number)
    patient = _admit(rng, number)
    at = patient.admitted
    leaves = at + timedelta(days=between(rng, 3, 10), hours=2)
    code, name, morphology, morphology_name = pick(rng, _TUMOURS)
    companion = pick(rng, _COMPANIONS)
    diagnosed = [
        f"DG1|1|ICD-10|{code}^{name}|{name}|{at:%Y%m%d}|F|||||||||1|||||||||||1",
        f"DG1|2|ICD-10|{companion[0]}^{companion[1]}|||F|||||||||2|||||||||||4",
        f"DG1|3||{morphology}^{morphology_name}|||F",
    ]
    numbers = iter(range(1, PER_STAY + 1))

    def telling(
        kind: str, when: datetime, *segments: str, sender: str = "HIS", left: datetime | None = None
    ) -> tuple[datetime, bytes]:
        head = f"MSH|^~\\&|{sender}||EAI||{when:%Y%m%d%H%M%S}||{kind}|W{number:06d}{next(numbers):02d}|P|2.4|||||CHN|UNICODE UTF-8"
        event = [f"EVN|{kind[4:]}|{when:%Y%m%d%H%M%S}"] if kind.startswith("ADT") else []
        lines = [head, *event, patient.pid, _visit(patient, left), *segments]
        return when, "".join(line + "\r" for line in lines).encode()

    yield telling("ADT^A01", at, f"AL1|1|DA|^{pick(rng, ('青霉素', '头孢类', '无'))}", f"DG1|1||^{name}待查|{name}待查||A")
    yield telling("ADT^A08", at + timedelta(minutes=30))
    for hours, panel in ((3, _screening), (5, _blood_group), (26, _counts)):
        tested = at + timedelta(hours=hours, minutes=number % 60)
        yield telling("OUL^R21", tested, *panel(rng, tested), sender="LIS")
    for dose in range(4):
        given = at + timedelta(hours=30 + 9 * dose, minutes=number % 60)
        yield telling("RAS^O17", given, *_dose(rng, number, dose, given), sender="NIS")
    yield telling("ADT^A08", at + timedelta(hours=60), *diagnosed)
    yield telling("ADT^A03", leaves, *diagnosed, left=leaves)
    yield telling("ADT^A08", leaves + timedelta(hours=20), *diagnosed, left=leaves)


def _admit(rng: Random, number: int) -> _Patient:
    sex = pick(rng, "12")
    child = rng.random() < 0.5
    born = date(2026 - (between(rng, 1, 17) if child else between(rng, 30, 80)), between(rng, 1, 12), between(rng, 1, 28))
    admitted = _FIRST_DAY + timedelta(minutes=between(rng, 0, _DAYS * 24 * 60))
    record, card, id_number = f"ZY{number:06d}", f"C{number:08d}", resident_id(number, born, sex)
    numbers = f"{record}^^^^PatientNO~^^^^Outpatient~{card}^^^^IDCard~{id_number}^^^^IdentifyNO~^^^^UPID"
    city, county = pick(rng, CITIES), pick(rng, COUNTIES)
    home, native = f"{county}{pick(rng, STREETS)}{between(rng, 1, 199)}号", f"{city}{county}"
    pid = (
        f"PID|1|{card}|{numbers}||{full_name(rng, sex)}||{born:%Y%m%d}000000|{'MF'[sex == '2']}|||{home}^^^^990001^^C~{native}^^^^990002^^L||"
        f"1000{number:07d}|||{'S^未婚' if child else 'M^已婚'}||||||1^汉族|{city}|||||156^中国|||||||浙江省{city}|||1^自费"
    )
    return _Patient(number, record, pid, f"{record}-1", admitted)


def _visit(patient: _Patient, left: datetime | None) -> str:
    fields = [""] * 46
    fields[1:4] = "1", "I", f"0305W^^{patient.number % 40 + 1}^0305^小儿血液病专业"
    fields[7], fields[13], fields[14], fields[17], fields[18] = "1024^周安", "1", "2^门诊", "1024", "01 自费"
    fields[19], fields[44] = patient.visit, f"{patient.admitted:%Y%m%d%H%M%S}"
    if left is not None:
        fields[36], fields[45] = "1^医嘱离院", f"{left:%Y%m%d%H%M%S}"
    return "|".join(["PV1", *fields[1:]]).rstrip("|")


def _ordered(code: str, name: str, tested: datetime) -> str:
    return f"OBR|1|R{code}|L{code}|{code}^{name}||||||||||||||||||{tested:%Y%m%d%H%M%S}|||F"


def _screening(rng: Random, tested: datetime) -> list[str]:
    results = [
        f"OBX|{n}|ST|{code}^{name}||{'阳性(+)' if rng.random() < 0.03 else '阴性(-)'}||||||F"
        for n, (code, name) in enumerate(_SCREENING, 1)
    ]
    return [_ordered("ZH01", "输血前检查", tested), *results]


def _blood_group(rng: Random, tested: datetime) -> list[str]:
    return [
        _ordered("ZH02", "血型鉴定", tested),
        f"OBX|1|ST|X01^ABO血型||{pick(rng, ('A型', 'B型', 'O型', 'AB型'))}||||||F",
        "OBX|2|ST|X02^RhD血型||阳性(+)||||||F",
    ]


def _counts(rng: Random, tested: datetime) -> list[str]:
    results = [
        f"OBX|{n}|NM|{code}^{name}^LIS^{code}^全血细胞分析（五分类）^L||{between(rng, 10, 999) / 10}|{unit}|{usual}|"
        f"{pick(rng, 'HLN')}|||F|||{tested:%Y%m%d%H%M%S}||1031^林检验|XN-9000全自动血液分析仪"
        for n, (code, name, unit, usual) in enumerate(_COUNTS, 1)
    ]
    return [_ordered("ZH03", "血常规", tested), *results]


def _dose(rng: Random, number: int, dose: int, given: datetime) -> list[str]:
    code, name = pick(rng, _DRUGS)
    return [
        f"ORC|NW|YZ{number:06d}{dose}||G{dose:02d}|||1.2&mg^&qw",
        f"RXO|{code}^同^d",
        "RXR|12^静脉注射",
        f"RXA|0|1|{given:%Y%m%d%H%M%S}|{given + timedelta(minutes=20):%Y%m%d%H%M%S}|{code}^{name}|1.2|mg|||||||||||||CP",
    ]
