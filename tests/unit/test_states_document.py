"""``docs/states.md`` says what the transition table says."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.reporting.states import NAMES, OURS, THEIRS, Ours, Theirs

DOCUMENT = Path(__file__).parents[2] / "docs" / "states.md"


def documented(heading: str) -> dict[str, tuple[str, set[str]]]:
    section = DOCUMENT.read_text("utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| .* \| (.*)\|$", section, re.MULTILINE)
    return {state: (name, set(re.findall(r"`(\w+)`", targets))) for state, name, targets in rows}


def test_our_side() -> None:
    assert documented("Our side") == {str(s): (NAMES[s], {str(t) for t in OURS[s]}) for s in Ours}


def test_platform_side() -> None:
    assert documented("Platform side") == {str(s): (NAMES[s], {str(t) for t in THEIRS[s]}) for s in Theirs}
