"""Patient: the person of a record; what was merged into it; coverage.

Addresses and telephones are told apart by an extension or by their use (map ``address-kind``); those without a kind are not used unless the
dialect says what they are. A Patient that another one replaced (Patient.link) is the same person under an older number.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from adapters.fhir.dialect import FhirDialect
from adapters.fhir.elements import Element, choice, extensions, number, numbered, one, text
from adapters.fhir.identity import Identity, check_against_id, identify, numbers_in, numbers_of
from adapters.fhir.plans import walk
from adapters.fhir.record import Record
from adapters.fhir.remarks import remarked
from adapters.fhir.resource import Resource
from adapters.fhir.said import Said
from adapters.fhir.values import PHONES, address_text, target_of
from gateway.model.facts import Fact, PatientKey

_TEXT: Final = {
    "present": "patient.address.text",
    "registered": "patient.registered_address.text",
    "employer": "patient.employer.text",
    "birthplace": "patient.birthplace",
}
_PHONE: Final = {"present": "patient.address.phone", "employer": "patient.employer.phone"}


class Merge(NamedTuple):
    """The Patient that states a merge (None where there was none), record numbers that no longer count, the patient that they belong to
    now where it is another one than that of the record, remarks."""

    states: Resource | None
    prior: list[str]
    into: PatientKey | None
    said: list[Said]


def person(record: Record, dialect: FhirDialect) -> Identity:
    """The patient of the record with everything said of the person. Without the resource a logical reference to it still tells who it
    is."""
    patient = record.resources.get(record.patient)
    if patient is None or patient.kind != "Patient":
        return _by_reference(record, dialect)
    identity = identify(dialect, patient, numbers_of(patient))
    said = identity.said
    walk(record, dialect, patient, said)
    _addresses(dialect, patient, said)
    _telephones(dialect, patient, said)
    check_against_id(identity, patient, said)
    for coverage in record.of("Coverage"):
        if coverage.body.get("status", "active") == "active":
            walk(record, dialect, coverage, said)
    return identity


def merged(record: Record, dialect: FhirDialect) -> Merge:
    """What Patient.link says was merged: ``replaces`` of this patient, or ``replaced-by`` of another one that leads here; where this patient
    itself was replaced, its own number into that of the other one."""
    patient = record.resources.get(record.patient)
    said: list[Said] = []
    prior: list[str] = []
    states: Resource | None = None
    into: PatientKey | None = None
    for one_patient in record.of("Patient"):
        for element, link in numbered(one_patient.body.get("link"), "link"):
            kind, place = text(link.get("type")), f"{element}.other"
            if one_patient is patient and kind == "replaces":
                old = record.resolve(one_patient, link.get("other"), place)
                numbers = numbers_of(old) if old is not None else numbers_in(link.get("other"), place)
            elif (
                one_patient is not patient
                and kind == "replaced-by"
                and record.refers_to(one_patient, link.get("other"), record.patient)
            ):
                numbers = numbers_of(one_patient)
            elif one_patient is patient and kind == "replaced-by":
                other = record.resolve(one_patient, link.get("other"), place)
                named = numbers_of(other) if other is not None else numbers_in(link.get("other"), place)
                surviving = identify(dialect, one_patient, named).patient
                if other is None and not named:
                    continue  # it has not come yet
                into, numbers = (
                    surviving if surviving.record_number else None,
                    numbers_of(one_patient) if surviving.record_number else [],
                )
            else:
                continue
            states = one_patient if states is None or one_patient is patient else states
            old_number = identify(dialect, one_patient, numbers).patient.record_number
            if not old_number:
                said.append(remarked("merge-without-number", one_patient, element))
            elif old_number not in prior:
                prior.append(old_number)
    return Merge(states, prior, into, said)


def _by_reference(record: Record, dialect: FhirDialect) -> Identity:
    for resource in record.resources.values():
        for name in ("subject", "patient", "beneficiary"):
            if numbers := numbers_in(resource.body.get(name), name):
                identity = identify(dialect, resource, numbers)
                check_against_id(identity, resource, identity.said)
                return identity
    return Identity()


def _addresses(dialect: FhirDialect, patient: Resource, said: list[Said]) -> None:
    """The first address of a kind counts, and a birthplace only where none is stated."""
    seen = {one.item.path for one in said if isinstance(one.item, Fact)}
    for element, address in numbered(patient.body.get("address"), "address"):
        written, postcode = address_text(address), text(address.get("postalCode"))
        if not (written or postcode):
            continue
        kind = _kind(dialect, address)
        if kind is None:
            said.append(remarked("address-kind", patient, element))
        if not kind or (path := _TEXT[kind]) in seen:
            continue
        seen.add(path)
        if written:
            said.append(Said(patient, Fact(path, written, patient.source(element))))
        if postcode and kind != "birthplace":
            said.append(
                Said(patient, Fact(path.removesuffix("text") + "postcode", postcode, patient.source(f"{element}.postalCode")))
            )


def _telephones(dialect: FhirDialect, patient: Resource, said: list[Said]) -> None:
    """The first telephone of a kind; one without a use, and a mobile, is where the patient is reached."""
    best: dict[str, tuple[int, str, str]] = {}
    for element, point in numbered(patient.body.get("telecom"), "telecom"):
        found = number(point.get("value"))
        if not found or text(point.get("system")) not in PHONES:
            continue
        use = text(point.get("use"))
        rank = {"home": 0, "mobile": 1, "": 2}.get(use, 3)
        kind = _kind(dialect, point) or ("present" if use in ("mobile", "") else "")
        path = _PHONE.get(kind, "")
        if path and (path not in best or rank < best[path][0]):
            best[path] = (rank, found, element)
    for path, (_, found, element) in best.items():
        said.append(Said(patient, Fact(path, found, patient.source(f"{element}.value"))))


def _kind(dialect: FhirDialect, holder: Element) -> str | None:
    """The kind of an address or telephone: by the dialect's extension, any extension whose word is a kind, its use. None where nothing
    says it, empty where it is one that is not wanted."""
    codes = dialect.maps["address-kind"]
    listed = [item for _, item in extensions(holder, *dialect.urls("address_kind"))]
    listed += [item for _, item in numbered(holder.get("extension"), "extension")]
    for item in listed:
        content = choice(item, "value")[1]
        target, _ = target_of(codes, content if isinstance(content, str) else one(content))
        if target:
            return target
    target = codes.find(text(holder.get("use")))[0] if holder.get("use") else None
    return target if target is not None else dialect.address_kind or None
