"""Hand-made HL7 v2 messages for tests: segments by field number, invented people."""

from __future__ import annotations

from pathlib import Path

from adapters.hl7v2.dialect import dialect
from adapters.hl7v2.message import Message
from adapters.hl7v2.reading import FactsReader
from gateway.model.facts import Facts

DATA = Path(__file__).parent / "data" / "hl7v2"
BOY = "999052201503082795"
"""Born 2015-03-08, male; area code 99...., right check digit."""


def segment(name: str, **fields: str) -> str:
    """``segment("PID", f3="1", f5="张三")``."""
    numbered = {int(key[1:]): value for key, value in fields.items()}
    first = 3 if name == "MSH" else 1
    head = ["MSH", "^~\\&"] if name == "MSH" else [name]
    return "|".join(head + [numbered.get(number, "") for number in range(first, max(numbered, default=0) + 1)])


def header(event: str = "ADT^A08", **fields: str) -> str:
    return segment("MSH", **{"f7": "20240601120000", "f9": event, "f10": "1", "f11": "P", "f12": "2.4"} | fields)


def message(*segments: str, charset: str = "utf-8") -> Message:
    return Message.read("\r".join(segments).encode(charset))


def facts(dialect_name: str, *segments: str) -> Facts:
    """What a message of these segments says under a dialect."""
    return FactsReader(dialect(dialect_name)).read(message(*segments), "test")


def case(folder: str, name: str) -> Facts:
    """What a file of ``tests/data/hl7v2`` says under the dialect it is named after."""
    raw = (DATA / folder / f"{name}.hl7").read_bytes()
    return FactsReader(dialect(folder)).read(Message.read(raw), name)


def stated(result: Facts) -> dict[str, object]:
    """Path to value, coded values as their code (or label where they have none)."""
    return {fact.path: getattr(fact.value, "code", None) or getattr(fact.value, "display", fact.value) for fact in result.facts}


def rules(result: Facts) -> list[str]:
    """The rules of the remarks, with the field each is about."""
    return [f"{remark.rule} {remark.source}" for remark in result.remarks]
