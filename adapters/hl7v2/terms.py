"""On what terms a source is listened to."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from typing import Final

from adapters.hl7v2.acknowledgement import Mode
from adapters.hl7v2.charset import setting

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK: Final[tuple[Network, ...]] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms a source is listened to. Times are in seconds, sizes in bytes.

    ``networks`` may connect, nobody else. ``charset`` and ``mode`` as in `charset` and `acknowledgement`. ``longest`` limits a
    message, ``connections`` how many peers at once, ``in_flight`` the messages of one connection that wait for the keeper,
    ``held`` the bytes of all that do. ``answer_within`` counts from the last byte of a message; ``idle_after`` closes a silent
    connection, ``frame_within`` one whose frame does not end, ``send_within`` one that does not take its answers, and ``stray``
    one that sends so much outside of frames.

    Raises `ConfigurationError` for an unknown ``charset``.
    """

    source: str
    host: str = "127.0.0.1"
    port: int = 0
    networks: tuple[Network, ...] = LOOPBACK
    tls: ssl.SSLContext | None = None
    charset: str = ""
    mode: Mode = "asked"
    longest: int = 10 << 20
    connections: int = 1000
    in_flight: int = 16
    held: int = 64 << 20
    stray: int = 1 << 16
    answer_within: float = 25
    idle_after: float = 3600
    frame_within: float = 60
    send_within: float = 30
    handshake_within: float = 15

    def __post_init__(self) -> None:
        if self.charset:
            setting(self.charset)
