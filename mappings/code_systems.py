"""Names of code systems and their addresses in FHIR: ``mappings/code_systems.csv``.

A system of ours without an address of its own is written as ``urn:zhibao:<name>`` (``urn:zhibao:RC001``); an address that no name has
stands for itself. So `name_of` and `uri_of` undo each other for every name.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

OURS: Final = "urn:zhibao:"


def name_of(uri: str) -> str:
    """The name of the code system with this address: one of the table, of ours, or the address itself."""
    found = _table()[0].get(uri)
    return found if found is not None else uri.removeprefix(OURS)


def uri_of(name: str) -> str:
    """The address of a code system; empty for no system."""
    found = _table()[1].get(name)
    if found is not None or not name:
        return found or ""
    return name if ":" in name else OURS + name


@cache
def _table() -> tuple[Mapping[str, str], Mapping[str, str]]:
    """(address to name, name to its first address)."""
    names: dict[str, str] = {}
    addresses: dict[str, str] = {}
    with files("mappings").joinpath("code_systems.csv").open(encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            names[row["uri"]] = row["name"]
            addresses.setdefault(row["name"], row["uri"])
    return names, addresses
