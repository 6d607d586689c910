"""Invariants: FHIRPath expressions evaluated by fhirpathpy (a millisecond each and more: never where messages are taken in).

An invariant is broken when its expression is false. Empty is not false: so answers FHIRPath where times of different precision cannot be
compared. What fhirpathpy has no function for, or stumbles over, is *not checked*, never passed. Added to its functions are those of FHIR
(``hasValue``, ``resolve``), boundaries and comparisons of times (its own compare them as text, zones and all), and one of ours:
``rightResidentId()``, whether text is a resident ID whose check character is right (15-digit numbers have none).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from fhirpathpy import apply_parsed_path, parser
from fhirpathpy.engine.invocations import invocation_registry
from fhirpathpy.engine.nodes import ResourceNode, TypeInfo
from fhirpathpy.engine.util import get_data
from fhirpathpy.models import models

from adapters.fhir.resource import Body, Release
from conformance.fhir.elements import Constraint
from conformance.fhir.surroundings import Surroundings
from gateway.model.resident_id import normalised, verdict
from gateway.model.times import china_time

_MODELS: Final[Mapping[Release, str]] = {"R4": "r4", "R5": "r5"}
_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


_PARSER: Any = parser
_evaluate: Callable[..., Any] = apply_parsed_path
_node: Callable[..., Any] = ResourceNode.create_node
_data: Callable[..., Any] = get_data
_TYPES: Any = TypeInfo
_FUNCTIONS: Any = invocation_registry
"""fhirpathpy declares types for the outermost of its functions only; its type look-up takes the model from a class attribute."""


class Unresolved(Exception):
    """A reference leads out of the message: what depends on it cannot be told."""


class Invariants:
    """The invariants of one message of a release."""

    def __init__(self, release: Release, surroundings: Surroundings) -> None:
        self._model = models[_MODELS[release]]
        self._surroundings = surroundings
        self._around: Body = {}
        self._made: dict[int, tuple[Any, Any]] = {}
        functions = {
            "hasValue": {"fn": lambda found: [len(found) == 1 and not isinstance(found[0], dict | list)]},
            "resolve": {"fn": self._resolve},
            "lowBoundary": {"fn": _times},
            "highBoundary": {"fn": _times},
            "rightResidentId": {"fn": lambda found: [_is_right(text) for text in found]},
        }
        comparisons = {
            sign: {"fn": _comparison(sign, compare), "arity": {2: ["Any", "Any"]}, "nullable": True}
            for sign, compare in _COMPARISONS.items()
        }
        self._options = {"userInvocationTable": functions | comparisons, "traceFn": _quiet}

    def holds(self, rule: Constraint, value: Any, path: str, resource: Body, root: Body) -> bool | None:
        """Whether an invariant holds for a value. ``path`` is its type (``Period``, ``Observation.component``), ``resource`` the one it
        stands in, ``root`` the one that contains this. None: cannot be told."""
        self._around = root
        _TYPES.model = self._model
        bare = self._bare(value)
        subject = bare if value is resource else _node(bare, path)
        variables = {"resource": self._bare(resource), "rootResource": self._bare(root)}
        try:
            if rule.key == "dom-3":
                return _contained_are_used(resource)
            found = _evaluate(subject, _parsed(rule.expression), variables, self._model, self._options)
        except Exception:  # plain ones for what it cannot do, any other for what it did not expect
            return None
        return bool(found != [False])

    def _resolve(self, references: list[Any]) -> list[Body]:
        found = [self._surroundings.resolve(reference, self._around) for reference in references]
        if None in found:
            raise Unresolved
        return [self._bare(target) for target in found if target is not None]

    def _bare(self, value: Any) -> Any:
        """A value without what stands beside its primitive values, which fhirpathpy takes for further values; made once for each."""
        if id(value) not in self._made:
            self._made[id(value)] = (value, _bare(value))
        return self._made[id(value)][1]


def check_syntax(expression: str) -> None:
    """Raise ValueError for text that is no FHIRPath expression. ``parse`` itself makes do with the beginning of one."""
    lexer = _PARSER.FHIRPathLexer(_PARSER.InputStream(expression))
    lexer.recover = _no_token
    whole = _PARSER.FHIRPathParser(_PARSER.CommonTokenStream(lexer))
    for each in (lexer, whole):
        each.removeErrorListeners()
    whole.entireExpression()
    if whole.getNumberOfSyntaxErrors():
        raise ValueError("not FHIRPath")


def _no_token(_: Exception) -> None:
    raise ValueError("not FHIRPath")


@lru_cache(maxsize=4096)
def _parsed(expression: str) -> Any:
    check_syntax(expression)
    return _PARSER.parse(expression)


def _quiet(*_: Any) -> None:
    """FHIRPath's trace() is for those who write expressions."""


def _bare(value: Any) -> Any:
    """The same object where there is nothing to leave out. What has extensions and no value stays, because it is there."""
    if isinstance(value, list):
        items = [_bare(item) for item in value]
        return value if all(map(operator.is_, items, value)) else items
    if not isinstance(value, Mapping):
        return value
    kept = {name: _bare(item) for name, item in value.items() if not (name.startswith("_") and _is_whole(value.get(name[1:])))}
    return value if len(kept) == len(value) and all(kept[name] is value[name] for name in kept) else kept


def _is_whole(value: Any) -> bool:
    return None not in value if isinstance(value, list) else value is not None


def _contained_are_used(resource: Body) -> bool:
    """dom-3, on which fhirpathpy stumbles: every contained resource is referred to, or refers to what contains it."""
    texts = set(_texts(resource))
    contained = [item for item in resource.get("contained", []) if isinstance(item, Mapping)]
    return all(f"#{item.get('id')}" in texts or "#" in set(_texts(item)) for item in contained)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)


def _is_right(text: Any) -> bool:
    return isinstance(text, str) and verdict(normalised(text)) in ("right", "unchecked")


def _times(found: list[Any]) -> list[Any]:
    """The boundary of a time is the time itself, because comparing answers empty where precisions leave it open."""
    if not all(isinstance(text, str) and china_time(text) for text in found):
        raise NotImplementedError
    return found


def _comparison(sign: str, compare: Callable[[Any, Any], bool]) -> Callable[[list[Any], list[Any]], list[bool]]:
    otherwise: Callable[..., Any] = _FUNCTIONS[sign]["fn"]

    def compared(left: list[Any], right: list[Any]) -> list[bool]:
        texts = [_data(side[0]) if len(side) == 1 else None for side in (left, right)]
        moments = [china_time(text) if isinstance(text, str) else None for text in texts]
        if moments[0] is None or moments[1] is None:
            answer = otherwise(None, left, right)
            return answer if isinstance(answer, list) else [answer]
        shared = min(len(moment) for moment in moments if moment)
        first, second = moments[0][:shared], moments[1][:shared]
        if first != second or moments[0] == moments[1]:
            return [compare(first, second)]
        return []

    return compared
