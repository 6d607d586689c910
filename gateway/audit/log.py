"""The audit log: append-only, hash-chained, verifiable offline.

Each entry's hash covers the previous hash and the entry's canonical JSON, so that changing, removing or inserting any entry
breaks every hash after it. The ledger's database refuses update and delete by trigger; the chain shows what a trigger cannot
stop (a changed file, a changed export). Entries carry ids and codes, never patient data.

An export is one JSON object a line: a header with the chain's anchor, the entries, and a footer with count and last hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from sqlmodel import Session, col, select

from gateway.model.errors import AuditBroken
from gateway.store.ledger import now
from gateway.store.tables import AuditEntry

GENESIS = hashlib.sha256(b"zhibao audit log").hexdigest()
FORMAT = "zhibao-audit-1"

_LAST = select(AuditEntry.seq, AuditEntry.hash).order_by(col(AuditEntry.seq).desc()).limit(1)


def _canonical(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What the hash covers and an export shows: the entry with its time as text and its detail as JSON."""
    shown = {name: entry[name] for name in ("seq", "actor", "action", "subject", "previous")}
    return {**shown, "at": entry["at"].isoformat(timespec="microseconds"), "detail": json.loads(entry["detail"])}


def _hash(entry: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(_fields(entry))).hexdigest()


@dataclass(frozen=True, slots=True)
class Event:
    """Something to be written down: who did what to which subject (an id), with a few codes and counts."""

    action: str
    subject: str
    detail: Mapping[str, Any] | None = None
    actor: str = "zhibao"


def record(session: Session, *events: Event) -> None:
    """Append events to the log inside the caller's writing transaction (there is one writer, so the order is certain)."""
    if not events:
        return
    seq, previous = session.exec(_LAST).first() or (0, GENESIS)
    at = now()
    rows = []
    for item in events:
        seq += 1
        entry = {
            "seq": seq,
            "at": at,
            "actor": item.actor,
            "action": item.action,
            "subject": item.subject,
            "detail": json.dumps(dict(item.detail or {}), ensure_ascii=False, sort_keys=True),
            "previous": previous,
        }
        previous = _hash(entry)
        rows.append({**entry, "hash": previous})
    session.execute(insert(AuditEntry), rows)


def export(session: Session, *, after: int = 0) -> Iterator[str]:
    """The entries after ``after`` as lines of an export."""
    statement = select(AuditEntry).where(col(AuditEntry.seq) > after).order_by(col(AuditEntry.seq))
    count, last, started = 0, "", False
    for entry in session.exec(statement.execution_options(yield_per=1000)):
        if not started:
            yield _line({"format": FORMAT, "first": entry.seq, "anchor": entry.previous})
            started = True
        yield _line({**_fields(entry.model_dump()), "hash": entry.hash})
        count, last = count + 1, entry.hash
    if not started:
        yield _line({"format": FORMAT, "first": after + 1, "anchor": ""})
    yield _line({"end": True, "entries": count, "last": last})


def _line(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n"


@dataclass(frozen=True)
class Verified:
    """A piece of the log that verified: how many entries, from which to which, and between which times."""

    entries: int
    first: int
    last: int
    from_time: datetime | None
    to_time: datetime | None


def verify(path: Path) -> Verified:
    """Verify an exported piece offline. Raises `AuditBroken` naming the first line that does not fit."""
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            return verify_lines(handle)
    except UnicodeDecodeError:
        raise _broken(0, "文件不是 UTF-8 文本，已损坏") from None


def verify_lines(lines: Iterable[str]) -> Verified:
    """Verify the lines of an export; see `verify`."""
    source = enumerate(lines, start=1)
    _, line = next(source, (1, ""))
    header = _parse(1, line)
    if header.get("format") != FORMAT or type(header.get("first")) is not int or "anchor" not in header:
        raise _broken(1, "不是直报审计日志导出文件")
    if line != _line({name: header[name] for name in ("format", "first", "anchor")}):
        raise _broken(1, "开头记录被改动")
    expected, previous = header["first"], header["anchor"]
    if expected == 1 and previous not in (GENESIS, ""):
        raise _broken(1, "日志起点不正确")
    count = 0
    times: list[datetime] = []
    for number, line in source:
        fields = _parse(number, line)
        if "end" in fields:
            if fields != {"end": True, "entries": count, "last": previous if count else ""}:
                raise _broken(number, "结尾记录与内容不符，可能缺少条目")
            if line != _line(fields):
                raise _broken(number, "结尾记录被改动")
            if next(source, None) is not None:
                raise _broken(number + 1, "结尾之后还有内容")
            return Verified(count, header["first"], expected - 1, times[0] if times else None, times[-1] if times else None)
        claimed = fields.pop("hash", None)
        if fields.get("seq") != expected or fields.get("previous") != previous:
            raise _broken(number, f"第 {expected} 条缺失或被替换")
        if line != _line({**fields, "hash": claimed}):
            raise _broken(number, f"第 {expected} 条的写法被改动")
        if hashlib.sha256(_canonical(fields)).hexdigest() != claimed:
            raise _broken(number, f"第 {expected} 条被改动，校验值不符")
        times[1:] = [_time(number, fields.get("at"))]
        count, expected, previous = count + 1, expected + 1, claimed
    raise _broken(count + 2, "缺少结尾记录，文件不完整")


def _parse(number: int, line: str) -> dict[str, Any]:
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError):  # also a number or a nesting that is too long for Python
        raise _broken(number, "不是有效的 JSON") from None
    if not isinstance(parsed, dict):
        raise _broken(number, "不是有效的记录")
    return parsed


def _time(number: int, text: Any) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise _broken(number, "没有有效的时间") from None


def _broken(line: int, what: str) -> AuditBroken:
    return AuditBroken(
        f"审计日志校验失败：第 {line} 行，{what}",
        action="请勿使用此文件作为证据，并从原系统重新导出核对",
        english=f"audit log does not verify at line {line}",
    )
