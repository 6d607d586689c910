"""The front-sheet rules as they were researched, evaluated on their own: a second opinion on ``checks.csv`` and its evaluator.

``tests/data/hqms_rules.csv`` restates the public standard in Python-syntax expressions (each row names its sources). The helpers
below are written from the meaning that its documentation gives them and share no code with `conformance.checks`; of the product
this module uses only what is data: column attributes of the layouts, value sets and code lists. Numbers are exact fractions.
"""

from __future__ import annotations

import ast
import csv
import gzip
import io
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from mappings.layout import Field, Layout

DATA = Path(__file__).parents[1] / "data" / "hqms_rules.csv"

Verdict = Literal["due", "holds", "outside", "unreadable", "unknown"]
"""``outside``: ``applies_when`` is false. ``unreadable``: a field cannot be parsed, so the rule is skipped. ``unknown``: the
dictionary does not tell."""

Record = dict[str, str]

PROFILES = {
    "2020": {"all", "general", "general2020"},
    "2019": {"all", "general", "general2019"},
    "pcode": {"all", "general", "general2019"},
    "tcm2019": {"all", "tcm2019"},
}

DEPARTURES = {
    "HQMS-A-011": ("", "length_ok(X) or (domain(X).startswith('TCM_RC') and X in value_set(domain(X)))"),
    "HQMS-A-016": ("re_match(r'(TCM_)?RC', domain(X)) and filled(X)", "all_in(split(X,','),domain(X))"),
}
"""Where Zhibao departs from the restated rule on purpose (``mappings/platforms/hqms/README.md``): when, condition."""

IN_TCM = {"A01": "ZZJGDM", "A02": "JGMC", "A20": "SFZH", "A27": "DH", "A30": "DWDH", "A35": "DH1", "A48": "BAH", "B15": "CYSJ"}
"""Items of rules for all layouts in the Chinese-medicine layout (the same departure table)."""

TCM_FEES = [
    "YLFWF",
    "ZLCZF",
    "HLF",
    "QTFY",
    "BLZDF",
    "ZDF",
    "YXXZDF",
    "LCZDXMF",
    "FSSZLXMF",
    "SSZLF",
    "KFF",
    "ZYL_ZYZD",
    "ZYZL",
    "ZYQT",
    "XYF",
    "ZCYF",
    "ZCYF1",
    "XF",
    "BDBLZPF",
    "QDBLZPF",
    "NXYZLZPF",
    "XBYZLZPF",
    "JCYYCLF",
    "YYCLF",
    "SSYCXCLF",
    "QTF",
]

NAME_OF = {"C01C": "C02N", "C03C": "C04N", "C12C": "C13N"}


class UnreadableError(Exception):
    """A field cannot be parsed."""


class UnknownError(Exception):
    """No dictionary tells."""


class Cell(str):
    """A cell that knows its column, as ``domain(X)`` and ``icd10_name_ok(X)`` need."""

    column: str


@dataclass(frozen=True)
class OriginalRule:
    """A row of the rule table. ``mode`` tells what it is asked of: the record, columns in turn, or repeats."""

    id: str
    profile: str
    fields: tuple[str, ...]
    repeats: tuple[int, int] | None
    when: str
    condition: str

    @property
    def mode(self) -> Literal["file", "cells", "columns", "repeats", "record"]:
        if self.fields[0].startswith("@") or "unique(" in self.condition or "same_in_file" in self.condition:
            return "file"
        if self.fields == ("*",):
            return "cells"
        if self.repeats:
            return "repeats"
        return "columns" if "X" in self.names else "record"

    @property
    def dictionaries(self) -> set[str]:
        """Dictionaries that do not ship with the product and without which the rule cannot be checked."""
        needed = {"icd9cm3_3.0": "icd9cm3(" in self.condition and "'3.0'" in self.condition, "tcm95": "tcm95(" in self.condition}
        return {name for name, is_needed in needed.items() if is_needed}

    @property
    def names(self) -> set[str]:
        """Every name in its expressions."""
        trees = [ast.parse(text, mode="eval") for text in (self.when, self.condition) if text]
        return {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}


