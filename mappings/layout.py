"""Layouts: which columns a table format has, in which order, and which canonical path each of them carries.

A layout is a CSV table (one row per field pattern) that this module expands to columns and compiles to a plan, so that
reading and writing a stay touches each leaf once. The same table serves the reader of hospital files, the writer of platform
files, the checks and the printed platform guide.

Columns of a layout table: ``code`` (``kk`` stands for the repeat number), ``repeat_from``/``repeat_to``, ``first`` (canonical
index of the first repeat), ``path`` (``[kk]`` stands for the canonical index; empty when the model has no place for the item,
which then travels in ``Stay.extras``), ``name_zh``, ``type`` (string, int, decimal, date, datetime, code, code_list),
``max_length`` (characters), ``scale``, ``required`` (M, C, O), ``value_domain``, ``dash_policy``, ``layouts``, ``source``,
``confidence``.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from operator import attrgetter
from typing import Any

from gateway.model.errors import ConfigurationError
from gateway.model.stay import Stay
from mappings.conversions import before_writing
from mappings.crosswalk import Crosswalk

LAYOUT_FILES = {
    "2020": "platforms/hqms/fields.csv",
    "2019": "platforms/hqms/fields.csv",
    "tcm2019": "sources/hqms/tcm2019.csv",
    "pcode": "sources/hqms/pcode.csv",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One column. ``pattern`` is the code with ``kk`` for the repeat number, ``repeat`` that number (0 when not repeated)."""

    code: str
    pattern: str
    repeat: int
    path: str
    name_zh: str
    name_en: str
    type: str
    max_length: int
    scale: int
    required: str
    domain: str
    dash_policy: str
    source: str
    confidence: str
    part: int

    @property
    def label(self) -> str:
        """How a clerk finds it: Chinese name with the number of the repeat, and the code."""
        number = str(self.repeat) if self.repeat else ""
        return f"{self.name_zh}{number}（{self.code}）"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A column bound to the model: attribute ``name`` of a parent object. ``column`` is its position in the layout."""

    column: int
    field: Field
    name: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two columns that make one coded value: the code and its printed name (either may be missing in a layout)."""

    code: Leaf | None
    display: Leaf | None
    name: str
    system: str


@dataclass(frozen=True, slots=True)
class Group:
    """The columns that belong to one object of a stay. ``index`` is the list position, or None for a fixed member."""

    parent: str
    index: int | None
    leaves: tuple[Leaf, ...]
    pairs: tuple[Pair, ...]


class Layout:
    """A compiled layout; get one with `layout`. ``fields`` are in official column order."""

    def __init__(self, id: str, fields: Iterable[Field], crosswalk: Crosswalk) -> None:
        self.id = id
        self.fields = tuple(fields)
        self.columns = tuple(f.code for f in self.fields)
        self.by_code = {f.code: f for f in self.fields}
        self.code_of_path = {f.path: f.code for f in self.fields if f.path}
        self.crosswalk = crosswalk
        self.groups = _group(self.fields)
        self.unmapped = tuple(f for f in self.fields if not f.path)
        self._writers = [_Writer(group, crosswalk) for group in self.groups if group.index is None]
        self._list_writers: dict[str, list[_Writer]] = {}
        for group in self.groups:
            if group.index is not None:
                writers = self._list_writers.setdefault(group.parent, [])
                while len(writers) <= group.index:
                    writers.append(_Writer(Group(group.parent, len(writers), (), ()), crosswalk))
                writers[group.index] = _Writer(group, crosswalk)
        self._lists = [(attrgetter(parent), writers) for parent, writers in self._list_writers.items()]
        self._extras_prefix = f"{id}:"
        self._mapping = f"hqms-{id}"

    def record(self, stay: Stay) -> dict[str, str]:
        """The stay as this layout prints it: column code to text, blank columns left out."""
        record: dict[str, str] = {}
        for writer in self._writers:
            writer.write(writer.parent(stay), record)
        for items_of, writers in self._lists:
            for writer, node in zip(writers, items_of(stay), strict=False):
                writer.write(node, record)
        for path, text in stay.verbatim.items():
            code = self.code_of_path.get(path)
            if code is not None:
                record[code] = text
        if all(layer.mapping != self._mapping for layer in stay.provenance.layers):
            record.update(before_writing(self.id, stay))  # else the source printed the parts itself, or left them blank
        if stay.extras:
            for key, text in stay.extras.items():
                if key.startswith(self._extras_prefix):
                    record[key[len(self._extras_prefix) :]] = text
        return record

    def row(self, record: Mapping[str, str]) -> list[str]:
        """The cells of a record in official column order."""
        return [record.get(column, "") for column in self.columns]

    def overflow(self, stay: Stay) -> list[str]:
        """Lists of the stay that hold more entries than this layout has columns for (their paths)."""
        return [
            parent
            for (items_of, writers), parent in zip(self._lists, self._list_writers, strict=True)
            if len(items_of(stay)) > len(writers)
        ]


