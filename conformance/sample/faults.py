"""Deliberately wrong rows, each with what has to become of it.

=========  =====================================================================================================
refused    the row cannot become a stay; ``expected`` is the reason (`gateway.model.errors.RowRefused`)
blocked    the record has an error finding and may not go out; ``expected`` is the id of the rule
repaired   a spreadsheet damaged the cell, reading puts it right for certain; ``expected`` is the kind of repair
returned   clean for our checks; the reviewers of the children's platform send it back; ``expected`` says for what
=========  =====================================================================================================

The record underneath is always a clean one, so the fault is the only thing wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Literal

from conformance.sample.clinical import DUE_GROUPS, case_mix
from conformance.sample.people import COUNTIES, pick
from conformance.sample.stays import Record
from mappings.layout import layout

Outcome = Literal["refused", "blocked", "repaired", "returned"]

RATE = 0.035
"""Share of wrong rows."""

_GUARANTEE_EVERY = 2
"""Until every kind has occurred among the children who are due, every second of them gets one."""

_LAYOUT = layout("2020")
_ADDRESS = _LAYOUT.columns.index("A26")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a row and what is expected of it."""

    kind: str
    field: str
    outcome: Outcome
    expected: str
    note: str
    """In Chinese, for whoever looks through the sample."""


@dataclass(frozen=True)
class FaultKind:
    """A fault and how to make it. ``damage`` alters a record in place; False means that the record does not lend itself to it."""

    fault: Fault
    damage: Callable[[Record], bool]


def spoil(records: Iterable[Record], seed: int, *, rate: float = RATE) -> Iterator[tuple[list[str], Fault | None]]:
    """The cells of each record in the order of layout 2020, and its fault if it got one.

    About ``rate`` of all rows get one. Every kind occurs among the children who are due for the children's platform, provided there are
    some forty of them (600 stays of the case mix). The records are altered.
    """
    rng = Random(seed)  # noqa: S311 - no secret, must be reproducible
    outstanding = list(reversed(KINDS))  # what only children have comes first
    due_children = spoiled = 0
    for number, record in enumerate(records, start=1):
        due = is_due_child(record)
        chosen: FaultKind | None = None
        if due and outstanding:
            due_children += 1
            if due_children % _GUARANTEE_EVERY == 0:
                chosen = _damaged(record, outstanding)
                if chosen is not None:
                    outstanding.remove(chosen)
        elif spoiled < rate * number and rng.random() < 2 * rate:
            kind = pick(rng, KINDS)
            if due or kind.fault.outcome != "returned":
                chosen = _damaged(record, [kind])
        spoiled += chosen is not None
        cells = _LAYOUT.row(record)
        if chosen is not None and chosen.fault.kind == "cells-shifted":
            cells[_ADDRESS : _ADDRESS + 1] = _split(cells[_ADDRESS])
        yield cells, chosen.fault if chosen is not None else None


def is_due_child(record: Record) -> bool:
    """Whether a sample record belongs to a child with one of the children's platform's diseases (default switches)."""
    return int(record["A14"]) < 20 and record["C03C"] in _DUE_DIAGNOSES


_DUE_DIAGNOSES = frozenset(code for story in case_mix().stories.values() if story.group in DUE_GROUPS for code in story.main)


def _damaged(record: Record, kinds: list[FaultKind]) -> FaultKind | None:
    return next((kind for kind in kinds if kind.damage(record)), None)


# -- how each kind is made


def _no_record_number(record: Record) -> bool:
    record["A48"] = ""
    return True


def _shifted(_record: Record) -> bool:
    return True  # the cells are cut apart when the row is made


def _split(address: str) -> tuple[str, str]:
    """An address whose comma was not quoted: two cells instead of one."""
    return address[:3], address[3:]


def _wrong_age(record: Record) -> bool:
    record["A14"] = str(int(record["A14"]) + 1)
    return True


def _total_below_fees(record: Record) -> bool:
    total = Decimal(record["D01"])
    if total <= 100:
        return False
    record["D01"] = str(total - 100)
    return True


