"""What the simulated hub answers to a ``SoapRequest``: the checks of header and content in their order, the return codes, the questions.

Which of 1100-1109 and 1200-1202 names what is this simulator's order: the reference names the groups only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from hmac import compare_digest
from importlib.resources import files
from threading import Lock

from lxml import etree

from conformance.simulators.zhejiang_hub.behaviour import Conduct, Failing, Kind
from conformance.simulators.zhejiang_hub.cards import Cards, Item, Unacceptable
from mappings.cadence import CHINA

HEADER = ("RequestId", "RequestTime", "SystemCode", "DispatchCode", "UserName", "Sign")
DISPATCH: dict[str, tuple[Kind, str]] = {
    "ZLBK": ("upload", "1"),
    "ZLCF": ("upload", "10"),
    "ZLSF": ("upload", "11"),
    "DZCX": ("reconciliation", "12"),
    "JGCX": ("query", ""),
}
"""Dispatch codes of the simulated hub: what is asked, and the datatype of its content."""

NODES = {
    "1": ("ZjjkZlHzxxBgks", "ZjjkZlHzxxBgk", ""),
    "10": ("ZjjkZlCcsfks", "ZjjkZlCcsfk", "first_visit"),
    "11": ("ZjjkZlSfks", "ZjjkZlSfk", "follow_up"),
    "12": ("ZjjkDzCxs", "ZjjkDzCx", ""),
}
TIME = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True, slots=True)
class Told:
    """An answer: code, words, business XML; to a query, ``response`` is the code of the request that was asked about."""

    code: str
    message: str = ""
    data: bytes = b""
    response: str = ""


class Refusal(Exception):
    """A request gets another code than success."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.told = Told(code, message)


@dataclass(frozen=True, slots=True)
class Signer:
    """What the hub knows of its caller. ``pattern`` and ``algorithm`` are the rule of ``Sign``, ``none`` for no check."""

    system_code: str
    user: str
    secret: str = ""
    algorithm: str = "none"
    pattern: str = "{request_id}{request_time}{user}{content}{secret}"

    def signs(self, header: dict[str, str], content: str) -> bool:
        """Whether a header is signed as agreed."""
        if self.algorithm == "none":
            return True
        text = self.pattern.format(
            request_id=header["RequestId"],
            request_time=header["RequestTime"],
            user=header["UserName"],
            content=content,
            secret=self.secret,
        )
        wanted = hashlib.new(self.algorithm, text.encode(), usedforsecurity=False).hexdigest()
        return compare_digest(wanted, header["Sign"])


@dataclass(frozen=True, slots=True)
class _Request:
    id: str
    kind: Kind
    datatype: str
    content: bytes


