"""A record that is read speaks for messages whose turn has not come yet: what else these made due is not forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from adapters.fhir import wire
from conformance.sample.fhir_feed import bundle_of
from conformance.sample.hospital import generate
from gateway.assembling import Assembler
from gateway.cases import stays
from gateway.runtime import Gateway
from gateway.settings import load
from gateway.store.tables import InboundMessage, StayRow
from tests.installation import install

SOURCE = '\n[sources.emr]\nkind = "fhir"\norganisation = "990100000000000018"\n'
ENTRIES = [(record["A48"], json.loads(bundle_of(record))["entry"]) for record in islice(generate(50), 50)]
FIRST, SECOND = ENTRIES[0], next(one for one in ENTRIES if one[0] != ENTRIES[0][0])


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    config, _ = install(tmp_path / "hospital", url="http://127.0.0.1:9", account="a", secret="s", more=SOURCE)
    gateway = Gateway(load(config))
    yield gateway
    gateway.close()


def accept(gateway: Gateway, *entries: dict[str, Any]) -> None:
    raw = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()
    gateway.repository.accept("emr", raw, wire.read(raw))


def record_numbers(gateway: Gateway) -> set[str]:
    with gateway.ledger.read() as session:
        ids = session.exec(select(StayRow.id).where(col(StayRow.absorbed_into).is_(None)))
        return {stays.current(session, gateway.vault, id or 0)[0].record_number or "" for id in ids}


def states(gateway: Gateway) -> list[str]:
    with gateway.ledger.read() as session:
        return list(session.exec(select(InboundMessage.state).order_by(col(InboundMessage.id))))


def test_a_message_that_another_one_spoke_for_is_still_read(gateway: Gateway) -> None:
    """The second message has the rest of the first patient, and all of the second one."""
    accept(gateway, *FIRST[1][:-1])
    accept(gateway, FIRST[1][-1], *SECOND[1])
    assembler: Assembler = gateway.assembler
    assert assembler.run(limit=1) == 1
    assert states(gateway) == ["assembled", "received"]
    assert record_numbers(gateway) == {FIRST[0]}
    assert assembler.run(limit=1) == 1  # one patient of the second message
    assert states(gateway) == ["assembled", "received"]
    assert assembler.run(limit=1) == 1
    assert states(gateway) == ["assembled", "assembled"]
    assert record_numbers(gateway) == {FIRST[0], SECOND[0]}
