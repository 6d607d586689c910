"""Delivery end to end: the real gateway and engine against the simulated platform, which misbehaves as platforms do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path

import httpx
import pytest

from adapters.hqms.writer import csv_bytes
from conformance.sample.faults import is_due_child
from conformance.sample.hospital import generate
from conformance.simulators.behaviour import Behaviour
from conformance.simulators.ncpcs import Simulator
from gateway.delivery import batches
from gateway.delivery.channel import Channel, Delivered, IncomingReceipt, Parcel
from gateway.importing import Importer
from gateway.model.errors import IllegalTransition
from gateway.model.values import Coded
from gateway.reporting import work
from gateway.runtime import Gateway
from gateway.settings import load
from gateway.store.tables import SourceFile, SubmissionVersion
from mappings.layout import layout
from tests.desk import PATIENCE, Desk
from tests.installation import install, wait_for

Record = dict[str, str]
GOOD = Behaviour(review_seconds=0.05)
SUBMITTED = ("submit", "sent", "accepted")
ONCE = {"received": 1, "duplicates": 0}


@pytest.fixture(scope="module")
def clinic() -> Iterator[Record]:
    """Clean records of stays that are due to the children's platform, none of them twice."""
    return (record for record in generate(4000) if is_due_child(record))


@pytest.fixture
def children(clinic: Iterator[Record]) -> list[Record]:
    """Six of them."""
    return list(islice(clinic, 6))


