"""Whatever the bytes of a file are, it is refused with a sentence or read as rows and faults, in time that grows with its size."""

from __future__ import annotations

import csv
import io
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adapters.hqms import csv_table
from adapters.hqms.dbf_writer import DbfField, write_dbf
from adapters.hqms.header import looks_like_header, recognise
from adapters.hqms.pcode_dbf import write_pcode_dbf
from adapters.hqms.rows import RowReader, cell_reader
from adapters.hqms.tables import REASONS, Limits, Row, RowFault, Table, open_table, source_bytes
from adapters.hqms.writer import csv_bytes, xlsx_for_people
from gateway.model.errors import FileRefused, RowRefused
from mappings.layout import layout
from tests.fuzz.cells import plain_record

QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SMALL = Limits(file_bytes=4 << 20, expanded_bytes=16 << 20, rows=1000, xlsx_bytes=1 << 20, xlsx_cells=100_000)
SECONDS = 20
"""Far more than any of these files needs, far less than work that grows with the square of their size."""


def read_through(path: Path) -> None:
    """Read a file to its end, down to stays. Only the refusals of the contract may come of it."""
    refused: FileRefused | None = None
    try:
        with open_table(path, limits=SMALL, is_header=looks_like_header) as table:
            reader = RowReader(recognise(table.header))
            for number, row in enumerate(table.rows(), start=1):
                assert row.number == number
                if isinstance(row, RowFault):
                    assert row.reason
                    assert row.message
                else:
                    with suppress(RowRefused):
                        reader.read(row.cells, "m")
    except FileRefused as refusal:
        refused = refusal
    if refused is not None:
        assert refused.reason in REASONS
        assert refused.message
        assert refused.action


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A good file of every kind, by the name it has."""
    folder = tmp_path_factory.mktemp("good")
    pcode = layout("pcode")
    records = [dict(zip(pcode.columns, plain_record(pcode, seed, dashes=False), strict=True)) for seed in range(5)]
    pair = write_pcode_dbf(folder, "h", records)
    xlsx_for_people(pcode, records, folder / "h.xlsx")
    write_dbf(folder / "h.dbf", [DbfField("P3", "C", 8), DbfField("P2", "N", 4), DbfField("P6", "D")], [["1", "2", ""]] * 3)
    (folder / "h.csv").write_bytes(csv_bytes(pcode, records))
    with zipfile.ZipFile(folder / "h.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for part in (pair.part1, pair.part2):
            archive.write(part, part.name)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_good_files_are_good(tmp_path: Path, good: dict[str, bytes]) -> None:
    """Else the damage below would be done to files that are refused anyway."""
    assert sorted(good) == ["h.csv", "h.dbf", "h.xlsx", "h.zip", "h_part1.dbf", "h_part2.dbf"]
    for name, data in good.items():
        (tmp_path / name).write_bytes(data)
    for name in good:
        with open_table(tmp_path / name, is_header=looks_like_header) as table:
            rows = list(table.rows())
        assert len(rows) == (3 if name == "h.dbf" else 5)
        assert all(isinstance(row, Row) for row in rows)


@settings(QUIET, max_examples=100)
@given(
    data=st.one_of(
        st.binary(max_size=400),
        st.binary(max_size=300).map(lambda data: b"A48,A49\n" + data),
        st.binary(max_size=300).map(lambda data: "\ufeffA48,A49\n".encode("utf-16-le") + data),
        st.binary(max_size=300).map(lambda data: b"PK\x03\x04" + data),
        st.binary(max_size=300).map(lambda data: b"\x03\x7a\x01\x01" + data),
    ),
    suffix=st.sampled_from([".csv", ".txt", ".xlsx", ".dbf", ".zip", ".xls", ""]),
)
def test_any_bytes(tmp_path: Path, data: bytes, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    read_through(path)


@settings(QUIET, max_examples=250)
@given(name=st.sampled_from(["h.csv", "h.dbf", "h.xlsx", "h.zip", "h_part1.dbf", "h_part2.dbf"]), seed=st.integers(0, 10**9))
@example(name="h.zip", seed=2752)  # an entry whose name is empty
def test_damaged_files(tmp_path: Path, good: dict[str, bytes], name: str, seed: int) -> None:
    rng = Random(seed)
    for other, data in good.items():
        (tmp_path / other).write_bytes(data)
    data = bytearray(good[name])
    # structure stands at both ends of these formats, so that is where most of the damage goes
    spots = (range(len(data)), range(min(80, len(data))), range(max(0, len(data) - 400), len(data)))
    for _ in range(rng.choice((0, 1, 1, 2, 8))):
        data[rng.choice(rng.choice(spots))] = rng.randrange(256)
    if rng.random() < 0.4:
        del data[rng.randrange(len(data)) :]
    if rng.random() < 0.2:
        at = rng.randrange(len(data) + 1)
        data[at:at] = rng.randbytes(rng.randint(1, 40))
    (tmp_path / name).write_bytes(bytes(data))
    started = time.monotonic()
    read_through(tmp_path / name)
    if name.startswith("h_part"):
        read_through(tmp_path / ("h_part2.dbf" if "1" in name else "h_part1.dbf"))
    assert time.monotonic() - started < SECONDS


@settings(QUIET, max_examples=100)
@given(seed=st.integers(0, 10**9))
def test_damaged_parts_of_a_workbook(tmp_path: Path, good: dict[str, bytes], seed: int) -> None:
    """Damage inside the parts, packed anew: the checksums of the container are in order."""
    rng = Random(seed)
    with zipfile.ZipFile(io.BytesIO(good["h.xlsx"])) as archive:
        members = {name: bytearray(archive.read(name)) for name in archive.namelist()}
    name = rng.choice(["xl/workbook.xml", "xl/worksheets/sheet1.xml", "xl/styles.xml", "xl/_rels/workbook.xml.rels"])
    data = members[name]
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(data))
        if rng.random() < 0.5:
            data[at] = rng.choice(b"<>/\"'&;= 09Ar\x00\xff")
        else:
            del data[at : at + rng.randint(1, 60)]
    if rng.random() < 0.1:
        del members[name]
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, bytes(content))
    read_through(path)


# -- reading on from the middle


def same_from_everywhere(table: Table, most: int) -> list[Row | RowFault]:
    rows = list(table.rows())
    for skip in range(min(len(rows), most) + 2):
        assert list(table.rows(skip)) == rows[skip:]
    return rows


QUOTING = st.lists(st.sampled_from(['"', '""', ",", "\n", "\r\n", "a", "王", "髅", " ", '","', "1,2,3\n", "\0"]), max_size=40).map(
    "".join
)


@settings(QUIET, max_examples=150)
@given(text=QUOTING, encoding=st.sampled_from(["utf-8", "utf-8-sig", "gb18030", "utf-16"]))
def test_skipped_rows_of_a_csv_change_nothing(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(("A48,A49,王\n" + text).encode(encoding))
    table = open_table(path, encoding=None if encoding == "utf-16" else encoding)
    codec = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}.get(encoding, encoding)
    end = 0
    for row in same_from_everywhere(table, 4):
        assert row.offset >= end
        end = row.offset + row.length
        record = source_bytes(path, row).decode(codec)
        if isinstance(row, Row):
            assert next(csv.reader(io.StringIO(record, newline=""))) == row.cells
    assert end <= path.stat().st_size


def test_skipped_rows_of_other_containers_change_nothing(tmp_path: Path, good: dict[str, bytes]) -> None:
    for name, data in good.items():
        (tmp_path / name).write_bytes(data)
    for name in good:
        with open_table(tmp_path / name) as table:
            assert same_from_everywhere(table, 5)


# -- work


HEADER = ",".join(f"列{chr(65 + i)}" for i in range(10)) + "\n"
HOSTILE: dict[str, Callable[[int], str]] = {
    "a quote never closed on every line": lambda n: 'a,"b,c,d,e,f,g,h,i,j\n' * n,
    "a quote never closed, long lines": lambda n: ("a," + 'b"c' * 60 + ',"' + "x" * 300 + "\n") * n,
    "nothing but quotes": lambda n: '"' * (50 * n),
    "quotes and line ends": lambda n: '"\n' * (10 * n),
    "quoted cells over two lines each": lambda n: '1,"a\nb",3,4,5,6,7,8,9,10\n' * n,
    "one long line": lambda n: "x" * (100 * n),
    "one long line of commas": lambda n: "," * (100 * n) + "x",
    "blank lines": lambda n: "\n" * (50 * n),
}


@pytest.mark.parametrize("shape", HOSTILE)
def test_twice_the_file_is_twice_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: str) -> None:
    work = 0
    decode = csv_table._Records._decode

    def counted(records: csv_table._Records, raw: bytes) -> str:
        nonlocal work
        work += 1 + len(raw)
        return decode(records, raw)

    monkeypatch.setattr(csv_table._Records, "_decode", counted)
    path = tmp_path / "a.csv"
    done = []
    for n in (500, 1000, 2000):
        path.write_text(HEADER + HOSTILE[shape](n), encoding="utf-8")
        work = 0
        for _ in open_table(path).rows():
            pass
        done.append(work)
    assert done[1] <= 2.2 * done[0]
    assert done[2] <= 2.2 * done[1]


def test_lines_of_one_record_are_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many lines a record may have: it is held in memory."""
    monkeypatch.setattr(csv_table, "LINE_BYTES", 1000)
    held = 0
    feed = csv_table._Records._feed

    def watched(records: csv_table._Records, used: list[bytes], texts: list[str]):  # type: ignore[no-untyped-def]
        nonlocal held
        yield from feed(records, used, texts)
        held = max(held, sum(map(len, used)))

    monkeypatch.setattr(csv_table._Records, "_feed", watched)
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "y" * 120 + ',"a\n' + ('b",' + "z" * 120 + ',"c\n') * 40, encoding="utf-8")
    faults = [row.reason for row in open_table(path).rows() if isinstance(row, RowFault)]
    assert "quote" in faults
    assert 0 < held <= 1000


