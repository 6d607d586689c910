"""Value sets of required bindings: is a code in the set (FHIR terminologies.html, strength required)?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

_ANY_SYSTEM = "*"
_NO_SYSTEM = ("code", "string", "uri", "id", "markdown")


class ValueSet(Struct, frozen=True):
    """The codes of a set by system. ``open`` systems have more codes in it than are known here (``*``: any system may)."""

    codes: dict[str, frozenset[str]]
    open: frozenset[str] = frozenset()

    def holds(self, value: Any, kind: str) -> bool | None:
        """Whether a value of a type is bound as the set demands: one of its codes is in it. None: cannot be told."""
        if kind in _NO_SYSTEM:
            return self._code(value) if isinstance(value, str) else False
        verdicts = [self._coding(coding) for coding in _codings(value, kind)]
        if True in verdicts:
            return True
        return None if None in verdicts else False

    def _code(self, code: str) -> bool | None:
        if any(code in codes for codes in self.codes.values()):
            return True
        return None if self.open else False

    def _coding(self, coding: Mapping[str, Any]) -> bool | None:
        system, code = coding.get("system"), coding.get("code")
        if not isinstance(system, str) or not isinstance(code, str):
            return False
        if code in self.codes.get(system, ()):
            return True
        return None if system in self.open or _ANY_SYSTEM in self.open else False


def has_code(value: Any, kind: str) -> bool:
    """Whether there is a code in a value of a type."""
    return kind in _NO_SYSTEM or any("code" in coding for coding in _codings(value, kind))


def _codings(value: Any, kind: str) -> list[Mapping[str, Any]]:
    """The codings of a coded value: a concept's, the concept's of a CodeableReference, a coding or a quantity's unit itself."""
    if not isinstance(value, Mapping):
        return []
    if kind == "CodeableReference":
        return _codings(value.get("concept"), "CodeableConcept")
    if kind != "CodeableConcept":
        return [value]
    listed = value.get("coding", [])
    return [coding for coding in listed if isinstance(coding, Mapping)] if isinstance(listed, list) else []
