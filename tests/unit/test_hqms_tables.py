"""Front-sheet files of every container as a header and rows of text."""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import io
import struct
import traceback
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import dbf
import openpyxl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adapters.hqms.csv_table import BLOCK, LINE_BYTES, QUOTED_LINES
from adapters.hqms.dbf_writer import DbfField, write_dbf, write_dbf_parts
from adapters.hqms.tables import REASONS, Limits, Row, RowFault, Table, open_table, source_bytes
from gateway.model.errors import ConfigurationError, FileRefused, RowRefused

SECRET = "王小明"
MOMENT = dt.datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 - workbooks know no zones


def put(path: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def cells(table: Table, skip: int = 0) -> list[list[str]]:
    rows = list(table.rows(skip))
    assert all(isinstance(row, Row) for row in rows)
    return [row.cells for row in rows if isinstance(row, Row)]


def outcomes(table: Table) -> list[list[str] | str]:
    return [row.cells if isinstance(row, Row) else row.reason for row in table.rows()]


def refusal(path: Path, **options: object) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        open_table(path, **options)  # type: ignore[arg-type]
    error = caught.value
    assert error.reason in REASONS
    assert error.message
    assert error.action
    shown = "".join(traceback.format_exception(error))
    assert "codec can" not in shown
    assert SECRET not in shown
    assert error.__context__ is None or not isinstance(error.__context__, UnicodeError)
    return error


# -- CSV: decoding


BAR = [text for lead in range(0x81, 0xFF) if len(text := bytes([lead, 0x7C]).decode("gb18030", "ignore")) == 1]
CJK_BAR = [text for text in BAR if "\u4e00" <= text <= "\u9fff"]


def test_characters_whose_second_byte_looks_like_punctuation(tmp_path: Path) -> None:
    assert len(CJK_BAR) >= 116
    trails = [bytes([0xB0, trail]).decode("gb18030") for trail in range(0x40, 0x7F)]
    names = CJK_BAR + trails
    path = put(tmp_path / "a.csv", "A48,A11\r\n" + "".join(f"{i},{name}\r\n" for i, name in enumerate(names)), "gb18030")
    table = open_table(path)
    assert table.encoding == "gb18030"
    assert cells(table) == [[str(i), name] for i, name in enumerate(names)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, end: str) -> None:
    lines = ["A48,A11,备注", "1,𬱖㛃䶮,", f'2,{SECRET},"第一行{end}第二行,""引""号"', "", "3,㐂𠮷,ćę·"]
    data = end.join([*lines, ""]).encode(encoding)
    if encoding.startswith("utf-16"):
        data = (codecs.BOM_UTF16_LE if encoding.endswith("le") else codecs.BOM_UTF16_BE) + data
    path = put(tmp_path / "a.csv", data)
    table = open_table(path)
    assert table.encoding == encoding
    assert table.header == ["A48", "A11", "备注"]
    expected = [["1", "𬱖㛃䶮", ""], ["2", SECRET, f'第一行{end}第二行,"引"号'], ["3", "㐂𠮷", "ćę·"]]
    assert cells(table) == expected
    assert cells(table, skip=2) == expected[2:]
    for row, wanted in zip(table.rows(), expected, strict=True):
        text = source_bytes(path, row).decode("utf-8" if encoding == "utf-8-sig" else encoding)
        assert next(csv.reader(io.StringIO(text, newline=""))) == wanted


def test_one_bad_byte_in_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    good = f"A48,A11\n1,{SECRET}\n2,".encode()
    error = refusal(put(tmp_path / "a.csv", good + b"\xff\n3,x\n"))
    assert error.reason == "undecodable"
    assert "第 3 行" in error.message


def test_damaged_utf8_is_not_taken_for_gb18030(tmp_path: Path) -> None:
    data = f"A48,A11\n1,{SECRET}{SECRET}\n".encode() + b"2,\xb0\xa1\n"
    assert data.decode("gb18030")  # it would decode, into other people's names
    assert refusal(put(tmp_path / "a.csv", data)).reason == "undecodable"


def test_gb18030_that_happens_to_be_utf8(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "A48,A11\n1,通通\n", "gb18030")
    assert path.read_bytes().decode("utf-8")
    assert cells(open_table(path)) == [["1", "通通"]]


def test_bad_byte_far_into_the_file(tmp_path: Path) -> None:
    line = f"1,{SECRET * 20}\n".encode("gb18030")
    count = 2 * BLOCK // len(line)
    error = refusal(put(tmp_path / "a.csv", b"A48,A11\n" + line * count + b"2,\xff\n"))
    assert f"第 {count + 2} 行" in error.message


def test_character_across_a_block(tmp_path: Path) -> None:
    for shift in range(3):
        head = "A48,A11\n" + "x" * (BLOCK - 8 - shift) + "\n"
        path = put(tmp_path / "a.csv", head[: BLOCK - shift] + "髅,𬱖\n", "gb18030")
        assert cells(open_table(path, limits=Limits(cell_chars=2 * BLOCK)))[0][-1] == "𬱖"


def test_the_callers_encoding(tmp_path: Path) -> None:
    big5 = put(tmp_path / "a.csv", "A48,A11\n1,許功蓋\n", "big5")
    assert cells(open_table(big5, encoding="big5")) == [["1", "許功蓋"]]
    assert open_table(put(tmp_path / "b.csv", "A48\n王\n", "gbk"), encoding="GBK").encoding == "gb18030"
    assert open_table(put(tmp_path / "c.csv", f"A48\n{SECRET}\n"), encoding="UTF8").encoding == "utf-8"
    assert refusal(big5, encoding="klingon").reason == "undecodable"
    assert refusal(big5, encoding="rot13").reason == "undecodable"
    bom = put(tmp_path / "d.csv", "A48\n王\n", "utf-8-sig")
    assert cells(open_table(bom, encoding="gb18030")) == [["王"]]


def test_damage_behind_a_byte_order_mark(tmp_path: Path) -> None:
    error = refusal(put(tmp_path / "a.csv", codecs.BOM_UTF8 + b"A48\n1\n\xb0\xa1\n"))
    assert (error.reason, "第 3 行" in error.message) == ("undecodable", True)


def test_a_truncated_last_character(tmp_path: Path) -> None:
    assert refusal(put(tmp_path / "a.csv", "A48,A11\n1,王".encode("gb18030")[:-1])).reason == "undecodable"


# -- CSV: records


def test_mixed_line_ends_blank_lines_and_ctrl_z(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", b"\r\n\nA48,A49\r1,2\n\n3,4\r\n\r\n,,\r\n5,6\r7,8\r\n\x1a")
    assert cells(open_table(path)) == [["1", "2"], ["3", "4"], ["5", "6"], ["7", "8"]]
    assert [row.number for row in open_table(path).rows(2)] == [3, 4]
    assert cells(open_table(put(path, b"A48,A49\n1,2\x1a"))) == [["1", "2"]]


def test_crlf_across_a_block(tmp_path: Path) -> None:
    for shift in range(-2, 3):
        filler = "x" * (BLOCK - len("A48,A49\r\n1,") + shift)
        path = put(tmp_path / "a.csv", f"A48,A49\r\n1,{filler}\r\n2,3\r\n")
        table = open_table(path, limits=Limits(cell_chars=2 * BLOCK))
        rows = list(table.rows())
        assert [row.number for row in rows] == [1, 2]
        assert rows[1].offset == path.stat().st_size - 5
        assert source_bytes(path, rows[1]) == b"2,3\r\n"


def test_an_unclosed_quote_costs_one_row(tmp_path: Path) -> None:
    lines = [f"{i},名{i},备注" for i in range(200)]
    lines[50] = f'50,"{SECRET},备注'
    path = put(tmp_path / "a.csv", "\n".join(["A48,A11,A12", *lines, ""]))
    rows = list(open_table(path).rows())
    assert len(rows) == 200
    faults = [row for row in rows if isinstance(row, RowFault)]
    assert [(fault.number, fault.reason) for fault in faults] == [(51, "quote")]
    assert SECRET not in faults[0].message
    assert source_bytes(path, faults[0]).decode() == lines[50] + "\n"
    assert rows[51] == Row(52, ["51", "名51", "备注"], rows[51].offset, rows[51].length)


def test_an_unclosed_quote_that_a_later_quoted_cell_would_close(tmp_path: Path) -> None:
    lines = [f'{i},"甲,乙",{i}' for i in range(10)]
    lines[3] = '3,"甲乙,3'
    path = put(tmp_path / "a.csv", "\n".join(["A48,A11,A12", *lines]))
    got = outcomes(open_table(path))
    assert got == [[str(i), "甲,乙", str(i)] if i != 3 else "quote" for i in range(10)]


def test_a_quote_that_swallows_whole_rows_is_noticed(tmp_path: Path) -> None:
    width = 12
    plain = ",".join("x" * width)
    first = ",".join(["a", '"b', *"c" * (width - 2)])
    last = ",".join(["a", 'b"', *"c" * (width - 2)])
    header = ",".join(f"N{chr(65 + i)}" for i in range(width))
    got = outcomes(open_table(put(tmp_path / "a.csv", "\n".join([header, first, plain, plain, last, plain]))))
    assert got == ["quote", ["x"] * width, ["x"] * width, last.split(","), ["x"] * width]


def test_an_unclosed_quote_on_the_last_line(tmp_path: Path) -> None:
    assert outcomes(open_table(put(tmp_path / "a.csv", 'A48,A11\n1,2\n3,"4'))) == [["1", "2"], "quote"]


def test_a_quoted_cell_over_too_many_lines(tmp_path: Path) -> None:
    fits, over = "行\n" * (QUOTED_LINES - 1), "行\n" * QUOTED_LINES
    path = put(tmp_path / "a.csv", f'A48,A11\n1,"{fits}"\n2,"{over}"\n3,4\n')
    got = outcomes(open_table(path))
    assert got[0] == ["1", fits]
    assert got[1] == "quote"
    assert got[-1] == ["3", "4"]


def test_stray_quotes(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", 'A48,A11\n1,5"管\n2,"右肺"结节\n3,"右"肺",结节\n4,5\n')
    assert outcomes(open_table(path)) == [["1", '5"管'], ["2", "右肺结节"], "quote", ["4", "5"]]


def test_nul_characters_and_long_cells_are_faults_of_their_rows(tmp_path: Path) -> None:
    long = "长" * 40
    text = f'A48,A11\n1,\0\n2,"a\0b"\n3,{long}\n4,"{long}"\n5,"a\n{long}"\n6,ok\n'
    got = outcomes(open_table(put(tmp_path / "a.csv", text), limits=Limits(cell_chars=39)))
    assert got[:4] == ["nul", "nul", "over-limit", "over-limit"]
    assert got[4] == "quote"
    assert got[-1] == ["6", "ok"]


def test_a_cell_beyond_the_csv_modules_own_limit(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", f'A48,A11\n1,"{"x" * 200_000}"\n2,3\n')
    before = csv.field_size_limit()
    assert outcomes(open_table(path)) == ["over-limit", ["2", "3"]]
    assert csv.field_size_limit() == before


def test_a_line_too_long_to_hold(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", b"A48,A11\n1,2\n" + b"x" * (2 * LINE_BYTES + 5) + b"\n3,4\n" + b"y" * (LINE_BYTES + BLOCK))
    rows = list(open_table(path).rows())
    assert [row.number for row in rows] == [1, 2, 3, 4]
    assert (rows[1].offset, rows[1].length) == (12, 2 * LINE_BYTES + 6)
    assert isinstance(rows[1], RowFault)
    assert source_bytes(path, rows[2]) == b"3,4\n"
    assert isinstance(rows[3], RowFault)
    assert rows[3].offset + rows[3].length == path.stat().st_size


def test_widths_are_passed_on_and_absurd_ones_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "A48,A49\n1\n1,2,3\n" + "," * 30 + "x\n")
    assert outcomes(open_table(path, limits=Limits(columns=20))) == [["1"], ["1", "2", "3"], "over-limit"]


def test_cells_are_not_altered(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "A48,A49,A50\n 007 ,\t4.0,-\n1.1E+17,　,=1+1\n")
    assert cells(open_table(path)) == [[" 007 ", "\t4.0", "-"], ["1.1E+17", "　", "=1+1"]]


def test_progress_and_rereading(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "A48,A49\n" + "1,2\n" * 10)
    table = open_table(path)
    rows = table.rows()
    next(rows)
    assert table.progress == (12, 48)
    assert len(list(rows)) == 9
    assert table.progress == (48, 48)
    assert len(list(table.rows())) == 10


def test_too_many_rows(tmp_path: Path) -> None:
    table = open_table(put(tmp_path / "a.csv", "A48\n" + "1\n" * 4), limits=Limits(rows=3))
    with pytest.raises(FileRefused) as caught:
        list(table.rows())
    assert caught.value.reason == "over-limit"


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "A48\n" + "123456789\n" * 20)
    table = open_table(path)
    row = list(table.rows())[-1]
    path.write_bytes(path.read_bytes()[:50])
    for act in (lambda: list(table.rows()), lambda: source_bytes(path, row)):
        with pytest.raises(FileRefused):
            act()
    path.write_bytes(b"A48\n" + b"\xff" * 200)
    with pytest.raises(FileRefused) as caught:
        list(table.rows())
    assert caught.value.__context__ is None
    path.unlink()
    with pytest.raises(FileRefused):
        list(table.rows())


PRINTABLE = st.text(
    st.one_of(
        st.sampled_from(',"\n\r \t，。|\\^~-髅𬱖㛃䶮'),
        st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF),
        st.characters(min_codepoint=0x20, max_codepoint=0x7E),
        st.characters(min_codepoint=0x20000, max_codepoint=0x2A6DF),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(2, 6).flatmap(lambda n: st.lists(st.lists(PRINTABLE, min_size=n, max_size=n), max_size=8)),
    encoding=st.sampled_from(["utf-8-sig", "utf-8", "gb18030"]),
    end=st.sampled_from(["\r\n", "\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
@example(rows=[['"', "\r"], ["\n,", '""'], ["a\r\nb", ""]], encoding="gb18030", end="\r\n", quoting=csv.QUOTE_MINIMAL)
def test_what_the_csv_module_writes_comes_back(
    tmp_path: Path, rows: list[list[str]], encoding: str, end: str, quoting: int
) -> None:
    # the writer quotes what its own line end is made of: a bare CR it would leave open under "\n"
    quoting = csv.QUOTE_ALL if end == "\n" else quoting
    path = tmp_path / "a.csv"
    header = [f"列{chr(65 + i)}" for i in range(len(rows[0]) if rows else 2)] + ["末尾的一列"]
    with path.open("w", encoding=encoding, newline="") as target:
        writer = csv.writer(target, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
        writer.writerow(header)
        writer.writerows([*row, "#"] for row in rows)
    table = open_table(path, encoding=encoding)
    assert table.header == header
    assert cells(table) == [[*row, "#"] for row in rows]
    at = None
    for row in table.rows():
        assert at is None or row.offset == at
        at = row.offset + row.length
        text = source_bytes(path, row).decode("gb18030" if encoding == "gb18030" else "utf-8")
        assert isinstance(row, Row)
        assert next(csv.reader(io.StringIO(text, newline=""))) == row.cells
    assert at is None or at == path.stat().st_size


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.text(st.sampled_from(['"', ",", "\n", "\r", "a", "王", "\0", " "]), max_size=60), skip=st.integers(0, 3))
def test_any_text_is_read_without_losing_a_byte(tmp_path: Path, data: str, skip: int) -> None:
    path = put(tmp_path / "a.csv", "A48,A49,A50\n" + data)
    rows = list(open_table(path).rows())
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    at = 12
    raw = path.read_bytes()
    for row in rows:
        gap = raw[at : row.offset].decode()
        assert not gap.replace('"', "").strip(", \r\n")  # only rows without content are passed over
        at = row.offset + row.length
    assert not raw[at:].decode().replace('"', "").strip(", \r\n")
    assert list(open_table(path).rows(skip)) == rows[skip:]


# -- whole files


def test_empty_files_and_headers(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for nothing in (b"", b"\r\n\r\n", b"\xef\xbb\xbf", b"\x1a"):
        assert refusal(put(path, nothing)).reason == "empty"
    table = open_table(put(path, "A48,A49\r\n"))
    assert (table.header, list(table.rows())) == (["A48", "A49"], [])
    assert refusal(put(path, ",,,\n1,2,3\n")).reason == "no-header"
    assert refusal(put(path, "1,2026-01-01,3.5\n1,2,3\n")).reason == "no-header"
    assert refusal(put(path, "A48,\0\n1,2\n")).reason == "no-header"
    assert refusal(put(path, "A48\tA49\n1\t2\n")).reason == "no-header"
    assert refusal(put(path, "A48,A49\n"), is_header=lambda names: "A11" in names).reason == "no-header"
    assert open_table(put(path, "病案号,A49\n"), is_header=lambda names: "A49" in names).header == ["病案号", "A49"]
    error = refusal(put(path, "A48,B01, a48\n"))
    assert (error.reason, "A48" in error.message) == ("duplicate-header", True)
    assert open_table(put(path, "A48,A49,,\n")).header == ["A48", "A49", "", ""]
    assert refusal(put(path, "A48,A49\n"), limits=Limits(columns=1)).reason == "over-limit"
    assert refusal(put(path, "A48,A49\n"), limits=Limits(file_bytes=3)).reason == "over-limit"
    assert refusal(tmp_path / "none.csv").reason == "unreadable"
    assert refusal(tmp_path).reason == "unreadable"


def test_a_quoted_header(tmp_path: Path) -> None:
    table = open_table(put(tmp_path / "a.csv", '"A48","A11\n姓名"\n1,2\n'))
    assert (table.header, cells(table)) == (["A48", "A11\n姓名"], [["1", "2"]])


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", OLE, "not-what-its-name-says"),
        ("a.xlsx", OLE, "not-what-its-name-says"),
        ("a.xls", OLE, "unreadable"),
        ("a.xlsx", OLE + "EncryptedPackage".encode("utf-16-le"), "encrypted"),
        ("a.csv", b"%PDF-1.7 ...", "not-what-its-name-says"),
        ("a.csv", b"  <html><table>", "not-what-its-name-says"),
        ("a.xls", b"\xef\xbb\xbf<!DOCTYPE html>", "not-what-its-name-says"),
        ("a.xls", b"A48\tA49\n", "not-what-its-name-says"),
        ("a.xlsx", b"A48,A49\n1,2\n", "not-what-its-name-says"),
        ("a.dbf", b"A48,A49\n1,2\n", "not-what-its-name-says"),
        ("a.zip", b"A48,A49\n1,2\n", "not-what-its-name-says"),
        ("a.csv", b"Rar!\x1a\x07", "not-what-its-name-says"),
    ],
)
def test_files_that_are_not_what_they_are_called(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    assert refusal(put(tmp_path / name, content)).reason == reason


def test_other_containers_under_another_name(tmp_path: Path) -> None:
    book = workbook(tmp_path / "a.xlsx", [["A48"], ["1"]])
    for name in ("b.csv", "b.zip", "b.dbf", "b.xls"):
        assert refusal(put(tmp_path / name, book.read_bytes())).reason == "not-what-its-name-says"
    assert open_table(put(tmp_path / "upload", book.read_bytes())).kind == "xlsx"
    write_dbf(tmp_path / "c.dbf", [DbfField("A48", "C", 5)], [["1"]])
    assert refusal(put(tmp_path / "c.csv", (tmp_path / "c.dbf").read_bytes())).reason == "not-what-its-name-says"
    for part in ("word/document.xml", "xl/workbook.bin"):
        zipped(tmp_path / "d.xlsx", {part: b"x"})
        assert refusal(tmp_path / "d.xlsx").reason == "not-what-its-name-says"


# -- workbooks


def workbook(path: Path, rows: Iterable[Sequence[object]], *, before: int = 0) -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for _ in range(before):
        sheet = book.create_sheet()
    for row in rows:
        sheet.append(list(row))
    book.save(path)
    book.close()
    return path


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_workbook_cells_as_text(tmp_path: Path) -> None:
    values = [4, 4.5, "004", dt.date(2026, 1, 2), MOMENT, True, False, None, 0.1 + 0.2, 999999999999999, 990000201503080016, 1e-5]
    shown = ["4", "4.5", "004", "2026-01-02", "2026-01-02 03:04:05", "1", "0", "", "0.3", "999999999999999"]
    shown += ["9.9000020150308e+17", "1e-05"]  # what a spreadsheet no longer knows is not guessed
    header = [f"列{chr(65 + i)}" for i in range(len(values))]
    path = workbook(tmp_path / "a.xlsx", [header, values, [], ["𬱖", *[None] * 11]], before=1)
    table = open_table(path)
    assert (table.kind, table.encoding, table.header) == ("xlsx", "", header)
    assert cells(table) == [shown, ["𬱖"] + [""] * 11]
    assert [(row.number, row.offset) for row in table.rows(skip=1)] == [(2, -1)]
    assert table.progress == (path.stat().st_size, path.stat().st_size)
    with pytest.raises(ValueError, match="CSV"):
        source_bytes(path, next(table.rows()))


def test_workbook_times_and_errors(tmp_path: Path) -> None:
    rows: list[list[object]] = [["A48", "A49", "A50"], [dt.time(1, 2, 3), "#N/A", "=1/0"], [dt.timedelta(hours=30), "x", "y"]]
    book = openpyxl.Workbook()
    assert book.active is not None
    sheet = book.create_sheet("数据 & 表")
    for row in rows:
        sheet.append([None, *row])
    path = tmp_path / "a.xlsx"
    book.save(path)
    assert cells(open_table(path)) == [["01:02:03", "#N/A", ""], ["30:00:00", "x", "y"]]


def test_error_cells_below_blank_rows(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", [[], [], ["A48", "A49", "A50"], ["1", "#N/A", "x"], ["2", "=1/0", "#REF!"]])
    with zipfile.ZipFile(path) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml")
    assert b'r="B4" t="e"' in sheet
    assert cells(open_table(path)) == [["1", "#N/A", "x"], ["2", "", "#REF!"]]


def test_rows_and_cells_without_references(tmp_path: Path) -> None:
    with zipfile.ZipFile(workbook(tmp_path / "a.xlsx", [["A48"]])) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    def sheet(rows: bytes) -> Path:
        return zipped(
            tmp_path / "b.xlsx",
            members | {"xl/worksheets/sheet1.xml": b"<worksheet><sheetData>" + rows + b"</sheetData></worksheet>"},
        )

    header = b"<row><c t='str'><v>A48</v></c><c t='str'><v>A49</v></c></row>"
    path = sheet(header + b"<row><c><v>7</v></c><c/></row>" * 9)
    assert cells(open_table(path)) == [["7", ""]] * 9
    assert refusal(path, limits=Limits(xlsx_cells=19)).reason == "over-limit"  # a grid of 10 rows and 2 columns
    assert refusal(path, limits=Limits(columns=1)).reason == "over-limit"
    # one far cell makes every row that wide
    assert refusal(sheet(header + b'<row><c r="ALL3"/></row>' + b"<row><c/></row>" * 50_000)).reason == "over-limit"


def test_workbook_trailing_blank_columns(tmp_path: Path) -> None:
    table = open_table(workbook(tmp_path / "a.xlsx", [["A48", "A49", None, None], ["1", None, " ", None], [1, 2, 3, " "]]))
    assert table.header == ["A48", "A49"]
    assert cells(table) == [["1", ""], ["1", "2", "3"]]


def test_workbook_limits(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", [["A48", "A49"], ["x" * 50, 1], ["y", 2]])
    assert outcomes(open_table(path, limits=Limits(cell_chars=49))) == ["over-limit", ["y", "2"]]
    assert refusal(path, limits=Limits(xlsx_bytes=100)).reason == "over-limit"
    assert refusal(path, limits=Limits(xlsx_cells=5)).reason == "over-limit"
    assert refusal(path, limits=Limits(rows=1)).reason == "over-limit"
    assert refusal(path, limits=Limits(expanded_bytes=100)).reason == "over-limit"
    assert refusal(workbook(tmp_path / "b.xlsx", [])).reason == "empty"


def test_a_stray_cell_in_the_last_corner(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet["A1"], sheet["XFD1048576"] = "A48", "x"
    book.save(tmp_path / "a.xlsx")
    assert refusal(tmp_path / "a.xlsx").reason == "over-limit"


def test_damaged_workbooks(tmp_path: Path) -> None:
    whole = workbook(tmp_path / "a.xlsx", [["A48"], *[[f"{i}{SECRET}"] for i in range(500)]]).read_bytes()
    for length in (10, 1000, len(whole) - 30):
        assert refusal(put(tmp_path / "b.xlsx", whole[:length])).reason == "unreadable"
    with zipfile.ZipFile(tmp_path / "a.xlsx") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
        start = archive.getinfo("xl/worksheets/sheet1.xml").header_offset
    broken = bytearray(whole)
    broken[start + 200 : start + 260] = b"\x55" * 60
    assert refusal(put(tmp_path / "c.xlsx", bytes(broken))).reason in ("unreadable", "over-limit")
    members["xl/worksheets/sheet1.xml"] = b"<worksheet><sheetData><row"
    assert refusal(zipped(tmp_path / "d.xlsx", members)).reason in ("unreadable", "empty")
    del members["xl/workbook.xml"]
    assert refusal(zipped(tmp_path / "e.xlsx", members)).reason == "unreadable"


def test_zip_bombs(tmp_path: Path) -> None:
    bomb = b" " * (8 << 20)
    assert refusal(zipped(tmp_path / "a.xlsx", {"xl/workbook.xml": bomb})).reason == "over-limit"
    assert refusal(zipped(tmp_path / "b.zip", {"a.csv": bomb})).reason == "over-limit"
    many = zipped(tmp_path / "c.xlsx", {f"xl/{i}": b"" for i in range(10_001)})
    assert refusal(many).reason == "over-limit"


def test_a_zip_entry_is_unpacked_to_its_last_byte(tmp_path: Path) -> None:
    """What the last compressed byte unpacks to need not fit into the block at hand."""
    for size in ((1 << 20) + 190, (1 << 20) + 195, (1 << 20) + 400):
        text = b"A48\n1" + b"\n" * (size - 5)
        with open_table(zipped(tmp_path / "a.zip", {"a.csv": text}), limits=Limits(expansion_ratio=10_000)) as table:
            assert table.path.stat().st_size == size
            assert cells(table) == [["1"]]


def test_a_zip_that_lies_about_its_size(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.xlsx", {"xl/workbook.xml": b" " * (8 << 20)})
    data = path.read_bytes().replace(struct.pack("<I", 8 << 20), struct.pack("<I", 1000))
    assert refusal(put(path, data)).reason == "over-limit"


def test_a_zip_whose_entries_lie_before_its_beginning(tmp_path: Path) -> None:
    data = bytearray(zipped(tmp_path / "a.zip", {"a.csv": b"A48\n1\n"}).read_bytes())
    end = data.rindex(b"PK\x05\x06") + 16
    data[end : end + 4] = struct.pack("<I", struct.unpack("<I", data[end : end + 4])[0] + 1000)
    assert refusal(put(tmp_path / "b.zip", bytes(data))).reason == "unreadable"


def test_encrypted_zip_entries(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.csv": b"A48\n1\n"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert refusal(put(path, bytes(data))).reason == "encrypted"


# -- zip


def test_a_zip_with_one_table(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"x/": b"", "x/flu_2020.CSV": f"A48,A11\n1,{SECRET}\n".encode("gb18030"), "__MACOSX/x": b""})
    with open_table(path) as table:
        assert (table.kind, table.origin, cells(table)) == ("csv", path, [["1", SECRET]])
        assert source_bytes(table.path, next(table.rows())) == f"1,{SECRET}\n".encode("gb18030")
        folder = table.path.parent
        assert folder.is_dir()
    assert not folder.exists()
    table.close()
    forgotten = open_table(path)
    folder = forgotten.path.parent
    del forgotten
    assert not folder.exists()


def test_zips_with_anything_else(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    table = b"A48\n1\n"
    for members in (
        {"a.csv": table, "b.csv": table},
        {"a.csv": table, "readme.md": b""},
        {"a.zip": b""},
        {"a_part1.dbf": b"", "b_part2.dbf": b""},
        {"a_part1.dbf": b"", "sub/a_part1.dbf": b""},
    ):
        assert refusal(zipped(path, members)).reason == "unreadable"
    assert refusal(zipped(path, {})).reason == "empty"
    assert refusal(zipped(path, {"a.csv": b"%PDF"})).reason == "not-what-its-name-says"
    assert refusal(zipped(path, {"../../a.csv": b"1,2\n"})).reason == "no-header"
    assert cells(open_table(zipped(path, {"../../evil.csv": table}))) == [["1"]]
    assert not (tmp_path.parent.parent / "evil.csv").exists()
    inner = workbook(tmp_path / "x.xlsx", [["A48"], [1]]).read_bytes()
    assert cells(open_table(zipped(path, {"x.xlsx": inner}))) == [["1"]]


# -- DBF


def dbf_by_peer(path: Path, spec: str, rows: Iterable[tuple[object, ...]], codepage: str = "cp936") -> Path:
    table = dbf.Table(str(path), spec, codepage=codepage, dbf_type="db3")
    table.open(mode=dbf.READ_WRITE)
    for row in rows:
        table.append(row)
    table.close()
    return path


def read_by_peer(path: Path) -> list[tuple[object, ...]]:
    table = dbf.Table(str(path))
    table.open(mode=dbf.READ_ONLY)
    try:
        assert "cp936" in str(table.codepage)
        return [tuple(value.rstrip() if isinstance(value, str) else value for value in record) for record in table]
    finally:
        table.close()


def test_a_dbf_of_the_peer(tmp_path: Path) -> None:
    rows = [("001", SECRET, dt.date(2020, 1, 2), 12.5, True), ("002", "鎮骞㑇"[:2], None, None, None), ("003", "x", None, 0, False)]
    path = dbf_by_peer(tmp_path / "a.dbf", "P3 C(6); P4 C(20); P6 D; P66 N(8,2); OK L", rows)
    table = open_table(path)
    assert (table.kind, table.header) == ("dbf", ["P3", "P4", "P6", "P66", "OK"])
    assert cells(table) == [
        ["001", SECRET, "2020-01-02", "12.50", "1"],
        ["002", "鎮骞", "", "", ""],
        ["003", "x", "", "0.00", "0"],
    ]
    assert [row.number for row in table.rows(skip=2)] == [3]
    assert table.progress[0] == table.progress[1] == path.stat().st_size


def test_deleted_and_undecodable_records(tmp_path: Path) -> None:
    fields = [DbfField("P3", "C", 4), DbfField("P4", "C", 6)]
    path = tmp_path / "a.dbf"
    write_dbf(path, fields, [["1", "𬱖"], ["2", "甲"], ["3", "乙"], ["4", "丙"], ["", ""], ["6", "丁"]])
    data = bytearray(path.read_bytes())
    start = 32 + 64 + 1
    data[start + 11] = 0x2A
    data[start + 2 * 11 + 5 : start + 2 * 11 + 7] = b" \xd2"
    data[start + 3 * 11 + 1 : start + 3 * 11 + 4] = b"a\0b"
    table = open_table(put(path, bytes(data)))
    assert outcomes(table) == [["1", "𬱖"], "undecodable", "undecodable", ["6", "丁"]]


def test_unsound_dbf_files(tmp_path: Path) -> None:
    path = tmp_path / "a.dbf"
    write_dbf(path, [DbfField("P3", "C", 40)], [[str(i)] for i in range(5)])
    data = path.read_bytes()
    assert refusal(put(path, data[:-20])).reason == "unreadable"
    assert refusal(put(path, data[:40])).reason == "unreadable"
    assert refusal(put(path, data[:4] + struct.pack("<I", 3) + data[8:])).reason == "unreadable"
    assert refusal(put(path, data[:15] + b"\1" + data[16:])).reason == "encrypted"
    assert refusal(put(path, data[:43] + b"M" + data[44:])).reason == "unreadable"
    assert refusal(put(path, data[:43] + b"Q" + data[44:])).reason == "unreadable"
    assert refusal(put(path, data[:48] + b"\x29" + data[49:])).reason == "unreadable"
    assert refusal(put(path, data[:32] + b"\r" + data[33:])).reason == "no-header"
    assert refusal(put(path, data), encoding="klingon").reason == "undecodable"
    assert len(cells(open_table(put(path, data[:-1])))) == 5


FIRST = "P900 C(10); P3 C(8); P4 C(20); P22 C(10)"
SECOND = "P3 C(8); P22 C(10); P601 C(30); P602 N(10,2)"


def parts(tmp_path: Path, first: list[tuple[object, ...]], second: list[tuple[object, ...]]) -> tuple[Path, Path]:
    return (
        dbf_by_peer(tmp_path / "hqms_2020-01-31_part1.dbf", FIRST, first),
        dbf_by_peer(tmp_path / "HQMS_2020-01-31_PART2.DBF", SECOND, second),
    )


def test_both_parts_are_joined(tmp_path: Path) -> None:
    first, second = parts(
        tmp_path,
        [("H", "1", "甲", "2020-01-01"), ("H", "2", "乙", "2020-01-01"), ("H", "1", "甲", "2020-01-20")],
        [("1", "2020-01-20", "三", 3), ("1", "2020-01-01", "一", 1), ("2", "2020-01-01", "二", 2.5)],
    )
    expected = [
        ["H", "1", "甲", "2020-01-01", "一", "1.00"],
        ["H", "2", "乙", "2020-01-01", "二", "2.50"],
        ["H", "1", "甲", "2020-01-20", "三", "3.00"],
    ]
    for path in (first, second):
        table = open_table(path)
        assert table.header == ["P900", "P3", "P4", "P22", "P601", "P602"]
        assert cells(table) == expected
        assert cells(table, skip=2) == expected[2:]
        assert table.progress[0] == table.progress[1]
    both = {path.name: path.read_bytes() for path in (first, second)}
    assert cells(open_table(zipped(tmp_path / "hqms.zip", both))) == expected
    second.unlink()
    assert refusal(first).reason == "missing-part"
    one = zipped(tmp_path / "one.zip", {first.name: first.read_bytes()})
    assert refusal(one).reason == "missing-part"


def test_rows_without_partner_and_repeated_keys(tmp_path: Path) -> None:
    day = "2020-01-01"
    first, _ = parts(
        tmp_path,
        [("H", "1", "甲", day), ("H", "2", "乙", day), ("H", "3", "丙", day), ("H", "3", "丙", day), ("H", "4", "丁", day)],
        [("1", day, "一", 1), ("3", day, "三", 3), ("4", day, "四", 4), ("4", day, "四", 4), ("9", day, "九", 9)],
    )
    rows = list(open_table(first).rows())
    assert [row.number for row in rows] == [1, 2, 3, 4, 5, 6]
    got = [row.reason if isinstance(row, RowFault) else "ok" for row in rows]
    assert got == ["ok", "no-partner", "duplicate-key", "duplicate-key", "duplicate-key", "no-first-part"]
    assert [row.number for row in open_table(first).rows(skip=4)] == [5, 6]


def test_a_second_part_that_cannot_be_used(tmp_path: Path) -> None:
    rows = [(str(i), "2020-01-01", "一", 1) for i in range(30)]
    first, second = parts(tmp_path, [("H", "1", "甲", "2020-01-01")], rows)
    assert refusal(first, limits=Limits(file_bytes=first.stat().st_size)).reason == "over-limit"
    for content, reason in (
        (b"", "unreadable"),
        (second.read_bytes()[:200], "unreadable"),
        (b"A48,A49\n" * 40, "not-what-its-name-says"),
        (bytes(400), "not-what-its-name-says"),
    ):
        put(second, content)
        assert refusal(first).reason == reason
    second.unlink()
    second.mkdir()
    assert refusal(first).reason == "missing-part"


def test_a_part_without_its_join_column(tmp_path: Path) -> None:
    first = dbf_by_peer(tmp_path / "a_part1.dbf", FIRST, [])
    dbf_by_peer(tmp_path / "a_part2.dbf", "P3 C(8); P601 C(3)", [])
    assert refusal(first).reason == "no-header"


def test_written_parts_are_read_by_the_peer(tmp_path: Path) -> None:
    one = [DbfField("P900", "C", 22), DbfField("P3", "C", 20), DbfField("P22", "C", 10), DbfField("P6", "D")]
    two = [DbfField("P3", "C", 20), DbfField("P22", "C", 10), DbfField("P782", "N", 10, 2), DbfField("p45004", "C", 30)]
    rows = [
        {"P900": "H1", "P3": "007", "P22": "2020-01-31", "P6": "1950-03-04", "P782": "12.50", "p45004": "胃恶性肿瘤"},
        {"P900": "H1", "P3": "008", "P22": "2020-01-31", "p45004": "髅" * 15},
    ]
    paths = tmp_path / "h_part1.dbf", tmp_path / "h_part2.dbf"
    assert write_dbf_parts((paths[0], one), (paths[1], two), rows) == 2
    assert read_by_peer(paths[0]) == [("H1", "007", "2020-01-31", dt.date(1950, 3, 4)), ("H1", "008", "2020-01-31", None)]
    assert read_by_peer(paths[1]) == [("007", "2020-01-31", 12.5, "胃恶性肿瘤"), ("008", "2020-01-31", None, "髅" * 15)]
    assert cells(open_table(paths[1])) == [
        ["H1", "007", "2020-01-31", "1950-03-04", "12.50", "胃恶性肿瘤"],
        ["H1", "008", "2020-01-31", "", "", "髅" * 15],
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["h_part1.dbf", "h_part2.dbf"]


@pytest.mark.parametrize(
    ("field", "cell", "reason"),
    [
        (DbfField("P4", "C", 5), SECRET, "too-long"),
        (DbfField("P4", "C", 5), "\ud800", "unencodable"),
        (DbfField("P4", "N", 4, 1), "1.25", "type"),
        (DbfField("P4", "N", 4, 1), "1E3", "type"),
        (DbfField("P4", "N", 4, 1), "123.5", "too-long"),
        (DbfField("P4", "D"), "2020/1/1", "type"),
    ],
)
def test_what_does_not_fit_is_not_written(tmp_path: Path, field: DbfField, cell: str, reason: str) -> None:
    with pytest.raises(RowRefused) as caught:
        write_dbf(tmp_path / "a.dbf", [field], [[cell]])
    assert (caught.value.reason, caught.value.field) == (reason, "P4")
    assert SECRET not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_fields_that_a_dbf_cannot_have(tmp_path: Path) -> None:
    text = DbfField("P4", "C", 5)
    for fields in ([], [text, text], [DbfField("P" * 11)], [DbfField("P4", "C", 255)], [DbfField(f"P{i}") for i in range(256)]):
        with pytest.raises(ConfigurationError):
            write_dbf(tmp_path / "a.dbf", fields, [])
