"""The segments of a message walked along the structure that the standard gives it.

A walk never gives up: a segment that cannot stand where it is, nor anywhere after it, is noted and passed over, and a group that lacks its
first segment is still a group. So one fault is one remark, and the rest of the message is judged as usual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from adapters.hl7v2.standard import Node

_ANYTHING = frozenset(("ANYHL7SEGMENT", "ANYZSEGMENT", "anyHL7Segment", "anyZSegment"))


@dataclass
class Walk:
    """What was found: ``missing`` are nodes with the group that wants them, ``strange`` positions of segments that the structure does not
    have, ``misplaced`` those of segments that may not stand where they do or are one too many."""

    names: Sequence[str]
    missing: list[tuple[Node, Node]] = field(default_factory=list)
    strange: list[int] = field(default_factory=list)
    misplaced: list[int] = field(default_factory=list)


def walk(structure: Node, names: Sequence[str]) -> Walk:
    """Walk segment names along a structure. Z segments may stand anywhere."""
    found = Walk(names)
    if not structure.members.isdisjoint(_ANYTHING):
        return found
    found.strange = [at for at, name in enumerate(names) if name not in structure.members and not name.startswith("Z")]
    known = [(at, name) for at, name in enumerate(names) if name in structure.members]
    walker = _Walker(known, found)
    walker.group(structure, frozenset(), frozenset())
    elsewhere = {names[at] for at in found.misplaced}
    found.missing = [(node, group) for node, group in found.missing if elsewhere.isdisjoint(node.first)]
    return found


class _Walker:
    def __init__(self, segments: Sequence[tuple[int, str]], found: Walk) -> None:
        self._segments = segments
        self._found = found
        self._at = 0

    def group(self, node: Node, later: frozenset[str], soon: frozenset[str]) -> None:
        """Walk through a group. ``later`` are the segments that can stand anywhere behind it, ``soon`` those that begin something
        there."""
        if node.choice:
            chosen = next((child for child in node.children if self._name in child.members), None)
            if chosen is not None:
                self._child(node, chosen, later, soon)
            return
        for position, child in enumerate(node.children):
            behind = node.children[position + 1 :]
            self._child(
                node,
                child,
                later.union(*(other.members for other in behind)),
                soon.union(*(other.first for other in behind)),
            )

    def _child(self, parent: Node, child: Node, later: frozenset[str], soon: frozenset[str]) -> None:
        count = 0
        while self._at < len(self._segments):
            name = self._name
            more = child.most < 0 or count < child.most
            begins = name in child.first or (count == 0 and name in child.members and name not in soon)
            if more and begins:
                before = self._at
                self._enter(child, later, soon)
                if self._at == before:
                    break
                count += 1
            elif name in later:
                break
            else:
                self._found.misplaced.append(self._segments[self._at][0])
                self._at += 1
        if count < child.least and not child.may_lack:
            self._found.missing.append((child, parent))

    def _enter(self, child: Node, later: frozenset[str], soon: frozenset[str]) -> None:
        if not child.children:
            self._at += 1
            return
        again = child.first if child.most != 1 else frozenset()
        self.group(child, later | again, soon | again)

    @property
    def _name(self) -> str:
        return self._segments[self._at][1] if self._at < len(self._segments) else ""
