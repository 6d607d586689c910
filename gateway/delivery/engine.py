"""The durable engine: one workflow per delivery, over the ledger.

The ledger is the truth; the engine holds only execution (ids, never patient data). `deliver` is the life of a version from the moment
it may leave until the platform has it; waiting for days (for a window, a reviewer, a receipt) is a state in the ledger, not a
sleeping workflow, so that a queue slot is only held while there is something to send (``docs/decisions/0005``).

`sweep` is the transactional outbox: it starts what the ledger says is due and no workflow runs. Workflow ids are derived from the
ledger, so starting one twice is harmless.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic

from dbos import DBOS, DBOSConfig, SetWorkflowID
from sqlalchemy import ColumnElement, exists
from sqlalchemy.orm import aliased
from sqlmodel import col, select

from gateway.audit.log import Event, record
from gateway.delivery.channel import Channel
from gateway.delivery.sending import Progress, attempt
from gateway.reporting.states import Ours, Theirs
from gateway.reporting.submissions import move
from gateway.store.ledger import Ledger, now
from gateway.store.tables import Submission, SubmissionVersion

APPLICATION_VERSION = "1"
"""Changes only when running workflows of the former version cannot be carried on."""

STOP_SECONDS = 2
"""How long a stop waits for what is under way; what takes longer is carried on by the next start."""

INSPECT_EVERY = 60.0
"""Seconds between two looks for deliveries that nothing carries on."""

_IN_FLIGHT = (Ours.QUEUED, Ours.SENDING, Ours.UNCERTAIN)
_FINISHED = frozenset({"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})


@dataclass
class Breaker:
    """Stops asking a platform that does not answer. After ``limit`` failures in a row it stays open for a growing while; the
    first attempt after that decides."""

    first_seconds: float
    longest_seconds: float
    limit: int = 5
    failures: int = 0
    open_until: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self) -> float:
        """Seconds until an attempt is allowed."""
        return max(0.0, self.open_until - monotonic())

    def note(self, failed: bool) -> None:
        """Take an attempt's outcome into account."""
        with self._lock:
            self.failures = self.failures + 1 if failed else 0
            if not failed:
                self.open_until = 0.0
            elif self.failures >= self.limit:
                growth = min(self.failures - self.limit, 20)
                self.open_until = monotonic() + min(self.first_seconds * 2**growth, self.longest_seconds)


@dataclass
class Lane:
    """What the engine needs to deliver to one platform."""

    platform: str
    channel: Channel
    concurrency: int
    per_second: float
    retry_first_seconds: float
    retry_longest_seconds: float
    breaker: Breaker = field(init=False)

    def __post_init__(self) -> None:
        self.breaker = Breaker(self.retry_first_seconds, self.retry_longest_seconds)

    @property
    def queue(self) -> str:
        return f"deliver-{self.platform}"

    def pause(self, tries: int, wish: float | None) -> float:
        """Seconds to wait after ``tries`` failures: growing, with jitter, never shorter than the platform's wish."""
        backoff: float = min(self.retry_first_seconds * 2 ** min(tries, 20), self.retry_longest_seconds)
        return max(wish or 0.0, backoff * random.uniform(0.5, 1.0))  # noqa: S311 - jitter


