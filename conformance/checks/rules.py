"""The rules of a check table (``checks.csv``), selected for one layout.

Columns: ``id``, ``layouts``, ``fields`` (what a clerk must look at), ``each`` (how the rule iterates: once per record when empty,
``*`` every column, ``fields`` each listed column, ``01..40`` each repeat, ``@header``/``@row``/``@file`` structure), ``needs``
(variables that must be filled and readable, else the rule does not apply because another rule reports that), ``dictionary``
(without which the rule is *not checked*), ``when``/``assert`` (CEL; a finding is due when ``when`` holds and ``assert`` does
not), ``severity``, ``category``, ``message``, ``message_en``, ``source``, ``confidence``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

from conformance.checks.finding import Finding, Severity
from gateway.model.errors import ConfigurationError
from mappings.expressions import Expression
from mappings.layout import Layout

_RANGE = re.compile(r"(\d+)\.\.(\d+)")


@dataclass(frozen=True)
class Rule:
    """One row of a check table."""

    id: str
    fields: tuple[str, ...]
    each: str
    needs: tuple[str, ...]
    dictionaries: tuple[str, ...]
    when: Expression | None
    holds: Expression
    severity: Severity
    message: str
    english: str

    @property
    def variables(self) -> tuple[str, ...]:
        """Every name that the rule's answer depends on, sorted."""
        names = set(self.holds.variables) | set(self.needs)
        return tuple(sorted(names | self.when.variables if self.when else names))

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


def load_rules(table: str, layout_id: str) -> list[Rule]:
    """The rules of a table under ``mappings`` that apply to a layout. Raises `ConfigurationError` for a bad row."""
    with files("mappings").joinpath(table).open(encoding="utf-8") as handle:
        rows = [row for row in csv.DictReader(handle) if layout_id in row["layouts"].split()]
    return [_rule(row, table) for row in rows]


def _rule(row: dict[str, str], table: str) -> Rule:
    where = f"{table} {row['id']}"
    if row["severity"] not in ("error", "warning", "info"):
        raise ConfigurationError(f"{where} 的级别不正确：{row['severity']}", english=f"{where}: bad severity")
    return Rule(
        id=row["id"],
        fields=tuple(row["fields"].split()),
        each=row["each"],
        needs=tuple(row["needs"].split()),
        dictionaries=tuple(row["dictionary"].split()),
        when=Expression(row["when"], where) if row["when"] else None,
        holds=Expression(row["assert"], where),
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
