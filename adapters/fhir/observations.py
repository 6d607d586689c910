"""Observations about tumours: stagings, grade, morphology, size, side, tumour markers and receptor status.

Told by code (``mappings/sources/fhir/observations.csv``), never by display. Only final, amended and corrected ones count. What is tied to
no tumour belongs to the only primary of the record; beside several, a staging or marker stays without a tumour until a person links it,
and a grade or size is remarked and not used."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.fhir.cancer import STAGING, Cancers, morphology
from adapters.fhir.dialect import FhirDialect
from adapters.fhir.elements import choice, numbered, text, when
from adapters.fhir.oncology import USED, Datum, datum_of, profiles_of, stated, worded
from adapters.fhir.record import Record
from adapters.fhir.remarks import remarked
from adapters.fhir.resource import Resource
from adapters.fhir.result import Result, millimetres, result_of
from adapters.fhir.said import Said
from adapters.fhir.staging import Staged, stagings
from gateway.model.facts import MarkerFact, TumourFact
from gateway.model.values import Coded
from mappings.code_map import CodeMap


def read(record: Record, dialect: FhirDialect) -> Iterator[Said]:
    """What the observations of a record say of tumours."""
    cancers: Cancers | None = None
    staged: list[Staged] = []
    for observation in record.of("Observation"):
        body = observation.body
        datum = datum_of(body.get("code"), dialect, profiles_of(body))
        if datum is None or text(body.get("status")) not in USED:
            continue
        cancers = cancers or Cancers(record, dialect)
        tumour = cancers.of(observation)
        if tumour is None:
            continue
        if datum.name in STAGING:
            staged.append(Staged(observation, datum, tumour))
        elif datum.name == "marker":
            yield from _markers(observation, tumour)
        else:
            yield from _leaf(observation, datum, tumour or cancers.only, dialect)
    yield from stagings(record, staged, dialect)


def _markers(observation: Resource, tumour: str) -> Iterator[Said]:
    """A marker with its result, and each component with one of its own."""
    body = observation.body
    on = when(body, "effective").text[:10] or None
    holders = [("", observation.key, body)]
    holders += [
        (f"{element}.", f"{observation.key}#{element}", component)
        for element, component in numbered(body.get("component"), "component")
    ]
    for where, key, holder in holders:
        test, result = stated(holder.get("code")), result_of(holder)
        if test is not None and result is not None:
            source = observation.source(where + result.element)
            yield Said(
                observation,
                MarkerFact(tumour, key, source, test, result.value or None, result.unit or None, result.coded, on),
            )


def _leaf(observation: Resource, datum: Datum, tumour: str, dialect: FhirDialect) -> Iterator[Said]:
    """A single item of a tumour."""
    body = observation.body
    where, result = "", result_of(body)
    if result is None and datum.name == "size":
        where, result = _longest(observation, dialect)
    if result is None:
        return
    source = observation.source(where + result.element)
    if not tumour:
        yield remarked("tumour-unlinked", observation, "focus")
    elif datum.name in ("size", "longest"):
        size = millimetres(result)
        yield (
            Said(observation, TumourFact(tumour, source, size_mm=size))
            if size
            else remarked("not-a-number", observation, where + result.element)
        )
    elif datum.name == "morphology":
        yield Said(observation, TumourFact(tumour, source, morphology=morphology(choice(body, "value")[1]) or result.as_coded))
    elif datum.name == "grade":
        yield Said(observation, TumourFact(tumour, source, grade=_word(dialect.maps["tumour-grade"], observation, result)))
    elif datum.name == "laterality":
        yield Said(
            observation, TumourFact(tumour, source, laterality=_word(dialect.maps["tumour-laterality"], observation, result))
        )


def _longest(observation: Resource, dialect: FhirDialect) -> tuple[str, Result | None]:
    for element, component in numbered(observation.body.get("component"), "component"):
        datum = datum_of(component.get("code"), dialect)
        if datum is not None and datum.name == "longest" and (result := result_of(component)) is not None:
            return f"{element}.", result
    return "", None


def _word(codes: CodeMap, observation: Resource, result: Result) -> Coded | None:
    """A result as a word of a map, whether it came coded or as text."""
    content = choice(observation.body, "value")[1]
    return worded(codes, content if result.coded is not None else {"text": result.value})
