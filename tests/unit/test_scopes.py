"""Scopes of SMART App Launch in both versions: expected values from its tables, not from the program."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.scopes import ANY, Scope, narrowed, parse_scopes, written
from gateway.model.errors import UnusableInput

ACTIONS = "cruds"


@pytest.mark.parametrize(
    ("text", "kind", "actions"),
    [
        ("system/Patient.rs", "Patient", "rs"),
        ("system/Patient.r", "Patient", "r"),
        ("system/Encounter.cruds", "Encounter", "cruds"),
        ("system/*.cruds", "*", "cruds"),
        ("system/*.cud", "*", "cud"),
        ("system/Observation.read", "Observation", "rs"),
        ("system/Observation.write", "Observation", "cud"),
        ("system/Observation.*", "Observation", "cruds"),
        ("system/*.read", "*", "rs"),
        ("system/*.*", "*", "cruds"),
    ],
)
def test_spellings(text: str, kind: str, actions: str) -> None:
    scope = Scope.parse(text)
    assert (scope.kind, str(scope)) == (kind, text)
    assert "".join(action for action in ACTIONS if scope.allows("Patient" if kind == ANY else kind, action)) == actions  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "system/Patient.",
        "system/Patient",
        "system/Patient.sr",  # not in the order that SMART wants
        "system/Patient.rr",
        "system/Patient.readwrite",
        "system/patient.rs",
        "system/.rs",
        "system/Patient.rs?category=laboratory",  # would be granted wider than asked
        "patient/Patient.rs",
        "user/*.read",
        "openid",
        "launch",
        "system/Patient.rs\n",
        "system/病人.rs",
        " system/Patient.rs",
    ],
)
def test_what_is_no_scope(text: str) -> None:
    with pytest.raises(UnusableInput):
        Scope.parse(text)


def test_what_a_scope_allows() -> None:
    patients, everything = Scope.parse("system/Patient.rs"), Scope.parse("system/*.r")
    assert patients.allows("Patient", "s")
    assert not patients.allows("Patient", "c")
    assert not patients.allows("Encounter", "r")
    assert not patients.allows(ANY, "r")
    assert everything.allows(ANY, "r")
    assert everything.allows("Encounter", "r")
    assert not everything.allows("Encounter", "s")


@pytest.mark.parametrize(
    ("asked", "held", "granted"),
    [
        ("system/Patient.rs", "system/Patient.cruds", "system/Patient.rs"),
        ("system/*.read", "system/*.cruds", "system/*.read"),  # wholly held: as it was asked for
        ("system/*.read", "system/Patient.rs", "system/Patient.rs"),
        ("system/*.cruds", "system/Patient.r system/Encounter.cu", "system/Patient.r system/Encounter.cu"),
        ("system/Patient.cruds", "system/*.rs", "system/Patient.rs"),
        ("system/Patient.cud", "system/Patient.rs", ""),
        ("system/Patient.rs", "system/Encounter.rs", ""),
        ("system/Patient.rs system/Encounter.c", "system/Patient.r", "system/Patient.r"),
    ],
)
def test_narrowing(asked: str, held: str, granted: str) -> None:
    assert written(narrowed(parse_scopes(asked), parse_scopes(held))) == granted


kinds = st.sampled_from(["*", "Patient", "Encounter"])
scopes = st.lists(
    st.builds(
        lambda kind, actions: Scope.parse(f"system/{kind}.{''.join(a for a in ACTIONS if a in actions)}"),
        kinds,
        st.sets(st.sampled_from(ACTIONS), min_size=1),
    ),
    max_size=4,
)


@given(scopes, scopes, st.sampled_from(["*", "Patient", "Encounter", "Condition"]), st.sampled_from(ACTIONS))
def test_what_is_granted_is_exactly_what_is_both_asked_for_and_held(
    asked: list[Scope], held: list[Scope], kind: str, action: str
) -> None:
    def allows(some: tuple[Scope, ...] | list[Scope]) -> bool:
        return any(scope.allows(kind, action) for scope in some)  # type: ignore[arg-type]

    assert allows(narrowed(asked, held)) == (allows(asked) and allows(held))
