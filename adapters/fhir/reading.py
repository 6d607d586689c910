"""Reading a record: current resources in, statements about stays out. A pure function without any state between records.

FHIR transfers state. So a statement is always made of the whole record, and what was withdrawn (entered in error, refuted, cancelled, not
done, deleted) is simply no longer stated. What each message contributed stays apart, for provenance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from adapters.fhir import front_sheet, laboratory, medications, observations, pathology, procedures, tumours
from adapters.fhir.anchors import Anchors
from adapters.fhir.diagnoses import diagnoses
from adapters.fhir.dialect import FhirDialect
from adapters.fhir.elements import codings, one
from adapters.fhir.encounters import encounter_says, is_withdrawn, visit
from adapters.fhir.identity import Identity
from adapters.fhir.patients import Merge, merged, person
from adapters.fhir.record import Record
from adapters.fhir.remarks import remark
from adapters.fhir.resource import Resource
from adapters.fhir.said import Said
from gateway.model.facts import (
    DiagnosisFact,
    Fact,
    Facts,
    MarkerFact,
    MedicationFact,
    MovementFact,
    PathologyFact,
    PatientKey,
    ProcedureFact,
    Remark,
    StageFact,
    TumourFact,
    VisitKey,
)

READERS: Final[tuple[Callable[[Record, FhirDialect], Iterator[Said]], ...]] = (
    tumours.read,
    observations.read,
    pathology.read,
    procedures.read,
    medications.read,
    laboratory.read,
    front_sheet.read,
)
"""Readers of single nouns; person, stay and diagnoses are read here."""

_GROUP: Final[dict[type, str]] = {
    Fact: "facts",
    DiagnosisFact: "diagnoses",
    ProcedureFact: "procedures",
    PathologyFact: "pathology",
    MedicationFact: "medications",
    MovementFact: "movements",
    TumourFact: "tumours",
    StageFact: "stages",
    MarkerFact: "markers",
    Remark: "remarks",
}
_NO_STAY: Final = frozenset(("Coverage", "Location", "Medication", "Organization", "Patient", "Practitioner", "PractitionerRole"))
"""Kinds that belong to no stay of their own: remarks about them go with the person."""


@dataclass(frozen=True, slots=True)
class Statement:
    """All that a record says of one stay. ``anchor`` is the key of the Encounter, or of the DiagnosticReport that waits for one, or of the
    Patient; ``facts`` are what each contributing message says, oldest first, all of the same patient and visit."""

    anchor: str
    facts: tuple[Facts, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a record says. ``unresolved`` are the keys of resources that were referred to and are not in it: when one of them comes, the
    record must be read again."""

    statements: tuple[Statement, ...]
    unresolved: frozenset[str]


