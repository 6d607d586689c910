"""FHIR JSON text in and out. What comes in is strict UTF-8, at most 64 levels deep, with numbers of sane length and no member named twice.

The fast way is msgspec. Where it refuses, or something cheap to count says that the text is not as it should be, a slow reading of the
same text (`Scan`) finds out which element is to blame. Nothing here recurses, and no text of a fault holds a value of the message.

Rules: RFC 8259; a member twice in one object is not interoperable there (section 4) and FHIR forbids it (json.html); numbers keep the
digits that were sent (FHIR decimal). The limits are ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec

from adapters.fhir.refusal import FhirRefused, refused

DEEPEST: Final = 64
"""Levels of objects and arrays inside each other in one resource (a bundle's envelope comes on top)."""

MOST_DIGITS: Final = 32
"""Digits of a number."""

LARGEST_EXPONENT: Final = 30
"""Largest power of ten in a number, and its negative the smallest."""

_DIGITS = bytes(ord("0") if chr(byte).isdecimal() and byte < 128 else ord(" ") for byte in range(256))
_DIGIT_RUN = b"0" * (MOST_DIGITS + 1)
_SPACED_COLON = re.compile(rb'"[ \t\r\n]+:')
_BYTE = re.compile(r"\(byte (\d+)\)")
_HALF_CHARACTER = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_TOKEN = re.compile(rb'("(?:[^"\\]++|\\.)*+"?)|([{}\[\],:])|[^ \t\r\n{}\[\],:"]++', re.DOTALL)
_WHOLE_NUMBER = re.compile(rb"-?[0-9]")
_CONTAINERS = frozenset((dict, list))
_LONGEST_PATH = 16


class _Absurd(ValueError):
    """A number beyond the limits."""


def _number(text: str) -> Decimal:
    if is_absurd(text):
        raise _Absurd
    return Decimal(text)


def is_absurd(text: str) -> bool:
    """Is the number, as written, longer than `MOST_DIGITS` or beyond ``LARGEST_EXPONENT``?"""
    if len(text) <= LARGEST_EXPONENT and "e" not in text and "E" not in text:
        return False
    mantissa, _, exponent = text.lower().partition("e")
    digits = sum(character.isdigit() for character in mantissa)
    return digits > MOST_DIGITS or len(exponent) > 5 or abs(int(exponent or "0")) > LARGEST_EXPONENT


_ANYTHING = msgspec.json.Decoder(float_hook=_number)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def decode(raw: bytes | msgspec.Raw, place: str = "") -> Any:
    """The value of a JSON text. Numbers with a fraction or an exponent are `Decimal`. ``place`` is the FHIRPath of what is decoded.

    Raises `FhirRefused` (``json``, ``too-deep``, ``number``)."""
    value = _guarded(_ANYTHING.decode, raw, place)
    if _DIGIT_RUN in bytes(raw).translate(_DIGITS):  # a tenth of the time of a regular expression
        fault = Scan(bytes(raw), place).number()
        if fault:
            raise fault
    return value


def members(raw: bytes | msgspec.Raw, place: str = "") -> dict[str, msgspec.Raw]:
    """The members of a JSON object, not decoded yet. Raises `FhirRefused` as `decode` does, and ``not-an-object``."""
    found = _guarded(_MEMBERS.decode, raw, place)
    assert isinstance(found, dict)
    return found


def items(raw: bytes | msgspec.Raw, place: str = "") -> list[msgspec.Raw]:
    """The items of a JSON array, not decoded yet. Raises as `members` does, and ``not-an-array``."""
    found = _guarded(_ITEMS.decode, raw, place)
    assert isinstance(found, list)
    return found


def encode(value: Any) -> bytes:
    """The JSON text of a value; decimals with the digits that they have (6.50)."""
    return _ENCODER.encode(value)


def count_members(value: Any, place: str = "") -> int:
    """How many members all objects in a decoded value have together. Raises `FhirRefused` (``too-deep``)."""
    count, depth = 0, 0
    level = [value] if type(value) in _CONTAINERS else []
    while level:
        depth += 1
        if depth > DEEPEST:
            raise too_deep(place)
        below: list[Any] = []
        for node in level:
            if type(node) is dict:
                count += len(node)
                below += [child for child in node.values() if type(child) in _CONTAINERS]
            else:
                below += [child for child in node if type(child) in _CONTAINERS]
        level = below
    return count


def check_names(raw: bytes, expected: int, place: str = "") -> None:
    """Raise `FhirRefused` (``duplicate-member``) if an object of the text has two members of one name.

    ``expected`` is what was decoded (`count_members`): a member ends with a quote and a colon, so a text with no more of these than
    members has none twice. Only a text that has more is read again."""
    if raw.count(b'":') + sum(1 for _ in _SPACED_COLON.finditer(raw)) > expected:
        fault = Scan(raw, place).doubled_member()
        if fault:
            raise fault


def too_deep(place: str) -> FhirRefused:
    """Refusal of what is nested deeper than `DEEPEST`."""
    return refused("too-deep", "too-long", place, f"嵌套超过 {DEEPEST} 层", f"nested deeper than {DEEPEST} levels", status=400)


def join(place: str, part: str) -> str:
    """The FHIRPath of a part of what is at ``place``."""
    return f"{place}.{part}" if place else part


def safe_name(name: str) -> str:
    """A member's name for an expression: as sent if it looks like an element's name, else ``?`` (it might be a value)."""
    return name if _NAME.fullmatch(name) else "?"


def _guarded(decoder: Callable[[Any], Any], raw: bytes | msgspec.Raw, place: str) -> Any:
    try:
        return decoder(raw)
    except (RecursionError, ValueError) as error:
        raise _explained(error, bytes(raw), place) from None


def _explained(error: Exception, raw: bytes, place: str) -> FhirRefused:
    """The refusal that says what the decoder did not like, and where."""
    scan, said = Scan(raw, place), str(error)
    if isinstance(error, RecursionError):
        return scan.too_deep()
    if isinstance(error, UnicodeDecodeError):
        return scan.syntax("文本不是 UTF-8 编码", "text is not UTF-8", _offset_of_undecodable(raw, error))
    if "Expected `array`" in said:
        return refused("not-an-array", "structure", place, "应为数组", "must be an array", status=400)
    if "Expected `object`" in said:
        return refused("not-an-object", "structure", place, "应为对象", "must be an object", status=400)
    if isinstance(error, (_Absurd, msgspec.ValidationError)) and (fault := scan.number()):
        return fault
    at, half = _BYTE.search(said), _HALF_CHARACTER.search(raw)
    offset = int(at[1]) if at else half.start() if half else len(raw)  # msgspec takes half a character for the end of the text
    return scan.syntax("不是有效的 JSON", "not valid JSON", offset)


def _offset_of_undecodable(raw: bytes, error: UnicodeDecodeError) -> int:
    """Where in the whole text: the error counts from the start of its string."""
    try:
        raw.decode()
    except UnicodeDecodeError as whole:
        return whole.start
    return error.start


class Scan:
    """A slow reading of JSON text that knows at each token where in the resource it is. It finds one fault, or none, and returns the
    refusal that names it. Without a place it takes the name of the resource from what was read of it."""

    def __init__(self, raw: bytes, place: str = "") -> None:
        self._raw = raw
        self._place = place
        self._stack: list[tuple[str | int, set[str]]] = []

    def too_deep(self) -> FhirRefused:
        """Where the text goes deeper than `DEEPEST`."""
        for _ in self._tokens():
            if len(self._stack) > DEEPEST:
                break
        return too_deep(self._path())

    def number(self) -> FhirRefused | None:
        """The first number beyond the limits."""
        for token, _ in self._tokens():
            if _WHOLE_NUMBER.match(token) and is_absurd(token.decode("ascii", "replace")):
                text = f"数值超过 {MOST_DIGITS} 位数字或 10 的 ±{LARGEST_EXPONENT} 次方"
                english = f"number of more than {MOST_DIGITS} digits or beyond ten to the power of ±{LARGEST_EXPONENT}"
                return refused("number", "value", self._path(), text, english, status=400)
        return None

    def doubled_member(self) -> FhirRefused | None:
        """The first member whose name its object already has."""
        for _, doubled in self._tokens():
            if doubled:
                return refused(
                    "duplicate-member", "structure", self._path(), "同一对象中成员重复", "member twice in one object", status=400
                )
        return None

    def syntax(self, text: str, english: str, offset: int) -> FhirRefused:
        """What is wrong at a byte of the text, with line, column (in bytes) and element."""
        for _ in self._tokens(offset):
            pass
        line = self._raw.count(b"\n", 0, offset) + 1
        column = offset - self._raw.rfind(b"\n", 0, offset)
        where = f"（第 {line} 行第 {column} 字节）"
        return refused("json", "structure", self._path(), text + where, f"{english} (line {line}, byte {column})", status=400)

    def _tokens(self, end: int | None = None) -> Iterator[tuple[bytes, bool]]:
        """Each token, with whether it is a member's name that its object already has."""
        self._stack = []
        name_next = False
        for token in _TOKEN.finditer(self._raw, 0, len(self._raw) if end is None else end):
            string, mark = token[1], token[2]
            doubled = False
            if mark in (b"{", b"["):
                self._stack.append(("", set()) if mark == b"{" else (0, set()))
                name_next = mark == b"{"
            elif mark in (b"}", b"]") and self._stack:
                self._stack.pop()
                name_next = False
            elif mark == b"," and self._stack:
                last, names = self._stack[-1]
                name_next = isinstance(last, str)
                if isinstance(last, int):
                    self._stack[-1] = (last + 1, names)
            elif string is not None and name_next and self._stack:
                name, names = _plain(string), self._stack[-1][1]
                doubled = name in names
                names.add(name)
                self._stack[-1] = (name, names)
                name_next = False
            elif string is not None and not self._place and len(self._stack) == 1 and self._stack[0][0] == "resourceType":
                self._place = safe_name(_plain(string))
            yield token[0], doubled

    def _path(self) -> str:
        """Where the scan stands; a few levels say enough."""
        path = self._place
        for part, _ in self._stack[:_LONGEST_PATH]:
            path = f"{path}[{part}]" if isinstance(part, int) else join(path, safe_name(part)) if part else path
        return path


def _plain(string: bytes) -> str:
    """A member's name without its escapes."""
    try:
        return str(msgspec.json.decode(string))
    except ValueError:
        return "?"
