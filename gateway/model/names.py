"""Names of people as Chinese senders fill XPN and XCN: the whole name in the first component, or in the second, or name and pinyin, or
family name and given name. They are joined and never split; pinyin beside a Chinese name is left out."""

from __future__ import annotations

import re
from collections.abc import Sequence

_CHINESE = re.compile(r"[\u2e80-\u2fdf\u3005\u3007\u3400-\u9fff\ue000-\uf8ff\uf900-\ufaff\U00020000-\U0003ffff]")


def is_chinese(text: str) -> bool:
    """Whether any character of ``text`` is a Chinese one (private-use characters of GBK count: they stand for rare ones)."""
    return _CHINESE.search(text) is not None


def joined(parts: Sequence[str]) -> str:
    """Family, given and further names as one. Parts of a foreign name are set apart by blanks."""
    filled = [part.strip() for part in parts if part and part.strip()]
    chinese = [part for part in filled if is_chinese(part)]
    if not chinese:
        return " ".join(filled)
    if len(chinese) > 1 and len(chinese[0]) > 1 and len(set(chinese)) == 1:
        return chinese[0]  # the whole name, sent in both components
    return "".join(chinese)