class Exchange:
    """Thread-safe."""

    def __init__(self, signer: Signer, conduct: Conduct) -> None:
        self._signer = signer
        self._conduct = conduct
        self._envelope = _schema("envelope.xsd")
        self._business = _schema("business.xsd")
        self._lock = Lock()
        self._seen: set[str] = set()
        self._outcomes: dict[str, tuple[datetime, Told]] = {}
        self.cards = Cards()
        self.repeated = 0

    def answer(self, text: str) -> str:
        """The answer to a request."""
        try:
            told = self._carried_out(self._admitted(text))
        except Refusal as refusal:
            told = refusal.told
        return _envelope(told)

    def kind_of(self, text: str) -> Kind | None:
        """What a request asks for, as far as can be seen from outside."""
        with suppress(Refusal):
            return DISPATCH.get(_parsed(text.encode()).findtext("Header/DispatchCode") or "", (None, ""))[0]
        return None

    # -- admission

    def _admitted(self, text: str) -> _Request:
        """Raises `Refusal`."""
        if len(text.encode()) > self._conduct.now.largest_bytes:
            raise Refusal("1010", "报文过大")
        root = _parsed(text.encode())
        header = root.find("Header")
        if header is None:
            raise Refusal("1100", "缺少 Header")
        said = {name: (header.findtext(name) or "").strip() for name in HEADER}
        for number, name in enumerate(HEADER, start=1101):
            if not said[name] and (name != "Sign" or header.find("Sign") is None):
                raise Refusal(str(number), f"缺少 {name}")
        if root.find("Body") is None:
            raise Refusal("1107", "缺少 Body")
        content = (root.findtext("Body/ExchangeData") or "").strip()
        if not content:
            raise Refusal("1108", "缺少 ExchangeData")
        if not self._envelope.validate(root):
            raise Refusal("1000", f"报文不符合规范：{_faults(self._envelope)}")
        return self._recognised(said, content)

    def _recognised(self, said: dict[str, str], content: str) -> _Request:
        if said["UserName"] != self._signer.user:
            raise Refusal("1200", "用户不存在")
        if said["SystemCode"] != self._signer.system_code:
            raise Refusal("1201", "用户没有该系统的权限")
        if not self._signer.signs(said, content):
            raise Refusal("1202", "签名不正确")
        if said["DispatchCode"] not in DISPATCH:
            raise Refusal("1300", "没有配置调度")
        kind, datatype = DISPATCH[said["DispatchCode"]]
        day = said["RequestTime"][:10].replace("-", "")
        if not said["RequestId"].startswith(f"{said['SystemCode']}_{said['DispatchCode']}_{day}_"):
            raise Refusal("1000", "RequestId 与报文头不一致")
        if kind == "upload" and not _open(self._conduct.now.hours, datetime.now(CHINA)):
            raise Refusal("1302", "不在接收时段")
        with self._lock:
            if said["RequestId"] in self._seen:
                self.repeated += 1
                raise Refusal("1306", "RequestId 重复")
            self._seen.add(said["RequestId"])
        try:
            decoded = base64.b64decode(content, validate=True)
        except binascii.Error:
            raise Refusal("1006", "ExchangeData 不是 base64") from None
        return _Request(said["RequestId"], kind, datatype, decoded)

    # -- carrying out

    def _carried_out(self, request: _Request) -> Told:
        """Raises `Refusal`."""
        fail = self._conduct.failing(request.kind)
        if fail is not None and not fail.carried_out and not fail.final:
            raise Refusal(fail.code, fail.message)
        asks = request.kind == "query"
        told = self._told_of(request.content.decode(errors="replace")) if asks else self._later(request, fail)
        if fail is not None and not fail.final:
            raise Refusal(fail.code, fail.message)
        return told

    def _later(self, request: _Request, fail: Failing | None) -> Told:
        """Take a request; told at once, or, by an asynchronous hub, when it is asked about."""
        with self._lock:
            try:
                if fail is not None and fail.final and not fail.carried_out:
                    raise Refusal(fail.code, fail.message)
                told = self._uploaded(request) if request.kind == "upload" else self._reconciled(request)
                if fail is not None and fail.final:
                    told = Told(fail.code, fail.message)
            except Refusal as refusal:
                told = refusal.told
            due = datetime.now(CHINA) + timedelta(seconds=self._conduct.now.process_seconds)
            self._outcomes[request.id] = (due, told)
        return Told("0", "等待处理") if self._conduct.now.asynchronous else told

    def _told_of(self, request_id: str) -> Told:
        """What a query is told of a request: ``code`` 1, and the outcome in it."""
        with self._lock:
            known = self._outcomes.get(request_id)
        if known is None:
            raise Refusal("4001", "没有查到该请求")
        due, outcome = known
        if datetime.now(CHINA) < due:
            raise Refusal("0", "正在处理")
        return Told("1", outcome.message, outcome.data, outcome.code)

    def _uploaded(self, request: _Request) -> Told:
        item, area = self._item(request)
        fields = {str(element.tag): element.text or "" for element in item}
        try:
            self.cards.take(NODES[request.datatype][2], fields, area, datetime.now(CHINA))
        except Unacceptable as refusal:
            raise Refusal("2000", str(refusal)) from None
        return Told("1", "处理完成")

    def _reconciled(self, request: _Request) -> Told:
        item, area = self._item(request)
        start, end = (datetime.strptime(item.findtext(name) or "", TIME).replace(tzinfo=CHINA) for name in ("DT_KSSJ", "DT_JSSJ"))
        behaviour = self._conduct.now
        latest = min(end, datetime.now(CHINA) - timedelta(seconds=behaviour.delay_items_seconds))
        listed = [one for one in self.cards.items if one.area == area and start <= one.at <= latest]
        return Told("1", "处理完成", _listing(listed * 2 if behaviour.repeat_items else listed, area))

    def _item(self, request: _Request) -> tuple[etree._Element, str]:
        """The item of business XML and its area. The specification's sample prints the node name of another card around the tumour card, so
        the names of the nodes are not looked at: the datatype decides. Raises `Refusal`."""
        root = _parsed(request.content)
        plural = next(iter(root), None)
        if plural is None or len(plural) == 0:
            raise Refusal("1000", "业务报文没有内容")
        if plural.findtext("Datatype") != request.datatype:
            raise Refusal("1307", "数据类型与调度不一致")
        plural.tag, plural[-1].tag = NODES[request.datatype][:2]
        if not self._business.validate(root):
            raise Refusal("2000", f"业务数据不符合规范：{_faults(self._business)}")
        return plural[-1], plural.findtext("Areareport") or ""


