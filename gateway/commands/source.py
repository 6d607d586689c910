"""Commands about senders: ``source list`` (HL7 v2 and FHIR), ``source probe`` (HL7 v2)."""

from __future__ import annotations

from pathlib import Path

import click

from adapters.fhir.dialect import BUILT_IN as FHIR
from adapters.fhir.dialect import fhir_dialect
from adapters.hl7v2.dialect import BUILT_IN, dialect
from adapters.hl7v2.probe import probe
from adapters.hl7v2.proposal import proposed
from gateway.commands.sources import walked
from gateway.model.errors import ConfigurationError, FileRefused


@click.group(help="HL7 v2 来源 / senders of HL7 v2")
def source() -> None:
    """Commands about senders."""


@source.command("list", help="列出内置方言及其发送方 / list the built-in dialects and whose they are")
def source_list() -> int:
    for name in BUILT_IN:
        known = dialect(name)
        header = "，".join(f"{place} = {pattern.pattern}" for place, pattern in known.recognise) or "不按消息头识别"
        click.echo(f"{name}\t{known.name}\t{header}")
    for name in FHIR:
        click.echo(f"{name}\t{fhir_dialect(name).name}\tFHIR")
    return 0


@source.command("probe", help="分析样本消息的写法，建议方言文件 / find out how samples are written, propose a dialect file")
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--charset", default="", help="消息没有声明时的字符集 / character set of messages that declare none")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="写入建议的方言文件（.toml）/ write the proposed dialect"
)
def source_probe(paths: tuple[Path, ...], charset: str, out: Path | None) -> int:
    if out is not None and out.suffix != ".toml":
        raise click.UsageError("方言文件名应以 .toml 结尾 / a dialect file ends in .toml")
    if out is not None and out.exists():
        raise _there_already(out)
    files = [file for path in paths for file in walked(path)]
    try:
        result = probe(files, charset=charset)
    except OSError as error:
        name = Path(str(error.filename)).name
        raise FileRefused("unreadable", f"文件“{name}”无法读取", action="请检查路径和权限", english="unreadable") from None
    click.echo(result.report(), nl=False)
    if not result.messages:
        return 2
    if out is not None:
        try:
            with out.open("x", encoding="utf-8") as file:
                file.write(proposed(result, out.stem))
        except FileExistsError:
            raise _there_already(out) from None
        click.echo(f"已写入建议的方言文件：{out}，请逐项核对后使用", err=True)
    return 1 if result.refused else 0


def _there_already(out: Path) -> ConfigurationError:
    return ConfigurationError(f"文件“{out.name}”已经存在，没有覆盖", action="请换一个文件名", english=f"{out.name} exists")
