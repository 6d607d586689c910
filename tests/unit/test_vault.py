"""Sealing and opening, the key ring and its file."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model.errors import ConfigurationError
from gateway.store.vault import Vault

PLACE = "stay_version.body"
NAME = "王测试".encode()
INDEX = b"i" * 32


def vault(**keys: bytes) -> Vault:
    return Vault({int(number[1:]): key for number, key in keys.items()}, INDEX)


OLD, NEW = b"1" * 32, b"2" * 32


@settings(deadline=None)
@given(st.binary(max_size=2000))
def test_what_is_sealed_opens_again_and_does_not_show(data: bytes) -> None:
    sealed = vault(k1=OLD).seal(data, PLACE)
    assert vault(k1=OLD).open(sealed, PLACE) == data
    if len(data) > 3:
        assert data not in sealed


def test_equal_values_do_not_look_equal() -> None:
    assert vault(k1=OLD).seal(NAME, PLACE) != vault(k1=OLD).seal(NAME, PLACE)


def test_a_value_opens_in_its_own_place_only() -> None:
    sealed = vault(k1=OLD).seal(NAME, PLACE)
    for place in ("submission_version.record", "stay_version", "", PLACE + " "):
        with pytest.raises(ConfigurationError, match="无法打开"):
            vault(k1=OLD).open(sealed, place)


def test_another_key_does_not_open() -> None:
    sealed = vault(k1=OLD).seal(NAME, PLACE)
    for wrong in (vault(k1=NEW), vault(k2=OLD)):
        with pytest.raises(ConfigurationError, match="无法打开"):
            wrong.open(sealed, PLACE)


def test_no_byte_can_be_altered_and_no_end_cut_off() -> None:
    box = vault(k1=OLD)
    sealed = box.seal(NAME, PLACE)
    for position in range(len(sealed)):
        altered = bytearray(sealed)
        altered[position] ^= 1
        with pytest.raises(ConfigurationError):
            box.open(bytes(altered), PLACE)
        with pytest.raises(ConfigurationError):
            box.open(sealed[:position], PLACE)
    with pytest.raises(ConfigurationError):
        box.open(sealed + b"\0", PLACE)


def test_after_rotation_the_new_key_seals_and_both_open() -> None:
    before = vault(k1=OLD).seal(NAME, PLACE)
    rotated = vault(k1=OLD, k2=NEW)
    assert rotated.open(before, PLACE) == NAME
    after = rotated.seal(NAME, PLACE)
    assert vault(k2=NEW).open(after, PLACE) == NAME
    with pytest.raises(ConfigurationError):
        vault(k1=OLD).open(after, PLACE)
    with pytest.raises(ConfigurationError):
        vault(k2=NEW).open(before, PLACE)


def test_the_blind_index_is_equal_for_equal_identities_only() -> None:
    box = vault(k1=OLD)
    assert box.index("99", "0001", "1") == vault(k2=NEW).index("99", "0001", "1")  # it outlives a rotation
    others = {box.index("99", "0001", "2"), box.index("99", "00011", ""), box.index("990", "001", "1"), box.index("99", "0001")}
    assert len(others | {box.index("99", "0001", "1")}) == 5
    assert Vault({1: OLD}, b"j" * 32).index("99", "0001", "1") != box.index("99", "0001", "1")


@pytest.mark.parametrize(
    ("keys", "index"),
    [({}, INDEX), ({1: b"short"}, INDEX), ({1: OLD}, b"short"), ({1: OLD, 2: b""}, INDEX), ({256: OLD}, INDEX), ({-1: OLD}, INDEX)],
)
def test_a_key_ring_that_cannot_work_is_refused(keys: dict[int, bytes], index: bytes) -> None:
    with pytest.raises(ConfigurationError, match="密钥文件不完整"):
        Vault(keys, index)


# -- the file


def test_a_new_key_file_is_the_owners_alone_and_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "zhibao.keys"
    made = Vault.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Vault.load(path).open(made.seal(NAME, PLACE), PLACE) == NAME
    content = path.read_bytes()
    with pytest.raises(ConfigurationError, match="已存在"):
        Vault.create(path)
    assert path.read_bytes() == content
    assert Vault.create(tmp_path / "other.keys").index("1") != made.index("1")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666])
def test_a_key_file_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "zhibao.keys"
    Vault.create(path)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="可被其他用户读取") as refusal:
        Vault.load(path)
    assert "chmod 600" in refusal.value.action
    path.chmod(0o600)
    Vault.load(path)


def test_a_key_added_by_hand_seals_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "zhibao.keys"
    before = Vault.create(path).seal(NAME, PLACE)
    path.write_text(path.read_text("utf-8") + f'2 = "{NEW.hex()}"\n', "utf-8")
    rotated = Vault.load(path)
    assert rotated.open(before, PLACE) == NAME
    assert rotated.seal(NAME, PLACE)[1] == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "keys = 1",
        "{{{",
        'index = "00"\n[keys]\n1 = "zz"\n',
        f'index = "{INDEX.hex()}"\n',
        f'index = 5\n[keys]\n1 = "{OLD.hex()}"\n',
        f'index = "{INDEX.hex()}"\nkeys = ["{OLD.hex()}"]\n',
        f'index = "{INDEX.hex()}"\n[keys]\none = "{OLD.hex()}"\n',
        f'index = "{INDEX.hex()}"\n[keys]\n1 = 7\n',
        f'index = "{INDEX.hex()}"\n[keys]\n999 = "{OLD.hex()}"\n',
    ],
)
def test_a_damaged_key_file_is_refused_without_showing_a_key(tmp_path: Path, text: str) -> None:
    path = tmp_path / "zhibao.keys"
    path.touch(mode=0o600)
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match="密钥文件") as refusal:
        Vault.load(path)
    assert not re.search(r"[0-9a-f]{16}", str(refusal.value) + refusal.value.english)


def test_a_missing_key_file_and_a_binary_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="找不到密钥文件"):
        Vault.load(tmp_path / "zhibao.keys")
    path = tmp_path / "binary.keys"
    path.touch(mode=0o600)
    path.write_bytes(b"\xff\x00\xfe")
    with pytest.raises(ConfigurationError, match="无法解析"):
        Vault.load(path)


@pytest.mark.parametrize("length", [0, 1, 1023, 1024, 100_000])
def test_short_values_are_not_compressed_and_nothing_can_say_otherwise(length: int) -> None:
    data, box = b"x" * length, vault(k1=OLD)
    sealed = box.seal(data, PLACE)
    assert sealed[0] == (2 if length < 1024 else 1)
    assert box.open(sealed, PLACE) == data
    with pytest.raises(ConfigurationError):
        box.open(bytes((3 - sealed[0],)) + sealed[1:], PLACE)


def test_short_values_that_were_sealed_compressed_still_open() -> None:
    """As version 1 wrote them before there was another one."""
    cipher = AESGCM(OLD).encrypt(bytes(12), zlib.compress(b"short", 1), PLACE.encode())
    assert vault(k1=OLD).open(bytes((1, 1)) + bytes(12) + cipher, PLACE) == b"short"
