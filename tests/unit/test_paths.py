"""Single leaves of a stay by path: every path of the 811 columns can be put and got, and nothing else moves."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gateway.model import paths
from gateway.model.stay import Diagnosis, Stay
from gateway.model.values import Coded
from mappings.layout import Field, layout

FIELDS = layout("2020").fields


def value_for(field: Field) -> Any:
    """Some value of the column's type."""
    if field.path.endswith((".condition.code", ".operation.code", ".morphology.code")):
        return "C91.000"
    match field.type:
        case "int":
            return 7
        case "decimal":
            return Decimal("6.50")
        case "date":
            return "2026-10-05"
        case "datetime":
            return "2026-10-05T09:30:00"
        case "code":
            return Coded(field.domain, "1")
        case "code_list":
            return [Coded(field.domain, "0304"), Coded(field.domain, "28")]
        case _:
            return "文字"


def leaves(value: Any, where: str = "") -> dict[str, Any]:
    """Every filled leaf of a stay as it is written, by place; empty objects and lists of empty objects count as nothing."""
    if isinstance(value, dict):
        return {place: leaf for key, item in value.items() for place, leaf in leaves(item, f"{where}.{key}").items()}
    if isinstance(value, list):
        return {place: leaf for n, item in enumerate(value) for place, leaf in leaves(item, f"{where}[{n}]").items()}
    return {where: value}


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.code)
def test_every_path_of_the_front_sheet_can_be_put_and_got(field: Field) -> None:
    stay, value = Stay(), value_for(field)
    assert not paths.get(stay, field.path)
    paths.put(stay, field.path, value)
    assert paths.get(stay, field.path) == value
    written = leaves(msgspec.to_builtins(stay))
    assert all(place.startswith(f".{field.path}") for place in written), written
    assert written
    assert msgspec.json.decode(msgspec.json.encode(stay), type=Stay) == stay
    others = [f for f in FIELDS if f.path != field.path]
    assert all(not paths.get(stay, other.path) for other in others)


def test_all_columns_together_stand_beside_each_other() -> None:
    stay = Stay()
    for field in reversed(FIELDS):
        paths.put(stay, field.path, value_for(field))
    assert all(paths.get(stay, field.path) == value_for(field) for field in FIELDS)
    record = layout("2020").record(stay)
    assert set(record) == set(layout("2020").columns)


def test_code_and_name_of_one_condition_do_not_disturb_each_other() -> None:
    stay = Stay()
    stay.diagnoses.principal.condition = Coded("ICD10", "C91.000", "急性淋巴细胞白血病")
    paths.put(stay, "diagnoses.principal.condition.code", "C92.000")
    assert stay.diagnoses.principal.condition == Coded("ICD10", "C92.000", "急性淋巴细胞白血病")
    paths.put(stay, "diagnoses.principal.condition.display", None)
    assert stay.diagnoses.principal.condition == Coded("ICD10", "C92.000", None)


def test_a_list_grows_to_the_position_that_is_asked_for() -> None:
    stay = Stay()
    paths.put(stay, "diagnoses.other[2].condition.code", "I10.x00")
    assert stay.diagnoses.other == [Diagnosis(), Diagnosis(), Diagnosis(condition=Coded(code="I10.x00"))]
    paths.put(stay, "diagnoses.other[0].condition.code", "E87.600")
    assert len(stay.diagnoses.other) == 3
    assert stay.diagnosis_codes() == ["E87.600", "I10.x00"]


def test_looking_does_not_change() -> None:
    stay = Stay()
    assert paths.get(stay, "diagnoses.other[39].condition.code") is None
    assert paths.get(stay, "pathology[0].morphology.code") is None
    assert stay == Stay()


@pytest.mark.parametrize(
    "path",
    [
        "", "patientt.name", "patient.nickname", "patient.name.first", "diagnoses.principal.condition.colour", ".patient", "patient..name",
        "Patient.name", "diagnoses.other[x].condition.code", "diagnoses.other[-1].condition.code", "diagnoses.other[0", "病案号", "patient name",
        "__class__", "patient.__class__.__name__", "identity", "costs.total.real",
    ],
)  # fmt: skip
def test_an_unknown_path_is_refused_in_chinese(path: str) -> None:
    stay = Stay()
    paths.put(stay, "patient.name", "张测试")
    paths.put(stay, "costs.total", Decimal(1))
    stay.diagnoses.principal.condition = Coded("ICD10", "C91.000")
    before = msgspec.json.encode(stay)
    for do in (lambda: paths.get(stay, path), lambda: paths.put(stay, path, "x")):
        with pytest.raises(paths.UnknownPath, match=r"[一-鿿]"):
            do()
    assert msgspec.json.encode(stay) == before


@pytest.mark.parametrize("path", ["diagnoses.other[0]", "patient[0].name", "record_number[0]"])
def test_a_list_element_as_a_whole_or_an_index_into_no_list_cannot_be_put(path: str) -> None:
    with pytest.raises(paths.UnknownPath):
        paths.put(Stay(), path, "x")


@pytest.mark.parametrize("path", ["patient[0].name", "record_number[0]"])
def test_an_index_into_no_list_cannot_be_got(path: str) -> None:
    stay = Stay(record_number="0001")
    with pytest.raises(paths.UnknownPath):
        paths.get(stay, path)
