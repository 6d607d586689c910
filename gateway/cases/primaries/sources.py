"""What sightings are made of: stays, and report cards and deaths that were handed in, as the ledger has them now.

A sighting's key names its source: ``stay:17``, ``card:5``, ``death:9`` (the numbers of rows that were handed in).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec
from sqlalchemy import and_
from sqlmodel import Session, col, select

from gateway.cases.primaries.cards import seen_card
from gateway.cases.primaries.evidence import Seen
from gateway.cases.primaries.stays import seen
from gateway.cases.stays import STAY_PLACE
from gateway.intake.resources import pieces
from gateway.model.card import Card
from gateway.model.stay import Stay
from gateway.store.tables import HandedIn, StayRow, StayVersion
from gateway.store.vault import Vault

HANDED_IN_PLACE = "handed_in.body"
SHOWING = ("card", "death")
"""The kinds of rows that show a person. Visits belong to cards that are there."""


@dataclass(frozen=True, slots=True)
class Stated:
    """What a source says now; neither a stay nor a card when it takes back what it said (a stay that was cancelled or is another one)."""

    stay: Stay | None = None
    card: Card | None = None

    def seen(self, key: str) -> Seen | None:
        """The sighting that it makes."""
        if self.stay is not None:
            return seen(self.stay, key)
        return seen_card(self.card, key) if self.card is not None else None


def stated(session: Session, vault: Vault, keys: Iterable[str]) -> dict[str, Stated]:
    """What the sources of these sightings say now."""
    numbers: dict[str, set[int]] = {}
    for key in keys:
        kind, _, number = key.partition(":")
        numbers.setdefault(kind, set()).add(int(number))
    found = _stays(session, vault, numbers.pop("stay", ()))
    for kind, wanted in numbers.items():
        for piece in pieces(wanted):
            statement = select(HandedIn.id, HandedIn.sealed_body).where(col(HandedIn.id).in_(piece))
            for id, sealed in session.exec(statement):
                card = msgspec.json.decode(vault.open(sealed, HANDED_IN_PLACE), type=Card)
                found[f"{kind}:{id}"] = Stated(card=card)
    return found


def _stays(session: Session, vault: Vault, wanted: Iterable[int]) -> dict[str, Stated]:
    found = {}
    current = and_(col(StayVersion.stay_id) == StayRow.id, col(StayVersion.number) == StayRow.current)
    statement = select(StayRow.id, StayRow.absorbed_into, StayVersion.cancelled, StayVersion.sealed_body).join(StayVersion, current)
    for piece in pieces(wanted):
        for id, absorbed, cancelled, sealed in session.exec(statement.where(col(StayRow.id).in_(piece))):
            taken_back = cancelled or absorbed is not None
            stay = None if taken_back else msgspec.json.decode(vault.open(sealed, STAY_PLACE), type=Stay)
            found[f"stay:{id}"] = Stated(stay=stay)
    return found


def changed_stays(session: Session, after: int, limit: int) -> tuple[list[str], int]:
    """The stays of up to ``limit`` versions behind version ``after``, and the last of these versions. There is one writer, so versions are
    numbered in the order in which they were committed."""
    statement = (
        select(StayVersion.id, StayVersion.stay_id).where(col(StayVersion.id) > after).order_by(col(StayVersion.id)).limit(limit)
    )
    rows = list(session.exec(statement))
    return [*dict.fromkeys(f"stay:{stay}" for _, stay in rows)], (rows[-1][0] or after) if rows else after


def handed_in(session: Session, after: int, limit: int) -> tuple[list[str], int]:
    """The sightings of up to ``limit`` rows behind row ``after`` that were handed in, and the last of these rows."""
    statement = select(HandedIn.id, HandedIn.kind).where(col(HandedIn.id) > after).order_by(col(HandedIn.id)).limit(limit)
    rows = list(session.exec(statement))
    return [f"{kind}:{id}" for id, kind in rows if kind in SHOWING], (rows[-1][0] or after) if rows else after


def split(sources: Mapping[str, Stated], keys: Iterable[str]) -> tuple[dict[str, Stay], dict[str, Card]]:
    """The stays and the cards among the sources of some sightings."""
    stays, cards = {}, {}
    for key in keys:
        one = sources.get(key, Stated())
        if one.stay is not None:
            stays[key] = one.stay
        elif one.card is not None:
            cards[key] = one.card
    return stays, cards
