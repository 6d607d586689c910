"""Which layout a front-sheet file has, and which column is which.

Columns are recognised by name, never by position: official code in any letter case (``a48``, ``C06X01C``), code followed by
the Chinese name (``A47健康卡号``), the Chinese name alone with the number of the repeat behind it (``出院其他诊断编码2``).
Trailing repeats may be missing. What is not recognised is carried along as an extra and reported.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from adapters.hqms.cells import INVISIBLE
from gateway.model.errors import FileRefused
from mappings.layout import LAYOUT_FILES, Field, Layout, layout

KEY_PATHS = ("record_number", "admission_number")
"""Without these two columns (病案号, 住院次数) no row can become a stay."""

_PUNCTUATION = re.compile(r"[\s" + INVISIBLE + r"()（）\[\]【】:：,，、。.\-_/“”\"']+")
_CODE_THEN_NAME = re.compile(r"([A-Za-z][A-Za-z0-9_]*)[^A-Za-z0-9_]")


@dataclass(frozen=True)
class Header:
    """A recognised header. ``fields`` has one entry per column of the file, None where the column is not in the layout."""

    layout: Layout
    names: tuple[str, ...]
    fields: tuple[Field | None, ...]

    @property
    def unknown(self) -> list[str]:
        """Columns that the layout does not have."""
        return [name for name, field in zip(self.names, self.fields, strict=True) if field is None and name]

    @property
    def missing(self) -> list[str]:
        """Columns of the layout that the file lacks, trailing repeats left out because exporters may omit them."""
        present = {f.code for f in self.fields if f is not None}
        last: dict[str, int] = {}
        for field in self.layout.fields:
            if field.repeat and field.code in present:
                last[field.pattern] = field.repeat
        return [f.code for f in self.layout.fields if f.code not in present and (not f.repeat or f.repeat < last.get(f.pattern, 0))]


def looks_like_header(cells: Sequence[str]) -> bool:
    """Whether a first row can be a header at all: most of its cells name a column of some layout."""
    filled = [cell for cell in cells if cell.strip()]
    known = max((sum(_lookup(id).get(key(cell)) is not None for cell in filled) for id in LAYOUT_FILES), default=0)
    return bool(filled) and known * 2 >= len(filled)


def recognise(names: Sequence[str]) -> Header:
    """Recognise a header. Raises `FileRefused` when no layout fits, a column comes twice or 病案号/住院次数 is missing."""
    best = max(("2020", "tcm2019", "pcode"), key=lambda id: sum(_find(id, name) is not None for name in names))
    fields = [_find(best, name) for name in names]
    if best == "2020" and not any(f is not None and f.code not in layout("2019").by_code for f in fields):
        best = "2019"
        fields = [_find(best, name) for name in names]
    seen: dict[str, str] = {}
    for name, field in zip(names, fields, strict=True):
        if field is None:
            continue
        if field.code in seen:
            raise FileRefused(
                "duplicate-header",
                f"表头“{seen[field.code].strip()}”与“{name.strip()}”是同一列",
                action="请只保留其中一列后重新导出",
                english=f"column {field.code} comes twice",
            )
        seen[field.code] = name
    chosen = layout(best)
    for path in KEY_PATHS:
        code = chosen.code_of_path[path]
        if code not in seen:
            raise FileRefused(
                "no-header",
                f"第一行不是住院病案首页的表头，或缺少“{chosen.by_code[code].label}”列",
                action="请确认第一行是字段编码（如 A48、A49），并包含病案号和住院次数",
                english=f"no front-sheet header, or column {code} is missing",
            )
    return Header(chosen, tuple(name.strip(" \t" + INVISIBLE) for name in names), tuple(fields))


def key(name: str) -> str:
    """A column name as it is compared: no punctuation, no case."""
    return _PUNCTUATION.sub("", name).casefold()


def _find(id: str, name: str) -> Field | None:
    table = _lookup(id)
    found = table.get(key(name))
    if found is None and (match := _CODE_THEN_NAME.match(name.strip())) is not None:
        found = table.get(key(match[1]))
    return found


@cache
def _lookup(id: str) -> dict[str, Field]:
    """Every spelling of every column of a layout. A Chinese name that several columns share belongs to the first of them;
    the official code always wins."""
    table: dict[str, Field] = {}
    for field in layout(id).fields:
        names = [f"{field.name_zh}{field.repeat}", f"{field.name_zh}{field.repeat:02d}"] if field.repeat else []
        names.append(field.name_zh)
        for name in names:
            table.setdefault(key(name), field)
            # where the code ends is plain to see, unless the name itself begins with a letter (F10HBsAg)
            table.setdefault(key(f"{field.code}{name}"), field)
    for field in layout(id).fields:
        table[key(field.code)] = field
    return table
