"""Any JSON where a resource should be: findings, never an exception, and never a value of the resource in one."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from conformance.fhir.library import library
from conformance.fhir.second_opinion import second_opinion
from tests.fhir_profiles import findings_of

MARK = "机密"
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.sampled_from([MARK, "2024-03-01", "2023", "male", "#a", "Patient/1", "final"])
)
WORDS = """
    id extension url valueString valueCodeableConcept valueQuantity coding system code value reference type period start end identifier
    contained resourceType entry resource fullUrl section component meta profile use rank
"""
NAMES = st.sampled_from(WORDS.split())
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)

PROFILES = {
    "Patient": ("Patient", "zhibao-patient", "mcode-cancer-patient"),
    "Encounter": ("Encounter", "zhibao-inpatient-encounter"),
    "Condition": ("Condition", "zhibao-primary-cancer", "mcode-primary-cancer-condition", "ccrr-primary-cancer"),
    "Observation": ("Observation", "mcode-tumor-size", "mcode-tnm-stage-group", "mcode-genomic-variant", "zhibao-stage"),
    "Bundle": ("Bundle", "mcode-patient-bundle", "ccrr-reporting-bundle"),
    "Composition": ("Composition", "ccrr-composition"),
}


@given(st.data())
def test_any_body_gives_findings(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(PROFILES)))
    profile = library("R4").profile(data.draw(st.sampled_from(PROFILES[kind])))
    assert profile is not None
    children = st.sampled_from(sorted(child.name.replace("[x]", "String") for child in profile.root.children.values()))
    body: dict[str, Any] = {**data.draw(st.dictionaries(children, ANYTHING, max_size=6)), "resourceType": kind}
    found = [*findings_of(body, profile), *second_opinion(body, "R4")]
    assert not [finding for finding in found if MARK in repr(finding)]
    assert all(finding.message and finding.english for finding in found)
