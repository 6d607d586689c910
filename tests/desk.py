"""A clerk's desk: a running gateway as one test sees it, with what this test has handed in and what became of that.

Several desks may stand in front of one gateway, one after the other: each sees only what came after it was set up.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from sqlmodel import col, func, select

from adapters.hqms.writer import csv_bytes
from conformance.simulators.ncpcs import Simulator
from gateway.cases import stays
from gateway.correcting import Correction, correct
from gateway.model.stay import Stay
from gateway.runtime import Gateway
from gateway.store.ledger import new_id
from gateway.store.tables import Attempt, AuditEntry, Receipt, SourceFile, StayVersion, SubmissionVersion
from mappings.layout import layout
from tests.installation import wait_for

PATIENCE = 20
State = tuple[str, str, str]
"""(operation, our side, platform side)"""


class Desk:
    """See the module."""

    def __init__(self, gateway: Gateway, platform: Simulator) -> None:
        self.gateway = gateway
        self._platform = platform
        self._since = new_id()
        with gateway.ledger.read() as session:
            self._receipts_before = session.exec(select(func.max(Receipt.id))).one() or 0

    def hand_in(self, *records: dict[str, str], name: str = "october.csv") -> str:
        """Hand in a file of these records; its id."""
        return self.hand_in_bytes(csv_bytes(layout("2020"), records), name)

    def hand_in_bytes(self, content: bytes, name: str) -> str:
        """Hand in a file; its id."""
        return self.gateway.importer.receive(BytesIO(content), name)[0].id

    def file(self, file_id: str) -> SourceFile:
        """A file as it stands."""
        with self.gateway.ledger.read() as session:
            return session.get_one(SourceFile, file_id)

    def has_read(self, file_id: str) -> bool:
        """Whether a file was read to its end."""
        return self.file(file_id).state == "done"

    def versions(self, platform: str = "ncpcs") -> list[SubmissionVersion]:
        """All versions of this test's submissions, oldest first."""
        wanted = (SubmissionVersion.platform == platform, SubmissionVersion.id > self._since)
        with self.gateway.ledger.read() as session:
            return list(session.exec(select(SubmissionVersion).where(*wanted).order_by(col(SubmissionVersion.id))))

    def states(self) -> list[State]:
        """The states of `versions`."""
        return [(row.operation, row.our_state, row.platform_state) for row in self.versions()]

    def reach(self, *expected: State) -> None:
        """Wait until the versions stand as expected."""
        wait_for(lambda: self.states() == list(expected), PATIENCE, f"{expected}")

    def attempts(self, version_id: str) -> list[Attempt]:
        """All tries to send a version."""
        with self.gateway.ledger.read() as session:
            return list(session.exec(select(Attempt).where(Attempt.version_id == version_id).order_by(col(Attempt.number))))

    def receipts(self) -> list[Receipt]:
        """All receipts, in the order of arrival."""
        with self.gateway.ledger.read() as session:
            return list(session.exec(select(Receipt).where(col(Receipt.id) > self._receipts_before).order_by(col(Receipt.id))))

    def audited(self, action: str) -> Sequence[AuditEntry]:
        """Entries of the audit log about versions of this test."""
        with self.gateway.ledger.read() as session:
            about = (AuditEntry.action == action, AuditEntry.subject > self._since)
            return session.exec(select(AuditEntry).where(*about)).all()

    def stay_id(self, version: SubmissionVersion) -> int:
        """The stay of a version."""
        with self.gateway.ledger.read() as session:
            return session.get_one(StayVersion, version.stay_version_id).stay_id

    def stay(self, version: SubmissionVersion) -> Stay:
        """The current content of a version's stay."""
        stay_id = self.stay_id(version)
        with self.gateway.ledger.read() as session:
            return stays.current(session, self.gateway.vault, stay_id)[0]

    def correct(self, version: SubmissionVersion, **changes: str) -> None:
        """Correct the stay of a version."""
        wanted = [Correction(field, value) for field, value in changes.items()]
        assert correct(self.gateway.importer, self.stay_id(version), wanted, actor="clerk", reason="核对病历").changed

    def sent(self) -> dict[str, dict[str, Any]]:
        """What has reached the platform from here: by key, how often and how often in vain."""
        return {key: times for key, times in self._platform.counts()["submissions"].items() if self._since < key}