class Engine:
    """Starts, feeds and stops the durable engine of this process (one per process)."""

    def __init__(self, ledger: Ledger, url: str, lanes: Mapping[str, Lane]) -> None:
        self.ledger = ledger
        self.lanes = dict(lanes)
        self._url = url
        self._inspect_at = 0.0

    def start(self) -> None:
        """Launch. Workflows that a former process left are recovered before anything new starts."""
        global _engine
        _engine = self
        if self._url.startswith("sqlite:///"):
            with sqlite3.connect(self._url.removeprefix("sqlite:///")) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
            connection.close()
        logging.getLogger("dbos").setLevel(logging.ERROR)
        config: DBOSConfig = {
            "name": "zhibao",
            "system_database_url": self._url,
            "application_version": APPLICATION_VERSION,
            "executor_id": "local",
            "log_level": "ERROR",
            "console_log_level": "ERROR",
        }
        DBOS(config=config)
        log = logging.getLogger("dbos")  # its own handler holds on to the stream that was there when it was made
        log.handlers.clear()
        log.propagate = True
        DBOS.launch()
        for lane in self.lanes.values():
            DBOS.register_queue(
                lane.queue,
                worker_concurrency=lane.concurrency,
                limiter={"limit": max(1, round(lane.per_second * 2)), "period": 2.0},
                polling_interval_sec=0.05,
                on_conflict="always_update",
            )

    def stop(self) -> None:
        """Stop; what is under way is carried on by the next start."""
        global _engine
        DBOS.destroy(workflow_completion_timeout_sec=STOP_SECONDS)
        _engine = None

    def sweep(self, limit: int = 500) -> int:
        """Start every delivery that the ledger says is due and no workflow runs; how many were started."""
        started = 0
        if monotonic() >= self._inspect_at:
            started += self._pick_up()
            self._inspect_at = monotonic() + INSPECT_EVERY
        for platform, lane in self.lanes.items():
            with self.ledger.write() as session:
                former = aliased(SubmissionVersion)
                statement = (
                    select(SubmissionVersion)
                    .where(
                        SubmissionVersion.platform == platform,
                        SubmissionVersion.our_state == Ours.READY,
                        col(SubmissionVersion.due_from) <= now(),
                        # versions of one submission leave one after the other
                        ~exists().where(
                            col(former.submission_id) == col(SubmissionVersion.submission_id),
                            col(former.our_state).in_(_IN_FLIGHT),
                        ),
                        ~_report_awaited(lane.channel.numbered),
                    )
                    .order_by(col(SubmissionVersion.id))
                    .limit(limit)
                )
                if lane.channel.numbered:
                    statement = statement.where(~_number_awaited())
                events: list[Event] = []
                ids = []
                for row in session.exec(statement):
                    move(row, Ours.QUEUED, events)
                    row.run += 1
                    session.add(row)
                    ids.append((row.id, row.run))
                record(session, *events)
            for id, run in ids:
                self._enqueue(lane, id, run)
            started += len(ids)
        return started

    def requeue(self, version_id: str) -> None:
        """Start a new delivery of a version that a person put back into the queue."""
        with self.ledger.write() as session:
            row = session.get(SubmissionVersion, version_id)
            assert row is not None
            row.run += 1
            session.add(row)
            platform, run = row.platform, row.run
        if platform in self.lanes:
            self._enqueue(self.lanes[platform], version_id, run)

    def _pick_up(self) -> int:
        """After a start, and now and then: deliveries that stand in the ledger as under way and that no workflow carries on (the process
        died, or a workflow ended by an error of ours); how many were started again."""
        with self.ledger.read() as session:
            statement = select(SubmissionVersion.id, SubmissionVersion.platform, SubmissionVersion.run).where(
                col(SubmissionVersion.our_state).in_(_IN_FLIGHT), SubmissionVersion.batch_id == ""
            )
            rows = list(session.exec(statement))
        started = 0
        for id, platform, run in rows:
            lane = self.lanes.get(platform)
            if lane is None:
                continue
            status = DBOS.get_workflow_status(_workflow_id(id, run))
            if status is None:
                self._enqueue(lane, id, run)
            elif status.status in _FINISHED and self._still_under_way(id):
                self.requeue(id)
            else:
                continue
            started += 1
        return started

    def _still_under_way(self, version_id: str) -> bool:
        """Looked at again after its workflow ended: it may just have been settled."""
        with self.ledger.read() as session:
            row = session.get(SubmissionVersion, version_id)
            return row is not None and row.our_state in _IN_FLIGHT

    def _enqueue(self, lane: Lane, version_id: str, run: int) -> None:
        with SetWorkflowID(_workflow_id(version_id, run)):
            DBOS.enqueue_workflow(lane.queue, deliver, lane.platform, version_id)


def _report_awaited(numbered: bool) -> ColumnElement[bool]:
    """Whether a version is of a part whose report the platform has still to get, and, where it is known by a number, to number."""
    main = aliased(SubmissionVersion)
    arrived = exists().where(col(main.submission_id) == col(Submission.parent), col(main.our_state) == Ours.SENT)
    return exists().where(
        col(Submission.id) == col(SubmissionVersion.submission_id),
        col(Submission.parent) != "",
        ~(arrived.where(col(main.platform_record) != "") if numbered else arrived),
    )


def _number_awaited() -> ColumnElement[bool]:
    """Whether a version replaces another whose number the platform has still to tell. It tells none of what it rejected."""
    replaced = aliased(SubmissionVersion)
    return exists().where(
        col(replaced.id) == col(SubmissionVersion.replaces),
        col(replaced.platform_record) == "",
        col(replaced.platform_state) != Theirs.REJECTED,
    )


_engine: Engine | None = None


def _workflow_id(version_id: str, run: int) -> str:
    """Sortable by creation, because version ids are."""
    return f"{version_id}/{run:04d}"


@DBOS.workflow()
def deliver(platform: str, version_id: str) -> str:
    """The life of a version from leaving until the platform has it (or never will): try; when the outcome is open, ask; when the
    platform is not there, wait longer each time. The word returned is for the engine's own record."""
    tries = 0
    while True:
        done, pause = try_once(platform, version_id, tries)
        if done:
            return "done"
        tries += 1
        DBOS.sleep(pause)


@DBOS.step()
def try_once(platform: str, version_id: str, tries: int) -> tuple[bool, float]:
    """One attempt: (nothing more to do, seconds to wait otherwise). Safe to run again after a crash: see `attempt`."""
    assert _engine is not None, "the engine is not running"
    lane = _engine.lanes[platform]
    if (closed := lane.breaker.wait()) > 0:
        return False, closed
    progress: Progress = attempt(_engine.ledger, lane.channel, version_id)
    lane.breaker.note(progress.failed)
    if progress.done:
        return True, 0.0
    if progress.retry_after is not None or progress.failed:
        return False, lane.pause(tries, progress.retry_after)
    return False, 0.0
