"""Invented people with tumours, seen again and again by several hospitals, with what goes wrong in real records: a resident ID that is missing
or mistyped, a name with one wrong character, a birth date with day and month swapped, an address that is written shorter, a new telephone,
a newcomer at the desk who writes 无名氏. Nobody has these numbers: the area codes begin with 99."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from gateway.model.resident_id import check_character
from gateway.model.stay import Address, Admission, Diagnoses, Diagnosis, Identity, Organisation, Pathology, Patient, Stay
from gateway.model.values import Coded

SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红建国文志海春梅云龙凤金玲辉鹏飞宇佳欣雨晨浩然子涵梓轩若曦思远"
TOWNS = ("城郊乡", "桐河乡", "源潭镇", "张店镇", "龙潭镇", "古城乡", "大河屯镇", "毕店镇", "少拜寺镇", "湖阳镇")
CANCERS = (
    ("C34.101", "M81400/3"), ("C34.300", "M80700/3"), ("C16.900", "M81400/3"), ("C18.700", "M81400/3"), ("C22.000", "M81700/3"),
    ("C50.900", "M85000/3"), ("C53.900", "M80700/3"), ("C73.x00", "M82600/3"), ("C15.400", "M80700/3"), ("C20.x00", "M81400/3"),
    ("C83.300", "M96800/3"), ("C92.000", "M98610/3"), ("C61.x00", "M81400/3"), ("C67.900", "M81200/3"), ("D05.100", "M85000/2"),
)  # fmt: skip
"""Diagnoses with a histology of theirs; all of different site or histology groups but for the pairs that are one organ."""

NO_ID, BAD_ID, BAD_NAME, BAD_BIRTH, NO_NAME = 0.15, 0.01, 0.01, 0.01, 0.001
"""Shares of stays."""


class Somebody:
    """A person as a register of residents would have them, and the tumours that they have."""

    def __init__(self, number: int, rng: Random) -> None:
        self.number = number
        self.name = rng.choice(SURNAMES) + "".join(rng.choice(GIVEN) for _ in range(1 if rng.random() < 0.25 else 2))
        self.born = f"{rng.randint(1930, 2005)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
        self.sex = rng.choice("12")
        first17 = f"99{rng.randint(0, 9999):04d}{self.born.replace('-', '')}{rng.randint(0, 99):02d}{2 - int(self.sex) + 2 * rng.randint(0, 4)}"
        self.id = first17 + check_character(first17)
        self.address = f"河南省南阳市唐河县{rng.choice(TOWNS)}{rng.choice(GIVEN)}{rng.choice(GIVEN)}村{rng.randint(1, 99)}号"
        self.phone = f"13{rng.randint(0, 9)}{rng.randint(0, 99999999):08d}"
        self.cancers = rng.sample(CANCERS, 2 if rng.random() < 0.03 else 1)


def stays(count: int, people: int, seed: int = 1) -> Iterator[tuple[int, Stay]]:
    """(number of the person, stay), in no order of persons."""
    rng = Random(seed)
    crowd = [Somebody(number, rng) for number in range(people)]
    visits = [*crowd, *(rng.choice(crowd) for _ in range(count - people))]
    rng.shuffle(visits)
    for number, somebody in enumerate(visits):
        yield somebody.number, _stay(somebody, number, rng)


def _stay(somebody: Somebody, number: int, rng: Random) -> Stay:
    hospital = rng.randint(0, 4)
    day = f"{rng.randint(2022, 2026)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    code, morphology = rng.choice(somebody.cancers)
    codes = rng.choice([[code], ["Z51.102", code], ["Z51.102"], [code, "C77.300"], ["I10.x00", code]])
    return Stay(
        organisation=Organisation(f"99010{hospital}"),
        record_number=f"{somebody.number:07d}" if rng.random() < 0.5 else f"N{number:07d}",
        patient=Patient(
            name="无名氏" if rng.random() < NO_NAME else _slip(somebody.name, BAD_NAME, GIVEN, rng),
            sex=Coded("RC001", somebody.sex),
            birth_date=_swapped(somebody.born) if rng.random() < BAD_BIRTH else somebody.born,
            identity=Identity(number=None if rng.random() < NO_ID else _slip(somebody.id, BAD_ID, "0123456789", rng)),
            address=Address(
                somebody.address if rng.random() < 0.6 else somebody.address[3:] if rng.random() < 0.8 else None,
                somebody.phone if rng.random() < 0.7 else None,
            ),
        ),
        admission=Admission(time=f"{day}T08:00"),
        diagnoses=Diagnoses(_diagnosis(codes[0]), [_diagnosis(other) for other in codes[1:]]),
        pathology=[Pathology(Coded("ICDO-M-GB-CLIN-2.0", morphology), f"B{number}")]
        if rng.random() < 0.4 and code in codes
        else [],
    )


def _diagnosis(code: str) -> Diagnosis:
    return Diagnosis(Coded("ICD10-GB-CLIN-2.0", code))


def _slip(text: str, share: float, characters: str, rng: Random) -> str:
    if rng.random() >= share:
        return text
    place = rng.randrange(1, len(text))
    return text[:place] + rng.choice(characters) + text[place + 1 :]


def _swapped(day: str) -> str:
    return day[:5] + day[8:] + "-" + day[5:7] if day[8:] <= "12" else day[:9] + str((int(day[9]) + 1) % 10)
