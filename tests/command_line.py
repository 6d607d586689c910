"""The real entry point, run in the process of a test."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from gateway import cli


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


class Zhibao(Protocol):
    def __call__(self, *arguments: object) -> Ran: ...


@pytest.fixture
def zhibao(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Zhibao:
    """Runs the entry point in this process; anything but a clean exit fails the test with its traceback."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["zhibao", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        shown = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        assert "Traceback" not in shown.err
        return Ran(ended.value.code, shown.out, shown.err)

    return run
