"""What the rows of one file say about each other: the rules that no single record can answer.

Rows stream by; what is kept of each is the digest of its key and its number. Beyond `_REMEMBERED` rows repeats of later ones go unnoticed,
so that memory has a bound (the largest hospitals discharge some thirty thousand patients a month).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from msgspec.structs import replace

from conformance.checks.checker import Checker
from conformance.checks.finding import Finding

_REMEMBERED = 1_000_000


@dataclass(frozen=True, slots=True)
class RowIdentity:
    """What other rows are compared with: number of the row, digest of its key, code and name of the organisation. Small, because
    it goes from worker to parent."""

    row: int
    key: bytes
    organisation: tuple[str, str]

    @classmethod
    def of(cls, row: int, key: tuple[str | None, ...], organisation: tuple[str | None, str | None]) -> RowIdentity:
        """``key`` is what makes a row a repeat of another: record number, number of the stay, time of discharge."""
        digest = blake2b("\n".join(part or "" for part in key).encode("utf-8", "surrogatepass"), digest_size=12).digest()
        return cls(row, digest, (organisation[0] or "", organisation[1] or ""))


class BetweenRows:
    """Rows of one file, met in their order."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker
        self._rows: dict[bytes, int] = {}
        self._first: RowIdentity | None = None

    def meet(self, identity: RowIdentity) -> list[Finding]:
        """Findings about a row that repeats an earlier one or comes from another organisation than the first."""
        findings: list[Finding] = []
        before = self._rows.get(identity.key)
        if before is None and len(self._rows) < _REMEMBERED:
            self._rows[identity.key] = identity.row
        if before is not None:
            findings += self._found({"seen_before": True}, f"与第 {before} 行重复", f"repeats row {before}")
        if all(identity.organisation):
            first = self._first = self._first or identity
            if identity.organisation != first.organisation:
                findings += self._found({"same_organisation": False}, f"与第 {first.row} 行不同", f"differs from row {first.row}")
        return findings

    def _found(self, facts: dict[str, bool], where: str, english: str) -> list[Finding]:
        found = self._checker.structure("@row", facts)
        return [replace(f, message=f"{f.message}（{where}）", english=f"{f.english} ({english})") for f in found]
