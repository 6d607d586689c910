"""When two sources say the same, and what a person is told when they do not.

Findings name the item by its label on the front sheet and both sources, never a value.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from typing import Any, Literal

from conformance.checks.finding import Finding
from gateway.cases.claims import Claim
from gateway.model.values import Coded
from mappings.layout import layout

_MOMENT = re.compile(r"\d{4}(-\d{2}(-\d{2}(T\d{2}(:\d{2}(:\d{2})?)?)?)?)?")
_SIGNS = re.compile(r"[\s†*+·•]+")


def agree(filed: Any, said: Any) -> bool:
    """Whether two filled values say the same, as far as both speak: times at the coarser precision, codes by code, names where there
    is no code (one may be part of the other), text without regard to width, case and spaces."""
    if isinstance(filed, Coded) and isinstance(said, Coded):
        if filed.code and said.code:
            return _plain(filed.code) == _plain(said.code)
        if filed.code or said.code:
            return not (filed.display and said.display) or _within(filed.display, said.display)
        return _within(filed.display or "", said.display or "")
    if isinstance(filed, Decimal | int):
        return bool(filed == said)
    if isinstance(filed, list) and isinstance(said, list):
        return len(filed) == len(said) and all(map(agree, filed, said))
    if isinstance(filed, str) and isinstance(said, str):
        if _MOMENT.fullmatch(filed) and _MOMENT.fullmatch(said):
            length = min(len(filed), len(said))
            return filed[:length] == said[:length]
        return _plain(filed) == _plain(said)
    return bool(filed == said)


def comparable(filed: Any, said: Any) -> bool:
    """Whether a difference would be one: a code beside a bare name (a report's text) cannot be compared."""
    return not (isinstance(filed, Coded) and isinstance(said, Coded)) or bool(filed.code) == bool(said.code)


def _plain(text: str) -> str:
    return _SIGNS.sub("", unicodedata.normalize("NFKC", text)).casefold()


def _within(one: str, other: str) -> bool:
    one, other = _plain(one), _plain(other)
    return one in other or other in one


def label_of(path: str) -> tuple[str, tuple[str, ...]]:
    """The label of a path on the front sheet and its column; the path itself where the sheet has none."""
    columns = layout("2020")
    for known in (path, f"{path}.code", f"{path}.display"):
        if (code := columns.code_of_path.get(known)) is not None:
            return columns.by_code[code].label, (code,)
    return path, ()


def conflict(
    path: str, sheet: str, claim: Claim, severity: Literal["error", "warning"], *, taken: Literal["file", "message"]
) -> Finding:
    """Front sheet and message both fill an item and differ."""
    label, columns = label_of(path)
    chosen = "病案首页" if taken == "file" else "接口消息"
    return Finding(
        "ZB-CONFLICT",
        columns,
        severity,
        f"{label}在病案首页（{sheet}）与接口消息（{claim.facts.message}，{claim.source}）中不一致，已采用{chosen}，请核对",
        f"{path}: front sheet {sheet} and message {claim.facts.message} ({claim.source}) differ; {taken} taken",
    )


def more_in_messages(path: str, sheet: str, claim: Claim) -> Finding:
    """A message knows an entry that the front sheet's list does not hold."""
    label, columns = label_of(path)
    return Finding(
        "ZB-CONFLICT",
        columns,
        "warning",
        f"接口消息（{claim.facts.message}，{claim.source}）中有病案首页（{sheet}）没有的条目，首页以编码员填写的为准，请核对：{label}",
        f"{path}: message {claim.facts.message} ({claim.source}) has an entry that the front sheet {sheet} lacks",
    )


def withdrawn_report(path: str, sheet: str, message: str) -> Finding:
    """The front sheet bears a diagnosis out of a report that the laboratory took back."""
    label, columns = label_of(path)
    return Finding(
        "ZB-WITHDRAWN",
        columns,
        "error",
        f"病理科已撤回报告（{message}），病案首页（{sheet}）中的{label}仍来自该报告，请核对并更正后再上报",
        f"{path}: the report was withdrawn by {message}, the front sheet {sheet} still bears it",
    )


def corrected_report(path: str, sheet: str, message: str) -> Finding:
    """The laboratory corrected a report on which the front sheet's code may rest."""
    label, columns = label_of(path)
    return Finding(
        "ZB-CORRECTED",
        columns,
        "warning",
        f"病理科已更正报告（{message}），请核对病案首页（{sheet}）中的{label}是否需要修改",
        f"{path}: the report was corrected by {message} after it was coded on the front sheet {sheet}",
    )


def undone_event(kind: Literal["admission", "discharge"], sheet: str) -> Finding:
    """Messages took back an admission or discharge that the archived front sheet still states."""
    item, code = ("入院", "B12") if kind == "admission" else ("出院", "B15")
    return Finding(
        "ZB-CONFLICT",
        (code,),
        "error",
        f"来源系统已取消{item}，但已有归档的病案首页（{sheet}），请核对（{code}）",
        f"the {kind} was cancelled by message although the front sheet {sheet} states it",
    )


def unreadable(path: str, claim: Claim) -> Finding:
    """A message's text is no value of the item's type."""
    label, columns = label_of(path)
    return Finding(
        "ZB-VALUE",
        columns,
        "warning",
        f"接口消息（{claim.facts.message}，{claim.source}）中的{label}不符合该项的格式，请核对来源系统",
        f"{path}: message {claim.facts.message} ({claim.source}) holds no value of its type",
    )


def stated_twice() -> Finding:
    """One source states one stay by two encounters: what the one says now does not put right what the other one said."""
    return Finding(
        "ZB-FHIR-TWICE",
        (),
        "warning",
        "同一来源以两个不同的就诊资源（Encounter）陈述了这次住院，更正时可能出现重复的诊断或肿瘤；请来源系统始终用同一地址"
        "（request.url 或 fullUrl）发送同一次就诊，并删除或撤回（entered-in-error）多余的一个",
        "one source states this stay by two encounters: corrections may double diagnoses; send it under one address and withdraw the other",
    )


def number_taken() -> Finding:
    """After a merge of two 病案号 both have a stay of the same 住院次数."""
    _, columns = label_of("admission_number")
    return Finding(
        "ZB-MERGE-NUMBER",
        columns,
        "error",
        "患者的两个病案号已合并，本次住院原来的住院次数与保留病案号下的另一次住院重复，已留空；请核对后由来源系统更正或人工补填",
        "after the merge of two record numbers another stay has this admission number: it is left open",
    )
