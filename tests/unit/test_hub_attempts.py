"""Attempts and the moments that name their requests: what is asked about is always the last sending, and no two share a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.delivery import receipts
from gateway.delivery.channel import Delivered, IncomingReceipt, Parcel, StillProcessing
from gateway.delivery.sending import attempt
from gateway.model.errors import AmbiguousFailure, TransientFailure
from gateway.reporting.states import Ours
from gateway.reporting.submissions import move
from gateway.settings import load
from gateway.store.ledger import Ledger
from gateway.store.tables import SubmissionVersion
from gateway.store.vault import Vault
from tests.hub import attempts, card, first_visit, follow, install, put, versions

Step = Callable[[Parcel], Delivered | None]
GOT = Delivered("4711", 1, b"")


class Script:
    """A channel that plays one step after the other and keeps what it was given."""

    numbered = True

    def __init__(self, *steps: Delivered | BaseException | Step | None) -> None:
        self._steps = list(steps)
        self.calls: list[tuple[str, Parcel]] = []

    def send(self, parcel: Parcel) -> Delivered:
        delivered = self._play("send", parcel)
        assert delivered is not None
        return delivered

    def ask(self, parcel: Parcel) -> Delivered | None:
        return self._play("ask", parcel)

    def _play(self, kind: str, parcel: Parcel) -> Delivered | None:
        self.calls.append((kind, parcel))
        step = self._steps.pop(0)
        if isinstance(step, BaseException):
            raise step
        return step(parcel) if callable(step) else step

    def receipts(self, cursor: str) -> tuple[list[IncomingReceipt], str]:
        return [], cursor

    def close(self) -> None:
        """Nothing to give up."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    settings = load(install(tmp_path / "hospital", url="http://127.0.0.1:9/hub", account="u", secret="s", options={}))
    with Ledger.open(settings.ledger_url, Vault.load(settings.key_file)) as opened:
        yield opened


def queue(ledger: Ledger, version_id: str) -> str:
    """As the sweeper does."""
    with ledger.write() as session:
        row = session.get_one(SubmissionVersion, version_id)
        move(row, Ours.QUEUED, [])
        session.add(row)
    return version_id


def queued(ledger: Ledger) -> str:
    return queue(ledger, f"{put(ledger, card())}.1")


def uncertain() -> AmbiguousFailure:
    return AmbiguousFailure("没有答复")


def test_after_a_crash_the_very_attempt_is_asked_about(ledger: Ledger) -> None:
    """The process dies while bytes are on their way, then twice while it asks."""
    id = queued(ledger)
    channel = Script(SystemExit(), SystemExit(), SystemExit(), GOT)
    for _ in range(3):
        with pytest.raises(SystemExit):
            attempt(ledger, channel, id)
    assert attempt(ledger, channel, id).done
    assert [kind for kind, _ in channel.calls] == ["send", "ask", "ask", "ask"]
    assert {parcel.sent_at for _, parcel in channel.calls} == {attempts(ledger, id)[0].started_at}


def test_a_new_sending_has_a_new_moment_and_is_what_is_asked_about(ledger: Ledger) -> None:
    id = queued(ledger)
    steps = (
        TransientFailure("忙"),
        uncertain(),
        StillProcessing("处理中"),
        TransientFailure("忙"),
        None,
        StillProcessing("处理中"),
        GOT,
    )
    channel = Script(*steps)
    progress = [attempt(ledger, channel, id) for _ in steps]
    assert [kind for kind, _ in channel.calls] == ["send", "send", "ask", "ask", "ask", "send", "ask"]
    _, sent, *asked, again, last = [parcel.sent_at for _, parcel in channel.calls]
    assert set(asked) == {sent}
    assert again > sent
    assert last == again
    assert [step.failed for step in progress] == [True, True, False, True, False, False, False]
    assert [each.outcome for each in attempts(ledger, id)] == [
        "transient", "uncertain", "waiting", "transient", "not found", "uncertain", "found",
    ]  # fmt: skip
    assert [(row.our_state, row.platform_record) for row in versions(ledger)] == [("sent", "4711")]


def test_moments_differ_though_the_clock_stands_still_or_goes_back(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = datetime(2026, 11, 25, tzinfo=UTC)
    ids = [queued(ledger) for _ in range(3)]
    channel = Script(GOT, GOT, GOT)
    for id, at in zip(ids, (clock, clock, clock - timedelta(hours=1)), strict=True):
        monkeypatch.setattr("gateway.delivery.sending.now", lambda at=at: at)
        attempt(ledger, channel, id)
    moments = [parcel.sent_at for _, parcel in channel.calls]
    assert moments == sorted(set(moments))
    assert len(moments) == 3


@pytest.mark.parametrize("answer", [None, StillProcessing("处理中"), TransientFailure("忙"), GOT])
def test_a_receipt_that_comes_while_asking_has_settled_it(ledger: Ledger, answer: Delivered | Exception | None) -> None:
    id = queued(ledger)

    def reconciled(parcel: Parcel) -> Delivered | None:
        with ledger.write() as session:
            incoming = IncomingReceipt("1/1", parcel.key, "1", (), b"{}", "4711")
            assert receipts.apply(session, ledger.vault, "zhejiang-hub", [incoming], {"1": "accepted"}) == 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    channel = Script(uncertain(), reconciled)
    attempt(ledger, channel, id)
    attempt(ledger, channel, id)
    (row,) = versions(ledger)
    assert (row.our_state, row.platform_state, row.platform_record) == ("sent", "accepted", "4711")
    assert attempt(ledger, channel, id).done
    assert len(channel.calls) == 2


def test_an_answer_without_a_number_leaves_the_one_that_is_known(ledger: Ledger) -> None:
    id = queued(ledger)

    def reconciled(parcel: Parcel) -> Delivered:
        with ledger.write() as session:
            incoming = IncomingReceipt("1/1", parcel.key, "1", (), b"{}", "4711")
            receipts.apply(session, ledger.vault, "zhejiang-hub", [incoming], {"1": "accepted"})
        return Delivered("", 1, b"")

    attempt(ledger, Script(reconciled), id)
    assert versions(ledger)[0].platform_record == "4711"


def test_what_replaces_and_what_belongs_to_a_report_carry_its_number(ledger: Ledger) -> None:
    submission = put(ledger, card())
    channel = Script(GOT, GOT, GOT)
    attempt(ledger, channel, queue(ledger, f"{submission}.1"))
    visit = put(ledger, first_visit(), part="first_visit/1", parent=submission)
    attempt(ledger, channel, queue(ledger, f"{visit}.1"))
    attempt(ledger, channel, queue(ledger, follow(ledger, submission, card(), "amend")))
    told = [(parcel.operation, parcel.part, parcel.platform_record, parcel.replaces) for _, parcel in channel.calls]
    assert told == [
        ("submit", "", "", ""),
        ("submit", "first_visit/1", "4711", ""),
        ("amend", "", "4711", f"{submission}.1"),
    ]