@cache
def original_rules() -> tuple[OriginalRule, ...]:
    with DATA.open(encoding="utf-8-sig", newline="") as handle:
        return tuple(_rule(row) for row in csv.DictReader(handle))


def _rule(row: dict[str, str]) -> OriginalRule:
    span = re.match(r"kk=(\d+)\.\.(\d+)", row["iterate"])
    when, condition = DEPARTURES.get(row["id"], (row["applies_when"], row["condition"]))
    repeats = (int(span[1]), int(span[2])) if span else None
    return OriginalRule(row["id"], row["profile"], tuple(row["fields"].split(",")), repeats, when, condition)


def numbered(text: str, repeat: int) -> str:
    """``C06xkkC`` and ``C06xppC`` (the repeat before) with their numbers, two digits after an x."""
    for mark, number in (("kk", repeat), ("pp", repeat - 1)):
        text = text.replace(f"x{mark}", f"x{number:02d}").replace(mark, str(number))
    return text


class _Prepare(ast.NodeTransformer):
    """Names of fields as cells, decimal literals as exact fractions."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        node.args = [self.visit(argument) for argument in node.args]
        if isinstance(node.func, ast.Attribute):
            node.func = self.visit(node.func)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Subscript(ast.Name("cells", ast.Load()), ast.Constant(node.id), ast.Load())

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not isinstance(node.value, float):
            return node
        return ast.Call(ast.Name("Fraction", ast.Load()), [ast.Constant(str(node.value))], [])


@cache
def _code(text: str) -> Any:
    tree = ast.fix_missing_locations(_Prepare().visit(ast.parse(text, mode="eval")))
    return compile(tree, "<rule>", "eval")


# -- reading cells


def num(text: str) -> Fraction:
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        raise UnreadableError
    return Fraction(text)


def num0(text: str) -> Fraction:
    return num(text) if filled(text) else Fraction(0)


def d(text: str) -> date:
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        return _strict(text, "%Y-%m-%d").date()
    return dt(text).date()


def dt(text: str) -> datetime:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", text, re.ASCII):
        raise UnreadableError
    return _strict(text, "%Y-%m-%d %H:%M:%S")


def _strict(text: str, form: str) -> datetime:
    try:
        return datetime.strptime(text, form)  # noqa: DTZ007 - front sheets print local time
    except ValueError:
        raise UnreadableError from None


def _reads(read: Callable[[str], Any], text: str) -> bool:
    try:
        read(text)
    except UnreadableError:
        return False
    return True


def filled(text: str) -> bool:
    return text != "" and text != "-"


def present(text: str) -> bool:
    return text != ""


def years_between(first: str, last: str) -> int:
    born, on = d(first), d(last)
    years = on.year - born.year
    return years if (on.month, on.day) >= (born.month, born.day) else years - 1


def untrimmed(text: str) -> bool:
    return any(c.isspace() or unicodedata.category(c) in ("Cc", "Cf") for c in text[:1] + text[-1:])


def id18_checksum(text: str) -> bool:
    if not re.fullmatch(r"[0-9]{17}[0-9Xx]", text):
        return False
    digits = [10 if c in "Xx" else int(c) for c in text]
    return sum(digit * pow(2, 17 - place, 11) for place, digit in enumerate(digits)) % 11 == 1


def id18_birth(text: str) -> date | None:
    birth = f"{text[6:10]}-{text[10:12]}-{text[12:14]}"
    return d(birth) if _reads(d, birth) else None


def id18_sex(text: str) -> str | None:
    return ("2", "1")[int(text[16]) % 2] if text[16] in "0123456789" else None


def code_in(code: str, entries: str) -> bool:
    for entry in entries.split(","):
        first, _, last = entry.partition("-")
        last = last or first
        if code[: len(first)] >= first and code[: len(last)] <= last:
            return True
    return False


def unsigned(code: str) -> str:
    return re.sub("[†*+]", "", code).strip()


# -- dictionaries


@dataclass(frozen=True)
class CodeList:
    main: dict[str, str]
    additional: dict[str, str]
    category: dict[str, str]

    def has(self, code: str) -> bool:
        return unsigned(code) in self.main or unsigned(code) in self.additional


def _code_list(text: str) -> CodeList:
    rows = list(csv.DictReader(io.StringIO(text)))
    main = {unsigned(row["code"]): row["name_zh"] for row in rows if row["code"]}
    # departure: a short asterisk code that stands only beside a dagger code is no code of its own
    # an additional code beside a main code has no printed name of its own
    additional = {unsigned(row["additional_code"]): "" for row in rows if row["code"] and row.get("additional_code")}
    additional |= {unsigned(row["additional_code"]): row["name_zh"] for row in rows if not row["code"]}
    category = {unsigned(row["code"] or row["additional_code"]): row["category"] for row in rows if row.get("category")}
    return CodeList(main, additional, category)


@cache
def packaged(name: str) -> CodeList:
    data = files("mappings").joinpath("codes", "icd", name).read_bytes()
    return _code_list((gzip.decompress(data) if name.endswith(".gz") else data).decode())


@cache
def value_set(name: str) -> dict[str, str]:
    text = files("mappings").joinpath("codes", "value_sets", f"{name}.csv").read_text("utf-8-sig")
    return {row["code"]: row["name"] for row in csv.DictReader(io.StringIO(text))}


class Oracle:
    """Verdicts of the original rules on records of one layout. ``folder`` may hold ``icd9cm3_3.0.csv`` and ``tcm95.csv``."""

    def __init__(
        self, layout: Layout, source: str, *, has_column: Callable[[Field], bool], folder: Path | None, month: str
    ) -> None:
        self.layout = layout
        self.rules = [rule for rule in original_rules() if rule.profile in PROFILES[source]]
        self._has_column = has_column
        self._month = month
        self._folder = folder
        self._record: Record = {}
        self._cells = _Cells(self)
        self._seen: dict[tuple[str, str], list[tuple[str, Verdict]]] = {}
        self._helpers = self._make_helpers() | {"cells": self._cells}
        unanswerable = self.unanswerable
        self._asked = [asked for rule in self.rules if rule.id not in unanswerable for asked in self._prepared(rule)]
        self._cell_rules = [_Asked(rule.id, "", rule.when, rule.condition) for rule in self.rules if rule.mode == "cells"]

    @property
    def unanswerable(self) -> set[str]:
        """Rules whose dictionary is missing."""
        have = {path.stem for path in self._folder.iterdir()} if self._folder else set()
        return {rule.id for rule in self.rules if rule.dictionaries - have}

    def verdicts(self, record: Record) -> Iterator[tuple[str, str, Verdict]]:
        """Rule, where (a column, the number of a repeat, or nothing), verdict. Rules for every column, which know nothing but the
        cell, tell all of a cell that is new and of one seen before only what is due."""
        self._record = record
        self._cells.clear()
        for asked in self._asked:
            if asked.blank is not None and record.keys().isdisjoint(asked.columns):
                yield asked.rule, asked.where, asked.blank
            else:
                yield asked.rule, asked.where, self._verdict(asked)
        for field in self.layout.fields:
            known = self._seen.get((field.code, record.get(field.code, "")))
            if known is None:
                known = self._about(field)
            for id, verdict in known:
                yield id, field.code, verdict

    def _about(self, field: Field) -> list[tuple[str, Verdict]]:
        self._cells["X"] = self.cell(field.code)
        found = [(asked.rule, self._verdict(asked)) for asked in self._cell_rules]
        self._seen[field.code, self._cells["X"]] = [(id, verdict) for id, verdict in found if verdict == "due"]
        return found

    def _blank(self, asked: _Asked) -> _Asked:
        """A repeat of which no column is there is as in an empty record."""
        self._record = {}
        self._cells.clear()
        asked.blank = self._verdict(asked)
        return asked

    def _prepared(self, rule: OriginalRule) -> Iterator[_Asked]:
        match rule.mode:
            case "record":
                yield _Asked(rule.id, "", rule.when, rule.condition)
            case "columns":
                for column in self._columns(rule):
                    yield _Asked(rule.id, column, rule.when, rule.condition, column)
            case "repeats":
                assert rule.repeats is not None
                for repeat in range(rule.repeats[0], rule.repeats[1] + 1):
                    asked = _Asked(rule.id, str(repeat), numbered(rule.when, repeat), numbered(rule.condition, repeat))
                    asked.columns = frozenset(numbered(name, repeat) for name in rule.names if "kk" in name or "pp" in name)
                    yield self._blank(asked)

    def _columns(self, rule: OriginalRule) -> list[str]:
        columns: list[str] = []
        for name in rule.fields:
            first, dots, last = name.partition("..")
            if dots:
                order = self.layout.columns
                columns += order[order.index(first) : order.index(last) + 1]
            elif (code := self._own(name)) in self.layout.by_code:
                columns.append(code)
        return columns

    def _own(self, name: str) -> str:
        return IN_TCM.get(name, name) if self.layout.id == "tcm2019" else name

    def _verdict(self, asked: _Asked) -> Verdict:
        if asked.x:
            self._cells["X"] = self.cell(asked.x)
        try:
            if asked.when is not None and not eval(asked.when, self._helpers):
                return "outside"
            return "holds" if eval(asked.condition, self._helpers) else "due"
        except UnreadableError:
            return "unreadable"
        except UnknownError:
            return "unknown"

    def cell(self, name: str) -> Cell:
        column = self._own(name)
        cell = Cell(self._record.get(column, ""))
        cell.column = column
        return cell

    # -- helpers that know the record, the layout or the dictionaries

    def _make_helpers(self) -> dict[str, Any]:
        layout = self.layout
        icd10, operations = packaged("icd10_clinical_2.csv.gz"), packaged("icd9cm3_clinical_2.csv.gz")
        morphology = {row.split(",")[0] for row in self._text("icdo3_morphology_zh.csv").splitlines()[1:]}
        extra = {path.stem: _code_list(path.read_text("utf-8")) for path in self._folder.iterdir()} if self._folder else {}
        newest = extra.get("icd9cm3_3.0", operations)
        editions = {"2.0": operations, "3.0": extra.get("icd9cm3_3.0")}

        def field(cell: Cell) -> Field:
            return layout.by_code[cell.column]

        def list_of(*columns: str) -> list[str]:
            return [text for column in columns if filled(text := self._record.get(column, ""))]

        tcm = layout.id == "tcm2019"
        main, op = ("ZYZD_JBBM", "SSJCZBM1") if tcm else ("C03C", "C14x01C")
        other_columns = [f"ZYZD_JBBM{k}" if tcm else f"C06x{k:02d}C" for k in range(1, 41)]
        op_columns = [op, *[f"SSJCZBM{k + 1}" if tcm else f"C35x{k:02d}C" for k in range(1, 41)]]
        fees = TCM_FEES if tcm else [f"D{number}" for number in range(11, 35)]

        def starts(codes: list[str], prefixes: tuple[str, ...]) -> bool:
            return any(code.startswith(prefix) for code in codes for prefix in prefixes)

        def any_dx(*prefixes: str) -> bool:
            return starts(list_of(main, *other_columns), prefixes)

        def all_in(texts: list[str], domain: str) -> bool:
            codes = value_set(domain)
            # RC036 prints 01-09 in labels and 1-9 as values: both count
            return all(text in codes or (domain == "RC036" and text.lstrip("0") in codes) for text in texts)

        def icd10_name_ok(cell: Cell) -> bool:
            code = {name: code for code, name in NAME_OF.items()}.get(cell.column, cell.column)
            name = NAME_OF.get(code) or code.replace("C06", "C07").removesuffix("C") + "N"
            plain = unsigned(self._record.get(code, ""))
            printed = icd10.main.get(plain) or icd10.additional.get(plain)
            shown = self._record.get(name, "")
            return not printed or not filled(shown) or shown.strip() == printed

        def optype(text: str) -> str:
            if not filled(text):
                return ""
            if unsigned(text) not in newest.category:
                raise UnknownError
            return newest.category[unsigned(text)]

        def in_edition(text: str, edition: str) -> bool:
            found = editions[edition]
            assert found is not None
            return found.has(text)

        return {
            "__builtins__": {},
            "Fraction": Fraction, "len": len, "max": max, "abs": abs, "re_match": re.match,
            "True": True, "False": False,
            "num": num, "num0": num0, "d": d, "dt": dt, "filled": filled, "present": present, "now": datetime.now,
            "is_dash": lambda text: text == "-",
            "years_between": years_between,
            "days_between": lambda a, b: (d(b) - d(a)).days,
            "hours_between": lambda a, b: Fraction(int((dt(b) - dt(a)).total_seconds()), 3600),
            "missing": lambda cell: cell.column not in layout.by_code,
            "in_report_month": lambda text: not self._month or d(text).strftime("%Y-%m") == self._month,
            "required": lambda cell: field(cell).required if self._has_column(field(cell)) else "O",
            "type": lambda cell: field(cell).type,
            "domain": lambda cell: field(cell).domain,
            "dash_policy": lambda cell: field(cell).dash_policy,
            "length_ok": lambda cell: not field(cell).max_length or len(cell) <= field(cell).max_length,
            "is_date": lambda text: len(text) == 10 and _reads(d, text),
            "is_datetime": lambda text: _reads(dt, text),
            "is_int": lambda text: bool(re.fullmatch(r"-?[0-9]+", text)),
            "is_decimal": lambda cell: _reads(num, cell) and len(cell.partition(".")[2]) <= field(cell).scale,
            "untrimmed": untrimmed,
            "scientific": lambda text: bool(re.fullmatch(r"[+-]?\d+(\.\d+)?[eE][+-]?\d+", text, re.ASCII)),
            "split": lambda text, separator: text.split(separator),
            "all_in": all_in, "value_set": value_set,
            "matches": lambda text, pattern: bool(re.fullmatch(pattern, text, re.ASCII)),
            "has_prefix": lambda text, *prefixes: starts([text], prefixes),
            "in_range": lambda text, first, last: first <= text[:3] <= last,
            "code_in": code_in,
            "any_dx": any_dx, "any_tcm_dx": any_dx,
            "any_other_dx": lambda *prefixes: starts(list_of(*other_columns), prefixes),
            "count_dx": lambda text: list_of(main, *other_columns).count(text),
            "any_op": lambda *prefixes: starts(list_of(*op_columns), prefixes),
            "any_op_between": lambda first, last: any(code_in(code, f"{first}-{last}") for code in list_of(*op_columns)),
            "icd10": icd10.has, "icdm": lambda text: unsigned(text) in morphology,
            "icd10_main": lambda text: unsigned(text) in icd10.main,
            "icd9cm3_main": lambda text: unsigned(text) in operations.main,
            "icd9cm3": in_edition, "tcm95": lambda text: extra["tcm95"].has(text),
            "icd10_name_ok": icd10_name_ok, "optype": optype,
            "fee_sum": lambda: sum((num0(self._record.get(fee, "")) for fee in fees), Fraction(0)),
            "tcm_fee_sum": lambda: sum((num0(self._record.get(fee, "")) for fee in fees), Fraction(0)),
            "id18_checksum": id18_checksum, "id18_birth": id18_birth, "id18_sex": id18_sex,
            "starts_with_province": lambda text: starts([text], tuple(n for n in value_set("RC036").values() if n != "外籍")),
        }  # fmt: skip

    @staticmethod
    def _text(name: str) -> str:
        return files("mappings").joinpath("codes", "icd", name).read_text("utf-8")


class _Asked:
    """A rule asked in one place, compiled. ``blank`` is the verdict when none of ``columns`` is there."""

    columns: frozenset[str] = frozenset()
    blank: Verdict | None = None

    def __init__(self, rule: str, where: str, when: str, condition: str, x: str = "") -> None:
        self.rule, self.where, self.x = rule, where, x
        self.when = _code(when) if when else None
        self.condition = _code(condition)


class _Cells(dict[str, Cell]):
    """The cells that names stand for."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle

    def __missing__(self, name: str) -> Cell:
        cell = self[name] = self._oracle.cell(name)
        return cell
