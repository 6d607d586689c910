"""The rules of a check table (``checks.csv``), selected for one layout.

Columns: ``id``, ``layouts``, ``fields`` (what a clerk must look at), ``each`` (how the rule iterates: once per record when empty,
``*`` every column, ``fields`` each listed column in turn as ``X``, ``pairs`` each two listed columns in turn as ``X`` and ``Y``,
``01..40`` each repeat, ``@header``/``@row``/``@file`` structure), ``dictionary`` (without which the rule is *not checked*),
``when``/``assert`` (CEL; a finding is due when ``when`` holds and ``assert`` does not), ``severity``, ``category``, ``message``,
``message_en``, ``source``, ``confidence``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files

from conformance.checks.finding import Finding, Severity
from gateway.model.errors import ConfigurationError
from mappings.expressions import Expression
from mappings.layout import Layout

_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_NAME_OR_TEXT = re.compile(r"'(?:[^'\\]|\\.)*'|\w+")
_FILLED = re.compile(r"\bfilled\((\w+)\)")
_IN_RANGE = re.compile(r"\bin_range\((\w+), '(\w\w\w)', '(\w\w)(\w)'\)")
_CATEGORY = re.compile(r"\boptype\((\w+)\)")
_PREFIX = re.compile(r"\b(has|any)_prefix\((\w+), \[([^\]]*)\]\)")


@dataclass(frozen=True)
class Rule:
    """One row of a check table. ``condition`` is true when there is nothing to find."""

    id: str
    fields: tuple[str, ...]
    each: str
    dictionaries: tuple[str, ...]
    condition: Expression
    severity: Severity
    message: str
    english: str

    def finding(self, layout: Layout, fields: Iterable[str], severity: Severity | None = None) -> Finding:
        """The finding of this rule about ``fields`` (column codes)."""
        codes = tuple(fields)
        message = self.message
        if "{field}" in message:
            labels = [layout.by_code[code].label if code in layout.by_code else code for code in codes]
            message = message.replace("{field}", "、".join(labels))
        english = self.english.replace("{field}", ", ".join(codes))
        if severity == "not-checked":
            message = f"未检查：{message}（缺少所需字典，或字典中没有该编码）"
            english = f"not checked: {english}"
        return Finding(self.id, codes, severity or self.severity, message, english)


class Question:
    """A rule about certain columns: ``columns`` are what its finding names, ``names`` says which column a name in the rule's
    condition stands for."""

    def __init__(self, rule: Rule, columns: Iterable[str], names: Mapping[str, str]) -> None:
        self.rule = rule
        self.columns = tuple(columns)
        self.condition = _NAME_OR_TEXT.sub(lambda found: names.get(found[0], found[0]), rule.condition.source)

    @cached_property
    def answer(self) -> Expression:
        """True when there is nothing to find."""
        return Expression(self.condition, self.rule.id)


class Group:
    """Questions that are put in one go: a single evaluation tells that none of them has a finding, which is the usual case."""

    def __init__(self, questions: Iterable[Question]) -> None:
        self.questions = tuple(questions)
        conditions = " && ".join(f"({_spelled_out(question.condition)})" for question in self.questions)
        self.clean = Expression(conditions, self.questions[0].rule.id)


def _spelled_out(condition: str) -> str:
    """A condition with some functions replaced by comparisons of text, which the evaluator does ten times faster than it calls."""

    def prefixes(found: re.Match[str]) -> str:
        kind, name, texts = found.groups()
        starts = [text.strip().strip("'") for text in texts.split(",")]
        # a list of codes is text with a line break before each code
        tests = [f"{name}.startsWith('{start}')" if kind == "has" else f"{name}.contains('\\n{start}')" for start in starts]
        return f"({' || '.join(tests)})"

    def range_(found: re.Match[str]) -> str:
        name, first, head, tail = found.groups()
        # three characters are at most D48 where the whole text is below D49
        return f"({name} >= '{first}' && {name} < '{head}{chr(ord(tail) + 1)}')"

    condition = _FILLED.sub(r"(\1 != '' && \1 != '-')", condition)
    condition = _CATEGORY.sub(r"(\1 == '' ? '' : optype(\1))", condition)
    return _IN_RANGE.sub(range_, _PREFIX.sub(prefixes, condition))


def load_rules(table: str, layout_id: str) -> list[Rule]:
    """The rules of a table under ``mappings`` that apply to a layout. Raises `ConfigurationError` for a bad row."""
    with files("mappings").joinpath(table).open(encoding="utf-8") as handle:
        rows = [row for row in csv.DictReader(handle) if layout_id in row["layouts"].split()]
    return [_rule(row, table) for row in rows]


def _rule(row: dict[str, str], table: str) -> Rule:
    where = f"{table} {row['id']}"
    if row["severity"] not in ("error", "warning", "info"):
        raise ConfigurationError(f"{where} 的级别不正确：{row['severity']}", english=f"{where}: bad severity")
    condition = f"!({row['when']}) || ({row['assert']})" if row["when"] else row["assert"]
    return Rule(
        id=row["id"],
        fields=tuple(row["fields"].split()),
        each=row["each"],
        dictionaries=tuple(row["dictionary"].split()),
        condition=Expression(condition, where),
        severity=row["severity"],  # type: ignore[arg-type]
        message=row["message"],
        english=row["message_en"],
    )


def repeat_range(each: str) -> tuple[int, int] | None:
    """``02..40`` as (2, 40); None when ``each`` is no range."""
    match = _RANGE.fullmatch(each)
    return (int(match[1]), int(match[2])) if match else None


def numbered(pattern: str, repeat: int) -> str:
    """A pattern's name for one repeat: ``C06xkkC`` → ``C06x03C``, ``QTZDkk`` → ``QTZD3``; ``pp`` is the repeat before."""
    for mark, number in (("kk", repeat), ("pp", repeat - 1)):
        if mark in pattern:
            return pattern.replace(mark, f"{number:02d}" if f"x{mark}" in pattern else str(number))
    return pattern
