"""What a check says about one record."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Severity = Literal["error", "verify", "rare", "warning", "info", "not-checked"]


class Finding(Struct, frozen=True):
    """One finding: the rule, the columns a clerk must look at, how bad it is, and what to do, in Chinese and English.

    ``verify`` and ``rare`` ask for a person (IARC: to be verified; a rare combination): it may be right, and whoever has looked confirms it.

    ``not-checked`` means that the rule could not be answered (its dictionary is not loaded, or does not know the code); it is
    never counted as passed. Messages name columns, never values: findings go to logs and reports.
    """

    rule: str
    fields: tuple[str, ...]
    severity: Severity
    message: str
    english: str = ""

    @property
    def blocks(self) -> bool:
        """Whether a submission may not go out before this is settled."""
        return self.severity == "error"

    @property
    def asks(self) -> bool:
        """Whether a person must confirm it before a submission goes out."""
        return self.severity in ("verify", "rare")
