"""One stay out of everything known of it: messages, the archived front sheet, persons' corrections.

A pure function: the same facts give the same stay in whatever order they arrived, so a late or withdrawn message changes exactly what
it said, and a stay is never patched. What comes out is compared with what was recorded; submissions follow from the difference.

The way of a value: messages in order of their events (`timeline`), the newest statement for each path (`claims`) and folded lists
(`diagnoses`, `procedures`, `pathology`, `medications`, `transfers`), brought together with the front sheet (`front_sheet`), corrections
on top (`corrections`), and without a front sheet what follows from all that (`computed`). Every value that a message supplied stands in
that message's layer of provenance with the field it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from conformance.checks.finding import Finding
from gateway.cases.claims import Claim, Leaves, newest
from gateway.cases.computed import compute
from gateway.cases.conflicts import number_taken, undone_event
from gateway.cases.corrections import Correction, correct
from gateway.cases.diagnoses import diagnoses, main_wanted
from gateway.cases.front_sheet import FrontSheet, Supplied, positions, reports_taken_back, settle
from gateway.cases.leaves import MEMBERS, place_of
from gateway.cases.medications import medications
from gateway.cases.pathology import pathology
from gateway.cases.procedures import procedures
from gateway.cases.timeline import Timeline, timeline
from gateway.cases.transfers import transfers
from gateway.cases.tumours import tumours
from gateway.model.facts import Facts, Remark
from gateway.model.provenance import Layer
from gateway.model.stay import Stay
from gateway.model.values import Coded

Identity = tuple[str, str, int]
"""Organisation code, 病案号, 住院次数 (0 while nobody has said it), as in `Stay.identity`."""

SETTINGS = "settings"
"""Source of what the hospital's settings say (the organisation)."""

_IDENTITY = ("organisation.code", "record_number", "admission_number")


class Assembled(Struct, frozen=True):
    """The stay, what people should know of it, and where it stands.

    ``open`` until there is a discharge, ``cancelled`` when the admission, or all that was ever said, was taken back: a cancelled stay is
    never reported, and what was submitted of it must be withdrawn, whatever else it holds.
    """

    stay: Stay
    findings: tuple[Finding, ...]
    state: Literal["open", "closed", "cancelled"]

    @property
    def cancelled(self) -> bool:
        """Whether submissions must be withdrawn and none made."""
        return self.state == "cancelled"


def assemble(
    identity: Identity,
    messages: Iterable[Facts],
    front_sheet: Stay | None = None,
    corrections: Sequence[Correction] = (),
    *,
    filed_at: str = "",
) -> Assembled:
    """Assemble one stay. ``filed_at`` is when the front sheet was taken in (China time), where that is known.

    ``identity`` is decided by `gateway.cases.joining` and stands above what single messages say: after a merge (A40) messages under the
    old number belong to the surviving one. Its 住院次数 may be 0 while no source has said it; then the newest message that knows it
    fills it in, but none under an old number: there it was counted by itself, and another stay has it. Raises `UnknownPath` for a path that
    the model does not have: a dialect that maps to nothing is a mistake of set-up.
    """
    sheet = FrontSheet(front_sheet, filed_at) if front_sheet is not None else None
    line = timeline(messages)
    stay = _copy(front_sheet) if front_sheet is not None else Stay()
    claims = newest(line)
    known = _identity(identity, line, claims, stay)
    diagnosed = diagnoses(line.messages)
    reports = pathology(line.messages, diagnosed.morphology)
    findings = list(diagnosed.findings)
    claims |= diagnosed.single
    for listed in (diagnosed.discharge, procedures(line.messages), reports.reports, medications(line.messages)):
        placed, asked = positions(listed, sheet)
        claims |= placed
        findings += asked
    found = tumours(line.messages)
    claims |= found.claims
    findings += found.findings
    moves = _moves(line, claims, stay)
    if moves:
        claims["transfers"] = Claim([move.value for move in moves], moves[-1].source, moves[-1].facts)
    supplied, asked, garbled = settle(claims, sheet)
    findings += asked
    if sheet is not None:
        findings += reports_taken_back(reports, sheet)
        findings += _undone(line, sheet)
    layers = _Layers(line)
    _fill(stay, supplied, layers, moves)
    for path, claim in garbled.items():
        stay.verbatim[path] = str(claim.value)
        layers.add(path, claim)
    _name(stay, identity, known, layers)
    stay.provenance.layers += layers.made()
    findings += correct(stay, corrections)
    if not stay.admission_number and _numbered_elsewhere(identity, line, front_sheet):
        findings.append(number_taken())
    if sheet is None:
        compute(stay)
    if diagnosed.unranked and stay.diagnoses.principal.condition is None:
        findings.append(main_wanted())
    findings += _remarks(line.messages)
    state: Literal["open", "closed"] = "closed" if stay.discharge.time else "open"
    unsaid = sheet is None and not line.messages
    return Assembled(stay, tuple(dict.fromkeys(findings)), "cancelled" if line.cancelled or unsaid else state)


def _copy(stay: Stay) -> Stay:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(stay), type=Stay)


