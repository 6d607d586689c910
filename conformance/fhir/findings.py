"""What the validation says: every kind of fault with its severity and its text in both languages, and invariants in their own words.

Findings name elements (as JSON does: ``Bundle.entry[3].resource.valueQuantity``), profiles and what these demand; never a value of the
resource.
"""

from __future__ import annotations

from typing import Final

from adapters.fhir.refusal import Issue
from conformance.checks.finding import Finding, Severity
from conformance.fhir.elements import Constraint

RULES: Final[dict[str, tuple[Severity, str, str]]] = {
    # rule: severity, Chinese, English
    "required": (
        "error",
        "缺少必填元素，至少要有 {least} 个，实有 {count} 个",
        "required element missing: {count} of at least {least}",
    ),
    "too-many": ("error", "元素过多，至多 {most} 个，实有 {count} 个", "too many: {count} of at most {most}"),
    "type": ("error", "值的类型不符，应为 {types}", "wrong type: must be {types}"),
    "fixed": ("error", "值与规定的固定值不符", "differs from the fixed value"),
    "pattern": ("error", "值不含规定的内容", "lacks what the pattern demands"),
    "code": ("error", "代码不在规定的值集“{set}”中", "code outside the required value set {set}"),
    "code-not-checked": (
        "not-checked",
        "代码是否在规定的值集“{set}”中，未检查：值集由离线无法展开的术语规则定义",
        "not checked: value set {set} cannot be expanded offline",
    ),
    "slice": ("error", "必填的分片“{slice}”至少要有 {least} 个，实有 {count} 个", "slice {slice}: {count} of at least {least}"),
    "slice-too-many": ("error", "分片“{slice}”至多 {most} 个，实有 {count} 个", "slice {slice}: {count} of at most {most}"),
    "slice-closed": ("error", "值不属于规定的任何一个分片", "belongs to none of the slices, which are closed"),
    "slice-not-checked": (
        "not-checked",
        "有的值是否属于分片“{slice}”无法判断，其个数未检查",
        "not checked: cannot tell which values belong to slice {slice}",
    ),
    "reference": ("error", "引用的资源类型不符，应为 {types}", "refers to a wrong type of resource: must be {types}"),
    "resource-type": ("error", "资源类型不符，应为 {types}", "wrong type of resource: must be {types}"),
    "modifier-extension": (
        "warning",
        "修饰扩展（modifierExtension）不为系统所知，含义可能相反，读取时不采用整个资源",
        "an unknown modifierExtension may reverse the meaning: the resource will not be used",
    ),
    "profile-not-known": (
        "not-checked",
        "声明的规范不在系统中，未按其核对",
        "not checked: the declared profile is not known here",
    ),
    "profile-release": (
        "not-checked",
        "规范“{asked}”不用于 {release} 版，未按其核对",
        "not checked: profile {asked} is not for {release}",
    ),
    "profile-not-declared": ("info", "资源没有声明规范（meta.profile）", "the resource declares no profile"),
    "profile-unused": (
        "warning",
        "文件中没有规范“{asked}”所适用的资源（{types}）",
        "no resource of the profile's type ({types})",
    ),
    "second-opinion": (
        "warning",
        "另一个校验库（fhir.resources）不接受此元素；请核对",
        "rejected by fhir.resources as a second opinion",
    ),
    "second-opinion-not-checked": (
        "not-checked",
        "另一个校验库（fhir.resources）没有这种资源，未作复核",
        "not checked: fhir.resources has no such resource",
    ),
}

_PREFIX: Final = "ZB-FHIR-"


def finding(rule: str, place: str, profile: str = "", **words: object) -> Finding:
    """The finding of one of the `RULES` about an element; ``profile`` is whose demand it is (none: FHIR's own)."""
    severity, chinese, english = RULES[rule]
    return Finding(
        _PREFIX + rule, (place,) if place else (), severity, chinese.format(**words) + _whose(profile), english.format(**words)
    )


def broken(rule: Constraint, chinese: str, place: str, profile: str = "") -> Finding:
    """The finding about an invariant that does not hold. Its rule is the invariant's own key."""
    severity: Severity = "error" if rule.severity == "error" else "warning"
    text = chinese or "不符合规范的约束条件"
    return Finding(rule.key, (place,), severity, f"{text}（{rule.key}）{_whose(profile)}", f"{rule.english} ({rule.key})")


def not_evaluated(rule: Constraint, chinese: str, place: str, profile: str = "") -> Finding:
    """The finding about an invariant that could not be evaluated."""
    text = f"未检查：{chinese or '规范的约束条件'}（{rule.key}）{_whose(profile)}"
    return Finding(rule.key, (place,), "not-checked", text, f"not checked: {rule.english} ({rule.key})")


def structural(issue: Issue) -> Finding:
    """A fault of the structure as a finding."""
    return Finding(_PREFIX + issue.rule, (issue.expression,), "error", issue.message, issue.english)


def _whose(profile: str) -> str:
    return f"（{profile}）" if profile else ""
