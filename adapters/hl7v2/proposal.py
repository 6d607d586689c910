"""A dialect file proposed for a hospital from what `adapters.hl7v2.probe` found: it extends the best built-in dialect and says what differs,
with comments in Chinese. It always loads; what a person has to decide is left as a comment."""

from __future__ import annotations

import json
from collections import Counter

from adapters.hl7v2.dialect import Dialect, dialect
from adapters.hl7v2.probe import Probe, Sighting


def proposed(result: Probe, id: str) -> str:
    """The text of the dialect file. ``id`` names it (and with it the mapping in provenance)."""
    best = dialect(result.best)
    score = result.fits[0].score if result.fits else 0
    lines = [
        "# 由样本消息分析得出的方言建议。请逐项核对后使用；以 # 开头的行是说明或待确认的内容。",
        f"id = {_quoted(id)}",
        f"name = {_quoted('由样本建议的方言')}",
        f"# 最接近的内置方言，符合程度 {score} 分；这里没有写的都按它读取",
        f"extends = {_quoted(best.id)}",
        "",
        "[identifiers]",
        *_identifiers(result),
        "",
        "[fields]",
        *_fields(result),
        "",
        "[location]",
        *_location(result),
    ]
    by_map: dict[str, Counter[tuple[str, str]]] = {}
    for (name, place, code), count in result.unmapped.items():
        by_map.setdefault(name, Counter())[place, code] += count
    for name, codes in by_map.items():
        lines += ["", f"[codes.{name}]", "# 以下代码没有对照：在引号中填写值集代码，并去掉行首的 #"]
        lines += [
            f'# {_quoted(code)} = ""   # {place}，{count} 次' for (place, code), count in codes.most_common() if "\n" not in code
        ]
    if result.questions:
        lines += ["", "# 需要确认：", *(f"# {question}" for question in result.questions)]
    return "\n".join(lines) + "\n"


def _identifiers(result: Probe) -> list[str]:
    """Resident ID and number of admissions where they were recognised elsewhere than the best dialect has them; the other numbers as they
    were seen."""
    best = dialect(result.best)
    lines = []
    for what, kind, means in (("身份证号", "resident_id", "按校验码识别"), ("住院次数", "admission_number", "按数值大小识别")):
        seen = result.seen(what)
        if not seen:
            continue
        if all(_covered(best, kind, one) for one in seen):
            lines.append(f"# {what}：{means}，{seen[0].count} 条，位置与 {best.id} 相同")
            continue
        note = "，有多处，请确认先后" if len(seen) > 1 else ""
        lines.append(f"# {what}：{means}，{seen[0].count} 条{note}")
        lines.append(f"{kind} = [{', '.join(_place(one) for one in seen)}]")
    unknown = [one for one in result.seen("号码") if not any(_covered(best, kind, one) for kind in best.identifiers)]
    if unknown:
        lines.append("# 以下号码在最接近的方言中没有用到；若其中一个是病案号，请去掉行首的 #")
        lines += [f"# record_number = [{_place(one)}]   # {one.count} 条，如 {one.example}" for one in unknown]
    return lines


def _covered(best: Dialect, kind: str, sighting: Sighting) -> bool:
    """Whether the dialect already looks for this kind of number there."""
    return any(
        slot.place.removesuffix(".1") == sighting.place and (not slot.types or sighting.word.casefold() in slot.types)
        for slot in best.identifiers.get(kind, ())
    )


def _fields(result: Probe) -> list[str]:
    lines = []
    names = {one.place: one for one in result.seen("姓名")}
    if "PID-5.2" in names and "PID-5.1" not in names and "patient.name" not in dialect(result.best).file.fields:
        lines += ["# 姓名只在 PID-5 第 2 部分", '"patient.name" = "PID-5.2"']
    birth = result.values.get("PID-7", Counter())
    if birth["年龄"] and birth["年龄"] == birth.total() and "patient.birth_date" not in dialect(result.best).file.fields:
        lines += ["# PID-7 填的是年龄，不当作出生日期", '"patient.birth_date" = []']
    return lines


def _location(result: Probe) -> list[str]:
    """Components of PV1-3 where exactly one holds departments or wards."""
    lines = []
    current = dialect(result.best).file.location
    departments, wards = result.seen("科室"), result.seen("病区")
    if len(departments) == 1 and (position := _component(departments[0])) not in (current.department, current.department_name):
        lines += ["# 科室名称", f"department_name = {position}", "department = 0"]
    if len(wards) == 1 and _component(wards[0]) != current.ward:
        lines += ["# 病区名称", f"ward = {_component(wards[0])}"]
    return lines


def _component(sighting: Sighting) -> int:
    return int(sighting.place.rpartition(".")[2])


def _place(sighting: Sighting) -> str:
    if sighting.word:
        return f"{{ at = {_quoted(sighting.place)}, types = [{_quoted(sighting.word)}] }}"
    return _quoted(sighting.place)


def _quoted(text: str) -> str:
    """A TOML basic string: the escapes of JSON are among its own. DEL, which JSON leaves, is left out."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "")
