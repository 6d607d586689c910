"""Report cards of arbitrary cases: never an error, every filled field with its origin, the same card for the same case, and a draft for every
platform whose findings hold no value."""

from __future__ import annotations

from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cases.primaries.case import Edit, TumourCase
from gateway.cases.primaries.choices import RegistryChoices
from gateway.cases.primaries.evidence import Evidence, Seen, Sighting
from gateway.model.card import FIELDS, Card
from gateway.model.stay import Address, Discharge, Patient, Stay
from gateway.model.values import Coded
from gateway.reporting.card_drafts import CardDrafter
from gateway.reporting.cards import build
from gateway.reporting.drafts import PlatformChoice
from mappings.profile import platform_ids

CHOICES = RegistryChoices()
DRAFTERS = [CardDrafter(PlatformChoice(id), CHOICES) for id in platform_ids("tumour")]
MARK = "囍"

days = st.sampled_from(["", "2026", "2026-02", "2026-02-30", "2026-05-04", "1899-01-01", "9999-12-31", "garbage"])
codes = st.sampled_from(["", "0", "1", "2", "3", "7", "9", "99", "x"])
topographies = st.sampled_from(["", "C50.9", "C50.4", "C80.9", "C42.1", "C77.0", "C99.9", "?"])
morphologies = st.sampled_from(["", "8000", "8500", "9861", "9590", "0000", "85"])
marked = st.sampled_from(["", MARK, MARK * 60])


@st.composite
def evidence(draw: st.DrawFn, sighting: str) -> Evidence:
    return Evidence(
        f"{sighting}/{draw(st.integers(0, 9))}",
        sighting,
        draw(st.sampled_from(["primary", "secondary", "treatment", "history", "screening"])),
        icd10=draw(st.sampled_from(["", "C50.9", "C92.0", "D05.1", "D46.9", "B21.0", "Z51.1"])),
        name=draw(marked),
        topography=draw(topographies),
        topography_origin=draw(st.sampled_from(["stated", "derived", ""])),
        morphology=draw(morphologies),
        behaviour=draw(codes),
        morphology_origin=draw(st.sampled_from(["stated", "derived", ""])),
        laterality=draw(codes),
        grade=draw(codes),
        basis=tuple(sorted(draw(st.sets(codes)))),
        diagnosed_on=draw(days),
        pathology_name=draw(marked),
        recurrence=draw(st.booleans()),
    )


@st.composite
def stays(draw: st.DrawFn) -> Stay:
    coded = st.builds(Coded, st.sampled_from(["RC001", "RC019", "local"]), st.none() | codes, st.none() | marked)
    return Stay(
        patient=Patient(
            name=draw(marked),
            sex=draw(st.none() | coded),
            birth_date=draw(st.none() | days),
            registered_address=Address(draw(st.none() | st.text("省市县区镇村1" + MARK, max_size=12))),
            death_time=draw(st.none() | days),
        ),
        discharge=Discharge(time=draw(st.none() | days), disposition=draw(st.none() | coded)),
    )


@st.composite
def cases(draw: st.DrawFn) -> TumourCase:
    keys = draw(st.lists(st.sampled_from(["stay:1", "stay:2", "card:3", "death:4"]), min_size=1, unique=True))
    found = {key: draw(st.lists(evidence(key), max_size=3)) for key in keys}
    known = {key: draw(stays()) for key in keys if key.startswith("stay:")}
    fields = st.dictionaries(st.sampled_from(FIELDS), codes | days | marked, max_size=8)
    cards = {key: Card(**draw(fields)) for key in keys if key not in known}
    return TumourCase(
        [one for key in keys for one in found[key]],
        [Seen(Sighting(key, at=draw(days)), tuple(found[key])) for key in keys],
        known,
        cards,
        of=draw(st.integers(1, 3)),
        edits=[Edit("chen", "2026-11-25T00:00:00+00:00", "核对", draw(fields)) for _ in range(draw(st.integers(0, 2)))],
        earlier=[Card(**draw(fields)) for _ in range(draw(st.integers(0, 2)))],
    )


@settings(deadline=None)
@given(cases())
def test_any_case_gives_a_card_and_drafts(case: TumourCase) -> None:
    made = build(case, CHOICES, today=date(2026, 11, 25))
    assert set(made.card.record()) <= set(made.origins)
    assert made == build(case, CHOICES, today=date(2026, 11, 25))
    for drafter in DRAFTERS:
        draft = drafter.draft(made, case)
        assert draft.decision.reason
        assert set(draft.record) <= set(drafter.layout.columns)
        assert not any(MARK in finding.message + finding.english for finding in draft.findings)


@settings(deadline=None)
@given(cases(), st.dictionaries(st.sampled_from(FIELDS), codes | days | marked, max_size=8))
def test_what_a_person_says_last_is_what_the_card_says(case: TumourCase, fields: dict[str, str]) -> None:
    case.edits = [*case.edits, Edit("chen", "2026-11-25T01:00:00+00:00", "核对", fields)]
    card = build(case, CHOICES, today=date(2026, 11, 25)).card
    assert {name: getattr(card, name) for name in fields} == fields
