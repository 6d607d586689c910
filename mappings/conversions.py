"""Items that layouts cut differently: two columns for one fact, or one fact from several columns.

The Chinese-medicine layout splits incision class and healing, has two columns for the receiving institution, repeats the hour
of admission and discharge and splits the fee of Chinese medicine in three. The P-code layout splits the birthplace and the
receiving institution, gives coma hours without days and an infant's age in a unit that cannot be days. The parts themselves
stay in ``Stay.extras``; here the one canonical value is made from them, and the parts are made from it where that is certain.

Source: HQMS reference, "P-code layout" and "Chinese-medicine variant" (``mappings/platforms/hqms/README.md``).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from gateway.model.stay import Procedure, Stay
from gateway.model.values import Coded, day_of

_CLASS_HEALING = {
    "0": ("0", ""),
    "1": ("1", "1"), "2": ("1", "2"), "3": ("1", "3"), "10": ("1", "4"),
    "4": ("2", "1"), "5": ("2", "2"), "6": ("2", "3"), "20": ("2", "4"),
    "7": ("3", "1"), "8": ("3", "2"), "9": ("3", "3"), "30": ("3", "4"),
}  # fmt: skip
"""RC014 as incision class (TCM_RC014_DJ) and healing (TCM_RC014_LB)."""

_RC014 = {parts: code for code, parts in _CLASS_HEALING.items()}


def after_reading(layout: str, stay: Stay) -> None:
    """Derive canonical values from the parts that this layout prints."""
    if layout == "tcm2019":
        _read_tcm(stay)
    elif layout == "pcode":
        _read_pcode(stay)


def before_writing(layout: str, stay: Stay) -> dict[str, str]:
    """The parts that this layout prints and that the stay does not carry as extras: column code to text."""
    if layout == "tcm2019":
        return _tcm_parts(stay)
    if layout == "pcode":
        return _pcode_parts(stay)
    return {}


def _procedures(stay: Stay) -> list[tuple[int, Procedure]]:
    return list(enumerate([stay.procedures.principal, *stay.procedures.other], start=1))


def _read_tcm(stay: Stay) -> None:
    extra = _Extras(stay, "tcm2019")
    for number, procedure in _procedures(stay):
        parts = (extra(f"QKDJ{number}"), extra(f"QKYLB{number}"))
        if (code := _RC014.get(parts)) is not None:
            procedure.incision_healing = Coded("RC014", code)
    stay.discharge.receiving_institution = extra("YZZY_JGMC") or extra("WSY_JGMC") or None
    amounts = [extra.amount(code) for code in ("ZYL_ZYZD", "ZYZL", "ZYQT")]
    known = [amount for amount in amounts if amount is not None]
    if known:
        stay.costs.chinese_medicine = sum(known, Decimal(0))


def _tcm_parts(stay: Stay) -> dict[str, str]:
    parts: dict[str, str] = {}
    for time, code in ((stay.admission.time, "RYSJ_S"), (stay.discharge.time, "CYSJ_S")):
        if time is not None and len(time) >= 13:
            parts[code] = str(int(time[11:13]))
    for number, procedure in _procedures(stay):
        incision = procedure.incision_healing
        if incision is not None and incision.code in _CLASS_HEALING:
            class_, healing = _CLASS_HEALING[incision.code]
            parts[f"QKDJ{number}"] = class_
            if healing:
                parts[f"QKYLB{number}"] = healing
    _split_institution(stay, parts, hospital="YZZY_JGMC", community="WSY_JGMC")
    return parts


def _read_pcode(stay: Stay) -> None:
    extra = _Extras(stay, "pcode")
    birthplace = "".join(extra(code) for code in ("P101", "P102", "P103"))
    stay.patient.birthplace = birthplace or None
    stay.discharge.receiving_institution = extra("P742") or extra("P743") or None
    for code, coma in (("P731", stay.coma.before_admission), ("P733", stay.coma.after_admission)):
        hours = extra(code)
        if hours.isascii() and hours.isdigit():
            coma.days, coma.hours = divmod(int(hours), 24)
    born, admitted = day_of(stay.patient.birth_date), day_of(stay.admission.time)
    if stay.age.years == 0 and born is not None and admitted is not None and 0 <= (admitted - born).days < 366:
        stay.age.days = (admitted - born).days


def _pcode_parts(stay: Stay) -> dict[str, str]:
    parts: dict[str, str] = {}
    for code, coma in (("P731", stay.coma.before_admission), ("P733", stay.coma.after_admission)):
        if coma.hours is not None:
            parts[code] = str((coma.days or 0) * 24 + coma.hours)
    _split_institution(stay, parts, hospital="P742", community="P743")
    return parts


def _split_institution(stay: Stay, parts: dict[str, str], *, hospital: str, community: str) -> None:
    """Way of leaving (RC019) 2 means another hospital, 3 a community institution; otherwise it is not known which."""
    name, way = stay.discharge.receiving_institution, stay.discharge.disposition
    column = {"2": hospital, "3": community}.get(way.code or "") if way is not None else None
    if name and column:
        parts[column] = name


class _Extras:
    """Readable view of the extras of one layout: ``-`` counts as not filled."""

    def __init__(self, stay: Stay, layout: str) -> None:
        self._get: Callable[[str], str | None] = lambda code: stay.extras.get(f"{layout}:{code}")

    def __call__(self, code: str) -> str:
        text = self._get(code) or ""
        return "" if text == "-" else text

    def amount(self, code: str) -> Decimal | None:
        try:
            return Decimal(self(code)) if self(code) else None
        except InvalidOperation:
            return None
