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

from mappings.identifier_systems import identifier_system
from mappings.layout import layout

OURS: Final = "urn:zhibao:"
ITEMS: Final = f"{OURS}hqms"
_NAMES: Final = uuid.UUID("0b1f6b5e-52a5-5a0f-8f6b-3e0b1d4f7c21")
_MR: Final = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
_VN: Final = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "VN"}]}
_OUR_ROLES: Final = f"{OURS}diagnosis-use"
_ROLES: Final = "http://terminology.hl7.org/CodeSystem/diagnosis-role"
_ICD10: Final = "http://hl7.org/fhir/sid/icd-10"
_ICDO3: Final = "http://terminology.hl7.org/CodeSystem/icd-o-3"
_LOINC: Final = "http://loinc.org"
_GENDERS: Final = {"1": "male", "2": "female", "0": "unknown", "9": "other"}
_CHINA: Final = "+08:00"

_TOLD: Final = frozenset(
    ("A01", "A02", "A48", "A49", "A11", "A12C", "A13", "A14", "A16", "A20", "A20N", "A24", "A25C", "A26", "A27", "A28C", "B12", "B15", "B20")
)  # fmt: skip
"""Columns that stand in elements of their own, or follow from them."""

_OTHERS: Final = 40
_OF_OPERATION: Final = (
    ("level", "operation-level", "RC029"),
    ("incision_healing", "incision-healing", "RC014"),
    ("anaesthesia", "anaesthesia", "RC013"),
    ("asa_grade", "asa-grade", "RC024"),
)
"""Member of an operation, extension that this gateway reads, value set."""


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
        use = _coded(_OUR_ROLES if role.islower() else _ROLES, role)
        diagnoses.append(
            {"condition": [{"reference": link}], "use": [use]}
            if r5
            else {"condition": link, "use": use, **({"rank": rank} if rank else {})}
        )
    made.add("Encounter", "stay", **_encounter(record, patient, diagnoses, r5=r5, status=status))
    _pathology(made, record, patient, encounter)
    for word, procedure in _procedures(record, r5=r5):
        made.add("Procedure", word, **procedure, subject=patient, encounter=encounter)
    for code, value in sorted(record.items()):
        if _is_item(code, value):
            made.add("Observation", f"item-{code}", **_item(code, value), subject=patient, encounter=encounter)
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": made.entries}
    return json.dumps(bundle, ensure_ascii=False).encode()


def _patient(record: Mapping[str, str]) -> dict[str, Any]:
    numbers = [{"type": _MR, "system": identifier_system("inpatient-number"), "value": record["A48"]}]
    if record.get("A20", "-") != "-":
        numbers.append({"system": identifier_system("resident-id"), "value": record["A20"]})
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
    listed += [("outpatient", "outpatient", 0, ("C01C", "C02N", "", "")), ("admission", "AD", 0, ("F02C", "F03N", "", ""))]
    for word, role, rank, (code, name, present, outcome) in listed:
        if record.get(code, "-") == "-":
            continue
        extensions = [
            {"url": OURS + url, "valueCoding": {"system": OURS + value_set, "code": record[column]}}
            for url, value_set, column in (("present-on-admission", "RC027", present), ("outcome", "RC005", outcome))
            if record.get(column, "-") != "-"
        ]
        if word == "admission" and record.get("F04", "-") != "-":
            url = "http://hl7.org/fhir/StructureDefinition/condition-assertedDate"
            extensions.append({"url": url, "valueDateTime": record["F04"]})
        morphology = record.get("C09C", "-")
        if word == "main" and morphology != "-" and record[code][:1] in "CD":
            url = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-histology-morphology-behavior"
            extensions.append({"url": url, "valueCodeableConcept": _coded(_ICDO3, f"{morphology[1:5]}/{morphology[-1]}")})
        yield (
            word,
            role,
            rank,
            {
                **({"extension": extensions} if extensions else {}),
                "clinicalStatus": _coded("http://terminology.hl7.org/CodeSystem/condition-clinical", "active"),
                "verificationStatus": _coded("http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed"),
                "category": [_coded("http://terminology.hl7.org/CodeSystem/condition-category", "encounter-diagnosis")],
                "code": {**_coded(_ICD10, record[code]), "text": record[name]},
            },
        )


def _procedures(record: Mapping[str, str], *, r5: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """(word, body) of every operation, the main one first."""
    by_entry: dict[str, dict[str, str]] = {}
    for code, value in record.items():
        path = _path(code)
        if path.startswith("procedures.") and value != "-":
            entry, _, member = path.removeprefix("procedures.").partition(".")
            by_entry.setdefault(entry, {})[member] = value
    for entry, said in by_entry.items():
        rank = 1 if entry == "principal" else int(entry[6:-1]) + 2
        extensions = [{"url": f"{OURS}rank", "valuePositiveInt": rank}]
        if "duration_hours" in said:
            extensions.append({"url": f"{OURS}duration-hours", "valueDecimal": float(said["duration_hours"])})
        for member, url, value_set in _OF_OPERATION:
            if member in said:
                coding = {"system": OURS + value_set, "code": said[member]}
                extensions.append({"url": OURS + url, "valueCoding": coding})
        performers = [
            (role, said[role]) for role in ("operator", "first_assistant", "second_assistant", "anaesthetist") if role in said
        ]
        body: dict[str, Any] = {
            "contained": [
                {"resourceType": "Practitioner", "id": role.replace("_", "-"), "name": [{"text": name}]}
                for role, name in performers
            ],
            "extension": extensions,
            "status": "completed",
            "code": {**_coded("http://hl7.org/fhir/sid/icd-9-cm", said["operation.code"]), "text": said["operation.display"]},
            "performer": [
                {"function": _coded(f"{OURS}procedure-role", role), "actor": {"reference": f"#{role.replace('_', '-')}"}}
                for role, _ in performers
            ],
            "occurrenceDateTime" if r5 else "performedDateTime": _moment(said["started_at"]),
        }
        yield f"operation-{rank}", {name: value for name, value in body.items() if value}


def _is_item(code: str, value: str) -> bool:
    """Whether a column is sent as an observation: what has no element, and that there is nothing where an element would stand."""
    return code not in _TOLD and (value == "-" or not _path(code).startswith(("diagnoses.", "procedures.", "pathology[")))


def _path(code: str) -> str:
    field = layout("2020").by_code.get(code)
    return field.path if field is not None else ""


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
