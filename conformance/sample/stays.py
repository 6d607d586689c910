"""A visit as a front-sheet record: column code to text, blank columns left out.

Items that do not apply follow the filling instructions: mandatory and conditional text items get ``-``, optional items and numbers
that do not apply stay blank, coma and fees are 0.
"""

from __future__ import annotations

from random import Random

from conformance.sample.clinical import CaseMix
from conformance.sample.costs import fees
from conformance.sample.moments import DAY, HOUR, day_of, day_text, time_text
from conformance.sample.people import COMMUNITIES, RECEIVERS, Staff, Team, between, pick
from conformance.sample.visits import Procedure, Visit
from gateway.model.values import completed_years

Record = dict[str, str]

ORGANISATION = {"A01": "990100000000000018", "A02": "云屏市中心医院（演示）"}

_OPERATION_COLUMNS = (
    "C14x01C", "C15x01N", "C16x01", "C17x01", "C18x01", "C19x01", "C20x01", "C21x01C", "C22x01C", "C23x01",
)  # fmt: skip
_BLANK_ENTRIES = dict.fromkeys(
    (*_OPERATION_COLUMNS, "B21C", "B35", "B37", "C34C", "C09C", "C10N", "C11", "C12C", "C13N", "F22", "F23", "F24", "F25", "F26"), "-"
) | {"F21": "0", "C28": "0", "C29": "0", "C30": "0", "C31": "0", "C32": "0", "C33": "0"}  # fmt: skip
"""What an item says when it does not apply."""

_OTHER_DIAGNOSES = tuple((f"C06x{k:02d}C", f"C07x{k:02d}N", f"C08x{k:02d}C", f"F06x{k:02d}") for k in range(1, 41))
_OTHER_OPERATIONS = tuple(
    (
        f"C35x{k:02d}C", f"C36x{k:02d}N", f"C37x{k:02d}", f"C38x{k:02d}", f"F14x{k:02d}", f"C39x{k:02d}", f"C40x{k:02d}",
        f"C41x{k:02d}", f"C42x{k:02d}C", f"C43x{k:02d}C", f"F16x{k:02d}", f"C44x{k:02d}",
    )
    for k in range(1, 41)
)  # fmt: skip

_ACQUIRED = ("D61", "D70", "E87", "K12", "K59", "R11", "R50", "J06", "J98")
"""Diagnoses that often begin during the stay."""

_UNHEALED = {"1": "10", "4": "20", "7": "30"}
"""Incision codes of one that healed well, and of the same one when it is too early to tell."""

_CARDIOLOGY, _NEWBORNS, _INTENSIVE_CARE, _EMERGENCY = "0304", "0701", "28", "20"
_MAJOR = ("3", "4")
"""Levels of operations that a chief physician does."""


def front_sheet(rng: Random, mix: CaseMix, staff: Staff, visit: Visit) -> Record:
    """The record of a visit."""
    record = ORGANISATION | visit.chart.patient.cells | visit.chart.facts | _BLANK_ENTRIES
    record["A49"] = str(visit.chart.admissions)
    team = staff.teams[visit.story.dept]
    _put_age(rng, record, visit)
    _put_admission(rng, record, mix, visit)
    _put_diagnoses(rng, record, mix, visit)
    _put_laboratory(rng, record, visit)
    _put_staff(rng, record, staff, team, visit)
    _put_operations(rng, record, staff, team, visit)
    _put_intensive_care(rng, record, visit)
    _put_nursing(rng, record, visit)
    _put_discharge(rng, record, visit)
    red_cells, platelets = _put_blood(rng, record, visit)
    record.update(fees(rng, visit, red_cells, platelets))
    return record


def _put_age(rng: Random, record: Record, visit: Visit) -> None:
    """Age at admission; weights of a newborn, or of the children that a mother has just borne."""
    born, on = visit.chart.patient.born, day_of(visit.admitted)
    years, days = completed_years(born, on), (on - born).days
    record["A14"] = str(years)
    if years == 0:
        record["A16"] = str(days)
        if days <= 28:
            weight = between(rng, 180, 250) if "P07.300" in visit.others else between(rng, 260, 420)
            record["A18x01"] = f"{weight}0"
            record["A17"] = f"{weight + days * 2 - 8}0"
    elif visit.story.group == "delivery":
        twins = "Z37.200" in visit.others
        for number in (1, 2) if twins else (1,):
            record[f"A18x{number:02d}"] = f"{between(rng, 210, 290) if twins else between(rng, 260, 410)}0"


