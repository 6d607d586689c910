"""What is written as FHIR is read back as what it was, leaf by leaf: canonical → FHIR → canonical."""

from __future__ import annotations

import re
from itertools import islice
from typing import Any, get_args, get_origin

import pytest
from msgspec import structs

from adapters.fhir import wire
from adapters.fhir.dialect import fhir_dialect
from adapters.fhir.reading import RecordReader
from adapters.fhir.record import Record
from adapters.fhir.resource import Resource
from adapters.fhir.writing.bundles import plain_bundle
from adapters.fhir.writing.stay import resources_of
from adapters.fhir.writing.strict import as_json
from adapters.hqms.header import recognise
from adapters.hqms.rows import RowReader
from conformance.sample.hospital import generate
from gateway.cases.assembly import Assembled, assemble
from gateway.cases.leaves import filled
from gateway.model.facts import NOTHING
from gateway.model.stay import Diagnoses, Diagnosis, Identity, Part, Patient, Procedure, Procedures, Stay, Tumour
from gateway.model.values import Coded
from mappings.layout import layout
from tests.unit.fhir_stays import ICD, NAMES, OPERATION, THYROID, everything

NOT_CARRIED = {
    "organisation.name": "the reader takes the institution from the gateway's settings (dialect: organisation = false)",
    "patient.registered_address.phone": "written, but no front sheet of 2020 has it and the reader has no rule for it",
}
"""Leaves that do not come back, and why. Beside them: of `Stay.verbatim` what was no value (that there is none, ``-``, does come back),
`Stay.extras` (no element), provenance (a resource of its own), and empty positions in lists (`test_empty_positions_close_up`)."""

APART = {"verbatim", "extras", "provenance"}
_NEOPLASM = re.compile(r"C|D0|D3[7-9]|D4[0-8]")


def read_back(stay: Stay) -> Assembled:
    """The stay that a receiver of its bundle (as text) assembles."""
    text = as_json(plain_bundle(resources_of(stay, NAMES), NAMES))
    document = wire.read(text.encode())
    resources = [
        Resource(f"{entry.kind}/{entry.body['id']}", entry.body, "fhir:1", "2026-11-02T09:30:00", place=entry.place)
        for entry in document.entries
    ]
    reading = RecordReader(fhir_dialect("standard")).read(Record(f"Patient/{NAMES.patient_id}", resources))
    (statement,) = (one for one in reading.statements if one.anchor.startswith("Encounter/"))
    assert not reading.unresolved
    return assemble(stay.identity, statement.facts)


def leaves(stay: Stay) -> dict[str, Any]:
    return dict(filled(stay))


def general(path: str) -> str:
    return re.sub(r"\[\d+\]", "[]", path)


def members(owner: type, prefix: str = "") -> set[str]:
    """The leaves that the model has below a part, positions left out."""
    found: set[str] = set()
    for field in structs.fields(owner):
        path = f"{prefix}.{field.name}" if prefix else field.name
        kind: Any = field.type
        if path in APART:
            continue
        if get_origin(kind) is list:
            (kind,) = get_args(kind)
            path += "[]"
        found |= members(kind, path) if isinstance(kind, type) and issubclass(kind, Part) else {path}
    return found


def test_the_hand_made_stay_leaves_no_leaf_of_the_model_out() -> None:
    assert {general(path) for path in leaves(everything())} == members(Stay)


def test_every_leaf_comes_back() -> None:
    stay = everything()
    expected = {path: value for path, value in leaves(stay).items() if general(path) not in NOT_CARRIED}
    assert leaves(read_back(stay).stay) == expected


def test_what_is_listed_as_not_carried_really_is_not() -> None:
    assert not set(NOT_CARRIED) & {general(path) for path in leaves(read_back(everything()).stay)}


@pytest.fixture(scope="module")
def samples() -> list[Stay]:
    """Stays of all kinds of patients, read from front-sheet records."""
    reader = RowReader(recognise(layout("2020").columns))
    records = islice(generate(400), 0, None, 4)
    return [reader.read(layout("2020").row(record), f"file#{n}").stay for n, record in enumerate(records, start=1)]


