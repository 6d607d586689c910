"""Operations and procedures of a stay out of PR1 segments and FHIR procedures."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.cases.claims import Leaves, leaves_of
from gateway.cases.entries import Entry, Group, ranked
from gateway.cases.lists import Listed
from gateway.model.facts import Facts, ProcedureFact

_MEMBERS = tuple(name for name in ProcedureFact.__struct_fields__ if name not in ("source", "rank", "key", "action"))

_PROCEDURES: Group[ProcedureFact] = Group(
    name="procedures",
    stated=lambda facts: facts.procedures,
    role=lambda _: "",
    about=lambda stated: stated.operation,
    moment=lambda stated: (stated.started_at or "")[:10],
)


def procedures(messages: Sequence[Facts]) -> Listed:
    """Fold the procedures of messages that count, oldest first.

    The same operation on two days is two procedures. The main one is that of rank 1 (PR1-14) or, where nothing is ranked, the only one;
    several unranked ones stay among the others, as with diagnoses.
    """
    entries = ranked(_PROCEDURES.fold(messages))
    main = [entry for entry in entries if entry.rank == 1]
    if len(entries) == 1 and entries[0].rank is None:
        main = entries
    principal = main[0] if len(main) == 1 else None
    return Listed(
        "procedures.other",
        "operation",
        _leaves(principal) if principal is not None else None,
        [_leaves(entry) for entry in entries if entry is not principal],
        main="procedures.principal",
    )


def _leaves(entry: Entry[ProcedureFact]) -> Leaves:
    return leaves_of(entry.statements, _MEMBERS)
