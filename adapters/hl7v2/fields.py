"""The base table: which segment field feeds which canonical path or member of a group (``mappings/sources/hl7v2/fields.csv``).

Columns: ``field`` (``PV1-44``; empty where the standard has no place and only a dialect can name one), ``path`` (a path of the stay, or
``DiagnosisFact.rank`` and the like; empty for what is kept and not read), ``type`` (see `datatypes.CONVERTERS`), ``map`` and
``value_set`` of coded values, ``when``, names, note, source and confidence.

Rows of one path are alternatives in their order: the first place that says something counts. ``when`` limits a row: ``admission`` (A01,
A06), ``discharge`` (A03, or another
message that carries PV1-45 and is no admission or transfer), ``transfer`` (A02), ``stands`` (not when the message takes something back).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the base table that is read."""

    field: str
    path: str
    type: str
    map: str
    value_set: str
    when: str
    name_zh: str

    @property
    def group(self) -> str:
        """``DiagnosisFact`` for a member of a group, empty for a path of the stay."""
        head, _, _ = self.path.partition(".")
        return head if head[:1].isupper() else ""


@cache
def base_table() -> tuple[Row, ...]:
    """The rows that are read, in table order."""
    with files("mappings").joinpath("sources", "hl7v2", "fields.csv").open(encoding="utf-8") as handle:
        return tuple(
            Row(row["field"], row["path"], row["type"], row["map"], row["value_set"], row["when"], row["name_zh"])
            for row in csv.DictReader(handle)
            if row["type"]
        )