def test_front_sheets_come_back(samples: list[Stay]) -> None:
    """Nothing is lost or changed. What is more: a diagnosis of cancer is read as a tumour, which a front sheet does not have."""
    for stay in samples:
        back = read_back(stay).stay
        before, after = leaves(stay), leaves(back)
        assert {path for path, said in stay.verbatim.items() if said == NOTHING} == back.verbatim.keys()
        new = {path: after.pop(path) for path in list(after) if path.startswith("tumours[")}
        assert after == {path: value for path, value in before.items() if path not in NOT_CARRIED}
        conditions = [value for path, value in new.items() if path.endswith(".condition")]
        assert all(_NEOPLASM.match(condition.code) for condition in conditions)
        assert {condition.code for condition in conditions} <= {
            value.code for path, value in before.items() if path.startswith("diagnoses.") and path.endswith("condition")
        }


def test_empty_positions_close_up() -> None:
    """FHIR ranks what there is: gaps among the other diagnoses and operations do not come back, their order does."""
    one, two = Coded(ICD, "I10.x00", "高血压"), Coded(ICD, "E11.900", "2型糖尿病")
    first, second = Coded(OPERATION, "40.2300", "腋淋巴结切除术"), Coded(OPERATION, "86.0700", "输液港植入")
    stay = everything()
    stay.diagnoses.other = [Diagnosis(), Diagnosis(condition=two), Diagnosis(), Diagnosis(condition=one)]
    stay.procedures.other = [Procedure(), Procedure(operation=second), Procedure(operation=first)]
    back = read_back(stay).stay
    assert [found.condition for found in back.diagnoses.other] == [two, one]
    assert [found.operation for found in back.procedures.other] == [second, first]


def small(**members: Any) -> Stay:
    made: dict[str, Any] = {"record_number": "R-2", "admission_number": 1, **members}
    return Stay(**made)


def test_a_stay_that_goes_on_stays_open() -> None:
    stay = everything()
    stay.discharge.time = None
    back = read_back(stay)
    assert back.state == "open"
    assert back.stay.discharge.time is None
    assert back.stay.admission.time == "2026-10-05T09:30"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-10-05T09", "2026-10-05T09"),
        ("2026-10-05T09:30", "2026-10-05T09:30"),
        ("2026-10-05T09:30:00", "2026-10-05T09:30:00"),
        ("2026-10-05", "2026-10-05"),
        ("2026-10", "2026-10"),
        ("2026-10-05T00:00", "2026-10-05T00:00"),
        ("2026-10-05T00:00:00", "2026-10-05"),  # hospital systems write midnight where they know no time
    ],
)
def test_times_keep_their_precision(written: str, read: str) -> None:
    stay = small()
    stay.admission.time = written
    assert read_back(stay).stay.admission.time == read


@pytest.mark.parametrize("born", ["1970", "1970-03", "1970-03-08"])
def test_birth_dates_keep_their_precision(born: str) -> None:
    assert read_back(small(patient=Patient(birth_date=born))).stay.patient.birth_date == born


def test_two_primaries_stay_two_even_with_one_code() -> None:
    sides = [Coded("tumour-laterality", side, side) for side in ("left", "right")]
    stay = small(
        diagnoses=Diagnoses(principal=Diagnosis(condition=THYROID)),
        tumours=[Tumour(condition=THYROID, role="primary", laterality=side) for side in sides],
    )
    assert [tumour.laterality for tumour in read_back(stay).stay.tumours] == sides


@pytest.mark.parametrize("status", ["alive", "deceased"])
def test_vital_status(status: str) -> None:
    coded = Coded("vital-status", status)
    assert read_back(small(patient=Patient(vital_status=coded))).stay.patient.vital_status == coded


def test_no_allergy_is_no_allergy() -> None:
    stay = small()
    stay.allergy.present = Coded("RC037", "1")
    back = read_back(stay).stay
    assert (back.allergy.present, back.allergy.drugs) == (Coded("RC037", "1"), None)


def test_a_single_operation_is_still_the_main_one() -> None:
    stay = small(procedures=Procedures(principal=Procedure(operation=Coded(OPERATION, "40.2300", "腋淋巴结切除术"))))
    back = read_back(stay).stay
    assert back.procedures == stay.procedures


def test_an_identity_document_of_another_kind() -> None:
    identity = Identity(kind=Coded("RC038", "4"), number="H01234567")
    back = read_back(small(patient=Patient(identity=identity))).stay
    assert back.patient.identity.number == "H01234567"
    assert back.patient.identity.kind == Coded("RC038", "4")
