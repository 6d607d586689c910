"""The rules of ``checks.csv`` mean the same as the researched originals (``tests/data/hqms_rules.csv``).

Two evaluators that share no code look at the same records, sound ones, altered ones and ones filled at random, and must find the
same: every rule, every column, every repeat. And every rule must have been put to the test: it has fired and it has held.
"""

from __future__ import annotations

import ast
import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from random import Random

import pytest

from conformance.checks.checker import Checker
from conformance.checks.finding import Finding
from mappings.dictionary import Dictionaries
from mappings.layout import Field, layout
from tests.fuzz.front_sheet_records import Writer, sound_records
from tests.oracle.front_sheet_rules import Oracle, Record, numbered, original_rules

TABLE = "platforms/hqms/checks.csv"
MONTH = "2026-10"
SEED = 20261124

Place = tuple[str, str, str]
"""Rule, where it fired, and whether it could be checked (``due``, ``unknown``)."""

CONSTANT = {"HQMS-G-088", "HQMS-G-092"}
"""Rules that say a combination is always wrong: they hold only by not applying."""

RULES = {rule.id: rule for rule in original_rules()}


@pytest.fixture(scope="module")
def code_lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two code lists that are not public, in the hospital's dictionary folder, with a few entries."""
    folder = tmp_path_factory.mktemp("dictionaries")
    operations = "99.2501,化疗,治疗性操作\n36.0600x004,支架,介入治疗\n74.1x01,剖宫产,手术\n45.1300x009,内镜,诊断性操作\n"
    (folder / "icd9cm3_3.0.csv").write_text("code,name_zh,category\n" + operations, encoding="utf-8")
    (folder / "tcm95.csv").write_text("code,name_zh\nBNW010,胃痛\nBNX020,便秘\n", encoding="utf-8")
    return folder


def checkers(source: str, folder: Path | None) -> tuple[Checker, Oracle]:
    """Both evaluators of one layout. P-code records are checked in the general codes of 2019."""
    checked = layout("2019") if source == "pcode" else layout(source)
    own = layout(source)
    checker = Checker(checked, (TABLE,), source=own, dictionaries=Dictionaries(folder), report_month=MONTH)

    def has_column(field: Field) -> bool:
        return not field.path or field.path in own.code_of_path

    return checker, Oracle(checked, source, has_column=has_column, folder=folder, month=MONTH)


def place(finding: Finding) -> Place:
    """What a finding of the gateway says, in the oracle's terms."""
    rule = RULES[finding.rule]
    where = ""
    if rule.mode in ("columns", "cells"):
        where = finding.fields[0]
    elif rule.repeats is not None:
        pattern = next(name for name in rule.fields if "kk" in name)
        where = next(str(repeat) for repeat in range(1, 42) if numbered(pattern, repeat) in finding.fields)
    return finding.rule, where, "unknown" if finding.severity == "not-checked" else "due"


def compare(checker: Checker, oracle: Oracle, record: Record, seen: dict[str, set[str]]) -> None:
    """Both find the same in a record. ``seen`` gathers the verdicts by rule."""
    expected: set[Place] = set()
    for rule, where, verdict in oracle.verdicts(record):
        seen[rule].add(verdict)
        if verdict in ("due", "unknown"):
            expected.add((rule, NAME_TO_CODE.get((rule, where), where), verdict))
    found = {place(finding) for finding in checker.check(record)}
    assert found == expected, explained(found ^ expected, record)


NAME_TO_CODE = {("HQMS-G-045", "C02N"): "C01C", ("HQMS-G-045", "C04N"): "C03C", ("HQMS-G-045", "C13N"): "C12C"}
"""A pair of code and name is one finding of the gateway, and fires at both columns in the original."""


def explained(differences: set[Place], record: Record) -> str:
    """Which rules differ, with their expressions and the record's values of their columns."""
    lines = []
    for id, where, verdict in sorted(differences)[:5]:
        rule = RULES[id]
        values = {code: text for code, text in record.items() if any(code[:3] == name[:3] for name in (*rule.fields, *rule.names))}
        lines.append(f"{id} {where} {verdict}: {rule.when} -> {rule.condition}: {values} {record.get(where, '')!r}")
    return "\n".join(lines)


def records(oracle: Oracle, rng: Random, seen: Mapping[str, set[str]], *, only_dictionaries: bool) -> Iterator[Record]:
    """Sound records, sound records altered where each rule looks, records filled at random, and the empty record.
    Alterations for a rule go on until ``seen`` tells that it has fired and has held, within reason."""
    writer = Writer(oracle.layout, rng)
    sound = list(sound_records(oracle.layout.id, 200, SEED))
    yield {}
    yield from TELLING
    yield from sound
    for rule in oracle.rules:
        if rule.mode in ("record", "repeats", "columns") and (rule.dictionaries or "optype" in rule.names or not only_dictionaries):
            for attempt in range(PATIENCE):
                if attempt >= ALTERATIONS and {"due", "holds"} <= seen[rule.id]:
                    break
                yield writer.altered_for(rule, rng.choice(sound))
                yield writer.altered_for(rule, {})
    everything = [field.code for field in oracle.layout.fields if field.repeat <= 4]
    for _ in range(100):
        yield writer.altered(rng.choice(sound), rng.sample(everything, k=rng.randint(1, 30)))
        yield writer.filled_at_random(rng.choice((0.05, 0.3, 0.9)))


