"""Layers of provenance: who supplied a value last."""

from __future__ import annotations

import msgspec

from adapters.hqms.header import recognise
from adapters.hqms.rows import RowReader
from gateway.model.provenance import Layer, Provenance

MESSAGE = Layer("file-1#3", "hqms-2020")
LABORATORY = Layer("message-9", "cn-a", {"laboratory.psa": "OBX-5", "pathology[0].morphology.code": "OBX-5"})
CLERK = Layer("person:clerk", "person", {"patient.address.text": "A26"}, "clerk", "2026-11-20T08:00:00+00:00", "平台退回")
LEAD = Layer("person:lead", "person", {"patient.address.text": "A26"}, "lead", "2026-11-21T08:00:00+00:00", "核对病历")


def test_without_layers_nothing_is_known() -> None:
    assert Provenance().origin("patient.name") is None


def test_a_layer_of_a_whole_table_explains_every_path() -> None:
    assert Provenance([MESSAGE]).origin("patient.name") is MESSAGE
    assert Provenance([MESSAGE]).origin("diagnoses.other[39].condition.code") is MESSAGE


def test_a_layer_of_some_values_explains_only_these() -> None:
    assert Provenance([LABORATORY]).origin("laboratory.psa") is LABORATORY
    assert Provenance([LABORATORY]).origin("patient.name") is None
    assert Provenance([Layer("m", "t", {})]).origin("patient.name") is None


def test_the_newest_layer_that_supplied_the_value_wins() -> None:
    layers = Provenance([MESSAGE, LABORATORY, CLERK])
    assert layers.origin("patient.address.text") is CLERK
    assert layers.origin("pathology[0].morphology.code") is LABORATORY
    assert layers.origin("patient.name") is MESSAGE
    assert Provenance([MESSAGE, CLERK, LEAD]).origin("patient.address.text") is LEAD
    newer = Layer("file-2#1", "hqms-2020")
    assert Provenance([MESSAGE, CLERK, newer]).origin("patient.address.text") is newer


def test_a_path_is_compared_as_a_whole() -> None:
    assert Provenance([MESSAGE, CLERK]).origin("patient.address") is MESSAGE
    assert Provenance([MESSAGE, LABORATORY]).origin("pathology[0].morphology") is MESSAGE


def test_layers_survive_being_written() -> None:
    layers = Provenance([MESSAGE, LABORATORY, CLERK])
    assert msgspec.json.decode(msgspec.json.encode(layers), type=Provenance) == layers
    whole, none = Layer("m", "t", None), Layer("m", "t", {})  # "every path" is not "no path"
    kept = msgspec.json.decode(msgspec.json.encode([whole, none]), type=list[Layer])
    assert [layer.fields for layer in kept] == [None, {}]


def test_a_row_makes_one_layer_that_names_file_row_and_table() -> None:
    for names, table in ((["A48", "A49", "F04"], "hqms-2020"), (["BAH", "ZYCS", "RYTJ"], "hqms-tcm2019")):
        stay = RowReader(recognise(names)).read(["0001", "1", ""], "file-1#7").stay
        assert stay.provenance == Provenance([Layer("file-1#7", table)])
