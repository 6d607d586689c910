"""Runs the rules of a platform over rendered records.

Nearly every record is fine in nearly every respect, so rules are put in groups and one evaluation tells that a group has nothing to
find; only where it has, or where something could not be read, its rules are asked one by one. What depends on codes alone is remembered by
them (`conformance.checks.memory`). Cells that are plainly as the standard wants them skip the per-column rules altogether, because none
of those could find anything (a property test proves it).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import cel

from conformance.checks.finding import Finding, Severity
from conformance.checks.functions import (
    FUNCTIONS,
    Doubts,
    Function,
    dictionary_functions,
    reading_functions,
    total,
    value_set_functions,
)
from conformance.checks.memory import Memory, repeating
from conformance.checks.plain import plain_value
from conformance.checks.rules import Group, Question, Rule, load_rules, numbered, repeat_range
from mappings.cadence import CHINA
from mappings.dictionary import Dictionaries, load_value_sets
from mappings.expressions import context
from mappings.layout import Field, Layout, layout

Record = Mapping[str, str]

_TOGETHER = 12
"""Rules in a group: more make a clean record cheaper and a faulty one dearer."""

_REMEMBER = 4096
"""Cells whose findings are remembered."""


class View:
    """What the names in some groups stand for at the moment; blank when nothing."""

    def __init__(self, functions: Mapping[str, Function], groups: Iterable[Group] = ()) -> None:
        self._names = frozenset().union(*[group.clean.variables for group in groups])
        self._shown: dict[str, Any] = dict.fromkeys(self._names, "")
        self.context = cel.Context(variables=self._shown, functions=dict(functions))

    def show(self, values: Mapping[str, Any]) -> None:
        """Show other values. Only what differs is handed over, for that is what costs."""
        shown = {name: values[name] for name in self._names if name in values}
        before = self._shown
        changed = {name: value for name, value in shown.items() if before.get(name) != value}
        for name in before.keys() - shown.keys():
            changed[name] = ""
        self.context.update(changed)
        self._shown = shown


Answers = tuple[tuple[Question, Severity | None], ...]
"""Questions of a group that have something to tell, each with ``not-checked`` or None."""


_Ways = tuple[Question, Mapping[str, str]]
"""A question, and how the part of each name in it repeats (`repeating`)."""


class _Anew:
    """A group with the view it is asked in."""

    def __init__(self, questions: Iterable[Question], functions: Mapping[str, Function]) -> None:
        self.group = Group(questions)
        self.view = View(functions, [self.group])


class _Remembered(_Anew):
    """A group whose answers are remembered."""

    def __init__(
        self, questions: Iterable[Question], functions: Mapping[str, Function], valued: frozenset[str], days: frozenset[str]
    ) -> None:
        super().__init__(questions, functions)
        self.memory: Memory[Answers] = Memory(valued, self.group.clean.variables - valued - days, days)


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
        P-code file is checked in general codes): its rules apply, and what it has no column for is not demanded.
        ``report_month`` (``2026-10``) is the month that a file is for, when it is for one."""
        self.layout = layout
        self.report_month = report_month
        self._dictionaries = dictionaries or Dictionaries()
        value_sets = load_value_sets()
        self._plain = {f.code: plain_value(f, value_sets) for f in layout.fields}
        has = (source or layout).code_of_path
        self._required = {f.code: None for f in layout.fields if f.required == "M" and (not f.path or f.path in has)}
        self._doubts = Doubts()
        self._functions = {
            **FUNCTIONS,
            **reading_functions(self._doubts),
            **value_set_functions(value_sets),
            **dictionary_functions(self._dictionaries, self._doubts),
        }
        self._derived = _derived(layout)
        self._structure: list[Rule] = []
        self._cells: list[Question] = []
        self._once: list[Question] = []
        self._each: defaultdict[int, list[Question]] = defaultdict(list)
        self.unchecked: list[Rule] = []
        for table in tables:
            for rule in load_rules(table, (source or layout).id):
                self._place(rule)
        self._cell_group = Group(self._cells)
        self._cell_memory: dict[tuple[str, str], tuple[Rule, ...]] = {}
        self._cell_view = View(self._functions, [self._cell_group])
        self._remembered, asked_anew = self._divided(self._once, repeated=False)
        self._groups = [Group(asked_anew[i : i + _TOGETHER]) for i in range(0, len(asked_anew), _TOGETHER)]
        self._view = View(self._functions, self._groups)
        self._repeats = self._repeat_groups()
        self._repeat_of = {column: repeat for repeat, found in self._repeats.items() for column in found.columns}

    def check(self, record: Record) -> list[Finding]:
        """All findings about one record, in table order within each kind of rule."""
        findings: list[Finding] = []
        self._check_cells(record, findings)
        values = self._values_of(record)
        there = frozenset([column for column, text in record.items() if text != "-" and text])
        answers: list[Answers] = []
        for asked in self._remembered:
            memory = asked.memory
            columns = (memory.names, memory.filled, memory.days)
            answers.append(memory.answer(columns, values, there, partial(self._show_and_ask, asked, values)))
        self._view.show(values)
        answers += [tuple(self._ask(group, self._view)) for group in self._groups]
        for answer in answers:
            for question, severity in answer:
                findings.append(question.rule.finding(self.layout, question.columns, severity))
        self._check_repeats(record, values, there, findings)
        return findings

    def structure(self, kind: str, values: Mapping[str, Any]) -> list[Finding]:
        """Findings of the structure rules of ``kind`` (``@header``, ``@row``, ``@file``) about facts of the file layer. Rules
        that need a fact which is not given are passed over."""
        facts = context(self._functions, values.get)
        asked = [rule for rule in self._structure if rule.each == kind and rule.condition.variables <= values.keys()]
        found = [rule for rule in asked if rule.condition.evaluate(facts) is not True]
        return [
            rule.finding(self.layout, () if rule.fields[0].startswith("@") else map(self._column, rule.fields)) for rule in found
        ]

    def unchecked_findings(self) -> list[Finding]:
        """One ``not-checked`` finding for each rule that no record can be checked by, because its dictionary is missing."""
        return [rule.finding(self.layout, rule.fields, "not-checked") for rule in self.unchecked]

    # -- compiling

    def _place(self, rule: Rule) -> None:
        editions = (name for name in rule.dictionaries if ":" in name or name == "tcm95")
        if any(self._dictionaries.load(name) is None for name in editions):
            self.unchecked.append(rule)
        elif rule.each.startswith("@"):
            self._structure.append(rule)
        elif rule.each == "*":
            self._cells.append(Question(rule, (), {}))
        elif (span := repeat_range(rule.each)) is not None:
            question = Question(rule, rule.fields, {})
            for repeat in range(span[0], span[1] + 1):
                self._each[repeat].append(question)
        else:
            self._once += self._questions(rule)

    def _divided(self, questions: Sequence[Question], *, repeated: bool) -> tuple[list[_Remembered], list[Question]]:
        """Questions whose answers are worth remembering, in groups, and the others. Once in a record, what looks at the same values stands
        together; within a repeat, whatever has a value of it in common."""
        anew: list[Question] = []
        together: dict[frozenset[str], list[_Ways]] = {}
        for question in questions:
            ways = {name: repeating(name, numbered(name, 2), question.condition, self.layout) for name in question.answer.variables}
            if not all(ways.values()) or (not repeated and "day" in ways.values()):
                anew.append(question)
                continue
            key = frozenset(name for name, way in ways.items() if way != "filled" and ("kk" in name or not repeated))
            members: list[_Ways] = [(question, ways)]
            for other in [other for other in together if repeated and other & key]:
                members = together.pop(other) + members
                key |= other
            together.setdefault(key, []).extend(members)
        groups = []
        for members in together.values():
            valued = frozenset(name for _, ways in members for name, way in ways.items() if way == "value")
            days = frozenset(name for _, ways in members for name, way in ways.items() if way == "day") - valued
            groups.append(_Remembered((question for question, _ in members), self._functions, valued, days))
        return groups, anew

    def _repeat_groups(self) -> dict[int, _Repeat]:
        """For each number of a repeat the groups of its questions, and which column each name means there."""
        divided: dict[tuple[Question, ...], tuple[list[_Remembered], list[_Anew]]] = {}
        found = {}
        for repeat, questions in self._each.items():
            key = tuple(questions)
            if key not in divided:
                remembered, anew = self._divided(key, repeated=True)
                alike: defaultdict[frozenset[str], list[Question]] = defaultdict(list)
                for question in anew:
                    alike[frozenset(name for name in question.answer.variables if "kk" in name)].append(question)
                divided[key] = (remembered, [_Anew(together, self._functions) for together in alike.values()])
            found[repeat] = _Repeat(repeat, *divided[key])
        return found

    def _questions(self, rule: Rule) -> Iterator[Question]:
        names = {name: self._column(name) for name in rule.condition.variables}
        columns = [self._column(code) for code in rule.fields]
        if rule.each == "fields":
            for column in columns:
                if column in self.layout.by_code:
                    yield Question(rule, (column,), {**names, "X": column})
        elif rule.each == "pairs":
            for first, second in zip(columns[::2], columns[1::2], strict=True):
                yield Question(rule, (first, second), {**names, "X": first, "Y": second})
        else:
            yield Question(rule, columns, names)

    def _column(self, name: str) -> str:
        """The column that a name means. Rules for all layouts name items by their general code; another layout may carry the same
        item under its own."""
        general = None if name in self.layout.by_code else layout("2020").by_code.get(name)
        return self.layout.code_of_path.get(general.path, name) if general is not None else name

    # -- running

    def _check_cells(self, record: Record, findings: list[Finding]) -> None:
        plain = self._plain
        for code, text in record.items():
            accepts = plain.get(code)
            if accepts is not None and not accepts(text):
                findings.extend(self._cell_findings(code, text))
        for code in self._required:
            if code not in record:
                findings.extend(self._cell_findings(code, ""))

    def _cell_findings(self, code: str, text: str) -> Iterator[Finding]:
        field = self.layout.by_code[code]
        memory = self._cell_memory
        found = memory.get((field.pattern, text))
        if found is None:
            self._cell_view.show(_cell_facts(field, text, code in self._required))
            found = tuple(question.rule for question, _ in self._ask(self._cell_group, self._cell_view))
            if len(memory) >= _REMEMBER:
                memory.clear()
            memory[field.pattern, text] = found
        return (rule.finding(self.layout, (code,)) for rule in found)

    def _values_of(self, record: Record) -> dict[str, str]:
        """What the names in expressions stand for: the record's columns, lists and sums of them, and the circumstances."""
        now = datetime.now(CHINA).strftime("%Y-%m-%d %H:%M:%S")
        circumstances = {"layout": self.layout.id, "report_month": self.report_month, "today": now}
        return {**record, **{name: derive(record) for name, derive in self._derived.items()}, **circumstances}

    def _check_repeats(self, record: Record, values: Mapping[str, str], there: frozenset[str], findings: list[Finding]) -> None:
        """A group of questions of which no repeated column is there has nothing to find."""
        repeat_of = self._repeat_of
        columns_there = record.keys()
        for number in sorted({repeat_of[code] for code in record if code in repeat_of}):
            repeat = self._repeats[number]
            answers: list[Answers] = []
            for asked, columns, meanings, own in repeat.remembered:
                if not columns_there.isdisjoint(own):
                    ask = partial(self._show_and_ask, asked, values, meanings)
                    answers.append(asked.memory.answer(columns, values, there, ask))
            for anew, meanings, own in repeat.anew:
                if not columns_there.isdisjoint(own):
                    answers.append(self._show_and_ask(anew, values, meanings))
            for answer in answers:
                for question, severity in answer:
                    named = [numbered(pattern, number) for pattern in question.columns]
                    findings.append(question.rule.finding(self.layout, named, severity))

    def _show_and_ask(self, asked: _Anew, values: Mapping[str, str], meanings: Iterable[tuple[str, str]] | None = None) -> Answers:
        """``meanings`` says which column each name stands for, where that is not the name itself."""
        shown = values if meanings is None else {name: values[column] for name, column in meanings if column in values}
        asked.view.show(shown)
        return tuple(self._ask(asked.group, asked.view))

    def _ask(self, group: Group, view: View) -> Iterator[tuple[Question, Severity | None]]:
        """The questions of a group that have something to tell, with ``not-checked`` where a procedure's category is unknown. A
        rule that met something unreadable does not apply."""
        doubts, context = self._doubts, view.context
        doubts.clear()
        if group.clean.evaluate(context) is True and not (doubts.unreadable or doubts.unknown):
            return
        for question in group.questions:
            doubts.clear()
            holds = question.answer.evaluate(context) is True
            if doubts.unknown:
                yield question, "not-checked"
            elif not holds and not doubts.unreadable:
                yield question, None


