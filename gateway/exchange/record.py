"""One card as one of the parties to an exchange has it."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from gateway.cases.primaries.cards import seen_card
from gateway.cases.primaries.evidence import Sighting
from gateway.model import resident_id
from gateway.model.card import Card
from mappings.registry import icd10
from mappings.registry.multiple_primary import Neoplasm

Side = Literal["chronic", "registry"]
Party = Literal["chronic", "registry", "own"]
"""The two platforms, and this gateway's own tumours."""

SIDES: Final[tuple[Side, Side]] = ("chronic", "registry")
PLATFORM: Final[dict[Side, str]] = {"chronic": "henan-chronic", "registry": "henan-registry"}
SIDE_NAMES: Final[dict[Side, tuple[str, str]]] = {
    "chronic": ("慢性病监测系统", "chronic-disease system"),
    "registry": ("肿瘤登记直报系统", "cancer-registry system"),
}

ADDRESS_PARTS: Final = ("province", "city", "county", "town", "village", "house_no")


def other(side: Side) -> Side:
    """The other platform."""
    return "registry" if side == "chronic" else "chronic"


class Record(Struct, frozen=True):
    """A card of one party. ``key`` names it for as long as the party knows it: its decisions and receipts hang on it. ``unit`` is the code
    of the reporting (registry: diagnosing) unit in the party's own system."""

    key: str
    party: Party
    card: Card
    unit: str = ""


def address(card: Card, place: str) -> str:
    """The household (``hukou``) or usual (``residence``) address in one text."""
    return "".join(str(getattr(card, f"{place}_{part}")) for part in ADDRESS_PARTS)


def sighting(record: Record) -> Sighting:
    """Whom a card shows. Birth date and sex come from a valid identity number where the card does not say them."""
    shown = seen_card(record.card, record.key).sighting
    if not shown.resident_id:
        return shown
    born = shown.birth_date or resident_id.birth_date(shown.resident_id) or ""
    return replace(shown, birth_date=born, sex=shown.sex or resident_id.sex(shown.resident_id))


def neoplasm(card: Card) -> Neoplasm:
    """The tumour of a card in ICD-O-3; where the card does not say it, what its ICD-10 code stands for provisionally."""
    if card.topography and card.morphology:
        return Neoplasm(card.topography, card.morphology, card.behaviour)
    meant = icd10.provisional(card.icd10)
    if meant is None:
        return Neoplasm(card.topography, card.morphology, card.behaviour)
    return Neoplasm(card.topography or meant.topography, card.morphology or meant.morphology, card.behaviour or meant.behaviour)
