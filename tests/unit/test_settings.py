"""Configuration: what is refused names the setting at fault and says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import setup
from gateway.model.errors import ConfigurationError
from gateway.settings import CONFIG_NAME, Settings, load


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / CONFIG_NAME


def loaded(config: Path, text: str) -> Settings:
    config.write_text(text, "utf-8")
    return load(config)


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("datta = 'x'", "datta"),
        ("directory = '/somewhere'", "directory"),
        ("data = 5", "data"),
        ("server = 5", "server"),
        ("[server]\nport = 70000", "server.port"),
        ("[server]\nport = -1", "server.port"),
        ("[server]\nport = 'https'", "server.port"),
        ("[server]\nhots = '127.0.0.1'", "server.hots"),
        ("[server]\ntls_client_ca = 'ca.pem'", "tls_client_ca"),
        ("[server]\npublic_url = 'zhibao.example'", "server.public_url"),
        ("[server]\npublic_url = 'https://zhibao.example/'", "server.public_url"),
        ("[intake]\nworkers = 0", "intake.workers"),
        ("[intake]\nworkers = 65", "intake.workers"),
        ("[intake]\nscan_seconds = 0", "intake.scan_seconds"),
        ("[intake]\nsettle_seconds = -1", "intake.settle_seconds"),
        ("[intake]\nfree_disk_mb = -1", "intake.free_disk_mb"),
        ("[platforms.ncpcs]\ntransport = 'pigeon'", "platforms.ncpcs.transport"),
        ("[platforms.ncpcs]\nage_reference = 'birth'", "platforms.ncpcs.age_reference"),
        ("[platforms.ncpcs]\nconcurrency = 0", "platforms.ncpcs.concurrency"),
        ("[platforms.ncpcs]\nper_second = 0", "platforms.ncpcs.per_second"),
        ("[platforms.ncpcs]\nretry_first_seconds = 0", "platforms.ncpcs.retry_first_seconds"),
        ("[platforms.ncpcs]\nretry_longest_seconds = -5", "platforms.ncpcs.retry_longest_seconds"),
        ("[platforms.ncpcs]\nreceipts_seconds = 0", "platforms.ncpcs.receipts_seconds"),
        ("[platforms.ncpcs]\nswitches = { B4 = 'perhaps' }", "platforms.ncpcs.switches.B4"),
        ("[platforms.ncpcs]\nswitches = { B44 = true }", "platforms.ncpcs.switches"),
        ("[platforms.ncpcs]\nswitches = { b4 = true }", "platforms.ncpcs.switches"),
        ("[platforms.ncpcs]\nswitches = { S-AGE = false }", "platforms.ncpcs.switches"),
        ("[platforms.ncpcs]\nsecret = 'in the open'", "platforms.ncpcs.secret"),
        ("[platforms.ncps]\nurl = 'https://a.invalid'", "ncps"),
    ],
)
def test_a_wrong_setting_is_named(config: Path, text: str, setting: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        loaded(config, text)
    assert setting in refusal.value.message
    assert CONFIG_NAME in refusal.value.message


def test_an_unknown_platform_is_refused_with_the_known_ones(config: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"没有这样的平台：ncps（可用：.*hqms、ncpcs.*）"):
        loaded(config, "[platforms.ncps]")


@pytest.mark.parametrize("text", ["[server", "data = ", "data = 'a'\ndata = 'b'"])
def test_what_is_no_toml_is_refused(config: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match="写法不正确"):
        loaded(config, text)


def test_a_file_that_is_not_there_or_cannot_be_read_is_refused(config: Path) -> None:
    for path in (config, config.parent, config.parent / "no" / "where"):
        with pytest.raises(ConfigurationError, match="找不到配置文件"):
            load(path)
    config.write_bytes(b"\xff\xfe\x00d\x00")
    with pytest.raises(ConfigurationError, match="写法不正确"):
        load(config)
    with pytest.raises(ConfigurationError, match=CONFIG_NAME):
        load(config / "below-a-file")


# -- who can reach it


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "gateway.hospital.invalid", "", "10.0.0.1"])
@pytest.mark.parametrize("tls", ["", "tls_certificate = 'c.pem'", "tls_key = 'k.pem'"])
def test_an_address_that_others_can_reach_needs_tls(config: Path, host: str, tls: str) -> None:
    with pytest.raises(ConfigurationError, match="TLS") as refusal:
        loaded(config, f"[server]\nhost = '{host}'\n{tls}\n")
    assert host in refusal.value.message
    assert "server.tls_certificate" in refusal.value.action
    assert "server.tls_key" in refusal.value.action
    both = "tls_certificate = 'c.pem'\ntls_key = 'k.pem'\n"
    assert loaded(config, f"[server]\nhost = '{host}'\n{both}").server.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.53", "::1", "localhost"])
def test_loopback_needs_no_tls(config: Path, host: str) -> None:
    assert loaded(config, f"[server]\nhost = '{host}'\n").server.loopback


def test_nothing_but_loopback_by_default(config: Path) -> None:
    settings = loaded(config, "")
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8750)
    assert settings.platforms == {}


# -- paths


def test_relative_paths_count_from_the_file(config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    config.write_text("data = 'd/e'\n[intake]\ninbox = '../in'\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    for named in (config, tmp_path, Path(CONFIG_NAME), Path()):
        settings = load(named)
        monkeypatch.chdir(elsewhere)
        assert settings.data_dir == tmp_path / "d" / "e"
        assert settings.raw_dir == tmp_path / "d" / "e" / "raw"
        assert settings.key_file == tmp_path / "zhibao.keys"
        assert settings.path(settings.intake.inbox) == tmp_path / ".." / "in"
        assert settings.ledger_url == f"sqlite:///{tmp_path / 'd' / 'e' / 'ledger.sqlite'}"
        assert settings.engine_url == f"sqlite:///{tmp_path / 'd' / 'e' / 'engine.sqlite'}"
        assert settings.path(tmp_path / "absolute") == tmp_path / "absolute"
        monkeypatch.chdir(tmp_path)


def test_another_database_may_be_named(config: Path) -> None:
    settings = loaded(config, "ledger = 'postgresql+psycopg://db/ledger'\nengine = 'postgresql+psycopg://db/engine'\n")
    assert settings.ledger_url == "postgresql+psycopg://db/ledger"
    assert settings.engine_url == "postgresql+psycopg://db/engine"


# -- init


def test_setting_up_writes_a_configuration_that_loads_and_a_closed_key_file(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "hospital"
    password = setup.create(folder)
    assert len(password) >= 16
    settings = load(folder)
    assert settings == load(folder / CONFIG_NAME)
    assert settings.server.loopback
    assert settings.platforms == {}
    assert settings.key_file.stat().st_mode & 0o777 == 0o600
    assert (folder / "data" / "ledger.sqlite").is_file()
    written = "".join(path.read_text("utf-8", errors="replace") for path in folder.rglob("*") if path.is_file())
    assert password not in written  # it is stored as a hash only


def test_what_the_template_shows_as_an_example_is_a_configuration(config: Path) -> None:
    """The commented lines, comment signs taken away, load: nobody copies a mistake from there."""
    lines = setup.TEMPLATE.splitlines()
    start = lines.index("# [platforms.ncpcs]")
    text = "\n".join([*lines[:start], *(line.removeprefix("# ") for line in lines[start:])])
    settings = loaded(config, text)
    assert settings.platforms["ncpcs"].switches == {"B4": False}
    assert settings.platforms["ncpcs"].secret_file == Path("ncpcs.secret")
    assert not settings.platforms["ncpcs"].review


def test_setting_up_twice_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    setup.create(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigurationError, match="已有配置文件"):
        setup.create(tmp_path)
    (tmp_path / CONFIG_NAME).unlink()
    with pytest.raises(ConfigurationError, match="密钥文件已存在"):  # never a second key over a first
        setup.create(tmp_path)
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == {path: content for path, content in before.items() if path.name != CONFIG_NAME}


def test_files_of_dialects_count_from_the_configurations_folder(config: Path) -> None:
    text = '[sources.{}]\nkind = "http"\norganisation = "99"\ndialect = "{}"\n'
    elsewhere = config.parent / "elsewhere" / "lis.toml"
    settings = loaded(config, text.format("his", "his.toml") + text.format("lis", elsewhere) + text.format("emr", "cn-a"))
    assert [source.dialect for source in settings.sources.values()] == [str(config.parent / "his.toml"), str(elsewhere), "cn-a"]
