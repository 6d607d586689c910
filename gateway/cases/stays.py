"""Stays in the ledger: assembled by identity, versioned, never changed in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import BindParameter, and_, bindparam, insert, update
from sqlmodel import Session, col, select

from gateway.model.errors import NotFound
from gateway.model.stay import Stay
from gateway.store.ledger import new_id, now
from gateway.store.tables import StayRow, StayVersion
from gateway.store.vault import Vault

STAY_PLACE = "stay_version.body"


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What is to become a version of a stay: blind index of its identity, month of discharge, digest, sealed body, the message (or person)
    that made it, and whether the admission was cancelled."""

    identity: str
    window: str
    digest: str
    sealed_body: bytes
    made_by: str
    by_person: bool = False
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """What recording did: the stay, the version's id and number, and whether anything changed."""

    stay_id: int
    version_id: int
    number: int
    changed: bool


def record(session: Session, versions: Iterable[NewVersion]) -> list[Recorded]:
    """Record versions in order; one whose content is known already changes nothing. A message is compared with the last message,
    so that a source that repeats itself does not undo a person's correction. Several versions of one stay in the same call follow
    each other."""
    incoming = list(versions)
    identities = {version.identity for version in incoming}
    known = {row.identity: row for row in session.exec(select(StayRow).where(col(StayRow.identity).in_(sorted(identities))))}
    at = now()
    fresh: dict[str, NewVersion] = {}
    for version in incoming:
        if version.identity not in known and version.identity not in fresh:
            fresh[version.identity] = version
    if fresh:
        rows = [
            {
                "identity": v.identity,
                "window": v.window,
                "current": 0,
                "digest": "",
                "source_digest": "",
                "created_at": at,
                "updated_at": at,
            }
            for v in fresh.values()
        ]
        session.execute(insert(StayRow), rows)
        made = session.exec(select(StayRow).where(col(StayRow.identity).in_(sorted(fresh))))
        known.update({row.identity: row for row in made})
    plan: list[tuple[StayRow, int, bool]] = []
    bodies = []
    for version in incoming:
        row = known[version.identity]
        known_digest = row.digest if version.by_person else row.source_digest
        changed = known_digest != version.digest
        if changed:
            row.current += 1
            row.digest, row.window, row.updated_at = version.digest, version.window, at
            if not version.by_person:
                row.source_digest = version.digest
            bodies.append(
                {
                    "stay_id": row.id,
                    "number": row.current,
                    "digest": version.digest,
                    "made_by": version.made_by,
                    "cancelled": version.cancelled,
                    "sealed_body": version.sealed_body,
                    "created_at": at,
                }
            )
        plan.append((row, row.current, changed))
    # the rows above are tracked by the session; write them in one statement
    changes = [
        {
            "id": row.id,
            "current": row.current,
            "digest": row.digest,
            "source_digest": row.source_digest,
            "window": row.window,
            "updated_at": row.updated_at,
        }
        for row in {id(r): r for r, _, changed in plan if changed}.values()
    ]
    for row in known.values():
        session.expunge(row)
    if changes:
        session.execute(update(StayRow), changes)
        session.execute(insert(StayVersion), bodies)
    ids = [row.id for row in known.values()]
    statement = select(StayVersion.stay_id, StayVersion.number, StayVersion.id).where(col(StayVersion.stay_id).in_(ids))
    version_ids = {(stay_id, number): version_id for stay_id, number, version_id in session.exec(statement)}
    return [Recorded(row.id or 0, version_ids[(row.id or 0, number)] or 0, number, changed) for row, number, changed in plan]


def open_row(session: Session) -> int:
    """A stay that nothing is known of yet; `revise` gives it its identity and first version."""
    at = now()
    row = {
        "identity": f"new:{new_id()}",
        "window": "",
        "current": 0,
        "digest": "",
        "source_digest": "",
        "created_at": at,
        "updated_at": at,
    }
    made: int = session.execute(insert(StayRow).returning(col(StayRow.id)), row).scalar_one()
    return made


