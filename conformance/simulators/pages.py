"""What people see of the simulated platform: its page, and the result file of an upload. Names are masked."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from conformance.simulators.accounts import Account
from conformance.simulators.records import OPERATION_NAMES, STATUS_NAMES, Reason, Record
from conformance.simulators.registry import Upload
from mappings.layout import Layout
from mappings.profile import Profile

SHOWN = 200
"""Records on the page, newest first."""

RESULT_COLUMNS = ("病案号", "住院次数", "结果", "字段", "原因")

_TEMPLATES = Environment(loader=PackageLoader("conformance", "simulators"), autoescape=True, undefined=StrictUndefined)


@dataclass(frozen=True, slots=True)
class Line:
    """A record on the page."""

    record: Record
    hospital: str
    name: str
    operation: str
    status: str
    reasons: tuple[str, ...]


def overview(profile: Profile, accounts: list[Account]) -> str:
    """The page that lists the latest records with their verdicts."""
    everything = [(record, account) for account in accounts for record in account.registry.records()]
    everything.sort(key=lambda pair: pair[0].received_at, reverse=True)
    totals = Counter(STATUS_NAMES[record.verdict.status] for record, _ in everything)
    lines = [_line(record, account, profile.stay_layout) for record, account in everything[:SHOWN]]
    return _TEMPLATES.get_template("ncpcs.html").render(
        profile=profile, lines=lines, total=len(everything), totals=[(name, totals[name]) for name in STATUS_NAMES.values()]
    )


def masked(name: str) -> str:
    """A name as the page shows it: 张*."""
    return f"{name[0]}*" if name else ""


def _line(record: Record, account: Account, layout: Layout) -> Line:
    return Line(
        record=record,
        hospital=account.organisation_name,
        name=masked(record.submission.fields.get("A11", "")),
        operation=OPERATION_NAMES[record.submission.operation],
        status=STATUS_NAMES[record.verdict.status],
        reasons=tuple(_worded(reason, layout) for reason in record.verdict.reasons),
    )


def _worded(reason: Reason, layout: Layout) -> str:
    field = layout.by_code.get(reason.field)
    return f"{field.label}：{reason.reason}" if field is not None else reason.reason


def results(upload: Upload) -> bytes:
    """The results of an upload by row, as CSV (UTF-8 with a byte-order mark, so that a spreadsheet opens it): several lines about a
    stay name several fields. A refused row counts as 不通过."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(RESULT_COLUMNS)
    for number in range(1, upload.rows + 1):
        writer.writerows(_results(upload, number))
    return text.getvalue().encode("utf-8-sig")


def _results(upload: Upload, number: int) -> Iterator[tuple[str, ...]]:
    record = upload.accepted.get(number)
    if record is not None:
        fields, verdict, reasons = record.submission.fields, STATUS_NAMES[record.verdict.status], record.verdict.reasons
    else:
        refused = upload.refused[number]
        fields, verdict, reasons = refused.row.fields, STATUS_NAMES["rejected"], refused.reasons
    stay = (fields.get("A48", ""), fields.get("A49", ""), verdict)
    for reason in reasons or (Reason("", ""),):
        yield (*stay, reason.field, reason.reason)
