"""Code lists and value sets that ship with Zhibao, and the ones a hospital adds.

ICD-10 and morphology: 疾病分类与代码国家临床版2.0; procedures: 手术操作分类代码国家临床版2.0 (国家卫生健康委 371号文, 2019). Edition 3.0 of
the procedure list and the Chinese-medicine list of 1995 are not public: a hospital may put ``icd9cm3_3.0.csv`` or ``tcm95.csv``
(columns ``code,name_zh`` and optionally ``category,additional_code``) into its dictionary folder. What is not loaded is None, so
that nobody mistakes "not checked" for "passed".
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

_PACKAGED = {
    "icd10:2.0": "icd10_clinical_2.csv.gz",
    "icdm:2.0": "icdo3_morphology_zh.csv",
    "icd9cm3:2.0": "icd9cm3_clinical_2.csv.gz",
}
_SIGNS = str.maketrans("", "", "†*+")


def bare(code: str) -> str:
    """A code as it is compared: without dagger, asterisk and plus sign."""
    return code.translate(_SIGNS).strip()


class CodeSystem:
    """One code list. Codes are found in the main and in the additional column; ``has_main`` looks in the main one only."""

    def __init__(self, rows: Iterator[dict[str, str]]) -> None:
        self._names: dict[str, str] = {}
        self._additional: dict[str, str] = {}
        self._category: dict[str, str] = {}
        categories: dict[str, str] = {}
        for row in rows:
            code, additional = bare(row["code"]), bare(row.get("additional_code", ""))
            category = row.get("category", "")
            if code:
                self._names[code] = row["name_zh"]
            # beside a main code the printed name is that of the main code
            if additional and (not code or additional not in self._additional):
                self._additional[additional] = "" if code else row["name_zh"]
            if category:
                self._category[code or additional] = categories.setdefault(category, category)

    def has(self, code: str) -> bool:
        """Whether the list has the code at all."""
        return (plain := bare(code)) in self._names or plain in self._additional

    def has_main(self, code: str) -> bool:
        """Whether the list has it as a main code."""
        return bare(code) in self._names

    def name(self, code: str) -> str:
        """The printed name, or an empty text."""
        return self._names.get(plain := bare(code)) or self._additional.get(plain, "")

    def category(self, code: str) -> str:
        """Category of a procedure (手术, 介入治疗, 治疗性操作, 诊断性操作), or an empty text."""
        return self._category.get(bare(code), "")


class Dictionaries:
    """The code lists by name (``icd10:2.0``); ``extra`` is a hospital's folder of further lists."""

    def __init__(self, extra: Path | None = None) -> None:
        self._extra = extra

    def load(self, name: str) -> CodeSystem | None:
        """A list, or None when it is not available here."""
        if name in _PACKAGED:
            return _packaged(name)
        if self._extra is not None:
            path = self._extra / f"{name.replace(':', '_')}.csv"
            if path.is_file():
                return _from_file(path)
        return None

    @property
    def operations(self) -> CodeSystem | None:
        """The newest available list of procedures."""
        return self.load("icd9cm3:3.0") or self.load("icd9cm3:2.0")

    def knows_operation(self, code: object) -> bool:
        """Whether the category of a procedure code is known."""
        operations = self.operations
        return isinstance(code, str) and operations is not None and bool(operations.category(code))


@cache
def _packaged(name: str) -> CodeSystem:
    data = files("mappings").joinpath("codes", "icd", _PACKAGED[name]).read_bytes()
    text = gzip.decompress(data).decode() if _PACKAGED[name].endswith(".gz") else data.decode()
    return CodeSystem(csv.DictReader(io.StringIO(text)))


@cache
def _from_file(path: Path) -> CodeSystem:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        return CodeSystem(csv.DictReader(handle))


@dataclass(frozen=True)
class ValueSet:
    """A value domain such as RC001: code to printed name."""

    id: str
    names: dict[str, str]
    codes: frozenset[str]

    def name(self, code: str) -> str:
        """The printed name of a code, or an empty text."""
        return self.names.get(code, "")


@cache
def load_value_sets() -> dict[str, ValueSet]:
    """All packaged value sets by id (``RC001``, ``TCM_RC002``). RC036 prints 01-09 in labels and 1-9 as values: both count."""
    found: dict[str, ValueSet] = {}
    for entry in files("mappings").joinpath("codes", "value_sets").iterdir():
        if not entry.name.endswith(".csv"):
            continue
        id = entry.name.removesuffix(".csv")
        rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(entry.read_text("utf-8-sig"))))
        names = {row["code"]: row["name"] for row in rows}
        found[id] = ValueSet(id, names, frozenset(names))
    return found
