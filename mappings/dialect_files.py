"""Dialect files: TOML tables, each over the one that it ``extends``, whatever the standard they are for.

`tables` reads them, `typed` checks a part against its type; `Systems` and `AddressKind` are what a file of any standard may say. Every
mistake is a `ConfigurationError` that names the file and the key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from gateway.model.errors import ConfigurationError

Typed = TypeVar("Typed")

AddressKind = Literal["", "present", "registered", "employer", "birthplace"]
"""Of addresses that do not say their kind: which one they are; empty where nobody knows."""


class Systems(Struct, frozen=True, forbid_unknown_fields=True):
    """Code systems, that is editions, in which the sender codes."""

    diagnosis: str = "ICD10-GB-CLIN-2.0"
    procedure: str = "ICD9CM3-GB-CLIN-3.0"
    morphology: str = "ICDO-M-GB-CLIN-2.0"


def faulty(origin: str, key: str, reason: str, english: str = "") -> ConfigurationError:
    """The error for a mistake in a dialect file."""
    return ConfigurationError(
        f"方言“{origin}”的 {key} 有误：{reason}",
        action="请修改方言文件后重试",
        english=f"dialect {origin}: {key}: {english or reason}",
    )


def tables(name_or_path: str, built_in: Mapping[str, Traversable]) -> dict[str, Any]:
    """The dialect of that name, or in that ``.toml`` file, together with what it extends; its ``id`` is the file's name where it says
    none. Raises `ConfigurationError`."""
    return _over_parents(name_or_path, built_in, ())


def typed(origin: str, key: str, value: object, type: type[Typed]) -> Typed:
    """``value`` as ``type``. Raises `ConfigurationError` that names the key below ``key``."""
    try:
        return msgspec.convert(value, type)
    except msgspec.ValidationError as error:
        inner, reason = misfit(error)
        raise faulty(origin, f"{key}{'.' if key and inner[:1] not in '[' else ''}{inner}" or "顶层", reason) from error


def misfit(error: msgspec.ValidationError) -> tuple[str, str]:
    """(key, reason): which key of a file does not fit its type, as a path into the file, and msgspec's own words for it. The key is
    empty where it is the file as a whole."""
    reason, _, where = str(error).partition(" - at `$")
    return where.rstrip("`").lstrip("."), reason


def _over_parents(name_or_path: str, built_in: Mapping[str, Traversable], below: tuple[str, ...]) -> dict[str, Any]:
    if name_or_path in below:
        raise faulty(below[0], "extends", "方言互相继承", "dialects extend each other")
    own = _load(name_or_path, built_in)
    own.setdefault("id", Path(name_or_path).stem)
    parent = own.get("extends", "")
    if not isinstance(parent, str):
        raise faulty(name_or_path, "extends", "应为方言名称", "should be the name of a dialect")
    if not parent:
        return own
    if parent not in built_in and not Path(parent).is_absolute():
        parent = str(Path(name_or_path).parent / parent)
    return _over(_over_parents(parent, built_in, (*below, name_or_path)), own)


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _load(name_or_path: str, built_in: Mapping[str, Traversable]) -> dict[str, Any]:
    try:
        if name_or_path in built_in:
            content = built_in[name_or_path].read_text(encoding="utf-8")
        elif name_or_path.endswith(".toml"):
            content = Path(name_or_path).read_text(encoding="utf-8-sig")
        else:
            raise ConfigurationError(
                f"没有名为“{name_or_path}”的方言",
                action=f"可用的方言：{'、'.join(built_in)}，或一个 .toml 方言文件的路径",
                english=f"unknown dialect {name_or_path!r}",
            )
        return tomllib.loads(content)
    except OSError as error:
        raise ConfigurationError(
            f"方言文件“{name_or_path}”无法打开", action="请核对路径和权限", english=f"cannot open dialect file: {error.strerror}"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"方言文件“{name_or_path}”不是 UTF-8 编码", action="请另存为 UTF-8", english="dialect file is not UTF-8"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(
            f"方言文件“{name_or_path}”不是正确的 TOML：{error}", action="请按提示的行列修改", english=f"not TOML: {error}"
        ) from error
