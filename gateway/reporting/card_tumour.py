"""The tumour on a report card, from all evidence of it (S8 of the multiple-primary rules): the earliest date, the most specific site and
histology, the highest basis of diagnosis.

A stated morphology goes before one that only follows from the diagnosis by a table, unless the stated one says no more than that there is a
cancer. Metastases bear on date, basis and morphology, never on the site.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce

from gateway.cases.primaries.case import TumourCase
from gateway.cases.primaries.choices import RegistryChoices
from gateway.cases.primaries.evidence import Evidence
from gateway.model.card import Card
from gateway.model.values import completed_years, day_of
from gateway.reporting.card_making import COMPUTED, Making
from mappings.registry import basis
from mappings.registry.icd10 import conversion, counts_as
from mappings.registry.multiple_primary import Neoplasm, both_sides, histology_group, merged

_UNSPECIFIC = frozenset({"M5", "M14", "M17", "M0"})
_COUNTED = ("primary", "secondary", "treatment")
_DEATH = "death:"
_CORRECTED = ("diagnosis_name", "pathology_name", "incidence_date")


def fill(making: Making, case: TumourCase, choices: RegistryChoices) -> None:
    """Fill the fields that are about the tumour."""
    evidence = sorted((one for one in case.evidence if one.kind in _COUNTED), key=lambda one: (one.diagnosed_on or "9999", one.key))
    _date(making, case, evidence)
    _site_and_histology(making, evidence)
    _icd10(making, evidence, choices)
    _basis(making, evidence)
    _details(making, evidence)
    making.put("multiple_primary", "1" if case.of > 1 else "0", COMPUTED, f"S9 该病人有 {case.of} 个原发肿瘤")
    _original(making, case.earlier)


def _source(one: Evidence) -> str:
    return f"{one.sighting} {one.path}".strip()


def _date(making: Making, case: TumourCase, evidence: list[Evidence]) -> None:
    first = next((one for one in evidence if one.diagnosed_on), None)
    if evidence and all(one.sighting.startswith(_DEATH) for one in evidence):
        died = min((seen.sighting.at for seen in case.seen if seen.sighting.key == evidence[0].sighting), default="")
        making.put("incidence_date", died, evidence[0].sighting, "仅有死亡信息：发病日期取死亡日期")
    elif first is not None:
        making.put("incidence_date", first.diagnosed_on, _source(first), f"S8 最早的日期：{first.diagnosed_from or '诊断日期'}")
        if first.recurrence or first.kind == "treatment":
            making.say(
                "ZB-CARD-BEFORE",
                ("incidence_date",),
                "warning",
                "已知最早的就诊是治疗或复发，首次诊断可能更早，请核对发病日期和首诊医院",
                "the earliest known visit is for treatment or recurrence: the first diagnosis may be earlier",
            )
    born, fell_ill = day_of(making["birth_date"]), day_of(making["incidence_date"])
    if born is not None and fell_ill is not None and born <= fell_ill:
        making.put("age_at_incidence", str(completed_years(born, fell_ill)), COMPUTED, "发病日期时的周岁")


def _site_and_histology(making: Making, evidence: list[Evidence]) -> None:
    sites = [one for one in evidence if one.topography and one.kind != "secondary"]
    stated = [one for one in evidence if one.morphology and one.morphology_origin == "stated"]
    derived = [one for one in evidence if one.morphology and one.morphology_origin != "stated" and one.kind != "secondary"]
    site = _folded([Neoplasm(one.topography, "") for one in sites])
    histology = _folded([_histology(one) for one in stated])
    if histology is None or histology_group(histology.morphology) in _UNSPECIFIC:
        all_kinds = ([histology] if histology is not None else []) + [_histology(one) for one in derived]
        histology = _folded(all_kinds)
    if site is not None:
        one = _holder(sites, lambda one: one.topography == site.topography, lambda one: one.topography_origin == "stated")
        provisional = one.topography_origin != "stated"
        rule = "S8 最特指的部位" + (f"（由诊断 {one.icd10} 按默认表推定）" if provisional else "")
        making.put("topography", site.topography, _source(one), rule)
        if provisional and site.topography.endswith(".9"):
            _provisional(making, "topography", "解剖学部位")
    if histology is not None:
        known = [*stated, *derived]
        one = _holder(known, lambda one: one.morphology == histology.morphology, lambda one: one.morphology_origin == "stated")
        provisional = one.morphology_origin != "stated"
        rule = "S8 最特指的组织学" + (f"（由诊断 {one.icd10} 按默认表推定）" if provisional else "")
        making.put("morphology", histology.morphology, _source(one), rule)
        held = _holder(known, lambda one: _behaviour(one) == histology.behaviour, lambda other: other is one)
        making.put("behaviour", histology.behaviour, _source(held), "S8 恶性程度较高的行为码（6、9 不入登记，按 3）")
        if provisional:
            _provisional(making, "morphology", "形态学")


def _histology(one: Evidence) -> Neoplasm:
    return Neoplasm("", one.morphology, _behaviour(one))


def _behaviour(one: Evidence) -> str:
    """Behaviours 6 and 9 are not stored: the tumour itself is malignant (registry reference, behaviour.csv)."""
    return "3" if one.behaviour in ("6", "9") else one.behaviour


def _folded(neoplasms: list[Neoplasm]) -> Neoplasm | None:
    """What is kept of several, oldest first."""
    return reduce(lambda kept, one: merged(kept, one).kept, neoplasms) if neoplasms else None


def _holder(found: Iterable[Evidence], fits: Callable[[Evidence], bool], rather: Callable[[Evidence], bool]) -> Evidence:
    """The evidence that a kept value comes from: the oldest that fits, preferably one that also meets ``rather``."""
    fitting = [one for one in found if fits(one)]
    return next((one for one in fitting if rather(one)), fitting[0])


def _provisional(making: Making, field: str, name: str) -> None:
    making.say(
        "ZB-CARD-PROVISIONAL",
        (field,),
        "info",
        f"{name}编码由诊断编码按默认表推定，请根据病历和病理报告确认",
        f"{field} follows from the diagnosis by a table: to be confirmed from the record",
    )


def _icd10(making: Making, evidence: list[Evidence], choices: RegistryChoices) -> None:
    """The code that site, histology and behaviour convert to; where those follow from the diagnosis themselves, the diagnosis."""
    coded = [one for one in evidence if one.icd10 and one.kind == "primary"]
    code, rule = conversion(making["topography"], making["morphology"], making["behaviour"], choices.icd10_edition, making["sex"])
    own = next((one for one in coded if one.topography == making["topography"]), next(iter(coded), None))
    if own is not None and "stated" not in (own.topography_origin, own.morphology_origin) and _follows(making, own):
        making.put("icd10", counts_as(own.icd10), _source(own), "诊断编码截取到登记级（四位带小数点）")
        return
    agreeing = next((one for one in coded if counts_as(one.icd10) == code), None)
    if agreeing is not None:
        making.put("icd10", code, _source(agreeing), f"诊断编码与部位、形态学换算一致（{rule}）")
    elif code:
        making.put("icd10", code, COMPUTED, f"由部位、形态学和行为学换算（{rule}，{choices.icd10_edition} 版）")
        if coded:
            making.say(
                "ZB-CARD-ICD10",
                ("icd10",),
                "info",
                "ICD-10 由部位、形态学和行为学换算，与病历的诊断编码不同，请核对",
                "the ICD-10 code is converted from site, histology and behaviour, and differs from the diagnosis",
            )
    elif own is not None:
        making.put("icd10", counts_as(own.icd10), _source(own), "诊断编码截取到登记级（四位带小数点）")


def _follows(making: Making, own: Evidence) -> bool:
    return (own.topography, own.morphology) == (making["topography"], making["morphology"])


def _basis(making: Making, evidence: list[Evidence]) -> None:
    found = {digit for one in evidence for digit in one.basis} or {"9"}
    digits = sorted(found - {"0", "9"} or found)  # a death certificate and "unknown" give way to what was found (DCI)
    highest = basis.highest(digits) or "9"
    held = next((one for one in evidence if highest in one.basis), None)
    source = _source(held) if held is not None else COMPUTED
    because = held.basis_reasons.get(highest, "") if held is not None else "没有诊断依据的信息，记为不详"
    making.put("basis_card", highest, source, f"S8 最高诊断依据：{because}".rstrip("："))
    making.put("basis_list", ",".join(digits), COMPUTED, "各来源诊断依据的全部代码（旧卡）")
    making.put("basis_of_diagnosis", basis.iarc(making["basis_card"]), COMPUTED, "旧卡诊断依据换算为 IARC 代码")


def _details(making: Making, evidence: list[Evidence]) -> None:
    _laterality(making, evidence)
    _grade(making, evidence)
    for one in evidence:
        for field, code in one.stages.items():
            making.put(field, code, _source(one), "来源明确说明的分期，取最早一次")
    of_site = [one for one in evidence if one.kind == "primary" and one.topography == making["topography"]]
    for one in [*of_site, *(one for one in evidence if one.kind != "treatment")]:
        making.put("diagnosis_name", one.name, _source(one), "最特指部位的诊断名称")
    of_histology = [one for one in evidence if one.morphology == making["morphology"]]
    for one in [*of_histology, *evidence]:
        if one.pathology_name:
            making.put("pathology_name", one.pathology_name, _source(one), "最特指组织学的病理诊断")
            making.put("pathology_no", one.pathology_no, _source(one), "同一病理报告的病理号")
            break


def _laterality(making: Making, evidence: list[Evidence]) -> None:
    sides = [one for one in evidence if one.laterality and one.kind != "secondary"]
    side = ""
    for one in sides:
        side = both_sides(making["topography"], side or one.laterality, one.laterality)
    source = _source(sides[0]) if sides else COMPUTED
    making.put("laterality", side, source, "S10 两侧均有为 3 双侧" if side == "3" else "来源所述侧别")
    making.put("laterality", both_sides(making["topography"], "9", "9"), COMPUTED, "成对器官而未说明侧别，记为 9 不详")


def _grade(making: Making, evidence: list[Evidence]) -> None:
    """The highest of several grades of the histology that is kept (ICD-O-3); lineages 5-8 are not compared."""
    if making["behaviour"] in ("3", ""):
        graded = [one for one in evidence if one.grade and one.grade != "9"]
        of_histology = [one for one in graded if one.morphology == making["morphology"]] or graded
        if of_histology:
            kept = max(of_histology, key=lambda one: one.grade if one.grade <= "4" else "0")
            making.put("grade", kept.grade, _source(kept), "来源所述分级，多个时取最高")
    making.put("grade", "9", COMPUTED, "没有分级信息或不适用，记为 9")


def _original(making: Making, earlier: list[Card]) -> None:
    """Of a correction card: what the newest earlier card said that says something else now."""
    for card in reversed(earlier):
        if any(getattr(card, field) != making[field] for field in _CORRECTED):
            rule = "订正卡：上一张不同的报告卡所报"
            making.put("original_diagnosis", card.diagnosis_name, COMPUTED, rule)
            making.put("original_pathology", card.pathology_name, COMPUTED, rule)
            making.put("original_diagnosis_date", card.incidence_date, COMPUTED, rule)
            return