@pytest.fixture(scope="module", autouse=True)
def quick_stop() -> Iterator[None]:
    """Nothing is under way any more when a test is over."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.delivery.engine.STOP_SECONDS", 0)
        yield


class TestInTrouble:
    """One gateway and one platform, which behaves well at the beginning of each test."""

    @pytest.fixture(scope="class")
    @classmethod
    def standing(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Simulator, Gateway]]:
        folder = tmp_path_factory.mktemp("delivery") / "hospital"
        with Simulator() as platform:
            config, _ = install(folder, url=platform.base_url, account=platform.account, secret=platform.secret)
            gateway = Gateway(load(config))
            gateway.start()
            yield platform, gateway
            gateway.close()

    @pytest.fixture
    def platform(self, standing: tuple[Simulator, Gateway]) -> Simulator:
        standing[0].control(**GOOD.model_dump())
        return standing[0]

    @pytest.fixture
    def desk(self, standing: tuple[Simulator, Gateway], platform: Simulator) -> Desk:
        return Desk(standing[1], platform)

    def test_a_busy_platform_is_asked_again_when_it_wishes(self, desk: Desk, platform: Simulator, children: list[Record]) -> None:
        platform.control(fail={"calls": 2, "status": 429, "retry_after": 1, "path": "/records"})
        desk.hand_in(children[0])
        desk.reach(SUBMITTED)
        (version,) = desk.versions()
        tries = desk.attempts(version.id)
        assert [(a.number, a.outcome) for a in tries] == [(1, "transient"), (2, "transient"), (3, "answered")]
        for before, after in pairwise(tries):
            assert before.ended_at is not None
            assert (after.started_at - before.ended_at).total_seconds() >= 1  # its own pauses would be far shorter
        assert desk.sent() == {version.id: ONCE}

    def test_a_lost_answer_is_asked_for_and_nothing_is_sent_twice(
        self, desk: Desk, platform: Simulator, children: list[Record]
    ) -> None:
        platform.control(drop_answers=2)
        desk.hand_in(*children[:3])
        desk.reach(*[SUBMITTED] * 3)
        assert platform.conduct.now.drop_answers == 0
        assert desk.sent() == {row.id: ONCE for row in desk.versions()}
        outcomes = sorted([a.outcome for a in desk.attempts(row.id)] for row in desk.versions())
        assert [first for first, *_ in outcomes] == ["answered", "uncertain", "uncertain"]
        # asked, and found; or settled by its receipt before anybody had asked
        assert all(rest in ([], ["found"]) for _, *rest in outcomes)
        # the platform's number is in its answer; its receipts do not say it
        told = {row.id: desk.attempts(row.id)[-1].outcome in ("answered", "found") for row in desk.versions()}
        assert {row.id: bool(row.platform_record) for row in desk.versions()} == told

    def test_a_receipt_that_overtakes_another_counts_and_the_late_one_is_only_kept(
        self, desk: Desk, platform: Simulator, children: list[Record]
    ) -> None:
        platform.control(received_receipts=True, reorder_receipts=2, delay_receipts_seconds=0.2)
        desk.hand_in(children[0])
        wait_for(lambda: len(desk.receipts()) == 2, PATIENCE, "both receipts")
        assert [(row.status, row.applied) for row in desk.receipts()] == [("accepted", True), ("received", False)]
        assert desk.states() == [SUBMITTED]

    def test_repeated_receipts_are_kept_and_applied_once(self, desk: Desk, platform: Simulator, children: list[Record]) -> None:
        platform.control(repeat_receipts=3, repeat_pages=3, repeat_last=True)
        desk.hand_in(*children[:4])
        desk.reach(*[SUBMITTED] * 4)
        wait_for(lambda: platform.conduct.now.repeat_pages == 0, PATIENCE, "the pages repeated")
        desk.gateway.fetch_receipts("ncpcs")
        assert [(row.status, row.applied) for row in desk.receipts()] == [("accepted", True)] * 4
        assert sorted(entry.subject for entry in desk.audited("receipt.applied")) == [row.id for row in desk.versions()]

    def test_a_receipt_about_something_else_is_kept_for_a_person(
        self, desk: Desk, platform: Simulator, children: list[Record]
    ) -> None:
        body = {"operation": "submit", "replaces": None, "fields": children[1]}
        with httpx.Client(base_url=platform.base_url, auth=(platform.account, platform.secret), trust_env=False) as person:
            person.post("/api/v2/records", json=body, headers={"Idempotency-Key": "0-by-hand"}).raise_for_status()
        desk.hand_in(children[0])
        desk.reach(SUBMITTED)
        wait_for(lambda: len(desk.receipts()) == 2, PATIENCE, "both receipts")
        about = {row.version_id: (row.status, row.applied) for row in desk.receipts()}
        assert about == {"": ("accepted", False), desk.versions()[0].id: ("accepted", True)}

    def test_a_stay_that_is_not_due_any_more_is_withdrawn_and_can_be_submitted_again(
        self, desk: Desk, platform: Simulator, children: list[Record]
    ) -> None:
        child = children[0]
        desk.hand_in(child)
        desk.reach(SUBMITTED)
        (first,) = desk.versions()
        desk.correct(first, A13="1990-01-01")
        desk.reach(("submit", "sent", "withdrawn"), ("withdraw", "sent", "withdrawn"))
        _, second = desk.versions()
        assert second.replaces == first.id
        assert second.rules == "S-AGE"
        assert desk.sent() == {first.id: ONCE, second.id: ONCE}
        desk.correct(second, A13=child["A13"])
        desk.reach(("submit", "sent", "withdrawn"), ("withdraw", "sent", "withdrawn"), SUBMITTED)
        assert desk.versions()[2].replaces == ""

    def test_a_stay_whose_discharge_is_taken_back_is_withdrawn(
        self, desk: Desk, platform: Simulator, children: list[Record]
    ) -> None:
        """A later file has the stay without a time of discharge: there is no month any more, and still a report to take back."""
        desk.hand_in(children[0])
        desk.reach(SUBMITTED)
        later = desk.hand_in(children[0] | {"B15": ""}, children[1], name="later.csv")
        wait_for(lambda: desk.has_read(later), PATIENCE, "the later file")
        desk.reach(("submit", "sent", "withdrawn"), ("withdraw", "sent", "withdrawn"), SUBMITTED)
        assert desk.versions()[1].rules == "S-ENC"

    def hold(self, desk: Desk, platform: Simulator, child: Record) -> SubmissionVersion:
        """A version whose outcome stays open: its answer was lost, and the platform neither tells nor shows receipts until it is
        told not to fail any more."""
        platform.control(drop_answers=1, fail={"calls": 1_000_000, "path": "/records/"}, delay_receipts_seconds=1)
        desk.hand_in(child)
        wait_for(lambda: [row.our_state for row in desk.versions()] == ["uncertain"], PATIENCE, "an open outcome")
        platform.control(fail={"calls": 1_000_000, "path": "/rec"}, delay_receipts_seconds=0)
        return desk.versions()[0]

    def test_an_amendment_waits_for_its_predecessor(self, desk: Desk, platform: Simulator, children: list[Record]) -> None:
        first = self.hold(desk, platform, children[0])
        desk.correct(first, A27="10000000001")
        asked = len(desk.attempts(first.id))
        wait_for(lambda: len(desk.attempts(first.id)) >= asked + 2, PATIENCE, "the platform asked two more times")
        desk.gateway.engine.sweep()
        assert desk.states() == [("submit", "uncertain", "unknown"), ("amend", "ready", "unknown")]
        assert desk.sent() == {first.id: ONCE}
        with pytest.raises(IllegalTransition):  # nobody sends blindly what may be there
            desk.gateway.resend(first.id, actor="clerk", reason="着急")

        platform.control(fail={"calls": 0})
        desk.reach(SUBMITTED, ("amend", "sent", "accepted"))
        _, second = desk.versions()
        assert second.replaces == first.id
        ended, began = desk.attempts(first.id)[-1].ended_at, desk.attempts(second.id)[0].started_at
        assert ended is not None
        assert ended <= began
        assert desk.sent() == {first.id: ONCE, second.id: ONCE}

    def test_versions_that_did_not_leave_make_room_for_the_newest(
        self, desk: Desk, platform: Simulator, children: list[Record]
    ) -> None:
        first = self.hold(desk, platform, children[0])
        desk.correct(first, A27="10000000001")
        desk.correct(first, A27="10000000002")
        desk.correct(first, A27="10000000003")
        platform.control(fail={"calls": 0})
        skipped = ("amend", "superseded", "unknown")
        desk.reach(SUBMITTED, skipped, skipped, ("amend", "sent", "accepted"))
        newest = desk.versions()[3]
        assert newest.replaces == first.id
        assert desk.sent() == {first.id: ONCE, newest.id: ONCE}

    @pytest.mark.parametrize("still_due", [True, False])
    def test_the_successor_of_a_refused_version_takes_its_place(
        self, desk: Desk, platform: Simulator, children: list[Record], still_due: bool
    ) -> None:
        """A correction comes while the first report is on its way, then the platform refuses that: there is nothing to amend or
        withdraw at the platform."""
        platform.control(slow_seconds=0.7, fail={"calls": 1, "status": 422, "path": "/records"})
        desk.hand_in(children[0])
        wait_for(lambda: [row.our_state for row in desk.versions()] == ["sending"], PATIENCE, "the call")
        (first,) = desk.versions()
        desk.correct(first, **({"A27": "10000000001"} if still_due else {"A13": "1990-01-01"}))
        assert desk.states()[1][0] == ("amend" if still_due else "withdraw")
        platform.control(slow_seconds=0)
        if still_due:
            desk.reach(("submit", "superseded", "unknown"), SUBMITTED)
            assert desk.sent() == {desk.versions()[1].id: ONCE}
        else:
            desk.reach(("submit", "superseded", "unknown"), ("withdraw", "superseded", "unknown"))
            assert desk.sent() == {}
        with desk.gateway.ledger.read() as session:
            assert list(work.items(session)) == []

    def test_a_correction_leaves_what_a_message_would_have_left(self, desk: Desk, children: list[Record]) -> None:
        desk.hand_in(children[0])
        desk.reach(SUBMITTED)
        (version,) = desk.versions()
        desk.correct(version, C06x20C="E87.600", C07x20N="低钾血症", C08x20C="1")
        desk.correct(version, C34C="-", A14=str(int(children[0]["A14"])), C06x21C="R50.900")
        desk.correct(version, C06x21C="")
        other = desk.stay(version).diagnoses.other
        assert other[19].condition == Coded("ICD10-GB-CLIN-2.0", "E87.600", "低钾血症")
        assert other[20].condition is None


@pytest.fixture
def transport() -> str:
    """TOML that a test may add to the platform's section."""
    return ""


