"""The simulated hub as a web service: SOAP over HTTP, its description, a page for people, levers for tests.

``POST /hub`` takes SOAP 1.1, ``GET /hub?wsdl`` describes it. ``GET /`` (a page), ``GET`` and ``POST /control`` (how it behaves, what it has) are
for loopback only.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Mapping
from importlib.resources import files
from ipaddress import ip_address
from types import TracebackType
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import HTTPException
from fastapi.responses import HTMLResponse, JSONResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from lxml import etree
from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from conformance.simulators.pages import masked
from conformance.simulators.server import BackgroundServer, hang_up
from conformance.simulators.zhejiang_hub.behaviour import Behaviour, Conduct
from conformance.simulators.zhejiang_hub.cards import Card
from conformance.simulators.zhejiang_hub.exchange import DISPATCH, Exchange, Signer

PATH = "/hub"
SHOWN = 200
"""Cards on the page, newest first."""

STATUS_NAMES = {"0": "可用", "2": "死卡", "3": "误诊", "4": "重复", "5": "已删除", "6": "失访", "7": "死亡"}
"""workflow_codes.csv ``card_status``."""

_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_OWN = "urn:zhibao:simulator:zhejiang-hub"
_TEMPLATES = Environment(loader=PackageLoader("conformance.simulators", "zhejiang_hub"), autoescape=True, undefined=StrictUndefined)


class Simulator:
    """The hub, served from a thread of this process; use it in a ``with`` statement or call `start` and `stop`. What it has been sent survives
    `stop`, and `start` takes the same port again."""

    def __init__(
        self, signer: Signer | None = None, *, behaviour: Behaviour | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.signer = signer or Signer("YPGW", f"test-{secrets.token_hex(4)}", secrets.token_urlsafe(18))
        self.conduct = Conduct(behaviour or Behaviour())
        self.exchange = Exchange(self.signer, self.conduct)
        self.app = application(self.exchange, self.conduct)
        self._server = BackgroundServer(self.app, host, port)

    @property
    def url(self) -> str:
        """The address of the service: what a hospital enters as the platform's address."""
        return self._server.url + PATH

    @property
    def base_url(self) -> str:
        """Where the page and the levers are."""
        return self._server.url

    @property
    def options(self) -> dict[str, str]:
        """What a hospital must say about itself (``platforms.zhejiang-hub.options``), but for its area."""
        parts = {"1": "card", "10": "first_visit", "11": "follow_up", "12": "reconciliation", "": "query"}
        codes = {f"dispatch_{parts[datatype]}": code for code, (_, datatype) in DISPATCH.items()}
        return {"system_code": self.signer.system_code} | codes

    def start(self) -> str:
        """Start, and return the address once it answers. Raises ``OSError`` when the port is taken."""
        self._server.start()
        return self.url

    def stop(self) -> None:
        """Go down: connections are closed, later ones refused."""
        self._server.stop()

    def control(self, **changes: Any) -> Behaviour:
        """Change how it behaves, as ``POST /control`` does. Raises pydantic's ``ValidationError``."""
        return self.conduct.change(changes)

    def counts(self) -> dict[str, Any]:
        """What ``GET /control`` answers."""
        return counts(self.exchange, self.conduct)

    def __enter__(self) -> Simulator:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def application(exchange: Exchange, conduct: Conduct) -> ASGIApp:
    """The hub as an ASGI application. Dropping answers needs the server of `conformance.simulators.server`."""
    app = FastAPI(title="zhejiang-hub", openapi_url=None)
    app.state.exchange, app.state.conduct = exchange, conduct
    app.add_api_route(PATH, _describe, methods=["GET"])
    app.add_api_route(PATH, _call, methods=["POST"])
    loopback = [Depends(_only_loopback)]
    app.add_api_route("/", _page, methods=["GET"], dependencies=loopback)
    app.add_api_route("/control", _state, methods=["GET"], dependencies=loopback)
    app.add_api_route("/control", _control, methods=["POST"], dependencies=loopback)
    return app