def revise(session: Session, versions: Sequence[tuple[int, NewVersion]], at: datetime) -> list[Recorded]:
    """Record the next versions of known stays, one of each, whose identities may have become known better; the same content changes
    nothing but that. Raises `NotFound`."""
    rows = {row.id: row for row in session.exec(_ROWS, params={"stays": sorted(stay for stay, _ in versions)})}
    holders = dict(session.exec(_HOLDERS, params={"identities": sorted({version.identity for _, version in versions})}).all())
    changes, bodies = [], []
    changed: list[bool] = []
    for stay_id, version in versions:
        row = rows.get(stay_id)
        if row is None:
            raise NotFound("没有这个病例", english=f"no stay {stay_id}")
        session.expunge(row)  # what changes is written in one statement below
        changed.append(row.digest != version.digest)
        identity = _own_identity(holders, stay_id, version.identity)
        if holders.get(row.identity) == stay_id:
            del holders[row.identity]
        holders[identity] = stay_id
        row.identity, row.source_digest, row.updated_at = identity, version.digest, at
        if changed[-1]:
            row.current += 1
            row.digest, row.window = version.digest, version.window
            bodies.append(
                {
                    "stay_id": stay_id,
                    "number": row.current,
                    "digest": version.digest,
                    "made_by": version.made_by,
                    "cancelled": version.cancelled,
                    "sealed_body": version.sealed_body,
                    "created_at": at,
                }
            )
        changes.append(row.model_dump(include=_REVISED))
    if changes:
        session.execute(update(StayRow), changes)
    if bodies:
        session.execute(insert(StayVersion), bodies)
    ids = _version_ids(session, rows.values())
    return [
        Recorded(stay_id, ids[stay_id, rows[stay_id].current], rows[stay_id].current, new)
        for (stay_id, _), new in zip(versions, changed, strict=True)
    ]


def close(session: Session, stay_id: int, into: int) -> None:
    """Record the last version of a stay that turned out to be another one: what it was, due to nobody. One that has no version yet gets
    none."""
    row = session.get_one(StayRow, stay_id)
    statement = select(StayVersion).where(StayVersion.stay_id == stay_id, StayVersion.number == row.current)
    last = session.exec(statement).one_or_none()
    if last is None:
        return
    row.current, row.updated_at = row.current + 1, now()
    session.add(row)
    made_by, at = f"stay:{into}", row.updated_at
    body = last.sealed_body
    session.add(
        StayVersion(
            stay_id=stay_id, number=row.current, digest=row.digest, made_by=made_by, cancelled=True, sealed_body=body, created_at=at
        )
    )


# Put together once: that takes SQLAlchemy longer than SQLite takes to answer.
_STAYS: BindParameter[Any] = bindparam("stays", expanding=True)
_ROWS = select(StayRow).where(col(StayRow.id).in_(_STAYS))
_HOLDERS = select(StayRow.identity, StayRow.id).where(col(StayRow.identity).in_(bindparam("identities", expanding=True)))
_VERSION_IDS = (
    select(StayVersion.stay_id, StayVersion.number, StayVersion.id)
    .join(StayRow, and_(col(StayVersion.stay_id) == StayRow.id, col(StayVersion.number) == StayRow.current))
    .where(col(StayRow.id).in_(_STAYS))
)
_REVISED = {"id", "identity", "current", "digest", "source_digest", "window", "updated_at"}


def _version_ids(session: Session, rows: Iterable[StayRow]) -> dict[tuple[int, int], int]:
    """Ids of the current versions, by stay and number."""
    found = session.exec(_VERSION_IDS, params={"stays": sorted(row.id or 0 for row in rows)})
    return {(stay_id, number): version_id or 0 for stay_id, number, version_id in found}


def _own_identity(holders: Mapping[str, int | None], stay_id: int, identity: str) -> str:
    """The identity, told apart where joining knows two stays that nothing told so far tells apart (two patients under one visit number,
    admissions without number or time)."""
    return identity if holders.get(identity) in (None, stay_id) else f"{identity}/{stay_id}"


def body(session: Session, vault: Vault, version_id: int) -> Stay:
    """The stay as recorded in one version. Raises `NotFound`."""
    row = session.get(StayVersion, version_id)
    if row is None:
        raise NotFound("没有这一版病例", english=f"no stay version {version_id}")
    return msgspec.json.decode(vault.open(row.sealed_body, STAY_PLACE), type=Stay)


def current(session: Session, vault: Vault, stay_id: int) -> tuple[Stay, StayVersion]:
    """The current version of a stay. Raises `NotFound`."""
    stay = session.get(StayRow, stay_id)
    row = (
        session.exec(select(StayVersion).where(StayVersion.stay_id == stay_id, StayVersion.number == stay.current)).one_or_none()
        if stay is not None
        else None
    )
    if row is None:
        raise NotFound("没有这个病例", english=f"no stay {stay_id}")
    return msgspec.json.decode(vault.open(row.sealed_body, STAY_PLACE), type=Stay), row