@pytest.fixture
def channels() -> dict[str, Channel]:
    """Platforms in memory, beside the simulated one."""
    return {}


@pytest.fixture
def stopped(platform: Simulator, hospital: Path, transport: str, channels: dict[str, Channel]) -> Iterator[Gateway]:
    """A gateway that has not begun to work."""
    config, _ = install(hospital, url=platform.base_url, account=platform.account, secret=platform.secret, more=transport)
    made = Gateway(load(config), channels=channels)
    yield made
    made.close()


@pytest.fixture
def desk(stopped: Gateway, platform: Simulator) -> Desk:
    """The desk of a gateway of its own."""
    stopped.start()
    return Desk(stopped, platform)


def test_a_platform_that_is_down_at_the_start_gets_everything_when_it_comes_back(
    stopped: Gateway, platform: Simulator, children: list[Record]
) -> None:
    platform.stop()
    stopped.start()
    desk = Desk(stopped, platform)
    desk.hand_in(*children[:3])
    wait_for(lambda: len(desk.versions()) == 3, PATIENCE, "three drafts")
    first = desk.versions()[0].id
    wait_for(lambda: len([a for a in desk.attempts(first) if a.outcome == "transient"]) >= 2, PATIENCE, "two tries")
    assert {row.platform_state for row in desk.versions()} == {"unknown"}
    platform.start()
    desk.reach(*[SUBMITTED] * 3)
    assert desk.sent() == {row.id: ONCE for row in desk.versions()}


