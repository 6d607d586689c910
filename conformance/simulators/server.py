"""A simulator as a real HTTP server: in a thread of this process, or in the foreground of its own."""

from __future__ import annotations

import socket
from threading import Event, Thread
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HANG_UP = "zhibao.hang_up"


class _Protocol(HttpToolsProtocol):
    """HTTP/1.1 whose application may hang up on a client; ASGI itself has no word for that."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {_HANG_UP: {"close": self.transport.close}}


async def hang_up(scope: Scope, receive: Receive) -> None:
    """Close the connection of a request without an answer. The request's body must have been read."""
    scope["extensions"][_HANG_UP]["close"]()
    while (await receive())["type"] != "http.disconnect":
        pass


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections from now on; port 0 takes a free one. Raises ``OSError``."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(128)
    except OSError:
        made.close()
        raise
    return made


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve in the foreground until the process is asked to end."""
    _Server(_config(app)).run(sockets=[listener])


class BackgroundServer:
    """An application served from a thread. It may be stopped and started again, and keeps its port."""

    def __init__(self, app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._running: tuple[_Server, Thread] | None = None

    @property
    def url(self) -> str:
        """Where it listens (or, stopped, will listen again). Not known before the first start when any free port was asked for."""
        return f"http://{self._host}:{self._port}"

    def start(self) -> str:
        """Start, and return the address once it answers. Raises ``OSError`` when the port is taken."""
        if self._running is not None:
            return self.url
        listener = listen(self._host, self._port)
        self._port = listener.getsockname()[1]
        server = _Server(_config(self._app))

        def run() -> None:
            try:
                server.run(sockets=[listener])
            finally:
                listener.close()
                server.listening.set()

        thread = Thread(target=run, name="simulator", daemon=True)
        thread.start()
        server.listening.wait()
        if not server.started:
            thread.join()
            raise RuntimeError("the server ended before it listened")
        self._running = (server, thread)
        return self.url

    def stop(self) -> None:
        """Close every connection and end the thread."""
        if self._running is None:
            return
        server, thread = self._running
        server.should_exit = True
        thread.join()
        self._running = None


def _config(app: ASGIApp) -> uvicorn.Config:
    options: dict[str, Any] = {"ws": "none", "lifespan": "off", "log_config": None, "access_log": False}
    return uvicorn.Config(app, http=_Protocol, timeout_graceful_shutdown=1, proxy_headers=False, server_header=False, **options)
