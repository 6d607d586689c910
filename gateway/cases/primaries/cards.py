"""Who a report card or a death certificate that was handed in shows, and what it tells of tumours.

A card states its codes; what it leaves out follows from its ICD-10 code, marked as derived. A death (``card_type`` 2) tells of a tumour by its
underlying cause, first learned from the certificate: basis 0, and the day of death counts as date of diagnosis where the card has none. The
interval on a certificate is never used (registry reference, "Death-notified incidence").
"""

from __future__ import annotations

from msgspec.structs import asdict

from gateway.cases.primaries import bases, words
from gateway.cases.primaries.evidence import Seen, Sighting
from gateway.cases.primaries.morphology import parsed
from gateway.cases.primaries.telling import Telling, keyed
from gateway.model import resident_id
from gateway.model.card import Card
from mappings.registry.icd10 import icd10_of, registry_form
from mappings.registry.icdo3 import is_topography
from mappings.registry.reportable import of

_FROM_DEATH = "2"
_UNKNOWN_PHONE = "0"
_STAGES = ("tnm_pt", "tnm_pn", "tnm_pm", "tnm_ct", "tnm_cn", "tnm_cm", "stage_group")
_ADDRESS = ("province", "city", "county", "town", "village", "house_no")


def seen_card(card: Card, key: str) -> Seen:
    """The sighting ``key`` (``card:5``, ``death:9``) that a card is, with its evidence."""
    from_death = card.card_type == _FROM_DEATH
    tellings = [telling for telling in (_of_card(card), _of_death(card) if from_death else None) if telling is not None]
    if len(tellings) == 2 and tellings[0].icd10 == tellings[1].icd10:
        tellings.pop()
    for telling in tellings:
        if from_death:
            telling.rests_on("0", "死亡证明书")
    otherwise = (card.death_date, "死亡日期（死亡补发病）") if from_death else (card.report_date, "报告日期（卡片未填发病日期）")
    return Seen(_sighting(card, key, from_death), keyed(tellings, key, otherwise))


def _sighting(card: Card, key: str, from_death: bool) -> Sighting:
    number = resident_id.normalised(card.id_no)
    record = asdict(card)
    residence, hukou = ("".join(record[f"{kind}_{part}"] for part in _ADDRESS) for kind in ("residence", "hukou"))
    return Sighting(
        key,
        at=(card.death_date if from_death else "") or card.incidence_date or card.report_date,
        resident_id=number if resident_id.verdict(number) == "right" else "",
        name=card.patient_name,
        sex=card.sex if card.sex in ("1", "2") else "",
        birth_date=card.birth_date,
        address=residence or hukou,
        phone="" if card.contact1_phone == _UNKNOWN_PHONE else card.contact1_phone,
        organisation=card.report_org_code,
        record_number=card.medical_record_no,
    )


def _of_card(card: Card) -> Telling | None:
    """The tumour that a card reports; None where it reports none."""
    histology, behaviour = card.morphology, card.behaviour
    if not (len(histology) == 4 and histology.isdigit()):
        histology, stated = parsed(histology)
        behaviour = behaviour or stated
    topography = card.topography if is_topography(card.topography) else ""
    code = card.icd10 or icd10_of(topography, histology, behaviour)
    if not (code or histology or topography):
        return None
    telling = Telling.of_code(code, of(code, pituitary=True), registry_form(code), card.diagnosis_name, "icd10")
    if telling is None and not (histology or topography):
        return None
    telling = telling or Telling("primary", code, registry_form(code), card.diagnosis_name, "icd10")
    telling.diagnosis = card.icd10
    if behaviour == "6":
        telling.kind = "secondary"
    if topography and telling.kind == "primary":
        telling.topography, telling.topography_origin = topography, "stated"
    if histology:
        telling.state_histology(histology, behaviour)
    telling.laterality, telling.grade = card.laterality, card.grade
    telling.recurrence = words.recurrence(card.diagnosis_name)
    telling.pathology_name, telling.pathology_no = card.pathology_name, card.pathology_no
    telling.stages = {name: text for name, text in asdict(card).items() if name in _STAGES and text}
    for digit in (*card.basis_list.split(","), card.basis_card, card.basis_of_diagnosis if not card.basis_card else ""):
        telling.rests_on(bases.card_digit(digit.strip()), "报告卡所填诊断依据")
    telling.dates.append((card.incidence_date, "报告卡所填发病日期"))
    return telling


def _of_death(card: Card) -> Telling | None:
    """The tumour that a death certificate names as the underlying cause; None where it names none."""
    code = card.underlying_cause
    return Telling.of_code(code, of(code, pituitary=True), registry_form(code), card.death_cause_text, "underlying_cause")
