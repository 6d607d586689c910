"""The elements of a StructureDefinition snapshot as a tree (FHIR R4 and R5, elementdefinition.html)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

Json = Mapping[str, Any]

BASE: Final = "http://hl7.org/fhir/StructureDefinition/"
"""Addresses of FHIR's own definitions begin with it."""

_MAX_VALUE_SET: Final = f"{BASE}elementdefinition-maxValueSet"


class Kind(NamedTuple):
    """A type that an element may have: its name, the profiles one of which a value follows, and what a reference may lead to."""

    code: str
    profiles: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


class Constraint(NamedTuple):
    """An invariant: a FHIRPath expression that must not be false. ``element`` is what a finding names (empty: where it is stated)."""

    key: str
    severity: str
    expression: str
    english: str
    chinese: str = ""
    element: str = ""


class Binding(NamedTuple):
    """The value set that codes must be of. ``coded``: there must be a code; otherwise only codes that are there are judged."""

    value_set: str
    coded: bool


class Slicing(NamedTuple):
    """How values are told apart: (type, path) of each discriminator; ``closed``: every value belongs to a slice."""

    discriminators: tuple[tuple[str, str], ...]
    closed: bool


@dataclass(slots=True)
class Element:
    """An element, or a slice of one. ``most`` is -1 for any number; ``same_as`` is the id of the element whose content it repeats."""

    id: str
    name: str
    slice_name: str
    least: int
    most: int
    kinds: tuple[Kind, ...]
    fixed: Any = None
    pattern: Any = None
    binding: Binding | None = None
    constraints: tuple[Constraint, ...] = ()
    slicing: Slicing | None = None
    same_as: str = ""
    children: dict[str, Element] = field(default_factory=dict)
    slices: list[Element] = field(default_factory=list)

    @property
    def choice(self) -> bool:
        """Is its name in JSON followed by the type of the value (``value[x]``)?"""
        return self.name.endswith("[x]")

    def kind(self, code: str) -> Kind | None:
        """The permitted type of that name."""
        return next((kind for kind in self.kinds if kind.code == code), None)


@dataclass(frozen=True, slots=True)
class Profile:
    """A StructureDefinition: of a type (``base``) or of what a guide makes of it. ``more`` are invariants beyond its snapshot's."""

    url: str
    name: str
    type: str
    base: bool
    root: Element
    by_id: Mapping[str, Element] = field(repr=False)
    more: tuple[Constraint, ...] = ()

    @classmethod
    def read(cls, definition: Json) -> Profile:
        """The profile of a StructureDefinition with a snapshot. Raises KeyError, TypeError or ValueError for anything else."""
        elements = definition["snapshot"]["element"]
        by_id: dict[str, Element] = {}
        for raw in elements:
            element = _element(raw)
            by_id[element.id] = element
            above, _, last = element.id.rpartition(".")
            name, _, slice_name = last.partition(":")
            if slice_name:
                whole, _, _ = slice_name.rpartition("/")
                owner = f"{above}.{name}:{whole}" if whole else f"{above}.{name}"
                by_id[owner].slices.append(element)
            elif above:
                by_id[above].children[element.name] = element
        url = str(definition["url"])
        base = definition.get("derivation") != "constraint"
        return cls(url, url.rpartition("/")[2], str(definition["type"]), base, by_id[elements[0]["id"]], by_id)


def _element(raw: Json) -> Element:
    most = raw.get("max", "*")
    return Element(
        id=raw["id"],
        name=raw["path"].rpartition(".")[2],
        slice_name=raw.get("sliceName", ""),
        least=raw.get("min", 0),
        most=-1 if most == "*" else int(most),
        kinds=tuple(_kind(kind) for kind in raw.get("type", ())),
        fixed=_given(raw, "fixed"),
        pattern=_given(raw, "pattern"),
        binding=_binding(raw.get("binding", {})),
        constraints=tuple(_constraint(rule) for rule in raw.get("constraint", ()) if "expression" in rule),
        slicing=_slicing(raw["slicing"]) if "slicing" in raw else None,
        same_as=raw.get("contentReference", "").rpartition("#")[2],
    )


def _kind(raw: Json) -> Kind:
    return Kind(raw["code"], _urls(raw.get("profile", ())), _urls(raw.get("targetProfile", ())))


def _urls(canonicals: Sequence[str]) -> tuple[str, ...]:
    return tuple(plain(canonical) for canonical in canonicals)


def plain(canonical: str) -> str:
    """A canonical address without its version."""
    return canonical.partition("|")[0]


def _given(raw: Json, prefix: str) -> Any:
    return next((value for key, value in raw.items() if key.startswith(prefix)), None)


def _constraint(raw: Json) -> Constraint:
    return Constraint(raw["key"], raw["severity"], raw["expression"], raw.get("human", ""))


def _binding(raw: Json) -> Binding | None:
    if raw.get("strength") == "required" and "valueSet" in raw:
        return Binding(plain(raw["valueSet"]), coded=True)
    for extension in raw.get("extension", ()):
        if extension["url"] == _MAX_VALUE_SET:
            return Binding(plain(extension.get("valueCanonical") or extension["valueUri"]), coded=False)
    return None


def _slicing(raw: Json) -> Slicing:
    discriminators = tuple((rule["type"], rule["path"]) for rule in raw.get("discriminator", ()))
    return Slicing(discriminators, raw.get("rules") == "closed")