SHEETS = {
    "an error cell with many references": lambda n: b'<c t="e" ' + b'r="A1" ' * n,
    "error cells that never end": lambda n: b'<c t="e" r="A1">' * n,
    "a formula that never ends": lambda n: b'<c t="e" r="A1"><f>' + b" " * (9 * n),
    "tags that never end": lambda n: b"<c " * n + b"<row " * n,
    "rows without references": lambda n: b"<row><c><v>1</v></c></row>" * n,
}


@pytest.mark.parametrize("shape", SHEETS)
def test_a_hostile_sheet_costs_no_more_than_its_size(tmp_path: Path, good: dict[str, bytes], shape: str) -> None:
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(io.BytesIO(good["h.xlsx"])) as whole, zipfile.ZipFile(path, "w") as archive:
        for name in whole.namelist():
            sheet = name.startswith("xl/worksheets/")
            archive.writestr(name, b"<worksheet><sheetData>" + SHEETS[shape](60_000) if sheet else whole.read(name))
    started = time.monotonic()
    with pytest.raises(FileRefused):
        open_table(path, limits=Limits(xlsx_cells=50_000))
    assert time.monotonic() - started < SECONDS


@pytest.mark.parametrize(
    "text",
    ["0" * 32_000 + "x", "1," * 16_000, "9" * 32_000, " " * 32_000 + "x", ",;" * 16_000, "1." + "0" * 32_000 + "x", "2020-" * 6000],
)
def test_a_hostile_cell_costs_no_more_than_its_length(text: str) -> None:
    started = time.monotonic()
    for field in layout("2020").fields[::7]:
        cell_reader("2020", field.code).read(text)
    assert time.monotonic() - started < SECONDS
