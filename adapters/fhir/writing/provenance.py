"""Where a version of a stay came from, as Provenance: one entity for each layer of `gateway.model.provenance`, oldest first.

The entity is the message (``v2:9``, ``fhir:12``, file and row) with the role *source*, or the correction of a person. Its extension
``field-provenance`` says by which table it was read and, where the layer lists them, from which source field each canonical path came.
Later layers win where several have a path.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from adapters.fhir.writing.element import Element, element, extension, listed, part, text
from adapters.fhir.writing.names import Names
from adapters.fhir.writing.strict import Resource, strict
from gateway.model.provenance import Layer
from gateway.model.stay import Stay
from mappings.code_systems import OURS

_AGENT: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_PERSON: Final = "person"
"""Mapping of the layers that people make"""


def provenance(stay: Stay, names: Names, produced: Iterable[Resource] = ()) -> Resource:
    """The Provenance of this version. ``produced`` are the resources made of it; without any the Encounter is the only target. Raises
    `NotFhir`."""
    targets = [f"{resource['resourceType']}/{resource['id']}" for resource in produced if resource["resourceType"] != "Provenance"]
    layers = stay.provenance.layers
    when = names.updated.isoformat(timespec="milliseconds")
    return strict(
        {
            "resourceType": "Provenance",
            "id": names.id("provenance", names.version),
            "meta": names.meta,
            "target": [{"reference": target} for target in targets or [f"Encounter/{names.id()}"]],
            "occurredDateTime": when,
            "recorded": when,
            **element(reason=[{"text": reason} for reason in dict.fromkeys(text(layer.reason) for layer in layers) if reason]),
            "agent": [_gateway(), *(_person(by) for by in dict.fromkeys(layer.by for layer in layers if layer.by))],
            **element(entity=[_entity(layer) for layer in layers]),
        }
    )


def _gateway() -> Element:
    who = {"identifier": {"system": OURS + "system", "value": "zhibao"}, "display": "直报"}
    return {"type": {"coding": [{"system": _AGENT, "code": "assembler", "display": "Assembler"}]}, "who": who}


def _person(by: str) -> Element:
    """Who corrected something."""
    who = {"identifier": {"system": OURS + "actor", "value": by}}
    return {"type": {"coding": [{"system": _AGENT, "code": "author", "display": "Author"}]}, "who": who}


def _entity(layer: Layer) -> Element:
    fields = [
        part("field", extension=listed(part("path", valueString=path), part("source", valueString=text(source))))
        for path, source in (layer.fields or {}).items()
    ]
    said: list[Any] = listed(
        part("mapping", valueString=layer.mapping),
        part("by", valueString=layer.by),
        part("at", valueDateTime=_moment(layer.at)),
        *fields,
    )
    return element(
        extension=listed(extension("field-provenance", extension=said)),
        role="revision" if layer.mapping == _PERSON else "source",
        what={"identifier": element(system=OURS + "message", value=text(layer.message) or "unknown")},
    )


def _moment(at: str) -> str | None:
    """The time of a correction (UTC) as FHIR writes it."""
    try:
        moment = datetime.fromisoformat(at) if at else None
    except ValueError:
        return None
    return moment.isoformat() if moment is not None and moment.tzinfo is not None else f"{at}Z" if moment is not None else None
