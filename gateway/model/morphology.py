"""Morphology codes: ICD-O-3 ``8500/3`` is printed ``M85000/3`` on the front sheet (M, four digits, a filler digit 0, behaviour)."""

from __future__ import annotations

import re

_SHAPE = re.compile(r"[Mm]?(\d{4})(\d?)/(\d)")


def morphology_code(text: str) -> str:
    """The national form of a code that is shaped like morphology (``8500/3``, ``M8500/3``, ``M85000/3``), or an empty string."""
    match = _SHAPE.fullmatch(text.strip())
    return f"M{match[1]}{match[2] or '0'}/{match[3]}" if match else ""
