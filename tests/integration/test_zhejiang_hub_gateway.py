"""A whole gateway that reports to the simulated Zhejiang hub, which misbehaves: no double card, numbers kept, the order of reports kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import col, select

from conformance.simulators.zhejiang_hub.platform import Simulator
from gateway.runtime import Gateway
from gateway.settings import load
from gateway.store.tables import AuditEntry, Receipt
from tests.hub import AREA, attempts, card, first_visit, follow, install, put, states, versions
from tests.installation import wait_for
from tests.integration.test_zhejiang_hub import PATIENCE, hub

__all__ = ["hub"]  # a fixture


@pytest.fixture(scope="module", autouse=True)
def quick_stop() -> Iterator[None]:
    """Nothing is under way any more when a test is over."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.delivery.engine.STOP_SECONDS", 0)
        yield


@pytest.fixture
def gateway(hub: Simulator, tmp_path: Path) -> Iterator[Gateway]:
    signer = hub.signer
    config = install(tmp_path / "hospital", url=hub.url, account=signer.user, secret=signer.secret, options=hub.options)
    made = Gateway(load(config))
    made.start()
    yield made
    made.close()


SUBMITTED = ("submit", "sent", "accepted")


def reach(gateway: Gateway, *expected: tuple[str, str, str]) -> None:
    wait_for(lambda: states(gateway.ledger) == list(expected), PATIENCE, f"{expected}, but {states(gateway.ledger)}")


def test_cards_arrive_once_and_their_numbers_come_back(hub: Simulator, gateway: Gateway) -> None:
    for number in range(5):
        put(gateway.ledger, card(number))
    reach(gateway, *[SUBMITTED] * 5)
    assert {row.platform_record for row in versions(gateway.ledger)} == set(hub.exchange.cards.cards)
    assert hub.counts()["uploads"] == {row.id: 1 for row in versions(gateway.ledger)}
    assert hub.counts()["doubles"] == 0
    for row in versions(gateway.ledger):
        sent, *asked = [attempt.outcome for attempt in attempts(gateway.ledger, row.id)]
        assert sent == "uncertain"  # taken, outcome to be asked for
        assert set(asked) <= {"waiting", "found"}


def test_lost_answers_faults_and_codes_make_no_double_card(hub: Simulator, gateway: Gateway) -> None:
    hub.control(drop_answers=3)
    for number in range(4):
        put(gateway.ledger, card(number))
    reach(gateway, *[SUBMITTED] * 4)
    hub.control(fault={"calls": 3, "carried_out": True, "kind": "upload"})
    for number in range(4, 8):
        put(gateway.ledger, card(number))
    reach(gateway, *[SUBMITTED] * 8)
    hub.control(fail={"calls": 3, "code": "3001", "kind": "upload", "carried_out": True})
    for number in range(8, 12):
        put(gateway.ledger, card(number))
    reach(gateway, *[SUBMITTED] * 12)
    assert hub.counts()["uploads"] == {row.id: 1 for row in versions(gateway.ledger)}
    assert (hub.counts()["cards"], hub.counts()["doubles"], hub.counts()["repeated_requests"]) == (12, 0, 0)


def test_what_never_arrived_is_sent_again_under_another_number(hub: Simulator, gateway: Gateway) -> None:
    hub.control(fault={"calls": 1, "carried_out": False, "kind": "upload"})
    put(gateway.ledger, card())
    reach(gateway, SUBMITTED)
    (row,) = versions(gateway.ledger)
    outcomes = [attempt.outcome for attempt in attempts(gateway.ledger, row.id)]
    assert outcomes.count("not found") == 1
    assert outcomes.count("uncertain") == 2
    assert (hub.counts()["uploads"], hub.counts()["repeated_requests"]) == ({row.id: 1}, 0)


def test_an_amendment_waits_for_the_number_and_a_withdrawal_takes_all_back(hub: Simulator, gateway: Gateway) -> None:
    hub.control(delay_items_seconds=3600)
    submission = put(gateway.ledger, card())
    reach(gateway, ("submit", "sent", "received"))
    follow(gateway.ledger, submission, card(VC_ICDM="8140/2"), "amend")
    assert gateway.engine.sweep() == 0
    assert states(gateway.ledger)[1] == ("amend", "ready", "unknown")
    hub.control(delay_items_seconds=0)
    reach(gateway, SUBMITTED, ("amend", "sent", "accepted"))
    follow(gateway.ledger, submission, card(VC_ICDM="8140/2"), "withdraw")
    reach(gateway, SUBMITTED, ("amend", "sent", "withdrawn"), ("withdraw", "sent", "withdrawn"))
    assert len({row.platform_record for row in versions(gateway.ledger)}) == 1
    assert (hub.counts()["cards"], hub.counts()["usable"]) == (1, 0)


def test_what_the_audit_rejected_is_amended_as_a_new_card(hub: Simulator, gateway: Gateway) -> None:
    submission = put(gateway.ledger, card(VC_SHBZ="0"))
    reach(gateway, ("submit", "sent", "rejected"))
    follow(gateway.ledger, submission, card(), "amend")
    reach(gateway, ("submit", "sent", "rejected"), ("amend", "sent", "accepted"))
    assert (hub.counts()["cards"], hub.counts()["doubles"]) == (1, 0)


def test_a_visit_leaves_after_its_card(hub: Simulator, gateway: Gateway) -> None:
    hub.control(delay_items_seconds=3600)
    main = put(gateway.ledger, card())
    put(gateway.ledger, first_visit(), part="first_visit/1", parent=main)
    wait_for(lambda: states(gateway.ledger)[0] == ("submit", "sent", "received"), PATIENCE, "the card taken")
    assert gateway.engine.sweep() == 0
    assert (hub.counts()["visits"], states(gateway.ledger)[1]) == ({}, ("submit", "ready", "unknown"))
    hub.control(delay_items_seconds=0)
    reach(gateway, SUBMITTED, SUBMITTED)
    (kept,) = hub.exchange.cards.cards.values()
    assert [part for part, _ in kept.visits] == ["first_visit"]
    assert kept.visits[0][1]["VC_BGKID"] == kept.number


def test_doubled_items_are_one_receipt_and_a_number_is_not_replaced(hub: Simulator, gateway: Gateway) -> None:
    hub.control(repeat_items=True)
    put(gateway.ledger, card())
    reach(gateway, SUBMITTED)
    (row,) = versions(gateway.ledger)
    number = row.platform_record
    store = hub.exchange.cards
    (item,) = store.items
    store._list({"VC_ID": row.id}, AREA, item.at, "1", "4711", "")  # the hub lists the card under another number

    def kept() -> list[tuple[str, bool]]:
        with gateway.ledger.read() as session:
            return [(receipt.version_id, receipt.applied) for receipt in session.exec(select(Receipt).order_by(col(Receipt.id)))]

    wait_for(lambda: len(kept()) == 2, PATIENCE, "the second item kept")
    assert kept() == [(row.id, True), (row.id, False)]
    with gateway.ledger.read() as session:
        assert len(session.exec(select(AuditEntry).where(AuditEntry.action == "receipt.other_number")).all()) == 1
    assert versions(gateway.ledger)[0].platform_record == number
