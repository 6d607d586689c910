"""The canonical stay as it is written and published."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.hqms.header import recognise
from adapters.hqms.rows import RowReader
from conformance.sample.hospital import generate
from gateway.model.provenance import Layer
from gateway.model.schema import SCHEMA_ID, stay_schema
from gateway.model.stay import Stay
from gateway.model.values import Coded
from mappings.layout import layout

PUBLISHED = Path(__file__).parents[2] / "docs" / "schema" / "stay.schema.json"


@pytest.fixture(scope="module")
def stays() -> list[Stay]:
    """Stays of all kinds of patients, read from front-sheet records."""
    columns = layout("2020").columns
    reader = RowReader(recognise(columns))
    records = islice(generate(400), 0, None, 4)
    return [reader.read(layout("2020").row(record), f"file#{n}").stay for n, record in enumerate(records, start=1)]


def test_the_published_schema_is_the_one_in_the_code() -> None:
    assert PUBLISHED.read_text("utf-8") == stay_schema()
    assert json.loads(stay_schema())["$id"] == SCHEMA_ID


def test_sample_stays_are_what_the_schema_says(stays: list[Stay]) -> None:
    schema = json.loads(PUBLISHED.read_text("utf-8"))
    for stay in stays:
        faults = list(violations(msgspec.to_builtins(stay), schema, schema))
        assert faults == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("admission_number",), "1"),
        (("record_number",), 5),
        (("patient", "birth_date"), "2015/3/8"),
        (("discharge", "time"), "2026-10-05 09:30:00"),
        (("diagnoses", "other"), {}),
        (("verbatim",), {"patient.name": 5}),
    ],
)
def test_the_schema_refuses_what_a_reader_could_not_use(stays: list[Stay], path: tuple[str, ...], value: object) -> None:
    schema = json.loads(PUBLISHED.read_text("utf-8"))
    written: dict[str, Any] = msgspec.to_builtins(stays[0])
    node = written
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    assert list(violations(written, schema, schema))


def violations(value: Any, schema: dict[str, Any], root: dict[str, Any], where: str = "$") -> Any:
    """Where ``value`` is not what ``schema`` says: the part of JSON Schema that msgspec writes. A keyword that is not known here
    fails the test rather than being passed over."""
    schema = dict(schema)
    for note in ("title", "description", "default", "$schema", "$id", "$defs", "format"):
        schema.pop(note, None)
    if "$ref" in schema:
        name = schema.pop("$ref").removeprefix("#/$defs/")
        yield from violations(value, root["$defs"][name], root, where)
    if "anyOf" in schema:
        options = [list(violations(value, option, root, where)) for option in schema.pop("anyOf")]
        if all(options):
            yield from options[-1]
    kind = schema.pop("type", None)
    if kind is not None and not is_a(value, kind):
        yield f"{where} is no {kind}"
        return
    if "pattern" in schema and not re.search(schema.pop("pattern"), value):
        yield f"{where} does not match"
    if isinstance(value, dict):
        members = schema.pop("properties", {})
        yield from (f"{where}.{name} is missing" for name in schema.pop("required", []) if name not in value)
        other = schema.pop("additionalProperties", {})
        for name, item in value.items():
            yield from violations(item, members.get(name, other), root, f"{where}.{name}")
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from violations(item, schema.get("items", {}), root, f"{where}[{number}]")
    for keyword in ("properties", "required", "additionalProperties", "items", "pattern"):
        schema.pop(keyword, None)
    assert not schema, f"{where}: keywords {sorted(schema)}"


def is_a(value: Any, kind: str) -> bool:
    types = {"object": dict, "array": list, "string": str, "integer": int, "null": type(None), "boolean": bool}
    return isinstance(value, types[kind]) and (kind == "boolean" or not isinstance(value, bool))


def test_writing_and_reading_a_stay_keeps_everything(stays: list[Stay]) -> None:
    for stay in stays:
        kept = msgspec.json.decode(msgspec.json.encode(stay), type=Stay)
        assert kept == stay
        assert layout("2020").record(kept) == layout("2020").record(stay)
        assert msgspec.json.encode(kept) == msgspec.json.encode(stay)


@pytest.mark.parametrize("text", ["6.50", "6.5", "0.00", "0", "123456789012345.67", "0.10"])
def test_amounts_keep_their_digits(text: str) -> None:
    stay = Stay()
    stay.costs.total = Decimal(text)
    kept = msgspec.json.decode(msgspec.json.encode(stay), type=Stay)
    assert str(kept.costs.total) == text
    assert layout("2020").record(kept)["D01"] == text


def test_blank_placeholder_and_zero_are_three_things() -> None:
    names = ["A48", "A49", "A47", "A30", "D09", "C28"]
    stay = RowReader(recognise(names)).read(["0001", "1", "-", "", "0.00", "0"], "m").stay
    kept = msgspec.json.decode(msgspec.json.encode(stay), type=Stay)
    assert layout("2020").record(kept) == {"A48": "0001", "A49": "1", "A47": "-", "D09": "0.00", "C28": "0"}
    assert kept.patient.health_card is None
    assert kept.verbatim == {"patient.health_card": "-"}
    assert kept.patient.employer.phone is None


def test_a_stay_with_every_kind_of_content_survives() -> None:
    stay = Stay(record_number="0001", admission_number=2)
    stay.patient.name = "𬱖测试"
    stay.patient.birth_date = "2016"
    stay.transfers = [Coded("RC023", "0304"), Coded("RC023", "28", "重症医学科")]
    stay.verbatim["age.years"] = "十岁\t“”"
    stay.extras["pcode:P687"] = "附加"
    stay.provenance.layers += [Layer("f#1", "hqms-2020"), Layer("person:a", "person", {"age.years": "A14"}, "a", "t", "r")]
    stay.diagnoses.other += [type(stay.diagnoses.principal)() for _ in range(2)]  # printed positions, empty ones included
    stay.diagnoses.other[1].condition = Coded("ICD10", None, "未编码的名称")
    kept = msgspec.json.decode(msgspec.json.encode(stay), type=Stay)
    assert kept == stay
    assert len(kept.diagnoses.other) == 2
    assert kept.identity == ("", "0001", 2)
