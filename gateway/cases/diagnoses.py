"""Diagnoses of a stay out of DG1 segments and FHIR conditions.

Source: product decisions "main diagnosis", "DG1-6", "snapshots".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from conformance.checks.finding import Finding
from gateway.cases.claims import Leaves, leaves_of
from gateway.cases.entries import Entry, Group, ranked
from gateway.cases.lists import Listed
from gateway.model.facts import DiagnosisFact, Facts

_MEMBERS = ("condition", "present_on_admission", "outcome", "confirmed_on")
_SINGLE = ("outpatient", "admission", "external_cause")
_MORPHOLOGY = re.compile(r"M\d{4,5}/\d")


def _role(stated: DiagnosisFact) -> str:
    """Its use; a code shaped ``M…/n`` is morphology whatever the sender calls it, unless it is only a working one."""
    if stated.use != "working" and _MORPHOLOGY.fullmatch(stated.condition.code or ""):
        return "pathology"
    return stated.use


_DIAGNOSES: Group[DiagnosisFact] = Group(
    name="diagnoses",
    stated=lambda facts: facts.diagnoses,
    role=_role,
    about=lambda stated: stated.condition,
    moment=lambda _: "",
)


class Diagnoses(Struct, frozen=True):
    """Diagnoses as messages leave them: those of discharge, claims at the places that hold a single one, coded morphology (which has a
    place of its own), what a person must be asked."""

    discharge: Listed
    single: Leaves
    morphology: list[Leaves]
    unranked: bool
    findings: list[Finding]


def diagnoses(messages: Sequence[Facts]) -> Diagnoses:
    """Fold the diagnoses of messages that count, oldest first. Working diagnoses (DG1-6 W) are never reported.

    The main diagnosis is the one of rank 1 or, where nothing is ranked, the only one there is; never the first of several. Several of
    rank 1 leave it open as well: ``unranked`` then says that a person must choose.
    """
    by_role: dict[str, list[Entry[DiagnosisFact]]] = {}
    for entry in _DIAGNOSES.fold(messages):
        by_role.setdefault(_role(entry.current), []).append(entry)
    discharge = ranked(by_role.get("discharge", ()))
    main = [entry for entry in discharge if entry.rank == 1]
    if len(discharge) == 1 and discharge[0].rank is None:
        main = discharge
    principal = main[0] if len(main) == 1 else None
    single: Leaves = {}
    findings: list[Finding] = []
    for role in _SINGLE:
        entries = ranked(by_role.get(role, ()))
        if entries:
            single |= {f"diagnoses.{role}.{name}": claim for name, claim in _leaves(entries[0]).items()}
        if len(entries) > 1:
            findings.append(_surplus(role))
    return Diagnoses(
        Listed(
            "diagnoses.other",
            "condition",
            _leaves(principal) if principal is not None else None,
            [_leaves(entry) for entry in discharge if entry is not principal],
            main="diagnoses.principal",
        ),
        single,
        [_leaves(entry) for entry in by_role.get("pathology", ())],
        unranked=bool(discharge) and principal is None,
        findings=findings,
    )


def main_wanted() -> Finding:
    """Nobody said which diagnosis is the main one."""
    return Finding(
        "ZB-MAIN",
        ("C03C",),
        "error",
        "接口消息没有说明哪一个是出院主要诊断，系统不会自行取第一个；请在来源系统标明主要诊断，或由人工补填（C03C）",
        "the messages do not rank the discharge diagnoses: the main diagnosis stays empty",
    )


_SURPLUS = {
    "outpatient": ("C01C", "门（急）诊诊断"),
    "admission": ("F02C", "入院诊断"),
    "external_cause": ("C12C", "损伤、中毒外部原因"),
}


def _surplus(role: str) -> Finding:
    code, label = _SURPLUS[role]
    return Finding(
        "ZB-CARRY",
        (code,),
        "info",
        f"接口消息中有多个{label}（{code}），首页只能填一个，已取排在最前的一个，请核对",
        f"several {role} diagnoses, the front sheet has one place",
    )


def _leaves(entry: Entry[DiagnosisFact]) -> Leaves:
    return leaves_of(entry.statements, _MEMBERS)
