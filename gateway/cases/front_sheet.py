"""The archived front sheet and the messages of one stay brought together.

Two steps. Entries of lists find their position: beside a front sheet they are recognised by what identifies them, so that details go
to the entry they belong to, whatever the order on either side. Then every item is settled by `gateway.cases.precedence`.

A list that the sheet fills is the coder's statement as a whole; an entry that only messages know is asked about, not added. Pathology
is different: a 病理号 is a fact of its own, so a report that the sheet does not name is added behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from conformance.checks.finding import Finding
from gateway.cases.claims import Claim, Leaves
from gateway.cases.conflicts import (
    agree,
    comparable,
    conflict,
    corrected_report,
    more_in_messages,
    unreadable,
    withdrawn_report,
)
from gateway.cases.leaves import MEMBERS, Place, Unreadable, place_of
from gateway.cases.lists import Listed
from gateway.cases.pathology import Pathology
from gateway.cases.precedence import Precedence, precedence
from gateway.model.facts import NOTHING, Facts
from gateway.model.stay import Stay
from gateway.model.values import Coded


class FrontSheet(Struct, frozen=True):
    """The stay as an archived front sheet states it, and when the sheet was filed (China time; empty when not known, then it counts as
    later than any message)."""

    stay: Stay
    filed_at: str = ""

    @property
    def name(self) -> str:
        """What findings call it: the file and row it stands in."""
        layers = self.stay.provenance.layers
        return layers[0].message if layers else "首页文件"

    def older_than(self, facts: Facts) -> bool:
        """Whether a message speaks of a later time."""
        return bool(self.filed_at) and facts.occurred > self.filed_at


class Supplied(NamedTuple):
    """A value that a message supplies. ``members`` names the sides of a coded value that come from it; empty for all of them."""

    path: str
    value: Any
    claim: Claim
    members: tuple[str, ...] = ()


class _Slot(NamedTuple):
    prefix: str
    head: Any


def positions(listed: Listed, sheet: FrontSheet | None) -> tuple[Leaves, list[Finding]]:
    """The claims of a list at their positions in the stay, and what to ask where the front sheet has no place for an entry."""
    findings: list[Finding] = []
    slots = list(_filled_slots(listed, sheet.stay)) if sheet is not None else []
    if sheet is None or not slots:
        return dict(_in_order(listed)), findings
    free = list(slots)
    placed: Leaves = {}

    def put(prefix: str, entry: Leaves) -> None:
        placed.update((f"{prefix}.{name}", claim) for name, claim in entry.items())

    def matched(entry: Leaves) -> str:
        slot = next((slot for slot in free if _same(slot.head, entry.get(listed.head))), None)
        if slot is None:
            return ""
        free.remove(slot)
        put(slot.prefix, entry)
        return slot.prefix

    if listed.principal is not None:
        main = next((slot for slot in slots if slot.prefix == listed.main), None)
        where = matched(listed.principal)
        if main is not None and where != listed.main and main.head is not None:
            path = f"{listed.main}.{listed.head}"
            findings.append(conflict(path, sheet.name, listed.principal[listed.head], "warning", taken="file"))
        elif main is None and not where:
            put(listed.main, listed.principal)
    surplus = [entry for entry in listed.rest if not matched(entry)]
    nameless = [slot for slot in free if slot.head is None]
    if surplus and listed.stated_whole:
        claim = surplus[0][listed.head]
        findings.append(more_in_messages(f"{listed.others}[0].{listed.head}", sheet.name, claim))
    elif surplus:
        known = [entry for entry in surplus if listed.head in entry]
        if len(known) == 1 and len(nameless) == 1:
            put(nameless[0].prefix, known.pop())
        taken = {slot.prefix for slot in slots}
        vacant = (prefix for index in range(len(slots) + len(known)) if (prefix := f"{listed.others}[{index}]") not in taken)
        for entry, prefix in zip(known, vacant, strict=False):
            put(prefix, entry)
        findings.extend(_unlinked(listed, surplus, sheet))
    return placed, findings


def _in_order(listed: Listed) -> Iterator[tuple[str, Claim]]:
    for name, claim in (listed.principal or {}).items():
        yield f"{listed.main}.{name}", claim
    for index, entry in enumerate(listed.rest):
        for name, claim in entry.items():
            yield f"{listed.others}[{index}].{name}", claim


def _filled_slots(listed: Listed, stay: Stay) -> Iterator[_Slot]:
    if listed.main:
        part = attrgetter(listed.main)(stay)
        if part != type(part)():
            yield _Slot(listed.main, getattr(part, listed.head))
    for index, part in enumerate(attrgetter(listed.others)(stay)):
        if part != type(part)():
            yield _Slot(f"{listed.others}[{index}]", getattr(part, listed.head))


def _same(head: Any, claim: Claim | None) -> bool:
    return head is not None and claim is not None and comparable(head, claim.value) and agree(head, claim.value)


def _unlinked(listed: Listed, surplus: list[Leaves], sheet: FrontSheet) -> Iterator[Finding]:
    """Coded morphology without a 病理号 beside a sheet that has its own: asked about where the sheet does not hold that code."""
    filed = [part.morphology for part in sheet.stay.pathology if part.morphology is not None and part.morphology.code]
    for entry in surplus:
        claim = entry.get("morphology")
        if listed.head in entry or claim is None or any(agree(code, claim.value) for code in filed):
            continue
        yield more_in_messages(f"{listed.others}[0].morphology", sheet.name, claim)


def reports_taken_back(pathology: Pathology, sheet: FrontSheet) -> Iterator[Finding]:
    """Reports that the laboratory withdrew or corrected after the sheet was filed, and on which the sheet still rests."""
    for index, part in enumerate(sheet.stay.pathology):
        number = part.specimen_number or ""
        path = f"pathology[{index}].morphology" if part.morphology is not None else f"pathology[{index}].specimen_number"
        facts = pathology.withdrawn.get(number)
        if facts is not None and (not sheet.filed_at or sheet.older_than(facts)):
            yield withdrawn_report(path, sheet.name, facts.message)
        facts = pathology.corrected.get(number)
        if facts is not None and part.morphology is not None and (not sheet.filed_at or sheet.older_than(facts)):
            yield corrected_report(path, sheet.name, facts.message)


def settle(claims: Leaves, sheet: FrontSheet | None) -> tuple[list[Supplied], list[Finding], dict[str, Claim]]:
    """What messages supply to the stay, what to tell people, and by path the claims whose text is no value of the item's type, or the front
    sheet's ``-``: an answer that there is nothing."""
    supplied: list[Supplied] = []
    findings: list[Finding] = []
    garbled: dict[str, Claim] = {}
    for path, claim in claims.items():
        place = place_of(path)
        if claim.value == NOTHING:
            if sheet is None:
                garbled[path] = claim
            continue
        try:
            value = place.value(claim.value)
        except Unreadable:
            findings.append(unreadable(path, claim))
            if sheet is None or place.read(sheet.stay) is None:
                garbled[path] = claim
            continue
        if sheet is not None:
            _against(sheet, claims, place, value, claim, supplied, findings)
        elif value is not None:
            supplied.append(Supplied(path, value, claim))
    return supplied, findings, garbled


