"""Properties of assembling: order of arrival plays no part, repetition and withdrawal leave no trace, every value has an origin."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gateway.cases.assembly import Assembled, assemble
from gateway.cases.leaves import filled
from gateway.model.facts import (
    DiagnosisFact,
    Fact,
    Facts,
    MedicationFact,
    MovementFact,
    PathologyFact,
    PatientKey,
    ProcedureFact,
    VisitKey,
)
from gateway.model.provenance import Layer, Provenance
from gateway.model.stay import Diagnosis, Pathology, Stay
from gateway.model.values import Coded

IDENTITY = ("99ORG", "R-1", 0)
PATHS = (
    "patient.name",
    "patient.birth_date",
    "patient.address.phone",
    "admission.time",
    "discharge.time",
    "costs.total",
    "age.years",
)
CODED_PATHS = ("patient.sex", "admission.department", "discharge.disposition")

moments = st.builds("2026-03-{:02d}T{:02d}:00:00".format, st.integers(1, 28), st.integers(0, 23))
coded = st.builds(Coded, st.just("X"), st.sampled_from([None, "A1", "B2", "C3", "M98353/3"]), st.sampled_from([None, "甲", "乙"]))
named = coded.filter(lambda value: bool(value.code or value.display))
texts = st.sampled_from(["2026-03-05T09:00:00", "2015-03-08", "12", "6.50", "无效", "", "林测试"])
facts = st.one_of(
    st.builds(Fact, st.sampled_from(PATHS), st.none() | texts, st.just("F-1"), st.booleans()),
    st.builds(Fact, st.sampled_from(CODED_PATHS), st.none() | named, st.just("F-2")),
)
ranks = st.none() | st.integers(1, 3)
actions = st.sampled_from(["", "", "add", "update", "delete"])
keys = st.sampled_from(["", "", "K-1", "K-2"])
uses = st.sampled_from(["discharge", "discharge", "admission", "working", "pathology"])
diagnoses = st.builds(DiagnosisFact, coded, st.just("DG1"), uses, ranks, keys, actions, outcome=st.none() | named)
procedures = st.builds(ProcedureFact, coded, st.just("PR1"), st.none() | moments, ranks, keys, actions)
reports = st.builds(
    PathologyFact,
    st.sampled_from(["", "S-1", "S-2"]),
    st.just("OBR"),
    st.sampled_from(["routine", "routine", "frozen", "supplement"]),
    st.sampled_from(["final", "final", "preliminary", "corrected", "withdrawn"]),
    st.dictionaries(st.sampled_from(["diagnosis", "supplement", "gross"]), st.sampled_from(["文一", "文二"]), max_size=2),
    st.none() | named,
)
drugs = st.builds(
    MedicationFact,
    coded,
    st.just("RXA"),
    st.sampled_from(["", "O-1"]),
    st.sampled_from(["ordered", "given", "cancelled"]),
    at=moments,
)
moves = st.builds(MovementFact, named, st.just("PV1-3"), at=st.none() | moments)
bodies = st.fixed_dictionaries(
    {
        "occurred": moments,
        "trigger": st.sampled_from(["A01", "A02", "A03", "A08", "A08", "A11", "A12", "A13", "A31"]),
        "facts": st.lists(facts, max_size=4),
        "snapshot": st.lists(st.sampled_from(["diagnoses", "procedures"]), unique=True),
        "diagnoses": st.lists(diagnoses, max_size=3),
        "procedures": st.lists(procedures, max_size=2),
        "pathology": st.lists(reports, max_size=1),
        "medications": st.lists(drugs, max_size=2),
        "movements": st.lists(moves, max_size=1),
        "visit": st.builds(VisitKey, admission_number=st.none() | st.integers(1, 3)),
    }
)


def message(id: str, body: dict[str, Any]) -> Facts:
    body = dict(body)
    trigger = body.pop("trigger")
    cancels = {"A11": "A01", "A12": "A02", "A13": "A03"}.get(trigger, "")
    return Facts(message=id, mapping="cn-a", event=f"ADT^{trigger}", patient=PatientKey("R-1"), cancels=cancels, **body)


histories = st.lists(bodies, max_size=8).map(lambda made: [message(f"m{n}", body) for n, body in enumerate(made)])


@st.composite
def front_sheets(draw: st.DrawFn) -> Stay | None:
    if draw(st.booleans()):
        return None
    stay = Stay(record_number="R-1", admission_number=draw(st.integers(1, 2)))
    stay.patient.name, stay.discharge.time = draw(st.none() | st.just("林测试")), draw(st.none() | moments)
    stay.diagnoses.principal = Diagnosis(draw(st.none() | named))
    stay.diagnoses.other = [Diagnosis(each) for each in draw(st.lists(st.none() | named, max_size=3))]
    stay.pathology = [
        Pathology(each, number)
        for each, number in draw(st.lists(st.tuples(st.none() | named, st.sampled_from([None, "S-1"])), max_size=2))
    ]
    if stay.patient.name is None:
        stay.verbatim["patient.name"] = "-"
    stay.provenance.layers.append(Layer("file-1#1", "hqms-2020"))
    return stay


def content(assembled: Assembled) -> bytes:
    return msgspec.json.encode((msgspec.structs.replace(assembled.stay, provenance=Provenance()), assembled.state))


checked = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@checked
@given(histories.flatmap(lambda made: st.tuples(st.just(made), st.permutations(made))), front_sheets(), st.just("") | moments)
def test_the_order_of_arrival_plays_no_part(both: tuple[list[Facts], list[Facts]], sheet: Stay | None, filed_at: str) -> None:
    one, other = both
    assert assemble(IDENTITY, one, sheet, filed_at=filed_at) == assemble(IDENTITY, other, sheet, filed_at=filed_at)


@checked
@given(histories, front_sheets())
def test_what_comes_out_is_a_stay_that_can_be_kept_and_explained(made: list[Facts], sheet: Stay | None) -> None:
    untouched = msgspec.json.encode(sheet)
    assembled = assemble(IDENTITY, made, sheet)
    stay = assembled.stay
    assert msgspec.json.decode(msgspec.json.encode(stay), type=Stay) == stay
    for path, value in filled(stay):
        for side in (path, *(f"{path}.{side}" for side in ("code", "display") if getattr(value, side, None))):
            assert stay.provenance.origin(side) is not None, side
    assert msgspec.json.encode(sheet) == untouched
    for layer in stay.provenance.layers:
        assert layer.fields is None or layer.fields


@checked
@given(histories, st.data())
def test_repeated_messages_change_nothing(made: list[Facts], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(made), max_size=4)) if made else []
    assert assemble(IDENTITY, made + again) == assemble(IDENTITY, made)


@checked
@given(histories)
def test_one_by_one_ends_where_all_at_once_does(made: list[Facts]) -> None:
    known: list[Facts] = []
    assembled = assemble(IDENTITY, known)
    for facts in reversed(made):
        known.insert(0, facts)
        assembled = assemble(IDENTITY, known)
    assert assembled == assemble(IDENTITY, made)


@checked
@given(histories, moments, st.sampled_from(["diagnosis", "procedure", "order", "report", "discharge", "transfer"]))
def test_what_was_added_and_withdrawn_was_never_there(made: list[Facts], moment: str, kind: str) -> None:
    new = Coded("X", "Z9")
    bodies: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "diagnosis": (
            {"diagnoses": [DiagnosisFact(new, "DG1", key="Z9", action="add")]},
            {"diagnoses": [DiagnosisFact(new, "DG1", key="Z9", action="delete")]},
        ),
        "procedure": (
            {"procedures": [ProcedureFact(new, "PR1", key="Z9", action="add")]},
            {"procedures": [ProcedureFact(new, "PR1", key="Z9", action="delete")]},
        ),
        "order": (
            {"medications": [MedicationFact(new, "RXO", "O-9")]},
            {"medications": [MedicationFact(new, "RXO", "O-9", "cancelled")]},
        ),
        "report": (
            {"pathology": [PathologyFact("S-9", "OBR", texts={"diagnosis": "文九"})]},
            {"pathology": [PathologyFact("S-9", "OBR", status="withdrawn")]},
        ),
        "discharge": (
            {"trigger": "A03", "facts": [Fact("discharge.ward", "九病区", "PV1"), Fact("patient.name", "林九", "PID")]},
            {"trigger": "A13"},
        ),
        "transfer": ({"trigger": "A02", "movements": [MovementFact(new, "PV1-3", at=moment)]}, {"trigger": "A12"}),
    }
    if kind in ("discharge", "transfer"):
        trigger = "A03" if kind == "discharge" else "A02"
        made = [facts for facts in made if facts.event != f"ADT^{trigger}" and facts.cancels != trigger]
        if kind == "discharge":  # what others say of the discharge falls with it as well
            made = [facts for facts in made if not any(fact.path.startswith("discharge.") for fact in facts.facts)]
    assume(any(facts.live for facts in made))  # a stay of which nobody speaks is cancelled
    added, withdrawn = (
        message(f"m9{n}", {"trigger": "A08", "occurred": "2026-04-01T00:00:00" if n else moment} | body)
        for n, body in enumerate(bodies[kind])
    )
    assert content(assemble(IDENTITY, [withdrawn, *made, added])) == content(assemble(IDENTITY, made))
