"""Layouts against the official column lists (``tests/data``), and stays through them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from mappings.layout import layout

DATA = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize(("id", "columns"), [("2020", 811), ("2019", 642)])
def test_columns_are_the_official_ones_in_official_order(id: str, columns: int) -> None:
    with (DATA / f"columns_{id}.csv").open(encoding="utf-8-sig", newline="") as handle:
        official = [row["code"] for row in csv.DictReader(handle)]
    assert len(official) == columns
    assert list(layout(id).columns) == official


@pytest.mark.parametrize(("id", "columns"), [("tcm2019", 732), ("pcode", 346)])
def test_other_layouts_have_all_their_columns(id: str, columns: int) -> None:
    assert len(layout(id).columns) == columns
    assert len(set(layout(id).columns)) == columns


def test_every_column_of_2020_has_its_own_place_in_the_model() -> None:
    paths = [f.path for f in layout("2020").fields]
    assert all(paths)
    assert len(set(paths)) == 811
