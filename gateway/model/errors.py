"""The one exception tree of Zhibao.

::

    ZhibaoError
    ├── UnusableInput          what was given cannot be used at all (exit code 2)
    │   ├── FileRefused        a whole file: undecodable, no header, not what its name says, over a limit
    │   ├── RowRefused         one row of a file: kept, reported, the other rows go on
    │   └── TooSlow            a request whose content does not come within its time (HTTP 408)
    ├── NotFound               the ledger has no such file, stay, submission or batch
    ├── AccessDenied           not signed in, or with credentials that do not hold (HTTP 401)
    ├── Forbidden              known, but not allowed to do this (HTTP 403)
    ├── Overloaded             cannot take more work now: come back later (HTTP 503)
    │   └── TooManyRequests    too many at once from outside: come back at once (HTTP 429)
    ├── ConfigurationError     a setting, profile or key is missing, contradictory or too weak
    ├── IllegalTransition      a submission was asked to take a step its state does not allow
    ├── AuditBroken            the audit log does not verify
    └── DeliveryError          an exchange with a platform did not end well
        ├── TransientFailure   worth another try later (network, 429, 5xx)
        ├── AmbiguousFailure   bytes left and no answer came: ask the platform before sending again
        └── PermanentFailure   the platform refused for good: a person must act

Every error says in Chinese what happened and what to do next; the English text is for engineers and logs.
Neither may hold patient data: name files, rows and field codes, never values.
"""

from __future__ import annotations


class ZhibaoError(Exception):
    """Root of every error raised on purpose by Zhibao.

    ``message`` is the Chinese sentence shown to hospital staff, ``action`` what they can do about it (Chinese),
    ``english`` the same fact for engineers.
    """

    def __init__(self, message: str, *, action: str = "", english: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.action = action
        self.english = english or message

    def __str__(self) -> str:
        return f"{self.message}{'。' + self.action if self.action else ''}"


class UnusableInput(ZhibaoError):
    """What was given cannot be used at all."""


class FileRefused(UnusableInput):
    """A whole file is refused; its bytes are kept where it came from. ``reason`` is a stable machine-readable word."""

    def __init__(self, reason: str, message: str, *, action: str = "", english: str = "") -> None:
        super().__init__(message, action=action, english=english)
        self.reason = reason


class RowRefused(UnusableInput):
    """One row cannot become a stay. ``field`` is the column code at fault, or empty."""

    def __init__(self, reason: str, message: str, *, field: str = "", action: str = "", english: str = "") -> None:
        super().__init__(message, action=action, english=english)
        self.reason = reason
        self.field = field


class TooSlow(UnusableInput):
    """The content of a request did not come within its time. Nothing was taken; the sender should send it again."""


class NotFound(ZhibaoError):
    """The ledger has no such file, stay, submission or batch."""


class AccessDenied(ZhibaoError):
    """Not signed in, or with credentials that do not hold."""


class Forbidden(ZhibaoError):
    """Whoever asks is known, but not allowed to do this."""


class Overloaded(ZhibaoError):
    """Cannot take more work now (disk, depth of the queue). Nothing was taken; the sender should come back later."""


class TooManyRequests(Overloaded):
    """Too many requests are worked on at the same time. Nothing was taken; the sender should come back in a moment."""


class ConfigurationError(ZhibaoError):
    """A setting, profile or key is missing, contradictory or too weak to run with."""


class IllegalTransition(ZhibaoError):
    """A submission was asked to take a step that its state does not allow."""


class AuditBroken(ZhibaoError):
    """The audit log does not verify."""


class DeliveryError(ZhibaoError):
    """An exchange with a platform did not end well. ``retry_after`` is the platform's wish in seconds, if it gave one."""

    def __init__(self, message: str, *, action: str = "", english: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, action=action, english=english)
        self.retry_after = retry_after


class TransientFailure(DeliveryError):
    """Worth another try later: connection refused, 429, 5xx."""


class AmbiguousFailure(DeliveryError):
    """Bytes left and no answer came. The platform must be asked before anything is sent again."""


class PermanentFailure(DeliveryError):
    """The platform refused for good; a person must act."""
