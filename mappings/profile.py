"""A platform's profile: what it wants, when and how, as dated data in ``mappings/platforms/<id>/``.

Adding a platform is adding a folder. ``profile.toml`` holds identity, cadence, delivery and receipts; ``scope.csv`` what is
reportable; ``fields.csv`` (or a layout) the columns; ``checks.csv`` the rules. The ``facts`` of a profile say what is publicly
known about the platform and how sure we are; a low-confidence fact is shown as such wherever the profile is shown.

The ``unit`` of a profile is what one report is about: a ``stay``, printed by a `mappings.layout.Layout`, or a ``tumour``, whose report card
is printed by a `mappings.card_layout.CardLayout` (``layout`` names its table); ``[layouts]`` names the tables of further cards (first visit,
follow-up) or further files of the same cards. ``[options.<name>]`` is what a hospital must or may say about itself to a platform (an
institution code), with ``label``, ``label_en``, ``default`` and ``required``; ``[card]`` is what the platform's card says beyond the neutral
one (CEL by field of the card, in order, over the card and the options); ``[files.<name>]`` are the files that ``zhibao convert`` writes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

from gateway.model.errors import ConfigurationError
from mappings.cadence import Cadence
from mappings.card_layout import CardLayout, packaged
from mappings.expressions import Expression
from mappings.layout import Layout, layout
from mappings.scope import AgeReference, ReportingScope, load_scope


@dataclass(frozen=True)
class Fact:
    """Something known about a platform, with its source and confidence (high, medium, low)."""

    about: str
    source: str
    confidence: str


@dataclass(frozen=True)
class Option:
    """What a hospital says about itself to one platform; a ``required`` one holds every card while it is missing."""

    name: str
    label: str
    label_en: str
    default: str = ""
    required: bool = False


@dataclass(frozen=True)
class CardFile:
    """A file of cards: its name, its layout (``card``, the platform's own; a name of `Profile.layouts`, in which ``{option}`` stands for an
    option), its format (xlsx, csv, tab) and encoding."""

    name: str
    layout: str
    format: str
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Profile:
    """One version of one platform's wishes; see the module."""

    id: str
    name: str
    name_en: str
    version: str
    authority: str
    unit: str
    operations: tuple[str, ...]
    valid_from: date
    valid_to: date | None
    layout: Layout | CardLayout
    check_tables: tuple[str, ...]
    cadence: Cadence
    age_reference: AgeReference
    delivery_mode: str
    transport: str
    receipt_status: Mapping[str, str]
    facts: tuple[Fact, ...]
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    options: Mapping[str, Option] = field(default_factory=dict)
    layouts: Mapping[str, CardLayout] = field(default_factory=dict)
    completions: Mapping[str, Expression] = field(default_factory=dict)
    files: Mapping[str, CardFile] = field(default_factory=dict)

    @property
    def stay_layout(self) -> Layout:
        """The layout of a platform whose unit is the stay."""
        assert isinstance(self.layout, Layout), f"{self.id} is about {self.unit}s"
        return self.layout

    @property
    def card_layout(self) -> CardLayout:
        """The layout of a platform whose unit is the tumour."""
        assert isinstance(self.layout, CardLayout), f"{self.id} is about {self.unit}s"
        return self.layout

    def chosen(self, options: Mapping[str, str]) -> dict[str, str]:
        """All options of the platform: what the hospital says, else the default."""
        return {name: options.get(name, "") or option.default for name, option in self.options.items()}

    def scope(self, *, switches: Mapping[str, bool] | None = None, age_reference: AgeReference | None = None) -> ReportingScope:
        """The reporting scope under a hospital's settings."""
        return load_scope(self.id, switches=switches, age_reference=age_reference or self.age_reference)


def platform_ids(unit: str = "") -> list[str]:
    """The ids of all platforms that ship with Zhibao, or of those that are about stays, or about tumours."""
    if unit:
        return [id for id in platform_ids() if profile(id).unit == unit]
    root = files("mappings").joinpath("platforms")
    return sorted(entry.name for entry in root.iterdir() if entry.joinpath("profile.toml").is_file())


@cache
def profile(id: str) -> Profile:
    """The profile of a platform. Raises `ConfigurationError` when there is none of that id or it is incomplete."""
    if id not in platform_ids():
        known = "、".join(platform_ids())
        raise ConfigurationError(f"没有名为“{id}”的平台", action=f"可用的平台：{known}", english=f"unknown platform {id}")
    data = tomllib.loads(files("mappings").joinpath("platforms", id, "profile.toml").read_text("utf-8"))
    in_bytes = data.get("length") == "bytes"
    try:
        return Profile(
            id=data["id"],
            name=data["name"],
            name_en=data["name_en"],
            version=data["version"],
            authority=data["authority"],
            unit=data["unit"],
            operations=tuple(data["operations"]),
            valid_from=date.fromisoformat(data["valid_from"]),
            valid_to=date.fromisoformat(data["valid_to"]) if "valid_to" in data else None,
            layout=packaged(id, data["layout"], in_bytes=in_bytes) if data["unit"] == "tumour" else layout(data["layout"]),
            check_tables=tuple(data["checks"]),
            cadence=_cadence(data["cadence"]),
            age_reference=data["scope"]["age_reference"],
            delivery_mode=data["delivery"]["mode"],
            transport=data["delivery"]["transport"],
            receipt_status=data["receipt_status"],
            facts=tuple(Fact(**fact) for fact in data.get("facts", ())),
            settings={name: data[name] for name in ("rest", "soap", "folder") if name in data},
            options={name: Option(name, **said) for name, said in data.get("options", {}).items()},
            completions={name: Expression(said, f"{id}/profile.toml card.{name}") for name, said in data.get("card", {}).items()},
            files={name: CardFile(**said) for name, said in data.get("files", {}).items()},
            layouts={name: packaged(id, table, in_bytes=in_bytes) for name, table in data.get("layouts", {}).items()},
        )
    except KeyError as missing:
        raise ConfigurationError(f"平台“{id}”的配置缺少 {missing}", english=f"profile {id} lacks {missing}") from None


def _cadence(said: Mapping[str, Any]) -> Cadence:
    if said["period"] == "continuous":
        return Cadence(continuous=True)
    return Cadence(said["day"], said["history_from"])
