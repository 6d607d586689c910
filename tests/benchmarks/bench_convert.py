"""Converting a large front-sheet file: read → canonical → checked → rendered, beside the bare csv module on the same file."""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path

from tests.benchmarks.front_sheets import write
from tests.benchmarks.measure import run, table

SIZES = (20_000, 100_000)


def bare_csv(path: Path) -> float:
    """Seconds that the standard library needs to read the file's cells and do nothing with them: the floor."""
    started = time.perf_counter()
    with path.open(encoding="gb18030", newline="") as handle:
        for _ in csv.reader(handle):
            pass
    return time.perf_counter() - started


def report(folder: Path, sizes: tuple[int, ...] = SIZES) -> str:
    """The section of the report."""
    rows = []
    for size in sizes:
        path = folder / f"half_{size}.csv"
        bytes_, filled = write(path, size)
        floor = bare_csv(path)
        command = [sys.executable, "-m", "gateway.cli", "convert", str(path), "--to", "hqms", "--out", str(folder / "out")]
        done = run(command)
        rows.append(
            (
                f"{size:,}",
                f"{bytes_ / 1e6:,.0f} MB, {filled:.0%}",
                f"{done.seconds:.1f} s",
                f"{size / done.seconds:,.0f}",
                f"{done.cpu_seconds:.1f} s",
                f"{done.resident / 1e6:,.0f} MB",
                f"{floor:.1f} s",
                f"{done.seconds / floor:.1f}",
            )
        )
        path.unlink()
    heading = ("rows", "file, cells filled", "convert", "rows/s", "CPU", "resident, all processes", "bare csv", "ratio")
    return (
        "## Converting a front-sheet file\n\n"
        "`zhibao convert FILE --to hqms`: GB18030, 811 columns; read, made canonical, checked with all 279 rules, rendered and\n"
        "written. Two worker processes and the parent. Resident is the largest sum over all three processes, shared pages counted in\n"
        "each. The floor is `csv.reader` over the same file, doing nothing with the cells.\n\n" + table(heading, rows)
    )
