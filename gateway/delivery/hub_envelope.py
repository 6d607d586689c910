"""The two layers of XML of the Zhejiang hub: the request that travels (``SoapRequest``) and the business XML in it (``Bgks``).

Source: registry reference §4.2 (scheme v1.2) and ``mappings/platforms/zhejiang-hub/datatypes.csv``. Times on the wire are Chinese. XML from
outside is read without document types, entities and network.
"""

from __future__ import annotations

import base64
import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

from lxml import etree

from gateway.model.errors import PermanentFailure
from mappings.cadence import CHINA

PLATFORM = "zhejiang-hub"
TIME = "%Y-%m-%d %H:%M:%S"
"""How the hub writes a time (writer's rule 3)."""


class UnreadableXml(ValueError):
    """What should be XML is none, or is XML that nobody should expand. Says nothing of its content."""


@dataclass(frozen=True, slots=True)
class Datatype:
    """One kind of business XML: its number, the names of its nodes, and the option that holds its dispatch code."""

    number: str
    part: str
    plural: str
    item: str
    dispatch: str


@cache
def datatypes() -> Mapping[str, Datatype]:
    """All kinds by the part of a report that they carry: empty for the main card."""
    text = files("mappings").joinpath("platforms", PLATFORM, "datatypes.csv").read_text("utf-8")
    found = (
        Datatype(*(row[name] for name in ("datatype", "part", "plural", "item", "dispatch")))
        for row in csv.DictReader(text.splitlines())
    )
    return {one.part: one for one in found}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as every header says it, and the rule of ``Sign``. That rule is not public: ``algorithm`` is ``none`` (the element stays
    empty) or the name of a digest, ``pattern`` what is digested."""

    system_code: str
    user: str
    secret: str = ""
    algorithm: str = "none"
    pattern: str = ""

    def request_id(self, dispatch_code: str, at: datetime) -> str:
        """The number of a request that begins ``at``: system code, dispatch code, day, and as a serial of 16 digits the microseconds since
        1970. No two requests of one dispatch code may begin at the same one."""
        return f"{self.system_code}_{dispatch_code}_{at.astimezone(CHINA):%Y%m%d}_{microseconds(at):016d}"

    def request(self, dispatch_code: str, request_id: str, at: datetime, content: bytes) -> str:
        """A whole request."""
        exchanged = base64.b64encode(content).decode()
        time = at.astimezone(CHINA).strftime(TIME)
        root = etree.Element("SoapRequest")
        header = etree.SubElement(root, "Header")
        said = {
            "RequestId": request_id,
            "RequestTime": time,
            "SystemCode": self.system_code,
            "DispatchCode": dispatch_code,
            "UserName": self.user,
            "Sign": self.sign(request_id, time, exchanged),
        }
        for name, text in said.items():
            etree.SubElement(header, name).text = text
        etree.SubElement(etree.SubElement(root, "Body"), "ExchangeData").text = exchanged
        return etree.tostring(root, encoding="unicode")

    def sign(self, request_id: str, time: str, content: str) -> str:
        """``Sign`` of a request. Raises ``KeyError`` and others when the pattern cannot be filled."""
        if self.algorithm == "none":
            return ""
        signed = self.pattern.format(request_id=request_id, request_time=time, user=self.user, content=content, secret=self.secret)
        return hashlib.new(self.algorithm, signed.encode(), usedforsecurity=False).hexdigest()


def microseconds(at: datetime) -> int:
    """Microseconds since 1970, exactly: a float would not tell neighbours apart."""
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def business_xml(kind: Datatype, area: str, fields: Mapping[str, str]) -> bytes:
    """Business XML with one item. Raises `PermanentFailure` that names a field whose text cannot stand in XML."""
    root = etree.Element("Bgks")
    plural = etree.SubElement(root, kind.plural)
    for name, text in (("Count", "1"), ("Datatype", kind.number), ("Areareport", area)):
        etree.SubElement(plural, name).text = text
    item = etree.SubElement(plural, kind.item)
    for code, text in fields.items():
        try:
            etree.SubElement(item, code).text = text
        except ValueError:
            raise PermanentFailure(
                f"字段 {code} 含有不能传输的字符",
                action="请改正该字段后重新提交",
                english=f"{code} holds characters that XML does not allow",
            ) from None
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def read(text: str | bytes) -> etree._Element:
    """The root of a piece of XML from outside. Raises `UnreadableXml`."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    content = text.encode() if isinstance(text, str) else text
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise UnreadableXml("not XML") from None
    information: Any = root.getroottree().docinfo
    if information.doctype:
        raise UnreadableXml("a document type is not allowed")
    return root


def first(root: etree._Element, name: str) -> etree._Element | None:
    """The first element of a local name at or below ``root``, in whatever namespace."""
    return next((element for element in root.iter("{*}" + name)), None)


def text_of(root: etree._Element, name: str) -> str:
    """The text of the first element of a name; empty where there is none."""
    element = first(root, name)
    return (element.text or "").strip() if element is not None else ""
