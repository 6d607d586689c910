"""Names of the resources that are made of one version of a stay. All ids begin with ``zb-``, which no source may use; they depend on the
stay only, so that the same item has the same address in every version."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

RESERVED: Final = "zb-"
_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@dataclass(frozen=True, slots=True)
class Names:
    """``stay`` and ``patient`` are ids without their prefix, ``version`` the number of the version, ``updated`` when it was made (with a
    zone), ``base`` the address of the FHIR server without a slash at the end (for addresses in bundles)."""

    stay: str
    patient: str
    version: int
    updated: datetime
    base: str = ""

    def id(self, *parts: str | int) -> str:
        """The id of a part of the stay: ``zb-<stay>-tumour-0``. Raises `ValueError` where it is no FHIR id (over 64 characters)."""
        return checked("-".join((RESERVED + self.stay, *map(str, parts))))

    @property
    def patient_id(self) -> str:
        """The id of the Patient."""
        return checked(RESERVED + self.patient)

    @property
    def subject(self) -> dict[str, Any]:
        """A Reference to the patient."""
        return {"reference": f"Patient/{self.patient_id}"}

    @property
    def encounter(self) -> dict[str, Any]:
        """A Reference to the stay."""
        return {"reference": f"Encounter/{self.id()}"}

    @property
    def meta(self) -> dict[str, Any]:
        """Meta of a resource of this version."""
        return {"versionId": str(self.version), "lastUpdated": self.updated.isoformat(timespec="milliseconds")}


def checked(id: str) -> str:
    """``id``, when FHIR allows it. Raises `ValueError`."""
    if not _ID.fullmatch(id):
        raise ValueError("not a FHIR id")
    return id
