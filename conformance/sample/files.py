"""A sample as files: what a hospital's record system would export, one CSV a month, and the list of faults that were put in."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from adapters.hqms.writer import DEFAULT_ENCODING
from conformance.sample.faults import Fault, spoil
from conformance.sample.hospital import MONTHS, SEED, generate
from mappings.layout import layout

FAULT_COLUMNS = ("file", "row", "kind", "field", "expected", "outcome", "note")


def write_sample(
    out: Path, *, stays: int = 1000, seed: int = SEED, months: Sequence[str] = MONTHS, spoiled: bool = True
) -> list[Path]:
    """Write a sample into the directory ``out``: ``hqmsts_2026M08.csv`` and so on (GB18030, layout 2020), and with ``spoiled``
    also ``faults.csv`` (UTF-8), which lists the wrong rows (counted from 1 without the header). Returns the files of the months in
    order, without ``faults.csv``."""
    out.mkdir(parents=True, exist_ok=True)
    target = layout("2020")
    paths: dict[str, Path] = {}
    discharged = target.columns.index("B15")
    with ExitStack() as stack:
        faults = _open_faults(stack, out) if spoiled else None
        writer: Any = None
        row = 0
        for cells, fault, month in _rows(stays, seed, months, spoiled, discharged):
            if month not in paths:
                paths[month] = out / f"hqmsts_{month.replace('-', 'M')}.csv"
                handle = stack.enter_context(paths[month].open("w", encoding=DEFAULT_ENCODING, newline=""))
                writer, row = csv.writer(handle), 0
                writer.writerow(target.columns)
            row += 1
            writer.writerow(cells)
            if faults is not None and fault is not None:
                faults.writerow((paths[month].name, row, fault.kind, fault.field, fault.expected, fault.outcome, fault.note))
    return list(paths.values())


def _rows(
    stays: int, seed: int, months: Sequence[str], spoiled: bool, discharged: int
) -> Iterator[tuple[list[str], Fault | None, str]]:
    """Cells, fault and month of discharge."""
    records = generate(stays, seed, months)
    if not spoiled:
        target = layout("2020")
        for record in records:
            yield target.row(record), None, record["B15"][:7]
        return
    for cells, fault in spoil(records, seed):
        # no fault touches B15, which stands before the cells that one of them shifts
        yield cells, fault, cells[discharged][:7]


def _open_faults(stack: ExitStack, out: Path) -> Any:
    handle = stack.enter_context((out / "faults.csv").open("w", encoding="utf-8-sig", newline=""))
    writer = csv.writer(handle)
    writer.writerow(FAULT_COLUMNS)
    return writer