def _schema(name: str) -> etree.XMLSchema:
    return etree.XMLSchema(etree.fromstring(files("conformance.simulators.zhejiang_hub").joinpath(name).read_bytes()))


def _faults(schema: etree.XMLSchema) -> str:
    """The elements at fault, without what stands in them."""
    paths = {error.path or "" for error in schema.error_log}  # type: ignore[attr-defined]  # lxml-stubs: entries of the log
    return "、".join(sorted(path.rpartition("/")[2] for path in paths))


def _parsed(content: bytes) -> etree._Element:
    """Raises `Refusal` for what is not XML, or has a document type."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True)
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise Refusal("1001", "XML 不正确") from None
    if root.getroottree().docinfo.doctype:  # type: ignore[union-attr]  # lxml-stubs
        raise Refusal("1001", "XML 不能带有文档类型")
    return root


def _open(hours: str, at: datetime) -> bool:
    if not hours:
        return True
    opens, closes = (time.fromisoformat(text) for text in hours.split("-"))
    clock = at.time()
    return opens <= clock < closes if opens < closes else clock >= opens or clock < closes


def _envelope(told: Told) -> str:
    """The answer: the specification calls it ``SoapRequest``, too. What a query tells is put beside the code as elements."""
    root = etree.Element("SoapRequest")
    body = etree.SubElement(root, "Body")
    etree.SubElement(body, "code").text = told.code
    etree.SubElement(body, "msg").text = told.message
    if told.response:
        etree.SubElement(body, "respCode").text = told.response
    if told.data:
        etree.SubElement(body, "respData").text = base64.b64encode(told.data).decode()
    return etree.tostring(root, encoding="unicode")


def _listing(items: list[Item], area: str) -> bytes:
    plural_name, item_name, _ = NODES["12"]
    root = etree.Element("Bgks")
    plural = etree.SubElement(root, plural_name)
    for name, text in (("Count", str(len(items))), ("Datatype", "12"), ("Areareport", area)):
        etree.SubElement(plural, name).text = text
    for item in items:
        node = etree.SubElement(plural, item_name)
        for name, text in _shown(item):
            etree.SubElement(node, name).text = text
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _shown(item: Item) -> Iterator[tuple[str, str]]:
    for name in ("id", "VC_ID", "VC_DZJG", "DT_RKSJ", "VC_BGKID", "VC_BZ", "VC_BGDW"):
        yield name, str(getattr(item, name))
