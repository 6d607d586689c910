"""The server process: one gateway and its web application until it is told to stop."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

import uvicorn

from gateway.model.errors import ConfigurationError
from gateway.runtime import Gateway
from gateway.settings import Server, Settings
from gateway.web.app import create_app
from gateway.web.bodies import USUAL, Pace
from gateway.web.peer import CertifiedProtocol
from gateway.web.unexpected import LOGGERS, WithoutMessages

_WITHOUT_MESSAGES = WithoutMessages()
_STOPPING = (signal.SIGTERM, signal.SIGINT)


class _WebServer(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, gateway: Gateway, listener: socket.socket, answers: Callable[[], None], pace: Pace) -> None:
        server = gateway.settings.server
        super().__init__(
            uvicorn.Config(
                create_app(gateway, _public_url(server, listener), pace),
                http=CertifiedProtocol,
                ssl_certfile=str(gateway.settings.path(server.tls_certificate)) if server.tls_certificate else None,
                ssl_keyfile=str(gateway.settings.path(server.tls_key)) if server.tls_key else None,
                ssl_ca_certs=str(gateway.settings.path(server.tls_client_ca)) if server.tls_client_ca else None,
                ssl_cert_reqs=ssl.CERT_OPTIONAL if server.tls_client_ca else ssl.CERT_NONE,
                access_log=False,  # request lines may hold identifiers
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=5,
            )
        )
        for name in LOGGERS:
            logging.getLogger(name).addFilter(_WITHOUT_MESSAGES)  # once, however often
        self._answers = answers

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._answers()


def serve(settings: Settings, *, started: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT, then close the gateway and end the process with exit code 0. What is under way is carried on by the
    next start. ``started`` is told the base URL once everything runs and answers. Raises `ConfigurationError`, for a port that is taken
    before the ledger is touched."""
    with _stopped_by_signals() as closing, _listening(settings.server) as listener:
        gateway = Gateway(settings)
        try:
            gateway.start()
            server = _WebServer(gateway, listener, lambda: started(_url(settings.server, listener)), USUAL)
            server.run(sockets=[listener])
        finally:
            closing()
            gateway.close()


@contextmanager
def served(settings: Settings, pace: Pace = USUAL) -> Iterator[tuple[Gateway, str]]:
    """A gateway and its base URL for the time of the block, in threads of this process (for the demo and for tests). ``pace`` is how slowly
    clients may send. Raises `ConfigurationError`, for a port that is taken before the ledger is touched."""
    with _listening(settings.server) as listener:
        gateway = Gateway(settings)
        answers = threading.Event()
        server = _WebServer(gateway, listener, answers.set, pace)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="web", daemon=True)
        try:
            gateway.start()
            thread.start()
            deadline = monotonic() + 20
            while not answers.wait(0.02):
                if not thread.is_alive() or monotonic() > deadline:
                    raise ConfigurationError(
                        "网页服务没有启动",
                        action="请检查 server.tls_certificate、server.tls_key 和 server.tls_client_ca",
                        english="the web server did not start",
                    )
            yield gateway, _url(settings.server, listener)
        finally:
            server.should_exit = True
            if thread.is_alive():
                thread.join(timeout=15)
            gateway.close()


@contextmanager
def _stopped_by_signals() -> Iterator[Callable[[], None]]:
    """Make SIGTERM and SIGINT end the block like a normal exit: uvicorn raises the signal again after its own shutdown, and the default
    action would end the process before the gateway is closed. What the block gets is to be called before closing begins, which a second
    signal must not interrupt."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    def closing() -> None:
        for number in _STOPPING:
            signal.signal(number, signal.SIG_IGN)

    former = {number: signal.signal(number, leave) for number in _STOPPING}
    try:
        yield closing
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def _listening(server: Server) -> Iterator[socket.socket]:
    """A socket that listens where the settings say, on one address, IPv4 before IPv6. It listens at once, because a port that is only
    bound does not keep a second process out. Raises `ConfigurationError`."""
    try:
        found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        listener = socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        raise ConfigurationError(
            f"无法在 {server.host}:{server.port} 上监听" + ("：端口已被占用" if taken else ""),
            action="请停止占用该端口的程序，或修改 server.port" if taken else "请检查 server.host 和 server.port",
            english="cannot listen: " + ("the port is taken" if taken else type(error).__name__),
        ) from None
    with listener:
        yield listener


def _url(server: Server, listener: socket.socket) -> str:
    """The base URL, with the real port where any free one was asked for."""
    scheme = "https" if server.tls_certificate else "http"
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"{scheme}://{host}:{listener.getsockname()[1]}"


def _public_url(server: Server, listener: socket.socket) -> str:
    """Where clients reach the API; nothing when it listens on every address and the settings do not say which one is meant."""
    if not server.public_url and listener.getsockname()[0] in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
        return ""
    return server.public_url or _url(server, listener)
