"""A dialect as it is written down: a TOML file, checked key by key. `adapters.hl7v2.dialect` compiles it.

::

    id = "our-his"                     # names the mapping in provenance; the name of the file if it is left out
    name = "本院 HIS"
    extends = "cn-a"                   # what is not said here is taken from there
    address_kind = "present"           # of addresses without XAD.7: present, registered, employer, birthplace
    own_codes = ["payment"]            # maps whose numbers are the sender's own: only labels and the codes below hold
    [recognise]                        # patterns that all match a message of this sender
    "MSH-3" = "HIS|LIS"
    [identifiers]                      # where each number stands; the first place that has one counts
    record_number = [{ at = "PID-3", types = ["PatientNO"] }]
    [fields]                           # path of the base table = its place or places; an empty list: not sent
    "patient.name" = "PID-5.2"
    [location]                         # components of PV1-3
    department = 4
    [codes.department]                 # local code or name = code of our value set
    "血液科" = "0305"

Every mistake is a `ConfigurationError` that names the file and the key.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from gateway.model.facts import VisitKind
from mappings.dialect_files import AddressKind, Systems, faulty, tables, typed

BUILT_IN: Final = ("standard", "cn-a", "cn-b", "cn-c", "cn-d", "cn-e")


class Place(Struct, frozen=True, forbid_unknown_fields=True):
    """A place of a number. ``types`` are the words of CX.5 (or component ``types_in``) that it is told by, an empty word for none;
    ``visits`` limits it to kinds of visits."""

    at: str
    types: list[str] = []
    types_in: int = 5
    visits: list[VisitKind] = []


class Location(Struct, frozen=True, forbid_unknown_fields=True):
    """Which component of PV1-3 holds what; 0 for nowhere."""

    department: int = 0
    department_name: int = 0
    ward: int = 0


class DiagnosisHabits(Struct, frozen=True, forbid_unknown_fields=True):
    """``packed``: one DG1-3 holds several diagnoses as code^name^code^name."""

    packed: bool = False


class PathologyHabits(Struct, frozen=True, forbid_unknown_fields=True):
    """``always``: every result message is a pathology report. ``number`` splits OBR-3 by the named groups ``number`` and ``kind``."""

    always: bool = False
    number: str = ""


class MedicationHabits(Struct, frozen=True, forbid_unknown_fields=True):
    """``kind_at`` is where the sender tells drugs from other orders (within RXO), ``drug_kinds`` the words for a drug. ``same`` are
    words that stand for a name instead of one."""

    kind_at: str = ""
    drug_kinds: list[str] = []
    same: list[str] = []


class DialectFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a dialect file together with what it extends."""

    id: str
    name: str = ""
    extends: str = ""
    address_kind: AddressKind = ""
    own_codes: list[str] = []
    recognise: dict[str, str] = field(default_factory=dict)
    identifiers: dict[str, list[Place]] = field(default_factory=dict)
    fields: dict[str, list[str]] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    events: dict[str, str] = field(default_factory=dict)
    location: Location = Location()
    systems: Systems = Systems()
    diagnoses: DiagnosisHabits = DiagnosisHabits()
    pathology: PathologyHabits = PathologyHabits()
    medications: MedicationHabits = MedicationHabits()


def read(name_or_path: str) -> DialectFile:
    """The dialect of that name or in that file. Raises `ConfigurationError`."""
    folder = files("adapters.hl7v2").joinpath("dialects")
    return _checked(name_or_path, tables(name_or_path, {name: folder.joinpath(f"{name}.toml") for name in BUILT_IN}))


def _checked(origin: str, raw: dict[str, Any]) -> DialectFile:
    for key in ("recognise", "identifiers", "fields", "codes", "events"):
        if not isinstance(raw.get(key, {}), dict):
            raise faulty(origin, key, "应为一个表（[…]）", "should be a table")
    checked = dict(raw)
    checked["identifiers"] = {
        key: typed(
            origin, f"identifiers.{key}", [{"at": one} if isinstance(one, str) else one for one in _listed(value)], list[Place]
        )
        for key, value in raw.get("identifiers", {}).items()
    }
    checked["fields"] = {
        key: typed(origin, f"fields.{key}", _listed(value), list[str]) for key, value in raw.get("fields", {}).items()
    }
    checked["codes"] = {key: typed(origin, f"codes.{key}", value, dict[str, str]) for key, value in raw.get("codes", {}).items()}
    file = typed(origin, "", {**checked, "identifiers": {}}, DialectFile)
    return msgspec.structs.replace(file, identifiers=checked["identifiers"])


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value != "" else []
