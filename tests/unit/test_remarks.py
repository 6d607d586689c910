"""The table of remarks: every rule that a reader names stands in it, in both languages, and none stands there in vain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.model.facts import Remark
from mappings.remarks import Standard, remark, rules

PROJECT = Path(__file__).parents[2]
_NAMED = re.compile(r'remark(?:ed)?\(\s*"([a-z-]+)"')
_STANDARDS: tuple[Standard, ...] = ("hl7v2", "fhir")


def _source_of(standard: Standard) -> str:
    """The modules that read the standard; `remarks` itself names no rule."""
    modules = [*(PROJECT / "adapters" / standard).glob("*.py"), PROJECT / "gateway" / "model" / "resident_id.py"]
    return "\n".join(module.read_text(encoding="utf-8") for module in modules if module.name != "remarks.py")


@pytest.mark.parametrize("standard", _STANDARDS)
def test_every_rule_that_a_reader_names_has_its_texts(standard: Standard) -> None:
    named = set(_NAMED.findall(_source_of(standard)))
    assert len(named) > 15
    assert named <= set(rules(standard))


@pytest.mark.parametrize("standard", _STANDARDS)
def test_every_rule_is_named_by_a_reader(standard: Standard) -> None:
    source = _source_of(standard)
    assert [rule for rule in rules(standard) if f'"{rule}"' not in source] == []


@pytest.mark.parametrize("standard", _STANDARDS)
def test_texts_are_in_both_languages(standard: Standard) -> None:
    for rule in rules(standard).values():
        assert re.search(r"[\u4e00-\u9fff]", rule.chinese), rule.rule
        assert rule.english.isascii(), rule.rule
        assert rule.english, rule.rule


def test_the_row_of_a_standard_counts_before_the_one_of_all() -> None:
    english = "an address without its kind: not used; set address_kind in the dialect"
    assert remark("fhir", "address-kind", "Patient.address[0]") == Remark(
        "address-kind", "Patient.address[0]", "地址没有注明种类，未采用；请在方言文件中设置 address_kind", english, "info"
    )
    assert "XAD.7" in remark("hl7v2", "address-kind", "PID-11").message


def test_a_rule_of_one_standard_is_none_of_the_other() -> None:
    assert "visit-kind" in rules("fhir")
    assert "visit-kind" not in rules("hl7v2")
