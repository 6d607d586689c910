"""One stay out of messages, the front sheet and corrections. Expected values follow the product decisions on HL7, by topic."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from conformance.checks.finding import Finding
from gateway.cases.assembly import SETTINGS, Assembled, assemble
from gateway.cases.corrections import Correction, anchors_of
from gateway.cases.leaves import filled
from gateway.cases.precedence import precedence
from gateway.model.facts import (
    Action,
    DiagnosisFact,
    Fact,
    Facts,
    MedicationFact,
    MovementFact,
    PathologyFact,
    PatientKey,
    ProcedureFact,
    Remark,
    VisitKey,
)
from gateway.model.paths import UnknownPath
from gateway.model.provenance import Layer, Provenance
from gateway.model.stay import Diagnosis, Medication, Pathology, Stay
from gateway.model.values import Coded

IDENTITY = ("99ORG", "R-1", 1)
ICD = "ICD10-GB-CLIN-2.0"
ALL, LYMPHOMA, ANAEMIA, FEVER = (Coded(ICD, code, name) for code, name in (
    ("C91.000", "急性淋巴细胞白血病"), ("C85.900", "非霍奇金淋巴瘤"), ("D64.900", "贫血"), ("R50.900", "发热"),
))  # fmt: skip
MORPHOLOGY = Coded("ICDO-M-GB-CLIN-2.0", "M98353/3", "B细胞急性淋巴细胞白血病")


def at(day: int, hour: int = 8) -> str:
    return f"2026-03-{day:02d}T{hour:02d}:00:00"


def message(id: str, trigger: str, day: int, /, **said: Any) -> Facts:
    """An ADT message on a day of March 2026; ``values`` are plain facts by path."""
    values = said.pop("values", {})
    cancels = {"A11": "A01", "A12": "A02", "A13": "A03"}.get(trigger, "")
    facts = [Fact(path, value, f"SRC-{path}") for path, value in values.items()]
    made = {
        "patient": PatientKey("R-1"),
        "visit": VisitKey("V-1", 1, "inpatient"),
        "facts": facts,
        "cancels": cancels,
        "occurred": at(day, said.pop("hour", 8)),
    }
    return Facts(message=id, mapping=said.pop("mapping", "cn-a"), event=f"ADT^{trigger}", **(made | said))


def report(id: str, day: int, text: str = "", **said: Any) -> Facts:
    stated = PathologyFact(said.pop("number", "S-1"), "OBR-3", texts={"diagnosis": text} if text else {}, **said)
    return Facts(id, "cn-e", "ORU^R01", at(day), PatientKey("R-1"), pathology=[stated])


def diagnosis(condition: Coded, rank: int | None = None, action: Action = "", **said: Any) -> DiagnosisFact:
    return DiagnosisFact(condition, "DG1-3", rank=rank, key=said.pop("key", condition.code or ""), action=action, **said)


def made(*messages: Facts, **more: Any) -> Assembled:
    return assemble(IDENTITY, messages, **more)


def rules(assembled: Assembled) -> list[str]:
    return [finding.rule for finding in assembled.findings]


def content(assembled: Assembled) -> bytes:
    """The stay without its provenance."""
    return msgspec.json.encode(msgspec.structs.replace(assembled.stay, provenance=Provenance()))


def origin(stay: Stay, path: str) -> Layer:
    layer = stay.provenance.origin(path)
    assert layer is not None, f"no origin: {path}"
    return layer


def unexplained(stay: Stay) -> list[str]:
    """Filled leaves without an origin."""
    found = []
    for path, value in filled(stay):
        sides = [path, *(f"{path}.{side}" for side in ("code", "display") if getattr(value, side, None))]
        found += [side for side in sides if stay.provenance.origin(side) is None]
    return found


ADMITTED = message("m1", "A01", 1, values={"patient.name": "林测试", "admission.time": at(1), "patient.sex": Coded("RC001", "1")})
DISCHARGED = message(
    "m9",
    "A03",
    9,
    values={"discharge.time": at(9, 10), "discharge.disposition": Coded("RC019", "1"), "length_of_stay": 8},
    snapshot=["diagnoses"],
    diagnoses=[diagnosis(ALL, 1), diagnosis(ANAEMIA, 2)],
)


class TestPlainFacts:
    def test_the_newest_event_wins_whatever_arrived_last(self) -> None:
        old = message("m3", "A08", 3, values={"patient.address.phone": "111"})
        new = message("m2", "A08", 5, values={"patient.address.phone": "222"})
        for order in ((old, new), (new, old)):
            stay = made(ADMITTED, *order).stay
            assert stay.patient.address.phone == "222"
            layer = origin(stay, "patient.address.phone")
            assert (layer.message, layer.mapping) == ("m2", "cn-a")
            assert (layer.fields or {})["patient.address.phone"] == "SRC-patient.address.phone"

    def test_at_the_same_time_the_ids_count_as_numbers(self) -> None:
        ninth, tenth = (message(f"v2:{n}", "A08", 3, values={"patient.address.phone": str(n)}) for n in (9, 10))
        assert made(tenth, ninth).stay.patient.address.phone == "10"

    def test_what_is_deleted_is_gone_and_what_is_left_out_stays(self) -> None:
        gone = message("m2", "A08", 2, values={"patient.name": None})
        assert made(ADMITTED, gone).stay.patient.name is None
        assert made(ADMITTED, message("m2", "A08", 2)).stay.patient.name == "林测试"

    def test_values_become_what_the_model_wants(self) -> None:
        stay = made(message("m1", "A08", 1, values={"costs.total": "6.50", "ventilation_hours": "12", "length_of_stay": 3})).stay
        assert (stay.costs.total, stay.ventilation_hours, stay.length_of_stay) == (Decimal("6.50"), 12, 3)
        assert str(stay.costs.total) == "6.50"

    @pytest.mark.parametrize(
        ("path", "text"),
        [("costs.total", "六元"), ("costs.total", "NaN"), ("ventilation_hours", "x"), ("patient.birth_date", "2015/3/8")],
    )
    def test_text_that_is_no_value_is_kept_and_said(self, path: str, text: str) -> None:
        assembled = made(message("m1", "A08", 1, values={path: text}))
        assert assembled.stay.verbatim == {path: text}
        assert rules(assembled) == ["ZB-VALUE"]
        assert text not in assembled.findings[0].message
        assert assembled.stay.provenance.origin(path) is not None
        assert msgspec.json.decode(msgspec.json.encode(assembled.stay), type=Stay) == assembled.stay

    def test_sides_of_a_coded_value_may_come_one_by_one(self) -> None:
        code = message("m1", "A01", 1, values={"diagnoses.outpatient.condition.code": "C91.000"})
        name = message("m2", "A08", 2, values={"diagnoses.outpatient.condition.display": "白血病"})
        assert made(name, code).stay.diagnoses.outpatient.condition == Coded("", "C91.000", "白血病")

    def test_a_computed_value_only_fills_and_is_marked(self) -> None:
        computed = message("m5", "A08", 5, facts=[Fact("patient.birth_date", "2015-03-08", "PID-3", derived=True)])
        stay = made(ADMITTED, computed).stay
        assert stay.patient.birth_date == "2015-03-08"
        assert (origin(stay, "patient.birth_date").fields or {})["patient.birth_date"] == "PID-3 (derived)"
        stated = message("m2", "A08", 2, values={"patient.birth_date": "2015-03-09"})
        assert made(ADMITTED, computed, stated).stay.patient.birth_date == "2015-03-09"

    def test_a_path_that_does_not_exist_is_a_mistake_of_set_up(self) -> None:
        for path in (
            "patient.nickname",
            "provenance.layers",
            "diagnoses.other",
            "diagnoses.other[0]",
            "patient",
            "patient.sex.colour",
        ):
            with pytest.raises(UnknownPath, match=r"[一-鿿]"):
                made(message("m1", "A08", 1, values={path: "x"}))

    def test_test_messages_and_repetitions_count_for_nothing(self) -> None:
        training = message("m5", "A08", 5, values={"patient.name": "假人"}, live=False)
        assert content(made(ADMITTED, training, ADMITTED)) == content(made(ADMITTED))


class TestEvents:
    def test_a_late_admission_neither_reopens_nor_recodes(self) -> None:
        again = message(
            "m0",
            "A01",
            20,
            values={"patient.name": "别名", "admission.ward": "三病区"},
            snapshot=["diagnoses"],
            diagnoses=[diagnosis(FEVER, 1)],
        )
        assembled = made(ADMITTED, DISCHARGED, again)
        assert assembled.state == "closed"
        assert assembled.stay.patient.name == "林测试"
        assert assembled.stay.admission.ward == "三病区"  # nobody else said it
        assert assembled.stay.diagnosis_codes() == ["C91.000", "D64.900"]

    def test_a_cancelled_admission_cancels_the_stay_until_it_is_made_again(self) -> None:
        cancelled = message("m5", "A11", 5)
        assert made(ADMITTED, cancelled).cancelled
        assert made(cancelled, DISCHARGED, ADMITTED).cancelled
        assert made(ADMITTED, cancelled, message("m6", "A01", 6)).state == "open"
        assert made(message("z", "A01", 5), message("a", "A11", 5)).cancelled  # at the same second the cancellation is later

    def test_a_cancelled_discharge_takes_its_facts_along(self) -> None:
        update = message("m10", "A08", 10, values={"discharge.time": at(9, 10), "patient.name": "林测试二"})
        cancelled = message("m11", "A13", 11)
        assembled = made(ADMITTED, DISCHARGED, update, cancelled)
        assert assembled.state == "open"
        assert assembled.stay.discharge == Stay().discharge
        assert assembled.stay.length_of_stay is None
        assert assembled.stay.diagnosis_codes() == []
        assert assembled.stay.patient.name == "林测试二"
        again = message("m12", "A03", 12, values={"discharge.time": at(12)})
        closed = made(again, cancelled, DISCHARGED, ADMITTED)
        assert (closed.state, closed.stay.discharge.time, closed.stay.discharge.disposition) == ("closed", at(12), None)

    def test_a_discharge_sent_twice_is_cancelled_once(self) -> None:
        twice = message("m8", "A03", 8, values={"discharge.time": at(8)})
        assert made(ADMITTED, twice, DISCHARGED, message("m11", "A13", 11)).state == "open"

    def test_transfers_stand_in_order_of_time(self) -> None:
        def move(id: str, day: int, code: str, trigger: str = "A02") -> Facts:
            return message(id, trigger, day, movements=[MovementFact(Coded("RC023", code), "PV1-3", at=at(day))])

        admitted = message("m1", "A01", 1, values={"admission.department": Coded("RC023", "03")})
        moves = (move("m2", 2, "03"), move("m5", 5, "19"), move("m3", 3, "04"), move("m4", 4, "04"))
        stay = made(admitted, *moves).stay
        assert [code.code for code in stay.transfers] == ["04", "19"]
        assert [origin(stay, f"transfers[{i}]").message for i in (0, 1)] == ["m3", "m5"]
        assert origin(stay, "transfers").message == "m5"
        undone = made(admitted, *moves, move("m6", 6, "19", "A12")).stay
        assert [code.code for code in undone.transfers] == ["04"]
        sent_again = msgspec.structs.replace(moves[1], message="m5b")
        assert [code.code for code in made(admitted, *moves, sent_again, message("m6", "A12", 6)).stay.transfers] == ["04"]


class TestDiagnoses:
    def test_main_by_rank_others_by_rank_then_first_mention(self) -> None:
        said = [diagnosis(FEVER), diagnosis(ANAEMIA, 3), diagnosis(LYMPHOMA, 2), diagnosis(ALL, 1, confirmed_on="2026-03-02")]
        stay = made(message("m1", "A03", 1, diagnoses=said)).stay
        assert stay.diagnosis_codes() == ["C91.000", "C85.900", "D64.900", "R50.900"]
        assert stay.diagnoses.principal == Diagnosis(ALL, confirmed_on="2026-03-02")

    def test_no_first_is_main(self) -> None:
        assembled = made(message("m1", "A03", 1, diagnoses=[diagnosis(ALL), diagnosis(ANAEMIA)]))
        assert assembled.stay.diagnoses.principal == Diagnosis()
        assert [d.condition for d in assembled.stay.diagnoses.other] == [ALL, ANAEMIA]
        assert rules(assembled) == ["ZB-MAIN"]
        assert "主要诊断" in assembled.findings[0].message

    def test_two_main_ones_are_none_and_the_only_one_is_main(self) -> None:
        assembled = made(message("m1", "A03", 1, diagnoses=[diagnosis(ALL, 1), diagnosis(ANAEMIA, 1)]))
        assert (assembled.stay.diagnoses.principal, rules(assembled)) == (Diagnosis(), ["ZB-MAIN"])
        only = made(message("m1", "A03", 1, diagnoses=[diagnosis(ALL)]))
        assert (only.stay.diagnoses.principal.condition, rules(only)) == (ALL, [])
        assert made(message("m1", "A03", 1, diagnoses=[diagnosis(ALL, 2)])).stay.diagnoses.principal == Diagnosis()

    def test_roles_have_their_places_and_working_ones_none(self) -> None:
        said = [
            diagnosis(FEVER, use="outpatient"),
            diagnosis(ANAEMIA, use="admission"),
            diagnosis(LYMPHOMA, use="working"),
            diagnosis(MORPHOLOGY, use="discharge"),
            diagnosis(ALL, 1),
        ]
        stay = made(message("m1", "A03", 1, diagnoses=said)).stay
        assert (stay.diagnoses.outpatient.condition, stay.diagnoses.admission.condition) == (FEVER, ANAEMIA)
        assert stay.diagnosis_codes() == ["C91.000"]
        assert stay.pathology == [Pathology(MORPHOLOGY)]
        assert "C85.900" not in msgspec.json.encode(stay).decode()

    def test_several_for_a_single_place_are_said(self) -> None:
        said = [diagnosis(FEVER, use="admission"), diagnosis(ANAEMIA, 1, use="admission")]
        assembled = made(message("m1", "A01", 1, diagnoses=said))
        assert assembled.stay.diagnoses.admission.condition == ANAEMIA
        assert rules(assembled) == ["ZB-CARRY"]

    def test_a_snapshot_replaces_the_roles_it_carries(self) -> None:
        first = message(
            "m1",
            "A01",
            1,
            snapshot=["diagnoses"],
            diagnoses=[diagnosis(FEVER, use="admission"), diagnosis(ANAEMIA, 1), diagnosis(FEVER)],
        )
        second = message("m2", "A08", 2, snapshot=["diagnoses"], diagnoses=[diagnosis(ALL, 1)])
        silent = message("m3", "A08", 3, snapshot=["diagnoses"])
        stay = made(silent, second, first).stay
        assert stay.diagnosis_codes() == ["C91.000"]
        assert stay.diagnoses.admission.condition == FEVER

    def test_action_codes_change_one(self) -> None:
        first = message(
            "m1", "A03", 1, snapshot=["diagnoses"], diagnoses=[diagnosis(ALL, 1), diagnosis(ANAEMIA, 2), diagnosis(FEVER, 3)]
        )
        change = message(
            "m2",
            "A08",
            2,
            diagnoses=[
                diagnosis(ANAEMIA, action="delete"),
                diagnosis(FEVER, action="update", outcome=Coded("RC005", "1")),
                diagnosis(LYMPHOMA, 2, "add"),
            ],
        )
        stay = made(change, first).stay
        assert stay.diagnosis_codes() == ["C91.000", "C85.900", "R50.900"]
        assert stay.diagnoses.other[1].outcome == Coded("RC005", "1")
        assert [origin(stay, f"diagnoses.other[1].{leaf}").message for leaf in ("condition.code", "outcome")] == ["m2", "m2"]

    def test_a_number_of_its_own_follows_a_diagnosis(self) -> None:
        first = message("m1", "A01", 1, diagnoses=[diagnosis(FEVER, 1, "add", key="D-7", use="admission")])
        second = message("m2", "A08", 2, diagnoses=[diagnosis(ALL, 1, "update", key="D-7")])
        stay = made(first, second).stay
        assert (stay.diagnosis_codes(), stay.diagnoses.admission) == (["C91.000"], Diagnosis())
        assert (
            made(first, second, message("m3", "A08", 3, diagnoses=[diagnosis(ALL, action="delete")])).stay.diagnosis_codes() == []
        )

    def test_procedures_likewise(self) -> None:
        def done(code: str, day: int, rank: int | None = None, action: Action = "") -> ProcedureFact:
            return ProcedureFact(Coded("ICD9", code), "PR1-3", at(day), rank, code, action, duration_hours="1.50")

        said = [done("03.3102", 2), done("03.3102", 5), done("41.3100", 3, 1)]
        stay = made(message("m1", "A08", 6, snapshot=["procedures"], procedures=said)).stay
        assert stay.procedures.principal.operation == Coded("ICD9", "41.3100")
        assert stay.procedures.principal.duration_hours == Decimal("1.50")
        assert [(p.operation.code, p.started_at) for p in stay.procedures.other if p.operation] == [
            ("03.3102", at(2)),
            ("03.3102", at(5)),
        ]
        undone = message("m2", "A08", 7, procedures=[done("03.3102", 5, action="delete")])
        kept = made(message("m1", "A08", 6, snapshot=["procedures"], procedures=said), undone).stay.procedures
        assert [p.started_at for p in kept.other] == [at(2)]


class TestPathology:
    def reported(self, *messages: Facts) -> list[tuple[str | None, str | None, str | None]]:
        return [
            (p.specimen_number, p.morphology.code if p.morphology else None, p.morphology.display if p.morphology else None)
            for p in made(*messages).stay.pathology
        ]

    def test_the_life_of_a_report(self) -> None:
        life = [
            report("p1", 1, "恶性", kind="frozen"),
            report("p2", 2, "淋巴瘤？", status="preliminary"),
            report("p3", 3, "淋巴母细胞淋巴瘤"),
            Facts(
                "p4",
                "cn-e",
                "ORU^R01",
                at(4),
                pathology=[PathologyFact("S-1", "OBR-3", "supplement", texts={"supplement": "TdT+"})],
            ),
            report("p5", 5, "B淋巴母细胞淋巴瘤", status="corrected"),
            report("p6", 6, status="withdrawn"),
        ]
        expected: list[list[tuple[str | None, str | None, str | None]]] = [
            [],
            [],
            [("S-1", None, "淋巴母细胞淋巴瘤")],
            [("S-1", None, "淋巴母细胞淋巴瘤；TdT+")],
            [("S-1", None, "B淋巴母细胞淋巴瘤")],
            [],
        ]
        for count, outcome in enumerate(expected, start=1):
            assert self.reported(*life[:count]) == outcome
            assert self.reported(*reversed(life[:count])) == outcome
        assert self.reported(*life, report("p7", 7, "再次审核")) == [("S-1", None, "再次审核")]

    def test_a_frozen_section_is_never_the_diagnosis(self) -> None:
        assert self.reported(report("p1", 1, "常规"), report("p2", 2, "冰冻", kind="frozen", status="corrected")) == [
            ("S-1", None, "常规")
        ]
        assert self.reported(report("p1", 1, "常规"), report("p2", 2, kind="frozen", status="withdrawn")) == [("S-1", None, "常规")]

    def test_a_supplement_waits_for_the_final_report_and_can_be_withdrawn_alone(self) -> None:
        supplement = report("p2", 2, "CD20+", kind="supplement")
        assert self.reported(supplement) == []
        assert self.reported(supplement, report("p3", 3, "淋巴瘤")) == [("S-1", None, "淋巴瘤；CD20+")]
        assert self.reported(report("p1", 1, "淋巴瘤"), supplement, report("p4", 4, kind="supplement", status="withdrawn")) == [
            ("S-1", None, "淋巴瘤")
        ]

    def test_a_later_section_does_not_empty_the_diagnosis(self) -> None:
        special = Facts("p2", "cn-e", "ORU^R01", at(2), pathology=[PathologyFact("S-1", "OBR-3", texts={"special": "免疫组化"})])
        assert self.reported(report("p1", 1, "淋巴瘤"), special) == [("S-1", None, "淋巴瘤")]

    def test_the_report_itself_stays_beside_its_morphology(self) -> None:
        def reports(*messages: Facts) -> list[tuple[str | None, ...]]:
            return [(p.kind, p.status, p.reported_on, p.diagnosis) for p in made(*messages).stay.pathology]

        final = report("p1", 1, "（左肺）腺癌", reported_at="2026-10-01T09:30:00")
        assert reports(final) == [("routine", "final", "2026-10-01", "（左肺）腺癌")]
        frozen = report("p2", 2, "恶性", kind="frozen", reported_at="2026-09-30")
        supplement = report("p3", 3, "ALK(-)", kind="supplement", reported_at="2026-10-05")
        assert reports(final, frozen, supplement) == [("routine", "final", "2026-10-01", "（左肺）腺癌；ALK(-)")]
        corrected = report("p4", 4, "（左肺）鳞状细胞癌", status="corrected", reported_at="2026-10-06")
        assert reports(final, frozen, supplement, corrected) == [("routine", "corrected", "2026-10-06", "（左肺）鳞状细胞癌")]
        assert reports(final, report("p5", 5, status="withdrawn")) == []
        coded = report("p6", 6, morphology=MORPHOLOGY)
        assert reports(coded) == [(None, None, None, None)]

    def test_the_code_is_never_made_from_text_and_falls_with_its_text(self) -> None:
        coded = report("p1", 1, "镜下见淋巴母细胞", morphology=MORPHOLOGY)
        assert self.reported(coded) == [("S-1", "M98353/3", "B细胞急性淋巴细胞白血病")]
        nameless = report("p1", 1, "镜下见淋巴母细胞", morphology=Coded("ICDO-M-GB-CLIN-2.0", "M98353/3"))
        assert self.reported(nameless) == [("S-1", "M98353/3", "镜下见淋巴母细胞")]
        assert self.reported(coded, report("p2", 2, "更正：良性", status="corrected")) == [("S-1", None, "更正：良性")]

    def test_coded_morphology_of_the_record_meets_the_only_report(self) -> None:
        coded = message("m1", "A03", 5, diagnoses=[diagnosis(MORPHOLOGY, use="pathology")])
        assert self.reported(report("p1", 1, "淋巴瘤"), coded) == [("S-1", "M98353/3", "B细胞急性淋巴细胞白血病")]
        two = (report("p1", 1, "淋巴瘤"), report("p2", 2, "反应性增生", number="S-2"), coded)
        assert self.reported(*two) == [
            ("S-1", None, "淋巴瘤"),
            ("S-2", None, "反应性增生"),
            (None, "M98353/3", "B细胞急性淋巴细胞白血病"),
        ]

    def test_reports_without_a_number_stay_apart(self) -> None:
        one, other = report("p1", 1, "甲", number=""), report("p2", 2, "乙", number="")
        assert self.reported(one, other) == [(None, None, "甲"), (None, None, "乙")]


class TestMedications:
    VINCRISTINE, PREDNISONE = Coded("LOCAL", "d1", "长春新碱"), Coded("LOCAL", "d2", "泼尼松")

    def drugs(self, *said: tuple[int, MedicationFact]) -> list[tuple[str | None, str | None, str | None]]:
        messages = [Facts(f"d{n}", "cn-a", "RAS^O17", at(day), medications=[drug]) for n, (day, drug) in enumerate(said)]
        return [(m.drug.code if m.drug else None, m.state, m.at) for m in made(*messages).stay.medications]

    def test_orders_givings_and_cancellations(self) -> None:
        ordered = (1, MedicationFact(self.VINCRISTINE, "RXO-1", "O-1", at=at(1)))
        given = [(day, MedicationFact(self.VINCRISTINE, "RXA-5", "O-1", "given", at=at(day))) for day in (2, 3)]
        assert self.drugs(ordered) == [("d1", "ordered", at(1))]
        assert self.drugs(ordered, *given) == [("d1", "given", at(2)), ("d1", "given", at(3))]
        stopped = (4, MedicationFact(Coded(), "ORC-1", "O-1", "cancelled", at=at(4)))
        assert self.drugs(ordered, stopped) == []
        assert self.drugs(ordered, *given, stopped) == [("d1", "given", at(2)), ("d1", "given", at(3))]
        undone = (5, MedicationFact(self.VINCRISTINE, "RXA-21", "O-1", "cancelled", at=at(3)))
        assert self.drugs(ordered, *given, undone) == [("d1", "given", at(2))]

    def test_what_is_known_of_a_drug(self) -> None:
        drug = MedicationFact(self.PREDNISONE, "RXO-1", "O-2", "ordered", "5", "mg", Coded("LOCAL", "PO"), "G-1", at(1))
        stay = made(Facts("d1", "cn-a", "OMP^O09", at(1), medications=[drug])).stay
        assert stay.medications == [Medication(self.PREDNISONE, "5", "mg", Coded("LOCAL", "PO"), "G-1", "ordered", at(1))]
        assert unexplained(stay) == []


def sheet(**changes: Any) -> Stay:
    """A front sheet of the same stay, as a reader of files makes it."""
    stay = Stay(record_number="R-1", admission_number=1)
    stay.organisation.code, stay.patient.name, stay.patient.sex = "99ORG", "林测试", Coded("RC001", "1")
    stay.patient.birth_date, stay.admission.time, stay.discharge.time = "2015-03-08", at(1), at(9, 10)
    stay.diagnoses.principal = Diagnosis(Coded(ICD, "C91.000"), Coded("RC027", "1"))
    stay.diagnoses.other = [Diagnosis(), Diagnosis(ANAEMIA)]
    stay.verbatim = {"patient.health_card": "-", "discharge.receiving_institution": "-", **changes.pop("verbatim", {})}
    stay.provenance.layers.append(Layer("file-1#3", "hqms-2020"))
    for path, value in changes.items():
        setattr(stay, path, value)
    return stay


class TestFrontSheet:
    def test_it_wins_for_what_it_fills_and_messages_fill_the_rest(self) -> None:
        said = message(
            "m1", "A08", 2, values={"patient.name": "林 测试", "patient.birthplace": "虚构市", "admission.ward": "一病区"}
        )
        assembled = made(said, front_sheet=sheet())
        stay = assembled.stay
        assert (stay.patient.name, stay.patient.birthplace) == ("林测试", "虚构市")
        assert assembled.findings == ()  # spaces make no difference
        assert [origin(stay, path).message for path in ("patient.name", "patient.birthplace")] == ["file-1#3", "m1"]

    @pytest.mark.parametrize(
        ("path", "value", "severity"),
        [
            ("patient.name", "王测试", "error"),
            ("patient.sex", Coded("RC001", "2"), "error"),
            ("patient.birth_date", "2015-03-09", "error"),
            ("admission.time", at(2), "warning"),
            ("admission.time", "2026-03-01", None),
            ("patient.sex", Coded("GB", "1", "男性"), None),
        ],
    )
    def test_a_difference_is_found_and_named_without_values(self, path: str, value: Any, severity: str | None) -> None:
        original = sheet()
        assembled = made(message("m1", "A08", 2, values={path: value}), front_sheet=original)
        conflicts = [finding for finding in assembled.findings if finding.rule == "ZB-CONFLICT"]
        assert [finding.severity for finding in conflicts] == ([severity] if severity else [])
        for finding in conflicts:
            assert {part for part in ("file-1#3", "m1", f"SRC-{path}") if part not in finding.message} == set()
            if isinstance(value, str):
                assert value not in finding.message
            assert finding.fields[0] in finding.message

    def test_the_front_sheet_given_is_not_changed(self) -> None:
        original, untouched = sheet(), sheet()
        made(ADMITTED, DISCHARGED, report("p1", 3, "淋巴瘤"), front_sheet=original)
        assert original == untouched

    def test_said_empty_yields_to_a_message_that_knows_better(self) -> None:
        assembled = made(message("m1", "A08", 2, values={"patient.health_card": "99H"}), front_sheet=sheet())
        assert assembled.stay.patient.health_card == "99H"
        assert "patient.health_card" not in assembled.stay.verbatim
        assert [(f.rule, f.severity) for f in assembled.findings] == [("ZB-CONFLICT", "warning")]
        assert "已采用接口消息" in assembled.findings[0].message

    def test_said_empty_stands_where_it_follows_from_another_item(self) -> None:
        home, other = Coded("RC019", "1"), Coded("RC019", "2")
        filed = sheet()
        filed.discharge.disposition = home
        values = {"discharge.disposition": other, "discharge.receiving_institution": "虚构医院"}
        assembled = made(message("m1", "A08", 2, values=values), front_sheet=filed)
        assert (assembled.stay.discharge.disposition, assembled.stay.discharge.receiving_institution) == (home, None)
        assert assembled.stay.verbatim["discharge.receiving_institution"] == "-"
        assert [finding.fields for finding in assembled.findings] == [("B34C",)]

    def test_an_unreadable_cell_is_filled_and_said(self) -> None:
        filed = sheet(verbatim={"patient.birth_date": "2015/13/41"})
        filed.patient.birth_date = None
        assembled = made(message("m1", "A08", 2, values={"patient.birth_date": "2015-03-08"}), front_sheet=filed)
        assert (assembled.stay.patient.birth_date, "patient.birth_date" in assembled.stay.verbatim) == ("2015-03-08", False)
        assert [f.severity for f in assembled.findings] == ["error"]

    def test_the_newest_wins_for_where_people_live(self) -> None:
        filed = sheet()
        filed.patient.address.phone = "111"
        said = message("m1", "A08", 12, values={"patient.address.phone": "222"})
        assert made(said, front_sheet=filed, filed_at=at(10)).stay.patient.address.phone == "222"
        assert made(said, front_sheet=filed, filed_at=at(15)).stay.patient.address.phone == "111"
        assert made(said, front_sheet=filed).stay.patient.address.phone == "111"
        gone = message("m2", "A08", 13, values={"patient.address.phone": None})
        assert made(said, gone, front_sheet=filed, filed_at=at(10)).stay.patient.address.phone is None

    def test_details_go_to_the_entry_they_belong_to(self) -> None:
        outcome, present = Coded("RC005", "1"), Coded("RC027", "1")
        said = message("m1", "A03", 9, diagnoses=[
            diagnosis(ANAEMIA, 2, outcome=outcome, present_on_admission=present), diagnosis(ALL, 1, outcome=outcome),
        ])  # fmt: skip
        assembled = made(said, front_sheet=sheet())
        stay = assembled.stay
        assert stay.diagnoses.principal == Diagnosis(ALL, Coded("RC027", "1"), outcome)  # name and outcome filled in
        assert stay.diagnoses.other == [Diagnosis(), Diagnosis(ANAEMIA, present, outcome)]
        assert assembled.findings == ()
        assert [origin(stay, f"diagnoses.principal.condition.{side}").message for side in ("code", "display")] == ["file-1#3", "m1"]

    def test_the_coders_list_stands_and_what_it_lacks_is_asked(self) -> None:
        said = message("m1", "A03", 9, diagnoses=[diagnosis(LYMPHOMA, 1), diagnosis(FEVER, 2)])
        assembled = made(said, front_sheet=sheet())
        assert assembled.stay.diagnosis_codes() == ["C91.000", "D64.900"]
        assert [(f.rule, f.fields[0]) for f in assembled.findings] == [("ZB-CONFLICT", "C03C"), ("ZB-CONFLICT", "C06x01C")]
        unranked = message("m1", "A03", 9, diagnoses=[diagnosis(ALL), diagnosis(ANAEMIA)])
        assert made(unranked, front_sheet=sheet()).findings == ()  # the sheet says which is the main one

    def test_a_missing_main_diagnosis_is_filled(self) -> None:
        filed = sheet()
        filed.diagnoses.principal = Diagnosis()
        assembled = made(message("m1", "A03", 9, diagnoses=[diagnosis(ALL, 1)]), front_sheet=filed)
        assert assembled.stay.diagnosis_codes() == ["C91.000", "D64.900"]

    def test_reports_meet_by_number_and_new_ones_come_behind(self) -> None:
        filed = sheet(pathology=[Pathology(Coded("M", "M98353/3"), "S-1")])
        assembled = made(report("p1", 3, "B淋巴母细胞白血病"), report("p2", 4, "增生", number="S-2"), front_sheet=filed)
        assert [(p.specimen_number, p.morphology) for p in assembled.stay.pathology] == [
            ("S-1", Coded("M", "M98353/3", "B淋巴母细胞白血病")),
            ("S-2", Coded("", None, "增生")),
        ]
        assert assembled.findings == ()

    def test_a_blank_number_is_filled_by_the_only_report(self) -> None:
        filed = sheet(pathology=[Pathology(MORPHOLOGY)], verbatim={"pathology[0].specimen_number": "-"})
        stay = made(report("p1", 3, "白血病"), front_sheet=filed).stay
        assert stay.pathology == [Pathology(MORPHOLOGY, "S-1", kind="routine", status="final", diagnosis="白血病")]
        assert "pathology[0].specimen_number" not in stay.verbatim
        two = made(report("p1", 3, "甲"), report("p2", 3, "乙", number="S-2"), front_sheet=filed).stay
        assert [p.specimen_number for p in two.pathology] == [None, "S-1", "S-2"]

    def test_a_withdrawn_report_on_which_the_sheet_rests_stops_the_report(self) -> None:
        filed = sheet(pathology=[Pathology(MORPHOLOGY, "S-1")])
        life = (report("p1", 3, "白血病"), report("p2", 12, status="withdrawn"))
        assert [(f.rule, f.blocks) for f in made(*life, front_sheet=filed).findings] == [("ZB-WITHDRAWN", True)]
        assert made(*life, front_sheet=filed, filed_at=at(20)).findings == ()  # filed after the withdrawal
        corrected = (report("p1", 3, "白血病"), report("p2", 12, "淋巴瘤", status="corrected"))
        assert rules(made(*corrected, front_sheet=filed, filed_at=at(10))) == ["ZB-CORRECTED"]

    def test_an_undone_discharge_or_admission_of_an_archived_stay_is_asked(self) -> None:
        undone = made(ADMITTED, DISCHARGED, message("m10", "A13", 10), front_sheet=sheet())
        assert (undone.state, [f.fields for f in undone.findings if f.blocks]) == ("closed", [("B15",)])
        cancelled = made(ADMITTED, message("m10", "A11", 10), front_sheet=sheet())
        assert (cancelled.state, [f.fields for f in cancelled.findings if f.blocks]) == ("cancelled", [("B12",)])

    def test_the_table_says_who_wins(self) -> None:
        assert precedence("costs.total").winner == "file"
        assert precedence("patient.address.postcode").winner == "newest"
        assert precedence("medications[3].dose").winner == "message"
        assert precedence("procedures.other[7].duration_hours").conflict == "none"
        assert precedence("diagnoses.admission.confirmed_on").follows == "diagnoses.admission.condition"


class TestCorrections:
    def put(self, values: dict[str, Any], day: int, **more: Any) -> Correction:
        fields = dict.fromkeys(values, "C03C")
        return Correction(
            Layer("person:lin", "person", fields, "lin", f"2026-04-{day:02d}T00:00:00+00:00", "核对病历"), values, **more
        )

    def test_they_stand_above_everything_until_the_next_one(self) -> None:
        first, second = self.put({"patient.name": "林更正"}, 1), self.put({"patient.name": "林再更正"}, 2)
        later = message("m20", "A08", 20, values={"patient.name": "林测试三"})
        assert made(ADMITTED, later, corrections=[first]).stay.patient.name == "林更正"
        stay = made(ADMITTED, later, front_sheet=sheet(), corrections=[second, first]).stay
        assert stay.patient.name == "林再更正"
        layer = origin(stay, "patient.name")
        assert (layer.by, layer.at) == ("lin", "2026-04-02T00:00:00+00:00")

    def test_a_value_is_cleared_replaced_by_a_dash_or_changed_on_one_side(self) -> None:
        correction = self.put(
            {
                "patient.name": None,
                "patient.health_card": None,
                "diagnoses.principal.condition.code": "C91.001",
                "costs.total": "6.50",
            },
            1,
            placeholders=("patient.health_card",),
        )
        stay = made(ADMITTED, DISCHARGED, corrections=[correction]).stay
        assert (stay.patient.name, stay.verbatim, stay.costs.total) == (None, {"patient.health_card": "-"}, Decimal("6.50"))
        assert stay.diagnoses.principal.condition == Coded(ICD, "C91.001", "急性淋巴细胞白血病")

    def test_transfers_are_put_right_as_a_whole(self) -> None:
        moved = message("m3", "A02", 3, movements=[MovementFact(Coded("RC023", "04"), "PV1-3")])
        right = [Coded("RC023", "05"), Coded("RC023", "19")]
        assert made(ADMITTED, moved, corrections=[self.put({"transfers": right}, 1)]).stay.transfers == right
        assert made(ADMITTED, moved, corrections=[self.put({"transfers": None}, 1)]).stay.transfers == []
        told = made(message("m1", "A08", 1, values={"transfers": right[0]})).stay
        assert (told.transfers, unexplained(told)) == (right[:1], [])

    def test_a_correction_follows_its_entry(self) -> None:
        before = made(ADMITTED, DISCHARGED).stay
        path = "diagnoses.other[0].outcome"
        correction = self.put({path: Coded("RC005", "2")}, 1, anchors=anchors_of(before, [path]))
        assert correction.anchors == {"diagnoses.other[0]": "D64.900"}
        reordered = message(
            "m12", "A08", 12, snapshot=["diagnoses"], diagnoses=[diagnosis(ALL, 1), diagnosis(FEVER), diagnosis(ANAEMIA)]
        )
        stay = made(ADMITTED, DISCHARGED, reordered, corrections=[correction]).stay
        assert [d.outcome for d in stay.diagnoses.other] == [None, Coded("RC005", "2")]
        assert origin(stay, "diagnoses.other[1].outcome").by == "lin"
        gone = message("m12", "A08", 12, snapshot=["diagnoses"], diagnoses=[diagnosis(ALL, 1), diagnosis(FEVER)])
        lost = made(ADMITTED, DISCHARGED, gone, corrections=[correction])
        assert [d.outcome for d in lost.stay.diagnoses.other] == [None]
        assert rules(lost) == ["ZB-CORRECTION"]


class TestIdentityAndOrigin:
    def test_the_surviving_number_counts(self) -> None:
        old = message("m1", "A01", 1, patient=PatientKey("R-0"), values={"record_number": "R-0", "patient.name": "林测试"})
        new = message("m2", "A40", 2, merged_from=["R-0"], values={"record_number": "R-1"})
        stay = made(old, new).stay
        assert (stay.identity, stay.patient.name) == (IDENTITY, "林测试")
        assert origin(stay, "record_number").message == "m2"

    def test_the_number_of_admissions_comes_when_somebody_knows_it(self) -> None:
        unknown = message("m1", "A01", 1, visit=VisitKey("V-1"))
        assert assemble(("99ORG", "R-1", 0), [unknown]).stay.admission_number is None
        stay = assemble(("99ORG", "R-1", 0), [unknown, message("m2", "A08", 2, visit=VisitKey("V-1", 3))]).stay
        assert (stay.admission_number, stay.identity) == (3, ("99ORG", "R-1", 3))
        assert origin(stay, "admission_number").message == "m2"
        assert assemble(("99ORG", "R-1", 0), [unknown], sheet()).stay.admission_number == 1

    def test_every_filled_leaf_names_its_origin(self) -> None:
        values = {"admission.department": Coded("RC023", "03", "内科"), "payment_method": Coded("RC032", "1"), "costs.total": "10"}
        moved = message("m3", "A02", 3, movements=[MovementFact(Coded("RC023", "04"), "PV1-3", at=at(3))], values=values)
        drug = Facts("d1", "cn-a", "OMP^O09", at(4), medications=[MedicationFact(Coded("L", "d1"), "RXO-1", "O-1", dose="5")])
        operated = message("m5", "A08", 5, procedures=[ProcedureFact(Coded("ICD9", "41.3100"), "PR1-3", at(5), 1)])
        stay = made(ADMITTED, moved, drug, operated, report("p1", 6, "白血病"), DISCHARGED).stay
        assert unexplained(stay) == []
        assert unexplained(made(ADMITTED, moved, drug, DISCHARGED, front_sheet=sheet()).stay) == []
        assert [layer.message for layer in stay.provenance.layers] == [SETTINGS, "m1", "m3", "d1", "m5", "p1", "m9"]
        layer = origin(stay, "diagnoses.principal.condition.code")
        assert (layer.message, layer.mapping) == ("m9", "cn-a")
        assert (layer.fields or {})["diagnoses.principal.condition.code"] == "DG1-3"

    def test_remarks_travel_until_the_field_comes_clean(self) -> None:
        remark = Remark("HL7-ID-CHECK", "SRC-patient.identity.number", "证件号码校验位不正确，请核对", "check digit", "error")
        wrong = message("m1", "A01", 1, values={"patient.identity.number": "990101201503081239"}, remarks=[remark])
        expected = Finding("HL7-ID-CHECK", ("SRC-patient.identity.number",), "error", remark.message, "check digit")
        assert made(wrong).findings == (expected,)
        assert made(wrong, message("m2", "A08", 2)).findings == (expected,)
        assert made(wrong, message("m2", "A08", 2, values={"patient.identity.number": "990101201503081237"})).findings == ()

    def test_a_stay_of_which_nothing_is_said_any_more_is_cancelled(self) -> None:
        assembled = made()
        assert (assembled.state, assembled.stay.identity, assembled.findings) == ("cancelled", IDENTITY, ())
        assert unexplained(assembled.stay) == []
