"""What several messages say of one stay, taken together.

A FHIR source states a stay by many resources, which may have come in several messages. Each message keeps its own `Facts`, for provenance;
where they belong is decided by all of them at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from gateway.model.facts import GROUPS, Facts


def together(said: Sequence[Facts]) -> Facts:
    """One `Facts` that holds all of ``said`` (at least one, all of the same patient and visit), under the name of the newest."""
    if len(said) == 1:
        return said[0]
    newest = max(said, key=lambda facts: facts.occurred)
    groups = {name: [item for facts in said for item in getattr(facts, name)] for name in ("facts", *GROUPS, "remarks", "snapshot")}
    return replace(
        newest,
        live=all(facts.live for facts in said),
        cancels=next((facts.cancels for facts in said if facts.cancels), ""),
        merged_from=list(dict.fromkeys(old for facts in said for old in facts.merged_from)),
        **groups,
    )
