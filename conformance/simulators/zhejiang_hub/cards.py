"""The cards that the simulated hub keeps, their visits, and what its reconciliation lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

DELETED = "5"
DUPLICATE = "4"
"""Card status (workflow_codes.csv ``card_status``)."""

UPLOADABLE = frozenset({"1", "3"})
"""Audit flags that may be uploaded (workflow_codes.csv ``audit_flag``)."""

STORED, REFUSED = "1", "0"
"""VC_DZJG. Its codes are not public; these are the returns of the older service."""


class Unacceptable(Exception):
    """The data are refused (2000); says why, in Chinese and without values."""


@dataclass(slots=True)
class Card:
    """A card: what was uploaded last, everything that was uploaded, its visits (part and fields)."""

    number: str
    fields: Mapping[str, str]
    uploads: list[str]
    stored_at: datetime
    visits: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    @property
    def status(self) -> str:
        return self.fields.get("VC_BGKZT", "")

    @property
    def usable(self) -> bool:
        return self.status not in (DELETED, DUPLICATE)

    @property
    def tumour(self) -> tuple[str, ...]:
        """Person and tumour: two usable cards of one are a double card."""
        person = self.fields.get("VC_SFZH") or self.fields.get("VC_HZXM", "") + self.fields.get("DT_HZCSRQ", "")
        return (person, self.fields.get("VC_ICDO", ""), self.fields.get("VC_ICDM", ""), self.fields.get("VC_ZDBW", ""))


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the reconciliation, under the names of the hub."""

    id: str
    VC_ID: str
    VC_DZJG: str
    DT_RKSJ: str
    VC_BGKID: str
    VC_BZ: str
    VC_BGDW: str
    at: datetime
    area: str


class Cards:
    """Not thread-safe. An upload under a VC_ID that was there before is not recognised: only the number of the request protects from doubles,
    so a sender that repeats itself blindly is found out."""

    def __init__(self) -> None:
        self.cards: dict[str, Card] = {}
        self.items: list[Item] = []
        self.uploads: Counter[str] = Counter()
        self._serial = count(1)

    def take(self, part: str, fields: Mapping[str, str], area: str, at: datetime) -> str:
        """Take a card or a visit; the card's number, empty when the audit refuses it. Raises `Unacceptable`."""
        self.uploads[fields["VC_ID"]] += 1
        if part:
            return self._visit(part, fields, area, at)
        number = fields.get("VC_BGKID", "")
        if number and number not in self.cards:
            raise Unacceptable("VC_BGKID：没有这张报告卡")
        if fields["VC_HZXB"] not in ("1", "2"):
            raise Unacceptable("VC_HZXB：只能为 1 或 2")
        if fields.get("VC_SFZH") and len(fields["VC_SFZH"]) != 18:
            raise Unacceptable("VC_SFZH：不是 18 位身份证号")
        if fields["VC_SHBZ"] not in UPLOADABLE:
            self._list(fields, area, at, REFUSED, "", "审核标志 VC_SHBZ 只能为 1 或 3")
            return ""
        if number:
            card = self.cards[number]
            card.fields = fields
            card.uploads.append(fields["VC_ID"])
        else:
            number = f"{area}{next(self._serial):010d}"
            self.cards[number] = Card(number, fields, [fields["VC_ID"]], at)
        self._list(fields, area, at, STORED, number, "")
        return number

    def _visit(self, part: str, fields: Mapping[str, str], area: str, at: datetime) -> str:
        number = fields.get("VC_BGKID", "")
        if number not in self.cards:
            raise Unacceptable("VC_BGKID：没有主卡，请先上传主卡")
        self.cards[number].visits.append((part, fields))
        self._list(fields, area, at, STORED, number, "")
        return number

    def _list(self, fields: Mapping[str, str], area: str, at: datetime, result: str, number: str, reason: str) -> None:
        id = f"DZ{len(self.items) + 1:08d}"
        time = at.strftime("%Y-%m-%d %H:%M:%S")
        self.items.append(Item(id, fields["VC_ID"], result, time, number, reason, fields.get("VC_BGDW", ""), at, area))

    def doubles(self) -> int:
        """Usable cards beyond the first of one person and tumour."""
        tumours = Counter(card.tumour for card in self.cards.values() if card.usable)
        return sum(times - 1 for times in tumours.values())
