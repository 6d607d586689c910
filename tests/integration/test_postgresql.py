"""The ledger on a real PostgreSQL: the same migrations, the same flow, the same refusal to change the audit log."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import httpx
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select

from adapters.hqms.writer import csv_bytes
from conformance.sample.faults import is_due_child
from conformance.sample.feed import messages_of, send
from conformance.sample.fhir_feed import bundle_of
from conformance.sample.hospital import generate
from conformance.simulators.behaviour import Behaviour
from conformance.simulators.ncpcs import Simulator
from gateway.access import registry
from gateway.access.scopes import parse_scopes
from gateway.audit.log import Event, export, record, verify_lines
from gateway.intake.mailroom import RAW_PLACE
from gateway.runtime import Gateway
from gateway.serving import served
from gateway.settings import load
from gateway.store.ledger import Ledger
from gateway.store.tables import Base, InboundMessage, StayRow, SubmissionVersion
from gateway.store.vault import Vault
from mappings.layout import layout
from tests.installation import install, wait_for


def _programs() -> Path | None:
    """Where the server's programs are: where Debian puts them, or on the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True) + [Path(p) for p in os.get_exec_path()]
    return next((f for f in folders if all((f / name).is_file() for name in ("initdb", "pg_ctl", "createdb", "postgres"))), None)


