"""The commands of the README through the real entry point: exit codes, sentences instead of tracebacks, and what they print."""

from __future__ import annotations

import csv
import json
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import httpx
import pytest

from adapters.hqms.writer import csv_bytes
from conformance.sample.faults import KINDS, is_due_child
from conformance.sample.files import FAULT_COLUMNS, write_sample
from conformance.sample.hospital import generate
from gateway import cli
from gateway.settings import CONFIG_NAME, load
from gateway.store.ledger import Ledger
from gateway.store.vault import Vault
from mappings.layout import layout
from mappings.profile import platform_ids, profile
from tests.command_line import Zhibao
from tests.installation import PASSWORD, wait_for

COLUMNS = layout("2020").columns
CHINESE = re.compile(r"[一-鿿]")
Record = dict[str, str]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean month of 60 stays."""
    (path,) = write_sample(tmp_path_factory.mktemp("clean"), stays=60, months=["2026-10"], spoiled=False)
    return path


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a month of 700 stays with every kind of planted fault."""
    folder = tmp_path_factory.mktemp("spoiled")
    write_sample(folder, stays=700, months=["2026-10"])
    return folder


def table(content: bytes, encoding: str = "gb18030") -> list[dict[str, str]]:
    return list(csv.DictReader(content.decode(encoding).splitlines()))


def rows(path: Path) -> list[dict[str, str]]:
    return table(path.read_bytes())


# -- help and usage


def commands() -> dict[tuple[str, ...], click.Command]:
    """All commands by the words that call them."""
    context = click.Context(cli.cli)
    found: dict[tuple[str, ...], click.Command] = {}
    for name in cli.cli.list_commands(context):
        command = cli.cli.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found |= {(name, member): inner for member, inner in command.commands.items()}
        else:
            found[(name,)] = command
    return found


@pytest.mark.parametrize("command", [(), *commands()], ids=" ".join)
def test_every_command_explains_itself_in_chinese_and_english(zhibao: Zhibao, command: tuple[str, ...]) -> None:
    ran = zhibao(*command, "--help")
    assert ran.code == 0
    summary = ran.out.split("Options:")[0].partition("\n")[2]
    assert CHINESE.search(summary)
    assert re.search(r"[A-Za-z]{3}", summary)
    assert ran.err == ""


