"""The command ``demo``."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.demo import run


@click.command(help="演示：样本医院、平台模拟器和网关 / demo: sample hospital, simulated platform, gateway")
@click.option("--once", is_flag=True, help="回执收齐后退出 / exit when all receipts are in")
@click.option("--stays", default=1000, show_default=True, help="样本病例数 / stays of the sample hospital")
@click.option("--port", default=8750, show_default=True, help="网关端口，0 为任意 / port of the gateway, 0 for any")
@click.option(
    "--out", default=Path("demo-data"), show_default=True, type=click.Path(path_type=Path, file_okay=False), help="目录 / folder"
)
def demo(once: bool, stays: int, port: int, out: Path) -> int:
    return run(out, stays=stays, port=port, once=once)
