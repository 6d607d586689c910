"""Whatever a source wrote into a stay, what leaves as FHIR is R4, and times and amounts come back as they were."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any, get_args, get_origin

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from adapters.fhir import wire
from adapters.fhir.dialect import fhir_dialect
from adapters.fhir.reading import RecordReader
from adapters.fhir.record import Record
from adapters.fhir.resource import Resource
from adapters.fhir.structure import faults
from adapters.fhir.writing.bundles import plain_bundle
from adapters.fhir.writing.stay import resources_of
from adapters.fhir.writing.strict import as_json
from gateway.cases.assembly import assemble
from gateway.model.stay import Admission, Costs, Marker, Part, Stay
from gateway.model.values import Coded
from tests.unit.fhir_stays import NAMES

_TEXT = st.one_of(st.text(max_size=12), st.sampled_from(("", " ", "-", "\x00", "a\tb", " x ", "１", "\u200b", "-0", "1e5", "1.50")))
_DATES = st.from_regex(r"\A[12]\d{3}(-[01]\d(-[0-3]\d)?)?\Z")
_TIMES = st.from_regex(r"\A[12]\d{3}(-[01]\d(-[0-3]\d(T[0-2]\d(:[0-6]\d(:[0-6]\d)?)?)?)?)?\Z")
_AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**12), max_value=10**12)
_CODED = st.builds(Coded, st.one_of(st.sampled_from(("", "RC001", "ICD-10", "a b", "urn:oid:1.2")), _TEXT), _TEXT, _TEXT)


def _values(kind: Any) -> st.SearchStrategy[Any]:
    """What may stand in a member of a stay."""
    if get_origin(kind) is list:
        return st.lists(_values(get_args(kind)[0]), max_size=2)
    if isinstance(kind, type) and issubclass(kind, Part):
        return _parts(kind)
    inner = [argument for argument in get_args(kind) if argument is not type(None)] or [kind]
    plain = inner[0]
    if plain is Coded:
        return st.none() | _CODED
    if plain is int:
        return st.none() | st.integers(-5, 10**6)
    if plain is Decimal:
        return st.none() | _AMOUNTS
    if plain is str:
        return st.none() | _TEXT
    return st.none() | (_TIMES if "T" in str(get_args(plain)[1].pattern) else _DATES)


def _parts(owner: type[Part]) -> st.SearchStrategy[Any]:
    apart = ("verbatim", "extras", "provenance")
    members = {field.name: _values(field.type) for field in structs.fields(owner) if field.name not in apart}
    return st.fixed_dictionaries({}, optional=members).map(lambda chosen: owner(**chosen))


@settings(max_examples=150, deadline=None)
@given(_parts(Stay))
def test_whatever_a_stay_holds_what_is_written_is_r4(stay: Stay) -> None:
    for resource in resources_of(stay, NAMES):
        assert faults(resource, "R4") == []
        json.loads(as_json(resource))


def _read_back(stay: Stay) -> Stay:
    document = wire.read(as_json(plain_bundle(resources_of(stay, NAMES), NAMES)).encode())
    resources = [
        Resource(f"{entry.kind}/{entry.body['id']}", entry.body, "fhir:1", "2026-11-02T09:30:00", place=entry.place)
        for entry in document.entries
    ]
    reading = RecordReader(fhir_dialect("standard")).read(Record(f"Patient/{NAMES.patient_id}", resources))
    (statement,) = (one for one in reading.statements if one.anchor.startswith("Encounter/"))
    return assemble(stay.identity, statement.facts).stay


_NUMBERS = st.from_regex(r"\A(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?\Z") | st.sampled_from(("1٠", "<0.5", "++", "1-2"))
_MOMENTS = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2100, 1, 1))  # noqa: DTZ001 - China time


@settings(max_examples=150, deadline=None)
@given(_MOMENTS, st.sampled_from(("hours", "minutes", "seconds")), _AMOUNTS, _NUMBERS)
def test_times_and_amounts_come_back(moment: datetime, precision: str, amount: Decimal, value: str) -> None:
    admitted = moment.isoformat(timespec=precision)
    stay = Stay(
        record_number="R-1",
        admission_number=1,
        admission=Admission(time=admitted),
        costs=Costs(total=amount),
        markers=[Marker(test=Coded("LOINC", "2039-6", "CEA"), value=value, finding=Coded("SNOMED-CT", "1", "x"))],
    )
    back = _read_back(stay)
    midnight = admitted.endswith("T00:00:00")  # means no time, as hospital systems write it
    assert back.admission.time == (admitted[:10] if midnight else admitted)
    assert str(back.costs.total) == str(amount)
    assert back.markers[0].value == value
