"""Resources of a stay in one Bundle: plain, for mCODE, or for a central cancer registry (CCRR).

What is known of CCRR (HL7's guide, its source repository at 7e8712aa): a *message* that begins with a MessageHeader and holds a content
bundle; the content bundle begins with a Composition of LOINC 72134-0 whose sections are those of ``mappings/sources/fhir/ccrr_sections.csv``.
What is not known (the code of the message event, the address of the sender, the type of the content bundle) is a parameter.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from adapters.fhir.tables import rows
from adapters.fhir.writing.conditions import MCODE
from adapters.fhir.writing.element import Element, coding, concept, element
from adapters.fhir.writing.encounter import organisation
from adapters.fhir.writing.names import Names
from adapters.fhir.writing.strict import Resource, strict
from gateway.model.errors import ZhibaoError
from gateway.model.stay import Organisation
from gateway.model.values import Coded
from mappings.code_systems import OURS

_REPORT: Final = Coded("LOINC", "72134-0", "Cancer event report")
_EMPTY: Final = {
    "coding": [
        {
            "system": "http://terminology.hl7.org/CodeSystem/list-empty-reason",
            "code": "unavailable",
            "display": "Unavailable",
        }
    ]
}


_PRIMARY: Final = MCODE + "mcode-primary-cancer-condition"


class SeveralPrimaries(ZhibaoError):
    """A report to a cancer registry is about one primary tumour, and the stay has several."""


def plain_bundle(resources: Sequence[Resource], names: Names) -> Resource:
    """A collection of the resources. ``names.base`` is needed for their addresses. Raises `NotFhir`."""
    return _collection("bundle", resources, names)


def mcode_patient_bundle(resources: Sequence[Resource], names: Names) -> Resource:
    """An mCODE patient bundle. Stagings keep the codes of their sources, which may not be mCODE's, and so claim no profile of it. Raises
    `NotFhir`."""
    return _collection("mcode", resources, names, "mcode-patient-bundle")


def primaries_of(resources: Iterable[Resource]) -> list[str]:
    """The ids of the Conditions that are primary tumours."""
    return [resource["id"] for resource in resources if _PRIMARY in _profiles(resource)]


def ccrr_content_bundle(
    resources: Sequence[Resource],
    names: Names,
    author: Organisation,
    *,
    primary: str = "",
    bundle_type: Literal["collection", "document"] = "collection",
) -> Resource:
    """The content of a report about one primary tumour: the Composition, then the resources. Left out is what a registry does not ask for:
    items of the front sheet (fees), and observations about other primary tumours. ``author`` is the hospital, ``primary`` the id of the
    tumour's Condition; without it the stay must have no more than one. ``bundle_type`` is that of the guide in its version.

    Raises `SeveralPrimaries` and `NotFhir`."""
    primaries = primaries_of(resources)
    if not primary and len(primaries) > 1:
        raise SeveralPrimaries(
            "本次住院有多个原发肿瘤，每份肿瘤报告只报一个",
            action="请指明要报告的原发肿瘤",
            english="several primary tumours: a report is about one of them",
        )
    about = primary or next(iter(primaries), "")
    others = {f"Condition/{id}" for id in primaries if id != about}
    chosen = [resource for resource in resources if not _is_item(resource) and not others & _focus(resource)]
    report = _composition(chosen, names, author, about)
    return _bundle("ccrr-content", bundle_type, [report, *chosen], names, identifier=_urn(names, report["id"]))


def ccrr_reporting_bundle(content: Resource, names: Names, sender: Organisation, event: Coded, endpoint: str) -> Resource:
    """The message that reports ``content`` (a content bundle). ``event`` is MessageHeader.eventCoding, ``endpoint`` the address of the
    sending system: agreed with the registry, no standard of ours knows them. Raises `NotFhir`."""
    header = strict(
        {
            "resourceType": "MessageHeader",
            "id": names.id("message-header"),
            "meta": names.meta,
            "eventCoding": coding(event),
            **element(sender=organisation(sender)),
            "source": {"name": "直报", "software": "Zhibao", "endpoint": endpoint},
            "focus": [{"reference": f"Bundle/{content['id']}"}],
        }
    )
    return _bundle("ccrr-report", "message", [header, content], names)


def _collection(word: str, resources: Sequence[Resource], names: Names, profile: str = "") -> Resource:
    return _bundle(word, "collection", resources, names, profile)


def _bundle(word: str, kind: str, resources: Sequence[Resource], names: Names, profile: str = "", identifier: str = "") -> Resource:
    when = names.updated.isoformat(timespec="milliseconds")
    return strict(
        {
            "resourceType": "Bundle",
            "id": names.id(word),
            "meta": {"lastUpdated": when, **element(profile=[MCODE + profile] if profile else None)},
            **({"identifier": {"system": "urn:ietf:rfc:3986", "value": identifier}} if identifier else {}),
            "type": kind,
            "timestamp": when,
            "entry": [{"fullUrl": _address(resource, names), "resource": resource} for resource in resources],
        }
    )


def _address(resource: Resource, names: Names) -> str:
    """The address of a resource; relative references between resources of one server are resolved by it."""
    return f"{names.base}/{resource['resourceType']}/{resource['id']}"


def _urn(names: Names, id: str) -> str:
    """An identifier that is the same whenever this version is written."""
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{names.base}/{id}/{names.version}')}"


def _composition(resources: Sequence[Resource], names: Names, author: Organisation, primary: str) -> Resource:
    sections: dict[str, list[Element]] = {row["section"]: [] for row in rows("ccrr_sections")}
    for resource in resources:
        if (section := _section_of(resource, primary)) is not None:
            sections[section].append({"reference": f"{resource['resourceType']}/{resource['id']}"})
    return strict(
        {
            "resourceType": "Composition",
            "id": names.id("composition"),
            "meta": names.meta,
            "status": "final",
            "type": concept(_REPORT),
            "subject": names.subject,
            "encounter": names.encounter,
            "date": names.updated.isoformat(timespec="seconds"),
            "author": [organisation(author) or {"display": "直报"}],
            "title": "肿瘤病例报告",
            "section": [
                _section(row, sections[row["section"]])
                for row in rows("ccrr_sections")
                if sections[row["section"]] or row["required"]
            ],
        }
    )


def _section(row: Mapping[str, str], entries: list[Element]) -> Element:
    """A section; one that the guide demands and for which there is nothing says so."""
    code = {"coding": [coding(Coded(row["system"], row["code"]))]}
    return {"title": row["name_zh"], "code": code, **({"entry": entries} if entries else {"emptyReason": _EMPTY})}


def _section_of(resource: Resource, primary: str) -> str | None:
    """The section of a resource by its kind, its profile and its code; None for those that have none (the Patient). A primary tumour other
    than the one reported is a problem among others."""
    kind, id = resource["resourceType"], resource["id"]
    if kind == "Condition" and (id == primary or _PRIMARY in _profiles(resource)):
        return "primary" if id == primary else "problems"
    codes = {found.get("code") for found in resource.get("code", {}).get("coding", ())}
    for row in rows("ccrr_sections"):
        fits = not row["profile"] or any(profile.endswith(row["profile"]) for profile in _profiles(resource))
        if kind in row["kinds"].split() and fits and (not row["codes"] or codes & set(row["codes"].split())):
            return row["section"]
    return None


def _profiles(resource: Resource) -> list[str]:
    profiles: list[str] = resource.get("meta", {}).get("profile", [])
    return profiles


def _focus(resource: Resource) -> set[str]:
    return {focus["reference"] for focus in resource.get("focus", ())}


def _is_item(resource: Resource) -> bool:
    """Whether this is an item of the front sheet and nothing else."""
    listed = resource.get("code", {}).get("coding", ()) if resource["resourceType"] == "Observation" else ()
    return bool(listed) and all(found.get("system") == OURS + "hqms" for found in listed)
