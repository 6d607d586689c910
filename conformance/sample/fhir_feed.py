"""A sample hospital that speaks only FHIR: what its systems would send about a stay, from a front-sheet record.

Every stay is one transaction. Patients with an even number come in FHIR R4, created anew under ``urn:uuid`` names, as integration engines
send them; the others in R5, put under the hospital's own ids, with the shapes of HL7 China's guides. What FHIR has no element for (fees,
quality control, nursing days) comes as observations coded by the column of the front sheet, which is what this gateway asks such a hospital
for; ``-`` is sent as not applicable.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

ITEMS: Final = "urn:zhibao:hqms"
_NAMES: Final = uuid.UUID("0b1f6b5e-52a5-5a0f-8f6b-3e0b1d4f7c21")
_MR: Final = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
_VN: Final = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "VN"}]}
_RESIDENT_ID: Final = "urn:oid:2.16.156.10011.1.3"
_ROLES: Final = "http://terminology.hl7.org/CodeSystem/diagnosis-role"
_ICD10: Final = "http://hl7.org/fhir/sid/icd-10"
_ICDO3: Final = "http://terminology.hl7.org/CodeSystem/icd-o-3"
_LOINC: Final = "http://loinc.org"
_GENDERS: Final = {"1": "male", "2": "female", "0": "unknown", "9": "other"}
_CHINA: Final = "+08:00"

_TOLD: Final = frozenset(
    (
        "A01", "A02", "A48", "A49", "A11", "A12C", "A13", "A14", "A16", "A20", "A20N", "A24", "A26", "A27", "B12", "B15", "B20",
        "C01C", "C02N", "F02C", "F03N", "C03C", "C04N", "C09C", "C10N", "C11",
    )
)  # fmt: skip
"""Columns that stand in elements of their own, or follow from them."""

_OTHERS: Final = 40


@dataclass
class _Bundle:
    """A transaction in the making. ``name`` gives the reference to a resource by a word of ours."""

    r5: bool
    stay: str
    entries: list[dict[str, Any]] = field(default_factory=list)

    def name(self, kind: str, word: str, *, of: str = "") -> str:
        owner = of or self.stay
        return f"{kind}/{owner}-{word}" if self.r5 else f"urn:uuid:{uuid.uuid5(_NAMES, f'{kind}/{owner}-{word}')}"

    def add(self, kind: str, word: str, *, of: str = "", **body: Any) -> dict[str, str]:
        """Add a resource; a reference to it."""
        name = self.name(kind, word, of=of)
        resource = {"resourceType": kind, **({"id": name.partition("/")[2]} if self.r5 else {}), **body}
        request = {"method": "PUT", "url": name} if self.r5 else {"method": "POST", "url": kind}
        entry = {"resource": resource, "request": request}
        self.entries.append(entry if self.r5 else {"fullUrl": name, **entry})
        return {"reference": name}


def bundle_of(record: Mapping[str, str], *, status: str = "finished") -> bytes:
    """The transaction about one stay. ``status`` is that of the Encounter in R4's words."""
    number, times = record["A48"], record["A49"]
    r5 = int(number) % 2 == 1
    made = _Bundle(r5, f"{number}-{times}")
    patient = made.add("Patient", "person", of=number, **_patient(record))
    encounter = {"reference": made.name("Encounter", "stay")}
    diagnoses = []
    for word, role, rank, condition in _conditions(record):
        link = made.add("Condition", word, **condition, subject=patient, encounter=encounter)
        use = {"coding": [{"system": _ROLES, "code": role}]}
        diagnoses.append(
            {"condition": [{"reference": link}], "use": [use]}
            if r5
            else {"condition": link, "use": use, **({"rank": rank} if rank else {})}
        )
    made.add("Encounter", "stay", **_encounter(record, patient, diagnoses, r5=r5, status=status))
    _pathology(made, record, patient, encounter)
    for code, value in sorted(record.items()):
        if code not in _TOLD and not _of_condition(code):
            made.add("Observation", f"item-{code}", **_item(code, value), subject=patient, encounter=encounter)
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": made.entries}
    return json.dumps(bundle, ensure_ascii=False).encode()


