"""From a stay to what each platform would get: the decision, the rendered record and its findings.

Pure functions of the stay and the hospital's settings: nothing here touches the ledger, so drafts can be made in worker processes
and by commands without a database.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from conformance.checks.checker import Checker
from conformance.checks.finding import Finding
from gateway.model.stay import Stay
from mappings.dictionary import Dictionaries
from mappings.layout import Layout, layout
from mappings.profile import profile
from mappings.scope import AgeReference, Decision


class PlatformChoice(Struct, frozen=True):
    """A hospital's choices about one platform that bear on drafts; picklable."""

    id: str
    switches: dict[str, bool] = {}
    age_reference: AgeReference | None = None
    options: dict[str, str] = {}
    """what the hospital says about itself to the platform (`mappings.profile.Option`)"""
    template: Path | None = None
    """the hospital's own table of columns of a platform whose template is not public (`mappings.card_layout.own_layout`)"""


class Draft(Struct, frozen=True):
    """What one platform would get of one stay or one tumour. ``record`` and ``digest`` are empty when the stay is not due."""

    platform: str
    decision: Decision
    record: dict[str, str] = {}
    digest: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def blocked(self) -> bool:
        """Whether a finding keeps it from going out."""
        return any(finding.blocks for finding in self.findings)


class Drafter:
    """Drafts of stays for one platform (of tumours: `gateway.reporting.card_drafts.CardDrafter`). Not thread-safe: one per process or thread."""

    def __init__(self, choice: PlatformChoice, *, dictionaries: Path | None = None) -> None:
        self.profile = profile(choice.id)
        self.scope = self.profile.scope(switches=choice.switches, age_reference=choice.age_reference)
        self.checker = Checker(self.profile.stay_layout, self.profile.check_tables, dictionaries=Dictionaries(dictionaries))

    def decide(self, stay: Stay) -> Decision:
        """Whether the stay is due, and why."""
        return self._within_history(stay, self.scope.decide(stay))

    def draft(self, stay: Stay) -> Draft:
        """The draft of one stay."""
        decision = self.decide(stay)
        if not decision.due:
            return Draft(self.profile.id, decision)
        record = self.profile.stay_layout.record(stay)
        findings = [*self.checker.check(record), *overflow_findings(self.profile.stay_layout, stay)]
        return Draft(self.profile.id, decision, record, record_digest(record), tuple(findings))

    def _within_history(self, stay: Stay, decision: Decision) -> Decision:
        """A due stay that was discharged before the platform's history begins is not due."""
        window = self.profile.cadence.window(stay)
        if not decision.due or window is None or window.in_history:
            return decision
        start = self.profile.cadence.history_from
        reason = f"出院月份 {window.id} 早于平台要求的历史数据起点 {start}"
        return Decision(False, ("S-HISTORY",), reason)


def overflow_findings(target: Layout, stay: Stay) -> list[Finding]:
    """What the stay holds and the layout has no columns for: said, never silently cut."""
    return [
        Finding(
            "ZB-CARRY",
            (),
            "warning",
            f"病例中的条目（{parent}）多于 {target.id} 版式能容纳的数量，超出部分没有写入，请核对",
            f"{parent}: more entries than layout {target.id} has columns for",
        )
        for parent in target.overflow(stay)
    ]


def record_digest(record: dict[str, str]) -> str:
    """Digest of a rendered record: equal records need no amendment."""
    return hashlib.sha256(msgspec.json.encode(sorted(record.items()))).hexdigest()


def checker_for(source: str, *, dictionaries: Path | None = None) -> tuple[Layout, Checker]:
    """The layout in which records of a file of layout ``source`` are checked, and their checker. P-code records are checked
    in the general codes of 2019."""
    own = layout(source)
    checked = layout("2019") if source == "pcode" else own
    tables: Sequence[str] = profile("hqms").check_tables
    return checked, Checker(checked, tuple(tables), source=own, dictionaries=Dictionaries(dictionaries))
