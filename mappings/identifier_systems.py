"""Addresses of the numbers that people, institutions and specimens have: ``mappings/identifier_systems.csv``."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files


def identifier_system(name: str) -> str:
    """The address of an identifier system of the table (``resident-id``: ``urn:oid:…``). Raises `KeyError` for any other."""
    return _addresses()[name]


@cache
def _addresses() -> Mapping[str, str]:
    with files("mappings").joinpath("identifier_systems.csv").open(encoding="utf-8") as handle:
        return {row["name"]: row["uri"] for row in csv.DictReader(handle)}
