"""The command ``zhibao``.

Exit codes everywhere: 0 fine, 1 done but with findings of severity error (or something refused), 2 unusable input or usage.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import click
from rich.console import Console
from rich.progress import Progress

from adapters.hqms.writer import DEFAULT_ENCODING, ENCODINGS
from gateway import convert as work
from gateway import setup, tracing
from gateway.audit.log import export, verify
from gateway.intake.journal import Journal
from gateway.model.errors import AuditBroken, FileRefused, ZhibaoError
from gateway.model.schema import stay_schema
from gateway.settings import CONFIG_NAME, Settings
from gateway.settings import load as settings_of
from gateway.store.ledger import Ledger
from gateway.store.vault import Vault
from mappings.layout import LAYOUT_FILES, layout
from mappings.profile import platform_ids, profile

PATHS = click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
WORKERS = click.option("--workers", default=2, show_default=True, help="读取进程数 / worker processes")
ENCODING = click.option("--encoding", help="文件编码，默认自动识别 / encoding of the files")
PLATFORM = click.option("--platform", type=click.Choice(platform_ids()), help="平台 / platform")


@click.group(help="直报：肿瘤数据上报网关 / Zhibao: oncology reporting gateway for hospitals")
@click.version_option(package_name="zhibao")
def cli() -> None:
    """The group of all commands."""


def main() -> None:
    """Entry point: errors become a sentence and an exit code, never a traceback."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except AuditBroken as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    except ZhibaoError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


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


@cli.command(help="读取首页文件，每行输出一条 JSON，不用数据库 / read files to JSON lines, no database")
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


@cli.command(help="逐例说明为什么上报或不上报 / explain for each stay why it is due or not")
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


@cli.command(help="校验首页文件，每个问题一行 JSON / check files, a JSON line per finding")
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


@cli.command(help="转换为平台自己的文件 / convert to the platform's own file")
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
    rendered.write(batch.rendered)
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


@cli.command(help="建立配置、密钥和首个管理员 / set up configuration, keys and the first administrator")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def init(folder: Path) -> int:
    password = setup.create(folder)
    click.echo(f"已建立 {folder}。管理员 {setup.ADMINISTRATOR} 的一次性密码（只显示这一次）：{password}")
    click.echo("请立即备份 zhibao.keys：丢失后数据无法恢复。")
    return 0


CONFIG = click.option(
    "--config",
    default=CONFIG_NAME,
    show_default=True,
    type=click.Path(path_type=Path),
    help="配置文件或其目录 / configuration file or its folder",
)


@cli.command(help="运行网关：收件、上报、接口和总览页 / run sources, engine, API and overview page")
@CONFIG
def serve(config: Path) -> int:
    from gateway.serving import serve as run

    settings = settings_of(config)
    scheme = "https" if settings.server.tls_certificate else "http"
    click.echo(f"直报已启动：{scheme}://{settings.server.host}:{settings.server.port}（按 Ctrl-C 停止）", err=True)
    run(settings)
    return 0


@cli.command(help="检查正在运行的网关是否健康 / ask a running gateway whether it is well")
@CONFIG
def healthy(config: Path) -> int:
    import httpx

    server = settings_of(config).server
    scheme = "https" if server.tls_certificate else "http"
    host = "127.0.0.1" if server.host in ("0.0.0.0", "::") else server.host  # noqa: S104 - compared, not listened on
    try:
        # the certificate is the installation's own and names its public host, not the loopback that is asked here
        answer = httpx.get(f"{scheme}://{host}:{server.port}/healthz", verify=False, timeout=4, trust_env=False)  # noqa: S501
    except httpx.HTTPError as error:
        click.echo(f"网关没有应答（{type(error).__name__}）", err=True)
        return 1
    click.echo(answer.text)
    return 0 if answer.status_code == 200 else 1


@cli.command(help="演示：样本医院、平台模拟器和网关 / demo: sample hospital, simulated platform, gateway")
@click.option("--once", is_flag=True, help="回执收齐后退出 / exit when all receipts are in")
@click.option("--stays", default=1000, show_default=True, help="样本病例数 / stays of the sample hospital")
@click.option("--port", default=8750, show_default=True, help="网关端口，0 为任意 / port of the gateway, 0 for any")
@click.option(
    "--out", default=Path("demo-data"), show_default=True, type=click.Path(path_type=Path, file_okay=False), help="目录 / folder"
)
def demo(once: bool, stays: int, port: int, out: Path) -> int:
    from gateway.demo import run

    return run(out, stays=stays, port=port, once=once)


@cli.command(help="从一个上报值追溯到来源字节 / from a submitted field back to source bytes")
@click.argument("submission")
@click.argument("field")
@CONFIG
def trace(submission: str, field: str, config: Path) -> int:
    with _looking_at(config) as (settings, ledger):
        found = tracing.trace(ledger, Journal(settings.raw_dir, ledger.vault), submission, field)
    click.echo(work.json_line(asdict(found)))
    return 0


@cli.command(help="生成虚构的样本医院首页文件 / write invented front-sheet files to try things with")
@click.option("--stays", default=1000, show_default=True, help="病例数 / stays")
@click.option("--seed", default=20261124, show_default=True, help="随机种子 / seed")
@click.option("--spoiled/--clean", default=True, show_default=True, help="是否混入错误数据 / with deliberate faults or without")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="输出目录 / output folder")
def sample(stays: int, seed: int, spoiled: bool, out: Path) -> int:
    from conformance.sample.files import write_sample

    for path in write_sample(out, stays=stays, seed=seed, spoiled=spoiled):
        click.echo(str(path))
    return 0


@cli.command(help="输出规范模型的 JSON Schema / print the JSON Schema of the canonical stay")
def schema() -> int:
    click.echo(stay_schema(), nl=False)
    return 0


@cli.group(help="审计日志 / audit log")
def audit() -> None:
    """Commands about the audit log."""


@audit.command("verify", help="离线校验导出的审计日志 / verify an exported piece offline")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def audit_verify(file: Path) -> int:
    verified = verify(file)
    click.echo(f"校验通过：第 {verified.first}–{verified.last} 条，共 {verified.entries} 条")
    return 0


@audit.command("export", help="导出审计日志 / export the audit log")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--after", default=0, show_default=True, help="从第几条之后 / entries after this number")
@CONFIG
def audit_export(file: Path, after: int, config: Path) -> int:
    with _looking_at(config) as (_, ledger), ledger.read() as session, file.open("w", encoding="utf-8", newline="") as out:
        out.writelines(export(session, after=after))
    return 0


@contextmanager
def _looking_at(config: Path) -> Iterator[tuple[Settings, Ledger]]:
    """An installation's ledger, open for reading beside a running server. Who can run this command can read the key file."""
    settings = settings_of(config)
    with Ledger.look_at(settings.ledger_url, Vault.load(settings.key_file)) as ledger:
        yield settings, ledger


def _print(lines: list[str]) -> None:
    if lines:
        click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
