"""What commands tell about messages and rows: findings with their place among the input files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from conformance.checks.finding import Finding
from gateway.convert import Batch
from gateway.convert import tell as tell_row


class Place(NamedTuple):
    """A message of a file (counted from 0) or a row of one (from 1)."""

    file: str
    number: int


class Told(NamedTuple):
    """What a person should know, and the message or row it is about."""

    place: Place
    finding: Finding


def tell(told: Iterable[Told], batch: Batch) -> None:
    """Add findings to a batch as JSON lines. ``row`` is what ``read`` calls ``message_index``."""
    for (file, number), finding in told:
        tell_row(file, number, finding, batch)
