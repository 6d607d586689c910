"""What the front sheet has beside diagnoses and procedures: payment, allergies, laboratory results, and every item for which FHIR has no
element, as an Observation coded ``urn:zhibao:hqms|<column of the 2020 front sheet>`` (own convention)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from adapters.fhir.writing.carried import is_carried
from adapters.fhir.writing.element import UNKNOWN, Element, absent, coded_extension, concept, element, listed, quantity, text, time
from adapters.fhir.writing.names import Names
from adapters.fhir.writing.strict import Resource
from adapters.fhir.writing.tumours import observed
from gateway.model.facts import NOTHING
from gateway.model.paths import get
from gateway.model.stay import Stay
from gateway.model.values import Coded
from mappings.code_map import base_codes
from mappings.layout import Field, layout

_NOT_ALLERGIC: Final = "1"
_ALLERGIC: Final = "2"
"""Of RC037, 有无药物过敏"""

_ALLERGY: Final = "http://terminology.hl7.org/CodeSystem/allergyintolerance-"
_NO_ALLERGY: Final = Coded("SNOMED-CT", "716186003", "No known allergy")
_UNITS: Final = {"costs": ("元", "urn:iso:std:iso:4217", "CNY")}


def coverage(stay: Stay, names: Names) -> Iterator[Resource]:
    """The payment method. Who pays is not known to the front sheet."""
    if stay.payment_method is not None:
        yield {
            "resourceType": "Coverage",
            "id": names.id("coverage"),
            "meta": names.meta,
            "status": "active",
            **element(type=concept(stay.payment_method)),
            "beneficiary": names.subject,
            "payor": [UNKNOWN],
        }


def allergy(stay: Stay, names: Names) -> Iterator[Resource]:
    """Whether the patient is allergic to drugs, and to which."""
    present, drugs = stay.allergy.present, text(stay.allergy.drugs)
    if present is None and drugs is None:
        return
    code: Element = {"text": drugs or "药物过敏"}
    if drugs is None and present is not None and present.code != _ALLERGIC:
        code = (concept(_NO_ALLERGY) if present.code == _NOT_ALLERGIC else concept(present)) or UNKNOWN
    yield {
        "resourceType": "AllergyIntolerance",
        "id": names.id("allergy"),
        "meta": names.meta,
        **element(extension=listed(coded_extension("allergy", present))),
        "clinicalStatus": {"coding": [{"system": _ALLERGY + "clinical", "code": "active"}]},
        "verificationStatus": {"coding": [{"system": _ALLERGY + "verification", "code": "confirmed"}]},
        "category": ["medication"],
        "code": code,
        "patient": names.subject,
        "encounter": names.encounter,
    }


def items(stay: Stay, names: Names) -> Iterator[Resource]:
    """An Observation for each filled item of the front sheet that no other element carries. Laboratory results have their LOINC code, too."""
    for field in _items():
        value = get(stay, field.path)
        if value is not None:
            codes = (*listed(_laboratory().get(field.path)), Coded("hqms", field.code, field.name_zh))
            yield {
                "resourceType": "Observation",
                "id": names.id(field.code),
                "meta": names.meta,
                **observed(
                    names,
                    {**concept(*codes), "text": field.name_zh},
                    "laboratory" if len(codes) > 1 else "",
                    **_result(field, value),
                ),
            }


def nothing(stay: Stay, names: Names) -> Iterator[Resource]:
    """An Observation without value for each item of which the source says that there is nothing to say (``-``)."""
    for field in layout("2020").fields:
        if field.path and stay.verbatim.get(field.path) == NOTHING and get(stay, field.path) in (None, []):
            code = {**concept(Coded("hqms", field.code, field.name_zh)), "text": field.name_zh}
            made = {"resourceType": "Observation", "id": names.id(field.code), "meta": names.meta}
            yield {**made, **observed(names, code, "", dataAbsentReason=absent("not-applicable", "Not Applicable"))}


@cache
def _items() -> tuple[Field, ...]:
    """The columns of the front sheet that become Observations."""
    return tuple(field for field in layout("2020").fields if field.path and not is_carried(field.path))


def _result(field: Field, value: Any) -> Element:
    """value[x] by the type of the column."""
    match field.type:
        case "code":
            return {"valueCodeableConcept": concept(value)}
        case "decimal":
            return {"valueQuantity": quantity(value, *_UNITS.get(field.path.partition(".")[0], ()))}
        case "int":
            return {"valueInteger": value}
        case "date" | "datetime":
            return time("valueDateTime", value)
        case _:
            return {"valueString": text(str(value))}


@cache
def _laboratory() -> dict[str, Coded]:
    """The LOINC code of each laboratory item: the first that the shared map has for its path."""
    codes, _ = base_codes()["laboratory-item"]
    found: dict[str, Coded] = {}
    for code, path in codes.items():
        if path.startswith("laboratory.") and code.replace("-", "").isdigit():
            found.setdefault(path, Coded("LOINC", code))
    return found
