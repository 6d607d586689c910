"""Stays that carry the numbers of another one.

A 病案号 given twice, or two columns exchanged at export, would make one person's stay the next version of another's, and the platforms
would be told so. A front sheet under known numbers is a correction as long as the person or the discharge is the same; when name, date of
birth and time of discharge all differ, nobody can say that it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlmodel import Session, and_, col, select

from gateway.cases.stays import STAY_PLACE, NewVersion
from gateway.model.stay import Stay
from gateway.store.tables import StayRow, StayVersion
from gateway.store.vault import Vault

REASON = "identity-conflict"
NOTE = "该病案号和住院次数已属于另一位患者（姓名、出生日期、出院时间均不同），未覆盖原记录；请核对病案号后重新导入"


def strangers(session: Session, vault: Vault, versions: Sequence[NewVersion]) -> frozenset[int]:
    """Of versions about to be recorded, the positions of those that carry the numbers of a different stay: one in the ledger, or one
    earlier among them. Only bodies that would change something are opened."""
    identities = {version.identity for version in versions}
    joined = and_(col(StayVersion.stay_id) == StayRow.id, col(StayVersion.number) == StayRow.current)
    statement = select(StayRow.identity, StayRow.source_digest, StayVersion.sealed_body).join(StayVersion, joined)
    known = {
        identity: (digest, body)
        for identity, digest, body in session.exec(statement.where(col(StayRow.identity).in_(sorted(identities))))
    }
    found = set()
    for position, version in enumerate(versions):
        digest, body = known.get(version.identity, ("", b""))
        if body and digest != version.digest and _differ(_open(vault, body), _open(vault, version.sealed_body)):
            found.add(position)
        else:
            known[version.identity] = (version.digest, version.sealed_body)
    return frozenset(found)


def _open(vault: Vault, body: bytes) -> Stay:
    return msgspec.json.decode(vault.open(body, STAY_PLACE), type=Stay)


def _differ(one: Stay, other: Stay) -> bool:
    pairs = (
        (one.patient.name, other.patient.name),
        (one.patient.birth_date, other.patient.birth_date),
        (one.discharge.time, other.discharge.time),
    )
    return all(a and b and a != b for a, b in pairs)
