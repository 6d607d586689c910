"""Which column of a spreadsheet is which field of a card, a death or a visit.

Columns are recognised by what stands above them, never by position: the Chinese name of the element, the field's own id, the T/CHIA 18-2021
id, the element name of the Zhejiang platform or of the national file, or another name that is in use. Names come from the tables of the
registry reference (``card_fields``, ``followup_fields``); other names and how a cell is read from ``mappings/sources/cards/headers.csv``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from mappings.card_sheets import table
from mappings.registry.tables import rows

Kind = Literal["card", "death", "first_visit", "follow_up"]
KINDS: Final[tuple[Kind, ...]] = ("card", "death", "first_visit", "follow_up")

KIND_NAMES: Final[dict[Kind, str]] = {"card": "肿瘤报告卡", "death": "死亡名单", "first_visit": "初访卡", "follow_up": "随访卡"}

_PERSON = frozenset(("patient_name", "id_no"))
_TUMOUR = frozenset(("icd10", "topography", "diagnosis_name", "incidence_date"))
_NEEDED: Final[dict[Kind, tuple[frozenset[str], ...]]] = {
    "card": (_PERSON, _TUMOUR),
    "death": (_PERSON, frozenset(("death_date",))),
    "first_visit": (frozenset(("visit_date",)), _PERSON | {"report_card_no"}),
    "follow_up": (frozenset(("visit_date",)), _PERSON | {"report_card_no"}),
}
"""Columns without which a sheet is not of that kind: at least one of each set."""

_NOTHING = re.compile(r"[\W_]+")
_NUMBERED = re.compile(r"^\d{1,3}[.、．:：)）]\s*")
_CODE_ENDING = ("代码", "编码", "名称")


@dataclass(frozen=True)
class Column:
    """A field and how it is read. ``set`` is the value set of a code (``table`` or ``table:list`` of the registry tables)."""

    kind: Kind
    field: str
    name: str
    read: str
    set: str
    required: bool
    note: str
    names: tuple[str, ...]
    """every name that it is recognised by, its own first"""


@dataclass(frozen=True)
class Recognised:
    """A header. ``columns`` has one entry for each of ``names``, none where the column is not known."""

    kind: Kind
    names: tuple[str, ...]
    columns: tuple[Column | None, ...]

    @property
    def known(self) -> int:
        """How many columns are recognised."""
        return sum(column is not None for column in self.columns)

    @property
    def unknown(self) -> list[str]:
        """Names of the columns that are not."""
        return [name for name, column in zip(self.names, self.columns, strict=True) if column is None and name]

    @property
    def doubled(self) -> list[str]:
        """Names of the columns that are one field twice."""
        fields = [column.field for column in self.columns if column is not None]
        return [
            name
            for name, column in zip(self.names, self.columns, strict=True)
            if column is not None and fields.count(column.field) > 1
        ]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing without which it is no sheet of its kind."""
        fields = {column.field for column in self.columns if column is not None}
        if self.kind == "death" and fields & _TUMOUR:
            return False
        return all(fields & needed for needed in _NEEDED[self.kind])


def recognise(names: Sequence[str]) -> Recognised:
    """The header as that of the kind that fits best: complete ones first, then the one with the most columns."""
    found = [Recognised(kind, tuple(names), tuple(_find(kind, name) for name in names)) for kind in KINDS]
    return max(found, key=lambda header: (header.complete, header.known))


def is_known(name: str) -> bool:
    """Whether a cell names a column of any kind."""
    return any(_find(kind, name) is not None for kind in KINDS)


@cache
def columns(kind: Kind) -> tuple[Column, ...]:
    """All columns of a kind, in the order of the card."""
    described = _described(kind)
    found = []
    for row in table("headers"):
        if row["kind"] != kind:
            continue
        known = described.get(row["field"], {})
        name = row["name"] or known["name_zh"]
        ids = (known.get(key, "") for key in ("tchia_id", "zhejiang_element", "nccr_variable"))
        names = [name, row["field"], *(id for text in ids for id in _ids(text)), *filter(None, row["synonyms"].split(";"))]
        required = known.get("required", "").startswith("Y")
        note = known.get("required_rule", "") if kind == "card" else ""
        found.append(Column(kind, row["field"], name, row["read"], row["set"], required, note, tuple(names)))
    return tuple(found)


def _described(kind: Kind) -> dict[str, dict[str, str]]:
    if kind in ("card", "death"):
        return {row["field_id"]: row for row in rows("card_fields")}
    return {row["field_id"]: row for row in rows("followup_fields") if row["card"] == kind}


def _ids(text: str) -> list[str]:
    """The element names in a cell of the reference: ``T-HDSB2.2.1.4``, ``VC_SFZH``; not what is said in brackets."""
    return [part for part in text.split() if re.fullmatch(r"[A-Za-z][A-Za-z0-9_.\-]*", part)]


@cache
def _lookup(kind: Kind) -> dict[str, Column]:
    """Every spelling of every column. A name that several columns share belongs to the first; a column's own name, and then its ids, win
    over other names; an ending that only says code or name is left out where no other column is meant."""
    every = columns(kind)
    spellings: dict[str, Column] = {}
    for place in range(max(len(column.names) for column in every)):
        for column in every:
            if place < len(column.names):
                spellings.setdefault(key(column.names[place]), column)
    for column in every:
        for name in column.names:
            for ending in _CODE_ENDING:
                if name.endswith(ending) and len(name) > len(ending) + 1:
                    spellings.setdefault(key(name.removesuffix(ending)), column)
    return spellings


def _find(kind: Kind, name: str) -> Column | None:
    spellings = _lookup(kind)
    bare = _NUMBERED.sub("", name.strip())
    found = spellings.get(key(bare))
    if found is None:  # 身份证号码(必填), 性别（1男2女）
        found = spellings.get(key(re.split(r"[（(\[【*＊\n]", bare.lstrip("*＊ "), maxsplit=1)[0]))
    if found is None:
        for ending in _CODE_ENDING:
            if bare.endswith(ending) and found is None:
                found = spellings.get(key(bare.removesuffix(ending)))
    return found


def key(name: str) -> str:
    """A name as it is compared: full-width forms as ASCII, no punctuation, no case."""
    return _NOTHING.sub("", unicodedata.normalize("NFKC", name)).casefold()
