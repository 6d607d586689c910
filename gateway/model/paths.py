"""Reading and changing one leaf of a stay by its path, such as ``diagnoses.other[2].condition.code``.

Paths are what provenance, corrections and mapping tables speak in. Bulk reading and writing has compiled plans of its own
(`mappings.layout`); this module serves the single look-up.
"""

from __future__ import annotations

import re
from typing import Any, get_args

import msgspec
from msgspec import structs

from gateway.model.errors import ZhibaoError
from gateway.model.stay import Part, Stay
from gateway.model.values import Coded

_STEP = re.compile(r"([a-z_0-9]+)(?:\[(\d+)\])?(?:\.|$)")


class UnknownPath(ZhibaoError):
    """The model has no such path."""


def split_path(path: str) -> list[str | int]:
    """``diagnoses.other[2].condition`` as ``["diagnoses", "other", 2, "condition"]``. Raises `UnknownPath`."""
    steps: list[str | int] = []
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise UnknownPath(f"路径写法不正确：{path}", english=f"malformed path: {path}")
        steps.append(match[1])
        if match[2] is not None:
            steps.append(int(match[2]))
        position = match.end()
    if not steps:
        raise UnknownPath("路径为空", english="empty path")
    return steps


def get(stay: Stay, path: str) -> Any:
    """The value at ``path``, or None where the stay has none. Raises `UnknownPath` when the model has no such member."""
    node: Any = stay
    for step in split_path(path):
        if node is None:
            return None
        if isinstance(step, int):
            if not isinstance(node, list):
                raise UnknownPath(f"模型中没有这一项：{path}", english=f"no such path in the model: {path}")
            node = node[step] if step < len(node) else None
        elif step not in getattr(node, "__struct_fields__", ()):
            raise UnknownPath(f"模型中没有这一项：{path}", english=f"no such path in the model: {path}")
        else:
            node = getattr(node, step)
    return node


def put(stay: Stay, path: str, value: Any) -> None:
    """Set the leaf at ``path`` in place, growing lists with empty positions as needed. Raises `UnknownPath`."""
    *parents, last = split_path(path)
    if not isinstance(last, str):
        raise UnknownPath(f"不能整体替换列表中的一项：{path}", english=f"cannot replace a list element: {path}")
    _put(stay, parents, last, value, path)


def _put(root: Part, parents: list[str | int], last: str, value: Any, path: str) -> None:
    node: Any = root
    holder: tuple[Any, str] | None = None
    element: type[Any] | None = None
    for step in parents:
        if isinstance(step, int):
            if element is None:
                raise UnknownPath(f"模型中没有这一项：{path}", english=f"no such path in the model: {path}")
            while len(node) <= step:
                node.append(element())
            node = node[step]
            continue
        field = next((f for f in structs.fields(type(node)) if f.name == step), None) if node is not None else None
        if field is None:
            raise UnknownPath(f"模型中没有这一项：{path}", english=f"no such path in the model: {path}")
        holder = (node, step)
        arguments = get_args(field.type)
        element = arguments[0] if arguments else None
        child = getattr(node, step)
        if child is None and Coded in arguments:
            child = Coded()
        node = child
    if isinstance(node, Coded):
        assert holder is not None
        if last not in node.__struct_fields__:
            raise UnknownPath(f"模型中没有这一项：{path}", english=f"no such path in the model: {path}")
        setattr(*holder, msgspec.structs.replace(node, **{last: value}))
        return
    if last not in getattr(node, "__struct_fields__", ()):
        raise UnknownPath(f"模型中没有这一项：{path}", english=f"no such path in the model: {path}")
    setattr(node, last, value)