class _HangUp(Response):
    """No answer: the connection is closed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        await hang_up(scope, receive)


# -- SOAP


def _describe(request: Request) -> Response:
    if "wsdl" not in request.query_params:
        raise HTTPException(404)
    text = files("conformance.simulators.zhejiang_hub").joinpath("hub.wsdl").read_text("utf-8")
    return Response(text.replace("http://localhost/hub", str(request.base_url).rstrip("/") + PATH), media_type="text/xml")


async def _call(request: Request) -> Response:
    content = await request.body()
    exchange: Exchange = request.app.state.exchange
    conduct: Conduct = request.app.state.conduct
    await asyncio.sleep(conduct.now.slow_seconds)
    if (refuse := conduct.refusing()) is not None:
        headers = {} if refuse.retry_after is None else {"Retry-After": str(refuse.retry_after)}
        return Response("<html>not now</html>", refuse.status, headers, "text/html")
    asked = _asked(content)
    if asked is None:
        return _fault("Client", "the envelope is not as described")
    kind = exchange.kind_of(asked)
    fault = conduct.faulting(kind)
    if fault is not None and not fault.carried_out:
        return _fault("Server", "out of order")
    text = exchange.answer(asked)
    if fault is not None:
        return _fault("Server", "out of order")
    if kind == "upload" and conduct.drops_answer():
        return _HangUp()
    foreign = conduct.foreign()
    if foreign is not None and foreign.whole:
        return Response(foreign.text, media_type="text/xml")
    return Response(_answer(text if foreign is None else foreign.text), media_type="text/xml")


def _asked(content: bytes) -> str | None:
    """The text in an envelope that is as the description says; None otherwise."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError:
        return None
    called = root.find(f"{{{_SOAP}}}Body/{{{_OWN}}}dataEncryExchange")
    if called is None or len(called) != 1 or called[0].tag != f"{{{_OWN}}}xml" or len(called[0]):
        return None
    return called[0].text or ""


def _answer(text: str) -> bytes:
    envelope = etree.Element(f"{{{_SOAP}}}Envelope")
    body = etree.SubElement(envelope, f"{{{_SOAP}}}Body")
    etree.SubElement(etree.SubElement(body, f"{{{_OWN}}}dataEncryExchangeResponse"), f"{{{_OWN}}}return").text = text
    return etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")


def _fault(code: str, text: str) -> Response:
    envelope = etree.Element(f"{{{_SOAP}}}Envelope", nsmap={"soap": _SOAP})
    fault = etree.SubElement(etree.SubElement(envelope, f"{{{_SOAP}}}Body"), f"{{{_SOAP}}}Fault")
    etree.SubElement(fault, "faultcode").text = f"soap:{code}"
    etree.SubElement(fault, "faultstring").text = text
    return Response(etree.tostring(envelope, xml_declaration=True, encoding="UTF-8"), 500, media_type="text/xml")


# -- the simulator's own addresses


def _only_loopback(request: Request) -> None:
    if request.client is None or not ip_address(request.client.host).is_loopback:
        raise HTTPException(403)


def _page(request: Request) -> HTMLResponse:
    exchange: Exchange = request.app.state.exchange
    cards = sorted(exchange.cards.cards.values(), key=lambda card: card.stored_at, reverse=True)
    totals = Counter(STATUS_NAMES.get(card.status, card.status) for card in cards)
    lines = [(card, masked(card.fields.get("VC_HZXM", "")), STATUS_NAMES.get(card.status, card.status)) for card in cards[:SHOWN]]
    page = _TEMPLATES.get_template("page.html").render(
        lines=lines, total=len(cards), totals=totals, doubles=exchange.cards.doubles(), visits=_visits(cards)
    )
    return HTMLResponse(page)


def _state(request: Request) -> JSONResponse:
    return JSONResponse(counts(request.app.state.exchange, request.app.state.conduct))


def _control(request: Request, changes: dict[str, Any]) -> JSONResponse:
    conduct: Conduct = request.app.state.conduct
    try:
        conduct.change(changes)
    except ValidationError as error:
        return JSONResponse({"errors": [".".join(map(str, e["loc"])) for e in error.errors()]}, 422)
    return _state(request)


def counts(exchange: Exchange, conduct: Conduct) -> dict[str, Any]:
    """What a test wants to know. ``uploads``: by VC_ID, how often it was carried out; ``doubles``: cards too many."""
    cards = list(exchange.cards.cards.values())
    return {
        "cards": len(cards),
        "usable": sum(card.usable for card in cards),
        "visits": _visits(cards),
        "doubles": exchange.cards.doubles(),
        "uploads": dict(exchange.cards.uploads),
        "repeated_requests": exchange.repeated,
        "answers_dropped": conduct.dropped,
        "behaviour": conduct.now.model_dump(),
    }


def _visits(cards: list[Card]) -> Mapping[str, int]:
    return Counter(part for card in cards for part, _ in card.visits)
