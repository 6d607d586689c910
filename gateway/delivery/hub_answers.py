"""What the answers of the Zhejiang hub mean for us. What every code says, what we do about it and why: ``answer_codes.csv`` of the platform.

An answer to an upload speaks of the request itself. An answer to a query speaks of the query (``code``) and, once that is done, of the request
asked about (``respCode``, ``respData``). Where exactly these stand in the answer is not public, so they are found by name.
"""

from __future__ import annotations

import base64
import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec
from lxml import etree

from gateway.delivery.channel import IncomingReceipt, Reason, StillProcessing
from gateway.delivery.hub_envelope import PLATFORM, UnreadableXml, first, read, text_of
from gateway.model.errors import AmbiguousFailure, DeliveryError, PermanentFailure, TransientFailure
from mappings.cadence import CHINA

Treatment = Literal["busy", "wait", "done", "refused", "account", "closed", "later", "open", "query", "absent"]
Outcome = Literal["done", "absent", "open"]
"""What the hub has of a request that was asked about: it was carried out; the hub never got it; the hub cannot tell itself."""

LONGEST_MESSAGE = 300


@dataclass(frozen=True, slots=True)
class Code:
    """A return code: how it is treated, what it means, what a person can do."""

    code: str
    treatment: Treatment
    zh: str
    en: str
    action: str


@cache
def codes() -> Mapping[str, Code]:
    """All return codes that are known."""
    text = files("mappings").joinpath("platforms", PLATFORM, "answer_codes.csv").read_text("utf-8")
    return {
        row["code"]: Code(row["code"], msgspec.convert(row["treatment"], Treatment), row["zh"], row["en"], row["action_zh"])
        for row in csv.DictReader(text.splitlines())
    }


def known(code: str) -> Code:
    """What a code means. One that nobody knows leaves open what became of the request."""
    return codes().get(code) or Code(code, "open", "平台的答复码无法识别", "unknown code", "系统会先向平台查询，再决定是否重发")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came; ``response`` is the ``respCode``, empty where there is none."""

    text: str
    code: str
    message: str
    response: str
    body: etree._Element

    @classmethod
    def read(cls, text: str) -> Answer:
        """Raises `UnreadableXml` when it is not as agreed."""
        root = read(text)
        body = first(root, "Body")
        if body is None or not (code := text_of(body, "code")):
            raise UnreadableXml("no code")
        return cls(text, code, text_of(body, "msg"), text_of(body, "respCode"), body)

    def business(self) -> etree._Element | None:
        """The business XML in ``respData`` (elements, or text, or that in base64). Raises `UnreadableXml` for anything else."""
        holder = first(self.body, "respData")
        if holder is None:
            return None
        if len(holder):
            return holder
        text = "".join((holder.text or "").split())
        if not text:
            return None
        try:
            content = base64.b64decode(text, validate=True)
        except ValueError:
            content = (holder.text or "").strip().encode()
        return read(content)


def sent(answer: Answer, record: Mapping[str, str], hours: Hours) -> None:
    """Go on when an upload was carried out; otherwise raise what tells what to do next."""
    code = known(answer.response if answer.code == "1" and answer.response else answer.code)
    english = f"hub code {code.code}: {code.en}"
    match code.treatment:
        case "done":
            return
        case "wait":
            raise StillProcessing(code.zh, action=code.action, english=english)
        case "refused":
            raise _refused(code, answer, record)
        case "account" | "later" | "closed":
            raise _later(code, hours)
        case _:
            raise AmbiguousFailure(code.zh, action=code.action, english=english)


def asked(answer: Answer, record: Mapping[str, str], hours: Hours) -> Outcome:
    """What a query tells of a request. Raises `StillProcessing`, `PermanentFailure` when the hub refused the request, or `TransientFailure`
    when it does not answer the query."""
    code = known(answer.code)
    if code.treatment == "absent":
        return "absent"
    if code.treatment in ("wait", "busy"):
        raise StillProcessing(code.zh, action="系统会继续查询处理结果", english=f"hub code {code.code}: {code.en}")
    if code.treatment != "done":
        raise _later(code, hours)
    final = known(answer.response or "1")
    match final.treatment:
        case "done" | "absent":
            return final.treatment
        case "wait" | "busy":
            raise StillProcessing(final.zh, action="系统会继续查询处理结果", english=f"hub code {final.code}: {final.en}")
        case "refused":
            raise _refused(final, answer, record)
        case _:
            return "open"


def _later(code: Code, hours: Hours) -> DeliveryError:
    wait = hours.until_open(datetime.now(CHINA)) if code.treatment == "closed" else None
    return TransientFailure(
        f"{code.zh}（{code.code}）",
        action=code.action or "系统会自动重试",
        english=f"hub code {code.code}: {code.en}",
        retry_after=wait,
    )


def _refused(code: Code, answer: Answer, record: Mapping[str, str]) -> PermanentFailure:
    words = without_values(answer.message, record)
    told = f"{code.zh}（{code.code}）" + (f"：{words}" if words else "")
    return PermanentFailure(told, action=code.action, english=f"hub code {code.code}: {code.en}")


def without_values(message: str, record: Mapping[str, str]) -> str:
    """The hub's own words for a person, without what was sent: the hub may repeat values in them."""
    values = sorted((text for text in record.values() if _tells(text)), key=len, reverse=True)
    for text in values:
        message = message.replace(text, "※")
    return re.sub(r"\d{6,}[0-9Xx]?", "※", message)[:LONGEST_MESSAGE]


