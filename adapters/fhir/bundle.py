"""What a bundle (or a single resource) changes at its source: which resource is put or deleted under which key, and what it refers to.

**Keys.** A resource is addressed within its source by ``Type/id``, or by its full address at another server. In a transaction or batch the
request decides (``PUT Patient/7``); elsewhere ``fullUrl``, else its own id. A ``urn:uuid`` that is a UUID is the id, so the same fullUrl is
the same resource whenever it comes; any other ``urn`` counts within its own bundle only, because senders use ``urn:uuid:patient`` for every
patient. What has no name at all gets an id made of the content it came in, so that sending it again does not make another one.

**References** are resolved as FHIR does (bundle, resolving references): by fullUrl, by the base of the referring entry, else at our own
server. What a search names (``Patient?identifier=system|value``, a logical reference) is found by identifier.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

from adapters.fhir.refusal import FhirRefused, Issue, refused
from adapters.fhir.resource import Body
from adapters.fhir.wire import Document, Entry

Lookup = tuple[str, str, str]
"""Resource type, identifier system and value."""

ANY: Final = "*"
"""Stands for any system in a lookup."""

_NAMES: Final = uuid.UUID("6f1d5d3e-2f57-5c55-9d0c-7a6c1b6c7f11")
_UUID: Final = re.compile(r"urn:uuid:([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})", re.IGNORECASE)
_RESTFUL: Final = re.compile(r"(?:(https?://.+)/)?([A-Z][A-Za-z]+)/([A-Za-z0-9.\-]{1,64})(?:/_history/[A-Za-z0-9.\-]{1,64})?")
_SEARCH: Final = re.compile(r"([A-Z][A-Za-z]+)\?(.+)")
_SUBJECTS: Final = ("subject", "patient", "beneficiary", "individual")
_RESERVED: Final = "zb-"
_CONTAINERS: Final = frozenset((dict, list))
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"))

Action = Literal["put", "create", "delete"]


@dataclass(frozen=True, slots=True)
class Change:
    """One entry as a change. ``create`` is a put that leaves an existing resource alone (conditional create that found one).

    ``record`` is the key of the patient's record that the resource belongs to, empty for those of nobody in particular. ``links`` maps
    references as written to keys where they differ, ``references`` are all keys referred to."""

    entry: Entry
    action: Action
    key: str
    record: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    references: Sequence[str] = ()
    identifiers: Sequence[Lookup] = ()
    by_uuid: bool = False


Referring = Sequence[Sequence["str | Mapping[str, Any]"]]
"""What each entry of a document refers to, as it is written: literal references, and References that have an identifier only."""


def referring(document: Document) -> Referring:
    """The references of a document; finding them is the larger part of `lookups` and of `changes`."""
    return [_references(entry.body) if entry.kind else () for entry in document.entries]


def lookups(document: Document, references: Referring) -> set[Lookup]:
    """The identifiers that must be looked up before `changes` can tell what is meant."""
    wanted: set[Lookup] = set()
    for entry, said in zip(document.entries, references, strict=True):
        for query in (_search(entry.url), _create_search(entry)):
            if query is not None:
                wanted.add(query)
        if entry.kind:
            wanted |= {found for reference in said if (found := _looked_up(reference)) is not None}
            wanted |= set(_contained_patients(entry.body))
    return wanted


def changes(
    document: Document, references: Referring, *, scope: str, base: str, found: Mapping[Lookup, Sequence[str]]
) -> list[Change]:
    """The changes of a document in its order. ``scope`` names its content (the digest of its bytes), ``base`` is the address of our own
    server, ``found`` the keys of the resources that `lookups` asked for.

    Raises `FhirRefused` for a condition that several resources meet, a method we do not have, a key that is reserved or contradicts the
    resource."""
    names = _Names(document, scope, base, found)
    made = []
    for entry, said, (action, key) in zip(document.entries, references, names.own, strict=True):
        if action is None:
            continue
        if not entry.kind:
            made.append(Change(entry, action, key))
            continue
        links, keys = names.links(entry, said)
        by_uuid = bool(entry.method != "PUT" and _UUID.fullmatch(entry.full_url))
        made.append(Change(entry, action, key, names.record(entry, key), links, keys, tuple(identifiers(entry.body)), by_uuid))
    return made


def identifiers(body: Body) -> Iterator[Lookup]:
    """The identifiers of a resource, as they are looked up: each with its system, and by its value alone."""
    kind, said = body.get("resourceType"), body.get("identifier")
    for one in said if isinstance(said, list) else [said]:
        if isinstance(one, Mapping) and isinstance(one.get("value"), str):
            yield str(kind), str(one.get("system") or ""), one["value"].strip()
            yield str(kind), ANY, one["value"].strip()


def logical_key(lookup: Lookup) -> str:
    """The key of a resource that is known by an identifier only."""
    kind, system, value = lookup
    return f"{kind}?identifier={system}|{value}"


def unknown_method(entry: Entry) -> Issue | None:
    """What is wrong with the method that an entry asks for: FHIR has the six of its HTTPVerb, in capitals (valueset-http-verb.html). One
    that is not known must not be taken for another."""
    if not entry.method or entry.method in _METHODS:
        return None
    where = f"Bundle.{entry.place}.request.method"
    text, english = "没有这种请求方法，须为大写的 POST、PUT 或 DELETE", "no such method; POST, PUT or DELETE, in capitals"
    return Issue("error", "code-invalid", where, "unknown-method", text, english)


class _Names:
    """The names of a document's resources: the key of each entry, and what references mean in it."""

    def __init__(self, document: Document, scope: str, base: str, found: Mapping[Lookup, Sequence[str]]) -> None:
        self._scope = scope
        self._base = base.rstrip("/") + "/"
        self._found = found
        self._restful = document.kind != "Bundle" or document.type in ("transaction", "batch", "history")
        self._by_url: dict[str, str] = {}
        self._by_id: dict[str, str] = {}
        self.own: list[tuple[Action | None, str]] = []
        for entry in document.entries:
            action, key = self._name(entry)
            self.own.append((action, key))
            if action is not None and entry.full_url:
                self._by_url[entry.full_url] = key
            if action is not None and isinstance(id := entry.body.get("id"), str):
                self._by_id.setdefault(f"{entry.kind}/{id}", key)
        self._entries = {key: entry for entry, (_, key) in zip(document.entries, self.own, strict=True)}
        self._identified: dict[Lookup, str] = {}
        for key, entry in self._entries.items():
            for lookup in identifiers(entry.body):
                self._identified.setdefault(lookup, key)

    def links(self, entry: Entry, said: Sequence[str | Mapping[str, Any]]) -> tuple[dict[str, str], list[str]]:
        """(references that are not keys themselves, with their keys; all keys referred to)."""
        links: dict[str, str] = {}
        keys: dict[str, None] = {}
        for reference in said:
            if isinstance(reference, str):
                key = self._resolve(reference, entry)
                if key != reference:
                    links[reference] = key
                keys[key] = None
            elif (lookup := _looked_up(reference)) is not None:
                keys[self._known(lookup)] = None
        return links, list(keys)

    def record(self, entry: Entry, key: str, *, further: bool = True) -> str:
        """The key of the patient's record, see `Change`."""
        body = entry.body
        if entry.kind == "Patient":
            return key
        for name in _SUBJECTS:
            said = body.get(name)
            subject = said[0] if isinstance(said, list) and said else said
            if isinstance(subject, Mapping) and (owner := self._owner(subject, entry, key)):
                return owner
        if not further:
            return ""
        for name in ("encounter", "context", "specimen"):
            said = body.get(name)
            visit = said[0] if isinstance(said, list) and said else said
            if isinstance(visit, Mapping) and isinstance(visit.get("reference"), str):
                target = self._resolve(visit["reference"], entry)
                other = self._entries.get(target)
                if other is not None and other.kind:
                    return self.record(other, target, further=False)
        return ""

    # -- inside

    def _owner(self, subject: Mapping[str, Any], entry: Entry, key: str) -> str:
        reference = subject.get("reference")
        if isinstance(reference, str) and reference.startswith("#"):
            of_contained = next(_contained_patients(entry.body, reference[1:]), None)
            return self._known(of_contained) if of_contained is not None else key
        if isinstance(reference, str):
            target = self._resolve(reference, entry)
            return target if _kind_of(target) in ("Patient", "") else ""
        lookup = _looked_up({"type": "Patient", **subject})
        return self._known(lookup) if lookup is not None else ""

    def _known(self, lookup: Lookup) -> str:
        """The key of what has an identifier: one that is here already, one of this bundle, else a name made of the identifier."""
        if lookup in self._identified:
            return self._identified[lookup]
        keys = self._found.get(lookup, ())
        return keys[0] if len(keys) == 1 else logical_key(lookup)

    def _resolve(self, reference: str, entry: Entry) -> str:
        plain = reference.partition("/_history/")[0]
        if (key := self._by_url.get(plain)) is not None:
            return key
        if (lookup := _search(plain)) is not None:
            return self._known(lookup)
        plain = plain.removeprefix(self._base)
        match = _RESTFUL.fullmatch(plain)
        if match is None:
            return plain
        base, kind, id = match.groups()
        local = f"{kind}/{id}"
        if base is None:
            own = _RESTFUL.fullmatch(entry.full_url)
            if own is not None and own[1] is not None and (key := self._by_url.get(f"{own[1]}/{local}")) is not None:
                return key
            if (key := self._by_id.get(local)) is not None:
                return key
            if own is not None and own[1] is not None and not self._restful:
                return f"{own[1]}/{local}".removeprefix(self._base)
        return plain

    def _name(self, entry: Entry) -> tuple[Action | None, str]:
        if entry.method in ("GET", "HEAD"):
            return None, ""
        if entry.method == "DELETE":
            return self._named_by_url(entry, "delete")
        if entry.method == "PATCH":
            raise _refused(entry, "not-supported", "method", "不支持 PATCH，请用 PUT 发送完整资源", "PATCH is not supported")
        if (issue := unknown_method(entry)) is not None:
            raise FhirRefused(issue.rule, [issue])
        if not entry.kind:
            raise _refused(entry, "required", "resource", "该条目没有资源", "an entry without a resource")
        if entry.method == "PUT" and entry.url:
            return self._named_by_url(entry, "put")
        condition = _create_search(entry)
        if condition is not None:
            keys = self._found.get(condition, ())
            self._one_at_most(entry, keys)
            return ("create", keys[0]) if keys else ("put", self._own_name(entry))
        return "put", self._own_name(entry)

    def _named_by_url(self, entry: Entry, action: Action) -> tuple[Action | None, str]:
        if (condition := _search(entry.url)) is not None:
            keys = self._found.get(condition, ())
            self._one_at_most(entry, keys)
            if not keys and action == "delete":
                return None, ""
            return action, keys[0] if keys else self._own_name(entry)
        match = _RESTFUL.fullmatch(entry.url.removeprefix(self._base))
        if match is None or match[1] is not None:
            raise _refused(entry, "value", "url", "request.url 不是“类型/编号”", "request.url is not Type/id")
        kind, id = match[2], match[3]
        if entry.kind and (entry.kind != kind or entry.body.get("id", id) != id):
            raise _refused(
                entry, "invalid", "id-mismatch", "request.url 与资源的类型或 id 不一致", "request.url and resource disagree"
            )
        if id.startswith(_RESERVED):
            raise _refused(
                entry, "business-rule", "reserved-id", "以 zb- 开头的 id 由本网关使用，请更换", "ids beginning zb- are ours"
            )
        return action, f"{kind}/{id}"

    def _own_name(self, entry: Entry) -> str:
        kind, id = entry.kind, entry.body.get("id")
        if (match := _UUID.fullmatch(entry.full_url)) is not None:
            return f"{kind}/{match[1].lower()}"
        if entry.full_url and not entry.full_url.startswith("urn:"):
            return entry.full_url.partition("/_history/")[0].removeprefix(self._base)
        if not entry.full_url and entry.method != "POST" and isinstance(id, str):
            return f"{kind}/{id}"
        return f"{kind}/{uuid.uuid5(_NAMES, f'{self._scope}|{entry.full_url or entry.number}')}"

    @staticmethod
    def _one_at_most(entry: Entry, keys: Sequence[str]) -> None:
        if len(keys) > 1:
            raise _refused(
                entry, "multiple-matches", "condition", "有多个资源符合条件，无法确定是哪一个", "several match", status=412
            )


