"""The audit log: a chain that shows every way of tampering, in an export and in the ledger's own database."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import select

from gateway.audit.log import GENESIS, Event, export, record, verify, verify_lines
from gateway.model.errors import AuditBroken
from gateway.store.ledger import Ledger
from gateway.store.tables import AuditEntry
from gateway.store.vault import Vault

ENTRIES = 6


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger with six entries, written in three transactions."""
    folder = tmp_path_factory.mktemp("audit")
    with Ledger.open(f"sqlite:///{folder / 'ledger.sqlite'}", Vault({1: bytes(32)}, bytes(32))) as opened:
        with opened.write() as session:
            record(session, Event("file.received", "file-1", {"name": "hqmsts_2026M10.csv", "size": 12}, actor="clerk"))
        with opened.write() as session:
            record(session)
            record(session, Event("file.read", "file-1"), Event("row.refused", "file-1#3", {"reason": "width", "说明": "列数不符"}))
        with opened.write() as session:
            record(session, *(Event("stay.recorded", f"stay:{number}.1", {"b": 1, "a": [1, 2]}) for number in (1, 2, 3)))
        yield opened


@pytest.fixture(scope="module")
def piece(ledger: Ledger) -> bytes:
    """All of it, exported."""
    return exported(ledger)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pieces") / "audit.jsonl"


def exported(ledger: Ledger, after: int = 0) -> bytes:
    with ledger.read() as session:
        return "".join(export(session, after=after)).encode()


def canonical(fields: dict[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def test_the_chain_is_what_an_auditor_can_compute_by_hand(ledger: Ledger, piece: bytes) -> None:
    header, *entries, footer = map(json.loads, piece.splitlines())
    assert header == {"format": "zhibao-audit-1", "first": 1, "anchor": hashlib.sha256(b"zhibao audit log").hexdigest()}
    previous = header["anchor"]
    for number, entry in enumerate(entries, start=1):
        shown = {name: value for name, value in entry.items() if name != "hash"}
        assert set(shown) == {"seq", "at", "actor", "action", "subject", "detail", "previous"}
        assert (shown["seq"], shown["previous"]) == (number, previous)
        assert datetime.fromisoformat(shown["at"]).utcoffset() is not None
        previous = hashlib.sha256(canonical(shown).encode()).hexdigest()
        assert entry["hash"] == previous
    assert footer == {"end": True, "entries": ENTRIES, "last": previous}
    assert [(e["actor"], e["action"], e["subject"]) for e in entries[:3]] == [
        ("clerk", "file.received", "file-1"),
        ("zhibao", "file.read", "file-1"),
        ("zhibao", "row.refused", "file-1#3"),
    ]
    assert entries[2]["detail"] == {"reason": "width", "说明": "列数不符"}


def test_the_whole_log_and_every_later_piece_verify(ledger: Ledger, place: Path) -> None:
    for after in range(ENTRIES + 2):
        place.write_bytes(exported(ledger, after))
        verified = verify(place)
        left = max(ENTRIES - after, 0)
        assert (verified.entries, verified.first) == (left, after + 1)
        if left:
            assert verified.last == ENTRIES
            assert verified.from_time is not None
            assert verified.to_time is not None
            assert verified.from_time <= verified.to_time


@settings(max_examples=600, deadline=None)
@given(data=st.data())
def test_no_byte_can_be_changed(piece: bytes, place: Path, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(piece) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != piece[position]))
    refuse(place, piece[:position] + bytes((other,)) + piece[position + 1 :])


def test_no_line_end_can_be_changed(piece: bytes, place: Path) -> None:
    for position in (p for p, byte in enumerate(piece) if byte == 0x0A):
        for other in (b"\r", b" ", b"\t", b"\r\n", b"\n\n", b""):
            refuse(place, piece[:position] + other + piece[position + 1 :])


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_nothing_can_be_cut_off_or_put_behind(piece: bytes, place: Path, data: st.DataObject) -> None:
    refuse(place, piece[: data.draw(st.integers(0, len(piece) - 1))])
    refuse(place, piece + data.draw(st.binary(min_size=1, max_size=20)))


def refuse(place: Path, content: bytes) -> None:
    place.write_bytes(content)
    with pytest.raises(AuditBroken, match="审计日志校验失败"):
        verify(place)


def delete(lines: list[str], at: int) -> list[str]:
    return [*lines[:at], *lines[at + 1 :]]


def swap(lines: list[str], at: int) -> list[str]:
    return [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]


def repeat(lines: list[str], at: int) -> list[str]:
    return [*lines[: at + 1], *lines[at:]]


def insert(lines: list[str], at: int) -> list[str]:
    """A well-made entry that fits what stands before it."""
    before = json.loads(lines[at])
    previous = before.get("hash", before.get("anchor", ""))
    made = {"seq": at + 1, "at": "2026-11-01T00:00:00.000000+00:00", "actor": "admin", "action": "file.received", "subject": "x"}
    return [*lines[: at + 1], rehashed(made | {"detail": {}, "previous": previous}), *lines[at + 1 :]]


def rehashed(fields: dict[str, Any]) -> str:
    fields = {name: value for name, value in fields.items() if name != "hash"}
    return canonical(fields | {"hash": hashlib.sha256(canonical(fields).encode()).hexdigest()}) + "\n"


@pytest.mark.parametrize("tamper", [delete, swap, repeat, insert])
def test_no_line_can_be_moved_removed_or_added(piece: bytes, tamper: Callable[[list[str], int], list[str]]) -> None:
    lines = piece.decode().splitlines(keepends=True)
    for at in range(len(lines) - 1):
        with pytest.raises(AuditBroken):
            verify_lines(tamper(lines, at))


@pytest.mark.parametrize("line", range(1, ENTRIES + 1))
def test_an_entry_with_a_hash_made_to_fit_breaks_what_follows(piece: bytes, line: int) -> None:
    lines = piece.decode().splitlines(keepends=True)
    lines[line] = rehashed(json.loads(lines[line]) | {"actor": "somebody"})
    with pytest.raises(AuditBroken) as broken:
        verify_lines(lines)
    assert f"第 {line + 2} 行" in broken.value.message


@pytest.mark.parametrize(
    "forged",
    [
        {"entries": ENTRIES - 1},
        {"entries": ENTRIES + 1},
        {"last": GENESIS},
        {"last": ""},
        {"end": False},
        {"note": "ok"},
    ],
)
def test_a_forged_footer_is_found(piece: bytes, forged: dict[str, Any]) -> None:
    *lines, footer = piece.decode().splitlines(keepends=True)
    with pytest.raises(AuditBroken):
        verify_lines([*lines, canonical(json.loads(footer) | forged) + "\n"])


@pytest.mark.parametrize("after", [0, 2])
@pytest.mark.parametrize(
    "forged",
    [
        {"anchor": "0" * 64},
        {"anchor": ""},
        {"first": 2},
        {"first": 0},
        {"first": "1"},
        {"first": True},
        {"format": "zhibao-audit-2"},
    ],
)
def test_another_start_is_found(ledger: Ledger, after: int, forged: dict[str, Any]) -> None:
    header, *lines = exported(ledger, after).decode().splitlines(keepends=True)
    with pytest.raises(AuditBroken):
        verify_lines([canonical(json.loads(header) | forged) + "\n", *lines])


def test_a_header_that_says_more_is_found(piece: bytes) -> None:
    header, *lines = piece.decode().splitlines(keepends=True)
    with pytest.raises(AuditBroken):
        verify_lines([canonical(json.loads(header) | {"hospital": "another"}) + "\n", *lines])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"[]\n",
        b"\xff\xfe\x00",
        b"A48,A49\r\n1,1\r\n",
        b"[" * 200_000,
        b'{"first":' + b"1" * 5000 + b"}\n",
        b'{"anchor":"\\ud800","first":1,"format":"zhibao-audit-1"}\n{"a":"\\ud800","previous":"\\ud800","seq":1}\n',
        b"\x00" * 4096,
    ],
)
def test_what_is_no_export_is_refused_with_a_sentence(place: Path, content: bytes) -> None:
    refuse(place, content)


