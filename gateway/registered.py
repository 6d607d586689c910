"""The commands on tumours: what a registry platform would get of the tumours in these files, without an installation.

All stays of all files are assembled on the workbench (`gateway.workbench`), linked to persons, and their evidence grouped to primary tumours,
by the very functions that a running gateway uses; each tumour becomes a card and each card a draft. A command knows no configuration: what the
hospital would have to say about itself in it is told once, and keeps no card back.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from adapters.cards import writer
from conformance.checks.finding import Finding
from gateway.cases.primaries.case import TumourCase
from gateway.cases.primaries.choices import RegistryChoices
from gateway.cases.primaries.evidence import Seen
from gateway.cases.primaries.grouping import Grouped, group
from gateway.cases.primaries.persons import link
from gateway.cases.primaries.stays import seen
from gateway.convert import json_line
from gateway.model.errors import RowRefused
from gateway.model.stay import Stay
from gateway.reporting.card_drafts import OPTION, CardDrafter
from gateway.reporting.cards import MadeCard, build
from gateway.reporting.drafts import Draft
from gateway.reporting.preparing import CANCELLED
from gateway.told import Place, Told
from gateway.workbench import Workbench
from mappings.cadence import CHINA
from mappings.scope import Decision

_LOOSE = {
    "no-primary": "只有继发部位、治疗或随诊的信息，没有找到原发肿瘤，请查找原发部位后报告",
    "look": "提示可能有肿瘤，没有可以报告的诊断，请人工查看",
    "review": "不能确定是否属于应报告的肿瘤，请人工查看",
}
_NO_TUMOUR = Decision(False, ("R-NONE",), "没有应登记的肿瘤诊断")
_ANOTHER = "R-LOOSE"


@dataclass(frozen=True, slots=True)
class Registered:
    """One tumour: its number in this run, card, draft, and the file and row of the newest stay that it is known from."""

    number: int
    case: TumourCase
    made: MadeCard
    draft: Draft
    place: Place

    @property
    def held(self) -> list[Finding]:
        """What keeps the card back. What the hospital has not said about itself does not, here."""
        return [finding for finding in self.draft.findings if finding.blocks and finding.rule != OPTION]


@dataclass
class Registry:
    """All tumours of the stays on a bench, as one platform would get them."""

    bench: Workbench
    drafter: CardDrafter
    choices: RegistryChoices = field(default_factory=RegistryChoices)

    def __post_init__(self) -> None:
        self._today = datetime.now(CHINA).date()
        self.places: dict[str, Place] = {}
        self.stays: dict[str, Stay] = {}
        self.cancelled: list[tuple[Place, Stay]] = []
        self.told: list[Told] = []
        for number, made in enumerate(self.bench.made(), start=1):
            place = Place(made.file, made.outcome.row)
            self.told += made.told
            if made.cancelled:
                self.cancelled.append((place, made.stay))
                continue
            key = f"stay:{number}"
            self.places[key], self.stays[key] = place, made.stay
        self.told += self.bench.between_rows
        self.notes: dict[str, str] = {}
        """Of stays that show something of no tumour, why a person should look."""
        self.tumours = list(self._tumours())

    def _tumours(self) -> Iterator[Registered]:
        sightings = {key: seen(stay, key) for key, stay in self.stays.items()}
        linked = link([one.sighting for one in sightings.values()], (), self.choices)
        for left, right, _ in linked.questions:
            self._ask(
                left,
                "ZB-PERSON",
                f"与 {self._name(right)} 可能是同一个病人，请人工判断",
                f"may be the person of {self._name(right)}",
            )
        number = 0
        for keys in linked.persons:
            person = [sightings[key] for key in keys]
            grouped = group(person, (), self.choices)
            self._note(grouped)
            for case in self._cases(person, grouped):
                number += 1
                made = build(case, self.choices, today=self._today)
                newest = max((one for one in person if one.sighting.key in {e.sighting for e in case.evidence}), key=_at)
                yield Registered(number, case, made, self.drafter.draft(made, case), self.places[newest.sighting.key])

    def _cases(self, person: list[Seen], grouped: Grouped) -> Iterator[TumourCase]:
        stays = {one.sighting.key: self.stays[one.sighting.key] for one in person}
        for number, tumour in enumerate(grouped.tumours, start=1):
            of = len(grouped.tumours)
            yield TumourCase(list(tumour.evidence), person, stays, number=number, of=of, steps=list(tumour.steps))

    def _note(self, grouped: Grouped) -> None:
        for loose in grouped.loose:
            self.notes.setdefault(loose.evidence.sighting, _LOOSE[loose.note])
            self._ask(
                loose.evidence.sighting, f"ZB-TUMOUR-{loose.note}", _LOOSE[loose.note], f"evidence of no tumour: {loose.note}"
            )
        for question in grouped.questions:
            if question.right:
                left, right = question.left.partition("/")[0], question.right.partition("/")[0]
                message = f"与 {self._name(right)} 的肿瘤可能是同一个原发肿瘤，请人工判断（{question.rule}）"
                self._ask(left, "ZB-TUMOUR", message, f"may be the same primary as in {self._name(right)} ({question.rule})")

    def _ask(self, key: str, rule: str, message: str, english: str) -> None:
        self.told.append(Told(self.places[key], Finding(rule, (), "verify", message, english)))

    def _name(self, key: str) -> str:
        place = self.places[key]
        return f"{place.file}#{place.number}"


def _at(one: Seen) -> tuple[str, str]:
    return one.sighting.at, one.sighting.key


def explained(registry: Registry) -> Iterator[str]:
    """A line per stay: the cards that it bears on, and why there is one or none; then one per row that was refused."""
    of_stay: dict[str, list[Registered]] = defaultdict(list)
    for tumour in registry.tumours:
        for key in dict.fromkeys(one.sighting for one in tumour.case.evidence):
            of_stay[key].append(tumour)
    for key, stay in registry.stays.items():
        decisions = [one.draft.decision for one in of_stay[key]]
        if key in registry.notes:
            decisions.append(Decision(False, (_ANOTHER,), registry.notes[key], review=True))
        yield _explanation(registry.places[key], stay, decisions or [_NO_TUMOUR], [one.number for one in of_stay[key]])
    for place, stay in registry.cancelled:
        yield _explanation(place, stay, [CANCELLED], [])
    for file, _, outcome in registry.bench.refused_rows:
        yield _explanation(Place(file, outcome.row), None, [Decision(False, ("S-ROW",), outcome.message, review=True)], [])


def _explanation(place: Place, stay: Stay | None, decisions: list[Decision], cards: list[int]) -> str:
    return json_line(
        {
            "file": place.file,
            "row": place.number,
            "record": {"A48": stay.record_number, "A49": stay.admission_number} if stay is not None else None,
            "due": any(decision.due for decision in decisions),
            "rules": list(dict.fromkeys(rule for decision in decisions for rule in decision.rules)),
            "reason": "；".join(dict.fromkeys(decision.reason for decision in decisions)),
            "review": any(decision.review for decision in decisions),
            "cards": cards,
        }
    )


@dataclass
class Findings:
    """Findings as JSON lines, and how many of them are errors."""

    lines: list[str] = field(default_factory=list)
    errors: int = 0

    def add(self, place: Place | None, finding: Finding, **more: Any) -> None:
        """Add a finding about a row, or about the run."""
        self.errors += finding.blocks
        line = {"file": place.file if place else None, "row": place.number if place else None, **more}
        told = {"fields": finding.fields, "severity": finding.severity, "rule": finding.rule}
        self.lines.append(json_line({**line, **told, "message": finding.message, "english": finding.english}))


def findings_of(registry: Registry) -> Findings:
    """All findings: of the stays, of the persons and tumours, of each card, and what the hospital has to say about itself."""
    found = Findings()
    for place, finding in registry.told:
        found.add(place, finding)
    options: dict[Finding, None] = {}
    for tumour in registry.tumours:
        for finding in tumour.draft.findings:
            if finding.rule == OPTION:
                options[finding] = None
            else:
                found.add(tumour.place, finding, card=tumour.number)
        if not tumour.draft.decision.due:
            reason = Finding("ZB-NOT-DUE", (), "info", tumour.draft.decision.reason, "not reported to this platform")
            found.add(tumour.place, reason, card=tumour.number)
        elif held := tumour.held:
            message = f"报告卡有 {len(held)} 项错误，没有写入文件，改正后再报"
            found.add(tumour.place, Finding("ZB-HELD", (), "info", message, "the card is held back"), card=tumour.number)
    for finding in options:
        found.add(None, finding)
    return found


@dataclass
class Written:
    """The files, how many cards went into them, and the numbers of the cards that a cell of a workbook cannot hold, with the reason."""

    files: list[Path] = field(default_factory=list)
    cards: int = 0
    refused: dict[int, RowRefused] = field(default_factory=dict)


def write(registry: Registry, out: Path) -> Written:
    """Write the platform's files into ``out``: all cards that are due and not held. Raises `OSError` when a file cannot be written."""
    going = [tumour for tumour in registry.tumours if tumour.draft.decision.due and not tumour.held]
    drafter = registry.drafter
    written = Written(cards=len(going))
    for file in drafter.profile.files.values():
        name = file.layout.format(**drafter.options)
        layout = drafter.layout if name == "card" else drafter.profile.layouts[name]
        records = [layout.record(drafter.completed(tumour.made.card), drafter.options) for tumour in going]
        path = out / file.name
        if file.format == "tab":
            with path.open("w", encoding=file.encoding, newline="") as handle:
                csv.writer(handle, dialect="excel-tab").writerows([layout.columns, *(layout.row(record) for record in records)])
        else:
            refused = writer.write(records, dict(zip(layout.columns, layout.columns, strict=True)), path, encoding=file.encoding)
            written.refused.update({going[number - 1].number: why for number, why in refused.items()})
        written.files.append(path)
    return written
