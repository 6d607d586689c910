"""Tables about report-card spreadsheets (``mappings/sources/cards/``): column names (``headers``), words for codes (``labels``), what the
exchange between two platforms compares (``exchange_fields``) and the results that they print (``results``)."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files


@cache
def table(name: str) -> tuple[dict[str, str], ...]:
    """The rows of a table, cells by column."""
    with files("mappings").joinpath("sources", "cards", f"{name}.csv").open(encoding="utf-8") as source:
        return tuple(csv.DictReader(source))
