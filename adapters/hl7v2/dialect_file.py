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

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path as FilePath
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, field

from gateway.model.errors import ConfigurationError

BUILT_IN: Final = ("standard", "cn-a", "cn-b", "cn-c", "cn-d", "cn-e")

VisitKind = Literal["inpatient", "outpatient", "emergency", "check-up"]
AddressKind = Literal["", "present", "registered", "employer", "birthplace"]


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


class Systems(Struct, frozen=True, forbid_unknown_fields=True):
    """Code systems, that is editions, in which the sender codes."""

    diagnosis: str = "ICD10-GB-CLIN-2.0"
    procedure: str = "ICD9CM3-GB-CLIN-3.0"
    morphology: str = "ICDO-M-GB-CLIN-2.0"


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


def faulty(origin: str, key: str, reason: str, english: str = "") -> ConfigurationError:
    """The error for a mistake in a dialect file."""
    return ConfigurationError(
        f"方言“{origin}”的 {key} 有误：{reason}",
        action="请修改方言文件后重试",
        english=f"dialect {origin}: {key}: {english or reason}",
    )


def read(name_or_path: str) -> DialectFile:
    """The dialect of that name or in that file. Raises `ConfigurationError`."""
    return _checked(name_or_path, _raw(name_or_path, ()))


def _raw(name_or_path: str, below: tuple[str, ...]) -> dict[str, Any]:
    """The tables of a file over those of the dialect it extends."""
    if name_or_path in below:
        raise faulty(below[0], "extends", "方言互相继承", "dialects extend each other")
    own = _load(name_or_path)
    own.setdefault("id", FilePath(name_or_path).stem)
    parent = own.get("extends", "")
    if not isinstance(parent, str):
        raise faulty(name_or_path, "extends", "应为方言名称", "should be the name of a dialect")
    if not parent:
        return own
    if parent not in BUILT_IN and not FilePath(parent).is_absolute():
        parent = str(FilePath(name_or_path).parent / parent)
    return _over(_raw(parent, (*below, name_or_path)), own)


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _load(name_or_path: str) -> dict[str, Any]:
    try:
        if name_or_path in BUILT_IN:
            content = files("adapters.hl7v2").joinpath("dialects", f"{name_or_path}.toml").read_text(encoding="utf-8")
        elif name_or_path.endswith(".toml"):
            content = FilePath(name_or_path).read_text(encoding="utf-8-sig")
        else:
            raise ConfigurationError(
                f"没有名为“{name_or_path}”的方言",
                action=f"可用的方言：{'、'.join(BUILT_IN)}，或一个 .toml 方言文件的路径",
                english=f"unknown dialect {name_or_path!r}",
            )
        return tomllib.loads(content)
    except OSError as error:
        raise ConfigurationError(
            f"方言文件“{name_or_path}”无法打开", action="请核对路径和权限", english=f"cannot open dialect file: {error.strerror}"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"方言文件“{name_or_path}”不是 UTF-8 编码", action="请另存为 UTF-8", english="dialect file is not UTF-8"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(
            f"方言文件“{name_or_path}”不是正确的 TOML：{error}", action="请按提示的行列修改", english=f"not TOML: {error}"
        ) from error


def _checked(origin: str, raw: dict[str, Any]) -> DialectFile:
    for key in ("recognise", "identifiers", "fields", "codes", "events"):
        if not isinstance(raw.get(key, {}), dict):
            raise faulty(origin, key, "应为一个表（[…]）", "should be a table")
    tables = dict(raw)
    tables["identifiers"] = {
        key: _typed(
            origin, f"identifiers.{key}", [{"at": one} if isinstance(one, str) else one for one in _listed(value)], list[Place]
        )
        for key, value in raw.get("identifiers", {}).items()
    }
    tables["fields"] = {
        key: _typed(origin, f"fields.{key}", _listed(value), list[str]) for key, value in raw.get("fields", {}).items()
    }
    tables["codes"] = {key: _typed(origin, f"codes.{key}", value, dict[str, str]) for key, value in raw.get("codes", {}).items()}
    file: DialectFile = _typed(origin, "", {**tables, "identifiers": {}}, DialectFile)
    return msgspec.structs.replace(file, identifiers=tables["identifiers"])


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value != "" else []


def _typed(origin: str, key: str, value: Any, type: Any) -> Any:
    try:
        return msgspec.convert(value, type)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$")
        inner = where.rstrip("`").lstrip(".")
        raise faulty(origin, f"{key}{'.' if key and inner[:1] not in '[' else ''}{inner}" or "顶层", reason) from error
