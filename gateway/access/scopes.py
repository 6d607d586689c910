"""What a client may do, in the words of SMART App Launch (scopes for backend services, context ``system``).

Version 2 writes the interactions as letters in this order: ``c`` create, ``r`` read, ``u`` update, ``d`` delete, ``s`` search; version 1 has
``read``, ``write`` and ``*``, which version 2 defines as ``rs``, ``cud`` and ``cruds``
(SMART App Launch 2.2.0, "Scopes for requesting FHIR Resources"). Scopes with search parameters (``system/Observation.rs?category=…``) are
refused rather than granted wider than they ask.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from gateway.model.errors import UnusableInput

Action = Literal["c", "r", "u", "d", "s"]

ANY: Final = "*"
"""Every kind of resource."""

_WORDS = {"read": "rs", "write": "cud", "*": "cruds"}
_FORM = re.compile(r"system/(\*|[A-Z][A-Za-z]*)\.(read|write|\*|(?=.)c?r?u?d?s?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Scope:
    """Interactions (letters of ``cruds``) with one kind of resource, or with `ANY`. ``spelling`` is how it was written."""

    kind: str
    actions: str
    spelling: str = field(default="", compare=False)

    @classmethod
    def parse(cls, text: str) -> Scope:
        """A scope from its text. Raises `UnusableInput`."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise UnusableInput(
                "权限范围写法不正确",
                action="请写成 system/资源类型.cruds（如 system/Patient.rs、system/*.read），资源类型首字母大写",
                english="malformed scope: write system/<Resource or *>.<letters of cruds in this order>",
            )
        kind, actions = found.groups()
        return cls(kind, _WORDS.get(actions, actions), text)

    def __str__(self) -> str:
        return self.spelling or f"system/{self.kind}.{self.actions}"

    def allows(self, kind: str, action: Action) -> bool:
        """Whether it lets somebody do ``action`` with resources of ``kind``; only a scope for all kinds allows `ANY`."""
        return self.kind in (ANY, kind) and action in self.actions

    def common(self, other: Scope) -> Scope | None:
        """What both allow, or None. One that is wholly within the other keeps its spelling."""
        if ANY not in (self.kind, other.kind) and self.kind != other.kind:
            return None
        actions = "".join(letter for letter in self.actions if letter in other.actions)
        if not actions:
            return None
        shared = Scope(other.kind if self.kind == ANY else self.kind, actions)
        return next((scope for scope in (self, other) if scope == shared), shared)


def parse_scopes(text: str) -> tuple[Scope, ...]:
    """The scopes of a list separated by spaces, each once. Raises `UnusableInput`."""
    return tuple(dict.fromkeys(Scope.parse(word) for word in text.split()))


def written(scopes: Iterable[Scope]) -> str:
    """Scopes as a list separated by spaces."""
    return " ".join(map(str, scopes))


def narrowed(asked: Iterable[Scope], held: Iterable[Scope]) -> tuple[Scope, ...]:
    """What of ``asked`` lies within ``held``: whole scopes as they were asked for, or the parts that are held."""
    held = tuple(held)
    shared = [one.common(other) for one in asked for other in held]
    return tuple(dict.fromkeys(scope for scope in shared if scope is not None))
