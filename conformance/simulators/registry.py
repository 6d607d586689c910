"""Everything that one account has sent to the platform, and what became of it."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush
from threading import RLock

from conformance.simulators.behaviour import Conduct
from conformance.simulators.form import Form
from conformance.simulators.receipts import Outbox, Receipt
from conformance.simulators.records import RECEIVED, WITHDRAWN, Reason, Record, Refused, Report, Submission, Verdict
from conformance.simulators.review import load_reviewer
from conformance.simulators.uploads import UploadedRow, read_upload
from mappings.cadence import CHINA
from mappings.profile import Profile


@dataclass(slots=True)
class _Tally:
    received: int = 0
    duplicates: int = 0


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that did not become a record."""

    row: UploadedRow
    reasons: tuple[Reason, ...]


@dataclass(slots=True)
class Upload:
    """An uploaded file: its records by row number, and its refused rows."""

    file_id: str
    rows: int = 0
    accepted: dict[int, Record] = field(default_factory=dict)
    refused: dict[int, RefusedRow] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is. ``submissions`` holds, by key, how often it was received and how many of those were repetitions."""

    records: int
    verdicts: Counter[str]
    files: int
    submissions: dict[str, tuple[int, int]]
    receipts_issued: int
    receipts_published: int


def _already_reported() -> Refused:
    return Refused(409, Reason("A48", "该病案号和住院次数已经上报，且未被退回或撤回，不能重复上报，请改用更正"))


class Registry:
    """Thread-safe. Nothing happens by itself: verdicts that have become due are given when somebody looks."""

    def __init__(self, profile: Profile, conduct: Conduct) -> None:
        self._form = Form(profile.stay_layout)
        self._reviewer = load_reviewer(profile)
        self._conduct = conduct
        self._lock = RLock()
        self._name = secrets.token_hex(3).upper()
        self._records: dict[str, Record] = {}
        self._reports: dict[tuple[str, str, str], Report] = {}
        self._uploads: dict[str, Upload] = {}
        self._in_review: list[tuple[datetime, int, Record]] = []
        self._outbox = Outbox()
        self._tallies: dict[str, _Tally] = {}

    def submit(self, key: str, submission: Submission) -> tuple[Record, bool]:
        """Take a submission under its idempotency key; the record, and whether it is new. Raises `Refused`: 409 when the key was
        used for something else or the stay is reported already, 422 when the submission is unusable."""
        with self._lock:
            self._advance()
            tally = self._tallies.setdefault(key, _Tally())
            tally.received += 1
            known = self._records.get(key)
            if known is None:
                return self._take(key, submission), True
            if known.submission != submission:
                raise Refused(409, Reason("", "同一幂等键已用于另一份内容，请换用新的幂等键"))
            tally.duplicates += 1
            return known, False

    def upload(self, content: bytes, name: str) -> Upload:
        """Take a front-sheet file. The same bytes are the same upload. A file has no column for the operation: a row about a stay
        that is reported already amends that report. Raises `Refused` (422) when the file as a whole is unusable."""
        file_id = f"F{hashlib.sha256(content).hexdigest()[:20]}"
        with self._lock:
            self._advance()
            known = self._uploads.get(file_id)
            if known is not None:
                return known
            made = Upload(file_id)
            seen: set[tuple[str, str, str]] = set()
            for row in read_upload(content, name):
                made.rows += 1
                try:
                    made.accepted[row.number] = self._take_row(file_id, row, seen)
                except Refused as refusal:
                    made.refused[row.number] = RefusedRow(row, refusal.reasons)
            self._uploads[file_id] = made
            return made

    def record(self, key: str) -> Record | None:
        """The record of a key."""
        with self._lock:
            self._advance()
            return self._records.get(key)

    def find_upload(self, file_id: str) -> Upload | None:
        """The upload of a number."""
        with self._lock:
            self._advance()
            return self._uploads.get(file_id)

    def records(self) -> list[Record]:
        """All records, oldest first."""
        with self._lock:
            self._advance()
            return list(self._records.values())

    def receipts(self, after: str, limit: int) -> tuple[list[Receipt], str]:
        """Receipts after a cursor and the next cursor, as well or badly as the platform is told to behave."""
        with self._lock:
            self._advance()
            page = self._outbox.page(after, limit)
            shown = list(page.receipts)
            cursor = page.end
            if shown and self._conduct.repeats_receipts():
                shown = [receipt for receipt in shown for _ in range(2)]
            if shown and self._conduct.repeats_page():
                cursor = page.start
            if page.before is not None and self._conduct.now.repeat_last:
                shown.insert(0, page.before)
            return shown, cursor

    def counts(self) -> Counts:
        """What a test wants to know."""
        with self._lock:
            self._advance()
            return Counts(
                records=len(self._records),
                verdicts=Counter(record.verdict.status for record in self._records.values()),
                files=len(self._uploads),
                submissions={key: (tally.received, tally.duplicates) for key, tally in self._tallies.items()},
                receipts_issued=self._outbox.issued,
                receipts_published=self._outbox.published,
            )

    # -- taking

    def _take_row(self, file_id: str, row: UploadedRow, seen: set[tuple[str, str, str]]) -> Record:
        if row.fault is not None:
            raise Refused(422, row.fault)
        submission = Submission("submit", "", row.fields)
        if submission.identity in seen:
            raise Refused(422, Reason("A48", "同一文件内病案号和住院次数重复"))
        report = self._reports.get(submission.identity)
        if report is not None and not report.open:
            submission = Submission("amend", report.versions[-1].key, row.fields)
        record = self._take(f"{file_id}#{row.number}", submission)
        seen.add(submission.identity)
        return record

    def _take(self, key: str, submission: Submission) -> Record:
        if submission.operation == "withdraw":
            outcome = WITHDRAWN
            report = self._report_for(submission)
        else:
            outcome = self._reviewer.review(submission.fields, self._form.read(submission.fields))
            report = self._report_for(submission)
            self._reports[submission.identity] = report
        now = datetime.now(CHINA)
        number = len(self._records) + 1
        record = Record(f"NCPCS-{self._name}-{number:06d}", key, submission, report, outcome, now)
        self._records[key] = record
        report.versions.append(record)
        heappush(self._in_review, (now + timedelta(seconds=self._conduct.now.review_seconds), number, record))
        if self._conduct.now.received_receipts:
            self._issue(record, RECEIVED, now)
        return record

    def _report_for(self, submission: Submission) -> Report:
        """The report that a submission belongs to. Raises `Refused`: 409 when another report about the stay stands, 422 when what
        it replaces is unknown or withdrawn."""
        standing = self._reports.get(submission.identity)
        if submission.operation == "submit":
            if submission.replaces:
                raise Refused(422, Reason("replaces", "首次上报不能指定被替代的记录"))
            report = standing or Report()
            if not report.open:
                raise _already_reported()
            return report
        replaced = self._records.get(submission.replaces)
        if replaced is None:
            raise Refused(422, Reason("replaces", "没有找到被替代的记录，请先上报"))
        report = replaced.report
        if replaced.verdict == WITHDRAWN or report.taken_back:
            raise Refused(422, Reason("replaces", "被替代的记录已撤回，请重新上报"))
        if submission.operation == "amend" and standing is not None and standing is not report and not standing.open:
            raise _already_reported()
        return report

    # -- deciding

    def _advance(self) -> None:
        """Give the verdicts and publish the receipts that have become due."""
        now = datetime.now(CHINA)
        while self._in_review and self._in_review[0][0] <= now:
            at, _, record = heappop(self._in_review)
            if record.submission.operation == "withdraw":
                self._withdraw(record, at)
            elif record.verdict == RECEIVED:
                self._decide(record, record.outcome, at)
        self._outbox.publish(now, self._conduct.now.reorder_receipts)

    def _withdraw(self, record: Record, at: datetime) -> None:
        """A withdrawal takes back all versions of the report before it; each of them gets its receipt, the withdrawal last."""
        for version in record.report.versions:
            if version.verdict != WITHDRAWN:
                self._decide(version, WITHDRAWN, at)
            if version is record:
                return

    def _decide(self, record: Record, verdict: Verdict, at: datetime) -> None:
        record.verdict, record.decided_at = verdict, at
        self._issue(record, verdict, at)

    def _issue(self, record: Record, verdict: Verdict, at: datetime) -> None:
        self._outbox.issue(record, verdict, at, at + timedelta(seconds=self._conduct.now.delay_receipts_seconds))
