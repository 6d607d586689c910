"""Runs the rules of a platform over rendered records.

A rule's answer depends on nothing but the values of the names in its expressions, so rules with the same names form a *unit*,
and a unit's answer is remembered by those values: a diagnosis code that has been checked once is not checked again. Units whose
values hardly repeat (times, amounts) stop remembering by themselves. Cells that are plainly as the standard wants them skip the
per-column rules altogether, because none of those could find anything (a property test proves it).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from conformance.checks.finding import Finding
from conformance.checks.functions import FUNCTIONS, day, dictionary_functions, num, num0, value_set_functions
from conformance.checks.plain import plain_value
from conformance.checks.rules import Rule, load_rules, numbered, repeat_range
from mappings.cadence import CHINA
from mappings.dictionary import Dictionaries, load_value_sets
from mappings.expressions import context
from mappings.layout import Field, Layout

Record = Mapping[str, str]
Asked = tuple[Rule, tuple[str, ...]]
"""A rule and the columns its finding names (patterns where the rule runs over repeats)."""
Answer = tuple[tuple[Rule, tuple[str, ...], bool], ...]
"""Rules that did not hold; the flag is True for "not checked"."""

_REMEMBER = 4096
_TRIAL = 1024


@dataclass
class _Unit:
    """Rules that look at the same columns. ``names`` is how their expressions call them, ``columns`` where to look."""

    names: tuple[str, ...]
    columns: tuple[str, ...]
    rules: list[Asked] = field(default_factory=list)
    memory: dict[tuple[Any, ...], Answer] | None = field(default_factory=dict)
    asked: int = 0
    known: int = 0

    def remembered(self, key: tuple[Any, ...]) -> Answer | None:
        memory = self.memory
        if memory is None:
            return None
        self.asked += 1
        answer = memory.get(key)
        if answer is not None:
            self.known += 1
        elif self.asked > _TRIAL and self.known * 2 < self.asked:
            self.memory = None
        return answer

    def remember(self, key: tuple[Any, ...], answer: Answer) -> None:
        if self.memory is not None:
            if len(self.memory) >= _REMEMBER:
                self.memory.clear()
            self.memory[key] = answer


class Checker:
    """The checks of one layout. Build once, use for many records; not thread-safe (one per thread or process)."""

    def __init__(
        self,
        layout: Layout,
        tables: tuple[str, ...],
        *,
        source: Layout | None = None,
        dictionaries: Dictionaries | None = None,
        report_month: str = "",
    ) -> None:
        """``layout`` names the columns of the records; ``source`` is the layout they came from when that is another one (a
        P-code file is checked in general codes): its rules apply, and what it has no column for is not demanded."""
        self.layout = layout
        self.report_month = report_month
        self._dictionaries = dictionaries or Dictionaries()
        value_sets = load_value_sets()
        self._plain = {f.code: plain_value(f, value_sets) for f in layout.fields}
        self._family = {f.code: (f.pattern, f.repeat) for f in layout.fields if f.repeat}
        source = source or layout
        self._required = {
            f.code
            for f in layout.fields
            if (f.required == "M" and f.path in source.code_of_path) or (f.required == "M" and not f.path)
        }
        self._values: dict[str, Any] = {}
        functions = {
            **FUNCTIONS,
            **value_set_functions(value_sets),
            **dictionary_functions(self._dictionaries),
        }
        self._context = context(functions, self._resolve)
        self._records: dict[tuple[tuple[str, ...], tuple[str, ...]], _Unit] = {}
        self._repeats: dict[tuple[tuple[int, int], tuple[str, ...]], _Unit] = {}
        self._cells: list[Rule] = []
        self._structure: list[Rule] = []
        self.unchecked: list[Rule] = []
        for table in tables:
            for rule in load_rules(table, source.id):
                self._place(rule)
        self._cell_memory: dict[tuple[str, str], Answer] = {}
        self._derived = _derived(layout)

    def check(self, record: Record) -> list[Finding]:
        """All findings about one record, in table order within each kind of rule."""
        findings: list[Finding] = []
        self._check_cells(record, findings)
        values = {name: derive(record) for name, derive in self._derived.items()}
        values |= self._circumstances()
        get = record.get
        for unit in self._records.values():
            key = tuple([values[n] if n in values else get(n, "") for n in unit.columns])
            for rule, codes, unknown in self._answer(unit, key):
                findings.append(rule.finding(self.layout, codes, "not-checked" if unknown else None))
        self._check_repeats(record, values, findings)
        return findings

    def structure(self, kind: str, values: Mapping[str, Any]) -> list[Finding]:
        """Findings of the structure rules of ``kind`` (``@header``, ``@row``, ``@file``) about facts of the file layer. Rules
        that need a fact which is not given are passed over."""
        found = []
        for rule in self._structure:
            if rule.each == kind and all(name in values for name in rule.variables):
                self._values = dict(values)
                if not self._holds(rule):
                    found.append(rule.finding(self.layout, rule.fields if not rule.fields[0].startswith("@") else ()))
        return found

    def unchecked_findings(self) -> list[Finding]:
        """One ``not-checked`` finding for each rule that no record can be checked by, because its dictionary is missing."""
        return [rule.finding(self.layout, rule.fields, "not-checked") for rule in self.unchecked]

    # -- compiling

    def _place(self, rule: Rule) -> None:
        missing = [name for name in rule.dictionaries if ":" in name and self._dictionaries.load(name) is None]
        if "tcm95" in rule.dictionaries and self._dictionaries.load("tcm95") is None:
            missing.append("tcm95")
        if missing:
            self.unchecked.append(rule)
        elif rule.each.startswith("@"):
            self._structure.append(rule)
        elif rule.each == "*":
            self._cells.append(rule)
        elif rule.each == "fields":
            for code in rule.fields:
                if code in self.layout.by_code:
                    columns = tuple(code if name == "X" else name for name in rule.variables)
                    self._unit(rule.variables, columns).rules.append((rule, (code,)))
        elif (span := repeat_range(rule.each)) is not None:
            unit = self._repeats.setdefault((span, rule.variables), _Unit(rule.variables, rule.variables))
            unit.rules.append((rule, rule.fields))
        else:
            self._unit(rule.variables, rule.variables).rules.append((rule, rule.fields))

    def _unit(self, names: tuple[str, ...], columns: tuple[str, ...]) -> _Unit:
        return self._records.setdefault((names, columns), _Unit(names, columns))

    # -- running

    def _check_cells(self, record: Record, findings: list[Finding]) -> None:
        plain = self._plain
        memory = self._cell_memory
        by_code = self.layout.by_code
        for code, text in record.items():
            accepts = plain.get(code)
            if accepts is None or accepts(text):
                continue
            self._check_cell(by_code[code], text, memory, findings)
        for code in self.layout.columns if not self._required <= record.keys() else ():
            if code in self._required and code not in record:
                self._check_cell(by_code[code], "", memory, findings)

    def _check_cell(self, field_: Field, text: str, memory: dict[tuple[str, str], Answer], found: list[Finding]) -> None:
        key = (field_.pattern, text)
        answer = memory.get(key)
        if answer is None:
            self._values = _column_facts(field_, text)
            answer = tuple((rule, (), False) for rule in self._cells if not self._holds(rule))
            if len(memory) >= _REMEMBER:
                memory.clear()
            memory[key] = answer
        found.extend(rule.finding(self.layout, (field_.code,)) for rule, _, _ in answer)

    def _check_repeats(self, record: Record, values: dict[str, Any], findings: list[Finding]) -> None:
        highest: dict[str, int] = {}
        family = self._family
        for code in record:
            if code in family:
                pattern, repeat = family[code]
                if repeat > highest.get(pattern, 0):
                    highest[pattern] = repeat
        get = record.get
        for (span, names), unit in self._repeats.items():
            last = max((highest.get(name.replace("pp", "kk"), 0) for name in names), default=0)
            for repeat in range(span[0], min(span[1], last) + 1):
                actual = [numbered(name, repeat) for name in names]
                key = tuple([values[n] if n in values else get(n, "") for n in actual])
                for rule, patterns, unknown in self._answer(unit, key):
                    codes = [numbered(pattern, repeat) for pattern in patterns]
                    findings.append(rule.finding(self.layout, codes, "not-checked" if unknown else None))

    def _answer(self, unit: _Unit, key: tuple[Any, ...]) -> Answer:
        answer = unit.remembered(key)
        if answer is None:
            self._values = dict(zip(unit.names, key, strict=True))
            answer = tuple(
                [(rule, codes, outcome == "unknown") for rule, codes in unit.rules if (outcome := self._ask(rule)) != "holds"]
            )
            unit.remember(key, answer)
        return answer

    def _ask(self, rule: Rule) -> Literal["holds", "fails", "unknown"]:
        values = self._values
        for name in rule.needs:
            text = values.get(name)
            if text in ("", "-") or (isinstance(text, str) and not self._readable(name, text)):
                return "holds"
        if "icd9cm3" in rule.dictionaries:
            for name in rule.variables:
                text = values.get(name)
                if name in _OPERATION_CODES and text not in ("", "-") and not self._dictionaries.knows_operation(text):
                    return "unknown"
        return "holds" if self._holds(rule) else "fails"

    def _holds(self, rule: Rule) -> bool:
        if rule.when is not None and rule.when.evaluate(self._context) is not True:
            return True
        return rule.holds.evaluate(self._context) is True

    def _readable(self, name: str, text: str) -> bool:
        """Whether text is a value of its column's type (an unreadable one is reported by the format rules)."""
        column = self.layout.by_code.get(name) or self.layout.by_code.get(numbered(name, 1 if "kk" in name else 2))
        if column is None:
            return True
        match column.type:
            case "int" | "decimal":
                return not math.isnan(num(text))
            case "date" | "datetime":
                return bool(day(text))
            case _:
                return True

    def _circumstances(self) -> dict[str, str]:
        """What an expression may ask besides the record. Answers are remembered by it, too."""
        now = datetime.now(CHINA).strftime("%Y-%m-%d %H:%M:%S")
        return {"layout": self.layout.id, "report_month": self.report_month, "today": now}

    def _resolve(self, name: str) -> Any:
        return self._values.get(name, "")


