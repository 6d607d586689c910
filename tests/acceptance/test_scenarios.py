"""The stories of ``conformance/scenarios`` through the real gateway, engine and platform simulator (see the README there)."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import col, select

from conformance.checks.functions import filled
from conformance.simulators.behaviour import Behaviour
from conformance.simulators.ncpcs import Simulator
from gateway.cases.stays import current
from gateway.correcting import Correction, correct
from gateway.model.resident_id import check_character
from gateway.reporting.drafts import Drafter
from gateway.reporting.submissions import findings_of
from gateway.runtime import Gateway
from gateway.settings import load
from gateway.store.tables import Message, StayRow, Submission, SubmissionVersion
from gateway.tracing import trace
from mappings.layout import layout
from tests.desk import PATIENCE, Desk
from tests.installation import install, wait_for

SCENARIOS = Path(__file__).parents[2] / "conformance" / "scenarios"
NAMES = sorted(path.parent.name for path in SCENARIOS.glob("*/story.md"))
Line = dict[str, str]
Key = tuple[str, str]
"""病案号 and 住院次数."""

_ON_ITS_WAY = frozenset({"ready", "queued", "sending", "uncertain"})


def table(path: Path) -> list[Line]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


BASE = {line["field"]: line["value"] for line in table(SCENARIOS / "base.csv")}


class Play:
    """One scenario on its way through a gateway."""

    def __init__(self, folder: Path, gateway: Gateway, desk: Desk) -> None:
        self.folder = folder
        self.gateway = gateway
        self.desk = desk
        self.files: dict[str, str] = {}

    def run(self) -> None:
        """Play all input, each piece to its end."""
        for path in sorted((self.folder / "input").glob("*.csv")):
            if path.stem.endswith("-corrections"):
                self._correct(table(path))
            else:
                self._hand_in(path)
            wait_for(self._settled, PATIENCE, f"{self.folder.name}: everything decided after {path.name}")

    def _hand_in(self, path: Path) -> None:
        file_id = self.desk.hand_in(*(BASE | line for line in table(path)), name=path.name)
        self.files[path.name] = file_id
        wait_for(lambda: self.desk.has_read(file_id), PATIENCE, f"{path.name} read")

    def _correct(self, lines: list[Line]) -> None:
        for line in lines:
            stay = self.stay(line["A48"], line["A49"])
            change = Correction(line["field"], line["value"])
            assert correct(self.gateway.importer, stay, [change], actor="clerk", reason=line["reason"]).changed

    def _settled(self) -> bool:
        rows = self.desk.versions()
        waiting = any(row.our_state in _ON_ITS_WAY for row in rows)
        return not waiting and all(row.platform_state not in ("unknown", "received") for row in rows if row.our_state == "sent")

    def stay(self, record_number: str, admission_number: str) -> int:
        """The stay's number in the ledger."""
        identity = self.gateway.vault.index(BASE["A01"], record_number, admission_number)
        with self.gateway.ledger.read() as session:
            return session.exec(select(StayRow.id).where(StayRow.identity == identity)).one() or 0

    def versions(self, stay: int) -> list[SubmissionVersion]:
        """All versions of what is owed of a stay."""
        with self.gateway.ledger.read() as session:
            statement = select(SubmissionVersion).join(Submission).where(Submission.stay_id == stay)
            return list(session.exec(statement.order_by(col(SubmissionVersion.number))))

    def told(self, key: Key) -> list[Line]:
        """What became of a stay, as ``expected/submissions.csv`` writes it."""
        stay = self.stay(*key)
        start = {"A48": key[0], "A49": key[1], "platform": "ncpcs"}
        rows = self.versions(stay)
        if not rows:
            return [start | self._not_due(stay)]
        return [
            start
            | {
                "due": "no" if row.operation == "withdraw" else "yes",
                "rules": row.rules,
                "version": str(row.number),
                "operation": row.operation,
                "ours": row.our_state,
                "theirs": row.platform_state,
                "blocking": " ".join(sorted({f.rule for f in findings_of(row) if f.blocks})),
            }
            for row in rows
        ]

    def _not_due(self, stay: int) -> Line:
        (choice,) = self.gateway.importer.choices
        with self.gateway.ledger.read() as session:
            decision = Drafter(choice).decide(current(session, self.gateway.vault, stay)[0])
        assert decision.reason
        blank = dict.fromkeys(("version", "operation", "ours", "theirs", "blocking"), "")
        return {"due": "yes" if decision.due else "no", "rules": " ".join(decision.rules), **blank}

    def origins(self, key: Key, version: str, field: str) -> list[Line]:
        """Where a value came from, as ``expected/trace.csv`` writes it."""
        (row,) = [row for row in self.versions(self.stay(*key)) if row.number == int(version)]
        found = trace(self.gateway.ledger, self.gateway.importer.journal, row.id, field)
        start = {"A48": key[0], "A49": key[1], "version": version, "field": field, "value": found.value}
        lines = []
        for origin in found.origins:
            cell = origin.cell
            if cell is None:
                lines.append(start | {"by": origin.by, "file": "", "row": "", "column": "", "text": ""})
                continue
            raw = bytes.fromhex(cell.raw).decode("gb18030")
            (cells,) = csv.reader([raw])
            assert cells[cell.column - 1] == cell.text
            where = {"by": "", "file": cell.file_name, "row": str(cell.row), "column": cell.header, "text": cell.text}
            lines.append(start | where)
        return lines

    def outcomes(self) -> list[Line]:
        """What became of every row, as ``expected/rows.csv`` writes it."""
        lines = []
        with self.gateway.ledger.read() as session:
            for name, file_id in self.files.items():
                rows = session.exec(select(Message).where(Message.file_id == file_id).order_by(col(Message.row)))
                lines += [
                    {"file": name, "row": str(row.row), "outcome": row.outcome, "reason": row.reason, "field": row.field}
                    for row in rows
                ]
        return lines


