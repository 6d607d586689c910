"""Entries of the audit log as AuditEvent.

Action words are coded by ``mappings/sources/fhir/audit_actions.csv`` (DICOM audit messages and FHIR interactions, as FHIR's value sets have
them); a word that it does not know is application activity. The word itself is a subtype, too. Sequence, hash and the hash before stand in
extensions; actor, time, subject and detail in elements of their own. So an auditor can compute the hash of an entry from its AuditEvent and
follow the chain.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final

from adapters.fhir.tables import rows
from adapters.fhir.writing.element import Element, element, extension, listed
from adapters.fhir.writing.names import RESERVED, checked
from adapters.fhir.writing.strict import Resource, strict
from mappings.code_systems import OURS

_DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_UNKNOWN: Final = {"type_system": _DCM, "type": "110100", "type_display": "Application Activity"}
_SERVER: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/security-source-type",
    "code": "4",
    "display": "Application Server",
}
_OBJECT: Final = {"system": "http://terminology.hl7.org/CodeSystem/audit-entity-type", "code": "2", "display": "System Object"}
_STAY: Final = re.compile(r"stay:([A-Za-z0-9\-.]+?)(?:\.(\d+))?")

SYSTEM: Final = "zhibao"
"""The gateway itself, as actor and as observer"""


def audit_event(
    *, seq: int, at: datetime, actor: str, action: str, subject: str, detail: Mapping[str, Any], previous: str, hash: str
) -> Resource:
    """The AuditEvent of an entry. ``at`` has a zone; the other values are those of the entry. Raises `NotFhir`."""
    row = _actions().get(action, _UNKNOWN)
    return strict(
        {
            "resourceType": "AuditEvent",
            "id": checked(f"{RESERVED}audit-{seq}"),
            "meta": {"versionId": "1", "lastUpdated": _instant(at)},
            "extension": [
                extension("audit-sequence", valuePositiveInt=seq),
                extension("audit-hash", valueString=hash),
                extension("audit-previous", valueString=previous),
            ],
            "type": {"system": row["type_system"], "code": row["type"], "display": row["type_display"]},
            "subtype": listed(
                element(system=row["subtype_system"], code=row["subtype"], display=row["subtype_display"])
                if row.get("subtype")
                else None,
                element(system=OURS + "audit-action", code=action, display=row.get("name_zh")),
            ),
            **element(action=row.get("fhir_action")),
            "recorded": _instant(at),
            **element(outcome=row.get("outcome")),
            "agent": [_agent(actor)],
            "source": {"observer": _observer(), "type": [_SERVER]},
            "entity": [_entity(subject, detail)],
        }
    )


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


def _agent(actor: str) -> Element:
    """Who did it: an account or program, or the gateway itself."""
    return {"who": {"identifier": {"system": OURS + "actor", "value": actor}}, "requestor": actor != SYSTEM}


def _observer() -> Element:
    return {"identifier": {"system": OURS + "system", "value": SYSTEM}, "display": "直报"}


def _entity(subject: str, detail: Mapping[str, Any]) -> Element:
    """What it was done to, with a reference where that is a stay."""
    stay = _STAY.fullmatch(subject)
    reference = f"Encounter/{RESERVED}{stay[1]}" if stay else None
    return element(
        what=element(reference=reference, identifier={"system": OURS + "audit-subject", "value": subject}),
        type=_OBJECT,
        detail=[{"type": name, "valueString": _json(value)} for name, value in detail.items()],
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@cache
def _actions() -> Mapping[str, Mapping[str, str]]:
    return {row["action"]: row for row in rows("audit_actions")}
