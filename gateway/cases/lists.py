"""Lists of a stay as messages state them, before they get positions.

Diagnoses, procedures and pathology reports all come down to the same: perhaps a main entry, and others in order. What identifies an
entry (its `head`: condition, operation, 病理号) is how entries of messages and of the front sheet recognise each other.
"""

from __future__ import annotations

from msgspec import Struct

from gateway.cases.claims import Leaves


class Listed(Struct, frozen=True):
    """A list at ``others`` (``diagnoses.other``), with its main entry at ``main`` (empty where the list has none). ``head`` is the leaf
    that identifies an entry. ``stated_whole`` tells whether a front sheet that fills the list says all of it: then entries that only
    messages know are asked about, not added."""

    others: str
    head: str
    principal: Leaves | None
    rest: list[Leaves]
    main: str = ""
    stated_whole: bool = True