def test_every_command_that_others_rely_on_is_there() -> None:
    there = {words[0] for words in commands()}
    assert {"demo", "init", "serve", "read", "convert", "explain", "check", "trace", "audit"} <= there
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    named = set(re.findall(r"`(?:\.venv/bin/)?zhibao ([a-z]+)", readme))
    assert named <= there
    assert {"read", "convert", "explain", "check", "init", "audit"} <= named


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-command",),
        ("read",),
        ("read", "--no-such-option", "a.csv"),
        ("explain", "a.csv"),
        ("explain", "a.csv", "--platform", "nowhere"),
        ("check", "a.csv", "--platform", "nowhere"),
        ("check", "a.csv", "--dictionaries", "no-such-folder"),
        ("convert", "a.csv"),
        ("convert", "a.csv", "--to", "nowhere", "--out", "out"),
        ("convert", "a.csv", "--to", "hqms"),
        ("convert", "a.csv", "--to", "hqms", "--out", "out", "--layout", "1999"),
        ("convert", "a.csv", "--to", "hqms", "--out", "out", "--out-encoding", "ascii"),
        ("audit", "verify", "no-such-file"),
        ("audit", "verify"),
        ("init",),
        ("trace", "only-one"),
        ("sample",),
        ("read", "a.csv", "--workers", "many"),
    ],
)
def test_wrong_usage_ends_with_2(
    zhibao: Zhibao, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = zhibao(*arguments)
    assert ran.code == 2
    assert ran.err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_platform_is_answered_with_the_known_ones(zhibao: Zhibao, clean: Path) -> None:
    ran = zhibao("explain", clean, "--platform", "nowhere")
    assert ran.code == 2
    assert all(id in ran.err for id in platform_ids())


def test_without_a_command_it_shows_its_help(zhibao: Zhibao) -> None:
    ran = zhibao()
    assert ran.code == 2
    assert "convert" in ran.out + ran.err


# -- unusable input

JUNK = {
    "empty.csv": b"",
    "blank.csv": b"\r\n\r\n  \r\n",
    "junk.csv": bytes(range(256)) * 40,
    "zeros.csv": bytes(5000),
    "junk.xlsx": bytes(range(256)) * 40,
    "not-a-zip.xlsx": b"A48,A49\r\n1,1\r\n",
    "broken.zip": b"PK\x03\x04" + bytes(range(200)),
    "junk.dbf": b"\x03" + bytes(500),
    "page.csv": "<html><body>登录超时</body></html>".encode(),
    "other.csv": "姓名,电话\r\n张测试,10000000001\r\n".encode("gb18030"),
    "no-number.csv": b"A49,A11,A13\r\n1,x,2015-03-08\r\n",
    "half.csv": "A48,A49,A11\r\n0001,1,张".encode("gb18030")[:-1] + b"\r\n\xff\xff\xff",
    "quote.csv": b'A48,A49\r\n"0001,1\r\n' * 3,
}


@pytest.mark.parametrize(
    "command", [("read",), ("explain", "--platform", "ncpcs"), ("check",), ("convert", "--to", "hqms", "--out", "out")]
)
@pytest.mark.parametrize("name", [*JUNK, "missing.csv", "folder"])
def test_what_cannot_be_used_is_refused_in_chinese(
    zhibao: Zhibao, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    elif name in JUNK:
        path.write_bytes(JUNK[name])
    ran = zhibao(*command, path)
    assert ran.code in ((1, 2) if name in ("half.csv", "quote.csv") else (2,))
    if name != "folder":
        assert CHINESE.search(ran.out + ran.err)
    assert "Traceback" not in ran.out + ran.err
    if ran.code == 2:
        assert not list(tmp_path.glob("out/*.csv"))


def test_a_refused_file_does_not_stop_the_others(zhibao: Zhibao, clean: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe")
    (tmp_path / "b.csv").write_bytes(clean.read_bytes())
    (tmp_path / ".hidden.csv").write_bytes(b"")
    ran = zhibao("read", tmp_path)
    assert ran.code == 1
    outcomes = [(line["file"], line["outcome"]) for line in ran.lines]
    assert outcomes == [("a.csv", "refused"), *[("b.csv", "read")] * 60]
    refused = ran.lines[0]
    assert (refused["message_index"], refused["record"]) == (None, None)
    assert CHINESE.search(refused["reason"])


# -- read, explain, check


def test_read_prints_a_line_a_row_with_the_documented_members(zhibao: Zhibao, clean: Path) -> None:
    ran = zhibao("read", clean, "--json")
    assert ran.code == 0
    assert ran.err == ""
    assert [line["message_index"] for line in ran.lines] == list(range(1, 61))
    for line, row in zip(ran.lines, rows(clean), strict=True):
        assert set(line) == {"file", "message_index", "kind", "outcome", "reason", "record"}
        assert (line["file"], line["outcome"], line["reason"]) == (clean.name, "read", "")
        assert (line["record"]["record_number"], line["record"]["patient"]["birth_date"]) == (row["A48"], row["A13"])
    assert zhibao("read", clean).out == ran.out


def test_a_refused_row_is_a_line_with_a_reason_and_ends_with_1(zhibao: Zhibao, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"A48,A49,A13\r\n0001,1,2015-03-08\r\n,2,2015-03-08\r\n0003,1,2015-03-08,extra\r\n0004,1,2015-03-08\r\n")
    ran = zhibao("read", path)
    assert ran.code == 1
    assert [line["outcome"] for line in ran.lines] == ["read", "refused", "refused", "read"]
    assert [bool(line["reason"]) for line in ran.lines] == [False, True, True, False]
    assert [line["record"] is None for line in ran.lines] == [False, True, True, False]


@pytest.mark.parametrize("platform", platform_ids("stay"))
def test_explain_answers_for_every_stay_with_rules_and_a_reason(zhibao: Zhibao, clean: Path, platform: str) -> None:
    ran = zhibao("explain", clean, "--platform", platform)
    assert ran.code == 0
    known = {rule.id for rule in profile(platform).scope().rules} | {"S-DX", "S-HISTORY"}
    for line, row in zip(ran.lines, rows(clean), strict=True):
        assert line["record"] == {"A48": row["A48"], "A49": int(row["A49"])}
        assert line["rules"]
        assert set(line["rules"]) <= known
        assert CHINESE.search(line["reason"])
        assert line["due"] is (platform == "hqms" or is_due_child(row))
    assert {line["due"] for line in ran.lines} == ({True} if platform == "hqms" else {True, False})


def test_explain_says_of_a_refused_row_that_nobody_can_tell(zhibao: Zhibao, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"A48,A49,A13,B15,C03C\r\n,1,2015-03-08,2026-10-05 09:30:00,C91.000\r\n")
    ran = zhibao("explain", path, "--platform", "ncpcs")
    assert ran.code == 1
    (line,) = ran.lines
    assert (line["record"], line["due"], line["rules"], line["review"]) == (None, False, ["S-ROW"], True)


def test_check_finds_nothing_of_weight_in_a_clean_file(zhibao: Zhibao, clean: Path) -> None:
    ran = zhibao("check", clean)
    assert ran.code == 0
    for line in ran.lines:
        assert {"file", "row", "fields", "severity", "rule", "message"} <= set(line)
        assert line["severity"] != "error"


def test_check_finds_every_planted_fault_where_it_was_planted(zhibao: Zhibao, spoiled: Path) -> None:
    ran = zhibao("check", spoiled / "hqmsts_2026M10.csv")
    assert ran.code == 1
    found = {(line["row"], line["rule"]) for line in ran.lines}
    errors = {line["row"] for line in ran.lines if line["severity"] == "error"}
    with (spoiled / "faults.csv").open(encoding="utf-8-sig", newline="") as handle:
        faults = list(csv.DictReader(handle))
    assert tuple(faults[0]) == FAULT_COLUMNS
    assert {fault["kind"] for fault in faults} == {kind.fault.kind for kind in KINDS}
    rule_of = {"refused": "ZB-ROW-{}", "blocked": "{}", "repaired": "ZB-READ-{}"}
    for fault in faults:
        row = int(fault["row"])
        if fault["outcome"] in rule_of:
            assert (row, rule_of[fault["outcome"]].format(fault["expected"])) in found, fault
        assert (row in errors) is (fault["outcome"] in ("refused", "blocked")), fault
    assert errors == {int(fault["row"]) for fault in faults if fault["outcome"] in ("refused", "blocked")}


# -- convert


def test_a_clean_file_is_converted_cell_by_cell(zhibao: Zhibao, clean: Path, tmp_path: Path) -> None:
    ran = zhibao("convert", clean, "--to", "hqms", "--out", tmp_path)
    assert ran.code == 0
    made = tmp_path / "hqmsts_2026M10.csv"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["findings.jsonl", made.name]
    assert tuple(rows(made)[0]) == COLUMNS
    assert rows(made) == rows(clean)
    assert made.read_bytes() == clean.read_bytes()
    weights = {json.loads(line)["severity"] for line in (tmp_path / "findings.jsonl").read_text("utf-8").splitlines()}
    assert "error" not in weights


def test_converting_twice_gives_the_same_bytes(zhibao: Zhibao, spoiled: Path, tmp_path: Path) -> None:
    for out in ("one", "two"):
        assert zhibao("convert", spoiled / "hqmsts_2026M10.csv", "--to", "ncpcs", "--out", tmp_path / out).code == 1
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / out).iterdir()} for out in ("one", "two"))
    assert one == two
    assert len(one) == 2
    converted = (tmp_path / "again", tmp_path / "one" / "hqmsts_2026M10.csv")
    zhibao("convert", converted[1], "--to", "ncpcs", "--out", converted[0])
    assert (converted[0] / "hqmsts_2026M10.csv").read_bytes() == one["hqmsts_2026M10.csv"]


