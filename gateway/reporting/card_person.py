"""The person on a report card: from the newest sighting that states it, in the codes of T/CHIA 18-2021.

What a stay states in the value sets of the front sheet is recoded by ``mappings/codes/crosswalks/report_card.csv``; which place of a stay feeds
which field is ``mappings/codes/registry/card_from_stay.csv``. Addresses are taken apart (`mappings.region`), each as a whole from one sighting.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.cases.primaries.case import TumourCase
from gateway.model import paths
from gateway.model.card import Card
from gateway.model.stay import Stay
from gateway.model.values import Coded
from gateway.reporting.card_making import Making
from mappings.crosswalk import Crosswalk
from mappings.region import resolve
from mappings.registry.tables import rows

ADDRESSES = {"hukou": "patient.registered_address.text", "residence": "patient.address.text"}
_PARTS = ("region_code", "province", "city", "county", "town", "village", "house_no")
_ONLY_ON_CARDS = ("education", "job_type", "birthplace_region", "contact2_name", "contact2_relation", "contact2_phone")
_MUST_AGREE = {"sex": "性别", "birth_date": "出生日期", "id_no": "身份证件号码"}


def newest_first(case: TumourCase) -> list[str]:
    """The keys of the person's sightings, newest first."""
    return [seen.sighting.key for seen in sorted(case.seen, key=lambda seen: (seen.sighting.at, seen.sighting.key), reverse=True)]


def fill(making: Making, case: TumourCase) -> None:
    """Fill the fields that are about the person."""
    keys = newest_first(case)
    stated: dict[str, set[str]] = {field: set() for field in _MUST_AGREE}
    for key in keys:
        for field, value, place, rule in _stated(making, case, key):
            making.put(field, value, f"{key} {place}", rule)
            if field in stated:
                stated[field].add(value)
    for prefix, path in ADDRESSES.items():
        _address(making, case, keys, prefix, path)
    for field, values in stated.items():
        if len(values) > 1:
            making.say(
                "ZB-CARD-CONFLICT",
                (field,),
                "verify",
                f"{_MUST_AGREE[field]}在该病人的不同来源中不一致，报告卡取最近一次所述，请核对",
                f"sources of this person disagree about {field}; the newest is taken",
            )


def _stated(making: Making, case: TumourCase, key: str) -> Iterator[tuple[str, str, str, str]]:
    """What one sighting states: (field, value in the codes of the card, place, rule)."""
    if (stay := case.stays.get(key)) is not None:
        yield from _of_stay(making, stay)
    elif (card := case.cards.get(key)) is not None:
        for field in dict.fromkeys([*(row["field"] for row in rows("card_from_stay")), *_ONLY_ON_CARDS]):
            yield field, getattr(card, field), field, "最近一张报告卡"


def _of_stay(making: Making, stay: Stay) -> Iterator[tuple[str, str, str, str]]:
    for row in rows("card_from_stay"):
        value = paths.get(stay, row["path"])
        if isinstance(value, Coded):
            code = _recoded(value, row["value_set"])
            if not code and value.code:
                making.say(
                    "ZB-CARD-RECODE",
                    (row["field"],),
                    "warning",
                    f"{row['name_zh']}的代码在报告卡的代码表中没有对应，没有填入，请核对",
                    f"the code of {row['field']} has no counterpart on the card",
                )
            yield row["field"], code, row["path"], f"最近一次住院所述，{row['name_zh']}按报告卡代码表换码"
        elif value:
            yield row["field"], str(value), row["path"], "最近一次住院所述"
    if stay.patient.birthplace:
        yield "birthplace_region", resolve(stay.patient.birthplace).code, "patient.birthplace", "出生地按区划表对应"


def _recoded(value: Coded, value_set: str) -> str:
    if value.code is None:
        return ""
    return Crosswalk.load("report_card").translate(value.system, value.code, value_set) or ""


def _address(making: Making, case: TumourCase, keys: list[str], prefix: str, path: str) -> None:
    """One address as a whole, from the newest sighting that states it."""
    for key in keys:
        if (stay := case.stays.get(key)) is not None:
            text = paths.get(stay, path)
            if not text:
                continue
            place = resolve(str(text))
            parts = (place.code, place.province, place.city, place.county, place.town, place.village, place.house_no)
            source, rule = f"{key} {path}", "地址按区划表和地名用字拆分"
        elif (card := case.cards.get(key)) is not None and _has_address(card, prefix):
            parts = tuple(str(getattr(card, f"{prefix}_{part}")) for part in _PARTS)  # type: ignore[assignment]
            source, rule = f"{key} {prefix}_*", "最近一张报告卡"
        else:
            continue
        for part, value in zip(_PARTS, parts, strict=True):
            making.put(f"{prefix}_{part}", value, source, rule)
        return


def _has_address(card: Card, prefix: str) -> bool:
    return any(getattr(card, f"{prefix}_{part}") for part in _PARTS[1:])
