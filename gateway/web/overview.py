"""The page at ``/``: the flow at a glance, read-only, counts only. Chinese first, English with ``?lang=en``."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlmodel import Session, col, func, select

from gateway.reporting.states import NAMES, Ours, Theirs
from gateway.reporting.tally import Tally, tally
from gateway.store.ledger import now
from gateway.store.tables import AuditEntry, InboundMessage, SourceFile, StayRow
from gateway.web.operations import row_counts
from gateway.web.requests import InGateway
from gateway.web.sources import Standing, standings
from mappings.cadence import CHINA, Window
from mappings.profile import Profile, profile

router = APIRouter(include_in_schema=False)

_pages = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("blocked", "校验未通过", "Blocked"),
    ("review", "待审核", "In review"),
    ("waiting", "待发送", "To send"),
    ("underway", "发送中", "Sending"),
    ("trouble", "需处理", "Trouble"),
    ("unanswered", "等平台答复", "Awaiting reply"),
    ("accepted", "已通过", "Accepted"),
    ("returned", "退回/不通过", "Returned"),
    ("withdrawn", "已撤回", "Withdrawn"),
)
"""What the overview counts: key, Chinese and English heading."""

_OURS = {
    Ours.BLOCKED: "blocked",
    Ours.AWAITING_REVIEW: "review",
    Ours.DRAFTED: "waiting",
    Ours.READY: "waiting",
    Ours.QUEUED: "underway",
    Ours.SENDING: "underway",
    Ours.UNCERTAIN: "trouble",
    Ours.FAILED: "trouble",
    Ours.SENT: "unanswered",
    Ours.SUPERSEDED: "withdrawn",
}
_THEIRS = {
    Theirs.ACCEPTED: "accepted",
    Theirs.REJECTED: "returned",
    Theirs.RETURNED: "returned",
    Theirs.WITHDRAWN: "withdrawn",
}


def column_of(item: Tally) -> str:
    """Under which heading a tally counts: what the platform made of it, else how far we are."""
    return _THEIRS.get(Theirs(item.theirs)) or _OURS[Ours(item.ours)]


@dataclass
class WindowRow:
    """One reporting month of one platform."""

    window: Window | None
    month: str
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def due(self) -> int:
        """All submissions of the month."""
        return self.counts.total()

    @property
    def finished(self) -> bool:
        """Whether the platform has accepted everything that was due."""
        return self.due == self.counts["accepted"] + self.counts["withdrawn"]


@dataclass
class PlatformRows:
    """One platform with its months, newest first."""

    profile: Profile
    transport: str
    months: list[WindowRow]
    totals: Counter[str]


def _platforms(session: Session, gateway: InGateway) -> list[PlatformRows]:
    months: dict[tuple[str, str], WindowRow] = {}
    for item in tally(session):
        window = profile(item.platform).cadence.window_of(item.window) if item.window else None
        row = months.setdefault((item.platform, item.window), WindowRow(window, item.window))
        row.counts[column_of(item)] += item.count
    found = []
    for id, chosen in gateway.platforms.items():
        described = profile(id)
        own = [row for (platform, _), row in sorted(months.items(), reverse=True) if platform == id]
        totals: Counter[str] = sum((row.counts for row in own), Counter())
        found.append(PlatformRows(described, chosen.transport or described.transport, own, totals))
    return found


def left(row: WindowRow, window: Window, at: datetime, lang: str) -> tuple[str, Literal["calm", "soon", "late"]]:
    """How long until a month's window closes, in words, and how pressing that is for what is still open in it."""
    if row.finished:
        return ("已全部通过" if lang == "zh" else "all accepted"), "calm"
    if window.endless:
        return ("随时上报" if lang == "zh" else "at any time"), "calm"
    if window.state(at) == "waiting":
        return (f"{window.opens:%m-%d} 起上报" if lang == "zh" else f"opens {window.opens:%m-%d}"), "calm"
    days = (window.closes - at.astimezone(CHINA).date()).days
    if days < 0:
        return (f"截止日 {window.closes:%m-%d} 已过" if lang == "zh" else f"closed {window.closes:%m-%d}"), "late"
    text = f"距截止 {days} 天（{window.closes:%m-%d}）" if lang == "zh" else f"{days} days left ({window.closes:%m-%d})"
    return text, "soon" if days <= 3 else "calm"


KINDS = {"mllp": ("MLLP", "MLLP"), "http": ("HTTP", "HTTP"), "folder": ("文件夹", "folder"), "fhir": ("FHIR", "FHIR")}
"""How messages of a source come, in Chinese and English."""


def heard(standing: Standing, lang: str) -> str:
    """How long ago a source was last heard of, in words; for a silent one, that it is silent."""
    silence = standing.silence
    if silence is None:
        return "还没有收到过消息" if lang == "zh" else "no message yet"
    minutes = int(silence.total_seconds() // 60)
    if minutes < 1 and not standing.silent:
        return "刚刚" if lang == "zh" else "just now"
    units = ((1440, "天", "d"), (60, "小时", "h"), (1, "分钟", "min"))
    size, zh, en = next((unit for unit in units if minutes >= 2 * unit[0]), units[-1])
    count = minutes // size
    if standing.silent:
        return f"已静默 {count} {zh}" if lang == "zh" else f"silent for {count} {en}"
    return f"{count} {zh}前" if lang == "zh" else f"{count} {en} ago"


_EXPORT = re.compile(r"(?!.*\d{9})(hqmsts|HQMSTS|TCMMS|hqms|flu)[A-Za-z0-9_.-]*")


def public_name(name: str, lang: str) -> str:
    """A file's name where it is one that official exports have. Anybody sees this page, and a name that a person gave may be a
    patient's, or hold a long number that is one's."""
    if _EXPORT.fullmatch(name):
        return name
    return "（文件名不公开显示）" if lang == "zh" else "(name not shown)"


@router.get("/", response_class=HTMLResponse)
def overview(request: Request, gateway: InGateway, lang: Literal["zh", "en"] = "zh") -> HTMLResponse:
    at = now()
    with gateway.ledger.read() as session:
        platforms = _platforms(session, gateway)
        recent = select(SourceFile).order_by(col(SourceFile.id).desc()).limit(8)
        facts: dict[str, Any] = {
            "sources": standings(session, gateway),
            "messages": session.execute(select(func.max(InboundMessage.id))).scalar() or 0,
            "files": session.execute(select(func.count()).select_from(SourceFile)).scalar_one(),
            "rows": row_counts(session),
            "stays": session.execute(select(func.count()).select_from(StayRow)).scalar_one(),
            "entries": session.execute(select(func.max(AuditEntry.seq))).scalar() or 0,
            "recent": list(session.exec(recent)),
        }
    totals: Counter[str] = sum((p.totals for p in platforms), Counter())
    page = _pages.get_template("overview.html")
    html = page.render(
        lang=lang,
        t=lambda zh, en: en if lang == "en" else zh,
        at=at.astimezone(CHINA),
        china=CHINA,
        platforms=platforms,
        totals=totals,
        columns=COLUMNS,
        kinds=KINDS,
        heard=lambda standing: heard(standing, lang),
        left=lambda row: left(row, row.window, at, lang),
        public_name=lambda name: public_name(name, lang),
        names=NAMES,
        faults=[loop.name for loop in gateway.loops if loop.failing_for],
        version=request.app.version,
        **facts,
    )
    return HTMLResponse(html)