def test_only_what_is_due_is_converted(zhibao: Zhibao, clean: Path, tmp_path: Path) -> None:
    assert zhibao("convert", clean, "--to", "ncpcs", "--out", tmp_path, "--out-encoding", "utf-8").code == 0
    made = table((tmp_path / "hqmsts_2026M10.csv").read_bytes(), "utf-8")
    assert made == [row for row in rows(clean) if is_due_child(row)]
    assert made


def test_other_layouts_have_their_own_columns(zhibao: Zhibao, clean: Path, tmp_path: Path) -> None:
    for id, name in (("2019", "hqmsts_2026M10.csv"), ("tcm2019", "TCMMS_2026M10.csv"), ("pcode", "hqms_2026M10.csv")):
        zhibao("convert", clean, "--to", "hqms", "--layout", id, "--out", tmp_path / id)
        made = rows(tmp_path / id / name)
        assert tuple(made[0]) == layout(id).columns
        assert len(made) == 60


def test_nothing_is_left_where_nothing_could_be_converted(zhibao: Zhibao, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"junk")
    assert zhibao("convert", tmp_path / "a.csv", "--to", "hqms", "--out", tmp_path / "out").code == 2
    assert [path.name for path in (tmp_path / "out").glob("*.csv")] == []
    assert not (tmp_path / "out" / ".converting.csv").exists()


