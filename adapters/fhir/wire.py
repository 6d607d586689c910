"""From the bytes of a message to its resources, each with its bytes as received, its place in the message and what its entry asks for.

Nothing is repaired and nothing is guessed except the release (`adapters.fhir.release`). What a resource holds is checked elsewhere
(`adapters.fhir.structure`): here only that there are resources to check. Rules: FHIR json.html, bundle.html (invariants bdl-3, bdl-5 and
bdl-7) and http.html; the limits are ours (`adapters.fhir.json_text`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.message import Message
from typing import Any, Final

import msgspec

from adapters.fhir import json_text, xml
from adapters.fhir.definitions import every_resource
from adapters.fhir.json_text import join
from adapters.fhir.refusal import MOST_ISSUES, FhirRefused, Issue, expression, refused
from adapters.fhir.release import Signs, of_version, older_resources
from adapters.fhir.resource import Body, Release

BUNDLE_TYPES: Final = frozenset(("transaction", "batch", "document", "message", "collection", "searchset", "history"))
"""Kinds of bundle that hold resources for us. The others hold answers or notifications."""

LINES: Final = "lines"
"""The kind of a message that is a piece of a bulk file."""

KEPT_DECODED: Final = 4_000_000
"""Up to this many bytes of a message its resources stay decoded; those of a longer one are decoded again whenever they are asked for."""

MOST_ENTRIES: Final = 20_000
"""Entries of one bundle, those of bundles inside it included. All of them become durable in one transaction, which keeps every other writer
waiting; the bundle of a stay has some hundreds, and for more there are bulk files (`read_lines`)."""

_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"
_WRITES = frozenset(("POST", "PUT", "PATCH"))
_REQUESTS = frozenset(("transaction", "batch"))
_REQUEST = {"method": "method", "url": "url", "ifNoneExist": "if_none_exist", "ifMatch": "if_match", "ifNoneMatch": "if_none_match"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource of a message, or an entry that asks for something without one (DELETE, GET).

    ``place`` is ``entry[3]`` in a bundle, ``entry[3].resource.entry[0]`` in a bundle inside it, ``line[3]`` in a bulk file and empty for a
    message that is the resource. ``number`` counts the entries of the message from 0, ``kind`` is the resourceType, empty without a
    resource. ``method`` and the four after it are those of ``Bundle.entry.request``, empty where there is none.
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
    """A message: a bundle, a single resource, or a piece of a bulk file (`LINES`). ``declared``: the message or its sender says which
    release it is of."""

    kind: str
    release: Release
    declared: bool
    entries: tuple[Entry, ...]
    envelope: Body = field(default_factory=dict, repr=False)
    """A bundle without its ``entry``; empty for anything else."""

    @property
    def body(self) -> Body:
        """The whole message decoded; the resources of a bundle are the very objects of its entries."""
        if self.kind != "Bundle":
            return self.entries[0].body
        top = [entry for entry in self.entries if "." not in entry.place]
        entries = [{**entry.around, "resource": entry.body} if entry.kind else entry.around for entry in top]
        return {**self.envelope, "entry": entries} if entries else self.envelope

    @property
    def type(self) -> str:
        """Bundle.type, empty for anything else."""
        return str(self.envelope.get("type", ""))

    def only(self, entries: Sequence[Entry]) -> Document:
        """The same message with these entries only."""
        return replace(self, entries=tuple(entries))


def read(raw: bytes, *, content_type: str = "", release: Release | None = None) -> Document:
    """The message in ``raw``. Without a content type its first character tells JSON from XML. ``release`` overrides what the message says
    of itself.

    Raises `FhirRefused`; its issues name the elements, its status is 400 where the bytes cannot be read, 413 for a bundle of more than
    `MOST_ENTRIES`, 415 for a content type or a FHIR version that is not read, and 422 for the rest.
    """
    syntax, declared = _declared(content_type)
    release = release or declared
    text = raw.removeprefix(_BOM)
    if not text.strip(_BLANK):
        raise refused("empty", "required", "", "内容为空", "nothing was sent", status=400)
    if syntax == "xml" or (not syntax and text.lstrip(_BLANK).startswith(b"<")):
        return _read_xml(text.strip(_BLANK), release)
    return _Reading(text).document(release)


def read_lines(chunk: bytes, *, release: Release | None = None) -> tuple[Document, list[Issue]]:
    """The resources of a piece of a bulk file (NDJSON), a line each, and what is wrong with the lines that hold none.

    A line that cannot be used does not stop the others. Blank lines count but hold nothing."""
    entries: list[Entry] = []
    issues: list[Issue] = []
    told, declared = release, release is not None
    for number, line in enumerate(chunk.removeprefix(_BOM).split(b"\n")):
        if not line.strip(_BLANK):
            continue
        reading = _Reading(line, f"line[{number}]")
        try:
            document = reading.document(told)
        except FhirRefused as refusal:
            issues += [replace(issue, expression=_in_line(number, issue.expression)) for issue in refusal.issues]
            continue
        told, declared = told or reading.signs.release, declared or reading.signs.claimed is not None
        entries += [replace(entry, number=len(entries)) for entry in document.entries]
    return Document(LINES, told or "R4", declared, tuple(entries)), issues


def _in_line(number: int, where: str) -> str:
    return where if where.startswith("line[") else join(f"line[{number}]", where)


def _declared(content_type: str) -> tuple[str, Release | None]:
    """(``json``, ``xml`` or empty, the release) that a content type says."""
    if not content_type:
        return "", None
    header = Message()
    header["content-type"] = content_type
    media = header.get_content_type().removeprefix("application/").removeprefix("text/").removeprefix("fhir+")
    if media not in ("json", "xml"):
        raise refused("media-type", "not-supported", "", "只接收 FHIR JSON 或 XML", "neither FHIR JSON nor XML", status=415)
    if header.get_content_charset("utf-8") not in ("utf-8", "utf8", "us-ascii"):
        raise refused("encoding", "not-supported", "", "须为 UTF-8 编码", "must be UTF-8", status=415)
    return media, of_version(header.get_param("fhirVersion"))


def _read_xml(text: bytes, release: Release | None) -> Document:
    """A message in XML by way of its JSON form. The release is the one that knows its elements, else the one that a profile claims."""
    root = xml.parse(text)
    if release is not None:
        form, _ = xml.to_json_form(root, release)
        return _Reading(json_text.encode(form)).document(release)
    as_r4, unknown_in_r4 = xml.to_json_form(root, "R4")
    reading = _Reading(json_text.encode(as_r4))
    document = reading.document("R4")
    claimed = reading.signs.claimed
    if unknown_in_r4 or claimed == "R5":
        as_r5, unknown_in_r5 = xml.to_json_form(root, "R5")
        if unknown_in_r5 < unknown_in_r4 or (unknown_in_r5 == unknown_in_r4 and claimed == "R5"):
            document = _Reading(json_text.encode(as_r5)).document("R5")
    return replace(document, declared=claimed is not None)


class _Reading:
    """One message while it is read: what was counted and what is wrong so far. ``place`` is that of a resource in a longer message."""

    def __init__(self, text: bytes, place: str = "") -> None:
        self.signs = Signs()
        self._text = text
        self._place = place
        self._keep = len(text) <= KEPT_DECODED
        self._members = 0
        self._number = 0
        self._issues: list[Issue] = []

    def document(self, release: Release | None) -> Document:
        """The whole message, of a release that is known or still to be told."""
        root = json_text.members(self._text, self._place)
        said = root.get("resourceType")
        kind = _known_kind(json_text.decode(said, "resourceType") if said is not None else None, self._place)
        envelope: dict[str, Any] = {}
        if kind == "Bundle" and self._place:
            text, english = "批量文件的每行应为一个资源，不得为 Bundle", "a line of a bulk file is a resource, not a bundle"
            raise refused("bundle-in-line", "not-supported", self._place, text, english)
        if kind == "Bundle":
            envelope, listed = self._envelope(root, kind)
            entries = tuple(self._entries(listed, str(envelope["type"]), ""))
        else:
            entries = (self._entry(self._place, msgspec.Raw(self._text), {}, expression(self._place, kind)),)
        json_text.check_names(self._text, self._members, expression(self._place, kind))
        self.signs.refuse_older()
        if self._issues:
            raise FhirRefused(self._issues[0].rule, self._issues[:MOST_ISSUES])
        told, declared = (release, True) if release else self.signs.decide()
        return Document(kind, told or "R4", declared, entries, envelope)

    def _envelope(self, root: Mapping[str, msgspec.Raw], where: str) -> tuple[dict[str, Any], msgspec.Raw | None]:
        """(a bundle without its entries, these)."""
        self._members += len(root)
        envelope = self._rest(root, where, but="entry")
        kind = envelope.get("type")
        if not isinstance(kind, str) or kind not in BUNDLE_TYPES:
            text, english = "缺少 Bundle 类型，或不支持这种类型", "no type of bundle, or one that is not supported"
            raise refused("bundle-type", "not-supported", join(where, "type"), text, english)
        return envelope, root.get("entry")

    def _entries(self, listed: msgspec.Raw | None, bundle_type: str, above: str) -> Iterator[Entry]:
        """The entries of a bundle; those of a bundle inside it follow it. ``above`` is the place of the bundle, with a dot behind."""
        seen: dict[tuple[str, str], Entry] = {}
        items = json_text.items(listed, f"Bundle.{above}entry") if listed is not None else []
        if self._number + len(items) > MOST_ENTRIES:
            text, english = (
                f"Bundle 超过 {MOST_ENTRIES} 个条目，请拆分后发送",
                f"a bundle of more than {MOST_ENTRIES} entries: split it",
            )
            raise refused("too-many-entries", "too-long", f"Bundle.{above}entry", text, english, status=413)
        for index, item in enumerate(items):
            place = f"{above}entry[{index}]"
            where = f"Bundle.{place}"
            parts = json_text.members(item, where)
            self._members += len(parts)
            around = self._rest(parts, where, but="resource")
            entry = self._entry(place, parts.get("resource"), around, f"{where}.resource", in_batch=bundle_type == "batch")
            self._check_request(entry, bundle_type, where)
            if entry.full_url and bundle_type != "history":
                self._check_full_url(entry, seen, where)
            yield entry
            if entry.kind == "Bundle" and bundle_type not in _REQUESTS:
                self._members -= json_text.count_members(entry.body)
                envelope, inside = self._envelope(json_text.members(entry.piece), f"{where}.resource")
                yield from self._entries(inside, str(envelope["type"]), f"{place}.resource.")

    def _entry(self, place: str, piece: msgspec.Raw | None, around: Body, where: str, *, in_batch: bool = False) -> Entry:
        """One entry with the resource in ``piece``, which is at ``where``. The entries of a batch stand for themselves: that one is of an
        unknown type is left to `adapters.fhir.structure` to say."""
        kind, kept = "", None
        if piece is not None:
            body = self._decoded(piece, where)
            if not isinstance(body, dict):
                raise refused("not-an-object", "structure", where, "应为对象", "must be an object", status=400)
            said = body.get("resourceType")
            kind = _kind(said, where) if in_batch else _known_kind(said, where)
            self.signs.see(body, where)
            kept = body if self._keep else None
        request = around.get("request")
        asked = {ours: _text(request.get(name)) for name, ours in _REQUEST.items()} if isinstance(request, dict) else {}
        number, self._number = self._number, self._number + 1
        return Entry(number, place, kind, _text(around.get("fullUrl")), **asked, around=around, piece=piece or b"", kept=kept)

    def _check_request(self, entry: Entry, bundle_type: str, where: str) -> None:
        """Does the entry ask for something where it must (bdl-3), and has it a resource where it must (bdl-5)?"""
        asks = bundle_type in _REQUESTS
        if asks and "request" not in entry.around:
            self._issue(
                "no-request", "required", f"{where}.request", "条目缺少 request（bdl-3）", "entry without a request (bdl-3)"
            )
        if not entry.kind and (entry.method in _WRITES if asks else entry.method != "DELETE"):
            self._issue("no-resource", "required", f"{where}.resource", "条目缺少资源（bdl-5）", "entry without a resource (bdl-5)")

    def _check_full_url(self, entry: Entry, seen: dict[tuple[str, str], Entry], where: str) -> None:
        """Is the fullUrl that of another resource, or of the same version with other content (bdl-7)? ``seen`` are the first entries of
        each fullUrl and version."""
        meta = entry.body.get("meta")
        version = _text(meta.get("versionId")) if isinstance(meta, dict) else ""
        first = seen.setdefault((entry.full_url, version), entry)
        if first is not entry and first.raw != entry.raw:
            text, english = "不同资源使用了相同的 fullUrl（bdl-7）", "fullUrl of another resource (bdl-7)"
            self._issue("duplicate-full-url", "invariant", f"{where}.fullUrl", text, english)

    def _rest(self, parts: Mapping[str, msgspec.Raw], where: str, *, but: str) -> dict[str, Any]:
        """The members but one, decoded."""
        return {name: self._decoded(piece, join(where, json_text.safe_name(name))) for name, piece in parts.items() if name != but}

    def _decoded(self, piece: msgspec.Raw, where: str) -> Any:
        value = json_text.decode(piece, where)
        self._members += json_text.count_members(value, where)
        return value

    def _issue(self, rule: str, code: str, where: str, message: str, english: str) -> None:
        if len(self._issues) < MOST_ISSUES:
            self._issues.append(Issue("error", code, where, rule, message, english))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _kind(said: Any, where: str) -> str:
    """A resourceType that looks like one."""
    if not isinstance(said, str) or not said.isascii() or not said.isalpha():
        text, english = "缺少资源类型，或不是文字", "no resourceType, or none that is a name"
        raise refused("resource-type", "structure", join(where, "resourceType"), text, english, status=400)
    return said


def _known_kind(said: Any, where: str) -> str:
    """A resourceType that a release which is read has."""
    kind = _kind(said, where)
    if kind in every_resource():
        return kind
    if kind in older_resources():
        text, english = f"{kind} 是 R4 以前的资源，只接收 R4、R4B 和 R5", f"{kind} is older than R4; only R4, R4B and R5 are read"
        raise refused("release", "not-supported", join(where, "resourceType"), text, english)
    text, english = "没有这种资源类型", "no such resource type"
    raise refused("resource-type", "structure", join(where, "resourceType"), text, english, status=400)
