"""Layouts of report cards: which columns a registry platform asks for, and what of the platform-neutral card each of them carries.

A card layout is a CSV table, one row a column: ``code`` (the platform's own name), ``field``, ``name_zh``, ``code_map``, ``type``,
``max_length`` (characters; in a layout whose table counts bytes a Chinese character is two), ``required`` (M, C, O), ``default`` (printed
where the card has nothing), ``source``, ``confidence``. A hospital may bring its own table where a platform's is not public.

``field`` is the name of a field of `gateway.model.card.Card` (in layouts of visits, of the visit), or a CEL expression over the fields of
the card, ``options`` (what the hospital chose for the platform) and the functions

==========================  ====================================================================================
joined(texts)               several texts, one behind the other
first(texts)                the first filled one of several texts
start(text, n)              the first n characters
number(text)                the whole number that it is, else -1
digits(text)                its digits (``C34.1``: ``341``)
undotted(code)              without the dot (``C34.9``: ``C349``)
surname(name)               the family name of a Chinese name, a compound one whole; of a name with a middle dot what is before it
given_name(name)            the rest of the name
basis_zhejiang(digits)      the basis list in the Zhejiang codes (`mappings.registry.basis`)
==========================  ====================================================================================

``code_map`` names a table ``codes/<name>.csv`` beside the layout (``code``, ``target``, ``name``, ``source``, ``confidence``): a code
without a row there has no counterpart on the platform; it is left out, and `CardLayout.misfits` says so.

``type``: string, code, code_list (commas, no blanks), integer, date (``yyyy-MM-dd``), date8 (``yyyyMMdd``, 99 for an unknown month or day, as
CanReg5 reads it), datetime (``yyyy-MM-dd HH:mm:ss``, a bare day at midnight).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from gateway.model.card import FIELDS, Card
from gateway.model.errors import ConfigurationError
from mappings.expressions import Expression, context
from mappings.registry import basis

Misfit = Literal["missing", "code", "day", "length", "rule"]
"""What is wrong with one column: it is mandatory and empty; a code has no counterpart; a date lacks its day; the text is too long; its
expression cannot be evaluated for this card."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_COLUMNS = ("code", "field", "name_zh", "code_map", "type", "max_length", "required", "default", "source", "confidence")
_TYPES = ("string", "code", "code_list", "integer", "date", "date8", "datetime")


@dataclass(frozen=True, slots=True)
class CardField:
    """One column of a card layout; see the module. ``path`` is the field of the card, empty for an expression or a constant."""

    code: str
    path: str
    expression: Expression | None
    name_zh: str
    code_map: str
    type: str
    max_length: int
    required: str
    default: str
    source: str
    confidence: str

    @property
    def label(self) -> str:
        """How a clerk finds it: Chinese name and code."""
        return self.name_zh if self.name_zh == self.code else f"{self.name_zh}（{self.code}）"


