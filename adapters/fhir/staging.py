"""Stagings out of observations: a stage group with its parts, parts without a group, and schemes other than TNM.

One staging is a stage group with the T, N and M that are its members or components; its tumour, kind, edition and date are those of the
group, else of the members. Parts that no group holds belong to the group of the same tumour, kind and day that names no parts, where there
is one; else they make one staging for each tumour and kind. A second T of the same kind is a staging of its own, so that nothing is mixed
up and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from adapters.fhir.dialect import FhirDialect
from adapters.fhir.elements import Element, each, numbered, when
from adapters.fhir.oncology import Datum, datum_of, scheme_system, staging_system
from adapters.fhir.record import Record
from adapters.fhir.resource import Resource
from adapters.fhir.result import result_of
from adapters.fhir.said import Said
from gateway.model.facts import StageFact, StageKind
from gateway.model.values import Coded

_PARTS = ("t", "n", "m")


class Staged(NamedTuple):
    """An observation that stages, what it is about, and the key of the tumour (empty where it is tied to none)."""

    observation: Resource
    datum: Datum
    tumour: str


def stagings(record: Record, observed: Iterable[Staged], dialect: FhirDialect) -> Iterator[Said]:
    """The stagings of a record."""
    groups: list[Staged] = []
    parts: dict[str, Staged] = {}
    for staged in observed:
        if staged.datum.name == "group":
            groups.append(staged)
        else:
            parts[staged.observation.key] = staged
    held: set[str] = set()
    bare: dict[tuple[str, StageKind, str | None], StageFact | None] = {}
    for group in groups:
        members = [
            part
            for reference in each(group.observation.body.get("hasMember"))
            if (part := parts.get(record.key_of(group.observation, reference))) is not None and _agree(group, part)
        ]
        held.update(member.observation.key for member in members)
        common = _common([group, *members], group.observation.key, dialect)
        if not members and not group.observation.body.get("component"):
            about = _about(common)
            bare[about] = common if about not in bare else None
        yield from _said(group.observation, group.observation.body, "", "group", common)
        for element, component in numbered(group.observation.body.get("component"), "component"):
            datum = datum_of(component.get("code"), dialect)
            if datum is not None and datum.name in _PARTS:
                yield from _said(group.observation, component, f"{element}.", datum.name, common)
        for member in members:
            yield from _said(member.observation, member.observation.body, "", member.datum.name, common)
    taken: set[tuple[str, str]] = set()
    for part in parts.values():
        if part.observation.key not in held:
            common = _common([part], f"{part.tumour}|{part.datum.kind}", dialect)
            common = bare.get(_about(common)) or common
            if (common.key, part.datum.name) in taken:
                common = _common([part], part.observation.key, dialect)
            taken.add((common.key, part.datum.name))
            yield from _said(part.observation, part.observation.body, "", part.datum.name, common)


def _about(staging: StageFact) -> tuple[str, StageKind, str | None]:
    return staging.tumour, staging.kind, staging.staged_on


def _agree(group: Staged, part: Staged) -> bool:
    """A part that is about another tumour, or of another kind, is none of this staging."""
    tumours, kinds = {group.tumour, part.tumour} - {""}, {group.datum.kind, part.datum.kind} - {"other"}
    return len(tumours) < 2 and len(kinds) < 2


def _common(staged: list[Staged], key: str, dialect: FhirDialect) -> StageFact:
    """What all parts of a staging share: of the first, the group, that says it."""
    systems = (_system(one.observation.body, one.datum, dialect) for one in staged)
    kinds: Iterator[StageKind] = (one.datum.kind for one in staged)
    return StageFact(
        next((one.tumour for one in staged if one.tumour), ""),
        key,
        "",
        next((kind for kind in kinds if kind != "other"), "other"),
        next((system for system in systems if system is not None), None),
        staged_on=next((day for one in staged if (day := when(one.observation.body, "effective").text[:10])), None),
    )


def _system(body: Element, datum: Datum, dialect: FhirDialect) -> Coded | None:
    return staging_system(body.get("method"), dialect) or (scheme_system(datum.scheme) if datum.scheme else None)


def _said(resource: Resource, holder: Element, where: str, member: str, common: StageFact) -> Iterator[Said]:
    """One member of a staging, where there is a result."""
    result = result_of(holder)
    value = result.as_coded if result is not None else None
    if result is not None and value is not None:
        yield Said(resource, replace(common, source=resource.source(where + result.element), **{member: value}))