def test_a_refusal_for_good_waits_for_a_person_with_the_platforms_words(
    clerk: httpx.Client, platform: Simulator, children: list[Record]
) -> None:
    """Somebody had typed the stay in on the platform's page. It is taken back there, then the gateway's report goes through."""
    child = children[0]
    with httpx.Client(base_url=platform.base_url, auth=(platform.account, platform.secret), trust_env=False) as person:

        def typed(key: str, operation: str, replaces: str | None) -> int:
            body = {"operation": operation, "replaces": replaces, "fields": child}
            return person.post("/api/v2/records", json=body, headers={"Idempotency-Key": key}).status_code

        assert typed("0-by-hand", "submit", None) == 202
        clerk.post("/api/files", params={"name": "a.csv"}, content=csv_bytes(layout("2020"), [child])).raise_for_status()
        wait_for(lambda: bool(clerk.get("/api/work").json()), PATIENCE, "a piece of work")
        (item,) = clerk.get("/api/work").json()
        (words,) = item["reasons"]
        assert (item["kind"], item["version"]["ours"], item["version"]["theirs"]) == ("failed", "failed", "unknown")
        assert "已经上报" in words["message"]
        assert "409" in words["message"]

        assert typed("0-by-hand-2", "withdraw", "0-by-hand") == 202
    submission = item["version"]["id"].rpartition(".")[0]  # a person may name the submission as well as its version
    answer = clerk.post(f"/api/submissions/{submission}/resend", json={"reason": "已在平台撤回手工录入的记录"})
    assert answer.status_code == 204, answer.text

    def sides() -> tuple[str, str]:
        (shown,) = clerk.get("/api/submissions").json()
        return shown["ours"], shown["theirs"]

    wait_for(lambda: sides() == ("sent", "accepted"), PATIENCE, "the report accepted")
    assert clerk.get("/api/work").json() == []
    again = clerk.post(f"/api/submissions/{submission}/resend", json={"reason": "再来一次"})
    assert again.status_code == 409
    assert "发送失败" in again.json()["error"]


