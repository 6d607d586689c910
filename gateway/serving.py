"""The server process: one gateway and its web application until it is told to stop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import uvicorn

from gateway.model.errors import ConfigurationError
from gateway.runtime import Gateway
from gateway.settings import Settings
from gateway.web.app import create_app


def _server(gateway: Gateway) -> uvicorn.Server:
    server = gateway.settings.server
    return uvicorn.Server(
        uvicorn.Config(
            create_app(gateway),
            host=server.host,
            port=server.port,
            ssl_certfile=str(gateway.settings.path(server.tls_certificate)) if server.tls_certificate else None,
            ssl_keyfile=str(gateway.settings.path(server.tls_key)) if server.tls_key else None,
            access_log=False,  # request lines may hold identifiers
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    )


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. What is under way is carried on by the next start."""
    gateway = Gateway(settings)
    try:
        gateway.start()
        _server(gateway).run()
    finally:
        gateway.close()


@contextmanager
def served(settings: Settings) -> Iterator[tuple[Gateway, str]]:
    """A gateway and its base URL for the time of the block, in threads of this process (for the demo and for tests). Raises
    `ConfigurationError` when it cannot listen."""
    gateway = Gateway(settings)
    server = _server(gateway)
    thread = threading.Thread(target=server.run, name="web", daemon=True)
    try:
        gateway.start()
        thread.start()
        deadline = monotonic() + 20
        while not server.started:
            if not thread.is_alive() or monotonic() > deadline:
                raise ConfigurationError(
                    f"无法在 {settings.server.host}:{settings.server.port} 上监听",
                    action="请检查端口是否被占用",
                    english="cannot listen",
                )
            thread.join(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield gateway, f"http://{settings.server.host}:{port}"
    finally:
        server.should_exit = True
        if thread.is_alive():
            thread.join(timeout=15)
        gateway.close()