class _Repeat:
    """One number of the repeated groups: what the names of its questions mean there, and which of these columns are its own."""

    def __init__(self, number: int, remembered: Iterable[_Remembered], anew: Iterable[_Anew]) -> None:
        def means(names: Iterable[str]) -> tuple[str, ...]:
            return tuple(numbered(name, number) for name in names)

        def meanings(asked: _Anew) -> tuple[tuple[tuple[str, str], ...], frozenset[str]]:
            names = sorted(asked.group.clean.variables)
            return tuple((name, numbered(name, number)) for name in names), frozenset(means(n for n in names if "kk" in n))

        self.remembered = [
            (asked, (means(asked.memory.names), means(asked.memory.filled), means(asked.memory.days)), *meanings(asked))
            for asked in remembered
        ]
        self.anew = [(asked, *meanings(asked)) for asked in anew]
        self.columns = frozenset().union(*(own for *_, own in self.remembered), *(own for *_, own in self.anew))


def _cell_facts(field: Field, text: str, required: bool) -> dict[str, Any]:
    return {
        "X": text,
        "type": field.type,
        "required": required,
        "dash_policy": field.dash_policy,
        "max_length": field.max_length,
        "scale": field.scale,
        "domain": field.domain,
    }


def _derived(layout: Layout) -> dict[str, Callable[[Record], str]]:
    """Names that stand for several columns: lists of codes, a line break before each, and the sum of all fees (``?`` when it cannot be told)."""
    path_of = layout.code_of_path
    principal = path_of.get("diagnoses.principal.condition.code", "")
    operation = path_of.get("procedures.principal.operation.code", "")
    others = [path_of[p] for i in range(60) if (p := f"diagnoses.other[{i}].condition.code") in path_of]
    operations = [path_of[p] for i in range(60) if (p := f"procedures.other[{i}].operation.code") in path_of]
    fees = [f.code for f in layout.fields if f.code in _FEES[layout.id]]

    def joined(codes: list[str]) -> Callable[[Record], str]:
        return lambda record: "".join([f"\n{v}" for c in codes if (v := record.get(c)) and v != "-"])

    def twice(record: Record) -> str:
        codes = [v for c in (principal, *others) if (v := record.get(c)) and v != "-"]
        if len(codes) == len(set(codes)):
            return ""
        return "".join(f"\n{code}" for code, count in Counter(codes).items() if count > 1)

    return {
        "DX": joined([principal, *others]),
        "DX_TWICE": twice,
        "DX_OTHER": joined(others),
        "OPS": joined([operation, *operations]),
        "FEES": lambda record: total([record[code] for code in fees if code in record]),
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
