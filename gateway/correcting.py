"""A person corrects a stay: by the platform's field code, with a name and a reason, as a new version.

The correction becomes a layer of provenance on top of the messages; the same message coming again does not undo it. Submissions follow
by the ordinary way: what changes for a platform becomes an amendment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from adapters.hqms.rows import cell_reader
from gateway.audit.log import Event, record
from gateway.cases import stays
from gateway.importing import Importer
from gateway.model import paths
from gateway.model.errors import UnusableInput
from gateway.model.provenance import Layer
from gateway.model.stay import Stay
from gateway.model.values import Coded
from gateway.reporting import submissions
from gateway.reporting.preparing import Preparer
from gateway.store.ledger import now
from mappings.layout import layout

PERSON = "person"


@dataclass(frozen=True, slots=True)
class Correction:
    """One field as a person wants it; an empty value clears it."""

    field: str
    value: str


def correct(importer: Importer, stay_id: int, corrections: list[Correction], *, actor: str, reason: str) -> stays.Recorded:
    """Make a new version of a stay. Raises `UnusableInput` for an unknown field, a value that is none of its type, or an item of
    the stay's identity; `NotFound` for an unknown stay."""
    if not corrections or not reason.strip():
        raise UnusableInput("请填写要修改的字段和修改原因", english="no corrections or no reason given")
    ledger = importer.ledger
    preparer = Preparer(ledger.vault, importer.choices, importer.dictionaries)
    with ledger.write() as session:
        stay, _ = stays.current(session, ledger.vault, stay_id)
        changed = {}
        for correction in corrections:
            changed[_apply(stay, correction)] = correction.field
        at = now().isoformat(timespec="seconds")
        stay.provenance.layers.append(Layer(f"{PERSON}:{actor}", PERSON, changed, actor, at, reason))
        return _store(session, importer, preparer, stay, actor, reason, sorted(changed.values()))


def _store(
    session: Session,
    importer: Importer,
    preparer: Preparer,
    stay: Stay,
    actor: str,
    reason: str,
    fields: list[str],
) -> stays.Recorded:
    made = preparer.prepare(stay)
    version = stays.NewVersion(made.identity, made.window, made.digest, made.sealed_body, f"{PERSON}:{actor}", by_person=True)
    (recorded,) = stays.record(session, [version])
    if recorded.changed:
        owed = submissions.Owed(recorded.stay_id, recorded.version_id, made.window, made.drafts)
        events = submissions.draft(session, [owed], importer.reviewed)
        subject = f"stay:{recorded.stay_id}.{recorded.number}"
        record(session, Event("stay.corrected", subject, {"fields": fields, "reason": reason}, actor), *events)
    return recorded


def _apply(stay: Stay, correction: Correction) -> str:
    """Write one correction into the stay; the path it changed."""
    field = layout("2020").by_code.get(correction.field)
    if field is None:
        raise UnusableInput(f"没有字段 {correction.field}", action="请使用病案首页字段编码", english="unknown field")
    if field.path in ("organisation.code", "record_number", "admission_number"):
        raise UnusableInput(
            f"{field.label}是病例的标识，不能在此修改", action="请在来源系统改正后重新导入", english="identity field"
        )
    value: Any = None
    text = correction.value.strip()
    if text:
        value, text, _ = cell_reader("2020", field.code).read(text)
    if value is None and text not in ("", "-"):
        raise UnusableInput(
            f"{field.label}的值不符合该项的格式或值域", action="请按字段要求填写", english=f"{field.code}: not a value"
        )
    stay.verbatim.pop(field.path, None)
    if text == "-" and value is None:
        stay.verbatim[field.path] = "-"
    if field.path.endswith((".code", ".display")) and hasattr(value, "code"):
        value = value.code
    paths.put(stay, field.path, value)
    if field.path.endswith((".code", ".display")):
        place = field.path.rpartition(".")[0]
        coded = paths.get(stay, place)
        paths.put(stay, place, Coded(field.domain, coded.code, coded.display) if coded.code or coded.display else None)
    return field.path
