"""A dialect of FHIR as it is written down: what one sender's identifiers, extensions and code systems mean.

A TOML file over the one that it ``extends`` (``dialects/standard.toml`` says what stands in each table), checked key by key;
`adapters.fhir.dialect` compiles it. Every mistake is a `ConfigurationError` that names the file and the key.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from msgspec import Struct, field

from mappings.dialect_files import AddressKind, Systems, faulty, tables, typed

BUILT_IN: Final = ("standard", "self-named")


class Slot(Struct, frozen=True, forbid_unknown_fields=True):
    """How a number is told: by its system, by a code or the words of its type (an empty word for none), or both. Neither: any number."""

    systems: list[str] = []
    types: list[str] = []


class WrittenAs(Struct, frozen=True, forbid_unknown_fields=True):
    """Code systems (names or addresses) that stand for those editions in resources: national ones seldom have an address."""

    diagnosis: list[str] = []
    procedure: list[str] = []
    morphology: list[str] = []


class DialectFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a dialect file together with what it extends."""

    id: str
    name: str = ""
    extends: str = ""
    address_kind: AddressKind = ""
    organisation: bool = False
    own_codes: list[str] = []
    identifiers: dict[str, list[Slot]] = field(default_factory=dict)
    extensions: dict[str, list[str]] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    systems: Systems = Systems()
    written_as: WrittenAs = WrittenAs()


def read(name_or_path: str) -> DialectFile:
    """The dialect of that name or in that file. Raises `ConfigurationError`."""
    folder = files("adapters.fhir").joinpath("dialects")
    raw = tables(name_or_path, {name: folder.joinpath(f"{name}.toml") for name in BUILT_IN})
    if not raw.get("extends") and name_or_path not in BUILT_IN:
        raise faulty(name_or_path, "extends", '应写明所依据的方言，如 extends = "standard"', "say what it extends")
    return typed(name_or_path, "", raw, DialectFile)
