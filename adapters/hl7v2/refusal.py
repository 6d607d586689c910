"""Why a message is refused: one exception, and every reason that this adapter itself gives.

The reasons are stable words. None of the texts holds a byte of the message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.model.errors import UnusableInput


class MessageRefused(UnusableInput):
    """One HL7 v2 message cannot be used or was not stored.

    ``reason`` is a stable machine-readable word, ``condition`` the error code of HL7 table 0357, ``again`` says whether sending
    the very same message again may succeed (answered AE or CE) or cannot (answered AR or CR).
    """

    def __init__(
        self, reason: str, message: str, *, action: str = "", english: str = "", condition: str = "207", again: bool = False
    ) -> None:
        super().__init__(message, action=action, english=english)
        self.reason = reason
        self.condition = condition
        self.again = again


@dataclass(frozen=True, slots=True)
class _Words:
    message: str
    action: str
    english: str
    condition: str
    again: bool = False


REASONS: Final[dict[str, _Words]] = {
    "no-msh": _Words("消息没有 MSH 段", "请发送方检查消息开头", "the message does not begin with an MSH segment", "100"),
    "delimiters": _Words(
        "MSH-1、MSH-2 声明的分隔符不能使用",
        "请发送方改用标准分隔符 |^~\\&",
        "the delimiters of MSH-1 and MSH-2 are unusable",
        "102",
    ),
    "undecodable": _Words(
        "消息的字符集无法确定，没有按错误的字符集读取",
        "请发送方按 MSH-18 声明的字符集发送（UTF-8 或 GB18030）",
        "the text decodes strictly in none of the possible character sets",
        "102",
    ),
    "truncated": _Words("消息不完整", "请发送方重新发送完整的消息", "the message is cut off", "100"),
    "too-long": _Words("消息超过长度上限", "请发送方拆分消息，或由管理员调高上限", "the message is over the size limit", "207"),
    "batch-count": _Words(
        "批次中的消息数与批次结尾声明的不符", "请发送方核对后重新发送整批", "the batch trailer counts otherwise", "100"
    ),
    "framing-bytes": _Words(
        "消息内含有 MLLP 帧控制字节", "请去掉 0x0B、0x1C 后再发送", "the message holds bytes that delimit MLLP frames", "102"
    ),
    "over-capacity": _Words("网关暂时无法接收", "请稍后重发", "over capacity, send again later", "207", again=True),
    "not-in-time": _Words("消息未能按时保存", "请重发", "not stored in time, send again", "207", again=True),
    "not-stored": _Words("消息未能保存", "请重发；反复出现时请联系管理员", "not stored, send again", "207", again=True),
}
"""Every reason that this adapter gives; a keeper may bring its own."""


def refused(reason: str) -> MessageRefused:
    """The `MessageRefused` for one of the `REASONS`."""
    words = REASONS[reason]
    return MessageRefused(
        reason, words.message, action=words.action, english=words.english, condition=words.condition, again=words.again
    )
