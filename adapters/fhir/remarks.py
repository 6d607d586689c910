"""What a reader remarks about FHIR resources; the rules and their texts are those of `mappings.remarks`."""

from __future__ import annotations

from adapters.fhir.resource import Resource
from adapters.fhir.said import Said
from gateway.model.facts import Remark
from mappings import remarks


def remark(rule: str, source: str) -> Remark:
    """The remark of a rule about the element ``source`` (``Patient.birthDate``)."""
    return remarks.remark("fhir", rule, source)


def remarked(rule: str, resource: Resource, element: str) -> Said:
    """The same as something that ``resource`` says."""
    return Said(resource, remark(rule, resource.source(element)))
