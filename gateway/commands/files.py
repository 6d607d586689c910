"""Commands on files, without a ledger: ``read``, ``explain``, ``check``, ``convert``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import click
from rich.console import Console
from rich.progress import Progress

from adapters.hqms.writer import DEFAULT_ENCODING, ENCODINGS
from gateway import convert as work
from gateway.model.errors import FileRefused
from mappings.layout import LAYOUT_FILES, layout
from mappings.profile import platform_ids, profile

PATHS = click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
WORKERS = click.option("--workers", default=2, show_default=True, help="读取进程数 / worker processes")
ENCODING = click.option("--encoding", help="文件编码，默认自动识别 / encoding of the files")
PLATFORM = click.option("--platform", type=click.Choice(platform_ids()), help="平台 / platform")


def _files(paths: tuple[Path, ...]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        else:
            yield path


def _each_file(
    paths: tuple[Path, ...], do: Callable[[Path], None], refused: Callable[[Path, FileRefused], None]
) -> tuple[int, int]:
    """Run ``do`` over all files; (files used, files refused). A refused file does not stop the others."""
    used = bad = 0
    for path in _files(paths):
        try:
            do(path)
            used += 1
        except FileRefused as refusal:
            bad += 1
            refused(path, refusal)
    return used, bad


def _exit_code(used: int, refused: int, *, findings: bool) -> int:
    if not used:
        return 2
    return 1 if refused or findings else 0


def _tell(path: Path, refusal: FileRefused) -> None:
    click.echo(f"{path.name}：{refusal}", err=True)


@click.command(help="读取首页文件，每行输出一条 JSON，不用数据库 / read files to JSON lines, no database")
@PATHS
@ENCODING
@WORKERS
@click.option("--json", "as_json", is_flag=True, help="输出 JSON（默认即是）/ JSON lines (the default)")
def read(paths: tuple[Path, ...], encoding: str | None, workers: int, as_json: bool) -> int:  # noqa: ARG001 - kept stable
    rows_refused = 0

    def do(path: Path) -> None:
        nonlocal rows_refused
        for batch in work.run(path, "read", encoding=encoding, workers=workers):
            rows_refused += batch.refused
            _print(batch.lines)

    def refused(path: Path, refusal: FileRefused) -> None:
        line = {"file": path.name, "message_index": None, "kind": "file", "outcome": "refused", "reason": str(refusal)}
        _print([work.json_line({**line, "record": None})])

    return _exit_code(*_each_file(paths, do, refused), findings=rows_refused > 0)


@click.command(help="逐例说明为什么上报或不上报 / explain for each stay why it is due or not")
@PATHS
@ENCODING
@WORKERS
@click.option("--platform", required=True, type=click.Choice(platform_ids()), help="平台 / platform")
def explain(paths: tuple[Path, ...], encoding: str | None, workers: int, platform: str) -> int:
    rows_refused = 0

    def do(path: Path) -> None:
        nonlocal rows_refused
        for batch in work.run(path, "explain", encoding=encoding, workers=workers, platform=platform):
            rows_refused += batch.refused
            _print(batch.lines)

    return _exit_code(*_each_file(paths, do, _tell), findings=rows_refused > 0)


@click.command(help="校验首页文件，每个问题一行 JSON / check files, a JSON line per finding")
@PATHS
@ENCODING
@WORKERS
@PLATFORM
@click.option(
    "--dictionaries", type=click.Path(path_type=Path, exists=True, file_okay=False), help="补充字典目录 / further code lists"
)
def check(paths: tuple[Path, ...], encoding: str | None, workers: int, platform: str | None, dictionaries: Path | None) -> int:
    errors = rows_refused = 0

    def do(path: Path) -> None:
        nonlocal errors, rows_refused
        for line in work.file_findings(path, encoding=encoding, dictionaries=dictionaries):
            click.echo(line)
        options: dict[str, Any] = {"encoding": encoding, "workers": workers, "dictionaries": dictionaries}
        for batch in work.run(path, "check", platform=platform or "", **options):
            errors += batch.errors
            rows_refused += batch.refused
            _print(batch.lines)

    return _exit_code(*_each_file(paths, do, _tell), findings=bool(errors or rows_refused))


@click.command(help="转换为平台自己的文件 / convert to the platform's own file")
@PATHS
@ENCODING
@WORKERS
@click.option("--to", "platform", required=True, type=click.Choice(platform_ids()), help="平台 / platform")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="输出目录 / output folder")
@click.option("--layout", "target", type=click.Choice(list(LAYOUT_FILES)), help="版式，默认为平台现行版式 / layout")
@click.option("--out-encoding", type=click.Choice(ENCODINGS), default=DEFAULT_ENCODING, show_default=True)
def convert(
    paths: tuple[Path, ...],
    encoding: str | None,
    workers: int,
    platform: str,
    out: Path,
    target: str | None,
    out_encoding: str,
) -> int:
    chosen = layout(target) if target else profile(platform).layout
    out.mkdir(parents=True, exist_ok=True)
    part = out / ".converting.csv"
    months: set[str] = set()
    counts = {"rows": 0, "written": 0, "refused": 0, "errors": 0}
    with (
        part.open("w", encoding=out_encoding, newline="") as rendered,
        (out / "findings.jsonl").open("w", encoding="utf-8") as found,
    ):
        rendered.write(",".join(chosen.columns) + "\r\n")

        def do(path: Path) -> None:
            batches = work.run(path, "convert", encoding=encoding, workers=workers, platform=platform, target=chosen.id)
            for batch in _with_progress(batches, path):
                _take(batch, rendered, found, months, counts)

        used, bad = _each_file(paths, do, _tell)
    name = work.file_name(months, chosen.id)
    if used:
        part.replace(out / name)
    else:
        part.unlink()
    summary = f"读取 {counts['rows']} 行，写出 {counts['written']} 行，拒收 {counts['refused']} 行，错误 {counts['errors']} 项"
    click.echo(f"{summary}：{out / name}", err=True)
    return _exit_code(used, bad, findings=bool(counts["errors"] or counts["refused"]))


def _take(batch: work.Batch, rendered: TextIO, found: TextIO, months: set[str], counts: dict[str, int]) -> None:
    rendered.writelines(batch.rendered)
    found.writelines(f"{line}\n" for line in batch.lines)
    months |= batch.months
    for name in counts:
        counts[name] += getattr(batch, name)


def _with_progress(batches: Iterator[work.Batch], path: Path) -> Iterator[work.Batch]:
    """Batches as they are, with a row count on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from batches
        return
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(path.name, total=None)
        for batch in batches:
            progress.advance(task, batch.rows)
            yield batch


def _print(lines: list[str]) -> None:
    if lines:
        click.echo("\n".join(lines))
