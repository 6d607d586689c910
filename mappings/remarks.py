"""What a reader remarks about what it read: every rule with its severity and its Chinese and English text.

The texts are data, ``mappings/sources/remarks.csv`` (``rule``, ``standard``, ``severity``, ``chinese``, ``english``): a rule without a
standard is one of all, and the row of a standard (``hl7v2``, ``fhir``) counts before it. None holds a value of a message.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal

from msgspec import Struct, convert

from gateway.model.facts import Remark, Severity

Standard = Literal["hl7v2", "fhir"]


class Rule(Struct, frozen=True):
    """A row of the table."""

    rule: str
    standard: Literal["", "hl7v2", "fhir"]
    severity: Severity
    chinese: str
    english: str


@cache
def rules(standard: Standard) -> Mapping[str, Rule]:
    """The rules of a standard by their names."""
    with files("mappings").joinpath("sources", "remarks.csv").open(encoding="utf-8") as handle:
        table = convert(list(csv.DictReader(handle)), list[Rule])
    return {row.rule: row for own in ("", standard) for row in table if row.standard == own}


@lru_cache(maxsize=8192)
def remark(standard: Standard, rule: str, source: str) -> Remark:
    """The remark of a rule about ``source``: a field (``PID-7``), the element of a resource (``Patient.birthDate``)."""
    said = rules(standard)[rule]
    return Remark(rule, source, said.chinese, said.english, said.severity)
