"""Maps whose targets are words of ours: every word means something to the canonical facts."""

from __future__ import annotations

from collections.abc import Collection
from typing import get_args

import pytest

from gateway.model.facts import PATHOLOGY_KINDS, PATHOLOGY_STATUSES, VISIT_KINDS, DiagnosisUse
from mappings.code_map import base_codes
from mappings.diagnosis_uses import USES


@pytest.mark.parametrize("standard", ["", "fhir"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("diagnosis-use", USES),
        ("patient-class", VISIT_KINDS),
        ("report-kind", PATHOLOGY_KINDS),
        ("report-status", PATHOLOGY_STATUSES),
    ],
)
def test_every_target_is_a_word_of_the_facts(standard: str, name: str, words: Collection[str]) -> None:
    """An empty target is a code that says nothing."""
    codes, labels = base_codes(standard)[name]
    targets = {*codes.values(), *labels.values()} - {""}
    assert len(targets) > 1
    assert targets <= set(words)


def test_every_use_of_a_diagnosis_has_a_word() -> None:
    assert {use for use, _ in USES.values()} == set(get_args(DiagnosisUse))
    assert USES["principal"] == ("discharge", 1)
