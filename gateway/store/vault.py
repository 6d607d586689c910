"""Patient data at rest: authenticated encryption, key rotation and a blind index for search.

Everything in the ledger that can identify a person is sealed with AES-256-GCM under a key of the key ring. A sealed value is
``version byte, key number, 12-byte nonce, ciphertext``; the additional data names the column, so a value cannot be moved to
another place. Version 1 is compressed before it is encrypted, version 2 (short values, where setting up a compressor costs more than it
saves) is not. A keyed hash (HMAC-SHA-256) of an identity serves equality search without revealing it.
"""

from __future__ import annotations

import hmac
import os
import secrets
import tomllib
import zlib
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.model.errors import ConfigurationError

_COMPRESSED, _PLAIN = 1, 2
_SHORT = 1024
"""Bytes below which a value is not compressed."""

_NUMBERS = frozenset(range(256))


class Vault:
    """Seals and opens bytes. ``keys`` by number (0-255); the highest number seals, all of them open."""

    def __init__(self, keys: dict[int, bytes], index_key: bytes) -> None:
        if not keys or any(len(key) != 32 for key in keys.values()) or not keys.keys() <= _NUMBERS or len(index_key) < 32:
            raise ConfigurationError(
                "密钥文件不完整：需要至少一个 256 位数据密钥和一个索引密钥",
                action="请用 zhibao init 生成，不要手工编写",
                english="key ring is incomplete",
            )
        self._keys = {number: AESGCM(key) for number, key in keys.items()}
        self._current = max(keys)
        self._index_key = index_key

    def seal(self, data: bytes, place: str) -> bytes:
        """``data`` encrypted for ``place`` (``table.column``)."""
        nonce = os.urandom(12)
        version, content = (_PLAIN, data) if len(data) < _SHORT else (_COMPRESSED, zlib.compress(data, 1))
        cipher = self._keys[self._current].encrypt(nonce, content, _bound_to(version, place))
        return bytes((version, self._current)) + nonce + cipher

    def open(self, sealed: bytes, place: str) -> bytes:
        """What was sealed for ``place``. Raises `ConfigurationError` when no key fits or the value was altered or moved."""
        version = sealed[0] if len(sealed) >= 30 else 0
        key = self._keys.get(sealed[1]) if version in (_COMPRESSED, _PLAIN) else None
        try:
            if key is not None:
                content = key.decrypt(sealed[2:14], sealed[14:], _bound_to(version, place))
                return zlib.decompress(content) if version == _COMPRESSED else content
        except InvalidTag:
            pass
        raise ConfigurationError(
            "加密数据无法打开：密钥不符或数据被改动",
            action="请确认使用的是本库的密钥文件，并检查备份是否完整",
            english=f"cannot open sealed value of {place}",
        )

    def index(self, *parts: str) -> str:
        """Blind index of an identity: equal identities have equal indexes, nothing else can be learned without the key."""
        return hmac.digest(self._index_key, "\x1f".join(parts).encode(), "sha256").hex()

    @classmethod
    def create(cls, path: Path) -> Vault:
        """Write a new key file readable by its owner only. Raises `ConfigurationError` when one is there already."""
        text = (
            "# 直报密钥文件：丢失后数据无法恢复，请离线备份；泄露等于数据泄露。\n"
            "# Zhibao key ring: without it the ledger cannot be read. Add keys.2 = ... to rotate; keep the old ones.\n"
            f'index = "{secrets.token_hex(32)}"\n\n[keys]\n1 = "{secrets.token_hex(32)}"\n'
        )
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise ConfigurationError(f"密钥文件已存在：{path.name}", english="key file exists") from None
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> Vault:
        """Read a key file. Raises `ConfigurationError` when it is missing, malformed or readable by others."""
        if not path.is_file():
            raise ConfigurationError(
                f"找不到密钥文件 {path.name}",
                action="请先运行 zhibao init，或恢复备份的密钥文件",
                english="no key file",
            )
        if path.stat().st_mode & 0o077:
            raise ConfigurationError(
                f"密钥文件 {path.name} 可被其他用户读取",
                action=f"请执行 chmod 600 {path.name} 后再启动",
                english="key file is readable by others",
            )
        try:
            data = tomllib.loads(path.read_text("utf-8"))
            return cls({int(n): bytes.fromhex(k) for n, k in data["keys"].items()}, bytes.fromhex(data["index"]))
        except (KeyError, ValueError, TypeError, AttributeError):  # no TOML, a member missing, none of its type
            raise ConfigurationError(f"密钥文件 {path.name} 无法解析", english="key file is malformed") from None


def _bound_to(version: int, place: str) -> bytes:
    """What a sealed value cannot be parted from. Version 1 was so before there was another one."""
    return place.encode() if version == _COMPRESSED else f"{place}\0{version}".encode()
