"""Which release of FHIR a message is of: what its sender declares, else what its resources look like.

Declared by the ``fhirVersion`` parameter of the content type (4.0, 4.3, 5.0), or by the profile that a resource claims where that profile
is of one release (``mappings/sources/fhir/profiles.csv``, or a version behind its bar). Shape: an element that one release has and the other
has not, or has as a list instead of an object; that is read off the definitions. R4B is read as R4. Nothing told: R4.

Elements that only an older release has (``mappings/sources/fhir/older_releases.csv``) are refused, and so is a message that is of two releases
at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final, Literal, NamedTuple

from adapters.fhir.definitions import definitions
from adapters.fhir.json_text import join
from adapters.fhir.refusal import refused
from adapters.fhir.resource import Release
from adapters.fhir.tables import rows

Told = Literal["R4", "R5", "STU3", "DSTU2"]
_Form = Literal["list", "object", "value"]

_VERSIONS: Final[Mapping[str, Release]] = {"4.0": "R4", "4.3": "R4", "5.0": "R5"}
_FORMS: Final[Mapping[type, _Form]] = {list: "list", dict: "object"}
_EVERY_FORM: Final[tuple[_Form, ...]] = ("list", "object", "value")
_BOTH_WAYS: Final[tuple[tuple[Release, Release], ...]] = (("R4", "R5"), ("R5", "R4"))
_OFFICIAL: Final = "http://hl7.org/fhir/StructureDefinition/"


class _Sign(NamedTuple):
    """An element that tells the release. ``claimed``: by a profile, not by its shape."""

    release: Told
    expression: str
    claimed: bool


def of_version(version: object) -> Release | None:
    """The release that a content type declares by its ``fhirVersion``; none without one. Raises `FhirRefused` (``release``) for one that is
    not read."""
    if version is None:
        return None
    found = _release_of(str(version))
    if found is None:
        text, english = "内容类型声明的 FHIR 版本不受支持（支持 4.0、4.3、5.0）", "the declared fhirVersion is not supported"
        raise refused("release", "not-supported", "", text, english, status=415)
    return found


class Signs:
    """What the resources of one message tell about its release."""

    def __init__(self) -> None:
        self._first: dict[Told, _Sign] = {}

    def see(self, body: Mapping[str, Any], where: str) -> None:
        """Take in a resource; ``where`` is its FHIRPath."""
        kind = body["resourceType"]
        told = _telling(kind)
        if "" in told:
            self._add(told[""]["value"], where, claimed=False)
        for name, item in body.items():
            if name in told:
                release = told[name].get(_FORMS.get(type(item), "value"))
                if release is not None:
                    self._add(release, join(where, name), claimed=False)
        meta = body.get("meta")
        if isinstance(meta, dict) and isinstance(meta.get("profile"), list):
            self._see_profiles(meta["profile"], where)

    def decide(self) -> tuple[Release | None, bool]:
        """(release, declared); no release if nothing tells it.

        Raises `FhirRefused` (``release``) for an older release or for signs of two."""
        self.refuse_older()
        r4, r5 = self._first.get("R4"), self._first.get("R5")
        if r4 and r5:
            text = f"同一消息中既有 R4 的元素（{r4.expression}），又有 R5 的元素（{r5.expression}）"
            english = f"elements of R4 ({r4.expression}) and of R5 ({r5.expression}) in one message"
            raise refused("release", "not-supported", r5.expression, text, english)
        sign = r4 or r5
        if sign is None:
            return None, False
        return ("R4" if sign is r4 else "R5"), sign.claimed

    @property
    def release(self) -> Release | None:
        """The release that the resources tell; none if nothing does or they contradict each other."""
        told: list[Release] = [release for release, _ in _BOTH_WAYS if release in self._first]
        return told[0] if len(told) == 1 else None

    @property
    def claimed(self) -> Release | None:
        """The release that a profile claims; none if none does or two are claimed."""
        claims: set[Release] = {release for release, _ in _BOTH_WAYS if (sign := self._first.get(release)) and sign.claimed}
        return claims.pop() if len(claims) == 1 else None

    def refuse_older(self) -> None:
        """Raise as `decide` does, but for older releases only."""
        for sign in self._first.values():
            if sign.release in ("R4", "R5"):
                continue
            name = sign.expression.rpartition(".")[2]
            text = f"这是 FHIR {sign.release} 的内容（{name} 在 R4 中已不存在或写法不同），只接收 R4、R4B 和 R5"
            english = f"content of FHIR {sign.release} ({name} is gone or different since R4); only R4, R4B and R5 are read"
            raise refused("release", "not-supported", sign.expression, text, english)

    def _see_profiles(self, profiles: Iterable[object], where: str) -> None:
        for profile in profiles:
            release = _of_profile(profile) if isinstance(profile, str) else None
            if release is not None:
                self._add(release, f"{where}.meta.profile", claimed=True)

    def _add(self, release: Told, where: str, *, claimed: bool) -> None:
        known = self._first.get(release)
        if known is None or (claimed and not known.claimed):
            self._first[release] = _Sign(release, where, claimed)


@cache
def older_resources() -> frozenset[str]:
    """Resource types that only an older release has."""
    return frozenset(row["resource"] for row in rows("older_releases") if not row["element"])


@cache
def _telling(kind: str) -> Mapping[str, Mapping[_Form, Told]]:
    """The elements of a resource type that tell a release, by their JSON form; under the empty name what the type itself tells."""
    told: dict[str, dict[_Form, Told]] = {}
    for release, other in _BOTH_WAYS:
        ours, theirs = _forms(kind, release), _forms(kind, other)
        if ours and not theirs:
            told[""] = {"value": release}
        for name, form in ours.items():
            if theirs and name not in theirs:
                told[name] = dict.fromkeys(_EVERY_FORM, release)
            elif theirs and theirs[name] != form:
                told.setdefault(name, {})[form] = release
    for row in rows("older_releases"):
        if row["resource"] == kind:
            release_told: Told = "STU3" if row["release"] == "STU3" else "DSTU2"
            for form in _EVERY_FORM:
                if row["form"] in ("any", form):
                    told.setdefault(row["element"], {})[form] = release_told
    return told


def _forms(kind: str, release: Release) -> dict[str, _Form]:
    """The elements of a resource type, with the JSON form of each."""
    book = definitions(release)
    if kind not in book.resources:
        return {}
    return {
        name: "list" if element.many else "value" if book.is_primitive(element.type) else "object"
        for name, element in book.elements(kind).items()
    }


def _release_of(version: str) -> Release | None:
    """``4.0`` or ``4.0.1``."""
    return _VERSIONS.get(".".join(version.split(".")[:2]))


def _of_profile(profile: str) -> Release | None:
    address, _, version = profile.partition("|")
    if version and address.startswith(_OFFICIAL):
        return _release_of(version)
    for prefix, release in _prefixes():
        if address.startswith(prefix):
            return release
    return None


@cache
def _prefixes() -> tuple[tuple[str, Release], ...]:
    return tuple((row["prefix"], "R5" if row["release"] == "R5" else "R4") for row in rows("profiles"))
