"""Front-sheet records to try rules on: sound ones of the sample hospital, altered where a rule looks, and ones filled at random."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from random import Random

from adapters.hqms.header import recognise
from adapters.hqms.rows import RowReader
from conformance.sample.hospital import generate
from mappings.layout import Field, Layout, layout
from tests.oracle.front_sheet_rules import IN_TCM, OriginalRule, Record, numbered, packaged, value_set

ODD = ("", "-", "0", "1", "2", "-1", "x", "abc", "1.5", "1E+17", " 1", "1\t", "，", "啊", "12 345", "２", "99999", "\u200bA")
DATES = ("2026-10-01", "2026/10/1", "2026-13-40", "2026-W01-1", "2026-10-01 08:00:00", "2026-10-01 08:00", "2026-10-01 25:00:00",
         "2026-10-01 08:00+08", "20261001", "2016-02-29", "2017-02-29", "2099-01-01 00:00:00")  # fmt: skip
MORPHOLOGY = ("M80000/0", "M80000/1", "M80000/2", "M80000/3", "M80000/6", "M8000/3", "M98211/3", "M98230/3", "M98220/3", "M98250/3",
              "M98270/3", "M98300/3", "M87200/3", "M88900/0", "M99801/1", "C34.900")  # fmt: skip
IDENTITIES = ("11010519491231002X", "11010519491231002x", "110105194912310021", "440524188001010014", "110105199913310021",
              "1101051949123100AX", "110105491231002", "护照１２３４５６７８９０１２３４５", "E12345678")  # fmt: skip
PLACES = ("北京市朝阳区", "朝阳区", "内蒙古包头市", "外籍", "广西省南宁市", "-", "")
PROCEDURES = ("99.2501", "00.3100", "36.0600x004", "36.07001", "74.1x01", "69.0100x001", "32.4100", "85.2100", "96.7101", "96.7201",
              "92.2801", "41.42001", "86.0600x004", "99.2800x006", "99.2800x004", "00.0000", "45.1300x009", "x")  # fmt: skip
AMOUNTS = (
    "0",
    "0.00",
    "0.01",
    "0.02",
    "0.03",
    "0.1",
    "0.2",
    "0.30",
    "100.00",
    "100.01",
    "99.99",
    "1000",
    "-5.00",
    "1.234",
    "1,000.00",
)
WORDS = ("12345678901", "张三", "张", "李" * 15, "欧" * 41, "a" * 201, "青霉素,头孢", "青霉素，头孢", "青霉素、头孢", "100000",
         "１０００００", "1234567")  # fmt: skip


class Writer:
    """Invents cells of one layout."""

    def __init__(self, target: Layout, rng: Random) -> None:
        self.layout = target
        self.rng = rng
        self._focus: dict[str, list[str]] = {}
        self._diagnoses = list(packaged("icd10_clinical_2.csv.gz").main.items())
        self._additional = list(packaged("icd10_clinical_2.csv.gz").additional.items())
        self._procedures = list(packaged("icd9cm3_clinical_2.csv.gz").main.items())

    def cell(self, field: Field, record: Record) -> str:
        """Something that could stand in a column: often right, often nearly right, sometimes absurd."""
        rng = self.rng
        chance = rng.random()
        if chance < 0.12:
            return rng.choice(ODD)
        if chance < 0.24:
            return ""
        if chance < 0.65 and (named := self._focus.get(field.pattern)):
            return rng.choice(named)
        return self._proper(field, record)

    def _proper(self, field: Field, record: Record) -> str:
        rng = self.rng
        match field.type:
            case "code" | "code_list" if field.domain.startswith(("RC", "TCM_RC")):
                codes = rng.choices(
                    [*value_set(field.domain), "0301"], k=rng.choice((1, 1, 1, 2)) if field.type == "code_list" else 1
                )
                return ",".join(codes)
            case "int":
                return str(
                    rng.choice((-1, 0, 1, 2, 3, 5, 11, 12, 23, 24, 27, 28, 29, 59, 60, 95, 96, 120, 121, 364, 365, 990, 1234, 3000))
                )
            case "decimal":
                return rng.choice(AMOUNTS)
            case "date" | "datetime":
                return self._time(field, record)
        if field.domain.startswith("ICD10"):
            return self._diagnosis(field, record)
        if field.domain.startswith("ICDO"):
            return rng.choice(MORPHOLOGY) if field.type == "code" else rng.choice(("-", "腺癌", ""))
        if field.domain.startswith("ICD9CM3"):
            code, name = rng.choice(self._procedures)
            return name if field.type == "string" else rng.choice((*PROCEDURES, code, code, code))
        if field.path.endswith("identity.number"):
            return rng.choice(IDENTITIES)
        if field.domain == "TCM95":
            return rng.choice(("BNW010", "BNX020", "ZZZ999"))
        return rng.choice(WORDS + PLACES)

    def _diagnosis(self, field: Field, record: Record) -> str:
        rng = self.rng
        if field.type == "string":
            code = self.layout.by_code.get(self.layout.code_of_path.get(field.path.removesuffix("display") + "code", ""))
            names = packaged("icd10_clinical_2.csv.gz")
            written = record.get(code.code, "") if code else ""
            return rng.choice((names.main.get(written, "肺炎"), names.additional.get(written, "肺炎"), "另一诊断", "-", ""))
        taken = [text for code, text in record.items() if self.layout.by_code[code].domain.startswith("ICD10")]
        code = rng.choice((rng.choice(self._diagnoses)[0], rng.choice(self._diagnoses)[0], rng.choice(self._additional)[0]))
        return rng.choice((code, code, f"{code}†", rng.choice(taken) if taken else code, "C34.900", f"{code[:3]}.9"))

    def _time(self, field: Field, record: Record) -> str:
        rng = self.rng
        known = [text for text in record.values() if text[:2] == "20" and len(text) in (10, 19)]
        try:
            moment = datetime.fromisoformat(rng.choice(known)) if known else datetime.fromisoformat("2026-10-01 08:00:00")
        except ValueError:
            moment = datetime.fromisoformat("2026-10-01 08:00:00")
        moment += timedelta(days=rng.choice((0, 0, 0, 1, -1, 3, -30, 365)), minutes=rng.choice((0, 0, 1, -90)))
        form = "%Y-%m-%d" if (field.type == "date") != (rng.random() < 0.1) else "%Y-%m-%d %H:%M:%S"
        return rng.choice(DATES) if rng.random() < 0.12 else moment.strftime(form)

    def filled_at_random(self, share: float) -> Record:
        """A record with about this share of its columns filled; repeats only the first few."""
        record: Record = {}
        for field in self.layout.fields:
            if field.repeat <= 3 and self.rng.random() < share:
                record[field.code] = self.cell(field, record)
        return record

    def altered_for(self, rule: OriginalRule, record: Record) -> Record:
        """A record altered where a rule looks, often with what the rule compares with."""
        self._focus = _literals(rule, self.layout.id)
        changed = self.altered(record, self._columns_of(rule))
        self._focus = {}
        return changed

    def altered(self, record: Record, columns: list[str]) -> Record:
        """A record with some of these columns written anew, in an order that varies."""
        changed = dict(record)
        for code in self.rng.sample(columns, k=self.rng.randint(1, len(columns))):
            changed[code] = self.cell(self.layout.by_code[code], changed)
            if not changed[code] and self.rng.random() < 0.5:
                del changed[code]
        return changed

    def _columns_of(self, rule: OriginalRule) -> list[str]:
        """Columns that bear on a rule, at some repeat."""
        names = {name for field in rule.fields for name in field.split("..")} | rule.names
        first, last = rule.repeats or (1, 3)
        repeat = self.rng.randint(first, min(last, 3))
        if "fee_sum" in rule.names or "tcm_fee_sum" in rule.names:
            names |= {"D11", "D12", "D34", "XYF", "QTF"}
        if self.layout.id == "tcm2019":
            names = {IN_TCM.get(name, name) for name in names}
            names |= {"ZYZD_JBBM", "ZYZD_JBBMkk"} if "any_tcm_dx" in rule.names else set()
        named = {numbered(name, repeat) for name in names} | {numbered(name, 1) for name in names if "any_" in rule.condition}
        return sorted(code for code in named if code in self.layout.by_code)


def sound_records(target: str, stays: int, seed: int) -> Iterator[Record]:
    """Records of the sample hospital, in a layout."""
    source = layout("2020")
    if target == "2020":
        yield from generate(stays, seed)
        return
    reader = RowReader(recognise(source.columns))
    for number, record in enumerate(generate(stays, seed)):
        yield layout(target).record(reader.read(tuple(source.row(record)), f"sample#{number}").stay)


_LISTS = {
    "any_dx": ("C03C", "C06xkkC"),
    "any_other_dx": ("C06xkkC",),
    "any_op": ("C14x01C", "C35xkkC"),
    "any_op_between": ("C35xkkC",),
    "any_tcm_dx": ("ZYZD_JBBM", "ZYZD_JBBMkk"),
}


@cache
def _literals(rule: OriginalRule, layout_id: str) -> dict[str, list[str]]:
    """Texts that a rule compares columns with, by their patterns: the values at which it changes its mind."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for text in filter(None, (rule.when, rule.condition)):
        for node in ast.walk(ast.parse(text, mode="eval")):
            if isinstance(node, ast.Compare | ast.Call):
                for name, literals in _compared(node, rule):
                    found[IN_TCM.get(name, name) if layout_id == "tcm2019" else name] |= literals
    return {pattern: sorted(texts) for pattern, texts in found.items()}


