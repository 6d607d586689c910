"""Laboratory results and allergies that the front sheet asks for: HBsAg, HCV-Ab, HIV-Ab, blood groups, birth weight; allergy to drugs.

Which observation is which item is told by code or name (map ``laboratory-item``, whose targets are paths), as in HL7 v2. Only final results
are facts, and only qualitative ones. An allergy that is unconfirmed, refuted or no longer active says nothing; one to food is none here.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Final

from adapters.fhir.dialect import FhirDialect
from adapters.fhir.elements import Element, choice, codings, each, extension, has_code, label, one, text, value_of
from adapters.fhir.oncology import USED, stated
from adapters.fhir.record import Record
from adapters.fhir.remarks import remarked
from adapters.fhir.resource import Resource
from adapters.fhir.result import Result, result_of
from adapters.fhir.said import Said
from adapters.fhir.values import target_of, without_system
from gateway.model.facts import Fact
from mappings.code_map import CodeMap

_MEANINGS: Final = {
    "laboratory.hbsag": "test-result",
    "laboratory.hcv_antibody": "test-result",
    "laboratory.hiv_antibody": "test-result",
    "laboratory.abo_group": "abo",
    "laboratory.rh_group": "rh",
}
"""Paths and the map of their results."""
_BIRTH_WEIGHT: Final = "births[0].weight"
_GRAMS: Final = {"": 1, "g": 1, "克": 1, "kg": 1000, "千克": 1000, "公斤": 1000}
_OVER: Final = frozenset(("inactive", "resolved"))
_DOUBTED: Final = frozenset(("unconfirmed", "presumed", "refuted", "entered-in-error"))


def read(record: Record, dialect: FhirDialect) -> Iterator[Said]:
    """The results and allergies of a record."""
    items = dialect.maps["laboratory-item"]
    for observation in record.of("Observation"):
        body = observation.body
        path = without_system(items, body.get("code"))
        if path and text(body.get("status")) in USED and (result := result_of(body)) is not None:
            yield _result(dialect, observation, path, result)
    yield from _allergies(record, dialect)


def _result(dialect: FhirDialect, observation: Resource, path: str, result: Result) -> Said:
    source = observation.source(result.element)
    if path == _BIRTH_WEIGHT:
        weight = _grams(result)
        return Said(observation, Fact(path, weight, source)) if weight else remarked("not-a-number", observation, result.element)
    meanings = dialect.maps[_MEANINGS[path]] if path in _MEANINGS else None
    if meanings is None:
        return remarked("unknown-word", observation, "code")
    content = choice(observation.body, "value")[1]
    target = target_of(meanings, content if isinstance(content, str | dict) else result.value)[0]
    target = target or next(
        (found for concept in each(observation.body.get("interpretation")) if (found := _polarity(meanings, concept))), None
    )
    return (
        Said(observation, Fact(path, meanings.coded(target), source))
        if target
        else remarked("not-qualitative", observation, result.element)
    )


def _polarity(meanings: CodeMap, concept: Element) -> str | None:
    """What an interpretation (POS, NEG) means: the map has these as words."""
    return next((target for coding in codings(concept) if (target := meanings.find(coding.code or "")[0])), None)


def _grams(result: Result) -> int | None:
    factor = _GRAMS.get(result.unit.strip().lower())
    try:
        grams = Decimal(result.value) * factor if factor else None
    except InvalidOperation:
        return None
    return int(grams) if grams is not None and grams.is_finite() and 0 < grams < 20000 else None


def _allergies(record: Record, dialect: FhirDialect) -> Iterator[Said]:
    """Allergy to drugs: present with the names of the drugs, absent when that is all that is said."""
    allergens, kinds = dialect.maps["allergen"], dialect.maps["allergy-type"]
    drugs: list[str] = []
    first: Resource | None = None
    none: Resource | None = None
    for allergy in record.of("AllergyIntolerance"):
        body = allergy.body
        if has_code(body.get("verificationStatus"), _DOUBTED) or has_code(body.get("clinicalStatus"), _OVER):
            continue
        own = value_of(extension(body, *dialect.urls("allergy")))
        present = text(one(own).get("code")) or target_of(allergens, body.get("code"))[0]
        if present == "1":
            none = none or allergy
        elif (drug := stated(body.get("code"))) is not None:
            kind = _kind(kinds, body)
            if kind == "2":
                first = first or allergy
                drugs.append(label(body.get("code")) or drug.code or "")
            elif kind is None:
                yield remarked("unknown-word", allergy, "category")
    if first is not None:
        yield Said(first, Fact("allergy.present", allergens.coded("2"), first.source("code")))
        yield Said(first, Fact("allergy.drugs", "、".join(dict.fromkeys(drugs)), first.source("code")))
    elif none is not None:
        yield Said(none, Fact("allergy.present", allergens.coded("1"), none.source("code")))


def _kind(kinds: CodeMap, body: Element) -> str | None:
    """Whether it is an allergy to a drug (``2``) or to something else (empty); None where the category does not say it."""
    categories = body.get("category")
    words = [text(word) for word in (categories if isinstance(categories, list) else [categories])]
    known = [kind for word in words if word and (kind := kinds.find(word)[0]) is not None]
    return max(known, default=None)
