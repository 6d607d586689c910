"""What a reader remarks about a message; the rules and their texts are those of `mappings.remarks`.

Who draws up facts passes a list of remarks along and adds to it; `remark` makes one for a field."""

from __future__ import annotations

from gateway.model.facts import Remark
from mappings import remarks


def remark(rule: str, source: str) -> Remark:
    """The remark of a rule about the field ``source`` (``PID-7``)."""
    return remarks.remark("hl7v2", rule, source)
