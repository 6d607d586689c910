"""Rows of a front-sheet file as canonical stays.

A row becomes a stay or is refused with a reason; it never stops the file. Cells that hold no readable value stay in
``Stay.verbatim``, columns without a place in the model in ``Stay.extras``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any, get_args

from msgspec import structs

from adapters.hqms.cells import DASH, INVISIBLE, REPAIRS, CellReader, Repair, code_table
from adapters.hqms.header import KEY_PATHS, Header
from gateway.model.errors import RowRefused
from gateway.model.provenance import Layer
from gateway.model.stay import Stay
from gateway.model.values import Coded
from mappings.conversions import after_reading
from mappings.dictionary import load_value_sets
from mappings.layout import Field, Group, Layout, layout

_SCIENTIFIC = re.compile(r"[0-9](\.[0-9]+)?[Ee]\+?[0-9]+").fullmatch
_EDGES = " \t\r\n\v\f\u00a0\u3000" + INVISIBLE


@dataclass(frozen=True, slots=True)
class StayRead:
    """A row that was read: the stay and what was put right on the way."""

    stay: Stay
    repairs: tuple[Repair, ...]


class RowReader:
    """Reads rows of one file. Build one per file: it is compiled for the file's own header."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.layout: Layout = header.layout
        self.mapping = f"hqms-{header.layout.id}"
        position = {f.code: i for i, f in enumerate(header.fields) if f is not None}
        readers = _cell_readers(header.layout.id)
        self._groups = [
            compiled
            for group in header.layout.groups
            if (compiled := _CompiledGroup(group, position, readers)).leaves or compiled.pairs
        ]
        prefix = header.layout.id
        self._extras = [
            (i, f"{prefix}:{field.code if field is not None else name or f'列{i + 1}'}")
            for i, (name, field) in enumerate(zip(header.names, header.fields, strict=True))
            if field is None or not field.path
        ]
        self.width = len(header.names)

    def read(self, cells: Sequence[str], message: str) -> StayRead:
        """One row as a stay. ``message`` identifies the row for provenance. Raises `RowRefused`."""
        if len(cells) != self.width:
            raise self._shifted(len(cells))
        stay = Stay()
        verbatim = stay.verbatim
        repairs: list[Repair] = []
        for group in self._groups:
            group.read(cells, stay, verbatim, repairs)
        for column, name in self._extras:
            if (text := cells[column]) and (text := text.strip(_EDGES)):
                stay.extras[name] = text
        self._require_identity(stay)
        stay.provenance.layers.append(Layer(message, self.mapping))
        after_reading(self.layout.id, stay)
        return StayRead(stay, tuple(repairs))

    def _shifted(self, width: int) -> RowRefused:
        """A row of another width than the header has shifted cells, whatever the surplus ones hold (``docs/decisions/0009``)."""
        return RowRefused(
            "width",
            f"该行有 {width} 列，表头有 {self.width} 列",
            action="请检查该行是否缺列、行尾多逗号，或单元格内的逗号、换行未加引号，改正后重新导入",
            english=f"row has {width} cells, header has {self.width}",
        )

    def _require_identity(self, stay: Stay) -> None:
        if stay.record_number and _SCIENTIFIC(stay.record_number):
            field = self.layout.by_code[self.layout.code_of_path[KEY_PATHS[0]]]
            raise RowRefused(
                "no-identity",
                f"{field.label}被表格软件改成了科学计数法，不能确定是哪一次住院",
                field=field.code,
                action="请把该列设为文本格式后重新导出",
                english=f"{field.code} is in scientific notation",
            )
        if stay.record_number and stay.admission_number is not None:
            return
        path = KEY_PATHS[0] if not stay.record_number else KEY_PATHS[1]
        field = self.layout.by_code[self.layout.code_of_path[path]]
        raise RowRefused(
            "no-identity",
            f"{field.label}为空或无法识别，不能确定是哪一次住院",
            field=field.code,
            action="请补填病案号和住院次数后重新导入",
            english=f"{field.code} is blank or unreadable",
        )


