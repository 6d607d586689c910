"""A served gateway with one more address, which answers who is calling and whether it may do something."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi import FastAPI

from gateway import serving
from gateway.access.scopes import Action
from gateway.runtime import Gateway
from gateway.web.app import create_app
from gateway.web.bodies import Pace
from gateway.web.clients import Caller


def _probe(kind: str, action: Action, caller: Caller) -> dict[str, str]:
    caller.demand(kind, action)
    return {"name": caller.name, "source": caller.source}


def _with_probe(gateway: Gateway, public_url: str, pace: Pace) -> FastAPI:
    app = create_app(gateway, public_url, pace)
    app.add_api_route("/probe/{kind}/{action}", _probe)
    return app


@contextmanager
def probing() -> Iterator[None]:
    """Gateways served within the block answer ``GET /probe/<kind>/<action>``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving, "create_app", _with_probe)
        yield