def _references(body: Body) -> list[str | dict[str, Any]]:
    """Every literal reference (contained ones left out), and every Reference that has an identifier only."""
    found: list[str | dict[str, Any]] = []
    waiting: list[Any] = [body]
    while waiting:
        node = waiting.pop()
        if type(node) is dict:
            reference = node.get("reference")
            if type(reference) is str:
                if not reference.startswith("#"):
                    found.append(reference)
            elif type(node.get("identifier")) is dict and "resourceType" not in node:
                found.append(node)
            node = node.values()
        for value in node:
            if type(value) in _CONTAINERS:
                waiting.append(value)
    return found


def _looked_up(reference: str | Mapping[str, Any]) -> Lookup | None:
    """What to look up for a reference by search or by identifier; None for any other."""
    if isinstance(reference, str):
        return _search(reference)
    identifier, kind = reference.get("identifier"), reference.get("type")
    if not isinstance(identifier, Mapping) or not isinstance(kind, str) or not isinstance(identifier.get("value"), str):
        return None
    return kind.rpartition("/")[2], str(identifier.get("system") or ANY), identifier["value"].strip()


def _contained_patients(body: Body, id: str | None = None) -> Iterator[Lookup]:
    """The first identifier of each contained Patient, or of the one with that id."""
    contained = body.get("contained")
    for one in contained if isinstance(contained, list) else ():
        if isinstance(one, Mapping) and one.get("resourceType") == "Patient" and id in (None, one.get("id")):
            yield from list(identifiers(one))[:1]


