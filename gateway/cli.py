"""The command ``zhibao``.

Exit codes everywhere: 0 fine, 1 done but with findings of severity error (or something refused), 2 unusable input or usage.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

from gateway.model.errors import AuditBroken, ZhibaoError

COMMANDS = {
    "demo": "demo",
    "init": "installation",
    "serve": "installation",
    "healthy": "installation",
    "read": "files",
    "explain": "files",
    "check": "files",
    "convert": "files",
    "fhir": "fhir",
    "source": "source",
    "client": "client",
    "trace": "installation",
    "audit": "installation",
    "platform": "reference",
    "sample": "reference",
    "schema": "reference",
}
"""Each command and the module of `gateway.commands` that has it. Modules are imported when their command is asked for, because a
conversion needs no database and a worker process should not carry one."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the library's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the library's signature
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"gateway.commands.{COMMANDS[cmd_name]}"), cmd_name)
        return command


@click.command(cls=_Commands, help="直报：肿瘤数据上报网关 / Zhibao: oncology reporting gateway for hospitals")
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
    except OSError as error:
        click.echo(f"无法读写 {error.filename or '文件'}：{error.strerror or '系统错误'}", err=True)
        sys.exit(2)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
