"""What persons put right, laid over what sources say.

A correction holds until a person changes it again, whatever comes in later. In a list it is about an entry, not about a number in a
row: messages that come later may bring the entries in another order, so a correction names the entry it means (an *anchor*).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from conformance.checks.finding import Finding
from gateway.cases.conflicts import label_of
from gateway.cases.entries import name_of
from gateway.cases.leaves import Unreadable, place_of
from gateway.model.provenance import Layer
from gateway.model.stay import Stay
from gateway.model.values import Coded

_HEADS = {
    "diagnoses.other": "condition",
    "procedures.other": "operation",
    "pathology": "specimen_number",
    "medications": "drug",
    "icu_stays": "entered_at",
}
_ENTRY = re.compile(r"(.+?)\[(\d+)\]")


class Correction(Struct, frozen=True, omit_defaults=True):
    """One act of a person. ``layer`` names who, when and why (its ``fields``: path to the field that the person chose); ``values`` by
    path, None clears; ``placeholders`` are paths where the person states that there is nothing (``-``). ``anchors`` tells by list entry
    (``diagnoses.other[2]``) which code or number stood there when it was corrected, see `anchors_of`."""

    layer: Layer
    values: Mapping[str, Coded | list[Coded] | int | str | None]
    placeholders: tuple[str, ...] = ()
    anchors: dict[str, str] = {}


def anchors_of(stay: Stay, paths: Iterable[str]) -> dict[str, str]:
    """The anchors of a correction to ``paths``, taken before it is made."""
    anchors = {}
    for path in paths:
        if (match := _ENTRY.match(path)) and (head := _HEADS.get(match[1])):
            entries = attrgetter(match[1])(stay)
            name = _name(getattr(entries[int(match[2])], head)) if int(match[2]) < len(entries) else ""
            if name:
                anchors[match[0]] = name
    return anchors


def correct(stay: Stay, corrections: Iterable[Correction]) -> list[Finding]:
    """Lay corrections over a stay in place, in order of their time; what could not be placed any more. Raises `UnknownPath`."""
    findings = []
    for correction in sorted(corrections, key=lambda correction: (correction.layer.at, correction.layer.message)):
        fields: dict[str, str] = {}
        moved = {prefix: _where(stay, prefix, name) for prefix, name in correction.anchors.items()}
        for path, value in correction.values.items():
            match = _ENTRY.match(path)
            prefix = moved.get(match[0], match[0]) if match else ""
            if match and not prefix:
                findings.append(_lost(path, correction.layer))
                continue
            target = prefix + path[match.end() :] if match else path
            _write(stay, target, value)
            if path in correction.placeholders:
                stay.verbatim[target] = "-"
            fields[target] = (correction.layer.fields or {}).get(path, "")
        stay.provenance.layers.append(replace(correction.layer, fields=fields))
    return findings


def _write(stay: Stay, path: str, said: Any) -> None:
    place = place_of(path)
    stay.verbatim.pop(path, None)
    if not place.member:
        try:
            value = place.value(said)
        except Unreadable:
            stay.verbatim[path], value = str(said), None
    else:
        whole = place.read(stay) or Coded()
        if isinstance(said, Coded):  # a code with the system it is of
            whole, said = replace(whole, system=said.system or whole.system), getattr(said, place.member)
        whole = replace(whole, **{place.member: said})
        value = whole if whole.code or whole.display else None
    place.write(stay, value)


def _where(stay: Stay, prefix: str, name: str) -> str:
    """Where the entry of a name stands now, its old position first; empty when it is gone."""
    match = _ENTRY.fullmatch(prefix)
    assert match is not None, f"not a list entry: {prefix}"
    names = [_name(getattr(entry, _HEADS[match[1]])) for entry in attrgetter(match[1])(stay)]
    old = int(match[2])
    if old < len(names) and names[old] == name:
        return prefix
    return f"{match[1]}[{names.index(name)}]" if name in names else ""


def _name(head: Any) -> str:
    return name_of(head) if isinstance(head, Coded) else head or ""


def _lost(path: str, layer: Layer) -> Finding:
    label, columns = label_of(path)
    return Finding(
        "ZB-CORRECTION",
        columns,
        "warning",
        f"{layer.by or '人工'}对{label}所作的更正，其对应的条目已不在来源数据中，未再应用，请核对",
        f"{path}: the entry that {layer.message} corrected is gone",
    )
