"""The person of a stay as Patient."""

from __future__ import annotations

from typing import Any, Final

from adapters.fhir.writing.element import (
    UNKNOWN,
    Element,
    coded_extension,
    concept,
    date,
    element,
    extension,
    identifier,
    listed,
    part,
    text,
    time,
    translated,
    type_of_identifier,
)
from adapters.fhir.writing.names import Names
from adapters.fhir.writing.strict import Resource
from gateway.model.stay import Address, Contact, Identity, Patient, Stay
from gateway.model.values import Coded
from mappings.code_systems import OURS
from mappings.identifier_systems import identifier_system

_RESIDENT_ID_KIND: Final = "1"
"""Of RC038, kinds of identity document"""

_DECEASED: Final = "5"
"""Of RC019, ways of leaving"""

_HL7: Final = "http://hl7.org/fhir/StructureDefinition/"
_USES: Final = {"present": "home", "registered": None, "employer": "work"}


def patient(stay: Stay, names: Names) -> Resource:
    """The Patient."""
    person = stay.patient
    return {
        "resourceType": "Patient",
        "id": names.patient_id,
        "meta": names.meta,
        **element(
            extension=_extensions(person),
            identifier=listed(
                identifier(identifier_system("record-number"), stay.record_number, type_of_identifier("MR")),
                _identity(person.identity),
                identifier(identifier_system("health-card"), person.health_card, type_of_identifier("HC")),
            ),
            name=listed(_name(person)),
            telecom=listed(*(_telecom(kind, address) for kind, address in _addresses(person))),
            gender=_gender(person.sex),
            **date("birthDate", person.birth_date),
            **_death(stay),
            address=listed(*(_address(kind, address) for kind, address in _addresses(person))),
            maritalStatus=concept(person.marital_status, translated(person.marital_status, "Patient.maritalStatus")),
            contact=listed(_contact(person.contact)),
        ),
    }


def _extensions(person: Patient) -> list[Element]:
    nationality = element(text=text(person.nationality))
    birthplace = element(text=text(person.birthplace))
    return listed(
        coded_extension("gender", person.sex),
        coded_extension("ethnicity", person.ethnicity),
        coded_extension("occupation", person.occupation),
        coded_extension("native-place", person.native_province),
        extension(_HL7 + "patient-nationality", extension=listed(part("code", valueCodeableConcept=nationality))),
        extension(_HL7 + "patient-birthPlace", valueAddress=birthplace),
    )


def _name(person: Patient) -> Element:
    """The name as one text. It is never split, so the family name is said to be unknown (which is what US Core, and so mCODE, asks for)."""
    name = text(person.name)
    return {"text": name, "_family": UNKNOWN} if name else {}


def _identity(identity: Identity) -> Element:
    """The identity document: the resident ID under its own system, any other under ours with its kind (RC038)."""
    kind = identity.kind
    if kind is not None and kind.code == _RESIDENT_ID_KIND:
        return identifier(identifier_system("resident-id"), identity.number, type_of_identifier("NI"))
    return identifier(OURS + "identity-number", identity.number, concept(kind))


def _gender(sex: Coded | None) -> str | None:
    found = translated(sex, "Patient.gender")
    return found.code if found is not None else None


def _death(stay: Stay) -> dict[str, Any]:
    """deceased[x]: the time of death, else whether a source says the patient is dead (or left the hospital so)."""
    status = stay.patient.vital_status
    if stay.patient.death_time:
        return time("deceasedDateTime", stay.patient.death_time)
    if status is not None and status.code in ("deceased", "alive"):
        return {"deceasedBoolean": status.code == "deceased"}
    died = stay.discharge.disposition is not None and stay.discharge.disposition.code == _DECEASED
    return {"deceasedBoolean": True} if died else {}


def _addresses(person: Patient) -> tuple[tuple[str, Address], ...]:
    return ("present", person.address), ("registered", person.registered_address), ("employer", person.employer)


def _address(kind: str, address: Address) -> Element:
    said = element(text=text(address.text), postalCode=text(address.postcode))
    return element(extension=[extension("address-kind", valueCode=kind)], use=_USES[kind], **said) if said else {}


def _telecom(kind: str, address: Address) -> Element:
    phone = text(address.phone)
    if phone is None:
        return {}
    return element(extension=[extension("address-kind", valueCode=kind)], system="phone", value=phone, use=_USES[kind])


def _contact(contact: Contact) -> Element:
    return element(
        relationship=listed(concept(contact.relationship)),
        name=element(text=text(contact.name)),
        telecom=listed(element(system="phone", value=phone) if (phone := text(contact.phone)) else None),
        address=element(text=text(contact.address)),
    )