def _put_admission(rng: Random, record: Record, mix: CaseMix, visit: Visit) -> None:
    story = visit.story
    department, name = story.dept, mix.departments[story.dept]
    chance = rng.random()
    record["B12"], record["B15"] = time_text(visit.admitted), time_text(visit.discharged)
    record["B11C"] = "1" if visit.emergency else "3" if chance < 0.02 else "9" if chance < 0.025 else "2"
    record["F01"] = "1" if visit.emergency and (visit.died or visit.intensive_care) else "2" if visit.emergency else "3"
    surgery = bool(visit.procedures) and visit.procedures[0].operation.category == "手术"
    record["B38"] = "1" if surgery and not visit.emergency and visit.discharged - visit.admitted <= DAY else "0"
    ward = f"{name}{pick(rng, ('一', '二'))}病区"
    record["B13C"] = record["B16C"] = department
    record["B14"] = record["B17"] = ward
    transfers = []
    if visit.emergency and not visit.child and visit.days > 3 and rng.random() < 0.1:
        record["B13C"], record["B14"] = _EMERGENCY, f"{mix.departments[_EMERGENCY]}病房"
        transfers.append(department)
    if visit.intensive_care and department not in (_CARDIOLOGY, _NEWBORNS):
        transfers += [_INTENSIVE_CARE, department]
    if transfers:
        record["B21C"] = ",".join(transfers)
    record["B20"] = str(visit.days)


def _put_diagnoses(rng: Random, record: Record, mix: CaseMix, visit: Visit) -> None:
    names = mix.diagnoses
    main = visit.main
    reason = visit.others[0] if main.startswith("Z51") else main
    record["C01C"] = record["F02C"] = reason
    record["C02N"] = record["F03N"] = names[reason]
    record["F04"] = day_text(min(visit.admitted + between(rng, 0, 2) * DAY, visit.discharged))
    record["C03C"], record["C04N"], record["C05C"] = main, names[main], "1"
    record["F05"] = "4" if visit.died else "9" if main[0] == "Z" else "1" if main[0] in "OK" else "2"
    for columns, code in zip(_OTHER_DIAGNOSES, visit.others, strict=False):
        acquired = code[:3] in _ACQUIRED and rng.random() < 0.4
        chance = rng.random()
        present = "4" if acquired else "1" if chance < 0.97 else "2" if chance < 0.99 else "3"
        outcome = "9" if code[0] == "Z" else "3" if visit.died else "2"
        record |= zip(columns, (code, names[code], present, outcome), strict=True)
    if visit.morphology:
        record["C09C"], record["C10N"] = visit.morphology, mix.morphologies[visit.morphology]
        record["C11"] = visit.specimen
    if visit.external:
        record["C12C"], record["C13N"] = visit.external, names[visit.external]


def _put_laboratory(rng: Random, record: Record, visit: Visit) -> None:
    """Screening before surgery, blood or chemotherapy; positive for hepatitis B exactly when a diagnosis says so."""
    carrier = any(code.startswith(("B18.1", "Z22.502")) for code in visit.others)
    screened = carrier or visit.transfused or bool(visit.procedures) or rng.random() < 0.5
    for column in ("F10", "F11", "F12"):
        record[column] = "1" if screened else "0"
    if carrier:
        record["F10"] = "2"


def _put_staff(rng: Random, record: Record, staff: Staff, team: Team, visit: Visit) -> None:
    record["B22"], record["B22C"] = team.director
    record["B23"], record["B23C"] = pick(rng, team.chiefs)
    record["B24"], record["B24C"] = pick(rng, team.attendings)
    record["B25"], record["B25C"] = pick(rng, team.residents)
    record["B26"], record["B26C"] = pick(rng, team.nurses)
    record["B29"] = pick(rng, staff.coders)
    record["B30C"] = "1" if rng.random() < 0.96 else "2"
    record["B31"], record["B32"] = pick(rng, staff.controllers)
    record["B33"] = day_text(visit.discharged + between(rng, 0, 3) * DAY)


# -- operations


def _put_operations(rng: Random, record: Record, staff: Staff, team: Team, visit: Visit) -> None:
    if not visit.procedures:
        return
    first, *others = visit.procedures
    cells = _operation_cells(rng, staff, team, visit, first)
    duration, asa = cells.pop(4), cells.pop(9)
    record |= zip(_OPERATION_COLUMNS, cells, strict=True)
    if duration != "-":
        record["F13"] = duration
    if asa != "-":
        record["F15"] = asa
    for columns, procedure in zip(_OTHER_OPERATIONS, others, strict=False):
        cells = _operation_cells(rng, staff, team, visit, procedure)
        record |= [(column, text) for column, text in zip(columns, cells, strict=True) if text != "-"]


