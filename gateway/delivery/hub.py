"""The conversation with the Zhejiang hub: cards out, questions about requests whose outcome is open, reconciliation in.

A request has a number that the hub takes only once (1306 afterwards). It is made of the time at which the attempt began, which stands in the
ledger before bytes leave, so after whatever happened the hub can be asked about that very request, and a new attempt has a new number. Cards are
sent again only when the hub says that it never got them, and says so late enough to be believed (``docs/decisions/0019``).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from threading import Lock

from adapters.transports.soap import SoapTransport
from gateway.delivery import hub_answers
from gateway.delivery.channel import Delivered, IncomingReceipt, Parcel, StillProcessing
from gateway.delivery.hub_answers import Answer, Reconciled
from gateway.delivery.hub_envelope import TIME, Datatype, UnreadableXml, business_xml, datatypes, text_of
from gateway.delivery.hub_terms import HubTerms
from gateway.model.errors import AmbiguousFailure, PermanentFailure, TransientFailure
from mappings.cadence import CHINA

_OUR_KEY = re.compile(r"[0-9a-f-]{36}\.\d+")
"""The id of a submission version. A reconciliation lists what others of the area sent, too."""

_CLOCKS = timedelta(hours=1)
"""How far the hub's clock may be from ours."""


class HubChannel:
    """A `gateway.delivery.channel.Channel` over SOAP."""

    numbered = True

    def __init__(self, terms: HubTerms, transport: SoapTransport) -> None:
        self._terms = terms
        self._transport = transport
        self._clock = _Clock()
        self._awaited: dict[str, str] = {}

    def send(self, parcel: Parcel) -> Delivered:
        if parcel.operation == "withdraw" and not parcel.part and not parcel.platform_record:
            return Delivered("", 0, b"")  # the hub rejected the card and keeps none: there is nothing to take back
        kind = _kind(parcel)
        content = business_xml(kind, self._terms.area, self._fields(parcel))
        text = self._request(kind.part, parcel.sent_at, parcel.sent_at, content)
        if len(text.encode()) > self._terms.largest_bytes:
            raise _too_large()
        answer = _read(self._transport.call(self._terms.operation, text))
        hub_answers.sent(answer, parcel.record, self._terms.hours)
        return _delivered(parcel, answer)

    def ask(self, parcel: Parcel) -> Delivered | None:
        about = self._terms.caller.request_id(self._terms.dispatch[_kind(parcel).part], parcel.sent_at)
        answer = self._outcome_of(about)
        outcome = hub_answers.asked(answer, parcel.record, self._terms.hours)
        if outcome == "done":
            return _delivered(parcel, answer)
        listed = self._listed(parcel)
        if listed is not None:
            return Delivered(_number(parcel, listed.number), 1, listed.receipt().body)
        believed = parcel.sent_at + (self._terms.certain_after if outcome == "absent" else self._terms.unlisted_after)
        left = (believed - datetime.now(UTC)).total_seconds()
        if left > 0:
            raise StillProcessing(
                "平台还不能说明是否已接收",
                action="系统会继续查询，在确认平台没有收到之前不会重发",
                english=f"hub code {answer.code}: not believed yet",
                retry_after=min(left, self._terms.certain_after.total_seconds()),
            )
        return None

    def receipts(self, cursor: str) -> tuple[list[IncomingReceipt], str]:
        now = datetime.now(UTC)
        settled = (now - self._terms.look_back).replace(minute=0, second=0, microsecond=0)
        start = min(datetime.fromisoformat(cursor), settled) if cursor else settled
        try:
            items = self._reconciliation("receipts", start)
        except StillProcessing as failure:
            raise TransientFailure(failure.message, action=failure.action, english=failure.english) from None
        return [item.receipt() for item in items if _OUR_KEY.fullmatch(item.key)], settled.isoformat()

    def close(self) -> None:
        self._transport.close()

    def _fields(self, parcel: Parcel) -> dict[str, str]:
        """The record with what only the conversation knows. A card has the hub's number once the hub gave it one, a visit that of its card."""
        fields = dict(parcel.record) | {"VC_ID": parcel.key, "VC_BGKID": parcel.platform_record}
        if parcel.part and parcel.operation != "submit":
            raise PermanentFailure(
                "平台没有告知初访、随访卡的编号，不能通过接口更改",
                action="请在平台页面上修改这张初访或随访卡",
                english="VC_SFKID is not known",
            )
        if parcel.part and not parcel.platform_record:
            raise TransientFailure(
                "主卡在平台的编号尚未取得",
                action="系统会在对账取得编号后继续",
                english="VC_BGKID of the main card is not known yet",
            )
        if parcel.operation == "withdraw":
            fields["VC_BGKZT"] = self._terms.withdrawn_status
        return fields

    def _request(self, part: str, started: datetime, at: datetime, content: bytes) -> str:
        code = self._terms.dispatch[part]
        return self._terms.caller.request(code, self._terms.caller.request_id(code, started), at, content)

    def _look_up(self, part: str, at: datetime, content: bytes) -> Answer:
        """The answer to something that changes nothing. Raises `TransientFailure` when the hub cannot say."""
        try:
            return _read(self._transport.call(self._terms.operation, self._request(part, at, at, content)))
        except AmbiguousFailure as failure:
            raise TransientFailure(failure.message, action=failure.action, english=failure.english) from None

    def _outcome_of(self, request_id: str) -> Answer:
        return self._look_up("query", self._clock.tick(), request_id.encode())

    def _listed(self, parcel: Parcel) -> Reconciled | None:
        """What the reconciliation since a parcel was sent says of it."""
        items = self._reconciliation(parcel.key, parcel.sent_at - _CLOCKS)
        return next((item for item in items if item.key == parcel.key), None)

    def _reconciliation(self, purpose: str, start: datetime) -> list[Reconciled]:
        """What the hub stored or refused since ``start``. The hub may need a while: then the next call for the same purpose asks for what is
        being made. Raises `StillProcessing` meanwhile, `TransientFailure` when the hub cannot say."""
        request_id = self._awaited.pop(purpose, "")
        if request_id:
            answer = self._outcome_of(request_id)
        else:
            at = self._clock.tick()
            request_id = self._terms.caller.request_id(self._terms.dispatch["reconciliation"], at)
            times = (moment.astimezone(CHINA).strftime(TIME) for moment in (start, at + _CLOCKS))
            content = business_xml(
                datatypes()["reconciliation"], self._terms.area, dict(zip(self._terms.window, times, strict=True))
            )
            answer = self._look_up("reconciliation", at, content)
        try:
            outcome = hub_answers.asked(answer, {}, self._terms.hours)
            if outcome == "open":
                raise TransientFailure(
                    "平台没有给出对账结果", action="系统会自动重试", english=f"reconciliation: {answer.response}"
                )
            return list(hub_answers.reconciled(answer)) if outcome == "done" else []
        except StillProcessing:
            self._awaited[purpose] = request_id
            raise
        except UnreadableXml as fault:
            raise TransientFailure("平台的对账结果无法识别", action="请联系平台或核对接口版本", english=str(fault)) from None
        except PermanentFailure as failure:
            raise TransientFailure(failure.message, action=failure.action, english=failure.english) from None


