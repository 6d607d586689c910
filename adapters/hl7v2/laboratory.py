"""Laboratory results that the front sheet asks for: HBsAg, HCV-Ab, HIV-Ab, blood groups, birth weight. OBX-3 is told by code or name (map
``laboratory-item``, whose targets are paths). Only a final result is a fact; a result taken back deletes it (OBX-11 D, W)."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from adapters.hl7v2.datatypes import component, components
from adapters.hl7v2.dialect import Dialect
from adapters.hl7v2.message import Segments
from adapters.hl7v2.remarks import remark
from gateway.model.facts import Fact, Remark

_BIRTH_WEIGHT = "births[0].weight"
_GRAMS = {"": 1, "G": 1, "克": 1, "KG": 1000, "千克": 1000, "公斤": 1000}


def results(dialect: Dialect, order: Segments, first: int, facts: list[Fact], remarks: list[Remark]) -> None:
    """Add the results of one order to ``facts``. ``first`` is how many OBX stand before it in the message."""
    items, statuses = dialect.maps["laboratory-item"], dialect.maps["observation-status"]
    known, named = items.codes, items.labels
    request = order.first("OBR")
    stated = dialect.maps["report-status"].find(request.value("25").strip())[0] if request is not None else None
    for number, segment in enumerate(order.all("OBX"), first + 1):
        what = segment.field(3)
        if not what:
            continue
        parts = components(segment, what)
        code, label = component(segment, parts, 1), component(segment, parts, 2)
        path = known.get(code) or named.get(label) or named.get(code) or items.find(code, label)[0]
        if not path or path not in dialect.results:
            continue
        own = segment.value("11").strip()
        status = statuses.find(own)[0] if own else stated
        place = f"OBX[{number}]-5"
        if status == "withdrawn" or (own and stated == "withdrawn"):
            facts.append(Fact(path, None, place))
        elif status in ("final", "corrected") and stated in ("final", "corrected", None):
            if path == _BIRTH_WEIGHT:
                weight = _weight(segment.value("5.1"), segment.value("6.1"))
                if weight is not None:
                    facts.append(Fact(path, weight, place))
                    continue
                remarks.append(remark("not-a-number", place))
                continue
            meanings = dialect.results[path].codes
            assert meanings is not None
            answer = components(segment, segment.field(5) or "")
            found = (component(segment, answer, 1), component(segment, answer, 2))
            target = meanings.find(*found)[0] or meanings.find(segment.value("8.1"))[0]
            if target:
                facts.append(Fact(path, meanings.coded(target), place))
            elif any(found):
                remarks.append(remark("not-qualitative", place))


def _weight(text: str, unit: str) -> int | None:
    factor = _GRAMS.get(unit.strip().upper())
    try:
        grams = Decimal(text.strip()) * factor if factor else None
    except InvalidOperation:
        return None
    return int(grams) if grams is not None and grams.is_finite() and 0 < grams < 20000 else None
