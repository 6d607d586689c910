"""Which paths of a stay have an element of their own in FHIR (``mappings/sources/fhir/carried.csv``)."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from adapters.fhir.tables import rows

_POSITION: Final = re.compile(r"\[\d+\]")


@cache
def is_carried(path: str) -> bool:
    """Whether an element carries the leaf at ``path`` (a path of the table, or anything below one that ends with ``*``)."""
    general = _POSITION.sub("[]", path)
    paths = (row["path"] for row in rows("carried"))
    return any(general.startswith(path[:-1]) if path.endswith("*") else general == path for path in paths)