PROGRAMS = _programs()
pytestmark = pytest.mark.skipif(PROGRAMS is None, reason="no PostgreSQL server on this machine")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server of its own on a socket in a temporary folder; its SQLAlchemy URL with the database's name left open."""
    assert PROGRAMS is not None
    folder = Path(tempfile.mkdtemp(prefix="zhibao-pg-"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        shutil.chown(folder, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]

    def run(program: str, *arguments: object) -> None:
        command = [*as_user, str(PROGRAMS / program), *map(str, arguments)]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    data = folder / "data"
    try:
        run("initdb", "-D", data, "-U", "zhibao", "-A", "trust", "-E", "UTF8")
        run("pg_ctl", "-D", data, "-w", "-o", f"-c listen_addresses='' -c unix_socket_directories='{folder}'", "start")
        for name in ("ledger", "engine", "shared", "fhir", "fhir_engine"):
            run("createdb", "-h", folder, "-U", "zhibao", name)
        yield f"postgresql+psycopg://zhibao@/{{name}}?host={folder}"
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def test_files_and_messages_become_accepted_reports(server: str, tmp_path: Path) -> None:
    children = list(islice((record for record in generate(600) if is_due_child(record)), 6))
    with Simulator(behaviour=Behaviour(review_seconds=0.05)) as platform:
        urls = f'ledger = "{server.format(name="ledger")}"\nengine = "{server.format(name="engine")}"\n'
        source = f'[sources.his]\ndialect = "cn-a"\norganisation = "{children[0]["A01"]}"\n'
        config, _ = install(
            tmp_path / "hospital", url=platform.base_url, account=platform.account, secret=platform.secret, more=source
        )
        config.write_text(urls + config.read_text("utf-8"), "utf-8")
        gateway = Gateway(load(config))
        try:
            gateway.start()
            told = [message for record in children[:3] for message in messages_of(record)]
            answers = list(send(gateway.listening.addresses["his"], told))
            assert all(b"MSA|AA" in answer for answer in answers)
            inbox = tmp_path / "hospital" / "inbox"
            inbox.mkdir(exist_ok=True)
            (inbox / "stays.csv").write_bytes(csv_bytes(layout("2020"), children))

            def accepted() -> bool:
                with gateway.ledger.read() as session:
                    statement = select(SubmissionVersion.id).where(SubmissionVersion.platform_state == "accepted")
                    return len(session.exec(statement).all()) == len(children)

            wait_for(accepted, 60, "every child accepted")
            with gateway.ledger.read() as session:
                stays = session.exec(select(StayRow).where(col(StayRow.absorbed_into).is_(None))).all()
                assert len(stays) == len(children)
                assert verify_lines(list(export(session))).entries > 20
            with gateway.ledger.engine.connect() as connection:
                context = MigrationContext.configure(connection, opts={"compare_type": True})
                assert compare_metadata(context, Base.metadata) == []
            for change in ("UPDATE audit_entry SET actor = 'x'", "DELETE FROM audit_entry", "TRUNCATE audit_entry"):
                with pytest.raises(DBAPIError, match="append-only"), gateway.ledger.engine.begin() as connection:
                    connection.execute(text(change))
        finally:
            gateway.close()
        assert platform.counts()["records"] == len(children)


def test_fhir_becomes_stays_that_are_found(server: str, tmp_path: Path) -> None:
    """Transactions in R4 and R5, a repetition, a conditional create, a withdrawal, and the search."""
    children = list(islice((record for record in generate(600) if is_due_child(record)), 3))
    with Simulator(behaviour=Behaviour(review_seconds=0.05)) as platform:
        urls = f'ledger = "{server.format(name="fhir")}"\nengine = "{server.format(name="fhir_engine")}"\n'
        name = f'organisation_name = "{children[0]["A02"]}"\n'
        source = f'[sources.emr]\nkind = "fhir"\norganisation = "{children[0]["A01"]}"\n{name}'
        config, _ = install(
            tmp_path / "hospital", url=platform.base_url, account=platform.account, secret=platform.secret, more=source
        )
        config.write_text(urls + config.read_text("utf-8"), "utf-8")
        with served(load(config)) as (gateway, url), httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            with gateway.ledger.write() as session:
                registry.register(session, "emr-app", parse_scopes("system/*.cruds"), source="emr", actor="test")
                key = registry.issue_key(session, "emr-app", good_for=None, actor="test")
            client.headers.update({"X-API-Key": key, "Content-Type": "application/fhir+json"})
            bundles = [bundle_of(record) for record in children]
            for bundle in [*bundles, bundles[0]]:
                assert client.post("/fhir", content=bundle).raise_for_status().json()["type"] == "transaction-response"
            condition = {"If-None-Exist": "identifier=urn:oid:2.16.156.10011.1.12|99P001"}
            patient = {"resourceType": "Patient", "identifier": [{"system": "urn:oid:2.16.156.10011.1.12", "value": "99P001"}]}
            created = [client.post("/fhir/Patient", content=json.dumps(patient), headers=condition) for _ in range(2)]
            assert [answer.status_code for answer in created] == [201, 200]
            assert created[0].headers["Location"] == created[1].headers["Location"]

            def accepted() -> bool:
                with gateway.ledger.read() as session:
                    statement = select(SubmissionVersion.id).where(SubmissionVersion.platform_state == "accepted")
                    return len(session.exec(statement).all()) == len(children)

            wait_for(accepted, 60, "every child accepted")
            assert platform.counts()["records"] == len(children)
            encounters = [entry["resource"] for entry in client.get("/fhir/Encounter").json()["entry"]]
            assert len(encounters) == len(children)
            put = next(json.loads(bundle) for bundle in bundles if b'"PUT"' in bundle)
            own = next(entry["request"]["url"] for entry in put["entry"] if entry["resource"]["resourceType"] == "Encounter")
            assert client.delete(f"/fhir/{own}").status_code == 204
            assert client.get(f"/fhir/{own}").status_code == 410

            def withdrawn() -> bool:
                with gateway.ledger.read() as session:
                    statement = select(SubmissionVersion.id).where(SubmissionVersion.operation == "withdraw")
                    return len(session.exec(statement).all()) == 1

            wait_for(withdrawn, 60, "the withdrawal of what was deleted")
            with gateway.ledger.read() as session:
                messages = session.exec(select(InboundMessage)).all()
                kept = [gateway.vault.open(row.sealed_raw, RAW_PLACE) for row in messages]
                assert verify_lines(list(export(session))).entries > 20
            assert [kept.count(bundle) for bundle in bundles] == [1, 1, 1]
            assert {row.state for row in messages} <= {"assembled", "waiting", "ignored"}


def test_two_processes_keep_one_audit_log(server: str) -> None:
    vault, url = Vault({1: bytes(32)}, bytes(32)), server.format(name="shared")
    with Ledger.open(url, vault) as gateway, Ledger.visit(url, vault) as visitor:
        faults: list[Exception] = []

        def write(ledger: Ledger) -> None:
            try:
                for _ in range(50):
                    with ledger.write() as session:
                        record(session, Event("written", "beside"))
            except Exception as error:
                faults.append(error)

        threads = [threading.Thread(target=write, args=(ledger,)) for ledger in (gateway, visitor)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
        with visitor.read() as session:
            assert verify_lines(list(export(session))).entries == 100
