"""The tables of cancer registration (``mappings/codes/registry/<name>.csv``), read once; the README beside them says what each is."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

_FOLDER = files("mappings").joinpath("codes", "registry")


@cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    """The rows of a table in the order of its file, all text. They are shared: read only. Raises `FileNotFoundError` for no table."""
    with _FOLDER.joinpath(f"{name}.csv").open(encoding="utf-8") as handle:
        return tuple(csv.DictReader(handle))


@cache
def names(name: str, list_name: str = "") -> Mapping[str, str]:
    """The Chinese names of a value set by code. Some tables hold several lists (column ``list``: ``treatment`` has ``tchia_treated_flag`` and
    others); ``list_name`` names the one that is meant. Raises `LookupError` when there is no such list or the table is no value set."""
    found = {row["code"]: row["name_zh"] for row in rows(name) if row.get("list", "") == list_name}
    if not found:
        raise LookupError(f"{name}: {list_name}")
    return MappingProxyType(found)
