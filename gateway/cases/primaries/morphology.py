"""A coded morphology in every spelling: ``M8500/3``, ``M85000/3`` (national list, with one extension digit), ``8500/3``, ``85003``, and
``ICD-O-3:8500/3``."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

_PREFIX: Final = r"(?:ICD-?O(?:-?[123])?\s*[::]?\s*)?M?[-:\s]*"
_WITH_SLASH: Final = re.compile(_PREFIX + r"([89]\d{3})\d?\s*/\s*(\d)\d?", re.IGNORECASE)
_WITHOUT: Final = re.compile(_PREFIX + r"([89]\d{3})(\d)", re.IGNORECASE)


@lru_cache(maxsize=4096)
def parsed(code: str) -> tuple[str, str]:
    """(four-digit histology, behaviour digit); both empty where it is no coded morphology. A digit for grade after the behaviour is left out."""
    text = unicodedata.normalize("NFKC", code).strip()
    match = _WITH_SLASH.fullmatch(text) or _WITHOUT.fullmatch(text)
    return (match[1], match[2]) if match else ("", "")
