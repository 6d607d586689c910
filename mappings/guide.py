"""The printed guide of a platform, made from its profile: what is known and how surely, what is due and why, which fields it wants.

``docs/platforms/<id>.md`` and ``zhibao platform ID`` are this text; nothing in it is written twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mappings.card_layout import CardField, CardLayout
from mappings.layout import Field
from mappings.profile import Profile, profile

_EFFECTS = {
    "require": "必须满足",
    "include": "在范围内",
    "review": "请人工核对",
    "companion": "须有伴随诊断",
    "never": "不上报",
}
_CONFIDENCE = {"high": "高", "medium": "中", "low": "低", "low-medium": "中低"}
_REQUIRED = {"M": "必填", "C": "条件必填", "O": "选填"}
_UNITS = {"stay": "每次出院一份", "tumour": "每个原发肿瘤一张报告卡"}


def guide(id: str) -> str:
    """The guide of a platform as Markdown, in Chinese. Raises `ConfigurationError` for an unknown id."""
    return "\n".join(_lines(profile(id))) + "\n"


def _lines(described: Profile) -> Iterator[str]:
    cadence = described.cadence
    closing = f"次月 {cadence.day} 日" if cadence.day else "次月月底（具体日期以通知为准）"
    period = "随时上报" if cadence.continuous else f"按出院月份，截止{closing}；历史数据自 {cadence.history_from} 起"
    yield f"# {described.name}"
    yield ""
    yield "由平台配置自动生成，请勿手工修改。Generated from the profile."
    yield ""
    yield from _table(
        ("项目", "内容"),
        (
            ("编号", f"`{described.id}`（{described.name_en}）"),
            (
                "版本",
                f"{described.version}，自 {described.valid_from} 起" + (f"至 {described.valid_to}" if described.valid_to else ""),
            ),
            ("主管单位", described.authority),
            ("上报单位", _UNITS.get(described.unit, described.unit)),
            ("操作", "、".join(described.operations)),
            ("周期", period),
            ("年龄基准", _age(described)),
            ("默认传输", described.transport),
            ("版式", f"{described.layout.id}（{len(described.layout.columns)} 列）"),
        ),
    )
    yield from ("", "## 依据与可信度", "")
    facts = ((fact.about, fact.source, _CONFIDENCE[fact.confidence]) for fact in described.facts)
    yield from _table(("内容", "来源", "可信度"), facts)
    yield from ("", "## 上报范围", "")
    rules = described.scope().rules
    rows = (
        (
            rule.id,
            _EFFECTS[rule.effect],
            f"{rule.start}–{rule.end}" if rule.start and rule.start != rule.end else rule.start,
            rule.reason,
            "开" if rule.on else "关",
            _CONFIDENCE[rule.confidence],
        )
        for rule in rules
    )
    yield from _table(("规则", "作用", "ICD-10", "理由", "默认", "可信度"), rows)
    if described.options:
        yield from ("", "## 医院须说明的事项", "")
        told = ((f"`{o.name}`", o.label, o.default, "必填" if o.required else "选填") for o in described.options.values())
        yield from _table(("选项", "内容", "默认", "必填"), told)
    if described.completions:
        yield from ("", "## 平台另填的内容", "", "报告卡本身没有说明时，按下列规则填写。", "")
        yield from _table(
            ("报告卡字段", "规则"), ((f"`{name}`", f"`{said.source}`") for name, said in described.completions.items())
        )
    yield from ("", "## 字段", "")
    if isinstance(described.layout, CardLayout):
        yield from _columns(described.layout)
        for layout in described.layouts.values():
            yield from ("", f"## 字段：`{layout.id}`", "")
            yield from _columns(layout)
    else:
        yield from _table(("字段", "名称", "类型", "长度", "必填", "值域", "可信度"), _fields(described.layout.fields))


def _age(described: Profile) -> str:
    if described.unit == "tumour":
        return "发病日"
    return "入院日" if described.age_reference == "admission" else "出院日"


def _columns(layout: CardLayout) -> Iterator[str]:
    """One line per column of a card layout, with the field of the report card or the expression that fills it."""
    return _table(("字段", "名称", "取自", "类型", "长度", "必填", "代码表", "默认", "可信度"), map(_column, layout.fields))


def _column(field: CardField) -> tuple[str, ...]:
    origin = field.path or (field.expression.source if field.expression is not None else "")
    return (
        field.code,
        field.name_zh,
        f"`{origin}`" if origin else "",
        field.type,
        f"{field.max_length or ''}",
        _REQUIRED.get(field.required, field.required),
        field.code_map,
        field.default,
        _CONFIDENCE.get(field.confidence, field.confidence),
    )


def _fields(fields: tuple[Field, ...]) -> Iterator[tuple[str, ...]]:
    """One line per field pattern; repeats are named once with their number."""
    repeats: dict[str, int] = {}
    for field in fields:
        repeats[field.pattern] = max(repeats.get(field.pattern, 0), field.repeat)
    seen: set[str] = set()
    for field in fields:
        if field.pattern in seen:
            continue
        seen.add(field.pattern)
        code = field.pattern.replace("kk", "NN") + (f"（×{repeats[field.pattern]}）" if field.repeat else "")
        length = f"{field.max_length or ''}" + (f",{field.scale}" if field.scale else "")
        required = _REQUIRED.get(field.required, field.required)
        confidence = _CONFIDENCE.get(field.confidence, field.confidence)
        yield (code, field.name_zh, field.type, length, required, field.domain, confidence)


def _table(heading: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(heading)} |"
    yield "|" + "---|" * len(heading)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
