"""Cells that are plainly as the standard wants them.

For each column a predicate tells, in a fraction of a microsecond, that a text is a well-formed value of the declared type, within
length and value set and without stray blanks. Then none of the per-column rules (required, dash, length, format, value set,
untrimmed) can find anything. The predicate may say no to text that is fine; it must never say yes to text that is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from conformance.checks.functions import is_date, is_datetime
from mappings.dictionary import ValueSet
from mappings.layout import Field

Predicate = Callable[[str], bool]


def plain_value(field: Field, value_sets: Mapping[str, ValueSet]) -> Predicate:
    """The predicate of one column."""
    if field.domain in value_sets:
        return value_sets[field.domain].codes.__contains__
    match field.type:
        case "int":
            longest = field.max_length or 18
            return lambda text: text.isascii() and text.isdigit() and len(text) <= longest
        case "decimal":
            digits = (field.max_length or 18) - field.scale - 1
            pattern = re.compile(rf"\d{{1,{max(digits, 1)}}}(\.\d{{1,{max(field.scale, 1)}}})?").fullmatch
            return lambda text: text.isascii() and pattern(text) is not None
        case "date":
            return is_date
        case "datetime":
            return is_datetime
        case _:
            longest = field.max_length or 32767
            return lambda text: 1 < len(text) <= longest and text.strip() is text and text.isprintable()