class CardLayout:
    """A compiled card layout; get one with `packaged` (platforms that ship with Zhibao) or `own_layout`."""

    def __init__(
        self, id: str, fields: Iterable[CardField], code_maps: Mapping[str, Mapping[str, str]], *, in_bytes: bool = False
    ) -> None:
        self.id = id
        self.fields = tuple(fields)
        self.columns = tuple(f.code for f in self.fields)
        self.by_code = {f.code: f for f in self.fields}
        self.in_bytes = in_bytes
        self._code_maps = code_maps

    def record(self, card: Card | Mapping[str, str], options: Mapping[str, str]) -> dict[str, str]:
        """The card as this layout prints it: column code to text, blank columns left out, and optional ones that cannot hold the text."""
        return {
            f.code: text
            for f, _, text in self._printed(card, options)
            if text and not (f.required == "O" and (self._too_long(f, text) or _dayless(f, text)))
        }

    def misfits(self, card: Card | Mapping[str, str], options: Mapping[str, str]) -> list[tuple[CardField, Misfit]]:
        """The columns that this card does not fill as the platform wants it."""
        found: list[tuple[CardField, Misfit]] = []
        for field, value, text in self._printed(card, options):
            if value is None:
                found.append((field, "rule"))
            elif value and field.code_map and self._unmapped(field, value):
                found.append((field, "code"))
            elif not text and field.required == "M":
                found.append((field, "missing"))
            elif text and _dayless(field, text):
                found.append((field, "day"))
            elif self._too_long(field, text):
                found.append((field, "length"))
        return found

    def row(self, record: Mapping[str, str]) -> list[str]:
        """The cells of a record in the order of the columns."""
        return [record.get(column, "") for column in self.columns]

    def _printed(self, card: Card | Mapping[str, str], options: Mapping[str, str]) -> Iterable[tuple[CardField, str | None, str]]:
        """Each column with its value in the codes of the card (None where its expression fails), and as printed."""
        known = card.record() if isinstance(card, Card) else card
        scope = card_context(known, options)
        for field in self.fields:
            value: str | None = known.get(field.path, "") if field.path else ""
            if field.expression is not None:
                value = _evaluated(field.expression, scope)
            text = self._mapped(field, value) if value and field.code_map else value or ""
            yield field, value, _PRINTED.get(field.type, str)(text) or field.default

    def _mapped(self, field: CardField, value: str) -> str:
        codes = self._code_maps[field.code_map]
        if field.type == "code_list":
            return ",".join(codes[one] for one in value.split(",") if one in codes)
        return codes.get(value, "")

    def _unmapped(self, field: CardField, value: str) -> bool:
        codes = self._code_maps[field.code_map]
        return any(one not in codes for one in (value.split(",") if field.type == "code_list" else (value,)))

    def _too_long(self, field: CardField, text: str) -> bool:
        return 0 < field.max_length < (len(text.encode("gb18030")) if self.in_bytes else len(text))


def card_context(card: Mapping[str, str], options: Mapping[str, str]) -> Any:
    """The context in which expressions over a card are evaluated (`mappings.expressions`); fields that it has not are empty text."""
    told = dict(options)
    return context(_FUNCTIONS, lambda name: told if name == "options" else card.get(name, ""))


def packaged(platform: str, table: str, *, in_bytes: bool = False) -> CardLayout:
    """The card layout ``table`` (``fields.csv``) in the folder of a platform. Raises `ConfigurationError` when it is wrong."""
    folder = files("mappings").joinpath("platforms", platform)
    id = platform if table == "fields.csv" else f"{platform}/{table.removesuffix('.csv')}"
    return _compiled(id, folder.joinpath(table).read_text("utf-8"), folder.joinpath("codes"), f"{platform}/{table}", in_bytes)


