"""The web application: API with OpenAPI docs, health, metrics and the overview page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from gateway.access.accounts import Door
from gateway.access.clients import Clients, GrantRefused
from gateway.model.errors import ZhibaoError
from gateway.runtime import Gateway
from gateway.web import (
    batches,
    clients,
    fhir,
    fhir_search,
    files,
    operations,
    overview,
    registry,
    sessions,
    sources,
    submissions,
    tumours,
)
from gateway.web.bodies import USUAL, Pace, Work
from gateway.web.requests import Fault, answer_error, answer_invalid, answer_nobody, answer_unanswerable, answer_unexpected
from gateway.web.unexpected import write_down

_HERE = Path(__file__).parent
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def create_app(gateway: Gateway, public_url: str, pace: Pace = USUAL) -> FastAPI:
    """The application over a gateway that the caller starts and closes. ``public_url`` is where clients reach it, empty if not known;
    ``pace`` is how slowly they may send."""
    app = FastAPI(
        title="直报 Zhibao",
        version=version("zhibao"),
        summary="肿瘤数据上报网关 / oncology reporting gateway",
        docs_url=None,  # served below from packaged assets: a hospital's network has no CDN
        redoc_url=None,
        responses={"4XX": {"model": Fault, "description": "没有照办，原因见内容 / refused, and why"}},
    )
    app.state.gateway = gateway
    app.state.door = Door(gateway.ledger)
    app.state.clients = Clients(gateway.ledger)
    app.state.public_url = public_url
    app.state.pace = pace
    app.state.work = Work()
    app.add_exception_handler(ZhibaoError, answer_error)
    app.add_exception_handler(GrantRefused, clients.answer_refused_grant)
    app.add_exception_handler(RequestValidationError, answer_invalid)
    app.add_exception_handler(HTTPException, answer_unanswerable)
    app.add_exception_handler(ClientDisconnect, answer_nobody)
    for module in (
        sessions,
        clients,
        fhir_search,
        fhir,
        files,
        sources,
        submissions,
        batches,
        tumours,
        registry,
        operations,
        overview,
    ):
        app.include_router(module.router)
    app.add_api_route("/docs", _docs, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")

    @app.middleware("http")
    async def _secure(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        try:
            response = await call_next(request)
        except Exception as error:
            write_down(error)
            response = await answer_unexpected(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return app


async def _docs() -> HTMLResponse:
    page = (_HERE / "templates" / "docs.html").read_text("utf-8")
    policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"
    return HTMLResponse(page, headers={"Content-Security-Policy": policy})