def _tells(text: str) -> bool:
    return len(text) >= 6 or (len(text) >= 2 and not text.isascii())


@dataclass(frozen=True, slots=True)
class Hours:
    """When the hub takes uploads (``20:00-06:00``, Chinese time), where that is known; ``otherwise`` is the wait in seconds where it is not."""

    opens: time | None
    closes: time | None
    otherwise: float

    @classmethod
    def of(cls, text: str, otherwise: float) -> Hours:
        """Raises ``ValueError`` for a text that is neither empty nor two times."""
        if not text:
            return cls(None, None, otherwise)
        opens, closes = text.split("-")
        return cls(time.fromisoformat(opens.strip()), time.fromisoformat(closes.strip()), otherwise)

    def until_open(self, at: datetime) -> float:
        """Seconds until the hub opens. When it should be open by our clock and says that it is not, the usual wait."""
        if self.opens is None or self.closes is None:
            return self.otherwise
        clock = at.timetz().replace(tzinfo=None)
        inside = self.opens <= clock < self.closes if self.opens < self.closes else clock >= self.opens or clock < self.closes
        if inside:
            return self.otherwise
        opening = at.replace(hour=self.opens.hour, minute=self.opens.minute, second=self.opens.second, microsecond=0)
        return ((opening if opening > at else opening + timedelta(days=1)) - at).total_seconds()


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One item of a reconciliation (Datatype 12): what the hub made of the upload that we called ``key`` (VC_ID)."""

    id: str
    key: str
    result: str
    number: str
    reason: str
    stored_at: str

    def receipt(self) -> IncomingReceipt:
        """The item as a receipt. A result that changes later is another receipt, one that comes again is the same."""
        reasons = (Reason("", self.reason),) if self.reason else ()
        body = {
            "id": self.id, "key": self.key, "status": self.result, "record": self.number, "stored_at": self.stored_at,
            "reasons": [{"field": "", "reason": self.reason}] if self.reason else [],
        }  # fmt: skip
        return IncomingReceipt(
            f"{self.id or self.key}/{self.result}", self.key, self.result, reasons, msgspec.json.encode(body), self.number
        )


def reconciled(answer: Answer) -> Iterator[Reconciled]:
    """The items of a reconciliation, whatever their node is called. Raises `UnreadableXml`."""
    root = answer.business()
    for key in root.iter("{*}VC_ID") if root is not None else ():
        item = key.getparent()
        assert item is not None, "an element with a child"
        one = {name: text_of(item, name) for name in ("id", "VC_ID", "VC_DZJG", "VC_BGKID", "VC_BZ", "DT_RKSJ")}
        yield Reconciled(one["id"], one["VC_ID"], one["VC_DZJG"], one["VC_BGKID"], one["VC_BZ"], one["DT_RKSJ"])
