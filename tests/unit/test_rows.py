"""Rows of a front sheet as stays and back, and the tolerances of reading."""

from __future__ import annotations

import pytest

from adapters.hqms.header import recognise
from adapters.hqms.rows import RowReader, StayRead
from gateway.model import paths
from gateway.model.errors import FileRefused, RowRefused
from mappings.layout import layout

BASE = {"A48": "000123", "A49": "2", "A13": "2015-03-08", "B15": "2026-10-05 09:30:00"}


def read(cells: dict[str, str]) -> StayRead:
    merged = BASE | cells
    return RowReader(recognise(list(merged))).read(list(merged.values()), "sample.csv#1")


@pytest.mark.parametrize(
    ("written", "kept", "kind"),
    [
        ({"A12C": "1.0"}, {"A12C": "1"}, "dot-zero"),
        ({"C22x01C": "101"}, {"C22x01C": "0101"}, "leading-zero"),
        ({"A13": "2015/3/8"}, {"A13": "2015-03-08"}, "date-form"),
        ({"B12": "2026-10-01 09:30"}, {"B12": "2026-10-01 09:30:00"}, "date-form"),
        ({"A20": "\t990000201503080016"}, {"A20": "990000201503080016"}, "trimmed"),
        ({"A47": "—"}, {"A47": "-"}, "dash"),
    ],
)
def test_certain_damage_is_repaired_and_said(written: dict[str, str], kept: dict[str, str], kind: str) -> None:
    result = read(written)
    (code,) = kept
    assert layout("2020").record(result.stay)[code] == kept[code]
    assert [repair.kind for repair in result.repairs] == [kind]


@pytest.mark.parametrize("written", [{"A13": "2015-02-30"}, {"A12C": "7"}, {"A14": "十岁"}, {"D01": "1.2.3"}])
def test_what_is_no_value_stays_as_it_came(written: dict[str, str]) -> None:
    result = read(written)
    (code,) = written
    field = layout("2020").by_code[code]
    assert paths.get(result.stay, field.path) is None
    assert result.stay.verbatim[field.path] == written[code]
    assert layout("2020").record(result.stay)[code] == written[code]


def test_blank_and_placeholder_stay_distinct() -> None:
    record = layout("2020").record(read({"A47": "-", "A30": ""}).stay)
    assert record["A47"] == "-"
    assert "A30" not in record


def test_headers_in_every_spelling_are_recognised() -> None:
    header = recognise(["a48", "A49住院次数", "出院其他诊断编码2", "C07X02N"])
    assert [f.code if f else None for f in header.fields] == ["A48", "A49", "C06x02C", "C07x02N"]


def test_a_file_without_record_number_is_refused() -> None:
    with pytest.raises(FileRefused, match="病案号"):
        recognise(["A49", "A11", "A13"])


@pytest.mark.parametrize(("cells", "reason"), [(["", "1"], "no-identity"), (["x1"], "width"), (["x1", "一"], "no-identity")])
def test_a_row_without_identity_or_with_shifted_cells_is_refused(cells: list[str], reason: str) -> None:
    with pytest.raises(RowRefused) as refusal:
        RowReader(recognise(["A48", "A49"])).read(cells, "m")
    assert refusal.value.reason == reason


def test_chinese_medicine_codes_change_meaning_on_the_way_in_and_back_on_the_way_out() -> None:
    # TCM: marital status 3 = divorced (general: 4), route 1 = outpatient (general: 2), readmission 1 = yes (general: 2)
    names = ["BAH", "ZYCS", "HY", "RYTJ", "ZZYJH", "QKDJ1", "QKYLB1", "SSJCZBM1"]
    cells = ["7", "1", "3", "1", "1", "2", "1", "54.2101"]
    stay = RowReader(recognise(names)).read(cells, "m").stay
    general = layout("2020").record(stay)
    assert (general["A21C"], general["B11C"], general["B36C"]) == ("4", "2", "2")
    assert general["C21x01C"] == "4"  # RC014: Ⅱ/甲
    assert {name: layout("tcm2019").record(stay)[name] for name in names} == dict(zip(names, cells, strict=True))
