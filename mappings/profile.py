"""A platform's profile: what it wants, when and how, as dated data in ``mappings/platforms/<id>/``.

Adding a platform is adding a folder. ``profile.toml`` holds identity, cadence, delivery and receipts; ``scope.csv`` what is
reportable; ``fields.csv`` (or a layout) the columns; ``checks.csv`` the rules. The ``facts`` of a profile say what is publicly
known about the platform and how sure we are; a low-confidence fact is shown as such wherever the profile is shown.
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
from mappings.layout import Layout, layout
from mappings.scope import AgeReference, ReportingScope, load_scope


@dataclass(frozen=True)
class Fact:
    """Something known about a platform, with its source and confidence (high, medium, low)."""

    about: str
    source: str
    confidence: str


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
    layout: Layout
    check_tables: tuple[str, ...]
    cadence: Cadence
    age_reference: AgeReference
    delivery_mode: str
    transport: str
    receipt_status: Mapping[str, str]
    facts: tuple[Fact, ...]
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def scope(self, *, switches: Mapping[str, bool] | None = None, age_reference: AgeReference | None = None) -> ReportingScope:
        """The reporting scope under a hospital's settings."""
        return load_scope(self.id, switches=switches, age_reference=age_reference or self.age_reference)


def platform_ids() -> list[str]:
    """The ids of all platforms that ship with Zhibao."""
    root = files("mappings").joinpath("platforms")
    return sorted(entry.name for entry in root.iterdir() if entry.joinpath("profile.toml").is_file())


@cache
def profile(id: str) -> Profile:
    """The profile of a platform. Raises `ConfigurationError` when there is none of that id or it is incomplete."""
    if id not in platform_ids():
        known = "、".join(platform_ids())
        raise ConfigurationError(f"没有名为“{id}”的平台", action=f"可用的平台：{known}", english=f"unknown platform {id}")
    data = tomllib.loads(files("mappings").joinpath("platforms", id, "profile.toml").read_text("utf-8"))
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
            layout=layout(data["layout"]),
            check_tables=tuple(data["checks"]),
            cadence=Cadence(data["cadence"]["day"], data["cadence"]["history_from"]),
            age_reference=data["scope"]["age_reference"],
            delivery_mode=data["delivery"]["mode"],
            transport=data["delivery"]["transport"],
            receipt_status=data["receipt_status"],
            facts=tuple(Fact(**fact) for fact in data.get("facts", ())),
            settings={name: data[name] for name in ("rest", "folder") if name in data},
        )
    except KeyError as missing:
        raise ConfigurationError(f"平台“{id}”的配置缺少 {missing}", english=f"profile {id} lacks {missing}") from None
