"""Multiple primary or one tumour: the IARC/IACR rules (ICD-O-3) as CanReg5 applies them, steps S1-S8 and S10 of multiple_primary.csv.

`compare` decides for two tumours of one person (S0: the time between them does not matter, nor does behaviour; recurrence, extension and
metastasis are no tumours of their own and are not asked about). The groups of sites (T) and of histologies (M) are the table's. What follows
from a decision (S8: which site and histology to keep) is `merged`; the dates and the basis of diagnosis are not known here.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from mappings.registry.icdo3 import paired, topographies
from mappings.registry.ranges import ranges
from mappings.registry.tables import rows

Result = Literal["duplicate", "multiple-primary", "unknown-site", "invalid"]

UNKNOWN_SITE: Final = "C80.9"
_CARCINOMA: Final = frozenset({"M1", "M2", "M3", "M4", "M5"})
_HAEMATOPOIETIC: Final = frozenset({"M8", "M9", "M10", "M11", "M12", "M13"})
_VAGUE: Final = {"M0": 0, "M17": 1, "M5": 2, "M14": 2}
"""How specific a histology is by its group; all others 3."""
_MALIGNANCY: Final = {"3": 4, "2": 3, "1": 2, "0": 1}


class Neoplasm(Struct, frozen=True, order=True):
    """A tumour as the rules see it: ICD-O-3 site (``C50.4``), four-digit histology (``8500``), behaviour digit (not used to decide)."""

    topography: str
    morphology: str
    behaviour: str = ""

    def __str__(self) -> str:
        return f"{self.topography or '?'} {self.morphology or '?'}{'/' if self.behaviour else ''}{self.behaviour}"


Said = tuple[str, str, str]
"""A step: rule, Chinese, English."""


class Verdict(Struct, frozen=True):
    """What the rules say of two tumours. ``steps`` is every step in order, ``decided_by`` the rule that ended it (``S6``)."""

    result: Result
    decided_by: str
    steps: tuple[Said, ...]


class Merged(Struct, frozen=True):
    """What is kept of two tumours that are one, and why (S8)."""

    kept: Neoplasm
    steps: tuple[Said, ...]


@lru_cache(maxsize=65536)
def compare(a: Neoplasm, b: Neoplasm) -> Verdict:
    """Whether two tumours of one person are one; the same whichever comes first. ``unknown-site``: exactly one has no known site, a person
    decides (S7). ``invalid``: a histology is in no group (S1)."""
    a, b = sorted((a, b))
    group_a, group_b = histology_group(a.morphology), histology_group(b.morphology)
    pair = {group_a, group_b}
    steps: list[Said] = []

    def ends(result: Result, rule: str, said: str, english: str) -> Verdict:
        return Verdict(result, rule, (*steps, (rule, said, english)))

    if a.behaviour != b.behaviour and a.behaviour and b.behaviour:
        steps.append(
            (
                "S0",
                f"行为学 /{a.behaviour} 与 /{b.behaviour} 不同，不影响判断",
                f"behaviours /{a.behaviour} and /{b.behaviour} do not count",
            )
        )
    if "M0" in pair:
        wrong = " ".join(dict.fromkeys(x.morphology or "?" for x, group in ((a, group_a), (b, group_b)) if group == "M0"))
        return ends(
            "invalid", "S1", f"组织学编码 {wrong} 不属于任何组，先更正编码", f"histology {wrong} is in no group: correct it first"
        )
    named = f"{_histology(a, group_a)}与{_histology(b, group_b)}", f"{a.morphology} ({group_a}) and {b.morphology} ({group_b})"
    if "M17" in pair:
        steps.append(("S2", f"{named[0]}：有未特指的肿瘤，只比较部位", f"{named[1]}: unspecified cancer, only the sites count"))
        return _sites(a, b, steps)
    if pair <= _CARCINOMA and "M5" in pair:
        steps.append(
            (
                "S3",
                f"{named[0]}：都是癌且有未特指的癌，只比较部位",
                f"{named[1]}: carcinomas, one unspecified, only the sites count",
            )
        )
        return _sites(a, b, steps)
    if "M14" in pair and pair & _HAEMATOPOIETIC:
        return ends(
            "duplicate",
            "S4",
            f"{named[0]}：一方是未特指的造血淋巴肿瘤，为同一肿瘤，保留较特指的组织学",
            f"{named[1]}: one is unspecified haematopoietic, the same tumour, keep the more specific",
        )
    if group_a == group_b and group_a in _systemic():
        return ends(
            "duplicate",
            "S5",
            f"{named[0]}：同组的系统性肿瘤，一生只记一条",
            f"{named[1]}: one systemic group, one record in a lifetime",
        )
    if group_a != group_b:
        return ends(
            "multiple-primary", "S6", f"{named[0]}：组别不同，为多原发", f"{named[1]}: different groups, multiple primaries"
        )
    steps.append(("S6", f"{named[0]}：同一实体瘤组，比较部位", f"{named[1]}: the same solid group, the sites count"))
    return _sites(a, b, steps)


def _sites(a: Neoplasm, b: Neoplasm, steps: list[Said]) -> Verdict:
    """S7, and S10 where it bears on it."""
    group_a, group_b = site_group(a.topography), site_group(b.topography)
    zh, en = f"部位 {a.topography or '?'} 与 {b.topography or '?'}", f"sites {a.topography or '?'} and {b.topography or '?'}"
    unknown = [group in ("", "C80") for group in (group_a, group_b)]
    result: Result
    if unknown == [True, True] and a.topography == b.topography == UNKNOWN_SITE:
        result, zh, en = "duplicate", f"{zh}：原发部位都未明，为同一肿瘤", f"{en}: both unknown, the same tumour"
    elif any(unknown):
        result, zh, en = "unknown-site", f"{zh}：一方部位未明，需人工判断", f"{en}: one is unknown, a person decides"
    elif group_a == group_b:
        if paired(a.topography) and paired(b.topography):
            steps.append(("S10", f"{zh}：成对器官的两侧算一个部位", f"{en}: both sides of a paired organ are one site"))
        result, zh, en = "duplicate", f"{zh}：同属{_site(group_a)}，为同一肿瘤", f"{en}: both in {group_a}, the same tumour"
    else:
        result, zh, en = (
            "multiple-primary",
            f"{zh}：{_site(group_a)}与{_site(group_b)}，为多原发",
            f"{en}: {group_a} and {group_b}, multiple primaries",
        )
    return Verdict(result, "S7", (*steps, ("S7", zh, en)))


@lru_cache(maxsize=4096)
def site_group(topography: str) -> str:
    """The group of sites: ``T1`` to ``T8``, or the three-character category that is a group of its own (T9, ``C50``); empty for no
    topography."""
    category = topography[:3]
    if category not in {code[:3] for code in topographies()}:
        return ""
    return next((row["id"] for row in _groups("topography_group") if category in ranges(row["codes"])), category)


@lru_cache(maxsize=16384)
def histology_group(morphology: str) -> str:
    """The group of a four-digit histology, ``M1`` to ``M17``; ``M0`` for what is in none. The first row that holds it counts, so that M14 is
    what the others leave of 9590-9999."""
    if not (len(morphology) == 4 and morphology.isdigit()):
        return "M0"
    return next((row["id"] for row in _groups("morphology_group") if morphology in ranges(row["codes"])), "M0")


def more_specific(a: Neoplasm, b: Neoplasm) -> Neoplasm:
    """What to keep of two tumours that are one, ``a`` the earlier; see `merged`."""
    return merged(a, b).kept


def merged(a: Neoplasm, b: Neoplasm, *, same_time: bool = False) -> Merged:
    """S8 for two tumours that are one, ``a`` the earlier. Site: known before unknown, a subsite before an overlapping one before an unspecified
    one; of two alike the earlier, or the group's code where they were found at the same time. Histology: the specific group before an
    unspecified one, in one group the larger code. Behaviour is not in the rules: the more malignant is kept."""
    site, site_zh, site_en = _kept_site(a.topography, b.topography, same_time)
    steps: list[Said] = (
        [] if a.topography == b.topography else [("S8", f"部位保留 {site}：{site_zh}", f"site {site} is kept: {site_en}")]
    )
    older, newer = a.morphology, b.morphology
    kept = max(older, newer, key=lambda code: (_VAGUE.get(histology_group(code), 3), code))
    if older != newer:
        larger = _VAGUE.get(histology_group(older), 3) == _VAGUE.get(histology_group(newer), 3)
        zh, en = ("编码较大者", "the larger code") if larger else ("较特指", "more specific")
        steps.append(("S8", f"组织学保留 {kept}：{zh}", f"histology {kept} is kept: {en}"))
    behaviour = max(a.behaviour, b.behaviour, key=lambda digit: _MALIGNANCY.get(digit, 0))
    if a.behaviour != b.behaviour:
        steps.append(("S8", f"行为学保留 /{behaviour}：恶性程度较高", f"behaviour /{behaviour} is kept: more malignant"))
    return Merged(replace(a, topography=site, morphology=kept, behaviour=behaviour), tuple(steps))


def both_sides(topography: str, left: str, right: str) -> str:
    """S10: the laterality (T/CHIA 1, 2, 3, 9) of two findings that are one tumour of a paired organ: 3 when both sides are involved. Empty when
    the organ is not paired; an unknown side gives way to a known one."""
    if not paired(topography):
        return ""
    known = {side for side in (left, right) if side in ("1", "2", "3")}
    if len(known) > 1:
        return "3"
    return next(iter(known), left or right)


def _kept_site(a: str, b: str, same_time: bool) -> tuple[str, str, str]:
    rank_a, rank_b = _site_rank(a), _site_rank(b)
    if rank_a != rank_b:
        return (a if rank_a > rank_b else b), "较特指", "more specific"
    group = site_group(a)
    if same_time and group and group == site_group(b):
        return _same_time_code(group), "同时发现的同组部位用统一编码", "found at one time: the code of the group"
    return a, "先诊断者", "the earlier one"


def _site_rank(topography: str) -> int:
    """0 none, 1 unknown, 2 unspecified part, 3 overlapping, 4 a part; an organ without parts counts as a part."""
    if topography not in topographies():
        return 0
    if topography == UNKNOWN_SITE:
        return 1
    alone = sum(code[:3] == topography[:3] for code in topographies()) == 1
    return 4 if alone else {"9": 2, "8": 3}.get(topography[4], 4)


def _same_time_code(group: str) -> str:
    return next((row["same_time_code"] for row in _groups("topography_group") if row["id"] == group), f"{group}.9")


def _histology(neoplasm: Neoplasm, group: str) -> str:
    return f"{neoplasm.morphology}（{group} {_name(group)}）"


def _site(group: str) -> str:
    return f"{group} {_name(group)}" if group.startswith("T") else f"{group} 类目"


@cache
def _name(group: str) -> str:
    return next(row["name_zh"] for row in rows("multiple_primary") if row["id"] == group)


@cache
def _systemic() -> frozenset[str]:
    return frozenset(row["id"] for row in _groups("morphology_group") if row["systemic"] == "Y")


@cache
def _groups(row_type: str) -> tuple[dict[str, str], ...]:
    return tuple(row for row in rows("multiple_primary") if row["row_type"] == row_type)
