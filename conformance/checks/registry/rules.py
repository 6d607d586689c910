"""The rules of the edit checks (``mappings/codes/registry/edit_checks.csv``), selected for one purpose.

Most rules are their columns (age, sex, topography, morphology, behaviour, basis_or_grade; see `conformance.checks.registry.patterns`). Where
these do not say everything, ``when`` says it in CEL: the rule fires when it is true. Further columns: ``applies`` (``all`` cards, those for a
platform by its id, ``visit``, ``death``), ``fields`` (what a clerk must look at), ``each`` (``fields``: asked of each field in turn as ``X``,
its name as ``'FIELD'``), ``severity`` with ``milder_when`` and ``milder`` (the severity where that CEL holds too), ``message_zh`` and
``message_en`` (``{field}`` stands for the field's label, ``{fields}`` for those of the fields that fired), ``reading`` (how we read the
reference where it leaves that open).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final, get_args

from msgspec import Struct

from conformance.checks.finding import Finding, Severity
from conformance.checks.registry.patterns import Pattern, read
from gateway.model.errors import ConfigurationError
from mappings.expressions import Expression
from mappings.registry.tables import rows

_DIALECTS: Final = {"basis_card": "诊断依据（旧报告卡）", "basis_list": "诊断依据（全部）"}
"""the fields that the card keeps beside those of the reference (`gateway.model.card`)"""

_PLACE: Final = re.compile(r"\{(\w+)\}")


class Rule(Struct, frozen=True):
    """One rule. ``pattern`` is read of ``sites`` (``topography`` or ``icd10``); a rule has a pattern or ``conditions``: CEL by the fields that
    each of them is about."""

    number: int
    """place in the table"""
    id: str
    fields: tuple[str, ...]
    severity: Severity
    message: str
    english: str
    pattern: Pattern | None
    sites: str
    conditions: tuple[tuple[tuple[str, ...], str], ...]
    milder: Severity | None
    milder_when: Expression | None

    def finding(self, fields: tuple[str, ...], severity: Severity) -> Finding:
        """The finding about ``fields``."""
        message, english = self.message, self.english
        if "{fields}" in message:
            message = message.replace("{fields}", "、".join(_label(field) for field in fields))
            english = english.replace("{fields}", ", ".join(fields))
        if severity == "not-checked":
            message, english = f"未检查（缺少所需内容）：{message}", f"not checked: {english}"
        return Finding(self.id, fields, severity, message, english)


def load(*purposes: str) -> tuple[Rule, ...]:
    """The rules that apply to any of the purposes, in the order of the table; SH-01, which never fires, is none. Raises `ConfigurationError`
    for a bad row."""
    return tuple(rule for rule, applies in _all() if not applies.isdisjoint(purposes))


@cache
def _all() -> tuple[tuple[Rule, frozenset[str]], ...]:
    table = enumerate(rows("edit_checks"))
    return tuple((_rule(number, row), frozenset(row["applies"].split())) for number, row in table if row["severity"] != "none")


def _rule(number: int, row: Mapping[str, str]) -> Rule:
    where = f"edit_checks.csv {row['check_id']}"
    fields = tuple(row["fields"].split())
    pattern = None if row["when"] else read(row)
    if not {row["severity"], row["milder"] or row["severity"]} <= set(get_args(Severity)) or pattern == Pattern():
        raise ConfigurationError(f"{where} 的级别或条件不正确", english=f"{where}: bad severity or no condition")
    conditions: list[tuple[tuple[str, ...], str]] = []
    if row["each"] == "fields":
        conditions += [((field,), re.sub(r"\bX\b", field, row["when"]).replace("FIELD", field)) for field in fields]
    elif row["when"]:
        conditions.append((fields, row["when"]))
    return Rule(
        number=number,
        id=row["check_id"],
        fields=fields,
        severity=row["severity"],  # type: ignore[arg-type]
        message=_PLACE.sub(lambda place: place[0] if place[1] == "fields" else _label(place[1]), row["message_zh"]),
        english=_PLACE.sub(lambda place: place[0] if place[1] == "fields" else place[1], row["message_en"]),
        pattern=pattern,
        sites="icd10" if "icd10" in fields else "topography",
        conditions=tuple(conditions),
        milder=row["milder"] or None,  # type: ignore[arg-type]
        milder_when=Expression(row["milder_when"], where) if row["milder_when"] else None,
    )


def _label(field: str) -> str:
    return _labels()[field]


@cache
def _labels() -> Mapping[str, str]:
    """Chinese names of the fields of a card."""
    return {**_DIALECTS, **{row["field_id"]: row["name_zh"] for row in rows("card_fields")}}
