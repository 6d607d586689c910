"""The result of an observation or of one of its components: as text, as a coded finding, or as a length."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

from adapters.fhir.elements import Element, absent_reason, choice, codings, each, number, one, text, unit_of
from adapters.fhir.oncology import stated
from gateway.model.values import Coded

_SHIFT: Final = {"mm": 0, "毫米": 0, "cm": 1, "厘米": 1}
"""Powers of ten from a unit of length to millimetres."""
_INTERPRETATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_POLARITY: Final = frozenset(("POS", "NEG"))


class Result(NamedTuple):
    """What stands at ``element``: ``value`` with the digits and words that were sent, ``unit``, or a ``coded`` finding."""

    element: str
    value: str = ""
    unit: str = ""
    coded: Coded | None = None

    @property
    def as_coded(self) -> Coded | None:
        """The result where a code is due: words and numbers are names that nobody has coded yet."""
        if self.coded is not None or not self.value:
            return self.coded
        return Coded(display=f"{self.value} {self.unit}".strip())


def result_of(body: Element) -> Result | None:
    """The result; None where there is none or it is said to be absent (dataAbsentReason)."""
    if body.get("dataAbsentReason"):
        return None
    element, content = choice(body, "value")
    if content is None or absent_reason(one(content)):
        return None
    if isinstance(content, dict):
        found = _structured(element, content)
    else:
        written = number(content)
        found = Result(element, written) if written else None
    if found is not None and found.coded is None and (polarity := _polarity(body)) is not None:
        return found._replace(coded=polarity)
    return found


def _structured(element: str, content: Element) -> Result | None:
    if "coding" in content or "text" in content or element.endswith(("CodeableConcept", "Coding")):
        coded = stated(content if "coding" in content or "text" in content else {"coding": [content]})
        return Result(element, coded=coded) if coded is not None else None
    if "numerator" in content or "denominator" in content:
        parts = [number(one(content.get(name)).get("value")) for name in ("numerator", "denominator")]
        return Result(element, ":".join(parts)) if all(parts) else None
    if "low" in content or "high" in content:
        low, high = one(content.get("low")), one(content.get("high"))
        parts = [number(low.get("value")), number(high.get("value"))]
        return Result(element, "-".join(parts), unit_of(low) or unit_of(high)) if all(parts) else None
    written = number(content.get("value"))
    return Result(element, f"{text(content.get('comparator'))}{written}", unit_of(content)) if written else None


def _polarity(body: Element) -> Coded | None:
    """Positive or negative as Observation.interpretation says it beside a number or words; high and low are no findings."""
    for concept in each(body.get("interpretation")):
        for coding in codings(concept):
            if coding.code in _POLARITY or (coding.code and coding.system not in ("", _INTERPRETATION)):
                return coding
    return None


def millimetres(result: Result) -> str:
    """A length in millimetres with the digits that were sent (2.15 cm are 21.5); empty where it is no exact length."""
    shift = _SHIFT.get(result.unit.lower())
    try:
        length = Decimal(result.value).scaleb(shift) if shift is not None else None
    except (InvalidOperation, ValueError):
        return ""
    return format(length, "f") if length is not None and length.is_finite() and 0 < length < 10000 else ""
