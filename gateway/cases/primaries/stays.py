"""Who a stay shows, and what it tells of tumours: one piece of evidence for each tumour that it speaks of.

All discharge diagnoses are read (a principal diagnosis is often Z51), the tumours that sources state by themselves (FHIR), pathology, and
of the oldest front sheet the highest basis and the differentiation. A tumour that is stated goes with the diagnosis of its code, else of its
site. Site and histology follow from the diagnosis where no source states them, and are marked as derived. What a source itself calls uncertain
counts only where pathology or a stated tumour bears it out.

Date of diagnosis (card_fields.csv, incidence_date): the earliest of the days of confirmation, assertion and the pathology report; the day of
admission where none is stated.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.cases.primaries import bases, specimens, words
from gateway.cases.primaries.evidence import Seen, Sighting
from gateway.cases.primaries.morphology import parsed
from gateway.cases.primaries.staging import staged
from gateway.cases.primaries.telling import Telling, keyed
from gateway.model import resident_id
from gateway.model.stay import Diagnosis, Stay, Tumour
from gateway.model.values import Coded
from mappings.registry.icd10 import icd10_of, registry_form
from mappings.registry.icdo3 import is_topography
from mappings.registry.multiple_primary import Neoplasm, compare, site_group
from mappings.registry.ranges import ranges
from mappings.registry.reportable import of

_SOLID = ranges("C00-C76")
_SIDES = {"left": "1", "right": "2", "bilateral": "3"}
_GRADES = frozenset("123456789")
_OLD_BASIS, _OLD_GRADE = "pcode:P687", "pcode:P688"


def seen(stay: Stay, key: str) -> Seen:
    """The sighting ``key`` (``stay:17``) that a stay is, with its evidence."""
    tellings = _diagnosed(stay)
    for index, tumour in enumerate(stay.tumours):
        _state(tellings, tumour, f"tumours[{index}]")
    specimens.bring(tellings, [(f"pathology[{index}]", report) for index, report in enumerate(stay.pathology)])
    tellings = [telling for telling in tellings if telling.confirmed or not telling.doubtful]
    primaries = [telling for telling in tellings if telling.kind == "primary"]
    if len(primaries) == 1:
        _of_the_only_one(primaries[0], stay)
    for telling in primaries:
        telling.rests_on("1", "临床诊断")
    admitted = (stay.admission.time or stay.discharge.time or "")[:10]
    return Seen(_sighting(stay, key), keyed(tellings, key, (admitted, "入院日期" if stay.admission.time else "出院日期")))


def _sighting(stay: Stay, key: str) -> Sighting:
    patient = stay.patient
    number = resident_id.normalised(patient.identity.number or "")
    sex = patient.sex.code if patient.sex is not None else None
    return Sighting(
        key,
        at=(stay.admission.time or stay.discharge.time or "")[:10],
        resident_id=number if resident_id.verdict(number) == "right" else "",
        name=patient.name or "",
        sex=sex if sex in ("1", "2") else "",
        birth_date=patient.birth_date or "",
        address=patient.address.text or patient.registered_address.text or "",
        phone=patient.address.phone or patient.contact.phone or "",
        organisation=stay.organisation.code or "",
        record_number=stay.record_number or "",
    )


def _diagnosed(stay: Stay) -> list[Telling]:
    """What the discharge diagnoses tell; diagnoses of one code at registry level are one."""
    tellings: dict[tuple[str, str], Telling] = {}
    for path, diagnosis in _discharge(stay):
        coded = diagnosis.condition
        if coded is None or not coded.code:
            continue
        telling = _of_diagnosis(coded, f"{path}.condition")
        if telling is None:
            continue
        telling = tellings.setdefault((telling.kind, telling.icd10), telling)
        telling.doubtful = telling.doubtful and words.doubtful(coded.display or "")
        telling.recurrence = telling.recurrence or words.recurrence(coded.display or "")
        telling.dates.append((diagnosis.confirmed_on or "", "确诊日期"))
        if telling.kind == "primary":
            telling.state_side(words.side(coded.display or ""))
    return list(tellings.values())


def _discharge(stay: Stay) -> Iterator[tuple[str, Diagnosis]]:
    yield "diagnoses.principal", stay.diagnoses.principal
    for index, diagnosis in enumerate(stay.diagnoses.other):
        yield f"diagnoses.other[{index}]", diagnosis


def _of_diagnosis(coded: Coded, path: str) -> Telling | None:
    code, name = coded.code or "", coded.display or ""
    form = registry_form(code)
    # whether tumours of the pituitary are reported is a hospital's choice, which grouping knows
    telling = Telling.of_code(code, of(code, pituitary=True), form, name, path)
    if telling is None:
        return None
    telling.doubtful = words.doubtful(name)
    if telling.kind == "primary" and telling.icd10 in _SOLID and words.secondary(name):
        telling = Telling("secondary", code, telling.icd10, name, path, doubtful=telling.doubtful)
    return telling


def _state(tellings: list[Telling], tumour: Tumour, path: str) -> None:
    """Bring a stated tumour to the diagnosis that it goes with, or add it."""
    condition = tumour.condition or Coded()
    form = registry_form(condition.code or "")
    topography = tumour.topography.code or "" if tumour.topography is not None else ""
    topography = topography if is_topography(topography) else ""
    histology, behaviour = parsed(tumour.morphology.code or "") if tumour.morphology is not None else ("", "")
    secondary = tumour.role == "secondary" or behaviour == "6"
    telling = _owner(tellings, form, topography, histology, secondary=secondary)
    if telling is None:
        telling = _stated(condition, form, Neoplasm(topography, histology, behaviour), path, secondary=secondary)
        if telling is None:
            return
        tellings.append(telling)
    telling.confirmed = True
    telling.recurrence = telling.recurrence or (tumour.course is not None and tumour.course.code in ("recurrence", "relapse"))
    if topography and not secondary:
        telling.state_site(topography)
    if histology:
        telling.state_histology(histology, behaviour)
    if tumour.laterality is not None:
        telling.state_side(_SIDES.get(tumour.laterality.code or "", ""))
    if tumour.grade is not None and tumour.grade.code in _GRADES:
        telling.grade = tumour.grade.code or ""
    telling.rests_on(*bases.stated(tumour.basis, secondary=secondary))
    telling.rests_on(*bases.marked(tumour.markers, telling.icd10))
    telling.dates.append((tumour.diagnosed_on or "", "来源系统记录的诊断日期"))
    telling.stages |= staged(tumour.stages)


def _owner(tellings: list[Telling], form: str, topography: str, histology: str, *, secondary: bool) -> Telling | None:
    """The diagnosis that a stated tumour goes with: of its code, else of its category, else of its site; each takes one."""
    kind = "secondary" if secondary else "primary"
    free = [telling for telling in tellings if telling.kind == kind and not telling.confirmed]
    for same in (
        [telling for telling in free if form and telling.icd10 == form],
        [telling for telling in free if form and telling.icd10[:3] == form[:3]],
        [telling for telling in free if topography and _same(telling, topography, histology)],
    ):
        if same:
            return same[0]
    return None


def _same(telling: Telling, topography: str, histology: str) -> bool:
    return compare(telling.neoplasm, Neoplasm(topography, histology or "8000")).result == "duplicate"


def _stated(condition: Coded, form: str, neoplasm: Neoplasm, path: str, *, secondary: bool) -> Telling | None:
    """A tumour that no discharge diagnosis speaks of; None where it is none that a registry wants to hear of."""
    name = condition.display or ""
    if secondary:
        return Telling("secondary", condition.code or "", form, name, path)
    code = form or icd10_of(neoplasm.topography, neoplasm.morphology, neoplasm.behaviour)
    if not code:
        wanted = not site_group(neoplasm.topography) or neoplasm.behaviour in ("", "2", "3")
        return Telling("primary", condition.code or "", "", name, path) if wanted else None
    telling = Telling.of_code(code, of(code, pituitary=True), code, name, path)
    if telling is not None and not form:
        telling.diagnosis, telling.icd10 = condition.code or "", ""
    elif telling is not None:
        telling.diagnosis = condition.code or ""
    return telling


def _of_the_only_one(telling: Telling, stay: Stay) -> None:
    """What a stay says without saying of which tumour belongs to its only one."""
    telling.dates.append((stay.diagnoses.admission.confirmed_on or "", "入院后确诊日期"))
    if digit := bases.card_digit(stay.extras.get(_OLD_BASIS, "").strip()):
        telling.rests_on(digit, "病案首页的最高诊断依据")
    grade = stay.extras.get(_OLD_GRADE, "").strip()
    if grade in _GRADES and not telling.grade:
        telling.grade = grade
    telling.rests_on(*bases.looked_at([stay.procedures.principal, *stay.procedures.other]))
    telling.rests_on(*bases.marked(stay.markers, telling.icd10))
    telling.stages = staged(stay.stages) | telling.stages
