"""Where each value of a stay came from.

A value is not wrapped. A stay carries a short stack of **layers**, one for each message (or person) that contributed. A layer
names its message and the source layout; the layout's table says which column feeds which path, so one layer explains all
811 columns of a front sheet without storing 811 entries. A layer that supplied only some values lists them in ``fields``.
The topmost layer that supplied a path is its origin.
"""

from __future__ import annotations

from msgspec import Struct, field


class Layer(Struct, omit_defaults=True, frozen=True):
    """One contribution to a stay.

    ``message`` is the ledger's message id (or ``file#row`` outside the ledger), ``mapping`` the table by which it was read
    (``hqms-2020``, or ``person`` for a correction), ``fields`` the source field by canonical path where the table does not say
    it: None means "every path that the table maps". ``by``, ``at`` and ``reason`` name the person, time (UTC) and cause of a
    correction.
    """

    message: str
    mapping: str
    fields: dict[str, str] | None = None
    by: str = ""
    at: str = ""
    reason: str = ""


class Provenance(Struct, omit_defaults=True):
    layers: list[Layer] = field(default_factory=list)

    def origin(self, path: str) -> Layer | None:
        """The layer that supplied ``path``, or None when nothing is known of it."""
        for layer in reversed(self.layers):
            if layer.fields is None or path in layer.fields:
                return layer
        return None