class _Writer:
    """Writes the members of one object of a stay as text."""

    def __init__(self, group: Group, crosswalk: Crosswalk) -> None:
        self.parent: Callable[[Stay], Any] = attrgetter(group.parent) if group.parent else _itself
        self.leaves = [(leaf.name, leaf.field.code, _formatter(leaf.field, crosswalk)) for leaf in group.leaves]
        self.pairs = [
            (pair.name, pair.code and pair.code.field.code, pair.display and pair.display.field.code) for pair in group.pairs
        ]

    def write(self, node: Any, record: dict[str, str]) -> None:
        for name, code, text_of in self.leaves:
            value = getattr(node, name)
            if value is not None:
                text = text_of(value)
                if text:
                    record[code] = text
        for name, code_column, display_column in self.pairs:
            value = getattr(node, name)
            if value is not None:
                if code_column and value.code:
                    record[code_column] = value.code
                if display_column and value.display:
                    record[display_column] = value.display


def _itself(stay: Stay) -> Stay:
    return stay


def _printed_time(value: str) -> str:
    """``yyyy-MM-dd HH:mm:ss``; a time known to the minute is printed with zero seconds, a bare day stays a bare day."""
    return value.replace("T", " ") + (":00" if len(value) == 16 else "")


def _formatter(field: Field, crosswalk: Crosswalk) -> Callable[[Any], str]:
    match field.type:
        case "int":
            return str
        case "decimal":
            return lambda value: format(value, "f")
        case "datetime":
            return _printed_time
        case "code":
            return crosswalk.writer(field.domain)
        case "code_list":
            one = crosswalk.writer(field.domain)
            return lambda value: ",".join(map(one, value))
        case "string" if crosswalk.knows(field.domain):
            return crosswalk.text_writer(field.domain)
        case _:
            return str


def _group(fields: tuple[Field, ...]) -> list[Group]:
    """Collect columns by the object that they belong to. ``x.code`` and ``x.display`` of a coded value become a `Pair`."""
    leaves: dict[tuple[str, int | None], list[Leaf]] = {}
    pairs: dict[tuple[str, int | None], dict[str, dict[str, Leaf]]] = {}
    order: dict[tuple[str, int | None], None] = {}
    for column, field in enumerate(fields):
        if not field.path:
            continue
        parent, _, name = field.path.rpartition(".")
        side = ""
        if name in ("code", "display") and parent.rpartition(".")[2] in ("condition", "morphology", "operation"):
            side = name
            parent, _, name = parent.rpartition(".")
        index: int | None = None
        if parent.endswith("]"):
            parent, _, number = parent[:-1].rpartition("[")
            index = int(number)
        key = (parent, index)
        order[key] = None
        leaf = Leaf(column, field, name)
        if side:
            pairs.setdefault(key, {}).setdefault(name, {})[side] = leaf
        else:
            leaves.setdefault(key, []).append(leaf)
    groups = []
    for parent, index in order:
        made = []
        for name, sides in pairs.get((parent, index), {}).items():
            code, display = sides.get("code"), sides.get("display")
            system = (code or sides["display"]).field.domain
            made.append(Pair(code, display, name, system))
        groups.append(Group(parent, index, tuple(leaves.get((parent, index), ())), tuple(made)))
    return groups


def _read_table(name: str) -> list[dict[str, str]]:
    with files("mappings").joinpath(name).open(encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def _expand(rows: list[dict[str, str]], id: str) -> Iterator[Field]:
    """Rows of the table as columns: neighbours with the same repeat range interleave, item by item, as the official column
    order does (``C06x01C, C07x01N, C08x01C, F06x01, C06x02C ...``)."""
    position = 0
    while position < len(rows):
        row = rows[position]
        if not row["repeat_from"]:
            yield _field(row, 0, id)
            position += 1
            continue
        span = (row["repeat_from"], row["repeat_to"])
        end = position
        while end < len(rows) and (rows[end]["repeat_from"], rows[end]["repeat_to"]) == span:
            end += 1
        for repeat in range(int(span[0]), int(span[1]) + 1):
            for member in rows[position:end]:
                yield _field(member, repeat, id)
        position = end


def _field(row: dict[str, str], repeat: int, id: str) -> Field:
    code, path = row["code"], row["path"]
    if repeat:
        code = code.replace("kk", f"{repeat:02d}" if "xkk" in code else str(repeat))
        path = path.replace("[kk]", f"[{repeat - int(row['repeat_from']) + int(row['first'])}]")
    old = id == "2019"
    return Field(
        code=code,
        pattern=row["code"],
        repeat=repeat,
        path=path,
        name_zh=row["name_zh"],
        name_en=row["name_en"],
        type=row["type"],
        max_length=int((old and row["length_2019"]) or row["max_length"] or 0),
        scale=int(row["scale"] or 0),
        required=(old and row["required_2019"]) or row["required"],
        domain=row["value_domain"],
        dash_policy=row["dash_policy"].replace("kk", f"{repeat:02d}"),
        source=row["source"],
        confidence=row["confidence"],
        part=int(row.get("dbf_part") or 1),
    )


@cache
def layout(id: str) -> Layout:
    """The layout ``2020``, ``2019``, ``tcm2019`` or ``pcode``. Raises `ConfigurationError` for any other word."""
    if id not in LAYOUT_FILES:
        known = "、".join(LAYOUT_FILES)
        raise ConfigurationError(f"没有名为“{id}”的版式", action=f"可用的版式：{known}", english=f"unknown layout {id}")
    rows = [row for row in _read_table(LAYOUT_FILES[id]) if id in row["layouts"].split()]
    return Layout(id, _expand(rows, id), Crosswalk.load("tcm2019"))
