"""The commands on stays that are assembled from messages, or from messages and front sheets together.

Each stay is explained, checked or converted by the very functions that work on a row of a file (`gateway.convert`); what assembling found
stands beside it, and so does every message that is part of no stay.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from adapters.hqms.header import recognise
from adapters.hqms.rows import RowReader
from gateway.convert import WORK, Batch, Task, checker_of, json_line, report_month
from gateway.intake.reading import FrontSheet, RowOutcome
from gateway.model.errors import FileRefused
from gateway.reporting.drafts import Drafter, PlatformChoice, checker_for
from gateway.reporting.preparing import CANCELLED
from gateway.told import tell
from gateway.workbench import Made, Workbench
from mappings.layout import layout

OWN_LAYOUT = "2020"
"""The layout in which stays are checked that no front sheet is known of."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done with every stay: ``explain``, ``check`` or ``convert`` and the options of the command."""

    command: str
    platform: str = ""
    target: str = ""
    dictionaries: Path | None = None


def batches(bench: Workbench, order: Order) -> Iterator[Batch]:
    """What the command makes of every stay, then of the rows that were refused."""
    tasks = _Tasks(order)
    for made in bench.made():
        batch = Batch(rows=1)
        if order.command != "explain":
            tell(made.told, batch)
        if not made.cancelled:
            task = tasks.of(made.file, made.layout)
            task.work(task, made.outcome, batch)
        elif order.command == "explain":
            batch.lines.append(_cancelled(made))
        yield batch
    for file, sheet, outcome in bench.refused_rows:
        batch = Batch(rows=1, refused=1)
        task = tasks.of(file, sheet)
        task.work(task, outcome, batch)
        yield batch
    if order.command != "explain":
        batch = Batch()
        tell(bench.between_rows, batch)
        yield batch


def unchecked(order: Order) -> Iterator[str]:
    """The rules by which no stay of messages can be checked, because their dictionary is missing."""
    for finding in checker_for(OWN_LAYOUT, dictionaries=order.dictionaries)[1].unchecked_findings():
        line = {"file": None, "row": None, "fields": finding.fields, "severity": finding.severity, "rule": finding.rule}
        yield json_line({**line, "message": finding.message, "english": finding.english})


def organisation_of(sheets: Iterable[Path], encoding: str | None) -> str:
    """The code of the institution that the front sheets among the files state, by the first row that can be read; empty when they state
    none."""
    for path in sheets:
        try:
            outcome: RowOutcome | None = next(FrontSheet(path, encoding=encoding).outcomes(), None)
        except FileRefused:
            continue
        if outcome is not None and outcome.stay is not None and outcome.stay.organisation.code:
            return outcome.stay.organisation.code
    return ""


def _cancelled(made: Made) -> str:
    stay = made.stay
    line = {"file": made.file, "row": made.outcome.row, "record": {"A48": stay.record_number, "A49": stay.admission_number}}
    return json_line({**line, "due": False, "rules": CANCELLED.rules, "reason": CANCELLED.reason, "review": False})


class _Tasks:
    """What `gateway.convert` needs to work on a row, made once for every layout of a source."""

    def __init__(self, order: Order) -> None:
        self._order = order
        platform = PlatformChoice(order.platform) if order.platform else None
        self._drafter = Drafter(platform, dictionaries=order.dictionaries) if platform else None
        self._of_layout: dict[str, Task] = {}

    def of(self, file: str, sheet: str) -> Task:
        """The task for the next row of a file of layout ``sheet``, or for a stay without one."""
        source = sheet or OWN_LAYOUT
        if source not in self._of_layout:
            self._of_layout[source] = self._made(source)
        task = dataclasses.replace(self._of_layout[source], file=file)
        task.checker.report_month = report_month(file) if sheet else ""
        if task.drafter is not None:
            task.drafter.checker.report_month = task.checker.report_month
        return task

    def _made(self, source: str) -> Task:
        target = layout(self._order.target or source)
        checker = checker_of(self._drafter, target, dictionaries=self._order.dictionaries)
        reader = RowReader(recognise(list(layout(source).columns)))
        return Task("", reader, WORK[self._order.command], self._drafter, target, checker)
