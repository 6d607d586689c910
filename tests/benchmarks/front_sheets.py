"""Front-sheet files for benchmarks: sample records filled up to about half of the 811 columns.

The sample hospital fills some 150 columns of a record. Here the repeated groups are filled on (other diagnoses with present on
admission and outcome, other operations with all their items, ICU stays), with codes and names of the national lists, until about
405 columns hold something. Content is coherent in form (codes exist, names fit, times lie inside the stay), not in medicine.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from random import Random

from conformance.sample.clinical import case_mix
from conformance.sample.hospital import generate
from mappings.layout import layout

OTHER_DIAGNOSES = 27
OTHER_OPERATIONS = 12


def half_filled(stays: int, seed: int = 1) -> Iterator[dict[str, str]]:
    """``stays`` records with about half of the columns filled, in order of discharge."""
    rng = Random(seed)
    mix = case_mix()
    diagnoses = [(code, mix.diagnoses[code]) for code in mix.diagnoses if code[0] not in "CDOPQSTVWXYZ"]
    operations = [(op.code, op.name, op.anaesthesia, op.incision) for op in mix.operations.values()]
    for record in generate(stays, seed):
        used = {record.get(f"C06x{k:02d}C") for k in range(1, 41)} | {record["C03C"]}
        k = 1
        while record.get(f"C06x{k:02d}C"):
            k += 1
        for code, name in rng.sample(diagnoses, min(len(diagnoses), OTHER_DIAGNOSES)):
            if k > OTHER_DIAGNOSES or code in used:
                continue
            record |= {f"C06x{k:02d}C": code, f"C07x{k:02d}N": name, f"C08x{k:02d}C": "1", f"F06x{k:02d}": "2"}
            k += 1
        day = record["B15"][:10]
        for n in range(1, OTHER_OPERATIONS + 1):
            if record.get(f"C35x{n:02d}C", "-") != "-":
                continue
            code, name, anaesthesia, incision = rng.choice(operations)
            record |= {
                f"C35x{n:02d}C": code, f"C36x{n:02d}N": name, f"C37x{n:02d}": f"{day} 09:{n:02d}:00", f"C38x{n:02d}": "2",
                f"F14x{n:02d}": "1.5", f"C39x{n:02d}": "甲医师", f"C40x{n:02d}": "乙医师", f"C41x{n:02d}": "丙医师",
                f"C42x{n:02d}C": incision, f"C43x{n:02d}C": anaesthesia, f"F16x{n:02d}": "2", f"C44x{n:02d}": "丁医师",
            }  # fmt: skip
        yield record


def write(path: Path, stays: int) -> tuple[int, float]:
    """Write a file (GB18030, layout 2020); (bytes, share of cells that are filled)."""
    columns = layout("2020").columns
    filled = 0
    with path.open("w", encoding="gb18030", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(columns)
        for record in half_filled(stays):
            cells = [record.get(column, "") for column in columns]
            filled += sum(map(bool, cells))
            writer.writerow(cells)
    return path.stat().st_size, filled / (stays * len(columns))
