"""Settings of one installation, read from a TOML file.

``zhibao init DIR`` writes a commented file. Relative paths count from the file's folder. Nothing secret stands in it: keys and
platform secrets are files of their own, readable by their owner only.
"""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gateway.cases.primaries.choices import RegistryChoices
from gateway.model.errors import ConfigurationError
from mappings.profile import platform_ids, profile

CONFIG_NAME = "zhibao.toml"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False, frozen=True)


class Server(_Section):
    """Where the API listens. Anything but loopback needs TLS. ``tls_client_ca``: the authorities whose certificates clients may show instead
    of a token (mutual TLS); people need none. ``public_url``: where clients reach the API, if not at ``host`` and ``port``."""

    host: str = "127.0.0.1"
    port: int = Field(default=8750, ge=0, le=65535)
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    public_url: str = Field(default="", pattern=r"^(https?://[^?#\s]*[^/?#\s])?$")

    @model_validator(mode="after")
    def _client_certificates_over_tls(self) -> Server:
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_client_ca 需要同时配置 tls_certificate 和 tls_key")
        return self

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class Intake(_Section):
    """The watched folder and how many processes read from it. ``settle_seconds``: a file is taken once its size has not
    changed for that long. Below ``free_disk_mb`` of free disk no file is taken until there is room again."""

    inbox: Path = Path("inbox")
    workers: int = Field(default=2, ge=1, le=64)
    settle_seconds: float = Field(default=2.0, ge=0)
    scan_seconds: float = Field(default=2.0, gt=0)
    free_disk_mb: int = Field(default=1024, ge=0)


class Source(_Section):
    """One inbound connection and the dialect of its sender. ``kind``: HL7 v2 by ``mllp`` (a port of its own), ``folder`` (files of messages
    in ``path``) or ``http`` (``POST /v2/<source>`` only, which every HL7 v2 source answers); or ``fhir`` (the FHIR API, and bulk files in
    ``path`` where it is set). ``organisation`` is the code of the institution as
    on its licence, which messages do not state reliably."""

    kind: Literal["mllp", "folder", "http", "fhir"] = "mllp"
    dialect: str = "standard"
    organisation: str
    organisation_name: str = ""
    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    allow: list[str] = []
    charset: str = ""
    acknowledgement: Literal["asked", "original"] = "asked"
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    path: Path = Path()
    connections: int = Field(default=1000, ge=1)
    longest_mb: int = Field(default=10, ge=1, le=100)
    idle_after_seconds: float = Field(default=3600, gt=0)
    silent_after_minutes: float = Field(default=24 * 60, gt=0)

    @property
    def folder(self) -> Path | None:
        """The folder that is watched for files of messages; None where the source has none."""
        if self.path != Path():
            return self.path
        return Path("inbox-v2") if self.kind == "folder" else None


class Registry(_Section):
    """A hospital's choices about cancer registration; `gateway.cases.primaries.choices` says what each means."""

    in_situ: Literal["together", "apart"] = "together"
    icd10_edition: Literal["canregtools", "canreg5"] = "canregtools"
    pituitary: bool = False
    certain_score: int = Field(default=90, ge=1, le=100)
    doubtful_score: int = Field(default=65, ge=1, le=100)
    diagnosing_level: Literal["", "1", "2", "3", "4", "5", "6"] = ""

    @model_validator(mode="after")
    def _doubtful_below_certain(self) -> Registry:
        if self.doubtful_score > self.certain_score:
            raise ValueError("doubtful_score 不能高于 certain_score")
        return self

    @property
    def choices(self) -> RegistryChoices:
        """The choices as the registry uses them."""
        return RegistryChoices(**self.model_dump())


class Platform(_Section):
    """What a hospital decides about one platform; what the platform wants stands in its profile. ``options`` is what the hospital says about
    itself to the platform (an institution code); ``template`` is its own table of the columns of a file, where the platform's is not public."""

    enabled: bool = True
    review: bool = False
    transport: Literal["rest", "soap", "folder"] | None = None
    url: str = ""
    account: str = ""
    secret_file: Path | None = None
    outbox: Path = Path("outbox")
    encoding: str | None = None
    switches: dict[str, bool] = {}
    options: dict[str, str] = {}
    template: Path | None = None
    age_reference: Literal["admission", "discharge"] | None = None
    concurrency: int = Field(default=4, ge=1, le=64)
    per_second: float = Field(default=20.0, gt=0)
    retry_first_seconds: float = Field(default=5.0, gt=0)
    retry_longest_seconds: float = Field(default=1800.0, gt=0)
    receipts_seconds: float = Field(default=60.0, gt=0)
    timeout_seconds: float | None = None


