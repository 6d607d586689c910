"""What one resource states: an item of canonical facts, or a remark, and the resource whose message states it."""

from __future__ import annotations

from typing import NamedTuple

from adapters.fhir.resource import Resource
from gateway.model.facts import (
    DiagnosisFact,
    Fact,
    MarkerFact,
    MedicationFact,
    MovementFact,
    PathologyFact,
    ProcedureFact,
    Remark,
    StageFact,
    TumourFact,
)

Item = (
    Fact
    | DiagnosisFact
    | ProcedureFact
    | PathologyFact
    | MedicationFact
    | MovementFact
    | TumourFact
    | StageFact
    | MarkerFact
    | Remark
)


class Said(NamedTuple):
    """``item.source`` is ``resource.source(element)``. Which stay it is said of is decided by `adapters.fhir.anchors`."""

    resource: Resource
    item: Item