def _compared(node: ast.Compare | ast.Call, rule: OriginalRule) -> Iterator[tuple[str, set[str]]]:
    inner = list(ast.walk(node))
    function = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
    constants = [n.value for n in inner if isinstance(n, ast.Constant)]
    texts = {text for text in constants if isinstance(text, str)}
    if function == "matches":
        texts = {_example(text) for text in texts}
    elif function == "code_in":
        texts = {entry.partition("-")[0] for text in texts for entry in text.split(",")}
    texts |= {_full(text) for text in texts}
    texts |= {str(number) for number in constants if type(number) is int}
    names = {n.id for n in inner if isinstance(n, ast.Name)} | set(_LISTS.get(function, ()))
    for name in (names | set(rule.fields)) - {function} if "X" in names else names - {function}:
        yield name, texts


def _example(pattern: str) -> str:
    """Something that matches one of the simple patterns of the rules."""
    text = re.sub(r"\(x[^)]*\)\?|\[[^]]*\]\?$", "", pattern)
    text = re.sub(r"\[([\d\\A-Z])[^]]*\]", lambda m: "0" if m[1] == "\\" else m[1], text)
    text = re.sub(r"\\d\{(\d)\}", lambda m: "1" * int(m[1]), text)
    return text.replace("{2}", "").replace(r"\d+", "1").replace(r"\d", "1").replace("\\", "")


@cache
def _full(code: str) -> str:
    """A diagnosis or procedure code of the lists that begins with a prefix."""
    for name in ("icd10_clinical_2.csv.gz", "icd9cm3_clinical_2.csv.gz"):
        if len(code) > 1 and (found := next((full for full in packaged(name).main if full.startswith(code)), "")):
            return found
    return code
