"""A canonical stay as FHIR R4 resources."""

from __future__ import annotations

from collections.abc import Collection

from adapters.fhir.writing.conditions import conditions
from adapters.fhir.writing.encounter import encounter
from adapters.fhir.writing.front_sheet import allergy, coverage, items, nothing
from adapters.fhir.writing.medications import medications
from adapters.fhir.writing.names import Names
from adapters.fhir.writing.pathology import pathology
from adapters.fhir.writing.patient import patient
from adapters.fhir.writing.procedures import procedures
from adapters.fhir.writing.strict import Resource, strict
from adapters.fhir.writing.tumours import tumour_observations
from gateway.model.stay import Stay


def resources_of(stay: Stay, names: Names, *, withdrawn: bool = False, kinds: Collection[str] = ()) -> list[Resource]:
    """The resources of one version of a stay, or those of ``kinds`` only: Patient and Encounter first, each strictly validated.
    ``withdrawn``: its admission was cancelled. What FHIR does not carry (``extras``, and ``verbatim`` but for ``-``) is left out. Raises
    `adapters.fhir.writing.strict.NotFhir`."""
    found = conditions(stay, names)
    made = (
        (patient(stay, names),),
        (encounter(stay, names, found.diagnoses, withdrawn=withdrawn),),
        found.resources,
        tumour_observations(stay, names, found.tumours),
        procedures(stay, names),
        pathology(stay, names),
        medications(stay, names),
        coverage(stay, names),
        allergy(stay, names),
        items(stay, names),
        nothing(stay, names),
    )
    listed = (resource for resources in made for resource in resources)
    return [strict(resource) for resource in listed if not kinds or resource["resourceType"] in kinds]
