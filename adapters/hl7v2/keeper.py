"""Who makes a received message durable, and what passes between it and the listener."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self

from adapters.hl7v2.header import Header
from adapters.hl7v2.refusal import MessageRefused


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection. ``certificate`` is the common name of its client certificate, if it showed one."""

    address: str
    port: int
    certificate: str


@dataclass(frozen=True, slots=True)
class Received:
    """One message as it arrived.

    ``connection`` numbers the connections of a listener, ``number`` the messages of a connection, both from 1. ``refusal`` is why
    the message cannot be read, if so: keep its bytes all the same, for a person to look at. ``answer`` is what will be sent once
    it is kept, framed; store it beside the message, and give it back in `Kept.again` when the message comes again.
    """

    source: str
    peer: Peer
    connection: int
    number: int
    at: dt.datetime
    raw: bytes = field(repr=False)
    header: Header | None = field(repr=False)
    refusal: MessageRefused | None
    answer: bytes = field(repr=False)

    @property
    def control_id(self) -> str:
        """MSH-10, or an empty string."""
        return self.header.control_id if self.header else ""


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a message: ``kept`` (durable now), ``repeated`` (it was before; ``answer`` is the stored one) or ``refused``."""

    outcome: Literal["kept", "repeated", "refused"] = "kept"
    answer: bytes = field(default=b"", repr=False)
    refusal: MessageRefused | None = None

    @classmethod
    def again(cls, answer: bytes) -> Self:
        """The same control id and the same bytes were kept before; ``answer`` is what was stored then."""
        return cls("repeated", answer)

    @classmethod
    def not_kept(cls, refusal: MessageRefused) -> Self:
        """The message is not stored, for that reason."""
        return cls("refused", refusal=refusal)


class Keeper(Protocol):
    """Makes messages durable."""

    async def keep(self, received: Received) -> Kept:
        """Store ``received`` and return when it will survive a crash.

        Called in the order of arrival for each connection, several at a time: take the message's place in the order before the
        first await. May raise `MessageRefused` or `Overloaded` instead of returning; anything else counts as not stored. It is
        cancelled when it takes longer than the bound; should the message be stored all the same, its repetition finds it.
        """
        ...
