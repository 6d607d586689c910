"""Whether a message is what the standard, or a message profile, says it should be.

By the standard (`standard`): the segments of the message's structure, their order and number (`structure`), required fields, repetitions,
fields that there are not, the form of dates and numbers, and codes of tables that HL7 closes (fields of type ID; tables of type IS are
the site's own). Z segments, and the events that a sender made up, are allowed. By a profile (`profile`): what two systems agreed on.

A required segment or field that is missing, or one too many, is an error; everything else a warning, because a reader can live with
it. Findings name segments and fields in both languages and never hold a value of the message.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from adapters.hl7v2.message import Message, Segment
from adapters.hl7v2.profile import Cardinality, Profile
from adapters.hl7v2.standard import VERSIONS, FieldRule, Node, Standard, chinese_name, standard
from adapters.hl7v2.structure import walk
from conformance.checks.finding import Finding, Severity

_ZONE: Final = r"([+-]\d{4})?"
_TIME: Final = r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,4})?)?)?"
_DAY: Final = r"(0[1-9]|[12]\d|3[01])"
_MOMENT: Final = rf"\d{{4}}((0[1-9]|1[0-2])({_DAY}({_TIME})?)?)?{_ZONE}"
_FORMS: Final = {
    "DT": ("日期（YYYYMMDD）", re.compile(rf"\d{{4}}((0[1-9]|1[0-2]){_DAY}?)?")),
    "TM": ("时间（HHMMSS）", re.compile(_TIME + _ZONE)),
    "TS": ("日期时间（YYYYMMDDHHMMSS）", re.compile(_MOMENT)),
    "DTM": ("日期时间（YYYYMMDDHHMMSS）", re.compile(_MOMENT)),
    "NM": ("数字", re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)")),
    "SI": ("序号", re.compile(r"\d{1,4}")),
}


def examine(message: Message, profile: Profile | None = None) -> Iterator[Finding]:
    """Findings about a message, by a profile or, without one, by the standard of the version that it declares."""
    yield from _by_profile(message, profile) if profile is not None else _by_standard(message)


def _by_standard(message: Message) -> Iterator[Finding]:
    version = standard(message.version)
    if version is None:
        yield _finding(
            "VERSION",
            "MSH-12",
            "error",
            f"{_named('MSH', 12)}：版本号为空或不是 HL7 v2 的版本，无法按标准核对（{VERSIONS[0]} 至 {VERSIONS[-1]}）",
            "no version of HL7 v2: not checked",
        )
        return
    yield from _structure(message, version)
    seen: Counter[str] = Counter()
    for segment in message:
        seen[segment.name] += 1
        rules = version.fields(segment.name)
        if rules and not segment.name.startswith("Z"):
            yield from _fields(segment, seen[segment.name], rules, version)


def _structure(message: Message, version: Standard) -> Iterator[Finding]:
    kind, event, declared = (message.value(f"MSH-9.{number}").strip() for number in (1, 2, 3))
    if declared and not version.knows_structure(declared):
        text = f"{_named('MSH', 9)}：HL7 {version.version} 没有消息声明的结构（MSH-9.3）"
        yield _finding("STRUCTURE", "MSH-9", "warning", text, "the declared structure is not one of this version")
    structure = version.structure(kind, event, declared)
    if structure is None:
        text = f"{_named('MSH', 9)}：标准没有这一事件的消息结构，没有核对段的顺序"
        yield _finding(
            "STRUCTURE", "MSH-9", "not-checked", text, "the standard has no structure for the event: segments not checked"
        )
        return
    found = walk(structure, [segment.name for segment in message])
    for node, group in found.missing:
        yield _missing(node, group, structure)
    for at in found.strange:
        yield _strange(message[at].name, structure, version)
    for at in found.misplaced:
        name = message[at].name
        text = f"{_named(name)}：位置不符合 {structure.name} 的结构，或多于允许的次数"
        yield _finding("SEGMENT-PLACE", name, "warning", text, f"{name} may not stand where it does, or is one too many")


def _missing(node: Node, group: Node, structure: Node) -> Finding:
    within = "" if group is structure else f"（{group.name}）"
    if not node.children:
        text = f"{_named(node.name)}：{structure.name}{within} 缺少必需的段"
        return _finding("SEGMENT-MISSING", node.name, "error", text, f"{structure.name}: {node.name} is required in {group.name}")
    names = "、".join(sorted(node.first))
    text = f"{structure.name} 缺少必需的段组 {node.name}（以 {names} 开始）"
    return _finding("SEGMENT-MISSING", "", "error", text, f"{structure.name}: the group {node.name} is required")


def _strange(name: str, structure: Node, version: Standard) -> Finding:
    if version.fields(name) is None:
        text = f"HL7 {version.version} 没有段 {name}；自定义的段应以 Z 开头"
        return _finding("SEGMENT-UNKNOWN", name, "warning", text, f"no segment {name} in HL7 {version.version}")
    text = f"{_named(name)}：不属于 {structure.name} 的结构"
    return _finding("SEGMENT-PLACE", name, "warning", text, f"{name} is not part of {structure.name}")


def _fields(segment: Segment, occurrence: int, rules: dict[int, FieldRule], version: Standard) -> Iterator[Finding]:
    for number, rule in rules.items():
        if segment.name == "MSH" and number <= 2:
            continue
        place = _place(segment, occurrence, number)
        name = _named(segment.name, number, rule.english, place)
        allowed = Cardinality(rule.least, rule.most)
        if not segment.field(number):
            if rule.least:
                text = f"{name}：标准要求必填（{allowed}），消息中没有"
                yield _finding("FIELD-MISSING", place, "error", text, f"{place} {rule.english} is required ({allowed})")
            continue
        if allowed.most == 0:
            text = f"{name}：HL7 {version.version} 已取消该字段"
            yield _finding(
                "FIELD-WITHDRAWN", place, "warning", text, f"{place} {rule.english} is withdrawn in HL7 {version.version}"
            )
        elif not allowed.holds(segment.repeats(number)):
            text = f"{name}：重复次数超出标准（{allowed}）"
            yield _finding("FIELD-REPEATS", place, "error", text, f"{place} {rule.english} repeats more often than {allowed}")
        yield from _values(segment, number, place, name, rule, version)
    yield from _beyond(segment, occurrence, max(rules), version)


def _values(segment: Segment, number: int, place: str, name: str, rule: FieldRule, version: Standard) -> Iterator[Finding]:
    """The form of dates and numbers, and the codes of closed tables."""
    values = [value for value in segment.values(f"{number}.1") if value]
    form, pattern = _FORMS.get(rule.type, ("", None))
    if pattern is not None and not all(pattern.fullmatch(value) for value in values):
        text = f"{name}：内容不是标准写法的{form}"
        yield _finding("FIELD-FORM", place, "warning", text, f"{place} {rule.english} is not written as {rule.type}")
    codes = version.table(rule.table) if rule.type == "ID" and rule.table else frozenset()
    if codes and not codes.issuperset(values):
        table = rule.table.removeprefix("HL7")
        text = f"{name}：代码不在 HL7 表 {table} 中"
        yield _finding("FIELD-CODE", place, "warning", text, f"{place} {rule.english}: a code that HL7 table {table} does not have")


def _beyond(segment: Segment, occurrence: int, last: int, version: Standard) -> Iterator[Finding]:
    number = last + 1
    while (raw := segment.field(number)) is not None:
        if raw:
            place = _place(segment, occurrence, number)
            text = f"{place}：HL7 {version.version} 的 {segment.name} 段只有 {last} 个字段"
            yield _finding(
                "FIELD-BEYOND", place, "warning", text, f"{segment.name} ends with field {last} in HL7 {version.version}"
            )
            return
        number += 1


def _by_profile(message: Message, profile: Profile) -> Iterator[Finding]:
    if not profile.covers(message.kind.strip(), message.event.strip()):
        text = f"消息约定 {profile.id} 不适用于这类消息，没有核对"
        yield _finding("PROFILE", "MSH-9", "not-checked", text, f"profile {profile.id} is not for this kind of message")
        return
    for name, allowed in profile.segments.items():
        count = len(message.all(name))
        if not allowed.holds(count):
            text = f"{_named(name)}：有 {count} 个，约定 {profile.id} 要求 {allowed}"
            yield _finding("PROFILE-SEGMENT", name, "error", text, f"{count} of {name}, profile {profile.id} wants {allowed}")
    for agreed in profile.fields:
        inner = agreed.place.partition("-")[2]
        for occurrence, segment in enumerate(message.all(agreed.spot.segment), start=1):
            values = [value for value in segment.values(inner) if value]
            place = _place(segment, occurrence, inner)
            name = _named(segment.name, agreed.spot.field, _english(message, agreed.spot.segment, agreed.spot.field), place)
            if not agreed.cardinality.holds(len(values)):
                text = f"{name}：有 {len(values)} 个，约定 {profile.id} 要求 {agreed.cardinality}"
                english = f"{place}: {len(values)} filled, profile {profile.id} wants {agreed.cardinality}"
                yield _finding("PROFILE-FIELD", place, "error", text, english)
            if agreed.values and not agreed.values.issuperset(values):
                text = f"{name}：内容不在约定 {profile.id} 允许的值中"
                yield _finding("PROFILE-VALUE", place, "error", text, f"{place}: a value that profile {profile.id} does not allow")


def _english(message: Message, segment: str, number: int) -> str:
    version = standard(message.version)
    rules = (version.fields(segment) if version is not None else None) or {}
    return rules[number].english if number in rules else ""


def _place(segment: Segment, occurrence: int, inner: int | str) -> str:
    return f"{segment.name}{f'[{occurrence}]' if occurrence > 1 else ''}-{inner}"


def _named(segment: str, number: int = 0, english: str = "", place: str = "") -> str:
    """``PID-5 患者姓名/PATIENT NAME``, as far as there are names."""
    names = "/".join(name for name in (chinese_name(segment, number), english) if name)
    return " ".join(part for part in (place or (f"{segment}-{number}" if number else segment), names) if part)


def _finding(rule: str, place: str, severity: Severity, message: str, english: str) -> Finding:
    return Finding(f"ZB-V2-{rule}", (place,) if place else (), severity, message, english)
