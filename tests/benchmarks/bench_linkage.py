"""Identity of tumours: 100,000 stays of 40,000 people read for evidence, linked to persons and grouped into primary tumours."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from gateway.cases.primaries.choices import RegistryChoices
from gateway.cases.primaries.evidence import Seen
from gateway.cases.primaries.grouping import group
from gateway.cases.primaries.persons import link
from gateway.cases.primaries.stays import seen
from tests.benchmarks import patients
from tests.benchmarks.measure import table

STAYS, PEOPLE = 100_000, 40_000
_CHOICES = RegistryChoices()


def report(folder: Path, stays: int = STAYS, people: int = PEOPLE) -> str:
    """The section of the report; measured in a process of its own, so that the peak of memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
        rows, quality = apart.submit(_measured, stays, people).result()
    return (
        "## Tumours of persons\n\n"
        f"{stays:,} invented stays of {people:,} people in five hospitals; {patients.NO_ID:.0%} without a resident ID,"
        f" {patients.BAD_ID:.0%} with a mistyped one,\n"
        f"{patients.BAD_NAME:.0%} with a wrong character in the name, {patients.BAD_BIRTH:.0%} with a wrong birth date. One process on one"
        " core, without the ledger.\n"
        "Wrongly joined: pairs of stays of different people in one person; wrongly split: pairs of stays of one person in two, most of\n"
        "which a question brings before a registrar.\n\n" + table(("step", "seconds", "a second"), rows) + "\n\n" + quality
    )


def _measured(stays: int, people: int) -> tuple[list[tuple[str, ...]], str]:
    truth: dict[str, int] = {}
    made = []
    for number, (somebody, stay) in enumerate(patients.stays(stays, people)):
        truth[f"stay:{number}"] = somebody
        made.append(stay)
    started = time.perf_counter()
    sighted = [seen(stay, f"stay:{number}") for number, stay in enumerate(made)]
    read = time.perf_counter() - started
    del made
    started = time.perf_counter()
    linked = link([one.sighting for one in sighted], (), _CHOICES)
    joined = time.perf_counter() - started
    started = time.perf_counter()
    tumours = _tumours(linked.persons, sighted)
    grouped = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows = [
        _row("evidence of stays", read, stays),
        _row("stays linked to persons", joined, stays),
        _row("evidence grouped into tumours", grouped, stays),
        _row("linking and grouping together", joined + grouped, stays),
    ]
    wrongly_joined, wrongly_split = _wrong(linked.persons, truth)
    asked = sum(truth[left] == truth[right] for left, right, _ in linked.questions)
    quality = (
        f"{len(linked.persons):,} persons and {tumours:,} tumours; wrongly joined {wrongly_joined:,} pairs, wrongly split {wrongly_split:,};"
        f" {len(linked.questions):,}\n"
        f"questions about persons, {asked:,} of them about one person. Keys too common to compare: {sum(linked.skipped.values()):,}."
        f" Peak of memory {peak:,.0f} MiB."
    )
    return rows, quality


def _row(step: str, seconds: float, stays: int) -> tuple[str, ...]:
    return step, f"{seconds:.1f} s", f"{stays / seconds:,.0f}"


def _tumours(persons: Iterable[Sequence[str]], sighted: Iterable[Seen]) -> int:
    by_key = {one.sighting.key: one for one in sighted}
    return sum(len(group([by_key[key] for key in keys], (), _CHOICES).tumours) for keys in persons)


def _wrong(persons: Iterable[Sequence[str]], truth: dict[str, int]) -> tuple[int, int]:
    """(pairs of different people in one person, pairs of one person in different ones)."""
    joined = 0
    pieces: dict[int, list[int]] = defaultdict(list)
    for keys in persons:
        people = Counter(truth[key] for key in keys)
        joined += _pairs(len(keys)) - sum(_pairs(count) for count in people.values())
        for somebody, count in people.items():
            pieces[somebody].append(count)
    split = sum(_pairs(sum(counts)) - sum(_pairs(count) for count in counts) for counts in pieces.values())
    return joined, split


def _pairs(count: int) -> int:
    return count * (count - 1) // 2
