"""What the names of diagnoses say beside their codes: doubt, metastasis, recurrence, side. Source: our reading of Chinese diagnosis names (the
reference has no such list); the code decides what the tumour is, these words only what the statement is worth."""

from __future__ import annotations

import re
from typing import Final

_DOUBT: Final = re.compile(r"疑|待排|待查|待除外|不除外|除外|可能|倾向|考虑|[?？]")
_SECONDARY: Final = re.compile(r"(?!.*原发)[^癌瘤]*(继发|转移性|转移癌|转移瘤)")
"""before any word for the tumour itself: 转移性肺癌, 肺继发恶性肿瘤; not 肺癌伴骨转移瘤"""
_RECURRENCE: Final = re.compile(r"复发(?!缓解)|再发|进展")
_WITH: Final = re.compile(r"[,，;；。]|伴|并发|合并")
_SIDES: Final = {"1": re.compile(r"左"), "2": re.compile(r"右"), "3": re.compile(r"双侧|双(?=[肺乳肾眼耳]|卵巢)")}


def doubtful(name: str) -> bool:
    """Whether the name says that the diagnosis is not certain (疑似, 待排, 考虑 …)."""
    return _DOUBT.search(name) is not None


def secondary(name: str) -> bool:
    """Whether the name says that it is a metastasis. Not for leukaemia and lymphoma, where 继发 means something else."""
    return _SECONDARY.match(_head(name)) is not None


def recurrence(name: str) -> bool:
    """Whether the name says recurrence or progression."""
    return _RECURRENCE.search(name) is not None


def side(name: str) -> str:
    """The laterality code (1 left, 2 right, 3 both) that a name states of its own site; empty where it states none or several."""
    head = _head(name)
    found = [code for code, word in _SIDES.items() if word.search(head)]
    return found[0] if len(found) == 1 else "3" if "3" in found else ""


def _head(name: str) -> str:
    """The name without what accompanies the tumour (伴骨转移)."""
    return _WITH.split(name.strip(), maxsplit=1)[0]
