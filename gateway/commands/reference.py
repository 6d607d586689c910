"""Commands that print or make reference material: ``sample``, ``schema``, ``platform``."""

from __future__ import annotations

from pathlib import Path

import click

from conformance.sample.files import write_sample
from gateway.model.schema import stay_schema
from mappings.guide import guide
from mappings.profile import platform_ids


@click.command(help="生成虚构的样本医院首页文件 / write invented front-sheet files to try things with")
@click.option("--stays", default=1000, show_default=True, help="病例数 / stays")
@click.option("--seed", default=20261124, show_default=True, help="随机种子 / seed")
@click.option("--spoiled/--clean", default=True, show_default=True, help="是否混入错误数据 / with deliberate faults or without")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="输出目录 / output folder")
def sample(stays: int, seed: int, spoiled: bool, out: Path) -> int:
    for path in write_sample(out, stays=stays, seed=seed, spoiled=spoiled):
        click.echo(str(path))
    return 0


@click.command(help="输出平台说明（依据、可信度、范围、字段）/ print a platform's guide from its profile")
@click.argument("id", type=click.Choice(platform_ids()))
def platform(id: str) -> int:
    click.echo(guide(id), nl=False)
    return 0


@click.command(help="输出规范模型的 JSON Schema / print the JSON Schema of the canonical stay")
def schema() -> int:
    click.echo(stay_schema(), nl=False)
    return 0
