"""Invented people of the sample hospital: patients with everything a front sheet asks about them, and the staff.

Nobody here exists. Names are combined at random; the area codes of the identity numbers begin with 99, which no region of China
has; places below the province, employers and postcodes (99....) are made up; telephone numbers begin with 1000, which no mobile
number does. Some given names use characters outside GBK, as real patients do: they need four bytes in GB18030.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from random import Random
from typing import TypeVar

from gateway.model.resident_id import check_character
from gateway.model.values import completed_years

T = TypeVar("T")

SURNAMES = tuple("王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘")
GIVEN_MALE = tuple("伟强磊军洋勇杰涛明超刚平辉鹏华飞鑫波斌宇浩凯俊峰轩泽晨睿博航毅")
GIVEN_FEMALE = tuple("芳娜敏静丽艳娟霞秀玲桂英梅兰婷雪琳颖欣怡涵萱玥彤悦菲瑶璐蕊洁")
GIVEN_EITHER = tuple("子文思雨佳若安清宁希一诺嘉景书云知远乐然")
RARE = ("㛃", "䶮", "𬱖", "㻬", "𬍛", "𫖯", "㵾", "𪩘")

# the provinces of RC036 whose printed name ends in 省 (the places below them are invented)
PROVINCES = (
    ("3", "河北省"), ("4", "山西省"), ("6", "辽宁省"), ("7", "吉林省"), ("8", "黑龙江省"), ("10", "江苏省"), ("11", "浙江省"),
    ("12", "安徽省"), ("14", "江西省"), ("15", "山东省"), ("16", "河南省"), ("17", "湖北省"), ("18", "湖南省"), ("22", "四川省"),
    ("27", "陕西省"),
)  # fmt: skip
CITIES = ("云屏市", "柳禾市", "松岚市", "沙榆市", "青棠市", "霁川市", "望榆市", "澄溪市")
COUNTIES = ("竹汀县", "棠溪区", "岚桥县", "榆坪区", "禾浦县", "霁林区", "杏堤区", "麦屿县", "砚山坪县", "桐荫区")
STREETS = (
    "明光街道望舒路",
    "银杏街道听泉路",
    "长堤街道新禾路",
    "白露镇晴川村",
    "青檀镇松涛村",
    "南窗街道星河路",
    "和风街道榆荫巷",
)
EMPLOYERS = ("晴川机械厂", "望舒电子公司", "禾浦中学", "新榆物流公司", "松岚建筑公司", "霁林税务所", "云屏印刷厂")
RECEIVERS = ("竹汀县人民医院（演示）", "棠溪区康复医院（演示）", "禾浦县中心医院（演示）")
COMMUNITIES = ("明光街道社区卫生服务中心（演示）", "白露镇卫生院（演示）")


def pick(rng: Random, items: Sequence[T]) -> T:
    """One of the items. (Several times faster than ``Random.choice``, which matters at 100,000 stays.)"""
    return items[int(rng.random() * len(items))]


def between(rng: Random, low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return low + int(rng.random() * (high - low + 1))


def resident_id(number: int, born: date, sex: str) -> str:
    """A well-formed identity number that nobody can have: area 99...., birth date, sequence digit that fits the sex.

    Different ``number`` give different results (up to five million people of one birth date).
    """
    area = 990000 + number * 7919 % 10000
    offset = area * 37 % 400
    sequence = (2 * (number // 10000 + offset) + (1 if sex == "1" else 0)) % 1000
    first17 = f"{area:06d}{born:%Y%m%d}{sequence:03d}"
    return first17 + check_character(first17)


def full_name(rng: Random, sex: str) -> str:
    """Surname and given name; about one in eighty has a rare character."""
    given = pick(rng, GIVEN_MALE if sex == "1" else GIVEN_FEMALE)
    if rng.random() < 0.0125:
        given = pick(rng, RARE)
    if rng.random() < 0.7:
        given = pick(rng, GIVEN_EITHER) + given
    return pick(rng, SURNAMES) + given


def telephone(rng: Random) -> str:
    """Eleven digits that no telephone has."""
    return f"1000{between(rng, 0, 9_999_999):07d}"


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient. ``cells`` are the columns that do not change from stay to stay."""

    record_number: str
    born: date
    sex: str
    cells: dict[str, str]