def test_a_well_hashed_entry_without_its_members_is_refused_with_a_sentence() -> None:
    header = canonical({"format": "zhibao-audit-1", "first": 1, "anchor": GENESIS}) + "\n"
    for odd in ({}, {"at": "yesterday"}, {"at": 5}):
        with pytest.raises(AuditBroken):
            verify_lines([header, rehashed({"seq": 1, "previous": GENESIS} | odd), ""])


RAW_ATTACKS = [
    "UPDATE audit_entry SET actor = 'nobody' WHERE seq = 2",
    "UPDATE audit_entry SET seq = seq + 100",
    "DELETE FROM audit_entry WHERE seq = 6",
    "DELETE FROM audit_entry",
    "REPLACE INTO audit_entry SELECT seq, at, 'nobody', action, subject, detail, previous, hash FROM audit_entry WHERE seq = 2",
]


@pytest.mark.parametrize("attack", RAW_ATTACKS)
def test_the_database_itself_refuses_to_change_or_remove_an_entry(ledger: Ledger, piece: bytes, attack: str) -> None:
    database = sqlite3.connect(str(ledger.engine.url.database))
    try:
        with pytest.raises(sqlite3.Error, match="append-only"):
            database.execute(attack)
    finally:
        database.close()
    assert exported(ledger) == piece


def test_what_a_trigger_cannot_stop_the_chain_shows(tmp_path: Path) -> None:
    """Somebody who owns the file drops the trigger, changes an entry and puts the trigger back."""
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    vault = Vault({1: bytes(32)}, bytes(32))
    with Ledger.open(url, vault) as opened, opened.write() as session:
        record(session, *(Event("report.sent", f"s-{number}") for number in range(4)))
    database = sqlite3.connect(str(tmp_path / "ledger.sqlite"))
    database.execute("DROP TRIGGER audit_entry_no_update")
    database.execute("UPDATE audit_entry SET subject = 's-9' WHERE seq = 2")
    database.commit()
    database.close()
    with Ledger.look_at(url, vault) as opened, opened.read() as session:
        assert session.exec(select(AuditEntry.subject).where(AuditEntry.seq == 2)).one() == "s-9"
        with pytest.raises(AuditBroken, match="第 2 条被改动"):
            verify_lines(export(session))
