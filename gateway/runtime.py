"""The running gateway: everything composed from one configuration.

Threads of this process: the inbox watcher (takes files), the importer (reads them), the sweeper (starts deliveries), one receipt reader
a platform. All of them may be stopped at any point; the ledger says where to go on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from adapters.hl7v2.batch import messages_of
from adapters.transports.rest import RestTransport
from adapters.transports.soap import SoapTransport
from gateway.assembling import TOGETHER, Assembler
from gateway.audit.log import Event, record
from gateway.delivery import batches, receipts
from gateway.delivery.channel import Channel, RestChannel
from gateway.delivery.engine import Engine, Lane
from gateway.delivery.hub import HubChannel
from gateway.delivery.hub_terms import HubTerms
from gateway.importing import Importer
from gateway.intake.bulk import take_file
from gateway.intake.journal import Journal
from gateway.intake.mailroom import Mailroom, Room
from gateway.intake.repository import Repository
from gateway.listening import Listening
from gateway.loop import Loop
from gateway.model.errors import ConfigurationError, IllegalTransition, NotFound, Overloaded, TransientFailure, UnusableInput
from gateway.registering import Registrar
from gateway.reporting import submissions
from gateway.reporting.card_drafts import CardDrafter
from gateway.reporting.drafts import PlatformChoice
from gateway.reporting.preparing import Preparer
from gateway.reporting.states import NAMES, Ours
from gateway.settings import Platform, Settings
from gateway.store.ledger import Ledger
from gateway.store.tables import Batch
from gateway.store.vault import Vault
from mappings.profile import profile


class Gateway:
    """One gateway over one ledger. `start` begins work, `close` ends it."""

    def __init__(self, settings: Settings, *, channels: Mapping[str, Channel] | None = None) -> None:
        self.settings = settings
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        self.vault = Vault.load(settings.key_file)
        self.platforms = {id: chosen for id, chosen in settings.platforms.items() if chosen.enabled}
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
        self.ledger = Ledger.open(settings.ledger_url, self.vault)
        self.importer = Importer(
            ledger=self.ledger,
            journal=Journal(settings.raw_dir, self.vault),
            key_file=settings.key_file,
            choices=tuple(self._choice(id) for id in self.platforms if profile(id).unit == "stay"),
            reviewed={id: chosen.review for id, chosen in self.platforms.items()},
            workers=settings.intake.workers,
            dictionaries=settings.path(settings.dictionaries) if settings.dictionaries else None,
            free_disk_bytes=settings.intake.free_disk_mb << 20,
        )
        self.mailroom = Mailroom(
            self.ledger, Room(free_bytes=settings.intake.free_disk_mb << 20), free_bytes=lambda: self.importer.journal.free_bytes
        )
        self.listening = Listening(settings, self.mailroom)
        self.repository = Repository(self.ledger, self.mailroom.has_room)
        preparer = Preparer(self.vault, self.importer.choices, self.importer.dictionaries)
        self.assembler = Assembler(self.ledger, settings.sources, preparer, self.importer.reviewed)
        registry = settings.registry.choices
        self.registrar = Registrar(
            self.ledger,
            registry,
            [CardDrafter(self._choice(id), registry) for id in self.platforms if profile(id).unit == "tumour"],
            self.importer.reviewed,
        )
        self.engine = Engine(self.ledger, settings.engine_url, lanes)
        self.loops: list[Loop] = []
        self._seen: dict[Path, tuple[int, float]] = {}

    def start(self) -> None:
        """Recover what a former process left, then begin work."""
        self.importer.journal.forget_leftovers()
        with self.ledger.write() as session:
            record(session, Event("gateway.started", f"pid:{os.getpid()}"))
        self.engine.start()
        intake = self.settings.intake
        self.loops = [
            Loop("inbox", intake.scan_seconds, self.take_inbox),
            Loop("importer", min(intake.scan_seconds, 0.5), self.read_pending),
            Loop("sweeper", 0.3, self.engine.sweep),
            Loop("assembler", 0.1, self.assemble_received),
            Loop("registrar", 0.5, self.registrar.run),
        ]
        for id, source in self.settings.sources.items():
            if source.folder is not None:
                take = self.take_bulk if source.kind == "fhir" else self.take_messages
                self.loops.append(Loop(f"folder-{id}", intake.scan_seconds, partial(take, id)))
        for id in self.engine.lanes:
            self.loops.append(Loop(f"receipts-{id}", self.platforms[id].receipts_seconds, partial(self.fetch_receipts, id)))
        self.mailroom.start()
        for loop in self.loops:
            loop.start()
        self.listening.start()

    def close(self) -> None:
        """Stop work and close the ledger."""
        self.listening.stop()
        for loop in reversed(self.loops):
            loop.stop()
        self.mailroom.stop()
        if self.loops:
            self.engine.stop()
        self.loops = []
        for lane in self.engine.lanes.values():
            lane.channel.close()
        self.ledger.close()

    # -- work of the threads

    def take_inbox(self) -> int:
        """Take every settled file of the inbox into the raw store and move it to ``done``; how many were taken."""
        inbox = self.settings.path(self.settings.intake.inbox)
        inbox.mkdir(parents=True, exist_ok=True)
        taken = 0
        for path in sorted(p for p in inbox.iterdir() if p.is_file() and not p.name.startswith(".")):
            if not self._settled(path):
                continue
            try:
                with path.open("rb") as source:
                    self.importer.receive(source, path.name, origin="inbox")
            except Overloaded:
                return taken
            self._move_to_done(path)
            taken += 1
        return taken

    def _move_to_done(self, path: Path) -> None:
        done = path.parent / "done"
        done.mkdir(exist_ok=True)
        target = done / path.name
        if target.exists():
            target = done / f"{time.time_ns()}-{path.name}"
        os.replace(path, target)
        self._seen.pop(path, None)

    def read_pending(self) -> int:
        """Read every received file to its end; how many were read."""
        pending = self.importer.pending()
        failures: list[Exception] = []
        for file_id in pending:
            try:
                self.importer.read(file_id)
            except Exception as error:  # one file that cannot be worked through does not keep the others waiting
                failures.append(error)
        if failures:
            raise failures[0]
        return len(pending)

    def assemble_received(self) -> int:
        """Assemble the messages that were received; how many. It ends with the first batch that is not full: the few that came meanwhile
        are better assembled together with the next ones."""
        total = 0
        while True:
            count = self.assembler.run()
            total += count
            self.mailroom.recount()
            if count < TOGETHER:
                return total

    def take_messages(self, source: str) -> int:
        """Take the messages of every settled file in a source's folder and move it to ``done``; how many files. A file of which
        something was not stored stays there, and what was stored is recognised when the file is taken again."""
        taken = 0
        for path in self._in_folder(source):
            pieces = messages_of(path.read_bytes(), longest=self.settings.sources[source].longest_mb << 20)
            if any(piece.kept.outcome == "refused" for piece in self.listening.take_all(source, pieces, peer="folder")):
                return taken
            self._move_to_done(path)
            taken += 1
        return taken

    def take_bulk(self, source: str) -> int:
        """Take every settled FHIR file (NDJSON, bundles, resources) in a source's folder and move it to ``done``; how many files. A file
        that could not be taken to its end stays there and is taken again: what is known already changes nothing."""
        taken = 0
        for path in self._in_folder(source):
            try:
                take_file(self.repository, source, path, longest=self.settings.sources[source].longest_mb << 20)
            except Overloaded:
                return taken
            self._move_to_done(path)
            taken += 1
        return taken

    def _in_folder(self, source: str) -> Iterator[Path]:
        """The settled files of a source's folder, in order."""
        chosen = self.settings.sources[source].folder
        assert chosen is not None, "asked of sources with a folder"
        folder = self.settings.path(chosen)
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")):
            if self._settled(path):
                yield path

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
        """A reviewer lets a version go. Raises `NotFound` or `IllegalTransition`."""
        self._move(version_id, Ours.READY, actor, "approved", only_from=Ours.AWAITING_REVIEW)

    def resend(self, version_id: str, *, actor: str, reason: str) -> None:
        """Put a failed version back into the queue. Raises `NotFound`, or `IllegalTransition` for one that has not failed: what is
        under way or open is never sent blindly."""
        self.engine.requeue(self._move(version_id, Ours.QUEUED, actor, reason, only_from=Ours.FAILED))

    def close_batch(self, platform: str, window: str, *, actor: str) -> Batch:
        """Close a batch of everything ready for a window and write its file into the platform's outbox. Raises `UnusableInput`
        for a platform that is not served by files, `NotFound` when nothing is ready."""
        outbox, encoding = self._outbox(platform)
        return batches.close(self.ledger, profile(platform), window, outbox, encoding=encoding, actor=actor)

    def write_batch(self, batch_id: str) -> Batch:
        """Write the file of a closed batch again, whether or not it could be written at closing. Raises `NotFound`,
        `IllegalTransition` once the upload is confirmed, or the failure of writing."""
        with self.ledger.read() as session:
            batch = session.get(Batch, batch_id)
        if batch is None:
            raise NotFound(f"没有编号为 {batch_id} 的批次", english=f"no batch {batch_id}")
        outbox, encoding = self._outbox(batch.platform)
        return batches.write(self.ledger, profile(batch.platform), batch_id, outbox, encoding=encoding)

    def batch_file(self, batch_id: str) -> tuple[str, bytes]:
        """Name and content of a batch's file as it stands in the outbox. Raises `NotFound`."""
        with self.ledger.read() as session:
            batch = session.get(Batch, batch_id)
        path = None
        if batch is not None and batch.file_name and batch.platform in self.platforms:
            path = batches.folder_of(self._outbox(batch.platform)[0], batch_id) / batch.file_name
        if batch is None or path is None or not path.is_file():
            raise NotFound("没有这个批次的文件", english=f"no file of batch {batch_id}")
        return batch.file_name, path.read_bytes()

    def _outbox(self, platform: str) -> tuple[Path, str]:
        """Folder and encoding of the files for a platform. Raises `UnusableInput` for one that is not served by files."""
        chosen = self.platforms.get(platform)
        if chosen is None or platform in self.engine.lanes:
            raise UnusableInput(
                f"平台 {platform} 没有启用文件上报", action="请把该平台的 transport 设为 folder", english="not served by files"
            )
        return self.settings.path(chosen.outbox) / platform, chosen.encoding or ""

    def _move(self, version_id: str, to: Ours, actor: str, reason: str, *, only_from: Ours) -> str:
        """Move a version (or the current one of a submission); its id."""
        with self.ledger.write() as session:
            row = submissions.version(session, version_id)
            if row.our_state != only_from:
                raise IllegalTransition(
                    f"状态为“{NAMES[Ours(row.our_state)]}”，只有“{NAMES[only_from]}”时可以这样做",
                    english=f"our side: {row.our_state}, wanted {only_from}",
                )
            events: list[Event] = []
            submissions.move(row, to, events, actor=actor, reason=reason)
            session.add(row)
            record(session, *events)
            return row.id

    def _choice(self, id: str) -> PlatformChoice:
        """A hospital's choices about a platform, as drafting uses them."""
        chosen = self.platforms[id]
        template = self.settings.path(chosen.template) if chosen.template is not None else None
        return PlatformChoice(id, chosen.switches, chosen.age_reference, chosen.options, template)

    def _settled(self, path: Path) -> bool:
        """Whether a file has stopped growing: same size and time over two looks."""
        stat = path.stat()
        shape = (stat.st_size, stat.st_mtime)
        if self._seen.get(path) == shape and time.time() - stat.st_mtime >= self.settings.intake.settle_seconds:
            return True
        self._seen[path] = shape
        return False

    def _channel(self, id: str, chosen: Platform) -> Channel | None:
        """The channel to a platform, or None when it is served by files."""
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
            if not path.is_file():
                raise ConfigurationError(
                    f"找不到 platforms.{id}.secret_file 指定的文件 {path.name}",
                    action="请把平台下发的接口密钥写入该文件",
                    english=f"platform {id} has no secret file",
                )
            if path.stat().st_mode & 0o077:
                raise ConfigurationError(
                    f"密钥文件 {path.name} 可被其他用户读取",
                    action=f"请执行 chmod 600 {path.name}",
                    english="secret file",
                )
            secret = path.read_text("utf-8").strip()
        timeout = chosen.timeout_seconds or float(described.settings[transport]["timeout_seconds"])
        if transport == "soap":
            options = described.chosen(chosen.options)
            terms = HubTerms.of(described.settings["soap"], options, user=chosen.account, secret=secret)
            return HubChannel(terms, SoapTransport(chosen.url, wsdl=options["wsdl"], timeout=timeout))
        return RestChannel(described, RestTransport(chosen.url, account=chosen.account, secret=secret, timeout=timeout))
