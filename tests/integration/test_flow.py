"""A front-sheet file through the whole gateway with the real ledger and the real engine; the platform is a channel in memory."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import select

from gateway.audit.log import export, verify
from gateway.correcting import Correction, correct
from gateway.delivery.channel import Delivered, IncomingReceipt, Parcel, Reason
from gateway.model.errors import AmbiguousFailure, AuditBroken, TransientFailure
from gateway.runtime import Gateway
from gateway.settings import Intake, Platform, Settings
from gateway.store.tables import Message, SourceFile, SubmissionVersion
from gateway.store.vault import Vault
from mappings.layout import layout

COLUMNS = layout("2020").columns


class MemoryPlatform:
    """A platform that keeps what it gets, fails where told to, and reviews by one rule: 现住址 must name a county."""

    numbered = False

    def __init__(self) -> None:
        self.kept: dict[str, Parcel] = {}
        self.sends: list[str] = []
        self.lose_answers = 0
        self.busy = 0
        self.issued: list[IncomingReceipt] = []

    def send(self, parcel: Parcel) -> Delivered:
        self.sends.append(parcel.key)
        if self.busy:
            self.busy -= 1
            raise TransientFailure("忙", english="HTTP 503", retry_after=0.01)
        if parcel.key not in self.kept:
            self.kept[parcel.key] = parcel
            accepted = "县" in parcel.record.get("A26", "")
            reasons = () if accepted else (Reason("A26", "现住址应填写到县（区）"),)
            status = "accepted" if accepted else "returned"
            number = f"R{len(self.issued) + 1}"
            self.issued.append(IncomingReceipt(number, parcel.key, status, reasons, b'{"reasons": []}'))
        if self.lose_answers:
            self.lose_answers -= 1
            raise AmbiguousFailure("没有答复", english="no answer")
        return Delivered(f"P-{parcel.key}", 202, b"{}")

    def ask(self, parcel: Parcel) -> Delivered | None:
        return Delivered(f"P-{parcel.key}", 200, b"{}") if parcel.key in self.kept else None

    def close(self) -> None:
        """Nothing to give up."""

    def receipts(self, cursor: str) -> tuple[list[IncomingReceipt], str]:
        start = max(int(cursor or 0) - 1, 0)  # the last one of the former page comes again, as platforms do
        return self.issued[start:], str(len(self.issued))


def child(number: str, address: str) -> dict[str, str]:
    """A coherent enough stay of a child with leukaemia; what stays blank is reported by checks that the test switches off."""
    return {
        "A48": number, "A49": "1", "A11": "测试童", "A12C": "1", "A13": "2016-05-01", "A14": "10", "A26": address,
        "B12": "2026-09-01 08:00:00", "B15": "2026-09-09 08:00:00", "C03C": "C91.000",
    }  # fmt: skip


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="gb18030", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(COLUMNS)
        writer.writerows([row.get(code, "") for code in COLUMNS] for row in rows)
    return path


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr("gateway.reporting.drafts.Draft.blocked", property(lambda _: False))
    Vault.create(tmp_path / "zhibao.keys")
    platform = Platform(retry_first_seconds=0.01, retry_longest_seconds=0.05, receipts_seconds=0.05)
    return Settings(
        directory=tmp_path,
        intake=Intake(settle_seconds=0, scan_seconds=0.05, workers=1),
        platforms={"ncpcs": platform},
    )


@pytest.fixture
def platform() -> MemoryPlatform:
    return MemoryPlatform()


@pytest.fixture
def gateway(installation: Settings, platform: MemoryPlatform) -> Iterator[Gateway]:
    running = Gateway(installation, channels={"ncpcs": platform})
    running.start()
    yield running
    running.close()


def wait_for(done: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "not done in time"
        time.sleep(0.02)


def states(gateway: Gateway) -> list[tuple[str, str]]:
    with gateway.ledger.read() as session:
        rows = session.exec(select(SubmissionVersion).order_by(SubmissionVersion.id)).all()
        return [(row.our_state, row.platform_state) for row in rows]


def test_a_file_goes_in_and_accepted_reports_come_back(gateway: Gateway, platform: MemoryPlatform, tmp_path: Path) -> None:
    platform.busy = 2
    platform.lose_answers = 1
    rows = [child("1", "某省某市某县"), child("2", "某省某市"), child("3", "某省某市某县") | {"A13": "1980-01-01"}, {"A49": "1"}]
    (tmp_path / "inbox").mkdir(exist_ok=True)
    write(tmp_path / "inbox" / "s.csv", rows)
    wait_for(lambda: sorted(states(gateway)) == [("sent", "accepted"), ("sent", "returned")])
    with gateway.ledger.read() as session:
        file = session.exec(select(SourceFile)).one()
        assert (file.state, file.rows_read, file.rows_refused) == ("done", 3, 1)
        returned = session.exec(select(SubmissionVersion).where(SubmissionVersion.platform_state == "returned")).one()
        stay_version = returned.stay_version_id
        stay_id = (
            session.connection().execute(text("select stay_id from stay_version where id = :id"), {"id": stay_version}).scalar_one()
        )

    correct(gateway.importer, stay_id, [Correction("A26", "某省某市某县某街")], actor="clerk", reason="平台退回")
    wait_for(lambda: len(states(gateway)) == 3 and states(gateway)[-1] == ("sent", "accepted"))
    amended = list(platform.kept.values())[-1]
    assert (amended.operation, amended.replaces) == ("amend", returned.id)
    assert len(platform.kept) == 3

    with (tmp_path / "s.csv").open("wb") as again:
        again.write((tmp_path / "inbox" / "done" / "s.csv").read_bytes())
    with (tmp_path / "s.csv").open("rb") as source:
        known, fresh = gateway.importer.receive(source, "s.csv")
    assert not fresh
    assert known.id == file.id

    piece = tmp_path / "audit.jsonl"
    with gateway.ledger.read() as session:
        piece.write_text("".join(export(session)), "utf-8")
    assert verify(piece).entries > 20
    content = piece.read_bytes()
    for position in (len(content) // 3, len(content) // 2, len(content) - 3):
        changed = bytearray(content)
        changed[position] ^= 1
        piece.write_bytes(bytes(changed))
        with pytest.raises(AuditBroken):
            verify(piece)


def test_what_a_stopped_process_left_is_carried_on(installation: Settings, platform: MemoryPlatform, tmp_path: Path) -> None:
    """The first gateway never starts its engine: files are read and submissions drafted, as after a kill before delivery."""
    first = Gateway(installation, channels={"ncpcs": platform})
    with write(tmp_path / "a.csv", [child(str(n), "某县某乡") for n in range(20)]).open("rb") as source:
        file, _ = first.importer.receive(source, "a.csv")
    first.importer.read(file.id)
    first.close()
    second = Gateway(installation, channels={"ncpcs": platform})
    second.start()
    try:
        wait_for(lambda: states(second) == [("sent", "accepted")] * 20)
    finally:
        second.close()
    assert len(platform.kept) == 20
    assert len(set(platform.sends)) == len(platform.sends) == 20


def test_a_stay_under_the_numbers_of_another_one_is_refused(
    installation: Settings, platform: MemoryPlatform, tmp_path: Path
) -> None:
    first = child("1", "某省某市某县")
    corrected = first | {"A11": "测试童童"}  # the same person, better spelt
    other = first | {"A11": "另一童", "A13": "2018-02-02", "B12": "2026-10-01 08:00:00", "B15": "2026-10-05 08:00:00"}
    gateway = Gateway(installation, channels={"ncpcs": platform})
    try:
        for number, rows in enumerate(([first], [corrected, other], [other])):
            with write(tmp_path / f"{number}.csv", rows).open("rb") as source:
                file, _ = gateway.importer.receive(source, f"{number}.csv")
            gateway.importer.read(file.id)
        with gateway.ledger.read() as session:
            found = [(m.outcome, m.reason, m.field) for m in session.exec(select(Message).order_by(Message.id))]
    finally:
        gateway.close()
    refused = ("refused", "identity-conflict", "A48")
    assert found == [("read", "", ""), ("read", "", ""), refused, refused]
