"""CEL expressions of profiles: scope conditions and checks.

Expressions are compiled once; a `Scope` of evaluation binds functions once and resolves variables from the record at hand, so
that evaluating costs about a microsecond. Functions never raise: the evaluator logs the text of exceptions, and that text could
hold patient data.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from gateway.model.errors import ConfigurationError

# The package imports its own command line (typer, rich, prompt_toolkit) with itself: 25 MB and 0.1 s a process for nothing.
sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))

import cel  # noqa: E402

# The evaluator logs failing function calls with their message; what fails is reported by the caller instead.
logging.getLogger("cel").setLevel(logging.CRITICAL + 1)


class Expression:
    """A compiled CEL expression. Raises `ConfigurationError` when the source does not compile; ``where`` says whose it is."""

    __slots__ = ("_program", "source", "variables")

    def __init__(self, source: str, where: str) -> None:
        try:
            self._program = cel.compile(source)
        except Exception as error:
            raise ConfigurationError(
                f"{where} 的表达式无法编译：{source}",
                action="请按 CEL 语法改正",
                english=f"{where}: {error}",
            ) from None
        self.source = source
        self.variables = frozenset(self._program.variables())

    def evaluate(self, context: cel.Context) -> Any:
        """The value in a context made by `context`. Raises what the evaluator raises (an unknown name, mixed types)."""
        return self._program.execute(context)


def context(functions: Mapping[str, Callable[..., Any]], resolve: Callable[[str], Any]) -> cel.Context:
    """An evaluation context whose variables are looked up by ``resolve`` when an expression asks for them."""
    made = cel.Context(functions=dict(functions))
    made.set_variable_resolver(resolve)
    return made