def _no_present_on_admission(record: Record) -> bool:
    record["C05C"] = ""
    return True


def _unknown_diagnosis(record: Record) -> bool:
    record["C03C"] = record["C03C"][:5] + "99x999"
    return True


def _other_name(record: Record) -> bool:
    record["C04N"] += "待查"
    return True


def _admitted_after_discharge(record: Record) -> bool:
    after = date.fromisoformat(record["B15"][:10]) + timedelta(days=1)
    record["B12"] = after.isoformat() + record["B12"][10:]
    return True


def _foreign_route(record: Record) -> bool:
    record["B11C"] = "5"
    return True


def _no_pathology(record: Record) -> bool:
    if not (record["C03C"][0] == "C" or "D00" <= record["C03C"][:3] <= "D48"):
        return False
    record["C09C"] = record["C10N"] = record["C11"] = "-"
    return True


def _tab_before_id(record: Record) -> bool:
    if record["A20"] == "-":
        return False
    record["A20"] = "\t" + record["A20"]
    return True


def _lost_zero(record: Record) -> bool:
    if record["B16C"][0] != "0":
        return False
    for column in ("B13C", "B16C"):
        record[column] = record[column].lstrip("0")
    return True


def _slashes(record: Record) -> bool:
    for column in ("A13", "B33"):
        year, month, day = record[column].split("-")
        record[column] = f"{year}/{int(month)}/{int(day)}"
    return True


def _point_zero(record: Record) -> bool:
    for column in ("B11C", "A33C"):
        record[column] += ".0"
    return True


def _long_dash(record: Record) -> bool:
    record["A47"] = "—"
    return True


def _no_county(record: Record) -> bool:
    address = record["A26"]
    county = next((county for county in COUNTIES if county in address), "")
    record["A26"] = address.replace(county, "")
    return bool(county)


def _kind(kind: str, field: str, outcome: Outcome, expected: str, note: str, damage: Callable[[Record], bool]) -> FaultKind:
    return FaultKind(Fault(kind, field, outcome, expected, note), damage)


KINDS = (
    _kind("no-record-number", "A48", "refused", "no-identity", "病案号为空", _no_record_number),
    _kind("cells-shifted", "A26", "refused", "width", "现住址中的逗号未加引号，其后各列右移一格", _shifted),
    _kind("wrong-age", "A14", "blocked", "HQMS-G-015", "年龄与出生日期不一致", _wrong_age),
    _kind("total-below-fees", "D01", "blocked", "HQMS-G-145", "总费用小于分项费用之和", _total_below_fees),
    _kind("no-present-on-admission", "C05C", "blocked", "HQMS-A-010", "主要诊断入院病情为空", _no_present_on_admission),
    _kind("unknown-diagnosis", "C03C", "blocked", "HQMS-G-043", "主要诊断编码不在字典内", _unknown_diagnosis),
    _kind("other-name", "C04N", "blocked", "HQMS-G-045", "主要诊断名称与编码不对应", _other_name),
    _kind("admitted-after-discharge", "B12", "blocked", "HQMS-G-027", "入院时间晚于出院时间", _admitted_after_discharge),
    _kind("foreign-route", "B11C", "blocked", "HQMS-A-016", "入院途径不在值域内", _foreign_route),
    _kind("tab-before-id", "A20", "repaired", "trimmed", "证件号码前有制表符", _tab_before_id),
    _kind("lost-zero", "B16C", "repaired", "leading-zero", "科别代码丢失前导零", _lost_zero),
    _kind("slashes", "B33", "repaired", "date-form", "日期写成 2026/9/1", _slashes),
    _kind("point-zero", "B11C", "repaired", "dot-zero", "代码写成 4.0", _point_zero),
    _kind("long-dash", "A47", "repaired", "dash", "用破折号代替“-”", _long_dash),
    _kind("no-pathology", "C09C", "blocked", "HQMS-G-048", "主要诊断为肿瘤而没有病理诊断", _no_pathology),
    _kind("no-county", "A26", "returned", "county", "现住址没有写到区县", _no_county),
)
