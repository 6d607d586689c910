"""The base table: which element of a resource feeds which canonical path or member of a group (``mappings/sources/fhir/fields.csv``).

Columns: ``element`` (R4) and ``element_r5`` (empty where it is the same, ``-`` where R5 has none), ``path`` (a path of the stay, or
``DiagnosisFact.rank`` and the like), ``type`` (see `adapters.fhir.values.CONVERTERS`; other types belong to readers of their own), ``map``
and ``value_set`` of coded values, ``when`` (``finished``: only of an encounter that is over), Chinese name, note, source and confidence.
Elements are written as in `adapters.fhir.routes`. Rows of one path are alternatives in their order: the first that says something counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from adapters.fhir.resource import Release
from adapters.fhir.tables import rows


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the base table."""

    element: str
    element_r5: str
    path: str
    type: str
    map: str
    value_set: str
    when: str

    def element_in(self, release: Release) -> str:
        """The element in a release, empty where it has none."""
        element = (self.element_r5 or self.element) if release == "R5" else self.element
        return "" if element == "-" else element


@cache
def base_table() -> tuple[Row, ...]:
    """The rows in table order."""
    return tuple(
        Row(row["element"], row["element_r5"], row["path"], row["type"], row["map"], row["value_set"], row["when"])
        for row in rows("fields")
    )
