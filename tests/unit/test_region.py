"""Addresses taken apart. Expected parts and codes follow from the addresses themselves and the table of Henan's areas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.region import Place, resolve


@pytest.mark.parametrize(
    ("address", "place"),
    [
        # the example of the training material: the prefecture is added
        ("唐河县滨河街道建设路1号", Place("河南省", "南阳市", "唐河县", "滨河街道", "建设路", "1号", "411328")),
        ("河南省唐河县城郊乡王庄村", Place("河南省", "南阳市", "唐河县", "城郊乡", "王庄村", "", "411328")),
        ("南阳唐河县城郊乡", Place("河南省", "南阳市", "唐河县", "城郊乡", code="411328")),
        ("河南济源市天坛街道", Place("河南省", "济源市", "济源市", "天坛街道", code="419001")),
        # a county-level city inside a prefecture, with an old and a new code (410123, 410181)
        ("河南省郑州市巩义市站街镇", Place("河南省", "郑州市", "巩义市", "站街镇", code="410181")),
        ("河南省　南阳市，唐河县、源潭镇 ", Place("河南省", "南阳市", "唐河县", "源潭镇", code="411328")),
        # 镇 and 乡 inside names of villages and townships
        ("唐河县城关镇镇南村3号", Place("河南省", "南阳市", "唐河县", "城关镇", "镇南村", "3号", "411328")),
        ("河南省新乡市封丘县留光镇", Place("河南省", "新乡市", "封丘县", "留光镇", code="410727")),
        # what is not in the table is taken apart by its words
        ("浙江省云屏市棠溪区和风街道榆荫巷97号", Place("浙江省", "云屏市", "棠溪区", "和风街道", "榆荫巷", "97号")),
        ("河南省柳禾市砚山坪县南窗街道", Place("河南省", "柳禾市", "砚山坪县", "南窗街道")),
        ("北京市朝阳区望京街道", Place("北京市", "北京市", "朝阳区", "望京街道")),
        ("北京市北京市朝阳区望京街道", Place("北京市", "北京市", "朝阳区", "望京街道")),
        ("广西壮族自治区柳州市鱼峰区天马街道", Place("广西壮族自治区", "柳州市", "鱼峰区", "天马街道")),
        ("四川省阿坝藏族羌族自治州汶川县威州镇", Place("四川省", "阿坝藏族羌族自治州", "汶川县", "威州镇")),
    ],
)
def test_an_address_falls_into_its_parts(address: str, place: Place) -> None:
    assert resolve(address) == place
    assert place.to_township


@pytest.mark.parametrize(
    ("address", "missing"),
    [
        ("河南省南阳市唐河县", "town"),
        ("唐河县建设路1号", "town"),
        ("鼓楼区北兴街道", "city"),  # districts of this name lie in several provinces
        ("卧龙区七一街道", "city"),
        ("河南省南阳市", "county"),
        ("", "city"),
    ],
)
def test_what_cannot_be_told_stays_empty(address: str, missing: str) -> None:
    place = resolve(address)
    assert getattr(place, missing) == ""
    assert not place.to_township


def test_a_hospital_may_know_townships_whose_words_are_left_out() -> None:
    assert resolve("唐河县滨河建设路", {"唐河县": ("滨河",)}).town == "滨河"
    assert resolve("社旗县滨河建设路", {"唐河县": ("滨河",)}).town == ""


@given(st.text(alphabet="河南省市县区镇乡街道村路号郑州阳唐鼓楼北京1·， ", max_size=24))
def test_no_part_of_an_address_is_invented(address: str) -> None:
    """Only a prefecture and a province may be added; the rest stands in the text, in its order, to its end."""
    place = resolve(address)
    written = "".join(address.replace("，", "").split())
    assert place.county in written
    assert written.endswith(place.town + place.village + place.house_no)