def test_an_input_is_never_overwritten(zhibao: Zhibao, clean: Path, tmp_path: Path) -> None:
    given = tmp_path / "hqmsts_2026M10.csv"
    given.write_bytes(clean.read_bytes())
    ran = zhibao("convert", given, "--to", "ncpcs", "--out", tmp_path)
    assert ran.code == 2
    assert given.read_bytes() == clean.read_bytes()
    assert not (tmp_path / ".converting.csv").exists()


# -- sample, schema, init


def test_sample_is_what_it_says(zhibao: Zhibao, tmp_path: Path) -> None:
    for out in ("one", "two"):
        assert zhibao("sample", "--stays", 50, "--clean", "--out", tmp_path / out).code == 0
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / out).iterdir()} for out in ("one", "two"))
    assert one == two
    assert sum(len(table(content)) for content in one.values()) == 50


def test_schema_is_the_published_one(zhibao: Zhibao) -> None:
    published = Path(__file__).parents[2] / "docs" / "schema" / "stay.schema.json"
    assert zhibao("schema").out == published.read_text("utf-8")


def test_init_says_the_password_once_and_does_not_do_it_twice(zhibao: Zhibao, tmp_path: Path) -> None:
    folder = tmp_path / "hospital"
    ran = zhibao("init", folder)
    assert ran.code == 0
    password = ran.out.partition("：")[2].split()[0]
    assert len(password) == 20
    assert load(folder).server.loopback
    again = zhibao("init", folder)
    assert (again.code, again.out) == (2, "")
    assert CHINESE.search(again.err)


@pytest.mark.parametrize("command", [("serve",), ("trace", "x", "A26"), ("audit", "export", "out.jsonl")])
def test_without_an_installation_the_commands_of_one_say_what_to_do(
    zhibao: Zhibao, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = zhibao(*command)
    assert ran.code == 2
    assert "zhibao init" in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[server]\nport = 'x'\n", "server.port"),
        ("[server]\nhost = '0.0.0.0'\n", "TLS"),
        ("[platforms.ncpcs]\n", "platforms.ncpcs.url"),
        ("[platforms.ncpcs]\nurl = 'http://127.0.0.1:9'\nsecret_file = 'gone.secret'\n", "platforms.ncpcs.secret_file"),
        ("[platforms.nowhere]\n", "nowhere"),
        ("= broken", CONFIG_NAME),
    ],
)
def test_serve_refuses_a_configuration_by_naming_the_setting(zhibao: Zhibao, tmp_path: Path, text: str, named: str) -> None:
    zhibao("init", tmp_path)
    (tmp_path / CONFIG_NAME).write_text(text, "utf-8")
    ran = zhibao("serve", "--config", tmp_path)
    assert ran.code == 2
    assert named in ran.err
    (tmp_path / CONFIG_NAME).write_text("", "utf-8")
    with Ledger.open(load(tmp_path).ledger_url, Vault.load(tmp_path / "zhibao.keys")):
        pass  # what was refused has not kept the ledger to itself


