"""A person corrects a stay: by the platform's field code, with a name and a reason, as a new version.

The correction becomes a layer of provenance on top of the messages; the same message coming again does not undo it. Submissions follow
by the ordinary way: what changes for a platform becomes an amendment.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from adapters.hqms.rows import cell_reader
from gateway.audit.log import Event, record
from gateway.cases import stays
from gateway.cases.corrections import Correction as Act
from gateway.cases.corrections import anchors_of
from gateway.desk import Desk
from gateway.importing import Importer
from gateway.model import paths
from gateway.model.errors import UnusableInput
from gateway.model.provenance import Layer
from gateway.model.stay import Stay
from gateway.model.values import Coded
from gateway.reporting.preparing import Preparer
from gateway.store.ledger import now
from mappings.layout import Field, layout

PERSON = "person"


@dataclass(frozen=True, slots=True)
class Correction:
    """One field as a person wants it; an empty value clears it."""

    field: str
    value: str


def correct(importer: Importer, stay_id: int, corrections: list[Correction], *, actor: str, reason: str) -> stays.Recorded:
    """Make a new version of a stay. What is as wanted already changes nothing. Raises `UnusableInput` for an unknown field, a value that
    is none of its type, or an item of the stay's identity; `NotFound` for an unknown stay."""
    if not corrections or not reason.strip():
        raise UnusableInput("请填写要修改的字段和修改原因", english="no corrections or no reason given")
    ledger = importer.ledger
    preparer = Preparer(ledger.vault, importer.choices, importer.dictionaries)
    with ledger.write() as session:
        stay, version = stays.current(session, ledger.vault, stay_id)
        act = _act(stay, corrections, actor, reason)
        if act is None:
            return stays.Recorded(stay_id, version.id or 0, version.number, False)
        desk = Desk(session, ledger, preparer, importer.reviewed)
        desk.known.keep_filed(stay_id)
        desk.known.add_correction(stay_id, act)
        desk.concern(stay_id, stay, f"{PERSON}:{actor}", actor)
        recorded = desk.rebuild_all()[stay_id]
        fields = sorted((act.layer.fields or {}).values())
        subject = f"stay:{stay_id}.{recorded.number}"
        record(session, Event("stay.corrected", subject, {"fields": fields}, actor), *desk.events)
        return recorded


def _act(stay: Stay, corrections: list[Correction], actor: str, reason: str) -> Act | None:
    """What a person does, as the stay keeps it; None when everything is as wanted already."""
    fields: dict[str, str] = {}
    values: dict[str, Coded | int | str | None] = {}
    placeholders = []
    for correction in corrections:
        field = _field(correction.field)
        value, placeholder = _value(field, correction.value.strip())
        there = paths.get(stay, field.path)
        now_ = str(there) if isinstance(there, Decimal) else there
        said = value.code if isinstance(value, Coded) and field.path.endswith((".code", ".display")) else value
        if said == now_ and placeholder == (stay.verbatim.get(field.path) == "-") and (value is not None or placeholder):
            continue
        if value is None and not placeholder and there is None and field.path not in stay.verbatim:
            continue
        fields[field.path], values[field.path] = field.code, value
        if placeholder:
            placeholders.append(field.path)
    if not fields:
        return None
    at = now().isoformat(timespec="microseconds")
    layer = Layer(f"{PERSON}:{actor}", PERSON, fields, actor, at, reason)
    return Act(layer, values, tuple(placeholders), anchors_of(stay, values))


def _field(code: str) -> Field:
    field = layout("2020").by_code.get(code)
    if field is None:
        raise UnusableInput(f"没有字段 {code}", action="请使用病案首页字段编码", english="unknown field")
    if field.path in ("organisation.code", "record_number", "admission_number"):
        raise UnusableInput(
            f"{field.label}是病例的标识，不能在此修改", action="请在来源系统改正后重新导入", english="identity field"
        )
    return field


def _value(field: Field, text: str) -> tuple[Coded | int | str | None, bool]:
    """The value that a person entered, and whether it is the placeholder; amounts stay text. Raises `UnusableInput`."""
    value: Any = None
    if text:
        value, text, _ = cell_reader("2020", field.code).read(text)
    if value is None and text not in ("", "-"):
        raise UnusableInput(
            f"{field.label}的值不符合该项的格式或值域", action="请按字段要求填写", english=f"{field.code}: not a value"
        )
    if isinstance(value, Decimal):
        value = str(value)
    if field.path.endswith(".code") and isinstance(value, str):
        value = Coded(field.domain, value)
    return value, value is None and text == "-"
