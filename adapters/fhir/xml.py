"""FHIR XML to and from the JSON form of the same resource (FHIR xml.html and json.html).

XML does not say which elements repeat or what is a number; the definitions of the release do. What they do not know is taken over as it
stands, so that `adapters.fhir.structure` names it. Nothing is expanded or fetched: a document type declaration is refused, whatever is in
it. Comments and processing instructions are no content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from decimal import Decimal
from typing import Any, Final

from lxml import etree

from adapters.fhir.definitions import RESOURCE, Definitions, Element, definitions
from adapters.fhir.json_text import DEEPEST, is_absurd, join, safe_name, too_deep
from adapters.fhir.primitives import primitives
from adapters.fhir.refusal import FhirRefused, refused
from adapters.fhir.resource import Body, Release
from adapters.fhir.structure import faults

FHIR: Final = "http://hl7.org/fhir"
XHTML: Final = "http://www.w3.org/1999/xhtml"

_DOCTYPE = re.compile(rb"(?:\s+|<\?.*?\?>|<!--.*?-->)*<!DOCTYPE", re.DOTALL)
_ENCODING = re.compile(rb"""<\?xml[^>]*?\sencoding\s*=\s*["']([^"'>]*)["']""")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_UNKNOWN = Element("", "", required=False, many=False, attribute=False)
_UNKNOWN_NARRATIVE = _UNKNOWN._replace(type="xhtml")


def parse(raw: bytes) -> etree._Element:
    """The root element of an XML text. Raises `FhirRefused` (``xml``, ``doctype``, ``encoding``, ``too-deep``)."""
    if _DOCTYPE.match(raw):
        raise refused("doctype", "structure", "", "不接受带 DOCTYPE 声明的 XML", "a DOCTYPE is not accepted", status=400)
    declared = _ENCODING.match(raw)
    if declared and declared[1].decode("ascii", "replace").upper() not in ("UTF-8", "UTF8", "US-ASCII"):
        raise refused("encoding", "structure", "", "XML 须为 UTF-8 编码", "XML must be UTF-8", status=400)
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(raw, parser)
    except etree.XMLSyntaxError as error:
        if "depth" in str(error):
            raise too_deep("") from None
        line, column = error.position
        text, english = f"不是有效的 XML（第 {line} 行第 {column} 列）", f"not valid XML (line {line}, column {column})"
        raise refused("xml", "structure", "", text, english, status=400) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise refused("doctype", "structure", "", "不接受带 DOCTYPE 声明的 XML", "a DOCTYPE is not accepted", status=400)
    return root


def to_json_form(root: etree._Element, release: Release) -> tuple[dict[str, Any], int]:
    """(a resource in the form that JSON would have decoded to, how many of its elements the release does not know).

    Raises `FhirRefused` (``xml``, ``too-deep``)."""
    reading = _Reading(definitions(release))
    form = reading.resource(root, "", 1)
    return form, reading.unknown


class _Reading:
    """One resource on its way from XML to the JSON form."""

    def __init__(self, book: Definitions) -> None:
        self._book = book
        self.unknown = 0

    def resource(self, node: etree._Element, where: str, depth: int) -> dict[str, Any]:
        """The element named like a resource type."""
        space, kind = _split(node)
        if space != FHIR:
            text, english = f"元素不在命名空间 {FHIR} 中", f"element is not in the namespace {FHIR}"
            raise refused("xml", "structure", where or safe_name(kind), text, english, status=400)
        known = kind in self._book.resources
        self.unknown += not known
        return {"resourceType": kind, **self._object(node, kind if known else "", where or safe_name(kind), depth)}

    def _object(self, node: etree._Element, type_name: str, where: str, depth: int, *, is_value: bool = False) -> dict[str, Any]:
        """An element with elements inside; ``is_value``: a primitive one, whose attribute ``value`` is none of these."""
        if depth > DEEPEST:
            raise too_deep(where)
        self._no_text(node, where)
        elements: Mapping[str, Element] = self._book.elements(type_name) if type_name else {}
        form: dict[str, Any] = {}
        for attribute, value in node.attrib.items():
            if not str(attribute).startswith("{") and not (is_value and attribute == "value"):
                self.unknown += attribute not in elements
                form[str(attribute)] = str(value)
        siblings: dict[str, list[Any]] = {}
        values: dict[str, list[Any]] = {}
        for child in node:
            space, name = _split(child)
            element = elements.get(name)
            if element is None or element.attribute or space != (XHTML if element.type == "xhtml" else FHIR):
                self.unknown += 1
                element = _UNKNOWN_NARRATIVE if space == XHTML else _UNKNOWN
            value, sibling = self._value(child, element, join(where, safe_name(name)), depth)
            values.setdefault(name, []).append(value)
            siblings.setdefault(name, []).append(sibling)
        for name, listed in values.items():
            many = name in elements and elements[name].many
            for member, found in ((name, listed), (f"_{name}", siblings[name])):
                if any(item is not None for item in found):
                    form[member] = found if many or len(found) > 1 else found[0]
        return form

    def _value(self, node: etree._Element, element: Element, where: str, depth: int) -> tuple[Any, dict[str, Any] | None]:
        """(value or object, the ``_`` sibling of a primitive value)."""
        if element.type == "xhtml":
            return _narrative(node), None
        if element.type == RESOURCE:
            inside = list(node)
            if len(inside) != 1:
                raise refused("xml", "structure", where, "应恰有一个资源", "must hold one resource", status=400)
            return self.resource(inside[0], where, depth + 1), None
        primitive = element.type and self._book.is_primitive(element.type)
        if not primitive and not (element is _UNKNOWN and "value" in node.attrib):
            return self._object(node, element.type, where, depth + 1), None
        written = node.attrib.get("value")
        sibling = self._object(node, "Element", where, depth + 1, is_value=True)
        if written is None:
            return None, sibling  # without anything inside it is an empty object, and a fault
        return _typed(str(written), element.type), sibling or None

    def _no_text(self, node: etree._Element, where: str) -> None:
        if (node.text and not node.text.isspace()) or any(child.tail and not child.tail.isspace() for child in node):
            text, english = "元素内不得有文字，值应写在 value 属性中", "text is not allowed here; values are in the attribute value"
            raise refused("xml", "structure", where, text, english, status=400)


def _typed(written: str, type_name: str) -> Any:
    """A value as JSON would have it; one that is not of its type stays text and fails the structure check."""
    json_type = primitives()[type_name].json if type_name in primitives() else "string"
    if json_type == "boolean" and written in ("true", "false"):
        return written == "true"
    if json_type == "integer" and len(written) < 12 and _INTEGER.fullmatch(written):
        return int(written)
    if json_type == "number" and not is_absurd(written) and _DECIMAL.fullmatch(written):
        return Decimal(written) if not _INTEGER.fullmatch(written) else int(written)
    return written


def _narrative(node: etree._Element) -> str:
    alone = deepcopy(node)
    alone.tail = None
    etree.cleanup_namespaces(alone)
    return etree.tostring(alone, encoding="unicode")


def _split(node: etree._Element) -> tuple[str, str]:
    """(namespace, local name)."""
    name = etree.QName(node)
    return name.namespace or "", name.localname


def to_xml(body: Body, release: Release) -> bytes:
    """A resource as XML in UTF-8. Raises `FhirRefused` for one that `adapters.fhir.structure` finds faults in or whose narrative is not
    XML."""
    found = faults(body, release)
    if found:
        raise FhirRefused("structure", found)
    root = _Writing(definitions(release)).resource(body)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


class _Writing:
    """One resource on its way to XML, elements in the order of the definition."""

    def __init__(self, book: Definitions) -> None:
        self._book = book

    def resource(self, body: Body) -> etree._Element:
        """A resource as an element of its own."""
        kind = str(body["resourceType"])
        root = etree.Element(etree.QName(FHIR, kind), nsmap={None: FHIR})  # type: ignore[dict-item]  # lxml: no prefix
        self._fill(root, body, kind)
        return root

    def _fill(self, node: etree._Element, body: Body, type_name: str) -> None:
        for name, element in self._book.elements(type_name).items():
            if element.attribute:
                if name in body:
                    node.set(name, str(body[name]))
                continue
            for value, sibling in _pairs(body.get(name), body.get(f"_{name}")):
                self._child(node, name, element, value, sibling)

    def _child(self, node: etree._Element, name: str, element: Element, value: Any, sibling: Any) -> None:
        if element.type == "xhtml":
            node.append(parse(value.encode()))
            return
        child = etree.SubElement(node, etree.QName(FHIR, name))
        if element.type == RESOURCE:
            child.append(self.resource(value))
        elif not self._book.is_primitive(element.type):
            self._fill(child, value, element.type)
        else:
            if value is not None:
                child.set("value", _written(value))
            if sibling:
                self._fill(child, sibling, "Element")


def _pairs(values: Any, siblings: Any) -> Iterator[tuple[Any, Any]]:
    """Each occurrence of an element with its ``_`` sibling."""
    if not isinstance(values, list) and not isinstance(siblings, list):
        if values is not None or siblings is not None:
            yield values, siblings
        return
    values, siblings = values or [], siblings or []
    for number in range(max(len(values), len(siblings))):
        yield (
            values[number] if number < len(values) else None,
            siblings[number] if number < len(siblings) else None,
        )


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal) and value.as_tuple().exponent in range(-DEEPEST, 1):
        return format(value, "f")
    return str(value)
