"""A bulk file of any length takes no more memory than a piece of it: 60 MB of NDJSON through the intake in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import count, islice
from pathlib import Path

import pytest

from conformance.sample.fhir_feed import bundle_of
from conformance.sample.hospital import generate

MEGABYTE = 1 << 20
SIZE = 60 * MEGABYTE
GROWTH = 40 * MEGABYTE
"""Bytes by which the process may grow beyond what a file of two pieces takes; holding the file would take more."""

NARRATIVE = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{"<p>line of a narrative</p>" * 60}</div>'}
"""What bulk exports carry along and nobody reads."""

_TAKE = """
import sys
from pathlib import Path
from sqlmodel import func, select
from gateway.intake.bulk import take_file
from gateway.intake.repository import Repository
from gateway.store.ledger import Ledger
from gateway.store.tables import FhirResource
from gateway.store.vault import Vault

folder = Path(sys.argv[1])
with Ledger.open(f"sqlite:///{folder / 'ledger.sqlite'}", Vault.create(folder / "zhibao.keys")) as ledger:
    for name in ("short.ndjson", "long.ndjson"):
        take_file(Repository(ledger), "emr", folder / name, longest=1 << 20)
        with ledger.read() as session:
            stored = session.exec(select(func.count(FhirResource.id))).one()
        status = Path("/proc/self/status").read_text()
        print(stored, int(status.partition("VmHWM:")[2].split()[0]) * 1024)
"""
"""Prints after each file how many resources are stored, and the most memory that the process ever had, in bytes.
(``getrusage`` would count the process that it was forked from.)"""


def _lines(size: int) -> list[bytes]:
    """Resources of stays that all have ids of their own, up to so many bytes."""
    entries = [json.loads(bundle_of(record))["entry"] for record in islice(generate(30), 30) if int(record["A48"]) % 2]
    resources = [entry["resource"] for bundle in entries for entry in bundle]
    lines: list[bytes] = []
    written = 0
    for number in count():
        body = resources[number % len(resources)]
        line = json.dumps({**body, "id": f"{body['id'][:40]}-{number}", "text": NARRATIVE}).encode() + b"\n"
        lines.append(line)
        written += len(line)
        if written >= size:
            return lines
    raise AssertionError("unreachable")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the memory")
@pytest.mark.slow
def test_a_bulk_file_is_flat_in_memory(tmp_path: Path) -> None:
    long = _lines(SIZE)
    (tmp_path / "short.ndjson").write_bytes(b"".join(_lines(2 * MEGABYTE)))
    (tmp_path / "long.ndjson").write_bytes(b"".join(long))
    answer = subprocess.run([sys.executable, "-c", _TAKE, str(tmp_path)], capture_output=True, timeout=240)
    assert answer.returncode == 0, answer.stderr.decode()[-2000:]
    (first, before), (stored, after) = (map(int, line.split()) for line in answer.stdout.splitlines())
    assert 0 < first < stored == len(long)  # what the short file holds begins the long one
    assert after - before < GROWTH, f"grew by {(after - before) / MEGABYTE:.0f} MB"
