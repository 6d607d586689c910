"""Profiles of our own and of hospitals: a type, or a profile of one, with further invariants, as a TOML file.

::

    id = "our-patient"
    name = "本院患者接口约定"
    base = "Patient"                  # a FHIR type, or the name or address of a profile
    releases = ["R4", "R5"]           # left out: both
    [[rule]]
    key = "our-1"                     # what a finding calls it
    severity = "error"                # or "warning"
    element = "identifier"            # what a finding points at; left out: the resource
    expression = "identifier.exists()"
    expression_r5 = "..."             # where R5 needs another one
    chinese = "缺少患者标识"
    english = "no identifier"
    source = "本院"
    confidence = "high"               # high, medium, low: how sure we are that this is demanded

What a stay needs is hardly ever a matter of one element: a number of one of several kinds, a period under one of two names. FHIRPath says
that in a line, and the sentence beside it tells a person what to do, which a StructureDefinition cannot hold. Every mistake in a file is a
`ConfigurationError` that names the key.
"""

from __future__ import annotations

import tomllib
from typing import Literal

import msgspec
from msgspec import Struct

from adapters.fhir.resource import Release
from conformance.fhir.elements import Constraint
from conformance.fhir.invariants import check_syntax
from gateway.model.errors import ConfigurationError
from mappings.dialect_files import misfit


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """One demand."""

    key: str
    severity: Literal["error", "warning"]
    expression: str
    chinese: str
    english: str
    source: str
    confidence: Literal["high", "medium", "low"]
    element: str = ""
    expression_r5: str = ""

    def constraint(self, release: Release) -> Constraint:
        """It as an invariant of a release."""
        expression = self.expression_r5 if release == "R5" and self.expression_r5 else self.expression
        return Constraint(self.key, self.severity, expression, self.english, self.chinese, self.element)


class OwnProfile(Struct, frozen=True, forbid_unknown_fields=True):
    """A profile as its file says it."""

    id: str
    name: str
    base: str
    rule: list[Rule]
    releases: frozenset[Release] = frozenset(("R4", "R5"))


def read_own(text: str, file: str) -> OwnProfile:
    """The profile in the text of a TOML file. Raises `ConfigurationError`."""
    try:
        own = msgspec.convert(tomllib.loads(text), OwnProfile)
    except tomllib.TOMLDecodeError as error:
        raise _faulty(file, "", f"不是正确的 TOML：{error}", f"not TOML: {error}") from None
    except msgspec.ValidationError as error:
        key, reason = misfit(error)
        raise _faulty(file, key, reason, reason) from None
    for rule in own.rule:
        for expression in filter(None, (rule.expression, rule.expression_r5)):
            try:
                check_syntax(expression)
            except ValueError:
                raise _faulty(file, rule.key, "表达式不是正确的 FHIRPath", "not FHIRPath") from None
    return own


def _faulty(file: str, key: str, reason: str, english: str) -> ConfigurationError:
    where = f"的 {key} " if key else ""
    return ConfigurationError(
        f"规范文件“{file}”{where}有误：{reason}", action="请修改后重试", english=f"profile {file}: {key}: {english}"
    )
