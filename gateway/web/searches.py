"""Which resources can be searched, and by what: one table for the search and for the CapabilityStatement."""

from __future__ import annotations

from typing import Final

PAGE: Final = 50
LARGEST_PAGE: Final = 200
"""Resources of a page, unless ``_count`` asks for less or more; and at most."""

_ID: Final = ("token", "资源 id（zb-…）/ id of a resource of ours")
_PATIENT: Final = ("reference", "Patient/zb-…")
_ENCOUNTER: Final = ("reference", "Encounter/zb-…")

SEARCHES: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "Patient": {"_id": _ID, "identifier": ("token", "病案号 / record number: urn:oid:2.16.156.10011.1.13|… 或只写号码")},
    "Encounter": {"_id": _ID, "patient": _PATIENT, "identifier": ("token", "病案号 / record number of the patient")},
    "Condition": {"_id": _ID, "patient": _PATIENT, "encounter": _ENCOUNTER},
    "Provenance": {"_id": _ID, "patient": _PATIENT, "target": _ENCOUNTER},
    "AuditEvent": {
        "_id": _ID,
        "date": ("date", "日期或时间，可加 ge、gt、le、lt / with prefixes"),
        "agent-name": ("string", "账号或客户端，须完全相同 / exactly"),
        "entity-name": ("string", "审计对象，如 stay:12.1，须完全相同 / exactly"),
    },
}
"""Resource type to parameters, each with its type and what it takes."""