class Settings(_Section):
    """The whole configuration; `load` reads it, `directory` is where its file stands."""

    directory: Path = Path()
    data: Path = Path("data")
    ledger: str = ""
    engine: str = ""
    dictionaries: Path | None = None
    server: Server = Server()
    intake: Intake = Intake()
    registry: Registry = Registry()
    sources: dict[str, Source] = {}
    platforms: dict[str, Platform] = {}

    @model_validator(mode="after")
    def _known_platforms(self) -> Settings:
        unknown = sorted(set(self.platforms) - set(platform_ids()))
        if unknown:
            raise ValueError(f"没有这样的平台：{'、'.join(unknown)}（可用：{'、'.join(platform_ids())}）")
        for id, chosen in self.platforms.items():
            rules = [rule.id for rule in profile(id).scope().rules if rule.effect == "include"]
            if wrong := sorted(chosen.switches.keys() - set(rules)):
                raise ValueError(f"platforms.{id}.switches：范围规则中没有可开关的 {'、'.join(wrong)}（可用：{'、'.join(rules)}）")
            if unknown := sorted(chosen.options.keys() - profile(id).options.keys()):
                raise ValueError(
                    f"platforms.{id}.options：没有 {'、'.join(unknown)}（可用：{'、'.join(sorted(profile(id).options))}）"
                )
        return self

    def path(self, relative: Path) -> Path:
        """A path of the configuration, counted from its folder."""
        return relative if relative.is_absolute() else self.directory / relative

    @property
    def data_dir(self) -> Path:
        return self.path(self.data)

    @property
    def key_file(self) -> Path:
        return self.path(Path("zhibao.keys"))

    @property
    def raw_dir(self) -> Path:
        """Where raw files are kept."""
        return self.data_dir / "raw"

    @property
    def ledger_url(self) -> str:
        return self.ledger or f"sqlite:///{self.data_dir / 'ledger.sqlite'}"

    @property
    def engine_url(self) -> str:
        """The workflow engine's own database: its file is never the ledger's."""
        return self.engine or f"sqlite:///{self.data_dir / 'engine.sqlite'}"


def load(path: Path) -> Settings:
    """Read the configuration file. Raises `ConfigurationError` that names the setting at fault."""
    if path.is_dir():
        path = path / CONFIG_NAME
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"找不到配置文件 {path.name}",
            action="请先运行 zhibao init 目录，再用 --config 指定",
            english="no configuration",
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"配置文件 {CONFIG_NAME} 无法读取", action="请检查路径和权限", english=f"configuration: {type(error).__name__}"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"配置文件 {path.name} 写法不正确：{error}", english="malformed configuration") from None
    try:
        if "directory" in data:  # not a setting: it is where the file stands
            raise ConfigurationError(f"配置文件 {path.name} 有误：没有 directory 这一项", english="invalid configuration")
        settings = Settings(**_with_places(data, path.parent.resolve()), directory=path.parent.resolve())
    except ValidationError as error:
        faults = "；".join(f"{'.'.join(map(str, e['loc'])) or '配置'}：{e['msg']}" for e in error.errors())
        raise ConfigurationError(f"配置文件 {path.name} 有误：{faults}", english="invalid configuration") from None
    server = settings.server
    if not server.loopback and (server.tls_certificate is None or server.tls_key is None):
        raise ConfigurationError(
            f"监听地址 {server.host} 可被其他机器访问，但没有配置 TLS 证书",
            action="请配置 server.tls_certificate 和 server.tls_key，或改回 127.0.0.1",
            english="a non-loopback address needs TLS",
        )
    return settings


def _with_places(data: dict[str, Any], directory: Path) -> dict[str, Any]:
    """The data with files of dialects counted from the configuration's folder, as every other path."""
    sources = data.get("sources")
    if not isinstance(sources, dict):
        return data
    placed = {}
    for id, source in sources.items():
        named = source.get("dialect") if isinstance(source, dict) else None
        placed[id] = {**source, "dialect": str(directory / named)} if isinstance(named, str) and named.endswith(".toml") else source
    return {**data, "sources": placed}
