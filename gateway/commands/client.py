"""Commands about programs that use the API: ``client add``, ``trust``, ``key``, ``revoke``, ``list``, ``disable``, ``enable``.

They work on the ledger itself, beside a running server or without one; a server sees every change at its next request.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import click
from sqlmodel import Session

from gateway.access import registry
from gateway.access.scopes import parse_scopes
from gateway.commands.installation import CONFIG
from gateway.model.errors import ConfigurationError
from gateway.settings import Settings, load
from gateway.store.ledger import Ledger, now
from gateway.store.vault import Vault

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
NAME = click.argument("name")
JWKS = click.option(
    "--jwks", type=_FILE, help="客户端的公钥（JWK Set 文件），用于签名断言 / its public keys, for signed assertions"
)
CERTIFICATE = click.option("--certificate", type=_FILE, help="客户端证书（PEM），用于双向 TLS / its certificate, for mutual TLS")
KINDS = {"key": "接口密钥 API key", "public-key": "公钥 public key", "certificate": "证书 certificate"}


@click.group(help="使用接口的程序：权限与凭据 / programs that use the API: rights and credentials")
def client() -> None:
    """Commands about clients."""


@client.command("add", help="登记客户端 / register a client")
@NAME
@click.option("--source", default="", metavar="ID", help="它代表的来源（配置中 sources 的编号）/ the source that it sends for")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    help="权限，如 system/Patient.rs、system/*.read，可重复 / what it may do, may be repeated",
)
@JWKS
@CERTIFICATE
@CONFIG
def client_add(name: str, source: str, scopes: tuple[str, ...], jwks: Path | None, certificate: Path | None, config: Path) -> int:
    with _visiting(config) as (settings, ledger), ledger.write() as session:
        if source and source not in settings.sources:
            known = "、".join(settings.sources) or "无"
            raise ConfigurationError(
                "配置中没有这个来源",
                action=f"请先配置 sources.{source}（已有：{known}）",
                english="no such source in the configuration",
            )
        registry.register(session, name, parse_scopes(" ".join(scopes)), source=source, actor=_who())
        taken = _trust(session, name, jwks, certificate)
    click.echo(f"已登记客户端 {name}")
    for line in taken:
        click.echo(line)
    return 0


@client.command("trust", help="为客户端登记公钥或证书，同名公钥被替换 / take further public keys or a certificate of a client")
@NAME
@JWKS
@CERTIFICATE
@CONFIG
def client_trust(name: str, jwks: Path | None, certificate: Path | None, config: Path) -> int:
    if jwks is None and certificate is None:
        raise click.UsageError("请给出 --jwks 或 --certificate / give --jwks or --certificate")
    with _visiting(config) as (_, ledger), ledger.write() as session:
        taken = _trust(session, name, jwks, certificate)
    for line in taken:
        click.echo(line)
    return 0


@client.command("key", help="签发新的接口密钥，只显示这一次 / issue an API key, shown this once")
@NAME
@click.option("--days", type=click.IntRange(min=1, max=36500), help="有效天数，默认不限 / days that it is good for, default no end")
@CONFIG
def client_key(name: str, days: int | None, config: Path) -> int:
    with _visiting(config) as (_, ledger), ledger.write() as session:
        key = registry.issue_key(session, name, good_for=timedelta(days=days) if days else None, actor=_who())
    click.echo("以下接口密钥只显示这一次；换用后请用 zhibao client revoke 作废旧的：", err=True)
    click.echo(key)
    return 0


@client.command("revoke", help="作废一个凭据，编号见 client list / take a credential back, by its number in the list")
@NAME
@click.argument("number", type=int)
@CONFIG
def client_revoke(name: str, number: int, config: Path) -> int:
    with _visiting(config) as (_, ledger), ledger.write() as session:
        registry.revoke(session, name, number, actor=_who())
    click.echo(f"已作废客户端 {name} 的凭据 {number}")
    return 0


@client.command("list", help="列出客户端、权限和凭据 / list clients, their rights and credentials")
@CONFIG
def client_list(config: Path) -> int:
    with _visiting(config) as (_, ledger), ledger.read() as session:
        for one, credentials in registry.clients(session):
            click.echo(f"{one.name}\t{'停用 disabled' if one.disabled else '启用 enabled'}\t{one.source or '-'}\t{one.scopes}")
            for credential in credentials:
                name = f"\t{credential.kid or credential.digest[:16]}" if credential.kind != "key" else ""
                click.echo(f"  {credential.id}\t{KINDS[credential.kind]}\t{_until(credential.expires_at)}{name}")
    return 0


@client.command("disable", help="停用客户端，立即生效 / shut a client out at once")
@NAME
@CONFIG
def client_disable(name: str, config: Path) -> int:
    with _visiting(config) as (_, ledger), ledger.write() as session:
        registry.enable(session, name, enabled=False, actor=_who())
    click.echo(f"已停用客户端 {name}")
    return 0


@client.command("enable", help="重新启用客户端 / let a client in again")
@NAME
@CONFIG
def client_enable(name: str, config: Path) -> int:
    with _visiting(config) as (_, ledger), ledger.write() as session:
        registry.enable(session, name, enabled=True, actor=_who())
    click.echo(f"已启用客户端 {name}")
    return 0


@contextmanager
def _visiting(config: Path) -> Iterator[tuple[Settings, Ledger]]:
    settings = load(config)
    with Ledger.visit(settings.ledger_url, Vault.load(settings.key_file)) as ledger:
        yield settings, ledger


def _trust(session: Session, name: str, jwks: Path | None, certificate: Path | None) -> list[str]:
    """Take what was given; a line about each."""
    taken = []
    if jwks is not None:
        kids = registry.trust_keys(session, name, jwks.read_bytes(), actor=_who())
        taken.append(f"已登记公钥：{'、'.join(kids)}")
    if certificate is not None:
        fingerprint = registry.trust_certificate(session, name, certificate.read_bytes(), actor=_who())
        taken.append(f"已登记证书：SHA-256 {fingerprint}")
    return taken


def _who() -> str:
    """Whom the audit log names: the system's user who ran the command."""
    return f"uid:{os.getuid()}"


def _until(expires_at: datetime | None) -> str:
    if expires_at is None:
        return "长期 no end"
    return f"{'已过期 expired' if expires_at <= now() else '至 until'} {expires_at:%Y-%m-%d %H:%M}Z"