def make_patient(rng: Random, number: int, born: date, sex: str, on: date) -> Patient:
    """An invented patient as the admission office would register them on the day ``on``."""
    age = completed_years(born, on)
    native, province = pick(rng, PROVINCES)
    city, county = pick(rng, CITIES), pick(rng, COUNTIES)
    home = f"{province}{city}{county}{pick(rng, STREETS)}{between(rng, 1, 199)}号"
    registered = home if rng.random() < 0.8 else f"{pick(rng, PROVINCES)[1]}{pick(rng, CITIES)}{pick(rng, COUNTIES)}"
    postcode = f"99{between(rng, 0, 9999):04d}"
    name = full_name(rng, sex)
    newborn = (on - born).days <= 28
    if newborn:
        name = full_name(rng, "2") + ("之子" if sex == "1" else "之女")
    married = age >= 24 and rng.random() < 0.9
    relation, contact = _contact(rng, age, married, name, newborn)
    occupation = _occupation(rng, age)
    employed = occupation in ("11", "13", "17", "21", "24")
    cells = {
        "A48": f"{10_000_000 + number:08d}",
        "A46C": _payment(rng, age),
        "A11": name,
        "A12C": sex,
        "A13": born.isoformat(),
        "A15C": "中国",
        "A21C": "2" if married else ("3" if age > 75 else "1") if age < 24 or age > 75 else pick(rng, ("1", "4")),
        "A38C": occupation,
        "A19C": "1" if rng.random() < 0.93 else pick(rng, ("2", "3", "6", "8", "11", "15")),
        "A20N": "9" if newborn else "1",
        "A20": "-" if newborn else resident_id(number, born, sex),
        "A22": f"{province}{city}{county}",
        "A23C": native,
        "A24": registered,
        "A25C": postcode,
        "A26": home,
        "A27": telephone(rng),
        "A28C": postcode,
        "A29": f"{pick(rng, EMPLOYERS)}，{province}{city}{county}" if employed else "-",
        "A30": telephone(rng) if employed else "-",
        "A31C": postcode if employed else "-",
        "A32": contact,
        "A33C": relation,
        "A34": home,
        "A35": telephone(rng),
        "A47": "-",
    }
    return Patient(cells["A48"], born, sex, cells)


def _contact(rng: Random, age: int, married: bool, name: str, newborn: bool) -> tuple[str, str]:
    if newborn:
        return "5", name[:-2]
    if age < 22:
        return "5", full_name(rng, pick(rng, ("1", "2")))
    if married and rng.random() < 0.6:
        return "1", full_name(rng, pick(rng, ("1", "2")))
    if age >= 45 and rng.random() < 0.85:
        child = pick(rng, ("1", "2"))
        return ("2" if child == "1" else "3"), full_name(rng, child)
    return pick(rng, ("5", "7", "9")) if age < 60 else "7", full_name(rng, "1")


def _occupation(rng: Random, age: int) -> str:
    if age < 6:
        return "90"
    if age < 20:
        return "31"
    if age >= 60:
        return pick(rng, ("80", "80", "27"))
    return pick(rng, ("11", "13", "17", "21", "24", "27", "27", "51", "54", "70"))


def _payment(rng: Random, age: int) -> str:
    if age < 20:
        return pick(rng, ("2.1", "2.1", "2.1", "2.2", "7"))
    return pick(rng, ("1.1", "1.1", "1.1", "1.2", "2.1", "2.1", "2.1", "2.2", "5", "7"))


@dataclass(frozen=True, slots=True)
class Team:
    """The staff of one department as (name, practice certificate code) pairs."""

    director: tuple[str, str]
    chiefs: tuple[tuple[str, str], ...]
    attendings: tuple[tuple[str, str], ...]
    residents: tuple[tuple[str, str], ...]
    nurses: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Staff:
    """Everybody who signs front sheets."""

    teams: dict[str, Team]
    anaesthetists: tuple[str, ...]
    coders: tuple[str, ...]
    controllers: tuple[tuple[str, str], ...]
    everybody: list[tuple[str, str]] = field(default_factory=list)


def make_staff(rng: Random, departments: Sequence[str]) -> Staff:
    """The staff of the departments; certificate codes begin with 99, which no province has, and are all different."""
    everybody: list[tuple[str, str]] = []

    def people(count: int, kind: int) -> tuple[tuple[str, str], ...]:
        found = []
        for _ in range(count):
            found.append((full_name(rng, pick(rng, ("1", "2"))), f"99{kind}99{len(everybody) + 1:010d}"))
            everybody.append(found[-1])
        return tuple(found)

    teams = {d: Team(people(1, 1)[0], people(2, 1), people(4, 1), people(5, 1), people(6, 2)) for d in departments}
    anaesthetists = tuple(name for name, _ in people(8, 1))
    coders = tuple(name for name, _ in people(4, 3))
    controllers = tuple(zip((n for n, _ in people(3, 1)), (n for n, _ in people(3, 2)), strict=True))
    return Staff(teams, anaesthetists, coders, controllers, everybody)
