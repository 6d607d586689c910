"""Cells for generated files: per column a value that is plainly as the standard wants it, and damage done to such values."""

from __future__ import annotations

from random import Random

from mappings.dictionary import load_value_sets
from mappings.layout import Field, Layout

LETTERS = "𬱖㛃䶮𠮷髅王小明甲乙丙丁市县路号abcXYZ019·（）-+=@,;\"'_ "
"""Rare characters of real names, bytes that GB18030 shares with punctuation, and what CSV and spreadsheets take for more."""

DAMAGE = (
    "",
    " ",
    "\t",
    "\u3000",
    "\u200b",
    "-",
    "—",
    ".",
    ".0",
    "0",
    "00",
    ",",
    "、",
    "E+17",
    "/",
    "年",
    "x",
    "\n",
    '"',
    "５",
    "W",
    ":",
    "+",
)
_VALUE_SETS = load_value_sets()
_CODES = {id: sorted(value_set.codes) for id, value_set in _VALUE_SETS.items()}


def plain_record(layout: Layout, seed: int, *, dashes: bool = True) -> list[str]:
    """A row of a layout: most cells filled, some blank, some ``-``; the columns that identify a stay always filled."""
    rng = Random(seed)
    cells = []
    for field in layout.fields:
        kind = rng.random()
        if field.path == "record_number":
            cells.append(f"0{seed}")
        elif field.path == "admission_number":
            cells.append(str(1 + seed % 99))
        elif kind < 0.15 or (kind < 0.3 and not dashes):
            cells.append("")
        else:
            cells.append("-" if kind < 0.3 else plain_value(field, rng))
    return cells


def plain_value(field: Field, rng: Random) -> str:
    """A value of a column: right type, in its value set, not too long in characters or in GB18030 bytes, no blanks around it."""
    match field.type:
        case "code" if field.domain in _CODES:
            return rng.choice([code for code in _CODES[field.domain] if _fits(code, field)])
        case "code_list":
            return rng.choice(_CODES[field.domain])
        case "int":
            return str(rng.randrange(10 ** min(field.max_length or 3, 9)))
        case "decimal":
            whole = rng.randrange(10 ** min((field.max_length or 6) - field.scale - 1, 8))
            return f"{whole}.{rng.randrange(10**field.scale):0{field.scale}d}" if field.scale else str(whole)
        case "date":
            return _day(rng)
        case "datetime":
            return f"{_day(rng)} {rng.randrange(24):02d}:{rng.randrange(60):02d}:{rng.randrange(60):02d}"
    for _ in range(20):
        text = "".join(rng.choices(LETTERS, k=rng.randint(1, min(field.max_length or 12, 12)))).strip()
        if text not in ("", "-") and _fits(text, field):
            return text
    return "7"


def damaged(text: str, rng: Random) -> str:
    """A text with something put in, left out or put in its place."""
    at = rng.randint(0, len(text))
    return text[:at] + rng.choice(DAMAGE) + text[at + rng.choice((0, 0, 1)) :]


def _fits(text: str, field: Field) -> bool:
    return len(text.encode("gb18030")) <= (field.max_length or 32_767)


def _day(rng: Random) -> str:
    return f"{rng.randint(1900, 2100)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
