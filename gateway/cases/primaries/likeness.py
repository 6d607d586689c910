"""How far two sightings show one person: by their numbers, else by a score of name, birth date, sex, address and telephone.

Sources: registry reference, multiple-primary rules S0 ("identity number; else name, sex, birth date, address") and its notes on matching
deaths. The points are a product decision: what a person can mistype counts less, what a family shares (address, telephone, birth date of
twins) never makes two people one by itself, and a two-character name, which thousands share, counts less than a longer one.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, Literal

from msgspec import Struct
from rapidfuzz import fuzz
from rapidfuzz.distance import OSA, Levenshtein

from gateway.cases.primaries.case import Step
from gateway.cases.primaries.choices import RegistryChoices
from gateway.cases.primaries.evidence import Sighting
from gateway.model import resident_id

Verdict = Literal["same", "doubtful", "different"]

_NO_NAME: Final = frozenset({"无名氏", "无名", "佚名", "不详", "未知", "无", "未命名", "某某", "患者", "测试"})
_NO_PHONE: Final = frozenset({"13800000000", "13800138000", "13000000000", "13900000000", "12345678", "12345678901"})
_BESIDE_NAME: Final = re.compile(r"[\s·•‧∙・．.]")
_BESIDE_ADDRESS: Final = re.compile(r"^(中华人民共和国|中国)|[\s,，。、;；()（）\-]")
_BESIDE_PHONE: Final = re.compile(r"\D")
_LEAST_PHONE: Final = 7
_FULL_DATE: Final = 10

_SAME_ID: Final = Step("ID", "身份证号相同且校验正确", "equal resident IDs with the right check character")
_REUSED_ID: Final = Step(
    "ID",
    "身份证号相同，但姓名、出生日期和性别都不同，号码可能被借用",
    "equal resident IDs, but name, birth date and sex all differ: the number may have been lent",
)
_OTHER_ID: Final = Step("ID", "身份证号不同", "different resident IDs")
_CLOSE_ID: Final = Step(
    "ID",
    "身份证号只差一两位，姓名、出生日期和性别都相同，可能是录入错误",
    "resident IDs one or two characters apart, with name, birth date and sex equal: may be a slip",
)
_SAME_RECORD: Final = Step("RECORD", "同一机构的病案号相同", "equal record numbers of one institution")
_REUSED_RECORD: Final = Step(
    "RECORD",
    "同一机构的病案号相同，但姓名、出生日期或性别不同",
    "equal record numbers of one institution, but name, birth date or sex differ",
)
_OTHER_RECORD: Final = Step(
    "RECORD",
    "同一机构的病案号相同，但姓名和出生日期都不同，病案号可能被重新使用",
    "equal record numbers of one institution, but name and birth date both differ: the number may have been given anew",
)
_RECORD_AND_IDS: Final = Step(
    "RECORD", "同一机构的病案号和姓名相同，但身份证号不同", "equal record numbers and names, but different resident IDs"
)

_Part = tuple[int, Step]
"""Points, and what they are given for."""

_NAME: Final[dict[str, _Part]] = {
    "equal": (40, Step("NAME", "姓名相同：40分", "equal names: 40")),
    "short": (32, Step("NAME", "姓名相同，但只有两个字，重名多：32分", "equal names of two characters, which many share: 32")),
    "close": (25, Step("NAME", "姓名差一个字：25分，单凭分数不能认定", "names one character apart: 25, never certain by score")),
    "short-close": (
        10,
        Step("NAME", "两个字的姓名差一个字：10分，单凭分数不能认定", "two-character names one apart: 10, never certain"),
    ),
    "other": (-40, Step("NAME", "姓名不同：减40分", "different names: -40")),
    "": (0, Step("NAME", "缺少姓名：0分", "a name is missing: 0")),
}
_BIRTH: Final[dict[str, _Part]] = {
    "equal": (35, Step("BIRTH", "出生日期相同：35分", "equal birth dates: 35")),
    "swapped": (25, Step("BIRTH", "出生日期的月和日颠倒：25分", "day and month of the birth date swapped: 25")),
    "digit": (22, Step("BIRTH", "出生日期差一位：22分", "birth dates one digit apart: 22")),
    "shorter": (
        15,
        Step("BIRTH", "出生日期只写到年或月，写出的部分相同：15分", "birth date known to the month or year only, and agreeing: 15"),
    ),
    "other": (-30, Step("BIRTH", "出生日期不同：减30分", "different birth dates: -30")),
    "": (0, Step("BIRTH", "缺少出生日期：0分", "a birth date is missing: 0")),
}
_SEX: Final[dict[str, _Part]] = {
    "equal": (5, Step("SEX", "性别相同：5分", "equal sex: 5")),
    "other": (-25, Step("SEX", "性别不同：减25分", "different sex: -25")),
    "": (0, Step("SEX", "缺少性别：0分", "sex is missing: 0")),
}
_ADDRESS: Final[dict[str, _Part]] = {
    "equal": (20, Step("ADDRESS", "地址相同或几乎相同：20分", "equal or nearly equal addresses: 20")),
    "close": (12, Step("ADDRESS", "地址相近：12分", "similar addresses: 12")),
    "partly": (5, Step("ADDRESS", "地址部分相同：5分", "partly equal addresses: 5")),
    "other": (0, Step("ADDRESS", "地址不同：0分", "different addresses: 0")),
    "": (0, Step("ADDRESS", "缺少地址：0分", "an address is missing: 0")),
}
_PHONE: Final[dict[str, _Part]] = {
    "equal": (15, Step("PHONE", "电话相同：15分", "equal telephone numbers: 15")),
    "other": (0, Step("PHONE", "电话不同：0分", "different telephone numbers: 0")),
    "": (0, Step("PHONE", "缺少电话：0分", "a telephone number is missing: 0")),
}
_UNSURE_NAMES: Final = ("close", "short-close")


class Who(Struct, frozen=True):
    """A sighting in the form in which it is compared: without what is only a way of writing, and without placeholders."""

    key: str
    at: str
    resident_id: str
    name: str
    sex: str
    birth_date: str
    address: str
    phone: str
    record: str
    """organisation and 病案号; empty where one of them is missing"""

    @classmethod
    def of(cls, sighting: Sighting) -> Who:
        """The comparable form; a birth date or sex that is not stated is taken from the resident ID."""
        number = resident_id.normalised(sighting.resident_id) if sighting.resident_id else ""
        if number and resident_id.verdict(number) != "right":
            number = ""
        name = _BESIDE_NAME.sub("", unicodedata.normalize("NFKC", sighting.name)).upper()
        phone = _BESIDE_PHONE.sub("", unicodedata.normalize("NFKC", sighting.phone))
        phone = phone[2:] if len(phone) == 13 and phone.startswith("86") else phone
        return cls(
            sighting.key,
            sighting.at,
            number,
            "" if name in _NO_NAME else name,
            sighting.sex or (resident_id.sex(number) if number else ""),
            sighting.birth_date or ((resident_id.birth_date(number) or "") if number else ""),
            _BESIDE_ADDRESS.sub("", unicodedata.normalize("NFKC", sighting.address)),
            "" if len(phone) < _LEAST_PHONE or phone in _NO_PHONE or len(set(phone)) == 1 else phone,
            f"{sighting.organisation}\0{sighting.record_number}" if sighting.organisation and sighting.record_number else "",
        )


class Likeness(Struct, frozen=True):
    """What a comparison came to: the verdict, the score of 100 (by a number 100 or 0), and the steps to it. ``rank`` orders the grounds of a
    sure verdict: 0 the resident ID, 1 the record number, 2 the score."""

    verdict: Verdict
    score: int
    rank: int
    grounds: tuple[Step, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """The grounds and, where it was by score, the sum."""
        if self.rank < _BY_SCORE:
            return self.grounds
        total = Step("SCORE", f"合计{self.score}分", f"{self.score} points together")
        return (*self.grounds, total)


_BY_ID, _BY_RECORD, _BY_SCORE = 0, 1, 2


def likeness(a: Who, b: Who, choices: RegistryChoices) -> Likeness:
    """Compare two sightings; symmetric. ``choices`` hold the scores from which two are certainly or doubtfully one."""
    name, birth, sex = _name(a.name, b.name), _birth(a.birth_date, b.birth_date), _alike(a.sex, b.sex)
    if a.resident_id and b.resident_id:
        return _by_id(a, b, name, birth, sex)
    if a.record and a.record == b.record:
        return _by_record(name, birth, sex)
    parts = (_NAME[name], _BIRTH[birth], _SEX[sex], _ADDRESS[_address(a.address, b.address)], _PHONE[_alike(a.phone, b.phone)])
    score = max(0, min(100, sum(points for points, _ in parts)))
    if name in _UNSURE_NAMES:
        score = min(score, choices.certain_score - 1)
    verdict: Verdict = "same" if score >= choices.certain_score else "doubtful" if score >= choices.doubtful_score else "different"
    return Likeness(verdict, score, _BY_SCORE, tuple(step for _, step in parts))


def _by_id(a: Who, b: Who, name: str, birth: str, sex: str) -> Likeness:
    if a.resident_id == b.resident_id:
        if name == birth == sex == "other":
            return Likeness("doubtful", 50, _BY_ID, (_REUSED_ID,))
        return Likeness("same", 100, _BY_ID, (_SAME_ID,))
    equal = name in ("equal", "short") and birth == "equal" and sex == "equal"
    if equal and OSA.distance(a.resident_id, b.resident_id, score_cutoff=2) <= 2:
        return Likeness("doubtful", 80, _BY_ID, (_CLOSE_ID,))
    if a.record and a.record == b.record and name in ("equal", "short"):
        return Likeness("doubtful", 70, _BY_RECORD, (_OTHER_ID, _RECORD_AND_IDS))
    return Likeness("different", 0, _BY_ID, (_OTHER_ID,))


def _by_record(name: str, birth: str, sex: str) -> Likeness:
    if name == "other" and birth == "other":
        return Likeness("different", 0, _BY_RECORD, (_OTHER_RECORD,))
    if "other" in (name, birth, sex):
        return Likeness("doubtful", 60, _BY_RECORD, (_REUSED_RECORD,))
    return Likeness("same", 100, _BY_RECORD, (_SAME_RECORD,))


def _alike(a: str, b: str) -> str:
    return "" if not a or not b else "equal" if a == b else "other"


def _name(a: str, b: str) -> str:
    if not a or not b:
        return ""
    short = min(len(a), len(b)) <= 2
    if a == b:
        return "short" if short else "equal"
    if Levenshtein.distance(a, b, score_cutoff=1) > 1 and sorted(a) != sorted(b):
        return "other"
    return "short-close" if short else "close"


def _birth(a: str, b: str) -> str:
    if not a or not b:
        return ""
    if a == b:
        return "equal" if len(a) == _FULL_DATE else "shorter"
    if len(a) != len(b):
        return "shorter" if a.startswith(b) or b.startswith(a) else "other"
    if a[:5] == b[:5] and a[5:7] == b[8:10] and a[8:10] == b[5:7]:
        return "swapped"
    return "digit" if sum(x != y for x, y in zip(a, b, strict=True)) == 1 else "other"


def _address(a: str, b: str) -> str:
    """Similarity of the shorter text to the best part of the longer, for one hospital writes the province and another does not."""
    if not a or not b:
        return ""
    if a == b:
        return "equal"
    if min(len(a), len(b)) < 4:
        return "other"
    ratio = fuzz.partial_ratio(a, b, score_cutoff=60)
    return "equal" if ratio >= 92 else "close" if ratio >= 78 else "partly" if ratio >= 60 else "other"
