"""The commands that need no ledger: reading, explaining, checking and converting front-sheet files, in worker processes.

Everything streams: rows go through in batches, results come out in the order of the file, memory does not grow with it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from adapters.hqms.header import recognise
from adapters.hqms.rows import RowReader
from adapters.hqms.tables import Row, RowFault, UncutRow
from conformance.checks.between_rows import BetweenRows, RowIdentity
from conformance.checks.checker import Checker
from conformance.checks.finding import Finding
from gateway.intake.batches import batched, ordered
from gateway.intake.reading import KIND, FrontSheet, RowOutcome, read_row
from gateway.model.stay import Stay
from gateway.reporting.drafts import Drafter, PlatformChoice, checker_for, overflow_findings
from mappings.layout import Layout, layout

BATCH_ROWS = 200
SMALL_FILE = 2 << 20


@dataclass
class Batch:
    """What a worker made of a batch: output lines, the rendered rows as CSV text, counts, the discharge months seen, what the rows
    are compared with each other by, and how far the file has been read (bytes, of bytes)."""

    lines: list[str] = field(default_factory=list)
    rendered: list[str] = field(default_factory=list)
    rows: int = 0
    written: int = 0
    refused: int = 0
    errors: int = 0
    months: set[str] = field(default_factory=set)
    identities: list[RowIdentity] = field(default_factory=list)
    progress: tuple[int, int] = (0, 0)


Work = Callable[["Task", RowOutcome, Batch], None]


@dataclass
class Task:
    file: str
    reader: RowReader
    work: Work
    drafter: Drafter | None
    target: Layout
    checker: Checker


_task: Task | None = None


def _start(file: str, header: list[str], command: str, platform: str, target: str, dictionaries: str | None) -> None:
    global _task
    recognised = recognise(header)
    folder = Path(dictionaries) if dictionaries else None
    drafter = Drafter(PlatformChoice(platform), dictionaries=folder) if platform else None
    chosen = layout(target) if target else recognised.layout
    checker = checker_of(drafter, chosen, dictionaries=folder)
    checker.report_month = report_month(file)
    _task = Task(file, RowReader(recognised), WORK[command], drafter, chosen, checker)


def checker_of(drafter: Drafter | None, target: Layout, *, dictionaries: Path | None) -> Checker:
    """What checks the records of a layout: the platform's own checker where it is the platform's layout."""
    if drafter is not None and drafter.profile.layout is target:
        return drafter.checker
    return checker_for(target.id, dictionaries=dictionaries)[1]


def _run(rows: list[Row | UncutRow | RowFault]) -> Batch:
    assert _task is not None, "_start has not run in this process"
    batch = Batch()
    for row in rows:
        outcome = read_row(_task.reader, row, _task.file)
        batch.rows += 1
        batch.refused += outcome.outcome == "refused"
        _task.work(_task, outcome, batch)
    return batch


def run(
    path: Path,
    command: str,
    *,
    encoding: str | None = None,
    platform: str = "",
    target: str = "",
    workers: int = 2,
    dictionaries: Path | None = None,
) -> Iterator[Batch]:
    """Run a command over one file. Raises `FileRefused` before anything is yielded when the file cannot be used at all."""
    sheet = FrontSheet(path, encoding=encoding)
    if path.stat().st_size <= SMALL_FILE:
        workers = 1
    arguments = (path.name, list(sheet.header.names), command, platform, target, str(dictionaries) if dictionaries else None)
    _, checker = checker_for(sheet.header.layout.id, dictionaries=dictionaries)
    rows = BetweenRows(checker)
    for batch in ordered(
        _run, batched(sheet.table.uncut_rows(), BATCH_ROWS), workers=workers, initializer=_start, arguments=arguments
    ):
        batch.progress = sheet.table.progress
        for identity in batch.identities:
            for finding in rows.meet(identity):
                tell(path.name, identity.row, finding, batch)
        yield batch


def json_line(value: dict[str, Any]) -> str:
    """A value as one line of JSON."""
    return msgspec.json.encode(value).decode()


def _read(task: Task, outcome: RowOutcome, batch: Batch) -> None:
    line: dict[str, Any] = {
        "file": task.file,
        "message_index": outcome.row,
        "kind": KIND,
        "outcome": outcome.outcome,
        "reason": outcome.message,
        "record": outcome.stay,
    }
    if outcome.repairs:
        line["repairs"] = [{"field": r.field, "kind": r.kind, "message": r.message} for r in outcome.repairs]
    batch.lines.append(json_line(line))


def _explain(task: Task, outcome: RowOutcome, batch: Batch) -> None:
    assert task.drafter is not None
    if outcome.stay is None:
        line = {"file": task.file, "row": outcome.row, "due": False, "rules": ["S-ROW"], "reason": outcome.message}
        batch.lines.append(json_line({**line, "record": None, "review": True}))
        return
    decision = task.drafter.decide(outcome.stay)
    record = {"A48": outcome.stay.record_number, "A49": outcome.stay.admission_number}
    line = {"file": task.file, "row": outcome.row, "record": record, "due": decision.due, "rules": decision.rules}
    batch.lines.append(json_line({**line, "reason": decision.reason, "review": decision.review}))


def _finding(task: Task, outcome: RowOutcome, finding: Finding, batch: Batch) -> None:
    tell(task.file, outcome.row, finding, batch)


def tell(file: str, row: int, finding: Finding, batch: Batch) -> None:
    """Add a finding about a row (or message) to a batch as a JSON line."""
    batch.errors += finding.blocks
    line = {"file": file, "row": row, "fields": finding.fields, "severity": finding.severity, "rule": finding.rule}
    batch.lines.append(json_line({**line, "message": finding.message, "english": finding.english}))


def _reading_findings(task: Task, outcome: RowOutcome, batch: Batch) -> None:
    if outcome.outcome == "refused":
        fields = (outcome.field,) if outcome.field else ()
        _finding(task, outcome, Finding(f"ZB-ROW-{outcome.reason}", fields, "error", outcome.message), batch)
    for repair in outcome.repairs:
        _finding(task, outcome, Finding(f"ZB-READ-{repair.kind}", (repair.field,), "info", repair.message), batch)


def _identity(stay: Stay, row: int) -> RowIdentity:
    key = (stay.record_number, str(stay.admission_number), stay.discharge.time)
    return RowIdentity.of(row, key, (stay.organisation.code, stay.organisation.name))


def _check(task: Task, outcome: RowOutcome, batch: Batch) -> None:
    _reading_findings(task, outcome, batch)
    if outcome.stay is None:
        return
    batch.identities.append(_identity(outcome.stay, outcome.row))
    if task.drafter is not None:
        findings = list(task.drafter.draft(outcome.stay).findings)
    else:
        findings = task.checker.check(task.checker.layout.record(outcome.stay))
    for finding in findings:
        _finding(task, outcome, finding, batch)


def _convert(task: Task, outcome: RowOutcome, batch: Batch) -> None:
    assert task.drafter is not None
    _reading_findings(task, outcome, batch)
    stay = outcome.stay
    if stay is None:
        return
    batch.identities.append(_identity(stay, outcome.row))
    if not task.drafter.decide(stay).due:
        return
    record = task.target.record(stay)
    checked = record if task.checker.layout is task.target else task.checker.layout.record(stay)
    for finding in (*task.checker.check(checked), *overflow_findings(task.target, stay)):
        _finding(task, outcome, finding, batch)
    text = io.StringIO(newline="")
    csv.writer(text).writerow(task.target.row(record))
    batch.rendered.append(text.getvalue())
    batch.written += 1
    if month := (stay.discharge.time or "")[:7]:
        batch.months.add(month)


WORK: dict[str, Work] = {"read": _read, "explain": _explain, "check": _check, "convert": _convert}


def file_findings(path: Path, *, encoding: str | None = None, dictionaries: Path | None = None) -> Iterator[str]:
    """Findings about the file as a whole: its header, and the rules that cannot be checked here."""
    header = FrontSheet(path, encoding=encoding).header
    _, checker = checker_for(header.layout.id, dictionaries=dictionaries)
    facts = {"header_missing": header.missing, "header_unknown": header.unknown, "header_duplicates": []}
    for finding in (*checker.structure("@header", facts), *checker.unchecked_findings()):
        line = {"file": path.name, "row": None, "fields": finding.fields, "severity": finding.severity, "rule": finding.rule}
        yield json_line({**line, "message": finding.message, "english": finding.english})


def file_name(months: set[str], layout_id: str) -> str:
    """The name that exporters use: ``hqmsts_2026M10.csv`` for one month, ``hqmsts_2026M08-2026M10.csv`` for several, ``TCMMS_``
    for the Chinese-medicine layout."""
    prefix = {"tcm2019": "TCMMS", "pcode": "hqms"}.get(layout_id, "hqmsts")
    shown = [month.replace("-", "M") for month in sorted(months)]
    if not shown:
        return f"{prefix}.csv"
    return f"{prefix}_{shown[0]}.csv" if len(shown) == 1 else f"{prefix}_{shown[0]}-{shown[-1]}.csv"


_MONTH = re.compile(r"(?<![0-9])(20[0-9]{2})M(0[1-9]|1[0-2])(?![0-9]|[-~_至][0-9]{2}(?![0-9]))")


def report_month(name: str) -> str:
    """The month that a file is for by its name: ``2026-10`` for ``hqmsts_2026M10.csv``; empty when the name says none, or several
    (``2026M08-2026M10``, ``2026M08-10``)."""
    found = _MONTH.findall(name)
    return "-".join(found[0]) if len(found) == 1 else ""
