"""Commands on files, without an installation: ``read``, ``explain``, ``check``, ``convert``.

Front-sheet files by themselves stream through `gateway.convert`. As soon as one of the files holds HL7 v2 or FHIR, all of them are
assembled in the given order (`gateway.assembled`), which needs the throwaway ledger and so is imported only then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from adapters.fhir.fhir_file import holds_fhir
from adapters.hl7v2.message_file import holds_messages
from adapters.hqms.pcode_dbf import write_pcode_dbf
from adapters.hqms.tables import RowFault, open_table
from adapters.hqms.writer import DEFAULT_ENCODING, ENCODINGS, xlsx_for_people
from gateway import convert as work
from gateway.commands.sources import SourcedCommand, sourced
from gateway.model.errors import FileRefused, RowRefused
from gateway.told import tell
from mappings.layout import LAYOUT_FILES, Layout, layout
from mappings.profile import platform_ids, profile

if TYPE_CHECKING:
    from gateway.assembled import Order
    from gateway.workbench import Workbench

PATHS = click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
WORKERS = click.option("--workers", default=2, show_default=True, help="读取进程数 / worker processes")
ENCODING = click.option("--encoding", help="首页文件编码，默认自动识别 / encoding of front-sheet files")
PLATFORM = click.option("--platform", type=click.Choice(platform_ids()), help="平台 / platform")
ORGANISATION = click.option(
    "--organisation",
    default="",
    metavar="CODE",
    help="消息所属机构的代码（A01），默认取首页文件中的 / code of the institution that the messages come from",
)
OPTIONS = click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="登记平台的选项（如 institution_code=…），可重复；见 zhibao platform / what the hospital says about itself to a registry platform",
)
TEMPLATE = click.option(
    "--template",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="登记平台的模板列表（CSV），代替默认列 / own table of the columns of a registry platform",
)
ORGANISATION_NAME = click.option("--organisation-name", default="", metavar="NAME", help="消息所属机构的名称（A02）/ its name")

Files = list[tuple[Path, str]]
"""Files, each with the ``--source`` in front of it."""


def _each_file(files: Files, do: Callable[[Path, str], bool], refused: Callable[[Path, FileRefused], None]) -> tuple[int, int]:
    """Run ``do``, which says whether it could use anything, over all files; (files used, files refused). A refused file does not stop
    the others."""
    used = bad = 0
    for path, source in files:
        try:
            if do(path, source):
                used += 1
            else:
                bad += 1
        except FileRefused as refusal:
            bad += 1
            refused(path, refusal)
    return used, bad


def exit_code(used: int, refused: int, *, findings: bool) -> int:
    if not used:
        return 2
    return 1 if refused or findings else 0


def _tell(path: Path, refusal: FileRefused) -> None:
    click.echo(f"{path.name}：{refusal}", err=True)


@click.command(
    cls=SourcedCommand,
    help="读取首页文件、HL7 v2 消息和 FHIR，每行输出一条 JSON，不用数据库 / read front sheets, HL7 v2 and FHIR to JSON lines, no database",
)
@PATHS
@ENCODING
@WORKERS
@click.option("--json", "as_json", is_flag=True, help="输出 JSON（默认即是）/ JSON lines (the default)")
def read(paths: tuple[Path, ...], encoding: str | None, workers: int, as_json: bool) -> int:  # noqa: ARG001 - kept stable
    from gateway.commands import fhir_messages
    from gateway.commands.messages import Readers

    readers = Readers()
    rows_refused = 0

    def do(path: Path, source: str) -> bool:
        nonlocal rows_refused
        messages = _in_messages(path)
        if not messages:
            batches = work.run(path, "read", encoding=encoding, workers=workers)
        else:
            batches = fhir_messages.read(path, source) if holds_fhir(path) else readers.read(path, source)
        usable = not messages
        for batch in batches:
            rows_refused += batch.refused
            usable = usable or batch.refused < batch.rows
            _print(batch.lines)
        return usable

    def refused(path: Path, refusal: FileRefused) -> None:
        line = {"file": path.name, "message_index": None, "kind": "file", "outcome": "refused", "reason": str(refusal)}
        _print([work.json_line({**line, "record": None})])

    return exit_code(*_each_file(sourced(paths), do, refused), findings=rows_refused > 0)


@click.command(cls=SourcedCommand, help="逐例说明为什么上报或不上报 / explain for each stay why it is due or not")
@PATHS
@ENCODING
@WORKERS
@ORGANISATION
@ORGANISATION_NAME
@OPTIONS
@click.option("--platform", required=True, type=click.Choice(platform_ids()), help="平台 / platform")
def explain(
    paths: tuple[Path, ...],
    encoding: str | None,
    workers: int,
    organisation: str,
    organisation_name: str,
    options: tuple[str, ...],
    platform: str,
) -> int:
    files = sourced(paths)
    if profile(platform).unit == "tumour":
        from gateway.commands import tumours

        return tumours.explain(bench_of(files, encoding, organisation, organisation_name), platform, options)
    rows_refused = 0

    def do(path: Path, source: str) -> bool:  # noqa: ARG001 - of messages only
        nonlocal rows_refused
        for batch in work.run(path, "explain", encoding=encoding, workers=workers, platform=platform):
            rows_refused += batch.refused
            _print(batch.lines)
        return True

    if not _with_messages(files):
        return exit_code(*_each_file(files, do, _tell), findings=rows_refused > 0)

    from gateway.assembled import Order, batches

    with bench_of(files, encoding, organisation, organisation_name) as (bench, used, bad):
        for batch in batches(bench, Order("explain", platform)):
            rows_refused += batch.refused
            _print(batch.lines)
        left = [told for told in bench.left() if told.finding.blocks]
        for place, finding in left:
            click.echo(f"{place.file}#{place.number}：{finding.message}", err=True)
        return exit_code(used, bad, findings=bool(rows_refused or left))


@click.command(
    cls=SourcedCommand,
    help="校验首页文件、由消息汇成的病例或消息本身，每个问题一行 JSON / check front sheets, stays or messages, a JSON line per finding",
)
@PATHS
@ENCODING
@WORKERS
@PLATFORM
@OPTIONS
@TEMPLATE
@ORGANISATION
@ORGANISATION_NAME
@click.option(
    "--dictionaries", type=click.Path(path_type=Path, exists=True, file_okay=False), help="补充字典目录 / further code lists"
)
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    metavar="structure|base|declared|NAME|FILE",
    help="只核对消息本身：structure 按标准的结构，或约定文件；FHIR 另有 base、declared 和规范的名称，可重复 / check messages themselves: by "
    "the standard's structure or a profile file; for FHIR also base, declared or the name of a profile",
)
def check(
    paths: tuple[Path, ...],
    encoding: str | None,
    workers: int,
    platform: str | None,
    options: tuple[str, ...],
    template: Path | None,
    organisation: str,
    organisation_name: str,
    dictionaries: Path | None,
    profiles: tuple[str, ...],
) -> int:
    files = sourced(paths)
    if profiles:
        return _check_messages(files, profiles)
    if platform and profile(platform).unit == "tumour":
        from gateway.commands import tumours

        return tumours.check(bench_of(files, encoding, organisation, organisation_name), platform, options, template)
    errors = rows_refused = 0

    def take(batch: work.Batch) -> None:
        nonlocal errors, rows_refused
        errors += batch.errors
        rows_refused += batch.refused
        _print(batch.lines)

    def do(path: Path, source: str) -> bool:  # noqa: ARG001 - of messages only
        for line in work.file_findings(path, encoding=encoding, dictionaries=dictionaries):
            click.echo(line)
        options: dict[str, Any] = {"encoding": encoding, "workers": workers, "dictionaries": dictionaries}
        for batch in work.run(path, "check", platform=platform or "", **options):
            take(batch)
        return True

    if not _with_messages(files):
        return exit_code(*_each_file(files, do, _tell), findings=bool(errors or rows_refused))

    from gateway.assembled import Order, unchecked

    order = Order("check", platform or "", dictionaries=dictionaries)
    with bench_of(files, encoding, organisation, organisation_name) as (bench, used, bad):
        for path in bench.sheets:
            _print(list(work.file_findings(path, encoding=encoding, dictionaries=dictionaries)))
        if not bench.sheets:
            _print(list(unchecked(order)))
        for batch in _assembled(bench, order):
            take(batch)
        return exit_code(used, bad, findings=bool(errors or rows_refused))


def _check_messages(files: Files, profiles: tuple[str, ...]) -> int:
    """Messages by the structure of their standard, or by profiles."""
    of_fhir = {path for path, _ in files if holds_fhir(path)}
    check_fhir = _fhir_conformance(profiles) if of_fhir else None
    check_v2 = _v2_conformance(profiles) if len(of_fhir) < len({path for path, _ in files}) else None
    findings = False

    def do(path: Path, source: str) -> bool:  # noqa: ARG001 - the structure does not depend on the dialect
        nonlocal findings
        conformance = check_fhir if path in of_fhir else check_v2
        if conformance is None or not (path in of_fhir or holds_messages(path)):
            raise FileRefused("not-messages", "不是消息文件", action="--profile 只用于 HL7 v2 和 FHIR 消息", english="no messages")
        usable = False
        for batch in conformance(path):
            findings = findings or batch.errors > 0
            usable = usable or batch.refused < batch.rows
            _print(batch.lines)
        return usable

    used, bad = _each_file(files, do, _tell)
    return exit_code(used, bad, findings=findings)


def _v2_conformance(profiles: tuple[str, ...]) -> Callable[[Path], Iterator[work.Batch]]:
    from adapters.hl7v2.profile import read_profile
    from gateway.commands.messages import conformance

    wanted = [None if name == "structure" else read_profile(Path(name)) for name in profiles]
    return lambda path: conformance(path, wanted)


def _fhir_conformance(profiles: tuple[str, ...]) -> Callable[[Path], Iterator[work.Batch]]:
    from gateway.commands.fhir_profiles import conformance, wanted

    asked = [wanted(name) for name in profiles]
    return lambda path: conformance(path, asked)


@click.command(cls=SourcedCommand, help="转换为平台自己的文件 / convert to the platform's own file")
@PATHS
@ENCODING
@WORKERS
@ORGANISATION
@ORGANISATION_NAME
@click.option("--to", "platform", required=True, type=click.Choice(platform_ids()), help="平台 / platform")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="输出目录 / output folder")
@OPTIONS
@TEMPLATE
@click.option("--layout", "target", type=click.Choice(list(LAYOUT_FILES)), help="版式，默认为平台现行版式 / layout")
@click.option("--out-encoding", type=click.Choice(ENCODINGS), default=DEFAULT_ENCODING, show_default=True)
@click.option(
    "--format",
    "kind",
    type=click.Choice(("csv", "xlsx", "dbf")),
    default="csv",
    show_default=True,
    help="csv 用于上传；xlsx 另附一份供人查看；dbf 为 P 码版式的两部分 / xlsx adds a copy for people, dbf is for --layout pcode",
)
def convert(
    paths: tuple[Path, ...],
    encoding: str | None,
    workers: int,
    organisation: str,
    organisation_name: str,
    platform: str,
    out: Path,
    options: tuple[str, ...],
    template: Path | None,
    target: str | None,
    out_encoding: str,
    kind: str,
) -> int:
    files = sourced(paths)
    if profile(platform).unit == "tumour":
        from gateway.commands import tumours

        if target or kind == "dbf":
            raise click.UsageError(f"--layout、--format dbf 不用于平台 {platform} / not for this platform")
        return tumours.convert(files, bench_of(files, encoding, organisation, organisation_name), platform, options, template, out)
    chosen = layout(target) if target else profile(platform).stay_layout
    if kind == "dbf" and chosen.id != "pcode":
        raise click.UsageError("--format dbf 只用于 --layout pcode / is for --layout pcode only")
    out.mkdir(parents=True, exist_ok=True)
    part = out / ".converting.csv"
    given = {path.resolve() for path, _ in files}
    months: set[str] = set()
    counts = {"rows": 0, "written": 0, "refused": 0, "errors": 0}
    with (
        part.open("w", encoding=out_encoding, newline="") as rendered,
        (out / "findings.jsonl").open("w", encoding="utf-8") as found,
    ):
        click.get_current_context().call_on_close(lambda: part.unlink(missing_ok=True))
        rendered.write(",".join(chosen.columns) + "\r\n")

        def do(path: Path, source: str) -> bool:  # noqa: ARG001 - of messages only
            batches = work.run(path, "convert", encoding=encoding, workers=workers, platform=platform, target=chosen.id)
            for batch in _with_progress(batches, path):
                _take(batch, rendered, found, months, counts)
            return True

        if not _with_messages(files):
            unit = "行"
            used, bad = _each_file(files, do, _tell)
        else:
            from gateway.assembled import Order

            unit = "例"
            with bench_of(files, encoding, organisation, organisation_name) as (bench, used, bad):
                for batch in _assembled(bench, Order("convert", platform, chosen.id)):
                    _take(batch, rendered, found, months, counts)
    counted = f"读取 {counts['rows']} {unit}，写出 {counts['written']} {unit}，拒收"
    if not used:
        click.echo(f"{counted} {counts['refused']} 行；没有可用的输入，未生成文件", err=True)
        return exit_code(used, bad, findings=False)
    name = work.file_name(months, chosen.id)
    if not given.isdisjoint((out / name).with_suffix(suffix).resolve() for suffix in (".csv", f".{kind}")):
        raise click.UsageError(f"输出文件 {out / name} 就是输入文件之一，未覆盖；请换一个输出目录 / would overwrite an input")
    part.replace(out / name)
    if kind != "csv":
        name, misfits = _as_format(out / name, kind, chosen)
        counts["refused"] += len(misfits)
        for row, misfit in misfits.items():
            click.echo(f"第 {row} 行没有写入 {kind}：{misfit}", err=True)
    click.echo(f"{counted} {counts['refused']} 行，错误 {counts['errors']} 项：{out / name}", err=True)
    return exit_code(used, bad, findings=bool(counts["errors"] or counts["refused"]))


def _with_messages(files: Files) -> bool:
    return any(_in_messages(path) for path, _ in files)


def _in_messages(path: Path) -> bool:
    """Whether a file holds messages (HL7 v2, FHIR) rather than front sheets."""
    return holds_messages(path) or holds_fhir(path)


@contextmanager
def bench_of(files: Files, encoding: str | None, organisation: str, name: str) -> Iterator[tuple[Workbench, int, int]]:
    """A workbench with all files on it, in their order; (it, files used, files refused)."""
    from gateway.assembled import organisation_of
    from gateway.workbench import workbench

    code = organisation or organisation_of((path for path, _ in files if not _in_messages(path)), encoding)
    with workbench(code, name) as bench:

        def do(path: Path, source: str) -> bool:
            if holds_fhir(path):
                return bench.take_fhir(path, source) > 0
            if holds_messages(path):
                return bench.take_messages(path, source) > 0
            bench.take_sheet(path, encoding)
            return True

        yield (bench, *_each_file(files, do, _tell))


def _assembled(bench: Workbench, order: Order) -> Iterator[work.Batch]:
    """What a command makes of the stays on the bench, and what there is to say of messages that are part of none."""
    from gateway.assembled import batches

    yield from batches(bench, order)
    left = work.Batch()
    tell(bench.left(), left)
    yield left


def _take(batch: work.Batch, rendered: TextIO, found: TextIO, months: set[str], counts: dict[str, int]) -> None:
    rendered.writelines(batch.rendered)
    found.writelines(f"{line}\n" for line in batch.lines)
    months |= batch.months
    for name in counts:
        counts[name] += getattr(batch, name)


def _with_progress(batches: Iterator[work.Batch], path: Path) -> Iterator[work.Batch]:
    """Batches as they are, with a progress bar on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from batches
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]} 行"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(path.name, total=None, rows=0)
        rows = 0
        for batch in batches:
            rows += batch.rows
            done, total = batch.progress
            progress.update(task, completed=done, total=total or None, rows=f"{rows:,}")
            yield batch


def _as_format(rendered: Path, kind: str, chosen: Layout) -> tuple[str, dict[int, RowRefused]]:
    """The rendered CSV file in another format beside it: the two DBF parts of the P-code layout, which take its place, or a workbook for
    people; what to call it, and the rows that it cannot hold."""
    with open_table(rendered) as table:
        records = (dict(zip(table.header, row.cells, strict=True)) for row in table.rows() if not isinstance(row, RowFault))
        if kind == "xlsx":
            path = rendered.with_suffix(".xlsx")
            return path.name, xlsx_for_people(chosen, records, path)
        pair = write_pcode_dbf(rendered.parent, rendered.stem, records)
    rendered.unlink()
    return f"{pair.part1.name}、{pair.part2.name}", pair.refused


def _print(lines: list[str]) -> None:
    if lines:
        click.echo("\n".join(lines))
