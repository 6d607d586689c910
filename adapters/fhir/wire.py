"""From the bytes of a message to its resources, each with its bytes as received, its place in the message and what its entry asks for.

Nothing is repaired and nothing is guessed except the release (`adapters.fhir.release`). What a resource holds is checked elsewhere
(`adapters.fhir.structure`): here only that there are resources to check. Rules: FHIR json.html, bundle.html (invariants bdl-5, bdl-7)
and http.html; the limits are ours (`adapters.fhir.json_text`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from adapters.fhir import json_text
from adapters.fhir.json_text import join
from adapters.fhir.refusal import FhirRefused, Issue
from adapters.fhir.resource import Body, Release

BUNDLE_TYPES: Final = frozenset(("transaction", "batch", "document", "message", "collection", "searchset", "history"))
"""Kinds of bundle that hold resources for us. The others hold answers or notifications."""

MOST_ISSUES: Final = 50
"""A refusal names no more faults than this."""

KEPT_DECODED: Final = 4_000_000
"""Up to this many bytes of a message its resources stay decoded; those of a longer one are decoded again whenever they are asked for."""

_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"
_NEEDS_RESOURCE = frozenset(("POST", "PUT", "PATCH"))
_REQUEST = {"method": "method", "url": "url", "ifNoneExist": "if_none_exist", "ifMatch": "if_match", "ifNoneMatch": "if_none_match"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource of a message, or an entry that asks for something without one (DELETE, GET).

    ``place`` is ``entry[3]`` in a bundle, ``line[3]`` in a bulk file and empty for a message that is the resource; ``number`` is the
    number in it, counted from 0. ``method`` and the four after it are those of ``Bundle.entry.request``, empty where there is none.
    """

    number: int
    place: str
    kind: str
    full_url: str = ""
    method: str = ""
    url: str = ""
    if_none_exist: str = ""
    if_match: str = ""
    if_none_match: str = ""
    around: Body = field(default_factory=dict, repr=False)
    """The entry without its resource."""
    piece: msgspec.Raw | bytes = field(default=b"", repr=False)
    kept: Body | None = field(default=None, repr=False)

    @property
    def raw(self) -> bytes:
        """The resource's JSON exactly as received; for XML the JSON form of it. Empty without a resource."""
        return bytes(self.piece)

    @property
    def body(self) -> Body:
        """The resource decoded, decimals with the digits sent. Empty without a resource."""
        if self.kept is not None:
            return self.kept
        body: Body = json_text.decode(self.piece) if self.kind else {}
        return body


@dataclass(frozen=True, slots=True)
class Document:
    """A message: a bundle or a single resource. ``declared``: the message or its sender says which release it is of."""

    kind: str
    release: Release
    declared: bool
    entries: tuple[Entry, ...]
    envelope: Body = field(default_factory=dict, repr=False)
    """A bundle without its ``entry``; empty for a single resource."""

    @property
    def body(self) -> Body:
        """The whole message decoded; the resources of a bundle are the very objects of its entries."""
        if self.kind != "Bundle":
            return self.entries[0].body
        entries = [{**entry.around, "resource": entry.body} if entry.kind else entry.around for entry in self.entries]
        return {**self.envelope, "entry": entries} if entries else self.envelope

    @property
    def type(self) -> str:
        """Bundle.type, empty for a single resource."""
        return str(self.envelope.get("type", ""))


def read(raw: bytes, *, content_type: str = "", release: Release | None = None) -> Document:
    """The message in ``raw``. ``release`` overrides what the message says of itself.

    Raises `FhirRefused`; its issues name the elements, its status is 400 where the bytes cannot be read and 422 where they can.
    """
    if "xml" in content_type:
        raise _refusal("xml", "not-supported", "", "尚不支持 XML", "XML is not read yet", status=400)
    text = raw.removeprefix(_BOM)
    if not text.strip(_BLANK):
        raise _refusal("empty", "required", "", "内容为空", "nothing was sent", status=400)
    return _Reading(text).document(release)


