"""Joining things in batches without ever joining what contradicts itself; the order of the pairs in a batch does not matter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import combinations
from typing import TypeVar

_Node = TypeVar("_Node", int, str)
_Graph = Mapping[int, Set[int]]


class Unions:
    """Groups of things numbered from 0. Two groups contradict each other when they bear different marks, or when a member of one is kept
    ``apart`` from a member of the other. ``marks`` has the mark of each thing, empty for none. Marks that one group bears are one mark."""

    def __init__(self, marks: Sequence[str], apart: Iterable[tuple[int, int]] = ()) -> None:
        self._parent = list(range(len(marks)))
        self._members = {index: [index] for index in range(len(marks))}
        self._marks = {index: {mark} for index, mark in enumerate(marks) if mark}
        self._apart: dict[int, set[int]] = defaultdict(set)
        for left, right in apart:
            self._apart[left].add(right)
            self._apart[right].add(left)

    def root(self, thing: int) -> int:
        """The number by which the group of a thing is known now: that of its first member."""
        while self._parent[thing] != thing:
            self._parent[thing] = thing = self._parent[self._parent[thing]]
        return thing

    def groups(self) -> list[list[int]]:
        """All groups, members ascending, by their first member."""
        return [sorted(members) for _, members in sorted(self._members.items())]

    def kept_apart(self, left: int, right: int) -> bool:
        """Whether two groups, given by their roots, have members that are kept apart."""
        if not self._apart:
            return False
        fewer, other = (left, right) if len(self._members[left]) <= len(self._members[right]) else (right, left)
        return any(self.root(thing) == other for member in self._members[fewer] for thing in self._apart.get(member, ()))

    def join(self, pairs: Iterable[tuple[int, int]], *, whatever_marks: bool = False) -> list[tuple[int, int]]:
        """Join what a batch of pairs connects, except where that would join groups that contradict each other (by marks only unless
        ``whatever_marks``): there a group that leads to two contradicting ones stays by itself. The pairs that were left, ascending."""
        given = sorted(set(pairs))
        graph: dict[int, set[int]] = defaultdict(set)
        for left, right in given:
            ends = self.root(left), self.root(right)
            if ends[0] != ends[1]:
                graph[ends[0]].add(ends[1])
                graph[ends[1]].add(ends[0])
        for component in _components(graph, graph.keys()):
            for joined in self._consistent(graph, component, whatever_marks):
                self._merge(joined)
        if whatever_marks:
            self._equate()
        return [pair for pair in given if self.root(pair[0]) != self.root(pair[1])]

    def _consistent(self, graph: _Graph, component: Set[int], whatever_marks: bool) -> list[set[int]]:
        """What of a connected component may be joined."""
        against = self._contradictions(component, whatever_marks)
        if not against:
            return [set(component)]
        bridges: set[int] = set()
        regions = _components(graph, component - against.keys())
        for region in regions:
            bounds = {near for group in region for near in graph[group]} & against.keys()
            if any(not against[bound].isdisjoint(bounds) for bound in bounds):
                bridges |= region
        kept = {
            group: {near for near in graph[group] if (group in bridges) == (near in bridges) and near not in against.get(group, ())}
            for group in component
        }
        plan = _components(kept, component)
        wrong = {
            group
            for joined in plan
            if any(not against[one].isdisjoint(joined) for one in joined & against.keys())
            for group in joined
        }
        return [joined for joined in plan if joined.isdisjoint(wrong)] + [region for region in regions if region <= wrong]

    def _contradictions(self, groups: Set[int], whatever_marks: bool) -> dict[int, set[int]]:
        """Each group that contradicts others of ``groups``, with these."""
        against: dict[int, set[int]] = defaultdict(set)
        marked = () if whatever_marks else [group for group in sorted(groups) if group in self._marks]
        for left, right in combinations(marked, 2):
            if self._marks[left].isdisjoint(self._marks[right]):
                against[left].add(right)
                against[right].add(left)
        if self._apart:
            for group in groups:
                others = {self.root(thing) for member in self._members[group] for thing in self._apart.get(member, ())} & groups
                if others - {group}:
                    against[group] |= others - {group}
        return dict(against)

    def _merge(self, groups: Set[int]) -> None:
        first = min(groups)
        for group in groups - {first}:
            self._parent[group] = first
            self._members[first] += self._members.pop(group)
            if group in self._marks:
                self._marks.setdefault(first, set()).update(self._marks.pop(group))

    def _equate(self) -> None:
        """Marks that came together in a group mean the same everywhere."""
        graph: dict[str, set[str]] = defaultdict(set)
        for marks in self._marks.values():
            for mark in marks:
                graph[mark] |= marks
        meaning = {mark: min(equal) for equal in _components(graph, graph) for mark in equal}
        self._marks = {group: {meaning[mark] for mark in marks} for group, marks in self._marks.items()}


def _components(graph: Mapping[_Node, Set[_Node]], among: Iterable[_Node]) -> list[set[_Node]]:
    """The connected components of the part of a graph that lies among some of its nodes."""
    left = set(among)
    found = []
    while left:
        component: set[_Node] = set()
        ahead = [left.pop()]
        while ahead:
            node = ahead.pop()
            component.add(node)
            nearer = graph[node] & left
            left -= nearer
            ahead += nearer
        found.append(component)
    return found
