"""Which stay a resource speaks of.

In this order: the encounter itself; for a condition the encounters that name it as diagnosis; the encounter it refers to; the encounter of
the condition it is about (focus, reason, evidence), or of the report it is a result of; the only inpatient encounter whose period holds its
date; the record's only inpatient encounter; else the patient as such. An encounter that is part of another one speaks of that one.
A report without an encounter stands by itself, because the gateway joins it by its 病理号. An encounter that was not received, and a
procedure or drug whose date is outside every stay, lead to the patient, never to another stay. What speaks of a deleted encounter stays
with it, as with one that was entered in error; so does a condition that only such a one names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from adapters.fhir.dialect import FhirDialect
from adapters.fhir.elements import at, concept_and_reference, each, extension, moment, one, text, value_of, when
from adapters.fhir.encounters import is_planned, is_withdrawn, visit
from adapters.fhir.record import Record
from adapters.fhir.resource import Resource
from adapters.fhir.said import Said
from gateway.model.facts import VisitKey

_DATED: Final = (
    "effective",
    "performed",
    "occurrence",
    "occurence",
    "authoredOn",
    "issued",
    "recordedDate",
    "dateAsserted",
    "date",
)
_TREATMENT: Final = frozenset(("Procedure", "MedicationRequest", "MedicationAdministration", "MedicationStatement"))
_ABOUT: Final = ("focus", "reasonReference", "reason", "evidence")

Span = tuple[str, str]
"""Begin and end of a stay; the end is empty while it is open."""


class Anchors:
    """The anchors of a record. ``stays`` are the encounters that are stays of their own by key, withdrawn ones among them; ``visits`` what
    they say of the visit, with what had to be remarked in ``said``."""

    def __init__(self, record: Record, dialect: FhirDialect) -> None:
        self._record = record
        self._dialect = dialect
        self.stays: Final[dict[str, Resource]] = {}
        self.visits: Final[dict[str, VisitKey]] = {}
        self.said: Final[dict[str, list[Said]]] = {}
        self._roots: dict[str, str] = {}
        self._spans: dict[str, Span] = {}
        self._known: dict[str, tuple[str, ...]] = {}
        self._named: dict[str, list[str]] = {}
        self._named_withdrawn: dict[str, list[str]] = {}
        self._results: dict[str, str] = {}
        for encounter in record.of("Encounter"):
            self._roots[encounter.key] = self._root(encounter)
            if self._roots[encounter.key] == encounter.key and not is_planned(encounter):
                self._take(encounter)
        for encounter in record.of("Encounter"):
            self._name(encounter)
        for report in record.of("DiagnosticReport"):
            if own := self._own(report):
                for result in each(report.body.get("result")):
                    self._results.setdefault(record.key_of(report, result), own)

    def of(self, resource: Resource) -> tuple[str, ...]:
        """The anchors of a resource: one, or for a condition as many as name it."""
        found = self._known.get(resource.key)
        if found is None:
            found = self._known[resource.key] = self._find(resource)
        return found

    def is_stay(self, anchor: str) -> bool:
        """Whether an anchor is an encounter that is, or may be, inpatient."""
        return anchor in self.visits and self.visits[anchor].kind in ("inpatient", "")

    def _take(self, encounter: Resource) -> None:
        said: list[Said] = []
        key = encounter.key
        self.stays[key] = encounter
        if is_withdrawn(encounter):
            return
        self.visits[key] = visit(self._dialect, encounter, said)
        self.said[key] = said
        if self.visits[key].kind == "inpatient":
            period = one(encounter.body.get("period") or encounter.body.get("actualPeriod"))
            self._spans[key] = (moment(period.get("start")), moment(period.get("end")))

    def _root(self, encounter: Resource) -> str:
        """The outermost encounter that it is part of."""
        seen = {encounter.key}
        while encounter.body.get("partOf"):
            outer = self._record.resolve(encounter, encounter.body.get("partOf"), "partOf")
            if outer is None or outer.kind != "Encounter" or outer.key in seen:
                break
            seen.add(outer.key)
            encounter = outer
        return encounter.key

    def _name(self, encounter: Resource) -> None:
        root = self._roots[encounter.key]
        if root not in self.stays:
            return
        named = self._named if root in self.visits else self._named_withdrawn
        for entry in each(encounter.body.get("diagnosis")):
            for item in each(entry.get("condition")):
                key = self._record.key_of(encounter, concept_and_reference(item)[1])
                if key and root not in named.setdefault(key, []):
                    named[key].append(root)

    def _find(self, resource: Resource) -> tuple[str, ...]:
        if resource.kind == "Encounter":
            return (self._roots.get(resource.key, self._record.patient),)
        if named := self._named.get(resource.key):
            return tuple(named)
        if own := self._own(resource):
            return (own,)
        if withdrawn := self._named_withdrawn.get(resource.key):
            return tuple(withdrawn)
        if resource.kind == "DiagnosticReport":
            return (resource.key,)
        if about := self._about(resource) or self._results.get(resource.key, ""):
            return (about,)
        return (self._by_date(resource),)

    def _own(self, resource: Resource) -> str:
        """The encounter that it refers to, also a deleted one; the patient where it was not received or has not begun."""
        body = resource.body
        reference = body.get("encounter") or body.get("context")
        if not isinstance(reference, dict):
            return ""
        found = self._record.resolve(resource, reference, "encounter" if "encounter" in body else "context")
        if found is None and (key := self._record.key_of(resource, reference)) in self._record.gone:
            return key
        if found is None:
            return self._record.patient if text(reference.get("reference")) else ""
        root = self._roots.get(found.key, "") if found.kind == "Encounter" else ""
        return root if root in self.stays else self._record.patient if root else ""

    def _about(self, resource: Resource) -> str:
        """The only stay of the conditions that it is about."""
        stays: set[str] = set()
        for key in self._conditions(resource):
            stays.update(self._named.get(key, ()))
        return stays.pop() if len(stays) == 1 else ""

    def _conditions(self, resource: Resource) -> Iterator[str]:
        for name in _ABOUT:
            for item in each(resource.body.get(name)):
                details = item.get("detail")
                for each_one in each(details) if details is not None else (item.get("value") or item,):
                    for inner in each(each_one):
                        if key := self._record.key_of(resource, concept_and_reference(inner)[1]):
                            yield key

    def _by_date(self, resource: Resource) -> str:
        at_time = self._date(resource)
        if at_time:
            within = [key for key, span in self._spans.items() if _holds(span, at_time)]
            if len(within) == 1:
                return within[0]
            if within or resource.kind in _TREATMENT:
                return self._record.patient
        return next(iter(self._spans)) if len(self._spans) == 1 else self._record.patient

    def _date(self, resource: Resource) -> str:
        stated = moment(value_of(extension(resource.body, *self._dialect.urls("confirmed_on"))))
        return stated or when(resource.body, *_DATED).text or moment(at(resource.body, "collection.collectedDateTime"))


def _holds(span: Span, moment_: str) -> bool:
    """Whether a stay holds a time, as far as both are known."""
    begin, end = span
    return bool(begin) and _not_after(begin, moment_) and (not end or _not_after(moment_, end))


def _not_after(one_time: str, other: str) -> bool:
    length = min(len(one_time), len(other))
    return one_time[:length] <= other[:length]
