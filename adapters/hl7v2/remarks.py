"""What a reader remarks about a message: every rule with its Chinese and English text. None holds a value of the message.

Who draws up facts passes a list of remarks along and adds to it; `remark` makes one for a field."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from gateway.model.facts import Remark

RULES: Final[dict[str, tuple[str, str, str]]] = {
    # rule: severity, Chinese, English
    "no-patient": ("error", "消息中没有可用的患者标识（病案号、住院号或身份证号）", "no usable patient identifier"),
    "several-patients": (
        "error",
        "一条消息含多个患者，只读取了第一个；请发送方每个患者发送一条消息",
        "several patients in one message: only the first is read",
    ),
    "nothing-for-us": ("info", "这类消息不含上报所需的内容，已留存，不读取", "the event carries nothing to report; kept, not read"),
    "no-event-time": (
        "warning",
        "消息没有可读的事件时间（EVN-2、MSH-7），按最早处理",
        "no readable event time: treated as the oldest",
    ),
    "not-a-time": ("warning", "内容不是可识别的日期或时间，未采用", "not a date or time: not used"),
    "not-a-number": ("warning", "内容不是数字，未采用", "not a number: not used"),
    "birth-date-not-a-date": (
        "warning",
        "出生日期处不是日期（可能填了年龄），未采用，也不由年龄推算",
        "no date where the birth date stands (perhaps an age): not used",
    ),
    "unmapped-code": (
        "warning",
        "代码和名称都没有对照，按发送方原代码保留；请在方言文件的对照表中补充",
        "code and label have no mapping: kept under the sender's own system",
    ),
    "code-label-disagree": (
        "warning",
        "代码与名称所指不一致，按名称采用；请核对发送方的代码表",
        "code and label disagree: the label is used",
    ),
    "area-code": ("info", "只有地区代码而没有地名，未采用", "an area code without a name: not used"),
    "address-kind": (
        "info",
        "地址没有注明种类（XAD.7），未采用；请在方言文件中设置 address_kind",
        "an address without its kind: not used; set address_kind in the dialect",
    ),
    "resident-id-check-digit": (
        "warning",
        "身份证号校验码或其中的出生日期不正确，未修改；请核对证件",
        "the resident ID fails its check: kept as sent, not used as a key",
    ),
    "resident-id-shape": ("warning", "身份证号处的内容不是身份证号", "no resident ID where one should stand"),
    "resident-id-by-shape": (
        "info",
        "身份证号不在设置的位置，按号码形状和校验码识别；请核对方言设置",
        "resident ID found by its shape outside the configured slots",
    ),
    "resident-id-ambiguous": (
        "warning",
        "消息中有多个不同的身份证号，均未采用；请设置身份证号所在位置",
        "several different resident IDs: none is used",
    ),
    "birth-date-disagrees": ("warning", "出生日期与身份证号不一致，请核对", "birth date and resident ID disagree"),
    "sex-disagrees": ("warning", "性别与身份证号不一致，请核对", "sex and resident ID disagree"),
    "merge-without-number": ("error", "合并消息没有可用的原病案号（MRG-1）", "a merge without a usable prior number"),
    "diagnosis-use": (
        "warning",
        "诊断类型未注明或没有对照，已保留但不上报；请在方言文件中补充诊断类型对照",
        "kind of diagnosis not said or unmapped: kept as working, not reported",
    ),
    "diagnosis-empty": ("info", "诊断段没有编码也没有名称", "a diagnosis segment without code and name"),
    "unknown-word": ("warning", "内容没有对照，未采用；请在方言文件的对照表中补充", "a word that no map has: not used"),
    "report-status": (
        "warning",
        "报告状态未注明或没有对照，按未定稿处理；请在方言文件中补充报告状态对照",
        "report status not said or unmapped: held as preliminary",
    ),
    "report-section": ("info", "报告段落没有对照，该段未采用", "a report section that no map has: not used"),
    "report-empty": ("info", "病理报告没有可用的正文", "a pathology report without usable text"),
    "attachment": ("info", "附件（如 PDF）不读取", "an attachment is not read"),
    "no-specimen-number": ("error", "病理报告没有病理号，无法与其他报告对应", "a pathology report without specimen number"),
    "not-qualitative": ("info", "检验结果不是定性结果，未采用", "a result that is not qualitative: not used"),
    "drug-unnamed": ("info", "用药记录没有药品编码也没有药名", "a drug without code and name"),
    "unreadable": ("error", "该段内容超出可读范围，未采用", "a segment that could not be read: not used"),
}


@lru_cache(maxsize=4096)
def remark(rule: str, source: str) -> Remark:
    """The remark of one of the `RULES` about the field ``source`` (``PID-7``)."""
    severity, chinese, english = RULES[rule]
    return Remark(rule, source, chinese, english, severity)  # type: ignore[arg-type]
