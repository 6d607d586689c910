"""A message profile: what two systems agreed on beyond the standard, as a TOML file.

::

    id = "our-adt"
    name = "本院 ADT 接口约定"
    messages = ["ADT^A01", "ADT^A03"]      # the messages it is for, or kinds of messages ("ADT"); left out: all
    [segments]                             # how often a segment stands in a message
    PV1 = "1..1"
    DG1 = "1..*"
    [fields]                               # of every segment of that name; a component: in how many repetitions it is filled
    "PID-3" = { cardinality = "1..*" }
    "PID-3.5" = { cardinality = "1..*", values = ["PatientNO", "IdentifyNO"] }
    "PV1-2" = { cardinality = "1..1", values = ["I"] }

The profiles of hl7apy are Python pickles, and reading one runs whatever it holds, so they are not read. Every mistake in a file is a
`ConfigurationError` that names the key.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path as FilePath
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from adapters.hl7v2.message import Path, path
from gateway.model.errors import ConfigurationError
from mappings.dialect_files import misfit

_CARDINALITY: Final = re.compile(r"(\d{1,4})\.\.(\d{1,4}|\*)")
_SEGMENT: Final = re.compile(r"[A-Z][A-Z0-9]{2}")


class Cardinality(NamedTuple):
    """How often something stands; ``most`` is -1 for any number."""

    least: int
    most: int

    def __str__(self) -> str:
        return f"{self.least}..{self.most if self.most >= 0 else '*'}"

    def holds(self, count: int) -> bool:
        """Whether ``count`` is allowed."""
        return self.least <= count and (self.most < 0 or count <= self.most)


class AgreedField(NamedTuple):
    """A place, how often it is filled, and the values it may have (none: any)."""

    place: str
    spot: Path
    cardinality: Cardinality
    values: frozenset[str]


class Profile(NamedTuple):
    """A profile as read."""

    id: str
    name: str
    messages: frozenset[str]
    segments: dict[str, Cardinality]
    fields: tuple[AgreedField, ...]

    def covers(self, kind: str, event: str) -> bool:
        """Whether it is for messages of that kind and event."""
        return not self.messages or kind in self.messages or f"{kind}^{event}" in self.messages


class _Field(Struct, frozen=True, forbid_unknown_fields=True):
    cardinality: str = "0..*"
    values: list[str] = []


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    id: str = ""
    name: str = ""
    messages: list[str] = []
    segments: dict[str, str] = {}
    fields: dict[str, _Field] = {}


def read_profile(file: FilePath) -> Profile:
    """The profile in a file. Raises `ConfigurationError`."""
    try:
        raw = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8-sig")), _File)
    except OSError as error:
        raise ConfigurationError(
            f"消息约定文件“{file.name}”无法打开", action="请核对路径和权限", english=f"cannot open profile: {error.strerror}"
        ) from None
    except UnicodeDecodeError:
        raise _faulty(file, "", "不是 UTF-8 编码", "not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise _faulty(file, "", f"不是正确的 TOML：{error}", f"not TOML: {error}") from None
    except msgspec.ValidationError as error:
        key, reason = misfit(error)
        raise _faulty(file, key, reason, reason) from None
    segments = {}
    for name, text in raw.segments.items():
        if not _SEGMENT.fullmatch(name):
            raise _faulty(file, f"segments.{name}", "不是段名", "not the name of a segment")
        segments[name] = _cardinality(file, f"segments.{name}", text)
    fields = []
    for place, said in raw.fields.items():
        spot = _spot(file, place)
        cardinality = _cardinality(file, f"fields.{place}.cardinality", said.cardinality)
        fields.append(AgreedField(place, spot, cardinality, frozenset(said.values)))
    return Profile(raw.id or file.stem, raw.name, frozenset(raw.messages), segments, tuple(fields))


def _spot(file: FilePath, place: str) -> Path:
    try:
        spot = path(place)
    except ConfigurationError:
        raise _faulty(file, f"fields.{place}", "路径写法不对，应如 PID-3 或 PID-3.5", "not an HL7 path") from None
    if not spot.segment or "[" in place:
        raise _faulty(file, f"fields.{place}", "应写明段名，不写重复号，如 PID-3.5", "name the segment and no repetition")
    return spot


def _cardinality(file: FilePath, key: str, text: str) -> Cardinality:
    match = _CARDINALITY.fullmatch(text)
    if match is None or (match[2] != "*" and int(match[2]) < int(match[1])):
        raise _faulty(file, key, "应如 0..1、1..1、1..*", "should be like 0..1 or 1..*")
    return Cardinality(int(match[1]), -1 if match[2] == "*" else int(match[2]))


def _faulty(file: FilePath, key: str, reason: str, english: str) -> ConfigurationError:
    where = f"的 {key} " if key else ""
    return ConfigurationError(
        f"消息约定文件“{file.name}”{where}有误：{reason}", action="请修改后重试", english=f"profile {file.name}: {key}: {english}"
    )
