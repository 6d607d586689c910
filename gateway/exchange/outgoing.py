"""What is sent to a platform so that it agrees with the other: cards that it lacks, and its own cards with values put right.

A line that the platform would refuse, or file in a wrong place, is held with the findings of the very checks that the import page makes: the
dot of ICD-10, the address down to the township, the unit's code in the platform's own system, the order of dates. Source: registry
reference, exchange in Henan (Nanyang). Rows that the platform will call "exists" are sent all the same: it means that the person is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from conformance.checks.finding import Finding
from conformance.checks.registry import CardChecker
from gateway.exchange.comparison import Comparison, taken
from gateway.exchange.record import ADDRESS_PARTS, PLATFORM, Party, Side, address, other
from gateway.model.card import Card
from mappings.region import resolve
from mappings.registry import icd10


class ExchangeChoices(Struct, frozen=True):
    """What a county or hospital decides about the exchange (``[exchange]`` of the configuration). ``units`` maps the code (or name) of a unit in
    the chronic-disease system to its code in the registry system; ``cdc_codes`` are codes of disease-control units, which may not stand as
    diagnosing unit. An outgoing file has at most ``piece_rows`` rows. Without ``county`` the exchange is off."""

    county: str = ""
    day: int = 10
    warn_workdays: int = 3
    piece_rows: int = 500
    units: dict[str, str] = {}
    cdc_codes: tuple[str, ...] = ()


class Line(Struct, frozen=True):
    """A row for a platform. ``record`` is the key of the card that is sent (``add``) or put right (``correct``), ``fields`` what is put
    right."""

    entry: str
    record: str
    to: Side
    operation: Literal["add", "correct"]
    card: Card
    unit: str
    fields: tuple[str, ...] = ()


def line(found: Comparison, to: Side, chosen: Mapping[str, Party]) -> Line | None:
    """What a comparison asks to be sent to a platform; None where nothing. ``chosen`` is whose value a person wants, by field; other fields
    follow the proposal."""
    if to not in found.to and not chosen:
        return None
    there = found.entry.one(to)
    if found.state in ("only-chronic", "only-registry"):
        source = found.entry.one(other(to))
        if source is None or there is not None:
            return None
        return Line(found.entry.key, source.key, to, "add", source.card, source.unit)
    if found.state != "different" or there is None:
        return None
    changed: dict[str, str] = {}
    fields: list[str] = []
    for difference in found.differences:
        take = chosen.get(difference.field, difference.take)
        record = found.entry.one(take) if take else None
        if record is not None and take and to in difference.wrong_sides(take):
            changed |= taken(difference.field, record.card)
            fields.append(difference.field)
    if not fields:
        return None
    return Line(found.entry.key, there.key, to, "correct", replace(there.card, **changed), there.unit, tuple(fields))


class Gate:
    """Prepares lines for a platform and says what keeps them back. Not thread-safe, as the checker it holds."""

    def __init__(self, to: Side, choices: ExchangeChoices, today: date) -> None:
        self._to = to
        self._choices = choices
        self._checker = CardChecker(PLATFORM[to], today=today)

    def passed(self, line: Line) -> tuple[Line, tuple[Finding, ...]]:
        """(the line as it is sent, why it is held: nothing when it may go)."""
        unit, missing = self._unit(line)
        card = _prepared(line.card)
        context = {"diagnosing_unit": unit, "cdc_codes": ",".join(self._choices.cdc_codes)}
        held = (finding for finding in self._checker.check(card, context=context) if finding.blocks)
        return replace(line, card=card, unit=unit), (*missing, *held)

    def _unit(self, line: Line) -> tuple[str, tuple[Finding, ...]]:
        """The unit's code in the platform's system."""
        to_registry = self._to == "registry"
        codes = self._choices.units if to_registry else {new: old for old, new in self._choices.units.items()}
        named = (line.unit, line.card.report_org_code, line.card.diagnosing_hospital, line.card.report_hospital)
        if line.operation == "correct" and line.unit:
            return line.unit, ()
        code = next((codes[name] for name in named if name in codes), "")
        if not code and line.unit in codes.values():
            code = line.unit
        if code:
            return code, ()
        return "", (
            Finding(
                "ZB-EXCHANGE-UNIT",
                ("report_org_code",),
                "error",
                "不知道该单位在对方系统中的机构编码，暂不发送；请在配置 [exchange.units] 中填写两个系统编码的对应",
                "the unit's code in the other system is not configured",
            ),
        )


def _prepared(card: Card) -> Card:
    """The card with the dot in ICD-10, and addresses in their parts where they stood in one piece or without their prefecture."""
    changed = {"icd10": icd10.registry_form(card.icd10) or card.icd10}
    for place in ("hukou", "residence"):
        if not getattr(card, f"{place}_city") or not getattr(card, f"{place}_town"):
            changed |= dict(_resolved(card, place))
    return replace(card, **changed)


def _resolved(card: Card, place: str) -> Iterator[tuple[str, str]]:
    found = resolve(address(card, place))
    if found.city:
        yield from ((f"{place}_{part}", str(getattr(found, part))) for part in ADDRESS_PARTS)
        if found.code:
            yield f"{place}_region_code", found.code