class _Clock:
    """Times for requests that change nothing: each later than the one before."""

    def __init__(self) -> None:
        self._last = datetime.min.replace(tzinfo=UTC)
        self._lock = Lock()

    def tick(self) -> datetime:
        with self._lock:
            self._last = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
            return self._last


def _kind(parcel: Parcel) -> Datatype:
    return datatypes()[parcel.part.partition("/")[0]]


def _read(text: str) -> Answer:
    try:
        return Answer.read(text)
    except UnreadableXml as fault:
        raise AmbiguousFailure(
            "平台的答复无法识别", action="系统会先向平台查询，再决定是否重发", english=f"answer is not as agreed: {fault}"
        ) from None


def _delivered(parcel: Parcel, answer: Answer) -> Delivered:
    return Delivered(_number(parcel, text_of(answer.body, "VC_BGKID")), int(answer.code), answer.text.encode())


def _number(parcel: Parcel, told: str) -> str:
    """The hub's number of the card: what it told, else, of a card that it knew before, the number under which it was sent. A visit has none
    that the hub tells."""
    return "" if parcel.part else told or parcel.platform_record


def _too_large() -> PermanentFailure:
    code = hub_answers.known("1010")
    return PermanentFailure(f"{code.zh}，没有发送", action=code.action, english="larger than largest_bytes")
