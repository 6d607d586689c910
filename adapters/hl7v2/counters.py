"""What a listener counts, for metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """What happened since the listener was made; ``open`` and ``held`` are the present state."""

    open: int = 0
    held: int = 0
    connections: int = 0
    received: int = 0
    received_bytes: int = 0
    repeated: int = 0
    stray_bytes: int = 0
    answered: Counter[str] = field(default_factory=Counter)
    """Answers by MSA-1; a message whose sender asked for none counts as ``none``, a stored answer only as repeated."""
    refused: Counter[str] = field(default_factory=Counter)
    """Messages by reason."""
    turned_away: Counter[str] = field(default_factory=Counter)
    """Connections not taken: ``not-allowed``, ``too-many``, ``stopping``."""
    closed: Counter[str] = field(default_factory=Counter)
    """Connections by what ended them: ``by-peer``, ``idle``, ``slow-frame``, ``not-mllp``, ``answer-not-taken``, ``lost``, ``stopped``."""
    cut: Counter[str] = field(default_factory=Counter)
    """Frames that never ended: ``new-frame``, ``end-of-stream``."""
