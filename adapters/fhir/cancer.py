"""Which conditions of a record are cancers, and which of them an observation is about.

A condition is a cancer by its code (ICD-10 C00–C97, D00–D09, D37–D48, or ICD-O-3), its mCODE profile, its histology-morphology-behavior
extension, or because a TNM or other staging is about it. It counts when it is confirmed. An observation is tied to it by Observation.focus,
the related-condition extension of mCODE, or by a condition that names it as assessment of its stage or as evidence; else by nothing:
a tie is never guessed (ours: docs/fhir.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from adapters.fhir.dialect import FhirDialect
from adapters.fhir.elements import Element, codings, each, extension, extensions, has_code, numbered, one, text, value_of
from adapters.fhir.oncology import USED, datum_of, profile_words, profiles_of, stated
from adapters.fhir.record import Record
from adapters.fhir.resource import Resource
from gateway.model.facts import TumourRole
from gateway.model.morphology import icdo3_code
from gateway.model.values import Coded

STAGING: Final = frozenset(("t", "n", "m", "group"))
"""Data that stage a cancer."""

_ROLES: Final = frozenset(("primary", "secondary"))
_NEOPLASM: Final = re.compile(r"(?:C(?:[0-8]\d|9[0-7])|D0\d|D3[7-9]|D4[0-8])(?:\.|[0-9Xx+]|$)")
_METASTASIS: Final = re.compile(r"C7[7-9]")
_TOPOGRAPHY: Final = re.compile(r"(C\d\d)\.?(\d)?")
_MORPHOLOGY: Final = ("mcode-histology-morphology-behavior", "onco-core-HistologyMorphologyBehavior-extension")
_RELATED: Final = ("mcode-related-condition", "onco-core-PrimaryCancerCondition-extension")


class Cancers:
    """The cancers of a record: confirmed conditions by key, in the order of the record."""

    def __init__(self, record: Record, dialect: FhirDialect) -> None:
        self._record = record
        self._dialect = dialect
        self._about: dict[str, set[str]] = {}
        staged: set[str] = set()
        for observation in record.of("Observation"):
            datum = datum_of(observation.body.get("code"), dialect)
            if datum is not None and datum.name in STAGING and text(observation.body.get("status")) in USED:
                staged.update(key for _, key in self._named(observation))
                staged.add(observation.key)
        conditions = list(record.of("Condition"))
        for condition in conditions:
            for key in self._evidence(condition):
                self._about.setdefault(key, set()).add(condition.key)
                if key in staged:
                    staged.add(condition.key)
        self.conditions: Final = {
            condition.key: condition
            for condition in conditions
            if confirmed(condition.body) and (condition.key in staged or is_cancer(condition.body, dialect))
        }
        primaries = [key for key, condition in self.conditions.items() if role_of(condition.body, dialect) != "secondary"]
        self.only: Final = primaries[0] if len(primaries) == 1 else ""
        """The key of the only primary of the record; empty where there is none or another one beside it"""

    def of(self, observation: Resource) -> str | None:
        """The key of the tumour that an observation is about; empty where nothing says so or several are named, None where it is about
        a condition that is no confirmed cancer: then it says nothing of a tumour. A condition that was not received counts as one."""
        named = [key for _, key in self._named(observation)] or [
            key for key in self._about.get(observation.key, ()) if key in self.conditions
        ]
        cancers = {key for key in named if key in self.conditions or key not in self._record.resources}
        if not cancers:
            return None if named else ""
        return next(iter(cancers)) if len(cancers) == 1 else ""

    def _named(self, observation: Resource) -> Iterator[tuple[str, str]]:
        """(element, key) of the conditions that an observation names."""
        body = observation.body
        references = [*numbered(body.get("focus"), "focus")]
        if body.get("extension"):
            references += [(f"{element}.valueReference", one(value_of(item))) for element, item in extensions(body, *_RELATED)]
        for element, reference in references:
            found = self._record.resolve(observation, reference, element)
            if found is not None and found.kind == "Condition":
                yield element, found.key
            elif found is None and (key := self._record.key_of(observation, reference)) and _kind(key) in ("Condition", ""):
                yield element, key

    def _evidence(self, condition: Resource) -> Iterator[str]:
        """Keys of what a condition names as assessment of its stage or as evidence (R4 ``detail``, R5 ``reference``)."""
        body = condition.body
        for stage in each(body.get("stage")):
            for reference in each(stage.get("assessment")):
                yield self._record.key_of(condition, reference)
        for evidence in each(body.get("evidence")):
            for reference in (*each(evidence.get("detail")), *each(evidence.get("reference"))):
                yield self._record.key_of(condition, reference)


def confirmed(body: Element) -> bool:
    """Whether a condition is confirmed: it says so, or it has a clinical status and says nothing else."""
    status = body.get("verificationStatus")
    return has_code(status, {"confirmed"}) if codings(status) else bool(codings(body.get("clinicalStatus")))


def is_cancer(body: Element, dialect: FhirDialect) -> bool:
    """Whether a condition calls itself a cancer, by code, profile or morphology."""
    if profile_words(profiles_of(body), dialect) & _ROLES or extension(body, *_MORPHOLOGY):
        return True
    return any(_is_neoplasm(coding, dialect) for coding in codings(body.get("code")))


def role_of(body: Element, dialect: FhirDialect) -> TumourRole:
    """Primary or secondary: by C77–C79 of ICD-10 (in ICD-O-3 C77 is the site of lymphomas) or a behaviour 6, by the profile; any other
    neoplasm by code is primary."""
    found = codings(body.get("code"))
    neoplasms = [coding for coding in found if _is_neoplasm(coding, dialect)]
    morphology = morphology_of(body)
    if any(coding.system != "ICD-O-3" and _METASTASIS.match(coding.code or "") for coding in neoplasms) or (
        morphology is not None and morphology.system == "ICD-O-3" and (morphology.code or "").endswith("/6")
    ):
        return "secondary"
    said = profile_words(profiles_of(body), dialect)
    return "secondary" if "secondary" in said else "primary" if "primary" in said or neoplasms else ""


def morphology_of(body: Element) -> Coded | None:
    """Morphology with behaviour of a condition: its extension, else an ICD-O-3 morphology among its codes."""
    coded = morphology(value_of(extension(body, *_MORPHOLOGY))) if body.get("extension") else None
    if coded is not None:
        return coded
    return next((found for coding in codings(body.get("code")) if (found := _icdo3_morphology(coding)) is not None), None)


def morphology(concept: object) -> Coded | None:
    """A concept as ICD-O-3 morphology (``8500/3``) where a coding is one, else as it was sent."""
    return next((found for coding in codings(concept) if (found := _icdo3_morphology(coding)) is not None), None) or stated(concept)


def topography(concept: object) -> Coded | None:
    """A concept as ICD-O-3 topography (``C50.4``) where a coding is one, else as it was sent."""
    for coding in codings(concept):
        if coding.system == "ICD-O-3" and (match := _TOPOGRAPHY.fullmatch(coding.code or "")):
            return Coded("ICD-O-3", f"{match[1]}.{match[2]}" if match[2] else match[1], coding.display)
    return stated(concept)


def _icdo3_morphology(coding: Coded) -> Coded | None:
    code = coding.code or ""
    if coding.system == "ICD-O-3" or "/" in code:
        found = icdo3_code(code)
        return Coded("ICD-O-3", found, coding.display) if found else None
    return None


def _is_neoplasm(coding: Coded, dialect: FhirDialect) -> bool:
    system = coding.system
    if not coding.code or not (not system or system == dialect.systems.diagnosis or "ICD" in system.upper()):
        return False
    return _NEOPLASM.match(coding.code) is not None or (system == "ICD-O-3" and bool(icdo3_code(coding.code)))


def _kind(key: str) -> str:
    """The resource type in a key; empty for a ``urn:uuid``."""
    return "" if ":" in key and "/" not in key else key.rpartition("/")[0].rpartition("/")[2]
