"""Which row of the ledger a group of keys is, after groups were made anew.

Persons are groups of sightings, tumours groups of evidence. Each row has a *founding* key. A group is the row whose founding key it has, the
oldest row where it has several: so two groups that are joined become the older row, and when they are parted again each is the row that it was.
A row whose founding key nobody states any more (a diagnosis was coded anew, a stay was cancelled) goes on as the group that it leaves most
clearly: one that has what belonged to it, or what the same source now says in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claimed:
    """The row of a group, None where it needs a new one, and the founding key that the row has from now on."""

    row: int | None
    founding: str


def claim(
    groups: Sequence[Sequence[str]],
    founding: Mapping[int, str],
    former: Mapping[str, int],
    stands_for: Sequence[Callable[[str, str], bool]] = (),
) -> list[Claimed]:
    """The row of each group, in their order. ``founding`` is that of every row that may be one of them, ``former`` the row that keys belonged
    to. ``stands_for`` tell whether a key may have come in the place of a founding key that is gone, the surest first."""
    of_key = {key: number for number, keys in enumerate(groups) for key in keys}
    rows: dict[int, int] = {}
    gone = []
    for row, key in sorted(founding.items()):
        if key not in of_key:
            gone.append(row)
        else:
            rows.setdefault(of_key[key], row)
    tests: list[Callable[[int, str], bool]] = [lambda row, key: former.get(key) == row]
    tests += [lambda row, key, alike=alike: alike(founding[row], key) for alike in stands_for]  # type: ignore[misc]
    for fits in tests:
        for row in gone:
            number = next((n for n, keys in enumerate(groups) if n not in rows and any(fits(row, key) for key in keys)), None)
            if number is not None and row not in rows.values():
                rows[number] = row
    taken = {key: row for row, key in founding.items()}
    return [_claimed(rows.get(number), keys, founding, of_key, taken) for number, keys in enumerate(groups)]


def _claimed(
    row: int | None, keys: Sequence[str], founding: Mapping[int, str], of_key: Mapping[str, int], taken: Mapping[str, int]
) -> Claimed:
    if row is not None and founding[row] in of_key:
        return Claimed(row, founding[row])
    return Claimed(row, next(key for key in keys if key not in taken))
