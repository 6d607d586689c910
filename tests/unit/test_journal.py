"""The raw store: the bytes that came, once, whole, durable and unreadable without the key."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path
from random import Random

import pytest

from gateway.intake.journal import Journal
from gateway.model.errors import ConfigurationError
from gateway.store.vault import Vault

MIB = 1 << 20
MARK = "魏测试童990000201605010018".encode("gb18030")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "raw"


@pytest.fixture
def journal(folder: Path) -> Journal:
    return Journal(folder, Vault({1: b"1" * 32}, b"i" * 32))


def content(size: int) -> bytes:
    return Random(size).randbytes(size)


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB, 3 * MIB + 17])
def test_what_came_in_comes_out(journal: Journal, size: int) -> None:
    data = content(size)
    assert journal.keep(BytesIO(data)) == (hashlib.sha256(data).hexdigest(), size)
    digest = hashlib.sha256(data).hexdigest()
    assert journal.read(digest) == data
    with journal.opened(digest, "a.csv") as path:
        assert path.read_bytes() == data
        assert path.suffix == ".csv"
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()


@pytest.mark.parametrize(
    ("offset", "length"),
    [
        (0, 0), (0, 1), (0, MIB), (0, MIB + 1), (5, 10), (MIB - 1, 1), (MIB - 1, 2), (MIB, 1), (MIB, MIB), (MIB + 1, 7),
        (MIB - 3, MIB + 6), (MIB // 2, 2 * MIB), (2 * MIB, 100), (2 * MIB + 99, 1), (2 * MIB + 99, 5), (2 * MIB + 100, 5),
        (5 * MIB, 5), (0, None), (MIB + 3, None), (2 * MIB, None), (2 * MIB + 100, None),
    ],
)  # fmt: skip
def test_any_range_can_be_read(journal: Journal, offset: int, length: int | None) -> None:
    data = content(2 * MIB + 100)
    digest, _ = journal.keep(BytesIO(data))
    assert journal.read(digest, offset, length) == data[offset : None if length is None else offset + length]


def test_a_byte_at_a_time_is_the_same_file(journal: Journal, folder: Path) -> None:
    data = MARK * 50
    with journal.incoming() as incoming:
        for byte in data:
            incoming.write(bytes((byte,)))
        assert incoming.commit() == (hashlib.sha256(data).hexdigest(), len(data))
    assert journal.read(hashlib.sha256(data).hexdigest()) == data


def test_the_same_bytes_are_kept_once(journal: Journal, folder: Path) -> None:
    first = journal.keep(BytesIO(MARK))
    (kept,) = folder.iterdir()
    before = (kept.read_bytes(), kept.stat().st_ino)
    assert journal.keep(BytesIO(MARK)) == first
    assert [(path.read_bytes(), path.stat().st_ino) for path in folder.iterdir()] == [before]
    journal.keep(BytesIO(MARK + b"\n"))
    assert len(list(folder.iterdir())) == 2


def test_what_was_not_committed_leaves_nothing(journal: Journal, folder: Path) -> None:
    with journal.incoming() as incoming:
        incoming.write(content(2 * MIB))
    assert list(folder.iterdir()) == []

    def interrupted() -> None:
        with journal.incoming() as incoming:
            incoming.write(MARK)
            raise ConnectionError

    with pytest.raises(ConnectionError):
        interrupted()
    assert list(folder.iterdir()) == []


def test_an_opened_file_is_gone_after_an_error_too(journal: Journal, folder: Path) -> None:
    digest, _ = journal.keep(BytesIO(MARK))

    def fail() -> None:
        with journal.opened(digest, "a.csv"):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in folder.iterdir()] == [f"{digest}.raw"]


def test_what_a_killed_process_left_is_removed_and_nothing_else(journal: Journal, folder: Path) -> None:
    digest, _ = journal.keep(BytesIO(MARK))
    half = journal.incoming()  # neither committed nor left: the process is killed here
    half.write(content(MIB + 1))
    opened = journal.opened(digest, "a.csv")
    plain = opened.__enter__()
    assert len(list(folder.iterdir())) == 3
    journal.forget_leftovers()
    assert [path.name for path in folder.iterdir()] == [f"{digest}.raw"]
    assert not plain.exists()
    assert journal.read(digest) == MARK
    half.__exit__()
    opened.__exit__(None, None, None)


def test_what_is_kept_and_what_is_coming_in_cannot_be_read_on_disk(journal: Journal, folder: Path) -> None:
    data = MARK * 100_000  # more than two blocks
    journal.keep(BytesIO(data))
    with journal.incoming() as incoming:
        incoming.write(data)
        on_disk = b"".join(path.read_bytes() for path in folder.iterdir())
        assert len(list(folder.iterdir())) == 2
        assert MARK not in on_disk
        assert MARK[:12] not in on_disk
        assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


def test_damage_on_disk_is_never_passed_on(journal: Journal, folder: Path) -> None:
    digest, _ = journal.keep(BytesIO(content(MIB + 10)))
    (kept,) = folder.iterdir()
    whole = kept.read_bytes()
    for position in (4, 40, len(whole) // 2, len(whole) - 1):
        kept.write_bytes(whole[:position] + bytes((whole[position] ^ 1,)) + whole[position + 1 :])
        with pytest.raises(ConfigurationError, match="无法打开"):
            journal.read(digest)
    kept.write_bytes(whole[:-1])
    with pytest.raises(ConfigurationError, match="无法打开"):
        journal.read(digest)
