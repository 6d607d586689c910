"""What is generated and published is what the program would generate today."""

from __future__ import annotations

from pathlib import Path

import pytest

from mappings.guide import guide
from mappings.profile import platform_ids, profile

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("id", platform_ids())
def test_platform_guides(id: str) -> None:
    assert (DOCS / "platforms" / f"{id}.md").read_text("utf-8") == guide(id), f"zhibao platform {id} > docs/platforms/{id}.md"


@pytest.mark.parametrize("id", platform_ids())
def test_a_guide_never_hides_how_sure_a_fact_is(id: str) -> None:
    shown = guide(id)
    for fact in profile(id).facts:
        line = next(line for line in shown.splitlines() if line.startswith(f"| {fact.about} |"))
        assert line.endswith({"high": "| 高 |", "medium": "| 中 |", "low": "| 低 |"}[fact.confidence])


def test_links_between_documents_lead_somewhere() -> None:
    import re

    for document in [*DOCS.rglob("*.md"), *DOCS.parent.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text("utf-8")):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"
