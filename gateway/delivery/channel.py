"""A platform's conversation over HTTP, as its profile describes it: submit a record, ask about one, fetch receipts.

Paths, headers and the platform's status words are configuration (``[rest]`` and ``[receipt_status]`` of the profile). The message
shapes are those of the simulator that ships with Zhibao, because the true interface of the children's platform is not public.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote

from adapters.transports.rest import Answer, RestTransport
from gateway.model.errors import AmbiguousFailure, PermanentFailure, TransientFailure
from mappings.profile import Profile


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is sent: idempotency key, operation, the key it replaces, the rendered record.

    ``sent_at`` is when the attempt began that is sent or asked about; no two attempts share it, and it is in the ledger before bytes leave, so a
    platform that wants a number for each request can be given one made of it. ``platform_record`` is the platform's own number of what is
    replaced or, for a ``part`` (``first_visit/3``), of the report that it belongs to; empty where the platform has told none.
    """

    key: str
    operation: str
    replaces: str
    record: Mapping[str, str]
    sent_at: datetime
    platform_record: str = ""
    part: str = ""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The platform has it: its own number for the record, and its answer as it came."""

    platform_record: str
    status: int
    answer: bytes


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a platform did not accept: the field it names and its own words."""

    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class IncomingReceipt:
    """One receipt as the platform issued it. ``status`` is the platform's word, ``platform_record`` its number of the report, if told."""

    receipt_key: str
    key: str
    status: str
    reasons: tuple[Reason, ...]
    body: bytes
    platform_record: str = ""


class StillProcessing(AmbiguousFailure):
    """The platform took what was sent and has not decided yet: nothing is wrong with it or with the line, ask again later."""


class Channel(Protocol):
    """What delivery needs of a platform. ``numbered``: the platform knows a report again by the number that it gave it, so what amends or
    withdraws a report waits until that number is known."""

    @property
    def numbered(self) -> bool: ...

    def send(self, parcel: Parcel) -> Delivered:
        """Send one record. Raises the `DeliveryError` that tells what to do next."""
        ...

    def ask(self, parcel: Parcel) -> Delivered | None:
        """What the platform has of a parcel whose outcome is open; None when it has nothing. Raises `TransientFailure` when it cannot say,
        `StillProcessing` when it has not decided, `PermanentFailure` when it refused."""
        ...

    def receipts(self, cursor: str) -> tuple[list[IncomingReceipt], str]:
        """Receipts after a cursor, and the next cursor. Raises `TransientFailure` when the platform cannot say."""
        ...

    def close(self) -> None:
        """Give up connections."""
        ...


class RestChannel:
    """A `Channel` over HTTP."""

    numbered = False

    def __init__(self, profile: Profile, transport: RestTransport) -> None:
        rest = profile.settings["rest"]
        self._base = str(rest["base_path"])
        self._submit, self._query, self._receipts = str(rest["submit"]), str(rest["query"]), str(rest["receipts"])
        self._key_header = str(rest["idempotency_header"])
        self._transport = transport

    def send(self, parcel: Parcel) -> Delivered:
        body = {
            "operation": parcel.operation,
            "replaces": parcel.replaces or None,
            "fields": dict(parcel.record),
        }
        answer = self._transport.exchange(
            "POST",
            self._base + self._submit,
            content=json.dumps(body, ensure_ascii=False).encode(),
            headers={"Content-Type": "application/json", self._key_header: parcel.key},
        )
        if answer.status >= 500 and answer.status != 503:
            raise _open_outcome(f"HTTP {answer.status}")  # it may have been taken before something broke
        try:
            return _delivered(_usable(answer), parcel.key)
        except _Unrecognised as failure:
            raise _open_outcome(failure.english) from None

    def ask(self, parcel: Parcel) -> Delivered | None:
        try:
            answer = self._transport.exchange("GET", self._base + self._query.replace("{key}", quote(parcel.key, safe="")))
        except AmbiguousFailure as failure:
            raise TransientFailure(failure.message, action=failure.action, english=failure.english) from None
        if answer.status == 404:
            return None
        return _delivered(_usable(answer), parcel.key)

    def receipts(self, cursor: str) -> tuple[list[IncomingReceipt], str]:
        try:
            answer = _usable(self._transport.exchange("GET", self._base + self._receipts, query={"after": cursor, "limit": "500"}))
        except AmbiguousFailure as failure:
            raise TransientFailure(failure.message, action=failure.action, english=failure.english) from None
        except PermanentFailure as failure:
            raise TransientFailure(failure.message, action="请核对接口配置", english=failure.english) from None
        page = _json(answer)
        try:
            return [_receipt(item) for item in page["receipts"]], str(page["cursor"])
        except (KeyError, TypeError, AttributeError):
            raise _unrecognised() from None

    def close(self) -> None:
        self._transport.close()


def _usable(answer: Answer) -> Answer:
    """The answer when it is a success; otherwise raises the failure that tells what to do next."""
    status = answer.status
    if 200 <= status < 300:
        return answer
    english = f"HTTP {status}"
    if status in (401, 403):
        raise TransientFailure("平台拒绝了接口账号", action="请核对平台账号和密钥，改正后系统会继续", english=english)
    if status in (408, 425, 429) or status >= 500:
        raise TransientFailure("平台暂时不能接收", action="系统会自动重试", english=english, retry_after=answer.retry_after)
    raise PermanentFailure(_refusal(answer), action="请按平台提示处理后重新提交", english=english)


def _refusal(answer: Answer) -> str:
    """The platform's reasons by field, without values."""
    try:
        errors = json.loads(answer.body).get("errors", [])
        named = "；".join(f"{error['field']}：{error['reason']}" for error in errors)
    except (ValueError, AttributeError, KeyError, TypeError):
        named = ""
    return f"平台不接收这条上报（{answer.status}）" + (f"：{named}" if named else "")


def _json(answer: Answer) -> dict[str, Any]:
    try:
        parsed = json.loads(answer.body)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise _unrecognised()
    return parsed


class _Unrecognised(TransientFailure):
    """An answer that is not as agreed."""


def _unrecognised() -> _Unrecognised:
    return _Unrecognised("平台的答复无法识别", action="请联系平台或核对接口版本", english="answer is not as agreed")


def _open_outcome(english: str) -> AmbiguousFailure:
    return AmbiguousFailure("平台的答复不能说明是否已接收", action="系统会先向平台查询，再决定是否重发", english=english)


def _delivered(answer: Answer, key: str) -> Delivered:
    parsed = _json(answer)
    if parsed.get("key") not in (None, key):
        raise PermanentFailure("平台的答复与所发上报不符", action="请联系平台核对", english="answer is about another key")
    return Delivered(str(parsed.get("record_id", "")), answer.status, answer.body)


def _receipt(item: dict[str, Any]) -> IncomingReceipt:
    return IncomingReceipt(
        receipt_key=str(item["receipt_id"]),
        key=str(item["key"]),
        status=str(item["status"]),
        reasons=tuple(Reason(str(r.get("field", "")), str(r.get("reason", ""))) for r in item.get("reasons", ())),
        body=json.dumps(item, ensure_ascii=False).encode(),
    )
