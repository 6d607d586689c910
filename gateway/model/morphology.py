"""Morphology codes: ICD-O-3 ``8500/3`` is printed ``M85000/3`` on the front sheet (M, four digits, a filler digit 0, behaviour)."""

from __future__ import annotations

import re

_SHAPE = re.compile(r"[Mm]?(\d{4})(\d?)/(\d)")
_BARE = re.compile(r"[Mm]?(\d{4})()(\d)")


def morphology_code(text: str) -> str:
    """The national form of a code that is shaped like morphology (``8500/3``, ``M8500/3``, ``M85000/3``), or an empty string."""
    match = _SHAPE.fullmatch(text.strip())
    return f"M{match[1]}{match[2] or '0'}/{match[3]}" if match else ""


def icdo3_code(text: str) -> str:
    """The ICD-O-3 form of a morphology code (``8500/3``) in any of these spellings and without its stroke (``85003``), or an empty
    string."""
    match = _SHAPE.fullmatch(text.strip()) or _BARE.fullmatch(text.strip())
    return f"{match[1]}/{match[3]}" if match and match[2] in ("", "0") else ""
