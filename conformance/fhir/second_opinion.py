"""A second opinion on the structure of a resource: the classes of fhir.resources (R4B's serve R4; R5's).

It knows the published models of the releases and is strict about elements, types and cardinalities, but not about codes and invariants. What
it rejects and we do not is a warning to look at: R4B is not quite R4. Only the places are taken from what it says, because its texts hold
values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from fhir.resources import get_fhir_model_class as r5_class
from fhir.resources.R4B import get_fhir_model_class as r4_class
from pydantic import ValidationError

from adapters.fhir.json_text import safe_name
from adapters.fhir.refusal import expression
from adapters.fhir.resource import Body, Release
from conformance.checks.finding import Finding
from conformance.fhir.findings import finding

_BESIDE: Final = re.compile(r"(.+)__ext")
"""How the library calls the member beside a primitive value (``_birthDate``)."""


def second_opinion(body: Body, release: Release, place: str = "") -> Iterator[Finding]:
    """What fhir.resources rejects of a resource that stands at a place of its message."""
    kind = str(body.get("resourceType", ""))
    where = expression(place, kind)
    try:
        model = (r5_class if release == "R5" else r4_class)(kind)
    except (KeyError, ValueError):
        yield finding("second-opinion-not-checked", where)
        return
    try:
        model.model_validate(body)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            yield finding("second-opinion", where + "".join(map(_step, fault["loc"])))
    except (AttributeError, KeyError, TypeError, ValueError):  # it stumbles where a resource inside is none
        yield finding("second-opinion", where)


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    beside = _BESIDE.fullmatch(step)
    return f".{safe_name(f'_{beside[1]}' if beside else step)}"
