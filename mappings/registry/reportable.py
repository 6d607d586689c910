"""Which ICD-10 codes a tumour registry wants to hear of, and what to do with those that only point to a tumour (reportable_icd10.csv)."""

from __future__ import annotations

from functools import cache
from typing import Final, Literal, cast

from msgspec import Struct

from mappings.registry.icd10 import registry_form
from mappings.registry.ranges import ranges
from mappings.registry.tables import rows

Action = Literal["report", "look", "search-primary", "split", "treatment", "history", "screening", "never"]
"""``report``: a card. ``look``: a person decides. ``search-primary``: no card on this code alone. ``split``: one card per primary.
``treatment``, ``history``, ``screening``: the code tells of a tumour without naming it. ``never``: not reported."""

PITUITARY: Final = frozenset({"D35.2-D35.4", "D44.3-D44.5"})
"""Rows on which sources disagree: a switch of the hospital makes them reportable."""


class Reportable(Struct, frozen=True):
    """What is to be done with a code. ``rule`` names the row (``C00-C76``; empty where no row has the code), ``icd10`` is the neoplasm code
    that it counts as, in registry form (B21.0 counts as C46.9), empty where it names none. ``confidence`` is the row's."""

    action: Action
    rule: str
    reason: str
    confidence: str
    icd10: str = ""


def of(code: str, *, pituitary: bool = False) -> Reportable:
    """What a code of any shape calls for. ``pituitary``: whether D35.2-D35.4 and D44.3-D44.5 are reported here."""
    return _of(registry_form(code), pituitary)


@cache
def _of(form: str, pituitary: bool) -> Reportable:
    if not form:
        return Reportable("never", "", "不是ICD-10编码", "high")
    for row in rows("reportable_icd10"):
        rule = row["from"] if row["from"] == row["to"] else f"{row['from']}-{row['to']}"
        if form not in ranges(rule):
            continue
        action, reason = cast(Action, row["action"]), row["reason_zh"]
        if pituitary and rule in PITUITARY:
            action, reason = "report", "本院设置为报告垂体、颅咽管、松果体肿瘤"
        return Reportable(action, rule, reason, row["confidence"], row["counts_as"] or (form if form[0] in "CD" else ""))
    return Reportable("never", "", "不在肿瘤登记报告范围", "high", "")