def own_layout(platform: str, path: Path) -> CardLayout:
    """A hospital's own table of the columns that a platform's template has; code maps are those of the platform. Raises
    `ConfigurationError` when it cannot be read or is wrong."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(
            f"读不了模板列表文件 {path.name}",
            action=f"请核对 platforms.{platform}.template，文件须为 UTF-8 编码的 CSV，列为 {'、'.join(_COLUMNS)}",
            english=f"cannot read the template {path.name}",
        ) from None
    made = _compiled(platform, text, files("mappings").joinpath("platforms", platform, "codes"), path.name, False)
    named = {name for field in made.fields for name in (field.expression.variables if field.expression else (field.path,))}
    if unknown := sorted(named - {"", "options", *FIELDS}):
        raise ConfigurationError(
            f"{path.name} 的 field 列中没有这样的报告卡字段：{'、'.join(unknown)}",
            english=f"{path.name}: unknown fields of the card",
        )
    return made


def _compiled(id: str, text: str, codes: Traversable, where: str, in_bytes: bool) -> CardLayout:
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    if lacking := [column for column in ("code", "field") if not rows or column not in rows[0]]:
        raise ConfigurationError(f"{where} 缺少列 {'、'.join(lacking)}", english=f"{where} lacks columns")
    fields = [_field({column: row.get(column) or "" for column in _COLUMNS}, where) for row in rows]
    doubled = sorted({f.code for f in fields if [g.code for g in fields].count(f.code) > 1})
    if doubled:
        raise ConfigurationError(f"{where} 中列名重复：{'、'.join(doubled)}", english=f"{where}: doubled columns")
    maps = {name: _code_map(codes.joinpath(f"{name}.csv"), where) for name in sorted({f.code_map for f in fields if f.code_map})}
    return CardLayout(id, fields, maps, in_bytes=in_bytes)


def _field(row: Mapping[str, str], where: str) -> CardField:
    said, kind = row["field"].strip(), row["type"] or "string"
    if kind not in _TYPES:
        raise ConfigurationError(f"{where} 的列 {row['code']}：没有类型 {kind}", english=f"{where}: unknown type {kind}")
    if not row["max_length"].isdecimal() and row["max_length"]:
        raise ConfigurationError(f"{where} 的列 {row['code']}：max_length 须为数字", english=f"{where}: max_length is no number")
    named = bool(_NAME.fullmatch(said))
    return CardField(
        code=row["code"],
        path=said if named else "",
        expression=None if named or not said else Expression(said, f"{where} {row['code']}"),
        name_zh=row["name_zh"] or row["code"],
        code_map=row["code_map"],
        type=kind,
        max_length=int(row["max_length"] or 0),
        required=row["required"] or "O",
        default=row["default"],
        source=row["source"],
        confidence=row["confidence"] or "low",
    )


def _code_map(path: Traversable, where: str) -> dict[str, str]:
    if not path.is_file():
        raise ConfigurationError(f"{where} 用到的代码表 {path.name} 不存在", english=f"{where}: no code map {path.name}")
    return {row["code"]: row["target"] for row in csv.DictReader(io.StringIO(path.read_text("utf-8"), newline=""))}


def _evaluated(expression: Expression, scope: Any) -> str | None:
    """The text that an expression gives; None where it fails (a hospital may write its own)."""
    try:
        return str(expression.evaluate(scope))
    except (RuntimeError, ValueError, TypeError, LookupError):
        return None


def _dayless(field: CardField, text: str) -> bool:
    """Whether a date lacks the day that its column wants."""
    return field.type in ("date", "datetime") and len(text) < 10


def _first(texts: list[str]) -> str:
    return next(filter(None, texts), "")


def _start(text: str, count: int) -> str:
    return text[: int(count)]


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and text.isascii() else -1


def _digits(text: str) -> str:
    return "".join(filter(str.isdecimal, text))


def _undotted(code: str) -> str:
    return code.replace(".", "")


def _surname(name: str) -> str:
    before, dot, _ = name.partition("·")
    if dot:
        return before
    return name[:2] if name[:2] in _compound_surnames() and len(name) > 2 else name[:1]


def _given_name(name: str) -> str:
    return name[len(_surname(name)) :].removeprefix("·")


@cache
def _compound_surnames() -> frozenset[str]:
    text = files("mappings").joinpath("codes", "compound_surnames.csv").read_text("utf-8")
    return frozenset(row["surname"] for row in csv.DictReader(io.StringIO(text, newline="")))


def _basis_zhejiang(digits: str) -> str:
    return basis.zhejiang(digits.split(",")) if digits else ""


def _date8(value: str) -> str:
    return (value[:10].replace("-", "") + "9999")[:8] if value else ""


def _datetime(value: str) -> str:
    return (value.replace("T", " ") + " 00:00:00"[len(value) - 10 :])[:19] if len(value) >= 10 else value


_FUNCTIONS: Mapping[str, Callable[..., str | int]] = {
    "joined": "".join,
    "first": _first,
    "start": _start,
    "number": _number,
    "digits": _digits,
    "undotted": _undotted,
    "surname": _surname,
    "given_name": _given_name,
    "basis_zhejiang": _basis_zhejiang,
}
_PRINTED = {"date": lambda value: value[:10], "date8": _date8, "datetime": _datetime}
