"""The ledger: one database, one writer.

On SQLite (the default) it runs with WAL, full synchronisation and ``BEGIN IMMEDIATE`` for every writing transaction, and a file
lock keeps a second gateway out. The same code runs on PostgreSQL, where a lock of the database keeps writing transactions apart. Migrations
bring any older ledger up to date at start.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlmodel import Session
from uuid_utils import uuid7

from gateway.model.errors import ConfigurationError
from gateway.store.tables import Base
from gateway.store.vault import Vault

MIGRATIONS = Path(__file__).parent / "migrations"

_WRITING = 0x5A484942414F  # "ZHIBAO"
"""The advisory lock of PostgreSQL that keeps writing transactions of several processes apart; the audit log needs them in one order."""


def now() -> datetime:
    """The current time, UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """A time-ordered id (UUID version 7): sorts by creation."""
    return str(uuid7())


def upsert(session: Session, table: type[Base]) -> Any:
    """An ``INSERT`` that can be told what to do about rows that are there, in the words of the session's database."""
    return (sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgresql_insert)(table)


class Ledger:
    """An open ledger. Use `write` for transactions that change something and `read` for the others."""

    def __init__(self, engine: Engine, vault: Vault, lock: int | None = None) -> None:
        self.engine = engine
        self.vault = vault
        self._lock = lock
        self._writer = threading.RLock()
        self._writing = engine.execution_options(writing=True)

    @classmethod
    def open(cls, url: str, vault: Vault) -> Ledger:
        """Open (and migrate) the ledger at an SQLAlchemy URL. Raises `ConfigurationError` when another process has it."""
        lock = None
        if url.startswith("sqlite:///"):
            path = Path(url.removeprefix("sqlite:///"))
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = _lock(path.with_suffix(path.suffix + ".lock"))
        engine = create_engine(url, pool_size=16, max_overflow=16)
        _configure(engine)
        ledger = cls(engine, vault, lock)
        ledger.migrate()
        return ledger

    @classmethod
    def look_at(cls, url: str, vault: Vault) -> Ledger:
        """Open an existing ledger for reading only, beside the process that has it. Raises `ConfigurationError`."""
        _demand_existing(url)
        engine = create_engine(url)
        _configure(engine)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _only_reading)
        return cls(engine, vault)

    @classmethod
    def visit(cls, url: str, vault: Vault) -> Ledger:
        """Open an existing ledger for a short writing transaction, whether or not a gateway has it: the database lets one write at a time.
        One of an older version is brought up to date first, which no gateway may have meanwhile. Raises `ConfigurationError`."""
        _demand_existing(url)
        engine = create_engine(url)
        _configure(engine)
        ledger = cls(engine, vault)
        if ledger.up_to_date:
            return ledger
        ledger.close()
        return cls.open(url, vault)

    @property
    def up_to_date(self) -> bool:
        """Whether the schema is that of this program."""
        newest = ScriptDirectory(str(MIGRATIONS)).get_heads()
        with self.engine.connect() as connection:
            return set(MigrationContext.configure(connection).get_current_heads()) == set(newest)

    def migrate(self) -> None:
        """Bring the schema to the newest revision."""
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self._writer, self._writing.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A writing transaction: all or nothing, one at a time."""
        with self._writer, Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A reading session."""
        with Session(self.engine) as session:
            yield session

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and give the lock back."""
        self.engine.dispose()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _demand_existing(url: str) -> None:
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).is_file():
        raise ConfigurationError("还没有账本", action="请先运行 zhibao init 和 zhibao serve", english="there is no ledger yet")


def _lock(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise ConfigurationError(
            "账本正被另一个直报进程使用",
            action="同一个 SQLite 账本只能由一个进程打开：请先停止正在运行的 zhibao serve，或改用 PostgreSQL",
            english="the ledger is locked by another process",
        ) from None
    return handle


def _configure(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "begin", _begin_postgresql)


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "busy_timeout=30000",
        "foreign_keys=ON",
        "cache_size=-16000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _only_reading(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA query_only=ON").close()


def _begin_sqlite(connection: Any) -> None:
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _begin_postgresql(connection: Any) -> None:
    if connection.get_execution_options().get("writing", False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITING})")