def test_a_file_that_cannot_be_worked_through_does_not_keep_the_next_one_waiting(
    desk: Desk, children: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Callable[[Importer, str], SourceFile] = Importer.read
    poison: list[str] = []

    def stumble(importer: Importer, file_id: str) -> SourceFile:
        if file_id in poison:
            raise RuntimeError
        return read(importer, file_id)

    monkeypatch.setattr(Importer, "read", stumble)
    for loop in desk.gateway.loops:
        if loop.name == "importer":
            loop.stop()
    poison.append(desk.hand_in(children[0], name="first.csv"))
    second = desk.hand_in(children[1], name="second.csv")
    with pytest.raises(RuntimeError):  # the loop that reads is shown as failing
        desk.gateway.read_pending()
    assert desk.has_read(second)
    assert desk.gateway.importer.pending() == poison
    poison.clear()
    desk.gateway.read_pending()
    assert desk.gateway.importer.pending() == []


class TestReviewed:
    """A reviewer looks at every report first."""

    @pytest.fixture
    def transport(self) -> str:
        return "review = true\n"

    def test_nothing_leaves_before_it_is_approved(self, desk: Desk, platform: Simulator, children: list[Record]) -> None:
        desk.hand_in(*children[:2])
        waiting = ("submit", "awaiting_review", "unknown")
        desk.reach(waiting, waiting)
        assert desk.gateway.engine.sweep() == 0
        with desk.gateway.ledger.read() as session:
            assert [item.kind for item, _ in work.items(session)] == ["review", "review"]
        first, _ = desk.versions()
        with pytest.raises(IllegalTransition):
            desk.gateway.resend(first.id, actor="lead", reason="跳过审核")
        desk.gateway.approve(first.id, actor="lead")
        desk.reach(SUBMITTED, waiting)
        assert desk.sent() == {first.id: ONCE}
        with pytest.raises(IllegalTransition, match="已发送"):
            desk.gateway.approve(first.id, actor="lead")
        by_lead = [entry for entry in desk.audited("submission.ours") if entry.actor == "lead"]
        assert [(entry.subject, json.loads(entry.detail)["reason"]) for entry in by_lead] == [(first.id, "approved")]


class TestByFile:
    """A platform that is served by files."""

    @pytest.fixture
    def transport(self) -> str:
        return 'transport = "folder"\n'

    def test_a_correction_between_writing_and_confirming_a_file_amends_it(self, desk: Desk, children: list[Record]) -> None:
        """The file may have been uploaded already, so its version is not forgotten, and the batch can still be confirmed."""
        same_month = [children[0], children[0] | {"A49": "7"}]
        desk.hand_in(*same_month)
        ready = ("submit", "ready", "unknown")
        desk.reach(ready, ready)
        month = children[0]["B15"][:7]
        batch = desk.gateway.close_batch("ncpcs", month, actor="clerk")
        first, _ = desk.versions()
        desk.correct(first, A27="10000000001")
        queued = ("submit", "queued", "unknown")
        amended = [row for row in desk.versions() if row.operation == "amend"]
        assert [(row.our_state, row.replaces) for row in amended] == [("ready", first.id)]
        assert sorted(desk.states()) == sorted([queued, queued, ("amend", "ready", "unknown")])
        confirmed = batches.confirm(desk.gateway.ledger, batch.id, actor="clerk")
        assert confirmed.state == "confirmed"
        assert sorted(row.our_state for row in desk.versions()) == ["ready", "sent", "sent"]
        following = desk.gateway.close_batch("ncpcs", month, actor="clerk")
        assert following.members == 1
        assert following.file_name != batch.file_name


class TestImpatient:
    """The gateway gives a call up before the platform has made up its mind."""

    @pytest.fixture
    def transport(self) -> str:
        return "timeout_seconds = 0.3\n"

    def test_what_the_platform_does_not_have_after_all_is_sent_again(
        self, desk: Desk, platform: Simulator, children: list[Record]
    ) -> None:
        platform.control(slow_seconds=0.6, fail={"calls": 1, "path": "/records"})
        desk.hand_in(children[0])
        wait_for(lambda: platform.counts()["calls_failed"] == 1, PATIENCE, "the call dropped by the platform")
        (version,) = desk.versions()
        assert version.our_state == "uncertain"
        platform.control(slow_seconds=0)
        desk.reach(SUBMITTED)
        outcomes = [a.outcome for a in desk.attempts(version.id)]
        assert outcomes[0] == "uncertain"
        assert outcomes[-2:] == ["not found", "answered"]
        assert "answered" not in outcomes[:-1]
        assert desk.sent() == {version.id: ONCE}


class Memory:
    """A platform in memory that takes everything at once."""

    numbered = False

    def __init__(self) -> None:
        self.kept: list[str] = []

    def send(self, parcel: Parcel) -> Delivered:
        self.kept.append(parcel.key)
        return Delivered(f"M-{len(self.kept)}", 200, b"{}")

    def ask(self, parcel: Parcel) -> Delivered | None:
        return Delivered("M", 200, b"{}") if parcel.key in self.kept else None

    def receipts(self, cursor: str) -> tuple[list[IncomingReceipt], str]:
        return [], cursor

    def close(self) -> None:
        """Nothing to give up."""


class TestTwoPlatforms:
    """One platform fails and is slow, another one works."""

    @pytest.fixture
    def transport(self) -> str:
        return "concurrency = 1\n\n[platforms.hqms]\nreceipts_seconds = 60\n"

    @pytest.fixture
    def channels(self) -> dict[str, Channel]:
        return {"hqms": Memory()}

    def test_a_failing_platform_does_not_slow_another(self, desk: Desk, platform: Simulator, children: list[Record]) -> None:
        platform.control(slow_seconds=0.3, fail={"calls": 1_000_000, "path": "/records"})
        desk.hand_in(*children)
        count = len(children)

        def at_hqms() -> int:
            return [row.our_state for row in desk.versions("hqms")].count("sent")

        wait_for(lambda: at_hqms() == count, PATIENCE, "everything at the platform that works")
        stuck = desk.versions()
        assert len(stuck) == count
        assert {row.platform_state for row in stuck} == {"unknown"}
        # the failing one answers after 0.3 s, one call at a time: it cannot even have been tried for each report by then
        last = max(desk.attempts(row.id)[-1].ended_at for row in desk.versions("hqms"))
        tried = [a for row in stuck for a in desk.attempts(row.id) if a.started_at <= last]
        assert len(tried) < count
        platform.control(slow_seconds=0, fail={"calls": 0})
        desk.reach(*[SUBMITTED] * count)
