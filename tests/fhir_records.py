"""Hand-made FHIR records for tests of reading: one story in R4 and in R5, and small helpers. All names and numbers are invented; the resident
ID has an area code (99) that no authority assigns."""

from __future__ import annotations

from typing import Any

from adapters.fhir.dialect import fhir_dialect
from adapters.fhir.reading import Reading, RecordReader, Statement
from adapters.fhir.record import Record
from adapters.fhir.resource import Release, Resource
from gateway.model.facts import Fact, Facts, Remark
from gateway.model.resident_id import check_character

Body = dict[str, Any]

RESIDENT_ID = (first := "99010119550308123") + check_character(first)
"""A man born on 8 March 1955."""

RESIDENT_ID_OID = "urn:oid:2.16.156.10011.1.3"
V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"
V3_ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
ICD10 = "http://hl7.org/fhir/sid/icd-10"
DIAGNOSIS_ROLE = "http://terminology.hl7.org/CodeSystem/diagnosis-role"
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"


def resource(body: Body, *, message: str = "fhir:1", occurred: str = "2024-03-20T08:00:00", release: Release = "R4") -> Resource:
    """A resource under the key of its type and id."""
    return Resource(f"{body['resourceType']}/{body['id']}", body, message, occurred, release)


def record(*bodies: Body | Resource, release: Release = "R4", patient: str = "Patient/p") -> Record:
    """A record of these bodies, all in one message, unless they come as resources."""
    return Record(patient, [one if isinstance(one, Resource) else resource(one, release=release) for one in bodies])


def read(*bodies: Body | Resource, release: Release = "R4", dialect: str = "standard") -> Reading:
    """What such a record says."""
    return RecordReader(fhir_dialect(dialect)).read(record(*bodies, release=release))


def statement(reading: Reading, anchor: str = "Encounter/e") -> Statement:
    """The statement about an anchor."""
    return next(one for one in reading.statements if one.anchor == anchor)


def facts_of(reading: Reading, anchor: str = "Encounter/e") -> dict[str, Fact]:
    """Facts about paths by path, of all messages."""
    return {fact.path: fact for facts in statement(reading, anchor).facts for fact in facts.facts}


def values_of(reading: Reading, anchor: str = "Encounter/e") -> dict[str, object]:
    """Values by path, derived ones too."""
    return {path: fact.value for path, fact in facts_of(reading, anchor).items()}


def remarks_of(reading: Reading) -> list[Remark]:
    """Every remark of a reading."""
    return [remark for one in reading.statements for facts in one.facts for remark in facts.remarks]


def rules_of(reading: Reading) -> set[str]:
    """The rules of the remarks."""
    return {remark.rule for remark in remarks_of(reading)}


def all_facts(reading: Reading) -> list[Facts]:
    """The facts of all statements."""
    return [facts for one in reading.statements for facts in one.facts]


def concept(system: str, code: str, display: str = "", text: str = "") -> Body:
    """A CodeableConcept."""
    coding = {"system": system, "code": code} | ({"display": display} if display else {})
    return {"coding": [coding]} | ({"text": text} if text else {})


def bare_patient(**more: Any) -> Body:
    """A Patient of whom nothing is said but this."""
    return {"resourceType": "Patient", **more}


def patient(**more: Any) -> Body:
    """The man of the story."""
    body: Body = {
        "resourceType": "Patient",
        "id": "p",
        "identifier": [
            {"type": {"coding": [{"system": V2_0203, "code": "MR"}]}, "value": "B00123"},
            {"system": RESIDENT_ID_OID, "value": RESIDENT_ID},
        ],
        "name": [{"text": "欧阳试验"}],
        "gender": "male",
        "birthDate": "1955-03-08",
        "maritalStatus": concept("http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "M"),
    }
    return body | more


def condition(id: str = "c", code: str = "C34.100", name: str = "上叶支气管或肺的恶性肿瘤", **more: Any) -> Body:
    """A confirmed diagnosis."""
    body: Body = {
        "resourceType": "Condition",
        "id": id,
        "subject": {"reference": "Patient/p"},
        "clinicalStatus": concept(CLINICAL, "active"),
        "verificationStatus": concept(VERIFICATION, "confirmed"),
        "code": concept(ICD10, code, name),
    }
    return body | more


def encounter(**more: Any) -> Body:
    """A finished R4 stay."""
    body: Body = {
        "resourceType": "Encounter",
        "id": "e",
        "status": "finished",
        "class": {"system": V3_ACT, "code": "IMP"},
        "subject": {"reference": "Patient/p"},
        "identifier": [{"type": {"coding": [{"system": V2_0203, "code": "VN"}]}, "value": "V777"}],
        "period": {"start": "2024-03-08T09:30:00+08:00", "end": "2024-03-20T10:15:00+08:00"},
    }
    return body | more


def named(reference: str, use: str = "DD", rank: int | None = None) -> Body:
    """An entry of Encounter.diagnosis in R4."""
    entry: Body = {"condition": {"reference": reference}, "use": concept(DIAGNOSIS_ROLE, use)}
    return entry | ({"rank": rank} if rank else {})
