"""Pathology reports: DiagnosticReport with its results and specimens; one fact each.

Rules as in HL7 v2 (ours): category PAT, SP or CP of v2-0074, a LOINC code of a pathology report, or 病理 in words make it
one. 病理号 is the report's identifier (the dialect says which), else the accession number of its specimen. Frozen section is told by code or
words; a report of nothing but an intraoperative text is one, too. Morphology is taken from a code only, never from text. A report that was
cancelled or is wrong is not said. Attachments are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from adapters.fhir.cancer import morphology
from adapters.fhir.dialect import FhirDialect
from adapters.fhir.elements import (
    Element,
    Identifier,
    choice,
    codings,
    each,
    identifier,
    identifiers,
    label,
    numbered,
    text,
    when,
)
from adapters.fhir.oncology import USED
from adapters.fhir.record import Record
from adapters.fhir.remarks import remarked
from adapters.fhir.resource import Resource
from adapters.fhir.result import result_of
from adapters.fhir.said import Said
from adapters.fhir.values import without_system
from gateway.model.facts import PATHOLOGY_KINDS, PATHOLOGY_STATUSES, PathologyFact, PathologyKind, PathologyStatus
from gateway.model.morphology import morphology_code
from gateway.model.values import Coded

_WORDS: Final[tuple[tuple[str, PathologyKind], ...]] = (("冰冻", "frozen"), ("补充", "supplement"))


def read(record: Record, dialect: FhirDialect) -> Iterator[Said]:
    """The pathology reports of a record."""
    for report in record.of("DiagnosticReport"):
        if is_pathology(report, dialect):
            yield from _report(record, dialect, report)


def is_pathology(report: Resource, dialect: FhirDialect) -> bool:
    """Whether a report is one of pathology."""
    types = dialect.maps["report-type"]
    for concept in (*each(report.body.get("category")), *each(report.body.get("code"))):
        if without_system(types, concept) or "病理" in label(concept):
            return True
    return False


def _report(record: Record, dialect: FhirDialect, report: Resource) -> Iterator[Said]:
    body = report.body
    word = dialect.maps["report-status"].find(text(body.get("status")))[0]
    if word == "withdrawn":
        return
    status = PATHOLOGY_STATUSES.get(word or "")
    if status is None:
        yield remarked("report-status", report, "status")
        status = "preliminary"
    texts: dict[str, list[str]] = {}
    kind = _kind(dialect, body)
    if conclusion := text(body.get("conclusion")):
        texts["diagnosis" if kind in (None, "routine") else str(kind)] = [conclusion]
    coded: Coded | None = None
    for element, concept in numbered(body.get("conclusionCode"), "conclusionCode"):
        coded = coded or _morphology(dialect, concept)
        if coded is None and codings(concept):
            yield remarked("unmapped-code", report, element)
    for result in _results(record, report, status):
        section = without_system(dialect.maps["pathology-section"], result.body.get("code"))
        if section is None:
            yield remarked("report-section", result, "code")
        elif section == "morphology":
            element, content = choice(result.body, "value")
            found = _morphology(dialect, content)
            if found is None and (sent := morphology(content)) is not None and sent.code:
                yield remarked("unmapped-code", result, element)
                found = Coded(sent.system or f"{dialect.id}/morphology", sent.code, sent.display)
            coded = found or coded
        elif section:
            lines = texts.setdefault(section, [])
            lines.extend(line for line in _lines(result.body) if line not in lines)
    if body.get("presentedForm"):
        yield remarked("attachment", report, "presentedForm")
    number, element = _number(record, dialect, report)
    if not number:
        yield remarked("no-specimen-number", report, element)
    sections = {section: "\n".join(lines) for section, lines in texts.items() if lines}
    if not sections and coded is None:
        yield remarked("report-empty", report, "conclusion")
        if not number:
            return
    yield Said(
        report,
        PathologyFact(
            number,
            report.source(element),
            kind or _kind_by_sections(sections),
            status,
            sections,
            coded,
            when(body, "issued", "effective").text or None,
        ),
    )


def _kind(dialect: FhirDialect, body: Element) -> PathologyKind | None:
    """Frozen, supplement or routine, as code or category say it: by the map of kinds, the LOINC code of that section, or in words."""
    kinds, sections = dialect.maps["report-kind"], dialect.maps["pathology-section"]
    for concept in (*each(body.get("code")), *each(body.get("category"))):
        for target in (without_system(kinds, concept), without_system(sections, concept)):
            if (kind := PATHOLOGY_KINDS.get(target or "")) is not None:
                return kind
        for words, told in _WORDS:
            if words in label(concept):
                return told
    return None


def _kind_by_sections(sections: dict[str, str]) -> PathologyKind:
    if set(sections) == {"frozen"}:
        return "frozen"
    return "supplement" if set(sections) == {"supplement"} else "routine"


def _results(record: Record, report: Resource, status: PathologyStatus) -> Iterator[Resource]:
    """Observations of the report, and their members, each once. A final report says only what is final in it."""
    seen: set[str] = set()
    waiting = [(report, item, element) for element, item in numbered(report.body.get("result"), "result")]
    while waiting:
        owner, reference, element = waiting.pop(0)
        found = record.resolve(owner, reference, element)
        if found is None or found.kind != "Observation" or found.key in seen:
            continue
        seen.add(found.key)
        waiting += [(found, item, member) for member, item in numbered(found.body.get("hasMember"), "hasMember")]
        if text(found.body.get("status")) in USED or (
            status == "preliminary" and text(found.body.get("status")) in ("preliminary", "registered")
        ):
            yield found


def _morphology(dialect: FhirDialect, concept: object) -> Coded | None:
    """An ICD-O-3 morphology in the form of the front sheet (``M85000/3``)."""
    found = morphology(concept)
    if found is None or not found.code:
        return None
    code = morphology_code(found.code) if "/" in found.code else ""
    return Coded(dialect.systems.morphology, code, found.display or label(concept) or None) if code else None


def _lines(observation: Element) -> list[str]:
    """The text of a section; that of a coded result are its words."""
    result = result_of(observation)
    if result is None:
        return []
    written = result.value
    if not written and result.coded is not None:
        written = result.coded.display or result.coded.code or ""
    return [line.strip() for line in written.splitlines() if line.strip()]


def _number(record: Record, dialect: FhirDialect, report: Resource) -> tuple[str, str]:
    """(病理号, element): of the report by the dialect's slots, of its specimens, else the report's only identifier."""
    own = list(identifiers(report.body.get("identifier")))
    told = [(element, found) for element, found in own if found.types or found.system]
    for element, found in dialect.identifier("pathology_number", told):
        if _is_told(dialect, found):
            return found.value, element
    for element, reference in numbered(report.body.get("specimen"), "specimen"):
        specimen = record.resolve(report, reference, element)
        if specimen is not None and specimen.kind == "Specimen":
            for candidate in (specimen.body.get("accessionIdentifier"), *each(specimen.body.get("identifier"))):
                if (number := identifier(candidate)) is not None:
                    return number.value, element
    if len(own) == 1:
        return own[0][1].value, own[0][0]
    return "", "identifier"


def _is_told(dialect: FhirDialect, found: Identifier) -> bool:
    """Whether a slot that asks for something means it, not only one that takes any number."""
    return any(not slot.is_open and slot.means(found) for slot in dialect.identifiers.get("pathology_number", ()))