def _against(
    sheet: FrontSheet,
    claims: Leaves,
    place: Place,
    value: Any,
    claim: Claim,
    supplied: list[Supplied],
    findings: list[Finding],
) -> None:
    """Settle one item against the front sheet."""
    path, rule = place.whole, precedence(place.whole)
    filed = place.read(sheet.stay)
    if filed is None or filed == []:
        noted = _noted(sheet.stay, place)
        if value is None or not _head_holds(rule, path, claims, sheet):
            return
        stands = noted == NOTHING and rule.placeholder_stands and not _wins(rule, claim, sheet)
        if noted and rule.conflict != "none":
            findings.append(conflict(path, sheet.name, claim, rule.conflict, taken="file" if stands else "message"))
        if not stands:
            supplied.append(Supplied(path, value, claim))
        return
    if value is None:
        if _wins(rule, claim, sheet):
            supplied.append(Supplied(path, None, claim))
        return
    if not _head_holds(rule, path, claims, sheet):
        return
    if agree(filed, value):
        if isinstance(filed, Coded) and (members := tuple(m for m in MEMBERS if not getattr(filed, m) and getattr(value, m))):
            whole = replace(filed, **{member: getattr(value, member) for member in members}, system=filed.system or value.system)
            supplied.append(Supplied(path, whole, claim, members))
        return
    wins = _wins(rule, claim, sheet)
    if wins:
        supplied.append(Supplied(path, value, claim))
    if rule.conflict != "none" and comparable(filed, value):
        findings.append(conflict(path, sheet.name, claim, rule.conflict, taken="message" if wins else "file"))


def _wins(rule: Precedence, claim: Claim, sheet: FrontSheet) -> bool:
    return rule.winner == "message" or (rule.winner == "newest" and sheet.older_than(claim.facts))


def _noted(stay: Stay, place: Place) -> str:
    """What the sheet wrote where it has no value: ``-`` or unreadable text."""
    if not stay.verbatim:
        return ""
    return stay.verbatim.get(place.whole) or stay.verbatim.get(f"{place.whole}.code") or ""


def _head_holds(rule: Precedence, path: str, claims: Leaves, sheet: FrontSheet) -> bool:
    """Whether the item that this one depends on is what the message says it is."""
    if not rule.follows or path == rule.follows:
        return True
    filed = place_of(rule.follows).read(sheet.stay)
    said = claims.get(rule.follows)
    return filed is None or (said is not None and said.value is not None and agree(filed, said.value))
