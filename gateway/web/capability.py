"""The CapabilityStatement: what the FHIR side of the API does, drawn from the very tables that it works by."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

from adapters.fhir.resource import USED
from gateway.web.searches import SEARCHES

_SMART: Final = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_WRITTEN: Final = ("create", "update", "delete", "read")
RELEASED: Final = "2026-11-25"
"""The day on which what is stated here last changed."""


def capability_statement(base: str) -> dict[str, Any]:
    """The statement of the server at ``base``. FHIR R4 4.0.1 is what it answers in; it takes R4, R4B and R5."""
    security = {
        "cors": False,
        "service": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "SMART-on-FHIR"}]}
        ],
        "description": "SMART Backend Services（签名 JWT）、API 密钥、客户端证书或账号令牌 / SMART backend services, API keys, mutual TLS",
        "extension": [{"url": _SMART, "extension": [{"url": "token", "valueUri": f"{base}/token"}]}],
    }
    rest = {
        "mode": "server",
        "documentation": "接收 R4、R4B、R5 的 JSON 与 XML；检索结果为 R4 / takes R4, R4B, R5 in JSON and XML, answers searches in R4",
        "security": security,
        "resource": [_resource(kind) for kind in sorted(USED | SEARCHES.keys())],
        "interaction": [{"code": "transaction"}, {"code": "batch"}],
    }
    return {
        "resourceType": "CapabilityStatement",
        "url": f"{base}/metadata",
        "name": "Zhibao",
        "title": "直报肿瘤数据上报网关",
        "status": "active",
        "date": RELEASED,
        "kind": "instance",
        "software": {"name": "直报 Zhibao", "version": version("zhibao")},
        "implementation": {"description": "直报网关的 FHIR 接口 / FHIR interface of the Zhibao gateway", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["json", "xml"],
        "rest": [rest],
    }


def _resource(kind: str) -> dict[str, Any]:
    written, search = kind in USED, SEARCHES.get(kind)
    codes = [*(_WRITTEN if written else ("read",)), *(("search-type",) if search else ())]
    made: dict[str, Any] = {"type": kind, "interaction": [{"code": code} for code in codes]}
    if written:
        made |= {
            "versioning": "versioned-update",
            "readHistory": False,
            "updateCreate": True,
            "conditionalCreate": True,
            "conditionalRead": "not-supported",
            "conditionalUpdate": True,
            "conditionalDelete": "not-supported",
            "referencePolicy": ["literal", "logical", "resolves"],
        }
    if search:
        made["searchParam"] = [{"name": name, "type": type_, "documentation": told} for name, (type_, told) in search.items()]
    return made
