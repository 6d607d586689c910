"""``make bench``: measure, and print the report; ``--write`` puts it into ``docs/benchmarks.md``."""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks import bench_assembling, bench_convert, bench_fhir, bench_hl7v2, bench_import, bench_linkage, bench_listener
from tests.benchmarks.measure import machine, table

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def reading(_: Path) -> str:
    """The section about reading HL7 v2, by the readers of `bench_hl7v2`."""
    rows = []
    for codec, charset in (("utf-8", "UNICODE UTF-8"), ("gb18030", "GB 18030-2000")):
        raw = "\r".join(bench_hl7v2.SEGMENTS).format(charset=charset).encode(codec)
        mine = bench_hl7v2.rate(bench_hl7v2.ours, raw, 2)
        peers = [bench_hl7v2.rate(read(codec), raw, 2) for read in (bench_hl7v2.python_hl7, bench_hl7v2.hl7apy)]
        shown = (f"{rate:,.0f} ({mine / rate:,.0f} times)" for rate in peers)
        rows.append((f"{charset}, {len(raw):,} bytes", f"{mine:,.0f}", *shown))
    heading = (
        "message",
        "ours",
        *(f"{name} {version(package)} (ours is)" for name, package in (("python-hl7", "hl7"), ("hl7apy", "hl7apy"))),
    )
    return (
        "## Reading HL7 v2\n\n"
        f"Messages a second on one core: {len(bench_hl7v2.SEGMENTS)} segments with Chinese pathology text, of which {len(bench_hl7v2.PATHS)}\n"
        "fields are read; the same bytes and fields for every reader, best of five rounds.\n\n" + table(heading, rows)
    )


def main() -> None:
    """Run every benchmark, one after the other."""
    sections = [
        f"# Benchmarks\n\nMeasured on {datetime.now(UTC).date()} by `make bench` on {machine()}; nothing else was running. Ratios\n"
        "travel better than absolute figures: client, server and database shared the cores."
    ]
    modules = (bench_convert, bench_import, bench_listener, bench_assembling, bench_fhir, bench_linkage)
    for report in (*(module.report for module in modules), reading):
        with tempfile.TemporaryDirectory(prefix="zhibao-bench-") as folder:
            sections.append(report(Path(folder)))
            print(sections[-1] + "\n", flush=True)
    if "--write" in sys.argv:
        DOCUMENT.write_text("\n\n".join(sections) + "\n", "utf-8")


if __name__ == "__main__":
    main()