def _operation_cells(rng: Random, staff: Staff, team: Team, visit: Visit, procedure: Procedure) -> list[str]:
    """Code, name, start, level, duration, operator, two assistants, incision, anaesthesia, ASA grade, anaesthetist."""
    operation = procedure.operation
    start = time_text(procedure.start)
    operator = pick(rng, team.chiefs if operation.level in _MAJOR else team.attendings)[0]
    duration, first, second = "-", "-", "-"
    if operation.surgical or operation.level != "-":
        duration = f"{procedure.minutes / HOUR:.2f}"
        first = pick(rng, team.residents)[0]
        if operation.level in _MAJOR:
            first, second = pick(rng, team.attendings)[0], first
    incision = operation.incision
    if incision in _UNHEALED and visit.discharged - procedure.start < 5 * DAY:
        incision = _UNHEALED[incision]
    asa, anaesthetist = "-", "-"
    if operation.anaesthesia.startswith("03"):
        anaesthetist = operator  # who operates under local anaesthesia gives it, too
    elif operation.anaesthesia != "-":
        asa, anaesthetist = pick(rng, "112223" if not visit.intensive_care else "3334"), pick(rng, staff.anaesthetists)
    return [
        operation.code, operation.name, start, operation.level, duration, operator, first, second,
        incision, operation.anaesthesia, asa, anaesthetist,
    ]  # fmt: skip


# -- care


def _put_intensive_care(rng: Random, record: Record, visit: Visit) -> None:
    """Intensive care with ventilation for some; coma for those brain injuries whose story has it."""
    if visit.intensive_care:
        entered, left = visit.intensive_care
        surgery = visit.procedures[:1] and visit.procedures[0].operation.category == "手术"
        department = visit.story.dept
        unit = {_CARDIOLOGY: "01", _NEWBORNS: "04"}.get(department, "05" if visit.child else "03" if surgery else "07")
        record["C48x01C"], record["C49x01"], record["C50x01"] = unit, time_text(entered), time_text(left)
        if rng.random() < 0.6:
            record["C47"] = str(between(rng, 4, max(4, (left - entered) // HOUR - 2)))
    if rng.random() < visit.story.coma:
        record["C30"] = str(between(rng, 2, 30))


def _put_nursing(rng: Random, record: Record, visit: Visit) -> None:
    """Days of each nursing class; they add up to the length of stay."""
    left = visit.days
    special = 0
    if visit.intensive_care:
        entered, until = visit.intensive_care
        special = min(left, max(1, (until - entered) // DAY))
    left -= special
    first = min(left, between(rng, 0, 3) + (left // 2 if visit.child or visit.emergency else 0))
    third = (left - first) // 4
    record["F17"], record["F18"], record["F20"] = str(special), str(first), str(third)
    record["F19"] = str(left - first - third)


def _put_discharge(rng: Random, record: Record, visit: Visit) -> None:
    chance = rng.random()
    record["B36C"] = "1"
    if visit.died:
        record["B34C"], record["C34C"] = "5", "1" if chance < 0.05 else "2"
        return
    way = "1" if visit.returns or chance < 0.92 else pick(rng, "2344")
    record["B34C"] = way
    if way in "23":
        record["B35"] = pick(rng, RECEIVERS if way == "2" else COMMUNITIES)
    elif way == "4" and record["F05"] == "2":
        record["F05"] = "3"
    if visit.returns and visit.story.gap[1] <= 31:
        record["B36C"] = "2"
        record["B37"] = "按计划行下一疗程化疗"


def _put_blood(rng: Random, record: Record, visit: Visit) -> tuple[int, int]:
    """Transfused units of red cells and doses of platelets (those that the procedures name)."""
    if not visit.transfused:
        return 0, 0
    red_cells = between(rng, 1, 2 if visit.child else 5)
    platelets = between(rng, 1, 2) if any(done.operation.code == "99.0500" for done in visit.procedures) else 0
    record["F21"] = "1" if rng.random() < 0.02 else "2"
    record["F22"], record["F23"] = f"{red_cells}.0", f"{platelets}.0"
    record["F24"] = record["F25"] = record["F26"] = "0"
    return red_cells, platelets
