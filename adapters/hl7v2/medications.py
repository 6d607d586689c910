"""Drugs ordered and given (OMP, RDE, RAS and whatever else carries RXO, RXE or RXA).

Drug codes are the sender's own: whether a drug is an anti-tumour one is decided by a drug dictionary, not here. ORC-1 cancels or stops an
order, RXA-20 and RXA-21 say that a dose was not given or is taken back."""

from __future__ import annotations

from typing import Final

from adapters.hl7v2.dialect import Dialect
from adapters.hl7v2.entries import coded_element, coded_of, members, source_of, text_of
from adapters.hl7v2.message import Segment, Segments
from adapters.hl7v2.remarks import remark
from gateway.model.facts import MedicationFact, MedicationState, Remark
from gateway.model.values import Coded

_GROUP: Final = "MedicationFact"
_CONTEXT: Final = ("ORC", "TQ1", "RXO", "RXE", "RXR")
_ORDERS: Final = ("RXE", "RXO")


def medications(dialect: Dialect, segments: Segments, remarks: list[Remark]) -> list[MedicationFact]:
    """The drugs of a message: each RXA as given, an order without RXA as ordered."""
    if not any(segments.first(name) for name in ("RXA", *_ORDERS)):
        return []
    facts: list[MedicationFact] = []
    for order in segments.groups("ORC", "RXO") if segments.first("ORC") else segments.groups("RXO", "RXE", "RXA"):
        if not _is_drug(dialect, order):
            continue
        doses = order.all("RXA")
        if doses:
            facts.extend(fact for dose in doses if (fact := _fact(dialect, order, dose, remarks)) is not None)
        else:
            prescription = next((segment for name in _ORDERS if (segment := order.first(name)) is not None), None)
            if prescription is not None and (fact := _fact(dialect, order, prescription, remarks)) is not None:
                facts.append(fact)
    return facts


def _is_drug(dialect: Dialect, order: Segments) -> bool:
    """Whether the sender calls it a drug; so it is where the sender tells nothing."""
    if dialect.drug_kind_at is None:
        return True
    segment = order.first("RXO")
    said = segment.plain(segment.at(dialect.drug_kind_at)).strip() if segment is not None else ""
    return not said or said in dialect.drug_kinds


def _fact(dialect: Dialect, order: Segments, main: Segment, remarks: list[Remark]) -> MedicationFact | None:
    said: dict[str, Coded | int | str] = {}
    drug: Coded | None = None
    place = ""
    cancelled = False
    context = [segment for name in _CONTEXT if (segment := order.first(name)) is not None and segment is not main]
    for segment in (main, *context):
        if drug is None and (named := _drug(dialect, segment)) is not None:
            drug, place = named
        found = members(dialect, _GROUP, segment, segment.name, remarks, ("drug",))
        cancelled = cancelled or found.pop("state", "") == "cancelled"
        said = {**found, **said}
    if drug is None:
        remarks.append(remark("drug-unnamed", main.name))
        return None
    cancelled = cancelled or (main.name == "RXA" and main.value("21").strip() in ("D", "X"))
    state: MedicationState = "cancelled" if cancelled else "given" if main.name == "RXA" else "ordered"
    return MedicationFact(
        drug,
        place,
        text_of(said.get("key")) or "",
        state,
        text_of(said.get("dose")),
        text_of(said.get("unit")),
        coded_of(said.get("route")),
        text_of(said.get("group")) or "",
        text_of(said.get("at")),
    )


def _drug(dialect: Dialect, segment: Segment) -> tuple[Coded, str] | None:
    """(drug, place). A word that stands for a name (同) is no name."""
    source = source_of(dialect, _GROUP, segment, "drug")
    parts = coded_element(segment, source)
    code, name = parts[0] if parts else "", parts[1] if len(parts) > 1 else ""
    if name in dialect.file.medications.same:
        name = ""
    if source is None or not (code or name):
        return None
    return Coded(f"{dialect.id}/drug" if code else "", code or None, name or None), source.place
