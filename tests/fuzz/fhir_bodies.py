"""Right resources made from the definitions, and ways to spoil them, for the tests of the FHIR readers."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from adapters.fhir.definitions import RESOURCE, Element, definitions
from adapters.fhir.resource import Release

KINDS = (
    "Patient",
    "Encounter",
    "Condition",
    "Observation",
    "Procedure",
    "DiagnosticReport",
    "Specimen",
    "MedicationRequest",
    "MedicationAdministration",
    "Medication",
    "Coverage",
    "Organization",
    "Practitioner",
    "AllergyIntolerance",
    "Composition",
    "Provenance",
)

_DATES = st.sampled_from(("1950", "1950-02", "2024-02-29"))
_MOMENTS = st.sampled_from(("2024-02-29T08:00:00+08:00", "2024-05-01T23:59:59.120Z"))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "base64Binary": st.sampled_from(("YQ==", "YWJj")),
    "boolean": st.booleans(),
    "canonical": st.just("http://example.org/profile|1"),
    "code": st.sampled_from(("final", "a b")),
    "date": _DATES,
    "dateTime": _DATES | _MOMENTS,
    "decimal": st.sampled_from((Decimal("6.50"), Decimal("0.0"), Decimal("-12.125"), 7)),
    "id": st.sampled_from(("a", "A-1.b")),
    "instant": _MOMENTS,
    "integer": st.integers(-(2**31), 2**31 - 1),
    "integer64": st.sampled_from(("0", "-9007199254740993")),
    "markdown": st.just("*甲*"),
    "oid": st.just("urn:oid:2.16.156.10011.1.3"),
    "positiveInt": st.integers(1, 2**31 - 1),
    "string": st.sampled_from(("甲", "two words", "<&>\"'")),
    "time": st.sampled_from(("08:00:00", "23:59:59.5")),
    "unsignedInt": st.integers(0, 2**31 - 1),
    "uri": st.just("urn:zhibao:x"),
    "url": st.just("http://example.org/x"),
    "uuid": st.just("urn:uuid:c757873d-ec9a-4326-a141-556f43239520"),
    "xhtml": st.just('<div xmlns="http://www.w3.org/1999/xhtml">a<br/>b</div>'),
}
_EXTENSION = {"url": "http://example.org/extension", "valueCode": "x"}


def _may_have_sibling(name: str, element: Element) -> bool:
    return name != "id" and element.type != "xhtml" and not element.attribute


@st.composite
def objects(draw: st.DrawFn, type_name: str, release: Release, depth: int = 0) -> dict[str, Any]:
    """An object of a data type or nested element: all that is required and some of the rest, never empty."""
    book = definitions(release)
    groups: dict[str, list[str]] = {}
    elements = book.elements(type_name)
    for name, element in elements.items():
        groups.setdefault(element.defined, []).append(name)
    needed = [defined for defined, names in groups.items() if elements[names[0]].required]
    optional = [
        defined
        for defined, names in groups.items()
        if defined not in needed
        and defined not in ("contained", "extension", "modifierExtension")
        and elements[names[0]].type != RESOURCE
    ]
    if depth > 2:
        optional = [defined for defined in optional if book.is_primitive(elements[groups[defined][0]].type)]
    most = 4 if depth == 0 else 2 if depth < 3 else 1
    some = draw(st.lists(st.sampled_from(optional), max_size=most, unique=True)) if optional else []
    body: dict[str, Any] = {}
    for defined in [*needed, *some] or optional[:1]:
        choices = groups[defined]
        name = draw(st.sampled_from([each for each in choices if depth < 3 or book.is_primitive(elements[each].type)] or choices))
        element = elements[name]
        if book.is_primitive(element.type):
            each, beside = VALUES[element.type], _may_have_sibling(name, element) and draw(st.integers(0, 9)) == 0
        else:
            each, beside = objects(element.type, release, depth + 1), False
        body[name] = draw(st.lists(each, min_size=1, max_size=2)) if element.many else draw(each)
        if beside:
            body[f"_{name}"] = (
                [{"extension": [_EXTENSION]}] * len(body[name]) if element.many else {"id": "a", "extension": [_EXTENSION]}
            )
    return body


@st.composite
def resources(draw: st.DrawFn, release: Release) -> dict[str, Any]:
    """A right resource of one of the `KINDS`, sometimes with a contained one."""
    kind = draw(st.sampled_from(KINDS))
    body = {"resourceType": kind, **draw(objects(kind, release))}
    if draw(st.integers(0, 9)) == 0:
        body["contained"] = [{"resourceType": "Organization", "id": "o", "name": "某医院"}]
    return body


def _spots(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, member name or index) of a body."""
    pairs = list(node.items()) if isinstance(node, dict) else list(enumerate(node))
    for key, child in pairs:
        yield node, key
        if isinstance(child, (dict, list)):
            yield from _spots(child)


_NONSENSE = (
    "",
    " ",
    "x",
    "甲",
    "2024-02-30",
    "2024-05-01T08:00",
    "2024-05-01T08:00:00",
    0,
    -1,
    1.5,
    2**31,
    True,
    None,
    [],
    {},
    [None],
    {"nonsense": 1},
    ["x"],
)


@st.composite
def spoiled(draw: st.DrawFn, body: dict[str, Any]) -> dict[str, Any]:
    """The body with one thing changed, which may leave it right or make it wrong."""
    body = copy.deepcopy(body)
    container, key = draw(st.sampled_from(list(_spots(body))))
    how = draw(st.sampled_from(("replace", "remove", "add", "wrap", "double")))
    if how == "remove":
        del container[key]
    elif how == "add" and isinstance(container, dict):
        container[draw(st.sampled_from(("nonsense", "valueString", "valueCode", "_id", "status", "id")))] = draw(
            st.sampled_from(_NONSENSE)
        )
    elif how == "wrap":
        value = container[key]
        container[key] = value[0] if isinstance(value, list) and value else [value]
    elif how == "double" and isinstance(container[key], list):
        container[key] = container[key] * 2
    else:
        container[key] = draw(st.sampled_from(_NONSENSE))
    return body