def _identity(identity: Identity, line: Timeline, claims: Leaves, stay: Stay) -> dict[str, Claim]:
    """The claims that bear out the identity; others say the number that a patient had before a merge, and fall away."""
    if not identity[2] and _elsewhere(identity, stay.record_number):
        stay.admission_number = None
    number = identity[2] or stay.admission_number or 0
    known: dict[str, Claim] = {}
    for path, wanted in zip(_IDENTITY, (identity[0], identity[1], number), strict=True):
        claim = claims.pop(path, None)
        if claim is None or claim.value is None or (wanted and str(claim.value) != str(wanted)):
            continue
        if path != "admission_number" or wanted or not _elsewhere(identity, claim.facts.patient.record_number):
            known[path] = claim
    for facts in reversed(line.messages):
        if facts.patient.record_number == identity[1]:
            known.setdefault("record_number", Claim(identity[1], "record_number", facts))
        said = facts.visit.admission_number
        if said is not None and said == (number or said) and (number or not _elsewhere(identity, facts.patient.record_number)):
            known.setdefault("admission_number", Claim(said, "admission_number", facts))
    return known


def _elsewhere(identity: Identity, record_number: str | None) -> bool:
    """Whether something was said under a number that no longer counts."""
    return bool(identity[1] and record_number) and record_number != identity[1]


def _numbered_elsewhere(identity: Identity, line: Timeline, front_sheet: Stay | None) -> bool:
    """Whether 住院次数 is known under a number that no longer counts."""
    said = [(facts.patient.record_number, facts.visit.admission_number) for facts in line.messages]
    if front_sheet is not None:
        said.append((front_sheet.record_number or "", front_sheet.admission_number))
    return any(number and _elsewhere(identity, record_number) for record_number, number in said)


def _name(stay: Stay, identity: Identity, known: dict[str, Claim], layers: _Layers) -> None:
    """Write the identity where the front sheet has not written it."""
    settled: dict[str, str | int] = {
        "organisation.code": identity[0],
        "record_number": identity[1],
        "admission_number": identity[2],
    }
    for path, wanted in settled.items():
        place, claim = place_of(path), known.get(path)
        value = wanted or (place.value(claim.value) if claim is not None else None)
        if not value or place.read(stay) == value:
            continue
        place.write(stay, value)
        if claim is not None:
            layers.add(path, claim)
        else:
            layers.settings[path] = path


def _moves(line: Timeline, claims: Leaves, stay: Stay) -> list[Claim]:
    admitted = claims.get("admission.department")
    department = admitted.value if admitted is not None else stay.admission.department
    return transfers(line.messages, department if isinstance(department, Coded) else None)


def _undone(line: Timeline, sheet: FrontSheet) -> list[Finding]:
    """The archive states what messages took back: a person must say which is right."""
    found = []
    if line.cancelled:
        found.append(undone_event("admission", sheet.name))
    if line.discharge_cancelled and sheet.stay.discharge.time:
        found.append(undone_event("discharge", sheet.name))
    return found


def _fill(stay: Stay, supplied: Iterable[Supplied], layers: _Layers, moves: Sequence[Claim]) -> None:
    """Write what messages supply, each value with its origin."""
    for path, value, claim, members in supplied:
        place = place_of(path)
        place.write(stay, value)
        if stay.verbatim:
            for noted in (path, *(f"{path}.{member}" for member in members or MEMBERS)):
                stay.verbatim.pop(noted, None)
        if not members:
            layers.add(path, claim)
        layers.add_sides(path, value, claim, members)
        if path == "transfers":
            for index, department in enumerate(value or ()):
                move = moves[index] if moves else claim
                layers.add(f"transfers[{index}]", move)
                layers.add_sides(f"transfers[{index}]", department, move)


class _Layers:
    """Layers of provenance in the making: one for each message that supplied something, in order of events."""

    def __init__(self, line: Timeline) -> None:
        self._messages = line.messages
        self._fields: dict[str, dict[str, str]] = {}
        self.settings: dict[str, str] = {}

    def add(self, path: str, claim: Claim) -> None:
        fields = self._fields.get(claim.facts.message)
        if fields is None:
            fields = self._fields[claim.facts.message] = {}
        fields[path] = claim.source

    def add_sides(self, path: str, value: object, claim: Claim, members: Sequence[str] = ()) -> None:
        """The sides of a coded value are columns of their own."""
        if isinstance(value, Coded):
            for member in members or MEMBERS:
                if getattr(value, member):
                    self.add(f"{path}.{member}", claim)

    def made(self) -> list[Layer]:
        layers = [Layer(SETTINGS, SETTINGS, self.settings)] if self.settings else []
        for facts in self._messages:
            if (fields := self._fields.pop(facts.message, None)) is not None:
                layers.append(Layer(facts.message, facts.mapping, fields))
        return layers


def _remarks(messages: Sequence[Facts]) -> list[Finding]:
    """Remarks of the readers that still hold: a later message of the same kind that fills the field anew, without the remark, settles
    it."""
    if not any(facts.remarks for facts in messages):
        return []
    found: list[Finding] = []
    spoken: set[tuple[str, str]] = set()
    for facts in reversed(messages):
        found += [_finding(remark) for remark in facts.remarks if (facts.mapping, remark.source) not in spoken]
        spoken.update((facts.mapping, fact.source) for fact in facts.facts)
        spoken.update((facts.mapping, remark.source) for remark in facts.remarks)
    return found


def _finding(remark: Remark) -> Finding:
    return Finding(remark.rule, (remark.source,), remark.severity, remark.message, remark.english or remark.message)
