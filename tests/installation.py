"""A hospital's installation for tests: configuration, keys and ledger in a folder, pointed at a platform."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gateway import setup
from gateway.settings import CONFIG_NAME

PASSWORD = "correct-horse-battery"


def install(folder: Path, *, url: str, account: str, secret: str, port: int = 0, more: str = "") -> tuple[Path, str]:
    """Set up ``folder``; its configuration file and the administrator's one-time password. ``more`` is TOML for the platform."""
    password = setup.create(folder)
    config = folder / CONFIG_NAME
    secret_file = folder / "ncpcs.secret"
    secret_file.touch(mode=0o600)
    secret_file.write_text(secret, "utf-8")
    text = config.read_text("utf-8").replace("port = 8750", f"port = {port}")
    text = text.replace('inbox = "inbox" ', 'scan_seconds = 0.1\nsettle_seconds = 0\ninbox = "inbox" ')
    platform = f'\n[platforms.ncpcs]\nurl = "{url}"\naccount = "{account}"\nsecret_file = "ncpcs.secret"\n'
    quick = "retry_first_seconds = 0.05\nretry_longest_seconds = 1\nreceipts_seconds = 0.1\n"
    config.write_text(text + platform + quick + more, "utf-8")
    return config, password


def free_port() -> int:
    """A port of loopback that nobody uses now, for a server that must have the same one after a restart. It is none that the system gives
    to clients: one that tries to connect again and again while the server is down would now and then get it and keep the server out."""
    while True:
        port = random.randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def wait_for(done: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll until ``done``; fails the test after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(0.02)
