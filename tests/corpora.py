"""Messages of third parties, where they lie beside the project. Tests that read them are skipped elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

CORPORA: Final = Path(__file__).parents[2] / "shared" / "corpora"
MCODE: Final = CORPORA / "mcode-ig"
SYNTHEA: Final = CORPORA / "synthea-r4"
HL7V2: Final = CORPORA / "linuxforhealth"

needs_corpora = pytest.mark.skipif(not CORPORA.is_dir(), reason="the third-party corpora are not beside the project")


def files_of(folder: Path, pattern: str, *, least: int = 1) -> list[Path]:
    """The files of a corpus in their order. There must be as many as a test needs to say anything."""
    found = sorted(folder.rglob(pattern))
    assert len(found) >= least, f"{folder.name}: {len(found)} files"
    return found


def fhir_messages() -> list[Path]:
    """Every FHIR message of the corpora."""
    return [*files_of(MCODE, "*.json", least=40), *files_of(SYNTHEA, "*.json", least=2)]
