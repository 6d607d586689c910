"""``make bench``: measure, and print the report; ``--write`` puts it into ``docs/benchmarks.md``."""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks import bench_convert, bench_import
from tests.benchmarks.measure import machine

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def main() -> None:
    """Run every benchmark, one after the other."""
    sections = [
        f"# Benchmarks\n\nMeasured on {datetime.now(UTC).date()} by `make bench` on {machine()}; nothing else was running. Ratios travel better than\n"
        "absolute figures: client, server and database shared the cores."
    ]
    for module in (bench_convert, bench_import):
        with tempfile.TemporaryDirectory(prefix="zhibao-bench-") as folder:
            sections.append(module.report(Path(folder)))
            print(sections[-1] + "\n", flush=True)
    if "--write" in sys.argv:
        DOCUMENT.write_text("\n\n".join(sections) + "\n", "utf-8")


if __name__ == "__main__":
    main()
