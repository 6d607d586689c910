"""What every benchmark says besides its figure: on which machine, and how much memory a whole process tree held."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Run:
    """A finished command: wall seconds, CPU seconds of the whole tree, and the largest sum of resident bytes of all its processes
    that was seen (pages that processes share count in each)."""

    seconds: float
    cpu_seconds: float
    resident: int


def run(command: Sequence[str]) -> Run:
    """Run a command to its end and watch its process tree. Raises ``CalledProcessError`` for exit codes above 1."""
    before = os.times()
    started = time.perf_counter()
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    largest = 0
    while process.poll() is None:
        try:
            largest = max(largest, sum(p.memory_info().rss for p in (process, *process.children(recursive=True))))
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.05)
    seconds = time.perf_counter() - started
    after = os.times()
    error = process.stderr.read() if process.stderr is not None else b""
    if process.returncode > 1:
        raise subprocess.CalledProcessError(process.returncode, list(command), stderr=error)
    cpu = (after.children_user - before.children_user) + (after.children_system - before.children_system)
    return Run(seconds, cpu, largest)


def machine() -> str:
    """One line about the machine."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = psutil.virtual_memory().total >> 30
    return f"{os.cpu_count()} cores ({model}), {memory} GiB, {platform.system()}, Python {platform.python_version()}"


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(heading)} |", "|" + "---|" * len(heading)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
