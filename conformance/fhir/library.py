"""Which profiles, types and value sets there are: FHIR's own and mCODE's (``definitions/*.json.gz``), ours (``profiles/*.toml``), and those
that a hospital brings along."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from adapters.fhir.definitions import definitions
from adapters.fhir.resource import Release
from conformance.fhir.bindings import ValueSet
from conformance.fhir.elements import BASE, Constraint, Profile, plain
from conformance.fhir.own import OwnProfile, read_own
from gateway.model.errors import ConfigurationError

OWN: Final = "urn:zhibao:profile:"
"""Addresses of our own profiles begin with it."""

_PACKAGES: Final[Mapping[Release, tuple[str, ...]]] = {"R4": ("r4", "mcode"), "R5": ("r5",)}
_HERE: Final = files("conformance.fhir")


class _Package(Struct, frozen=True):
    structures: dict[str, msgspec.Raw]
    value_sets: dict[str, ValueSet]


_DECODER = msgspec.json.Decoder(_Package)


class Library:
    """The definitions of one release. Profiles are built when first asked for."""

    def __init__(self, release: Release) -> None:
        self.release = release
        self._raw: dict[str, msgspec.Raw] = {}
        self.value_sets: dict[str, ValueSet] = {}
        for name in _PACKAGES[release]:
            package = _DECODER.decode(gzip.decompress(_HERE.joinpath("definitions", f"{name}.json.gz").read_bytes()))
            self._raw |= package.structures
            self.value_sets |= package.value_sets
        self.value_sets |= _listed(release)
        self._profiles: dict[str, Profile | None] = {}
        self._own = {f"{OWN}{own.id}": own for own in _own_profiles() if release in own.releases}
        self._names = {url.rpartition("/")[2]: url for url in self._raw if not url.startswith(BASE)}
        self._names |= {own.id: url for url, own in self._own.items()}
        self._chinese = _chinese(release)
        self.types = frozenset(url.removeprefix(BASE) for url in self._raw if url.startswith(BASE))

    def profile(self, name: str) -> Profile | None:
        """A profile by its address (the version is not looked at), its short name, or the name of a type."""
        url = plain(name)
        url = self._names.get(url, url if ":" in url else f"{BASE}{url}")
        if url not in self._profiles:
            self._profiles[url] = self._built(url)
        return self._profiles[url]

    def _built(self, url: str) -> Profile | None:
        if url in self._own:
            return self.on_top(self._own[url])
        raw = self._raw.get(url)
        return Profile.read(msgspec.json.decode(raw)) if raw is not None else None

    def on_top(self, own: OwnProfile) -> Profile:
        """What a file demands on top of the profile that it builds on. Raises `ConfigurationError` for one that is not there."""
        base = self.profile(own.base)
        if base is None:
            raise ConfigurationError(
                f"规范“{own.id}”所依据的“{own.base}”不存在", action="请核对 base", english=f"{own.id}: unknown base {own.base}"
            )
        rules = tuple(rule.constraint(self.release) for rule in own.rule)
        return Profile(f"{OWN}{own.id}", own.id, base.type, False, base.root, base.by_id, (*base.more, *rules))

    def names(self) -> list[str]:
        """The short names of the profiles of resources, without the resources themselves."""
        resources = definitions(self.release).resources
        return sorted(name for name in self._names if (profile := self.profile(name)) is not None and profile.type in resources)

    def chinese(self, rule: Constraint) -> str:
        """What an invariant demands, in Chinese; empty if nobody has said it yet."""
        return rule.chinese or self._chinese.get(rule.key, "")


@cache
def library(release: Release) -> Library:
    """The definitions of a release, read once."""
    return Library(release)


def read_definition(file: Path) -> dict[Release, Profile]:
    """A hospital's own profile by the releases that it is for: a StructureDefinition (JSON, with its snapshot) or a file as in
    `conformance.fhir.own`. Raises `ConfigurationError`."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _unusable(file, "无法打开", f"cannot open: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _unusable(file, "不是 UTF-8 编码", "not UTF-8") from None
    if file.suffix.lower() == ".toml":
        own = read_own(text, file.name)
        return {release: library(release).on_top(own) for release in own.releases}
    try:
        definition: Any = msgspec.json.decode(text)
        if definition["resourceType"] != "StructureDefinition":
            raise ValueError
        return {"R5" if definition.get("fhirVersion", "").startswith("5") else "R4": Profile.read(definition)}
    except msgspec.DecodeError:
        raise _unusable(file, "不是正确的 JSON", "not JSON") from None
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise _unusable(file, "不是带快照（snapshot）的 StructureDefinition", "no StructureDefinition with a snapshot") from None


def named(name: str) -> dict[Release, Profile]:
    """The profile of a name or address by the releases that it is for. Raises `ConfigurationError`, which lists the names that there are."""
    found = {release: profile for release in _PACKAGES if (profile := library(release).profile(name)) is not None}
    if not found:
        names = sorted({known for release in _PACKAGES for known in library(release).names()})
        raise ConfigurationError(
            f"没有名为“{name}”的规范；可用 base、declared、structure、资源类型名、规范的网址、规范文件，或：{'、'.join(names)}",
            action="请核对名称",
            english=f"unknown profile {name}; known: {', '.join(names)}",
        )
    return found


def _unusable(file: Path, reason: str, english: str) -> ConfigurationError:
    return ConfigurationError(f"规范文件“{file.name}”{reason}", action="请核对后重试", english=f"profile {file.name}: {english}")


@cache
def _own_profiles() -> tuple[OwnProfile, ...]:
    found = sorted((f for f in _HERE.joinpath("profiles").iterdir() if f.name.endswith(".toml")), key=lambda file: file.name)
    return tuple(read_own(file.read_text(encoding="utf-8"), file.name) for file in found)


def _listed(release: Release) -> dict[str, ValueSet]:
    """Value sets that no package holds, from ``definitions/value_sets.csv``: a code ``*`` leaves its system open."""
    codes: dict[str, dict[str, set[str]]] = {}
    unknown: dict[str, set[str]] = {}
    for row in _rows("definitions/value_sets.csv"):
        if row["release"] == release:
            if row["code"] == "*":
                unknown.setdefault(row["set"], set()).add(row["system"])
            else:
                codes.setdefault(row["set"], {}).setdefault(row["system"], set()).add(row["code"])
    return {
        url: ValueSet({system: frozenset(some) for system, some in codes.get(url, {}).items()}, frozenset(unknown.get(url, ())))
        for url in codes.keys() | unknown.keys()
    }


def _chinese(release: Release) -> dict[str, str]:
    return {row["key"]: row["chinese"] for row in _rows("invariants.csv") if row["release"] in ("", release)}


def _rows(name: str) -> list[dict[str, str]]:
    text = _HERE.joinpath(*name.split("/")).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))