class _Reading:
    """One message while it is read: what was counted and what is wrong so far."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._keep = len(text) <= KEPT_DECODED
        self._members = 0
        self._issues: list[Issue] = []

    def document(self, release: Release | None) -> Document:
        """The whole message."""
        root = json_text.members(self._text)
        self._members += len(root)
        kind = _kind(root.get("resourceType"), "")
        if kind == "Bundle":
            envelope = {name: self._decoded(value, join(kind, name)) for name, value in root.items() if name != "entry"}
            entries = tuple(self._bundle(root.get("entry"), str(envelope.get("type", ""))))
        else:
            envelope = {}
            entries = (self._entry(0, "", kind, msgspec.Raw(self._text), {}),)
            self._members -= len(root)
        json_text.check_names(self._text, self._members)
        if self._issues:
            raise FhirRefused(self._issues[0].rule, self._issues[:MOST_ISSUES])
        return Document(kind, release or "R4", release is not None, entries, envelope)

    def _bundle(self, listed: msgspec.Raw | None, bundle_type: str) -> Iterator[Entry]:
        if bundle_type not in BUNDLE_TYPES:
            raise _refusal(
                "bundle-type", "not-supported", "Bundle.type", "不支持这种 Bundle 类型", "this type of bundle is not supported"
            )
        if listed is None:
            return
        seen: dict[str, int] = {}
        for number, item in enumerate(json_text.items(listed, "Bundle.entry")):
            where = f"Bundle.entry[{number}]"
            parts = json_text.members(item, where)
            self._members += len(parts)
            piece = parts.pop("resource", None)
            rest = {name: self._decoded(value, join(where, name)) for name, value in parts.items()}
            kind = _kind(json_text.members(piece, f"{where}.resource").get("resourceType"), f"{where}.resource") if piece else ""
            entry = self._entry(number, f"entry[{number}]", kind, piece, rest)
            self._check_entry(entry, bundle_type, where)
            if entry.full_url and bundle_type != "history":
                if entry.full_url in seen:
                    self._issue(
                        "duplicate-full-url", "invariant", f"{where}.fullUrl", "fullUrl 重复（bdl-7）", "fullUrl twice (bdl-7)"
                    )
                seen.setdefault(entry.full_url, number)
            yield entry

    def _check_entry(self, entry: Entry, bundle_type: str, where: str) -> None:
        asks = entry.method
        needs = asks in _NEEDS_RESOURCE if bundle_type in ("transaction", "batch") else asks != "DELETE"
        if needs and not entry.kind:
            self._issue("no-resource", "required", f"{where}.resource", "条目缺少资源", "entry without a resource")

    def _entry(self, number: int, place: str, kind: str, piece: msgspec.Raw | None, rest: Mapping[str, Any]) -> Entry:
        where = f"Bundle.{place}.resource" if place else kind
        body = self._decoded(piece, where) if piece is not None else None
        request = rest.get("request")
        asked = {ours: _text(request.get(name)) for name, ours in _REQUEST.items()} if isinstance(request, dict) else {}
        kept = body if self._keep else None
        return Entry(number, place, kind, _text(rest.get("fullUrl")), **asked, around=rest, piece=piece or b"", kept=kept)

    def _decoded(self, piece: msgspec.Raw, where: str) -> Any:
        value = json_text.decode(piece, where)
        self._members += json_text.count_members(value, where)
        return value

    def _issue(self, rule: str, code: str, expression: str, message: str, english: str) -> None:
        self._issues.append(Issue("error", code, expression, rule, message, english))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _kind(piece: msgspec.Raw | None, where: str) -> str:
    """The resourceType in ``piece``."""
    kind = json_text.decode(piece, join(where, "resourceType")) if piece is not None else ""
    if not isinstance(kind, str) or not kind.isalpha():
        text, english = "缺少或不是资源类型", "no or no valid resourceType"
        raise _refusal("resource-type", "structure", join(where, "resourceType"), text, english, status=400)
    return kind


def _refusal(reason: str, code: str, where: str, message: str, english: str, *, status: int = 422) -> FhirRefused:
    return FhirRefused(reason, [Issue("fatal", code, where, reason, message, english)], status=status)
