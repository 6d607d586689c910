"""What leaves as FHIR is R4: strictly validated before it is given to anybody.

The classes of ``fhir.resources`` are those of R4B (4.3.0), which for the resources that we make is R4 (4.0.1) but for a few data types. So
only kinds of resource that we make are accepted, and elements of types that R4 does not have are refused (R4B, "R4 and R4B": new types
CodeableReference and RatioRange).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from adapters.fhir.json_text import encode
from gateway.model.errors import ZhibaoError

Resource = dict[str, Any]
"""A FHIR resource as JSON. Decimals are `decimal.Decimal` with the digits they came with."""

KINDS: Final = frozenset(
    (
        "AllergyIntolerance",
        "AuditEvent",
        "Bundle",
        "Composition",
        "Condition",
        "Coverage",
        "DiagnosticReport",
        "Encounter",
        "Location",
        "MedicationAdministration",
        "MedicationRequest",
        "MessageHeader",
        "Observation",
        "Organization",
        "Patient",
        "Practitioner",
        "Procedure",
        "Provenance",
        "Specimen",
    )
)
"""The kinds of resource that are written; R4 and R4B define their elements alike."""

_NOT_IN_R4: Final = ("CodeableReference", "RatioRange")


class NotFhir(ZhibaoError):
    """Something was made that is not FHIR R4: a fault of the program, or a stay that holds what FHIR cannot. The text names elements,
    never values."""


def strict(resource: Resource) -> Resource:
    """``resource`` itself, validated. Raises `NotFhir`."""
    _check_r4(resource, str(resource.get("resourceType")))
    kind = str(resource.get("resourceType"))
    try:
        _class(kind).model_validate(resource)
    except ValidationError as error:
        places = {".".join(str(step) for step in one["loc"]) or kind for one in error.errors(include_input=False)}
        raise _refused(kind, sorted(places)) from None
    return resource


def as_json(resource: Mapping[str, Any]) -> str:
    """A resource as JSON text; amounts keep their digits (6.50)."""
    return encode(resource).decode()


def _check_r4(node: Any, place: str) -> None:
    """Refuse what R4B has and R4 has not, here and in everything below."""
    if isinstance(node, list):
        for item in node:
            _check_r4(item, place)
    elif isinstance(node, dict):
        kind = node.get("resourceType")
        if kind is not None and kind not in KINDS:
            raise _refused(place, [f"{place}.resourceType"])
        for name, value in node.items():
            if name.endswith(_NOT_IN_R4):
                raise _refused(place, [f"{place}.{name}"])
            _check_r4(value, f"{place}.{name}")


def _refused(kind: str, places: list[str]) -> NotFhir:
    listed = "、".join(places)
    return NotFhir(
        f"{kind} 不是有效的 FHIR R4 资源：{listed}",
        action="请核对病例中的这些内容，并联系技术支持",
        english=f"{kind} is no valid FHIR R4 resource: {', '.join(places)}",
    )


@cache
def _class(kind: str) -> type[BaseModel]:
    if kind not in KINDS:
        raise _refused(kind, [f"{kind}.resourceType"])
    found: type[BaseModel] = getattr(import_module(f"fhir.resources.R4B.{kind.lower()}"), kind)
    return found
