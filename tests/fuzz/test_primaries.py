"""Identity of persons and tumours whatever comes in whatever order: the result does not depend on the order, a person's ``apart`` always holds,
and nothing is lost or counted twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.cases.primaries.choices import RegistryChoices
from gateway.cases.primaries.decisions import Decided, Decision
from gateway.cases.primaries.evidence import Evidence, Seen, Sighting
from gateway.cases.primaries.grouping import group
from gateway.cases.primaries.persons import blocking_keys, compare, link
from gateway.cases.primaries.stays import seen
from gateway.cases.primaries.unions import Unions
from gateway.model.resident_id import check_character
from gateway.model.stay import Admission, Diagnoses, Diagnosis, Pathology, Stay, Tumour
from gateway.model.values import Coded
from mappings.registry.multiple_primary import histology_group

CHOICES = RegistryChoices()
IDS = ["", *(first + check_character(first) for first in ("99010119610304002", "99010119610304004", "99010119720815001"))]

sightings = st.lists(
    st.builds(
        Sighting,
        key=st.sampled_from([f"stay:{n}" for n in range(9)]),
        at=st.sampled_from(["2026-01-01", "2026-02-01"]),
        resident_id=st.sampled_from(IDS),
        name=st.sampled_from(["温如岚", "温茹岚", "石大川", "温岚", "", "无名氏"]),
        sex=st.sampled_from(["1", "2", ""]),
        birth_date=st.sampled_from(["1961-03-04", "1961-04-03", "1972-08-15", "1961", ""]),
        address=st.sampled_from(["", "唐河县城郊乡柳树村12号"]),
        phone=st.sampled_from(["", "13712345671", "0"]),
        organisation=st.sampled_from(["990100", "990200"]),
        record_number=st.sampled_from(["", "M1", "M2"]),
    ),
    unique_by=lambda one: one.key,
    max_size=8,
)

ICD = ["C34.1", "C34.9", "C50.900", "D05.100", "C77.001", "C78.700", "C80.x00", "C97.x00", "C92.000", "D46.900", "D35.200", "Z51.102", "Z85.100",
       "Z12.300", "C22.000", "C26.900", "I10.x00", "C45.7", "B21.000", "x"]  # fmt: skip
MORPHOLOGY = [
    "M81400/3",
    "M80700/3",
    "M85000/2",
    "M81400/6",
    "M80000/3",
    "M80100/3",
    "M98610/3",
    "M98230/3",
    "M89990/3",
    "8000/0",
    "",
]

coded = st.builds(Coded, st.just("ICD10"), st.sampled_from(ICD), st.sampled_from(["", "左肺癌待排", "复发", "转移性癌"]))
tumours = st.builds(
    Tumour,
    condition=st.none() | coded,
    role=st.sampled_from([None, "primary", "secondary"]),
    topography=st.none() | st.builds(Coded, st.just("ICD-O-3"), st.sampled_from(["C34.1", "C50.4", "C80.9", "C99.9"])),
    laterality=st.none() | st.builds(Coded, st.just("tumour-laterality"), st.sampled_from(["left", "right", "midline"])),
    morphology=st.none() | st.builds(Coded, st.just("ICD-O-3"), st.sampled_from(MORPHOLOGY)),
    diagnosed_on=st.none() | st.sampled_from(["2024", "2025-03", "2025-03-09"]),
)
stays = st.builds(
    Stay,
    admission=st.builds(Admission, time=st.sampled_from([None, "2025-01-02T08:00", "2026-01-02T08:00"])),
    diagnoses=st.builds(
        Diagnoses, st.builds(Diagnosis, st.none() | coded), st.lists(st.builds(Diagnosis, st.none() | coded), max_size=3)
    ),
    pathology=st.lists(
        st.builds(Pathology, st.builds(Coded, st.just("M"), st.sampled_from(MORPHOLOGY)), st.sampled_from(["B1", "B2"])), max_size=2
    ),
    tumours=st.lists(tumours, max_size=2),
)
persons = st.lists(stays, max_size=5).map(lambda made: [seen(stay, f"stay:{n}") for n, stay in enumerate(made)])


def decided(data: st.DataObject, keys: Sequence[str]) -> list[Decision]:
    if len(keys) < 2:
        return []
    pairs = st.tuples(st.sampled_from(["same", "apart"]), st.sampled_from(keys), st.sampled_from(keys))
    return [Decision(*pair) for pair in data.draw(st.lists(pairs, max_size=4))]  # type: ignore[arg-type]


@given(sightings, st.data())
def test_persons_do_not_depend_on_the_order(found: list[Sighting], data: st.DataObject) -> None:
    decisions = decided(data, [one.key for one in found])
    made = link(found, decisions, CHOICES)
    assert made == link(data.draw(st.permutations(found)), data.draw(st.permutations(decisions)), CHOICES)
    assert sorted(key for person in made.persons for key in person) == sorted(one.key for one in found)
    person_of = {key: number for number, person in enumerate(made.persons) for key in person}
    standing = Decided.among(person_of, decisions)
    assert not any(person_of[left] == person_of[right] for left, right in standing.apart)
    if not standing.apart:
        assert all(person_of[left] == person_of[right] for left, right in standing.same)
    asked = [frozenset((person_of[left], person_of[right])) for left, right, _ in made.questions]
    assert len(set(asked)) == len(asked)
    assert all(len(between) == 2 for between in asked)
    if not decisions:
        for keys in made.persons:
            assert len({one.resident_id for one in found if one.key in keys} - {""}) <= 1


@given(sightings)
def test_comparing_is_symmetric_and_finds_only_what_shares_a_key(found: list[Sighting]) -> None:
    for a, b in combinations(found, 2):
        match = compare(a, b, CHOICES)
        assert match == compare(b, a, CHOICES)
        assert 0 <= match.score <= 100
        if match.verdict == "same":
            assert set(blocking_keys(a)) & set(blocking_keys(b))


@given(
    st.lists(st.sampled_from(["", "x", "y", "z"]), min_size=2, max_size=8),
    st.data(),
)
def test_unions_never_join_what_contradicts_itself(marks: list[str], data: st.DataObject) -> None:
    thing = st.integers(0, len(marks) - 1)
    pairs = data.draw(st.lists(st.tuples(thing, thing).filter(lambda pair: pair[0] != pair[1]), max_size=10))
    apart = data.draw(st.lists(st.tuples(thing, thing).filter(lambda pair: pair[0] != pair[1]), max_size=3))
    unions, again = Unions(marks, apart), Unions(marks, apart)
    left = unions.join(pairs)
    turned = [pair[::-1] if data.draw(st.booleans()) else pair for pair in data.draw(st.permutations(pairs))]
    assert {frozenset(pair) for pair in left} == {frozenset(pair) for pair in again.join(turned)}
    assert unions.groups() == again.groups()
    for members in unions.groups():
        assert len({marks[member] for member in members} - {""}) <= 1
        assert not any(one in members and other in members for one, other in apart)


@given(stays)
def test_any_stay_can_be_seen(stay: Stay) -> None:
    made = seen(stay, "stay:1")
    keys = [one.key for one in made.evidence]
    assert len(set(keys)) == len(keys)
    for one in made.evidence:
        assert one.sighting == "stay:1"
        assert one.basis == tuple(sorted(one.basis_reasons))
        assert (one.topography == "") == (one.topography_origin == "")
        assert one.behaviour not in ("6", "9") or one.kind == "secondary"
        assert one.kind != "primary" or "1" in one.basis


@given(persons, st.sampled_from(["together", "apart"]), st.data())
def test_tumours_do_not_depend_on_the_order(found: list[Seen], in_situ: str, data: st.DataObject) -> None:
    everything: list[Evidence] = [one for each in found for one in each.evidence]
    decisions = decided(data, [one.key for one in everything])
    choices = RegistryChoices(in_situ=in_situ)  # type: ignore[arg-type]
    made = group(found, decisions, choices)
    assert made == group(data.draw(st.permutations(found)), data.draw(st.permutations(decisions)), choices)
    belonging = [one.key for each in made.tumours for one in each.evidence] + [one.evidence.key for one in made.loose]
    assert max(Counter(belonging).values(), default=1) == 1
    assert set(belonging) <= {one.key for one in everything}
    for tumour in made.tumours:
        keys = {one.key for one in tumour.evidence}
        assert not any(left in keys and right in keys for left, right in Decided.among(keys, decisions).apart)
        assert any(one.kind == "primary" for one in tumour.evidence)
        assert tumour.steps
    if not decisions:
        assert {one.key for one in everything if _is_specific(one)} <= set(belonging)


def _is_specific(one: Evidence) -> bool:
    """Whether evidence says for itself which tumour it is: it is in one, or a person sees it."""
    vague = histology_group(one.morphology) in ("M0", "M5", "M14", "M17")
    return one.kind == "primary" and not one.recurrence and not vague


@given(persons)
def test_withdrawing_and_sending_again_changes_nothing(found: list[Seen]) -> None:
    again = [Seen(each.sighting, tuple(replace(one) for one in each.evidence)) for each in found]
    assert group(found, (), CHOICES) == group(again, (), CHOICES)
