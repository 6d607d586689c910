"""The delimiters that a message declares for itself (HL7 v2.x chapter 2, "message delimiters") and the escape sequences made of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from adapters.hl7v2.refusal import refused

_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_LINE_END = re.compile(r"\r\n?")


@dataclass(frozen=True, slots=True)
class Delimiters:
    """The separators of one message, one character each; those that MSH-2 leaves out are empty and never split anything."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""

    @classmethod
    def of(cls, field: str, encoding: str) -> Self:
        """The delimiters of MSH-1 and MSH-2. Raises `MessageRefused` (``delimiters``).

        Trailing characters of MSH-2 may be missing; a fifth is the truncation character of v2.7. Observed dialect: the escape
        character doubled (``^~\\\\&``), as if copied from source code; it is read as one.
        """
        if len(encoding) == 5 and encoding[2] == encoding[3]:
            encoding = encoding[:2] + encoding[3:]
        characters = [field, *encoding]
        if not 2 <= len(characters) <= 6 or len(set(characters)) != len(characters) or not _PUNCTUATION.issuperset(characters):
            raise refused("delimiters")
        return cls(*characters, *[""] * (6 - len(characters)))

    @property
    def encoding(self) -> str:
        """MSH-2."""
        return self.component + self.repetition + self.escape + self.subcomponent + self.truncation

    @property
    def line_break(self) -> str:
        """The escape sequence of a new line."""
        return f"{self.escape}.br{self.escape}"


STANDARD = Delimiters()


@lru_cache(maxsize=64)
def delimiters(field: str, encoding: str) -> Delimiters:
    """`Delimiters.of`, remembered: a sender always uses the same."""
    return Delimiters.of(field, encoding)


def unescape(text: str, marks: Delimiters, codec: str) -> str:
    """``text`` with its escape sequences resolved.

    Delimiters ``\\F\\ \\S\\ \\R\\ \\E\\ \\T\\ \\P\\``; ``\\.br\\``, ``\\.sp\\`` (with a count) and ``\\.ce\\`` become newlines,
    as does the observed home-made ``\\@\\``; highlighting ``\\H\\ \\N\\`` goes; ``\\X..\\`` holds bytes of the message's own
    character set ``codec``, a carriage return among them becomes a newline. Whatever else stands between escape characters, or
    cannot be resolved, is kept as it is.
    """
    if not marks.escape or marks.escape not in text:
        return text
    only_breaks = text.replace(marks.line_break, "\n")  # by far the most frequent
    if marks.escape not in only_breaks:
        return only_breaks
    pattern, replace = _unescaping(marks, codec)
    return pattern.sub(replace, text)


def escape(text: str, marks: Delimiters) -> str:
    """``text`` fit to stand in a component. Line ends become ``\\.br\\``. A delimiter that cannot be escaped, because the message
    declares no escape character, becomes a blank."""
    table: dict[str, str | int | None] = {"\n": marks.line_break if marks.escape else " "}
    for mark, letter in zip(
        (marks.escape, marks.field, marks.component, marks.repetition, marks.subcomponent), "EFSRT", strict=True
    ):
        if mark:
            table[mark] = marks.escape + letter + marks.escape if marks.escape else " "
    return _LINE_END.sub("\n", text).translate(str.maketrans(table))


@lru_cache(maxsize=256)
def _unescaping(marks: Delimiters, codec: str) -> tuple[re.Pattern[str], Callable[[re.Match[str]], str]]:
    e = re.escape(marks.escape)
    # well-formed sequences that are not resolved come last: they are kept, but consumed whole, so that no second one is seen in them
    pattern = re.compile(
        rf"((?:{e}X[0-9A-Fa-f]+{e})+)|{e}(?:([FSRETPHN@]|\.br|\.ce)|\.sp\+?(\d{{0,2}})|(?:Z[^{e}]*|[CM][0-9A-Fa-f]+|\.[a-z]{{2}}[+-]?\d*)){e}"
    )
    plain = {
        "F": marks.field,
        "S": marks.component,
        "R": marks.repetition,
        "E": marks.escape,
        "T": marks.subcomponent,
        "P": marks.truncation,
        "H": "",
        "N": "",
        "@": "\n",
        ".br": "\n",
        ".ce": "\n",
    }

    def replace(match: re.Match[str]) -> str:
        if match[1]:
            return _hexadecimal(match[1], marks.escape, codec)
        if match[2]:
            return plain[match[2]] if match[2] not in "TRP" or plain[match[2]] else match[0]
        if match[3] is not None:
            return "\n" * int(match[3] or 1)
        return match[0]

    return pattern, replace


def _hexadecimal(sequences: str, mark: str, codec: str) -> str:
    """Adjacent ``\\X..\\`` sequences as one run of bytes, since a character may be spread over several."""
    digits = sequences.replace(mark + "X", "").replace(mark, "")
    if any(len(part.rstrip(mark)) % 2 for part in sequences.split(mark + "X")[1:]):
        return sequences
    try:
        text = bytes.fromhex(digits).decode(codec)
    except UnicodeDecodeError:
        return sequences
    return _LINE_END.sub("\n", text)