def test_the_entry_point_is_a_process_with_exit_codes(clean: Path, tmp_path: Path) -> None:
    """Once as others run it: a module of its own, output in a pipe, a reader that goes away."""
    command = [sys.executable, "-m", "gateway.cli"]
    ran = subprocess.run([*command, "check", str(tmp_path / "none.csv")], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "Traceback" not in ran.stderr
    with subprocess.Popen([*command, "read", str(clean)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as reading:
        assert reading.stdout is not None
        assert reading.stderr is not None
        assert json.loads(reading.stdout.readline())["message_index"] == 1
        reading.stdout.close()
        assert b"Traceback" not in reading.stderr.read()


@pytest.mark.parametrize("command", ["convert", "sample", "audit"])
def test_a_place_that_cannot_be_written_is_refused_in_chinese(
    zhibao: Zhibao, clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    zhibao("init", tmp_path / "hospital")
    monkeypatch.chdir(tmp_path / "hospital")
    file = tmp_path / "a-file"
    file.touch()
    arguments = {
        "convert": ("convert", clean, "--to", "hqms", "--out", file / "out"),
        "sample": ("sample", "--stays", 5, "--out", file / "out"),
        "audit": ("audit", "export", tmp_path / "no-folder" / "audit.jsonl"),
    }
    ran = zhibao(*arguments[command])
    assert ran.code == 2
    assert CHINESE.search(ran.err)


def test_a_folder_that_cannot_be_made_is_refused_in_chinese(zhibao: Zhibao, tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    ran = zhibao("init", tmp_path / "a-file" / "hospital")
    assert (ran.code, ran.out) == (2, "")
    assert "无法建立目录" in ran.err


def test_a_mistyped_year_of_discharge_is_explained(zhibao: Zhibao, tmp_path: Path) -> None:
    path = tmp_path / "year.csv"
    path.write_bytes(b"A48,A49,A13,B15,C03C\r\n0001,1,2015-03-08,9999-12-31 08:00:00,C91.000\r\n")
    assert zhibao("explain", path, "--platform", "ncpcs").code in (0, 1)


@pytest.mark.parametrize("platform", platform_ids())
def test_the_guide_of_a_platform_shows_how_sure_its_facts_are(zhibao: Zhibao, platform: str) -> None:
    ran = zhibao("platform", platform)
    assert ran.code == 0
    for fact in profile(platform).facts:
        assert fact.about in ran.out
        assert fact.source in ran.out


def test_a_gateway_that_does_not_run_is_not_healthy(zhibao: Zhibao, tmp_path: Path) -> None:
    zhibao("init", tmp_path)
    with socket.socket() as taken:  # bound and not listening: nobody answers there
        taken.bind(("127.0.0.1", 0))
        (tmp_path / CONFIG_NAME).write_text(f"[server]\nport = {taken.getsockname()[1]}\n", "utf-8")
        ran = zhibao("healthy", "--config", tmp_path)
    assert (ran.code, ran.out) == (1, "")
    assert CHINESE.search(ran.err)


def test_the_version_is_the_packages(zhibao: Zhibao) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] in zhibao("--version").out


# -- beside a running server


def test_trace_and_audit_beside_a_running_server(
    zhibao: Zhibao, stranger: tuple[httpx.Client, str], hospital: Path, tmp_path: Path
) -> None:
    client, password = stranger
    opened = client.post("/api/session", json={"account": "admin", "password": password, "new_password": PASSWORD})
    client.headers["Authorization"] = f"Bearer {opened.json()['token']}"
    child = next(record for record in generate(300) if is_due_child(record))
    client.post("/api/files", params={"name": "october.csv"}, content=csv_bytes(layout("2020"), [child])).raise_for_status()
    wait_for(lambda: bool(client.get("/api/submissions").json()), 20, "a submission")
    (submission,) = client.get("/api/submissions").json()

    traced = zhibao("trace", submission["id"], "A26", "--config", hospital)
    assert traced.code == 0
    found = json.loads(traced.out)
    assert found["value"] == found["canonical"] == child["A26"]
    (origin,) = found["origins"]
    assert (origin["cell"]["file_name"], origin["cell"]["row"], origin["cell"]["header"]) == ("october.csv", 1, "A26")
    assert origin["cell"]["text"] == child["A26"]
    unknown = zhibao("trace", submission["id"], "A99", "--config", hospital / CONFIG_NAME)
    assert (unknown.code, unknown.out) == (2, "")
    assert zhibao("trace", "none", "A26", "--config", hospital).code == 2

    piece = tmp_path / "audit.jsonl"
    assert zhibao("audit", "export", piece, "--config", hospital).code == 0
    verified = zhibao("audit", "verify", piece)
    assert verified.code == 0
    assert "校验通过" in verified.out
    content = piece.read_bytes()
    piece.write_bytes(content[:300] + bytes((content[300] ^ 1,)) + content[301:])
    broken = zhibao("audit", "verify", piece)
    assert (broken.code, broken.out) == (1, "")
    assert "审计日志校验失败" in broken.err
    assert zhibao("audit", "export", piece, "--after", 3, "--config", hospital).code == 0
    assert json.loads(piece.read_text("utf-8").splitlines()[0])["first"] == 4
    assert zhibao("audit", "verify", piece).code == 0
    assert client.get("/healthz").status_code == 200
    busy = zhibao("serve", "--config", hospital)
    assert busy.code == 2
    assert "另一个直报进程" in busy.err
