"""FHIR resources as the ledger keeps them, and what becomes of those of a message."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from adapters.fhir.bundle import Change
from adapters.fhir.resource import Body, Release
from gateway.store.vault import Vault

RESOURCE_PLACE = "fhir_resource.body"
LONGEST_PARAMETERS = 500
"""Values in one ``IN`` clause."""


class Stored(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is sealed of a resource: its JSON as received and what the message told of it. ``record`` is the key of its patient's record,
    ``stated_at`` the time that the source gave (empty when none), ``occurred`` that time or when it came."""

    key: str
    raw: bytes
    occurred: str
    record: str = ""
    stated_at: str = ""
    release: Release = "R4"
    place: str = ""
    links: dict[str, str] = {}
    references: list[str] = []


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one entry. ``status`` as in an HTTP answer; ``version`` 0 where there is no resource; ``stale`` when the one that is
    there is newer."""

    change: Change
    status: int
    version: int
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that is durable. ``message`` is its number, 0 for one that was there already."""

    message: int
    repeated: bool
    entries: tuple[Answered, ...]


@dataclass(frozen=True, slots=True)
class Current:
    """A resource as its source states it now, with the id and version that it has here."""

    body: dict[str, Any]
    release: Release
    version: int
    deleted: bool


def sealed(vault: Vault, stored: Stored) -> bytes:
    """A resource as it is kept."""
    return vault.seal(msgspec.msgpack.encode(stored), RESOURCE_PLACE)


def opened(vault: Vault, kept: bytes) -> Stored:
    """What was sealed of a resource."""
    return msgspec.msgpack.decode(vault.open(kept, RESOURCE_PLACE), type=Stored)


def with_version(body: Body, version: int, updated: dt.datetime) -> dict[str, Any]:
    """A resource with the version that it has here."""
    meta = body.get("meta")
    told = {"versionId": str(version), "lastUpdated": updated.isoformat(timespec="milliseconds")}
    return {**body, "meta": {**(meta if isinstance(meta, Mapping) else {}), **told}}


def pieces(values: Iterable[Any]) -> Iterable[list[Any]]:
    """Values in lists that fit into a statement."""
    source = iter(sorted(values))
    while piece := list(islice(source, LONGEST_PARAMETERS)):
        yield piece