ALTERATIONS, PATIENCE = 6, 60
"""Times that the columns of a rule are altered: at least, at most."""

STAY = {"B12": "2026-10-01 08:00:00", "B15": "2026-10-03 08:00:00"}

TELLING: list[Record] = [
    {"A13": "2026-09-21", "B12": "2026-10-01 08:00:00", "A14": "0", "A16": "10"},
    {"C03C": "B18.107", "C06x01C": "B18.200"},
    {"C03C": "B18.107", "C06x01C": "B18.200", "C06x02C": "B17.800x001"},
    {"A18x02": "3000", "C06x03C": "C34.900"},
    *({**STAY, "B38": "1", "C47": hours} for hours in ("48", "49", "50")),
    {**STAY, "B15": "2026-10-03 08:00:01", "B38": "1"},
    *({**STAY, "C14x01C": "99.2501", "F13": hours} for hours in ("72", "72.01")),
    *({"A11": "欧" * length} for length in (1, 2, 40, 41)),
    {"D11": "-0.00", "SJZY": "1", "ZLLB": "1"},
]
"""What chance hardly ever makes: a newborn's right age in days, two diagnoses without and with the one that combines them, gaps in
repeats, values exactly at a limit."""


def test_both_find_the_same_and_every_rule_was_put_to_the_test(code_lists: Path) -> None:
    seen: defaultdict[str, set[str]] = defaultdict(set)
    rng = Random(SEED)
    for source, folder in (
        ("2020", None),
        ("2019", None),
        ("pcode", None),
        ("tcm2019", None),
        ("2020", code_lists),
        ("tcm2019", code_lists),
    ):
        checker, oracle = checkers(source, folder)
        assert {rule.id for rule in checker.unchecked} == oracle.unanswerable
        for record in records(oracle, rng, seen, only_dictionaries=folder is not None):
            compare(checker, oracle, record, seen)
    of_records = {rule.id for rule in original_rules() if rule.mode != "file"}
    assert {id for id in of_records if "due" not in seen[id]} == set(), "never fired"
    assert {id for id in of_records - CONSTANT if "holds" not in seen[id]} == set(), "never held"
    assert all("outside" in seen[id] for id in CONSTANT)


NOTATION = {"", "-", ",", "M", "RC", "TCM_RC", "(TCM_)?RC", "2020"}
"""Texts that differ because the two languages say a thing differently: blank, separators, kinds of columns, the layout by name."""


def test_both_name_the_same_codes() -> None:
    """Every code, prefix and pattern of a long list, of which chance tries only some."""
    with files("mappings").joinpath(TABLE).open(encoding="utf-8") as handle:
        table = {row["id"]: row for row in csv.DictReader(handle)}
    for rule in original_rules():
        if rule.mode == "file":
            continue
        trees = [ast.parse(text, mode="eval") for text in (rule.when, rule.condition) if text]
        constants = [node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        expressions = table[rule.id]["when"] + " " + table[rule.id]["assert"]
        ours = {re.sub(r"\\(.)", r"\1", text) for text in re.findall(r"'((?:[^'\\]|\\.)*)'", expressions)}
        assert ours ^ {text for text in constants if isinstance(text, str)} <= NOTATION, rule.id


FACTS: dict[str, tuple[str, dict[str, object], dict[str, object]]] = {
    "HQMS-A-001": ("@header", {"header_missing": ["B15"]}, {"header_missing": []}),
    "HQMS-A-002": ("@header", {"header_duplicates": ["A48"]}, {"header_duplicates": []}),
    "HQMS-A-003": ("@header", {"header_unknown": ["备注"]}, {"header_unknown": []}),
    "HQMS-A-004": ("@row", {"row_width": 810, "header_width": 811}, {"row_width": 811, "header_width": 811}),
    "HQMS-A-005": ("@file", {"decodes": False}, {"decodes": True}),
    "HQMS-A-006": ("@row", {"row_has_line_breaks": True}, {"row_has_line_breaks": False}),
    "HQMS-A-007": ("@row", {"seen_before": True}, {"seen_before": False}),
    "HQMS-A-009": ("@row", {"same_organisation": False}, {"same_organisation": True}),
}
"""The rules about a file, which no record shows: the kind of fact, facts that break the rule, facts that keep it."""


def test_no_rule_is_left_out() -> None:
    of_files = {rule.id for rule in original_rules() if rule.mode == "file"}
    assert of_files == FACTS.keys()
    assert len(original_rules()) == 279


@pytest.mark.parametrize("source", ["2020", "2019", "pcode", "tcm2019"])
@pytest.mark.parametrize("id", FACTS)
def test_a_rule_about_the_file_fires_and_holds(id: str, source: str) -> None:
    checker, _ = checkers(source, None)
    kind, broken, kept = FACTS[id]
    assert [finding.rule for finding in checker.structure(kind, broken)] == [id]
    assert checker.structure(kind, kept) == []
    assert checker.structure(kind, {}) == []