def _search(url: str) -> Lookup | None:
    """``Patient?identifier=system|value`` as a lookup."""
    match = _SEARCH.fullmatch(url)
    return _query(match[1], match[2]) if match is not None else None


def _create_search(entry: Entry) -> Lookup | None:
    if not entry.if_none_exist or not entry.kind:
        return None
    found = _query(entry.kind, entry.if_none_exist.removeprefix("?"))
    if found is None:
        raise _refused(entry, "not-supported", "condition", "ifNoneExist 只支持 identifier=系统|值", "ifNoneExist: identifier only")
    return found


def _query(kind: str, query: str) -> Lookup | None:
    pairs = parse_qsl(query, keep_blank_values=True)
    if len(pairs) != 1 or pairs[0][0] != "identifier":
        return None
    system, bar, value = pairs[0][1].rpartition("|")
    return (kind, system if bar else ANY, value.strip())


def _kind_of(key: str) -> str:
    """The resource type that a key names; empty for a ``urn``."""
    match = _RESTFUL.fullmatch(key)
    return match[2] if match is not None else ""


def _refused(entry: Entry, code: str, rule: str, message: str, english: str, *, status: int = 422) -> FhirRefused:
    where = f"Bundle.{entry.place}" if entry.place else entry.kind
    return refused(rule, code, where, message, english, severity="error", status=status)
