"""Commands on an installation: ``init``, ``serve``, ``healthy``, ``trace``, ``audit``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click
import msgspec

from gateway import setup, tracing
from gateway.audit.log import export, verify
from gateway.intake.journal import Journal
from gateway.serving import serve as run
from gateway.settings import CONFIG_NAME, Settings, load
from gateway.store.ledger import Ledger
from gateway.store.vault import Vault


@click.command(help="建立配置、密钥和首个管理员 / set up configuration, keys and the first administrator")
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


@click.command(help="运行网关：收件、上报、接口和总览页 / run sources, engine, API and overview page")
@CONFIG
def serve(config: Path) -> int:
    run(load(config), started=lambda url: click.echo(f"直报已启动：{url}（按 Ctrl-C 停止）", err=True))
    return 0


@click.command(help="检查正在运行的网关是否健康 / ask a running gateway whether it is well")
@CONFIG
def healthy(config: Path) -> int:
    import httpx

    server = load(config).server
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


@click.command(help="从一个上报值追溯到来源字节 / from a submitted field back to source bytes")
@click.argument("submission")
@click.argument("field")
@CONFIG
def trace(submission: str, field: str, config: Path) -> int:
    with _looking_at(config) as (settings, ledger):
        journal = Journal(settings.raw_dir, ledger.vault)
        found = tracing.trace(ledger, journal, submission, field, sources=settings.sources)
    click.echo(msgspec.json.encode(asdict(found)).decode())
    return 0


@click.group(help="审计日志 / audit log")
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
    settings = load(config)
    with Ledger.look_at(settings.ledger_url, Vault.load(settings.key_file)) as ledger:
        yield settings, ledger