@pytest.fixture(scope="module")
def platform() -> Iterator[Simulator]:
    with Simulator(behaviour=Behaviour(review_seconds=0.05)) as running:
        yield running


@pytest.fixture
def play(request: pytest.FixtureRequest, platform: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    monkeypatch.setattr("gateway.delivery.engine.STOP_SECONDS", 0)  # nothing is under way any more when a story is told
    folder = SCENARIOS / request.param
    settings = folder / "settings.toml"
    account = platform.accounts.open("99DEMO0001", folder.name)
    more = settings.read_text("utf-8") if settings.is_file() else ""
    config, _ = install(tmp_path, url=platform.base_url, account=account.name, secret=account.secret, more=more)
    gateway = Gateway(load(config))
    gateway.start()
    yield Play(folder, gateway, Desk(gateway, platform))
    gateway.close()


@pytest.mark.parametrize("play", NAMES, indirect=True)
def test_scenario(play: Play) -> None:
    play.run()
    expected = play.folder / "expected"
    submissions = table(expected / "submissions.csv")
    keys = list(dict.fromkeys((line["A48"], line["A49"]) for line in submissions))
    assert [line for key in keys for line in play.told(key)] == submissions
    assert len(play.desk.versions()) == sum(line["version"] != "" for line in submissions)  # and nothing else
    traces = table(expected / "trace.csv")
    asked = dict.fromkeys((line["A48"], line["A49"], line["version"], line["field"]) for line in traces)
    assert [line for a48, a49, version, field in asked for line in play.origins((a48, a49), version, field)] == traces
    if (expected / "rows.csv").is_file():
        assert play.outcomes() == table(expected / "rows.csv")
    else:
        assert {line["outcome"] for line in play.outcomes()} <= {"read", "unchanged"}


# -- the folders themselves


def test_there_are_scenarios_and_each_is_complete() -> None:
    assert len(NAMES) >= 8
    for name in NAMES:
        story = (SCENARIOS / name / "story.md").read_text("utf-8")
        assert story.startswith("# ")
        assert 4 <= len(story.splitlines()) <= 12
        assert table(SCENARIOS / name / "expected" / "submissions.csv")
        assert table(SCENARIOS / name / "expected" / "trace.csv")


@pytest.mark.parametrize("name", NAMES)
def test_input_has_official_columns_and_nobody_real(name: str) -> None:
    known = layout("2020").by_code
    stays: set[Key] = set()
    for path in (SCENARIOS / name / "input").glob("*.csv"):
        lines = table(path)
        assert None not in lines[0]
        if path.stem.endswith("-corrections"):
            assert {line["field"] for line in lines} <= set(known)
            continue
        assert set(lines[0]) <= set(known)
        stays |= {(line["A48"], line["A49"]) for line in lines}
        for record in [BASE | line for line in lines]:
            assert record["A20"].startswith("99")
            assert record["A20"][6:14] == record["A13"].replace("-", "")
            assert record["A20"][17] == check_character(record["A20"][:17])
            assert record["A01"].startswith("99")
            assert all(record[phone].startswith("1000") for phone in ("A27", "A35") if filled(record[phone]))
    told = {(line["A48"], line["A49"]) for line in table(SCENARIOS / name / "expected" / "submissions.csv")}
    assert told <= stays
