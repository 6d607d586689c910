"""What happened with the tumour and the person: treatment here, last contact, death; and who reports.

Treatment counts only where it is clear: what ``mappings/codes/registry/treatment_evidence.csv`` names, in a stay that has no other tumour. That
nothing is known of a treatment does not mean that there was none: the flag is then 9, unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from gateway.cases.primaries.case import TumourCase
from gateway.cases.primaries.choices import RegistryChoices
from gateway.model.card import Card
from gateway.model.stay import Procedure, Stay
from gateway.reporting.card_making import COMPUTED, Making
from gateway.reporting.card_person import newest_first
from mappings.registry.icd10 import registry_form
from mappings.registry.tables import rows

DIED = ("RC019", "5")
"""Way of leaving of who died in hospital."""

_CARRIED = (
    "registry_case_no",
    "outpatient_no",
    "other_treatment",
    "remark",
    "informed_flag",
    "followup_date",
    "lost_reason",
    "followup_doctor",
    "followup_remark",
    "withdraw_date",
    "withdraw_reason",
)
"""Fields that only people state: from the newest report card of this tumour."""
_OF_DEATH = ("death_date", "death_certificate_no", "death_cause_class", "underlying_cause", "death_cause_text", "death_place")


def fill(making: Making, case: TumourCase, choices: RegistryChoices, today: date) -> None:
    """Fill the fields that are about treatment, last contact, death and the report."""
    of_tumour = {one.sighting for one in case.evidence}
    own = [key for key in newest_first(case) if key in of_tumour]
    cards = [(key, case.cards[key]) for key in own if key in case.cards]
    stays = [(key, case.stays[key]) for key in own if key in case.stays]
    for key, card in cards:
        for field in _CARRIED:
            making.put(field, getattr(card, field), f"{key} {field}", "最近一张报告卡")
    _treatment(making, case, stays, cards)
    _death(making, case)
    _contact(making, case, cards)
    _report(making, choices, stays, cards)
    making.put("report_date", today.isoformat(), COMPUTED, "生成报告卡的日期")
    from_death = bool(of_tumour) and all(key.startswith("death:") for key in of_tumour)
    making.put("card_type", "2" if from_death else "1", COMPUTED, "仅由死亡信息得知为 2 死亡补发卡，否则 1 常规卡")
    making.put("card_status", "7" if making["death_date"] else "0", COMPUTED, "已死亡为 7 死亡卡，否则 0 可用卡")


def _treatment(making: Making, case: TumourCase, stays: list[tuple[str, Stay]], cards: list[tuple[str, Card]]) -> None:
    own = {one.key for one in case.evidence}
    alone = {
        seen.sighting.key
        for seen in case.seen
        if all(one.key in own for one in seen.evidence if one.kind in ("primary", "treatment"))
    }
    found: dict[str, str] = {}
    for key, card in cards:
        for item in filter(None, card.treatment_items.split(",")):
            found.setdefault(item, f"{key} treatment_items")
    for key, stay in reversed(stays):
        if key in alone:
            for item, path in _given(stay):
                found.setdefault(item, f"{key} {path}")
    if found:
        source = "；".join(dict.fromkeys(found.values()))
        making.put("treatment_items", ",".join(sorted(found)), source, "手术操作和就诊目的明确的治疗项目")
        making.put("treated_flag", "1", source, "有明确的治疗项目")
    for key, card in cards:
        making.put("treated_flag", card.treated_flag, f"{key} treated_flag", "最近一张报告卡")
    making.put("treated_flag", "9", COMPUTED, "没有明确的治疗信息，记为 9 不明")


def _given(stay: Stay) -> Iterator[tuple[str, str]]:
    """(item, place) of the treatments that a stay clearly had."""
    for path, procedure in (("procedures.principal", stay.procedures.principal), *_further(stay)):
        operation = procedure.operation
        for row in rows("treatment_evidence") if operation is not None else ():
            assert operation is not None, "looked at above"
            by_code = row["kind"] == "procedure" and (operation.code or "").startswith(row["match"])
            if by_code or (row["kind"] == "procedure-name" and row["match"] in (operation.display or "")):
                yield row["item"], f"{path}.operation"
    for code in stay.diagnosis_codes():
        for row in rows("treatment_evidence"):
            if row["kind"] == "diagnosis" and registry_form(code) == row["match"]:
                yield row["item"], "diagnoses"


def _further(stay: Stay) -> Iterator[tuple[str, Procedure]]:
    for number, procedure in enumerate(stay.procedures.other):
        yield f"procedures.other[{number}]", procedure


def _death(making: Making, case: TumourCase) -> None:
    """From a death certificate of the person, else from the stay in which the person died."""
    keys = newest_first(case)
    for key in keys:
        if (card := case.cards.get(key)) is not None and card.death_date:
            for field in _OF_DEATH:
                making.put(field, getattr(card, field), f"{key} {field}", "死亡证明或报告卡的死亡信息")
    for key in keys:
        if (stay := case.stays.get(key)) is not None:
            died, path = _died(stay)
            making.put("death_date", died, f"{key} {path}", "住院期间死亡或来源所述死亡时间")
            if died and path == "discharge.time":
                making.put("death_place", "1", f"{key} discharge.disposition", "在院死亡：医院病房")


def _died(stay: Stay) -> tuple[str, str]:
    """The day of death that a stay states, and where; empty texts for none."""
    left = stay.discharge.disposition
    if left is not None and (left.system, left.code) == DIED and stay.discharge.time:
        return stay.discharge.time[:10], "discharge.time"
    return (stay.patient.death_time[:10], "patient.death_time") if stay.patient.death_time else ("", "")


def _contact(making: Making, case: TumourCase, cards: list[tuple[str, Card]]) -> None:
    if died := making["death_date"]:
        source = making.origins["death_date"].source
        for field, value, rule in (
            ("patient_status", "20", "有死亡日期：死亡"),
            ("last_contact_status", "2", "有死亡日期：死亡"),
            ("last_contact_date", died, "最后接触日期等于死亡日期"),
        ):
            making.put(field, value, source, rule)
        return
    known: list[tuple[str, str, str]] = []
    for key, card in cards:
        known.append((card.last_contact_date, key, "last_contact_date"))
        making.put("last_contact_status", card.last_contact_status, f"{key} last_contact_status", "最近一张报告卡")
    for key, stay in case.stays.items():
        known.append((stay.discharge.time or stay.admission.time or "", key, "discharge.time"))
    last, key, path = max(known, default=("", "", ""))
    if last:
        making.put("last_contact_date", last[:10], f"{key} {path}", "最近一次出院、就诊或随访")
        making.put("last_contact_status", "1", f"{key} {path}", "最后接触时存活")
        making.put("patient_status", "10", f"{key} {path}", "最后接触时存活")


def _report(making: Making, choices: RegistryChoices, stays: list[tuple[str, Stay]], cards: list[tuple[str, Card]]) -> None:
    for key, stay in stays:
        number = stay.record_number or ""
        making.put("medical_record_no", number, f"{key} record_number", "病案号")
        making.put("inpatient_no", number, f"{key} record_number", "首页没有住院号，填病案号")
        making.put("report_hospital", stay.organisation.name or "", f"{key} organisation.name", "住院的医疗机构")
        making.put("report_org_code", stay.organisation.code or "", f"{key} organisation.code", "住院的医疗机构")
        for role in ("attending_physician", "chief_physician", "resident_physician", "department_director"):
            making.put("report_doctor", getattr(stay.staff, role).name or "", f"{key} staff.{role}.name", "住院的医师")
    for key, card in cards:
        for field in ("medical_record_no", "inpatient_no", "report_hospital", "report_org_code", "report_doctor"):
            making.put(field, getattr(card, field), f"{key} {field}", "最近一张报告卡")
        for field in ("diagnosed_here", "diagnosing_hospital", "highest_diagnosing_level"):
            making.put(field, getattr(card, field), f"{key} {field}", "最近一张报告卡")
    making.put("highest_diagnosing_level", choices.diagnosing_level, "settings registry.diagnosing_level", "本院级别")
    if stays:
        making.put("diagnosed_here", "1", f"{stays[-1][0]}", "本院有诊断，未见外院诊断的信息")
