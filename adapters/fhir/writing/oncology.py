"""Codes of oncology for words and stagings of ours: the tables of the reader, the other way about
(``mappings/sources/fhir/observations.csv`` and ``codes.csv``)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from adapters.fhir.tables import rows
from gateway.model.values import Coded


@cache
def observation_codes(datum: str, kind: str = "", scheme: str = "") -> tuple[Coded, ...]:
    """Codes that stand for a datum (``t`` of ``clinical``): one of each code system, the first that the table has of it."""
    found: dict[str, Coded] = {}
    for row in rows("observations"):
        if (row["datum"], row["kind"], row["scheme"]) == (datum, kind, scheme):
            found.setdefault(row["system"], Coded(row["system"], row["code"]))
    return tuple(found.values())


def staging_scheme(system: Coded | None) -> str:
    """The scheme that has an observation of its own (``FIGO``), or an empty string for TNM and what has none."""
    code = system.code if system is not None else None
    return code if code and observation_codes("group", "other", code) else ""


def worded(map_name: str, value: Coded | None) -> tuple[Coded | None, ...]:
    """A value as codings: for a word of ours (``left``) the SNOMED CT code that means it, and the word."""
    if value is None:
        return (None,)
    code = _codes().get((map_name, value.code or "")) if value.system == map_name else None
    return (Coded("SNOMED-CT", code, value.display), value) if code else (value,)


@cache
def _codes() -> Mapping[tuple[str, str], str]:
    """(map, word) to the first SNOMED CT code that means it."""
    codes: dict[tuple[str, str], str] = {}
    for row in rows("codes"):
        system, _, code = row["value"].rpartition("|")
        if row["kind"] == "code" and system == "SNOMED-CT":
            codes.setdefault((row["map"], row["target"]), code)
    return codes
