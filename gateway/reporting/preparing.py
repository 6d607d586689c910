"""Rows on their way into the ledger: read, drafted and sealed in worker processes.

What a worker hands back is ready to be written: the ledger's single writer has nothing left to compute, so importing is as fast as
the processes that prepare.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from adapters.hqms.header import recognise
from adapters.hqms.rows import RowReader
from adapters.hqms.tables import Row, RowFault, UncutRow
from conformance.checks.finding import Finding
from gateway.cases.joining import keys_of_stay
from gateway.cases.stays import STAY_PLACE
from gateway.intake.reading import RowOutcome, read_row
from gateway.model.provenance import Provenance
from gateway.model.stay import Stay
from gateway.reporting.drafts import Draft, Drafter, PlatformChoice
from gateway.store.vault import Vault
from mappings.scope import Decision

RECORD_PLACE = "submission_version.record"
CANCELLED = Decision(False, ("S-CANCELLED",), "入院已取消，不上报")


class PreparedDraft(Struct, frozen=True):
    """A draft ready to be written. ``findings`` is JSON; ``sealed_record`` is empty when the stay is not due."""

    platform: str
    due: bool
    review: bool
    blocked: bool
    rules: str
    reason: str
    findings: str
    digest: str
    sealed_record: bytes


class PreparedStay(Struct, frozen=True):
    """A stay ready to be written: blind index of its identity, of the other keys it is found under, month of discharge, digest of its
    content, code of the institution."""

    identity: str
    keys: tuple[str, ...]
    organisation: str
    window: str
    digest: str
    sealed_body: bytes
    drafts: tuple[PreparedDraft, ...]


class PreparedRow(Struct, frozen=True):
    """The outcome of one row; ``stay`` is None when it was refused."""

    row: int
    offset: int
    length: int
    reason: str = ""
    field: str = ""
    note: str = ""
    stay: PreparedStay | None = None


class Preparer:
    """Prepares stays for the ledger under a hospital's choices."""

    def __init__(self, vault: Vault, choices: tuple[PlatformChoice, ...], dictionaries: Path | None = None) -> None:
        self._vault = vault
        self._drafters = [Drafter(choice, dictionaries=dictionaries) for choice in choices]

    def prepare(self, stay: Stay, *, findings: tuple[Finding, ...] = (), cancelled: bool = False) -> PreparedStay:
        """A stay with its drafts. The digest leaves provenance out: the same facts from another message change nothing. ``findings`` of
        assembling it are told with those of each platform; a ``cancelled`` stay is due to nobody."""
        provenance, stay.provenance = stay.provenance, Provenance()
        digest = hashlib.sha256(msgspec.json.encode((stay, findings, cancelled) if findings or cancelled else stay)).hexdigest()
        stay.provenance = provenance
        organisation, record_number, admission_number = stay.identity
        return PreparedStay(
            identity=self._vault.index(organisation, record_number, str(admission_number)),
            keys=tuple(self._vault.index(*key.index) for key in keys_of_stay(stay) if key.kind != "person"),
            organisation=organisation,
            window=(stay.discharge.time or "")[:7],
            digest=digest,
            sealed_body=self._vault.seal(msgspec.json.encode(stay), STAY_PLACE),
            drafts=tuple(self._draft(drafter, stay, findings, cancelled) for drafter in self._drafters),
        )

    def _draft(self, drafter: Drafter, stay: Stay, findings: tuple[Finding, ...], cancelled: bool) -> PreparedDraft:
        draft = drafter.draft(stay) if not cancelled else Draft(drafter.profile.id, CANCELLED)
        if draft.decision.due and findings:
            draft = replace(draft, findings=(*draft.findings, *findings))
        return sealed(self._vault, draft)


def sealed(vault: Vault, draft: Draft, *, asks: bool = False) -> PreparedDraft:
    """A draft ready to be written; ``asks`` when a person must look at it whatever its scope says."""
    decision = draft.decision
    return PreparedDraft(
        platform=draft.platform,
        due=decision.due,
        review=decision.review or asks,
        blocked=draft.blocked,
        rules=" ".join(decision.rules),
        reason=decision.reason,
        findings=msgspec.json.encode(draft.findings).decode(),
        digest=draft.digest,
        sealed_record=vault.seal(msgspec.json.encode(draft.record), RECORD_PLACE) if decision.due else b"",
    )


class _Worker(Struct):
    reader: RowReader
    preparer: Preparer
    file: str


_worker: _Worker | None = None


def start_worker(
    header: list[str], file: str, key_file: str, choices: tuple[PlatformChoice, ...], dictionaries: str | None
) -> None:
    """Make this process ready to prepare the rows of one file."""
    global _worker
    preparer = Preparer(Vault.load(Path(key_file)), choices, Path(dictionaries) if dictionaries else None)
    _worker = _Worker(RowReader(recognise(header)), preparer, file)


def prepare_rows(rows: list[Row | UncutRow | RowFault]) -> list[PreparedRow]:
    """Prepare a batch of rows in a process made ready by `start_worker`."""
    assert _worker is not None, "start_worker has not run in this process"
    return [_prepared_or_refused(_worker, row) for row in rows]


def _prepared_or_refused(worker: _Worker, row: Row | UncutRow | RowFault) -> PreparedRow:
    """A row that the program itself stumbles over is refused by name of the error, never by content; the other rows go on."""
    try:
        return _prepared(worker, read_row(worker.reader, row, worker.file))
    except Exception as error:
        note = f"处理该行时程序出错（{type(error).__name__}），该行已保存，请联系管理员"
        return PreparedRow(row.number, row.offset, row.length, "failed", note=note)


def _prepared(worker: _Worker, outcome: RowOutcome) -> PreparedRow:
    if outcome.stay is None:
        return PreparedRow(outcome.row, outcome.offset, outcome.length, outcome.reason, outcome.field, outcome.message)
    note = "；".join(sorted({f"{repair.field}：{repair.message}" for repair in outcome.repairs}))
    return PreparedRow(outcome.row, outcome.offset, outcome.length, note=note, stay=worker.preparer.prepare(outcome.stay))
