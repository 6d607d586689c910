"""Why FHIR content is refused or remarked upon: issues that name the element, as an OperationOutcome prints them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from gateway.model.errors import UnusableInput

MOST_ISSUES: Final = 50
"""A refusal names no more faults than this."""

IssueSeverity = Literal["fatal", "error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Issue:
    """One fault of a resource. ``code`` is of FHIR's IssueType (``structure``, ``required``, ``value``, ``invariant``, ``code-invalid``,
    ``not-supported``, ``too-long`` …), ``expression`` the element as FHIRPath prints it (``Bundle.entry[3].resource.birthDate``), ``rule`` a
    stable word. Neither text may hold a value of the resource."""

    severity: IssueSeverity
    code: str
    expression: str
    rule: str
    message: str
    english: str


class FhirRefused(UnusableInput):
    """FHIR content that cannot be used. ``reason`` is a stable word, ``issues`` say what is wrong where, ``status`` is the HTTP status that
    says so (400 not readable, 422 readable and wrong, 413 too large)."""

    def __init__(self, reason: str, issues: Sequence[Issue], *, status: int = 422) -> None:
        first = issues[0]
        where = f"（{first.expression}）" if first.expression else ""
        more = f"，另有 {len(issues) - 1} 处" if len(issues) > 1 else ""
        super().__init__(f"{first.message}{where}{more}", english=f"{first.english} ({first.expression})")
        self.reason = reason
        self.issues = tuple(issues)
        self.status = status


def refused(
    rule: str, code: str, where: str, message: str, english: str, *, severity: IssueSeverity = "fatal", status: int = 422
) -> FhirRefused:
    """The refusal for one fault, at the element ``where`` (empty: the message as a whole). The rest is as in `Issue`."""
    return FhirRefused(rule, [Issue(severity, code, where, rule, message, english)], status=status)


def expression(place: str, kind: str) -> str:
    """How an issue names the resource at a place of a message: ``Patient``, ``Bundle.entry[3].resource``, ``line[3].Patient``."""
    return f"Bundle.{place}.resource" if place.startswith("entry[") else f"{place}.{kind}" if place and kind else place or kind
