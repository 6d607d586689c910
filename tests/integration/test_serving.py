"""``zhibao serve`` as a process: how it begins, how it ends, and what it says."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gateway import setup
from gateway.model.errors import ConfigurationError
from gateway.serving import served
from gateway.settings import CONFIG_NAME, Settings, load
from gateway.store.ledger import Ledger
from gateway.store.vault import Vault

PATIENCE = 60


@pytest.fixture
def hospital(tmp_path: Path) -> Path:
    """An installation without platforms that takes any free port."""
    folder = tmp_path / "hospital"
    setup.create(folder)
    listen_on(folder, 0)
    return folder


def listen_on(hospital: Path, port: int) -> None:
    config = hospital / CONFIG_NAME
    config.write_text(re.sub(r"(?m)^port = \d+", f"port = {port}", config.read_text("utf-8")), "utf-8")


@contextmanager
def serving(hospital: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "gateway.cli", "serve", "--config", str(hospital)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8") as process:
        guard = threading.Timer(PATIENCE, process.kill)  # a server that says nothing fails the test instead of holding it up
        guard.start()
        try:
            yield process
        finally:
            guard.cancel()
            process.kill()


def told(process: subprocess.Popen[str]) -> str:
    """The URL of the first line that the server says."""
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.fullmatch(r"直报已启动：(http://127\.0\.0\.1:[1-9]\d*)（按 Ctrl-C 停止）\n", line)
    assert found is not None, line
    return found[1]


def left_in_wal(settings: Settings) -> int:
    return sum(wal.stat().st_size for wal in settings.data_dir.glob("*.sqlite-wal"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_closes_the_gateway(hospital: Path, number: signal.Signals) -> None:
    settings = load(hospital)
    with serving(hospital) as process:
        url = told(process)
        assert httpx.get(f"{url}/healthz", trust_env=False).json() == {"status": "ok", "faults": []}
        assert left_in_wal(settings) > 0
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (0, "")
    assert left_in_wal(settings) == 0
    Ledger.open(settings.ledger_url, Vault.load(settings.key_file)).close()


def test_a_taken_port_is_refused_before_anything_begins(hospital: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in sorted(hospital.rglob("*"))}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listen_on(hospital, port)
        with serving(hospital) as process:
            _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 2
        assert said.startswith(f"无法在 127.0.0.1:{port} 上监听：端口已被占用。请")
        assert said.count("\n") == 1
        with pytest.raises(ConfigurationError, match="端口已被占用"), served(load(hospital)):
            pass
    after = {path: path.stat().st_mtime_ns for path in sorted(hospital.rglob("*"))}
    assert before | {hospital / CONFIG_NAME: 0} == after | {hospital / CONFIG_NAME: 0}


def test_it_does_not_say_that_it_runs_when_it_does_not(hospital: Path) -> None:
    settings = load(hospital)
    with Ledger.open(settings.ledger_url, Vault.load(settings.key_file)), serving(hospital) as process:
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert said.startswith("账本正被另一个直报进程使用")
    settings.key_file.unlink()
    with serving(hospital) as process:
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert "直报已启动" not in said


def test_a_port_is_given_back(hospital: Path) -> None:
    with served(load(hospital)) as (_, url):
        assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
    listen_on(hospital, httpx.URL(url).port or 0)
    with served(load(hospital)) as (_, again):
        assert again == url
        assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
