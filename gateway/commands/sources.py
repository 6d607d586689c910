"""``--source DIALECT``: applies to the paths that follow it and may be repeated, so that one call reads several senders."""

from __future__ import annotations

from pathlib import Path

import click

_OPTION = "--source"
_KEY = "zhibao.sources"


class SourcedCommand(click.Command):
    """A command whose paths remember the ``--source`` in front of them; see `sourced`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with_value = {
            name
            for p in self.params
            if isinstance(p, click.Option) and not (p.is_flag or p.count)
            for name in (*p.opts, *p.secondary_opts)
        }
        kept: list[str] = []
        sources: list[str] = []
        current, waiting = "", list(args)
        while waiting:
            word = waiting.pop(0)
            if word == _OPTION:
                if not waiting:
                    raise click.UsageError(f"{_OPTION} 后缺少方言 / needs a dialect", ctx)
                current = waiting.pop(0)
            elif word.startswith(f"{_OPTION}="):
                current = word.removeprefix(f"{_OPTION}=")
            elif word == "--":
                kept += [word, *waiting]
                sources += [current] * len(waiting)
                waiting = []
            elif word.startswith("-") and word != "-":
                kept.append(word)
                if word in with_value and waiting:
                    kept.append(waiting.pop(0))
            else:
                kept.append(word)
                sources.append(current)
        ctx.meta[_KEY] = sources
        return super().parse_args(ctx, kept)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        with formatter.section("来源 / source"):
            text = (
                "其后各路径的方言：HL7 v2 为 cn-a … cn-e、standard 或方言文件，FHIR 为 standard 或方言文件；"
                "可重复；缺省按内容识别 / dialect of the paths that follow"
            )
            formatter.write_dl([(f"{_OPTION} DIALECT", text)])


def sourced(paths: tuple[Path, ...]) -> list[tuple[Path, str]]:
    """The files of the current command, folders walked, each with the dialect that was named before it."""
    named: list[str] = click.get_current_context().meta.get(_KEY, [])
    return [(file, source) for path, source in zip(paths, named, strict=True) for file in walked(path)]


def walked(path: Path) -> list[Path]:
    """A file by itself, or the files of a folder in order, hidden ones left out."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
