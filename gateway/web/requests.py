"""What every request has at hand: the gateway, the account behind the token, and how an error becomes an answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import Depends, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from adapters.fhir.refusal import FhirRefused
from gateway.access.accounts import Door
from gateway.model.errors import (
    AccessDenied,
    ConfigurationError,
    DeliveryError,
    Forbidden,
    IllegalTransition,
    NotFound,
    Overloaded,
    TooManyRequests,
    TooSlow,
    UnusableInput,
    ZhibaoError,
)
from gateway.runtime import Gateway
from gateway.web.outcomes import fhir, outcome, speaks_fhir, told_as_issue


class Body(BaseModel):
    """Base of request bodies: a mistyped name or a value of another type is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Fault(BaseModel):
    """Why a request was not carried out: a Chinese sentence, what to do about it, and the same in English."""

    error: str
    action: str
    english: str


LARGEST: Final = 2**63 - 1
"""The largest integer that a database takes."""

Number = Annotated[int, Path(ge=1, le=LARGEST)]
"""The number of a row in a path."""


_bearer = HTTPBearer(auto_error=False, description="令牌：POST /api/session 取得 / token from POST /api/session")

_STATUS: tuple[tuple[type[ZhibaoError], int], ...] = (
    (AccessDenied, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (IllegalTransition, 409),
    (TooSlow, 408),
    (UnusableInput, 422),
    (TooManyRequests, 429),
    (Overloaded, 503),
    (DeliveryError, 502),
    (ConfigurationError, 500),
)


Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


_HEADERS: Final[Mapping[int, Mapping[str, str]]] = {
    401: {"WWW-Authenticate": "Bearer"},
    408: {"Connection": "close"},
    429: {"Retry-After": "1"},
    503: {"Retry-After": "60"},
}


def gateway_of(request: Request) -> Gateway:
    """The gateway that this server runs."""
    gateway: Gateway = request.app.state.gateway
    return gateway


def account_of(request: Request, bearer: Bearer) -> str:
    """The account behind the request's token. Raises `AccessDenied`."""
    door: Door = request.app.state.door
    return door.who(bearer.credentials if bearer is not None else "")


InGateway = Annotated[Gateway, Depends(gateway_of)]
Actor = Annotated[str, Depends(account_of)]


async def answer_error(request: Request, error: Exception) -> Response:
    """An error of the tree as JSON: Chinese message, what to do, English text; where FHIR is spoken as an OperationOutcome."""
    assert isinstance(error, ZhibaoError)
    if isinstance(error, FhirRefused):
        return fhir(request, outcome(error.issues), status=error.status)
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
    headers = _HEADERS.get(status, {})
    return _answer(request, status, Fault(error=error.message, action=error.action, english=error.english), headers)


async def answer_invalid(request: Request, error: Exception) -> Response:
    """A request that does not have the form the API wants. Names the fields at fault and never what they held, which may be a password
    or a patient's data; the name of a field nobody knows was made up by the sender and is not repeated either."""
    assert isinstance(error, RequestValidationError)
    faults = list(dict.fromkeys(_faults(error)))
    told = Fault(
        error="请求不符合接口要求：" + "；".join(chinese for chinese, _ in faults),
        action="请按 /docs 中的接口说明改正后重试",
        english="invalid request: " + "; ".join(english for _, english in faults),
    )
    return _answer(request, 422, told)


def _faults(error: RequestValidationError) -> Iterator[tuple[str, str]]:
    for fault in error.errors():
        kind, path = fault["type"], [str(part) for part in fault["loc"][1:]]
        if kind == "extra_forbidden":
            within = ".".join(path[:-1])
            yield (f"{within or '请求体'} 中有不认识的字段", f"unknown field in {within or 'the body'}")
        elif kind == "json_invalid":
            yield ("请求体不是 JSON", "the body is not JSON")
        elif kind == "missing":
            yield (f"缺少 {'.'.join(path) or '请求体'}", f"{'.'.join(path) or 'the body'} is missing")
        else:
            yield (f"{'.'.join(path) or '请求体'} 的值不正确", f"{'.'.join(path) or 'the body'} is not valid ({kind})")


_UNANSWERABLE = {
    400: ("请求无法读懂", "请按 /docs 中的接口说明改正后重试"),
    404: ("没有这个地址", "接口列表见 /docs"),
    405: ("这个地址不能这样访问", "可用的方法见 /docs"),
}


async def answer_unanswerable(request: Request, error: Exception) -> Response:
    """A request that reaches no function of the API, in the same form as every other refusal."""
    assert isinstance(error, HTTPException)
    status = error.status_code
    message, action = _UNANSWERABLE.get(status, (f"请求无法处理（{status}）", "接口说明见 /docs"))
    return _answer(request, status, Fault(error=message, action=action, english=HTTPStatus(status).phrase.lower()), error.headers)


async def answer_nobody(_request: Request, _error: Exception) -> Response:
    """The sender hung up: nobody reads this."""
    return Response(status_code=400)


async def answer_unexpected(request: Request) -> Response:
    """An error of ours, of which the log says more (`gateway.web.unexpected`)."""
    fault = Fault(
        error="服务内部出错，请求没有完成",
        action="请稍后重试；仍然出错时请联系管理员查看服务日志",
        english="an unexpected error, see the log of the server",
    )
    return _answer(request, 500, fault)


def _answer(request: Request, status: int, fault: Fault, headers: Mapping[str, str] | None = None) -> Response:
    if speaks_fhir(request):
        return fhir(
            request, outcome([told_as_issue(status, fault.error, fault.action, fault.english)]), status=status, headers=headers
        )
    return JSONResponse(fault.model_dump(), status_code=status, headers=dict(headers or {}))
