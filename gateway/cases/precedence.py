"""Which source wins where the front sheet and messages speak of the same item: ``mappings/sources/precedence.csv``.

Columns: ``path`` (``[]`` for any position, a trailing ``*`` for everything below; the longest match counts), ``winner`` (``file``,
``message``, ``newest``: the later statement, for which the time at which the sheet was filed must be known, otherwise the file),
``conflict`` (severity of the finding when both are filled and differ: ``error``, ``warning``, ``none``), ``placeholder`` (whether the
sheet's ``-`` ``yields`` to a message or ``stands``), ``follows`` (the item without which this one means nothing: it is only taken from
a source whose statement of that item holds) and ``note``.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal, cast

from gateway.model.errors import ConfigurationError

TABLE = "sources/precedence.csv"
_POSITION = re.compile(r"\[\d+\]")

Winner = Literal["file", "message", "newest"]


@dataclass(frozen=True, slots=True)
class Precedence:
    """One row of the table."""

    path: str
    winner: Winner
    conflict: Literal["error", "warning", "none"]
    placeholder_stands: bool
    follows: str


@cache
def _rows() -> dict[str, Precedence]:
    with files("mappings").joinpath(TABLE).open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    for row in rows:
        if (
            row["winner"] not in ("file", "message", "newest")
            or row["conflict"] not in ("error", "warning", "none")
            or row["placeholder"] not in ("yields", "stands")
        ):
            raise ConfigurationError(
                f"来源优先级表中 {row['path']} 一行的写法不正确",
                action=f"请检查 {TABLE}",
                english=f"{TABLE}: bad row {row['path']}",
            )
    return {
        row["path"]: Precedence(
            path=row["path"],
            winner=cast(Winner, row["winner"]),
            conflict=cast(Literal["error", "warning", "none"], row["conflict"]),
            placeholder_stands=row["placeholder"] == "stands",
            follows=row["follows"],
        )
        for row in rows
    }


@lru_cache(maxsize=8192)
def precedence(path: str) -> Precedence:
    """The row that rules a path. Raises `ConfigurationError` for a word that the table does not know."""
    rows = _rows()
    path = _POSITION.sub("[]", path)
    if (exact := rows.get(path)) is not None:
        return exact
    return max(
        (row for pattern, row in rows.items() if pattern.endswith("*") and path.startswith(pattern[:-1])),
        key=lambda row: len(row.path),
    )
