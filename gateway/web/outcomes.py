"""What the FHIR side of the API answers: resources as JSON or XML, and OperationOutcome for whatever was refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from adapters.fhir.xml import to_xml
from fastapi import Request
from fastapi.responses import Response

from adapters.fhir.refusal import FhirRefused, Issue
from gateway.model.errors import (
    AccessDenied,
    Forbidden,
    IllegalTransition,
    NotFound,
    Overloaded,
    TooManyRequests,
    UnusableInput,
    ZhibaoError,
)

JSON: Final = "application/fhir+json"
XML: Final = "application/fhir+xml"
PREFIX: Final = "/fhir"

_encoder = msgspec.json.Encoder(decimal_format="number")
_CODES: tuple[tuple[type[ZhibaoError], int, str], ...] = (
    (AccessDenied, 401, "login"),
    (Forbidden, 403, "forbidden"),
    (NotFound, 404, "not-found"),
    (IllegalTransition, 409, "conflict"),
    (UnusableInput, 422, "processing"),
    (TooManyRequests, 429, "throttled"),
    (Overloaded, 503, "transient"),
)


def fhir(request: Request, body: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A resource as the request wants it: JSON, or XML by ``_format`` or ``Accept``. Decimals keep their digits."""
    if wants_xml(request):
        content, media = to_xml(body, "R4"), XML
    else:
        content, media = _encoder.encode(body), JSON
    return Response(content, status_code=status, media_type=f"{media}; charset=utf-8", headers=dict(headers or {}))


def wants_xml(request: Request) -> bool:
    """Whether the answer is to be XML."""
    asked = request.query_params.get("_format", "") or request.headers.get("accept", "")
    xml, json = asked.find("xml"), asked.find("json")
    return xml >= 0 and (json < 0 or xml < json)


def outcome(issues: Iterable[Issue]) -> dict[str, Any]:
    """An OperationOutcome: Chinese in ``details.text``, English in ``diagnostics``, the element in ``expression``."""
    listed = []
    for issue in issues:
        one: dict[str, Any] = {"severity": issue.severity, "code": issue.code}
        one["details"] = {"coding": [{"system": "urn:zhibao:rule", "code": issue.rule}], "text": issue.message}
        one["diagnostics"] = issue.english
        if issue.expression:
            one["expression"] = [issue.expression]
        listed.append(one)
    return {"resourceType": "OperationOutcome", "issue": listed}


def refusal(request: Request, error: ZhibaoError) -> Response:
    """An error of the tree as an OperationOutcome."""
    if isinstance(error, FhirRefused):
        return fhir(request, outcome(error.issues), status=error.status)
    status, code = next(((status, code) for kind, status, code in _CODES if isinstance(error, kind)), (500, "exception"))
    severity = "fatal" if status == 500 else "error"
    text = f"{error.message}{'；' + error.action if error.action else ''}"
    issue = Issue(severity, code, "", code, text, error.english)  # type: ignore[arg-type]
    headers = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "1"}, 503: {"Retry-After": "60"}}.get(status, {})
    return fhir(request, outcome([issue]), status=status, headers=headers)


def speaks_fhir(request: Request) -> bool:
    """Whether a request is one to the FHIR side, whose refusals are OperationOutcomes (the token endpoint answers as OAuth does)."""
    path = request.url.path
    return (path == PREFIX or path.startswith(f"{PREFIX}/")) and not path.startswith((f"{PREFIX}/token", f"{PREFIX}/.well-known"))
