"""The tables of FHIR that are data of this project (``mappings/sources/fhir/*.csv``)."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files


@cache
def rows(name: str) -> tuple[Mapping[str, str], ...]:
    """The rows of ``name.csv`` by column, in their order."""
    with files("mappings").joinpath("sources", "fhir", f"{name}.csv").open(encoding="utf-8") as handle:
        return tuple(csv.DictReader(handle))