def _patient(record: Mapping[str, str]) -> dict[str, Any]:
    numbers = [{"type": _MR, "system": "urn:oid:2.16.156.10011.1.12", "value": record["A48"]}]
    if record.get("A20", "-") != "-":
        numbers.append({"system": _RESIDENT_ID, "value": record["A20"]})
    return {
        "identifier": numbers,
        "name": [{"use": "official", "text": record["A11"]}],
        "gender": _GENDERS[record["A12C"]],
        "birthDate": record["A13"],
        "telecom": [{"system": "phone", "value": record["A27"]}],
        "address": [
            {"use": "home", "text": record["A26"], "postalCode": record["A28C"]},
            {"use": "old", "text": record["A24"], "postalCode": record["A25C"]},
        ],
    }


def _encounter(
    record: Mapping[str, str], patient: Mapping[str, str], diagnoses: list[dict[str, Any]], *, r5: bool, status: str
) -> dict[str, Any]:
    inpatient = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}
    period = {"start": _moment(record["B12"]), "end": _moment(record["B15"])}
    common = {
        "extension": [{"url": "urn:zhibao:admission-number", "valuePositiveInt": int(record["A49"])}],
        "identifier": [{"type": _VN, "value": f"{record['A48']}-{record['A49']}"}],
        "subject": patient,
        "diagnosis": diagnoses,
    }
    if r5:
        return {
            **common,
            "status": "completed" if status == "finished" else status,
            "class": [{"coding": [inpatient]}],
            "actualPeriod": period,
        }
    return {**common, "status": status, "class": inpatient, "period": period}


def _conditions(record: Mapping[str, str]) -> Iterator[tuple[str, str, int, dict[str, Any]]]:
    """(word, role, rank, body) of every diagnosis; the main one is the discharge diagnosis of rank 1."""
    others = [(f"C06x{n:02d}C", f"C07x{n:02d}N", f"C08x{n:02d}C", f"F06x{n:02d}") for n in range(1, _OTHERS + 1)]
    listed = [("main", "DD", 1, ("C03C", "C04N", "C05C", "F05"))]
    listed += [(f"other-{at}", "CM", at + 1, columns) for at, columns in enumerate(others, start=1)]
    listed += [("outpatient", "CC", 0, ("C01C", "C02N", "", "")), ("admission", "AD", 0, ("F02C", "F03N", "", ""))]
    for word, role, rank, (code, name, _, _) in listed:
        if record.get(code, "-") == "-":
            continue
        body: dict[str, Any] = {
            "clinicalStatus": _coded("http://terminology.hl7.org/CodeSystem/condition-clinical", "active"),
            "verificationStatus": _coded("http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed"),
            "category": [_coded("http://terminology.hl7.org/CodeSystem/condition-category", "encounter-diagnosis")],
            "code": {**_coded(_ICD10, record[code]), "text": record[name]},
        }
        morphology = record.get("C09C", "-")
        if word == "main" and morphology != "-" and record[code][:1] in "CD":
            extension = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-histology-morphology-behavior"
            body["extension"] = [{"url": extension, "valueCodeableConcept": _coded(_ICDO3, f"{morphology[1:5]}/{morphology[-1]}")}]
        yield word, role, rank, body


def _of_condition(code: str) -> bool:
    """Whether a column stands in a Condition. Present on admission and outcome have no element there and come as items."""
    return code.startswith(("C06x", "C07x"))


def _pathology(made: _Bundle, record: Mapping[str, str], patient: Mapping[str, str], encounter: Mapping[str, str]) -> None:
    if record.get("C11", "-") == "-":
        return
    conclusion: dict[str, Any] = {"conclusion": record["C10N"]} if record.get("C10N", "-") != "-" else {}
    if (morphology := record.get("C09C", "-")) != "-":
        conclusion["conclusionCode"] = [_coded(_ICDO3, f"{morphology[1:5]}/{morphology[-1]}")]
    made.add(
        "DiagnosticReport",
        "pathology",
        identifier=[{"value": record["C11"]}],
        status="final",
        category=[_coded("http://terminology.hl7.org/CodeSystem/v2-0074", "SP")],
        code=_coded(_LOINC, "11529-5"),
        subject=patient,
        encounter=encounter,
        issued=_moment(record["B15"]),
        **conclusion,
    )


def _item(code: str, value: str) -> dict[str, Any]:
    body: dict[str, Any] = {"status": "final", "code": _coded(ITEMS, code)}
    if value == "-":
        reason = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
        return {**body, "dataAbsentReason": _coded(reason, "not-applicable")}
    return {**body, "valueString": value}


def _coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def _moment(text: str) -> str:
    return text.replace(" ", "T") + _CHINA
