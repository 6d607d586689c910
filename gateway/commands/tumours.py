"""The commands on files for platforms that ask for report cards of tumours: ``explain``, ``check``, ``convert`` (`gateway.registered`)."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import click

from conformance.checks.finding import Finding
from gateway.cases.primaries.choices import RegistryChoices
from gateway.commands.files import Files, exit_code
from gateway.registered import Findings, Registry, explained, findings_of, write
from gateway.reporting.card_drafts import CardDrafter
from gateway.reporting.drafts import PlatformChoice
from gateway.told import Place
from gateway.workbench import Workbench
from mappings.profile import profile

Benched = AbstractContextManager[tuple[Workbench, int, int]]
"""A workbench with the files on it, how many were used and how many refused."""


def explain(benched: Benched, platform: str, options: tuple[str, ...]) -> int:
    """A line per stay: the cards that it bears on, and why."""
    drafter = _drafter(platform, options, None)
    with benched as (bench, used, bad):
        _print(explained(Registry(bench, drafter)))
        left = [told for told in bench.left() if told.finding.blocks]
        for place, finding in left:
            click.echo(f"{place.file}#{place.number}：{finding.message}", err=True)
        return exit_code(used, bad, findings=bool(left or bench.refused_rows))


def check(benched: Benched, platform: str, options: tuple[str, ...], template: Path | None) -> int:
    """A line per finding about the stays, the persons and tumours in them, and the cards."""
    drafter = _drafter(platform, options, template)
    with benched as (bench, used, bad):
        found = _findings(bench, Registry(bench, drafter))
        _print(found.lines)
        return exit_code(used, bad, findings=bool(found.errors))


def convert(files: Files, benched: Benched, platform: str, options: tuple[str, ...], template: Path | None, out: Path) -> int:
    """The platform's files of all cards that are due and not held, and ``findings.jsonl``."""
    drafter = _drafter(platform, options, template)
    given = {path.resolve() for path, _ in files}
    names = [file.name for file in drafter.profile.files.values()]
    if not given.isdisjoint((out / name).resolve() for name in (*names, "findings.jsonl")):
        raise click.UsageError(f"{out} 中的输入文件会被覆盖，请换一个输出目录 / would overwrite an input")
    out.mkdir(parents=True, exist_ok=True)
    with benched as (bench, used, bad):
        if not used:
            click.echo("没有可用的输入，未生成文件 / nothing usable", err=True)
            return exit_code(used, bad, findings=False)
        registry = Registry(bench, drafter)
        written = write(registry, out)
        found = _findings(bench, registry)
        places = {tumour.number: tumour.place for tumour in registry.tumours}
        for number, refusal in written.refused.items():
            found.add(
                places[number], Finding("ZB-CELL-LONG", (refusal.field,), "error", str(refusal), refusal.english), card=number
            )
        (out / "findings.jsonl").write_text("".join(f"{line}\n" for line in found.lines), "utf-8")
        due = sum(tumour.draft.decision.due for tumour in registry.tumours)
        counted = f"读取 {len(registry.stays)} 例，原发肿瘤 {len(registry.tumours)} 个，应报 {due} 张"
        cards = f"写出 {written.cards} 张，留存 {due - written.cards} 张"
        click.echo(f"{counted}，{cards}，错误 {found.errors} 项：{'、'.join(path.name for path in written.files)}", err=True)
        return exit_code(used, bad, findings=bool(found.errors))


def _findings(bench: Workbench, registry: Registry) -> Findings:
    """All findings, with the rows and messages that are part of no stay."""
    found = findings_of(registry)
    for file, _, outcome in bench.refused_rows:
        fields = (outcome.field,) if outcome.field else ()
        found.add(Place(file, outcome.row), Finding(f"ZB-ROW-{outcome.reason}", fields, "error", outcome.message))
    for place, finding in bench.left():
        found.add(place, finding)
    return found


def _drafter(platform: str, options: tuple[str, ...], template: Path | None) -> CardDrafter:
    known = profile(platform).options
    said = {}
    for text in options:
        name, equals, value = text.partition("=")
        if not equals or name not in known:
            raise click.UsageError(f"--option {name}：平台 {platform} 的选项有 {'、'.join(known)} / unknown option")
        said[name] = value
    return CardDrafter(PlatformChoice(platform, options=said, template=template), RegistryChoices())


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)
