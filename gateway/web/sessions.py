"""Signing in and out."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gateway.web.requests import Actor, Body

router = APIRouter(prefix="/api/session", tags=["session 登录"])


class SignIn(Body):
    """An account and its password; ``new_password`` replaces it, which a one-time password demands."""

    account: str
    password: str
    new_password: str = ""


class Session(Body):
    """A bearer token for the ``Authorization`` header. It ends by itself after twelve hours."""

    token: str


@router.post("", summary="登录，取得令牌 / sign in")
def sign_in(body: SignIn, request: Request) -> Session:
    address = request.client.host if request.client is not None else ""
    token: str = request.app.state.door.sign_in(body.account, body.password, body.new_password, address=address)
    return Session(token=token)


@router.delete("", status_code=204, summary="退出 / sign out")
def sign_out(request: Request, actor: Actor) -> Response:  # noqa: ARG001 - only who is signed in can sign out
    request.app.state.door.sign_out(request.headers["authorization"].removeprefix("Bearer "))
    return Response(status_code=204)
