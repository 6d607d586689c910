"""An HL7 v2 message read into `Facts` under a dialect.

What a message says depends on the segments that it carries; the trigger event decides only what it means for the stay: admission,
transfer, discharge, taking back, merging, and whether diagnoses and procedures are stated as a whole. So local events (ADT^ZP1) are read
like any other, and a dialect may say which standard event one stands for.
"""

from __future__ import annotations

from typing import Final

from adapters.hl7v2.datatypes import Element, is_null
from adapters.hl7v2.demographics import addresses, allergies
from adapters.hl7v2.diagnoses import diagnoses
from adapters.hl7v2.dialect import Dialect
from adapters.hl7v2.entries import coded_of, members, text_of
from adapters.hl7v2.identity import check_against_id, identify, merged_from
from adapters.hl7v2.laboratory import results
from adapters.hl7v2.medications import medications
from adapters.hl7v2.message import Message, Segment, Segments
from adapters.hl7v2.pathology import is_pathology, report
from adapters.hl7v2.procedures import procedures
from adapters.hl7v2.remarks import remark
from gateway.model.facts import DiagnosisUse, Fact, Facts, MovementFact, Remark
from gateway.model.times import china_time
from gateway.model.values import Coded

_CANCELS: Final = {"A11": "A01", "A12": "A02", "A13": "A03"}
_ADMISSIONS: Final = frozenset(("A01", "A06"))
_SNAPSHOTS: Final = frozenset(("A01", "A03", "A08"))
_MERGES: Final = frozenset(("A18", "A30", "A34", "A36", "A40"))
_NOTHING: Final = frozenset(
    (
        "ACK", "ADR", "DFT", "DSR", "MDM", "MFK", "MFN", "NMD", "ORG", "ORL", "ORN", "ORP",
        "ORR", "QBP", "QCN", "QRY", "RRA", "RRD", "RRE", "RRG", "RSP", "SIU", "SRM", "SRR",
    )
)  # fmt: skip
"""Message types that carry nothing to report: master files, queries, answers, bookings, charges, documents."""

_ONLY_WITH_CONTENT: Final = frozenset(("OMG", "OMI", "OML", "OMP", "OPL", "OPR", "ORM", "ORU", "OUL", "RAS", "RDE", "RDS", "RGV"))
"""Orders and results: without a pathology report, a known result or a drug they carry nothing to report."""

_OLDEST: Final = "0001"