_OPERATION_CODES = frozenset({"C14x01C", "C35xkkC", "SSJCZBM1", "SSJCZBMkk"})


def _column_facts(column: Field, text: str) -> dict[str, Any]:
    return {
        "X": text,
        "column": column.code,
        "type": column.type,
        "required": column.required,
        "dash_policy": column.dash_policy,
        "max_length": column.max_length,
        "scale": column.scale,
        "domain": column.domain,
    }


def _derived(layout: Layout) -> dict[str, Callable[[Record], Any]]:
    """The context constants that stand for several columns. Lists of codes are text joined by blanks, which the evaluator
    takes over many times faster than a list."""
    path_of = layout.code_of_path
    principal = path_of.get("diagnoses.principal.condition.code", "")
    operation = path_of.get("procedures.principal.operation.code", "")
    others = [path_of[p] for i in range(60) if (p := f"diagnoses.other[{i}].condition.code") in path_of]
    operations = [path_of[p] for i in range(60) if (p := f"procedures.other[{i}].operation.code") in path_of]
    fees = [f.code for f in layout.fields if f.code in _FEES[layout.id]]

    def joined(codes: list[str]) -> Callable[[Record], str]:
        return lambda record: " ".join([v for c in codes if (v := record.get(c)) and v != "-"])

    def fee_sum(record: Record) -> float:
        return round(math.fsum(num0(record.get(code, "")) for code in fees if code in record), 2)

    return {
        "DX": joined([principal, *others]),
        "DX_OTHER": joined(others),
        "OPS": joined([operation, *operations]),
        "OPS_OTHER": joined(operations),
        "FEES": fee_sum,
    }


_GENERAL_FEES = frozenset(f"D{n}" for n in range(11, 35))
_TCM_FEES = frozenset(
    [
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
)
_FEES = {"2020": _GENERAL_FEES, "2019": _GENERAL_FEES, "pcode": frozenset[str](), "tcm2019": _TCM_FEES}
