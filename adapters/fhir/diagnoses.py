"""Diagnoses of a stay: the conditions that Encounter.diagnosis names, with their use and rank.

Rules (ours: docs/fhir.md): a condition counts when it is confirmed; without a verification status it counts as confirmed when it has
a clinical status, which is remarked, and else is kept as working. The status counts, not the words: a confirmed one that calls itself
suspected (待排) is remarked. Provisional, differential and unconfirmed ones (疑似) are kept as working, refuted and wrong ones are not said
at all. In R4 rank counts within each use: rank 1 of use DD is the main diagnosis, and where no rank is sent nobody knows it. R5 has no rank:
the only diagnosis of use DD is the main one. CM are others, and so are DD beside a main one; others without a rank keep the order in which
the encounter names them.
A condition of the encounter that Encounter.diagnosis does not name is kept as working.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Final, Literal, NamedTuple

from adapters.fhir.cancer import confirmed, morphology_of
from adapters.fhir.dialect import FhirDialect
from adapters.fhir.elements import (
    NOTHING,
    Element,
    codings,
    concept_and_reference,
    day,
    each,
    extension,
    has_code,
    label,
    numbered,
    positive,
    text,
    value_of,
)
from adapters.fhir.encounters import is_over
from adapters.fhir.record import Record
from adapters.fhir.remarks import remarked
from adapters.fhir.resource import Resource
from adapters.fhir.said import Said
from adapters.fhir.values import detail, target_of
from gateway.model.facts import DiagnosisFact, DiagnosisUse
from gateway.model.morphology import morphology_code
from gateway.model.names import is_chinese
from gateway.model.values import Coded
from mappings.diagnosis_uses import USES

Verdict = Literal["confirmed", "open", "withdrawn"]

_WITHDRAWN: Final = frozenset(("refuted", "entered-in-error"))
_DOUBTFUL: Final = frozenset(("unconfirmed", "provisional", "differential"))
_DETAILS: Final = {"present_on_admission": "present-on-admission", "outcome": "outcome"}
"""Members that an extension of the same name holds, and their maps."""

_DOUBTING: Final = re.compile("待排|待查|疑似|可疑|不除外|考虑|[?？]")
_OF_SUSPICION: Final = re.compile("Z03|O35")
"""Categories of ICD-10 whose own names speak of suspicion (observation for a suspected disease, care for a suspected damage of the fetus)."""


class _Named(NamedTuple):
    """One use of one entry of Encounter.diagnosis. ``condition`` is None for a bare concept of R5."""

    element: str
    concept: Element
    condition: Resource | None
    use: str
    rank: int | None


def diagnoses(record: Record, dialect: FhirDialect, encounter: Resource, others: Iterable[Resource] = ()) -> Iterator[Said]:
    """The diagnoses of a stay. ``others`` are conditions that speak of the encounter whether or not it names them."""
    said: list[Said] = []
    named = list(_named(record, dialect, encounter, said))
    stated = {(entry.condition.key if entry.condition is not None else entry.element, entry.use) for entry in named if entry.use}
    only = len({key for key, use in stated if use == "discharge"}) == 1 and all(use != "principal" for _, use in stated)
    seen: set[tuple[str, DiagnosisUse]] = set()
    places = count(2)
    for entry in named:
        use, rank = USES.get(entry.use, ("working", None))
        if entry.rank is not None and use != "working":
            rank = entry.rank + 1 if entry.use == "other" else entry.rank
        elif entry.use == "other":
            rank = next(places)
        elif encounter.release == "R5" and entry.use == "discharge" and only:
            rank = 1
        owner = entry.condition or encounter
        key = entry.condition.key if entry.condition is not None else ""
        if (key or entry.element, use) not in seen:
            seen.add((key or entry.element, use))
            said.extend(_diagnosis(record, dialect, owner, entry, use, rank, key))
    mentioned = {entry.condition.key for entry in named if entry.condition is not None}
    for condition in others:
        if condition.key not in mentioned and (verdict := verdict_of(condition)) != "withdrawn":
            entry = _Named("", _concept(condition), condition, "working", None)
            said.extend(_diagnosis(record, dialect, condition, entry, "working", None, condition.key))
            if verdict == "confirmed":
                said.append(remarked("diagnosis-not-named", condition, "encounter"))
    yield from said


def verdict_of(condition: Resource) -> Verdict:
    """Whether a condition is confirmed, still open, or taken back."""
    if has_code(condition.body.get("verificationStatus"), _WITHDRAWN):
        return "withdrawn"
    return "confirmed" if confirmed(condition.body) else "open"


def _named(record: Record, dialect: FhirDialect, encounter: Resource, said: list[Said]) -> Iterator[_Named]:
    for element, entry in numbered(encounter.body.get("diagnosis"), "diagnosis"):
        rank = positive(entry.get("rank")) if encounter.release == "R4" else None
        uses = list(_uses(dialect, encounter, entry.get("use"), element, said))
        for place, item in numbered(entry.get("condition"), f"{element}.condition"):
            concept, reference = concept_and_reference(item)
            condition = record.resolve(encounter, reference, place) if reference else None
            if condition is not None and condition.kind != "Condition":
                continue  # R4 also names procedures here
            if condition is None and not concept:
                continue
            for use in uses:
                yield _Named(place, concept or _concept(condition), condition, use, rank)


def _uses(dialect: FhirDialect, encounter: Resource, content: object, element: str, said: list[Said]) -> Iterator[str]:
    """Words of the map ``diagnosis-use``. Without any the diagnosis of a finished encounter is one of discharge, as in HL7 v2."""
    listed = [use for use in each(content) if codings(use) or label(use)]
    if not listed and is_over(encounter):
        yield "discharge"
        return
    known = [target for use in listed if (target := target_of(dialect.maps["diagnosis-use"], use)[0])]
    if not known:
        said.append(remarked("diagnosis-use", encounter, f"{element}.use"))
        yield "working"
    yield from dict.fromkeys(known)


def _concept(condition: Resource | None) -> Element:
    concept = condition.body.get("code") if condition is not None else None
    return concept if isinstance(concept, dict) else NOTHING


def _diagnosis(
    record: Record, dialect: FhirDialect, owner: Resource, entry: _Named, use: DiagnosisUse, rank: int | None, key: str
) -> Iterator[Said]:
    condition = entry.condition
    place = "code" if condition is not None else f"{entry.element}.concept"
    if condition is not None:
        verdict = verdict_of(condition)
        if verdict == "withdrawn":
            return
        status = condition.body.get("verificationStatus")
        if verdict == "open" and use != "working":
            doubted = has_code(status, _DOUBTFUL)
            yield remarked("diagnosis-not-confirmed" if doubted else "diagnosis-status", condition, "verificationStatus")
        elif verdict == "confirmed" and not codings(status):
            yield remarked("diagnosis-taken-as-confirmed", condition, "clinicalStatus")
        if verdict == "open":
            use, rank = "working", None
    coded = _coded(dialect, entry.concept)
    if coded is None:
        yield remarked("diagnosis-empty", owner, place)
        return
    if coded.system == dialect.systems.morphology:
        use, rank = "working" if use == "working" else "pathology", None
    elif use != "working" and coded.code and coded.system != dialect.systems.diagnosis:
        yield remarked("unmapped-code", owner, place)
    if use not in ("working", "pathology") and _doubted(entry.concept):
        yield remarked("diagnosis-words-doubt", owner, place)
    remarks: list[Said] = []
    details = (
        {name: detail(record, condition, dialect.urls(name), dialect.maps[map], remarks) for name, map in _DETAILS.items()}
        if condition is not None
        else {}
    )
    yield Said(
        owner,
        DiagnosisFact(
            coded,
            owner.source(place),
            use,
            rank,
            key=(key if use == "discharge" else f"{key}#{use}") if key else coded.code or coded.display or "",
            present_on_admission=details.get("present_on_admission"),
            outcome=details.get("outcome"),
            confirmed_on=_confirmed_on(dialect, condition),
        ),
    )
    yield from remarks
    if condition is not None and use == "discharge" and (told := _told_morphology(dialect, condition)) is not None:
        source = condition.source("extension")
        yield Said(condition, DiagnosisFact(told, source, "pathology", key=f"{key}#morphology"))


def _doubted(concept: Element) -> bool:
    """Whether the words of a diagnosis call it suspected."""
    listed = codings(concept)
    if any(_OF_SUSPICION.match(coding.code or "") for coding in listed):
        return False
    return any(_DOUBTING.search(words) for words in (label(concept), *(coding.display or "" for coding in listed)))


def _coded(dialect: FhirDialect, concept: Element) -> Coded | None:
    """The diagnosis in the edition that the sender codes in; else a morphology; else as it was sent (SNOMED CT, a name alone)."""
    words = label(concept)
    found = dialect.classified(concept, dialect.systems.diagnosis)
    if found is not None:
        return Coded(found.system, found.code, _name(found, words))
    found = dialect.classified(concept, dialect.systems.morphology)
    if found is not None:
        return Coded(found.system, morphology_code(found.code or ""), _name(found, words))
    first = next((coding for coding in codings(concept) if coding.code), None)
    if first is not None:
        return Coded(first.system or f"{dialect.id}/diagnosis", first.code, _name(first, words))
    return Coded("", None, words) if words else None


def _name(coding: Coded, words: str) -> str | None:
    """The name that the code has in the classification, unless only the words are Chinese."""
    display = coding.display or ""
    return (words if not display or (is_chinese(words) and not is_chinese(display)) else display) or None


def _confirmed_on(dialect: FhirDialect, condition: Resource | None) -> str | None:
    """The date of diagnosis that is stated; the recorded date is none."""
    if condition is None:
        return None
    return day(text(value_of(extension(condition.body, *dialect.urls("confirmed_on"))))) or None


def _told_morphology(dialect: FhirDialect, condition: Resource) -> Coded | None:
    """The morphology of a tumour's condition as the front sheet prints it."""
    found = morphology_of(condition.body)
    code = morphology_code(found.code or "") if found is not None and found.system == "ICD-O-3" else ""
    return Coded(dialect.systems.morphology, code, found.display if found is not None else None) if code else None