class FactsReader:
    """Reads messages of one sender. A reader holds no state between messages."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect: Final = dialect

    def read(self, message: Message, message_id: str) -> Facts:
        """All that ``message`` says. Whatever it holds is read or remarked; this never raises for the content of a message."""
        remarks: list[Remark] = []
        segments = _first_patient(message, remarks)
        header = segments[0]
        kind, sent = header.value("9.1").strip(), header.value("9.2").strip() or segments.value("EVN-1").strip()
        trigger = self.dialect.file.events.get(sent, sent)
        identity = identify(self.dialect, segments, remarks)
        facts = Facts(
            message_id,
            self.dialect.id,
            f"{kind}^{trigger}" if trigger else kind,
            _occurred(segments, header, remarks),
            identity.patient,
            identity.visit,
            live=header.value("11.1").strip().upper() not in ("D", "T"),
            cancels=_CANCELS.get(trigger, ""),
            remarks=remarks,
        )
        if kind in _NOTHING:
            remarks.append(remark("nothing-for-us", "MSH-9"))
            return facts
        _read_orders(self.dialect, segments, facts)
        if kind in _ONLY_WITH_CONTENT and not (facts.pathology or facts.medications or facts.facts):
            remarks.append(remark("nothing-for-us", "MSH-9"))
            return facts
        moving = trigger in _ADMISSIONS or trigger == "A02" or bool(facts.cancels)
        discharged = trigger == "A03" or (not moving and segments.value("PV1-45") != "")
        occasions = {
            "admission": trigger in _ADMISSIONS,
            "discharge": discharged,
            "transfer": trigger == "A02",
            "stands": not facts.cancels,
        }
        self._read_stay(segments, frozenset(name for name, holds in occasions.items() if holds), facts, identity.facts)
        if not facts.cancels:
            self._read_entries(segments, trigger, discharged, facts)
        if trigger in _MERGES:
            facts.merged_from = merged_from(self.dialect, segments, remarks)
        check_against_id(identity, facts.facts, remarks)
        if segments.first("PID") is None and not (facts.facts or facts.pathology or facts.medications):
            remarks.append(remark("nothing-for-us", "MSH-9"))
        elif not (identity.patient.record_number or identity.patient.resident_id or identity.patient.others):
            remarks.append(remark("no-patient", "PID-3"))
        return facts

    def _read_stay(self, segments: Segments, occasions: frozenset[str], facts: Facts, found: list[Fact]) -> None:
        """Paths of the stay: the first place that says something counts; an explicit null deletes."""
        flat, remarks = facts.facts, facts.remarks
        flat.extend(found)
        for rule in self.dialect.plan(occasions):
            for source in rule.sources:
                segment = segments.first(source.spot.segment)
                if segment is None:
                    continue
                raw = segment.at(source.spot)
                if not raw:
                    continue
                if is_null(segment, raw):
                    flat.append(Fact(rule.path, None, source.place))
                    break
                value = source.convert(Element(segment, raw, source, source.place, remarks))
                if value is not None:
                    flat.append(Fact(rule.path, value, source.place))
                    break
        person = segments.first("PID")
        if person is not None:
            addresses(self.dialect, person, flat, remarks)
        allergies(self.dialect, segments, flat, remarks)

    def _read_entries(self, segments: Segments, trigger: str, discharged: bool, facts: Facts) -> None:
        """Diagnoses, procedures and the transfer."""
        unsaid: DiagnosisUse | None = "discharge" if discharged else "admission" if trigger in _ADMISSIONS else None
        if segments.first("DG1") is not None:
            facts.diagnoses, whole = diagnoses(self.dialect, segments, unsaid, facts.remarks)
            if whole and trigger in _SNAPSHOTS:
                facts.snapshot.append("diagnoses")
        if segments.first("PR1") is not None:
            facts.procedures, whole = procedures(self.dialect, segments, facts.remarks)
            if whole and trigger in _SNAPSHOTS:
                facts.snapshot.append("procedures")
        if trigger == "A02" and (movement := _movement(self.dialect, segments, facts.remarks)) is not None:
            facts.movements.append(movement)


def _first_patient(message: Message, remarks: list[Remark]) -> Segments:
    """The segments of the first patient: those of a second one must never be read as the first one's."""
    people = message.all("PID")
    if len(people) < 2:
        return message
    remarks.append(remark("several-patients", "PID"))
    second = next(position for position, segment in enumerate(message) if segment is people[1])
    return message[:second]


def _occurred(segments: Segments, header: Segment, remarks: list[Remark]) -> str:
    """When the event was recorded (EVN-2), else when the message was made (MSH-7)."""
    for text in (segments.value("EVN-2.1"), header.value("7.1")):
        if moment := china_time(text.strip()):
            return moment
    remarks.append(remark("no-event-time", "MSH-7"))
    return _OLDEST


def _read_orders(dialect: Dialect, segments: Segments, facts: Facts) -> None:
    """Pathology reports, laboratory results and drugs, order by order."""
    if segments.first("OBX") is not None or segments.first("OBR") is not None:
        number = observations = 0
        for order in segments.groups("ORC", "OBR") if segments.first("OBR") is not None else (segments,):
            if order.first("OBR") is not None:
                number += 1
            if is_pathology(dialect, order):
                facts.pathology.extend(report(dialect, order, number, facts.remarks))
            else:
                results(dialect, order, observations, facts.facts, facts.remarks)
            observations += len(order.all("OBX"))
    facts.medications = medications(dialect, segments, facts.remarks)


def _movement(dialect: Dialect, segments: Segments, remarks: list[Remark]) -> MovementFact | None:
    said: dict[str, Coded | int | str] = {}
    for name in ("PV1", "EVN"):
        segment = segments.first(name)
        if segment is not None:
            said.update(members(dialect, "MovementFact", segment, name, remarks))
    department = coded_of(said.get("department"))
    if department is None:
        return None
    return MovementFact(department, "PV1-3", text_of(said.get("ward")), text_of(said.get("at")))
