"""Walking a plan: what the base table and the dialect say of a kind of resource, applied to one resource."""

from __future__ import annotations

from adapters.fhir.dialect import FhirDialect
from adapters.fhir.record import Record
from adapters.fhir.resource import Resource
from adapters.fhir.said import Said
from adapters.fhir.values import Spot
from gateway.model.facts import Fact


def walk(record: Record, dialect: FhirDialect, resource: Resource, said: list[Said], *, finished: bool = False) -> None:
    """Add what ``resource`` says of paths of the stay: of the elements of a path the first that says something counts. ``finished`` opens
    the elements that mean something only of an encounter that is over."""
    body = resource.body
    for rule in dialect.plan(resource.kind, resource.release):
        for source in rule.sources:
            if source.finished and not finished:
                continue
            value = None
            for element, content in source.route.find(body):
                value = source.convert(Spot(record, resource, element, content, said, source.codes))
                if value is not None:
                    said.append(Said(resource, Fact(rule.path, value, resource.source(element))))
                    break
            if value is not None:
                break
