"""One FHIR resource as a source states it now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Release = Literal["R4", "R5"]
"""FHIR releases as far as they differ for us: R4B is read as R4."""

USED = frozenset(
    (
        "AllergyIntolerance", "Condition", "Coverage", "DiagnosticReport", "Encounter", "Invoice", "Location", "Medication",
        "MedicationAdministration", "MedicationRequest", "MedicationStatement", "Observation", "Organization", "Patient",
        "Practitioner", "PractitionerRole", "Procedure", "Specimen",
    )
)  # fmt: skip
"""Types of resources that tell something to report. Others are kept with the message they came in and not looked at."""

Body = Mapping[str, Any]
"""A resource as decoded JSON. Numbers with a fraction are `decimal.Decimal` with the digits that were sent (6.50 stays 6.50)."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource with what it needs to be understood by itself.

    ``key`` is its address within its source: ``Patient/7``, with the sender's base in front where that is another server's
    (``http://his.example/fhir/Patient/7``). ``message`` names the message that states it (provenance: ``fhir:12``), ``occurred`` when that
    was (ISO 8601 China time). ``place`` is where it stands in that message: empty for a message that is the resource, ``entry[3]`` in a
    bundle, ``line[3]`` in a piece of a bulk file, counted from 0 as FHIRPath does. ``links`` maps references as they stand in ``body``
    (``urn:uuid:…``) to keys, where they are not keys themselves.
    """

    key: str
    body: Body = field(repr=False)
    message: str
    occurred: str
    release: Release = "R4"
    links: Mapping[str, str] = field(default_factory=dict)
    place: str = ""

    @property
    def kind(self) -> str:
        """Its resourceType."""
        return str(self.body["resourceType"])

    def source(self, element: str) -> str:
        """How provenance names an element of it: ``entry[3].Encounter.period.start``."""
        return ".".join(part for part in (self.place, self.kind, element) if part)

    def target(self, reference: str) -> str:
        """The key that a literal reference of this resource leads to, versions left out. Contained resources (``#…``) have none."""
        plain = reference.partition("/_history/")[0]
        return self.links.get(reference) or self.links.get(plain) or plain
