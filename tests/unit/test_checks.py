"""The 279 rules: complete, compiled, and answering as the official text wants."""

from __future__ import annotations

import csv
from importlib.resources import files

import pytest

from conformance.checks.between_rows import BetweenRows, RowIdentity
from conformance.checks.checker import Checker
from gateway.convert import report_month
from mappings.layout import layout

TABLE = "platforms/hqms/checks.csv"


def found(record: dict[str, str]) -> set[tuple[str, str]]:
    checker = Checker(layout("2020"), (TABLE,))
    return {(finding.rule, finding.severity) for finding in checker.check(record)}


def test_all_rules_are_there_once() -> None:
    with files("mappings").joinpath(TABLE).open(encoding="utf-8") as handle:
        ids = [row["id"] for row in csv.DictReader(handle)]
    assert len(ids) == len(set(ids)) == 279


@pytest.mark.parametrize("id", ["2020", "2019", "tcm2019"])
def test_every_rule_compiles_and_evaluates_on_an_empty_record(id: str) -> None:
    assert Checker(layout(id), (TABLE,)).check({})


def test_rules_without_their_dictionary_are_not_checked() -> None:
    checker = Checker(layout("2020"), (TABLE,))
    unchecked = {finding.rule for finding in checker.unchecked_findings()}
    assert {"HQMS-G20-022", "HQMS-G20-023"} <= unchecked
    assert all(finding.severity == "not-checked" for finding in checker.unchecked_findings())


@pytest.mark.parametrize(
    ("record", "rule"),
    [
        ({"B12": "2026-10-02 00:00:00", "B15": "2026-10-01 00:00:00"}, "HQMS-G-027"),
        ({"B12": "2026-10-12 08:00:00", "B15": "2026-10-15 08:00:00", "B20": "4"}, "HQMS-G-030"),
        ({"A13": "2015-10-02", "B12": "2026-10-01 08:00:00", "A14": "11"}, "HQMS-G-015"),
        ({"C03C": "C34.900"}, "HQMS-G-048"),
        ({"C06x01C": "I10.x00"}, "HQMS-G-038"),
        ({"C06x02C": "I10.x00", "C07x02N": "原发性高血压", "C08x02C": "1"}, "HQMS-G-041"),
        ({"A12C": "7"}, "HQMS-A-016"),
        ({"A13": "2026-13-40"}, "HQMS-A-012"),
        ({"A20N": "1", "A20": "990000201503080010"}, "HQMS-G-002"),
        ({"D01": "10.00", "D11": "20.00"}, "HQMS-G-145"),
        ({"C03C": "V01.x00"}, "HQMS-G-055"),
        ({"C03C": "Q99.123"}, "HQMS-G-043"),
        ({"A48": "-"}, "HQMS-G20-001"),
    ],
)
def test_a_wrong_record_is_found(record: dict[str, str], rule: str) -> None:
    assert rule in {name for name, _ in found(record)}


@pytest.mark.parametrize(
    ("record", "rule"),
    [
        ({"B12": "2026-10-12 08:00:00", "B15": "2026-10-15 08:00:00", "B20": "3"}, "HQMS-G-030"),
        ({"B12": "2026-10-12 08:00:00", "B15": "2026-10-12 18:00:00", "B20": "1"}, "HQMS-G-030"),
        ({"A13": "2015-10-01", "B12": "2026-10-01 08:00:00", "A14": "11"}, "HQMS-G-015"),
        ({"C03C": "C34.900", "C09C": "M81400/3"}, "HQMS-G-048"),
        ({"D01": "20.00", "D11": "20.00"}, "HQMS-G-145"),
        ({"A12C": "1"}, "HQMS-A-016"),
        ({"C03C": "A01.000x005"}, "HQMS-G-061"),
    ],
)
def test_a_right_record_is_not_found(record: dict[str, str], rule: str) -> None:
    assert rule not in {name for name, _ in found(record)}


def test_an_unreadable_value_is_reported_by_its_format_rule_only() -> None:
    rules = {name for name, _ in found({"A14": "十", "A13": "2015-10-01", "B12": "2026-10-01 08:00:00"})}
    assert "HQMS-A-014" in rules
    assert "HQMS-G-015" not in rules


def row(number: int, key: str, organisation: tuple[str, str] = ("1234", "甲医院")) -> RowIdentity:
    return RowIdentity.of(number, (key, "1", "2026-10-01T08:00:00"), organisation)


def test_a_repeated_row_names_the_row_that_it_repeats() -> None:
    rows = BetweenRows(Checker(layout("2020"), (TABLE,)))
    assert rows.meet(row(1, "A")) == []
    assert rows.meet(row(2, "B")) == []
    for number in (3, 4):
        (finding,) = rows.meet(row(number, "A"))
        assert finding.rule == "HQMS-A-007"
        assert "与第 1 行重复" in finding.message


def test_a_row_of_another_organisation_is_found() -> None:
    rows = BetweenRows(Checker(layout("tcm2019"), (TABLE,)))
    assert rows.meet(row(1, "A", ("", ""))) == []
    assert rows.meet(row(2, "B")) == []
    (finding,) = rows.meet(row(3, "C", ("1234", "乙医院")))
    assert (finding.rule, finding.fields) == ("HQMS-A-009", ("ZZJGDM", "JGMC"))
    assert "与第 2 行不同" in finding.message


@pytest.mark.parametrize(
    ("name", "month"),
    [
        ("hqmsts_2026M10.csv", "2026-10"),
        ("hqmsts_2026M10(1).xlsx", "2026-10"),
        ("hqmsts_2026M08-2026M10.csv", ""),
        ("hqmsts_2026M08-10.csv", ""),
        ("hqmsts_19M03-05.csv", ""),
        ("hqmsts_2026M13.csv", ""),
        ("hqmsts_12330000_202610010800M.csv", ""),
        ("hqmsts.csv", ""),
    ],
)
def test_the_month_of_a_file_by_its_name(name: str, month: str) -> None:
    assert report_month(name) == month


def test_a_stay_of_another_month_is_found_when_the_file_is_for_one() -> None:
    record = {"B15": "2026-10-01 08:00:00"}
    for month, found in (("2026-10", False), ("2026-09", True), ("", False)):
        checker = Checker(layout("2020"), (TABLE,), report_month=month)
        assert ("HQMS-A-008" in {finding.rule for finding in checker.check(record)}) is found


def test_lengths_count_characters_and_sums_are_exact() -> None:
    assert "HQMS-G-005" in {rule for rule, _ in found({"A11": "欧"})}
    assert "HQMS-G-005" not in {rule for rule, _ in found({"A11": "欧" * 40})}
    fees = {"D20x01": "0.10", "D20x02": "0.20", "D20": "0.30"}
    assert "HQMS-G-150" not in {rule for rule, _ in found(fees)}
    assert "HQMS-G-146" in {rule for rule, _ in found({"D01": "0.03", "D11": "0.02"})}
