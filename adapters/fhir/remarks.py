"""What a reader remarks about FHIR resources: every rule with its Chinese and English text. None holds a value of a resource."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from adapters.fhir.resource import Resource
from adapters.fhir.said import Said
from gateway.model.facts import Remark

RULES: Final[dict[str, tuple[str, str, str]]] = {
    # rule: severity, Chinese, English
    "no-patient": ("error", "资源中没有可用的患者标识（病案号、住院号或身份证号）", "no usable patient identifier"),
    "unresolved-reference": (
        "warning",
        "引用的资源不在已收到的内容中，未采用；请一并发送该资源",
        "a reference to a resource that was not received: not used",
    ),
    "modifier-extension": (
        "warning",
        "资源带有系统不认识的修饰扩展（modifierExtension），含义可能相反，整个资源未采用；请与发送方核对",
        "an unknown modifierExtension may reverse the meaning: the resource is not used",
    ),
    "not-a-time": ("warning", "内容不是可识别的日期或时间，未采用", "not a date or time: not used"),
    "not-a-number": ("warning", "内容不是数字，未采用", "not a number: not used"),
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
    "unknown-word": ("warning", "内容没有对照，未采用；请在方言文件的对照表中补充", "a word that no map has: not used"),
    "address-kind": (
        "info",
        "地址没有注明种类，未采用；请在方言文件中设置 address_kind",
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
        "身份证号不在设置的标识类型中，按号码形状和校验码识别；请核对方言设置",
        "resident ID found by its shape outside the configured identifiers",
    ),
    "resident-id-ambiguous": (
        "warning",
        "患者有多个不同的身份证号，均未采用；请设置身份证号的标识系统或类型",
        "several different resident IDs: none is used",
    ),
    "birth-date-disagrees": ("warning", "出生日期与身份证号不一致，请核对", "birth date and resident ID disagree"),
    "sex-disagrees": ("warning", "性别与身份证号不一致，请核对", "sex and resident ID disagree"),
    "merge-without-number": ("error", "合并的患者没有可用的原病案号", "a merge without a usable prior number"),
    "visit-kind": (
        "warning",
        "就诊类别（Encounter.class）未注明或没有对照，无法确定是否住院；请在方言文件中补充对照",
        "Encounter.class not said or unmapped: not known to be inpatient",
    ),
    "diagnosis-use": (
        "warning",
        "诊断类型（Encounter.diagnosis.use）未注明或没有对照，已保留但不上报；请在方言文件中补充诊断类型对照",
        "kind of diagnosis not said or unmapped: kept as working, not reported",
    ),
    "diagnosis-not-named": (
        "info",
        "诊断属于本次就诊，但就诊的诊断列表（Encounter.diagnosis）没有列入，已保留但不上报",
        "a condition of the encounter that Encounter.diagnosis does not name: kept as working, not reported",
    ),
    "diagnosis-status": (
        "warning",
        "诊断既没有核实状态（verificationStatus）也没有临床状态，不能认定为确诊，已保留但不上报",
        "neither verification nor clinical status: not known to be confirmed, kept as working",
    ),
    "diagnosis-taken-as-confirmed": (
        "info",
        "诊断没有核实状态（verificationStatus），因有临床状态（clinicalStatus）按确诊采用",
        "no verification status: taken as confirmed because it has a clinical status",
    ),
    "diagnosis-not-confirmed": (
        "info",
        "诊断未确诊（疑似、待查或鉴别诊断），已保留但不上报",
        "the condition is not confirmed: kept as working, not reported",
    ),
    "diagnosis-empty": ("info", "诊断没有编码也没有名称", "a diagnosis without code and name"),
    "unknown-column": (
        "warning",
        "首页项目代码不在 2020 版首页数据项中，未采用",
        "no such column of the 2020 front sheet: not used",
    ),
    "recorded-date": (
        "info",
        "没有诊断日期，以记录日期代替；请在来源系统填写诊断日期",
        "no date of diagnosis: the recorded date stands in",
    ),
    "tumour-unlinked": (
        "warning",
        "有多个（或没有）原发肿瘤，而该项没有说明属于哪一个，未采用；请在来源系统注明（Observation.focus）",
        "no link to a tumour beside several primary tumours, or none: not used",
    ),
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
}


@lru_cache(maxsize=4096)
def remark(rule: str, source: str) -> Remark:
    """The remark of one of the `RULES` about the element ``source`` (``Patient.birthDate``)."""
    severity, chinese, english = RULES[rule]
    return Remark(rule, source, chinese, english, severity)  # type: ignore[arg-type]


def remarked(rule: str, resource: Resource, element: str) -> Said:
    """The same as something that ``resource`` says."""
    return Said(resource, remark(rule, resource.source(element)))
