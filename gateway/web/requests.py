"""What every request has at hand: the gateway, the account behind the token, and how an error becomes an answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict

from gateway.access.accounts import Door
from gateway.model.errors import (
    AccessDenied,
    ConfigurationError,
    DeliveryError,
    IllegalTransition,
    NotFound,
    Overloaded,
    UnusableInput,
    ZhibaoError,
)
from gateway.runtime import Gateway


class Body(BaseModel):
    """Base of request bodies: a mistyped name or a value of another type is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


_bearer = HTTPBearer(auto_error=False, description="令牌：POST /api/session 取得 / token from POST /api/session")

_STATUS: tuple[tuple[type[ZhibaoError], int], ...] = (
    (AccessDenied, 401),
    (NotFound, 404),
    (IllegalTransition, 409),
    (UnusableInput, 422),
    (Overloaded, 503),
    (DeliveryError, 502),
    (ConfigurationError, 500),
)


def gateway_of(request: Request) -> Gateway:
    """The gateway that this server runs."""
    gateway: Gateway = request.app.state.gateway
    return gateway


def account_of(request: Request, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> str:
    """The account behind the request's token. Raises `AccessDenied`."""
    door: Door = request.app.state.door
    return door.who(bearer.credentials if bearer is not None else "")


InGateway = Annotated[Gateway, Depends(gateway_of)]
Actor = Annotated[str, Depends(account_of)]


async def answer_error(_request: Request, error: Exception) -> JSONResponse:
    """An error of the tree as JSON: Chinese message, what to do, English text."""
    assert isinstance(error, ZhibaoError)
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
    headers = {"Retry-After": "60"} if status == 503 else {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    body = {"error": error.message, "action": error.action, "english": error.english}
    return JSONResponse(body, status_code=status, headers=headers)
