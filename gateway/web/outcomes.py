"""What the FHIR side of the API answers: resources as JSON or XML, and OperationOutcome for whatever was refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fastapi import Request
from fastapi.responses import Response

from adapters.fhir.json_text import encode
from adapters.fhir.refusal import FhirRefused, Issue, IssueSeverity, refused
from adapters.fhir.resource import Release
from adapters.fhir.xml import to_xml

JSON: Final = "application/fhir+json"
XML: Final = "application/fhir+xml"
PREFIX: Final = "/fhir"

_CODES: Final = {
    400: "invalid",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    408: "timeout",
    409: "conflict",
    429: "throttled",
    503: "transient",
}
"""FHIR's IssueType by HTTP status."""

Answers = dict[int | str, dict[str, Any]]
"""Answers of an operation as OpenAPI describes them, by status."""


def described(description: str, *statuses: int | str, kind: str = "") -> Answers:
    """Answers that are a resource, of a ``kind`` where it is always the same."""
    said = {"type": "string", **({"const": kind} if kind else {})}
    schema = {"type": "object", "required": ["resourceType"], "properties": {"resourceType": said}}
    content = {JSON: {"schema": schema}, XML: {"schema": {"type": "string"}}}
    return {status: {"description": description, "content": content} for status in statuses}


REFUSED: Final = described("没有照办，原因见内容 / refused, and why", "4XX", 503, kind="OperationOutcome")


def fhir(
    request: Request,
    body: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    release: Release = "R4",
) -> Response:
    """A resource as the request wants it: JSON, or XML by ``_format`` or ``Accept``. Decimals keep their digits."""
    if wants_xml(request):
        content, media = to_xml(body, release), XML
    else:
        content, media = encode(body), JSON
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


def told_as_issue(status: int, message: str, action: str, english: str) -> Issue:
    """A refusal of the API as an issue."""
    code = _CODES.get(status, "exception" if status >= 500 else "processing")
    severity: IssueSeverity = "fatal" if status >= 500 and status != 503 else "error"
    return Issue(severity, code, "", code, f"{message}{'；' + action if action else ''}", english)


def request_refused(rule: str, code: str, message: str, english: str, status: int) -> FhirRefused:
    """The refusal of a request as a whole; the words are those of `Issue`."""
    return refused(rule, code, "", message, english, severity="error", status=status)


def speaks_fhir(request: Request) -> bool:
    """Whether a request is one to the FHIR side, whose refusals are OperationOutcomes (the token endpoint answers as OAuth does)."""
    path = request.url.path
    return (path == PREFIX or path.startswith(f"{PREFIX}/")) and not path.startswith((f"{PREFIX}/token", f"{PREFIX}/.well-known"))
