"""The running gateway: everything composed from one configuration.

Threads of this process: the inbox watcher (takes files), the importer (reads them), the sweeper (starts deliveries), one receipt reader
a platform. All of them may be stopped at any point; the ledger says where to go on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from adapters.transports.rest import RestTransport
from gateway.audit.log import Event, record
from gateway.delivery import receipts
from gateway.delivery.channel import Channel, RestChannel
from gateway.delivery.engine import Engine, Lane, Stop, every
from gateway.importing import Importer
from gateway.intake.journal import Journal
from gateway.model.errors import ConfigurationError, TransientFailure
from gateway.reporting import submissions
from gateway.reporting.drafts import PlatformChoice
from gateway.reporting.states import Ours
from gateway.settings import Platform, Settings
from gateway.store.ledger import Ledger
from gateway.store.vault import Vault
from mappings.profile import profile


class Gateway:
    """One gateway over one ledger. `start` begins work, `close` ends it."""

    def __init__(self, settings: Settings, *, channels: Mapping[str, Channel] | None = None) -> None:
        self.settings = settings
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        self.vault = Vault.load(settings.key_file)
        self.ledger = Ledger.open(settings.ledger_url, self.vault)
        self.platforms = {id: chosen for id, chosen in settings.platforms.items() if chosen.enabled}
        self.importer = Importer(
            ledger=self.ledger,
            journal=Journal(settings.data_dir / "raw", self.vault),
            key_file=settings.key_file,
            choices=tuple(PlatformChoice(id, chosen.switches, chosen.age_reference) for id, chosen in self.platforms.items()),
            reviewed={id: chosen.review for id, chosen in self.platforms.items()},
            workers=settings.intake.workers,
            dictionaries=settings.path(settings.dictionaries) if settings.dictionaries else None,
        )
        lanes = {}
        for id, chosen in self.platforms.items():
            channel = (channels or {}).get(id) or self._channel(id, chosen)
            if channel is not None:
                lanes[id] = Lane(
                    id,
                    channel,
                    chosen.concurrency,
                    chosen.per_second,
                    chosen.retry_first_seconds,
                    chosen.retry_longest_seconds,
                )
        self.engine = Engine(self.ledger, settings.engine_url, lanes)
        self._stops: list[Stop] = []
        self._seen: dict[Path, tuple[int, float]] = {}

    def start(self) -> None:
        """Recover what a former process left, then begin work."""
        with self.ledger.write() as session:
            record(session, Event("gateway.started", f"pid:{os.getpid()}"))
        self.engine.start()
        intake = self.settings.intake
        self._stops = [
            every(intake.scan_seconds, self.take_inbox, "inbox"),
            every(min(intake.scan_seconds, 0.5), self.read_pending, "importer"),
            every(0.3, self.engine.sweep, "sweeper"),
        ]
        for id in self.engine.lanes:
            self._stops.append(every(self.platforms[id].receipts_seconds, partial(self.fetch_receipts, id), "receipts"))

    def close(self) -> None:
        """Stop work and close the ledger."""
        for stop in reversed(self._stops):
            stop()
        if self._stops:
            self.engine.stop()
        self._stops = []
        self.ledger.close()

    # -- work of the threads

    def take_inbox(self) -> int:
        """Take every settled file of the inbox into the raw store and move it to ``done``; how many were taken."""
        inbox = self.settings.path(self.settings.intake.inbox)
        inbox.mkdir(parents=True, exist_ok=True)
        done = inbox / "done"
        taken = 0
        for path in sorted(p for p in inbox.iterdir() if p.is_file() and not p.name.startswith(".")):
            if not self._settled(path):
                continue
            with path.open("rb") as source:
                self.importer.receive(source, path.name, origin="inbox")
            done.mkdir(exist_ok=True)
            target = done / path.name
            if target.exists():
                target = done / f"{time.time_ns()}-{path.name}"
            os.replace(path, target)
            self._seen.pop(path, None)
            taken += 1
        return taken

    def read_pending(self) -> int:
        """Read every received file to its end; how many were read."""
        pending = self.importer.pending()
        for file_id in pending:
            self.importer.read(file_id)
        return len(pending)

    def fetch_receipts(self, platform: str) -> int:
        """Fetch and apply what a platform has answered; how many receipts were new. A platform that does not answer now will be
        asked again."""
        try:
            words = profile(platform).receipt_status
            return receipts.fetch(self.ledger, platform, self.engine.lanes[platform].channel, words)
        except TransientFailure:
            return 0

    # -- a person's actions

    def approve(self, version_id: str, *, actor: str) -> None:
        """A reviewer lets a version go. Raises `NoSuchSubmission` or `IllegalTransition`."""
        self._move(version_id, Ours.READY, actor, "approved")

    def resend(self, version_id: str, *, actor: str, reason: str) -> None:
        """Put a failed version back into the queue. Raises `NoSuchSubmission` or `IllegalTransition`."""
        self._move(version_id, Ours.QUEUED, actor, reason)
        self.engine.requeue(version_id)

    def _move(self, version_id: str, to: Ours, actor: str, reason: str) -> None:
        with self.ledger.write() as session:
            row = submissions.version(session, version_id)
            events: list[Event] = []
            submissions.move(row, to, events, actor=actor, reason=reason)
            session.add(row)
            record(session, *events)

    def _settled(self, path: Path) -> bool:
        """Whether a file has stopped growing: same size and time over two looks."""
        stat = path.stat()
        shape = (stat.st_size, stat.st_mtime)
        if self._seen.get(path) == shape and time.time() - stat.st_mtime >= self.settings.intake.settle_seconds:
            return True
        self._seen[path] = shape
        return False

    def _channel(self, id: str, chosen: Platform) -> Channel | None:
        """The HTTP channel to a platform, or None when it is served by files."""
        described = profile(id)
        transport = chosen.transport or described.transport
        if transport == "folder":
            return None
        if not chosen.url:
            raise ConfigurationError(
                f"平台 {id} 没有配置接口地址",
                action=f"请在配置中填写 platforms.{id}.url，或把 transport 改为 folder",
                english=f"platform {id} has no url",
            )
        secret = ""
        if chosen.secret_file is not None:
            path = self.settings.path(chosen.secret_file)
            if path.stat().st_mode & 0o077:
                raise ConfigurationError(
                    f"密钥文件 {path.name} 可被其他用户读取",
                    action=f"请执行 chmod 600 {path.name}",
                    english="secret file",
                )
            secret = path.read_text("utf-8").strip()
        timeout = chosen.timeout_seconds or float(described.settings["rest"]["timeout_seconds"])
        return RestChannel(described, RestTransport(chosen.url, account=chosen.account, secret=secret, timeout=timeout))
