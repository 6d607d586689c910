"""FHIR in the command ``check --profile``: messages by their structure, by what FHIR demands, or by profiles.

``--profile`` is ``structure``, ``base`` (structure, FHIR's own demands, and fhir.resources as a second opinion), ``declared`` (what each
resource says in meta.profile), the name of a type, the name or address of a profile, or a file of the hospital's own. Of a bundle, a profile is
applied to the entries of its type.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from adapters.fhir import wire
from adapters.fhir.refusal import FhirRefused, expression
from adapters.fhir.resource import Body, Release
from adapters.fhir.wire import LINES, Document
from conformance.checks.finding import Finding
from conformance.fhir import findings
from conformance.fhir.elements import Profile
from conformance.fhir.library import library, named, read_definition
from conformance.fhir.second_opinion import second_opinion
from conformance.fhir.surroundings import Surroundings
from conformance.fhir.validator import Validation, merged, validate
from gateway.commands.fhir_messages import messages_of
from gateway.convert import Batch
from gateway.intake.bulk import Piece, is_bulk
from gateway.told import Place, Told, tell

STRUCTURE: Final = "structure"
BASE: Final = "base"
DECLARED: Final = "declared"
_QUIET: Final = ("not-checked", "info")
"""Findings of these severities are told once a file, with how often they came."""


class Wanted(NamedTuple):
    """One ``--profile``: its name, and the profile by release if it is none of the words."""

    name: str
    profiles: dict[Release, Profile]


def wanted(name: str) -> Wanted:
    """What a ``--profile`` asks for. Raises `ConfigurationError` for a name that there is not, or an unusable file."""
    if name in (STRUCTURE, BASE, DECLARED):
        return Wanted(name, {})
    file = Path(name)
    return Wanted(name, read_definition(file) if file.suffix.lower() in (".json", ".toml") else named(name))


def conformance(path: Path, asked: Iterable[Wanted]) -> Iterator[Batch]:
    """Findings about every message of a file under each of the profiles; a batch for each, and one for what is told once a file. Raises
    `FileRefused`."""
    checks = [_Check(each) for each in asked]
    quiet: dict[tuple[str, str], tuple[Told, int]] = {}
    for piece in messages_of(path):
        batch = Batch(rows=1)
        document = _document(piece, path)
        batch.refused += document is None
        loud = []
        for found in _findings(piece, document, checks):
            told = _told(path, piece, found)
            if found.severity in _QUIET:
                key = (found.rule, found.message)
                first, count = quiet.get(key, (told, 0))
                quiet[key] = (first, count + 1)
            else:
                loud.append(told)
        tell(loud, batch)
        yield batch
    last = Batch()
    tell([_counted(told, count) for told, count in quiet.values()], last)
    tell([Told(Place(path.name, 0), found) for check in checks for found in check.unused()], last)
    yield last


def _document(piece: Piece, path: Path) -> Document | None:
    """What a piece holds, also if its structure has faults. Those of single lines of a bulk file stand alone: the line is left out."""
    if piece.document is None and piece.raw and not is_bulk(path):
        try:
            return wire.read(piece.raw)
        except FhirRefused:
            return None
    return piece.document


def _findings(piece: Piece, document: Document | None, checks: list[_Check]) -> list[Finding]:
    found = [findings.structural(issue) for issue in piece.faults]
    if document is not None:
        for check in checks:
            found = merged(found, check.findings(document, {place for finding in found for place in finding.fields}))
    return found


def _told(path: Path, piece: Piece, found: Finding) -> Told:
    """A finding with its row: of a bulk file the line, which its expression then need not name."""
    row, fields = piece.first, found.fields
    if fields and fields[0].startswith("line["):
        line, _, rest = fields[0].partition(".")
        row, fields = piece.first + int(line[5:-1]), (rest,) if rest else ()
    return Told(Place(path.name, row), msgspec.structs.replace(found, fields=fields))


def _counted(told: Told, count: int) -> Told:
    if count == 1:
        return told
    more = count - 1
    finding = told.finding
    message, english = f"{finding.message}（另有 {more} 处）", f"{finding.english} (and {more} more)"
    return told._replace(finding=msgspec.structs.replace(finding, message=message, english=english))


class _Check:
    """One ``--profile`` over the messages of a file."""

    def __init__(self, asked: Wanted) -> None:
        self._asked = asked
        self._used = False

    def findings(self, document: Document, named_before: set[str]) -> Iterator[Finding]:
        """Findings about a message. The second opinion is silent about the places ``named_before``."""
        validation = Validation(library(document.release), Surroundings(_whole(document)))
        if self._asked.name == BASE:
            yield from _by_type(document, validation, named_before)
        elif self._asked.name == DECLARED:
            for body, place in _resources(document):
                yield from _declared(body, place, document.release, validation)
        elif self._asked.profiles:
            yield from self._by_profile(document, validation)

    def _by_profile(self, document: Document, validation: Validation) -> Iterator[Finding]:
        profile = self._asked.profiles.get(document.release)
        types = {each.type for each in self._asked.profiles.values()}
        for body, place in _resources(document):
            if body.get("resourceType") not in types:
                continue
            self._used = True
            if profile is None:
                where = expression(place, str(body["resourceType"]))
                yield findings.finding("profile-release", where, asked=self._asked.name, release=document.release)
            else:
                yield from validate(body, profile, validation, place)

    def unused(self) -> Iterator[Finding]:
        """That the profile was never used, if so."""
        if self._asked.profiles and not self._used:
            types = "、".join(sorted({each.type for each in self._asked.profiles.values()}))
            yield findings.finding("profile-unused", "", asked=self._asked.name, types=types)


def _by_type(document: Document, validation: Validation, named_before: set[str]) -> Iterator[Finding]:
    """What FHIR itself demands of a message and the resources in it."""
    roots = list(_resources(document)) if document.kind == LINES else [(document.body, "")]
    for body, place in roots:
        profile = library(document.release).profile(str(body.get("resourceType", "")))
        if profile is not None:
            yield from validate(body, profile, validation, place)
        for found in second_opinion(body, document.release, place):
            if named_before.isdisjoint(found.fields):
                yield found


def _declared(body: Body, place: str, release: Release, validation: Validation) -> Iterator[Finding]:
    """What the profiles demand that a resource says it follows; if it says nothing of the kind, what its type demands."""
    kind = str(body.get("resourceType", ""))
    where = expression(place, kind)
    meta = body.get("meta")
    stated = meta.get("profile", []) if isinstance(meta, dict) else []
    urls = [url for url in stated if isinstance(url, str)] if isinstance(stated, list) else []
    if not urls:
        yield findings.finding("profile-not-declared", where)
    profiles = []
    for number, url in enumerate(urls):
        profile = library(release).profile(url)
        if profile is None:
            yield findings.finding("profile-not-known", f"{where}.meta.profile[{number}]")
        else:
            profiles.append(profile)
    base = library(release).profile(kind)
    for profile in profiles or ([base] if base is not None else []):
        yield from validate(body, profile, validation, place)


def _resources(document: Document) -> Iterator[tuple[Body, str]]:
    """Every resource of a message with its place, the bundle first."""
    if document.kind == "Bundle":
        yield document.body, ""
    for entry in document.entries:
        if entry.kind:
            yield entry.body, entry.place


def _whole(document: Document) -> Body:
    """The message to resolve references in: the lines of a bulk file like the entries of a bundle."""
    if document.kind != LINES:
        return document.body
    return {"resourceType": "Bundle", "entry": [{"resource": entry.body} for entry in document.entries]}
