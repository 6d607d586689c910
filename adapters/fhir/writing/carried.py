"""Which paths of a stay have an element of their own in FHIR (``mappings/sources/fhir/carried.csv``)."""

from __future__ import annotations

import csv
import re
from functools import cache
from importlib.resources import files
from typing import Final

_POSITION: Final = re.compile(r"\[\d+\]")


@cache
def is_carried(path: str) -> bool:
    """Whether an element carries the leaf at ``path`` (a path of the table, or anything below one that ends with ``*``)."""
    general = _POSITION.sub("[]", path)
    return any(general.startswith(row[:-1]) if row.endswith("*") else general == row for row in _paths())


@cache
def _paths() -> tuple[str, ...]:
    with files("mappings").joinpath("sources", "fhir", "carried.csv").open(encoding="utf-8") as handle:
        return tuple(row["path"] for row in csv.DictReader(handle))