class RecordReader:
    """Reads records of one sender."""

    def __init__(self, dialect: FhirDialect) -> None:
        self.dialect: Final = dialect

    def read(self, record: Record) -> Reading:
        """All that ``record`` says. Whatever it holds is read or remarked; this never raises for the content of a resource."""
        dialect = self.dialect
        identity = person(record, dialect)
        anchors = Anchors(record, dialect)
        merge = merged(record, dialect)
        said = _by_anchor(record, dialect, anchors)
        about_person = [*identity.said, *said.pop("", ())]
        stays = [key for key in anchors.visits if anchors.is_stay(key)]
        for key in stays:
            said[key] = [*about_person, *said.get(key, ())]
        if merge.into is None and (not (anchors.stays or record.gone) or (about_person and record.patient in said)):
            said[record.patient] = [*about_person, *said.get(record.patient, ())]
        test = _is_test(record.resources.get(record.patient))
        statements = [
            Statement(key, (self._taken_back(encounter, identity.patient, said.get(key, ()), not test),))
            for key, encounter in anchors.stays.items()
            if is_withdrawn(encounter)
        ]
        for anchor, items in said.items():
            if anchor in record.gone or (anchor in anchors.stays and anchor not in anchors.visits):
                continue  # taken back as a whole
            facts = self._facts(anchor, items, identity, anchors)
            if test or _is_test(anchors.stays.get(anchor)):
                facts = [replace(one_message, live=False) for one_message in facts]
            if facts:
                statements.append(Statement(anchor, tuple(facts)))
        statements = self._with_merge(record, identity, merge, statements)
        return Reading(tuple(statements), frozenset(record.unresolved))

    def _facts(self, anchor: str, items: list[Said], identity: Identity, anchors: Anchors) -> list[Facts]:
        """What each message says of one stay, oldest first."""
        key = anchors.visits.get(anchor, VisitKey())
        if key.admission_number is None and (number := _admission_number(items)):
            key = replace(key, admission_number=number)
        kind = "Encounter" if anchor in anchors.visits else _kind(anchor)
        by_message: dict[str, Facts] = {}
        for resource, item in items:
            facts = by_message.get(resource.message)
            if facts is None:
                facts = by_message[resource.message] = Facts(
                    resource.message, self.dialect.id, f"FHIR^{kind}", resource.occurred, identity.patient, key
                )
            if resource.occurred > facts.occurred:
                facts.occurred = resource.occurred
            if _is_test(resource):
                facts.live = False
            getattr(facts, _GROUP[type(item)]).append(item)
        listed = sorted(by_message.values(), key=_order)
        for facts in listed:
            if facts.remarks:
                facts.remarks = list(dict.fromkeys(facts.remarks))
        who = identity.patient
        if listed and kind != "DiagnosticReport" and not (who.record_number or who.resident_id or who.others):
            listed[-1].remarks.append(remark("no-patient", "Patient.identifier"))
        return listed

    def _taken_back(self, encounter: Resource, patient: PatientKey, items: Iterable[Said], live: bool) -> Facts:
        """An encounter that was cancelled or entered in error. It keeps the numbers that it is known by, so that its stay is found even
        where it was stated under another name."""
        facts = Facts(encounter.message, self.dialect.id, "FHIR^Encounter", encounter.occurred, patient)
        key = visit(self.dialect, encounter, [])
        facts.visit = key if key.admission_number else replace(key, admission_number=_admission_number(items))
        facts.live = live and not _is_test(encounter)
        facts.cancels = "A01"
        return facts

    def _with_merge(self, record: Record, identity: Identity, merge: Merge, statements: list[Statement]) -> list[Statement]:
        """The statement about the patient says which numbers no longer count (as A40 of HL7 v2), under the number that does."""
        patient, prior, into, said = merge
        if patient is None:
            return statements
        own = next((statement for statement in statements if statement.anchor == record.patient), Statement(record.patient, ()))
        same = next((facts for facts in own.facts if facts.message == patient.message), None)
        facts = (
            replace(same) if same is not None else Facts(patient.message, self.dialect.id, "", patient.occurred, identity.patient)
        )
        surviving = into or identity.patient
        facts.event, facts.merged_from = "FHIR^A40", prior
        facts.live = facts.live and not _is_test(patient)
        facts.remarks = [*facts.remarks, *(one_said.item for one_said in said if isinstance(one_said.item, Remark))]
        others = [statement for statement in statements if statement is not own]
        rest = [one_message for one_message in own.facts if one_message is not same]
        all_said = sorted((replace(one_message, patient=surviving) for one_message in (*rest, facts)), key=_order)
        return [*others, Statement(record.patient, tuple(all_said))]


def _by_anchor(record: Record, dialect: FhirDialect, anchors: Anchors) -> dict[str, list[Said]]:
    """What is said of each stay; what is said of the person under an empty key."""
    said: dict[str, list[Said]] = {key: [*found] for key, found in anchors.said.items()}
    conditions: dict[str, list[Resource]] = {}
    for condition in record.of("Condition"):
        for anchor in anchors.of(condition):
            conditions.setdefault(anchor, []).append(condition)
    for key in anchors.visits:
        encounter = anchors.stays[key]
        said[key] += encounter_says(record, dialect, encounter)
        said[key] += diagnoses(
            record, dialect, encounter, [one_of for one_of in conditions.get(key, ()) if _refers(record, one_of)]
        )
    for read in READERS:
        for one_said in read(record, dialect):
            for anchor in anchors.of(one_said.resource):
                said.setdefault(anchor, []).append(one_said)
    for one_said in record.remarks:
        for anchor in ("",) if one_said.resource.kind in _NO_STAY else anchors.of(one_said.resource):
            said.setdefault(anchor, []).append(one_said)
    return said


def _refers(record: Record, condition: Resource) -> bool:
    """Whether a condition itself speaks of an encounter."""
    return bool(record.key_of(condition, condition.body.get("encounter")))


def _admission_number(items: Iterable[Said]) -> int | None:
    """住院次数 as a front-sheet item."""
    values = (
        one_said.item.value for one_said in items if isinstance(one_said.item, Fact) and one_said.item.path == "admission_number"
    )
    return next((value for value in values if isinstance(value, int) and value > 0), None)


def _kind(anchor: str) -> str:
    """``Patient`` or ``DiagnosticReport`` of a key, with or without a server in front."""
    return "DiagnosticReport" if "DiagnosticReport" in anchor.split("/")[-2:] else "Patient"


def _is_test(resource: Resource | None) -> bool:
    """Whether a resource calls itself test data (v3-ActReason HTEST as tag or security label)."""
    meta = one(resource.body.get("meta")) if resource is not None else {}
    return any(
        coding.code == "HTEST" for name in ("tag", "security") for coding in (codings(meta.get(name)) if name in meta else ())
    )


def _order(facts: Facts) -> tuple[str, int, str]:
    return facts.occurred, len(facts.message), facts.message
