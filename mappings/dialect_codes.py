"""The code maps of one dialect: packaged ones with the dialect's own codes over them, whatever the standard."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gateway.model.names import is_chinese
from mappings.code_map import BaseCodes, CodeMap, names_of, value_set
from mappings.dialect_files import faulty

_FREE_TEXT = ("nationality",)
"""Maps whose targets are words of any kind."""


def dialect_codes(
    origin: str,
    id: str,
    value_sets: Mapping[str, str],
    base: BaseCodes,
    codes: Mapping[str, Mapping[str, str]],
    own_codes: Collection[str],
) -> dict[str, CodeMap]:
    """Every map that the standard's table names (``value_sets``: map to the value set of its targets). ``codes`` are the dialect's own
    codes and labels, ``own_codes`` the maps whose packaged codes do not hold for it. Raises `ConfigurationError`."""
    for key, names in (("codes", codes), ("own_codes", own_codes)):
        for name in names:
            if name not in value_sets:
                raise faulty(origin, f"{key}.{name}", f"没有这个对照表，可用：{'、'.join(sorted(value_sets))}", "no such map")
    maps = {}
    for name, target_set in value_sets.items():
        packaged, labels = base.get(name, ({}, {}))
        own = codes.get(name, {})
        _check_targets(origin, name, target_set, {*packaged.values(), *labels.values()}, own)
        maps[name] = CodeMap(
            name,
            target_set,
            f"{id}/{name}",
            {
                **({} if name in own_codes else packaged),
                **{code: target for code, target in own.items() if not is_chinese(code)},
            },
            {**names_of(target_set), **labels, **{code: target for code, target in own.items() if is_chinese(code)}},
        )
    return maps


def _check_targets(origin: str, name: str, target_set: str, known: Collection[str], own: Mapping[str, str]) -> None:
    if name in _FREE_TEXT or not own:
        return
    allowed = set(value_set(target_set) if target_set else known)
    for code, target in own.items():
        if target and target not in allowed:
            raise faulty(
                origin,
                f"codes.{name}.{code}",
                f"“{target}”不在值集 {target_set or name} 中" if allowed else f"对照表 {name} 没有目标值集",
                f"{target!r} is not in {target_set or name}",
            )
