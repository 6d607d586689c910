"""Diagnoses and tumours as Conditions.

A tumour whose diagnosis is a discharge diagnosis of the stay (the same code) is written in the Condition of that diagnosis, so that a reader
counts it once; any other one is a Condition of its own. What makes a Condition a cancer follows mCODE (profiles primary and secondary
cancer condition): morphology, site with side, date, basis of diagnosis and staging.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from adapters.fhir.writing.element import (
    Element,
    coded_extension,
    concept,
    element,
    extension,
    listed,
    time,
    translated,
)
from adapters.fhir.writing.names import Names
from adapters.fhir.writing.oncology import worded
from adapters.fhir.writing.strict import Resource
from gateway.model.stay import Diagnosis, Stay, Tumour
from gateway.model.values import Coded
from mappings.code_systems import OURS

MCODE: Final = "http://hl7.org/fhir/us/mcode/StructureDefinition/"
CLINICAL: Final = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_VERIFICATION: Final = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/condition-category"
_ENCOUNTER_DIAGNOSIS: Final = {"coding": [{"system": _CATEGORY, "code": "encounter-diagnosis", "display": "Encounter Diagnosis"}]}
_PROBLEM: Final = {"coding": [{"system": _CATEGORY, "code": "problem-list-item", "display": "Problem List Item"}]}
"""CCRR wants the first, mCODE the second of a cancer"""

_ROLE: Final = "http://terminology.hl7.org/CodeSystem/diagnosis-role"
_ASSERTED: Final = "http://hl7.org/fhir/StructureDefinition/condition-assertedDate"
_COURSES: Final = frozenset(("active", "recurrence", "relapse", "inactive", "remission", "resolved"))
_ROLES: Final = ("primary", "secondary")
_NOTHING: Final = Diagnosis()


@dataclass(frozen=True, slots=True)
class Named:
    """A diagnosis and its role: ``word`` is the end of its id, ``use`` the coding of Encounter.diagnosis.use, ``rank`` its rank."""

    word: tuple[str | int, ...]
    diagnosis: Diagnosis
    use: Element
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class Conditions:
    """``resources`` are the Conditions, ``diagnoses`` the elements of Encounter.diagnosis, ``tumours`` the id of the Condition of each
    tumour of the stay, in its order."""

    resources: list[Resource]
    diagnoses: list[Element]
    tumours: list[str]


def conditions(stay: Stay, names: Names) -> Conditions:
    """All Conditions of a stay."""
    named = list(_named(stay))
    held = _held(stay, named)
    ids = [names.id(*named[held[index]].word) if index in held else names.id("tumour", index) for index in range(len(stay.tumours))]
    of_diagnosis = {position: index for index, position in held.items()}
    resources = []
    diagnoses = []
    for position, one in enumerate(named):
        tumour = of_diagnosis.get(position)
        id = names.id(*one.word)
        resources.append(_condition(id, names, one.diagnosis, stay.tumours[tumour] if tumour is not None else None, tumour))
        diagnoses.append(element(condition={"reference": f"Condition/{id}"}, use={"coding": [one.use]}, rank=one.rank))
    for index, tumour_of in enumerate(stay.tumours):
        if index not in held:
            resources.append(_condition(ids[index], names, _NOTHING, tumour_of, index))
    return Conditions(resources, diagnoses, ids)


def _named(stay: Stay) -> Iterator[Named]:
    """The diagnoses that say something, with their roles."""
    slots = stay.diagnoses
    found = [Named(("principal",), slots.principal, _use("DD", "Discharge diagnosis"), 1)]
    found += [
        Named(("other", position), other, _use("CM", "Comorbidity diagnosis"), position)
        for position, other in enumerate(slots.other, start=2)
    ]
    found.append(Named(("admission",), slots.admission, _use("AD", "Admission diagnosis")))
    found.append(Named(("outpatient",), slots.outpatient, _our_use("outpatient", "门（急）诊诊断")))
    found.append(Named(("external-cause",), slots.external_cause, _our_use("external_cause", "损伤、中毒外部原因")))
    yield from (one for one in found if one.diagnosis != _NOTHING)


def _use(code: str, display: str) -> Element:
    return {"system": _ROLE, "code": code, "display": display}


def _our_use(code: str, display: str) -> Element:
    return {"system": OURS + "diagnosis-use", "code": code, "display": display}


def _held(stay: Stay, named: list[Named]) -> dict[int, int]:
    """Which tumours are which discharge diagnoses: index of the tumour to position among the named."""
    held: dict[int, int] = {}
    for index, tumour in enumerate(stay.tumours):
        for position, one in enumerate(named):
            if one.rank is not None and position not in held.values() and _same(tumour.condition, one.diagnosis.condition):
                held[index] = position
                break
    return held


def _same(one: Coded | None, other: Coded | None) -> bool:
    return one is not None and other is not None and bool(one.code) and (one.system, one.code) == (other.system, other.code)


def _condition(id: str, names: Names, diagnosis: Diagnosis, tumour: Tumour | None, number: int | None) -> Resource:
    """One Condition: a diagnosis, a tumour, or both."""
    profile = [MCODE + f"mcode-{tumour.role}-cancer-condition"] if tumour is not None and tumour.role in _ROLES else []
    stated = tumour if tumour is not None else Tumour()
    confirmed = stated.diagnosed_on or diagnosis.confirmed_on
    return {
        "resourceType": "Condition",
        "id": id,
        "meta": {**names.meta, **element(profile=profile)},
        **element(
            extension=listed(
                extension(_ASSERTED, **time("valueDateTime", confirmed)),
                coded_extension("present-on-admission", diagnosis.present_on_admission),
                coded_extension("outcome", diagnosis.outcome),
                extension(MCODE + "mcode-histology-morphology-behavior", valueCodeableConcept=concept(stated.morphology)),
            ),
            clinicalStatus=_clinical_status(diagnosis, stated),
            verificationStatus={"coding": [{"system": _VERIFICATION, "code": "confirmed", "display": "Confirmed"}]},
            category=[_ENCOUNTER_DIAGNOSIS, *([_PROBLEM] if tumour is not None else [])],
            code=concept(diagnosis.condition or stated.condition),
            bodySite=listed(_site(stated)),
            subject=names.subject,
            encounter=names.encounter,
            stage=[_stage(names, number, index) for index in range(len(stated.stages))],
            evidence=listed(element(code=listed(concept(*worded("tumour-basis", stated.basis))))),
        ),
    }


def _clinical_status(diagnosis: Diagnosis, tumour: Tumour) -> Element:
    """The course of the tumour where it is one of FHIR's words, else what the outcome at discharge says."""
    course = tumour.course
    if course is not None:
        return concept(Coded(CLINICAL, course.code, course.display)) if course.code in _COURSES else {}
    return concept(translated(diagnosis.outcome, "Condition.clinicalStatus"))


def _site(tumour: Tumour) -> Element:
    side = concept(*worded("tumour-laterality", tumour.laterality))
    return element(
        extension=listed(extension(MCODE + "mcode-laterality-qualifier", valueCodeableConcept=side)), **concept(tumour.topography)
    )


def _stage(names: Names, tumour: int | None, index: int) -> Element:
    """Condition.stage: the staging Observation says it all."""
    return {"assessment": [{"reference": f"Observation/{names.id('tumour', tumour or 0, 'stage', index)}"}]}
