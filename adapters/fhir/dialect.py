"""How one sender fills FHIR: its dialect, compiled once so that reading a resource is a walk over plans.

The base table (`adapters.fhir.fields`) says what an element means, the dialect file (`adapters.fhir.dialect_file`) where this sender's
identifiers, extensions and codes are others. ``standard`` comes with the package; a hospital's own file extends it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from adapters.fhir import dialect_file
from adapters.fhir.dialect_file import BUILT_IN, DialectFile
from adapters.fhir.elements import Identifier, codings
from adapters.fhir.fields import Row, base_table
from adapters.fhir.resource import Release
from adapters.fhir.routes import Route
from adapters.fhir.values import CONVERTERS, Converter
from gateway.model.values import Coded
from mappings.code_map import CodeMap, base_codes
from mappings.code_systems import name_of
from mappings.dialect_codes import dialect_codes
from mappings.dialect_files import faulty
from mappings.dialect_rules import Rule, rules

__all__ = ["BUILT_IN", "FhirDialect", "Slot", "Source", "fhir_dialect"]

_ICD10: Final = re.compile(r"[A-Z]\d\d(?!\d{1,3}/)")  # M8140/3 is morphology
_ICD9_PROCEDURE: Final = re.compile(r"\d\d\.")
_MORPHOLOGY: Final = re.compile(r"[Mm]?\d{4}\d?/\d")


@dataclass(frozen=True, slots=True)
class Source:
    """A way to an element and how what stands there is read. ``finished``: only of an encounter that is over."""

    route: Route
    convert: Converter
    codes: CodeMap | None
    finished: bool


@dataclass(frozen=True, slots=True)
class Slot:
    """How a number is told, see `adapters.fhir.dialect_file.Slot`. Words are compared without regard to case."""

    systems: frozenset[str]
    types: frozenset[str]

    def means(self, found: Identifier) -> bool:
        """Whether an identifier is the number meant."""
        if self.systems and "*" not in self.systems and found.system not in self.systems:
            return False
        if not self.types:
            return True
        return any(kind.casefold() in self.types for kind in found.types) if found.types else "" in self.types

    @property
    def is_open(self) -> bool:
        """Whether it takes numbers that nothing tells apart, so that those which another slot means must be left out."""
        return (not self.systems or "*" in self.systems) and (not self.types or "" in self.types)


class FhirDialect:
    """A compiled dialect; get one with `fhir_dialect`."""

    def __init__(self, file: DialectFile, origin: str) -> None:
        self.id: Final = file.id
        self.name: Final = file.name
        self.file: Final = file
        self.systems: Final = file.systems
        self.address_kind: Final = file.address_kind
        self.extensions: Final = file.extensions
        self.maps: Final[dict[str, CodeMap]] = self._code_maps(origin)
        self.identifiers: Final = {kind: _slots(slots) for kind, slots in file.identifiers.items()}
        systems, written = file.systems, file.written_as
        self._editions = {
            systems.diagnosis: (_names(systems.diagnosis, written.diagnosis), _ICD10),
            systems.procedure: (_names(systems.procedure, written.procedure), _ICD9_PROCEDURE),
            systems.morphology: (_names(systems.morphology, written.morphology), _MORPHOLOGY),
        }
        self._plans = {
            (kind, release): rules(self._placed(kind, release, origin))
            for kind in ("Patient", "Encounter", "Coverage")
            for release in ("R4", "R5")
        }

    def __repr__(self) -> str:
        return f"<FhirDialect {self.id}>"

    def plan(self, kind: str, release: Release) -> tuple[Rule[Source], ...]:
        """The rules for paths of the stay that a resource of this kind feeds."""
        return self._plans.get((kind, release), ())

    def urls(self, extension: str) -> Sequence[str]:
        """The addresses of an extension under its name in the dialect file."""
        return self.extensions.get(extension, ())

    def identifier(self, kind: str, among: Sequence[tuple[str, Identifier]]) -> Iterator[tuple[str, Identifier]]:
        """The identifiers that mean a kind of number (``record_number``), the surest first, with their elements. A slot that takes any
        number does not take one that tells itself to be another kind of number."""
        for slot in self.identifiers.get(kind, ()):
            for element, found in among:
                if slot.means(found) and not (slot.is_open and self._is_another(kind, found)):
                    yield element, found

    def classified(self, concept: object, edition: str) -> Coded | None:
        """A code of the sender's edition of a classification (one of ``systems``) out of a concept: the edition itself, else the systems
        it is written as, in order, if the code begins like one of that classification. It is given under the edition; None where the
        concept has no such coding."""
        listed = codings(concept)
        written_as, shape = self._editions[edition]
        for written in written_as:
            for coding in listed:
                if coding.system == written and coding.code and shape.match(coding.code):
                    return Coded(edition, coding.code, coding.display)
        return None

    def _is_another(self, kind: str, found: Identifier) -> bool:
        return any(
            other != kind and any(not slot.is_open and slot.means(found) for slot in slots)
            for other, slots in self.identifiers.items()
        )

    def _code_maps(self, origin: str) -> dict[str, CodeMap]:
        base = base_codes("fhir")
        known: dict[str, str] = {}
        for row in base_table():
            if row.map:
                known.setdefault(row.map, row.value_set)
        return dialect_codes(origin, self.id, known, base, self.file.codes, self.file.own_codes)

    def _placed(self, kind: str, release: Release, origin: str) -> Iterator[tuple[str, Source]]:
        """Paths of the stay that a resource of this kind feeds, with their sources."""
        for row in base_table():
            element = row.element_in(release)
            head, _, way = element.partition(".")
            if head == kind and row.path and not row.path[0].isupper() and (source := self._source(row, way, origin)):
                yield row.path, source

    def _source(self, row: Row, way: str, origin: str) -> Source | None:
        convert = CONVERTERS.get(row.type)
        if convert is None or (row.type.startswith("organisation") and not self.file.organisation):
            return None
        try:
            route = Route(way, self.extensions)
        except ValueError as error:
            raise faulty(origin, row.path, f"元素“{row.element}”的写法不对", "not a way to an element") from error
        return Source(route, convert, self.maps.get(row.map), row.when == "finished")


def _names(edition: str, written_as: Sequence[str]) -> tuple[str, ...]:
    return (edition, *(name_of(written) for written in written_as))


def _slots(slots: Sequence[dialect_file.Slot]) -> tuple[Slot, ...]:
    return tuple(Slot(frozenset(slot.systems), frozenset(word.casefold() for word in slot.types)) for slot in slots)


def fhir_dialect(name_or_path: str | Path) -> FhirDialect:
    """The built-in dialect of that name, or the one in a ``.toml`` file. Raises `ConfigurationError` that names the key at fault."""
    name = str(name_or_path)
    return _built_in(name) if name in BUILT_IN else FhirDialect(dialect_file.read(name), name)


@cache
def _built_in(name: str) -> FhirDialect:
    return FhirDialect(dialect_file.read(name), name)
