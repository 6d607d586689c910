"""Accessors to decoded JSON: what they find in R4 and R5 shapes, and that odd shapes say nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from adapters.fhir import elements
from adapters.fhir.elements import Identifier, Moment
from adapters.fhir.routes import Route
from gateway.model.values import Coded


def test_codings_of_every_shape() -> None:
    coding = {"system": "http://loinc.org", "code": "21908-9", "display": "Stage"}
    wanted = [Coded("LOINC", "21908-9", "Stage")]
    for shape in (coding, {"coding": [coding]}, {"coding": coding}, [{"coding": [coding]}], {"concept": {"coding": [coding]}}):
        assert elements.codings(shape) == wanted
    for odd in (None, 5, "x", [5], {"coding": 5}, {"coding": [None]}, {"coding": [{"code": 5}]}):
        assert elements.codings(odd) == []


def test_systems_are_named() -> None:
    systems = ("http://hl7.org/fhir/sid/icd-10", "urn:zhibao:RC001", "http://his.example/x", "")
    assert [elements.codings({"system": system, "code": "1"})[0].system for system in systems] == [
        "ICD-10",
        "RC001",
        "http://his.example/x",
        "",
    ]


def test_positive_numbers_are_whole_and_not_too_long() -> None:
    assert [elements.positive(value) for value in (1, "7", "012", 999)] == [1, 7, 12, 999]
    odd = (0, "0", -1, "1.5", Decimal("2.0"), 1000, "0001", "三", "²", "", None, True, [1])
    assert [elements.positive(value) for value in odd] == [None] * len(odd)
    assert elements.positive("1000", 4) == 1000


def test_a_unit_is_what_people_read_before_its_code() -> None:
    assert elements.unit_of({"unit": "毫克", "code": "mg"}) == "毫克"
    assert elements.unit_of({"code": "mg"}) == "mg"
    assert elements.unit_of({"value": 5}) == ""


def test_label_is_text_then_display() -> None:
    assert elements.label({"text": "甲", "coding": [{"code": "1", "display": "乙"}]}) == "甲"
    assert elements.label({"coding": [{"code": "1"}, {"code": "2", "display": "乙"}]}) == "乙"
    assert elements.label({"coding": [{"code": "1"}]}) == ""


@pytest.mark.parametrize(
    ("value", "sides"),
    [
        ({"reference": "Condition/1"}, ({}, {"reference": "Condition/1"})),
        ({"reference": {"reference": "Condition/1"}}, ({}, {"reference": "Condition/1"})),
        ({"concept": {"text": "x"}}, ({"text": "x"}, {})),
        ({"coding": [{"code": "1"}]}, ({"coding": [{"code": "1"}]}, {})),
        ({"identifier": {"value": "1"}}, ({}, {"identifier": {"value": "1"}})),
        ([], ({}, {})),
    ],
)
def test_concept_and_reference(value: Any, sides: Any) -> None:
    assert elements.concept_and_reference(value) == sides


def test_identifiers() -> None:
    listed = [
        {"system": "s:s", "type": {"coding": [{"code": "MR"}]}, "value": " 1 "},
        {"value": 5},
        {"type": {"text": "病案号"}, "value": "2"},
        {"use": "old", "value": "3"},
        {"system": "s:s"},
    ]
    assert list(elements.identifiers(listed)) == [
        ("identifier[0]", Identifier("s:s", ("MR",), "1")),
        ("identifier[1]", Identifier("", (), "5")),
        ("identifier[2]", Identifier("", ("病案号",), "2")),
    ]


def test_numbers_keep_their_digits() -> None:
    numbers: tuple[Any, ...] = (Decimal("6.50"), 6, "6.50", True, None, Decimal("NaN"), Decimal("1E+3"), Decimal("1E+999999"), [])
    assert [elements.number(value) for value in numbers] == ["6.50", "6", "6.50", "", "", "", "1000", "", ""]


def test_when() -> None:
    assert elements.when({"performedDateTime": "2024-03"}, "performed", "occurrence") == Moment("2024-03", "performedDateTime")
    assert elements.when({"occurrencePeriod": {"start": "2024-03-08"}}, "performed", "occurrence") == Moment(
        "2024-03-08", "occurrencePeriod.start"
    )
    assert elements.when({"performedPeriod": {"end": "2024-03-09"}}, "performed") == Moment("2024-03-09", "performedPeriod.end")
    assert elements.when({"authoredOn": "2024-03-09"}, "authoredOn") == Moment("2024-03-09", "authoredOn")
    assert elements.when({"performedDateTime": "soon"}, "performed") == Moment("", "performed")


@pytest.mark.parametrize(
    "written", ["", "soon", "0001-01-01", "9999-12-31", "2024-02-30", "0001-01-01T00:00:00Z", None, 5, ["2024"]]
)
def test_no_moments(written: Any) -> None:
    assert elements.moment(written) == ""


def test_extensions_by_address_or_last_segment() -> None:
    body = {
        "extension": [
            {"url": "http://a.example/StructureDefinition/x", "valueCode": "1"},
            {"url": "urn:zhibao:y", "valueBoolean": False},
            {"url": 5},
        ]
    }
    assert elements.value_of(elements.extension(body, "x")) == "1"
    assert elements.value_of(elements.extension(body, "urn:zhibao:y")) is False
    assert elements.extension(body, "z") == {}
    assert elements.extension({"extension": "x"}, "x") == {}


def test_absent_reason() -> None:
    reason = [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}]
    assert elements.absent_reason({"_birthDate": {"extension": reason}}, "birthDate") == "masked"
    assert elements.absent_reason({"extension": reason}) == "masked"
    assert elements.absent_reason({"birthDate": "2024"}, "birthDate") == ""


class TestRoutes:
    NAMES = {"kind": ["urn:x:kind"]}  # noqa: RUF012

    def _find(self, path: str, body: Any) -> list[tuple[str, Any]]:
        return Route(path, self.NAMES).find(body)

    def test_through_lists_item_by_item_and_to_a_list_as_a_whole(self) -> None:
        body = {"a": [{"b": [1, 2]}, {"c": 3}, {"b": 4}]}
        assert self._find("a.b", body) == [("a[0].b", [1, 2]), ("a[2].b", 4)]
        assert self._find("a.first().b", body) == [("a[0].b", [1, 2])]

    def test_where(self) -> None:
        body = {"t": [{"use": "work", "v": 1}, {"v": 2}]}
        assert self._find("t.where(use='work').v", body) == [("t[0].v", 1)]
        assert self._find("t.where(use='').v", body) == [("t[1].v", 2)]

    def test_choice(self) -> None:
        assert self._find("deceased[x]", {"deceasedBoolean": False}) == [("deceasedBoolean", False)]

    def test_extension(self) -> None:
        body = {"_g": {"extension": [{"url": "urn:x:kind", "valueCode": "1"}]}}
        assert self._find("_g.extension(kind)", body) == [("_g.extension[0]", "1")]

    @pytest.mark.parametrize("path", ["", "a..b", "a b", "a.where(x)"])
    def test_malformed(self, path: str) -> None:
        with pytest.raises(ValueError, match=r".*"):
            Route(path, {})

    @pytest.mark.parametrize("odd", [None, 5, "x", [], [[{"b": 1}]], {"b": None}])
    def test_odd_shapes_say_nothing(self, odd: Any) -> None:
        assert self._find("a.b", {"a": odd}) == []
