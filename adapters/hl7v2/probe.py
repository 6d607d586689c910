"""What a hospital's sample messages tell about their dialect: which built-in one fits best, where the numbers, names, dates and codes stand,
what is ambiguous and what has no mapping. `Probe.report` is the text for a person, `adapters.hl7v2.proposal` the dialect file.

Places are recognised by shape: a resident ID by its check digit, a name by two to four Chinese characters, the number of admissions by
small numbers. Everything shown of a person is masked; only codes of code lists are shown as they are, and not when they are long.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Final

from adapters.hl7v2.batch import Fault, messages_of
from adapters.hl7v2.datatypes import component, components
from adapters.hl7v2.dialect import BUILT_IN, Dialect, dialect
from adapters.hl7v2.message import NULL, Message, Segment
from adapters.hl7v2.reading import FactsReader
from adapters.hl7v2.refusal import MessageRefused
from gateway.model import resident_id
from gateway.model.facts import Facts
from gateway.model.names import is_chinese
from gateway.model.times import china_time

_NUMBERS: Final = (("PID", 2), ("PID", 3), ("PID", 4), ("PID", 18), ("PID", 19), ("PV1", 19), ("PV1", 50))
_AGE: Final = re.compile(r"\d{1,3}(岁|月|天|周岁|[YMD])?.*", re.IGNORECASE)
_DEPARTMENT: Final = re.compile(r".*(科|专业)$")
_WARD: Final = re.compile(r".*(病区|病房|护理单元)$")
_CODED: Final = {
    "sex": "PID-8",
    "marital": "PID-16",
    "ethnicity": "PID-22",
    "patient-class": "PV1-2",
    "route": "PV1-14",
    "disposition": "PV1-36",
    "payment": "PV1-20",
    "diagnosis-use": "DG1-6",
    "report-status": "OBR-25",
    "relationship": "NK1-3",
}
_WEIGHTS: Final = {
    "消息头": 3,
    "病案号": 2,
    "身份证号": 2,
    "姓名": 1,
    "出生日期": 1,
    "性别": 1,
    "患者类别": 1,
    "病理正文": 2,
}


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a built-in dialect reads the samples: ``score`` of 100, and what it found in how many messages."""

    dialect: str
    score: int
    found: dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A place where something was recognised: in ``count`` of ``total`` messages that fill the place. ``word`` is its CX.5."""

    what: str
    place: str
    word: str
    count: int
    total: int
    example: str


@dataclass(slots=True)
class Probe:
    """The result. ``unmapped`` counts codes by (map, place, code as shown)."""

    files: int = 0
    messages: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    senders: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    fits: list[Fit] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    values: dict[str, Counter[str]] = field(default_factory=dict)
    unmapped: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    questions: list[str] = field(default_factory=list)
    departments: Counter[str] = field(default_factory=Counter)

    @property
    def best(self) -> str:
        """The dialect that fits best; the standard without any message."""
        return self.fits[0].dialect if self.fits else "standard"

    def seen(self, what: str) -> list[Sighting]:
        """Where something was recognised, the most frequent first."""
        return sorted((one for one in self.sightings if one.what == what), key=lambda one: -one.count)

    def report(self) -> str:
        """The findings for a person at the hospital, in Chinese."""
        lines = [
            "HL7 v2 样本分析",
            f"文件 {self.files} 个，消息 {self.messages} 条，无法读取 {sum(self.refused.values())} 条",
            *(f"  无法读取：{reason} {count} 条" for reason, count in self.refused.most_common()),
            "消息类型：" + "、".join(f"{kind} {count} 条" for kind, count in self.kinds.most_common()),
            "发送方："
            + "、".join(
                f"{a or '空'} → {c or '空'}（机构 {b or '空'}，版本 {v or '空'}）" for (a, b, c, v), _ in self.senders.most_common()
            ),
            "",
            "与内置方言的符合程度（满分 100）",
        ]
        for fit in self.fits:
            found = "，".join(f"{what} {count}/{total}" for what, (count, total) in fit.found.items() if total)
            lines.append(f"  {fit.dialect}：{fit.score} 分。{found}")
        lines += ["", "识别到的位置（示例已脱敏）"]
        for one in self.sightings:
            word = f"（类型词 {one.word}）" if one.word else ""
            lines.append(f"  {one.what}：{one.place}{word}，{one.count}/{one.total} 条，如 {one.example}")
        for place, counter in self.values.items():
            lines.append(f"  {place} 的写法：" + "、".join(f"{shape} {count} 条" for shape, count in counter.most_common()))
        lines += ["", "需要确认"]
        lines += [f"  {question}" for question in self.questions] or ["  没有"]
        lines += ["", "没有对照的代码"]
        lines += [f"  {name}（{place}）：{code}，{count} 次" for (name, place, code), count in self.unmapped.most_common()] or [
            "  没有"
        ]
        return "\n".join(lines) + "\n"


def probe(files: Sequence[FilePath], *, charset: str = "") -> Probe:
    """Examine sample files (one or many messages each). What cannot be read is counted by reason, never raised.

    Raises `ConfigurationError` for an unknown ``charset`` and `OSError` for a file that cannot be opened."""
    result = Probe(files=len(files))
    messages: list[Message] = []
    for file in files:
        for piece in messages_of(file.read_bytes()):
            if isinstance(piece, Fault):
                result.refused[piece.reason] += 1
                continue
            try:
                messages.append(Message.read(piece, charset=charset))
            except MessageRefused as refusal:
                result.refused[refusal.reason] += 1
    return examine(messages, result)


def examine(messages: Sequence[Message], result: Probe | None = None) -> Probe:
    """Examine messages that are read already."""
    result = result or Probe()
    result.messages = len(messages)
    for message in messages:
        result.kinds["^".join(part for part in (message.kind, message.event) if part)] += 1
        result.senders[tuple(shown(message.value(f"MSH-{n}")) for n in ("3.1", "4.1", "5.1", "12.1"))] += 1  # type: ignore[index]
    if not messages:
        result.questions.append("没有可读取的消息，无法判断")
        return result
    result.fits = sorted((_fit(dialect(name), messages) for name in BUILT_IN), key=lambda fit: -fit.score)
    best = dialect(result.best)
    _sight_numbers(messages, result)
    _sight_names_and_dates(messages, result)
    _sight_locations(messages, result)
    _count_codes(messages, best, result)
    _ask(best, result)
    return result


def masked(text: str) -> str:
    """A name as its first character, a number as its two first and last characters."""
    text = _printable(text)
    if is_chinese(text):
        return text[:1] + "*"
    return f"{text[:2]}{'*' * min(len(text) - 4, 4)}{text[-2:]}" if len(text) > 5 else "*" * len(text)


def shown(text: str) -> str:
    """A code as it is; what is too long or too numeric to be a code is masked."""
    text = _printable(text)
    digits = sum(character.isdigit() for character in text)
    return text if len(text) <= 12 and digits <= 6 else masked(text)


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())


def _fit(one: Dialect, messages: Sequence[Message]) -> Fit:
    reader = FactsReader(one)
    found: dict[str, list[int]] = {what: [0, 0] for what in _WEIGHTS}
    for number, message in enumerate(messages):
        for what, holds in _success(one, message, reader.read(message, str(number))).items():
            found[what][0] += holds
            found[what][1] += 1
    possible = sum(_WEIGHTS[what] * total for what, (_, total) in found.items())
    reached = sum(_WEIGHTS[what] * count for what, (count, _) in found.items())
    return Fit(one.id, round(100 * reached / possible) if possible else 0, {what: (a, b) for what, (a, b) in found.items()})


def _success(one: Dialect, message: Message, facts: Facts) -> dict[str, bool]:
    """What the message carries, and whether the dialect read it without a complaint."""
    person, visit = message.first("PID"), message.first("PV1")
    troubled = {remark.source.partition("[")[0] for remark in facts.remarks if remark.severity == "warning"}
    by_shape = any(remark.rule == "resident-id-by-shape" for remark in facts.remarks)
    said = {fact.path: fact for fact in facts.facts}
    success = {"消息头": one.recognises(message)}
    if person is not None and facts.facts:
        success["病案号"] = bool(facts.patient.record_number) or facts.visit.kind in ("outpatient", "emergency", "check-up")
        if any(resident_id.verdict(resident_id.normalised(text)) == "right" for _, _, text in _pieces(person, _NUMBERS)):
            success["身份证号"] = bool(facts.patient.resident_id) and not by_shape
        if person.value("5"):
            success["姓名"] = is_chinese(str(said["patient.name"].value)) if "patient.name" in said else False
        if person.value("7"):
            success["出生日期"] = "PID-7" not in troubled
        if person.value("8"):
            success["性别"] = "PID-8" not in troubled
    if visit is not None and visit.value("2"):
        success["患者类别"] = facts.visit.kind != ""
    if message.kind in ("ORU", "OUL") and any("病理" in segment.text for segment in message):
        success["病理正文"] = any(report.texts or report.status == "withdrawn" for report in facts.pathology)
    return success


def _pieces(segment: Segment, places: Iterable[tuple[str, int]]) -> list[tuple[str, str, str]]:
    """(place, CX.5, text) of every component that may hold a number."""
    found = []
    for name, number in places:
        whole = segment.field(number) if segment.name == name else None
        if not whole:
            continue
        mark = segment.delimiters.repetition
        for raw in whole.split(mark) if mark else [whole]:
            parts = components(segment, raw)
            word = component(segment, parts, 5) if name == "PID" and number == 3 else ""
            word = word if word == shown(word) else ""  # what looks like a number of a person is no type word
            last = 1 if name == "PID" else len(parts)
            for position in range(1, last + 1):
                text = component(segment, parts, position)
                if text and text != NULL:
                    found.append((f"{name}-{number}" + (f".{position}" if position > 1 else ""), word, text))
    return found


def _sight_numbers(messages: Sequence[Message], result: Probe) -> None:
    """Resident IDs, and every other number with the place and word that it stands under."""
    ids: dict[tuple[str, str], list[str]] = {}
    others: dict[tuple[str, str], list[str]] = {}
    filled: Counter[tuple[str, str]] = Counter()
    for message in messages:
        for segment in (message.first("PID"), message.first("PV1")):
            for place, word, text in _pieces(segment, _NUMBERS) if segment is not None else ():
                key = (place, word)
                filled[key] += 1
                right = resident_id.verdict(resident_id.normalised(text)) == "right"
                (ids if right else others).setdefault(key, []).append(text)
    for (place, word), texts in ids.items():
        result.sightings.append(Sighting("身份证号", place, word, len(texts), filled[place, word], masked(texts[0])))
    for (place, word), texts in others.items():
        if place.startswith("PV1-19.") and all(text.isdigit() and len(text) <= 2 for text in texts):
            what = "住院次数"
        else:
            what = "就诊号" if place.startswith("PV1") else "号码"
        result.sightings.append(Sighting(what, place, word, len(texts), filled[place, word], masked(texts[0])))
    counts = [text for message in messages if (text := message.value("PV1-13.1").strip())]
    small = [text for text in counts if text.isascii() and text.isdigit() and 0 < int(text[:4]) < 100]
    if small:
        result.sightings.append(Sighting("住院次数", "PV1-13", "", len(small), len(counts), masked(small[0])))


def _sight_names_and_dates(messages: Sequence[Message], result: Probe) -> None:
    names: dict[str, list[str]] = {}
    filled = 0
    for message in messages:
        person = message.first("PID")
        if person is None:
            continue
        filled += bool(person.field(5))
        for position in (1, 2):
            text = person.value(f"5.{position}").strip()
            if is_chinese(text):
                names.setdefault(f"PID-5.{position}", []).append(text)
        for place in ("PID-7", "PV1-44", "PV1-45"):
            text = message.value(place + ".1").strip()
            if text:
                result.values.setdefault(place, Counter())[_time_shape(text)] += 1
    for place, texts in names.items():
        result.sightings.append(Sighting("姓名", place, "", len(texts), filled, masked(texts[0])))


def _time_shape(text: str) -> str:
    if china_time(text) is not None:
        return re.sub(r"\d", "9", text) if len(text) <= 24 else "日期时间"
    return "年龄" if _AGE.fullmatch(text) else "不是日期"


def _sight_locations(messages: Sequence[Message], result: Probe) -> None:
    for what, pattern in (("科室", _DEPARTMENT), ("病区", _WARD)):
        found: dict[int, list[str]] = {}
        filled = 0
        for message in messages:
            visit = message.first("PV1")
            raw = visit.field(3) if visit is not None else None
            if visit is None or not raw:
                continue
            filled += 1
            parts = components(visit, raw)
            for position in range(1, len(parts) + 1):
                text = component(visit, parts, position)
                if pattern.fullmatch(text):
                    found.setdefault(position, []).append(text)
                    if what == "科室":
                        result.departments[text] += 1
        for position, texts in found.items():
            result.sightings.append(Sighting(what, f"PV1-3.{position}", "", len(texts), filled, shown(texts[0])))


def _count_codes(messages: Sequence[Message], best: Dialect, result: Probe) -> None:
    """Codes that the best dialect does not map."""
    for message in messages:
        for name, place in _CODED.items():
            segment_name, _, number = place.partition("-")
            for segment in message.all(segment_name):
                raw = segment.field(int(number))
                if not raw or raw == NULL:
                    continue
                parts = components(segment, raw)
                code, label = component(segment, parts, 1), component(segment, parts, 2)
                if (code or label) and best.maps[name].find(code, label)[0] is None:
                    result.unmapped[name, place, shown(code or label)] += 1
    departments = best.maps["department"]
    for text, count in result.departments.items():
        if departments.find(text)[0] is None:
            result.unmapped["department", "PV1-3", shown(text)] += count


def _ask(best: Dialect, result: Probe) -> None:
    """What only a person can decide."""
    ids, numbers = result.seen("身份证号"), [one for one in result.seen("号码") if one.place.startswith("PID")]
    if len(ids) > 1:
        places = "、".join(f"{one.place}{f'（{one.word}）' if one.word else ''}" for one in ids)
        result.questions.append(f"身份证号出现在 {len(ids)} 处：{places}，请确认哪一处是患者本人的")
    if not ids:
        result.questions.append("没有识别到校验正确的身份证号，请确认是否发送")
    covered = {
        (slot.spot.segment, slot.spot.field, word)
        for slot in best.identifiers.get("record_number", ())
        for word in slot.types or ("",)
    }
    likely = [one for one in numbers if ("PID", int(one.place[4:].partition(".")[0]), one.word.casefold()) in covered]
    if len(numbers) > 1 and len(likely) != 1:
        places = "、".join(f"{one.place}{f'（{one.word}）' if one.word else ''}" for one in numbers)
        result.questions.append(f"有 {len(numbers)} 处号码可能是病案号：{places}，请确认 record_number")
    if not numbers:
        result.questions.append("没有识别到病案号，请确认 record_number")
    if len(result.seen("住院次数")) != 1:
        result.questions.append("住院次数的位置没有唯一识别，请确认 admission_number")
    if result.values.get("PID-7", Counter())["年龄"]:
        result.questions.append("PID-7 填的是年龄，出生日期将只由校验正确的身份证号推出")
    if len(result.fits) > 1 and result.fits[0].score - result.fits[1].score < 5:
        result.questions.append(f"{result.fits[0].dialect} 与 {result.fits[1].dialect} 的符合程度接近，请核对")
