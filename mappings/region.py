"""Addresses taken apart: province, prefecture, county, township, village, house number, and the code of the division (GB/T 2260).

The Henan registry files cards by the text of the address: it must name the prefecture (唐河县 has to become 南阳市唐河县), and a text that
cannot be resolved to a township goes to the wrong place (registry reference §3). The table of areas (``henan_registry_areacodes.csv``) knows
the prefectures and counties of Henan; elsewhere an address is taken apart by its words only. There is no table of townships: they are
recognised by their words (镇, 乡, 街道 …), or by a list that a hospital brings.

What cannot be told stays empty: nothing is guessed. A district (区) alone does not say its prefecture, because districts of one name lie in
several provinces; a county or county-level city of Henan alone does.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from mappings.registry.tables import rows

HENAN = "河南省"

_MUNICIPALITY = re.compile(r"(北京|天津|上海|重庆)市?(?:市辖区|县(?=.+县))?")
_PROVINCE = re.compile(r"(?:中国)?([^省市县区]{2,4}省|(?:内蒙古|广西壮族|西藏|宁夏回族|新疆维吾尔)自治区|(?:香港|澳门)特别行政区)")
_PREFECTURE = re.compile(r"([^省县区市]{2,10}?(?:市|地区|自治州|盟))")
_COUNTY = re.compile(r"([^省]{1,12}?(?:自治县|自治旗|林区|特区|县|区|旗)|[^省县区市]{2,6}市)")
_TOWNSHIP = re.compile(r"(.{1,14}?(?:街道办事处|地区办事处|街道|办事处|民族乡|镇(?![乡街])|乡(?![镇街])|苏木))")
_NUMBER = re.compile(r"[0-9]")
_BLANKS = re.compile(r"[\s,，、]+")


@dataclass(frozen=True, slots=True)
class Place:
    """An address in its parts, empty where they are not known. ``code`` has six digits (county, else prefecture)."""

    province: str = ""
    city: str = ""
    county: str = ""
    town: str = ""
    village: str = ""
    house_no: str = ""
    code: str = ""

    @property
    def to_township(self) -> bool:
        """Whether prefecture, county and township are known."""
        return bool(self.city and self.county and self.town)


def resolve(address: str, townships: Mapping[str, tuple[str, ...]] | None = None) -> Place:
    """An address in its parts. ``townships`` are those that a hospital knows by name, by county (``{"唐河县": ("滨河",)}``), for
    addresses that leave their words out."""
    rest = _BLANKS.sub("", unicodedata.normalize("NFKC", address))
    place, rest = _upper(rest)
    place, rest = _county(place, rest)
    town, rest = _town(rest, (townships or {}).get(place.county, ()))
    number = _NUMBER.search(rest)
    village, house = (rest[: number.start()], rest[number.start() :]) if number else (rest, "")
    return replace(place, town=town, village=village, house_no=house)


def _upper(rest: str) -> tuple[Place, str]:
    """Province and prefecture, and what is left of the text."""
    if (match := _MUNICIPALITY.match(rest)) is not None and match[0] != match[1]:
        name = f"{match[1]}市"
        return Place(name, name), rest[match.end() :].removeprefix(name)
    province = ""
    if (match := _PROVINCE.match(rest)) is not None:
        province, rest = match[1], rest[match.end() :]
    elif rest.startswith(HENAN[:2]) and _henan(rest[2:]) is not None:
        province, rest = HENAN, rest[2:]
    if province in ("", HENAN) and (found := _henan(rest)) is not None:
        name, written = found
        return Place(HENAN, name, code=_prefectures()[name]), rest[len(written) :]
    if (match := _PREFECTURE.match(rest)) is not None and not (province in ("", HENAN) and match[1] in _counties()):
        return Place(province, match[1]), rest[match.end() :]
    return Place(province), rest


def _henan(rest: str) -> tuple[str, str] | None:
    """The prefecture of Henan that a text begins with, and how it is written: whole, or short before one of its own counties."""
    for name, code in _prefectures().items():
        if rest.startswith(name):
            return name, name
        if (short := name.removesuffix("市")) and rest.startswith(short):
            county = _known_county(rest[len(short) :])
            if county and _counties()[county][:4] == code[:4]:
                return name, short
    return None


def _county(place: Place, rest: str) -> tuple[Place, str]:
    if place.province in ("", HENAN) and (name := _known_county(rest)):
        code = _counties()[name]
        prefecture = next((city for city, own in _prefectures().items() if own[:4] == code[:4]), "")
        if place.city == prefecture or (not place.city and (place.province or not name.endswith("区"))):
            return Place(HENAN, prefecture, name, code=code), rest[len(name) :]
    if (match := _COUNTY.match(rest)) is not None:
        return replace(place, county=match[1]), rest[match.end() :]
    if place.city in _counties():  # 济源市: prefecture and county in one
        return replace(place, county=place.city, code=_counties()[place.city]), rest
    return place, rest


def _town(rest: str, known: tuple[str, ...]) -> tuple[str, str]:
    for name in sorted(known, key=len, reverse=True):
        if rest.startswith(name):
            return name, rest[len(name) :]
    if (match := _TOWNSHIP.match(rest)) is not None:
        return match[1], rest[match.end() :]
    return "", rest


def _known_county(rest: str) -> str:
    return next((name for name in _counties() if rest.startswith(name)), "")


@cache
def _prefectures() -> dict[str, str]:
    return {row["name_zh"]: row["code"] for row in rows("henan_registry_areacodes") if row["kind"] == "prefecture"}


@cache
def _counties() -> dict[str, str]:
    """Code by name, longest names first. Some names have an old and a new code: ``henan_areacodes_current.csv`` says which is the new one."""
    known = {row["name_zh"]: row["code"] for row in rows("henan_registry_areacodes") if row["kind"] == "county level"}
    known.update({row["name_zh"]: row["code"] for row in rows("henan_areacodes_current")})
    return dict(sorted(known.items(), key=lambda item: -len(item[0])))
