"""The check character of the resident identity number (居民身份证号): GB 11643-1999, after ISO 7064 MOD 11-2."""

from __future__ import annotations

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHARACTERS = "10X98765432"


def check_character(first17: str) -> str:
    """The 18th character for the 17 digits before it."""
    return _CHARACTERS[sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, first17, strict=True)) % 11]
