"""Migrations: from nothing to now, back and again, and no difference to the models."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, inspect, text

from gateway.audit.log import Event, export, record, verify_lines
from gateway.model.errors import ConfigurationError
from gateway.store.ledger import MIGRATIONS, Ledger
from gateway.store.tables import Base
from gateway.store.vault import Vault

VAULT = Vault({1: bytes(32)}, bytes(32))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield made
    made.dispose()


def config(connection: Connection | None = None) -> Config:
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS))
    made.attributes["connection"] = connection
    return made


def migrate(engine: Engine, to: str) -> None:
    with engine.connect() as connection:
        step = command.downgrade if to == "base" else command.upgrade
        step(config(connection), to)
        connection.commit()


def shape(engine: Engine) -> dict[str, list[str]]:
    """Every table, index and trigger, as the database says it, line by line; a batch migration writes constraints in any order."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT type || ' ' || name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        kept = [(name, sql) for name, sql in rows if not name.endswith(("alembic_version", "sqlite_sequence"))]
    return {name: sorted(line.strip().rstrip(",") for line in sql.splitlines()) for name, sql in kept}


def test_there_is_one_line_of_revisions() -> None:
    script = ScriptDirectory.from_config(config())
    assert len(script.get_heads()) == 1
    assert len(script.get_bases()) == 1
    for revision in script.walk_revisions():
        assert revision.doc


def test_up_down_and_up_again(engine: Engine) -> None:
    migrate(engine, "head")
    there = shape(engine)
    assert {f"table {name}" for name in Base.metadata.tables} <= set(there)
    migrate(engine, "base")
    assert shape(engine) == {}
    migrate(engine, "head")
    assert shape(engine) == there


def test_models_and_migrations_say_the_same(engine: Engine) -> None:
    migrate(engine, "head")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    keys = {name: {k["name"] for k in inspect(engine).get_unique_constraints(name)} for name in Base.metadata.tables}
    assert "uq_submission_platform_stay_id" in keys["submission"]


def test_a_difference_would_be_seen(engine: Engine) -> None:
    migrate(engine, "head")
    with engine.connect() as connection:
        connection.execute(text("ALTER TABLE receipt ADD COLUMN forgotten VARCHAR"))
        connection.execute(text("DROP INDEX ix_stay_window"))
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert {difference[0] for difference in compare_metadata(context, Base.metadata)} == {"remove_column", "add_index"}


def test_the_audit_log_stays_append_only_after_all_migrations(engine: Engine) -> None:
    migrate(engine, "head")
    triggers = {name for name in shape(engine) if name.startswith("trigger")}
    assert {f"trigger audit_entry_no_{what}" for what in ("update", "delete", "replace")} <= triggers


def test_opening_a_ledger_again_changes_nothing(tmp_path: Path, engine: Engine) -> None:
    for _ in range(2):
        with Ledger.open(str(engine.url), VAULT) as ledger, ledger.write() as session:
            record(session, Event("opened", "again"))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM audit_entry")).scalar() == 2
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1


def test_a_visitor_writes_beside_a_gateway(tmp_path: Path, engine: Engine) -> None:
    with pytest.raises(ConfigurationError, match="还没有账本"):
        Ledger.visit(str(engine.url), VAULT)
    with Ledger.open(str(engine.url), VAULT) as gateway, Ledger.visit(str(engine.url), VAULT) as visitor:
        for ledger in (gateway, visitor, gateway, visitor):
            with ledger.write() as session:
                record(session, Event("opened", "by turns"))
        with gateway.read() as session:
            assert verify_lines(export(session)).entries == 4


def test_a_visitor_migrates_only_what_no_gateway_has(tmp_path: Path, engine: Engine) -> None:
    migrate(engine, "0002")
    with _held(tmp_path / "ledger.sqlite.lock"), pytest.raises(ConfigurationError, match="另一个直报进程"):
        Ledger.visit(str(engine.url), VAULT)
    with Ledger.visit(str(engine.url), VAULT) as visitor:
        assert visitor.up_to_date


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """The lock of an older gateway."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