class _CompiledGroup:
    """The columns of one object of a stay, bound to their positions in the file."""

    def __init__(self, group: Group, position: dict[str, int], readers: dict[str, CellReader]) -> None:
        self.parent: Callable[[Stay], Any] = attrgetter(group.parent) if group.parent else _itself
        self.index = group.index
        self.make = _element_type(group.parent) if group.index is not None else None
        self.leaves = [
            (position[leaf.field.code], leaf.name, readers[leaf.field.code], readers[leaf.field.code].fast)
            for leaf in group.leaves
            if leaf.field.code in position
        ]
        self.pairs = []
        for pair in group.pairs:
            code = position.get(pair.code.field.code, -1) if pair.code else -1
            display = position.get(pair.display.field.code, -1) if pair.display else -1
            if code >= 0 or display >= 0:
                fields = (pair.code.field if pair.code else None, pair.display.field if pair.display else None)
                self.pairs.append((code, display, pair.name, pair.system, fields))

    def read(self, cells: Sequence[str], stay: Stay, verbatim: dict[str, str], repairs: list[Repair]) -> None:
        node: Any = None
        for column, name, reader, fast in self.leaves:
            text = cells[column]
            if not text:
                continue
            if node is None:
                node = self._node(stay)
            value = fast(text)
            if value is None:
                value, text, kinds = reader.read(text)
                field = reader.field
                if value is None and text:
                    verbatim[field.path] = text
                if kinds:
                    repairs.extend(Repair(field.code, kind, REPAIRS[kind]) for kind in kinds)
            if value is not None:
                setattr(node, name, value)
        for code_column, display_column, name, system, fields in self.pairs:
            code = cells[code_column] if code_column >= 0 else ""
            display = cells[display_column] if display_column >= 0 else ""
            if not code and not display:
                continue
            if node is None:
                node = self._node(stay)
            code = self._text(code, fields[0], verbatim, repairs)
            display = self._text(display, fields[1], verbatim, repairs)
            if code or display:
                setattr(node, name, Coded(system, code or None, display or None))

    def _node(self, stay: Stay) -> Any:
        parent = self.parent(stay)
        if self.index is None or self.make is None:
            return parent
        while len(parent) <= self.index:
            parent.append(self.make())
        return parent[self.index]

    @staticmethod
    def _text(text: str, field: Field | None, verbatim: dict[str, str], repairs: list[Repair]) -> str:
        """A code or name cell of a pair: tidied; the placeholder goes to ``verbatim``."""
        if not text or field is None or _PLAIN.fast(text) is not None:
            return text
        _, tidy, kinds = _PLAIN.read(text)
        repairs.extend(Repair(field.code, kind, REPAIRS[kind]) for kind in kinds)
        if tidy == DASH:
            verbatim[field.path] = tidy
            return ""
        return tidy


def _itself(stay: Stay) -> Stay:
    return stay


_PLAIN = CellReader(
    Field("", "", 0, "", "", "", "string", 0, 0, "O", "", "", "", "", 1),
    {},
)


def _element_type(path: str) -> Callable[[], Any]:
    """The class of the elements of the list at ``path``."""
    current: Any = Stay
    for step in path.split("."):
        type_ = next(f.type for f in structs.fields(current) if f.name == step)
        current = type_
    element: Callable[[], Any] = get_args(current)[0]
    return element


def cell_reader(id: str, code: str) -> CellReader:
    """The reader of one column of a layout (for a value that a person enters)."""
    return _cell_readers(id)[code]


@cache
def _cell_readers(id: str) -> dict[str, CellReader]:
    """A reader per column of a layout; repeats share their code table."""
    chosen, general = layout(id), layout("2020")
    value_sets = load_value_sets()
    tables: dict[tuple[str, str], dict[str, Coded]] = {}
    readers = {}
    for field in chosen.fields:
        if not field.path:
            continue
        domain = field.domain
        target = domain
        if (code := general.code_of_path.get(field.path)) is not None:
            target = general.by_code[code].domain
        if field.type == "string":
            target = ""
        codes: dict[str, Coded] = {}
        if domain in value_sets and (field.type != "string" or chosen.crosswalk.knows(domain)):
            codes = tables.setdefault((domain, target), {})
            if not codes:
                codes.update(code_table(domain, value_sets[domain].codes, chosen.crosswalk, target))
        readers[field.code] = CellReader(field, codes)
    return readers
