"""One primary tumour with all that is known of it: what a report card is made from (`gateway.reporting.cards`)."""

from __future__ import annotations

from msgspec import Struct, field

from gateway.cases.primaries.evidence import Evidence, Seen
from gateway.model.card import Card
from gateway.model.stay import Stay


class Step(Struct, frozen=True):
    """One step of a decision, for whoever asks why: the rule (``S3`` of the multiple-primary rules, ``ID`` of person matching, ``DATE`` …), and
    what it said, in Chinese and English. It names evidence by key and codes, never a person."""

    rule: str
    said: str
    english: str


class Edit(Struct, frozen=True, omit_defaults=True):
    """One act of a person on a card: ``fields`` of the card filled in or emptied, ``confirmed`` findings (rule and digest of the values that it
    was about). ``at`` is an ISO time, UTC."""

    by: str
    at: str
    reason: str
    fields: dict[str, str] = {}
    confirmed: dict[str, str] = {}


class TumourCase(Struct):
    """A primary tumour. ``evidence`` is what belongs to it, oldest first, treatment encounters included; ``seen`` every sighting of the person,
    ``stays`` and ``cards`` what the sightings are made of, by sighting key (a death is a card whose ``card_type`` is 2). ``number`` counts the
    person's primary tumours by date, ``of`` is how many there are. ``earlier`` are the cards that a platform may have, oldest first."""

    evidence: list[Evidence]
    seen: list[Seen]
    stays: dict[str, Stay] = field(default_factory=dict)
    cards: dict[str, Card] = field(default_factory=dict)
    number: int = 1
    of: int = 1
    steps: list[Step] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    earlier: list[Card] = field(default_factory=list)
