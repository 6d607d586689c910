"""The raw store: every file taken in, byte for byte, before anything is made of it.

A file is kept under the SHA-256 of its bytes, encrypted in blocks of 1 MiB (each sealed on its own, so that one row can be shown
without opening the rest), flushed to disk before the ledger says that it was received. The same bytes are kept once.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import BinaryIO, Self

from gateway.store.vault import Vault

_BLOCK = 1 << 20
_PLACE = "raw.block"


class Journal:
    """The raw store in one folder."""

    def __init__(self, folder: Path, vault: Vault) -> None:
        self._folder = folder
        self._vault = vault
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def keep(self, source: BinaryIO) -> tuple[str, int]:
        """Store the bytes of ``source`` durably; (digest, size). Storing them again changes nothing."""
        with self.incoming() as incoming:
            while block := source.read(_BLOCK):
                incoming.write(block)
            return incoming.commit()

    def incoming(self) -> Incoming:
        """Begin to store bytes that arrive piece by piece; use it in a ``with`` statement."""
        return Incoming(self._folder, self._vault)

    def forget_leftovers(self) -> None:
        """Remove what a killed process left half written. Only for the process that owns the store."""
        for path in self._folder.glob(".*-*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    @property
    def free_bytes(self) -> int:
        """Free space of the disk that the store is on."""
        return shutil.disk_usage(self._folder).free

    def read(self, digest: str, offset: int = 0, length: int | None = None) -> bytes:
        """``length`` bytes from ``offset`` of a stored file (to its end when None)."""
        wanted = bytearray()
        position = 0
        end = None if length is None else offset + length
        for block in self._blocks(digest, offset // _BLOCK):
            start = max(offset - (offset // _BLOCK) * _BLOCK - position, 0)
            wanted += block[start:]
            position += len(block)
            if end is not None and len(wanted) >= end - offset:
                return bytes(wanted[: end - offset])
        return bytes(wanted)

    @contextmanager
    def opened(self, digest: str, name: str) -> Iterator[Path]:
        """The stored file as a plain file of that name for the time of the block, readable by its owner only, removed afterwards (or
        at the next start, see `forget_leftovers`)."""
        folder = Path(tempfile.mkdtemp(dir=self._folder, prefix=".open-"))
        try:
            path = folder / (PurePath(name).name or "file")
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                for block in self._blocks(digest, 0):
                    out.write(block)
            yield path
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _file(self, digest: str) -> Path:
        return _file(self._folder, digest)

    def _blocks(self, digest: str, skip: int) -> Iterator[bytes]:
        with self._file(digest).open("rb") as source:
            while header := source.read(4):
                (size,) = struct.unpack(">I", header)
                if skip:
                    source.seek(size, os.SEEK_CUR)
                    skip -= 1
                else:
                    yield self._vault.open(source.read(size), _PLACE)


class Incoming:
    """Bytes on their way into the store: nothing is there before `commit`, everything is on disk after it."""

    def __init__(self, folder: Path, vault: Vault) -> None:
        self._folder = folder
        self._vault = vault
        self._digest = hashlib.sha256()
        self._pending = bytearray()
        self.size = 0
        handle, name = tempfile.mkstemp(dir=folder, prefix=".incoming-")
        self._out = os.fdopen(handle, "wb")
        self._path = Path(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._out.close()
        self._path.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self._digest.update(data)
        self.size += len(data)
        self._pending += data
        while len(self._pending) >= _BLOCK:
            self._seal(bytes(self._pending[:_BLOCK]))
            del self._pending[:_BLOCK]

    def commit(self) -> tuple[str, int]:
        """Make the bytes durable; (digest, size)."""
        if self._pending:
            self._seal(bytes(self._pending))
            self._pending.clear()
        self._out.flush()
        os.fsync(self._out.fileno())
        digest = self._digest.hexdigest()
        target = _file(self._folder, digest)
        if not target.exists():
            os.replace(self._path, target)
            _sync_folder(self._folder)
        return digest, self.size

    def _seal(self, block: bytes) -> None:
        sealed = self._vault.seal(block, _PLACE)
        self._out.write(struct.pack(">I", len(sealed)) + sealed)


def _file(folder: Path, digest: str) -> Path:
    return folder / f"{digest}.raw"


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
