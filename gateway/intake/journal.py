"""The raw store: every file taken in, byte for byte, before anything is made of it.

A file is kept under the SHA-256 of its bytes, encrypted in blocks of 1 MiB (each sealed on its own, so that one row can be shown
without opening the rest), flushed to disk before the ledger says that it was received. The same bytes are kept once.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from gateway.store.vault import Vault

_BLOCK = 1 << 20
_PLACE = "raw.block"


class Journal:
    """The raw store in one folder."""

    def __init__(self, folder: Path, vault: Vault) -> None:
        self._folder = folder
        self._vault = vault
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, source: BinaryIO) -> tuple[str, int]:
        """Store the bytes of ``source`` durably; (digest, size). Storing them again changes nothing."""
        digest = hashlib.sha256()
        size = 0
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=".incoming-")
        try:
            with os.fdopen(handle, "wb") as out:
                while block := source.read(_BLOCK):
                    digest.update(block)
                    size += len(block)
                    sealed = self._vault.seal(block, _PLACE)
                    out.write(struct.pack(">I", len(sealed)) + sealed)
                out.flush()
                os.fsync(out.fileno())
            target = self._file(digest.hexdigest())
            if target.exists():
                os.unlink(name)
            else:
                os.replace(name, target)
                _sync_folder(self._folder)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return digest.hexdigest(), size

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
    def opened(self, digest: str, suffix: str) -> Iterator[Path]:
        """The stored file as a plain file for the time of the block, readable by its owner only, removed afterwards."""
        handle, name = tempfile.mkstemp(prefix="zhibao-", suffix=suffix)
        try:
            with os.fdopen(handle, "wb") as out:
                for block in self._blocks(digest, 0):
                    out.write(block)
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def _file(self, digest: str) -> Path:
        return self._folder / f"{digest}.raw"

    def _blocks(self, digest: str, skip: int) -> Iterator[bytes]:
        with self._file(digest).open("rb") as source:
            while header := source.read(4):
                (size,) = struct.unpack(">I", header)
                if skip:
                    source.seek(size, os.SEEK_CUR)
                    skip -= 1
                else:
                    yield self._vault.open(source.read(size), _PLACE)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
