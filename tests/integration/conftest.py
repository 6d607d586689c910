"""A platform, a hospital's installation and a signed-in clerk, all real and on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from conformance.simulators.behaviour import Behaviour
from conformance.simulators.ncpcs import Simulator
from gateway.serving import served
from gateway.settings import load
from tests.command_line import zhibao
from tests.installation import PASSWORD, install

__all__ = ["zhibao"]  # a fixture


@pytest.fixture
def platform() -> Iterator[Simulator]:
    with Simulator(behaviour=Behaviour(review_seconds=0.05)) as running:
        yield running


@pytest.fixture
def hospital(tmp_path: Path) -> Path:
    return tmp_path / "hospital"


@pytest.fixture
def transport() -> str:
    """TOML that a test may add to the platform's section."""
    return ""


@pytest.fixture
def stranger(platform: Simulator, hospital: Path, transport: str) -> Iterator[tuple[httpx.Client, str]]:
    """A client that has not signed in, and the administrator's one-time password."""
    config, password = install(hospital, url=platform.base_url, account=platform.account, secret=platform.secret, more=transport)
    with served(load(config)) as (_, url), httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        yield client, password


@pytest.fixture
def clerk(stranger: tuple[httpx.Client, str]) -> httpx.Client:
    """A client that has signed in."""
    client, password = stranger
    answer = client.post("/api/session", json={"account": "admin", "password": password, "new_password": PASSWORD})
    client.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['token']}"
    return client
