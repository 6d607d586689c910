"""Workbooks of report cards, deaths and visits, row by row: each row becomes a card, or is refused with its reason while the others go on.

Values come out in the codes of T/CHIA 18-2021 whatever the sheet prints. Columns that nobody knows are kept with the row and said once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Literal

from adapters.cards.columns import KIND_NAMES, Column, Kind, Recognised
from adapters.cards.sheet import LIMITS, open_sheet
from adapters.cards.values import Fault
from adapters.cards.values import read as read_cell
from adapters.hqms.tables import Limits, Row, RowFault
from conformance.checks.finding import Finding, Severity
from gateway.model.card import FIELDS, Card
from mappings.region import resolve

DEATH_CARD: Final = "2"
"""``card_type`` of what is raised from a death certificate (workflow_codes.csv)."""

_CHAIN: Final = ("cause_a", "cause_b", "cause_c", "cause_d", "other_conditions")
_PARTS: Final = ("province", "city", "county", "town", "village", "house_no")
_ON_CARD: Final = frozenset(FIELDS)
_SAID: Final[dict[Fault, tuple[str, Severity, str, str]]] = {
    "code": (
        "ZB-CELL-CODE",
        "error",
        "的内容不在该项的代码表中，已原样保留，请改为代码或标准名称",
        "is not in the value set, kept as written",
    ),
    "date": ("ZB-CELL-DATE", "error", "不是可以确定的日期，已原样保留，请写成 2026-11-25", "is no certain date, kept as written"),
    "form": (
        "ZB-CELL-FORM",
        "error",
        "的写法不符合该项的格式，已原样保留，请核对",
        "does not have the form of the field, kept as written",
    ),
    "digits": (
        "ZB-CELL-DIGITS",
        "error",
        "被表格软件当作数值，末尾数字已丢失，无法还原；请把该列设为文本后重新填写",
        "was taken for a number by the spreadsheet and has lost digits",
    ),
}


@dataclass(frozen=True)
class CardRow:
    """A row, counted from 1 below the header. ``card`` is set for cards and deaths (of these ``card_type`` is 2), ``fields`` are what a card has
    no place for (all of a visit, the causes of a death, an address in one piece), ``extra`` the cells of unknown columns by their header."""

    number: int
    card: Card | None
    outcome: Literal["read", "refused"]
    findings: tuple[Finding, ...] = ()
    fields: dict[str, str] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)
    reason: str = ""
    """a stable word for a refused row"""


@dataclass(frozen=True)
class CardSheet:
    """A sheet. ``rows`` can be read once; ``findings`` are about the sheet as a whole."""

    kind: Kind
    header: Recognised
    container: str
    encoding: str
    rows: Iterator[CardRow]
    findings: tuple[Finding, ...]


def read(path: Path, *, limits: Limits = LIMITS) -> CardSheet:
    """Read a workbook (xlsx, xls) or CSV file. Raises `FileRefused` for what cannot be used at all."""
    sheet = open_sheet(path, limits)
    rows = (_row(sheet.header, row) for row in sheet.rows)
    return CardSheet(sheet.header.kind, sheet.header, sheet.container, sheet.encoding, rows, tuple(_of_header(sheet.header)))


def _of_header(header: Recognised) -> Iterator[Finding]:
    if header.unknown:
        yield Finding(
            "ZB-SHEET-UNKNOWN",
            tuple(header.unknown),
            "info",
            f"有 {len(header.unknown)} 列不是{KIND_NAMES[header.kind]}的内容，随行保留，不用于上报",
            f"{len(header.unknown)} columns are not known; they are kept and not reported",
        )
    present = {column.field for column in header.columns if column is not None}
    if "patient_name" not in present and header.kind in ("card", "death"):
        yield Finding("ZB-SHEET-NAME", ("patient_name",), "warning", "表中没有姓名列", "the sheet has no column of names")


def _row(header: Recognised, row: Row | RowFault) -> CardRow:
    if isinstance(row, RowFault):
        finding = Finding("ZB-ROW-FAULT", (), "error", row.message, f"the row cannot be read: {row.reason}")
        return CardRow(row.number, None, "refused", (finding,), reason=row.reason)
    said: dict[str, str] = {}
    findings: list[Finding] = []
    extra: dict[str, str] = {}
    lost = False
    for column, name, text in zip(header.columns, header.names, row.cells, strict=False):
        if column is None:
            if name and text.strip():
                extra[name] = text
            continue
        cell = read_cell(column, text)
        for field_name, value in cell.fields.items():
            if field_name == column.field or not said.get(field_name):  # a column of its own wins over what another one implies
                said[field_name] = value
        lost = lost or cell.fault == "digits"
        findings.extend(_of_cell(column, cell.fault, repaired=cell.repaired))
    if lost:
        return CardRow(row.number, None, "refused", tuple(findings), extra=extra, reason="digits-lost")
    if beyond := [cell for cell in row.cells[len(header.columns) :] if cell.strip()]:
        findings.append(
            Finding("ZB-ROW-WIDTH", (), "warning", f"该行比表头多 {len(beyond)} 个单元格", "the row is wider than the header")
        )
    if not said.get("patient_name") and not said.get("id_no") and not said.get("report_card_no"):
        finding = Finding(
            "ZB-ROW-NOBODY",
            ("patient_name", "id_no"),
            "error",
            "没有姓名和身份证号，不知道是谁，未收下；请补填后重新上传",
            "neither name nor identity number",
        )
        return CardRow(row.number, None, "refused", (*findings, finding), extra=extra, reason="nobody")
    return _read_row(header.kind, row.number, said, tuple(findings), extra)


def _read_row(kind: Kind, number: int, said: dict[str, str], findings: tuple[Finding, ...], extra: dict[str, str]) -> CardRow:
    if kind in ("first_visit", "follow_up"):
        return CardRow(number, None, "read", findings, said, extra)
    values = {name: text for name, text in said.items() if name in _ON_CARD}
    others = {name: text for name, text in said.items() if name not in _ON_CARD}
    if kind == "death":
        values["card_type"] = DEATH_CARD
        chain = _chain(others)
        values["death_cause_text"] = "；".join(part for part in (values.get("death_cause_text", ""), chain) if part)
    for place in ("hukou", "residence"):
        whole = others.get(f"{place}_address", "")
        if whole and not any(values.get(f"{place}_{part}") for part in _PARTS):
            values |= _parts(place, whole)
    return CardRow(number, Card(**values), "read", findings, others, extra)


def _parts(place: str, address: str) -> dict[str, str]:
    """An address in one piece as the fields of a card; what cannot be told apart stays in one piece."""
    found = asdict(resolve(address))
    code = found.pop("code")
    parts = {f"{place}_{part}": text for part, text in found.items() if text}
    return {**parts, f"{place}_region_code": code} if code else parts


def _chain(said: dict[str, str]) -> str:
    """The causes on a certificate in one text, names and codes, as `Card.death_cause_text` holds them."""
    parts = [" ".join(filter(None, (said.get(name, ""), said.get(f"{name}_icd10", "")))) for name in _CHAIN]
    return "；".join(part for part in parts if part)


def _of_cell(column: Column, fault: Fault, *, repaired: bool) -> Iterator[Finding]:
    if fault:
        rule, severity, message, english = _SAID[fault]
        yield Finding(rule, (column.field,), severity, f"“{column.name}”{message}", f"{column.field} {english}")
    elif repaired:
        yield Finding(
            "ZB-CELL-REPAIRED",
            (column.field,),
            "info",
            f"“{column.name}”的写法已按标准写法理解（如缺少前导零、带“.0”或日期显示为数字）",
            f"{column.field} was put into its standard form",
        )
