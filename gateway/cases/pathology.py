"""Pathology of a stay: reports of one 病理号 folded to what stands of them.

=============  ==========================================================================
frozen         never the diagnosis, whatever its status
preliminary    says nothing yet
final          the diagnosis; the newest wins, its supplements stay
supplement     adds to the final text; nothing of its own before there is a final report
corrected      replaces all that was said before
withdrawn      empties it: a routine report with its supplements, a supplement by itself
=============  ==========================================================================

Morphology and its name are one statement: a newer diagnosis text without a code drops the older code, because the code is never made
from text (source: product decision "pathology"; reference on Chinese senders, pathology over v2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from msgspec import Struct
from msgspec.structs import replace

from gateway.cases.claims import Claim, Leaves
from gateway.cases.lists import Listed
from gateway.model.facts import Facts, PathologyFact
from gateway.model.values import Coded

_JOINT = "；"
"""Between the final text and what supplements add: one cell of the front sheet holds no line breaks of meaning."""


@dataclass(slots=True)
class _Case:
    """Reports of one 病理号: the newest that bears the diagnosis, the newest final one, the supplements."""

    final: tuple[PathologyFact, Facts]
    diagnosis: tuple[PathologyFact, Facts] | None = None
    supplements: list[tuple[PathologyFact, Facts]] = field(default_factory=list)


class Pathology(Struct, frozen=True):
    """Pathology as messages leave it, and which numbers were ``withdrawn`` or ``corrected`` last, with the message that did it."""

    reports: Listed
    withdrawn: dict[str, Facts]
    corrected: dict[str, Facts]


def pathology(messages: Iterable[Facts], morphology: Sequence[Leaves]) -> Pathology:
    """Fold the reports of messages that count, oldest first. ``morphology`` is what came as coded diagnosis (M codes in DG1): it
    belongs to the only report there is, else it stands by itself, as facts without a link do until a person links them."""
    cases: dict[str, _Case] = {}
    early: dict[str, list[tuple[PathologyFact, Facts]]] = {}
    withdrawn: dict[str, Facts] = {}
    corrected: dict[str, Facts] = {}
    for facts in messages:
        for report in facts.pathology:
            number = report.specimen_number or f"\0{facts.message}"
            stated = (report, facts)
            if report.kind == "frozen" or report.status == "preliminary":
                continue
            if report.kind == "supplement":
                case = cases.get(number)
                _supplement(case.supplements if case is not None else early.setdefault(number, []), stated)
            elif report.status == "withdrawn":
                cases.pop(number, None)
                early.pop(number, None)
                corrected.pop(number, None)
                withdrawn[number] = facts
            else:
                withdrawn.pop(number, None)
                known = cases.get(number)
                case = cases[number] = _Case(
                    stated,
                    diagnosis=stated if _bears_diagnosis(report) else known.diagnosis if known is not None else None,
                    supplements=known.supplements if known is not None else early.pop(number, []),
                )
                if report.status == "corrected":
                    case.supplements = []
                    corrected[number] = facts
    return Pathology(
        Listed("pathology", "specimen_number", None, _entries(cases, morphology), stated_whole=False), withdrawn, corrected
    )


def _supplement(supplements: list[tuple[PathologyFact, Facts]], stated: tuple[PathologyFact, Facts]) -> None:
    report, _ = stated
    if report.status in ("corrected", "withdrawn"):
        supplements.clear()
    if report.status != "withdrawn":
        supplements.append(stated)


def _bears_diagnosis(report: PathologyFact) -> bool:
    return report.morphology is not None or bool(report.texts.get("diagnosis", "").strip())


def _entries(cases: dict[str, _Case], morphology: Sequence[Leaves]) -> list[Leaves]:
    entries = [_leaves(case) for case in cases.values()]
    known = {leaves["morphology"].value.code for leaves in entries if "morphology" in leaves}
    coded = [leaves["condition"] for leaves in morphology if leaves["condition"].value.code not in known]
    if len(entries) == 1 and len(coded) == 1 and known <= {None}:
        text = entries[0].get("morphology")
        code = coded.pop()
        named = code.value.display or (text.value.display if text is not None else None)
        entries[0]["morphology"] = Claim(replace(code.value, display=named), code.source, code.facts)
    return entries + [{"morphology": claim} for claim in coded]


def _leaves(case: _Case) -> Leaves:
    final, told = case.final
    leaves: Leaves = {}
    if final.specimen_number:
        leaves["specimen_number"] = Claim(final.specimen_number, final.source, told)
    report, facts = case.diagnosis or (None, None)
    coded = next((s for s in reversed(case.supplements) if s[0].morphology is not None and s[0].morphology.code), None)
    if coded is not None:
        report, facts = coded
    own = report.morphology if report is not None and report.morphology is not None else Coded()
    said = _text(case)
    if (own.code or own.display or said) and report is not None and facts is not None:
        leaves["morphology"] = Claim(replace(own, display=own.display or said or None), report.source, facts)
    return leaves | _report(case, said)


def _report(case: _Case, said: str) -> Leaves:
    """What stands of the report itself: of the one that bears the diagnosis, or of the final one while none does. A code alone, as a front
    sheet has it, is not yet a report."""
    report, facts = case.diagnosis or case.final
    if not said and not report.reported_at:
        return {}
    told = {"kind": report.kind, "status": report.status, "reported_on": (report.reported_at or "")[:10], "diagnosis": said}
    return {member: Claim(value, report.source, facts) for member, value in told.items() if value}


def _text(case: _Case) -> str:
    """The final diagnosis with what supplements add, each text once."""
    parts = [case.diagnosis[0].texts.get("diagnosis", "")] if case.diagnosis is not None else []
    if case.diagnosis is not None:
        parts.append(case.diagnosis[0].texts.get("supplement", ""))
    parts += [report.texts.get("supplement") or report.texts.get("diagnosis", "") for report, _ in case.supplements]
    return _JOINT.join(dict.fromkeys(part.strip() for part in parts if part.strip()))
